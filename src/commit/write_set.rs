//! A change to a medium as data: ordered steps of sectors, old content and new.
//!
//! A write set is made by a [`Planner`](super::Planner), which reads the old content of each sector it is
//! told to change and knows what earlier steps will have made of it. Nothing here writes.

use super::PlanError;
use crate::medium::Lba;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// What a step does for the files it belongs to. The order of the variants is the order in
/// which the steps of one volume are carried out; a copy of a bank goes through it several times.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Phase {
    /// Frees clusters that an interrupted run left allocated to nothing.
    Reclaim,
    /// Puts new content into clusters that are free.
    Data,
    /// Puts new content over the clusters of the file itself, where there is no room for a
    /// second copy. From its first write until the last step is done the file is neither old
    /// nor new.
    Overwrite,
    /// Chains those clusters in every copy of the FAT; nothing refers to them yet.
    Allocate,
    /// Writes the entry of a new file into a directory as a deleted one: every reader skips it.
    Prepare,
    /// Changes a directory entry within one aligned 8-byte word: points it at the new chain, or
    /// makes a prepared one count, or deletes one. The commit point.
    Switch,
    /// Sets the size of a file whose clusters were overwritten.
    Resize,
    /// Frees the old chain in every copy of the FAT.
    Release,
    /// Clears the marks of a volume that was not unmounted: a byte of the boot sector, and the
    /// entry of cluster 1 in every copy of the FAT.
    Mark,
}

impl Phase {
    /// Whether a step of this phase changes what a reader of the volume finds: nothing before
    /// the first of them does, and nothing after the last.
    pub fn is_commitment(self) -> bool {
        matches!(self, Phase::Switch | Phase::Overwrite | Phase::Resize)
    }

    /// The phase of the step that takes this one back.
    pub(crate) fn reversed(self) -> Self {
        match self {
            Phase::Allocate | Phase::Reclaim => Phase::Release,
            Phase::Release => Phase::Allocate,
            Phase::Data
            | Phase::Overwrite
            | Phase::Prepare
            | Phase::Switch
            | Phase::Resize
            | Phase::Mark => self,
        }
    }

    /// The word used for the phase in messages and in the undo file.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Reclaim => "reclaim",
            Phase::Data => "data",
            Phase::Overwrite => "overwrite",
            Phase::Allocate => "allocate",
            Phase::Prepare => "prepare",
            Phase::Switch => "switch",
            Phase::Resize => "resize",
            Phase::Release => "release",
            Phase::Mark => "mark",
        }
    }
}

/// One sector before and after a step. Sectors that were read together share their memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectorChange {
    /// Content the sector has when the step begins.
    pub old: Bytes,
    /// Content the sector has when the step is done.
    pub new: Bytes,
}

/// Sectors that may be written in any order among themselves, followed by one sync.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// What the step does.
    pub phase: Phase,
    /// Number of the partition it changes.
    pub partition: u32,
    /// What for, in words: `new content of state.tgz`.
    pub why: String,
    /// By sector number on the medium. Sectors that would not change are not in here.
    pub sectors: BTreeMap<Lba, SectorChange>,
}

/// Old content of the sectors a plan sets free or overwrites, by partition and sector number.
pub type Preserved = BTreeMap<u32, BTreeMap<Lba, Bytes>>;

/// Ordered steps, and the old content of what they free. The default is the set that changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteSet {
    pub(super) sector_size: u32,
    pub(super) allowed: Vec<Range<Lba>>,
    pub(super) steps: Vec<Step>,
    pub(super) preserved: Preserved,
}

impl WriteSet {
    /// A write set from its parts, as an undo file holds them. `allowed` are ranges of sector
    /// numbers; a step with a sector outside them is refused.
    ///
    /// # Errors
    /// [`PlanError::OutsideAllowed`] names the first such sector.
    pub(super) fn from_parts(
        sector_size: u32,
        allowed: Vec<Range<Lba>>,
        steps: Vec<Step>,
        preserved: Preserved,
    ) -> Result<Self, PlanError> {
        let set = WriteSet {
            sector_size,
            allowed,
            steps,
            preserved,
        };
        let written = set.steps.iter().flat_map(|step| step.sectors.keys());
        for &lba in written.chain(set.preserved.values().flat_map(BTreeMap::keys)) {
            set.check_allowed(lba)?;
        }
        Ok(set)
    }

