//! The question before the first write.

use super::keep::UndoFile;
use super::{One, show};
use crate::cli::report::Failure;
use crate::cli::terminal::{name, shown};
use crate::edit::Harm;
use crate::medium::{Target, TargetKind};
use crate::stick::Plan;

impl One<'_> {
    /// Asks before a change whose devices were not named one by one, before any that overwrites
    /// files where they lie, and before one that costs the host something.
    pub(super) fn confirm(
        &self,
        target: &Target,
        plan: &Plan,
        undo: Option<&UndoFile>,
    ) -> Result<(), Failure> {
        let ui = &self.job.session.ui;
        let path = name(target.path());
        let danger = undo.and_then(|undo| show::in_place_in_words(plan, target, &undo.path));
        let harm = harm_in_words(plan);
        if self.job.way.yes || !(self.job.asks || danger.is_some() || harm.is_some()) {
            if let Some(danger) = &danger {
                ui.warn(danger);
            }
            return Ok(());
        }
        let said = [&danger, &harm].into_iter().flatten();
        let said: String = said.map(|text| format!("{text}\n")).collect();
        match self.answer(plan, &format!("{said}Change {path}?")) {
            Some(true) => Ok(()),
            Some(false) => Err(not_confirmed()),
            None if harm.is_some() => Err(unasked(&harm)),
            None if danger.is_some() => Err(Failure::usage(format!(
                "{path} would be changed in place, but bootbank cannot ask first; nothing was written"
            ))
            .hint("a cut halfway leaves the host unbootable until `bootbank undo`; -y goes ahead without asking")),
            None if target.kind() == TargetKind::Image => Ok(()),
            None => Err(Failure::usage(format!(
                "{path} is a block device, but bootbank cannot ask before changing it; nothing was written"
            ))
            .hint("-y goes ahead without asking; bootbank does not ask if you name what to change (fix -d ADDR, seal --only NAME)")),
        }
    }

    /// Asks before a copy is made whose change costs the host something; nothing else about a copy
    /// needs a question.
    pub(super) fn confirm_copy(&self, plan: &Plan, copy: &str) -> Result<(), Failure> {
        let harm = harm_in_words(plan);
        let Some(text) = harm.as_ref().filter(|_| !self.job.way.yes) else {
            return Ok(());
        };
        match self.answer(plan, &format!("{text}\nWrite {}?", shown(copy))) {
            Some(true) => Ok(()),
            Some(false) => Err(not_confirmed()),
            None => Err(unasked(&harm)),
        }
    }

    /// The answer to a question about a plan; `None` where nobody can be asked.
    fn answer(&self, plan: &Plan, question: &str) -> Option<bool> {
        if self.job.way.no_input {
            return None;
        }
        let ui = &self.job.session.ui;
        // What is asked about has gone to standard output, which may be a file.
        let about = match ui.shows_text() {
            true => String::new(),
            false => show::plan_in_words(plan, ui.gate()),
        };
        let interrupted = || self.job.session.interrupt.requested();
        ui.ask(&format!("{about}{question}"), &interrupted)
    }
}

fn not_confirmed() -> Failure {
    Failure::refused("not confirmed; nothing was written")
}

fn unasked(harm: &Option<String>) -> Failure {
    let harm = harm.as_deref().unwrap_or_default();
    Failure::usage(format!(
        "{harm}; bootbank cannot ask first, so nothing was written"
    ))
    .hint("if you mean it, -y goes ahead without asking")
}

/// What a change costs the host; `None` where it costs nothing.
fn harm_in_words(plan: &Plan) -> Option<String> {
    let files = plan.banks.iter().flat_map(|bank| &bank.files);
    let changes = files.flat_map(|file| &file.changes);
    let adapters = changes.filter(|change| change.harm == Some(Harm::StorageAdapter));
    let mut names: Vec<String> = adapters
        .map(|change| {
            let alias = change.alias.clone();
            alias.unwrap_or_else(|| change.key.clone())
        })
        .collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        return None;
    }
    let (is, it) = match names.len() {
        1 => ("is a storage adapter", "it"),
        _ => ("are storage adapters", "them"),
    };
    Some(format!(
        "{} {is}: passing {it} through takes its disks from the host, and its boot medium if that is one of them",
        shown(&names.join(", "))
    ))
}
