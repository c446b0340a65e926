//! Which device a user means by an address.
//!
//! People write what they have at hand: the output of `lspci` or of `esxcli`, the line of esx.conf,
//! or the adapter's name. An address is hexadecimal, as all of these but esx.conf show it; a key is
//! told by its `/device/` or by `raw:`. [`select`] finds the device, and refuses to choose where
//! more than one fits.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::error::ErrorKind;
use crate::ownership::{Alias, DeviceOwner, address_in_key, split_virtual_function};
use crate::pci::{self, PciAddress, Radix};

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
    /// This key, or this address as a key writes it, and what other keys and rows say of the
    /// device at its address.
    Raw {
        key: String,
        address: Option<PciAddress>,
        virtual_function: Option<String>,
    },
    /// This address: of the function alone, or of a virtual function of it, which is another
    /// device. Without a segment every segment fits; of a virtual function without a number every
    /// one.
    Address {
        address: PciAddress,
        any_segment: bool,
        /// Whether it was read as decimal because it cannot be hexadecimal, and not because of a `dec:`.
        taken_for_decimal: bool,
        virtual_function: Option<String>,
    },
    /// The adapter that has this name.
    Alias(String),
}

/// Why a selector stands for no device, or for more than one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SelectError {
    /// The text cannot name a device.
    #[error("`{selector}` is neither a PCI address nor a key nor the name of an adapter")]
    NotADevice {
        /// The text as given.
        selector: String,
    },
    /// No device fits.
    #[error("no device matches `{selector}`{}", listing("; nearest:", .near))]
    NoSuchDevice {
        /// What was asked for.
        selector: Box<Selector>,
        /// Devices whose keys read like it, in the same place but for the function, or on the same
        /// bus, else before and after it; of what is no address the ones passed through.
        near: Vec<String>,
    },
    /// The adapter of that name is known, and not which PCI device it is.
    #[error(
        "`{selector}` is the adapter at {place}, and nothing in the state ties that place to a PCI address"
    )]
    NoAddress {
        /// What was asked for.
        selector: Box<Selector>,
        /// What the device layer calls its place: `m01000300`.
        place: String,
    },
    /// No device matches, and a new one is not made of an address that may be mistyped: it can only be decimal.
    #[error(
        "no device matches `{selector}`; a new one is not made of it, because it could only be decimal: {address}"
    )]
    OnlyDecimal {
        /// What was asked for.
        selector: Box<Selector>,
        /// The address, were it decimal.
        address: PciAddress,
    },
    /// More than one device fits.
    #[error("`{selector}` matches more than one device{}", listing(":", .matches))]
    Ambiguous {
        /// What was asked for.
        selector: Box<Selector>,
        /// All of them, as key and addresses.
        matches: Vec<String>,
    },
}

impl SelectError {
    /// The text that could not be resolved, as given.
    pub fn selector(&self) -> &str {
        match self {
            SelectError::NotADevice { selector } => selector,
            SelectError::NoSuchDevice { selector, .. }
            | SelectError::NoAddress { selector, .. }
            | SelectError::OnlyDecimal { selector, .. }
            | SelectError::Ambiguous { selector, .. } => &selector.text,
        }
    }

    /// Always [`ErrorKind::Usage`]: the request makes no sense as it stands.
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

    /// Reads a selector: an address as `lspci` or `esxcli` writes it (`00:1a.7`,
    /// `0000:00:1a.7`), a key (`/device/000:26.7/owner`), or the name of an adapter (`vmhba32`).
    /// `hex:`, `dec:` and `raw:` in front say how the rest is to be taken. What cannot be
    /// hexadecimal is taken as a key writes it. An address is that of the function alone, unless
    /// it ends in `.vf1`.
    fn from_str(text: &str) -> Result<Selector, SelectError> {
        let refuse = || SelectError::NotADevice {
            selector: text.to_owned(),
        };
        let read = |place: &str, radix: Option<Radix>| match radix {
            Some(radix) => pci::read(place, radix),
            None => pci::typed(place),
        };
        let (radix, rest) = if let Some(raw) = text.strip_prefix("raw:") {
            return Selector::raw(text, raw, (None, None)).ok_or_else(refuse);
        } else if let Some(rest) = text.strip_prefix("hex:") {
            (Some(Radix::Hex), rest)
        } else if let Some(rest) = text.strip_prefix("dec:") {
            (Some(Radix::Decimal), rest)
        } else if text.starts_with('/') {
            return Selector::raw(text, text, place_of_key(text)).ok_or_else(refuse);
        } else if is_alias(text) {
            return Ok(Selector {
                text: text.to_owned(),
                meaning: Meaning::Alias(text.to_owned()),
            });
        } else {
            (None, text)
        };
        let (place, virtual_function) = virtual_function_of(rest);
        let reading = read(place, radix).ok_or_else(refuse)?;
        Ok(Selector {
            text: text.to_owned(),
            meaning: Meaning::Address {
                address: reading.address,
                any_segment: reading.spelling.segment_digits == 0,
                taken_for_decimal: radix.is_none() && reading.spelling.radix == Radix::Decimal,
                virtual_function,
            },
        })
    }
}

