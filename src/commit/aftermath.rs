//! What a medium holds after a write, a sync or a comparison failed: only reads.
//!
//! Each bank is told by the sectors that decide what it holds, read again past the caches of this machine.

use super::outcome::{Failure, Holds, Operation};
use super::write_set::{is_mix_of, runs};
use super::{Phase, SectorChange, Step, WriteSet};
use crate::medium::{Lba, MediumError, WriteAt};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

/// A failure before it is known where in the set it happened.
pub(super) struct Fault {
    operation: Operation,
    /// The first sector concerned; none for a sync.
    lba: Option<Lba>,
    /// How many sectors from there on are concerned.
    sectors: u64,
    source: io::Error,
}

impl Fault {
    pub(super) fn new(operation: Operation, lba: Option<Lba>, source: io::Error) -> Self {
        Fault {
            operation,
            lba,
            sectors: 1,
            source,
        }
    }

    /// The same, of that many sectors.
    pub(super) fn of(self, sectors: u64) -> Self {
        Fault { sectors, ..self }
    }

    /// The failure it is in the step of this index, and what the banks hold since.
    pub(super) fn at(
        self,
        medium: &dyn WriteAt,
        set: &WriteSet,
        index: usize,
        step: &Step,
    ) -> Failure {
        Failure {
            operation: self.operation,
            step: index,
            steps: set.steps().len(),
            phase: step.phase,
            partition: step.partition,
            lba: self.lba,
            holds: what_banks_hold(medium, set, index),
            worn: worn(step, &self),
            source: self.source,
        }
    }
}

/// The sectors that another run may pass over: those that were written or compared when it failed, and all
/// of the step where it was the sync. None where the fault is not known to be that of some sectors: other
/// sectors of a medium that is gone, full, or lost on the way to it would fare no better.
fn worn(step: &Step, fault: &Fault) -> Vec<Range<Lba>> {
    let is_of_sectors =
        fault.operation == Operation::Compare || MediumError::is_of_sectors(&fault.source);
    if step.phase != Phase::Data || !is_of_sectors {
        return Vec::new();
    }
    match fault.lba {
        Some(lba) => vec![lba..lba.saturating_add(fault.sectors)],
        None => {
            let runs = runs(step.sectors.keys()).into_iter();
            runs.map(|(first, count)| first..first.saturating_add(count))
                .collect()
        }
    }
}

/// What each sector goes through.
struct History<'s> {
    /// The steps that change it, by their place in the set, and how.
    changes: BTreeMap<Lba, Vec<(usize, &'s SectorChange)>>,
    /// The step that failed: none behind it has begun.
    failed: usize,
}

impl<'s> History<'s> {
    fn of(set: &'s WriteSet, failed: usize) -> Self {
        let mut changes: BTreeMap<Lba, Vec<(usize, &SectorChange)>> = BTreeMap::new();
        for (index, step) in set.steps().iter().enumerate() {
            for (&lba, change) in &step.sectors {
                changes.entry(lba).or_default().push((index, change));
            }
        }
        History { changes, failed }
    }

    /// How far a sector has come, by what it holds; `None` where that is nothing that the steps made of it.
    /// Each is on the medium before the next one begins, so no more than one is made in part.
    fn stage(&self, lba: Lba, now: &[u8]) -> Option<Stage> {
        let changes = self.changes.get(&lba)?;
        let mut begun = changes
            .iter()
            .take_while(|(index, _)| *index <= self.failed);
        let made = begun.clone().filter(|(_, change)| change.new == now).last();
        if let Some((last, _)) = made {
            return Some(Stage::Made(last + 1));
        }
        if changes.first().is_some_and(|(_, change)| change.old == now) {
            return Some(Stage::Made(0));
        }
        let within = begun.find(|(_, change)| is_mix_of(now, &[&change.old, &change.new]));
        within.map(|(index, _)| Stage::Within(*index))
    }
}

/// How far a sector has come.
enum Stage {
    /// The steps up to this one, without it, are made.
    Made(usize),
    /// Those before this one are made, and this one in part.
    Within(usize),
}

