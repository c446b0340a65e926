//! What an undo would leave, laid over the medium and judged.

use super::super::{Error, Outlook, Settings, Slot, StateFile, Stick};
use crate::bank::{BOOT_CFG, STATE_FILES};
use crate::commit::{Overlay, Phase, Undo, WriteSet};
use crate::error::ErrorKind;
use crate::fat::{Restored, Volume, judge_undo};
use crate::medium::ReadAt;
use crate::partition::PartitionTable;
use std::collections::{BTreeMap, BTreeSet};

/// Something that an undo puts back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct PutBack {
    /// Number of the bank's partition.
    pub partition: u32,
    /// What.
    pub thing: BankPart,
}

/// What bootbank changes, and so what an undo may be about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum BankPart {
    /// A state, by the name of its file.
    State(String),
    /// The bank's `boot.cfg`.
    BootCfg,
    /// Another file of the bank, by its name.
    BankFile(String),
    /// The marks of a volume that was not unmounted.
    Marks,
    /// Clusters that are allocated to nothing.
    Leftovers,
}

/// The verdict on what an undo would leave.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// What it is about.
    pub(super) things: Vec<PutBack>,
    /// What it would damage.
    pub(super) damage: Vec<Error>,
    /// What would be damaged as it was before the change.
    pub(super) damaged_again: Vec<Error>,
    /// The next boot, where the result can be opened.
    pub(super) outlook: Option<Outlook>,
}

/// Judges what `set`, which takes the change of `undo` back, would leave of `medium`.
///
/// # Errors
/// The table, and what cannot be read; whatever else speaks against the result is in the verdict.
pub(super) fn judge(
    medium: &dyn ReadAt,
    undo: &Undo,
    set: &WriteSet,
    settings: &Settings<'_>,
) -> Result<Judged, Error> {
    let overlay = Overlay::new(medium, set);
    let done = undo.after(medium);
    let mut judged = Judged::default();
    let changed: BTreeSet<u32> = set.steps().iter().map(|step| step.partition).collect();
    let mut files: BTreeMap<u32, Vec<Restored>> = BTreeMap::new();
    let table = PartitionTable::read(medium, settings.sector_size)?;
    for number in &changed {
        let range = table.partition(*number);
        let Some(range) = range.and_then(|it| it.byte_range(table.sector_size)) else {
            continue;
        };
        let open = |medium| Volume::open(medium, range.clone(), table.sector_size);
        let found = open(medium).and_then(|now| judge_undo(&now, &open(&done)?, set));
        match found {
            Ok(found) => {
                files.insert(*number, found);
            }
            Err(error) => judged.note(Error::from(error).on(*number))?,
        }
    }
    let after = match Stick::open(&overlay, settings) {
        Ok(after) => Some(after),
        Err(error) => {
            judged.note(error)?;
            None
        }
    };
    if let Some(after) = &after {
        let earlier = Earlier {
            // A change that is cut in the middle may leave no bank at all for the moment.
            sticks: [medium, &done as &dyn ReadAt].map(|it| Stick::open(it, settings).ok()),
            undo,
        };
        for slot in after
            .slots()
            .iter()
            .filter(|it| changed.contains(&it.partition))
        {
            judged.look_at_bank(after, slot, &earlier)?;
        }
        judged.outlook = judged.damage.is_empty().then(|| after.outlook());
    }
    judged.things = things(&files, set, after.as_ref());
    Ok(judged)
}

impl Judged {
    /// Notes damage. A medium that cannot be read is no verdict.
    fn note(&mut self, error: Error) -> Result<(), Error> {
        if error.kind() == ErrorKind::Io {
            return Err(error);
        }
        // A bank whose volume is damaged was told of already.
        let text = error.to_string();
        if !self.damage.iter().any(|it| it.to_string() == text) {
            self.damage.push(error);
        }
        Ok(())
    }

