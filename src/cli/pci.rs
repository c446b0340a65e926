//! `bootbank pci`: list the devices a state names, and set who owns them.

use super::args::{PciSetArgs, SticksArgs};
use super::batch::look_at_each;
use super::change::{Job, Work};
use super::exit::Exit;
use super::fix::{explain, selectors};
use super::json;
use super::options::Change;
use super::report::Failure;
use super::session::Session;
use super::ui::{shown, table};
use crate::edit::{Configuration, Devices, Edit, OwnerEdit};
use crate::ownership::{DeviceOwner, Owner};
use crate::pci::{PciAddress, Spelling};
use crate::stick::{Slot, StateFile, Stick};
use std::path::Path;

/// `bootbank pci set`
///
/// # Errors
/// Arguments that cannot be meant; the rest is reported target by target.
pub fn set(session: &Session, args: &PciSetArgs) -> Result<Exit, Failure> {
    let owner = if args.enable {
        Owner::Passthru
    } else {
        Owner::Vmkernel
    };
    let edit = OwnerEdit {
        devices: Devices::NamedOrNew(selectors(&args.device)?),
        owner,
    };
    let targets = &args.targets.sticks;
    let work = Work::edits(vec![Edit::Owner(edit)]);
    let job = Job::new(session, Change::new(&args.change, targets.len())?)
        .explaining(if args.enable { |_| None } else { explain });
    Ok(job.run(targets, &work))
}

/// `bootbank pci list`
///
/// # Errors
/// A list of targets that cannot be read.
pub fn list(session: &Session, args: &SticksArgs) -> Result<Exit, Failure> {
    look_at_each(session, &args.targets, |stick| list_one(session, stick))
}

fn list_one(session: &Session, path: &Path) -> Exit {
    let target = path.display().to_string();
    let listed = session.look_into(path, |stick, _| gather(session, stick, &target));
    match listed {
        Ok((object, failures)) => {
            session.ui.text(&in_words(&object));
            for warning in &object.warnings {
                session.ui.warn(&shown(warning));
            }
            session.ui.json(&object);
            let mut hints = Vec::new();
            for failure in &failures {
                failure.say_once(&session.ui, &target, &mut hints);
            }
            let exits: Vec<Exit> = failures.iter().map(Failure::exit).collect();
            exits.first().copied().unwrap_or(Exit::Done)
        }
        Err(failure) => {
            failure.show(&session.ui, json::PCI, &target);
            failure.exit()
        }
    }
}

/// The devices of every chosen bank. A state that cannot be opened does not hide the others.
fn gather(
    session: &Session,
    stick: &Stick<'_, '_>,
    target: &str,
) -> Result<(json::Pci, Vec<Failure>), Failure> {
    let mut object = json::Pci {
        schema: json::PCI,
        target: target.to_owned(),
        banks: Vec::new(),
        warnings: Vec::new(),
        error: None,
    };
    let mut failures: Vec<Failure> = Vec::new();
    let mut chosen = stick.chosen(session.common.bank)?;
    chosen.sort_by_key(|slot| slot.partition);
    for slot in chosen {
        let mut devices = Vec::new();
        let before = failures.len();
        if let Err(error) = slot.opened() {
            failures.push(error.into());
        }
        for file in &slot.states {
            match devices_of(stick, slot, file, &mut object.warnings) {
                Ok(found) => devices.extend(found),
                Err(failure) => failures.push(failure),
            }
        }
        object.banks.push(json::PciBank {
            partition: slot.partition,
            devices,
            error: failures.get(before).map(Failure::object),
        });
    }
    object.error = failures.first().map(Failure::object);
    Ok((object, failures))
}

fn devices_of(
    stick: &Stick<'_, '_>,
    slot: &Slot<'_>,
    file: &StateFile,
    warnings: &mut Vec<String>,
) -> Result<Vec<json::Device>, Failure> {
    let inside = |error| {
        crate::stick::Error::from(error)
            .on(slot.partition)
            .in_file(file.name)
    };
    let state = stick.open_state(slot, file)?;
    let configuration = Configuration::open(&state).map_err(inside)?;
    for warning in configuration.warnings().map_err(inside)? {
        warnings.push(format!("partition {}: {warning}", slot.partition));
    }
    let devices = configuration.devices().map_err(inside)?;
    Ok(devices
        .iter()
        .map(|device| object(device, file.name))
        .collect())
}

/// The other spellings of an address: as `lspci` writes it, and as esx.conf of 4.x does.
fn spellings(address: &PciAddress) -> Vec<String> {
    let decimal = address.spelled(Spelling::DECIMAL);
    std::iter::once(address.lspci()).chain(decimal).collect()
}

fn object(device: &DeviceOwner, file: &str) -> json::Device {
    json::Device {
        file: file.to_owned(),
        source: device.source.as_str(),
        key: device.key.clone(),
        addresses: device.address.iter().map(ToString::to_string).collect(),
        spellings: device.address.iter().flat_map(spellings).collect(),
        owner: device.owner.clone().unwrap_or_default(),
        passthrough: device.passthrough,
        alias: device.alias.clone(),
        storage: device.is_storage(),
        virtual_function: device.virtual_function,
        name: device.name.clone(),
    }
}

/// A device as a row of the table.
fn row(device: &json::Device) -> Vec<String> {
    let owner = match device.owner.is_empty() {
        true => "(default: vmkernel)".to_owned(),
        false => shown(&device.owner),
    };
    let name = device.name.as_deref().map(shown).unwrap_or_default();
    let storage = if device.storage { "[storage]" } else { "" };
    vec![
        format!("    {}", device.addresses.join(" or ")),
        owner,
        device.alias.as_deref().map(shown).unwrap_or_default(),
        device.spellings.join(", "),
        format!("{name} {storage}").trim().to_owned(),
        format!("{}:{}", device.file, device.source),
        shown(&device.key),
    ]
}

fn in_words(object: &json::Pci) -> String {
    let mut text = format!("{}\n", object.target);
    for bank in &object.banks {
        text.push_str(&format!("  bank on partition {}\n", bank.partition));
        if let Some(error) = &bank.error {
            let place = format!("partition {}: ", bank.partition);
            let why = error.message.strip_prefix(&place);
            let why = shown(why.unwrap_or(&error.message));
            text.push_str(&format!("    cannot be told: {why}\n"));
        } else if bank.devices.is_empty() {
            text.push_str("    no devices\n");
        }
        if bank.devices.is_empty() {
            continue;
        }
        let heading = [
            "    address",
            "owner",
            "alias",
            "also written",
            "device",
            "source",
            "key",
        ];
        let mut rows = vec![heading.map(str::to_owned).to_vec()];
        rows.extend(bank.devices.iter().map(row));
        text.push_str(&table(&rows));
    }
    text
}
