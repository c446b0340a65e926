//! A boot medium opened: the whole chain from the partition table to the states in the banks.
//!
//! This is what commands, and other programs, talk to. Opening reads the table, the head of
//! each volume and each `boot.cfg`; states are opened when asked for. Nothing here writes:
//! changes become a [`Plan`], which `commit::run` carries out.
//!
//! Each volume is read twice: strictly, to know what may be changed ([`Slot::bank`]), and as the
//! loader reads it, to know what boots ([`Slot::verdict`], [`Stick::loader`]). A bank that cannot
//! be opened may well be the one that boots next.

mod banks;
mod error;
mod expect;
mod firmware;
mod harm;
mod installer;
mod missed;
mod open;
mod opened;
mod outlook;
mod path;
mod plan;
mod planning;
mod reading;
mod settings_state;
mod slot;
mod stages;
#[cfg(test)]
mod tests;
mod transfer;
mod undo;
mod unmatched;
mod warning;
mod work;

pub use banks::IfBroken;
pub use error::{Cause, Error};
pub(crate) use expect::{check_conf, is_of_build};
pub use firmware::{Firmware, Uefi};
pub(crate) use harm::note_harm_between;
pub use installer::Installer;
pub use missed::{MissedBank, OtherType, WhyMissed};
pub use outlook::{Cure, NextBoot, Outlook};
pub use path::Path;
pub use plan::{BankPlan, FilePlan, Plan, Request};
pub use reading::{FoundFile, Look, Reading};
pub(crate) use settings_state::is_empty_state;
pub use slot::{Slot, StateFile};
pub use transfer::TransferError;
pub(crate) use transfer::check_replaces;
pub use undo::{BankPart, Now, OtherMedium, PutBack, UndoPlan, plan_undo, standing};
pub use warning::{Warning, WarningCause};
pub use work::BankFile;
pub(crate) use work::settings_that_differ;

use crate::bank::ChoiceWarning;
use crate::commit::Planner;
use crate::edit::{Configuration, EditError};
use crate::fat::Entry;
use crate::loader::{Chosen, Depth, Judgement, Loader};
use crate::medium::{Lba, ReadAt};
use crate::partition::{Partition, PartitionTable, Role, TableChoice};
use crate::state::{KeyCache, Limits, State};
use opened::OpenedStates;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// The state of every host since 4.0.
const STATE: &str = "state.tgz";
/// Most archives of the whole stick together, in units of the limit for one.
const UNPACKED_TOGETHER: u64 = 4;

/// How to open a stick.
#[derive(Clone, Debug)]
pub struct Settings<'k> {
    /// Logical sector size in bytes where it is known; `None` to find it out.
    pub sector_size: Option<u32>,
    /// Bounds for what archives may unpack to.
    pub limits: Limits,
    /// Keys derived so far: one cache serves a run over many clones.
    pub keys: &'k KeyCache,
}

/// What is in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PartitionKind {
    /// A bank, whole or damaged.
    Bank,
    /// Something else.
    Role(Role),
}

impl PartitionKind {
    /// The word used in JSON output (`partitions[].kind`).
    pub fn as_str(self) -> &'static str {
        match self {
            PartitionKind::Bank => "bank",
            PartitionKind::Role(role) => role.as_str(),
        }
    }
}

/// Which banks an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BankChoice {
    /// All of them.
    All,
    /// The one that boots next.
    Next,
    /// The one on the partition of this number.
    Partition(u32),
}

/// A boot medium opened for reading.
pub struct Stick<'m, 'k> {
    medium: &'m dyn ReadAt,
    settings: Settings<'k>,
    look: Look,
    table: PartitionTable,
    slots: Vec<Slot<'m>>,
    loader: Loader<'m>,
    chosen: Chosen,
    choice_warnings: Vec<ChoiceWarning>,
    marked: Vec<u32>,
    unmarked: Vec<u32>,
    other_types: Vec<OtherType>,
    opened: Arc<OpenedStates>,
    avoided: Vec<Range<Lba>>,
}

impl fmt::Debug for Stick<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stick")
            .field("table", &self.table)
            .field(
                "banks",
                &numbers(self.slots.iter().map(|slot| slot.partition)),
            )
            .field("chosen", &self.chosen)
            .finish_non_exhaustive()
    }
}

