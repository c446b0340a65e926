//! What a device can be to a host, and what the host shows while it is passed through.

use super::survey::PassedDevice;
use super::whose::Certainty;
use crate::ownership::DeviceOwner;
use crate::pci::{Class, PciAddress};

/// What a device is to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Role {
    /// The medium the host boots from hangs on it.
    BootController,
    /// A keyboard hangs on it.
    Keyboard,
    /// The console is shown on it.
    Display,
    /// The management network goes through it.
    ManagementNic,
}

/// What a device is to the host, and how that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Part {
    /// What it is.
    pub role: Role,
    /// Whether it is a bridge above the device that is it: whoever passes a bridge through passes
    /// through what is behind it.
    pub is_bridge: bool,
    /// How sure that is.
    pub certainty: Certainty,
}

/// What a host shows while a device is passed through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Symptom {
    /// It starts and saves no configuration.
    NothingSaved,
    /// The images of VMware Tools are missing.
    ToolsMissing,
    /// The keyboard at the console is dead.
    KeyboardDead,
    /// The console is dark.
    ConsoleDark,
    /// It cannot be reached over the management network.
    Unreachable,
}

impl Symptom {
    /// The words used in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Symptom::NothingSaved => "no configuration saved",
            Symptom::ToolsMissing => "VMware Tools images missing",
            Symptom::KeyboardDead => "console keyboard dead",
            Symptom::ConsoleDark => "console dark",
            Symptom::Unreachable => "management network lost",
        }
    }
}

/// A symptom, and the device it follows from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Consequence {
    /// What the host shows.
    pub symptom: Symptom,
    /// The device that is passed through.
    pub device: PassedDevice,
    /// How sure that is.
    pub certainty: Certainty,
}

/// A device as any of the lists names it.
#[derive(Clone, Copy, Debug)]
pub struct Named<'d> {
    /// Where it is; `None` of a virtual function, which is not what hangs on its function.
    pub(super) address: Option<PciAddress>,
    pub(super) virtual_function: bool,
    pub(super) alias: Option<&'d str>,
    pub(super) class: Option<Class>,
}

impl<'d> From<&'d DeviceOwner> for Named<'d> {
    fn from(device: &'d DeviceOwner) -> Self {
        Named {
            address: device.address.filter(|_| !device.virtual_function),
            virtual_function: device.virtual_function,
            alias: device.alias.as_deref(),
            class: device.class,
        }
    }
}

impl<'d> From<&'d PassedDevice> for Named<'d> {
    fn from(device: &'d PassedDevice) -> Self {
        let virtual_function = device.virtual_function.is_some();
        Named {
            address: device.address.filter(|_| !virtual_function),
            virtual_function,
            alias: device.alias.as_deref(),
            class: device.class,
        }
    }
}
