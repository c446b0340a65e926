//! Who owns each PCI device: the VMkernel, or a virtual machine it is passed through to.
//!
//! Two places in an ESXi state say so: `/device/.../owner` lines of esx.conf, which hosts up to
//! 7.0 U1 read, and the `pci_devices` rows of the ConfigStore, which those from 7.0 U2 on read. A
//! state may hold both, and both are shown and changed. Bytes in, values out: archives and files
//! are the business of other rooms.

mod bus_address;
mod config_store;
mod error;
mod esx_conf;
#[cfg(test)]
pub(crate) mod fixtures;
mod json_span;

pub use bus_address::{Alias, BusAddress};
pub(crate) use bus_address::{aliases_by_address, tie_aliases, tie_classes};
pub(crate) use config_store::sidecars;
pub use config_store::{
    Cell, ConfigStore, Row, RowKey, RowNote, SchemaStore, SecretTypes, StoreChange, ValueColumn,
};
pub use error::OwnershipError;
pub use esx_conf::{Entry, EsxConf, Note, NoteKind};
pub(crate) use json_span::{elements, value_at, with_value_at, without_value_at};

use crate::pci::{Class, PciAddress};

/// Which file of the state an owner was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Source {
    /// `etc/vmware/esx.conf`.
    EsxConf,
    /// `var/lib/vmware/configstore/backup/current-store-1`.
    ConfigStore,
}

impl Source {
    /// The word used in output: `esx.conf` or `configstore`.
    pub fn as_str(self) -> &'static str {
        match self {
            Source::EsxConf => "esx.conf",
            Source::ConfigStore => "configstore",
        }
    }
}

/// What an owner can be set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    /// The device belongs to the host.
    Vmkernel,
    /// The device is passed through to a virtual machine.
    Passthru,
}

impl Owner {
    /// The value as `source` spells it. Both owners have the same length in either.
    pub fn spelled(self, source: Source) -> &'static str {
        match (source, self) {
            (Source::EsxConf, Owner::Vmkernel) => "vmkernel",
            (Source::EsxConf, Owner::Passthru) => "passthru",
            (Source::ConfigStore, Owner::Vmkernel) => "OWNER_VMKERNEL",
            (Source::ConfigStore, Owner::Passthru) => "OWNER_PASSTHRU",
        }
    }

    /// What the text `raw` means in `source`, as ESXi 6.7 decides it: a function is passed through
    /// when the text is exactly that word, and a virtual function of esx.conf (a key that ends in
    /// `.vfN`) when it is anything but exactly `vmkernel`.
    pub fn meant_by(source: Source, virtual_function: bool, raw: &str) -> Owner {
        let passed_through = match source {
            Source::EsxConf if virtual_function => raw != Owner::Vmkernel.spelled(source),
            Source::EsxConf | Source::ConfigStore => raw == Owner::Passthru.spelled(source),
        };
        if passed_through {
            Owner::Passthru
        } else {
            Owner::Vmkernel
        }
    }
}

/// What a device is to a host that would miss it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeviceKind {
    /// A storage adapter.
    Storage,
    /// A USB host controller.
    Usb,
    /// A display controller.
    Display,
    /// A network adapter.
    Network,
}

impl DeviceKind {
    /// The names of adapters, and what the VMkernel gives them to. `vmhba` is storage, `vmnic` a
    /// network adapter, `vusb` one on USB, `vmgfx` graphics.
    const NAMES: [(&str, DeviceKind); 4] = [
        ("vmhba", DeviceKind::Storage),
        ("vmnic", DeviceKind::Network),
        ("vusb", DeviceKind::Network),
        ("vmgfx", DeviceKind::Display),
    ];

    /// By the name of an adapter: `vmhba32`, `vmnic0`.
    pub fn of_alias(name: &str) -> Option<DeviceKind> {
        let kind = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
        let mut names = DeviceKind::NAMES.into_iter();
        let known = names.find(|(known, _)| kind == *known && kind.len() < name.len());
        known.map(|(_, kind)| kind)
    }

