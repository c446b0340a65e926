//! What requests make of one opened state: which members get which new content.

use super::configuration::{Configuration, SCHEMA_STORE, inside};
use super::edited::{Edited, Unmatched};
use super::error::EditError;
use super::request::{Context, Edit, StoreEdit};
use super::{files, owners, seal};
use crate::ownership::SchemaStore;
use crate::state::State;

/// What `edits` come to in `state`, one after the other; those of `boot.cfg` are passed over.
///
/// # Errors
/// [`EditError`]: a state that cannot be opened to the bottom, or an edit it cannot take.
pub fn apply(state: &State, edits: &[Edit], context: Context) -> Result<Edited, EditError> {
    let before = Configuration::open(state)?;
    let mut edited = Edited {
        searched: before.searched(),
        warnings: before.warnings()?,
        doubtful: before.doubtful(),
        ..Edited::default()
    };
    let mut draft = Draft {
        state,
        context,
        after: before.clone(),
        files: files::Files::default(),
        schema: schema_for(state, edits)?,
    };
    for edit in edits {
        draft.make(edit, &mut edited)?;
    }
    owners::members(&before, &draft.after, &mut edited);
    draft.files.note(state, context, &mut edited)?;
    Ok(edited)
}

/// A state's configuration while edits are made to it.
struct Draft<'s> {
    state: &'s State,
    context: Context,
    after: Configuration,
    files: files::Files,
    schema: Option<SchemaStore>,
}

impl Draft<'_> {
    fn make(&mut self, edit: &Edit, edited: &mut Edited) -> Result<(), EditError> {
        match edit {
            Edit::Owner(owners) => owners.make(&mut self.after, self.context, edited),
            Edit::Conf(conf) => conf.make(&mut self.after, edited),
            Edit::Store(store) => {
                store.make(&mut self.after, self.schema.as_ref(), self.context, edited)
            }
            Edit::File(file) => file.make(self.state, &mut self.after, &mut self.files, edited),
            Edit::Kernelopt(_) | Edit::BootCfg(_) => Ok(()),
            Edit::Seal(operations) => {
                for operation in operations {
                    let parts = operation.edits(self.state, &self.after, edited)?;
                    for part in &parts {
                        self.make(part, edited)?;
                    }
                }
                seal::left_alone(&self.after, edited);
                Ok(())
            }
        }
    }
}

/// The host's own description of its settings, where an edit needs it and the state has it.
fn schema_for(state: &State, edits: &[Edit]) -> Result<Option<SchemaStore>, EditError> {
    let sets_value =
        |edit: &Edit| matches!(edit, Edit::Store(StoreEdit::Set { .. }) | Edit::Seal(_));
    if !edits.iter().any(sets_value) {
        return Ok(None);
    }
    let Some(bytes) = state.content(SCHEMA_STORE)? else {
        return Ok(None);
    };
    let schema = SchemaStore::open(bytes).map_err(inside(SCHEMA_STORE))?;
    Ok(Some(schema))
}

/// Looks at what several states made of the same edits: what none of them holds is an error.
///
/// # Errors
/// [`EditError::Unmatched`], as the first state put it.
pub(crate) fn check_unmatched(unmatched: &[&[Unmatched]]) -> Result<(), EditError> {
    let Some((first, others)) = unmatched.split_first() else {
        return Ok(());
    };
    let nowhere = first.iter().find(|missing| {
        let missing_too = |list: &&[Unmatched]| list.iter().any(|other| other.is_same(missing));
        others.iter().all(missing_too)
    });
    match nowhere {
        Some(missing) => Err(missing.clone().into()),
        None => Ok(()),
    }
}
