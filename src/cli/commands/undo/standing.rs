//! Which changes of a medium are undone, and which one is next.

use super::file;
use crate::cli::change::KeptUndo;
use crate::cli::session::Session;
use crate::commit::{self, AnyUndo, Trace};
use crate::medium::ReadAt;
use crate::stick::plan_undo;

/// What a change is to be undone on.
pub enum Now<'n> {
    /// A medium.
    Medium(&'n dyn ReadAt),
    /// The bytes of a state file.
    State(&'n [u8]),
}

/// The change to undo next, of those of one medium or state file, newest first.
pub fn next_to_undo<'k>(
    session: &Session,
    kept: &[&'k KeptUndo],
    now: &Now<'_>,
) -> Option<&'k KeptUndo> {
    let look = |file: &&KeptUndo| look(session, file, now).unwrap_or_default();
    let changes: Vec<(bool, Trace)> = kept.iter().map(look).collect();
    let next = commit::next_to_undo(&changes)?;
    kept.get(next).copied()
}

/// Whether a medium or a state file is as it was before a change. What cannot be told is no.
pub fn is_undone(session: &Session, file: &KeptUndo, now: &Now<'_>) -> bool {
    look(session, file, now).is_some_and(|(is_undone, _)| is_undone)
}

/// Whether a change is undone, and what it replaced; `None` where its undo file cannot be read, or is
/// not for such a target.
fn look(session: &Session, file: &KeptUndo, now: &Now<'_>) -> Option<(bool, Trace)> {
    let bytes = file::read(&file.path).ok()?;
    match (file::parse(&file.path, &bytes).ok()?, now) {
        (AnyUndo::Medium(undo), Now::Medium(medium)) => {
            let settings = session.settings(Some(undo.set.sector_size()));
            let way = plan_undo(*medium, &undo, settings, false);
            Some((way.is_ok_and(|way| way.set.is_empty()), undo.trace()))
        }
        (AnyUndo::File(undo), Now::State(now)) => {
            let old = undo.plan(now, false);
            Some((old.is_ok_and(|old| old.is_none()), undo.trace()))
        }
        _ => None,
    }
}
