//! The way every writing command goes: plan, show, ask, keep the way back, commit.

use super::diff;
use super::exit::Exit;
use super::json::{self, Outcome};
use super::options::{Change, Mode};
use super::output;
use super::report::Failure;
use super::session::{Session, distinct};
use super::ui::shown;
use super::undo_place;
use super::undo_store;
use crate::commit::{self, CommitError, Committed, Undo};
use crate::edit::{ChangeSource, Context, Edit};
use crate::fat::Method;
use crate::medium::{
    CachedReads, Content, MediumError, Meter, OutputFile, ReadAt, Target, TargetKind, WriteAt,
};
use crate::pci::PciAddress;
use crate::stick::{BankChoice, Plan, Request, Stick};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// What is to be done to each target.
pub enum Work {
    /// Change the configuration.
    Edits(Vec<Edit>),
    /// Put this `state.tgz` in place of the banks' own.
    Import(Vec<u8>),
    /// Free what interrupted runs left allocated to nothing.
    Reclaim,
}

/// A writing command: what to do, and how.
pub struct Job<'s> {
    /// The run it is part of.
    pub session: &'s Session,
    /// What to do.
    pub work: Work,
    /// The options.
    pub change: Change,
    /// Whether to ask before the first write to each target: what is done was not named one by
    /// one.
    pub asks: bool,
    /// Said after a change: what it means and what to do next.
    pub explain: fn(&Plan) -> Option<String>,
}

/// An undo file about to be written.
struct UndoFile {
    path: PathBuf,
    content: Vec<u8>,
}

/// What became of one target.
struct Report {
    exit: Exit,
    object: json::Change,
}

