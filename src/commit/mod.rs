//! From "these sectors must change" to a medium on which they have.
//!
//! [`WriteSet`] is the change as data: ordered steps of sectors, each with its old and
//! its new content. [`Overlay`] lays a write set over a medium in memory, so that the
//! result can be read and judged before anything is written. A target that is no medium but a file
//! is replaced as a whole ([`replace`]).

mod aftermath;
mod file;
mod outcome;
mod overlay;
mod planner;
mod run;
mod trace;
mod undo;
mod write_set;

pub use file::{FileUndo, digest, replace};
pub use outcome::{CommitError, Committed, Failure, Holds, Operation};
pub use overlay::Overlay;
pub use planner::Planner;
pub use run::{run, run_watched};
pub use trace::{
    ChangeState, FilesNow, Fit, NextUndo, SectorsNow, Spare, Trace, fitting, next_to_undo,
    undone_together,
};
pub use undo::{
    About, AnyUndo, Belonging, IfDifferent, TargetKey, Undo, UndoError, UndoFile, UndoKind,
    UndoSummary,
};
pub use write_set::{Phase, Preserved, SectorChange, Step, WriteSet};

use crate::error::ErrorKind;
use crate::medium::Lba;

/// Why a write set could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The old content of a sector could not be read.
    #[error("cannot read sector {lba}: {source}")]
    Read {
        /// Sector number on the medium.
        lba: Lba,
        /// What the medium reported.
        source: std::io::Error,
    },
    /// A change was asked for outside the ranges a volume declared as its own to change.
    #[error(
        "sector {lba} is outside the FATs, root directory and data area, which are all that may change"
    )]
    OutsideAllowed {
        /// Sector number on the medium.
        lba: Lba,
    },
    /// The medium's size or the volume's position is no whole number of sectors.
    #[error("byte {offset} is not at a sector boundary of {sector_size} bytes")]
    Unaligned {
        /// Byte position on the medium.
        offset: u64,
        /// Logical sector size in bytes.
        sector_size: u32,
    },
}

impl PlanError {
    /// What the error means to whoever has to act on it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            PlanError::Read { .. } => ErrorKind::Io,
            PlanError::OutsideAllowed { .. } => ErrorKind::Refused,
            PlanError::Unaligned { .. } => ErrorKind::Damaged,
        }
    }
}
