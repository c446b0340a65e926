//! The undo file: a write set as bytes.
//!
//! The file is an ordinary tar, to be read with ordinary tools:
//!
//! ```text
//! manifest.json      what the medium is, the steps, and which sectors each changes
//! step-0.old         their old content, one sector after the other, in the manifest's order
//! step-0.new         their new content
//! ...
//! preserved-5.old    old content of the files replaced on partition 5
//! SHA256SUMS         for all of the above; `sha256sum -c` reads it
//! ```
//!
//! No clock and no random number goes into it: the same set gives the same bytes. This module
//! turns a set into bytes and bytes into a set; reading and writing the file itself is for
//! the caller.

use super::undo::FORMAT;
use super::write_set::runs;
use super::{Phase, Preserved, SectorChange, Step, Undo, UndoError, WriteSet};
use crate::bytes::{hex, in_parts};
use crate::medium::Lba;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};

/// Name of the checksum member.
const SUMS: &str = "SHA256SUMS";
/// Most steps of a set, and most ranges it may change: some eight for each bank. A bank that is copied has some
/// for each sector of its directory besides, of which a real one has a few dozen.
const MAX_PARTS: usize = 256;
/// Name of the manifest member.
pub(super) const MANIFEST: &str = "manifest.json";

#[derive(Serialize, Deserialize)]
pub(super) struct Manifest {
    format: String,
    pub(super) about: BTreeMap<String, String>,
    pub(super) medium_size: u64,
    sector_size: u32,
    /// Ranges of sectors the steps may change, as [first, end).
    allowed: Vec<(Lba, Lba)>,
    pub(super) steps: Vec<ManifestStep>,
    /// By partition: runs of sectors in `preserved-N.old`, as [first, count].
    preserved: BTreeMap<u32, Vec<(Lba, u64)>>,
    /// Files that were damaged before the change, by partition number and name.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    damaged: BTreeSet<(u32, String)>,
}

/// The most bytes of a manifest that are read to show what a file is.
const LARGEST_MANIFEST: u64 = 64 << 20;

/// The manifest of an undo file of either kind, which is its first member.
pub(super) fn manifest_at_head(file: impl std::io::Read) -> Result<Vec<u8>, UndoError> {
    let not_one = |error: std::io::Error| UndoError::NotAnUndoFile(error.to_string());
    let mut archive = tar::Archive::new(file);
    let first = archive.entries().map_err(not_one)?.next();
    let first = first.transpose().map_err(|_| other_file())?;
    let manifest = first.filter(|it| it.path_bytes() == MANIFEST.as_bytes());
    let Some(manifest) = manifest.filter(|it| it.header().entry_type().is_file()) else {
        return Err(other_file());
    };
    let mut json = Vec::new();
    let mut manifest = manifest.take(LARGEST_MANIFEST);
    manifest.read_to_end(&mut json).map_err(not_one)?;
    Ok(json)
}

#[derive(Serialize, Deserialize)]
pub(super) struct ManifestStep {
    phase: Phase,
    pub(super) partition: u32,
    why: String,
    /// Runs of sectors, as [first, count].
    sectors: Vec<(Lba, u64)>,
}

impl Undo {
    /// The undo file, byte for byte the same for the same set.
    ///
    /// # Errors
    /// [`UndoError::Inconsistent`] where a member is too long for a tar.
    pub fn to_bytes(&self) -> Result<Vec<u8>, UndoError> {
        self.to_file()?.to_bytes()
    }

    /// The same, to be written piece by piece. It shares the memory of this set.
    ///
    /// # Errors
    /// As [`Undo::to_bytes`]; [`UndoError::TooManyParts`].
    pub fn to_file(&self) -> Result<UndoFile, UndoError> {
        let parts = [
            ("steps", self.set.steps().len()),
            ("ranges", self.set.allowed().len()),
        ];
        if let Some((what, count)) = parts.into_iter().find(|(_, count)| *count > MAX_PARTS) {
            return Err(UndoError::TooManyParts {
                what,
                count,
                limit: MAX_PARTS,
            });
        }
        let mut members = vec![(MANIFEST.to_owned(), vec![self.manifest()?.into()])];
        for (index, step) in self.set.steps().iter().enumerate() {
            let changes = step.sectors.values();
            let old = changes.clone().map(|change| change.old.clone());
            let new = changes.map(|change| change.new.clone());
            members.push((format!("step-{index}.old"), old.collect()));
            members.push((format!("step-{index}.new"), new.collect()));
        }
        for (partition, kept) in self.set.preserved() {
            let content = kept.values().cloned().collect();
            members.push((format!("preserved-{partition}.old"), content));
        }
        Ok(UndoFile::of(members))
    }

