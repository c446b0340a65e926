//! PCI functions as sysfs lists them, and which of them a device hangs on.
//!
//! A directory below `sys/devices` names every device on the way to it. The last PCI function on
//! that way is what the device hangs on; those before it are the bridges and switches above.
//! Domains of more than four digits are made up by Linux, for what lies behind Intel's Volume
//! Management Device: ESXi has no address for them, and the function in front of them counts.

use super::{DeviceNumber, Host, entries, value_of};
use crate::pci::{Class, PciAddress};
use std::fs;
use std::path::Path;

/// A PCI function of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PciFunction {
    /// Where it is.
    pub address: PciAddress,
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Class code, where it can be read.
    pub class: Option<Class>,
    /// Name of the Linux driver that has it.
    pub driver: Option<String>,
    /// Whether the firmware showed its screen on it.
    pub is_boot_display: bool,
    /// The bridges above it, the one next to the processor first.
    pub bridges: Vec<PciAddress>,
}

/// How a device is attached to this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attachment {
    /// The PCI function it hangs on: a USB host controller, an NVMe device, an HBA.
    pub controller: PciAddress,
    /// The bridges above that, the one next to the processor first.
    pub bridges: Vec<PciAddress>,
    /// The USB port, hub by hub as Linux numbers them: `1-2.3` is port 3 of the hub at port 2 of
    /// bus 1.
    pub usb_port: Option<String>,
}

impl Host {
    /// Every PCI function, in order of the addresses.
    pub fn pci_functions(&self) -> Vec<PciFunction> {
        let listed = entries(&self.below_root("/sys/bus/pci/devices"));
        let mut functions: Vec<PciFunction> = listed
            .into_iter()
            .filter_map(|(name, link)| function_in(PciAddress::from_sbdf(&name)?, &link))
            .collect();
        functions.sort_by_key(|function| function.address);
        functions
    }

    /// What a disk hangs on. `None` for one without a PCI function (a loop device, iSCSI), and for
    /// one that several lead to.
    pub fn attachment_of_disk(&self, disk: DeviceNumber) -> Option<Attachment> {
        let dir = self.sysfs_dir(disk)?;
        attachment_of(&dir).or_else(|| through_nvme_subsystem(&dir))
    }
}

fn function_in(address: PciAddress, link: &Path) -> Option<PciFunction> {
    let dir = fs::canonicalize(link).ok()?;
    let number = |name: &str| {
        let text = value_of(&dir.join(name))?;
        u16::from_str_radix(text.strip_prefix("0x")?, 16).ok()
    };
    let class = value_of(&dir.join("class"));
    let mut bridges = functions_on(&dir);
    bridges.retain(|bridge| *bridge != address);
    let driver = fs::read_link(dir.join("driver")).ok();
    Some(PciFunction {
        address,
        vendor: number("vendor")?,
        device: number("device")?,
        class: class.and_then(|class| Class::from_hex(class.strip_prefix("0x")?)),
        driver: driver.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned())),
        is_boot_display: value_of(&dir.join("boot_vga")).as_deref() == Some("1"),
        bridges,
    })
}

/// The PCI functions on the way to a directory of sysfs, outermost first.
fn functions_on(sysfs_dir: &Path) -> Vec<PciAddress> {
    let names = sysfs_dir.iter().filter_map(|name| name.to_str());
    names.filter_map(PciAddress::from_sbdf).collect()
}

/// What the device with this directory hangs on.
pub(super) fn attachment_of(sysfs_dir: &Path) -> Option<Attachment> {
    let mut bridges = functions_on(sysfs_dir);
    Some(Attachment {
        controller: bridges.pop()?,
        bridges,
        usb_port: usb_port_on(sysfs_dir),
    })
}

/// The USB device on the way, as `1-2.3`; interfaces have a `:` in their names.
fn usb_port_on(sysfs_dir: &Path) -> Option<String> {
    let is_port = |name: &&str| {
        let parts = name.split_once('-');
        parts.is_some_and(|(bus, ports)| {
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            digits(bus) && ports.split('.').all(digits)
        })
    };
    let mut names = sysfs_dir.iter().filter_map(|name| name.to_str());
    names.rfind(is_port).map(str::to_owned)
}

/// With native multipath an NVMe disk belongs to a subsystem, and that names its controllers.
fn through_nvme_subsystem(dir: &Path) -> Option<Attachment> {
    let subsystem = fs::canonicalize(dir.join("device")).ok()?;
    let is_controller = |name: &str| {
        let digits = name.strip_prefix("nvme");
        digits
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    };
    let links = entries(&subsystem).into_iter();
    let controllers = links.filter(|(name, _)| is_controller(name));
    let mut found =
        controllers.filter_map(|(_, link)| attachment_of(&fs::canonicalize(link).ok()?));
    let first = found.next()?;
    found
        .all(|other| other.controller == first.controller)
        .then_some(first)
}
