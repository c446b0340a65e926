//! A target that is a file of its own, replaced as a whole, and the way back.
//!
//! The undo file of such a change holds the old content, and the digest of the new one to tell the
//! file by:
//!
//! ```text
//! manifest.json      what was changed, and the digests of the file before and after
//! file.old           its old content
//! SHA256SUMS         for both; `sha256sum -c` reads it
//! ```

use super::undo_file::{MANIFEST, UndoFile, checked_members, hex_digest, manifest_at_head, take};
use super::{Undo, UndoError, UndoSummary};
use crate::medium::{MediumError, OutputFile, WholeFile};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The format of such an undo file; a reader refuses any other.
const FORMAT: &str = "bootbank.undo-file/1";
const OLD: &str = "file.old";

/// Gives a claimed file new content, by way of `new`, an [`OutputFile::create_like`] of it: at every cut its name leads to the old one or to the new one.
///
/// # Errors
/// As [`WholeFile::replace`]: the file then holds its old content.
pub fn replace(file: &WholeFile, new: OutputFile, content: &[u8]) -> Result<(), MediumError> {
    file.replace(new, content)
}

/// The digest that tells a file, SHA-256 in hexadecimal.
pub fn digest(content: &[u8]) -> String {
    hex_digest(&[content])
}

/// What was, or was about to be, done to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileUndo {
    /// Its old content.
    pub old: Vec<u8>,
    /// The [`digest`] of its new content.
    pub new: String,
    /// What to show a person: path, what was changed. Never decisive.
    pub about: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    format: String,
    about: BTreeMap<String, String>,
    size_before: u64,
    sha256_before: String,
    sha256_after: String,
}

impl UndoSummary {
    /// Reads the head of an undo file, whichever kind of target it is for.
    ///
    /// # Errors
    /// [`UndoError::NotAnUndoFile`] where it does not begin as one does, and where it cannot be
    /// read; [`UndoError::Format`], [`UndoError::Inconsistent`].
    pub fn read(file: impl std::io::Read) -> Result<Self, UndoError> {
        let json = manifest_at_head(file)?;
        match serde_json::from_slice::<Manifest>(&json) {
            Ok(manifest) if manifest.format == FORMAT => Ok(UndoSummary {
                medium_size: manifest.size_before,
                partitions: BTreeSet::new(),
                about: manifest.about,
            }),
            _ => UndoSummary::of_medium(&json),
        }
    }
}

/// The part of a manifest that every undo file has.
#[derive(Deserialize)]
struct Format {
    format: String,
}

impl FileUndo {
    /// The undo file, byte for byte the same for the same change.
    ///
    /// # Errors
    /// [`UndoError::Inconsistent`] where the content is too long for a tar.
    pub fn to_bytes(&self) -> Result<Vec<u8>, UndoError> {
        self.to_file()?.to_bytes()
    }

    /// The same, to be written piece by piece.
    ///
    /// # Errors
    /// As [`FileUndo::to_bytes`].
    pub fn to_file(&self) -> Result<UndoFile, UndoError> {
        let manifest = Manifest {
            format: FORMAT.to_owned(),
            about: self.about.clone(),
            size_before: self.old.len() as u64,
            sha256_before: digest(&self.old),
            sha256_after: self.new.clone(),
        };
        let json = serde_json::to_vec_pretty(&manifest)
            .map_err(|error| UndoError::Inconsistent(error.to_string()))?;
        Ok(UndoFile::of(vec![
            (MANIFEST.to_owned(), vec![json.into()]),
            (OLD.to_owned(), vec![self.old.clone().into()]),
        ]))
    }

    /// What is to be put in place of the content a file has now; `None` where it has its old content
    /// already. With `force` whatever it holds.
    ///
    /// # Errors
    /// [`UndoError::FileChanged`] where the file holds neither.
    pub fn plan(&self, now: &[u8], force: bool) -> Result<Option<&[u8]>, UndoError> {
        if now == self.old {
            return Ok(None);
        }
        match digest(now) == self.new || force {
            true => Ok(Some(&self.old)),
            false => Err(UndoError::FileChanged),
        }
    }
}

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
    /// As [`Undo::from_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, UndoError> {
        let inconsistent =
            |error: serde_json::Error| UndoError::Inconsistent(format!("{MANIFEST}: {error}"));
        let mut members = checked_members(bytes)?;
        let json = take(&mut members, MANIFEST)?;
        let Format { format } = serde_json::from_slice(&json).map_err(inconsistent)?;
        if format != FORMAT {
            drop(members);
            return Undo::from_bytes(bytes).map(AnyUndo::Medium);
        }
        let manifest: Manifest = serde_json::from_slice(&json).map_err(inconsistent)?;
        let old = take(&mut members, OLD)?;
        if digest(&old) != manifest.sha256_before {
            return Err(UndoError::Checksum(OLD.to_owned()));
        }
        Ok(AnyUndo::File(FileUndo {
            old,
            new: manifest.sha256_after,
            about: manifest.about,
        }))
    }

    /// What to show a person.
    pub fn about(&self) -> &BTreeMap<String, String> {
        match self {
            AnyUndo::Medium(undo) => &undo.about,
            AnyUndo::File(undo) => &undo.about,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn undo() -> FileUndo {
        FileUndo {
            old: b"old".to_vec(),
            new: digest(b"new"),
            about: BTreeMap::from([("target".to_owned(), "state.tgz".to_owned())]),
        }
    }

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
        assert_eq!(summary.medium_size, 3);
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
    fn what_is_neither_old_nor_new_is_left_alone() {
        let undo = undo();
        assert_eq!(undo.plan(b"old", false).unwrap(), None);
        assert_eq!(undo.plan(b"new", false).unwrap(), Some(&b"old"[..]));
        assert!(matches!(
            undo.plan(b"other", false),
            Err(UndoError::FileChanged)
        ));
        assert_eq!(undo.plan(b"other", true).unwrap(), Some(&b"old"[..]));
    }
}
