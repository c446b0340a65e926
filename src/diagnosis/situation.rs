//! Which device of a state is which: the controller of the medium itself, the keyboard's, the
//! display, the adapter of management; and what is lost with those that are passed through.
//!
//! Where the medium hangs on the machine it belongs to, sysfs tells. Elsewhere the names of
//! adapters and the classes in the state do, and what they tell is probable at best.

use super::devices::BankDevices;
use super::role::{Consequence, Named, Part, Role, Symptom};
use super::survey::PassedDevice;
use super::whose::{Certainty, Whose};
use crate::bank::Release;
use crate::edit::{Configuration, Network};
use crate::host::{Attachment, Bus, Disk, Host, Machine, PciFunction};
use crate::ownership::{DeviceKind, DeviceOwner};
use crate::pci::{Class, PciAddress};
use crate::stick::Stick;
use crate::target::SavedState;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// ESXi numbers USB storage, and what else is no PCI storage adapter, from vmhba32 on (seen: all
/// public listings of hosts that boot from USB).
const FIRST_USB_ADAPTER: u32 = 32;
/// The vendor of chipsets that lead a USB port to one of two controllers.
const INTEL: u16 = 0x8086;

/// Which devices are USB host controllers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsbControllers {
    /// Those that are, and the bridges above them where these are known.
    pub addresses: Vec<PciAddress>,
    /// Devices that are passed through, and of which nothing tells whether they are.
    pub unclear: Vec<PciAddress>,
}

/// Who made a device, and what it is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    /// The vendor's name, or its id where that is not known.
    pub vendor: Option<String>,
    /// The device's name.
    pub device: Option<String>,
}

/// A medium and the machine it is looked at on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Situation<'b> {
    /// The machine.
    pub local: &'b Machine,
    /// Whose the medium is.
    pub whose: Whose,
    /// What the medium hangs on, on this machine; `None` for an image file.
    pub attachment: Option<Attachment>,
    /// How the medium is attached; `None` for an image file.
    pub bus: Option<Bus>,
    network: Network,
}

impl<'b> Situation<'b> {
    /// Looks at a medium; `disk` is what it is on, unless it is an image file.
    pub fn of(stick: &Stick<'_, '_>, disk: Option<&Disk>, host: &Host, local: &'b Machine) -> Self {
        let situation = Situation::of_disk(disk, host, local);
        match stick.host_configuration() {
            Some((slot, configuration)) => situation.with(&configuration, slot.release().as_ref()),
            None => situation,
        }
    }

    /// Looks at a state file, which hangs on nothing.
    pub fn of_file(saved: &SavedState<'_>, host: &Host, local: &'b Machine) -> Self {
        let situation = Situation::of_disk(None, host, local);
        let release = saved.release();
        let open = |state| Configuration::open_for(state, release.as_ref());
        match saved.state().map(open) {
            Some(Ok(configuration)) => situation.with(&configuration, release.as_ref()),
            _ => situation,
        }
    }

    fn of_disk(disk: Option<&Disk>, host: &Host, local: &'b Machine) -> Self {
        Situation {
            local,
            whose: Whose::UNKNOWN,
            attachment: disk.and_then(|disk| host.attachment_of_disk(disk.number)),
            bus: disk.map(|disk| disk.bus),
            network: Network::default(),
        }
    }

    /// By what the configuration on the medium says.
    fn with(mut self, configuration: &Configuration, release: Option<&Release>) -> Self {
        let identity = configuration.identity(release);
        let devices = configuration.devices().unwrap_or_default();
        let machine = self.local;
        self.network = configuration.network();
        self.whose = Whose::of(&identity, &self.network, &devices, machine);
        self
    }

    /// This machine, where the medium is its own, and how sure that is.
    pub fn machine(&self) -> Option<(&'b Machine, Certainty)> {
        match self.whose.owned {
            super::whose::OwnedBy::ThisMachine(certainty) => Some((self.local, certainty)),
            _ => None,
        }
    }

