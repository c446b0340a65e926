//! The undo file as an ordinary tar of members with checksums, to be read with ordinary tools. Reading and writing
//! the file itself is for the caller.

use super::UndoError;
use crate::bytes::hex;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;

/// Name of the checksum member.
const SUMS: &str = "SHA256SUMS";
/// Name of the manifest member.
pub(in crate::commit) const MANIFEST: &str = "manifest.json";

/// An undo file as its members, each in pieces, the checksums of the others last.
#[derive(Clone, Debug)]
pub struct UndoFile {
    members: Vec<(String, Vec<Bytes>)>,
    digest: String,
}

impl UndoFile {
    pub(in crate::commit) fn of(mut members: Vec<(String, Vec<Bytes>)>) -> Self {
        let mut sums = String::new();
        for (name, content) in &members {
            let _ = writeln!(sums, "{}  {name}", hex_digest(content));
        }
        let sums = vec![Bytes::from(sums)];
        let digest = hex_digest(&sums);
        members.push((SUMS.to_owned(), sums));
        UndoFile { members, digest }
    }

    /// The SHA-256 digest, in hexadecimal, of its checksums: tells it from every other.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Its length in bytes.
    pub fn size(&self) -> u64 {
        const BLOCK: u64 = 512;
        let members = self.members.iter().map(|(_, content)| {
            let len: usize = content.iter().map(Bytes::len).sum();
            BLOCK.saturating_add((len as u64).next_multiple_of(BLOCK))
        });
        members.sum::<u64>().saturating_add(2 * BLOCK)
    }

    /// Writes it.
    ///
    /// # Errors
    /// Those of `file`; a member that is too long for a tar.
    pub fn write_to(&self, file: impl std::io::Write) -> std::io::Result<()> {
        let mut tar = tar::Builder::new(std::io::BufWriter::with_capacity(WRITTEN_AT_ONCE, file));
        for (name, content) in &self.members {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.iter().map(|piece| piece.len() as u64).sum());
            header.set_mode(0o600);
            let pieces = content.iter().map(|piece| &**piece);
            tar.append_data(&mut header, name, Pieces(&[], pieces))?;
        }
        tar.into_inner()?.flush()
    }

    /// All of it in memory.
    ///
    /// # Errors
    /// [`UndoError::Inconsistent`] where a member is too long for a tar.
    pub fn to_bytes(&self) -> Result<Vec<u8>, UndoError> {
        let mut bytes = Vec::with_capacity(usize::try_from(self.size()).unwrap_or(0));
        self.write_to(&mut bytes)
            .map_err(|error| UndoError::Inconsistent(error.to_string()))?;
        Ok(bytes)
    }
}

/// Bytes that an undo file is written by.
const WRITTEN_AT_ONCE: usize = 256 * 1024;

/// Pieces read one after the other: what is left of the first, and the others.
struct Pieces<'p, I>(&'p [u8], I);

impl<'p, I: Iterator<Item = &'p [u8]>> std::io::Read for Pieces<'p, I> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            if self.0.is_empty() {
                match self.1.next() {
                    Some(next) => self.0 = next,
                    None => break,
                }
            }
            done += self.0.read(rest)?;
        }
        Ok(done)
    }
}

/// The members of an undo file by name.
pub(in crate::commit) type Members = BTreeMap<String, Bytes>;

/// The members of an undo file, whose checksums are right.
pub(super) fn checked_members(bytes: &Bytes) -> Result<Members, UndoError> {
    let members = read_tar(bytes)?;
    check_sums(&members)?;
    Ok(members)
}

/// The SHA-256 digest of pieces as of one text.
pub(in crate::commit) fn hex_digest(pieces: &[impl AsRef<[u8]>]) -> String {
    let mut digest = Sha256::new();
    for piece in pieces {
        digest.update(piece);
    }
    hex(&digest.finalize())
}

/// A file of another kind: what a tar reader says of its header means nothing to anybody.
pub(super) fn other_file() -> UndoError {
    UndoError::NotAnUndoFile(format!("it does not begin with `{MANIFEST}`"))
}

fn read_tar(bytes: &Bytes) -> Result<Members, UndoError> {
    let not_one = |error: std::io::Error| UndoError::NotAnUndoFile(error.to_string());
    let mut members = Members::new();
    let mut archive = tar::Archive::new(&bytes[..]);
    for entry in archive.entries().map_err(not_one)? {
        let entry = entry.map_err(|error| {
            if members.is_empty() {
                other_file()
            } else {
                not_one(error)
            }
        })?;
        // A sparse member takes more room in memory than in the file.
        if !entry.header().entry_type().is_file() {
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            return Err(UndoError::Inconsistent(format!(
                "`{name}` is not a regular file"
            )));
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let at = entry.raw_file_position();
        let end = at.checked_add(entry.size());
        let range = usize::try_from(at)
            .ok()
            .zip(end.and_then(|end| usize::try_from(end).ok()));
        let Some((at, end)) = range.filter(|(_, end)| *end <= bytes.len()) else {
            return Err(UndoError::NotAnUndoFile(format!("`{name}` is cut off")));
        };
        if members.insert(name.clone(), bytes.slice(at..end)).is_some() {
            return Err(UndoError::Inconsistent(format!("`{name}` is there twice")));
        }
    }
    Ok(members)
}

fn check_sums(members: &Members) -> Result<(), UndoError> {
    let sums = members
        .get(SUMS)
        .ok_or_else(|| UndoError::MissingMember(SUMS.to_owned()))?;
    let sums = String::from_utf8_lossy(sums);
    let mut listed = BTreeSet::new();
    for line in sums.lines() {
        let Some((digest, name)) = line.split_once("  ") else {
            return Err(UndoError::Inconsistent(format!("{SUMS}: `{line}`")));
        };
        let content = members
            .get(name)
            .ok_or_else(|| UndoError::MissingMember(name.to_owned()))?;
        if !listed.insert(name) {
            return Err(UndoError::Inconsistent(format!(
                "{SUMS} lists `{name}` twice"
            )));
        }
        if hex_digest(&[content]) != digest {
            return Err(UndoError::Checksum(name.to_owned()));
        }
    }
    if listed.len() + 1 != members.len() {
        return Err(UndoError::Inconsistent(format!(
            "{SUMS} lists {} of {} members",
            listed.len(),
            members.len() - 1
        )));
    }
    Ok(())
}

/// Takes a member out.
pub(in crate::commit) fn take(members: &mut Members, name: &str) -> Result<Bytes, UndoError> {
    members
        .remove(name)
        .ok_or_else(|| UndoError::MissingMember(name.to_owned()))
}
