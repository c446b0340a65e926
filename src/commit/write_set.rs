//! A change to a medium as data: ordered steps of sectors, old content and new.
//!
//! A write set is made by a [`Planner`], which reads the old content of each sector it is
//! told to change and knows what earlier steps will have made of it. Nothing here writes.

use super::{Overlay, PlanError};
use crate::medium::{Lba, ReadAt};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// What a step does for the files it belongs to. The order of the variants is the order in
/// which the steps of one volume are carried out.
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
    sector_size: u32,
    allowed: Vec<Range<Lba>>,
    steps: Vec<Step>,
    preserved: Preserved,
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

    fn check_allowed(&self, lba: Lba) -> Result<(), PlanError> {
        if self.allowed.iter().any(|range| range.contains(&lba)) {
            Ok(())
        } else {
            Err(PlanError::OutsideAllowed { lba })
        }
    }
}

/// Makes a [`WriteSet`] over a medium, step by step.
pub struct Planner<'m> {
    medium: &'m dyn ReadAt,
    set: WriteSet,
    after: BTreeMap<Lba, Bytes>,
    avoided: Vec<Range<Lba>>,
}

impl<'m> Planner<'m> {
    /// An empty plan for `medium`, whose logical sectors are `sector_size` bytes.
    pub fn new(medium: &'m dyn ReadAt, sector_size: u32) -> Self {
        Planner {
            medium,
            set: WriteSet {
                sector_size,
                allowed: Vec::new(),
                steps: Vec::new(),
                preserved: BTreeMap::new(),
            },
            after: BTreeMap::new(),
            avoided: Vec::new(),
        }
    }

    /// The same, and no new content goes into these sectors.
    #[must_use]
    pub fn avoiding(mut self, sectors: &[Range<Lba>]) -> Self {
        self.avoided.extend_from_slice(sectors);
        self
    }

    /// Byte ranges of the medium that no new content goes into.
    pub(crate) fn avoided(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.avoided.iter().map(|sectors| {
            let offset = |lba| self.set.offset_of(lba).unwrap_or(u64::MAX);
            offset(sectors.start)..offset(sectors.end)
        })
    }

    /// Declares `bytes` (positions on the medium, whole sectors) as a range steps may change.
    /// Declaring a range again changes nothing.
    ///
    /// # Errors
    /// [`PlanError::Unaligned`] where the range is not made of whole sectors.
    pub fn allow(&mut self, bytes: Range<u64>) -> Result<(), PlanError> {
        let range = self.lba_at(bytes.start)?..self.lba_at(bytes.end)?;
        if !self.set.allowed.contains(&range) {
            self.set.allowed.push(range);
        }
        Ok(())
    }

    /// Begins the next step. Changes made from here on belong to it. A step that turns out to
    /// change nothing is left out of the finished set.
    pub fn begin(&mut self, phase: Phase, partition: u32, why: impl Into<String>) {
        self.set.steps.push(Step {
            phase,
            partition,
            why: why.into(),
            sectors: BTreeMap::new(),
        });
    }

