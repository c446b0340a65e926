//! `bootbank pci list`: the devices a state names, and who owns them.

use crate::cli::report::{
    BelongsTo, ErrorObject, Exit, FailedObject, Failure, RoleObject, whose_in_words,
};
use crate::cli::session::{Run, Schema, Session, TargetArgs, look_at_each, looks_at_many};
use crate::cli::terminal::{ERROR, HEADING, WARNING, shown, styled, table};
use crate::diagnosis::{BankDevices, ListedDevice, Situation, devices};
use crate::edit::ConfigurationWarning;
use crate::medium::Target;
use crate::ownership::DeviceOwner;
use crate::pci::{Class, Spelling};
use crate::stick::Stick;
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::Path;

const SCHEMA: &str = "bootbank.pci/1";
/// The column of the class; that of the vendor is behind it.
const CLASS: usize = 3;

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
    /// Whose the medium is.
    belongs_to: BelongsTo,
    /// The PCI function of this machine that the medium hangs on; left out for an image file.
    #[serde(skip_serializing_if = "Option::is_none")]
    controller: Option<String>,
    banks: Vec<PciBank>,
    warnings: Vec<String>,
    /// The first error of any bank.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorObject>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct PciBank {
    /// Nothing for a state file.
    partition: Option<u32>,
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
    /// As `-d` takes it, so with the `.vf1` of a virtual function.
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
    /// Who made it, by the state or by this machine where the medium is its own.
    vendor: Option<String>,
    /// Its class, known in the same way.
    class: Option<&'static str>,
    /// What it is to the host.
    roles: Vec<RoleObject>,
    /// Whether this machine has a device there; left out where the medium is not its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_this_machine: Option<bool>,
}

impl Run for List {
    looks_at_many!();

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
    let found = session.look_into(path, |opened, target| {
        let banks = devices(opened, session.common.bank)?;
        let situation = session.situation(opened, target);
        // What is cut off is told once, for all of the medium.
        let table = opened.stick().ok().map(Stick::table);
        let is_cut = |number: &u32| table.is_some_and(|table| table.fault_of(*number).is_some());
        let numbers = banks.iter().filter_map(|bank| bank.partition);
        let cut: Vec<u32> = numbers.filter(is_cut).collect();
        let is_disk = target.and_then(Target::device).is_some();
        Ok((banks, opened.damage(), cut, situation, is_disk))
    });
    let (banks, damage, cut, situation, is_disk) = match found {
        Ok(banks) => banks,
        Err(failure) => {
            failure.show(&session.ui, SCHEMA, &target);
            return failure.exit();
        }
    };
    let told = |bank: &&BankDevices| bank.partition.is_none_or(|it| !cut.contains(&it));
    let of_banks = banks.iter().filter(told).flat_map(|bank| &bank.errors);
    let failures: Vec<Failure> = damage.iter().chain(of_banks).map(Failure::from).collect();
    let object = Pci {
        schema: SCHEMA,
        target: target.clone(),
        belongs_to: BelongsTo::from(&situation.whose),
        controller: situation
            .attachment
            .as_ref()
            .map(|it| it.controller.to_string()),
        banks: banks
            .iter()
            .map(|bank| bank_object(bank, &situation))
            .collect(),
        warnings: banks
            .iter()
            .flat_map(warnings)
            .chain(strangers(&banks, &situation))
            .collect(),
        error: failures.first().map(Failure::object),
    };
    session.ui.text(&in_words(&object, session.ui.is_verbose()));
    if is_disk || session.ui.is_verbose() || situation.whose.is_this_machine() {
        session.ui.say(&shown(&whose_in_words(&situation.whose)));
    }
    for warning in &object.warnings {
        session.ui.warn(&shown(warning));
    }
    session.ui.json(&object);
    let exit = failures.first().map_or(Exit::Done, Failure::exit);
    session.say_damage(path, &failures, exit)
}

fn warnings(bank: &BankDevices) -> impl Iterator<Item = String> {
    let on = |warning: &ConfigurationWarning| match bank.partition {
        Some(partition) => format!("partition {partition}: {warning}"),
        None => warning.to_string(),
    };
    bank.warnings.iter().map(on)
}

/// What is to be said of devices that are passed through and that this machine lacks.
fn strangers(banks: &[BankDevices], situation: &Situation<'_>) -> Option<String> {
    let listed = banks.iter().flat_map(|bank| &bank.devices);
    let passed = listed.filter(|listed| listed.device.passthrough);
    let is_lacking = |listed: &&ListedDevice| {
        let address = listed.device.address;
        address.is_some_and(|address| situation.lacks(address))
    };
    let names = passed.filter(is_lacking);
    let names: BTreeSet<String> = names.filter_map(|it| it.device.typed_address()).collect();
    let names = Vec::from_iter(names);
    (!names.is_empty()).then(|| {
        format!(
            "this machine has no device at {}: it was taken out, or moved to another slot. A device that comes to such an address \
             later is passed through (VMware KB 373820); `bootbank fix -d ADDR` gives it back",
            names.join(", ")
        )
    })
}

fn bank_object(bank: &BankDevices, situation: &Situation<'_>) -> PciBank {
    let object = |listed: &ListedDevice| object(listed, situation);
    PciBank {
        partition: bank.partition,
        devices: bank.devices.iter().map(object).collect(),
        error: bank.errors.first().map(Failure::object_of),
    }
}

