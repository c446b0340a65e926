//! A boot medium opened: the whole chain from the partition table to the states in the banks.
//!
//! This is what commands, and other programs, talk to. Opening reads the table, the head of
//! each volume and each `boot.cfg`; states are opened when asked for. Nothing here writes:
//! changes become a [`Plan`], which `commit::run` carries out.

mod check;
mod error;
mod expect;
mod path;
mod plan;
mod transfer;
mod undo;
mod work;

pub use check::{Finding, Severity, check};
pub use error::{Cause, Error};
pub use path::Path;
pub use plan::{BankPlan, FilePlan, Plan, Request};
pub use transfer::TransferError;
pub use undo::{WayBack, plan_undo};

use crate::bank::{
    Bank, BankInput, BankVerdict, BootCfgProblem, Choice, ChoiceWarning, Content, Release, choose,
};
use crate::fat::Entry;
use crate::medium::ReadAt;
use crate::partition::{Partition, PartitionTable};
use crate::state::{KeyCache, Limits, State};
use std::sync::Arc;

/// The state of every host since 4.0.
const STATE: &str = "state.tgz";
/// Most banks that are opened, and most archives of the whole stick together, in units of the
/// limit for one. The loader looks at three banks, and two are what every layout has.
const MAX_BANKS: usize = 16;
const UNPACKED_TOGETHER: u64 = 4;

/// How to open a stick.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'k> {
    /// Logical sector size in bytes where it is known; `None` to find it out.
    pub sector_size: Option<u32>,
    /// Bounds for what archives may unpack to.
    pub limits: Limits,
    /// Keys derived so far: one cache serves a run over many clones.
    pub keys: &'k KeyCache,
}

/// Which banks an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BankChoice {
    /// All that hold a state.
    All,
    /// The one that boots next.
    Next,
    /// The one on the partition of this number.
    Partition(u32),
}

/// A bank in its place: what it is, and what the loader will make of it.
#[derive(Debug)]
pub struct Slot<'m> {
    /// Number of its partition.
    pub partition: u32,
    /// The bank, or why it cannot be opened.
    pub bank: Result<Bank<'m>, Arc<Error>>,
    /// Whether it boots next, and why not.
    pub verdict: BankVerdict,
    /// The state files in it; empty for the second bank of a fresh install.
    pub states: Vec<StateFile>,
}

/// A state file of a bank, not opened yet.
#[derive(Clone, Debug)]
pub struct StateFile {
    /// `state.tgz` or `local.tgz`.
    pub name: &'static str,
    /// Its directory entry.
    pub entry: Entry,
    /// Whether `modules=` of the bank's boot.cfg names it: a file it does not name is not loaded.
    pub listed: bool,
}

/// A boot medium opened for reading.
pub struct Stick<'m, 'k> {
    medium: &'m dyn ReadAt,
    settings: Settings<'k>,
    table: PartitionTable,
    slots: Vec<Slot<'m>>,
    choice_warnings: Vec<ChoiceWarning>,
    marked: Vec<u32>,
    unmarked: Vec<u32>,
}

impl<'m, 'k> Stick<'m, 'k> {
    /// Opens the medium: table, volumes, `boot.cfg` of each bank.
    ///
    /// A damaged bank is no error here: it is in its slot. A medium without any is.
    ///
    /// # Errors
    /// A table that is damaged or none; [`Cause::NoBank`], [`Cause::TooManyBanks`].
    pub fn open(medium: &'m dyn ReadAt, settings: Settings<'k>) -> Result<Self, Error> {
        let table = PartitionTable::read(medium, settings.sector_size)?;
        let mut found = Vec::new();
        let mut marked = Vec::new();
        let mut unmarked = Vec::new();
        for partition in table.partitions.iter().filter(|p| p.may_hold_bank()) {
            let Some(range) = partition.byte_range(table.sector_size) else {
                continue;
            };
            match Bank::probe(medium, range, table.sector_size) {
                Ok(Content::Bank(bank)) => found.push((partition.number, Ok(*bank))),
                Ok(Content::Volume(_)) => marked.push(partition.number),
                Ok(Content::Unmarked) => unmarked.push(partition.number),
                Ok(Content::Other) => {}
                Err(error) => {
                    let error = Error::from(error).on(partition.number);
                    found.push((partition.number, Err(error)));
                }
            }
            if found.len() > MAX_BANKS {
                return Err(Cause::TooManyBanks { limit: MAX_BANKS }.into());
            }
        }
        if found.is_empty() {
            return Err(Cause::NoBank(describe_absence(&table, &marked, &unmarked)).into());
        }
        let (slots, choice_warnings) = judge(found);
        Ok(Stick {
            medium,
            settings,
            table,
            slots,
            choice_warnings,
            marked,
            unmarked,
        })
    }

