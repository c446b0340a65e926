//! An undo file of either kind, for a medium or for a file: the format in its manifest tells them apart.

use super::file::{MANIFEST, checked_members, take};
use super::manifest::{self, manifest_at_head};
use super::{About, FORMAT, Undo, UndoError};
use crate::commit::{FileUndo, file};
use bytes::Bytes;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::io::Read;

/// An undo file, whichever kind of target it is for.
#[derive(Clone, Debug)]
pub enum AnyUndo {
    /// For a medium.
    Medium(Undo),
    /// For a file of its own.
    File(FileUndo),
}

impl AnyUndo {
    /// Reads an undo file back, checking every checksum.
    ///
    /// # Errors
    /// Each way the bytes can be something else has its own [`UndoError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, UndoError> {
        Self::from_shared(&Bytes::copy_from_slice(bytes))
    }

    /// The same, where what is read shares the memory of the file.
    ///
    /// # Errors
    /// As [`AnyUndo::from_bytes`].
    pub fn from_shared(bytes: &Bytes) -> Result<Self, UndoError> {
        let mut members = checked_members(bytes)?;
        Ok(match Manifest::parse(&take(&mut members, MANIFEST)?)? {
            Manifest::Medium(manifest) => AnyUndo::Medium(Undo::from_members(manifest, members)?),
            Manifest::File(manifest) => AnyUndo::File(FileUndo::from_members(manifest, members)?),
        })
    }

    /// What it tells of the change.
    pub fn about(&self) -> &About {
        match self {
            AnyUndo::Medium(undo) => &undo.about,
            AnyUndo::File(undo) => &undo.about,
        }
    }

    /// Whether another one puts the same content in the place of the same. Which target each is for, when and by
    /// what command it was made does not matter.
    pub fn does_the_same(&self, other: &AnyUndo) -> bool {
        match (self, other) {
            (AnyUndo::Medium(one), AnyUndo::Medium(other)) => {
                one.set == other.set
                    && one.medium_size == other.medium_size
                    && one.damaged == other.damaged
            }
            (AnyUndo::File(one), AnyUndo::File(other)) => {
                one.old == other.old && one.new == other.new
            }
            _ => false,
        }
    }
}

impl Undo {
    /// Reads an undo file back, checking every checksum.
    ///
    /// # Errors
    /// Each way the bytes can be something else has its own [`UndoError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, UndoError> {
        match AnyUndo::from_bytes(bytes)? {
            AnyUndo::Medium(undo) => Ok(undo),
            AnyUndo::File(_) => Err(UndoError::Format(file::FORMAT.to_owned())),
        }
    }
}

/// What kind of target an undo file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndoKind {
    /// A medium.
    Medium,
    /// A file of its own.
    File,
}

/// What an undo file says of itself, read without its content and without checksums.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UndoSummary {
    /// What kind of target it is for.
    pub kind: UndoKind,
    /// Size of its medium in bytes, or of its file before the change.
    pub size: u64,
    /// Numbers of the partitions that the change is about, as the file has them.
    pub partitions: BTreeSet<u32>,
    /// What it tells of the change.
    pub about: About,
}

impl UndoSummary {
    /// Reads the head of an undo file, whichever kind of target it is for.
    ///
    /// # Errors
    /// [`UndoError::NotAnUndoFile`] where it does not begin as one does, and where it cannot be
    /// read; [`UndoError::Format`], [`UndoError::Inconsistent`].
    pub fn read(file: impl Read) -> Result<Self, UndoError> {
        Ok(match Manifest::parse(&manifest_at_head(file)?)? {
            Manifest::Medium(manifest) => UndoSummary {
                kind: UndoKind::Medium,
                size: manifest.medium_size,
                partitions: manifest.steps.iter().map(|step| step.partition).collect(),
                about: manifest.about,
            },
            Manifest::File(manifest) => UndoSummary {
                kind: UndoKind::File,
                size: manifest.size_before,
                partitions: BTreeSet::new(),
                about: manifest.about,
            },
        })
    }
}

/// The manifest of an undo file.
enum Manifest {
    Medium(manifest::Manifest),
    File(file::Manifest),
}

/// The part of a manifest that every undo file has.
#[derive(Deserialize)]
struct Format {
    format: String,
}

impl Manifest {
    fn parse(json: &[u8]) -> Result<Self, UndoError> {
        let inconsistent =
            |error: serde_json::Error| UndoError::Inconsistent(format!("{MANIFEST}: {error}"));
        let Format { format } = serde_json::from_slice(json).map_err(inconsistent)?;
        match format.as_str() {
            FORMAT => serde_json::from_slice(json).map(Manifest::Medium),
            file::FORMAT => serde_json::from_slice(json).map(Manifest::File),
            _ => return Err(UndoError::Format(format)),
        }
        .map_err(inconsistent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit::digest;
    use crate::commit::file::FORMAT;
    use crate::commit::file::tests::undo;

    #[test]
    fn an_undo_file_comes_back_as_it_was() {
        let bytes = undo().to_bytes().unwrap();
        let AnyUndo::File(again) = AnyUndo::from_bytes(&bytes).unwrap() else {
            panic!("it is for a file");
        };
        assert_eq!(again, undo());
        assert_eq!(AnyUndo::File(again).about(), &undo().about);
    }

    #[test]
    fn what_it_is_for_is_read_from_its_head() {
        let bytes = undo().to_bytes().unwrap();
        let head = &bytes[..1024];
        let summary = UndoSummary::read(head).unwrap();
        assert_eq!(summary.size, 3);
        assert_eq!(summary.about, undo().about);
        assert!(summary.partitions.is_empty());
    }

    #[test]
    fn one_of_a_format_to_come_is_refused_by_its_head_too() {
        let mut bytes = undo().to_bytes().unwrap();
        let at = bytes
            .windows(FORMAT.len())
            .position(|it| it == FORMAT.as_bytes());
        bytes[at.unwrap() + FORMAT.len() - 1] = b'2';
        assert!(UndoSummary::read(&bytes[..1024]).is_err());
        assert!(AnyUndo::from_bytes(&bytes).is_err());
    }

    #[test]
    fn a_damaged_one_is_refused() {
        let bytes = undo().to_bytes().unwrap();
        for at in (0..bytes.len()).filter(|at| bytes[*at] != 0) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            if let Ok(AnyUndo::File(read)) = AnyUndo::from_bytes(&damaged) {
                // A byte of a header that nothing depends on.
                assert_eq!(read, undo(), "byte {at}");
            }
        }
    }

    #[test]
    fn one_made_later_of_the_same_change_does_the_same() {
        let there = AnyUndo::File(undo());
        let mut later = undo();
        later.about = About::default();
        assert!(there.does_the_same(&AnyUndo::File(later)));
        let mut of_another = undo();
        of_another.new = digest(b"another");
        assert!(!there.does_the_same(&AnyUndo::File(of_another)));
    }
}
