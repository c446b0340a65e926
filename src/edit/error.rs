//! Why edits cannot be made.

use super::configuration::{CONFIG_STORE, ESX_CONF};
use super::edited::{ChangeSource, Unmatched};
use super::selector::SelectError;
use crate::bank::{BootCfgError, KerneloptError};
use crate::error::ErrorKind;
use crate::ownership::OwnershipError;
use crate::state::{MemberKind, StateError};

/// Why edits cannot be made in a state.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The archive.
    #[error(transparent)]
    State(#[from] StateError),
    /// One of the configuration files.
    #[error("{path}: {source}")]
    Ownership {
        /// Which.
        path: &'static str,
        /// What is wrong with it.
        source: OwnershipError,
    },
    /// What was asked for.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// What was asked for is nowhere on the medium.
    #[error(transparent)]
    Unmatched(#[from] Unmatched),
    /// The kernel options.
    #[error(transparent)]
    Kernelopt(#[from] KerneloptError),
    /// A setting of boot.cfg.
    #[error(transparent)]
    BootCfgSetting(#[from] BootCfgError),
    /// The loader would read more differently than was asked for.
    #[error(
        "the change would make ESXi's loader read other settings of boot.cfg differently as well"
    )]
    BootCfg,
    /// The file an edit is about is not in the state.
    #[error("the state holds no {}", named(path))]
    Missing {
        /// Which.
        path: &'static str,
    },
    /// There is nothing to change in a state without any file.
    #[error(
        "the state is empty: a host that loads it starts with default settings, and there is none to change"
    )]
    Empty,
    /// A value that no host can have.
    #[error("{what}: {why}")]
    HostValue {
        /// `name`, `domain`, `ntp` or `ssh-key`.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A value for a host whose place is not known.
    #[error("it is not known where this release keeps {what}, and this state holds none to go by")]
    HostUnknown {
        /// What was to be set.
        what: &'static str,
    },
    /// A new value of a device's row in which no owner can be read.
    #[error("with that value it would not be known who owns the device: {0}")]
    OddRow(OwnershipError),
    /// Two edits of one run that cannot both be kept: made again, they would change this once more.
    #[error("two entries contradict each other about {key} ({}): keep one of them", source_of.as_str())]
    Contradiction {
        /// Where it is kept.
        source_of: ChangeSource,
        /// What it is called there.
        key: String,
    },
    /// A value that is no JSON.
    #[error("the value for {row} is not JSON: {why}")]
    NotJson {
        /// The row.
        row: String,
        /// What is wrong with it.
        why: String,
    },
    /// A host without this file does not find its configuration.
    #[error(
        "the host needs {path} to boot with this configuration, so bootbank does not remove it"
    )]
    Needed {
        /// Which.
        path: String,
    },
    /// Something that is no regular file.
    #[error(
        "{path} is a {kind}; bootbank puts in only regular files, and removes only those and hard links to them"
    )]
    NotAFile {
        /// Which.
        path: String,
        /// What it is.
        kind: MemberKind,
    },
    /// A path that names a directory by a slash at its end.
    #[error("{path} ends in a slash, and bootbank puts in files, not directories: name the file")]
    NamesDirectory {
        /// The path.
        path: String,
    },
    /// A path that leads upwards.
    #[error("{path:?} has a .. component: write the path as it is on the host")]
    LeadsUp {
        /// The path.
        path: String,
    },
    /// Another mode is asked for than the one a file has.
    #[error(
        "{path} keeps its mode {kept:04o} when its content changes; mode {mode:04o} was asked for"
    )]
    ModeKept {
        /// Which.
        path: String,
        /// The mode it has.
        kept: u32,
        /// The mode asked for.
        mode: u32,
    },
    /// An esx.conf without a single setting.
    #[error("the new content of {ESX_CONF} has no line of the form KEY = \"VALUE\"")]
    NoEntries,
    /// Neither file that could name an owner is there.
    #[error("the state holds neither {ESX_CONF} nor a ConfigStore")]
    NoConfiguration,
    /// More devices than a host can have.
    #[error("the state names {count} devices, more than the limit of {limit}")]
    TooManyDevices {
        /// How many it names.
        count: usize,
        /// The most that are handled.
        limit: usize,
    },
    /// More of what an operation is about than a host can have.
    #[error("the state has more than {limit} {what} to remove, more than any host has")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The most that are handled.
        limit: usize,
    },
    /// A database with changes waiting beside it.
    #[error("the state holds {name}: SQLite has yet to finish a change of the ConfigStore")]
    Sidecar {
        /// The member.
        name: String,
    },
}

impl EditError {
    /// What the error means to whoever has to act on it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            EditError::State(error) => error.kind(),
            EditError::Ownership { source, .. } => source.kind(),
            EditError::Select(error) => error.kind(),
            EditError::Kernelopt(error) => error.kind(),
            EditError::BootCfgSetting(error) => error.kind(),
            EditError::Unmatched(unmatched) => unmatched.kind(),
            EditError::Missing { .. }
            | EditError::HostValue { .. }
            | EditError::NotJson { .. }
            | EditError::Contradiction { .. }
            | EditError::OddRow(_)
            | EditError::ModeKept { .. }
            | EditError::NamesDirectory { .. }
            | EditError::LeadsUp { .. }
            | EditError::NoEntries => ErrorKind::Usage,
            EditError::Empty
            | EditError::Needed { .. }
            | EditError::HostUnknown { .. }
            | EditError::NotAFile { .. }
            | EditError::BootCfg => ErrorKind::Refused,
            EditError::NoConfiguration => ErrorKind::Damaged,
            EditError::TooManyDevices { .. }
            | EditError::TooMany { .. }
            | EditError::Sidecar { .. } => ErrorKind::Unsupported,
        }
    }
}

/// A file of the configuration by the name people have for it.
fn named(path: &str) -> String {
    match path {
        CONFIG_STORE => format!("ConfigStore ({path})"),
        _ => path.to_owned(),
    }
}