    /// By a class code.
    pub fn of_class(class: Class) -> Option<DeviceKind> {
        match () {
            () if class.is_storage() => Some(DeviceKind::Storage),
            () if class.is_usb() => Some(DeviceKind::Usb),
            () if class.is_display() => Some(DeviceKind::Display),
            () if class.is_network() => Some(DeviceKind::Network),
            () => None,
        }
    }
}

/// One device as one source names it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceOwner {
    /// Where it was read.
    pub source: Source,
    /// What names the owner there, as written: the esx.conf key (`/device/000:26.7/owner`) or the
    /// row's Identifier (`0000:00:1a.7`).
    pub key: String,
    /// The address as written: `000:26.7`, also with its `.vf1`.
    pub written: String,
    /// The address `written` stands for: decimal in esx.conf, hexadecimal in the ConfigStore.
    /// `None` where it is none; see [`DeviceOwner::is_ignored_by_host`].
    pub address: Option<PciAddress>,
    /// What the device layer calls its place, where the source tells: `dl_bus_address` of a row,
    /// or the place of a virtual function. On real hosts of 7.x it is mostly a slot.
    pub bus_address: Option<BusAddress>,
    /// The owner as written; `None` when the source names the device but no owner, which means
    /// the VMkernel.
    pub owner: Option<String>,
    /// Whether the device is passed through. True when any of a row's columns says so.
    pub passthrough: bool,
    /// Values of other lines or columns for the same device that differ from `owner`.
    pub shadowed: Vec<String>,
    /// The adapter's name (`vmhba32`, `vmnic0`) where one is tied to this address.
    pub alias: Option<String>,
    /// The device's name, where the file holds it (esx.conf of 4.x).
    pub name: Option<String>,
    /// The class code, where the file holds it.
    pub class: Option<Class>,
    /// The vendor id as written, where the file holds it.
    pub vendor_id: Option<String>,
    /// The device id as written, where the file holds it.
    pub device_id: Option<String>,
    /// Whether the key is that of an SR-IOV virtual function.
    pub virtual_function: bool,
}

impl DeviceOwner {
    /// The device whose owner the line with this key of esx.conf tells.
    pub(crate) fn of_line(key: &str) -> Option<DeviceOwner> {
        let written = key.strip_prefix("/device/")?.strip_suffix("/owner")?;
        Some(DeviceOwner::new(Source::EsxConf, key.to_owned(), written))
    }

    /// The device whose owner this row of the ConfigStore tells.
    pub(crate) fn of_row(key: &RowKey) -> Option<DeviceOwner> {
        let device = &key.identifier;
        let is_one = *key == RowKey::of_pci_device(device);
        is_one.then(|| DeviceOwner::new(Source::ConfigStore, device.clone(), device))
    }

    fn new(source: Source, key: String, written: &str) -> DeviceOwner {
        let (place, virtual_function) = split_virtual_function(written);
        // Virtual functions were seen under what the device layer calls their functions' places.
        let bus_address = BusAddress::parse(place).filter(|_| virtual_function);
        let address = match source {
            Source::EsxConf => address_in_key(written),
            Source::ConfigStore => PciAddress::from_sbdf(place),
        };
        DeviceOwner {
            source,
            key,
            written: written.to_owned(),
            address,
            bus_address,
            owner: None,
            passthrough: false,
            shadowed: Vec::new(),
            alias: None,
            name: None,
            class: None,
            vendor_id: None,
            device_id: None,
            virtual_function,
        }
    }

    /// What it is to the host, by its alias or its class; `None` where neither tells, or it is of
    /// no kind that a host depends on. The adapter of a USB controller is a storage adapter: the
    /// disks behind it are what counts.
    pub fn kind(&self) -> Option<DeviceKind> {
        let of_class = self.class.and_then(DeviceKind::of_class);
        let of_alias = self.alias.as_deref().and_then(DeviceKind::of_alias);
        match of_class {
            Some(DeviceKind::Storage) => of_class,
            _ => of_alias.or(of_class),
        }
    }

    /// A storage adapter, by its alias or its class.
    pub fn is_storage(&self) -> bool {
        self.kind() == Some(DeviceKind::Storage)
    }

