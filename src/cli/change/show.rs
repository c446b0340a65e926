//! What a person sees of a change: before it, after it, and of many targets at the end.

use super::args::Mode;
use super::closing::{Closing, caution, closing};
use super::keep::undo_line;
use super::object::ChangeItem;
use super::{ChangeObject, ChangedBank, Job, One, Outcome, Verdict};
use crate::cli::report::{Exit, Failure, name_to_cure, warning_in_words};
use crate::cli::terminal::{Gate, plural, shown, table, unified};
use crate::diagnosis::Work;
use crate::edit::ChangeSource;
use crate::error::ErrorKind;
use crate::fat::Method;
use crate::secrets::Guarded;
use crate::stick::{BankPlan, FilePlan, Plan};
use std::path::Path;

impl One<'_> {
    /// Shows what would change, and notes it in the object.
    ///
    /// # Errors
    /// A plan that changes nothing although it may have to: lines that look like passed-through
    /// devices and cannot be read for certain.
    pub(super) fn show(&self, plan: &Plan, object: &mut ChangeObject) -> Result<(), Failure> {
        let ui = &self.job.session.ui;
        object.searched = plan.searched();
        let gate = ui.gate();
        object.banks = changed_banks(plan, gate);
        // Of a copy it is said of the source, and to be done to the copy.
        let is_copy = matches!(self.job.way.mode, Mode::Output { .. });
        let kind = object.kind.filter(|_| !is_copy);
        let target = name_to_cure(&object.path, kind);
        let of_plan = plan.warnings.iter();
        let of_plan = of_plan.map(|warning| warning_in_words(warning, &target));
        for warning in self.asked.warnings.iter().cloned().chain(of_plan) {
            self.job.warn(object, warning);
        }
        self.warn_of_harm(plan, object);
        if plan.is_empty() && plan.doubtful() > 0 {
            return Err(not_understood(plan));
        }
        if self.asked.work.gives_all_back() {
            object.left = plan.doubtful();
        }
        if plan.is_empty() && ui.is_brief() && is_copy {
            return Ok(());
        }
        if plan.is_empty() {
            ui.text(&format!(
                "{}: {}\n",
                shown(&object.target),
                self.nothing_to_do(plan)
            ));
            // A copy says so itself.
            let wrong = closing(plan, Closing::IfWrong, &object.path, is_copy);
            if let Some(text) = wrong.filter(|_| !ui.is_brief() && !is_copy) {
                ui.say(&text);
            }
            return Ok(());
        }
        let asks = self.job.way.mode == Mode::Commit && self.job.is_to_ask();
        if ui.is_brief() && !asks && !self.job.way.diff {
            return Ok(());
        }
        let name = shown(&object.target);
        let mut text = format!("{name}\n{}", plan_in_words(plan, gate));
        if self.job.way.diff {
            for bank in &plan.banks {
                text.push_str(&diff_in_words(
                    &format!("bank{}:", bank.partition),
                    &bank.files,
                    gate,
                ));
            }
            text.push_str(&diff_in_words("", plan.state.as_slice(), gate));
        }
        // In one piece: other targets are treated beside this one.
        ui.text(&text);
        Ok(())
    }

    fn nothing_to_do(&self, plan: &Plan) -> String {
        match &self.asked.work {
            Work::Reclaim => "no leftovers".to_owned(),
            Work::UseBank { partition, .. } if !plan.outlook.boot.boots() => format!(
                "nothing to change: bank {partition} boots if the loader passes over the bank in doubt"
            ),
            Work::UseBank { partition, .. } => format!("bank {partition} boots next already"),
            Work::CopyBank { from, to } => format!("bank {to} is a copy of bank {from} already"),
            Work::Files(files) if files.iter().all(|file| file.content.is_none()) => {
                let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
                format!(
                    "there is no {}, so nothing to remove",
                    shown(&names.join(", "))
                )
            }
            Work::MarkClean => "no mark of an unclean unmount".to_owned(),
            _ => match plan.searched().join(", ").as_str() {
                "" => "nothing to change: the state is empty, so the host starts with default settings"
                    .to_owned(),
                searched => format!("nothing to change; searched {searched}"),
            },
        }
    }

    /// `-v`: the steps of the plan.
    pub(super) fn show_steps(&self, plan: &Plan) {
        let ui = &self.job.session.ui;
        for step in plan.set.steps() {
            let first = step.sectors.keys().next().copied().unwrap_or_default();
            ui.detail(&format!(
                "  partition {}: {} ({} sector{} from {first}): {}",
                step.partition,
                step.phase.as_str(),
                step.sectors.len(),
                plural(step.sectors.len()),
                step.why
            ));
        }
    }

    /// What was done, where the way back is, and what comes next.
    pub(super) fn conclude(&self, plan: &Plan, object: &ChangeObject) {
        let ui = &self.job.session.ui;
        if ui.is_brief() {
            let undo = match &object.undo {
                Some(undo) => format!("; undo file {}", shown(undo)),
                None => String::new(),
            };
            ui.text(&format!(
                "{}: changed, {}{undo}\n",
                shown(&object.target),
                extent(plan)
            ));
            return;
        }
        let undo = match &object.undo_path {
            Some(undo) => format!("; to undo it: {}", undo_line(undo, &object.path)),
            None => String::new(),
        };
        ui.say(&format!("{}: changed{undo}", object.target));
        for text in self.job.afterwards(plan, &object.path, false) {
            ui.say(&text);
        }
    }
}

