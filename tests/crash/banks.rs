//! Commands about banks, and about files of a bank, cut wherever they can be. The claim is the
//! loader's: at every cut a bank is taken and gets through, and it is the bank as it was before or
//! as it will be, whole.

use crate::judges::Scratch;
use crate::media::Recorder;
use crate::replay::{Cow, Cut, each_state, epochs};
use crate::runs::Act;
use crate::sticks::{Image, Layout};
use crate::{long, table};
use bootbank::commit::{IfDifferent, Undo, UndoError, WriteSet, run};
use bootbank::fat::Volume;
use bootbank::loader::Depth;
use bootbank::medium::ReadAt;
use std::collections::{BTreeMap, BTreeSet};

/// Of so many states one is shown to the other programs and carried on from, besides the first of
/// each class.
const SAMPLE: usize = 97;
const BOOT_CFG: &str = "boot.cfg";

/// Every file of every bank, by partition and name.
pub type Files = BTreeMap<(u32, String), Vec<u8>>;

/// A real run on the banks, and everything needed to judge its states.
pub struct BankRun<'a> {
    pub image: &'a Image,
    pub layout: Layout,
    pub set: WriteSet,
    act: Act<'a>,
    undo: Undo,
    recorder: Recorder,
    old: Files,
    new: Files,
    /// The bank that boots before, and the one that does afterwards.
    choice: (u32, u32),
    /// The bank that is made a copy, and its original. Files of the copy may be missing for a
    /// while, and then the original boots.
    pub copy: Option<(u32, u32)>,
    /// Whether mtools reads the volumes: not those with a mark in their FAT.
    pub for_mtools: bool,
}

/// What the files of the banks are in a state, all together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    Old,
    New,
    Between,
}

impl<'a> BankRun<'a> {
    /// `layout` is that of the image before anything was spoilt on it.
    pub fn new(image: &'a Image, layout: Layout, act: Act<'a>) -> Self {
        let set = act(&image.bytes).unwrap();
        assert!(!set.is_empty(), "the command has something to do");
        let recorder = Recorder::new(image.bytes.clone());
        let done = run(&recorder, &set, &|| false).unwrap();
        assert!(done.unfinished.is_none());
        let after = recorder.bytes();
        let new = files(&layout, image, &after);
        let choice = (
            booting(image, &image.bytes).expect("a bank boots before"),
            booting(image, &after).expect("a bank boots afterwards"),
        );
        BankRun {
            undo: image.undo_file(&set),
            old: files(&layout, image, &image.bytes),
            image,
            layout,
            set,
            act,
            recorder,
            new,
            choice,
            copy: None,
            for_mtools: true,
        }
    }

    /// Names of the files that change, by partition.
    pub fn changed(&self) -> Vec<(u32, &str)> {
        let names: BTreeSet<_> = self.old.keys().chain(self.new.keys()).collect();
        let differ = names.into_iter();
        let differ = differ.filter(|name| self.old.get(*name) != self.new.get(*name));
        differ.map(|(bank, name)| (*bank, name.as_str())).collect()
    }

    /// Replays the run, judges every state and compares the counts with the documented ones: steps,
    /// states, torn, old, new, between, and those in which no bank boots.
    pub fn judge_all(&self, name: &str) {
        let sector = self.image.sector;
        let base = &self.image.bytes;
        let epochs = epochs(base, &self.recorder.log(), sector);
        assert_eq!(epochs.len(), self.set.steps().len(), "one sync a step");
        let is_data = |lba| self.layout.is_data(lba);
        let mut judge = Judge::of(self);
        let mut counts = BTreeMap::new();
        let (mut torn, mut count, mut dead) = (0, 0, 0);
        each_state(base, sector, &epochs, &is_data, &mut |state, cut| {
            match judge.state(state, cut) {
                Some(found) => *counts.entry(found).or_insert(0) += 1,
                None => dead += 1,
            }
            torn += usize::from(cut.torn);
            count += 1;
        });
        assert_eq!(dead, 0, "{name}: states in which no bank boots");
        let of = |found| counts.get(&found).copied().unwrap_or_default();
        let (old, new, between) = (of(Found::Old), of(Found::New), of(Found::Between));
        let cells = [epochs.len(), count, torn, old, new, between, dead];
        table::expect(name, &cells);
    }

    fn found(&self, now: &Files) -> Found {
        if *now == self.new {
            // What changes no file is as new as it is old.
            Found::New
        } else if *now == self.old {
            Found::Old
        } else {
            Found::Between
        }
    }

