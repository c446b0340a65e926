//! Places as ESXi's device layer writes them, and the adapters that are tied to them.

use std::collections::HashMap;

use super::{DeviceOwner, Source};
use crate::pci::{Class, PciAddress};

/// Longest name of a slot; those seen have 9 and 12 characters.
const MAX_SLOT: usize = 32;

/// Where a device is, as the device layer writes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BusAddress {
    /// `p0000:00:07.1`: a PCI function, hexadecimal.
    Pci(PciAddress),
    /// `m01000300` or `s00000004.00`: a place by the firmware's tables. Which PCI function that is
    /// depends on the machine, so it is only ever compared with others of its kind.
    Slot(String),
}

impl BusAddress {
    /// Reads one of the forms; `None` for any other text.
    pub fn parse(text: &str) -> Option<BusAddress> {
        if let Some(sbdf) = text.strip_prefix('p') {
            return PciAddress::from_sbdf(sbdf).map(BusAddress::Pci);
        }
        let rest = text.strip_prefix(['m', 's'])?;
        let is_slot = rest.bytes().all(|b| b.is_ascii_hexdigit() || b == b'.')
            && (1..MAX_SLOT).contains(&rest.len());
        is_slot.then(|| BusAddress::Slot(text.to_owned()))
    }

    /// Reads a logical bus address, `pci#m01000300#0`: a place and the adapter's number there.
    pub(super) fn parse_logical(text: &str) -> Option<(BusAddress, u32)> {
        let (place, number) = text.strip_prefix("pci#")?.rsplit_once('#')?;
        Some((BusAddress::parse(place)?, number.parse().ok()?))
    }

    /// The PCI function, where the form tells it.
    pub fn pci(&self) -> Option<PciAddress> {
        match self {
            BusAddress::Pci(address) => Some(*address),
            BusAddress::Slot(_) => None,
        }
    }
}

/// An adapter's name and the place the state ties it to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The place of the adapter's PCI function.
    pub at: BusAddress,
    /// `vmhba32`, `vmnic0`.
    pub name: String,
}

/// Gathers aliases in the order they are to be believed: of PCI functions first, then logical ones
/// by the number they have at their function.
#[derive(Default)]
pub(super) struct Aliases {
    found: Vec<Alias>,
    logical: Vec<(u32, Alias)>,
}

impl Aliases {
    /// Takes an adapter of this bus (`pci`, `logical`). Others tell no PCI function.
    pub(super) fn take(&mut self, bus: &str, place: &str, name: String) {
        match bus {
            "pci" => self
                .found
                .extend(BusAddress::parse(place).map(|at| Alias { at, name })),
            "logical" => self.logical.extend(
                BusAddress::parse_logical(place).map(|(at, number)| (number, Alias { at, name })),
            ),
            _ => {}
        }
    }

    pub(super) fn in_order(mut self) -> Vec<Alias> {
        self.logical.sort_by_key(|(number, _)| *number);
        let logical = self.logical.into_iter().map(|(_, alias)| alias);
        self.found.into_iter().chain(logical).collect()
    }
}

/// Gives each device that has no alias the first of `aliases` at its place, by the text of the
/// place or by the address, where no other device of the same source is there. Entries at one address,
/// whose keys are spelled in different ways, are one device.
pub fn tie_aliases(devices: &mut [DeviceOwner], aliases: &[Alias]) {
    let mut claims: HashMap<(Source, BusAddress), Claim> = HashMap::new();
    for device in devices.iter().filter(|d| !d.virtual_function) {
        for place in places(device) {
            let claim = Claim::One(device.address);
            claims
                .entry((device.source, place))
                .and_modify(|there| *there = there.joined(claim))
                .or_insert(claim);
        }
    }
    let mut names: HashMap<&BusAddress, &str> = HashMap::new();
    for alias in aliases {
        names.entry(&alias.at).or_insert(&alias.name);
    }
    for device in devices.iter_mut() {
        if device.alias.is_some() || device.virtual_function {
            continue;
        }
        let is_alone = |place: &BusAddress| {
            let claim = claims.get(&(device.source, place.clone()));
            claim.is_some_and(|claim| matches!(claim, Claim::One(_)))
        };
        let alone = places(device).into_iter().filter(is_alone);
        let name = alone.filter_map(|place| names.get(&place)).next();
        device.alias = name.map(|name| (*name).to_owned());
    }
}

/// Who is at a place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// One device, with this address where that is known.
    One(Option<PciAddress>),
    /// Several.
    Several,
}

impl Claim {
    /// With the claim of another entry to the same place.
    fn joined(self, other: Claim) -> Claim {
        match (self, other) {
            (Claim::One(Some(one)), Claim::One(Some(two))) if one == two => self,
            _ => Claim::Several,
        }
    }
}

/// Gives each device without a class that of another entry at its address.
pub fn tie_classes(devices: &mut [DeviceOwner]) {
    let of_functions = devices.iter().filter(|device| !device.virtual_function);
    let mut known: HashMap<PciAddress, Class> = HashMap::new();
    for (address, class) in of_functions.filter_map(|it| it.address.zip(it.class)) {
        known.entry(address).or_insert(class);
    }
    for device in devices.iter_mut().filter(|it| !it.virtual_function) {
        let of_address = || known.get(&device.address?).copied();
        device.class = device.class.or_else(of_address);
    }
}

/// The places of a device: what the device layer calls it, and its address, each once.
fn places(device: &DeviceOwner) -> Vec<BusAddress> {
    let address = device.address.map(BusAddress::Pci);
    let mut places: Vec<BusAddress> = device.bus_address.iter().cloned().collect();
    places.extend(address.filter(|address| Some(address) != device.bus_address.as_ref()));
    places
}

/// What devices with alias and address say of other entries at that address.
pub fn aliases_by_address(devices: &[DeviceOwner]) -> Vec<Alias> {
    let named = devices.iter().filter(|device| !device.virtual_function);
    named
        .filter_map(|device| {
            Some(Alias {
                at: BusAddress::Pci(device.address?),
                name: device.alias.clone()?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_pci_function_or_a_slot() {
        let function = BusAddress::parse("p0000:00:07.1").unwrap();
        assert_eq!(function.pci().unwrap().lspci(), "00:07.1");
        for slot in ["m01000300", "m00008901", "s00000004.00", "s00000002.00"] {
            let place = BusAddress::parse(slot).unwrap();
            assert_eq!((place.pci(), place), (None, BusAddress::Slot(slot.into())));
        }
        let long = format!("m{}", "0".repeat(MAX_SLOT));
        for text in [
            "0000:00:07.1",
            "p0000:00:31.2",
            "p",
            "m",
            "mx",
            "s0#1",
            "",
            &long,
        ] {
            assert_eq!(BusAddress::parse(text), None, "{text}");
        }
        let logical = BusAddress::parse_logical("pci#m01000b00#12").unwrap();
        assert_eq!(logical, (BusAddress::Slot("m01000b00".into()), 12));
        for text in [
            "pci#p0000:00:07.1",
            "pci#p0000:00:07.1#",
            "logical#swdevroot#x#0",
        ] {
            assert_eq!(BusAddress::parse_logical(text), None, "{text}");
        }
    }
}
