//! Real runs, and every state that cutting one can leave, judged.

use crate::judges::{Scratch, list_state};
use crate::media::Recorder;
use crate::replay::{Cow, Cut, each_state, epochs};
use crate::sticks::{FileName, Image, Layout};
use crate::{long, table};
use bootbank::commit::{IfDifferent, Undo, UndoError, WriteSet, run};
use bootbank::medium::ReadAt;
use std::collections::{BTreeMap, BTreeSet};

/// Of so many states one is shown to the other programs and carried on from, besides the
/// first of each class.
const SAMPLE: usize = 29;

/// What a command comes to on a medium in any state.
pub type Act<'a> = &'a dyn Fn(&dyn ReadAt) -> Result<WriteSet, String>;

/// A real run, recorded, and everything needed to judge its states.
pub struct Run<'a> {
    pub image: &'a Image,
    pub layout: Layout,
    pub set: WriteSet,
    pub act: Act<'a>,
    /// The undo file; `None` for a run that is itself an undo.
    pub undo: Option<Undo>,
    /// The same file read again after the run, and what the run came to in sectors.
    pub recorder: Recorder,
    pub old: BTreeMap<FileName, Vec<u8>>,
    pub new: BTreeMap<FileName, Vec<u8>>,
    /// Whether a cut may leave neither, until undone.
    pub in_place: bool,
    /// Whether an undo that is run again ends in the same bytes as one that was not cut; undoing
    /// only the files may take other clusters, or leave some allocated to nothing.
    pub same_end: bool,
}

/// What the files of the banks are in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Found {
    Old,
    New,
    /// Some old, some new, none else.
    Between,
    Neither,
}

impl<'a> Run<'a> {
    pub fn new(image: &'a Image, act: Act<'a>) -> Self {
        let set = act(&image.bytes).unwrap();
        assert!(!set.is_empty(), "the command has something to do");
        let recorder = Recorder::new(image.bytes.clone());
        let done = run(&recorder, &set, &|| false).unwrap();
        assert!(done.unfinished.is_none());
        let undo = image.undo_file(&set);
        Run {
            image,
            layout: image.layout(),
            act,
            undo: Some(undo),
            old: image.states(&image.bytes).unwrap(),
            new: image.states(&recorder.bytes()).unwrap(),
            recorder,
            set,
            in_place: false,
            same_end: true,
        }
    }

    /// What a state holds by this program's own reader; an error where it cannot be read.
    pub fn found(&self, medium: &dyn ReadAt) -> Found {
        match self.image.states(medium) {
            Ok(states) => self.compare(&states),
            Err(_) => Found::Neither,
        }
    }

    fn compare(&self, states: &BTreeMap<FileName, Vec<u8>>) -> Found {
        if *states == self.new && self.new != self.old {
            Found::New
        } else if *states == self.old {
            Found::Old
        } else if states.len() == self.old.len()
            && states
                .iter()
                .all(|(name, content)| [&self.old[name], &self.new[name]].contains(&content))
        {
            Found::Between
        } else {
            Found::Neither
        }
    }

    /// Replays the run, judges every state and compares the counts with the documented ones:
    /// steps, states, torn, old, new, between, neither.
    pub fn judge_all(&self, name: &str) {
        let sector = self.image.sector;
        let epochs = epochs(&self.image.bytes, &self.recorder.log(), sector);
        assert_eq!(epochs.len(), self.set.steps().len(), "one sync a step");
        let is_data = |lba| self.layout.is_data(lba);
        let mut judge = Judge::of(self);
        let mut counts = BTreeMap::new();
        let (mut torn, mut count) = (0, 0);
        each_state(
            &self.image.bytes,
            sector,
            &epochs,
            &is_data,
            &mut |state, cut| {
                let found = judge.state(state, cut);
                *counts.entry(found).or_insert(0) += 1;
                torn += usize::from(cut.torn);
                count += 1;
            },
        );
        let of = |found| counts.get(&found).copied().unwrap_or_default();
        let (old, new) = (of(Found::Old), of(Found::New));
        let (between, neither) = (of(Found::Between), of(Found::Neither));
        let cells = [epochs.len(), count, torn, old, new, between, neither];
        table::expect(name, &cells);
    }
}

