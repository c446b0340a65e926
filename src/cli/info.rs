//! `bootbank info`: what is on a medium, and which bank boots next.

use super::args::SticksArgs;
use super::batch::look_at_each;
use super::exit::Exit;
use super::json;
use super::report::Failure;
use super::session::Session;
use super::ui::{quoted, shown, table};
use crate::edit::Configuration;
use crate::error::ErrorKind;
use crate::host::WriteCache;
use crate::medium::Target;
use crate::state::envelope::Envelope;
use crate::state::{Form, LOCAL_ENCRYPTED, State};
use crate::stick::{Error, Slot, StateFile, Stick};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

/// What `info` gathers about one target.
struct Found {
    object: json::Info,
    /// Devices passed through in the bank that boots next, by address and alias; `None` where
    /// that cannot be told.
    passed_through: Option<Vec<String>>,
    /// Lines in it that look like passed-through devices and are of no known form.
    doubtful: usize,
    /// Whether a bank could not be read, as opposed to reading wrongly.
    unread: bool,
    /// How the device treats a flush, in words; nothing for an image file.
    device: Option<String>,
}

/// Shows each target.
///
/// # Errors
/// A list of targets that cannot be read.
pub fn run(session: &Session, args: &SticksArgs) -> Result<Exit, Failure> {
    look_at_each(session, &args.targets, |stick| show(session, stick))
}

fn show(session: &Session, path: &Path) -> Exit {
    let name = path.display().to_string();
    match session.look_into(path, |stick, target| gather(session, stick, target, &name)) {
        Ok(found) => {
            session.ui.text(&in_words(&found));
            session.ui.json(&found.object);
            // What could not be read may be what boots next.
            if found.unread { Exit::Io } else { Exit::Done }
        }
        Err(failure) => {
            failure.show(&session.ui, json::INFO, &name);
            failure.exit()
        }
    }
}

/// All there is; of the banks those that `--bank` chooses are shown.
fn gather(
    session: &Session,
    stick: &Stick<'_, '_>,
    target: &Target,
    name: &str,
) -> Result<Found, Failure> {
    let chosen = stick.chosen(session.common.bank)?;
    let chosen: BTreeSet<u32> = chosen.iter().map(|slot| slot.partition).collect();
    let table = stick.table();
    let mut warnings = stick.warnings();
    let failed = stick.slots().iter().filter(|slot| {
        let kind = slot.bank.as_ref().err().map(|error| error.kind());
        kind == Some(ErrorKind::Io)
    });
    let unread: Vec<u32> = failed.map(|slot| slot.partition).collect();
    if !unread.is_empty() {
        warnings.push(format!(
            "which bank boots next is not certain: partition {} cannot be read",
            crate::stick::numbers(unread.iter().copied())
        ));
    }
    let mut passed_through = None;
    let mut doubtful = 0;
    let mut banks = Vec::new();
    for slot in stick.slots() {
        let mut states = Vec::new();
        let none_listed = !slot.states.iter().any(|file| file.listed);
        for file in &slot.states {
            let opened = stick.open_state(slot, file);
            let inside = opened.as_ref().ok().filter(|it| it.form() != Form::Sealed);
            let inside = inside.map(|state| {
                let on = |error| Error::from(error).on(slot.partition).in_file(file.name);
                Configuration::open(state).map_err(on)
            });
            let configuration = inside.as_ref().and_then(|opened| opened.as_ref().ok());
            let passed = configuration.and_then(passed_through_in);
            let counts = passed.as_ref().map(Vec::len);
            if slot.verdict.boots_next && (file.listed || none_listed) {
                passed_through = passed;
                doubtful = configuration.map_or(0, Configuration::doubtful);
            }
            let mut object = state_object(file, &opened, slot.partition, &mut warnings);
            match configuration.map(Configuration::warnings) {
                Some(Ok(odd)) => {
                    let odd = odd.into_iter();
                    warnings
                        .extend(odd.map(|text| format!("partition {}: {text}", slot.partition)));
                }
                Some(Err(error)) => object.error = Some(Failure::from(Error::from(error)).object()),
                None => {}
            }
            if let Some(Err(error)) = inside {
                object.error = Some(Failure::from(error).object());
            }
            object.passed_through = counts;
            states.push(object);
        }
        if chosen.contains(&slot.partition) {
            banks.push(bank_object(slot, states));
        }
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
    Ok(Found {
        object,
        passed_through,
        doubtful,
        unread: !unread.is_empty(),
        device: target.write_cache().map(flush_in_words),
    })
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
        error: slot
            .opened()
            .err()
            .map(|error| Failure::from(error).object()),
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
        outside: match opened {
            Ok(state) if state.form() == Form::Sealed => outside(state),
            _ => Vec::new(),
        },
        passed_through: None,
        listed_in_modules: file.listed,
        size: u64::from(file.entry.size()),
        error: opened.as_ref().err().map(|error| {
            let text = error.to_string();
            let kind = error.kind();
            Failure::new(kind, text).object()
        }),
    }
}