    /// The PCI function of this machine at an address, where the medium is its own.
    pub fn function(&self, address: PciAddress) -> Option<&'b PciFunction> {
        self.machine()?.0.function(address)
    }

    /// The class of a device, by the state or by this machine.
    pub fn class<'d>(&self, device: impl Into<Named<'d>>) -> Option<Class> {
        let device = device.into();
        device
            .class
            .or_else(|| self.function(device.address?)?.class)
    }

    /// What a device is called: by its ids in the state, or by this machine where the medium is its
    /// own.
    pub fn model(&self, device: &DeviceOwner) -> Model {
        let id = |text: &Option<String>| {
            let text = text.as_deref()?;
            u16::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
        };
        let address = device.address.filter(|_| !device.virtual_function);
        let here = address.and_then(|address| self.function(address));
        let (vendor, number) = match here {
            Some(function) => (Some(function.vendor), Some(function.device)),
            None => (id(&device.vendor_id), id(&device.device_id)),
        };
        let names = self.local.names();
        let device = vendor
            .zip(number)
            .and_then(|(vendor, number)| names.device(vendor, number));
        Model {
            vendor: vendor.map(|vendor| match names.vendor(vendor) {
                Some(name) => name.into_owned(),
                None => format!("{vendor:04x}"),
            }),
            device: device.map(Cow::into_owned),
        }
    }

    /// Whether the state names a device at whose address this machine, the medium's own, has none:
    /// it was taken out or moved, and what comes to that address is passed through (KB 373820).
    pub fn lacks(&self, address: PciAddress) -> bool {
        self.machine()
            .is_some_and(|(machine, _)| machine.function(address).is_none())
    }

    /// What a device is to the host, each role once.
    pub fn parts<'d>(&self, device: impl Into<Named<'d>>) -> Vec<Part> {
        let device = device.into();
        let mut parts = match (self.machine(), device.address) {
            (Some((machine, certainty)), Some(address)) => {
                self.parts_here(machine, certainty, address)
            }
            (Some(_), None) => Vec::new(),
            (None, _) => self.parts_elsewhere(device),
        };
        // An image hangs on nothing, whosever it is.
        if self.attachment.is_none() && self.machine().is_some() {
            let probable = self.parts_elsewhere(device).into_iter();
            parts.extend(probable.filter(|part| part.role == Role::BootController));
        }
        if let Some(certainty) = self.is_management(device)
            && !parts.iter().any(|part| part.role == Role::ManagementNic)
        {
            parts.push(Part {
                role: Role::ManagementNic,
                is_bridge: false,
                certainty,
            });
        }
        parts
    }

    fn parts_here(
        &self,
        machine: &Machine,
        certainty: Certainty,
        address: PciAddress,
    ) -> Vec<Part> {
        let boot = self.attachment.iter().map(|it| it.controller);
        let holders = boot
            .map(|at| (Role::BootController, at))
            .chain(machine.keyboards().iter().map(|at| (Role::Keyboard, *at)))
            .chain(machine.display().map(|at| (Role::Display, at)))
            .chain(
                self.management_functions(machine)
                    .map(|at| (Role::ManagementNic, at)),
            );
        let parts = holders.filter_map(|(role, at)| {
            let above = machine
                .function(at)
                .map(|function| function.bridges.as_slice());
            let is_bridge = above.is_some_and(|bridges| bridges.contains(&address));
            (is_bridge || at == address).then_some(Part {
                role,
                is_bridge,
                certainty,
            })
        });
        let parts: BTreeSet<Part> = parts.collect();
        let mut parts = Vec::from_iter(parts);
        parts.dedup_by_key(|part| part.role);
        parts
    }

    /// The functions whose address vmk0 has.
    fn management_functions<'m>(
        &self,
        machine: &'m Machine,
    ) -> impl Iterator<Item = PciAddress> + 'm {
        let first = self.network.first;
        let nics = machine
            .nics()
            .iter()
            .filter(move |nic| Some(nic.mac) == first);
        nics.map(|nic| nic.function)
    }

    fn parts_elsewhere(&self, device: Named<'_>) -> Vec<Part> {
        let may_be_usb = self
            .bus
            .is_none_or(|bus| matches!(bus, Bus::Usb | Bus::Loop));
        let role = match device.class {
            _ if may_be_usb && is_usb_adapter(device.alias) => Role::BootController,
            Some(class) if class.is_display() => Role::Display,
            _ => return Vec::new(),
        };
        vec![Part {
            role,
            is_bridge: false,
            certainty: Certainty::Probable,
        }]
    }

    /// Whether the management network goes through an adapter, by its name. That of the first one
    /// says something only where nothing else does.
    fn is_management(&self, device: Named<'_>) -> Option<Certainty> {
        let alias = device.alias?;
        let uplinks = &self.network.uplinks;
        if uplinks.iter().any(|uplink| uplink == alias) {
            return Some(Certainty::Known);
        }
        let by_address = self.machine().is_some_and(|(machine, _)| {
            let mut functions = self.management_functions(machine);
            functions.next().is_some()
        });
        let is_first = uplinks.is_empty() && !by_address && alias == "vmnic0";
        is_first.then_some(Certainty::Probable)
    }

    /// What the host shows while these are passed through, each symptom once for each device.
    pub fn consequences(&self, passed_through: &[PassedDevice]) -> Vec<Consequence> {
        let mut consequences = Vec::new();
        for device in passed_through {
            for part in self.parts(device) {
                let symptoms: &[Symptom] = match part.role {
                    Role::BootController => &[Symptom::NothingSaved, Symptom::ToolsMissing],
                    Role::Keyboard => &[Symptom::KeyboardDead],
                    Role::Display => &[Symptom::ConsoleDark],
                    Role::ManagementNic => &[Symptom::Unreachable],
                };
                consequences.extend(symptoms.iter().map(|symptom| Consequence {
                    symptom: *symptom,
                    device: device.clone(),
                    certainty: part.certainty,
                }));
            }
        }
        consequences
    }

    /// The addresses to be given back so that the host has its boot medium again: the controller,
    /// and what goes with it. `None` where it is not known what the host boots from: PCI devices that
    /// fit make it probable only, for a whole rack can have the same ones.
    ///
    /// With it go the bridges above; behind a bridge, the other functions of the slot, because a
    /// reset of the bridge resets them all (seen: hosts of 4.x and 7.0 name the bridge as the
    /// dependent device); and for xHCI of an Intel chipset the EHCI controllers beside it, because
    /// ESXi may lead the port to one of them.
    pub fn boot_device(&self) -> Option<Vec<PciAddress>> {
        let (machine, Certainty::Known) = self.machine()? else {
            return None;
        };
        let attachment = self.attachment.as_ref()?;
        let controller = attachment.controller;
        let mut addresses = vec![controller];
        addresses.extend(&attachment.bridges);
        let is_same_slot = |it: &PciAddress| {
            (it.segment(), it.bus(), it.device())
                == (controller.segment(), controller.bus(), controller.device())
        };
        let all = machine.functions().iter().map(|function| function.address);
        if !attachment.bridges.is_empty() {
            addresses.extend(all.filter(is_same_slot).filter(|at| *at != controller));
        }
        addresses.extend(shared_ports(machine, controller));
        Some(addresses)
    }

    /// The USB host controllers that states of a medium name, and on its own machine all that this
    /// has, each with the bridges above.
    pub fn usb_controllers(&self, banks: &[BankDevices]) -> UsbControllers {
        let mut addresses = BTreeSet::new();
        let mut unclear = BTreeSet::new();
        for device in banks
            .iter()
            .flat_map(|bank| &bank.devices)
            .map(|it| &it.device)
        {
            let Some(address) = device.address else {
                continue;
            };
            match self.is_usb(device) {
                Some(true) => {
                    addresses.insert(address);
                }
                None if device.passthrough => {
                    unclear.insert(address);
                }
                _ => {}
            }
        }
        if let Some((machine, _)) = self.machine() {
            let is_usb = |function: &&PciFunction| function.class.is_some_and(Class::is_usb);
            for function in machine.functions().iter().filter(is_usb) {
                addresses.insert(function.address);
                addresses.extend(&function.bridges);
            }
        }
        // One of the two files of a state may tell what the other does not.
        unclear.retain(|address| !addresses.contains(address));
        UsbControllers {
            addresses: addresses.into_iter().collect(),
            unclear: unclear.into_iter().collect(),
        }
    }

    /// Whether a device may be the controller of a boot medium, by all that is known of it: network adapters,
    /// displays and virtual functions are none.
    pub fn may_be_controller<'d>(&self, device: impl Into<Named<'d>>) -> bool {
        let device = device.into();
        let of_class = self.class(device).and_then(DeviceKind::of_class);
        let kind = of_class.or_else(|| DeviceKind::of_alias(device.alias?));
        !device.virtual_function && !matches!(kind, Some(DeviceKind::Network | DeviceKind::Display))
    }

    /// Whether a device is a USB host controller; `None` where neither the state nor this machine
    /// tells.
    pub fn is_usb<'d>(&self, device: impl Into<Named<'d>>) -> Option<bool> {
        let device = device.into();
        match self.class(device) {
            Some(class) => Some(class.is_usb()),
            None if device.virtual_function => Some(false),
            None if is_usb_adapter(device.alias) => Some(true),
            // Adapters of the other kinds are none.
            None => device.alias.map(|_| false),
        }
    }
}

