//! The state that the host has its settings from: of several that a bank loads the last one that is not
//! empty, since an empty one leaves what those before it hold.

use super::{Cause, Error, Slot, StateFile, Stick};
use crate::edit::identity::Identity;
use crate::edit::{Configuration, is_empty};
use crate::state::State;

impl<'m> Stick<'m, '_> {
    /// The state that the host has its settings from: of those that it loads the last one that is not
    /// empty. `None` where all are.
    pub(crate) fn filled_state<'s>(&self, slot: &'s Slot<'_>) -> Option<&'s StateFile> {
        let loaded = slot.loaded_state()?;
        // The loader loads a file without a byte as well.
        let is_empty = |file: &StateFile| {
            let state = || self.open_state(slot, file);
            file.entry.size() == 0 || state().is_ok_and(|state| is_empty_state(&state))
        };
        let mut files = slot.states.iter().rev();
        files.find(|file| file.listed == loaded.listed && !is_empty(file))
    }

    /// The state of a bank that is shown and copied: that which the host has its settings from, or an empty
    /// one where it has none.
    ///
    /// # Errors
    /// A bank that holds no state, or nothing but an empty file that it does not load.
    pub(crate) fn shown_state<'s>(&self, slot: &'s Slot<'_>) -> Result<&'s StateFile, Error> {
        let mut there = slot.states.iter().filter(|file| !slot.is_nothing(file));
        let counts = match (there.next(), there.next()) {
            (only, None) => only,
            _ => self.filled_state(slot).or_else(|| slot.loaded_state()),
        };
        counts.ok_or_else(|| self.no_state(std::iter::once(slot.partition)))
    }

    /// That the banks on these partitions hold no state.
    pub(super) fn no_state(&self, chosen: impl Iterator<Item = u32>) -> Error {
        let mut slots = self.slots().iter();
        let elsewhere = slots.any(|slot| !slot.states.is_empty());
        let chosen = chosen.collect();
        Cause::NoState { chosen, elsewhere }.into()
    }

    /// Whose state the bank that boots next holds, or else the first one that holds any; nothing where that
    /// cannot be told.
    pub fn host(&self) -> Option<Identity> {
        let (slot, configuration) = self.host_configuration()?;
        Some(configuration.identity(slot.release().as_ref()))
    }

    /// The configuration that the host loads, or where that is empty or cannot be told the first that can be
    /// opened; with its bank.
    pub(crate) fn host_configuration(&self) -> Option<(&Slot<'m>, Configuration)> {
        let others = self.slots().iter().filter(|slot| !slot.verdict.boots_next);
        self.boots_next()
            .into_iter()
            .chain(others)
            .find_map(|slot| {
                let configuration = slot.states.iter().rev().find_map(|file| {
                    let state = self.open_state(slot, file).ok()?;
                    let configuration = self.configuration(slot, &state).ok()?;
                    (!configuration.is_default()).then_some(configuration)
                })?;
                Some((slot, configuration))
            })
    }
}

/// Whether a state holds nothing, as far as it can be looked into.
pub(crate) fn is_empty_state(state: &State) -> bool {
    is_empty(state).unwrap_or_default()
}
