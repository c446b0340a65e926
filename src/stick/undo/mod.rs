//! The way back, as far as it takes knowing what is on the medium.
//!
//! An undo file puts back sectors, and so every byte, as long as nothing but the change it
//! belongs to was written. Where another system wrote to the volume in the meantime (a desktop
//! that leaves folders on whatever is plugged in, a checker that turns lost chains into files),
//! the sectors can no longer be put back without losing that; the files still can be. Then the
//! old content of each replaced file, which the undo file holds, is planned like any other
//! change, and everything else on the volume stays as it is now.
//!
//! An undo file comes from outside, and is judged as a plan is (`judge.rs`): which partition a
//! sector belongs to is what the table of the medium says, only a bank is written to, only files of
//! its root directory come back, and the states among them must open.

mod files;
mod identity;
mod judge;
mod standing;

pub use identity::OtherMedium;

pub use judge::{BankPart, PutBack};
pub use standing::{Now, standing};

use super::{Cause, Error, Outlook, Settings, Stick};
use crate::bank::BOOT_CFG;
use crate::commit::{IfDifferent, SectorChange, Undo, UndoError, WriteSet};
use crate::error::ErrorKind;
use crate::fat::{MARK_AT, Volume, root_holds};
use crate::medium::{Lba, ReadAt};
use crate::partition::PartitionTable;
use judge::{Judged, judge};
use std::ops::Range;

/// What undoing comes to on a medium.
#[derive(Debug)]
#[non_exhaustive]
pub struct UndoPlan {
    /// The steps. Empty where the medium already is as it was before.
    pub set: WriteSet,
    /// What comes back, each thing by name.
    pub things: Vec<PutBack>,
    /// Why not every byte can be put back, where only the files of the change can: something else was
    /// written to the medium since, and stays.
    pub files_only: Option<Error>,
    /// What would be damaged afterwards, where it was asked for all the same.
    pub damage: Vec<Error>,
    /// What was damaged before the change, and is again.
    pub damaged_again: Vec<Error>,
    /// How the medium differs from the one that the undo file tells of. Told only where the content
    /// of the sectors was not compared, which else decides.
    pub other_medium: Vec<OtherMedium>,
    /// The next boot afterwards, where it is known.
    pub outlook: Option<Outlook>,
}

impl UndoPlan {
    fn new(set: WriteSet, judged: Judged) -> Self {
        UndoPlan {
            set,
            things: judged.things,
            files_only: None,
            damage: judged.damage,
            damaged_again: judged.damaged_again,
            other_medium: Vec::new(),
            outlook: judged.outlook,
        }
    }
}

/// Plans the way back on `medium`: every byte as it was; where other things were written to it
/// since, the files of the change as they were.
///
/// With [`IfDifferent::Overwrite`] the sectors are put back whatever the medium holds in them now, as long as they
/// are within what the volumes of the banks declare as theirs to change. Volumes and states may be
/// damaged then; the partition table and the boot sectors, which no plan changes, must not be.
///
/// # Errors
/// A table that is damaged or none, an undo file for another medium ([`UndoError`]), and
/// [`Cause::ChangedSince`] where neither way is open.
pub fn plan_undo(
    medium: &dyn ReadAt,
    undo: &Undo,
    settings: &Settings<'_>,
    different: IfDifferent,
) -> Result<UndoPlan, Error> {
    let settings = &Settings {
        sector_size: Some(undo.set.sector_size()),
        ..settings.clone()
    };
    let undo = &on_this_medium(medium, undo, settings)?;
    let why = match undo.plan(medium, different) {
        Ok(set) if set.is_empty() => return Ok(UndoPlan::new(set, Judged::default())),
        Ok(set) => {
            let mut judged = judge(medium, undo, &set, settings)?;
            if different == IfDifferent::Overwrite {
                let mut way = UndoPlan::new(set, judged);
                way.other_medium = identity::differences(medium, undo, settings);
                return Ok(way);
            }
            if judged.damage.is_empty() {
                return Ok(UndoPlan::new(set, judged));
            } else {
                Cause::Unsound(Box::new(judged.damage.swap_remove(0))).into()
            }
        }
        Err(error) => error.into(),
    };
    if !may_be_written_since(&why) {
        return Err(why);
    }
    match way_of_files(medium, undo, settings) {
        Ok(way) => Ok(UndoPlan {
            files_only: Some(why),
            ..way
        }),
        Err(error) if error.kind() == ErrorKind::Io => Err(error),
        Err(files) => {
            let (bytes, files) = (Box::new(why), Box::new(files));
            Err(Cause::ChangedSince { bytes, files }.into())
        }
    }
}

