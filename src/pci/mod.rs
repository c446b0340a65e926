//! PCI addresses in all the spellings ESXi, `lspci` and people use, and what a class code means.
//!
//! An address is segment:bus:device.function. `lspci` and `esxcli` write it in hexadecimal
//! (`0000:00:1a.7`); esx.conf of ESXi 4.x writes it in decimal with a three-digit bus (`000:26.7`),
//! later releases put a segment in front of that. A text such as `0000:00:11.0` may be either, so
//! [`readings`] returns every address it can stand for instead of choosing one.
//!
//! This module knows nothing of devices or owners, and nothing of the machine it runs on.

mod address;
mod class;

pub use address::{AddressError, PciAddress, Radix, Reading, Spelling, addresses, readings};
pub use class::Class;