impl Job<'_> {
    /// Treats the targets one after the other; a failure of one does not stop the others.
    pub fn run(&self, targets: &[PathBuf]) -> Exit {
        let targets = distinct(targets, &self.session.ui);
        let mut exits = Vec::new();
        for target in &targets {
            let report = if self.session.interrupt.requested() {
                self.not_started(target)
            } else {
                self.treat(target, targets.len() > 1)
            };
            self.session.ui.json(&report.object);
            exits.push(report.exit);
        }
        if targets.len() > 1 {
            self.summarize(&exits);
        }
        Exit::of_all(&exits)
    }

    fn treat(&self, target: &Path, several: bool) -> Report {
        let mut object = empty(target);
        let result = match &self.change.mode {
            Mode::Output { path, force } => output::place(path, target, several)
                .and_then(|path| self.copy(target, &path, *force, &mut object)),
            Mode::Commit => self.change_in_place(target, &mut object),
            Mode::DryRun | Mode::Check => self.preview(target, &mut object),
        };
        let exit = result.unwrap_or_else(|failure| {
            failure.say(&self.session.ui, &object.target);
            if object.outcome != Outcome::Partial {
                object.outcome = Outcome::Failed;
            }
            object.error = Some(failure.object());
            failure.exit()
        });
        Report { exit, object }
    }

    fn not_started(&self, target: &Path) -> Report {
        let mut object = empty(target);
        object.outcome = Outcome::NotStarted;
        self.session
            .ui
            .say(&format!("{}: not started", object.target));
        Report {
            exit: Exit::Interrupted,
            object,
        }
    }

    /// `--dry-run` and `--check`: the medium is opened to be read.
    fn preview(&self, path: &Path, object: &mut json::Change) -> Result<Exit, Failure> {
        let target = Target::open_read(path, &self.session.host)?;
        let meter = Meter::new(&target);
        let medium = CachedReads::new(&meter);
        let stick = self
            .session
            .open_stick(&medium, target.logical_sector_size())?;
        let plan = self.plan(&stick)?;
        self.show(&plan, object);
        object.bytes_read = meter.bytes_read();
        if plan.is_empty() {
            return Ok(Exit::Done);
        }
        object.outcome = Outcome::WouldChange;
        self.show_steps(&plan);
        self.session.ui.say(&format!(
            "{}: nothing was written; {} bytes would be",
            object.target,
            plan.set.bytes_to_write()
        ));
        Ok(match self.change.mode {
            Mode::Check => Exit::Differs,
            _ => Exit::Done,
        })
    }

    /// The change itself, on the target.
    fn change_in_place(&self, path: &Path, object: &mut json::Change) -> Result<Exit, Failure> {
        let host = &self.session.host;
        let target = Target::open_write(path, host).map_err(|error| {
            let failure = Failure::from(error);
            undo_place::of_unclaimed(failure, &self.change.undo, path, host)
        })?;
        let meter = Meter::new(&target);
        let medium = CachedReads::new(&meter);
        let stick = self
            .session
            .open_stick(&medium, target.logical_sector_size())?;
        let plan = self.plan(&stick)?;
        self.show(&plan, object);
        if plan.is_empty() {
            object.bytes_read = meter.bytes_read();
            return Ok(Exit::Done);
        }
        object.outcome = Outcome::WouldChange;
        let undo = self.prepare_undo(&plan, &stick, &target)?;
        self.confirm(&target, &plan, undo.as_ref())?;
        let working = self.session.interrupt.working();
        if let Some(undo) = &undo {
            undo_store::write(&undo.path, &undo.content)?;
            object.undo = Some(undo.path.display().to_string());
        }
        let result = self.commit(&meter, &plan, object);
        object.bytes_read = meter.bytes_read();
        object.bytes_written = meter.bytes_written();
        drop(working);
        let result = result.map_err(|failure| name_undo(failure, &plan, object));
        if result.is_ok() {
            self.conclude(&plan, object);
        }
        result
    }

    fn commit(
        &self,
        medium: &dyn WriteAt,
        plan: &Plan,
        object: &mut json::Change,
    ) -> Result<Exit, Failure> {
        let interrupted = || self.session.interrupt.requested();
        match commit::run(medium, &plan.set, &interrupted) {
            Ok(Committed { unfinished, .. }) => {
                object.outcome = Outcome::Changed;
                if let Some(failure) = unfinished {
                    let text = format!(
                        "the change is in place, but the old clusters could not all be freed: {failure}; `bootbank reclaim` frees them"
                    );
                    self.warn(object, text);
                }
                Ok(Exit::Done)
            }
            Err(error) => {
                object.outcome = outcome_of(&error);
                Err(crate::stick::Error::from(error).into())
            }
        }
    }

    /// `--output`: a copy of the target with the change in it.
    fn copy(
        &self,
        source: &Path,
        path: &Path,
        force: bool,
        object: &mut json::Change,
    ) -> Result<Exit, Failure> {
        let content = output::content_of(source).unwrap_or(Content::Raw);
        if matches!(content, Content::Gzip | Content::Zstd) {
            let mut reader = output::unpacked(source, content)?;
            let working = self.session.interrupt.working();
            let mut copy = OutputFile::create(path, force, 0o666)?;
            let stop = &mut |_| self.proceed();
            copy.fill_from_reader(&mut reader, stop)
                .map_err(|error| interrupted_copy(error, source))?;
            let explained = self.patch(&copy, None, object)?;
            copy.publish()?;
            drop(working);
            self.published(path, explained, object);
            return Ok(Exit::Done);
        }
        let target = Target::open_read(source, &self.session.host)?;
        // What is wrong with the source is found before a byte of it is copied.
        self.preview_copy(&target)?;
        let working = self.session.interrupt.working();
        let mut copy = OutputFile::create(path, force, 0o666)?;
        copy.fill_from(&target, &mut |_| self.proceed())
            .map_err(|error| interrupted_copy(error, source))?;
        let explained = self.patch(&copy, target.logical_sector_size(), object)?;
        copy.publish()?;
        drop(working);
        self.published(path, explained, object);
        Ok(Exit::Done)
    }

    fn preview_copy(&self, target: &Target) -> Result<(), Failure> {
        let medium = CachedReads::new(target);
        let stick = self
            .session
            .open_stick(&medium, target.logical_sector_size())?;
        self.plan(&stick).map(drop)
    }

    /// Makes the change in a copy nobody sees yet; what is to be said of it.
    fn patch(
        &self,
        copy: &OutputFile,
        sector_size: Option<u32>,
        object: &mut json::Change,
    ) -> Result<Option<String>, Failure> {
        let meter = Meter::new(copy);
        let medium = CachedReads::new(&meter);
        let stick = self.session.open_stick(&medium, sector_size)?;
        let plan = self.plan(&stick)?;
        self.show(&plan, object);
        if !plan.is_empty() {
            self.commit(&meter, &plan, object)?;
        }
        object.bytes_read = meter.bytes_read();
        object.bytes_written = meter.bytes_written();
        let changed = !plan.is_empty();
        Ok(changed.then(|| (self.explain)(&plan)).flatten())
    }

    fn published(&self, path: &Path, explained: Option<String>, object: &mut json::Change) {
        object.output = Some(path.display().to_string());
        let done = match object.outcome {
            Outcome::Changed => "written with the change",
            _ => "written; there was nothing to change",
        };
        self.session.ui.say(&format!("{}: {done}", path.display()));
        if let Some(text) = explained {
            self.session.ui.say(&text);
        }
    }

    fn proceed(&self) -> ControlFlow<()> {
        if self.session.interrupt.requested() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn plan(&self, stick: &Stick<'_, '_>) -> Result<Plan, Failure> {
        let chosen = self.session.common.bank;
        self.plan_for(stick, chosen).map_err(|error| {
            let other = error
                .partition
                .filter(|_| chosen == BankChoice::All)
                .and_then(|partition| self.treatable_without(stick, partition));
            let failure = Failure::from(error);
            match other {
                None => failure,
                Some(other) => failure.and_hint(&format!(
                    "--bank {other} limits the command to the bank on partition {other}"
                )),
            }
        })
    }

    fn plan_for(
        &self,
        stick: &Stick<'_, '_>,
        banks: BankChoice,
    ) -> Result<Plan, crate::stick::Error> {
        let request = Request {
            banks,
            method: self.change.method,
            context: Context {
                time: super::source_date_epoch(),
            },
        };
        match &self.work {
            Work::Edits(edits) => stick.plan(edits, request),
            Work::Import(state) => stick.plan_import(state, request),
            Work::Reclaim => stick.plan_reclaim(request),
        }
    }

    /// A bank besides that on `partition` which could be treated alone.
    fn treatable_without(&self, stick: &Stick<'_, '_>, partition: u32) -> Option<u32> {
        let mut others = stick.slots().iter().map(|slot| slot.partition);
        others.find(|other| {
            *other != partition && self.plan_for(stick, BankChoice::Partition(*other)).is_ok()
        })
    }

    /// The undo file, if one is wanted, and its place, found fit for it. Writes nothing.
    fn prepare_undo(
        &self,
        plan: &Plan,
        stick: &Stick<'_, '_>,
        target: &Target,
    ) -> Result<Option<UndoFile>, Failure> {
        let undo = Undo {
            set: plan.set.clone(),
            medium_size: target.size(),
            about: about(plan, stick, target),
        };
        let content = undo.to_bytes().map_err(crate::stick::Error::from)?;
        let Some(path) = undo_store::choose(&self.change.undo, &content)? else {
            return Ok(None);
        };
        let in_memory = undo_place::check(&path, plan, target, &self.session.host)?;
        if in_memory {
            self.session.ui.warn(&format!(
                "{} is on a file system in memory: the undo file is gone after a reboot; keep a copy elsewhere",
                path.display()
            ));
        }
        Ok(Some(UndoFile { path, content }))
    }

    /// Asks before a change whose devices were not named one by one, and before any that
    /// overwrites files where they lie.
    fn confirm(
        &self,
        target: &Target,
        plan: &Plan,
        undo: Option<&UndoFile>,
    ) -> Result<(), Failure> {
        let ui = &self.session.ui;
        let path = target.path().display();
        let danger = undo.and_then(|undo| in_place_in_words(plan, target, &undo.path));
        if self.change.yes || !(self.asks || danger.is_some()) {
            if let Some(danger) = &danger {
                ui.warn(danger);
            }
            return Ok(());
        }
        let answer = if self.change.no_input {
            None
        } else {
            let danger = danger.as_ref().map(|text| format!("{text}\n"));
            ui.ask(&format!("{}Change {path}?", danger.unwrap_or_default()))
        };
        match answer {
            Some(true) => Ok(()),
            Some(false) => Err(Failure::refused("not confirmed; nothing was written")),
            None if danger.is_some() => Err(Failure::usage(format!(
                "{path} would be written over in place, and there is no terminal to ask on; nothing was written"
            ))
            .hint("a cut in the middle leaves the host unbootable until `bootbank undo`; -y goes ahead without asking")),
            None if target.kind() == TargetKind::Image => Ok(()),
            None => Err(Failure::usage(format!(
                "{path} is a block device and there is no terminal to ask on; nothing was written"
            ))
            .hint("-y goes ahead without asking; -d ADDR names the devices")),
        }
    }

    /// Shows what would change, and notes it in the object.
    fn show(&self, plan: &Plan, object: &mut json::Change) {
        let ui = &self.session.ui;
        object.searched = plan.searched();
        object.banks = plan.banks.iter().map(changed_bank).collect();
        for warning in &plan.warnings {
            self.warn(object, warning.clone());
        }
        if plan.is_empty() {
            ui.text(&format!(
                "{}: {}\n",
                object.target,
                self.nothing_to_do(plan)
            ));
            return;
        }
        let mut text = format!("{}\n", object.target);
        for bank in &plan.banks {
            text.push_str(&bank_in_words(bank));
        }
        ui.text(&text);
        if self.change.diff {
            for bank in &plan.banks {
                for file in &bank.files {
                    for change in &file.texts {
                        let name = format!("bank{}:{}:{}", bank.partition, file.file, change.path);
                        let name = name.trim_end_matches(':');
                        let (before, after) = (format!("a/{name}"), format!("b/{name}"));
                        ui.text(&diff::unified(
                            &before,
                            &after,
                            &change.before,
                            &change.after,
                        ));
                    }
                }
            }
        }
    }

    fn nothing_to_do(&self, plan: &Plan) -> String {
        match self.work {
            Work::Reclaim => "no leftovers".to_owned(),
            Work::Edits(_) | Work::Import(_) => {
                let searched = plan.searched().join(", ");
                match plan.doubtful() {
                    0 => format!("nothing to change; looked into {searched}"),
                    1 => format!(
                        "nothing changed, but this is not certain to be right: 1 line looks like a passed-through device \
                         and is not of the form that can be changed, see the warning; looked into {searched}"
                    ),
                    many => format!(
                        "nothing changed, but this is not certain to be right: {many} lines look like passed-through devices \
                         and are not of the form that can be changed, see the warnings; looked into {searched}"
                    ),
                }
            }
        }
    }

    /// `-v`: the steps of the plan.
    fn show_steps(&self, plan: &Plan) {
        let ui = &self.session.ui;
        for step in plan.set.steps() {
            let first = step.sectors.keys().next().copied().unwrap_or_default();
            ui.detail(&format!(
                "  partition {}: {} ({} sectors from {first}): {}",
                step.partition,
                step.phase.as_str(),
                step.sectors.len(),
                step.why
            ));
        }
    }

    /// What was done, where the way back is, and what comes next.
    fn conclude(&self, plan: &Plan, object: &json::Change) {
        let ui = &self.session.ui;
        let undo = match &object.undo {
            Some(undo) => format!("; the way back: bootbank undo {undo} {}", object.target),
            None => String::new(),
        };
        ui.say(&format!("{}: changed{undo}", object.target));
        if let Some(text) = (self.explain)(plan) {
            ui.say(&text);
        }
    }

    fn warn(&self, object: &mut json::Change, text: String) {
        self.session
            .ui
            .warn(&format!("{}: {}", object.target, shown(&text)));
        object.warnings.push(text);
    }

    fn summarize(&self, exits: &[Exit]) {
        let fine = exits
            .iter()
            .filter(|exit| matches!(exit, Exit::Done | Exit::Differs));
        let fine = fine.count();
        let failed = exits.len() - fine;
        self.session.ui.say(&format!(
            "{} targets: {fine} done, {failed} failed",
            exits.len()
        ));
    }
}

