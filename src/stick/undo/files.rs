//! The old content of the replaced files, planned like any other change.

use super::super::plan::{Plan, Request};
use super::super::work::{BankFile, Task};
use super::super::{BankChoice, Error, Slot, Stick};
use crate::commit::{Undo, UndoError};
use crate::edit::Context;
use crate::fat::{Entry, Method, Volume};
use crate::medium::Lba;

impl Stick<'_, '_> {
    /// The plan that gives the files which the change of `undo` replaced their old content, and
    /// keeps whatever else is on the medium.
    pub(super) fn plan_undo_of_files(&self, undo: &Undo) -> Result<Plan, Error> {
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
        let limit = self.settings().limits.max_file();
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