/// The address a key of esx.conf is about, and which virtual function of it.
fn place_of_key(key: &str) -> (Option<PciAddress>, Option<String>) {
    let Some(written) = key.strip_prefix("/device/") else {
        return (None, None);
    };
    let written = written.strip_suffix("/owner").unwrap_or(written);
    (address_in_key(written), virtual_function_of(written).1)
}

/// The place in front of a `.vf1`, and the number behind.
fn virtual_function_of(written: &str) -> (&str, Option<String>) {
    let (place, is_virtual) = split_virtual_function(written);
    let number = written.get(place.len().saturating_add(".vf".len())..);
    (place, number.filter(|_| is_virtual).map(str::to_owned))
}

/// Whether a text has the form of an adapter's name: `vmhba32`, `vmnic0`, `vmgfx1`.
fn is_alias(text: &str) -> bool {
    let kind = text.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_word = kind.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    kind.len() > 2 && kind.len() < text.len() && kind.starts_with("vm") && is_word
}

impl Selector {
    fn raw(
        text: &str,
        key: &str,
        (address, virtual_function): (Option<PciAddress>, Option<String>),
    ) -> Option<Selector> {
        let key = key.to_owned();
        (!key.is_empty()).then(|| Selector {
            text: text.to_owned(),
            meaning: Meaning::Raw {
                key,
                address,
                virtual_function,
            },
        })
    }

    /// The address the text stands for, of a virtual function that of its function; `None` for a
    /// key and for an adapter's name.
    pub fn address(&self) -> Option<PciAddress> {
        match &self.meaning {
            Meaning::Raw { .. } | Meaning::Alias(_) => None,
            Meaning::Address { address, .. } => Some(*address),
        }
    }

    /// The address, where it was read as decimal only because it cannot be hexadecimal.
    pub(super) fn taken_for_decimal(&self) -> Option<PciAddress> {
        match &self.meaning {
            Meaning::Address {
                address,
                taken_for_decimal: true,
                ..
            } => Some(*address),
            _ => None,
        }
    }

    /// Whether the text names virtual functions, and not the function at its address.
    pub(super) fn is_virtual(&self) -> bool {
        match &self.meaning {
            Meaning::Address {
                virtual_function, ..
            }
            | Meaning::Raw {
                virtual_function, ..
            } => virtual_function.is_some(),
            Meaning::Alias(_) => false,
        }
    }

    /// The name of the adapter the text is.
    pub fn alias(&self) -> Option<&str> {
        match &self.meaning {
            Meaning::Alias(name) => Some(name),
            Meaning::Raw { .. } | Meaning::Address { .. } => None,
        }
    }

    /// Whether the function at this address, or a virtual function of it, may be meant.
    pub(super) fn may_mean(&self, at: PciAddress, aliases: &[Alias]) -> bool {
        let place = |a: PciAddress| (a.bus(), a.device(), a.function());
        match &self.meaning {
            Meaning::Raw { address, .. } => address.is_none_or(|address| address == at),
            Meaning::Address {
                address,
                any_segment,
                ..
            } => *address == at || (*any_segment && place(*address) == place(at)),
            Meaning::Alias(name) => {
                let mut places = aliases.iter().filter(|alias| alias.name == *name);
                places.any(|alias| alias.at.pci().is_none_or(|pci| pci == at))
            }
        }
    }

