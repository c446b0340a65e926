//! PCI addresses in all the spellings ESXi, `lspci` and people use, what a class code means,
//! and what vendors and devices are called.
//!
//! An address is segment:bus:device.function. What people see and type is hexadecimal, as `lspci`,
//! `esxcli` and host profiles write it (`0000:00:1a.7`); the keys of esx.conf are decimal in every
//! release (`000:26.7`, later with a segment in front). So `0000:10:00.0` as a key is
//! 0000:0a:00.0, and typed it is itself: [`PciAddress::from_key`] and [`typed`] are two functions.
//!
//! This module knows nothing of devices or owners, and nothing of the machine it runs on.

mod address;
mod class;
mod names;

pub use address::{AddressError, ParsedAddress, PciAddress, Radix, Spelling, read, typed};
pub use class::Class;
pub use names::PciNames;
