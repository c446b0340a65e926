//! What changes cost a host, so that nobody makes them unasked.

use super::{ChangeSource, Configuration, EditError, Edited, SettingChange};
use crate::ownership::{DeviceKind, DeviceOwner, EsxConf, Owner, Source};
use crate::pci::PciAddress;
use crate::secrets::Guarded;
use std::collections::{BTreeSet, HashMap};

/// What a change can cost a host, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Harm {
    /// The host starts from the medium now, and would not any more, or not for certain.
    NoLongerStarts,
    /// The list of modules has the VMkernel no longer.
    NoVmkernel,
    /// The host starts with its settings now, and would start with default ones.
    DefaultSettings,
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

/// Notes what it costs the host that devices are passed through which were not before, whatever edit
/// did that, or another state that came: at the change of the device's own owner, or as one of its own where the owner is in a row
/// or a file that was changed as a whole.
///
/// # Errors
/// As [`Configuration::devices`].
pub(crate) fn note(
    before: &Configuration,
    after: &Configuration,
    edited: &mut Edited,
) -> Result<(), EditError> {
    if has_the_same_bytes(before, after) {
        return Ok(());
    }
    let old = before.devices()?;
    let old: HashMap<(Source, &str), &DeviceOwner> = old
        .iter()
        .map(|device| ((device.source, device.key.as_str()), device))
        .collect();
    let was = |device: &DeviceOwner| old.get(&(device.source, device.key.as_str())).copied();
    let mut passed = after.devices()?;
    let all = passed.iter().filter(|device| device.passthrough);
    let all: BTreeSet<String> = all.filter_map(|device| device.alias.clone()).collect();
    passed.retain(|device| passes_anew(was(device), device));
    if passed.is_empty() {
        return Ok(());
    }
    let keeps_a_network_adapter = keeps_a_network_adapter(after)?;
    let network = after.network();
    let is_cut_off = network.uplinks.iter().all(|uplink| all.contains(uplink));
    let changes = edited.changes.iter().enumerate();
    let places: HashMap<(ChangeSource, String), usize> = changes
        .map(|(index, change)| ((change.source, change.key.clone()), index))
        .collect();
    for device in passed {
        let harm = device.kind().map(Harm::of_passing_through);
        let harm = harm.filter(|harm| {
            // One of several is no loss where the host keeps another.
            *harm != Harm::OnlyNetworkAdapter || !keeps_a_network_adapter
        });
        let alias = device.alias.as_deref();
        let carries_management = alias.is_some_and(|alias| network.carries_management(alias));
        let cuts_off = (is_cut_off && carries_management).then_some(Harm::ManagementAdapter);
        let harm = harm.or(cuts_off);
        let place = places.get(&(device.source.into(), device.key.clone()));
        let from = was(&device).and_then(|old| old.owner.clone());
        match place.and_then(|index| edited.changes.get_mut(*index)) {
            Some(change) => {
                change.address = change.address.or(device.address);
                change.alias = change.alias.take().or(device.alias);
                change.harm = harm;
            }
            None => edited.changes.push(SettingChange {
                source: device.source.into(),
                key: device.key,
                address: device.address,
                alias: device.alias,
                from: from.map(Guarded::of),
                to: Some(Guarded::of(Owner::Passthru.spelled(device.source))),
                harm,
            }),
        }
    }
    Ok(())
}

fn has_the_same_bytes(one: &Configuration, two: &Configuration) -> bool {
    let conf = |it: &Configuration| it.esx_conf.clone();
    let store = |it: &Configuration| it.store.clone();
    conf(one).as_deref().map(EsxConf::as_bytes) == conf(two).as_deref().map(EsxConf::as_bytes)
        && store(one).as_deref().map(|it| it.as_bytes())
            == store(two).as_deref().map(|it| it.as_bytes())
}

/// Whether a device is passed through that was not before, by the owner that counts or by any.
fn passes_anew(before: Option<&DeviceOwner>, after: &DeviceOwner) -> bool {
    let counts = |device: &DeviceOwner| {
        let owner = device.owner.as_deref();
        owner.is_some_and(|raw| device.meaning_of(raw) == Owner::Passthru)
    };
    after.passthrough
        && before.is_none_or(|before| !before.passthrough || (counts(after) && !counts(before)))
}

/// Whether a host with this configuration has a network adapter that is not passed through, as far
/// as its state names them.
///
/// # Errors
/// As [`Configuration::devices`].
fn keeps_a_network_adapter(configuration: &Configuration) -> Result<bool, EditError> {
    let devices = configuration.devices()?;
    let functions = || devices.iter().filter(|device| !device.virtual_function);
    let passed = || functions().filter(|device| device.passthrough);
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