impl Job<'_> {
    /// What is said after a change: what it means, and what happens at the next boot.
    pub(super) fn afterwards(&self, plan: &Plan, target: &Path, is_copy: bool) -> Vec<String> {
        let closing = closing(plan, self.closing, target, is_copy);
        let more = [caution(plan), self.explain.map(str::to_owned)];
        closing
            .into_iter()
            .chain(more.into_iter().flatten())
            .collect()
    }

    /// What became of several targets: how many of each, and which need looking at.
    pub(super) fn summarize(&self, verdicts: &[Verdict]) {
        let mut rows = Vec::new();
        for outcome in Outcome::ALL {
            let count = verdicts.iter().filter(|one| one.outcome == outcome).count();
            if count > 0 {
                rows.push(vec![format!("{count:>6}"), outcome.in_words().to_owned()]);
            }
        }
        let mut text = format!("{} targets\n{}", verdicts.len(), table(&rows));
        let fine = |one: &&Verdict| matches!(one.exit, Exit::Done | Exit::Differs);
        let rows = verdicts.iter().filter(|one| !fine(one)).map(|one| {
            let why = one.why.as_deref().unwrap_or_default();
            vec![
                format!("  {}", shown(&one.target)),
                one.outcome.in_words().to_owned(),
                shown(why),
            ]
        });
        text.push_str(&table(&rows.collect::<Vec<_>>()));
        self.session.ui.lines(text.trim_end());
    }
}

/// The changes of files as unified diffs; `place` is what comes before their names.
fn diff_in_words(place: &str, files: &[FilePlan], gate: Gate) -> String {
    let mut text = String::new();
    for file in files {
        for change in &file.texts {
            let name = format!("{place}{}:{}", file.file, change.path);
            let name = name.trim_end_matches(':');
            let (before, after) = (format!("a/{name}"), format!("b/{name}"));
            let texts = (&change.before, &change.after);
            text.push_str(&unified((&before, &after), texts, gate));
        }
    }
    text
}

/// Nothing was found to change, and that is not certain to be right.
fn not_understood(plan: &Plan) -> Failure {
    let lines = doubtful_in_words(plan.doubtful());
    let searched = plan.searched().join(", ");
    Failure::new(
        ErrorKind::Unsupported,
        format!("nothing was changed, but that may be wrong: {lines}; searched {searched}"),
    )
    .hint(BY_HAND)
}

/// Every device was to be given back, and some may still be passed through.
pub(super) fn left_over(object: &ChangeObject) -> Failure {
    let lines = doubtful_in_words(object.left);
    let text = format!("not every device may be given back: {lines}");
    let failure = Failure::new(ErrorKind::Unsupported, text).hint(BY_HAND);
    failure.exit_with(Exit::SomeFailed)
}

const BY_HAND: &str = "see the warnings; by hand, `bootbank store set` changes a row, `bootbank get` and `bootbank put` a file";

fn doubtful_in_words(count: usize) -> String {
    match count {
        1 => "1 entry may pass a device through, in a form bootbank cannot change".to_owned(),
        many => {
            format!("{many} entries may pass devices through, in a form bootbank cannot change")
        }
    }
}

/// What changes in each bank.
pub(super) fn plan_in_words(plan: &Plan, gate: Gate) -> String {
    let is_about_files = plan.files().next().is_some();
    let banks = plan.banks.iter();
    let banks = banks.map(|bank| bank_in_words(bank, is_about_files, gate));
    let state = plan.state.as_ref().map(|file| {
        let rows = rows(std::slice::from_ref(file), gate);
        format!("  state file\n{}", table(&rows))
    });
    banks.chain(state).collect()
}

/// How much a plan changes, in words.
pub(super) fn extent(plan: &Plan) -> String {
    let banks = plan
        .banks
        .iter()
        .filter(|bank| bank.leftovers > 0 || bank.files.iter().any(FilePlan::is_changed));
    let banks: Vec<String> = banks.map(|bank| bank.partition.to_string()).collect();
    let settings = match plan.change_count() {
        0 => "leftovers freed".to_owned(),
        1 => "1 setting".to_owned(),
        many => format!("{many} settings"),
    };
    match banks.len() {
        0 => settings,
        1 => format!("{settings} in bank {}", banks.concat()),
        _ => format!("{settings} in banks {}", banks.join(", ")),
    }
}

