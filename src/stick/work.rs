//! What a task makes of the files of one bank, before sectors are thought of.

use super::{Cause, Error, FilePlan, Slot, StateFile, Stick, Warning, WarningCause};
use crate::bank::{BOOT_CFG, Bank};
use crate::edit::inventory::{Difference, Inventory, Item, differences};
use crate::edit::{
    self, ChangeSource, Context, Edit, EditError, Edited, SettingChange, TextChange, Unmatched,
};
use crate::fat::{Action, Entry, FatError, FileChange};
use crate::secrets::Guarded;
use crate::state::{Effort, Form, State};
use bytes::Bytes;
use std::sync::Arc;

/// What is to be done to a bank.
#[derive(Clone, Copy)]
pub(super) enum Task<'t> {
    /// These changes.
    Edits(&'t [Edit]),
    /// This file in place of the state it loads.
    Import(&'t [u8]),
    /// These files of the banks themselves.
    Files(&'t [BankFile]),
}

impl Task<'_> {
    /// Whether it gives a state to a bank that loads one and holds none: it stops without.
    pub(super) fn gives_state_to(self, bank: &Bank<'_>) -> bool {
        matches!(self, Task::Import(_)) && bank.lists_state()
    }

    /// Whether a file of this bank, and not of every bank, is to be changed.
    pub(super) fn names(self, slot: &Slot<'_>) -> bool {
        let is_of_it = |file: &BankFile| file.partition == Some(slot.partition);
        matches!(self, Task::Files(files) if files.iter().any(is_of_it))
    }

    /// Whether a boot.cfg is among the files, as none is but where an undo puts it back.
    pub(super) fn puts_boot_cfg_back(self) -> bool {
        let is_boot_cfg = |file: &BankFile| file.name.eq_ignore_ascii_case(BOOT_CFG);
        matches!(self, Task::Files(files) if files.iter().any(is_boot_cfg))
    }

    /// Whether it can change which bank boots.
    pub(super) fn decides_the_bank(self) -> bool {
        matches!(self, Task::Edits(edits) if edits.iter().any(Edit::decides_the_bank))
    }
}

/// A file of a bank, and what it is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankFile {
    /// Number of the bank's partition; `None` for every bank that is chosen.
    pub partition: Option<u32>,
    /// Its name in the bank.
    pub name: String,
    /// Its content; `None` where it is to be removed.
    pub content: Option<Vec<u8>>,
}

impl BankFile {
    /// Whether it is about this bank.
    pub(super) fn is_of(&self, slot: &Slot<'_>) -> bool {
        self.partition.is_none_or(|it| it == slot.partition)
    }
}

/// A file of a bank opened and edited, not yet packed.
pub(super) struct FileWork {
    /// Its name in the bank.
    pub(super) name: String,
    /// Whether `modules=` names it.
    listed: bool,
    /// Its entry; `None` where it is not there yet.
    entry: Option<Entry>,
    edited: Edited,
    /// What a person should know beside what the edits warn of.
    warnings: Vec<Warning>,
    /// The form of a state; `None` of any other file.
    form: Option<Form>,
    result: Outcome,
}

