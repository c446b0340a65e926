//! The files of a change as they were before it, planned like any other change.

use super::super::plan::{Plan, Request};
use super::super::work::{BankFile, Task};
use super::super::{BankChoice, Error, Slot, Stick};
use crate::bank::BOOT_CFG;
use crate::commit::{Undo, UndoError};
use crate::edit::Context;
use crate::fat::{Entry, Method, Volume};
use crate::medium::Lba;
use std::collections::BTreeSet;

impl Stick<'_, '_> {
    /// The plan that makes the files which the change of `undo` replaced, removed or made what they
    /// were, and keeps whatever else is on the medium.
    pub(super) fn plan_undo_of_files(&self, undo: &Undo) -> Result<Plan, Error> {
        let steps = undo.set.steps().iter().map(|step| step.partition);
        let changed: BTreeSet<u32> = steps.collect();
        let mut files = Vec::new();
        for slot in self.slots() {
            if changed.contains(&slot.partition) {
                let old = old_files(self, slot, undo);
                files.extend(old.map_err(|error| error.on(slot.partition))?);
            }
        }
        if files.is_empty() {
            return Err(UndoError::NoFiles.into());
        }
        // What boot.cfg names is there before it is.
        files.sort_by_key(|file| file.name.eq_ignore_ascii_case(BOOT_CFG));
        let request = Request {
            banks: BankChoice::All,
            method: Method::SecondCopy,
            context: Context { time: None },
        };
        self.plan_task(Task::Files(&files), request)
    }
}

/// The files of a bank that the change was about, as they were before it.
///
/// # Errors
/// [`UndoError::FileChanged`] where one of them is neither as it was nor as the change left it.
fn old_files(stick: &Stick<'_, '_>, slot: &Slot<'_>, undo: &Undo) -> Result<Vec<BankFile>, Error> {
    let volume = slot.opened()?.volume();
    let range = volume.start()..volume.start() + volume.geometry().total_bytes();
    let sector_size = volume.geometry().sector_size();
    let limit = stick.settings().limits.max_file();
    let (before, after) = (undo.before(stick.medium()), undo.after(stick.medium()));
    let open = |overlay| Volume::open(overlay, range.clone(), sector_size);
    let (before, after) = (open(&before)?, open(&after)?);
    let mut files = Vec::new();
    for name in changed_names(&before, &after, undo) {
        let content = |volume: &Volume<'_>| match volume.find(&name)? {
            Some(entry) => volume.read_file(&entry, limit).map(Some),
            None => Ok(None),
        };
        let in_file = |error: Error| error.in_file(name.as_str());
        let read = |volume| content(volume).map_err(|error| in_file(error.into()));
        let (old, new, now) = (read(&before)?, read(&after)?, read(volume)?);
        if now != new && now != old {
            return Err(in_file(UndoError::FileChanged.into()));
        }
        files.push(BankFile {
            partition: Some(slot.partition),
            name,
            content: old,
        });
    }
    Ok(files)
}

/// The names of the files that a change was about: they are elsewhere than before, or in one place only.
///
/// A file that another system put into the old clusters is not one of them, though what the undo file
/// knows of those shows through it.
fn changed_names(before: &Volume<'_>, after: &Volume<'_>, undo: &Undo) -> BTreeSet<String> {
    let placed = |volume: &Volume<'_>| -> BTreeSet<(String, u16, u32)> {
        let place = |it: Entry| (it.name(), it.first_cluster(), it.size());
        volume.files().map(place).collect()
    };
    let overwritten = |entry: &Entry| {
        let first = before.geometry().cluster(entry.first_cluster());
        let at = first.map(|first| before.start() + before.geometry().cluster_offset(first));
        let lba = at.map(|at| Lba::holding(at, before.geometry().sector_size()));
        lba.is_some_and(|lba| undo.overwrites(lba))
    };
    let (old, new) = (placed(before), placed(after));
    let moved = old.symmetric_difference(&new);
    let moved = moved.map(|(name, ..)| name.clone());
    let overwritten = before.files().filter(overwritten);
    moved.chain(overwritten.map(|entry| entry.name())).collect()
}
