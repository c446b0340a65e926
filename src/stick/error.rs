//! An error with where it happened: which partition, which file.

use super::{Installer, OtherType, TransferError, numbers};
use crate::bank::BankError;
use crate::commit::{CommitError, PlanError, UndoError};
use crate::edit::EditError;
use crate::error::ErrorKind;
use crate::fat::FatError;
use crate::ownership::OwnershipError;
use crate::partition::{Cut, OtherTable, TableError, TableFault};
use crate::state::{Condition, RecoveryKeyError, StateError, StateFault};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// What went wrong on a stick, and where.
#[derive(Debug)]
#[non_exhaustive]
pub struct Error {
    /// What.
    pub cause: Cause,
    /// On which partition, where one is concerned.
    pub partition: Option<u32>,
    /// In which file of the bank, or which member of its state (`state.tgz:etc/vmware/esx.conf`).
    pub path: Option<String>,
}

/// What can go wrong, by room, and what only the whole shows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The partition table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The partition table leads past the end of the medium, and no bank that lies on it can be read.
    #[error("{0}; no whole bank is there")]
    NoWholeBank(TableError),
    /// A bank.
    #[error(transparent)]
    Bank(#[from] BankError),
    /// A FAT volume.
    #[error(transparent)]
    Fat(#[from] FatError),
    /// A state archive.
    #[error(transparent)]
    State(#[from] StateError),
    /// esx.conf or the ConfigStore.
    #[error(transparent)]
    Ownership(#[from] OwnershipError),
    /// What was asked for.
    #[error(transparent)]
    Edit(EditError),
    /// A state that is to take the place of another.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// Turning changes into sectors.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Writing.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The undo file, or the medium it is for.
    #[error(transparent)]
    Undo(#[from] UndoError),
    /// What an undo of its files alone would lead to.
    #[error("another bank would boot then")]
    OtherBankThen,
    /// What an undo would leave is damaged.
    #[error("putting every byte back would damage the medium, so it was changed since: {0}")]
    Unsound(Box<Error>),
    /// A medium that was written to since a change, in a way that leaves no way back.
    #[error("{bytes}; the files of the change cannot be put back alone either: {files}")]
    ChangedSince {
        /// Why not every byte can be put back.
        bytes: Box<Error>,
        /// Why the files cannot.
        files: Box<Error>,
    },
    /// The bank could not be opened in the first place.
    #[error(transparent)]
    Unopened(Arc<Error>),
    /// A volume that only the loader takes for a bank.
    #[error(
        "ESXi's loader takes this for a bank, but its boot sector or directory is such that nothing here may be changed"
    )]
    OnlyLoader,
    /// No partition is a bank.
    #[error("no bank found: {0}")]
    NoBank(String),
    /// No partition in which the loader looks for banks is one, and others are.
    #[error("no bank found: {}", in_a_row(.0))]
    OtherType(Vec<OtherType>),
    /// No bank, and an installer.
    #[error("{0}, not an installed ESXi")]
    Installer(Installer),
    /// More banks than any layout has.
    #[error("there are more than {limit} banks, and no release of ESXi makes that many")]
    TooManyBanks {
        /// The most that are handled.
        limit: usize,
    },
    /// Several states, each within the limit, that together take too much memory.
    #[error("the states of the chosen banks unpack to more than {limit} bytes together")]
    UnpackedTogether {
        /// The limit in bytes.
        limit: u64,
    },
    /// The files of a bank together are more than is held at a time to copy them.
    #[error(
        "the files of the bank have {bytes} bytes together, more than the limit of {limit} for a copy"
    )]
    HeldTogether {
        /// Of all files.
        bytes: u64,
        /// In bytes.
        limit: u64,
    },
    /// The table of the loader is broken, or leads to no bank, and another one is whole.
    #[error("{error}; {other}")]
    OtherTable {
        /// What is wrong with the loader's.
        error: Box<Error>,
        /// The one that could be read instead.
        other: OtherTable,
    },
    /// The medium ends before its partitions do.
    #[error("{0}")]
    Cut(Box<Cut>),
    /// Another bank than the one that boots next was looked into.
    #[error("{why}; this is the configuration of bank {read}")]
    StandIn {
        /// Why.
        why: String,
        /// Number of the partition of the bank that was.
        read: u32,
    },
    /// A member of a state that was rescued, and not as a whole.
    #[error("{path} {condition}")]
    NotWhole {
        /// The member.
        path: String,
        /// In which way.
        condition: Condition,
    },
    /// A damaged state of which nothing can be read.
    #[error("{error}; nothing of it can be rescued: {why}")]
    NothingLeft {
        /// What is wrong with it.
        error: Box<Error>,
        /// What is in the way.
        why: Box<Error>,
    },
    /// Bytes of a file that cannot be read.
    #[error(
        "bytes {} to {} of the file cannot be read; zeros stand in their place",
        range.start,
        range.end.saturating_sub(1)
    )]
    NotRead {
        /// Which bytes.
        range: Range<u64>,
    },
    /// There are banks, and none of those chosen holds a state.
    #[error(
        "there is no configuration: no state on partition{} {}",
        if chosen.len() > 1 { "s" } else { "" },
        numbers(chosen.iter().copied())
    )]
    NoState {
        /// Partition numbers of those chosen.
        chosen: Vec<u32>,
        /// Whether another bank holds one.
        elsewhere: bool,
    },
    /// `--bank N` names no bank.
    #[error(
        "partition {asked} is not a bank; {} {}",
        if banks.len() == 1 { "the only one is on partition" } else { "the banks are on partitions" },
        numbers(banks.iter().copied())
    )]
    NoSuchBank {
        /// The number asked for.
        asked: u32,
        /// The numbers there are.
        banks: Vec<u32>,
    },
    /// `--bank next`, and no bank boots.
    #[error("no bank on this medium boots: {0}")]
    NoneBoots(String),
    /// A state that is a file of its own was asked for what only a medium with banks has.
    #[error("this is a state file, which has no banks")]
    NoBanks,
    /// There is no such file.
    #[error("no such file")]
    NoSuchFile,
    /// A file that is not changed as a whole, because what is in it has to be looked at.
    #[error("boot.cfg and states are not replaced as files")]
    OwnWay,
    /// A file that cannot go, because the loader would stop without it.
    #[error("boot.cfg loads this file, and a boot of the bank stops without it")]
    Loaded,
    /// A bank that is to boot, or to be copied, and would not start the host.
    #[error("the host would not start from this bank: {0}")]
    WouldStop(String),
    /// A bank that is to boot, or to be copied, and whose state the host could not read.
    #[error("the host could not read its settings in this bank: {0}")]
    SettingsUnread(Box<Error>),
    /// A bank that the loader never looks at, for the number of its partition.
    #[error("{0}, so it never takes this bank")]
    NotLookedAt(&'static str),
    /// The loader would take another bank all the same.
    #[error("the loader would {} all the same", match taken { Some(bank) => format!("take bank {bank}"), None => "take no bank".to_owned() })]
    NotTaken {
        /// The bank it would take.
        taken: Option<u32>,
    },
    /// There is no number above the highest `updated` that every loader reads.
    #[error(
        "the highest `updated` of the other banks is {highest}, and no loader reads a higher number alike"
    )]
    NoHigherUpdated {
        /// The highest there is.
        highest: u32,
    },
    /// The bank that boots is to be replaced, and the loader does not take the other one.
    #[error(
        "no bank would boot while bank {to} is being replaced, because the loader does not take bank {from}"
    )]
    NoneMeanwhile {
        /// The original.
        from: u32,
        /// The bank that is to become a copy.
        to: u32,
    },
    /// A bank is to be copied onto itself.
    #[error("bank {0} cannot be copied onto itself")]
    SameBank(u32),
    /// A medium is not as a plan expects it.
    #[error("not as expected: {0}")]
    Expectation(String),
    /// The finished plan did not stand up to being read back.
    #[error(
        "bootbank gave up the plan, because its result would be wrong: {0}; nothing was written"
    )]
    Verification(String),
}

