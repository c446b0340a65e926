//! Which device a user means by an address.
//!
//! People write what they have at hand: the line of esx.conf, the output of `lspci` or of `esxcli`,
//! or an address as esx.conf spells it. A [`Selector`] stands for every address its text can mean;
//! [`select`] finds the device, and refuses to choose where more than one fits.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::error::ErrorKind;
use crate::ownership::{DeviceOwner, Source, split_virtual_function};
use crate::pci::{PciAddress, Radix, readings};

/// Most devices listed in a message.
const LISTED: usize = 8;

/// A device as a user names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    text: String,
    meaning: Meaning,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Meaning {
    /// This key, or this address as a key writes it. Where the key can be read in one way only,
    /// also what other keys and rows say of the device at its address.
    Raw {
        key: String,
        address: Option<PciAddress>,
    },
    /// Any of these addresses. Without a segment every segment fits.
    Address {
        readings: Vec<PciAddress>,
        any_segment: bool,
        virtual_function: bool,
    },
}

/// Why a selector stands for no device, or for more than one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SelectError {
    /// The text cannot name a device.
    #[error("`{selector}` is neither a PCI address nor a key")]
    NotADevice {
        /// The text as given.
        selector: String,
    },
    /// No device fits.
    #[error("no device matches `{selector}`{}", listing("; the nearest are", .near))]
    NoSuchDevice {
        /// The text as given.
        selector: String,
        /// Devices in the same place but for the function, or on the same bus; else the ones passed
        /// through.
        near: Vec<String>,
    },
    /// No device fits, and which one it would be cannot be told from the text.
    #[error("no device matches `{selector}`, and as a new device it can be read in several ways: {}", .readings.join(" or "))]
    SeveralReadings {
        /// The text as given.
        selector: String,
        /// The addresses it can stand for.
        readings: Vec<String>,
    },
    /// More than one device fits.
    #[error("`{selector}` matches more than one device{}", listing(":", .matches))]
    Ambiguous {
        /// The text as given.
        selector: String,
        /// All of them, as key and addresses.
        matches: Vec<String>,
    },
}

impl SelectError {
    /// The text that could not be resolved, as given.
    pub fn selector(&self) -> &str {
        match self {
            SelectError::NotADevice { selector }
            | SelectError::NoSuchDevice { selector, .. }
            | SelectError::SeveralReadings { selector, .. }
            | SelectError::Ambiguous { selector, .. } => selector,
        }
    }

    /// Always [`ErrorKind::Usage`]: the request cannot be meant as it stands.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Usage
    }
}

fn listing(lead: &str, items: &[String]) -> String {
    if items.is_empty() {
        return String::new();
    }
    format!("{lead} {}", items.join(", "))
}

impl FromStr for Selector {
    type Err = SelectError;

    /// Reads a selector: a key (`/device/000:26.7/owner`), an address in any spelling, or either
    /// behind `raw:`, `hex:` or `dec:`, which says how it is to be taken. An address may end in
    /// `.vf`.
    fn from_str(text: &str) -> Result<Selector, SelectError> {
        let refuse = || SelectError::NotADevice {
            selector: text.to_owned(),
        };
        let (radix, rest) = if let Some(raw) = text.strip_prefix("raw:") {
            return Selector::raw(text, raw, None).ok_or_else(refuse);
        } else if let Some(rest) = text.strip_prefix("hex:") {
            (Some(Radix::Hex), rest)
        } else if let Some(rest) = text.strip_prefix("dec:") {
            (Some(Radix::Decimal), rest)
        } else if text.starts_with('/') {
            return Selector::raw(text, text, address_of_key(text)).ok_or_else(refuse);
        } else {
            (None, text)
        };
        let (place, virtual_function) = split_virtual_function(rest);
        let found: Vec<_> = readings(place)
            .into_iter()
            .filter(|r| radix.is_none_or(|radix| r.spelling.radix == radix))
            .collect();
        let any_segment = found.iter().all(|r| r.spelling.segment_digits == 0);
        if found.is_empty() {
            return Err(refuse());
        }
        // Hexadecimal and decimal are the same address where every field is below ten.
        let mut readings: Vec<PciAddress> = Vec::new();
        for reading in found {
            if !readings.contains(&reading.address) {
                readings.push(reading.address);
            }
        }
        Ok(Selector {
            text: text.to_owned(),
            meaning: Meaning::Address {
                readings,
                any_segment,
                virtual_function,
            },
        })
    }
}

/// The address a key of esx.conf is about, where it can be read in one way only.
fn address_of_key(key: &str) -> Option<PciAddress> {
    let place = key.strip_prefix("/device/")?;
    let place = place.strip_suffix("/owner").unwrap_or(place);
    let mut found = readings(place).into_iter().map(|reading| reading.address);
    let first = found.next()?;
    found.all(|other| other == first).then_some(first)
}

impl Selector {
    fn raw(text: &str, key: &str, address: Option<PciAddress>) -> Option<Selector> {
        let key = key.to_owned();
        (!key.is_empty()).then(|| Selector {
            text: text.to_owned(),
            meaning: Meaning::Raw { key, address },
        })
    }

    /// The addresses the text can stand for; none for a key.
    pub fn addresses(&self) -> &[PciAddress] {
        match &self.meaning {
            Meaning::Raw { .. } => &[],
            Meaning::Address { readings, .. } => readings,
        }
    }

