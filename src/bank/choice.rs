//! Which bank boots next, and why the others do not.
//!
//! ESXi's loader (safeboot) looks at the partitions in number order and keeps the first three
//! that hold VMware's volume identifier and a boot.cfg it can read. State 1 (upgrading) is
//! rewritten to 2 and may boot; state 2 (dirty: the boot after an upgrade did not finish) is
//! rewritten to 3 and does not. The bank with the highest `updated` wins, the first on a tie.
//! This is the rule of 7.0 and later, from the published source and from running it; where
//! an older loader would choose otherwise and may be the one installed, that is a warning.

use super::BootCfg;

const VALID: i32 = 0;
const UPGRADING: i32 = 1;
const DIRTY: i32 = 2;
const INVALID: i32 = 3;

/// What the loader meets in one partition that may be a bank.
#[derive(Clone, Debug)]
pub struct BankInput<'a> {
    /// Partition number; inputs are in ascending order.
    pub partition: u32,
    /// The boot.cfg, or in plain words why there is none to read.
    pub boot_cfg: Result<&'a BootCfg, &'a str>,
    /// Whether the bank's root directory holds a state.tgz.
    pub has_state: bool,
}

/// The loader's decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// One verdict for each input, in the same order.
    pub banks: Vec<BankVerdict>,
    /// Partition number of the bank that boots next; `None`: "No hypervisor found".
    pub boots_next: Option<u32>,
    /// What else the user should know.
    pub warnings: Vec<ChoiceWarning>,
}

/// What becomes of one bank at the next boot.
#[derive(Clone, Debug, PartialEq, Eq)]
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
pub enum WhyNot {
    /// There is no boot.cfg to read.
    #[error("{0}")]
    Unreadable(String),
    /// The loader's parser rejects boot.cfg.
    #[error("boot.cfg is rejected: {0}")]
    Rejected(super::BootCfgProblem),
    /// The loader stops looking after three.
    #[error("the loader looks only at the first three banks")]
    BeyondThird,
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
        "the loader has to rewrite bootstate {0}, but the first 512 bytes of boot.cfg have no bootstate line \
         with a digit from 0 to 3"
    )]
    NotRewritable(i32),
    /// No `build`.
    #[error("build is missing")]
    BuildMissing,
    /// `updated` missing or 0.
    #[error("updated is missing or 0")]
    NotUpdated,
    /// Another bank has a higher `updated`.
    #[error("updated is {updated}, lower than {winning} in bank {winner}")]
    Lower {
        /// This bank's `updated`.
        updated: u32,
        /// The chosen bank's `updated`.
        winning: u32,
        /// The chosen bank's partition number.
        winner: u32,
    },
    /// Another bank has the same `updated` and comes first.
    #[error("updated is {updated}, the same as in bank {winner}, which comes first")]
    Tie {
        /// This bank's and the chosen bank's `updated`.
        updated: u32,
        /// The chosen bank's partition number.
        winner: u32,
    },
}

/// What a user should know beyond the choice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceWarning {
    /// No bank is valid.
    #[error("no bank is bootable: the loader stops with \"No hypervisor found\"")]
    NothingBoots,
    /// State 1 of the bank that boots next.
    #[error(
        "bank {partition} boots for the first time after an upgrade; if that fails, the other bank boots after it"
    )]
    FirstBootAfterUpgrade {
        /// Partition number.
        partition: u32,
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
        problem: super::BootCfgProblem,
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
    /// An older loader may choose another bank.
    #[error("{loader} would boot {} instead, because {because}", bank_or_nothing(.boots))]
    OlderLoader {
        /// Which releases' loaders.
        loader: &'static str,
        /// What they would boot.
        boots: Option<u32>,
        /// How their rule differs.
        because: &'static str,
    },
}

fn bank_or_nothing(boots: &Option<u32>) -> String {
    boots.map_or("nothing".to_owned(), |number| format!("bank {number}"))
}

/// One release's way to choose.
struct Rule {
    /// Looks at no other partitions than these.
    only: Option<[u32; 2]>,
    /// Stops after that many banks.
    at_most: usize,
    knows_quickboot: bool,
    /// Takes `updated` as signed, so that 2^31 and above count as negative.
    signed: bool,
}

