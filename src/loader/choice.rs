//! Which bank boots next, and why the others do not.
//!
//! ESXi's loader (safeboot) looks at the partitions in number order and keeps the first few that
//! hold VMware's volume identifier and a boot.cfg it can read. State 1 (upgrading) is
//! rewritten to 2 and may boot; state 2 (dirty: the boot after an upgrade did not finish) is
//! rewritten to 3 and does not. The bank with the highest `updated` wins, the first on a tie.
//! Releases differ in how many banks they keep and in a few fields; [`Generation`] names them.
//! A stick's loader is as old as its newest bank, so that one's build says which rule counts;
//! where another loader may be the one installed and would choose otherwise, that is a warning.

use super::generation::{Generation, Release};
use super::verdict::{BankVerdict, Choice, ChoiceWarning, Chosen, WhyNot};
use super::{BootCfg, Ignored, STATE, Undecided};

const VALID: i32 = 0;
pub(super) const UPGRADING: i32 = 1;
const DIRTY: i32 = 2;
const INVALID: i32 = 3;

/// What the loader meets in one partition that carries VMware's mark.
#[derive(Clone, Debug)]
pub struct BankInput<'a> {
    /// Partition number; inputs are in ascending order.
    pub partition: u32,
    /// What it is.
    pub met: BankContent<'a>,
    /// Whether the bank's root directory holds a state.tgz.
    pub has_state: bool,
}

