//! What became of a commit: done, or how far it came and what the banks hold.

use super::Phase;
use crate::error::ErrorKind;
use crate::medium::Lba;
use std::fmt;
use std::io;
use std::ops::Range;

/// What a commit did.
#[derive(Debug)]
#[must_use = "the change may have left clusters allocated to nothing: `unfinished` says so"]
#[non_exhaustive]
pub struct Committed {
    /// Bytes written, counted as handed to the medium.
    pub bytes_written: u64,
    /// Steps that are on the medium, each ended by a sync.
    pub steps_done: usize,
    /// What went wrong after the last switch was on the medium. Every bank holds the new
    /// content; clusters may be left allocated to nothing.
    pub unfinished: Option<Failure>,
}

/// What a bank reads as, asked of the medium itself after something went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Holds {
    /// The configuration from before.
    Old,
    /// The changed configuration.
    New,
    /// Of several files, some are old and some new.
    Mixed,
    /// A file was being rewritten where it lay: neither old nor new until undone.
    Broken,
    /// The directory could not be read, or is neither.
    Unknown,
}

impl fmt::Display for Holds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Holds::Old => "the old configuration",
            Holds::New => "the new configuration",
            Holds::Mixed => "the new configuration in some files and the old one in others",
            Holds::Broken => "neither the old configuration nor the new one",
            Holds::Unknown => "an unknown configuration",
        })
    }
}

/// What was being done when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Writing sectors.
    Write,
    /// Waiting for the medium to acknowledge them as durable.
    Sync,
    /// Reading them again past the caches.
    ReadBack,
    /// Comparing what was read with what was written.
    Compare,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Write => "write",
            Operation::Sync => "sync",
            Operation::ReadBack => "read back",
            Operation::Compare => "comparison with what was written",
        })
    }
}

/// A write, sync or comparison that failed, and what the banks hold since.
#[derive(Debug)]
#[non_exhaustive]
pub struct Failure {
    /// What was being done.
    pub operation: Operation,
    /// Index of the step, from 0.
    pub step: usize,
    /// Number of steps in the set.
    pub steps: usize,
    /// What the step was for.
    pub phase: Phase,
    /// Partition the step changes.
    pub partition: u32,
    /// First sector concerned; `None` for a sync.
    pub lba: Option<Lba>,
    /// What the medium reported.
    pub source: io::Error,
    /// What each bank of the set reads as now.
    pub holds: Vec<(u32, Holds)>,
    /// Sectors that new content went into when it failed, so that another run may pass over them. Empty
    /// where the failure is none of writing new content, and where other sectors would fare no better: the
    /// medium is gone, or the file system that holds an image is full.
    pub worn: Vec<Range<Lba>>,
}

impl Failure {
    /// The same failure of a run that takes another one back, in the words of that other run:
    /// what the way back has not switched yet is the new configuration.
    #[must_use]
    pub fn seen_from_the_undone(mut self) -> Self {
        for (_, holds) in &mut self.holds {
            *holds = match *holds {
                Holds::Old => Holds::New,
                Holds::New => Holds::Old,
                other => other,
            };
        }
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "step {} of {} ({}) failed on partition {}: {}",
            self.step + 1,
            self.steps,
            self.phase.as_str(),
            self.partition,
            self.operation
        )?;
        if let Some(lba) = self.lba {
            write!(f, " at sector {lba}")?;
        }
        write!(f, ": {}", self.source)?;
        if self.holds.is_empty() {
            f.write_str("; these steps change no configuration")?;
        }
        for (partition, holds) in &self.holds {
            write!(f, "; the bank on partition {partition} holds {holds}")?;
        }
        Ok(())
    }
}

/// Why a commit did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// A sector no longer holds what the plan was made from. Nothing was written.
    #[error("sector {lba} changed after the plan was made; nothing was written")]
    Changed {
        /// Sector number on the medium.
        lba: Lba,
    },
    /// The last look before the first write failed. Nothing was written.
    #[error("cannot read sector {lba} before writing: {source}; nothing was written")]
    Check {
        /// Sector number on the medium.
        lba: Lba,
        /// What the medium reported.
        source: io::Error,
    },
    /// The medium has lost its name to another file, or altogether. Nothing was written.
    #[error("{source}; nothing was written to either")]
    Replaced {
        /// What is there instead.
        source: io::Error,
    },
    /// The same, found when all was written: the change is in the file that was opened.
    #[error(
        "{source}; the change is in the file that was opened, and nothing was written to the one that has its name"
    )]
    ReplacedMeanwhile {
        /// What is there instead.
        source: io::Error,
    },
    /// Stopped by request before the first switch: every bank holds what it held.
    #[error(
        "interrupted before the switch, after {steps_done} of {steps} steps; every bank still holds the configuration that it had"
    )]
    Interrupted {
        /// Steps already on the medium.
        steps_done: usize,
        /// Number of steps in the set.
        steps: usize,
    },
    /// The medium failed.
    #[error("{0}")]
    Failed(Box<Failure>),
}

impl CommitError {
    /// The same as [`Failure::seen_from_the_undone`]; what changed no configuration is told alike of both runs.
    #[must_use]
    pub fn seen_from_the_undone(self) -> Self {
        match self {
            CommitError::Failed(failure) => {
                CommitError::Failed(Box::new(failure.seen_from_the_undone()))
            }
            other => other,
        }
    }

    /// What the error means to whoever has to act on it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            CommitError::Changed { .. }
            | CommitError::Replaced { .. }
            | CommitError::Interrupted { .. } => ErrorKind::Refused,
            CommitError::Check { .. }
            | CommitError::ReplacedMeanwhile { .. }
            | CommitError::Failed(_) => ErrorKind::Io,
        }
    }
}
