//! One PCI address: the value, its spellings, and the addresses a text can stand for.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::error::ErrorKind;

/// The place of one PCI function: segment, bus 0–255, device 0–31, function 0–7.
///
/// Printed as `esxcli` prints it, `0000:00:1a.7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PciAddress {
    segment: u16,
    bus: u8,
    device: u8,
    function: u8,
}

/// The base the digits of an address are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Radix {
    /// As `lspci` and `esxcli` write addresses.
    Hex,
    /// As esx.conf writes them.
    Decimal,
}

/// A way to write an address: the base, and to how many digits each field is padded.
///
/// The function is always one digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Spelling {
    /// Base of all fields.
    pub radix: Radix,
    /// Digits of the segment; 0 when the segment is left out.
    pub segment_digits: u8,
    /// Digits of the bus.
    pub bus_digits: u8,
    /// Digits of the device.
    pub device_digits: u8,
}

impl Spelling {
    /// `00:1a.7`, as `lspci` writes segment 0.
    pub const LSPCI: Spelling = Spelling::new(Radix::Hex, 0, 2);
    /// `0000:00:1a.7`, as `esxcli`, `lspci -D` and the ConfigStore write it.
    pub const ESXCLI: Spelling = Spelling::new(Radix::Hex, 4, 2);
    /// `000:26.7`, as esx.conf of ESXi 4.x writes it.
    pub const DECIMAL: Spelling = Spelling::new(Radix::Decimal, 0, 3);
    /// `000:000:26.7`: a segment of three digits in front. Expected in 5.x, not seen.
    pub const DECIMAL_SEGMENT_3: Spelling = Spelling::new(Radix::Decimal, 3, 3);
    /// `0000:00:31.2` with decimal digits, reported from a 6.7 host.
    pub const DECIMAL_SEGMENT_4: Spelling = Spelling::new(Radix::Decimal, 4, 2);
    /// `00000:000:26.7`: a segment of five digits in front. Expected in 6.x, not seen.
    pub const DECIMAL_SEGMENT_5: Spelling = Spelling::new(Radix::Decimal, 5, 3);

    const fn new(radix: Radix, segment_digits: u8, bus_digits: u8) -> Spelling {
        Spelling {
            radix,
            segment_digits,
            bus_digits,
            device_digits: 2,
        }
    }
}

/// The address a text stands for, with how it spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ParsedAddress {
    /// The address.
    pub address: PciAddress,
    /// How the text spells it.
    pub spelling: Spelling,
}

/// A text that is no PCI address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The text does not have the form, or a field of it is out of range.
    #[error("`{text}` is not a PCI address")]
    NotAnAddress {
        /// The text as given.
        text: String,
    },
    /// A field is too large for PCI.
    #[error("{field} {value} is out of range: at most {max}")]
    OutOfRange {
        /// `device` or `function`.
        field: &'static str,
        /// The value given.
        value: u8,
        /// The largest value PCI allows.
        max: u8,
    },
}

impl AddressError {
    /// Always [`ErrorKind::Usage`]: addresses in files are read with [`PciAddress::from_key`] and
    /// [`PciAddress::from_sbdf`], which do not fail.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Usage
    }
}

impl PciAddress {
    /// The address with these fields.
    ///
    /// # Errors
    /// [`AddressError::OutOfRange`] for a device above 31 or a function above 7.
    pub fn new(segment: u16, bus: u8, device: u8, function: u8) -> Result<Self, AddressError> {
        for (field, value, max) in [("device", device, 31), ("function", function, 7)] {
            if value > max {
                return Err(AddressError::OutOfRange { field, value, max });
            }
        }
        Ok(PciAddress {
            segment,
            bus,
            device,
            function,
        })
    }

    /// The segment, which `lspci` calls the domain.
    pub fn segment(self) -> u16 {
        self.segment
    }

    /// The bus.
    pub fn bus(self) -> u8 {
        self.bus
    }