/// The other controllers that may have the USB ports of this one. Linux leads every port that it
/// can to xHCI, so of what it has at EHCI that is known.
fn shared_ports(machine: &Machine, controller: PciAddress) -> Vec<PciAddress> {
    let is_of_chipset = |function: &&PciFunction| {
        let at = function.address;
        function.vendor == INTEL
            && function.bridges.is_empty()
            && (at.segment(), at.bus()) == (controller.segment(), controller.bus())
    };
    let of_chipset = || machine.functions().iter().filter(is_of_chipset);
    let kind = |is_it: fn(Class) -> bool| {
        let functions = of_chipset().filter(move |it| it.class.is_some_and(is_it));
        functions
            .map(|function| function.address)
            .collect::<Vec<_>>()
    };
    if kind(Class::is_xhci).contains(&controller) {
        kind(Class::is_ehci)
    } else {
        Vec::new()
    }
}

/// Whether the name of an adapter is one of USB storage.
fn is_usb_adapter(alias: Option<&str>) -> bool {
    let number = alias.and_then(|alias| alias.strip_prefix("vmhba"));
    let number = number.and_then(|number| number.parse::<u32>().ok());
    number.is_some_and(|number| number >= FIRST_USB_ADAPTER)
}

#[cfg(test)]
mod tests;