struct Judge<'r> {
    run: &'r Run<'r>,
    /// What the run came to, as sectors that differ from the image.
    end: BTreeMap<u64, Vec<u8>>,
    scratch: BTreeMap<u32, Scratch>,
    others: BTreeMap<u32, BTreeMap<String, Vec<u8>>>,
    seen: BTreeSet<(usize, bool, Found)>,
    count: usize,
}

impl<'r> Judge<'r> {
    fn of(run: &'r Run<'r>) -> Self {
        let end = Cow::new(&run.image.bytes, run.image.sector);
        assert!(
            bootbank::commit::run(&end, &run.set, &|| false)
                .unwrap()
                .unfinished
                .is_none()
        );
        let volumes = run.layout.volumes.iter();
        let scratch: BTreeMap<u32, Scratch> = volumes
            .map(|(&number, range)| (number, Scratch::new(run.image, range.clone())))
            .collect();
        let others = scratch
            .iter()
            .map(|(&number, volume)| (number, volume.others(&changed(run, number))));
        for content in run.old.values().chain(run.new.values()) {
            assert!(!list_state(content).is_empty());
        }
        Judge {
            end: end.kept(),
            others: others.collect(),
            scratch,
            run,
            seen: BTreeSet::new(),
            count: 0,
        }
    }

    fn state(&mut self, state: &Cow<'_>, cut: &Cut) -> Found {
        let run = self.run;
        let found = run.found(state);
        self.check_position(found, cut);
        self.undone(state, cut);
        self.count += 1;
        let class = (cut.epoch, cut.torn, found);
        if self.seen.insert(class) || self.count.is_multiple_of(SAMPLE) || long() {
            if found != Found::Neither {
                self.by_other_programs(state, found, cut);
            }
            self.carried_on(state, cut);
            self.repaired(state, found, cut);
        }
        found
    }

    /// Nothing changes before the first switch, and nothing after the last.
    fn check_position(&self, found: Found, cut: &Cut) {
        let steps = self.run.set.steps();
        let is_commitment = |at: &usize| steps[*at].phase.is_commitment();
        let mut commitments = (0..steps.len()).filter(is_commitment);
        let first = commitments.next();
        // The chain of a file that was overwritten is cut short behind the last of them.
        let last = if self.run.in_place {
            steps.len().checked_sub(1)
        } else {
            commitments.next_back().or(first)
        };
        let changes = self.run.old != self.run.new;
        if first.is_none_or(|first| cut.epoch < first) {
            assert_eq!(found, Found::Old, "{cut:?}");
        }
        if changes && last.is_some_and(|last| cut.epoch > last) {
            assert_eq!(found, Found::New, "{cut:?}");
        }
        if !self.run.in_place {
            assert_ne!(found, Found::Neither, "{cut:?}");
        }
    }

    /// The undo file gives back every byte.
    fn undone(&self, state: &Cow<'_>, cut: &Cut) {
        let Some(undo) = &self.run.undo else { return };
        let medium = state.copy();
        let back = undo.plan(&medium, IfDifferent::Refuse);
        let back = back.unwrap_or_else(|error| panic!("{error} at {cut:?}"));
        let done = run(&medium, &back, &|| false).unwrap();
        assert!(done.unfinished.is_none());
        let wrong = medium.differences(&BTreeMap::new());
        assert_eq!(wrong, [0u64; 0], "undone from {cut:?}");
    }

    fn by_other_programs(&mut self, state: &Cow<'_>, found: Found, cut: &Cut) {
        for (number, scratch) in &mut self.scratch {
            scratch.set(state);
            let changed = changed(self.run, *number);
            let others = scratch.others(&changed);
            assert!(others == self.others[number], "other files at {cut:?}");
        }
        assert_eq!(self.by_mtools(), found, "{cut:?}");
    }

    fn by_mtools(&self) -> Found {
        let names = self.run.old.keys();
        let states = names.map(|&(number, name)| {
            let content = self.scratch[&number].content(name);
            ((number, name), content.unwrap_or_default())
        });
        self.run.compare(&states.collect())
    }