const CURRENT: Rule = Rule {
    only: None,
    at_most: 3,
    knows_quickboot: true,
    signed: false,
};

/// Older rules: the first major release that no longer has it, who has it, how it differs.
const OLDER: [(u32, &str, &str, Rule); 3] = [
    (
        7,
        "a loader of 6.7 U1 or earlier",
        "it looks only at partitions 5 and 6 and does not know quickboot",
        Rule {
            only: Some([5, 6]),
            at_most: 2,
            knows_quickboot: false,
            signed: true,
        },
    ),
    (
        7,
        "a loader of 6.7 U3",
        "it looks only at the first two banks and does not know quickboot",
        Rule {
            only: None,
            at_most: 2,
            knows_quickboot: false,
            signed: true,
        },
    ),
    (
        9,
        "a loader before 8.0 U2",
        "it reads an updated of 2147483648 or more as negative",
        Rule {
            only: None,
            at_most: 3,
            knows_quickboot: true,
            signed: true,
        },
    ),
];

/// Decides as ESXi's loader of 7.0 and later does.
pub fn choose(banks: &[BankInput<'_>]) -> Choice {
    let mut verdicts = scan(&CURRENT, banks);
    let winner = winner(banks, &verdicts);
    if let Some((partition, winning)) = winner {
        for (verdict, input) in verdicts.iter_mut().zip(banks) {
            verdict.boots_next = verdict.partition == partition;
            if verdict.bootable && !verdict.boots_next {
                verdict.why_not = Some(outranked(input, partition, winning));
            }
        }
    }
    let boots_next = winner.map(|(partition, _)| partition);
    let mut warnings = Vec::new();
    if boots_next.is_none() {
        warnings.push(ChoiceWarning::NothingBoots);
    }
    for (verdict, input) in verdicts.iter().zip(banks) {
        if let (true, Ok(cfg)) = (verdict.bootable, input.boot_cfg) {
            warn_of_bank(verdict, cfg, input.has_state, &mut warnings);
        }
    }
    warn_of_older_loaders(banks, boots_next, &mut warnings);
    Choice {
        banks: verdicts,
        boots_next,
        warnings,
    }
}

fn outranked(input: &BankInput<'_>, winner: u32, winning: u32) -> WhyNot {
    let updated = input.boot_cfg.map_or(0, |cfg| cfg.updated);
    if updated == winning {
        return WhyNot::Tie { updated, winner };
    }
    WhyNot::Lower {
        updated,
        winning,
        winner,
    }
}

/// Judges each bank for itself, as the loader does on its way through the partitions.
fn scan(rule: &Rule, banks: &[BankInput<'_>]) -> Vec<BankVerdict> {
    let mut kept = 0;
    let judge = |input: &BankInput<'_>| {
        let looked_at = rule.only.is_none_or(|only| only.contains(&input.partition));
        let (verdict, keeps) = match input.boot_cfg {
            _ if kept >= rule.at_most || !looked_at => {
                (refused(input.partition, WhyNot::BeyondThird), false)
            }
            Err(reason) => {
                let reason = WhyNot::Unreadable(reason.to_owned());
                (refused(input.partition, reason), false)
            }
            Ok(cfg) => judge(rule, input.partition, cfg),
        };
        kept += usize::from(keeps);
        verdict
    };
    banks.iter().map(judge).collect()
}

fn refused(partition: u32, why_not: WhyNot) -> BankVerdict {
    BankVerdict {
        partition,
        bootable: false,
        boots_next: false,
        why_not: Some(why_not),
        state_after: None,
        upgrading: false,
        rollback: false,
    }
}

/// The verdict on a boot.cfg, and whether the bank counts towards the first three.
fn judge(rule: &Rule, partition: u32, cfg: &BootCfg) -> (BankVerdict, bool) {
    if let Some(problem) = cfg.rejected() {
        return (refused(partition, WhyNot::Rejected(problem.clone())), false);
    }
    let state = cfg.bootstate;
    let quickboot = cfg.quickboot && rule.knows_quickboot;
    let not_updated = cfg.updated == 0 || (rule.signed && cfg.updated > i32::MAX.unsigned_abs());
    let incomplete = cfg.build.is_none() || not_updated;
    let upgrading = matches!(state, UPGRADING | DIRTY) && !quickboot;
    let rollback = upgrading && incomplete;
    let state_after = match state {
        _ if quickboot || rollback => INVALID,
        UPGRADING => DIRTY,
        VALID => VALID,
        _ => INVALID,
    };
    let why_not = match state {
        _ if state != state_after && cfg.bootstate_digit_at().is_none() => {
            let unknown = !(VALID..=INVALID).contains(&state);
            let why_not = if unknown {
                WhyNot::UnknownState(state)
            } else {
                WhyNot::NotRewritable(state)
            };
            return (refused(partition, why_not), false);
        }
        _ if quickboot => Some(WhyNot::QuickBoot),
        DIRTY => Some(WhyNot::Interrupted),
        INVALID => Some(WhyNot::Invalid),
        VALID | UPGRADING if cfg.build.is_none() => Some(WhyNot::BuildMissing),
        VALID | UPGRADING if not_updated => Some(WhyNot::NotUpdated),
        VALID | UPGRADING => None,
        other => Some(WhyNot::UnknownState(other)),
    };
    let verdict = BankVerdict {
        partition,
        bootable: why_not.is_none(),
        boots_next: false,
        why_not,
        state_after: Some(state_after),
        upgrading,
        rollback,
    };
    (verdict, true)
}

/// Partition number and `updated` of the bank that ranks highest.
fn winner(banks: &[BankInput<'_>], verdicts: &[BankVerdict]) -> Option<(u32, u32)> {
    let mut best: Option<(u32, u32)> = None;
    for (input, verdict) in banks.iter().zip(verdicts) {
        let Ok(cfg) = input.boot_cfg else { continue };
        let higher = best.is_none_or(|(_, updated)| cfg.updated > updated);
        if verdict.bootable && higher {
            best = Some((input.partition, cfg.updated));
        }
    }
    best
}

fn warn_of_bank(
    verdict: &BankVerdict,
    cfg: &BootCfg,
    has_state: bool,
    warnings: &mut Vec<ChoiceWarning>,
) {
    let partition = verdict.partition;
    if verdict.boots_next && cfg.bootstate == UPGRADING {
        warnings.push(ChoiceWarning::FirstBootAfterUpgrade { partition });
    }
    if let Some(build) = &cfg.build
        && !build.starts_with(|first: char| first.is_ascii_digit())
    {
        let build = build.clone();
        warnings.push(ChoiceWarning::BuildNotANumber { partition, build });
    }
    if let Some(problem) = cfg.fatal() {
        let problem = problem.clone();
        warnings.push(ChoiceWarning::Fatal { partition, problem });
    }
    if cfg.kernel.is_none() {
        warnings.push(ChoiceWarning::NoKernel { partition });
    }
    match (cfg.lists_module("state.tgz"), has_state) {
        (true, false) => warnings.push(ChoiceWarning::StateMissing { partition }),
        (false, true) => warnings.push(ChoiceWarning::StateNotListed { partition }),
        (true, true) | (false, false) => {}
    }
}

/// A stick's loader is as old as its newest bank, so rules older than every bank are not asked.
fn warn_of_older_loaders(
    banks: &[BankInput<'_>],
    boots_next: Option<u32>,
    warnings: &mut Vec<ChoiceWarning>,
) {
    let releases = banks
        .iter()
        .filter_map(|bank| release(bank.boot_cfg.ok()?.build.as_deref()?));
    let newest = releases.max().unwrap_or(0);
    for (until, loader, because, rule) in OLDER {
        let boots = winner(banks, &scan(&rule, banks)).map(|(partition, _)| partition);
        if newest < until && boots != boots_next {
            warnings.push(ChoiceWarning::OlderLoader {
                loader,
                boots,
                because,
            });
        }
    }
}

/// The major release at the beginning of a build string such as `6.7.0-8169922`.
fn release(build: &str) -> Option<u32> {
    build.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests;