pub(super) fn empty(target: &Path) -> json::Change {
    json::Change {
        schema: json::CHANGE,
        target: target.display().to_string(),
        outcome: Outcome::Unchanged,
        searched: Vec::new(),
        banks: Vec::new(),
        undo: None,
        bytes_read: 0,
        bytes_written: 0,
        output: None,
        warnings: Vec::new(),
        error: None,
    }
}

/// Whether some banks are new and others old.
pub(super) fn outcome_of(error: &CommitError) -> Outcome {
    let CommitError::Failed(failure) = error else {
        return Outcome::Failed;
    };
    let held: Vec<_> = failure.holds.iter().map(|(_, holds)| *holds).collect();
    if held.iter().all(|holds| *holds == commit::Holds::Old) {
        Outcome::Failed
    } else {
        Outcome::Partial
    }
}

/// What overwriting files where they lie puts at risk; `None` where none is.
fn in_place_in_words(plan: &Plan, target: &Target, undo: &Path) -> Option<String> {
    let banks: Vec<String> = plan
        .in_place()
        .map(|bank| bank.partition.to_string())
        .collect();
    (!banks.is_empty()).then(|| {
        format!(
            "partition {} has no room for a second copy, so the old files are written over where they lie. If that is cut in the middle, \
             the host does not boot until this is run: bootbank undo {} {}",
            banks.join(", "),
            undo.display(),
            target.path().display()
        )
    })
}