/// The files of the change alone as they were, in a plan that is verified as every other is.
fn way_of_files(
    medium: &dyn ReadAt,
    undo: &Undo,
    settings: &Settings<'_>,
) -> Result<UndoPlan, Error> {
    let plan = Stick::open(medium, settings)?.plan_undo_of_files(undo)?;
    let mut judged = judge(medium, undo, &plan.set, settings)?;
    if judged.damage.is_empty() {
        Ok(UndoPlan::new(plan.set, judged))
    } else {
        Err(judged.damage.swap_remove(0))
    }
}

/// Whether an error is what something written to the medium since can lead to.
fn may_be_written_since(error: &Error) -> bool {
    match &error.cause {
        Cause::Undo(error) => matches!(error, UndoError::Mismatch { .. }),
        _ => error.kind() != ErrorKind::Io,
    }
}

/// What of a bank's volume may change, as byte ranges of the medium.
struct Place {
    partition: u32,
    /// Where its boot sector is.
    start: u64,
    declared: Vec<Range<u64>>,
}

/// An undo file says itself what it may change, and where; only what the banks of this medium
/// declare counts, and only the numbers of its table do.
fn on_this_medium(
    medium: &dyn ReadAt,
    undo: &Undo,
    settings: &Settings<'_>,
) -> Result<Undo, Error> {
    let table = PartitionTable::read(medium, settings.sector_size)?;
    table.writable()?;
    let mut places = Vec::new();
    let (before, after) = (undo.before(medium), undo.after(medium));
    let views: [&dyn ReadAt; 3] = [medium, &before, &after];
    for partition in table.bank_candidates() {
        let Some(range) = partition.byte_range(table.sector_size) else {
            continue;
        };
        // A bank in the making has no boot.cfg for the moment.
        let holds = |view: &&dyn ReadAt| {
            root_holds(*view, range.clone(), table.sector_size, BOOT_CFG).unwrap_or(false)
        };
        let is_bank = views.iter().any(holds);
        // A volume that cannot be opened declares nothing, and so nothing in it is written; nor is
        // anything in one that is no bank of VMware's.
        if let Ok(volume) = Volume::open(medium, range.clone(), table.sector_size)
            && volume.vmware_uuid().is_some()
            && is_bank
        {
            places.push(Place {
                partition: partition.number,
                start: volume.start(),
                declared: volume.declared_ranges(),
            });
        }
    }
    let partition_of = |lba: Lba| {
        let at = undo.set.offset_of(lba)?;
        let holds = |place: &&Place| {
            place.start == at || place.declared.iter().any(|range| range.contains(&at))
        };
        places.iter().find(holds).map(|place| place.partition)
    };
    let is_boot_sector = |lba: Lba| {
        let at = undo.set.offset_of(lba);
        places.iter().any(|place| Some(place.start) == at)
    };
    let steps = undo.set.steps().iter();
    let changed = steps.flat_map(|step| step.sectors.iter());
    let in_boot_sector = changed.filter(|(lba, _)| is_boot_sector(**lba));
    let kept = undo.set.preserved().values().flat_map(|kept| kept.keys());
    let mut not_the_mark = in_boot_sector
        .filter(|(_, change)| !changes_only_the_mark(change))
        .map(|(lba, _)| *lba)
        .chain(kept.copied().filter(|lba| is_boot_sector(*lba)));
    match not_the_mark.next() {
        Some(lba) => Err(UndoError::OutsideVolumes { lba }.into()),
        None => Ok(undo.on_partitions(&partition_of)?),
    }
}

/// Whether a change of a boot sector is that of its mark and of nothing else.
fn changes_only_the_mark(change: &SectorChange) -> bool {
    let pairs = change.old.iter().zip(change.new.iter()).enumerate();
    let mut differing = pairs.filter(|(_, (old, new))| old != new);
    differing.all(|(at, _)| at as u64 == MARK_AT)
}