impl<'m, 'k> Stick<'m, 'k> {
    /// The same medium, where plans put no new content into these sectors: they can be read, but an earlier run
    /// found that they cannot be written ([`Failure::worn`](crate::commit::Failure::worn)).
    #[must_use]
    pub fn avoiding(mut self, sectors: Vec<Range<Lba>>) -> Self {
        self.avoided = sectors;
        self
    }

    /// A plan for `medium`, this one or one laid over it, with nothing in it yet.
    ///
    /// # Errors
    /// A table with which nothing may be written: see [`PartitionTable::writable`].
    fn planner<'n>(&self, medium: &'n dyn ReadAt) -> Result<Planner<'n>, Error> {
        self.table.writable()?;
        Ok(Planner::new(medium, self.table.sector_size).avoiding(&self.avoided))
    }

    /// The medium it was opened on.
    pub fn medium(&self) -> &'m dyn ReadAt {
        self.medium
    }

    /// The partition table.
    pub fn table(&self) -> &PartitionTable {
        &self.table
    }

    /// What the loader's choice of a bank gives reason to say.
    pub fn choice_warnings(&self) -> &[ChoiceWarning] {
        &self.choice_warnings
    }

    /// The banks, by partition number.
    pub fn slots(&self) -> &[Slot<'m>] {
        &self.slots
    }

    /// The medium as VMware's loader sees it: what it would choose and load.
    pub fn loader(&self) -> &Loader<'m> {
        &self.loader
    }

    /// What that loader does with the medium, looked at so far as `depth` says.
    pub fn judge(&self, depth: Depth) -> Judgement {
        self.loader.judge(depth)
    }

    /// Which bank that loader takes, or that it cannot be told.
    pub fn choice(&self) -> &Chosen {
        &self.chosen
    }

    /// Why the loader takes none of these banks, where they were found by a table that it does not use.
    pub fn not_by_loader(&self) -> Option<&'static str> {
        (self.table.source != TableChoice::Loader)
            .then_some("ESXi's loader does not use this table")
    }

    /// Whether the loader takes this bank at the next boot.
    pub(crate) fn takes(&self, slot: &Slot<'_>) -> bool {
        slot.verdict.boots_next && self.not_by_loader().is_none()
    }

    /// Why it does not, in words.
    pub(crate) fn why_not(&self, slot: &Slot<'_>) -> Option<String> {
        let by_bank = || slot.verdict.why_not.as_ref().map(ToString::to_string);
        self.not_by_loader().map(str::to_owned).or_else(by_bank)
    }

    /// The bank that boots next, by the table that was looked at; `None` also where that cannot be told.
    pub fn boots_next(&self) -> Option<&Slot<'m>> {
        self.slots.iter().find(|slot| slot.verdict.boots_next)
    }

    /// What is in a partition: a bank, or else what its type says. A volume with VMware's mark is FAT
    /// whatever that is.
    pub fn kind_of(&self, partition: &Partition) -> PartitionKind {
        let number = partition.number;
        if self.bank_on(number).is_some() {
            return PartitionKind::Bank;
        }
        PartitionKind::Role(match partition.role() {
            Role::Other if self.is_marked(number) => Role::Fat,
            role => role,
        })
    }

    /// Whether a partition holds a volume with VMware's mark that is no bank.
    pub fn is_marked(&self, partition: u32) -> bool {
        self.marked.contains(&partition)
    }

    /// The banks a choice means, in the order they are to be changed: the one that boots next
    /// comes last.
    ///
    /// # Errors
    /// [`Cause::NoSuchBank`], [`Cause::NoneBoots`].
    pub fn chosen(&self, choice: BankChoice) -> Result<Vec<&Slot<'m>>, Error> {
        let mut chosen: Vec<&Slot<'m>> = match choice {
            BankChoice::All => self.slots.iter().collect(),
            BankChoice::Next => match self.boots_next() {
                Some(slot) => vec![slot],
                None => return Err(Cause::NoneBoots(self.why_none_boots()).into()),
            },
            BankChoice::Partition(asked) => vec![self.slot(asked)?],
        };
        chosen.sort_by_key(|slot| slot.verdict.boots_next);
        Ok(chosen)
    }

    /// The bank on this partition.
    ///
    /// # Errors
    /// [`Cause::NoSuchBank`].
    fn slot(&self, asked: u32) -> Result<&Slot<'m>, Error> {
        let slot = self.bank_on(asked);
        slot.ok_or_else(|| self.no_such_bank(asked))
    }

    fn no_such_bank(&self, asked: u32) -> Error {
        let banks = self.slots.iter().map(|slot| slot.partition).collect();
        Cause::NoSuchBank { asked, banks }.into()
    }

    /// The bank on this partition, where there is one.
    pub fn bank_on(&self, partition: u32) -> Option<&Slot<'m>> {
        self.slots.iter().find(|slot| slot.partition == partition)
    }

    /// Reads and opens a state file of a bank.
    ///
    /// # Errors
    /// The bank's own error, a file that cannot be read, an archive that is damaged.
    pub fn open_state(&self, slot: &Slot<'m>, file: &StateFile) -> Result<Arc<State>, Error> {
        let bytes = self.read_state_file(slot, file)?;
        self.state_of(slot, &file.name, bytes)
    }

    /// The state that a file of a bank holds, or is to hold.
    fn state_of(&self, slot: &Slot<'_>, name: &str, bytes: Vec<u8>) -> Result<Arc<State>, Error> {
        if let Some(state) = self.opened.find(name, &bytes) {
            return Ok(state);
        }
        let Settings { limits, keys, .. } = &self.settings;
        let state = State::open(name, bytes, limits, keys);
        state
            .map(|state| self.opened.keep(state, limits))
            .map_err(|error| Error::from(error).on(slot.partition).in_file(name))
    }

    /// The parts of a state of a bank that say who owns which device, as a host of its release reads them.
    ///
    /// # Errors
    /// As [`Configuration::open_for`].
    pub fn configuration(
        &self,
        slot: &Slot<'m>,
        state: &Arc<State>,
    ) -> Result<Configuration, EditError> {
        self.opened.configuration(state, slot.release().as_ref())
    }

    /// The content of a file of a bank.
    ///
    /// # Errors
    /// The bank's own error, or a chain that cannot be followed or read.
    pub fn read(&self, slot: &Slot<'m>, entry: &Entry) -> Result<Vec<u8>, Error> {
        self.read_within(slot, entry, self.settings.limits.max_file())
    }

    /// The same of a state file, which as it is may be no larger than what it unpacks to.
    fn read_state_file(&self, slot: &Slot<'m>, file: &StateFile) -> Result<Vec<u8>, Error> {
        self.read_within(slot, &file.entry, self.settings.limits.max_unpacked)
    }

    fn read_within(&self, slot: &Slot<'m>, entry: &Entry, limit: u64) -> Result<Vec<u8>, Error> {
        let bank = slot.opened()?;
        bank.volume()
            .read_file(entry, limit)
            .map_err(|error| Error::from(error).on(slot.partition).in_file(entry.name()))
    }

    /// Another medium, or the same as a plan leaves it, where states with the same bytes need not be
    /// opened again.
    fn open_beside<'n>(&self, medium: &'n dyn ReadAt) -> Result<Stick<'n, 'k>, Error> {
        let settings = Settings {
            sector_size: Some(self.table.sector_size),
            ..self.settings.clone()
        };
        let beside = Stick::open(medium, &settings)?;
        Ok(Stick {
            opened: Arc::clone(&self.opened),
            ..beside
        })
    }

    /// How it was opened.
    pub fn settings(&self) -> &Settings<'k> {
        &self.settings
    }

    fn why_none_boots(&self) -> String {
        let reasons = self.slots.iter().map(|slot| {
            let why = slot.verdict.why_not.as_ref().map(ToString::to_string);
            format!("partition {}: {}", slot.partition, why.unwrap_or_default())
        });
        reasons.collect::<Vec<_>>().join("; ")
    }
}

/// Partition numbers as a list for a message: `5, 6`.
pub(crate) fn numbers(numbers: impl Iterator<Item = u32>) -> String {
    let texts: Vec<String> = numbers.map(|number| number.to_string()).collect();
    texts.join(", ")
}
