//! What can be wrong with a state, and in which of its layers.

use super::archive::{ArchiveError, MemberKind};
use super::envelope::EnvelopeError;
use super::gzip::GzipError;
use super::key_store::KeyStoreError;
use super::recovery_key::RecoveryKeyError;
use crate::error::ErrorKind;
use thiserror::Error;

/// Why a state cannot be opened, read or changed. `at` names the layer the way a user would:
/// `state.tgz`, `state.tgz:local.tgz.ve`. The message includes that of the source.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateError {
    /// The compression of an archive.
    #[error("{at}: {source}")]
    Gzip {
        /// Which file.
        at: String,
        /// What is wrong with it.
        source: GzipError,
    },
    /// An archive or a change to one.
    #[error("{at}: {source}")]
    Archive {
        /// Which file.
        at: String,
        /// What is wrong with it.
        source: ArchiveError,
    },
    /// The encrypted form of the inner archive.
    #[error("{at}: {source}")]
    Envelope {
        /// Which file.
        at: String,
        /// What is wrong with it.
        source: EnvelopeError,
    },
    /// The file that keeps the key.
    #[error("{at}: {source}")]
    KeyStore {
        /// Which file.
        at: String,
        /// What is wrong with it.
        source: KeyStoreError,
    },
    /// The recovery key a sealed state was to be opened with.
    #[error("{at}: {source}")]
    RecoveryKey {
        /// Which file.
        at: String,
        /// Why it does not open it.
        source: RecoveryKeyError,
    },
    /// The configuration is encrypted with a key that is not on the medium.
    #[error("{at}: the state is sealed (mode {mode}) and cannot be opened offline")]
    Sealed {
        /// Which file.
        at: String,
        /// Where the key is kept: `TPM` or another word.
        mode: String,
    },
    /// The outer archive holds no inner one.
    #[error("{at}: holds neither local.tgz nor local.tgz.ve")]
    NoInnerArchive {
        /// Which file.
        at: String,
    },
    /// The outer archive holds a plain and an encrypted inner one; which counts is not known.
    #[error("{at}: holds both local.tgz and local.tgz.ve")]
    BothForms {
        /// Which file.
        at: String,
    },
    /// An encrypted archive without the file that keeps its key.
    #[error("{at}: holds local.tgz.ve but no encryption.info")]
    NoKeyStore {
        /// Which file.
        at: String,
    },
    /// A `local.tgz.ve` that is a file of its own, without the file that keeps its key.
    #[error(
        "{at}: it is encrypted, and its key is in an encryption.info that was not found beside it"
    )]
    NoKeyBeside {
        /// Which file.
        at: String,
    },
    /// A `configBundle.tgz` whose manifest is not of the form that is known, so that it is not known
    /// what a change of the state would make untrue in it.
    #[error(
        "{at}: its Manifest.txt {what}, so bootbank cannot keep it true and leaves the bundle as it is"
    )]
    Manifest {
        /// Which file.
        at: String,
        /// What is not known about it.
        what: String,
    },
    /// A compressed archive that is no state of any kind.
    #[error(
        "{at} holds no ESXi configuration: neither state.tgz nor local.tgz nor etc/vmware is in it"
    )]
    NoConfiguration {
        /// Which file.
        at: String,
    },
    /// A file name that is not one of a state.
    #[error("{name:?} is not the name of a state, which is state.tgz or local.tgz")]
    NotAState {
        /// The name.
        name: String,
    },
    /// The changed state is not what the change was meant to make. A fault of this program.
    #[error("{at}: the changed state is not as planned: {what}")]
    Verification {
        /// Which file.
        at: String,
        /// What differs.
        what: &'static str,
    },
}

impl StateError {
    /// What the error means to whoever has to act on it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            StateError::Gzip { source, .. } => source.kind(),
            StateError::Archive { source, .. } => source.kind(),
            StateError::Envelope { source, .. } => source.kind(),
            StateError::KeyStore { source, .. } => source.kind(),
            StateError::RecoveryKey { source, .. } => source.kind(),
            StateError::Sealed { .. } | StateError::Verification { .. } => ErrorKind::Refused,
            StateError::NoInnerArchive { .. } | StateError::NoKeyStore { .. } => ErrorKind::Damaged,
            StateError::BothForms { .. }
            | StateError::NoConfiguration { .. }
            | StateError::Manifest { .. } => ErrorKind::Unsupported,
            StateError::NoKeyBeside { .. } | StateError::NotAState { .. } => ErrorKind::Usage,
        }
    }

    /// The layer it was met in: `gzip`, `tar` or `envelope`.
    pub fn layer(&self) -> &'static str {
        match self {
            StateError::Gzip { .. } => "gzip",
            StateError::Envelope { .. }
            | StateError::KeyStore { .. }
            | StateError::RecoveryKey { .. }
            | StateError::Sealed { .. }
            | StateError::NoKeyBeside { .. }
            | StateError::NoKeyStore { .. } => "envelope",
            StateError::Archive { .. }
            | StateError::NoInnerArchive { .. }
            | StateError::BothForms { .. }
            | StateError::Manifest { .. }
            | StateError::NoConfiguration { .. }
            | StateError::NotAState { .. }
            | StateError::Verification { .. } => "tar",
        }
    }

    /// What a path was found to be, where the error is that it is no regular file.
    pub fn not_a_file(&self) -> Option<MemberKind> {
        match self {
            StateError::Archive {
                source: ArchiveError::NotAFile { kind, .. },
                ..
            } => Some(*kind),
            _ => None,
        }
    }
}