    /// The device on its bus, 0–31.
    pub fn device(self) -> u8 {
        self.device
    }

    /// The function of its device, 0–7.
    pub fn function(self) -> u8 {
        self.function
    }

    /// Reads the strict form of the ConfigStore and of `esxcli`: twelve characters, hexadecimal,
    /// `0000:00:1a.7`. No other reading is tried.
    pub fn from_sbdf(text: &str) -> Option<Self> {
        let fields = Fields::split(text)?;
        let widths = (fields.segment?.len(), fields.bus.len(), fields.device.len());
        if widths != (4, 2, 2) {
            return None;
        }
        fields.read(Radix::Hex)
    }

    /// Reads an address the way a host reads the key of a `/device` line: every field decimal, in
    /// any width (6.7: ParsePciString is called with "not hexadecimal"; 3.x and 4.0 by public
    /// listings, 5.x to 6.5 by continuity). `None` is a key that the host ignores.
    pub fn from_key(text: &str) -> Option<Self> {
        read(text, Radix::Decimal).map(|reading| reading.address)
    }

    /// The address written in `spelling`; `None` when that spelling leaves out a segment
    /// that is not 0.
    pub fn spelled(self, spelling: Spelling) -> Option<String> {
        let (bus_width, device_width) = (
            usize::from(spelling.bus_digits),
            usize::from(spelling.device_digits),
        );
        let segment_width = usize::from(spelling.segment_digits);
        let (segment, bus, device, function) = (self.segment, self.bus, self.device, self.function);
        if segment_width == 0 && segment != 0 {
            return None;
        }
        let mut text = match spelling.radix {
            _ if segment_width == 0 => String::new(),
            Radix::Hex => format!("{segment:0segment_width$x}:"),
            Radix::Decimal => format!("{segment:0segment_width$}:"),
        };
        text += &match spelling.radix {
            Radix::Hex => format!("{bus:0bus_width$x}:{device:0device_width$x}.{function}"),
            Radix::Decimal => format!("{bus:0bus_width$}:{device:0device_width$}.{function}"),
        };
        Some(text)
    }

    /// As `lspci` writes it: `00:1a.7`, the segment only when it is not 0.
    pub fn lspci(self) -> String {
        self.spelled(Spelling::LSPCI)
            .unwrap_or_else(|| self.to_string())
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:04x}:{:02x}:{:02x}.{}",
            self.segment, self.bus, self.device, self.function
        )
    }
}

impl FromStr for PciAddress {
    type Err = AddressError;

    /// Reads the hexadecimal form of `lspci` and `esxcli`, with or without segment.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        read(text, Radix::Hex)
            .map(|reading| reading.address)
            .ok_or_else(|| AddressError::NotAnAddress {
                text: text.to_owned(),
            })
    }
}

/// What `text` stands for in one base.
///
/// In hexadecimal as `lspci` and `esxcli` write it: a segment of at most four digits, a bus and a
/// device of at most two. In decimal as keys of esx.conf are read: any width up to five digits a
/// field, since not all that hosts write are known. A bus above 255, a device above 31 or a
/// function above 7 is no reading.
pub fn read(text: &str, radix: Radix) -> Option<ParsedAddress> {
    let fields = Fields::split(text)?;
    Some(ParsedAddress {
        address: fields.read(radix)?,
        spelling: fields.spelling(radix)?,
    })
}

/// What a person means by `text`: hexadecimal, as `lspci`, `esxcli` and host profiles show
/// addresses; decimal only where the text can be nothing else, as `000:26.7` and `0000:00:31.2`
/// copied from esx.conf.
pub fn typed(text: &str) -> Option<ParsedAddress> {
    read(text, Radix::Hex).or_else(|| read(text, Radix::Decimal))
}

/// Most digits of a field in any spelling.
const MAX_DIGITS: usize = 5;

