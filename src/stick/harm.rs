//! What the host loses where it starts with another state, or with another bank, than before.

use super::{Error, Plan, Slot, StateFile, Stick, Warning, WarningCause};
use crate::edit::{Configuration, EditError, Edited, note_harm};
use crate::state::State;
use std::sync::Arc;

impl Stick<'_, '_> {
    /// Notes what it costs the host that a file, where it is the one that the host starts with, holds
    /// another state than before. Neither need be one that can be opened: that nothing can be known
    /// then is a warning, which is given back, and keeps no state from a bank whose own is damaged.
    pub(super) fn note_harm(
        &self,
        slot: &Slot<'_>,
        name: &str,
        content: &[u8],
        edited: &mut Edited,
    ) -> Option<Warning> {
        let is_loaded = |loaded: &str| loaded.eq_ignore_ascii_case(name);
        // A bank that lacks the file does not start: there is nothing to be lost.
        let own = slot.state_called(name)?;
        if !slot.name_of_state().is_ok_and(is_loaded) {
            return None;
        }
        let new = self.state_of(slot, name, content.to_vec());
        let new = new.and_then(|new| self.owners_in(slot, name, &new));
        let inside = |error| in_state(error, slot, name);
        note_harm_between(|| self.owners_in_file(slot, own), new, inside, edited)
    }

    /// The same where another bank is to boot next than the one that does.
    pub(super) fn note_harm_of_use(&self, partition: u32, plan: &mut Plan) {
        let old = self.boots_next().filter(|it| it.partition != partition);
        let new = self.bank_on(partition);
        if let Some((old, new)) = old.zip(new) {
            let mut edited = Edited::default();
            let unknown = self.note_harm_of_bank(old, (self, new), &mut edited);
            plan.warnings.extend(unknown);
            plan.harms_of_bank.extend(edited.changes);
        }
    }

    /// The same where a bank becomes a copy of another, and is what `after` holds on this partition.
    pub(super) fn note_harm_of_copy(
        &self,
        after: &Stick<'_, '_>,
        to: u32,
        edited: &mut Edited,
    ) -> Option<Warning> {
        let (old, new) = self.bank_on(to).zip(after.bank_on(to))?;
        self.note_harm_of_bank(old, (after, new), edited)
    }

    /// The same where the host starts with the bank `new_slot` of `after` instead of `old_slot`.
    fn note_harm_of_bank(
        &self,
        old_slot: &Slot<'_>,
        (after, new_slot): (&Stick<'_, '_>, &Slot<'_>),
        edited: &mut Edited,
    ) -> Option<Warning> {
        let old = self.shown_state(old_slot).ok();
        let (old, new) = old.zip(after.shown_state(new_slot).ok())?;
        let bytes =
            |stick: &Stick<'_, '_>, slot, file: &StateFile| stick.read_state_file(slot, file);
        let same = bytes(self, old_slot, old).ok() == bytes(after, new_slot, new).ok();
        if same && old_slot.release() == new_slot.release() {
            return None;
        }
        let inside = |error| in_state(error, new_slot, &new.name);
        let owners = after.owners_in_file(new_slot, new);
        note_harm_between(
            || self.owners_in_file(old_slot, old),
            owners,
            inside,
            edited,
        )
    }

    /// What a state file of a bank says of the owners of devices.
    fn owners_in_file(&self, slot: &Slot<'_>, file: &StateFile) -> Result<Configuration, Error> {
        let state = self.open_state(slot, file)?;
        self.owners_in(slot, &file.name, &state)
    }

    fn owners_in(
        &self,
        slot: &Slot<'_>,
        name: &str,
        state: &Arc<State>,
    ) -> Result<Configuration, Error> {
        let configuration = self.configuration(slot, state);
        configuration.map_err(|error| in_state(error, slot, name))
    }
}

fn in_state(error: EditError, slot: &Slot<'_>, name: &str) -> Error {
    Error::from(error).on(slot.partition).in_file(name)
}

/// Notes what it costs the host to start with the configuration `new` instead of `old`; `inside` says where an
/// error is. Gives back a warning where it cannot be told.
pub(crate) fn note_harm_between(
    old: impl FnOnce() -> Result<Configuration, Error>,
    new: Result<Configuration, Error>,
    inside: impl Fn(EditError) -> Error,
    edited: &mut Edited,
) -> Option<Warning> {
    let noted = new.and_then(|new| {
        new.check_rows().map_err(&inside)?;
        note_harm(&old()?, &new, edited).map_err(&inside)
    });
    let error = noted.err()?;
    let (partition, why) = (error.partition(), error.to_string());
    Some(WarningCause::HarmUnknown { partition, why }.into())
}
