//! States that were opened, and their configurations, kept while a stick is looked at.
//!
//! A change opens the same state several times: to edit it, to see what the result holds, for the undo
//! file, for the question. What is kept is found again by its bytes, so a file that changed is opened
//! anew.

use crate::bank::Release;
use crate::edit::{Configuration, EditError};
use crate::state::{Limits, State};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most of opened states that is kept, in unpacked bytes of all of them: several of the usual size.
/// What is larger is opened as often as it is asked for, so that memory does not grow with what is kept.
const MOST: u64 = 16 << 20;

/// The part of the limit for one archive that is kept at the most, where that is less: what is kept must
/// leave room for what is opened.
const OF_LIMIT: u64 = 4;

/// The most that esx.conf and the ConfigStore of all configurations that are kept may be long, in bytes: that
/// of several hosts. Opened they take several times as much.
const MOST_CONFIGURED: usize = 2 << 20;

/// States by the name and the bytes of the file that they were opened from.
#[derive(Debug, Default)]
pub(super) struct OpenedStates(Mutex<Vec<Kept>>);

/// A state that was opened, and its configuration once somebody wanted it.
#[derive(Debug)]
struct Kept {
    state: Arc<State>,
    configuration: Option<Configuration>,
}

impl OpenedStates {
    /// The state in a file of this name and content, where it was opened before.
    pub(super) fn find(&self, name: &str, bytes: &[u8]) -> Option<Arc<State>> {
        let states = self.states();
        let mut kept = states.iter().map(|kept| &kept.state);
        let found = kept.find(|it| it.file_name() == name && it.as_bytes() == bytes)?;
        Some(Arc::clone(found))
    }

    /// Keeps a state for later, as long as there is room.
    pub(super) fn keep(&self, state: State, limits: &Limits) -> Arc<State> {
        let most = MOST.min(limits.max_unpacked / OF_LIMIT);
        let state = Arc::new(state);
        let mut states = self.states();
        let held = states.iter().map(|kept| kept.state.unpacked_len());
        if held.sum::<u64>().saturating_add(state.unpacked_len()) <= most {
            states.push(Kept {
                state: Arc::clone(&state),
                configuration: None,
            });
        }
        state
    }

    /// The configuration of a state as a host of `release` reads it, which is kept where the state is.
    ///
    /// # Errors
    /// As [`Configuration::open_for`].
    pub(super) fn configuration(
        &self,
        state: &Arc<State>,
        release: Option<&Release>,
    ) -> Result<Configuration, EditError> {
        let place = |states: &[Kept]| states.iter().position(|it| Arc::ptr_eq(&it.state, state));
        {
            let states = self.states();
            let kept = place(&states).and_then(|at| states.get(at));
            if let Some(known) = kept.and_then(|kept| kept.configuration.as_ref()) {
                return Ok(known.clone());
            }
        }
        let configuration = Configuration::open_for(state, release)?;
        // The same state in a bank of another release may have to be opened as a whole.
        if configuration.closed_store.is_some() {
            return Ok(configuration);
        }
        let mut states = self.states();
        let kept = states.iter().filter_map(|kept| kept.configuration.as_ref());
        let held: usize = kept.map(|it| it.len()).sum();
        if held.saturating_add(configuration.len()) <= MOST_CONFIGURED
            && let Some(kept) = place(&states).and_then(|at| states.get_mut(at))
        {
            kept.configuration = Some(configuration.clone());
        }
        Ok(configuration)
    }

    fn states(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
