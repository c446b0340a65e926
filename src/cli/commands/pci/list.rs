//! `bootbank pci list`: the devices a state names, and who owns them.

use crate::cli::process::Needs;
use crate::cli::report::{ErrorObject, Exit, FailedObject, Failure};
use crate::cli::session::{Run, Schema, Session, TargetArgs, look_at_each};
use crate::cli::terminal::{ERROR, HEADING, WARNING, shown, styled, table};
use crate::diagnosis::{BankDevices, ListedDevice, devices};
use crate::pci::{PciAddress, Spelling};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use std::path::Path;

const SCHEMA: &str = "bootbank.pci/1";

/// List every PCI device in the state, and who owns it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank pci list stick.img
  bootbank pci list -v stick.img             with every spelling of each address
  bootbank pci list --json stick.img | jq '.banks[].devices[] | select(.passthrough).key'")]
pub struct List {
    #[command(flatten)]
    targets: TargetArgs,
}

/// `bootbank pci list`
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Pci {
    schema: &'static str,
    target: String,
    banks: Vec<PciBank>,
    warnings: Vec<String>,
    /// The first error of any bank.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorObject>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct PciBank {
    partition: u32,
    devices: Vec<Device>,
    /// Why a state of the bank could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorObject>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Device {
    file: String,
    source: &'static str,
    key: String,
    addresses: Vec<String>,
    /// The same address as `lspci` and as esx.conf of 4.x write it.
    spellings: Vec<String>,
    owner: String,
    passthrough: bool,
    alias: Option<String>,
    storage: bool,
    virtual_function: bool,
    /// Whether the host passes over this line of esx.conf: keys are decimal, and this one is no
    /// decimal address.
    ignored_by_host: bool,
    name: Option<String>,
}

impl Run for List {
    fn targets_mut(&mut self) -> Option<&mut TargetArgs> {
        Some(&mut self.targets)
    }

    fn first_target(&self) -> Option<&Path> {
        self.targets.first()
    }

    fn only_looks(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        Needs::to_read(&self.targets.sticks)
    }

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        Ok(look_at_each(session, &self.targets, |path| {
            list(session, path)
        }))
    }

    fn schemas() -> Vec<Schema> {
        vec![Schema::of::<Pci>("pci").or_failed::<FailedObject>()]
    }
}

fn list(session: &Session, path: &Path) -> Exit {
    let target = path.display().to_string();
    let found = session.look_into(path, |stick, _| {
        let banks = devices(stick, session.common.bank)?;
        // What is cut off is told once, for all of the medium.
        let is_cut = |bank: &&BankDevices| stick.table().fault_of(bank.partition).is_some();
        let cut = banks.iter().filter(is_cut).map(|bank| bank.partition);
        let cut: Vec<u32> = cut.collect();
        Ok((banks, stick.damage(), cut))
    });
    let (banks, damage, cut) = match found {
        Ok(banks) => banks,
        Err(failure) => {
            failure.show(&session.ui, SCHEMA, &target);
            return failure.exit();
        }
    };
    let told = |bank: &&BankDevices| !cut.contains(&bank.partition);
    let of_banks = banks.iter().filter(told).flat_map(|bank| &bank.errors);
    let failures: Vec<Failure> = damage.iter().chain(of_banks).map(Failure::from).collect();
    let object = Pci {
        schema: SCHEMA,
        target: target.clone(),
        banks: banks.iter().map(bank_object).collect(),
        warnings: banks.iter().flat_map(warnings).collect(),
        error: failures.first().map(Failure::object),
    };
    session.ui.text(&in_words(&object, session.ui.is_verbose()));
    for warning in &object.warnings {
        session.ui.warn(&shown(warning));
    }
    session.ui.json(&object);
    let exit = failures.first().map_or(Exit::Done, Failure::exit);
    session.say_damage(path, &failures, exit)
}

fn warnings(bank: &BankDevices) -> impl Iterator<Item = String> {
    let on = |text: &String| format!("partition {}: {text}", bank.partition);
    bank.warnings.iter().map(on)
}

fn bank_object(bank: &BankDevices) -> PciBank {
    PciBank {
        partition: bank.partition,
        devices: bank.devices.iter().map(object).collect(),
        error: bank.errors.first().map(Failure::object_of),
    }
}

fn object(listed: &ListedDevice) -> Device {
    let device = &listed.device;
    Device {
        file: listed.file.clone(),
        source: device.source.as_str(),
        key: device.key.clone(),
        addresses: device.address.iter().map(ToString::to_string).collect(),
        spellings: device.address.iter().flat_map(spellings).collect(),
        owner: device.owner.clone().unwrap_or_default(),
        passthrough: device.passthrough,
        alias: device.alias.clone(),
        storage: device.is_storage(),
        virtual_function: device.virtual_function,
        ignored_by_host: device.is_ignored_by_host(),
        name: device.name.clone(),
    }
}

/// The other spellings of an address: as `lspci` writes it, and as esx.conf of 4.x does.
fn spellings(address: &PciAddress) -> Vec<String> {
    let decimal = address.spelled(Spelling::DECIMAL);
    std::iter::once(address.lspci()).chain(decimal).collect()
}

/// A device as a row of the table.
fn row(device: &Device, is_verbose: bool) -> Vec<String> {
    let owner = match (device.owner.is_empty(), device.passthrough) {
        (true, _) => "(default: vmkernel)".to_owned(),
        (false, true) => styled(&shown(&device.owner), WARNING),
        (false, false) => shown(&device.owner),
    };
    let name = device.name.as_deref().map(shown).unwrap_or_default();
    let mut about = vec![name];
    if device.storage {
        about.push("[storage]".to_owned());
    }
    if device.ignored_by_host {
        about.push("[the host ignores this line]".to_owned());
    }
    about.retain(|part| !part.is_empty());
    let mut row = vec![
        format!("    {}", device.addresses.join(", ")),
        owner,
        device.alias.as_deref().map(shown).unwrap_or_default(),
        about.join(" "),
        format!("{}:{}", device.file, device.source),
        shown(&device.key),
    ];
    if is_verbose {
        row.push(device.spellings.join(", "));
    }
    row
}

fn in_words(object: &Pci, is_verbose: bool) -> String {
    let mut text = format!("{}\n", shown(&object.target));
    for bank in &object.banks {
        let heading = format!("bank on partition {}", bank.partition);
        text.push_str(&format!("  {}\n", styled(&heading, HEADING)));
        if let Some(error) = &bank.error {
            let place = format!("partition {}: ", bank.partition);
            let why = error.message.strip_prefix(&place);
            let why = shown(why.unwrap_or(&error.message));
            let how = match bank.devices.is_empty() {
                true => "cannot be read:",
                false => "not all could be read:",
            };
            text.push_str(&format!("    {} {why}\n", styled(how, ERROR)));
        } else if bank.devices.is_empty() {
            text.push_str("    no devices\n");
        }
        if bank.devices.is_empty() {
            continue;
        }
        let mut heading = vec!["    address", "owner", "alias", "device", "source", "key"];
        if is_verbose {
            heading.push("other spellings");
        }
        let mut rows = vec![heading.into_iter().map(str::to_owned).collect()];
        rows.extend(bank.devices.iter().map(|device| row(device, is_verbose)));
        text.push_str(&table(&rows));
    }
    text
}
