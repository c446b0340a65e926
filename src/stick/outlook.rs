//! What happens at the next boot: which bank the loader takes, whether it gets through it, what is
//! passed through there, and what would help. The closing words of every change rest on it.

use super::{Error, Slot, StateFile, Stick};
use crate::error::ErrorKind;
use crate::loader::{Boot, Chosen, Depth, ModuleVerdict, Stop, UnpackLimit, check_content};
use crate::partition::TableKind;

/// The next boot, as far as it can be told without reading the content of modules.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outlook {
    /// What the loader does.
    pub boot: NextBoot,
    /// Devices that the configuration of that bank passes through; `None` where that cannot be
    /// told.
    pub passed_through: Option<usize>,
    /// Whether that bank loads a state that is not empty; where it loads none the host starts with default
    /// settings. `None` where the bank cannot be opened: the loader asks less of a volume.
    pub has_settings: Option<bool>,
    /// What would make the medium boot, where it does not.
    pub cure: Option<Cure>,
}

/// What the loader does with a medium.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NextBoot {
    /// It starts the kernel of this bank.
    Boots {
        /// Number of the bank's partition.
        partition: u32,
    },
    /// It takes this bank and stops.
    Stops {
        /// Number of the bank's partition.
        partition: u32,
        /// Everything that stops it.
        stops: Vec<Stop>,
    },
    /// It finds no bank to take.
    Nothing {
        /// Why, bank by bank.
        why: String,
    },
    /// It cannot be told.
    Undecided {
        /// The bank it is about, where one is taken for certain.
        partition: Option<u32>,
        /// The bank that is taken where the loader passes over the one in doubt.
        otherwise: Option<u32>,
        /// Why not.
        why: String,
    },
    /// Nothing: this is a state file, and no medium.
    NoMedium,
}

/// What puts right what is wrong on a medium. The first two make one boot that does not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Cure {
    /// Let the bank on this partition boot: it is whole.
    UseBank(u32),
    /// Give the bank on this partition another number: it is whole, but not where the loader looks.
    Renumber(u32),
    /// Make one bank a copy of another, which is whole.
    CopyBank {
        /// Number of the partition of the whole one.
        from: u32,
        /// Number of the partition of the other.
        to: u32,
    },
    /// Give one bank the state of another, and with it the settings of the host at that time.
    CopyState {
        /// Number of the partition of the bank whose state is whole.
        from: u32,
        /// Number of the partition of the other.
        to: u32,
    },
    /// Bring single files from one bank over to another.
    TakeFiles {
        /// Number of the partition of the bank that has them.
        from: u32,
        /// Number of the partition of the bank that lacks them.
        to: u32,
        /// Their names; at least one.
        names: Vec<String>,
    },
    /// Clear the marks of the volume of the bank on this partition.
    MarkClean(u32),
    /// Free leftovers of an interrupted run, as the next change does too.
    Reclaim,
    /// Give partitions the type of a bank.
    GiveType {
        /// Their numbers; at least one.
        partitions: Vec<u32>,
        /// The kind of table.
        kind: TableKind,
    },
}

impl NextBoot {
    /// The bank that is taken, whether or not it boots.
    pub fn partition(&self) -> Option<u32> {
        match self {
            NextBoot::Boots { partition } | NextBoot::Stops { partition, .. } => Some(*partition),
            NextBoot::Undecided { partition, .. } => *partition,
            NextBoot::Nothing { .. } | NextBoot::NoMedium => None,
        }
    }

    /// Whether something is wrong with the boot of a medium: it does not get through, or that is not
    /// certain.
    pub fn is_in_doubt(&self) -> bool {
        !matches!(self, NextBoot::Boots { .. } | NextBoot::NoMedium)
    }

    /// Why it is not certain that the loader gets through, in words.
    pub fn why_not(&self) -> Vec<String> {
        match self {
            NextBoot::Boots { .. } | NextBoot::NoMedium => Vec::new(),
            NextBoot::Stops { stops, .. } => stops.iter().map(ToString::to_string).collect(),
            NextBoot::Nothing { why } | NextBoot::Undecided { why, .. } => vec![why.clone()],
        }
    }

    /// Whether the loader gets through for certain.
    pub fn boots(&self) -> bool {
        matches!(self, NextBoot::Boots { .. })
    }
}

impl Stick<'_, '_> {
    /// What happens at the next boot.
    pub fn outlook(&self) -> Outlook {
        self.outlook_of(self.next_boot())
    }

    /// The same, with the boot told already.
    pub(super) fn outlook_of(&self, boot: NextBoot) -> Outlook {
        let slot = self.slot_of(&boot);
        Outlook {
            passed_through: slot.and_then(|slot| self.passed_through(slot).ok().flatten()),
            has_settings: self.has_settings(&boot),
            cure: self.cure(&boot),
            boot,
        }
    }

    /// Whether the bank of this boot loads a state that is not empty; `None` where it cannot be opened.
    pub(super) fn has_settings(&self, boot: &NextBoot) -> Option<bool> {
        match self.slot_of(boot) {
            Some(slot) if slot.bank.is_err() => None,
            slot => Some(slot.is_some_and(|slot| self.loaded_settings(slot).is_some())),
        }
    }