    /// Whether `device` may be the one meant.
    pub fn matches(&self, device: &DeviceOwner) -> bool {
        match &self.meaning {
            Meaning::Raw {
                key,
                address,
                virtual_function,
            } => {
                let is_there = address.is_some() && device.address == *address;
                device.key == *key
                    || device.written == *key
                    || device.key.strip_suffix("/owner") == Some(key)
                    || is_there && device.virtual_function_number() == virtual_function.as_deref()
            }
            Meaning::Alias(name) => device.alias.as_ref() == Some(name),
            Meaning::Address {
                address,
                any_segment,
                virtual_function,
                ..
            } => {
                let place = |a: PciAddress| (a.bus(), a.device(), a.function());
                let number = device.virtual_function_number();
                let is_that_function = match virtual_function.as_deref() {
                    Some("") => number.is_some(),
                    asked => number == asked,
                };
                is_that_function
                    && device.address.is_some_and(|at| {
                        at == *address || (*any_segment && place(at) == place(*address))
                    })
            }
        }
    }

    /// What a key would have to be for the text to be the key itself.
    fn as_key(&self) -> &str {
        let text = self.text.as_str();
        let bare = text.strip_prefix("hex:");
        bare.or_else(|| text.strip_prefix("dec:")).unwrap_or(text)
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
                selector: Box::new(selector.clone()),
                near: near(devices, selector),
            });
        }
        if !are_one_device(&matching) {
            return Err(SelectError::Ambiguous {
                selector: Box::new(selector.clone()),
                matches: matching.iter().map(|(_, device)| shown(device)).collect(),
            });
        }
        selected.extend(matching.into_iter().map(|(index, _)| index));
    }
    Ok(selected.into_iter().collect())
}

/// Whether all of `matching` are one and the same device: one key, or one address and one virtual
/// function of it.
fn are_one_device(matching: &[(usize, &DeviceOwner)]) -> bool {
    let keys: BTreeSet<&str> = matching.iter().map(|(_, d)| d.key.as_str()).collect();
    let places: BTreeSet<_> = matching
        .iter()
        .map(|(_, d)| (d.address, d.virtual_function_number()))
        .collect();
    let has_address = matching.iter().all(|(_, d)| d.address.is_some());
    keys.len() == 1 || (places.len() == 1 && has_address)
}

fn shown(device: &DeviceOwner) -> String {
    match device.typed_address() {
        Some(address) if address != device.key => format!("{} ({address})", device.key),
        _ => device.key.clone(),
    }
}

/// Devices whose keys are written like it, else those that differ only in the function, else those
/// of the same bus, else the same device of another bus, else those before and after its address; of
/// what is no address those passed through.
fn near(devices: &[DeviceOwner], selector: &Selector) -> Vec<String> {
    let asked = selector.address();
    let any = |device: &DeviceOwner, test: fn(PciAddress, PciAddress) -> bool| {
        let pair = device.address.zip(asked);
        pair.is_some_and(|(a, b)| test(a, b))
    };
    let same_text = |d: &DeviceOwner| d.written == selector.as_key();
    let same_device =
        |d: &DeviceOwner| any(d, |a, b| (a.bus(), a.device()) == (b.bus(), b.device()));
    let same_bus = |d: &DeviceOwner| any(d, |a, b| a.bus() == b.bus());
    // Most devices behind a bridge are device 0, function 0, which says nothing.
    let other_bus = |d: &DeviceOwner| {
        any(d, |a, b| {
            (a.device(), a.function()) == (b.device(), b.function()) && a.device() > 0
        })
    };
    let passed_through = |d: &DeviceOwner| d.passthrough && asked.is_none();
    let tests: [&dyn Fn(&DeviceOwner) -> bool; 5] = [
        &same_text,
        &same_device,
        &same_bus,
        &other_bus,
        &passed_through,
    ];
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
    asked.map_or(Vec::new(), |asked| nearest(devices, asked))
}

/// The devices before and after an address.
fn nearest(devices: &[DeviceOwner], asked: PciAddress) -> Vec<String> {
    let addressed = || devices.iter().filter(|device| device.address.is_some());
    let before = addressed().filter(|device| device.address < Some(asked));
    let after = addressed().filter(|device| device.address > Some(asked));
    let before = before.max_by_key(|device| device.address);
    let after = after.min_by_key(|device| device.address);
    before.into_iter().chain(after).map(shown).collect()
}

#[cfg(test)]
mod tests;
