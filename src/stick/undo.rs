//! The way back, as far as it takes knowing what is on the medium.
//!
//! An undo file puts back sectors, and so every byte, as long as nothing but the change it
//! belongs to was written. Where another system wrote to the volume in the meantime (a desktop
//! that leaves folders on whatever is plugged in, a checker that turns lost chains into files),
//! the sectors can no longer be put back without losing that; the files still can be. Then the
//! old content of each replaced file, which the undo file holds, is planned like any other
//! change, and everything else on the volume stays as it is now.

use super::plan::{Plan, Request};
use super::work::{BankFile, Task};
use super::{BankChoice, Cause, Error, Outlook, Settings, Slot, Stick};
use crate::commit::{Overlay, SectorChange, Undo, UndoError, WriteSet};
use crate::edit::Context;
use crate::error::ErrorKind;
use crate::fat::{Entry, MARK_AT, Method, Volume};
use crate::medium::{Lba, ReadAt};
use crate::partition::PartitionTable;
use std::collections::BTreeSet;

/// What undoing comes to on a medium.
#[derive(Debug)]
#[non_exhaustive]
pub struct WayBack {
    /// The steps. Empty where the medium already is as it was before.
    pub set: WriteSet,
    /// Why not every byte can be put back, where only the replaced files can: something else was
    /// written to the medium since, and stays.
    pub files_only: Option<Error>,
    /// What would be damaged afterwards, where it was asked for all the same.
    pub damage: Option<Error>,
    /// The next boot afterwards, where nothing is damaged.
    pub outlook: Option<Outlook>,
}

/// Plans the way back on `medium`: every byte as it was; where other things were written to it
/// since, the replaced files as they were.
///
/// With `force` the sectors are put back whatever the medium holds in them now, as long as they
/// are within what the volumes on it declare as theirs to change. A state may be damaged then; the
/// partition table and the boot sectors, which no plan changes, must not be.
///
/// # Errors
/// A table that is damaged or none, an undo file for another medium ([`UndoError`]), and
/// [`Cause::ChangedSince`] where neither way is open.
pub fn plan_undo(
    medium: &dyn ReadAt,
    undo: &Undo,
    settings: Settings<'_>,
    force: bool,
) -> Result<WayBack, Error> {
    let settings = Settings {
        sector_size: Some(undo.set.sector_size()),
        ..settings
    };
    check_ranges(medium, undo, settings)?;
    let way = |set, damage, outlook| WayBack {
        set,
        files_only: None,
        damage,
        outlook,
    };
    let why = match undo.plan(medium, force) {
        Ok(set) if set.is_empty() => return Ok(way(set, None, None)),
        Ok(set) => match check_undone(medium, &set, settings) {
            Ok(outlook) => return Ok(way(set, None, Some(outlook))),
            Err(error) if force && error.kind() != ErrorKind::Io => {
                return Ok(way(set, Some(error), None));
            }
            Err(error) => error,
        },
        Err(error) => error.into(),
    };
    if !may_be_written_since(&why) {
        return Err(why);
    }
    let files = Stick::open(medium, settings).and_then(|stick| stick.plan_undo_of_files(undo));
    match files {
        Ok(plan) => Ok(WayBack {
            set: plan.set,
            files_only: Some(why),
            damage: None,
            outlook: Some(plan.outlook),
        }),
        Err(error) if error.kind() == ErrorKind::Io => Err(error),
        Err(files) => {
            let (bytes, files) = (Box::new(why), Box::new(files));
            Err(Cause::ChangedSince { bytes, files }.into())
        }
    }
}

/// Whether an error is what something written to the medium since can lead to.
fn may_be_written_since(error: &Error) -> bool {
    match &error.cause {
        Cause::Undo(error) => matches!(error, UndoError::Mismatch { .. }),
        _ => error.kind() != ErrorKind::Io,
    }
}

/// An undo file says itself what it may change; only what the volumes of this medium declare
/// counts.
fn check_ranges(medium: &dyn ReadAt, undo: &Undo, settings: Settings<'_>) -> Result<(), Error> {
    let table = PartitionTable::read(medium, settings.sector_size)?;
    table.writable()?;
    let mut declared = Vec::new();
    let mut boot_sectors = BTreeSet::new();
    for partition in table.bank_candidates() {
        let Some(range) = partition.byte_range(table.sector_size) else {
            continue;
        };
        // A volume that cannot be opened declares nothing, and so nothing in it is written.
        if let Ok(volume) = Volume::open(medium, range, table.sector_size) {
            declared.extend(volume.declared_ranges());
            boot_sectors.insert(volume.start());
        }
    }
    let inside = |lba: Lba| {
        let at = undo.set.offset_of(lba);
        at.is_some_and(|at| declared.iter().any(|range| range.contains(&at)))
    };
    let steps = undo.set.steps().iter();
    let changed = steps.flat_map(|step| step.sectors.iter());
    let changed = changed
        .filter(|(lba, change)| {
            let at = undo.set.offset_of(**lba);
            !at.is_some_and(|at| boot_sectors.contains(&at) && changes_only_the_mark(change))
        })
        .map(|(lba, _)| lba);
    let kept = undo.set.preserved().values().flat_map(|kept| kept.keys());
    match changed.chain(kept).find(|lba| !inside(**lba)) {
        None => Ok(()),
        Some(&lba) => Err(UndoError::OutsideVolumes { lba }.into()),
    }
}