impl Error {
    /// Whether it is a recovery key that is sound and does not open the state.
    pub fn is_of_unfit_key(&self) -> bool {
        let Cause::State(error) = &self.cause else {
            return false;
        };
        matches!(
            &error.fault,
            StateFault::RecoveryKey(RecoveryKeyError::DoesNotFit { .. })
        )
    }

    /// What the error means to whoever has to act on it.
    pub fn kind(&self) -> ErrorKind {
        match &self.cause {
            Cause::Table(error) | Cause::NoWholeBank(error) => error.kind(),
            Cause::Bank(error) => error.kind(),
            Cause::Fat(error) => error.kind(),
            Cause::State(error) => error.kind(),
            Cause::Ownership(error) => error.kind(),
            Cause::Edit(error) => error.kind(),
            Cause::Transfer(error) => error.kind(),
            Cause::Plan(error) => error.kind(),
            Cause::Commit(error) => error.kind(),
            Cause::Undo(error) => error.kind(),
            Cause::Unopened(error) => error.kind(),
            Cause::OtherTable { error, .. } | Cause::NothingLeft { error, .. } => error.kind(),
            Cause::TooManyBanks { .. } | Cause::Installer(_) => ErrorKind::Unsupported,
            Cause::UnpackedTogether { .. } | Cause::HeldTogether { .. } => ErrorKind::Refused,
            Cause::OnlyLoader
            | Cause::NoBank(_)
            | Cause::OtherType(_)
            | Cause::NoState {
                elsewhere: false, ..
            }
            | Cause::Cut(_)
            | Cause::StandIn { .. }
            | Cause::NotWhole { .. } => ErrorKind::Damaged,
            Cause::NotRead { .. } => ErrorKind::Io,
            Cause::NoSuchBank { .. }
            | Cause::NoState {
                elsewhere: true, ..
            }
            | Cause::NoBanks
            | Cause::NoSuchFile
            | Cause::SameBank(_) => ErrorKind::Usage,
            Cause::NoneBoots(_)
            | Cause::Loaded
            | Cause::WouldStop(_)
            | Cause::SettingsUnread(_)
            | Cause::NotLookedAt(_)
            | Cause::NotTaken { .. }
            | Cause::NoHigherUpdated { .. }
            | Cause::NoneMeanwhile { .. }
            | Cause::OwnWay
            | Cause::Expectation(_)
            | Cause::OtherBankThen
            | Cause::Verification(_)
            | Cause::Unsound(_)
            | Cause::ChangedSince { .. } => ErrorKind::Refused,
        }
    }

