//! The way back: from what a write set changed to the medium as it was.
//!
//! The way back plays the steps backwards and keeps to the same rule as the way there: what
//! a directory entry refers to is never changed before the entry points elsewhere. It starts
//! from any mix of before and after that a power cut can leave, of the run or of an undo, and
//! writes only what differs.
//!
//! A medium is taken for the right one by its size and by what the sectors of the set hold,
//! word by word: each aligned 8-byte word must be one that the sector had before, between or
//! after the steps. Names, serials and UUIDs are not asked, because clones share them.

mod about;
mod any;
mod belonging;
mod error;
mod file;
mod manifest;

pub use about::About;
pub use any::{AnyUndo, UndoKind, UndoSummary};
pub use belonging::{Belonging, TargetKey};
pub use error::UndoError;
pub use file::UndoFile;
pub(super) use file::{MANIFEST, Members, hex_digest, take};

use super::write_set::{is_mix_of, runs};
use super::{Overlay, Phase, Preserved, SectorChange, Step, WriteSet};
use crate::bytes::in_parts;
use crate::medium::{Lba, ReadAt};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a medium that are read at once, a multiple of every sector size.
const READ_AT_ONCE: usize = 1 << 20;

/// The undo file's format; a reader refuses any other.
const FORMAT: &str = "bootbank.undo/1";

/// A write set that was, or was about to be, carried out, with what identifies its medium.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undo {
    /// The set that was carried out.
    pub set: WriteSet,
    /// Size of its medium in bytes.
    pub medium_size: u64,
    /// Files that were damaged before the change, by partition number and name: they need not be
    /// sound once it is undone.
    pub damaged: BTreeSet<(u32, String)>,
    /// What it tells of the change. Never decisive for what is written.
    pub about: About,
}

/// What an undo does where the target does not hold what the change left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfDifferent {
    /// It is refused: something else was written since.
    Refuse,
    /// What is there is overwritten, whatever it is.
    Overwrite,
}

impl Undo {
    /// Every step must begin with what the one before left in the same sector.
    fn check_chain(&self) -> Result<(), UndoError> {
        let mut current: BTreeMap<Lba, &[u8]> = BTreeMap::new();
        for (&lba, change) in self.set.steps().iter().flat_map(|step| &step.sectors) {
            let inside = self.set.offset_of(lba).is_some_and(|offset| {
                offset.saturating_add(change.old.len() as u64) <= self.medium_size
            });
            if !inside {
                return Err(UndoError::Inconsistent(format!(
                    "sector {lba} is past the end of the medium"
                )));
            }
            if current
                .insert(lba, &change.new)
                .is_some_and(|before| *before != *change.old)
            {
                return Err(UndoError::Inconsistent(format!(
                    "the steps disagree about sector {lba}"
                )));
            }
        }
        Ok(())
    }

    /// Where a step and the content that was kept name the same sector, they must agree about what
    /// was in it.
    fn check_kept(&self) -> Result<(), UndoError> {
        let net = self.set.net_changes();
        let kept = self.set.preserved().values().flatten();
        for (lba, old) in kept {
            if net.get(lba).is_some_and(|(first, _)| **first != **old) {
                return Err(UndoError::Inconsistent(format!(
                    "the steps disagree about sector {lba} with what was kept of it"
                )));
            }
        }
        Ok(())
    }