    /// The bank, and every state in it, opens afterwards, unless it did not before the change.
    fn look_at_bank(
        &mut self,
        after: &Stick<'_, '_>,
        slot: &Slot<'_>,
        earlier: &Earlier<'_, '_, '_>,
    ) -> Result<(), Error> {
        if let Err(error) = slot.opened() {
            return if earlier.was_damaged(slot.partition, BOOT_CFG, |_, it| it.bank.is_ok()) {
                self.note_again(error)
            } else {
                self.note(error)
            };
        }
        for file in &slot.states {
            let Err(error) = after.open_state(slot, file) else {
                continue;
            };
            if earlier.was_damaged_state(slot.partition, file) {
                self.note_again(error)?;
            } else {
                self.note(error)?;
            }
        }
        Ok(())
    }

    fn note_again(&mut self, error: Error) -> Result<(), Error> {
        if error.kind() == ErrorKind::Io {
            return Err(error);
        }
        self.damaged_again.push(error);
        Ok(())
    }
}

/// What is known of the time before an undo: the medium now, and the medium as the change would have
/// left it.
struct Earlier<'u, 'm, 'k> {
    sticks: [Option<Stick<'m, 'k>>; 2],
    undo: &'u Undo,
}

impl<'m, 'k> Earlier<'_, 'm, 'k> {
    /// Whether something of a bank was damaged before the change: the undo file says so; or it is
    /// damaged now, and the change would have left it so too.
    fn was_damaged(
        &self,
        partition: u32,
        name: &str,
        opens: impl Fn(&Stick<'m, 'k>, &Slot<'m>) -> bool,
    ) -> bool {
        let said = |(on, it): &(u32, String)| *on == partition && it.eq_ignore_ascii_case(name);
        let is_damaged = |stick: &Stick<'m, 'k>| {
            let mut slots = stick.slots().iter();
            let slot = slots.find(|slot| slot.partition == partition);
            slot.is_some_and(|slot| !opens(stick, slot))
        };
        let mut sticks = self.sticks.iter();
        self.undo.damaged.iter().any(said)
            || sticks.all(|stick| stick.as_ref().is_some_and(is_damaged))
    }

    fn was_damaged_state(&self, partition: u32, file: &StateFile) -> bool {
        self.was_damaged(partition, &file.name, |stick, slot| {
            let there = slot.states.iter().find(|it| it.name == file.name);
            // Where there is none, nothing speaks for one that is damaged.
            there.is_none_or(|there| stick.open_state(slot, there).is_ok())
        })
    }
}

/// What the files and steps of an undo are about, each thing by name.
fn things(
    files: &BTreeMap<u32, Vec<Restored>>,
    set: &WriteSet,
    after: Option<&Stick<'_, '_>>,
) -> Vec<PutBack> {
    let mut things = BTreeSet::new();
    for (&partition, files) in files {
        let slots = after.into_iter().flat_map(Stick::slots);
        let states: Vec<&str> = slots
            .filter(|slot| slot.partition == partition)
            .flat_map(|slot| slot.states.iter().map(|state| state.name.as_str()))
            .chain(STATE_FILES)
            .collect();
        let thing_of = |file: &Restored| {
            let name = file.name();
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            match (is(BOOT_CFG), states.iter().copied().any(is)) {
                (true, _) => BankPart::BootCfg,
                (false, true) => BankPart::State(name),
                (false, false) => BankPart::BankFile(name),
            }
        };
        let of_files = files.iter().map(thing_of);
        let mut steps = set.steps().iter();
        let marks = steps.any(|step| step.partition == partition && step.phase == Phase::Mark);
        let marks = marks.then_some(BankPart::Marks);
        let mut here: Vec<BankPart> = of_files.chain(marks).collect();
        if here.is_empty() {
            here.push(BankPart::Leftovers);
        }
        things.extend(here.into_iter().map(|thing| PutBack { partition, thing }));
    }
    things.into_iter().collect()
}