/// What becomes of a file.
enum Outcome {
    /// A state, whose members the edits change.
    State(Arc<State>),
    /// The same, let go of.
    LetGo {
        /// Whether the edits change it.
        changes: bool,
    },
    /// A file that gets this content as a whole; `None` where it stays.
    Whole(Option<Bytes>),
    /// A file that goes.
    Removed,
    /// A file that was not looked into.
    LeftAlone,
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
            Task::Files(files) => return self.files_work(slot, files),
        };
        slot.opened()?;
        let mut files = Vec::new();
        if edits.iter().any(Edit::is_of_boot_cfg) {
            files.extend(self.boot_cfg_work(slot, edits)?);
        }
        if !edits.iter().all(Edit::is_of_boot_cfg) || edits.is_empty() {
            for file in &slot.states {
                match self.state_work(slot, file, edits, context) {
                    Ok(work) => files.push(work),
                    Err(error) => match self.why_left_alone(slot, file, &error) {
                        Some(why) => files.push(FileWork::left_alone(file, why)),
                        None => return Err(error),
                    },
                }
            }
        }
        Ok(files)
    }

    /// Why a state that cannot be changed is in nobody's way: the host does not load it, or has its
    /// settings from another one.
    fn why_left_alone(
        &self,
        slot: &Slot<'_>,
        file: &StateFile,
        error: &Error,
    ) -> Option<WarningCause> {
        if slot.is_harmless(file, error) {
            let why = error.to_string();
            return Some(WarningCause::NotLoaded {
                partition: slot.partition,
                file: file.name.clone(),
                why,
            });
        }
        if !matches!(error.cause, Cause::Edit(EditError::Empty)) {
            return None;
        }
        let filled = self.filled_state(slot)?;
        Some(WarningCause::EmptyBeside {
            partition: slot.partition,
            file: file.name.clone(),
            filled: filled.name.clone(),
        })
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
            entry: Some(entry),
            edited,
            warnings: Vec::new(),
            form: None,
            result: Outcome::Whole(content.map(Bytes::from)),
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
        let inside = |error| Error::from(error).on(slot.partition).in_file(&file.name);
        let before = self.configuration(slot, &state).map_err(inside)?;
        let edited = edit::apply_to(&before, &state, edits, context, release.as_ref());
        let edited = edited.map_err(inside)?;
        let partition = Some(slot.partition);
        let older = WarningCause::of_older_state(partition, &state, &before, release.as_ref())
            .filter(|_| !slot.awaits_first_boot());
        let odd = state.warnings().into_iter().map(Warning::from);
        let warnings = odd.chain(older.map(Warning::from)).collect();
        Ok(FileWork {
            name: file.name.clone(),
            listed: file.listed,
            entry: Some(file.entry.clone()),
            edited,
            warnings,
            form: Some(state.form()),
            result: Outcome::State(state),
        })
    }

    /// A state put in place of the one that the host loads, which need not be sound, or be there at all.
    fn import_work(&self, slot: &Slot<'_>, content: &[u8]) -> Result<Vec<FileWork>, Error> {
        let file = |content: &[u8]| -> Result<BankFile, Error> {
            Ok(BankFile {
                partition: None,
                name: slot.name_of_state()?.to_owned(),
                content: Some(content.to_vec()),
            })
        };
        let as_it_is = self.whole_file(slot, &file(content)?)?;
        if !as_it_is.is_changed() {
            return Ok(vec![as_it_is]);
        }
        let (new, content, warnings) = self.imported(slot, content)?;
        let mut work = self.whole_file(slot, &file(&content)?)?;
        if work.is_changed() {
            work.warnings = warnings;
            work.warnings.extend(slot.loads_otherwise(&work.name));
            let unknown = self.note_harm(slot, &work.name, &content, &mut work.edited);
            work.warnings.extend(unknown);
            let own = slot.state_called(&work.name);
            let old = own.and_then(|file| self.open_state(slot, file).ok());
            work.edited
                .texts
                .extend(settings_that_differ(old.as_deref(), &new)?);
        }
        Ok(vec![work])
    }

    /// The files of this bank among `files`, each to hold what it says.
    fn files_work(&self, slot: &Slot<'_>, files: &[BankFile]) -> Result<Vec<FileWork>, Error> {
        let files = files.iter().filter(|file| file.is_of(slot));
        let work = |file| {
            let mut work = self.whole_file(slot, file)?;
            if let Some(content) = file.content.as_deref().filter(|_| work.is_changed()) {
                let unknown = self.note_harm(slot, &work.name, content, &mut work.edited);
                work.warnings.extend(unknown);
            }
            Ok(work)
        };
        files.map(work).collect()
    }

    /// A file that is to have a content as a whole, or to go.
    fn whole_file(&self, slot: &Slot<'_>, file: &BankFile) -> Result<FileWork, Error> {
        let on = |error: Error| error.on(slot.partition).in_file(file.name.as_str());
        let bank = slot.opened()?;
        let entry = bank.find(&file.name).map_err(|error| on(error.into()))?;
        let old = match &entry {
            Some(entry) => Some(self.read(slot, entry)?),
            None => None,
        };
        let name = entry.as_ref().map_or(file.name.clone(), Entry::name);
        let mut edited = Edited {
            searched: vec![name.clone()],
            ..Edited::default()
        };
        let changes = old != file.content;
        if changes {
            let told = |content: &Option<Vec<u8>>| {
                let content = content.as_deref();
                content.map(|content| Guarded::of(edit::fingerprint(content)))
            };
            let (from, to) = (told(&old), told(&file.content));
            let change = SettingChange::new(ChangeSource::File, name.as_str(), from, to);
            edited.changes.push(change);
        }
        let result = match &file.content {
            Some(content) => Outcome::Whole(changes.then(|| content.clone().into())),
            None if changes => Outcome::Removed,
            None => Outcome::Whole(None),
        };
        Ok(FileWork {
            listed: bank.boot_cfg().lists_module(&name),
            entry,
            name,
            edited,
            warnings: Vec::new(),
            form: None,
            result,
        })
    }
}