    /// The same with each sector counted to the partition that `partition_of` names, whatever
    /// numbers the file has.
    ///
    /// # Errors
    /// [`UndoError::OutsideVolumes`] for a sector it names none for,
    /// [`UndoError::SeveralPartitions`].
    pub fn on_partitions(
        &self,
        partition_of: &dyn Fn(Lba) -> Option<u32>,
    ) -> Result<Undo, UndoError> {
        let number = |lba: Lba| partition_of(lba).ok_or(UndoError::OutsideVolumes { lba });
        let mut steps = Vec::new();
        let mut renamed = BTreeMap::new();
        for (index, step) in self.set.steps().iter().enumerate() {
            let mut step = step.clone();
            let mut numbers = BTreeSet::new();
            for &lba in step.sectors.keys() {
                numbers.insert(number(lba)?);
            }
            if numbers.len() > 1 {
                return Err(UndoError::SeveralPartitions { step: index });
            }
            let there = numbers.first().copied().unwrap_or(step.partition);
            renamed.insert(step.partition, there);
            step.partition = there;
            steps.push(step);
        }
        let mut preserved = Preserved::new();
        for (&lba, old) in self.set.preserved().values().flatten() {
            let kept = preserved.entry(number(lba)?).or_default();
            kept.insert(lba, old.clone());
        }
        let damaged = self.damaged.iter().map(|(partition, name)| {
            let there = renamed.get(partition).unwrap_or(partition);
            (*there, name.clone())
        });
        let allowed = self.set.allowed().to_vec();
        Ok(Undo {
            set: WriteSet::from_parts(self.set.sector_size(), allowed, steps, preserved)?,
            medium_size: self.medium_size,
            damaged: damaged.collect(),
            about: self.about.clone(),
        })
    }

    /// The steps that put `medium` back. Empty where it already is.
    ///
    /// With [`IfDifferent::Overwrite`] the content of the medium is not compared; its size still is.
    ///
    /// # Errors
    /// [`UndoError::OtherSize`] and [`UndoError::Mismatch`] where it is not the medium the
    /// file was made for, or was changed since.
    pub fn plan(&self, medium: &dyn ReadAt, different: IfDifferent) -> Result<WriteSet, UndoError> {
        if medium.size() != self.medium_size {
            return Err(UndoError::OtherSize {
                expected: self.medium_size,
                actual: medium.size(),
            });
        }
        let mut current = self.read_all(medium)?;
        if different == IfDifferent::Refuse {
            self.check_words(&current)?;
            self.check_preserved(&current)?;
        }
        // Where the content is not compared it is not known which steps were begun.
        let begun = match different {
            IfDifferent::Overwrite => self.set.steps().len(),
            IfDifferent::Refuse => self.last_step_begun(&current),
        };
        let mut steps = Vec::new();
        let mut kept = self.set.preserved().clone();
        for step in self.set.steps()[..begun].iter().rev() {
            if let Some(kept) = kept.remove(&step.partition) {
                let kept = kept.iter().map(|(&lba, old)| (lba, old));
                let why = "old content of the replaced files".to_owned();
                // Files that were overwritten are still in these clusters.
                let phase = if self.is_in_place(step.partition) {
                    Phase::Overwrite
                } else {
                    Phase::Data
                };
                let partition = step.partition;
                steps.extend(put_back(&mut current, kept, phase, partition, why));
            }
            let old = step.sectors.iter().map(|(&lba, change)| (lba, &change.old));
            let why = format!("undo: {}", step.why);
            let phase = step.phase.reversed();
            steps.extend(put_back(&mut current, old, phase, step.partition, why));
        }
        let allowed = self.set.allowed().to_vec();
        let sector_size = self.set.sector_size();
        Ok(WriteSet::from_parts(
            sector_size,
            allowed,
            steps,
            Preserved::new(),
        )?)
    }

    /// Whether a medium holds what the change put there, in every sector.
    pub(in crate::commit) fn is_there(&self, medium: &dyn ReadAt) -> bool {
        let mut net = self.set.net_changes().into_iter();
        net.all(|(lba, (_, new))| {
            let now = (self.set.offset_of(lba)).map(|at| medium.read_vec(at, new.len()));
            matches!(now, Some(Ok(now)) if now == *new)
        })
    }

