//! A state as one file: whether one from elsewhere may take the place of a bank's own.
//!
//! A host restores what it understands of a state and starts with defaults for the rest, so one
//! of another generation is refused: it would be lost without a word.

use super::{Error, STATE, Slot, Stick};
use crate::edit::{CONFIG_STORE, ESX_CONF};
use crate::error::ErrorKind;
use crate::ownership::EsxConf;
use crate::state::{Form, State, StateError};

/// The line of esx.conf that tells the version of the host that wrote it.
const VERSION_KEY: &str = "/resourceGroups/version";

/// Why a state may not take the place of a bank's own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The file is sealed to the machine it came from.
    #[error(
        "the state to import is sealed (mode {mode}): only the host whose TPM holds the key can open it"
    )]
    Sealed {
        /// Where the key is kept.
        mode: String,
    },
    /// The bank's own state is sealed.
    #[error(
        "the state in the bank is sealed (mode {mode}): its host expects a state that its TPM can open"
    )]
    TargetSealed {
        /// Where the key is kept.
        mode: String,
    },
    /// One is encrypted, the other is not.
    #[error(
        "the state to import is {new}, but the one in the bank is {old}: they come from different generations of ESXi"
    )]
    OtherForm {
        /// Form of the bank's own.
        old: &'static str,
        /// Form of the one to import.
        new: &'static str,
    },
    /// One has a file the other generation does not have.
    #[error("{path} is {only}: the states come from different generations of ESXi")]
    OtherFiles {
        /// Which file.
        path: &'static str,
        /// `only the first` or `only the second`.
        only: &'static str,
    },
    /// They were written by hosts of different versions.
    #[error("ESXi {new} wrote the state to import, but ESXi {old} wrote the one in the bank")]
    OtherVersion {
        /// Version of the bank's own.
        old: String,
        /// Version of the one to import.
        new: String,
    },
}

impl TransferError {
    /// What the error means to whoever has to act on it.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Refused
    }
}

impl Stick<'_, '_> {
    /// Opens a `state.tgz` from elsewhere, all its layers, as one for this bank.
    pub(super) fn imported(&self, slot: &Slot<'_>, content: &[u8]) -> Result<State, Error> {
        let settings = self.settings();
        let new = State::open(STATE, content, &settings.limits, settings.keys)
            .map_err(|error| Error::from(error).in_file("the state to import"))?;
        let on = |error: Error| error.on(slot.partition).in_file(STATE);
        let own = slot.states.iter().find(|file| file.name == STATE);
        if let Some(file) = own {
            let old = self.open_state(slot, file)?;
            check_same_generation(&old, &new).map_err(on)?;
        }
        Ok(new)
    }
}

fn check_same_generation(old: &State, new: &State) -> Result<(), Error> {
    if let Some(mode) = new.seal_mode() {
        let mode = mode.to_owned();
        return Err(TransferError::Sealed { mode }.into());
    }
    if let Some(mode) = old.seal_mode() {
        let mode = mode.to_owned();
        return Err(TransferError::TargetSealed { mode }.into());
    }
    let form = |state: &State| Form::as_str(state.form());
    if old.form() != new.form() {
        let (old, new) = (form(old), form(new));
        return Err(TransferError::OtherForm { old, new }.into());
    }
    for path in [ESX_CONF, CONFIG_STORE] {
        let only = match (new.find(path)?.is_some(), old.find(path)?.is_some()) {
            (true, false) => "only in the state to import",
            (false, true) => "only in the state of the bank",
            _ => continue,
        };
        return Err(TransferError::OtherFiles { path, only }.into());
    }
    match (version(old)?, version(new)?) {
        (Some(old), Some(new)) if old != new => {
            Err(TransferError::OtherVersion { old, new }.into())
        }
        _ => Ok(()),
    }
}

/// The version of the host that wrote a state, where it says so.
fn version(state: &State) -> Result<Option<String>, StateError> {
    let Some(bytes) = state.content(ESX_CONF)? else {
        return Ok(None);
    };
    let conf = EsxConf::parse(bytes.to_vec()).ok();
    Ok(conf.and_then(|conf| conf.get(VERSION_KEY).map(str::to_owned)))
}
