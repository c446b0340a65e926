//! What changes cost a host, so that nobody makes them unasked.

use super::{Configuration, EditError};
use crate::ownership::{DeviceKind, DeviceOwner};
use crate::pci::PciAddress;
use std::collections::BTreeSet;

/// What a change can cost a host, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Harm {
    /// The host starts from the medium now, and would not any more, or not for certain.
    NoLongerStarts,
    /// The controller that the medium itself is attached to is passed through: the host does not
    /// find its boot medium any more and saves no configuration.
    OwnController,
    /// A storage adapter is passed through: the host loses the disks behind it, and its boot medium
    /// where that is one of them.
    StorageAdapter,
    /// A USB controller is passed through: the host loses what is plugged into it.
    UsbController,
    /// A display controller is passed through: the console may lose its screen.
    DisplayController,
    /// A network adapter is passed through, and the host is left with none.
    OnlyNetworkAdapter,
    /// Every network adapter that carries the management network, by what is known, is passed through.
    ManagementAdapter,
}

impl Harm {
    /// What passing a device of this kind through costs the host; a network adapter costs it
    /// something where none is left.
    pub fn of_passing_through(kind: DeviceKind) -> Harm {
        match kind {
            DeviceKind::Storage => Harm::StorageAdapter,
            DeviceKind::Usb => Harm::UsbController,
            DeviceKind::Display => Harm::DisplayController,
            DeviceKind::Network => Harm::OnlyNetworkAdapter,
        }
    }
}

/// Whether a host with this configuration has a network adapter that is not passed through, as far
/// as its state names them.
///
/// # Errors
/// As [`Configuration::devices`].
pub(super) fn keeps_a_network_adapter(configuration: &Configuration) -> Result<bool, EditError> {
    let devices = configuration.devices()?;
    let passed = || devices.iter().filter(|device| device.passthrough);
    let places: BTreeSet<PciAddress> = passed().filter_map(|device| device.address).collect();
    let names: BTreeSet<&str> = passed()
        .filter_map(|device| device.alias.as_deref())
        .collect();
    let is_kept = |place: Option<PciAddress>, name: Option<&str>| {
        !place.is_some_and(|place| places.contains(&place))
            && !name.is_some_and(|name| names.contains(name))
    };
    let has_line = |device: &DeviceOwner| {
        device.kind() == Some(DeviceKind::Network)
            && !device.virtual_function
            && !device.passthrough
            && is_kept(device.address, device.alias.as_deref())
    };
    let aliases = configuration.aliases();
    let mut adapters = aliases
        .iter()
        .filter(|alias| DeviceKind::of_alias(&alias.name) == Some(DeviceKind::Network));
    Ok(devices.iter().any(has_line)
        || adapters.any(|alias| is_kept(alias.at.pci(), Some(&alias.name))))
}
