//! Every layer checked, from the partition table to the last member of the archive. Errors do
//! not stop the check where there is more to look at.

use super::boot::{ContentCheck, check_boot};
use super::cause::FindingCause;
use super::finding::{Finding, Severity, from_error};
use super::firmware::check_firmware;
use super::volumes::{As, check_number, check_others, check_volume};
use crate::bank::{Bank, Release};
use crate::edit::{Configuration, not_editable};
use crate::medium::ReadAt;
use crate::partition::{TableChoice, TableError};
use crate::state::State;
use crate::stick::{BankChoice, Error, Look, Settings, Slot, Stick, Warning, WarningCause};
use crate::target::SavedState;
use std::collections::HashSet;

/// How far a check goes.
#[derive(Clone, Copy, Debug)]
pub struct CheckOptions<'c> {
    /// The banks that are looked into.
    pub banks: BankChoice,
    /// How the content of modules is read; `None` to leave it out.
    pub contents: Option<ContentCheck<'c>>,
}

/// Checks a medium through every layer, and whether the loader gets through what it would boot;
/// writes nothing.
pub fn check(
    medium: &dyn ReadAt,
    settings: &Settings<'_>,
    options: CheckOptions<'_>,
) -> Vec<Finding> {
    check_by(medium, settings, options, TableChoice::Loader)
}

/// The same by a table that ESXi's loader may not use.
pub fn check_by(
    medium: &dyn ReadAt,
    settings: &Settings<'_>,
    options: CheckOptions<'_>,
    table: TableChoice,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let look = Look {
        table,
        ..Look::default()
    };
    let stick = match Stick::open_to_look(medium, settings, look) {
        Ok(stick) => stick,
        Err(error) => {
            findings.push(from_error(&error));
            return findings;
        }
    };
    for error in stick.damage() {
        findings.push(from_error(&error));
    }
    if let Some(why) = stick.not_by_loader() {
        let cause = FindingCause::NotByLoader(why);
        findings.push(Finding::stops("table", None, cause));
    }
    if let Some(overlap) = &stick.table().backup_overlap {
        findings.push(from_error(&Error::from(TableError::from(overlap.clone()))));
    }
    for warning in &stick.table().warnings {
        let cause = FindingCause::Warning(WarningCause::Table(warning.clone()));
        findings.push(Finding::new(Severity::Warning, "table", None, cause));
    }
    for warning in stick.left_alone() {
        let cause = FindingCause::Warning(warning.cause);
        let finding = Finding::new(Severity::Warning, "table", None, cause);
        findings.push(finding.cured_by(warning.cure));
    }
    if let Some(firmware) = stick.firmware() {
        check_firmware(&firmware, &mut findings);
    }
    check_number(&stick, &mut findings);
    match stick.chosen(options.banks) {
        Ok(mut chosen) => {
            chosen.sort_by_key(|slot| slot.partition);
            check_boot(&stick, &chosen, options.contents, &mut findings);
            for slot in chosen {
                check_bank(&stick, slot, &mut findings);
            }
        }
        Err(error) => findings.push(from_error(&error)),
    }
    check_others(&stick, &mut findings);
    // What is met in a file is met again where the whole volume is looked at.
    let mut said = HashSet::new();
    findings.retain(|it| said.insert((it.severity, it.partition, it.layer, it.cause.to_string())));
    findings
}

fn check_bank(stick: &Stick<'_, '_>, slot: &Slot<'_>, findings: &mut Vec<Finding>) {
    let bank = match slot.opened() {
        Ok(bank) => bank,
        // That is told of the whole medium.
        Err(_) if stick.table().fault_of(slot.partition).is_some() => return,
        Err(error) => return findings.push(from_error(&error)),
    };
    for problem in &bank.boot_cfg().problems {
        let on = Some(slot.partition);
        let cause = FindingCause::BootCfg(problem.clone());
        findings.push(Finding::new(Severity::Warning, "boot.cfg", on, cause));
    }
    check_volume(bank.volume(), slot.partition, As::Bank, findings);
    check_states(stick, slot, findings);
}

