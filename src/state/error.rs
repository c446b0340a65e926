//! What can be wrong with a state, and in which of its layers.

use super::archive::{ArchiveError, MemberKind};
use super::envelope::EnvelopeError;
use super::gzip::GzipError;
use super::key_store::KeyStoreError;
use super::recovery_key::RecoveryKeyError;
use crate::error::ErrorKind;
use thiserror::Error;

/// Why a state cannot be opened, read or changed, and in which of its layers.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{at}: {fault}")]
#[non_exhaustive]
pub struct StateError {
    /// Which file, the way a user would name the layer: `state.tgz`, `state.tgz:local.tgz.ve`.
    pub at: String,
    /// What is wrong there.
    pub fault: StateFault,
}

/// What can be wrong in a layer of a state. The message includes that of the source.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateFault {
    /// The compression of an archive.
    #[error(transparent)]
    Gzip(#[from] GzipError),
    /// An archive or a change to one.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The encrypted form of the inner archive.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The file that keeps the key.
    #[error(transparent)]
    KeyStore(#[from] KeyStoreError),
    /// The recovery key a sealed state was to be opened with.
    #[error(transparent)]
    RecoveryKey(#[from] RecoveryKeyError),
    /// The configuration is encrypted with a key that is not on the medium.
    #[error("the state is sealed (mode {mode}) and cannot be opened offline")]
    Sealed {
        /// Where the key is kept: `TPM` or another word.
        mode: String,
    },
    /// The outer archive holds no inner one.
    #[error("holds neither local.tgz nor local.tgz.ve")]
    NoInnerArchive,
    /// The outer archive holds a plain and an encrypted inner one; which counts is not known.
    #[error("holds both local.tgz and local.tgz.ve")]
    BothForms,
    /// An encrypted archive without the file that keeps its key.
    #[error("holds local.tgz.ve but no encryption.info")]
    NoKeyStore,
    /// A `local.tgz.ve` that is a file of its own, without the file that keeps its key.
    #[error("it is encrypted, and its key is in an encryption.info that was not found beside it")]
    NoKeyBeside,
    /// A `configBundle.tgz` whose manifest is not of the form that is known, so that it is not known
    /// what a change of the state would make untrue in it.
    #[error(
        "its Manifest.txt {what}, so bootbank cannot keep it true and leaves the bundle as it is"
    )]
    Manifest {
        /// What is not known about it.
        what: String,
    },
    /// A compressed archive that is no state of any kind.
    #[error("no ESXi configuration is in it: neither state.tgz nor local.tgz nor etc/vmware")]
    NoConfiguration,
    /// A file name that is not one of a state.
    #[error("this is not the name of a state, which is state.tgz or local.tgz")]
    NotAState,
    /// The changed state is not what the change was meant to make. A fault of this program.
    #[error("the changed state is not as planned: {what}")]
    Verification {
        /// What differs.
        what: &'static str,
    },
}

impl StateError {
    /// That this is wrong in the layer that messages call so.
    pub(crate) fn new(at: impl Into<String>, fault: impl Into<StateFault>) -> Self {
        StateError {
            at: at.into(),
            fault: fault.into(),
        }
    }

    /// What the error means to whoever has to act on it.
    pub fn kind(&self) -> ErrorKind {
        match &self.fault {
            StateFault::Gzip(source) => source.kind(),
            StateFault::Archive(source) => source.kind(),
            StateFault::Envelope(source) => source.kind(),
            StateFault::KeyStore(source) => source.kind(),
            StateFault::RecoveryKey(source) => source.kind(),
            StateFault::Sealed { .. } | StateFault::Verification { .. } => ErrorKind::Refused,
            StateFault::NoInnerArchive | StateFault::NoKeyStore => ErrorKind::Damaged,
            StateFault::BothForms | StateFault::NoConfiguration | StateFault::Manifest { .. } => {
                ErrorKind::Unsupported
            }
            StateFault::NoKeyBeside | StateFault::NotAState => ErrorKind::Usage,
        }
    }

    /// The layer it was met in: `gzip`, `tar` or `envelope`.
    pub fn layer(&self) -> &'static str {
        match &self.fault {
            StateFault::Gzip(_) => "gzip",
            StateFault::Envelope(_)
            | StateFault::KeyStore(_)
            | StateFault::RecoveryKey(_)
            | StateFault::Sealed { .. }
            | StateFault::NoKeyBeside
            | StateFault::NoKeyStore => "envelope",
            StateFault::Archive(_)
            | StateFault::NoInnerArchive
            | StateFault::BothForms
            | StateFault::Manifest { .. }
            | StateFault::NoConfiguration
            | StateFault::NotAState
            | StateFault::Verification { .. } => "tar",
        }
    }

    /// What a path was found to be, where the error is that it is no regular file.
    pub fn not_a_file(&self) -> Option<MemberKind> {
        match &self.fault {
            StateFault::Archive(ArchiveError::NotAFile { kind, .. }) => Some(*kind),
            _ => None,
        }
    }
}
