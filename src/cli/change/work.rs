//! What a writing command is to do to a target.

use crate::edit::plan_file::Expect;
use crate::edit::{Edit, Harm};
use crate::stick::{BankFile, IfBroken};

/// What is to be done to a target.
pub enum Work {
    /// Change the configuration, where what is expected of it is so.
    Edits {
        /// What must be so before anything is changed.
        expect: Expect,
        /// What to change.
        edits: Vec<Edit>,
        /// What there is to warn of, whatever comes of the edits.
        warnings: Vec<String>,
    },
    /// Put this `state.tgz` in place of the banks' own.
    Import(Vec<u8>),
    /// Give files of the banks themselves this content.
    Files(Vec<BankFile>),
    /// Let this bank boot next.
    UseBank {
        /// Number of its partition.
        partition: u32,
        /// What is done where the host would not start from it.
        broken: IfBroken,
    },
    /// Make one bank a copy of another.
    CopyBank {
        /// Number of the partition of the original.
        from: u32,
        /// Number of the partition of the copy.
        to: u32,
    },
    /// Clear the marks of an unclean unmount.
    MarkClean,
    /// Put the state of one bank into another.
    CopyState {
        /// Number of the partition it comes from.
        from: u32,
        /// Number of the partition it goes to.
        to: u32,
    },
    /// Give a bank a state without any configuration.
    ResetState {
        /// Number of its partition.
        partition: u32,
    },
    /// Free what interrupted runs left allocated to nothing.
    Reclaim,
}

impl Work {
    /// Whether it can be done to one bank and not to another.
    pub(super) fn goes_by_bank(&self) -> bool {
        matches!(self, Work::Edits { .. } | Work::Import(_) | Work::Files(_))
    }

    /// What there is to warn of, whatever comes of it.
    pub(super) fn warnings(&self) -> &[String] {
        match self {
            Work::Edits { warnings, .. } => warnings,
            _ => &[],
        }
    }

    /// Whether it claims to give every passed-through device back.
    pub(super) fn gives_all_back(&self) -> bool {
        matches!(self, Work::Edits { edits, .. } if edits.iter().any(Edit::gives_all_back))
    }

    /// Whether this harm is what was asked for.
    pub(super) fn insists_on(&self, harm: Harm) -> bool {
        match self {
            Work::UseBank { broken, .. } => {
                harm == Harm::NoLongerStarts && *broken == IfBroken::Use
            }
            Work::ResetState { .. } => harm == Harm::DefaultSettings,
            _ => false,
        }
    }

    /// Changes the configuration, whatever it is.
    pub fn edits(edits: Vec<Edit>) -> Self {
        Work::Edits {
            expect: Expect::default(),
            edits,
            warnings: Vec::new(),
        }
    }
}