/// A failure after the undo file was written names it.
fn name_undo(failure: Failure, plan: &Plan, object: &json::Change) -> Failure {
    let in_place = plan.in_place().next().is_some();
    match (&object.undo, failure.exit()) {
        (Some(undo), Exit::Io) if in_place && object.outcome == Outcome::Partial => failure
            .and_hint(&format!(
                "a bank that was being written over does not boot until the old content is back: bootbank undo {undo} {}",
                object.target
            )),
        (Some(undo), Exit::Io) => failure.and_hint(&format!(
            "to go back: bootbank undo {undo} {}; to go on: run the command again",
            object.target
        )),
        _ => failure,
    }
}

fn interrupted_copy(error: MediumError, source: &Path) -> Failure {
    match error {
        MediumError::Interrupted { .. } => {
            Failure::refused("interrupted; the copy was removed").exit_with(Exit::Interrupted)
        }
        other => Failure::from(other).path(source),
    }
}

fn about(plan: &Plan, stick: &Stick<'_, '_>, target: &Target) -> BTreeMap<String, String> {
    let mut about = BTreeMap::new();
    let path = std::path::absolute(target.path()).unwrap_or_else(|_| target.path().to_owned());
    about.insert("target".to_owned(), path.display().to_string());
    about.insert("program".to_owned(), super::PROGRAM.to_owned());
    if let Some(serial) = target.serial() {
        about.insert("serial".to_owned(), serial.to_owned());
    }
    for slot in stick.slots() {
        if let Ok(bank) = &slot.bank {
            about.insert(format!("bank{}", slot.partition), bank.uuid().to_string());
        }
    }
    let count = plan.change_count();
    about.insert("changes".to_owned(), count.to_string());
    about
}

