//! Which changes of a medium are undone, and which one is next.

use super::file;
use crate::cli::change::KeptUndo;
use crate::cli::report::Failure;
use crate::cli::session::Session;
use crate::cli::terminal::{quoted_path, shown};
use crate::commit::{self, AnyUndo, NextUndo, Standing};
use crate::medium::ReadAt;
use crate::stick::standing;
use std::path::Path;

/// What a change is to be undone on.
pub enum Now<'n> {
    /// A medium.
    Medium(&'n dyn ReadAt),
    /// The bytes of a state file.
    State(&'n [u8]),
}

/// The change to undo next, of those of one medium or state file, newest first.
///
/// # Errors
/// Which one that is cannot be told.
pub fn next_to_undo<'k>(
    session: &Session,
    kept: &[&'k KeptUndo],
    now: &Now<'_>,
    stick: &Path,
) -> Result<Option<&'k KeptUndo>, Failure> {
    let look = |file: &&KeptUndo| look(session, file, now).unwrap_or_default();
    let changes: Vec<Standing> = kept.iter().map(look).collect();
    match commit::next_to_undo(&changes) {
        NextUndo::None => Ok(None),
        NextUndo::Change(index) => Ok(kept.get(index).copied()),
        NextUndo::Unclear(index) => {
            let name = quoted_path(stick);
            let file = kept
                .get(index)
                .map_or(String::new(), |it| quoted_path(&it.path));
            Err(Failure::refused(format!(
                "which change of {} is the last that stands cannot be told, because one took back what another had made; \
                 nothing was written",
                shown(&stick.display().to_string())
            ))
            .hint(format!(
                "`bootbank undo {file} {name}` undoes the one it may be; `bootbank undo --list {name}` shows them all"
            )))
        }
    }
}

/// Whether a medium or a state file is as it was before a change. What cannot be told is no.
pub fn is_undone(session: &Session, file: &KeptUndo, now: &Now<'_>) -> bool {
    look(session, file, now).is_some_and(|standing| standing.is_undone)
}

/// How a target looks beside a change; `None` where its undo file cannot be read, or is not for such a
/// target.
fn look(session: &Session, file: &KeptUndo, now: &Now<'_>) -> Option<Standing> {
    let bytes = file::read(&file.path).ok()?;
    match (file::parse(&file.path, &bytes).ok()?, now) {
        (AnyUndo::Medium(undo), Now::Medium(medium)) => {
            let settings = session.settings(Some(undo.set.sector_size()));
            Some(standing(*medium, &undo, settings))
        }
        (AnyUndo::File(undo), Now::State(now)) => {
            let is_undone = undo.plan(now, false).is_ok_and(|old| old.is_none());
            let is_there = commit::digest(now) == undo.new;
            Some(Standing {
                is_undone,
                is_undone_exactly: is_undone,
                is_there,
                may_be_there: is_there,
                trace: undo.trace(),
            })
        }
        _ => None,
    }
}
