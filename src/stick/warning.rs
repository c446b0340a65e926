//! What a person should know of a medium, or of a change to it.

use super::firmware::Uefi;
use super::missed::{MissedBank, OtherType};
use super::{Cure, Stick};
use crate::bank::{BootCfgProblem, ChoiceWarning, Release};
use crate::edit::identity::Identity;
use crate::edit::listed;
use crate::edit::{Configuration, ConfigurationWarning, EditWarning, Unmatched};
use crate::partition::{BackupOverlap, PartitionFault, TableChoice, TableWarning};
use crate::state::{Form, State, StateError, StateWarning};
use std::fmt;

/// Something a person should know, and what puts it right. Shown, it is the cause alone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// What.
    pub cause: WarningCause,
    /// What puts it right, where that is known.
    pub cure: Option<Cure>,
}

/// What there is to know, by room, and what only the whole shows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WarningCause {
    /// The partitions are those of the GPT, which was asked for.
    #[error(
        "this is read by the GPT because it was asked for; ESXi's loader does not use it unless the MBR says so"
    )]
    AskedGpt,
    /// The partitions are those of the backup GPT, which was asked for.
    #[error("this is read by the backup GPT because it was asked for; ESXi's loader never uses it")]
    AskedBackup,
    /// The partition table is odd.
    #[error(transparent)]
    Table(TableWarning),
    /// A partition lies on the backup of the table.
    #[error(transparent)]
    BackupOverlap(BackupOverlap),
    /// Which bank boots next.
    #[error(transparent)]
    Choice(ChoiceWarning),
    /// A line of a `boot.cfg`.
    #[error("bank {partition}: boot.cfg {problem}")]
    BootCfg {
        /// Number of the partition.
        partition: u32,
        /// What is odd about it.
        problem: BootCfgProblem,
    },
    /// A bank that cannot be opened.
    #[error("a bank cannot be opened: {why}")]
    ClosedBank {
        /// Number of the partition.
        partition: u32,
        /// Why, in words.
        why: String,
    },
    /// A volume with a `boot.cfg` that lacks VMware's mark.
    #[error(
        "partition {partition} has a boot.cfg but lacks VMware's mark, so ESXi's loader does not see it as a bank; it is left alone"
    )]
    WithoutMark {
        /// Number of the partition.
        partition: u32,
    },
    /// A bank in a partition of another type.
    #[error("{0}, so it is left alone")]
    OtherType(OtherType),
    /// A bank that the loader passes over.
    #[error("partition {}: {}; it is left alone", .0.partition, .0.why)]
    Missed(MissedBank),
    /// Neither UEFI firmware nor a BIOS finds anything to start from.
    #[error(
        "no firmware finds ESXi's loader on this medium: {uefi}{}, and the first sector has no code for a BIOS. \
         An earlier copy of the medium may have what is missing",
        uefi.partition().map_or(String::new(), |number| format!(" (partition {number})"))
    )]
    NoStart {
        /// What UEFI firmware finds.
        uefi: Uefi,
    },
    /// A state is odd.
    #[error("{}{warning}", on(*.partition))]
    State {
        /// Number of the partition, of a state in a bank that is looked at.
        partition: Option<u32>,
        /// How.
        warning: StateWarning,
    },
    /// What a state holds is odd.
    #[error("{}{warning}", on(*.partition))]
    Configuration {
        /// Number of the partition, of a state in a bank that is looked at.
        partition: Option<u32>,
        /// How.
        warning: ConfigurationWarning,
    },
    /// The manifest of a bundle cannot be kept true, so that the bundle cannot be changed.
    #[error(transparent)]
    Manifest(StateError),
    /// What edits come to is odd.
    #[error(transparent)]
    Edit(EditWarning),
    /// A bank whose states are empty does not get what is to be set.
    #[error(
        "partition {partition}: the state is empty, so this bank stays with default settings: {missing}"
    )]
    StaysDefault {
        /// Number of the partition.
        partition: u32,
        /// What was to be set.
        missing: Unmatched,
    },
    /// A state that cannot be changed and that the host does not load.
    #[error(
        "{why}; modules= does not list the file, so the host does not load it: it is left alone"
    )]
    NotLoaded {
        /// Number of the partition.
        partition: u32,
        /// The file.
        file: String,
        /// Why it cannot be changed, and where it lies, in words.
        why: String,
    },
    /// An empty state beside the one that the host has its settings from.
    #[error(
        "partition {partition}: {file}: the state is empty, so the host takes its settings from {filled}: the empty one is left alone"
    )]
    EmptyBeside {
        /// Number of the partition.
        partition: u32,
        /// The empty one.
        file: String,
        /// The other.
        filled: String,
    },
    /// A state is put where the host does not load it from.
    #[error(
        "partition {partition}: modules= in boot.cfg does not list {file}, so the host does not load it"
    )]
    NotListed {
        /// Number of the partition.
        partition: u32,
        /// The file.
        file: String,
    },
    /// The host loads another state as well.
    #[error(
        "partition {partition}: modules= in boot.cfg lists {other} as well, which stays as it is: the host takes from it what {file} does not hold"
    )]
    ListedToo {
        /// Number of the partition.
        partition: u32,
        /// The state that is put there.
        file: String,
        /// The other.
        other: String,
    },
    /// A host loads a second state, which is not copied with the first.
    #[error(
        "partition {partition}: modules= in boot.cfg lists {file} as well, which is not copied"
    )]
    NotCopied {
        /// Number of the partition.
        partition: u32,
        /// The second.
        file: String,
    },
    /// The host that wrote a state is of an earlier release than the one that is to read it, as it is before an
    /// upgraded host has saved its settings for the first time.
    #[error(
        "{}ESXi {} wrote the state to put in, and a host of ESXi {} is to read it: it starts with defaults for what it does not read of it",
        on(*.partition),
        writer.version(),
        reader.version()
    )]
    EarlierRelease {
        /// Number of the partition, of a bank.
        partition: Option<u32>,
        /// The release that wrote it.
        writer: Release,
        /// The one that is to read it.
        reader: Release,
    },
    /// From 8.0 on a host keeps everything in the ConfigStore: a plain state without one is none of its.
    #[error(
        "{}{file}: holds no ConfigStore, and a host of {} keeps its whole configuration there: this state is of an older release",
        on(*.partition),
        release.version()
    )]
    OlderState {
        /// Number of the partition, of a bank.
        partition: Option<u32>,
        /// The file.
        file: String,
        /// The host's release.
        release: Release,
    },
    /// Of a bank the files of its root directory are copied, which is where the loader looks.
    #[error("{}", directories_in_words(*.from, *.to, .left, .stay))]
    FilesAloneCopied {
        /// Number of the partition of the original.
        from: u32,
        /// Number of the partition of the copy.
        to: u32,
        /// The directories of the original, which the copy has not.
        left: Vec<String>,
        /// The directories that the other bank had, and that stay there.
        stay: Vec<String>,
    },
    /// A state is put in place of one of another host.
    #[error(
        "{}the state to import is of {}, and the one in its place of {}: if the other host runs as well, the two are in each \
         other's way: seal this medium, or let only one of them run",
        on(*.partition),
        whose(.new, .old),
        whose(.old, .new)
    )]
    OtherHost {
        /// Number of the partition, of a bank.
        partition: Option<u32>,
        /// The host whose state goes.
        old: Box<Identity>,
        /// The host whose state comes.
        new: Box<Identity>,
    },
    /// What a change costs the host cannot be told.
    #[error("{why}; so it is not known whether devices are passed through that were not before")]
    HarmUnknown {
        /// Number of the partition, of a bank.
        partition: Option<u32>,
        /// Why, in words.
        why: String,
    },
}