/// Whether a change of a boot sector is that of its mark and of nothing else.
fn changes_only_the_mark(change: &SectorChange) -> bool {
    let pairs = change.old.iter().zip(change.new.iter()).enumerate();
    let mut differing = pairs.filter(|(_, (old, new))| old != new);
    differing.all(|(at, _)| at as u64 == MARK_AT)
}

/// Every volume that the steps of an undo change must be sound again afterwards (then the next boot
/// is known), as it was when
/// the undo file was made. It is not where its clusters belong to another file now.
fn check_undone(
    medium: &dyn ReadAt,
    set: &WriteSet,
    settings: Settings<'_>,
) -> Result<Outlook, Error> {
    let overlay = Overlay::new(medium, set);
    let unsound = |error: Error| match error.kind() {
        ErrorKind::Io => error,
        _ => Cause::Unsound(Box::new(error)).into(),
    };
    let after = Stick::open(&overlay, settings).map_err(unsound)?;
    let changes = |slot: &&Slot<'_>| {
        let mut steps = set.steps().iter();
        steps.any(|step| step.partition == slot.partition)
    };
    for slot in after.slots().iter().filter(changes) {
        let checked = slot.opened().map_err(unsound)?.volume().check();
        checked.map_err(|error| unsound(Error::from(error).on(slot.partition)))?;
    }
    Ok(after.outlook())
}

impl Stick<'_, '_> {
    /// The plan that gives the files which the change of `undo` replaced their old content, and
    /// keeps whatever else is on the medium.
    fn plan_undo_of_files(&self, undo: &Undo) -> Result<Plan, Error> {
        let mut files = Vec::new();
        for slot in self.slots() {
            if undo.set.preserved().contains_key(&slot.partition) {
                files.extend(self.old_files(slot, undo)?);
            }
        }
        if files.is_empty() {
            return Err(UndoError::NoFiles.into());
        }
        let request = Request {
            banks: BankChoice::All,
            method: Method::SecondCopy,
            context: Context { time: None },
        };
        self.plan_task(Task::Files(&files), request)
    }

    /// The files of a bank that were replaced, as they were before.
    fn old_files(&self, slot: &Slot<'_>, undo: &Undo) -> Result<Vec<BankFile>, Error> {
        let on = |error: Error| error.on(slot.partition);
        let volume = slot.opened()?.volume();
        let range = volume.start()..volume.start() + volume.geometry().total_bytes();
        let sector_size = volume.geometry().sector_size();
        let limit = self.settings().limits.max_unpacked;
        let (before, after) = (undo.before(self.medium()), undo.after(self.medium()));
        let open = |overlay| Volume::open(overlay, range.clone(), sector_size);
        let before = open(&before).map_err(|error| on(error.into()))?;
        let after = open(&after).map_err(|error| on(error.into()))?;

        // A file that another system put into the old clusters is not one of them, though what the
        // undo file knows of those shows through it.
        let pointed_elsewhere = |entry: &Entry| {
            let place = |it: &Entry| (it.first_cluster(), it.size());
            let mut there = after.files().filter(|it| it.offset() == entry.offset());
            there.any(|it| place(&it) != place(entry))
        };
        let overwritten = |entry: &Entry| {
            let first = before.geometry().cluster(entry.first_cluster());
            let at = first.map(|first| before.start() + before.geometry().cluster_offset(first));
            let lba = at.map(|at| Lba::holding(at, sector_size));
            lba.is_some_and(|lba| undo.overwrites(lba))
        };
        let was_replaced = |entry: &Entry| pointed_elsewhere(entry) || overwritten(entry);
        let mut files = Vec::new();
        for entry in before.files().filter(was_replaced) {
            let name = entry.name();
            let on = |error: Error| error.on(slot.partition).in_file(name.as_str());
            let content = |volume: &Volume<'_>| match volume.find(&name)? {
                Some(entry) => volume.read_file(&entry, limit).map(Some),
                None => Ok(None),
            };
            let old = content(&before).map_err(|error| on(error.into()))?;
            let new = content(&after).map_err(|error| on(error.into()))?;
            let now = content(volume).map_err(|error| on(error.into()))?;
            match old {
                Some(content)
                    if now.is_some() && (now == new || now.as_ref() == Some(&content)) =>
                {
                    files.push(BankFile {
                        partition: Some(slot.partition),
                        name,
                        content: Some(content),
                    });
                }
                _ => return Err(on(UndoError::FileChanged.into())),
            }
        }
        Ok(files)
    }
}