    /// The medium it was opened on.
    pub fn medium(&self) -> &'m dyn ReadAt {
        self.medium
    }

    /// The partition table.
    pub fn table(&self) -> &PartitionTable {
        &self.table
    }

    /// The banks, by partition number.
    pub fn slots(&self) -> &[Slot<'m>] {
        &self.slots
    }

    /// The bank that boots next.
    pub fn boots_next(&self) -> Option<&Slot<'m>> {
        self.slots.iter().find(|slot| slot.verdict.boots_next)
    }

    /// What is in a partition, as one word: `bank`, `efi`, `vmfs`, `vmfsl`, `vmkcore`, `fat`
    /// or `other`.
    pub fn kind_of(&self, partition: &Partition) -> &'static str {
        let number = partition.number;
        if self.slots.iter().any(|slot| slot.partition == number) {
            return "bank";
        }
        let role = partition.role().as_str();
        if role == "other" && self.marked.contains(&number) {
            "fat"
        } else {
            role
        }
    }

    /// What is odd about the table and the banks, in words.
    pub fn warnings(&self) -> Vec<String> {
        let table = self.table.warnings.iter().map(ToString::to_string);
        let choice = self.choice_warnings.iter().map(ToString::to_string);
        let problems = self.slots.iter().flat_map(|slot| {
            let bank = slot.bank.as_ref().ok();
            let problems = bank.into_iter().flat_map(|bank| &bank.boot_cfg().problems);
            // Those that decide the choice are told as part of it.
            let others = problems.filter(|problem| {
                !matches!(
                    problem,
                    BootCfgProblem::Rejected { .. } | BootCfgProblem::Fatal { .. }
                )
            });
            others.map(|problem| format!("bank {}: boot.cfg {problem}", slot.partition))
        });
        let damaged = self.slots.iter().filter_map(|slot| {
            let error = slot.bank.as_ref().err()?;
            Some(format!("the bank cannot be opened: {error}"))
        });
        let all = table.chain(choice).chain(problems).chain(damaged);
        all.chain(self.left_alone()).collect()
    }

    /// Volumes that look like banks and that no plan touches, in words.
    pub fn left_alone(&self) -> Vec<String> {
        self.unmarked
            .iter()
            .map(|number| without_mark(*number))
            .collect()
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
            BankChoice::Partition(asked) => {
                match self.slots.iter().find(|slot| slot.partition == asked) {
                    Some(slot) => vec![slot],
                    None => {
                        let banks = numbers(self.slots.iter().map(|slot| slot.partition));
                        return Err(Cause::NoSuchBank { asked, banks }.into());
                    }
                }
            }
        };
        chosen.sort_by_key(|slot| slot.verdict.boots_next);
        Ok(chosen)
    }

    /// Reads and opens a state file of a bank.
    ///
    /// # Errors
    /// The bank's own error, a file that cannot be read, an archive that is damaged.
    pub fn open_state(&self, slot: &Slot<'m>, file: &StateFile) -> Result<State, Error> {
        let bytes = self.read(slot, &file.entry)?;
        State::open(file.name, &bytes, &self.settings.limits, self.settings.keys)
            .map_err(|error| Error::from(error).on(slot.partition).in_file(file.name))
    }

    /// The content of a file of a bank.
    ///
    /// # Errors
    /// The bank's own error, or a chain that cannot be followed or read.
    pub fn read(&self, slot: &Slot<'m>, entry: &Entry) -> Result<Vec<u8>, Error> {
        let bank = slot.opened()?;
        let limit = self.settings.limits.max_unpacked;
        bank.volume()
            .read_file(entry, limit)
            .map_err(|error| Error::from(error).on(slot.partition).in_file(entry.name()))
    }

    /// How it was opened.
    pub fn settings(&self) -> Settings<'k> {
        self.settings
    }

    fn why_none_boots(&self) -> String {
        let reasons = self.slots.iter().map(|slot| {
            let why = slot.verdict.why_not.as_ref().map(ToString::to_string);
            format!("partition {}: {}", slot.partition, why.unwrap_or_default())
        });
        reasons.collect::<Vec<_>>().join("; ")
    }
}