impl Stick<'_, '_> {
    /// What is odd about the table and the banks; what is missing, [`Stick::damage`] tells.
    pub fn warnings(&self) -> Vec<Warning> {
        let cut = self.table.cut(self.medium.size());
        // [`Stick::damage`] names every partition that is missing.
        let is_told = |warning: &&TableWarning| {
            let past_end = matches!(
                warning,
                TableWarning::Partition {
                    fault: PartitionFault::PastEnd { .. },
                    ..
                }
            );
            cut.is_some() && past_end
        };
        let table = self.table.warnings.iter().filter(|it| !is_told(it));
        let asked = match self.table.source {
            TableChoice::Loader => None,
            TableChoice::Gpt => Some(WarningCause::AskedGpt),
            TableChoice::Backup => Some(WarningCause::AskedBackup),
        };
        let table = table.cloned().map(WarningCause::Table);
        let overlap = self.table.backup_overlap.clone();
        let overlap = overlap.map(WarningCause::BackupOverlap);
        let choice = self.choice_warnings.iter().cloned();
        let choice = choice.map(WarningCause::Choice);
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
            others.map(|problem| WarningCause::BootCfg {
                partition: slot.partition,
                problem: problem.clone(),
            })
        });
        let damaged = self.slots.iter().filter_map(|slot| {
            let error = slot.bank.as_ref().err()?;
            if self.table.fault_of(slot.partition).is_some() {
                return None;
            }
            Some(WarningCause::ClosedBank {
                partition: slot.partition,
                why: error.to_string(),
            })
        });
        let table = asked.into_iter().chain(table).chain(overlap);
        let all = table.chain(choice).chain(problems).chain(damaged);
        let all = all.map(Warning::from).chain(self.passed_over());
        all.chain(self.without_start()).collect()
    }

    /// Volumes that look like banks and that no plan touches.
    pub fn left_alone(&self) -> Vec<Warning> {
        let without_mark = self.unmarked.iter().map(|&partition| {
            let cause = WarningCause::WithoutMark { partition };
            Warning::from(cause)
        });
        let other_types = self.other_types.iter().map(|found| Warning {
            cause: WarningCause::OtherType(*found),
            cure: OtherType::cure(&[*found]),
        });
        without_mark.chain(other_types).collect()
    }

    /// Those, and the banks that the loader misses: nothing of them is changed either.
    pub(crate) fn passed_over(&self) -> Vec<Warning> {
        let missed = self.missed_banks().into_iter();
        let missed = missed.map(|it| Warning::from(WarningCause::Missed(it)));
        self.left_alone().into_iter().chain(missed).collect()
    }
}

