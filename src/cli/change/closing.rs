//! The last sentence of a change: what happens at the next boot, and what to do next.

use crate::cli::report::next_in_words;
use crate::cli::terminal::{plural, quoted_path, shown};
use crate::loader::Stop;
use crate::state::Form;
use crate::stick::{Cure, FilePlan, NextBoot, Outlook, Plan};
use std::path::Path;

/// When the next boot is spoken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// Only where something is wrong with it.
    IfWrong,
    /// Always.
    Always,
    /// Always, and what giving devices back brings back.
    AfterGivingBack,
}

/// What is to be said of the next boot after a change; `None` where nothing is.
pub fn closing(plan: &Plan, closing: Closing, target: &Path, is_copy: bool) -> Option<String> {
    let outlook = &plan.outlook;
    let wrong = outlook.boot.is_in_doubt();
    if closing == Closing::IfWrong && !wrong && !plan.misses_the_host() {
        return None;
    }
    let first = of_outlook(outlook, target);
    let is_medium = outlook.boot != NextBoot::NoMedium;
    if is_copy
        || wrong
        || !is_medium
        || outlook.has_settings != Some(true)
        || closing != Closing::AfterGivingBack
        || outlook.passed_through != Some(0)
    {
        return Some(first);
    }
    Some(format!(
        "{first} Put the medium back into the powered-off host and start it: it saves its configuration again, \
         and the console keyboard and the VMware Tools images are back if these devices had taken them away."
    ))
}

/// What to mind after a change of an encrypted state.
pub fn caution(plan: &Plan) -> Option<String> {
    let mut changed = plan.files().filter(|file| file.content.is_some());
    let is_encrypted = |file: &FilePlan| matches!(file.form, Some(Form::Encrypted | Form::Sealed));
    changed.any(is_encrypted).then(|| {
        "The state was encrypted anew, in a form taken from a real host: keep the undo file, or the image from before, \
         until this host has started with it."
            .to_owned()
    })
}

/// The next boot in words, with what is passed through then.
pub fn of_outlook(outlook: &Outlook, target: &Path) -> String {
    match outlook.boot {
        NextBoot::Boots { partition } if outlook.has_settings == Some(false) => {
            return format!(
                "Bank {partition} boots next and holds no saved settings: the host starts with default settings."
            );
        }
        NextBoot::NoMedium if outlook.has_settings == Some(false) => {
            return "The state is empty: a host that loads it starts with default settings."
                .to_owned();
        }
        _ => {}
    }
    next_boot(
        &outlook.boot,
        outlook.passed_through,
        outlook.cure.as_ref(),
        target,
    )
}

/// The next boot in words.
pub fn next_boot(
    boot: &NextBoot,
    passed_through: Option<usize>,
    cure: Option<&Cure>,
    target: &Path,
) -> String {
    let target = quoted_path(target);
    match boot {
        NextBoot::Boots { partition } => match passed_through {
            Some(0) => format!("Bank {partition} boots next and has no device passed through."),
            Some(count) => format!(
                "Bank {partition} boots next and has {count} device{} passed through.",
                plural(count)
            ),
            None => format!(
                "Bank {partition} boots next. Which devices it passes through cannot be told."
            ),
        },
        NextBoot::Stops { partition, stops } => format!(
            "Bank {partition} boots next, but the host will not start: {}. {}",
            stops_in_words(stops),
            next_in_words(cure, &target)
        ),
        NextBoot::Nothing { why } => format!(
            "No bank of this medium boots: {}. {}",
            shown(why),
            next_in_words(cure, &target)
        ),
        NextBoot::NoMedium => match passed_through {
            Some(0) => "The state has no device passed through.".to_owned(),
            Some(count) => format!(
                "The state has {count} device{} passed through.",
                plural(count)
            ),
            None => "Which devices the state passes through cannot be told.".to_owned(),
        },
        NextBoot::Undecided {
            otherwise: Some(bank),
            why,
            ..
        } => format!(
            "Which bank boots next cannot be told: {}. If the loader passes over that one, bank {bank} boots. \
             Next: `bootbank verify {target}`.",
            shown(why)
        ),
        NextBoot::Undecided { why, .. } => format!(
            "Whether the host will start cannot be told: {}. Next: `bootbank verify {target}`.",
            shown(why)
        ),
    }
}

/// What stops the loader: the first, and how many more.
pub(super) fn stops_in_words(stops: &[Stop]) -> String {
    let first = stops.first().map(|stop| shown(&stop.to_string()));
    let first = first.unwrap_or_default();
    match stops.len().saturating_sub(1) {
        0 => first,
        more => format!("{first}; and {more} more"),
    }
}