    /// Logical sector size of the medium in bytes; every sector in here is of this length.
    pub fn sector_size(&self) -> u32 {
        self.sector_size
    }

    /// Ranges of sector numbers a step may change.
    pub fn allowed(&self) -> &[Range<Lba>] {
        &self.allowed
    }

    /// The steps, first to last.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Old content of sectors that hold a replaced file: its clusters are free once the steps
    /// are done and may be reused, so only this copy is sure to last.
    pub fn preserved(&self) -> &Preserved {
        &self.preserved
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Byte position of a sector on the medium; `None` past what 64 bits can count.
    pub fn offset_of(&self, lba: Lba) -> Option<u64> {
        lba.offset(self.sector_size)
    }

    /// Number of bytes the steps write.
    pub fn bytes_to_write(&self) -> u64 {
        let sectors: usize = self.steps.iter().map(|step| step.sectors.len()).sum();
        sectors as u64 * u64::from(self.sector_size)
    }

    /// Content each changed sector has before the first step and after the last one.
    pub fn net_changes(&self) -> BTreeMap<Lba, (&Bytes, &Bytes)> {
        let mut net: BTreeMap<Lba, (&Bytes, &Bytes)> = BTreeMap::new();
        for (&lba, change) in self.steps.iter().flat_map(|step| &step.sectors) {
            net.entry(lba)
                .and_modify(|(_, new)| *new = &change.new)
                .or_insert((&change.old, &change.new));
        }
        net
    }

    /// This set, and `next` after it, which was planned for the medium as this one leaves it.
    #[must_use]
    pub fn then(mut self, next: WriteSet) -> WriteSet {
        let written = |set: &WriteSet| -> BTreeSet<Lba> {
            let sectors = set.steps.iter().flat_map(|step| step.sectors.keys());
            sectors.copied().collect()
        };
        let (before, after) = (written(&self), written(&next));
        // What a later step writes over is kept by that step; what an earlier one wrote is nothing
        // that was there before.
        for kept in self.preserved.values_mut() {
            kept.retain(|lba, _| !after.contains(lba));
        }
        for (partition, mut kept) in next.preserved {
            kept.retain(|lba, _| !before.contains(lba));
            self.preserved.entry(partition).or_default().extend(kept);
        }
        self.preserved.retain(|_, kept| !kept.is_empty());
        for range in next.allowed {
            if !self.allowed.contains(&range) {
                self.allowed.push(range);
            }
        }
        self.steps.extend(next.steps);
        self
    }

    pub(super) fn check_allowed(&self, lba: Lba) -> Result<(), PlanError> {
        if self.allowed.iter().any(|range| range.contains(&lba)) {
            Ok(())
        } else {
            Err(PlanError::OutsideAllowed { lba })
        }
    }
}

/// Sector numbers in ascending order as runs of (first, count).
pub(super) fn runs<'a>(lbas: impl Iterator<Item = &'a Lba>) -> Vec<(Lba, u64)> {
    let mut runs: Vec<(Lba, u64)> = Vec::new();
    for &lba in lbas {
        match runs.last_mut() {
            Some((first, count)) if first.checked_add(*count) == Some(lba) => *count += 1,
            _ => runs.push((lba, 1)),
        }
    }
    runs
}

/// A tear leaves whole words of this many bytes.
const WORD: usize = 8;

/// Whether each word of a sector is that of one of the images.
pub(super) fn is_mix_of(sector: &[u8], images: &[&[u8]]) -> bool {
    sector.chunks(WORD).enumerate().all(|(index, word)| {
        let at = index * WORD;
        let mut images = images.iter();
        images.any(|image| image.get(at..at + word.len()) == Some(word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_has_one_word_in_messages_and_in_the_undo_file() {
        for phase in [
            Phase::Reclaim,
            Phase::Data,
            Phase::Overwrite,
            Phase::Allocate,
            Phase::Prepare,
            Phase::Switch,
            Phase::Resize,
            Phase::Release,
            Phase::Mark,
        ] {
            assert_eq!(serde_json::to_value(phase).unwrap(), phase.as_str());
        }
    }

    #[test]
    fn neighbouring_sectors_are_one_run() {
        let lbas = [3, 4, 5, 7, 9, 10, u64::MAX].map(Lba);
        let expected = [(3, 3), (7, 1), (9, 2), (u64::MAX, 1)];
        assert_eq!(
            runs(lbas.iter()),
            expected.map(|(lba, count)| (Lba(lba), count))
        );
    }
}
