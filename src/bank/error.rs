//! What can be wrong with a bank.

use crate::error::ErrorKind;
use crate::fat::FatError;

/// Why a bank could not be opened or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BankError {
    /// The volume it lives in.
    #[error(transparent)]
    Fat(#[from] FatError),
    /// Its `boot.cfg` is larger than any that is read, whatever limit is set for other files.
    #[error(transparent)]
    BootCfgTooLarge(FatError),
}

impl BankError {
    /// What the error means to whoever has to act on it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            BankError::Fat(error) | BankError::BootCfgTooLarge(error) => error.kind(),
        }
    }
}