    /// Whether a medium holds what a cut of the change, or of its undo, can leave where every sync kept its
    /// promise: the steps up to one are there, those behind it are not. What was overwritten where it lies
    /// counts neither way: its undo puts it back first.
    pub fn may_be_cut(&self, medium: &dyn ReadAt) -> bool {
        let Ok(now) = self.read_all(medium) else {
            return false;
        };
        let differs = |lba: &Lba, content: &Bytes| now.get(lba) != Some(content);
        let net = self.set.net_changes().into_iter();
        let counts = |lba: &Lba| !self.overwrites(*lba);
        let before = net.filter(|(lba, (old, _))| counts(lba) && differs(lba, old));
        let mut differing: BTreeSet<Lba> = before.map(|(lba, _)| lba).collect();
        let mut steps = self.set.steps().iter();
        let is_cut = |differing: &BTreeSet<Lba>, step: &Step| {
            differing.iter().all(|lba| {
                let images = step.sectors.get(lba).map(|it| [&*it.old, &*it.new]);
                images.is_some_and(|images| now.get(lba).is_some_and(|now| is_mix_of(now, &images)))
            })
        };
        steps.any(|step| {
            let found = is_cut(&differing, step);
            for (&lba, change) in step.sectors.iter().filter(|(lba, _)| counts(lba)) {
                if differs(&lba, &change.new) {
                    differing.insert(lba)
                } else {
                    differing.remove(&lba)
                };
            }
            found || differing.is_empty()
        })
    }