impl<'m> Slot<'m> {
    /// The release its boot.cfg tells.
    pub fn release(&self) -> Option<Release> {
        let bank = self.bank.as_ref().ok()?;
        Release::parse(bank.boot_cfg().build.as_deref()?)
    }

    /// The bank.
    ///
    /// # Errors
    /// Why it could not be opened.
    pub fn opened(&self) -> Result<&Bank<'m>, Error> {
        let failed = |error: &Arc<Error>| Cause::Unopened(Arc::clone(error)).into();
        self.bank.as_ref().map_err(failed)
    }
}

/// Asks for the loader's choice among what was found. It goes by `boot.cfg` alone: a bank whose
/// state cannot be had is chosen all the same.
fn judge(found: Vec<(u32, Result<Bank<'_>, Error>)>) -> (Vec<Slot<'_>>, Vec<ChoiceWarning>) {
    let states: Vec<Result<Vec<StateFile>, Error>> = found
        .iter()
        .map(|(partition, bank)| match bank {
            Ok(bank) => state_files(bank).map_err(|error| error.on(*partition)),
            Err(_) => Ok(Vec::new()),
        })
        .collect();
    let reasons: Vec<String> = found
        .iter()
        .map(|(_, bank)| {
            bank.as_ref()
                .err()
                .map(ToString::to_string)
                .unwrap_or_default()
        })
        .collect();
    let inputs: Vec<BankInput<'_>> = found
        .iter()
        .zip(states.iter().zip(&reasons))
        .map(|((partition, bank), (states, reason))| BankInput {
            partition: *partition,
            boot_cfg: bank
                .as_ref()
                .map(Bank::boot_cfg)
                .map_err(|_| reason.as_str()),
            // An entry that leads nowhere is one.
            has_state: states
                .as_ref()
                .map_or(true, |files| files.iter().any(|file| file.name == STATE)),
        })
        .collect();
    let Choice {
        banks, warnings, ..
    } = choose(&inputs);
    let slots = found.into_iter().zip(states).zip(banks);
    let slots = slots.map(|(((partition, bank), states), verdict)| {
        // An entry that leads nowhere spoils this bank and leaves the others open.
        let (bank, states) = match states {
            Ok(states) => (bank, states),
            Err(error) => (Err(error), Vec::new()),
        };
        Slot {
            partition,
            bank: bank.map_err(Arc::new),
            verdict,
            states,
        }
    });
    (slots.collect(), warnings)
}

fn state_files(bank: &Bank<'_>) -> Result<Vec<StateFile>, Error> {
    let states = bank.states()?.into_iter().map(|(name, entry)| StateFile {
        name,
        entry,
        listed: bank.boot_cfg().lists_module(name),
    });
    Ok(states.collect())
}

/// What is to be said of a volume that lacks VMware's mark.
fn without_mark(partition: u32) -> String {
    format!(
        "partition {partition}: holds a boot.cfg but not VMware's mark; ESXi's loader does not take it for a bank, and it is left alone"
    )
}

/// Why there may be no bank: what was met instead.
fn describe_absence(table: &PartitionTable, marked: &[u32], unmarked: &[u32]) -> String {
    let candidates: Vec<u32> = table
        .bank_candidates()
        .map(|partition| partition.number)
        .collect();
    if candidates.is_empty() {
        return "no partition is of a type that can hold one".to_owned();
    }
    let without: Vec<u32> = candidates
        .iter()
        .copied()
        .filter(|n| !marked.contains(n) && !unmarked.contains(n))
        .collect();
    let mut parts = Vec::new();
    if !unmarked.is_empty() {
        let unmarked = numbers(unmarked.iter().copied());
        parts.push(format!(
            "partition {unmarked}: a boot.cfg, but not VMware's mark, without which ESXi's loader sees no bank"
        ));
    }
    if !marked.is_empty() {
        let marked = numbers(marked.iter().copied());
        parts.push(format!(
            "partition {marked}: VMware's volume without a boot.cfg"
        ));
    }
    if !without.is_empty() {
        let without = numbers(without.into_iter());
        parts.push(format!("partition {without}: no volume of VMware's"));
    }
    parts.join("; ")
}

/// Partition numbers as a list for a message: `5, 6`.
pub(crate) fn numbers(numbers: impl Iterator<Item = u32>) -> String {
    let texts: Vec<String> = numbers.map(|number| number.to_string()).collect();
    texts.join(", ")
}
