//! `bootbank info`: what is on a medium, and which bank boots next.

use super::exit::Exit;
use super::json;
use super::report::Failure;
use super::session::{Session, distinct};
use super::ui::{shown, table};
use crate::edit::Configuration;
use crate::host::WriteCache;
use crate::medium::Target;
use crate::state::{Form, State};
use crate::stick::{Error, Slot, StateFile, Stick};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What `info` gathers about one target.
struct Found {
    object: json::Info,
    /// Devices passed through in the bank that boots next; `None` where that cannot be told.
    passed_through: Option<usize>,
    /// How the device treats a flush, in words; nothing for an image file.
    device: Option<String>,
}

/// Shows each target; the first failure decides the exit code of each.
pub fn run(session: &Session, sticks: &[PathBuf]) -> Exit {
    let sticks = distinct(sticks, &session.ui);
    let exits: Vec<Exit> = sticks.iter().map(|stick| show(session, stick)).collect();
    Exit::of_all(&exits)
}

fn show(session: &Session, path: &Path) -> Exit {
    let name = path.display().to_string();
    match session.look_into(path, |stick, target| Ok(gather(stick, target, &name))) {
        Ok(found) => {
            session.ui.text(&in_words(&found));
            session.ui.json(&found.object);
            Exit::Done
        }
        Err(failure) => {
            failure.show(&session.ui, json::INFO, &name);
            failure.exit()
        }
    }
}

fn gather(stick: &Stick<'_, '_>, target: &Target, name: &str) -> Found {
    let table = stick.table();
    let mut warnings = stick.warnings();
    let mut passed_through = None;
    let mut banks = Vec::new();
    for slot in stick.slots() {
        let mut states = Vec::new();
        for file in &slot.states {
            let opened = stick.open_state(slot, file);
            if slot.verdict.boots_next && file.listed {
                passed_through = count_passed_through(&opened);
            }
            states.push(state_object(file, &opened, slot.partition, &mut warnings));
        }
        banks.push(bank_object(slot, states));
    }
    let partitions = table.partitions.iter().map(|partition| json::Partition {
        number: partition.number,
        type_id: partition.partition_type.to_string(),
        name: partition.name.clone(),
        first_lba: partition.first_lba,
        last_lba: partition.last_lba,
        kind: stick.kind_of(partition),
    });
    let object = json::Info {
        schema: json::INFO,
        target: name.to_owned(),
        size: stick.medium().size(),
        sector_size: table.sector_size,
        table: table.kind.as_str(),
        partitions: partitions.collect(),
        banks,
        write_cache: target.write_cache().map(WriteCache::as_str),
        warnings,
    };
    Found {
        object,
        passed_through,
        device: target.write_cache().map(flush_in_words),
    }
}

fn bank_object(slot: &Slot<'_>, states: Vec<json::State>) -> json::Bank {
    let bank = slot.bank.as_ref().ok();
    let boot_cfg = bank.map(crate::bank::Bank::boot_cfg);
    json::Bank {
        partition: slot.partition,
        uuid: bank.map(|bank| bank.uuid().to_string()),
        label: bank.and_then(|bank| bank.volume().label()),
        build: boot_cfg.and_then(|boot_cfg| boot_cfg.build.clone()),
        updated: boot_cfg.map(|boot_cfg| boot_cfg.updated),
        bootstate: boot_cfg.map(|boot_cfg| boot_cfg.bootstate),
        bootable: slot.verdict.bootable,
        boots_next: slot.verdict.boots_next,
        why_not: slot.verdict.why_not.as_ref().map(ToString::to_string),
        states,
    }
}

fn state_object(
    file: &StateFile,
    opened: &Result<State, Error>,
    partition: u32,
    warnings: &mut Vec<String>,
) -> json::State {
    if let Ok(state) = opened {
        let odd = state.warnings().into_iter();
        warnings.extend(odd.map(|warning| format!("partition {partition}: {warning}")));
    }
    json::State {
        file: file.name.to_owned(),
        form: opened.as_ref().ok().map(|state| state.form().as_str()),
        seal: opened
            .as_ref()
            .ok()
            .and_then(|state| state.seal_mode().map(str::to_owned)),
        listed_in_modules: file.listed,
        size: u64::from(file.entry.size()),
        error: opened.as_ref().err().map(|error| {
            let text = error.to_string();
            let kind = error.kind();
            Failure::new(kind, text).object()
        }),
    }
}

