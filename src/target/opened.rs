//! A target opened to be read, whichever kind it is of.

use super::SavedState;
use crate::bank::Release;
use crate::edit::host_map::Names;
use crate::stick::{BankChoice, Cause, Error, FoundFile, Path, Reading, Stick};

/// A target opened to be read.
#[derive(Debug)]
pub enum Opened<'m, 'k> {
    /// A boot medium.
    Medium(Stick<'m, 'k>),
    /// A state that is a file of its own.
    State(SavedState<'k>),
}

impl<'m, 'k> Opened<'m, 'k> {
    /// The boot medium.
    ///
    /// # Errors
    /// [`Cause::NoBanks`] for a state file.
    pub fn stick(&self) -> Result<&Stick<'m, 'k>, Error> {
        match self {
            Opened::Medium(stick) => Ok(stick),
            Opened::State(_) => Err(Cause::NoBanks.into()),
        }
    }

    /// The state whose configuration is shown, as [`Stick::state`], and the partition it is on;
    /// `None` for a state file.
    ///
    /// # Errors
    /// As [`Stick::state`].
    pub fn state(&self, choice: BankChoice) -> Result<(Option<u32>, Reading), Error> {
        match self {
            Opened::Medium(stick) => {
                let (partition, reading) = stick.state(choice)?;
                Ok((Some(partition), reading))
            }
            Opened::State(saved) => Ok((None, saved.reading().clone())),
        }
    }

    /// The content of a file, as [`Stick::content`].
    ///
    /// # Errors
    /// As [`Stick::content`]; [`Cause::NoBanks`] for a bank's file of a state file.
    pub fn content(&self, path: &Path, choice: BankChoice) -> Result<Option<FoundFile>, Error> {
        match self {
            Opened::Medium(stick) => stick.content(path, choice),
            Opened::State(saved) => saved.content(path),
        }
    }

    /// The release of the bank on that partition; of a state file that of the host that wrote it.
    pub fn release(&self, partition: Option<u32>) -> Option<Release> {
        match self {
            Opened::Medium(stick) => {
                let mut slots = stick.slots().iter();
                slots
                    .find(|slot| Some(slot.partition) == partition)?
                    .release()
            }
            Opened::State(saved) => saved.release(),
        }
    }

    /// What tells it from others.
    pub fn names(&self) -> Names {
        match self {
            Opened::Medium(stick) => stick.names(),
            Opened::State(saved) => saved.names(),
        }
    }

    /// What of it is missing, whatever is looked at.
    pub fn damage(&self) -> Vec<Error> {
        match self {
            Opened::Medium(stick) => stick.damage(),
            // It is told with what is read.
            Opened::State(_) => Vec::new(),
        }
    }

    /// That another bank was looked into than the one that boots next, as [`Stick::stood_in`].
    pub fn stood_in(&self, path: &Path, choice: BankChoice) -> Option<Error> {
        self.stick().ok()?.stood_in(path, choice)
    }
}