    /// Every file is old or new; of a copy that is being made some are missing.
    fn check_files(&self, now: &Files, cut: &Cut) {
        let names: BTreeSet<_> = now
            .keys()
            .chain(self.old.keys())
            .chain(self.new.keys())
            .collect();
        let target = self.copy.map(|(_, to)| to);
        for name in names {
            let found = now.get(name);
            let known = [self.old.get(name), self.new.get(name)].contains(&found);
            let being_copied = target == Some(name.0)
                && (found.is_none() || name.1 == BOOT_CFG && self.is_disabled(name, found));
            assert!(known || being_copied, "{name:?} at {cut:?}");
        }
    }

    /// Whether only the line differs that tells the loader to pass over the bank.
    fn is_disabled(&self, name: &(u32, String), found: Option<&Vec<u8>>) -> bool {
        let lines = |content: &[u8]| -> Vec<String> {
            let text = String::from_utf8(content.to_vec()).unwrap();
            let lines = text.lines().map(str::to_owned);
            lines
                .filter(|line| !line.starts_with("bootstate="))
                .collect()
        };
        let found = found.unwrap();
        let old = self.old.get(name);
        old.is_some_and(|old| lines(old) == lines(found))
            && found.windows(11).any(|part| part == b"bootstate=3")
    }

    /// The bank that boots is whole: all of it as it was, or all of it as it will be. Where it is
    /// the original of a copy it stays as it is.
    fn check_booting(&self, bank: u32, now: &Files, cut: &Cut) {
        let of = |files: &Files| -> BTreeMap<String, Vec<u8>> {
            let files = files.iter().filter(|((number, _), _)| *number == bank);
            let files = files.map(|((_, name), content)| (name.clone(), content.clone()));
            files.collect()
        };
        let whole = [of(&self.old), of(&self.new)].contains(&of(now));
        assert!(whole, "bank {bank} boots and is in pieces at {cut:?}");
        let original = self.copy.map(|(from, _)| from);
        let allowed = [Some(self.choice.0), Some(self.choice.1), original];
        assert!(allowed.contains(&Some(bank)), "bank {bank} at {cut:?}");
    }

    /// Whether this is what the command comes to. A copy that is begun anew has the role that its
    /// target had at the cut: the original may be what boots.
    fn is_complete(&self, medium: &dyn ReadAt) -> bool {
        let now = files(&self.layout, self.image, medium);
        let boots = booting(self.image, medium);
        let Some((from, to)) = self.copy else {
            return now == self.new && boots == Some(self.choice.1);
        };
        let names: BTreeSet<_> = now.keys().chain(self.new.keys()).collect();
        let is_own = |name: &(u32, String)| *name == (to, BOOT_CFG.to_owned());
        let same = names
            .into_iter()
            .all(|name| is_own(name) || now.get(name) == self.new.get(name));
        same && [Some(self.choice.1), Some(from)].contains(&boots)
    }
}

struct Judge<'r> {
    run: &'r BankRun<'r>,
    scratch: BTreeMap<u32, Scratch>,
    seen: BTreeSet<(usize, bool, Found)>,
    count: usize,
}

impl<'r> Judge<'r> {
    fn of(run: &'r BankRun<'r>) -> Self {
        let volumes = run.layout.volumes.iter();
        let scratch =
            volumes.map(|(&number, range)| (number, Scratch::new(run.image, range.clone())));
        Judge {
            run,
            scratch: scratch.collect(),
            seen: BTreeSet::new(),
            count: 0,
        }
    }

    /// What the files are; `None` where no bank boots.
    fn state(&mut self, state: &Cow<'_>, cut: &Cut) -> Option<Found> {
        let run_ = self.run;
        let now = files(&run_.layout, run_.image, state);
        let found = run_.found(&now);
        run_.check_files(&now, cut);
        let bank = booting(run_.image, state)?;
        run_.check_booting(bank, &now, cut);
        self.undone(state, cut);
        self.count += 1;
        let first = self.seen.insert((cut.epoch, cut.torn, found));
        if first || self.count.is_multiple_of(SAMPLE) || long() {
            self.carried_on(state, cut);
            self.by_other_programs(state, bank, &now, cut);
        }
        Some(found)
    }

    /// The undo file gives back every byte.
    fn undone(&self, state: &Cow<'_>, cut: &Cut) {
        let medium = state.copy();
        let back = self.run.undo.plan(&medium, IfDifferent::Refuse);
        let back = back.unwrap_or_else(|error| panic!("{error} at {cut:?}"));
        assert!(run(&medium, &back, &|| false).unwrap().unfinished.is_none());
        let wrong = medium.differences(&BTreeMap::new());
        assert_eq!(wrong, [0u64; 0], "undone from {cut:?}");
    }