fn changed_bank(bank: &crate::stick::BankPlan) -> json::ChangedBank {
    let changes = bank.files.iter().flat_map(|file| {
        file.changes.iter().map(|change| json::ChangeItem {
            file: file.file.clone(),
            source: change.source.as_str(),
            key: change.key.clone(),
            addresses: change.addresses.iter().map(PciAddress::to_string).collect(),
            from: change.from.clone(),
            to: change.to.clone(),
        })
    });
    json::ChangedBank {
        partition: bank.partition,
        in_place: bank.method == Method::InPlace,
        changes: changes.collect(),
    }
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

/// A bank's changes as lines.
fn bank_in_words(bank: &crate::stick::BankPlan) -> String {
    let next = if bank.boots_next { ", boots next" } else { "" };
    let mut rows = Vec::new();
    for file in &bank.files {
        for change in &file.changes {
            let addresses: Vec<String> = change.addresses.iter().map(ToString::to_string).collect();
            let value = |value: &Option<String>| shown(value.as_deref().unwrap_or("(none)"));
            rows.push(vec![
                format!("    {}", place_of(&file.file, change.source)),
                shown(&change.key),
                addresses.join(" or "),
                change.alias.clone().unwrap_or_default(),
                format!("{} -> {}", value(&change.from), value(&change.to)),
            ]);
        }
    }
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
    if bank.files.is_empty() && bank.leftovers == 0 {
        return format!("{heading}: holds no state, left alone\n");
    }
    if rows.is_empty() && bank.leftovers == 0 {
        return format!("{heading}: nothing to change\n");
    }
    let table = super::ui::table(&rows);
    let loaded = loaded_in_words(bank);
    format!("{heading}\n{table}{loaded}{leftovers}{in_place}")
}

/// Of several state files in one bank, the one the host loads.
fn loaded_in_words(bank: &crate::stick::BankPlan) -> String {
    let name = |file: &&crate::stick::FilePlan| file.file.clone();
    let states = bank.files.iter().filter(|file| file.form.is_some());
    let (listed, others): (Vec<_>, Vec<_>) = states.partition(|file| file.listed);
    match (listed.as_slice(), others.as_slice()) {
        ([listed], [other]) => format!(
            "    modules= names {}: that is the one the host loads; {} is kept in step with it\n",
            name(listed),
            name(other)
        ),
        ([], [other]) => format!(
            "    modules= does not name {}: the host does not load it\n",
            name(other)
        ),
        _ => String::new(),
    }
}
