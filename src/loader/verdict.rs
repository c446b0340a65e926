//! What is said of a choice: the bank, why it is not another one, and what to mind.

use super::{BootCfgProblem, Generation, Undecided};

/// The loader's decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The loader that decides so.
    pub generation: Generation,
    /// Which bank it is.
    pub chosen: Chosen,
    /// One verdict for each input, in the same order.
    pub banks: Vec<BankVerdict>,
}

/// The bank that a loader takes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Chosen {
    /// The bank on the partition of this number.
    Bank(u32),
    /// None: "No hypervisor found".
    Nothing,
    /// It cannot be told.
    Undecided {
        /// The first partition of which it is not known whether it is a bank.
        partition: u32,
        /// Why.
        why: Undecided,
        /// The bank that is taken if that one is none.
        otherwise: Option<u32>,
    },
}

impl Chosen {
    /// The bank, where one is taken for certain.
    pub fn bank(&self) -> Option<u32> {
        match self {
            Chosen::Bank(partition) => Some(*partition),
            Chosen::Nothing | Chosen::Undecided { .. } => None,
        }
    }
}

/// What becomes of one bank at the next boot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BankVerdict {
    /// Partition number.
    pub partition: u32,
    /// Valid: would boot if no other bank ranked higher.
    pub bootable: bool,
    /// Chosen.
    pub boots_next: bool,
    /// Why it is not chosen; `None` for the bank that is.
    pub why_not: Option<WhyNot>,
    /// The bootstate after the loader has run; `None` where it has no say over it.
    pub state_after: Option<i32>,
    /// State 1 or 2: an upgrade of this bank is not yet confirmed.
    pub upgrading: bool,
    /// The loader takes an upgrade of this bank for failed.
    pub rollback: bool,
}

/// Why a bank is not the one that boots next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WhyNot {
    /// The loader sees no bank there.
    #[error("{0}")]
    Unreadable(String),
    /// It cannot be told what the loader sees there.
    #[error("it cannot be told whether the loader takes it: {0}")]
    Undecided(Undecided),
    /// It would be chosen, but for a bank of which that cannot be told.
    #[error("it cannot be told whether the loader takes bank {partition} instead")]
    Depends {
        /// Partition number of that bank.
        partition: u32,
    },
    /// The loader's parser rejects boot.cfg.
    #[error("boot.cfg is rejected: {0}")]
    Rejected(BootCfgProblem),
    /// The loader stops looking before it.
    #[error("{0}")]
    NotLookedAt(&'static str),
    /// A bank for one use.
    #[error("quickboot is set: the bank was for one boot only")]
    QuickBoot,
    /// State 2.
    #[error(
        "bootstate 2 (dirty): the first boot after an upgrade did not finish, and the loader does not try it again"
    )]
    Interrupted,
    /// State 3.
    #[error("bootstate 3 (invalid)")]
    Invalid,
    /// Any other state.
    #[error("bootstate {0} (unknown)")]
    UnknownState(i32),
    /// The state has to be rewritten and cannot be.
    #[error(
        "the loader has to rewrite bootstate {0}, but the first 512 bytes of boot.cfg have no \
         bootstate line with a digit from 0 to 3"
    )]
    NotRewritable(i32),
    /// No `build`.
    #[error("build is missing")]
    BuildMissing,
    /// `updated` missing or 0.
    #[error("updated is missing or 0")]
    NotUpdated,
    /// Another bank has a higher `updated`.
    #[error("updated {updated} is lower than {winning} of bank {winner}")]
    Lower {
        /// This bank's `updated`.
        updated: u32,
        /// The chosen bank's `updated`.
        winning: u32,
        /// The chosen bank's partition number.
        winner: u32,
    },
    /// Another bank has the same `updated` and comes first.
    #[error("updated {updated} is the same as that of bank {winner}, which comes first")]
    Tie {
        /// This bank's and the chosen bank's `updated`.
        updated: u32,
        /// The chosen bank's partition number.
        winner: u32,
    },
}

/// What a user should know beyond the choice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChoiceWarning {
    /// No bank is valid.
    #[error("no bank is bootable: the loader stops with \"No hypervisor found\"")]
    NothingBoots,
    /// It cannot be told which bank the loader takes.
    #[error(
        "which bank boots next cannot be told, because of bank {partition}: {why}; if the loader does not take it, {} boots",
        bank_or_nothing(.otherwise)
    )]
    Undecided {
        /// Partition number of the bank it hangs on.
        partition: u32,
        /// Why it cannot be told.
        why: Undecided,
        /// The bank that boots where that one does not.
        otherwise: Option<u32>,
    },
    /// State 1 of the bank that boots next.
    #[error(
        "bank {partition} boots for the first time after an upgrade; if that does not finish, {}",
        after_it(.then)
    )]
    FirstBootAfterUpgrade {
        /// Partition number.
        partition: u32,
        /// What the loader takes after a boot that did not finish.
        then: Chosen,
    },
    /// `build` does not begin with a digit.
    #[error(
        "bank {partition}: its boot stops, because build {build:?} does not begin with a digit"
    )]
    BuildNotANumber {
        /// Partition number.
        partition: u32,
        /// The build string.
        build: String,
    },
    /// mboot cannot read boot.cfg.
    #[error("bank {partition}: boot.cfg {problem}")]
    Fatal {
        /// Partition number.
        partition: u32,
        /// What stops it.
        problem: BootCfgProblem,
    },
    /// No kernel line.
    #[error("bank {partition}: its boot stops, because boot.cfg names no kernel")]
    NoKernel {
        /// Partition number.
        partition: u32,
    },
    /// `modules` names a state.tgz that is not there.
    #[error(
        "bank {partition}: its boot stops, because modules= lists state.tgz and the file is missing"
    )]
    StateMissing {
        /// Partition number.
        partition: u32,
    },
    /// A state.tgz that `modules` does not name.
    #[error(
        "bank {partition}: modules= does not list state.tgz, so the host starts with default settings"
    )]
    StateNotListed {
        /// Partition number.
        partition: u32,
    },
    /// `prefix` names another directory than the root directory.
    #[error(
        "bank {partition}: prefix={prefix} in boot.cfg has the loader look for the kernel and the modules there; those in the bank's root directory are not loaded"
    )]
    Prefix {
        /// Partition number.
        partition: u32,
        /// The directory.
        prefix: String,
    },
    /// The loader of another release may be the one installed, and chooses another bank.
    #[error("{loader} would boot {} instead, because {because}", bank_or_nothing(.boots))]
    OtherLoader {
        /// Which releases' loaders.
        loader: &'static str,
        /// What they would boot.
        boots: Option<u32>,
        /// How their rule differs.
        because: &'static str,
    },
}

fn after_it(then: &Chosen) -> String {
    match then {
        Chosen::Bank(number) => format!("bank {number} is taken after it"),
        Chosen::Nothing => "no bank boots after it".to_owned(),
        Chosen::Undecided { .. } => "which bank is taken after it cannot be told".to_owned(),
    }
}

fn bank_or_nothing(boots: &Option<u32>) -> String {
    boots.map_or("nothing".to_owned(), |number| format!("bank {number}"))
}