    fn manifest(&self) -> Result<Vec<u8>, UndoError> {
        let steps = self.set.steps().iter().map(|step| ManifestStep {
            phase: step.phase,
            partition: step.partition,
            why: step.why.clone(),
            sectors: runs(step.sectors.keys()),
        });
        let preserved = self.set.preserved().iter();
        let allowed = self.set.allowed().iter();
        let manifest = Manifest {
            format: FORMAT.to_owned(),
            about: self.about.clone(),
            medium_size: self.medium_size,
            sector_size: self.set.sector_size(),
            allowed: allowed.map(|range| (range.start, range.end)).collect(),
            steps: steps.collect(),
            preserved: preserved
                .map(|(&partition, kept)| (partition, runs(kept.keys())))
                .collect(),
            damaged: self.damaged.clone(),
        };
        serde_json::to_vec_pretty(&manifest)
            .map_err(|error| UndoError::Inconsistent(error.to_string()))
    }

    /// Reads the members of an undo file back, whose checksums are right.
    pub(super) fn from_members(
        manifest: Manifest,
        mut members: Members,
    ) -> Result<Self, UndoError> {
        if !manifest.sector_size.is_power_of_two() || !(512..=4096).contains(&manifest.sector_size)
        {
            return Err(UndoError::Inconsistent(format!(
                "sector size {}",
                manifest.sector_size
            )));
        }
        for (what, count) in [
            ("steps", manifest.steps.len()),
            ("ranges", manifest.allowed.len()),
        ] {
            if count > MAX_PARTS {
                return Err(UndoError::Inconsistent(format!(
                    "there are {count} {what}, more than the {MAX_PARTS} allowed"
                )));
            }
        }
        let sector_size = manifest.sector_size as usize;
        let mut steps = Vec::new();
        for (index, step) in manifest.steps.into_iter().enumerate() {
            let old = take(&mut members, &format!("step-{index}.old"))?;
            let new = take(&mut members, &format!("step-{index}.new"))?;
            let old = sectors(&step.sectors, &old, sector_size)?;
            let mut new = sectors(&step.sectors, &new, sector_size)?;
            let changes = old.into_iter().filter_map(|(lba, old)| {
                let new = new.remove(&lba)?;
                Some((lba, SectorChange { old, new }))
            });
            steps.push(Step {
                phase: step.phase,
                partition: step.partition,
                why: step.why,
                sectors: changes.collect(),
            });
        }
        let mut preserved = Preserved::new();
        for (partition, runs) in manifest.preserved {
            let content = take(&mut members, &format!("preserved-{partition}.old"))?;
            preserved.insert(partition, sectors(&runs, &content, sector_size)?);
        }
        let allowed = manifest.allowed.iter().map(|&(first, end)| first..end);
        let allowed = allowed.collect();
        let set = WriteSet::from_parts(manifest.sector_size, allowed, steps, preserved)?;
        let undo = Undo {
            set,
            medium_size: manifest.medium_size,
            damaged: manifest.damaged,
            about: manifest.about,
        };
        undo.check_chain()?;
        undo.check_kept()?;
        Ok(undo)
    }
}

/// An undo file as its members, each in pieces, the checksums of the others last.
#[derive(Clone, Debug)]
pub struct UndoFile {
    members: Vec<(String, Vec<Bytes>)>,
    digest: String,
}

impl UndoFile {
    pub(super) fn of(mut members: Vec<(String, Vec<Bytes>)>) -> Self {
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
pub(super) type Members = BTreeMap<String, Bytes>;

/// The members of an undo file, whose checksums are right.
pub(super) fn checked_members(bytes: &Bytes) -> Result<Members, UndoError> {
    let members = read_tar(bytes)?;
    check_sums(&members)?;
    Ok(members)
}

/// Hands the bytes of a member out to the sectors of its runs.
fn sectors(
    runs: &[(Lba, u64)],
    bytes: &Bytes,
    sector_size: usize,
) -> Result<BTreeMap<Lba, Bytes>, UndoError> {
    let held = bytes.len() / sector_size;
    let mut named: u64 = 0;
    for (_, count) in runs {
        named = named.saturating_add(*count);
    }
    if named != held as u64 || !bytes.len().is_multiple_of(sector_size) {
        return Err(UndoError::Inconsistent(format!(
            "it lists {named} sectors but holds {} bytes of them",
            bytes.len()
        )));
    }
    let lbas = runs
        .iter()
        .flat_map(|&(first, count)| Lba::each(first..first.saturating_add(count)));
    let sectors = in_parts(bytes.clone(), sector_size);
    let map: BTreeMap<Lba, Bytes> = lbas.zip(sectors).collect();
    if map.len() != held {
        return Err(UndoError::Inconsistent(
            "a step names a sector twice".to_owned(),
        ));
    }
    Ok(map)
}

/// The SHA-256 digest of pieces as of one text.
pub(super) fn hex_digest(pieces: &[impl AsRef<[u8]>]) -> String {
    let mut digest = Sha256::new();
    for piece in pieces {
        digest.update(piece);
    }
    hex(&digest.finalize())
}

/// A file of another kind: what a tar reader says of its header means nothing to anybody.
fn other_file() -> UndoError {
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
pub(super) fn take(members: &mut Members, name: &str) -> Result<Bytes, UndoError> {
    members
        .remove(name)
        .ok_or_else(|| UndoError::MissingMember(name.to_owned()))
}