impl WarningCause {
    /// That a state is of an older release than the host that is to read it, where it is. A host that was just
    /// upgraded has one until its first boot ([`Slot::awaits_first_boot`]).
    pub(crate) fn of_older_state(
        partition: Option<u32>,
        state: &State,
        configuration: &Configuration,
        release: Option<&Release>,
    ) -> Option<Self> {
        let release = release.filter(|release| release.is_at_least(8, 0))?;
        let is_older = state.form() == Form::Plain
            && configuration.store.is_none()
            && !configuration.is_default();
        is_older.then(|| WarningCause::OlderState {
            partition,
            file: state.file_name().to_owned(),
            release: release.clone(),
        })
    }
}

impl From<WarningCause> for Warning {
    fn from(cause: WarningCause) -> Self {
        Warning { cause, cure: None }
    }
}

impl From<StateWarning> for Warning {
    fn from(warning: StateWarning) -> Self {
        let partition = None;
        WarningCause::State { partition, warning }.into()
    }
}

impl From<EditWarning> for Warning {
    fn from(warning: EditWarning) -> Self {
        let cause = match warning {
            EditWarning::Configuration(warning) => {
                let partition = None;
                WarningCause::Configuration { partition, warning }
            }
            other => WarningCause::Edit(other),
        };
        cause.into()
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

fn directories_in_words(from: u32, to: u32, left: &[String], stay: &[String]) -> String {
    let of = |number: u32, names: &[String], what: &str| {
        (!names.is_empty()).then(|| format!("; those of bank {number} {what}: {}", listed(names)))
    };
    let left = of(from, left, "are not in the copy").unwrap_or_default();
    let stay = of(to, stay, "stay as they are").unwrap_or_default();
    format!("the loader reads no directories, and they are not copied{left}{stay}")
}

/// A host by its name, or else its UUID; by both where another one has the name too.
fn whose(host: &Identity, other: &Identity) -> String {
    let uuid = host.system_uuid.as_deref().unwrap_or("not known");
    match &host.name {
        Some(name) if host.name != other.name => name.clone(),
        Some(name) => format!("{name} (host UUID {uuid})"),
        None => format!("host UUID {uuid}"),
    }
}

fn on(partition: Option<u32>) -> String {
    partition.map_or(String::new(), |number| format!("partition {number}: "))
}
