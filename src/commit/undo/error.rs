//! Why an undo file cannot be used, or not on this medium.

use super::FORMAT;
use crate::commit::PlanError;
use crate::error::ErrorKind;
use crate::medium::Lba;

/// Why an undo file cannot be used, or not on this medium.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UndoError {
    /// The file is no tar, or not a whole one.
    #[error("not an undo file: {0}")]
    NotAnUndoFile(String),
    /// A member is missing.
    #[error("the undo file has no member `{0}`")]
    MissingMember(String),
    /// A member's content does not match its checksum.
    #[error("the undo file is damaged: the checksum of `{0}` is wrong")]
    Checksum(String),
    /// The manifest is of another version.
    #[error("the undo file has format `{0}`; this version reads `{FORMAT}`")]
    Format(String),
    /// The manifest contradicts itself or the other members.
    #[error("the undo file is damaged: {0}")]
    Inconsistent(String),
    /// The change has more parts than an undo file may have, so that none is written.
    #[error("the change has {count} {what}, more than the {limit} that an undo file may have")]
    TooManyParts {
        /// Of what: `steps` or `ranges`.
        what: &'static str,
        /// How many.
        count: usize,
        /// The most there may be.
        limit: usize,
    },
    /// The medium is of another size.
    #[error(
        "the undo file is for another medium: one of {expected} bytes, and this one has {actual}"
    )]
    OtherSize {
        /// Size in the manifest.
        expected: u64,
        /// Size of the medium given.
        actual: u64,
    },
    /// A sector to put back lies outside what the volumes of the medium declare as theirs to change.
    #[error(
        "the undo file would write sector {lba}, outside the FATs, root directories and data areas of this medium's banks: it is for another medium, or damaged"
    )]
    OutsideVolumes {
        /// The first such sector.
        lba: Lba,
    },
    /// One step changes sectors of several partitions of this medium.
    #[error(
        "step {step} of the undo file changes sectors of several partitions of this medium, which no change does: it is for another medium, or damaged"
    )]
    SeveralPartitions {
        /// Index of the step, from 0.
        step: usize,
    },
    /// Sectors hold something that is neither from before nor from after the change.
    #[error(
        "{} neither the old nor the new content (the first is sector {}): this is another medium, or it was changed since",
        sectors_hold(*count),
        first.first().copied().unwrap_or_default()
    )]
    Mismatch {
        /// How many.
        count: usize,
        /// The first few of them.
        first: Vec<Lba>,
    },
    /// A file of the change holds something that is from neither before nor after.
    #[error("it holds neither the old nor the new content")]
    FileChanged,
    /// Several files of the bank that boots next would be put back one after the other.
    #[error(
        "its files would be put back one after the other, and the bank boots next: a cut in between could keep the host from starting"
    )]
    InPieces,
    /// The change was about no file, or none of them is on this medium.
    #[error("no file of the change is here to be put back")]
    NoFiles,
    /// A sector could not be read.
    #[error("cannot read sector {lba}: {source}")]
    Read {
        /// Sector number on the medium.
        lba: Lba,
        /// What the medium reported.
        source: std::io::Error,
    },
    /// A step reaches outside the ranges the file itself declares.
    #[error("the undo file is damaged: {0}")]
    Plan(#[from] PlanError),
}

fn sectors_hold(count: usize) -> String {
    match count {
        1 => "1 sector to put back holds".to_owned(),
        many => format!("{many} sectors to put back hold"),
    }
}

impl UndoError {
    /// What the error means to whoever has to act on it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            UndoError::NotAnUndoFile(_)
            | UndoError::MissingMember(_)
            | UndoError::Checksum(_)
            | UndoError::Inconsistent(_)
            | UndoError::Plan(_) => ErrorKind::Damaged,
            UndoError::Format(_) => ErrorKind::Unsupported,
            UndoError::OtherSize { .. }
            | UndoError::OutsideVolumes { .. }
            | UndoError::SeveralPartitions { .. }
            | UndoError::Mismatch { .. }
            | UndoError::FileChanged
            | UndoError::InPieces
            | UndoError::NoFiles
            | UndoError::TooManyParts { .. } => ErrorKind::Refused,
            UndoError::Read { .. } => ErrorKind::Io,
        }
    }
}
