//! What of a change can still be seen on its medium: whether it is undone.

use super::put_back;
use crate::cli::change::{KeptUndo, Standing};
use crate::cli::session::Session;
use crate::commit::AnyUndo;
use crate::medium::ReadAt;
use crate::stick::plan_undo;

/// What of the change that an undo file is for can be seen on a medium.
pub fn on_medium(session: &Session, file: &KeptUndo, medium: &dyn ReadAt) -> Standing {
    let Some(AnyUndo::Medium(undo)) = undo_in(file) else {
        return Standing::Unclear;
    };
    let settings = session.settings(Some(undo.set.sector_size()));
    match plan_undo(medium, &undo, settings, false) {
        Ok(way) if way.set.is_empty() => Standing::Undone,
        Ok(_) => Standing::Stands,
        Err(_) => Standing::Unclear,
    }
}

/// The same of a state file that holds these bytes.
pub fn in_state_file(file: &KeptUndo, now: &[u8]) -> Standing {
    let Some(AnyUndo::File(undo)) = undo_in(file) else {
        return Standing::Unclear;
    };
    match undo.plan(now, false) {
        Ok(None) => Standing::Undone,
        Ok(Some(_)) => Standing::Stands,
        Err(_) => Standing::Unclear,
    }
}

fn undo_in(file: &KeptUndo) -> Option<AnyUndo> {
    let bytes = put_back::read(&file.path).ok()?;
    put_back::parse(&file.path, &bytes).ok()
}