    /// Whether `device` may be the one meant.
    pub fn matches(&self, device: &DeviceOwner) -> bool {
        match &self.meaning {
            Meaning::Raw { key, address } => {
                device.key == *key
                    || device.written == *key
                    || device.key.strip_suffix("/owner") == Some(key)
                    || address.is_some_and(|it| device.addresses == [it])
                        && !device.virtual_function
            }
            Meaning::Address { .. } => self.common(device).next().is_some(),
        }
    }

    /// The addresses of `device` that the selector can stand for.
    fn common<'a>(&'a self, device: &'a DeviceOwner) -> impl Iterator<Item = PciAddress> + 'a {
        let (readings, any_segment, virtual_function) = match &self.meaning {
            Meaning::Raw { .. } => (&[][..], false, false),
            Meaning::Address {
                readings,
                any_segment,
                virtual_function,
            } => (readings.as_slice(), *any_segment, *virtual_function),
        };
        let place = |a: PciAddress| (a.bus(), a.device(), a.function());
        device.addresses.iter().copied().filter(move |address| {
            (!virtual_function || device.virtual_function)
                && readings.iter().any(|reading| {
                    reading == address || (any_segment && place(*reading) == place(*address))
                })
        })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The positions in `devices` of those that `selectors` name, in order and each once.
///
/// One device may be named several times, by both sources or by keys of different widths; these are
/// selected together. `devices` is what one state says; select in each state separately.
///
/// # Errors
/// [`SelectError::NoSuchDevice`] and [`SelectError::Ambiguous`], for the first selector that names
/// no device or more than one.
pub fn select(devices: &[DeviceOwner], selectors: &[Selector]) -> Result<Vec<usize>, SelectError> {
    let mut selected = BTreeSet::new();
    for selector in selectors {
        let matching: Vec<(usize, &DeviceOwner)> = devices
            .iter()
            .enumerate()
            .filter(|(_, device)| selector.matches(device))
            .collect();
        if matching.is_empty() {
            return Err(SelectError::NoSuchDevice {
                selector: selector.text.clone(),
                near: near(devices, selector),
            });
        }
        if !are_one_device(selector, &matching) {
            return Err(SelectError::Ambiguous {
                selector: selector.text.clone(),
                matches: matching.iter().map(|(_, device)| shown(device)).collect(),
            });
        }
        selected.extend(matching.into_iter().map(|(index, _)| index));
    }
    Ok(selected.into_iter().collect())
}

/// Whether all of `matching` can be one and the same device: they share an address the selector
/// stands for, and no two of them are different keys of one source and one form, which name
/// different devices.
fn are_one_device(selector: &Selector, matching: &[(usize, &DeviceOwner)]) -> bool {
    if let Meaning::Raw { .. } = selector.meaning {
        let keys: HashSet<&str> = matching.iter().map(|(_, d)| d.key.as_str()).collect();
        return keys.len() == 1
            || share_an_address(matching.iter().map(|(_, d)| d.addresses.clone()));
    }
    let mut forms: HashMap<(Source, String), &str> = HashMap::new();
    for (_, device) in matching {
        let key = forms
            .entry((device.source, form(&device.written)))
            .or_insert(&device.key);
        if *key != device.key {
            return false;
        }
    }
    let kinds: HashSet<bool> = matching.iter().map(|(_, d)| d.virtual_function).collect();
    kinds.len() == 1 && share_an_address(matching.iter().map(|(_, d)| selector.common(d).collect()))
}

fn share_an_address(mut all: impl Iterator<Item = Vec<PciAddress>>) -> bool {
    let Some(mut shared) = all.next() else {
        return false;
    };
    for addresses in all {
        shared.retain(|address| addresses.contains(address));
    }
    !shared.is_empty()
}

/// The shape of an address: `000:26.7` and `000:27.0` have the same.
fn form(written: &str) -> String {
    written
        .chars()
        .map(|c| if c.is_ascii_hexdigit() { '0' } else { c })
        .collect()
}

fn shown(device: &DeviceOwner) -> String {
    let addresses: Vec<String> = device.addresses.iter().map(ToString::to_string).collect();
    match addresses.as_slice() {
        [] => device.key.clone(),
        [only] if *only == device.key => device.key.clone(),
        all => format!("{} ({})", device.key, all.join(" or ")),
    }
}

/// Devices that differ only in the function, else those of the same bus, else those passed through.
fn near(devices: &[DeviceOwner], selector: &Selector) -> Vec<String> {
    let addresses = selector.addresses();
    let any = |device: &DeviceOwner, test: fn(PciAddress, PciAddress) -> bool| {
        let pairs = device.addresses.iter();
        pairs
            .into_iter()
            .any(|a| addresses.iter().any(|b| test(*a, *b)))
    };
    let same_device =
        |d: &DeviceOwner| any(d, |a, b| (a.bus(), a.device()) == (b.bus(), b.device()));
    let same_bus = |d: &DeviceOwner| any(d, |a, b| a.bus() == b.bus());
    let passed_through = |d: &DeviceOwner| d.passthrough;
    let tests: [&dyn Fn(&DeviceOwner) -> bool; 3] = [&same_device, &same_bus, &passed_through];
    for test in tests {
        let found: Vec<String> = devices
            .iter()
            .filter(|d| test(d))
            .take(LISTED)
            .map(shown)
            .collect();
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests;