fn object(listed: &ListedDevice, situation: &Situation<'_>) -> Device {
    let device = &listed.device;
    let here = device.address.filter(|_| situation.machine().is_some());
    let model = situation.model(device);
    Device {
        file: listed.file.clone(),
        source: device.source.as_str(),
        key: device.key.clone(),
        addresses: device.typed_address().into_iter().collect(),
        spellings: spellings(device),
        owner: device.owner.clone().unwrap_or_default(),
        passthrough: device.passthrough,
        alias: device.alias.clone(),
        storage: device.is_storage(),
        virtual_function: device.virtual_function,
        ignored_by_host: device.is_ignored_by_host(),
        name: device.name.clone().or(model.device),
        vendor: model.vendor,
        class: situation.class(device).map(Class::name),
        roles: situation
            .parts(device)
            .iter()
            .map(RoleObject::from)
            .collect(),
        in_this_machine: here.map(|address| !situation.lacks(address)),
    }
}

/// The other spellings of an address: as `lspci` writes it, and as esx.conf of 4.x does.
fn spellings(device: &DeviceOwner) -> Vec<String> {
    let Some(address) = device.address else {
        return Vec::new();
    };
    let number = device.virtual_function_number();
    let suffix = number.map_or(String::new(), |number| format!(".vf{number}"));
    let decimal = address.spelled(Spelling::DECIMAL);
    let spelled = std::iter::once(address.lspci()).chain(decimal);
    spelled.map(|text| text + &suffix).collect()
}

/// An owner as the table shows it. Of a virtual function anything but `vmkernel` passes it through,
/// and so does an empty owner.
fn owner_in_words(owner: &str, passthrough: bool) -> String {
    match (owner.is_empty(), passthrough) {
        (true, true) => styled("(empty: passed through)", WARNING),
        (true, false) => "(default: vmkernel)".to_owned(),
        (false, true) => styled(&shown(owner), WARNING),
        (false, false) => shown(owner),
    }
}

/// A device as a row of the table.
fn row(device: &Device, is_verbose: bool) -> Vec<String> {
    let owner = owner_in_words(&device.owner, device.passthrough);
    let name = device.name.as_deref().map(shown).unwrap_or_default();
    let mut about = vec![name];
    about.extend(
        device
            .roles
            .iter()
            .map(|role| format!("[{}]", role.in_words())),
    );
    if device.storage {
        about.push("[storage]".to_owned());
    }
    if device.in_this_machine == Some(false) {
        about.push("[not in this machine]".to_owned());
    }
    if device.ignored_by_host {
        about.push("[the host ignores this line]".to_owned());
    }
    about.retain(|part| !part.is_empty());
    let mut row = vec![
        format!("    {}", shown(&device.addresses.concat())),
        owner,
        device.alias.as_deref().map(shown).unwrap_or_default(),
        device.class.unwrap_or_default().to_owned(),
        device.vendor.as_deref().map(shown).unwrap_or_default(),
        about.join(" "),
        format!("{}:{}", device.file, device.source),
        shown(&device.key),
    ];
    if is_verbose {
        row.push(device.spellings.join(", "));
    }
    row
}

/// Leaves out the columns of class and vendor where no device has one.
fn without_empty(rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let is_empty = |column: usize| {
        let cells = rows.iter().skip(1).filter_map(|row| row.get(column));
        cells.into_iter().all(String::is_empty)
    };
    let left_out = [CLASS, CLASS + 1].map(|column| (column, is_empty(column)));
    let stays = |column: usize| !left_out.contains(&(column, true));
    let cells = |row: Vec<String>| {
        let cells = row.into_iter().enumerate();
        cells
            .filter(|(column, _)| stays(*column))
            .map(|(_, cell)| cell)
            .collect()
    };
    rows.into_iter().map(cells).collect()
}

fn in_words(object: &Pci, is_verbose: bool) -> String {
    let mut text = format!("{}\n", shown(&object.target));
    for bank in &object.banks {
        let heading = match bank.partition {
            Some(number) => format!("bank on partition {number}"),
            None => "state file".to_owned(),
        };
        text.push_str(&format!("  {}\n", styled(&heading, HEADING)));
        if let Some(error) = &bank.error {
            let why = shown(error.in_bank());
            let how = if bank.devices.is_empty() {
                "cannot be read:"
            } else {
                "not all could be read:"
            };
            text.push_str(&format!("    {} {why}\n", styled(how, ERROR)));
        } else if bank.devices.is_empty() {
            text.push_str("    no devices\n");
        }
        if bank.devices.is_empty() {
            continue;
        }
        let mut heading = vec![
            "    address",
            "owner",
            "alias",
            "class",
            "vendor",
            "device",
            "source",
            "key",
        ];
        if is_verbose {
            heading.push("other spellings");
        }
        let mut rows = vec![heading.into_iter().map(str::to_owned).collect()];
        rows.extend(bank.devices.iter().map(|device| row(device, is_verbose)));
        text.push_str(&table(&without_empty(rows)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text says of an owner what the object's `passthrough` says.
    #[test]
    fn an_empty_owner_that_passes_a_virtual_function_through_is_not_called_the_default() {
        assert_eq!(owner_in_words("", false), "(default: vmkernel)");
        assert!(owner_in_words("", true).contains("(empty: passed through)"));
        assert!(owner_in_words("somevm", true).contains("somevm"));
    }
}