    /// The same command again completes the change; then the undo file of the first run either
    /// still gives back every byte or is refused.
    fn carried_on(&self, state: &Cow<'_>, cut: &Cut) {
        let medium = state.copy();
        if self.carry_on(&medium, cut)
            && let Some(undo) = &self.run.undo
        {
            match undo.plan(&medium, IfDifferent::Refuse) {
                Ok(back) => {
                    assert!(run(&medium, &back, &|| false).unwrap().unfinished.is_none());
                    let wrong = medium.differences(&BTreeMap::new());
                    assert_eq!(wrong, [0u64; 0], "first undo file, {cut:?}");
                }
                Err(error) => assert!(matches!(error, UndoError::Mismatch { .. }), "{error}"),
            }
        }
    }

    fn carry_on(&self, medium: &Cow<'_>, cut: &Cut) -> bool {
        let again = match (self.run.act)(medium) {
            Ok(again) => again,
            Err(_) if self.run.in_place => return false,
            Err(error) => panic!("{error} at {cut:?}"),
        };
        let done = run(medium, &again, &|| false).unwrap();
        assert!(done.unfinished.is_none());
        let states = self.run.image.states(medium).unwrap();
        let wrong = states.iter();
        let wrong = wrong.filter(|(name, it)| self.run.new.get(*name) != Some(*it));
        // A file that modules= does not list stands in nobody's way: where a cut in place spoilt
        // it, the change goes on without it, and undo brings it back.
        let mut wrong = wrong.filter(|((_, name), _)| !self.run.in_place || *name != "local.tgz");
        assert!(wrong.next().is_none(), "carried on from {cut:?}");
        if self.run.undo.is_none() && self.run.same_end {
            let wrong = medium.differences(&self.end);
            assert_eq!(wrong, [0u64; 0], "the undo carried on from {cut:?}");
        }
        true
    }

    /// What the host's own repair makes of it is no worse, and can be completed and undone.
    fn repaired(&mut self, state: &Cow<'_>, found: Found, cut: &Cut) {
        let medium = state.copy();
        for scratch in self.scratch.values_mut() {
            scratch.set(&medium);
            scratch.repair(&medium);
        }
        self.undone_after_repair(&medium.copy(), cut);
        if !self.run.in_place {
            assert_eq!(self.run.found(&medium), found, "repaired, {cut:?}");
            assert_eq!(self.by_mtools(), found, "repaired, {cut:?}");
            let healed = medium.copy();
            let again = (self.run.act)(&healed);
            // An undo may find that the repair changed more than it knows of.
            if let Ok(again) = again {
                assert!(
                    run(&healed, &again, &|| false)
                        .unwrap()
                        .unfinished
                        .is_none()
                );
                let states = self.run.image.states(&healed).unwrap();
                assert!(states == self.run.new, "healed after repair, {cut:?}");
                self.is_clean(&healed, cut);
            } else {
                assert!(self.run.undo.is_none(), "{again:?}");
            }
        }
    }

    fn is_clean(&mut self, medium: &Cow<'_>, cut: &Cut) {
        for scratch in self.scratch.values_mut() {
            scratch.set(medium);
            // An undo brings back what was left over before.
            assert!(self.run.undo.is_none() || scratch.is_clean(), "{cut:?}");
        }
    }

    /// fsck.fat makes files of chains that nothing refers to, and so changes sectors that the undo
    /// file knows otherwise. The old files come back all the same, and what it made stays. Only a
    /// file that was cut while it was overwritten in place may be lost to its repair.
    fn undone_after_repair(&self, medium: &Cow<'_>, cut: &Cut) {
        let run_ = self.run;
        let Some(undo) = &run_.undo else { return };
        match run_.image.undo(medium, undo) {
            Ok(back) => {
                assert!(
                    run(medium, &back.set, &|| false)
                        .unwrap()
                        .unfinished
                        .is_none()
                );
                let states = run_.image.states(medium).unwrap();
                assert!(states == run_.old, "undone after repair, {cut:?}");
            }
            // Where nothing was replaced there is nothing to bring back.
            Err(error) => assert!(
                run_.in_place || run_.old == run_.new,
                "{error}, repaired, {cut:?}"
            ),
        }
    }
}

/// The state files of a partition, which a run may change.
fn changed<'r>(run: &'r Run<'_>, number: u32) -> Vec<&'r str> {
    let names = run.old.keys().filter(|(partition, _)| *partition == number);
    names.map(|(_, name)| *name).collect()
}
