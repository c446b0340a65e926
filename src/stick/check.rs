//! Every layer checked, from the partition table to the last member of the archive. Errors do
//! not stop the check where there is more to look at.

use super::{BankChoice, Cause, Error, Settings, Slot, Stick};
use crate::bank::Bank;
use crate::edit::{CONFIG_STORE, Configuration, EditError};
use crate::error::ErrorKind;
use crate::medium::ReadAt;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Harmless, and good to know.
    Note,
    /// Odd, but it neither stops the host nor a change.
    Warning,
    /// It stops the host or a change.
    Error,
}

impl Severity {
    /// The word used in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// One thing met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// `table`, `fat`, `boot.cfg`, `gzip`, `tar`, `envelope`, `esx.conf` or `configstore`.
    pub layer: &'static str,
    /// On which partition.
    pub partition: Option<u32>,
    /// What.
    pub message: String,
    /// What it means to whoever has to act on it, of an error.
    pub kind: Option<ErrorKind>,
}

/// Checks a medium through every layer, down to what the chosen banks hold; writes nothing.
pub fn check(medium: &dyn ReadAt, settings: Settings<'_>, banks: BankChoice) -> Vec<Finding> {
    let mut findings = Vec::new();
    let stick = match Stick::open(medium, settings) {
        Ok(stick) => stick,
        Err(error) => {
            findings.push(from_error(&error));
            return findings;
        }
    };
    for warning in &stick.table().warnings {
        findings.push(finding(
            Severity::Warning,
            "table",
            None,
            warning.to_string(),
        ));
    }
    for warning in &stick.choice_warnings {
        findings.push(finding(
            Severity::Warning,
            "boot.cfg",
            None,
            warning.to_string(),
        ));
    }
    for text in stick.left_alone() {
        findings.push(finding(Severity::Warning, "table", None, text));
    }
    match stick.chosen(banks) {
        Ok(mut chosen) => {
            chosen.sort_by_key(|slot| slot.partition);
            for slot in chosen {
                check_bank(&stick, slot, &mut findings);
            }
        }
        Err(error) => findings.push(from_error(&error)),
    }
    findings
}

fn check_bank(stick: &Stick<'_, '_>, slot: &Slot<'_>, findings: &mut Vec<Finding>) {
    match slot.opened() {
        Ok(bank) => check_volume(bank, slot.partition, findings),
        Err(error) => return findings.push(from_error(&error)),
    }
    check_states(stick, slot, findings);
}

fn check_volume(bank: &Bank<'_>, partition: u32, findings: &mut Vec<Finding>) {
    let on = Some(partition);
    for problem in &bank.boot_cfg().problems {
        findings.push(finding(
            Severity::Warning,
            "boot.cfg",
            on,
            problem.to_string(),
        ));
    }
    match bank.volume().check() {
        Ok(reach) => {
            let marks = bank.volume().dirty_marks();
            if marks.boot_sector || marks.fat {
                let text = "the volume is marked as not cleanly unmounted; ESXi ignores the mark and it is kept";
                findings.push(finding(Severity::Note, "fat", on, text.to_owned()));
            }
            if marks.io_error {
                let text = "the volume is marked as having had an I/O error; the mark is kept";
                findings.push(finding(Severity::Warning, "fat", on, text.to_owned()));
            }
            let leftovers = reach.leftovers().len();
            if leftovers > 0 {
                let text = format!(
                    "{leftovers} clusters are left over from an interrupted run: nothing refers to them, so nobody reads them; \
                     the next change or `bootbank reclaim` frees them"
                );
                findings.push(finding(Severity::Warning, "fat", on, text));
            }
            if !reach.bad().is_empty() {
                let text = format!("{} clusters are marked bad", reach.bad().len());
                findings.push(finding(Severity::Note, "fat", on, text));
            }
        }
        Err(error) => findings.push(from_error(&Error::from(error).on(partition))),
    }
}

fn check_states(stick: &Stick<'_, '_>, slot: &Slot<'_>, findings: &mut Vec<Finding>) {
    let on = Some(slot.partition);
    if slot.states.is_empty() {
        let text = "the bank holds no state; that is normal for the second bank of a fresh install";
        findings.push(finding(Severity::Note, "fat", on, text.to_owned()));
    }
    for file in &slot.states {
        match stick.open_state(slot, file) {
            Ok(state) => {
                for warning in state.warnings() {
                    findings.push(finding(Severity::Warning, "tar", on, warning));
                }
                if !state.is_open() {
                    let mode = state.seal_mode().unwrap_or_default();
                    let text = format!(
                        "{}: sealed (mode {mode}): what is inside cannot be checked",
                        file.name
                    );
                    findings.push(finding(Severity::Note, "envelope", on, text));
                } else {
                    check_configuration(&state, slot, findings);
                }
            }
            Err(error) => findings.push(from_error(&error)),
        }
    }
}

fn check_configuration(state: &crate::state::State, slot: &Slot<'_>, findings: &mut Vec<Finding>) {
    let checked = Configuration::open(state).and_then(|configuration| configuration.warnings());
    match checked {
        Ok(warnings) => {
            for warning in warnings {
                let layer = if warning.contains(CONFIG_STORE) {
                    "configstore"
                } else {
                    "esx.conf"
                };
                findings.push(finding(
                    Severity::Warning,
                    layer,
                    Some(slot.partition),
                    warning,
                ));
            }
        }
        Err(error) => {
            let error = Error::from(error)
                .on(slot.partition)
                .in_file(state.file_name());
            findings.push(from_error(&error));
        }
    }
}

fn finding(
    severity: Severity,
    layer: &'static str,
    partition: Option<u32>,
    message: String,
) -> Finding {
    Finding {
        severity,
        layer,
        partition,
        message,
        kind: None,
    }
}

fn from_error(error: &Error) -> Finding {
    let bare = Error::to_string(error);
    let prefix = error
        .partition
        .map(|partition| format!("partition {partition}: "));
    let message = match &prefix {
        Some(prefix) => bare
            .strip_prefix(prefix.as_str())
            .unwrap_or(&bare)
            .to_owned(),
        None => bare,
    };
    Finding {
        severity: Severity::Error,
        layer: layer_of(&error.cause),
        partition: error.partition,
        message,
        kind: Some(error.kind()),
    }
}

fn layer_of(cause: &Cause) -> &'static str {
    match cause {
        Cause::Table(_) | Cause::NoBank(_) => "table",
        Cause::State(error) | Cause::Edit(EditError::State(error)) => error.layer(),
        Cause::Edit(EditError::Ownership { path, .. }) if *path == CONFIG_STORE => "configstore",
        Cause::Edit(EditError::Sidecar { .. }) => "configstore",
        Cause::Edit(_) | Cause::Ownership(_) => "esx.conf",
        Cause::Unopened(error) => layer_of(&error.cause),
        _ => "fat",
    }
}