/// The devices a state passes through, each once, as `0000:00:14.0 (vmhba32)`.
fn passed_through_in(configuration: &Configuration) -> Option<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    let mut seen = BTreeSet::new();
    for device in configuration.devices().ok()? {
        if !device.passthrough {
            continue;
        }
        let addresses: Vec<String> = device.address.iter().map(ToString::to_string).collect();
        let mut name = match addresses.is_empty() {
            true => shown(&device.key),
            false => addresses.join(" or "),
        };
        if let Some(alias) = &device.alias {
            name = format!("{name} ({})", shown(alias));
        }
        // A device that esx.conf and the ConfigStore both name is one device.
        if seen.insert(name.clone()) {
            names.push(name);
        }
    }
    Some(names)
}

/// What can be told of a sealed state without its key: the members of its outer archive, and
/// which key it wants.
fn outside(state: &State) -> Vec<String> {
    let members = state.outer_members().iter();
    let mut known: Vec<String> = members
        .map(|member| format!("{}, {} bytes", member.path(), member.size))
        .collect();
    if let Ok(Some(sealed)) = state.outer_content(LOCAL_ENCRYPTED)
        && let Ok(envelope) = Envelope::parse(sealed)
    {
        known.push(format!("key {}", envelope.key_info()));
    }
    known
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
        "{}: {} bytes ({}), {} table, sectors of {} bytes",
        object.target,
        object.size,
        rounded(object.size),
        object.table.to_uppercase(),
        object.sector_size
    );
    if let Some(device) = &found.device {
        let _ = writeln!(text, "  {device}");
    }
    let heading = ["  partition", "holds", "sectors", "type", "name"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
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
    if let Some(error) = &bank.error {
        let place = format!("partition {}: ", bank.partition);
        let why = error.message.strip_prefix(&place);
        let why = shown(why.unwrap_or(&error.message));
        let partition = bank.partition;
        return format!(
            "bank on partition {partition}: cannot be opened, so it does not boot: {why}\n"
        );
    }
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
        let _ = writeln!(
            text,
            "  {}: {} bytes, {}; {}",
            state.file,
            state.size,
            form_in_words(state),
            match state.listed_in_modules {
                true => "named in modules=, so the host loads it",
                false => "not named in modules=, so the host does not load it",
            }
        );
        for known in &state.outside {
            let _ = writeln!(text, "    {}", shown(known));
        }
    }
    text
}

fn form_in_words(state: &json::State) -> String {
    let passed = match state.passed_through {
        Some(0) => ", no device passed through".to_owned(),
        Some(1) => ", 1 device passed through".to_owned(),
        Some(many) => format!(", {many} devices passed through"),
        None => String::new(),
    };
    match (state.form, &state.seal, &state.error) {
        (Some("sealed"), Some(mode), _) => format!(
            "sealed (mode {}): the key is not on this medium but in the host's TPM or wherever the mode says, \
             so what is inside can be neither shown nor changed offline",
            shown(mode)
        ),
        (Some("encrypted"), _, _) => {
            format!("encrypted, with its key beside it, so it can be opened and changed{passed}")
        }
        (Some(form), _, _) => format!("{form}{passed}"),
        (None, _, Some(error)) => format!("cannot be opened: {}", shown(&error.message)),
        (None, _, None) => "unknown".to_owned(),
    }
}

/// A size in the unit a person would use.
fn rounded(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = UNITS.iter().find(|(size, _)| bytes >= *size);
    match unit {
        Some((size, name)) => {
            let tenths = bytes / (size / 10).max(1);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} bytes"),
    }
}

/// What the passed-through devices of the bank that boots next can have done to the host, and
/// what to do next.
fn symptoms(found: &Found) -> String {
    let target = quoted(&found.object.target);
    let Some(bank) = found.object.banks.iter().find(|bank| bank.boots_next) else {
        return String::new();
    };
    let passed = match &found.passed_through {
        Some(passed) => passed,
        None if bank.states.is_empty() => {
            return "The bank that boots next holds no state: the host starts with default settings.\n"
                .to_owned();
        }
        None if bank.states.iter().any(|state| state.form == Some("sealed")) => {
            return format!(
                "What is passed through cannot be told: the state of the bank that boots next is sealed. \
                 `bootbank fix {target}` says which ways are left.\n"
            );
        }
        None => {
            return format!(
                "What is passed through cannot be told: the state of the bank that boots next cannot be opened. \
                 `bootbank verify {target}` says more.\n"
            );
        }
    };
    if passed.is_empty() && found.doubtful > 0 {
        return "Whether a device is passed through in the bank that boots next is not certain: some lines of esx.conf look like it, \
                but are not of a form known to be read. See the warnings.\n"
            .to_owned();
    }
    if passed.is_empty() {
        return "No device is passed through in the bank that boots next.\n".to_owned();
    }
    let count = match passed.len() {
        1 => "1 device is".to_owned(),
        many => format!("{many} devices are"),
    };
    let mut text = format!("{count} passed through in the bank that boots next:\n");
    for name in passed {
        let _ = writeln!(text, "  {name}");
    }
    let _ = write!(
        text,
        "If one of them is the controller this medium hangs on, the host starts but saves no configuration any more,\n\
         and the VMware Tools images are gone. If one is the USB controller of the keyboard, the console is dead.\n\
         Next: with the host powered off, `bootbank fix {target}` gives them all back;\n\
         `bootbank fix -d ADDR {target}` one. `bootbank pci list {target}` shows every device.\n"
    );
    text
}
