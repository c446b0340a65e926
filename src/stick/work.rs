//! What a task makes of the files of one bank, before sectors are thought of.

use super::{Cause, Error, FilePlan, Slot, StateFile, Stick};
use crate::bank::BOOT_CFG;
use crate::edit::{self, Change, ChangeSource, Context, Edit, Edited};
use crate::fat::{Entry, Replacement};
use crate::state::{Effort, State};

/// What is to be done to a bank.
#[derive(Clone, Copy)]
pub(super) enum Task<'t> {
    /// These changes.
    Edits(&'t [Edit]),
    /// This file in place of its `state.tgz`.
    Import(&'t [u8]),
    /// These files as they were.
    Restore(&'t [OldFile]),
}

/// A file of a bank as it was before a change.
pub(super) struct OldFile {
    /// Number of the bank's partition.
    pub(super) partition: u32,
    /// Its name in the bank.
    pub(super) name: String,
    /// Its content.
    pub(super) content: Vec<u8>,
}

/// A file of a bank opened and edited, not yet packed.
pub(super) struct FileWork {
    /// Its name in the bank.
    pub(super) name: String,
    /// Whether `modules=` names it.
    listed: bool,
    entry: Entry,
    edited: Edited,
    result: Outcome,
}

/// What becomes of a file.
enum Outcome {
    /// A state, whose members the edits change.
    State(Box<State>),
    /// A file that gets this content as a whole; `None` where it stays.
    Whole(Option<Vec<u8>>),
}

impl Stick<'_, '_> {
    /// What `task` makes of the files of a bank, in the order they are to be switched: what the
    /// host's configuration is in comes last.
    pub(super) fn work_on(
        &self,
        slot: &Slot<'_>,
        task: Task<'_>,
        context: Context,
    ) -> Result<Vec<FileWork>, Error> {
        let edits = match task {
            Task::Edits(edits) => edits,
            Task::Import(content) => return self.import_work(slot, content),
            Task::Restore(files) => return self.restore_work(slot, files),
        };
        slot.opened()?;
        let mut files = Vec::new();
        if edits.iter().any(Edit::is_of_boot_cfg) {
            files.extend(self.boot_cfg_work(slot, edits)?);
        }
        if !edits.iter().all(Edit::is_of_boot_cfg) || edits.is_empty() {
            for file in &slot.states {
                files.push(self.state_work(slot, file, edits, context)?);
            }
        }
        Ok(files)
    }

    fn boot_cfg_work(&self, slot: &Slot<'_>, edits: &[Edit]) -> Result<Option<FileWork>, Error> {
        let bank = slot.opened()?;
        let on = |error: Error| error.on(slot.partition).in_file(BOOT_CFG);
        let found = bank.find(BOOT_CFG).map_err(|error| on(error.into()))?;
        let Some(entry) = found else {
            return Ok(None);
        };
        let (edited, content) =
            edit::apply_to_boot_cfg(bank.boot_cfg(), edits).map_err(|error| on(error.into()))?;
        Ok(Some(FileWork {
            name: BOOT_CFG.to_owned(),
            listed: false,
            entry,
            edited,
            result: Outcome::Whole(content),
        }))
    }

    fn state_work(
        &self,
        slot: &Slot<'_>,
        file: &StateFile,
        edits: &[Edit],
        context: Context,
    ) -> Result<FileWork, Error> {
        let state = self.open_state(slot, file)?;
        let release = slot.release();
        let edited = edit::apply(&state, edits, context, release.as_ref())
            .map_err(|error| Error::from(error).on(slot.partition).in_file(file.name))?;
        Ok(FileWork {
            name: file.name.to_owned(),
            listed: file.listed,
            entry: file.entry.clone(),
            edited,
            result: Outcome::State(Box::new(state)),
        })
    }

    /// A state put in place of the bank's own. A bare `local.tgz` beside it stays.
    fn import_work(&self, slot: &Slot<'_>, content: &[u8]) -> Result<Vec<FileWork>, Error> {
        slot.opened()?;
        let Some(file) = slot.states.iter().find(|file| file.name == super::STATE) else {
            return Ok(Vec::new());
        };
        let mut work = self.whole_file(slot, &file.entry, content)?;
        if work.changes() {
            work.edited.warnings = self.imported(slot, content)?.warnings();
        }
        Ok(vec![work])
    }

    /// The files of this bank among `files`, each to be as it was.
    fn restore_work(&self, slot: &Slot<'_>, files: &[OldFile]) -> Result<Vec<FileWork>, Error> {
        let mut work = Vec::new();
        for file in files.iter().filter(|it| it.partition == slot.partition) {
            let on = |error: Error| error.on(slot.partition).in_file(file.name.as_str());
            let found = slot.opened()?.find(&file.name);
            let found = found.map_err(|error| on(error.into()))?;
            let entry = found.ok_or_else(|| on(Cause::NoSuchFile.into()))?;
            work.push(self.whole_file(slot, &entry, &file.content)?);
        }
        Ok(work)
    }

    /// A file that is to have this content as a whole.
    fn whole_file(
        &self,
        slot: &Slot<'_>,
        entry: &Entry,
        content: &[u8],
    ) -> Result<FileWork, Error> {
        let name = entry.name();
        let old = self.read(slot, entry)?;
        let changes = old != content;
        let mut edited = Edited {
            searched: vec![name.clone()],
            ..Edited::default()
        };
        if changes {
            edited.changes.push(Change {
                source: ChangeSource::File,
                key: name.clone(),
                address: None,
                alias: None,
                harm: None,
                from: Some(edit::fingerprint(&old)),
                to: Some(edit::fingerprint(content)),
            });
        }
        let state = slot.states.iter().find(|file| file.name == name);
        Ok(FileWork {
            listed: state.is_some_and(|file| file.listed),
            entry: entry.clone(),
            name,
            edited,
            result: Outcome::Whole(changes.then(|| content.to_vec())),
        })
    }
}

impl FileWork {
    /// Whether the file gets new content.
    pub(super) fn changes(&self) -> bool {
        match &self.result {
            Outcome::State(_) => !self.edited.members.is_empty(),
            Outcome::Whole(content) => content.is_some(),
        }
    }

    /// Bytes its archives unpack to.
    pub(super) fn unpacked_len(&self) -> u64 {
        match &self.result {
            Outcome::State(state) => state.unpacked_len(),
            Outcome::Whole(_) => 0,
        }
    }

    /// What a person should know.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = match &self.result {
            Outcome::State(state) => state.warnings(),
            Outcome::Whole(_) => Vec::new(),
        };
        warnings.extend(self.edited.warnings.iter().cloned());
        warnings
    }

    /// The plan for the file, given its new content.
    pub(super) fn plan(&self, content: Option<Vec<u8>>) -> FilePlan {
        FilePlan {
            file: self.name.clone(),
            listed: self.listed,
            form: match &self.result {
                Outcome::State(state) => Some(state.form()),
                Outcome::Whole(_) => None,
            },
            searched: self.edited.searched.clone(),
            doubtful: self.edited.doubtful,
            changes: self.edited.changes.clone(),
            texts: self.edited.texts.clone(),
            content,
        }
    }

    /// What the edits name and no file of its kind holds is an error.
    pub(super) fn check_unmatched<'f>(
        files: impl Iterator<Item = &'f FileWork>,
    ) -> Result<(), Error> {
        let (boot_cfgs, states): (Vec<&FileWork>, Vec<&FileWork>) =
            files.partition(|file| file.name == BOOT_CFG);
        for files in [boot_cfgs, states] {
            let unmatched: Vec<_> = files
                .iter()
                .map(|file| file.edited.unmatched.as_slice())
                .collect();
            edit::check_unmatched(&unmatched)?;
        }
        Ok(())
    }
}

/// The new content of each file; `None` for those that stay.
pub(super) fn pack(
    slot: &Slot<'_>,
    files: &[FileWork],
    effort: Effort,
) -> Result<Vec<Option<Vec<u8>>>, Error> {
    let pack = |file: &FileWork| match &file.result {
        Outcome::Whole(content) => Ok(content.clone()),
        Outcome::State(_) if !file.changes() => Ok(None),
        Outcome::State(state) => {
            let packed = state.edit(&file.edited.members, effort);
            packed.map(Some).map_err(|error| {
                Error::from(error)
                    .on(slot.partition)
                    .in_file(file.name.as_str())
            })
        }
    };
    files.iter().map(pack).collect()
}

/// Those of the files that change, for the volume.
pub(super) fn replacements<'c>(
    files: &[FileWork],
    contents: &'c [Option<Vec<u8>>],
) -> Vec<Replacement<'c>> {
    let changed = files.iter().zip(contents);
    let changed = changed.filter_map(|(file, content)| Some((file, content.as_ref()?)));
    changed
        .map(|(file, content)| Replacement {
            entry: file.entry.clone(),
            content,
            why: format!("new content of {}", file.name),
        })
        .collect()
}