    /// The state that a host which starts with this bank loads its settings from; `None` where it starts with
    /// default settings.
    pub(crate) fn loaded_settings<'s>(&self, slot: &'s Slot<'_>) -> Option<&'s StateFile> {
        self.filled_state(slot).filter(|file| file.listed)
    }

    fn slot_of(&self, boot: &NextBoot) -> Option<&Slot<'_>> {
        self.bank_on(boot.partition()?)
    }

    /// What would make the medium boot, where it does not.
    pub fn cure(&self, boot: &NextBoot) -> Option<Cure> {
        match boot {
            // No bank is out of the loader's reach by itself there.
            _ if self.not_by_loader().is_some() => None,
            NextBoot::Boots { .. } | NextBoot::Undecided { .. } | NextBoot::NoMedium => None,
            NextBoot::Stops { .. } | NextBoot::Nothing { .. } => {
                let in_reach = self.whole_banks().next().map(Cure::UseBank);
                in_reach.or_else(|| self.whole_elsewhere().next().map(Cure::Renumber))
            }
        }
    }

    /// What the loader does with the medium.
    pub fn next_boot(&self) -> NextBoot {
        self.next_boot_reading(&|_, _| false)
    }

    /// What the loader does with a bank, by presence and sizes; the content is looked at of a state that was
    /// found damaged, which may stop it or not.
    pub(crate) fn boot_of(&self, partition: u32) -> Boot {
        self.boot_reading(partition, &|_, _| false)
    }

    /// The same, where the content is looked at of those files too that `reads` says so of, by partition number
    /// and name.
    fn boot_reading(&self, partition: u32, reads: &dyn Fn(u32, &str) -> bool) -> Boot {
        let is_damaged = |name: &str| {
            let slot = self.bank_on(partition);
            let state = slot.and_then(|slot| Some((slot, slot.state_called(name)?)));
            let opened = state.map(|(slot, file)| self.open_state(slot, file));
            opened.is_some_and(|it| it.is_err_and(|error| error.kind() == ErrorKind::Damaged))
        };
        let mut boot = self.loader().boot(partition, Depth::Presence);
        let limit = UnpackLimit::default();
        for index in 0..boot.files.len() {
            let file = boot.files.get(index).and_then(ModuleVerdict::to_check);
            let file = file.filter(|file| reads(partition, &file.name) || is_damaged(&file.name));
            if let Some(file) = file {
                let content = check_content(self.medium(), file, boot.generation, &limit);
                boot.record(index, content);
            }
        }
        boot
    }

    /// As [`Stick::next_boot`], where the content of some files of the bank that is taken is looked at too: of
    /// those that `reads` says so of, by partition number and name.
    pub(super) fn next_boot_reading(&self, reads: &dyn Fn(u32, &str) -> bool) -> NextBoot {
        if let Some(why) = self.not_by_loader() {
            let why = why.to_owned();
            return NextBoot::Nothing { why };
        }
        let partition = match self.choice() {
            Chosen::Bank(partition) => *partition,
            Chosen::Nothing => {
                let why = self.why_none_boots();
                return NextBoot::Nothing { why };
            }
            Chosen::Undecided {
                partition,
                why,
                otherwise,
            } => {
                return NextBoot::Undecided {
                    partition: None,
                    otherwise: *otherwise,
                    why: format!("partition {partition}: {why}"),
                };
            }
        };
        let boot = self.boot_reading(partition, reads);
        let stops: Vec<Stop> = boot.stops().cloned().collect();
        if !stops.is_empty() {
            return NextBoot::Stops { partition, stops };
        }
        match boot.undecided().next() {
            None => NextBoot::Boots { partition },
            Some(why) => NextBoot::Undecided {
                partition: Some(partition),
                otherwise: None,
                why: why.to_string(),
            },
        }
    }

    /// The banks whose kernel and modules are all there and load, and whose state can be read, by partition
    /// number, of those that the loader looks at. Reads the content of all of them.
    pub fn whole_banks(&self) -> impl Iterator<Item = u32> {
        self.whole(|slot| slot.not_looked_at().is_none())
    }

    /// The same of those that the loader never looks at.
    pub(crate) fn whole_elsewhere(&self) -> impl Iterator<Item = u32> {
        self.whole(|slot| slot.not_looked_at().is_some())
    }

    fn whole(&self, counts: impl Fn(&Slot<'_>) -> bool) -> impl Iterator<Item = u32> {
        let slots = self.slots().iter().filter(move |slot| counts(slot));
        let numbers = slots.map(|slot| slot.partition);
        numbers.filter(|number| self.check_whole(*number).is_ok())
    }

    /// How many devices the state that a bank loads passes through; `None` where it holds none that
    /// can be opened.
    fn passed_through(&self, slot: &Slot<'_>) -> Result<Option<usize>, Error> {
        let mut found = None;
        for file in slot.states.iter().rev().filter(|file| file.listed) {
            let state = self.open_state(slot, file)?;
            if !state.is_open() {
                return Ok(None);
            }
            let configuration = self.configuration(slot, &state)?;
            found = configuration.passed_through_count(slot.release().as_ref())?;
            // An empty one leaves what the host takes from those before it.
            if !configuration.is_default() {
                break;
            }
        }
        Ok(found)
    }
}