/// What a partition turns out to be for the loader.
#[derive(Clone, Copy, Debug)]
pub enum BankContent<'a> {
    /// A boot.cfg was read.
    BootCfg(&'a BootCfg),
    /// The loader goes on to the next partition.
    Ignored(&'a Ignored),
    /// It could not be found out here.
    Undecided(&'a Undecided),
}

/// One release's way to choose.
struct Rule {
    generation: Generation,
    /// Looks at no other partitions than these.
    only: Option<[u32; 2]>,
    /// Stops after that many banks.
    at_most: usize,
    /// Why a bank it does not look at is not looked at.
    limit: &'static str,
    knows_quickboot: bool,
    /// What a boot.cfg does not set keeps the value it had in the bank before.
    keeps_values: bool,
}

fn rule(generation: Generation) -> Rule {
    match generation {
        Generation::UpTo67U1 => Rule {
            generation,
            only: Some([5, 6]),
            at_most: 2,
            limit: "the loader looks only at partitions 5 and 6",
            knows_quickboot: false,
            keeps_values: true,
        },
        Generation::From67U2 => Rule {
            generation,
            only: None,
            at_most: 2,
            limit: "the loader looks only at the first two banks",
            knows_quickboot: false,
            keeps_values: true,
        },
        Generation::From70 | Generation::From80U1 => Rule {
            generation,
            only: None,
            at_most: 3,
            limit: "the loader looks only at the first three banks",
            knows_quickboot: true,
            keeps_values: false,
        },
    }
}

/// Decides as the loader of that generation does.
pub fn choose(generation: Generation, banks: &[BankInput<'_>]) -> Choice {
    let rule = rule(generation);
    let mut judged = scan(&rule, banks);
    let winner = winner(&judged);
    let unknown = banks.iter().zip(&judged).find_map(|(input, judged)| {
        let undecided = matches!(judged.verdict.why_not, Some(WhyNot::Undecided(_)));
        match input.met {
            BankContent::Undecided(why) if undecided => Some((input.partition, why)),
            _ => None,
        }
    });
    for judged in judged.iter_mut().filter(|it| it.verdict.bootable) {
        let verdict = &mut judged.verdict;
        match (&winner, unknown) {
            (Some(winner), None) if winner.0 == verdict.partition => verdict.boots_next = true,
            (Some(winner), _) if winner.0 != verdict.partition => {
                verdict.why_not = Some(outranked(judged.values.updated, *winner));
            }
            (_, Some((partition, _))) => verdict.why_not = Some(WhyNot::Depends { partition }),
            (_, None) => {}
        }
    }
    let winner = winner.map(|(partition, _)| partition);
    Choice {
        generation,
        chosen: match (unknown, winner) {
            (Some((partition, why)), otherwise) => Chosen::Undecided {
                partition,
                why: why.clone(),
                otherwise,
            },
            (None, Some(partition)) => Chosen::Bank(partition),
            (None, None) => Chosen::Nothing,
        },
        banks: judged.into_iter().map(|judged| judged.verdict).collect(),
    }
}

/// The generation of the loader that a medium with these banks has: that of the newest bank.
pub fn generation_of(banks: &[BankInput<'_>]) -> Generation {
    newest(banks).map_or(Generation::NEWEST, Generation::of)
}

fn newest(banks: &[BankInput<'_>]) -> Option<Release> {
    let cfgs = banks.iter().filter_map(|bank| match bank.met {
        BankContent::BootCfg(cfg) => cfg.build.as_deref(),
        BankContent::Ignored(_) | BankContent::Undecided(_) => None,
    });
    cfgs.filter_map(Release::of_build).max()
}

/// What the loader knows of a bank, be it from the bank before.
pub(super) fn known_of(
    generation: Generation,
    banks: &[BankInput<'_>],
    partition: u32,
) -> Option<Values> {
    let judged = scan(&rule(generation), banks);
    let bank = judged
        .into_iter()
        .find(|it| it.verdict.partition == partition);
    bank.map(|judged| judged.values)
}

/// What a user should know beyond a choice.
pub fn warnings_about(choice: &Choice, banks: &[BankInput<'_>]) -> Vec<ChoiceWarning> {
    let mut warnings = Vec::new();
    match &choice.chosen {
        Chosen::Bank(_) => {}
        Chosen::Nothing => warnings.push(ChoiceWarning::NothingBoots),
        Chosen::Undecided {
            partition,
            why,
            otherwise,
        } => warnings.push(ChoiceWarning::Undecided {
            partition: *partition,
            why: why.clone(),
            otherwise: *otherwise,
        }),
    }
    for (verdict, input) in choice.banks.iter().zip(banks) {
        if let (true, BankContent::BootCfg(cfg)) = (verdict.bootable, input.met) {
            if verdict.boots_next && cfg.awaits_first_boot() {
                let partition = verdict.partition;
                let then = after_unfinished(choice, banks);
                warnings.push(ChoiceWarning::FirstBootAfterUpgrade { partition, then });
            }
            warn_of_bank(
                choice.generation,
                verdict.partition,
                cfg,
                input.has_state,
                &mut warnings,
            );
        }
    }
    warn_of_other_loaders(choice, banks, &mut warnings);
    warnings
}

fn outranked(updated: u32, (winner, winning): (u32, u32)) -> WhyNot {
    if updated == winning {
        return WhyNot::Tie { updated, winner };
    }
    WhyNot::Lower {
        updated,
        winning,
        winner,
    }
}

/// What safeboot knows of a bank.
#[derive(Clone, Default)]
pub(super) struct Values {
    pub(super) build: Option<String>,
    pub(super) updated: u32,
    bootstate: i32,
    quickboot: bool,
}

impl Values {
    /// What is known after `cfg` was read, where `self` was known before.
    fn after(&self, cfg: &BootCfg, keeps_values: bool) -> Values {
        let kept = |key| keeps_values && !cfg.sets(key);
        let build = if kept("build") {
            &self.build
        } else {
            &cfg.build
        };
        Values {
            build: build.clone(),
            updated: if kept("updated") {
                self.updated
            } else {
                cfg.updated
            },
            bootstate: if kept("bootstate") {
                self.bootstate
            } else {
                cfg.bootstate
            },
            quickboot: cfg.quickboot,
        }
    }
}

/// A bank judged for itself.
struct Judged {
    verdict: BankVerdict,
    values: Values,
}

/// Judges each bank for itself, as the loader does on its way through the partitions.
fn scan(rule: &Rule, banks: &[BankInput<'_>]) -> Vec<Judged> {
    let mut kept = 0;
    let mut known = Values::default();
    let judge = |input: &BankInput<'_>| {
        let partition = input.partition;
        let looked_at = rule.only.is_none_or(|only| only.contains(&partition));
        let refused = |why_not| refused(partition, why_not);
        let verdict = match input.met {
            _ if kept >= rule.at_most || !looked_at => refused(WhyNot::NotLookedAt(rule.limit)),
            BankContent::Ignored(why) => refused(WhyNot::Unreadable(why.to_string())),
            BankContent::Undecided(why) => refused(WhyNot::Undecided(why.clone())),
            BankContent::BootCfg(cfg) => match cfg.rejected_by(rule.generation) {
                Some(problem) => {
                    let before = cfg.before_line(problem.line());
                    known = known.after(&before, rule.keeps_values);
                    refused(WhyNot::Rejected(problem))
                }
                None => {
                    known = known.after(cfg, rule.keeps_values);
                    let digit = cfg.bootstate_digit_at().is_some();
                    let (verdict, keeps) = judge(rule, partition, &known, digit);
                    kept += usize::from(keeps);
                    verdict
                }
            },
        };
        let values = known.clone();
        Judged { verdict, values }
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

/// The verdict on what a boot.cfg says, and whether the bank counts towards the first few.
fn judge(rule: &Rule, partition: u32, known: &Values, digit: bool) -> (BankVerdict, bool) {
    let state = known.bootstate;
    let quickboot = known.quickboot && rule.knows_quickboot;
    let incomplete = known.build.is_none() || known.updated == 0;
    let upgrading = matches!(state, UPGRADING | DIRTY) && !quickboot;
    let rollback = upgrading && incomplete;
    let state_after = match state {
        _ if quickboot || rollback => INVALID,
        UPGRADING => DIRTY,
        VALID => VALID,
        _ => INVALID,
    };
    let why_not = match state {
        _ if state != state_after && !digit => {
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
        VALID | UPGRADING if known.build.is_none() => Some(WhyNot::BuildMissing),
        VALID | UPGRADING if known.updated == 0 => Some(WhyNot::NotUpdated),
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
fn winner(judged: &[Judged]) -> Option<(u32, u32)> {
    let mut best: Option<(u32, u32)> = None;
    for judged in judged.iter().filter(|judged| judged.verdict.bootable) {
        let updated = judged.values.updated;
        if best.is_none_or(|(_, highest)| updated > highest) {
            best = Some((judged.verdict.partition, updated));
        }
    }
    best
}

/// What the loader takes after a boot that does not finish: on its way to the choice it has rewritten the state
/// of every bank.
fn after_unfinished(choice: &Choice, banks: &[BankInput<'_>]) -> Chosen {
    let rewritten = |(verdict, input): (&BankVerdict, &BankInput<'_>)| match input.met {
        BankContent::BootCfg(cfg) => verdict.state_after.and_then(|state| cfg.in_state(state)),
        BankContent::Ignored(_) | BankContent::Undecided(_) => None,
    };
    let rewritten: Vec<Option<BootCfg>> = choice.banks.iter().zip(banks).map(rewritten).collect();
    let inputs = banks.iter().zip(&rewritten).map(|(input, rewritten)| {
        let met = rewritten.as_ref().map_or(input.met, BankContent::BootCfg);
        BankInput {
            met,
            ..input.clone()
        }
    });
    choose(choice.generation, &inputs.collect::<Vec<_>>()).chosen
}

fn warn_of_bank(
    generation: Generation,
    partition: u32,
    cfg: &BootCfg,
    has_state: bool,
    warnings: &mut Vec<ChoiceWarning>,
) {
    if let Some(build) = &cfg.build
        && !build.starts_with(|first: char| first.is_ascii_digit())
    {
        let build = build.clone();
        warnings.push(ChoiceWarning::BuildNotANumber { partition, build });
    }
    if let Some(problem) = cfg.fatal_to(generation) {
        warnings.push(ChoiceWarning::Fatal { partition, problem });
    }
    if cfg.kernel.is_none() {
        warnings.push(ChoiceWarning::NoKernel { partition });
    }
    if let Some(prefix) = cfg.other_directory() {
        let prefix = prefix.to_owned();
        warnings.push(ChoiceWarning::Prefix { partition, prefix });
        return;
    }
    match (cfg.lists_module(STATE), has_state) {
        (true, false) => warnings.push(ChoiceWarning::StateMissing { partition }),
        (false, true) => warnings.push(ChoiceWarning::StateNotListed { partition }),
        (true, true) | (false, false) => {}
    }
}

/// A stick's loader is at least as new as its newest bank, so rules older than every bank are not
/// asked, by major release: a host that was brought to a later update may have kept its loader.
fn warn_of_other_loaders(
    choice: &Choice,
    banks: &[BankInput<'_>],
    warnings: &mut Vec<ChoiceWarning>,
) {
    if matches!(choice.chosen, Chosen::Undecided { .. }) {
        return;
    }
    let major = newest(banks).map_or(0, Release::major);
    let boots = |generation| winner(&scan(&rule(generation), banks)).map(|(number, _)| number);
    let chosen = choice.chosen.bank();
    let mut told = None;
    for generation in Generation::ALL {
        let other = boots(generation);
        let newer = generation > choice.generation;
        let differs = other != chosen && generation.may_serve(major);
        // The latest two are told together where they agree.
        let latest = generation == Generation::NEWEST;
        if !differs || (latest && told == Some(other)) {
            continue;
        }
        told = newer.then_some(other);
        let onwards = newer && boots(Generation::NEWEST) == other;
        let (loader, because) = generation.in_contrast(newer, onwards);
        warnings.push(ChoiceWarning::OtherLoader {
            loader,
            boots: other,
            because,
        });
    }
}

#[cfg(test)]
mod tests;