    /// The partition it is about, where it is about one.
    pub fn partition(&self) -> Option<u32> {
        match &self.cause {
            Cause::Unopened(inner) => self.partition.or_else(|| inner.partition()),
            Cause::OtherTable { error, .. } | Cause::NothingLeft { error, .. } => {
                self.partition.or_else(|| error.partition())
            }
            Cause::Table(error) | Cause::NoWholeBank(error) => {
                self.partition.or_else(|| error.partition())
            }
            _ => self.partition,
        }
    }

    /// The byte of the medium it was met at, where that is known.
    pub fn offset(&self) -> Option<u64> {
        match &self.cause {
            Cause::Table(error) | Cause::NoWholeBank(error) => error.offset(),
            Cause::Unopened(error) => error.offset(),
            Cause::OtherTable { error, .. } | Cause::NothingLeft { error, .. } => error.offset(),
            _ => None,
        }
    }

    /// In words, with the file and without the partition.
    pub fn without_partition(&self) -> String {
        let words = match &self.cause {
            Cause::Unopened(inner) => inner.without_partition(),
            cause => cause.to_string(),
        };
        match &self.path {
            Some(path) if !self.cause.names(path) => format!("{path}: {words}"),
            _ => words,
        }
    }

    /// In words, for whoever knows the partition and the file already. What it was met in inside that file
    /// stays.
    pub fn without_place(&self) -> String {
        match (&self.cause, &self.path) {
            (Cause::Unopened(inner), None) => inner.without_place(),
            (Cause::State(error), Some(path)) => match place_within(&error.at, path) {
                Some("") => error.fault.to_string(),
                Some(inside) => format!("{inside}: {}", error.fault),
                None => error.to_string(),
            },
            (cause, _) => cause.to_string(),
        }
    }

    /// The same, known to be about this partition unless it already names one; `None` where what it
    /// is about is on no partition.
    #[must_use]
    pub fn on(mut self, partition: impl Into<Option<u32>>) -> Self {
        self.partition = self.partition.or(partition.into());
        self
    }

    /// The same, known to be about this file unless it already names one.
    #[must_use]
    pub fn in_file(mut self, path: impl Into<String>) -> Self {
        self.path.get_or_insert_with(|| path.into());
        self
    }
}

impl Cause {
    /// Whether its words say that it was met in this file.
    fn names(&self, path: &str) -> bool {
        let named = match self {
            Cause::State(error) => Some(error.at.as_str()),
            Cause::Fat(error)
            | Cause::Bank(BankError::Fat(error) | BankError::BootCfgTooLarge(error)) => {
                error.file()
            }
            Cause::NotWhole { path, .. } => Some(path.as_str()),
            Cause::NothingLeft { error, .. } | Cause::Unsound(error) => {
                return error.path.as_deref() == Some(path) || error.cause.names(path);
            }
            Cause::Unopened(error) => {
                return error.path.as_deref() == Some(path) || error.cause.names(path);
            }
            _ => None,
        };
        named.is_some_and(|named| place_within(named, path).is_some())
    }
}

/// Where in `path` a place is: empty for the file itself, `local.tgz` for `state.tgz:local.tgz`; `None` where
/// it is elsewhere.
fn place_within<'a>(place: &'a str, path: &str) -> Option<&'a str> {
    let rest = place.strip_prefix(path)?;
    if rest.is_empty() {
        Some(rest)
    } else {
        rest.strip_prefix(':')
    }
}

impl From<EditError> for Cause {
    /// A state that cannot be opened is that, whatever was to be done with it.
    fn from(error: EditError) -> Self {
        match error {
            EditError::State(error) => Cause::State(error),
            error => Cause::Edit(error),
        }
    }
}

impl<E: Into<Cause>> From<E> for Error {
    fn from(cause: E) -> Self {
        Error {
            cause: cause.into(),
            partition: None,
            path: None,
        }
    }
}

impl From<&TableFault> for Error {
    fn from(fault: &TableFault) -> Self {
        TableError::from(fault.clone()).into()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let partition = match &self.cause {
            Cause::Unopened(inner) => self.partition.or(inner.partition),
            _ => self.partition,
        };
        if let Some(partition) = partition {
            write!(f, "partition {partition}: ")?;
        }
        f.write_str(&self.without_partition())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.cause)
    }
}

fn in_a_row(found: &[OtherType]) -> String {
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    found.join("; ")
}