    /// The same command again completes the change and leaves nothing for fsck.fat; then the undo
    /// file of the first run still gives back every byte or is refused.
    fn carried_on(&mut self, state: &Cow<'_>, cut: &Cut) {
        let medium = state.copy();
        let again = (self.run.act)(&medium);
        let again = again.unwrap_or_else(|error| panic!("{error} at {cut:?}"));
        assert!(
            run(&medium, &again, &|| false)
                .unwrap()
                .unfinished
                .is_none()
        );
        assert!(self.run.is_complete(&medium), "carried on from {cut:?}");
        match self.run.undo.plan(&medium, IfDifferent::Refuse) {
            Ok(back) => {
                let medium = medium.copy();
                assert!(run(&medium, &back, &|| false).unwrap().unfinished.is_none());
                let wrong = medium.differences(&BTreeMap::new());
                assert_eq!(wrong, [0u64; 0], "first undo file, {cut:?}");
            }
            Err(error) => assert!(matches!(error, UndoError::Mismatch { .. }), "{error}"),
        }
        // Leftovers of a command that found nothing left to do stay: reclaim frees them.
        if !again.is_empty() {
            for scratch in self.scratch.values_mut() {
                scratch.set(&medium);
                assert!(scratch.is_clean(), "carried on from {cut:?}");
            }
        }
    }

    /// mtools reads the same files, before and after fsck.fat repaired the volumes without asking,
    /// and then the same bank boots.
    fn by_other_programs(&mut self, state: &Cow<'_>, bank: u32, now: &Files, cut: &Cut) {
        let run_ = self.run;
        let medium = state.copy();
        for (number, scratch) in &mut self.scratch {
            scratch.set(&medium);
            if run_.for_mtools {
                assert!(
                    of_bank(now, *number) == by_mtools(scratch),
                    "mtools, {cut:?}"
                );
            }
            scratch.repair(&medium);
            if run_.for_mtools {
                assert!(
                    of_bank(now, *number) == by_mtools(scratch),
                    "repaired, {cut:?}"
                );
            }
        }
        let repaired = files(&run_.layout, run_.image, &medium).into_iter();
        let repaired = repaired.filter(|((_, name), _)| !is_made_by_fsck(name));
        assert!(*now == repaired.collect(), "repaired, {cut:?}");
        assert_eq!(
            booting(run_.image, &medium),
            Some(bank),
            "repaired, {cut:?}"
        );
    }
}

/// Every file of a volume by mtools, by name in small letters.
fn by_mtools(scratch: &Scratch) -> BTreeMap<String, Vec<u8>> {
    let files = scratch.others(&[]).into_iter();
    let files = files.map(|(name, content)| (name.to_ascii_lowercase(), content));
    files.filter(|(name, _)| !is_made_by_fsck(name)).collect()
}

/// What fsck.fat makes of chains that nothing leads to.
fn is_made_by_fsck(name: &str) -> bool {
    name.starts_with("fsck") && name.ends_with(".rec")
}

/// The files of one bank, by name.
fn of_bank(files: &Files, bank: u32) -> BTreeMap<String, Vec<u8>> {
    let files = files.iter().filter(|((number, _), _)| *number == bank);
    let files = files.map(|((_, name), content)| (name.clone(), content.clone()));
    files.collect()
}

/// Every file of every bank by this program's own reader.
pub fn files(layout: &Layout, image: &Image, medium: &dyn ReadAt) -> Files {
    let mut files = Files::new();
    for (&number, range) in &layout.volumes {
        let volume = Volume::open(medium, range.clone(), image.sector as u32).unwrap();
        for entry in volume.files().filter(|entry| !entry.is_directory()) {
            let content = volume.read_file(&entry, 1 << 24).unwrap();
            let name = entry.name().to_ascii_lowercase();
            assert!(files.insert((number, name), content).is_none());
        }
    }
    files
}

/// The bank that the loader takes, if it gets through every byte of it.
pub fn booting(image: &Image, medium: &dyn ReadAt) -> Option<u32> {
    let stick = image.open(medium).ok()?;
    let loader = stick.loader();
    let bank = loader.choice().chosen.bank()?;
    (loader.boot(bank, Depth::Content).boots() == Some(true)).then_some(bank)
}