impl FileWork {
    /// A state that is not changed, and why.
    fn left_alone(file: &StateFile, why: WarningCause) -> Self {
        FileWork {
            name: file.name.clone(),
            listed: false,
            entry: Some(file.entry.clone()),
            edited: Edited::default(),
            warnings: vec![why.into()],
            form: None,
            result: Outcome::LeftAlone,
        }
    }

    /// Whether the file was passed over, so that nothing is known of what it holds.
    pub(super) fn is_left_alone(&self) -> bool {
        matches!(self.result, Outcome::LeftAlone)
    }

    /// Whether the file gets new content.
    pub(super) fn is_changed(&self) -> bool {
        match &self.result {
            Outcome::State(_) => !self.edited.members.is_empty(),
            Outcome::LetGo { changes } => *changes,
            Outcome::Whole(content) => content.is_some(),
            Outcome::Removed => true,
            Outcome::LeftAlone => false,
        }
    }

    /// Bytes that the archives of its state take while it is held.
    pub(super) fn unpacked_len(&self) -> u64 {
        match &self.result {
            Outcome::State(state) => state.unpacked_len(),
            _ => 0,
        }
    }

    /// Lets go of a state that nobody packs any more: it is not held beside those that are packed after it.
    pub(super) fn let_go(&mut self) {
        if matches!(self.result, Outcome::State(_)) {
            let changes = self.is_changed();
            self.result = Outcome::LetGo { changes };
            self.edited.members.clear();
        }
    }

    /// What a person should know.
    pub(super) fn warnings(&self) -> impl Iterator<Item = Warning> {
        let of_edits = self.edited.warnings.iter().cloned().map(Warning::from);
        self.warnings.iter().cloned().chain(of_edits)
    }

    /// The plan for the file, given its new content.
    pub(super) fn plan(&self, content: Option<Bytes>) -> FilePlan {
        FilePlan {
            file: self.name.clone(),
            listed: self.listed,
            form: self.form,
            removed: matches!(self.result, Outcome::Removed),
            searched: self.edited.searched.clone(),
            doubtful: self.edited.doubtful,
            changes: self.edited.changes.clone(),
            texts: self.edited.texts.clone(),
            content,
        }
    }

    /// What edits come to that were made already: that some of them contradict each other is an error.
    pub(super) fn check_agreement(&self, task: Task<'_>, slot: &Slot<'_>) -> Result<(), Error> {
        let Task::Edits(edits) = task else {
            return Ok(());
        };
        let agree = edit::check_agreement(&self.edited, edits);
        agree.map_err(|error| Error::from(error).on(slot.partition).in_file(&self.name))
    }