    /// Whether the host passes over this line of esx.conf: its key is no address when read as
    /// decimal, because of hexadecimal digits or a number out of range. That 6.7 ignores a key it
    /// cannot parse was read in its binaries; that it cannot parse such a one is inferred.
    pub fn is_ignored_by_host(&self) -> bool {
        self.source == Source::EsxConf && !self.virtual_function && self.address.is_none()
    }

    /// What the text `raw` means as owner of this device.
    pub fn meaning_of(&self, raw: &str) -> Owner {
        Owner::meant_by(self.source, self.virtual_function, raw)
    }

    /// Which virtual function the key is about: `1` of `.vf1`.
    pub fn virtual_function_number(&self) -> Option<&str> {
        virtual_function_number(&self.written)
    }

    /// The address as a person types it to name this device: hexadecimal, and with the `.vf1` of
    /// a virtual function, which is another device than its function.
    pub fn typed_address(&self) -> Option<String> {
        let address = self.address?;
        Some(typed_address(address, self.virtual_function_number()))
    }

    /// The owners that its lines, or the columns of its row, name.
    pub fn named_owners(&self) -> impl Iterator<Item = &String> {
        self.owner.iter().chain(&self.shadowed)
    }
}

/// Cuts the `.vf1` off an address: ESXi 6.7 treats a key that ends in one as a virtual function.
pub fn split_virtual_function(written: &str) -> (&str, bool) {
    match written.rsplit_once(".vf") {
        Some((place, number)) if number.bytes().all(|b| b.is_ascii_digit()) => (place, true),
        _ => (written, false),
    }
}

/// Which virtual function an address `written` like this is about: `1` of `.vf1`.
pub(crate) fn virtual_function_number(written: &str) -> Option<&str> {
    let (place, virtual_function) = split_virtual_function(written);
    let number = written.get(place.len()..)?.strip_prefix(".vf");
    number.filter(|_| virtual_function)
}

/// An address as a person types it, with the number of the virtual function that is meant.
pub(crate) fn typed_address(address: PciAddress, virtual_function: Option<&str>) -> String {
    match virtual_function {
        Some(number) => format!("{address}.vf{number}"),
        None => address.to_string(),
    }
}

/// The address that a key of esx.conf is about, `written` as there: decimal, but hexadecimal where
/// the key of a virtual function names its place as the device layer does.
pub(crate) fn address_in_key(written: &str) -> Option<PciAddress> {
    let (place, virtual_function) = split_virtual_function(written);
    let bus_address = BusAddress::parse(place).filter(|_| virtual_function);
    let address = bus_address.as_ref().and_then(BusAddress::pci);
    address.or_else(|| PciAddress::from_key(place))
}

/// A device that esx.conf gives to one owner and the ConfigStore to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Disagreement<'a> {
    /// The address both name.
    pub address: PciAddress,
    /// What esx.conf says.
    pub esx_conf: &'a DeviceOwner,
    /// What the ConfigStore says.
    pub config_store: &'a DeviceOwner,
}

/// The devices both sources name and give to different owners, in the order of `esx_conf`.
///
/// A device only one of them names is no disagreement.
pub fn disagreements<'a>(
    esx_conf: &'a [DeviceOwner],
    config_store: &'a [DeviceOwner],
) -> Vec<Disagreement<'a>> {
    let mut rows: std::collections::HashMap<(PciAddress, Option<&str>), &DeviceOwner> =
        std::collections::HashMap::new();
    for row in config_store {
        if let Some(address) = row.address {
            let place = (address, row.virtual_function_number());
            rows.entry(place).or_insert(row);
        }
    }
    let disagreement = |device: &'a DeviceOwner| {
        let address = device.address?;
        let row = *rows.get(&(address, device.virtual_function_number()))?;
        (row.passthrough != device.passthrough).then_some(Disagreement {
            address,
            esx_conf: device,
            config_store: row,
        })
    };
    esx_conf.iter().filter_map(disagreement).collect()
}

#[cfg(test)]
mod tests;
