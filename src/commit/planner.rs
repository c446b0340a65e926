//! From bytes at offsets to a [`WriteSet`]: steps of whole sectors, each with its old content.

use super::{Phase, PlanError, SectorChange, Step, WriteSet};
use crate::bytes::in_parts;
use crate::medium::{Lba, ReadAt};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// Makes a [`WriteSet`] over a medium, step by step.
pub struct Planner<'m> {
    medium: &'m dyn ReadAt,
    set: WriteSet,
    after: BTreeMap<Lba, Bytes>,
    avoided: Vec<Range<Lba>>,
}

impl fmt::Debug for Planner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Planner")
            .field("set", &self.set)
            .field("avoided", &self.avoided)
            .finish_non_exhaustive()
    }
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
        let before = self.read_so_far(&lbas)?;
        let mut after = before.clone();
        let within = usize::try_from(offset % size).unwrap_or(0);
        after[within..within + bytes.len()].copy_from_slice(bytes);
        self.change_each(lbas, before, in_parts(after.into(), self.sector_len()))
    }

    /// Puts whole sectors at byte `offset` of the medium as part of the current step. Nothing of them is
    /// copied: the plan shares the pieces. The old content is read in one go.
    ///
    /// # Errors
    /// As [`Planner::put`]; [`PlanError::Unaligned`] where the offset or a piece is not of whole sectors.
    pub fn put_sectors(&mut self, offset: u64, pieces: &[Bytes]) -> Result<(), PlanError> {
        let mut end = offset;
        for piece in pieces {
            self.lba_at(end)?;
            end = end.saturating_add(piece.len() as u64);
        }
        self.lba_at(end)?;
        if end == offset {
            return Ok(());
        }
        let lbas = self.lbas_of(offset, end.saturating_sub(offset))?;
        let before = self.read_so_far(&lbas)?;
        let len = self.sector_len();
        let new = pieces.iter().cloned();
        self.change_each(lbas, before, new.flat_map(|piece| in_parts(piece, len)))
    }

    /// Changes each of `lbas` from what is in `before` to what `new` yields.
    fn change_each(
        &mut self,
        lbas: Range<Lba>,
        before: Vec<u8>,
        new: impl Iterator<Item = Bytes>,
    ) -> Result<(), PlanError> {
        let pairs = in_parts(before.into(), self.sector_len()).zip(new);
        for (lba, (old, new)) in Lba::each(lbas).zip(pairs) {
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
        let old = in_parts(self.read(&lbas)?.into(), self.sector_len());
        let kept = self.set.preserved.entry(partition).or_default();
        kept.extend(Lba::each(lbas).zip(old));
        Ok(())
    }

    /// The finished set.
    pub fn finish(mut self) -> WriteSet {
        self.set.steps.retain(|step| !step.sectors.is_empty());
        self.set
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

    /// The sectors `lbas` as the steps so far leave them.
    fn read_so_far(&self, lbas: &Range<Lba>) -> Result<Vec<u8>, PlanError> {
        let mut sectors = self.read(lbas)?;
        let len = self.sector_len();
        for (lba, sector) in Lba::each(lbas.clone()).zip(sectors.chunks_exact_mut(len)) {
            if let Some(changed) = self.after.get(&lba) {
                sector.copy_from_slice(changed);
            }
        }
        Ok(sectors)
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn whole_sectors_are_put_without_a_copy() {
        let medium = vec![1; 4096];
        let mut planner = Planner::new(&medium, 512);
        planner.allow(0..2048).unwrap();
        planner.begin(Phase::Data, 1, "first");
        let (content, last) = (Bytes::from(vec![7; 1024]), Bytes::from(vec![8; 512]));
        planner.put_sectors(512, &[content.clone(), last]).unwrap();
        planner.put_sectors(0, &[]).unwrap();
        for (offset, piece) in [(100, vec![9; 512]), (0, vec![9; 100])] {
            let put = planner.put_sectors(offset, &[piece.into()]);
            assert!(matches!(put, Err(PlanError::Unaligned { .. })), "{put:?}");
        }
        let outside = planner.put_sectors(1536, std::slice::from_ref(&content));
        let lba = Lba(4);
        assert!(matches!(outside, Err(PlanError::OutsideAllowed { lba: it }) if it == lba));

        let set = planner.finish();
        let sectors: Vec<_> = set.steps()[0].sectors.iter().collect();
        let new: Vec<&[u8]> = sectors.iter().map(|(_, change)| &change.new[..]).collect();
        assert_eq!(new, [&[7; 512][..], &[7; 512], &[8; 512]]);
        assert_eq!(*sectors[0].0, Lba(1));
        assert_eq!(new[1].as_ptr(), content[512..].as_ptr());
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
