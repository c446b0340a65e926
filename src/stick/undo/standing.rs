//! Whether a change stands on a medium.

use super::super::{Cause, Error, Settings};
use super::plan_undo;
use crate::commit::{ChangeState, IfDifferent, Undo, UndoError};
use crate::medium::ReadAt;

/// How `medium` looks beside the change that `undo` takes back.
pub fn standing(medium: &dyn ReadAt, undo: &Undo, settings: &Settings<'_>) -> ChangeState {
    let way = plan_undo(medium, undo, settings, IfDifferent::Refuse);
    let is_undone = way.as_ref().is_ok_and(|way| way.set.is_empty());
    let exactly = undo.plan(medium, IfDifferent::Refuse);
    ChangeState {
        is_undone,
        is_undone_exactly: exactly.as_ref().is_ok_and(|set| set.is_empty()),
        is_mixed: exactly.is_ok() && !undo.may_be_cut(medium),
        is_there: undo.is_there(medium),
        may_be_there: match &way {
            Ok(_) => !is_undone,
            Err(error) => !tells_that_it_is_not_there(error),
        },
        trace: undo.trace(medium),
        ..ChangeState::default()
    }
}

/// Whether no undo is possible because the files are not as the change left them. Any other reason says
/// nothing about that.
fn tells_that_it_is_not_there(error: &Error) -> bool {
    let why = match &error.cause {
        Cause::ChangedSince { files, .. } => &files.cause,
        cause => cause,
    };
    matches!(
        why,
        Cause::Undo(UndoError::FileChanged | UndoError::NoFiles | UndoError::OtherSize { .. })
    )
}
