//! What the undo file of a medium holds: a write set as members of a tar.
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
//! No clock and no random number goes into it: the same set gives the same bytes.

use super::file::{MANIFEST, Members, UndoFile, other_file, take};
use super::{About, FORMAT, Undo, UndoError};
use crate::bytes::in_parts;
use crate::commit::write_set::runs;
use crate::commit::{Phase, Preserved, SectorChange, Step, WriteSet};
use crate::medium::Lba;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

/// Most steps of a set, and most ranges it may change: some eight for each bank. A bank that is copied has some
/// for each sector of its directory besides, of which a real one has a few dozen.
const MAX_PARTS: usize = 256;
#[derive(Serialize, Deserialize)]
pub(super) struct Manifest {
    format: String,
    pub(super) about: About,
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