fn changed_banks(plan: &Plan, gate: Gate) -> Vec<ChangedBank> {
    let banks = plan.banks.iter().map(|bank| ChangedBank {
        partition: Some(bank.partition),
        in_place: bank.method == Method::InPlace,
        leftovers: bank.leftovers,
        changes: change_items(&bank.files, gate),
    });
    let state = plan.state.as_ref().map(|file| ChangedBank {
        partition: None,
        in_place: false,
        leftovers: 0,
        changes: change_items(std::slice::from_ref(file), gate),
    });
    banks.chain(state).collect()
}

fn change_items(files: &[FilePlan], gate: Gate) -> Vec<ChangeItem> {
    let text = |value: &Guarded| gate.text(value).into_owned();
    let changes = files.iter().flat_map(|file| {
        file.changes.iter().map(|change| ChangeItem {
            file: file.file.clone(),
            source: change.source.as_str(),
            key: change.key.clone(),
            addresses: change.typed_address().into_iter().collect(),
            from: change.from.as_ref().map(text),
            to: change.to.as_ref().map(text),
        })
    });
    changes.collect()
}

/// Where a change is made: `state.tgz:esx.conf`, `boot.cfg`.
fn place_of(file: &str, source: ChangeSource) -> String {
    match source {
        ChangeSource::BootCfg | ChangeSource::File => file.to_owned(),
        ChangeSource::EsxConf | ChangeSource::ConfigStore => {
            format!("{file}:{}", source.as_str())
        }
    }
}

/// A bank's changes as lines. A plan that is not about files frees leftovers only.
fn bank_in_words(bank: &BankPlan, is_about_files: bool, gate: Gate) -> String {
    let next = if bank.boots_next { ", boots next" } else { "" };
    let rows = rows(&bank.files, gate);
    let heading = format!("  bank on partition {}{next}", bank.partition);
    let leftovers = match bank.leftovers {
        0 => String::new(),
        1 => "    1 leftover cluster is freed\n".to_owned(),
        many => format!("    {many} leftover clusters are freed\n"),
    };
    let in_place = match bank.method {
        Method::SecondCopy => "",
        Method::InPlace => "    written over in place: there is no room for a second copy\n",
    };
    if is_about_files && bank.files.is_empty() && bank.leftovers == 0 {
        return format!("{heading}: holds no state that the host loads; left alone\n");
    }
    if rows.is_empty() && bank.leftovers == 0 {
        return format!("{heading}: nothing to change\n");
    }
    let table = table(&rows);
    let loaded = loaded_in_words(bank);
    format!("{heading}\n{table}{loaded}{leftovers}{in_place}")
}

/// The changes of files as the rows of a table.
fn rows(files: &[FilePlan], gate: Gate) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for file in files {
        for change in &file.changes {
            let value = |value: &Option<Guarded>| {
                let value = value.as_ref().map(|value| shown(&gate.text(value)));
                value.unwrap_or("(none)".to_owned())
            };
            rows.push(vec![
                format!("    {}", place_of(&file.file, change.source)),
                shown(&change.key),
                change.typed_address().unwrap_or_default(),
                change.alias.as_deref().map(shown).unwrap_or_default(),
                format!("{} -> {}", value(&change.from), value(&change.to)),
            ]);
        }
    }
    rows
}

/// Of several state files in one bank, the one the host loads.
fn loaded_in_words(bank: &BankPlan) -> String {
    let name = |file: &&FilePlan| file.file.clone();
    let states = bank.files.iter().filter(|file| file.form.is_some());
    let (listed, others): (Vec<_>, Vec<_>) = states.partition(|file| file.listed);
    match (listed.as_slice(), others.as_slice()) {
        ([listed], [other]) => format!(
            "    the host loads {}, which modules= lists; {} is changed as well\n",
            name(listed),
            name(other)
        ),
        ([], [other]) => format!(
            "    the host does not load {}: modules= does not list it\n",
            name(other)
        ),
        _ => String::new(),
    }
}

/// What overwriting files where they lie puts at risk; `None` where none is.
pub(super) fn in_place_in_words(plan: &Plan, target: &Path, undo: &Path) -> Option<String> {
    let banks: Vec<String> = plan
        .in_place()
        .map(|bank| bank.partition.to_string())
        .collect();
    (!banks.is_empty()).then(|| {
        let (noun, has) = match banks.len() {
            1 => ("partition", "has"),
            _ => ("partitions", "have"),
        };
        format!(
            "{noun} {} {has} no room for a second copy, so the old files are written over in place. If that is cut halfway, \
             the host does not boot until you run: {}",
            banks.join(", "),
            undo_line(undo, target)
        )
    })
}
