//! The question before the first write.

use super::keep::UndoFile;
use super::{One, show};
use crate::cli::report::Failure;
use crate::medium::{Target, TargetKind};
use crate::stick::Plan;

impl One<'_> {
    /// Asks before a change whose devices were not named one by one, and before any that
    /// overwrites files where they lie.
    pub(super) fn confirm(
        &self,
        target: &Target,
        plan: &Plan,
        undo: Option<&UndoFile>,
    ) -> Result<(), Failure> {
        let ui = &self.job.session.ui;
        let path = target.path().display();
        let danger = undo.and_then(|undo| show::in_place_in_words(plan, target, &undo.path));
        if self.job.way.yes || !(self.job.asks || danger.is_some()) {
            if let Some(danger) = &danger {
                ui.warn(danger);
            }
            return Ok(());
        }
        let answer = if self.job.way.no_input {
            None
        } else {
            let danger = danger.as_ref().map(|text| format!("{text}\n"));
            // What is asked about has gone to standard output, which may be a file.
            let about = match ui.shows_text() {
                true => String::new(),
                false => show::plan_in_words(plan),
            };
            let question = format!("{about}{}Change {path}?", danger.unwrap_or_default());
            ui.ask(&question, &|| self.job.session.interrupt.requested())
        };
        match answer {
            Some(true) => Ok(()),
            Some(false) => Err(Failure::refused("not confirmed; nothing was written")),
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
}