fn count_passed_through(opened: &Result<State, Error>) -> Option<usize> {
    let configuration = Configuration::open(opened.as_ref().ok()?).ok()?;
    let devices = configuration.devices().ok()?;
    let mut passed: Vec<_> = devices.iter().filter(|device| device.passthrough).collect();
    // A device both files name is one device.
    passed.dedup_by(|a, b| !a.addresses.is_empty() && a.addresses == b.addresses);
    Some(passed.len())
}

fn flush_in_words(cache: WriteCache) -> String {
    match cache {
        WriteCache::WriteBack => "write cache: write back (a sync sends a flush)".to_owned(),
        WriteCache::WriteThrough => {
            "write cache: write through, so it says; a sync sends no flush, and a device that says so wrongly \
             can lose what it acknowledged: keep the undo file"
                .to_owned()
        }
    }
}

fn in_words(found: &Found) -> String {
    let object = &found.object;
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{}: {} bytes, {} table, sectors of {} bytes",
        object.target,
        object.size,
        object.table.to_uppercase(),
        object.sector_size
    );
    if let Some(device) = &found.device {
        let _ = writeln!(text, "  {device}");
    }
    let mut rows = Vec::new();
    for partition in &object.partitions {
        rows.push(vec![
            format!("  {}", partition.number),
            partition.kind.to_owned(),
            format!("{}-{}", partition.first_lba, partition.last_lba),
            partition.type_id.clone(),
            shown(&partition.name),
        ]);
    }
    text.push_str(&table(&rows));
    for bank in &object.banks {
        text.push_str(&bank_in_words(bank));
    }
    text.push_str(&symptoms(found));
    for warning in &object.warnings {
        let _ = writeln!(text, "warning: {}", shown(warning));
    }
    text
}

fn bank_in_words(bank: &json::Bank) -> String {
    let mut text = String::new();
    let next = match (&bank.why_not, bank.boots_next) {
        (_, true) => "boots next".to_owned(),
        (Some(why), false) => format!("does not boot next: {}", shown(why)),
        (None, false) => "does not boot next".to_owned(),
    };
    let build = bank
        .build
        .as_deref()
        .map_or("no build".to_owned(), |build| {
            format!("build {}", shown(build))
        });
    let _ = writeln!(
        text,
        "bank on partition {}: {build}; {next}",
        bank.partition
    );
    if bank.states.is_empty() {
        let _ = writeln!(
            text,
            "  holds no state (normal for the second bank of a fresh install)"
        );
    }
    for state in &bank.states {
        let form = match (state.form, &state.seal, &state.error) {
            (Some("sealed"), Some(mode), _) => {
                format!("sealed (mode {}): cannot be opened offline", shown(mode))
            }
            (Some(form), _, _) => form.to_owned(),
            (None, _, Some(error)) => format!("cannot be opened: {}", shown(&error.message)),
            (None, _, None) => "unknown".to_owned(),
        };
        let listed = if state.listed_in_modules {
            ""
        } else {
            ", not listed in modules: the host does not load it"
        };
        let _ = writeln!(
            text,
            "  {}: {} bytes, {form}{listed}",
            state.file, state.size
        );
    }
    text
}

/// What the passed-through devices of the bank that boots next can have done to the host.
fn symptoms(found: &Found) -> String {
    let sealed = found.object.banks.iter().any(|bank| {
        let mut states = bank.states.iter();
        bank.boots_next && states.any(|state| state.form == Some(Form::Sealed.as_str()))
    });
    match found.passed_through {
        Some(0) => "No device is passed through in the bank that boots next.\n".to_owned(),
        Some(count) => format!(
            "{count} {} passed through in the bank that boots next. If one of these devices is the controller this medium hangs on, \
             the host cannot save its configuration and the VMware Tools images are gone; if it is the USB controller of the \
             keyboard, the console is dead. `bootbank pci list` names them, `bootbank fix` gives them back, with the host powered off.\n",
            if count == 1 { "device is" } else { "devices are" }
        ),
        None if sealed => {
            "What is passed through cannot be told: the state of the bank that boots next is sealed.\n".to_owned()
        }
        None => String::new(),
    }
}