/// The digits of an address, cut at its punctuation.
struct Fields<'a> {
    segment: Option<&'a str>,
    bus: &'a str,
    device: &'a str,
    function: &'a str,
}

impl<'a> Fields<'a> {
    fn split(text: &'a str) -> Option<Self> {
        let (place, function) = text.rsplit_once('.')?;
        let (rest, device) = place.rsplit_once(':')?;
        let (segment, bus) = match rest.rsplit_once(':') {
            Some((segment, bus)) => (Some(segment), bus),
            None => (None, rest),
        };
        let is_number = |field: &str| {
            (1..=MAX_DIGITS).contains(&field.len()) && field.bytes().all(|b| b.is_ascii_hexdigit())
        };
        let well_formed = segment.is_none_or(is_number)
            && is_number(bus)
            && is_number(device)
            && is_number(function)
            && function.len() == 1;
        well_formed.then_some(Fields {
            segment,
            bus,
            device,
            function,
        })
    }

    fn read(&self, radix: Radix) -> Option<PciAddress> {
        let segment = self.segment.unwrap_or("0");
        let is_wide = segment.len() > 4 || self.bus.len() > 2 || self.device.len() > 2;
        let base = match radix {
            Radix::Hex if is_wide => return None,
            Radix::Hex => 16,
            Radix::Decimal => 10,
        };
        PciAddress::new(
            u16::from_str_radix(segment, base).ok()?,
            u8::from_str_radix(self.bus, base).ok()?,
            u8::from_str_radix(self.device, base).ok()?,
            u8::from_str_radix(self.function, base).ok()?,
        )
        .ok()
    }

