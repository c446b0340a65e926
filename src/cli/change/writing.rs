//! While a medium is written: who looks on is told so, from the first write to the last sync.

use crate::cli::session::Session;
use crate::commit::{self, CommitError, Committed, WriteSet};
use crate::medium::{TargetKind, WriteAt};

/// Carries out the steps on `medium`, and says meanwhile what is being done. `kind` is that of a
/// target that is changed itself; `None` of a copy.
///
/// # Errors
/// As [`commit::run`].
pub fn write(
    session: &Session,
    target: &str,
    kind: Option<TargetKind>,
    medium: &dyn WriteAt,
    set: &WriteSet,
) -> Result<Committed, CommitError> {
    let ui = &session.ui;
    let (what, steps) = match kind {
        Some(TargetKind::Device) => ("writing, do not remove it", set.steps().len()),
        _ => ("writing", set.steps().len()),
    };
    if kind == Some(TargetKind::Device) && !ui.shows_progress() && !ui.is_brief() && steps > 0 {
        ui.say(&format!("{target}: {what}"));
    }
    let interrupted = || session.interrupt.requested();
    let result = commit::run_watched(medium, set, &interrupted, &|index, step| {
        ui.doing(&format!(
            "{target}: {what}: step {} of {steps} ({}, partition {})",
            index + 1,
            step.phase.as_str(),
            step.partition
        ));
    });
    ui.done();
    result
}