    /// `medium` with the sectors of the change, and the old content of the files it replaced, as
    /// they were before it. Whatever else was written since shows through.
    pub fn before<'m>(&self, medium: &'m dyn ReadAt) -> Overlay<'m> {
        let mut sectors: BTreeMap<Lba, Bytes> = BTreeMap::new();
        for kept in self.set.preserved().values() {
            sectors.extend(kept.iter().map(|(&lba, old)| (lba, old.clone())));
        }
        let net = self.set.net_changes().into_iter();
        sectors.extend(net.map(|(lba, (old, _))| (lba, old.clone())));
        Overlay::from_sectors(medium, self.set.sector_size(), sectors)
    }

    /// `medium` with the sectors of the change as they were right after it.
    pub fn after<'m>(&self, medium: &'m dyn ReadAt) -> Overlay<'m> {
        Overlay::new(medium, &self.set)
    }

    fn is_in_place(&self, partition: u32) -> bool {
        let mut steps = self.set.steps().iter();
        steps.any(|step| step.partition == partition && step.phase == Phase::Overwrite)
    }

    /// Whether the change put new content over a sector of the file that is being replaced.
    pub fn overwrites(&self, lba: Lba) -> bool {
        let mut steps = self.set.steps().iter();
        steps.any(|step| step.phase == Phase::Overwrite && step.sectors.contains_key(&lba))
    }

    /// One past the last step of which anything can be seen on the medium: the ones behind it
    /// need no undoing. A step can be seen where a word is none that the sector had before it.
    fn last_step_begun(&self, current: &BTreeMap<Lba, Bytes>) -> usize {
        let mut images: BTreeMap<Lba, Vec<&[u8]>> = BTreeMap::new();
        let mut begun = 0;
        for (index, step) in self.set.steps().iter().enumerate() {
            for (&lba, change) in &step.sectors {
                let before = images.entry(lba).or_insert_with(|| vec![&change.old]);
                if !current.get(&lba).is_some_and(|now| is_mix_of(now, before)) {
                    begun = index + 1;
                }
                before.push(&change.new);
            }
        }
        begun
    }

    /// What the sectors of the set hold on `medium`. Where that is what the set knows of them, it shares the
    /// memory of the set: after a copy of a bank these are hundreds of megabytes.
    fn read_all(&self, medium: &dyn ReadAt) -> Result<BTreeMap<Lba, Bytes>, UndoError> {
        let sector_size = self.set.sector_size() as usize;
        let net = self.set.net_changes();
        let kept = self.set.preserved().values().flatten();
        let kept: BTreeMap<Lba, &Bytes> = kept.map(|(&lba, old)| (lba, old)).collect();
        let shared = |lba: Lba, now: Bytes| {
            let changed = net.get(&lba).into_iter();
            let mut known = changed.flat_map(|(old, new)| [*new, *old]);
            let known = known.find(|known| **known == now);
            let known = known.or_else(|| kept.get(&lba).copied().filter(|known| **known == now));
            (lba, known.cloned().unwrap_or(now))
        };
        let lbas: BTreeSet<Lba> = net.keys().chain(kept.keys()).copied().collect();
        let mut current = BTreeMap::new();
        for (first, count) in runs(lbas.iter()) {
            let lbas: Vec<Lba> = Lba::each(first..first.saturating_add(count)).collect();
            for lbas in lbas.chunks(READ_AT_ONCE / sector_size) {
                let Some(&first) = lbas.first() else { continue };
                let mut read = vec![0; lbas.len() * sector_size];
                let offset = self.set.offset_of(first).unwrap_or(u64::MAX);
                medium
                    .read_at(&mut read, offset)
                    .map_err(|source| UndoError::Read { lba: first, source })?;
                let sectors = in_parts(read.into(), sector_size);
                current.extend(lbas.iter().zip(sectors).map(|(lba, now)| shared(*lba, now)));
            }
        }
        Ok(current)
    }

    /// Each word of each changed sector must be one the sector had at some time of the run.
    fn check_words(&self, current: &BTreeMap<Lba, Bytes>) -> Result<(), UndoError> {
        let mut images: BTreeMap<Lba, Vec<&[u8]>> = BTreeMap::new();
        for (&lba, change) in self.set.steps().iter().flat_map(|step| &step.sectors) {
            let known = images.entry(lba).or_insert_with(|| vec![&change.old]);
            known.push(&change.new);
        }
        let known = |lba: &Lba| match (current.get(lba), images.get(lba)) {
            (Some(now), Some(images)) => is_mix_of(now, images),
            _ => false,
        };
        mismatch(images.keys().copied().filter(|lba| !known(lba)).collect())
    }

    /// The old files' content may differ from what was kept only where their clusters have been
    /// given up: once the release is on the medium as a whole, and no entry refers to the old
    /// files. In every other state a cut can leave they hold it still. Where they do not, the
    /// clusters belong to something else by now, even if its chain and its entry look the same.
    fn check_preserved(&self, current: &BTreeMap<Lba, Bytes>) -> Result<(), UndoError> {
        let holds =
            |lba: &Lba, content: &[u8]| current.get(lba).is_some_and(|now| **now == *content);
        let steps = self.set.steps();
        // What a step overwrites was compared word by word.
        let written: BTreeSet<Lba> = steps
            .iter()
            .flat_map(|step| step.sectors.keys())
            .copied()
            .collect();
        let mut odd = Vec::new();
        for (partition, kept) in self.set.preserved() {
            let here = || steps.iter().filter(|step| step.partition == *partition);
            let still_old = here()
                .filter(|step| step.phase.is_commitment())
                .all(|step| step.sectors.iter().all(|(lba, it)| holds(lba, &it.old)));
            let given_up = here()
                .filter(|step| step.phase == Phase::Release)
                .all(|step| step.sectors.iter().all(|(lba, it)| holds(lba, &it.new)));
            if still_old || !given_up {
                let differing = kept
                    .iter()
                    .filter(|(lba, old)| !written.contains(lba) && !holds(lba, old));
                odd.extend(differing.map(|(&lba, _)| lba));
            }
        }
        mismatch(odd)
    }
}

fn mismatch(odd: Vec<Lba>) -> Result<(), UndoError> {
    if odd.is_empty() {
        return Ok(());
    }
    Err(UndoError::Mismatch {
        count: odd.len(),
        first: odd.into_iter().take(8).collect(),
    })
}

/// A step that gives the sectors these contents, or none where they have them.
fn put_back<'a>(
    current: &mut BTreeMap<Lba, Bytes>,
    target: impl Iterator<Item = (Lba, &'a Bytes)>,
    phase: Phase,
    partition: u32,
    why: String,
) -> Option<Step> {
    let mut sectors = BTreeMap::new();
    for (lba, new) in target {
        let Some(now) = current.get_mut(&lba) else {
            continue;
        };
        if now != new {
            let old = std::mem::replace(now, new.clone());
            let new = now.clone();
            sectors.insert(lba, SectorChange { old, new });
        }
    }
    (!sectors.is_empty()).then_some(Step {
        phase,
        partition,
        why,
        sectors,
    })
}