    fn spelling(&self, radix: Radix) -> Option<Spelling> {
        let digits = |field: &str| u8::try_from(field.len()).ok();
        Some(Spelling {
            radix,
            segment_digits: digits(self.segment.unwrap_or(""))?,
            bus_digits: digits(self.bus)?,
            device_digits: digits(self.device)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text_of(reading: Option<PciAddress>) -> String {
        reading.map_or("none".to_owned(), |address| address.to_string())
    }

    /// Each text as a key of esx.conf, and as a person types it.
    #[test]
    fn a_key_is_decimal_and_what_a_person_types_is_hexadecimal() {
        let cases = [
            ("00:1a.7", "none", "0000:00:1a.7"),
            ("0000:00:1a.7", "none", "0000:00:1a.7"),
            ("0000:00:1A.7", "none", "0000:00:1a.7"),
            ("10:1f.2", "none", "0000:10:1f.2"),
            ("0000:10:00.0", "0000:0a:00.0", "0000:10:00.0"),
            ("0000:16:00.0", "0000:10:00.0", "0000:16:00.0"),
            ("0000:00:11.0", "0000:00:0b.0", "0000:00:11.0"),
            ("0000:65:00.0", "0000:41:00.0", "0000:65:00.0"),
            ("0000:03:00.0", "0000:03:00.0", "0000:03:00.0"),
            // what cannot be hexadecimal was copied from a key
            ("000:26.7", "0000:00:1a.7", "0000:00:1a.7"),
            ("001:00.0", "0000:01:00.0", "0000:01:00.0"),
            ("110:12.3", "0000:6e:0c.3", "0000:6e:0c.3"),
            ("000:000:26.7", "0000:00:1a.7", "0000:00:1a.7"),
            ("00000:000:26.7", "0000:00:1a.7", "0000:00:1a.7"),
            ("00000:130:00.0", "0000:82:00.0", "0000:82:00.0"),
            ("65535:255:31.7", "ffff:ff:1f.7", "ffff:ff:1f.7"),
            ("0000:00:31.2", "0000:00:1f.2", "0000:00:1f.2"),
            ("00:26.7", "0000:00:1a.7", "0000:00:1a.7"),
            ("0:00026:026.7", "0000:1a:1a.7", "0000:1a:1a.7"),
        ];
        for (text, key, person) in cases {
            assert_eq!(text_of(PciAddress::from_key(text)), key, "{text}");
            assert_eq!(text_of(typed(text).map(|r| r.address)), person, "{text}");
        }
    }

    #[test]
    fn what_is_no_pci_address_has_no_reading() {
        for text in [
            "",
            ".",
            ":",
            "00:1a",
            "1a.7",
            "00:1a.8",
            "00:20.f",
            "000:32.0",
            "256:00.0",
            "00:3a.0",
            "000:1a.7",
            "0000:000:1a.7",
            "00:00:00:1a.7",
            "0000:00:1a.07",
            "+0:1a.7",
            "00:-1.0",
            " 00:1a.7",
            "00:1a.7\n",
            "65536:000:00.0",
            "000000:00:00.0",
            "0000:1a:40.0",
            "00:1a.٧",
        ] {
            assert_eq!(typed(text), None, "{text:?}");
            assert_eq!(PciAddress::from_key(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_sbdf_is_twelve_hexadecimal_characters() {
        let address = PciAddress::from_sbdf("0000:65:00.0").unwrap();
        assert_eq!((address.bus(), address.device()), (0x65, 0));
        for text in [
            "65:00.0",
            "000:65:00.0",
            "0000:065:00.0",
            "0000:65:0.0",
            "0000:00:31.2",
        ] {
            assert_eq!(PciAddress::from_sbdf(text), None, "{text}");
        }
    }

    #[test]
    fn lspci_leaves_out_segment_0_only() {
        assert_eq!(PciAddress::new(0, 0, 0x1a, 7).unwrap().lspci(), "00:1a.7");
        assert_eq!(
            PciAddress::new(1, 0, 0x1a, 7).unwrap().lspci(),
            "0001:00:1a.7"
        );
        let far = PciAddress::new(1, 0, 0, 0).unwrap();
        assert_eq!(far.spelled(Spelling::DECIMAL), None);
    }

    #[test]
    fn a_hexadecimal_address_parses_as_hexadecimal_even_if_it_could_be_decimal() {
        let address: PciAddress = "00:11.0".parse().unwrap();
        assert_eq!(address.device(), 0x11);
        let error = "000:26.7".parse::<PciAddress>().unwrap_err();
        assert_eq!(error.to_string(), "`000:26.7` is not a PCI address");
        assert_eq!(
            PciAddress::new(0, 0, 32, 0).unwrap_err().to_string(),
            "device 32 is out of range: at most 31"
        );
    }

    proptest! {
        #[test]
        fn every_spelling_of_an_address_reads_back_as_it(
            segment: u16, bus: u8, device in 0u8..32, function in 0u8..8
        ) {
            let address = PciAddress::new(segment, bus, device, function).unwrap();
            prop_assert_eq!(address.to_string().parse::<PciAddress>().unwrap(), address);
            prop_assert_eq!(PciAddress::from_sbdf(&address.to_string()), Some(address));
            for spelling in [
                Spelling::LSPCI, Spelling::ESXCLI, Spelling::DECIMAL, Spelling::DECIMAL_SEGMENT_3,
                Spelling::DECIMAL_SEGMENT_5,
            ] {
                let Some(text) = address.spelled(spelling) else {
                    prop_assert_ne!(segment, 0);
                    continue;
                };
                let read = read(&text, spelling.radix).map(|reading| reading.address);
                prop_assert_eq!(read, Some(address), "{}", text);
            }
        }

        #[test]
        fn a_reading_spelled_again_is_the_text(text in "([0-9a-fA-F]{0,6}[:.]?){0,5}|.{0,24}") {
            for radix in [Radix::Hex, Radix::Decimal] {
                let Some(reading) = read(&text, radix) else { continue };
                prop_assert_eq!(
                    reading.address.spelled(reading.spelling).map(|t| t.to_lowercase()),
                    Some(text.to_lowercase())
                );
            }
        }
    }
}
