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

use super::undo::{MANIFEST, Members, hex_digest, take};
use super::{About, ChangeState, FilesNow, IfDifferent, SectorsNow, UndoError, UndoFile};
use crate::medium::{MediumError, OutputFile, WholeFile};
use serde::{Deserialize, Serialize};

/// The format of such an undo file.
pub(super) const FORMAT: &str = "bootbank.undo-file/1";
const OLD: &str = "file.old";

/// Gives a claimed file new content, by way of `new`, an [`OutputFile::create_like`] of it: at every cut its name leads to the old one or to the new one.
///
/// # Errors
/// As [`WholeFile::replace`].
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
    /// What it tells of the change. Never decisive for what is written.
    pub about: About,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Manifest {
    format: String,
    pub(super) about: About,
    pub(super) size_before: u64,
    sha256_before: String,
    sha256_after: String,
}

impl FileUndo {
    /// How the file looks, with this content now, beside the change that this takes back.
    pub fn standing(&self, now: &[u8]) -> ChangeState {
        let is_undone = matches!(self.plan(now, IfDifferent::Refuse), Ok(None));
        let (sectors, files) = match digest(now) == self.new {
            _ if is_undone => (SectorsNow::Before, FilesNow::Before),
            true => (SectorsNow::After, FilesNow::After),
            false => (SectorsNow::Other, FilesNow::Other),
        };
        ChangeState {
            sectors,
            files,
            trace: self.trace(now),
            ..ChangeState::default()
        }
    }

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

    /// Reads the members of an undo file back, whose checksums are right.
    pub(super) fn from_members(
        manifest: Manifest,
        mut members: Members,
    ) -> Result<Self, UndoError> {
        let old = take(&mut members, OLD)?;
        if digest(&old) != manifest.sha256_before {
            return Err(UndoError::Checksum(OLD.to_owned()));
        }
        Ok(FileUndo {
            old: old.to_vec(),
            new: manifest.sha256_after,
            about: manifest.about,
        })
    }

    /// What is to be put in place of the content a file has now; `None` where it has its old content
    /// already. With [`IfDifferent::Overwrite`] whatever it holds.
    ///
    /// # Errors
    /// [`UndoError::FileChanged`] where the file holds neither.
    pub fn plan(&self, now: &[u8], different: IfDifferent) -> Result<Option<&[u8]>, UndoError> {
        if now == self.old {
            return Ok(None);
        }
        if digest(now) == self.new || different == IfDifferent::Overwrite {
            return Ok(Some(&self.old));
        }
        Err(UndoError::FileChanged)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn undo() -> FileUndo {
        FileUndo {
            old: b"old".to_vec(),
            new: digest(b"new"),
            about: About {
                target: Some("state.tgz".into()),
                ..About::default()
            },
        }
    }

    #[test]
    fn what_is_neither_old_nor_new_is_left_alone() {
        let undo = undo();
        assert_eq!(undo.plan(b"old", IfDifferent::Refuse).unwrap(), None);
        assert_eq!(
            undo.plan(b"new", IfDifferent::Refuse).unwrap(),
            Some(&b"old"[..])
        );
        assert!(matches!(
            undo.plan(b"other", IfDifferent::Refuse),
            Err(UndoError::FileChanged)
        ));
        assert_eq!(
            undo.plan(b"other", IfDifferent::Overwrite).unwrap(),
            Some(&b"old"[..])
        );
    }
}
