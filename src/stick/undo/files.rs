//! The files of a change as they were before it, planned like any other change.

use super::super::plan::{BankPlan, FilePlan, Plan, Request};
use super::super::work::{BankFile, Task};
use super::super::{BankChoice, Error, Slot, Stick};
use crate::bank::{BOOT_CFG, STATE_FILES};
use crate::commit::{Undo, UndoError};
use crate::edit::Context;
use crate::fat::{Entry, FatError, Method, Volume};
use crate::medium::Lba;
use std::collections::{BTreeMap, BTreeSet};

impl Stick<'_, '_> {
    /// The plan that makes the files which the change of `undo` replaced, removed or made what they
    /// were, and keeps whatever else is on the medium.
    pub(super) fn plan_undo_of_files(&self, undo: &Undo) -> Result<Plan, Error> {
        let steps = undo.set.steps().iter().map(|step| step.partition);
        let changed: BTreeSet<u32> = steps.collect();
        let mut files = Vec::new();
        for partition in changed {
            let slot = self.slot(partition)?;
            let old = old_files(self, slot, undo).map_err(|error| error.on(partition))?;
            files.extend(old);
        }
        if files.is_empty() {
            return Err(UndoError::NoFiles.into());
        }
        // What boot.cfg names comes before it, and what it does not name goes after it.
        files.sort_by_key(|file| match &file.content {
            Some(_) if !file.name.eq_ignore_ascii_case(BOOT_CFG) => 0,
            Some(_) => 1,
            None => 2,
        });
        let request = Request {
            banks: BankChoice::All,
            method: Method::SecondCopy,
            context: Context { time: None },
        };
        let plan = self.plan_task(Task::Files(&files), request)?;
        // Of several files some are old and others new at a cut, and that starts no host.
        let next = plan.banks.iter().find(|bank| bank.boots_next);
        match next.filter(|bank| !is_good_at_every_cut(bank)) {
            Some(bank) => Err(Error::from(UndoError::InPieces).on(bank.partition)),
            None => Ok(plan),
        }
    }
}

/// Whether a bank boots with some of the files that change old and others new: one file alone, or a state and
/// boot.cfg, each of which is good by itself.
fn is_good_at_every_cut(bank: &BankPlan) -> bool {
    let is_good = |file: &FilePlan| {
        let mut known = STATE_FILES.into_iter().chain([BOOT_CFG]);
        known.any(|name| name.eq_ignore_ascii_case(&file.file))
    };
    let mut changing = bank.files.iter().filter(|file| file.is_changed());
    changing.clone().count() < 2 || changing.all(is_good)
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
    let traces = Traces::of(undo);
    let (was, became) = (traces.files_of(&before), traces.files_of(&after));
    let mut files = Vec::new();
    for name in was.keys().chain(became.keys()).collect::<BTreeSet<_>>() {
        let (was, became) = (was.get(name), became.get(name));
        if was
            .zip(became)
            .is_some_and(|(was, became)| traces.are_one(&before, was, became))
        {
            continue;
        }
        let read = |volume: &Volume<'_>, entry: Option<&Entry>| {
            let content = entry.map(|entry| volume.read_file(entry, limit));
            let content: Result<Option<Vec<u8>>, FatError> = content.transpose();
            content.map_err(|error| Error::from(error).in_file(name.as_str()))
        };
        let now = volume.find(name);
        let now = now.map_err(|error| Error::from(error).in_file(name.as_str()))?;
        let (old, new) = (read(&before, was)?, read(&after, became)?);
        let now = read(volume, now.as_ref())?;
        if old == new {
            continue;
        }
        if now != new && now != old {
            return Err(Error::from(UndoError::FileChanged).in_file(name.as_str()));
        }
        files.push(BankFile {
            partition: Some(slot.partition),
            name: name.clone(),
            content: old,
        });
    }
    Ok(files)
}

/// Where a change wrote to.
struct Traces<'u> {
    undo: &'u Undo,
    written: BTreeSet<Lba>,
}

impl<'u> Traces<'u> {
    fn of(undo: &'u Undo) -> Self {
        let steps = undo.set.steps().iter();
        let written = steps.flat_map(|step| step.sectors.keys().copied());
        let written = written.collect();
        Traces { undo, written }
    }

    /// The files whose directory slot the change wrote to, or that it wrote over where they lie, by name. Any
    /// other slot, and what another system put into it since, shows through on both sides; but what ended the
    /// directory before the change can hide it on one.
    fn files_of(&self, volume: &Volume<'_>) -> BTreeMap<String, Entry> {
        let sector = |at: u64| {
            let at = volume.start() + at;
            Lba::holding(at, volume.geometry().sector_size())
        };
        let is_of_it = |entry: &Entry| {
            let first = volume.geometry().cluster(entry.first_cluster());
            let first = first.map(|first| sector(volume.geometry().cluster_offset(first)));
            self.written.contains(&sector(entry.offset()))
                || first.is_some_and(|first| self.undo.overwrites(first))
        };
        let files = volume.files().filter(|entry| !entry.is_directory());
        files
            .filter(is_of_it)
            .map(|entry| (entry.name(), entry))
            .collect()
    }

    /// Whether a file is where it was and nothing was written to where its content is.
    fn are_one(&self, before: &Volume<'_>, was: &Entry, became: &Entry) -> bool {
        let place = |entry: &Entry| (entry.first_cluster(), entry.size());
        let is_written = |entry: &Entry| {
            let geometry = before.geometry();
            let chain = before.chain(entry).unwrap_or_default();
            chain.into_iter().any(|cluster| {
                let at = before.start() + geometry.cluster_offset(cluster);
                self.written
                    .contains(&Lba::holding(at, geometry.sector_size()))
            })
        };
        place(was) == place(became) && !is_written(was)
    }
}