    /// Puts `bytes` at byte `offset` of the medium as part of the current step; what else is in
    /// the sectors touched stays as earlier steps leave it. The old content is read in one go.
    ///
    /// # Errors
    /// A sector outside the declared ranges, or one whose old content cannot be read.
    pub fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<(), PlanError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let size = u64::from(self.set.sector_size);
        let lbas = self.lbas_of(offset, bytes.len() as u64)?;
        let mut before = self.read(&lbas)?;
        self.lay_over(&mut before, &lbas);
        let mut after = before.clone();
        let within = usize::try_from(offset % size).unwrap_or(0);
        after[within..within + bytes.len()].copy_from_slice(bytes);
        let pairs = self.sectors(before).zip(self.sectors(after));
        let changes: Vec<_> = Lba::each(lbas).zip(pairs).collect();
        for (lba, (old, new)) in changes {
            self.change(lba, old, new)?;
        }
        Ok(())
    }

    /// Keeps the old content of the sectors that hold `bytes` (positions on the medium): what
    /// the plan sets free. They belong to the partition of the current step. Read in one go.
    ///
    /// # Errors
    /// As [`Planner::put`].
    pub fn preserve(&mut self, bytes: Range<u64>) -> Result<(), PlanError> {
        let lbas = self.lbas_of(bytes.start, bytes.end.saturating_sub(bytes.start))?;
        let partition = self.set.steps.last().map_or(0, |step| step.partition);
        let old = self.sectors(self.read(&lbas)?);
        let kept = self.set.preserved.entry(partition).or_default();
        kept.extend(Lba::each(lbas).zip(old));
        Ok(())
    }

    /// The medium as the steps so far leave it.
    pub fn so_far(&self) -> Overlay<'m> {
        Overlay::from_sectors(self.medium, self.set.sector_size, self.after.clone())
    }

    /// The finished set.
    pub fn finish(mut self) -> WriteSet {
        self.set.steps.retain(|step| !step.sectors.is_empty());
        self.set
    }

    /// The sectors in bytes that were read together: parts of one piece of memory.
    fn sectors(&self, bytes: Vec<u8>) -> impl Iterator<Item = Bytes> + use<> {
        let (len, bytes) = (self.sector_len(), Bytes::from(bytes));
        let starts = (0..bytes.len()).step_by(len);
        starts.map(move |start| bytes.slice(start..start + len))
    }

    fn sector_len(&self) -> usize {
        self.set.sector_size as usize
    }

    fn lba_at(&self, offset: u64) -> Result<Lba, PlanError> {
        let sector_size = self.set.sector_size;
        Lba::beginning_at(offset, sector_size).ok_or(PlanError::Unaligned {
            offset,
            sector_size,
        })
    }

    /// The sectors that hold `len` bytes from byte `offset` on, all of them allowed to change.
    fn lbas_of(&self, offset: u64, len: u64) -> Result<Range<Lba>, PlanError> {
        let bytes = offset..offset.saturating_add(len);
        let lbas = Lba::covering(bytes, self.set.sector_size);
        for lba in Lba::each(lbas.clone()) {
            self.set.check_allowed(lba)?;
        }
        Ok(lbas)
    }

    /// The sectors as they are on the medium.
    fn read(&self, lbas: &Range<Lba>) -> Result<Vec<u8>, PlanError> {
        let lba = lbas.start;
        let outside = PlanError::OutsideAllowed { lba };
        let count = Lba::count(lbas);
        let bytes = usize::try_from(count)
            .ok()
            .and_then(|count| count.checked_mul(self.sector_len()));
        let (Some(offset), Some(bytes)) = (self.set.offset_of(lba), bytes) else {
            return Err(outside);
        };
        let mut sectors = vec![0; bytes];
        self.medium
            .read_at(&mut sectors, offset)
            .map_err(|source| PlanError::Read { lba, source })?;
        Ok(sectors)
    }

    /// Puts what the steps so far change in the sectors `lbas` over their content.
    fn lay_over(&self, sectors: &mut [u8], lbas: &Range<Lba>) {
        let len = self.sector_len();
        for (lba, sector) in Lba::each(lbas.clone()).zip(sectors.chunks_exact_mut(len)) {
            if let Some(changed) = self.after.get(&lba) {
                sector.copy_from_slice(changed);
            }
        }
    }

    fn change(&mut self, lba: Lba, before: Bytes, new: Bytes) -> Result<(), PlanError> {
        let Some(step) = self.set.steps.last_mut() else {
            return Err(PlanError::OutsideAllowed { lba });
        };
        match step.sectors.get_mut(&lba) {
            Some(change) => change.new = new.clone(),
            None if before == new => return Ok(()),
            None => {
                let change = SectorChange {
                    old: before,
                    new: new.clone(),
                };
                step.sectors.insert(lba, change);
            }
        }
        if step
            .sectors
            .get(&lba)
            .is_some_and(|change| change.old == change.new)
        {
            step.sectors.remove(&lba);
        }
        self.after.insert(lba, new);
        Ok(())
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
    fn what_is_to_be_avoided_is_told_in_bytes() {
        let medium = vec![0; 4096];
        let sectors = [Lba(2)..Lba(4), Lba(u64::MAX)..Lba(u64::MAX)];
        let planner = Planner::new(&medium, 512).avoiding(&sectors);
        let avoided: Vec<Range<u64>> = planner.avoided().collect();
        assert_eq!(avoided, [1024..2048, u64::MAX..u64::MAX]);
    }

    #[test]
    fn a_step_starts_from_what_earlier_steps_leave() {
        let medium: Vec<u8> = (0..8u8).flat_map(|sector| [sector; 512]).collect();
        let mut planner = Planner::new(&medium, 512);
        planner.allow(512..2048).unwrap();
        planner.allow(512..2048).unwrap();
        planner.begin(Phase::Data, 1, "first");
        planner.put(1000, &[9; 100]).unwrap();
        planner.begin(Phase::Switch, 1, "second");
        planner.put(1024, &[8; 512]).unwrap();
        planner.begin(Phase::Release, 1, "nothing");
        planner.put(1536, &[3; 512]).unwrap();
        let set = planner.finish();

        assert_eq!(set.allowed(), std::slice::from_ref(&(Lba(1)..Lba(4))));
        let changed = |step: &Step| step.sectors.keys().copied().collect::<Vec<_>>();
        let steps: Vec<_> = set.steps().iter().map(changed).collect();
        assert_eq!(steps, [vec![Lba(1), Lba(2)], vec![Lba(2)]]);
        let between = &set.steps()[1].sectors[&Lba(2)].old;
        assert_eq!(between[..76], [9; 76]);
        assert_eq!(between[76..], [2; 512 - 76]);
        let (old, new) = set.net_changes()[&Lba(2)];
        assert_eq!((&old[..], &new[..]), (&[2; 512][..], &[8; 512][..]));
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

    #[test]
    fn nothing_outside_the_declared_ranges_can_be_put_or_kept() {
        let medium = vec![0; 4096];
        let mut planner = Planner::new(&medium, 512);
        planner.allow(512..1024).unwrap();
        planner.begin(Phase::Data, 1, "first");
        for outside in [0, 511, 1024, 4095, u64::MAX - 1] {
            let put = planner.put(outside, &[1]);
            assert!(
                matches!(put, Err(PlanError::OutsideAllowed { .. })),
                "{outside}"
            );
            assert!(planner.preserve(outside..outside + 1).is_err(), "{outside}");
        }
        let straddling = planner.put(1023, &[1, 1]);
        assert!(matches!(
            straddling,
            Err(PlanError::OutsideAllowed { lba: Lba(2) })
        ));
        assert!(
            planner.finish().is_empty(),
            "a refused change leaves nothing behind"
        );
    }
}