fn check_states(stick: &Stick<'_, '_>, slot: &Slot<'_>, findings: &mut Vec<Finding>) {
    let on = Some(slot.partition);
    // Where it is loaded, its absence is told with all that stops the loader.
    if slot.states.is_empty() && !slot.bank.as_ref().is_ok_and(Bank::lists_state) {
        findings.push(Finding::new(
            Severity::Note,
            "fat",
            on,
            FindingCause::NoState,
        ));
    }
    for file in &slot.states {
        match stick.open_state(slot, file) {
            Ok(state) => {
                // An empty one leaves what those before it hold.
                let filled = stick.filled_state(slot).map(|file| file.name.as_str());
                let place = Place {
                    on,
                    filled,
                    release: slot.release(),
                    awaits_first_boot: slot.awaits_first_boot(),
                };
                check_state(&state, &place, findings);
            }
            // The host does not load it.
            Err(error) if slot.is_harmless(file, &error) => {
                let why = error.without_partition();
                let cause = FindingCause::NotLoaded { why };
                findings.push(Finding::new(Severity::Warning, "gzip", on, cause));
            }
            Err(error) => findings.push(from_error(&error)),
        }
    }
}

/// Checks a state that is a file of its own through every layer. `key_store` is the file that keeps
/// the key of a `local.tgz.ve`.
pub fn check_state_file(
    bytes: &[u8],
    key_store: Option<&[u8]>,
    settings: &Settings<'_>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    match SavedState::open(bytes, key_store, settings, Look::default()) {
        Ok(saved) => {
            if let Some(odd) = saved.manifest_warning() {
                let cause = FindingCause::Warning(odd.cause);
                findings.push(Finding::new(Severity::Warning, "tar", None, cause));
            }
            if let Some(state) = saved.state() {
                let place = Place {
                    release: saved.release(),
                    ..Place::default()
                };
                check_state(state, &place, &mut findings);
            }
        }
        Err(error) => findings.push(from_error(&error)),
    }
    findings
}

/// Where a state is: the default is a file of its own, of an unknown host.
#[derive(Default)]
struct Place<'p> {
    /// The partition of its bank.
    on: Option<u32>,
    /// The file that the host of the bank has its settings from.
    filled: Option<&'p str>,
    /// The release of the host that reads it.
    release: Option<Release>,
    /// [`Slot::awaits_first_boot`].
    awaits_first_boot: bool,
}

/// What is wrong in an opened state.
fn check_state(state: &State, place: &Place<'_>, findings: &mut Vec<Finding>) {
    let on = place.on;
    for warning in state.warnings() {
        let cause = FindingCause::Warning(Warning::from(warning).cause);
        findings.push(Finding::new(Severity::Warning, "tar", on, cause));
    }
    if state.is_open() {
        return check_configuration(state, place, findings);
    }
    let cause = FindingCause::Sealed {
        file: state.file_name().to_owned(),
        mode: state.seal_mode().unwrap_or_default().to_owned(),
    };
    findings.push(Finding::new(Severity::Note, "envelope", on, cause));
}

fn check_configuration(state: &State, place: &Place<'_>, findings: &mut Vec<Finding>) {
    let on = place.on;
    let release = place.release.as_ref();
    let opened = Configuration::open_for(state, release);
    if opened.as_ref().is_ok_and(Configuration::is_default) {
        let cause = FindingCause::EmptyState {
            file: state.file_name().to_owned(),
            filled: place.filled.map(str::to_owned),
        };
        findings.push(Finding::new(Severity::Note, "esx.conf", on, cause));
    } else if let Ok(configuration) = &opened {
        let older = WarningCause::of_older_state(None, state, configuration, release);
        findings.extend(older.map(FindingCause::Warning).map(|cause| {
            if place.awaits_first_boot {
                Finding::new(Severity::Note, "configstore", on, cause)
            } else {
                Finding::stops("configstore", on, cause)
            }
        }));
        findings.extend(not_editable(state).map(|error| {
            let cause = FindingCause::NotEditable(error);
            Finding::new(Severity::Warning, "tar", on, cause)
        }));
    }
    let whole = |configuration: Configuration| {
        configuration.check_rows()?;
        configuration.warnings()
    };
    match opened.and_then(whole) {
        Ok(warnings) => {
            for warning in warnings {
                let layer = warning.source().as_str();
                let partition = None;
                let cause = WarningCause::Configuration { partition, warning };
                let cause = FindingCause::Warning(cause);
                findings.push(Finding::new(Severity::Warning, layer, on, cause));
            }
        }
        Err(error) => {
            let error = Error::from(error).on(on).in_file(state.file_name());
            findings.push(from_error(&error));
        }
    }
}
