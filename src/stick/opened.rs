//! States that were opened, kept while a stick is looked at.
//!
//! A change opens the same state several times: to edit it, to see what the result holds, for the undo
//! file, for the question. What is kept is found again by its bytes, so a file that changed is opened
//! anew.

use crate::state::{Limits, State};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most of opened states that is kept, in unpacked bytes of all of them: several of the usual size.
/// What is larger is opened as often as it is asked for, so that memory does not grow with what is kept.
const MOST: u64 = 16 << 20;

/// The part of the limit for one archive that is kept at the most, where that is less: what is kept must
/// leave room for what is opened.
const OF_LIMIT: u64 = 4;

/// States by the name and the bytes of the file that they were opened from.
#[derive(Debug, Default)]
pub(super) struct OpenedStates(Mutex<Vec<Arc<State>>>);

impl OpenedStates {
    /// The state in a file of this name and content, where it was opened before.
    pub(super) fn find(&self, name: &str, bytes: &[u8]) -> Option<Arc<State>> {
        let states = self.states();
        let mut same = states.iter();
        let found = same.find(|it| it.file_name() == name && it.as_bytes() == bytes)?;
        Some(Arc::clone(found))
    }

    /// Keeps a state for later, as long as there is room.
    pub(super) fn keep(&self, state: State, limits: &Limits) -> Arc<State> {
        let most = MOST.min(limits.max_unpacked / OF_LIMIT);
        let state = Arc::new(state);
        let mut states = self.states();
        let held = states.iter().map(|it| it.unpacked_len()).sum::<u64>();
        if held.saturating_add(state.unpacked_len()) <= most {
            states.push(Arc::clone(&state));
        }
        state
    }

    fn states(&self) -> MutexGuard<'_, Vec<Arc<State>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