/// Reads the sectors of each bank again that decide what it holds, and says what that is.
fn what_banks_hold(medium: &dyn WriteAt, set: &WriteSet, failed: usize) -> Vec<(u32, Holds)> {
    let history = History::of(set, failed);
    let mut holds: Vec<(u32, Holds)> = Vec::new();
    for (index, step) in set.steps().iter().enumerate() {
        if !step.phase.is_commitment() {
            continue;
        }
        let here = step_holds(medium, set, (index, step), &history);
        match holds.iter_mut().find(|(part, _)| *part == step.partition) {
            None => holds.push((step.partition, here)),
            Some((_, known)) if *known == here => {}
            Some((_, known)) if step.phase == Phase::Switch => *known = known.merge(here),
            Some((_, known)) => *known = Holds::Broken,
        }
    }
    for (partition, holds) in &mut holds {
        if !is_as_planned(medium, set, *partition, &history) {
            *holds = Holds::Unknown;
        }
    }
    holds
}

/// What the sectors of one step say. Steps before and after it may change the same ones: none of those before a
/// switch changes what a reader finds for it, and none after it takes it back.
fn step_holds(
    medium: &dyn WriteAt,
    set: &WriteSet,
    (index, step): (usize, &Step),
    history: &History<'_>,
) -> Holds {
    let mut old = true;
    let mut new = true;
    for (&lba, change) in &step.sectors {
        let Some(now) = read_again(medium, set, lba, change) else {
            return Holds::Unknown;
        };
        let (is_before, is_behind) = match history.stage(lba, &now) {
            Some(Stage::Made(next)) => (next <= index, next > index),
            Some(Stage::Within(in_part)) => (in_part < index, in_part > index),
            None => (false, false),
        };
        old &= is_before;
        new &= is_behind;
    }
    match (old, new) {
        (true, _) => Holds::Old,
        (false, true) => Holds::New,
        (false, false) if step.phase == Phase::Switch => Holds::Unknown,
        (false, false) => Holds::Broken,
    }
}

/// Whether the sectors of FATs and directories that the set changes in a partition hold what its
/// steps put into them, or had before. They hold more than the steps are about: a failed write
/// that leaves something else there cuts off files that were never touched.
fn is_as_planned(
    medium: &dyn WriteAt,
    set: &WriteSet,
    partition: u32,
    history: &History<'_>,
) -> bool {
    let steps = set.steps().iter().enumerate();
    let here = || {
        let steps = steps.clone();
        steps.filter(|(_, step)| step.partition == partition)
    };
    let in_place = here().any(|(_, step)| step.phase == Phase::Overwrite);
    let mut images: BTreeMap<Lba, Vec<&SectorChange>> = BTreeMap::new();
    let metadata = here().filter(|(_, step)| !matches!(step.phase, Phase::Data | Phase::Overwrite));
    for (&lba, change) in metadata.flat_map(|(_, step)| &step.sectors) {
        images.entry(lba).or_default().push(change);
    }
    let known = images.iter().all(|(&lba, changes)| {
        let now = changes
            .first()
            .and_then(|change| read_again(medium, set, lba, change));
        let images = changes.iter().flat_map(|it| [&*it.old, &*it.new]);
        now.is_some_and(|now| is_mix_of(&now, &images.collect::<Vec<_>>()))
    });
    // A file that was overwritten keeps its chain, whose end is set by the release: copies of the
    // FAT that differ in it are no leftovers.
    let mut cut_short = here().filter(|(_, step)| in_place && step.phase == Phase::Release);
    known && cut_short.all(|step| step_holds(medium, set, step, history) != Holds::Broken)
}

/// The sector as the medium has it now; `None` where it cannot be read.
fn read_again(
    medium: &dyn WriteAt,
    set: &WriteSet,
    lba: Lba,
    change: &SectorChange,
) -> Option<Vec<u8>> {
    let mut now = vec![0; change.new.len()];
    let offset = set.offset_of(lba)?;
    medium.read_back(&mut now, offset).ok().map(|()| now)
}

impl Holds {
    /// Of two entries that were switched apart.
    fn merge(self, other: Holds) -> Holds {
        match (self, other) {
            (Holds::Unknown, _) | (_, Holds::Unknown) => Holds::Unknown,
            _ => Holds::Mixed,
        }
    }
}
