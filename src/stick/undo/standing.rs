//! Whether a change stands on a medium.

use super::super::{Cause, Error, Settings};
use super::{UndoPlan, plan_undo};
use crate::commit::{AnyUndo, ChangeState, FilesNow, IfDifferent, Undo, UndoError};
use crate::medium::ReadAt;
use std::fmt;

/// What a change is to be undone on.
#[derive(Clone, Copy)]
pub enum Now<'n> {
    /// A medium.
    Medium(&'n dyn ReadAt),
    /// A state file, by what is in it.
    State(&'n [u8]),
}

impl fmt::Debug for Now<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Now::Medium(_) => "Medium",
            Now::State(_) => "State",
        })
    }
}

/// How a target looks beside the change that `undo` takes back; `None` where that is for a target of the
/// other kind. The `settings` are those that a medium is opened with: of them the undo file knows the sector size.
pub fn standing(undo: &AnyUndo, now: &Now<'_>, settings: &Settings<'_>) -> Option<ChangeState> {
    match (undo, now) {
        (AnyUndo::Medium(undo), Now::Medium(medium)) => {
            let settings = Settings {
                sector_size: Some(undo.set.sector_size()),
                ..settings.clone()
            };
            Some(of_medium(*medium, undo, &settings))
        }
        (AnyUndo::File(undo), Now::State(now)) => Some(undo.standing(now)),
        (AnyUndo::Medium(_), Now::State(_)) | (AnyUndo::File(_), Now::Medium(_)) => None,
    }
}

fn of_medium(medium: &dyn ReadAt, undo: &Undo, settings: &Settings<'_>) -> ChangeState {
    ChangeState {
        sectors: undo.sectors_now(medium),
        files: files_now(plan_undo(medium, undo, settings, IfDifferent::Refuse)),
        trace: undo.trace(medium),
        ..ChangeState::default()
    }
}

fn files_now(way_back: Result<UndoPlan, Error>) -> FilesNow {
    match way_back {
        Ok(way) if way.set.is_empty() => FilesNow::Before,
        Err(error) if tells_that_it_is_not_there(&error) => FilesNow::Other,
        Ok(_) | Err(_) => FilesNow::After,
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