    /// What the edits name and the file does not hold.
    pub(super) fn unmatched(&self) -> &[Unmatched] {
        &self.edited.unmatched
    }
}

/// The settings in which two states differ, as texts before and after.
pub(crate) fn settings_that_differ(
    old: Option<&State>,
    new: &State,
) -> Result<Option<TextChange>, Error> {
    let inventory = |state: Option<&State>| -> Result<Inventory, Error> {
        let mut inventory = Inventory::default();
        if let Some(state) = state {
            inventory.add_state(state)?;
        }
        Ok(inventory)
    };
    // What cannot be told apart setting by setting is shown as the file it is.
    let (Ok(old), Ok(new)) = (inventory(old), inventory(Some(new))) else {
        return Ok(None);
    };
    let add = |text: &mut Guarded, difference: &Difference, item: &Option<Item>| {
        if let Some(item) = item {
            let kind = difference.kind.as_str();
            text.push(&Guarded::of(format!("{kind} {} = ", difference.key)));
            text.push(&item.value);
            text.push(&Guarded::of("\n"));
        }
    };
    let (mut before, mut after) = (Guarded::default(), Guarded::default());
    for difference in differences(&old, &new) {
        add(&mut before, &difference, &difference.a);
        add(&mut after, &difference, &difference.b);
    }
    Ok(Some(TextChange {
        path: String::new(),
        before,
        after,
    }))
}

/// The new content of each file; `None` for those that stay.
pub(super) fn pack(
    slot: &Slot<'_>,
    files: &[FileWork],
    effort: Effort,
) -> Result<Vec<Option<Bytes>>, Error> {
    let pack = |file: &FileWork| match &file.result {
        Outcome::Whole(content) => Ok(content.clone()),
        Outcome::Removed | Outcome::LeftAlone | Outcome::LetGo { .. } => Ok(None),
        Outcome::State(_) if !file.is_changed() => Ok(None),
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

/// Those of the files that change, for the volume they are in.
///
/// # Errors
/// A file that is to be made and cannot be: its name, or no room in the directory.
pub(super) fn file_changes(
    slot: &Slot<'_>,
    files: &[FileWork],
    contents: &[Option<Bytes>],
) -> Result<Vec<FileChange>, Error> {
    let bank = slot.opened()?;
    let on = |error: FatError| Error::from(error).on(slot.partition);
    let missing = files
        .iter()
        .filter(|file| file.entry.is_none() && file.is_changed());
    let names: Vec<&str> = missing.map(|file| file.name.as_str()).collect();
    // There is no clock here: a new file has the times of the bank's boot.cfg.
    let like = bank
        .find(BOOT_CFG)
        .map_err(|error| Error::from(error).on(slot.partition))?;
    let new = match like {
        Some(like) => {
            let names: Vec<(&str, &Entry)> = names.iter().map(|name| (*name, &like)).collect();
            bank.volume().new_entries(&names).map_err(on)?
        }
        None => Vec::new(),
    };
    let mut new = new.into_iter();
    let mut changes = Vec::new();
    for (file, content) in files
        .iter()
        .zip(contents)
        .filter(|(file, _)| file.is_changed())
    {
        let is_removed = matches!(file.result, Outcome::Removed);
        let (entry, action, what) = match (&file.entry, content) {
            (Some(entry), Some(content)) => (
                Some(entry.clone()),
                Action::Replace(content.clone()),
                "new content of",
            ),
            (Some(entry), None) if is_removed => {
                (Some(entry.clone()), Action::Remove, "removal of")
            }
            (None, Some(content)) => (new.next(), Action::Create(content.clone()), "new file"),
            (_, None) => {
                let what = format!("{} has no new content", file.name);
                return Err(Error::from(Cause::Verification(what)).on(slot.partition));
            }
        };
        if let Some(entry) = entry {
            changes.push(FileChange {
                entry,
                action,
                why: format!("{what} {}", file.name),
            });
        }
    }
    Ok(changes)
}
