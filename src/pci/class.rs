//! What a PCI class code says of a device, as far as it matters for giving one away.
//!
//! Codes and names follow the PCI Code and ID Assignment Specification; only those a person
//! repairing a host needs to recognise have a name here.

use std::fmt;

/// A 24-bit class code: base class, subclass, programming interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Class {
    base: u8,
    sub: u8,
    interface: u8,
}

impl Class {
    /// Reads the six hexadecimal digits that esx.conf of ESXi 4.x holds, `0c0320`.
    pub fn from_hex(text: &str) -> Option<Class> {
        if text.len() != 6 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
        Some(Class {
            base: byte(0)?,
            sub: byte(2)?,
            interface: byte(4)?,
        })
    }

    /// A mass storage controller.
    pub fn is_storage(self) -> bool {
        self.base == 0x01
    }

    /// A USB controller, of any generation.
    pub fn is_usb(self) -> bool {
        (self.base, self.sub) == (0x0c, 0x03)
    }

    /// A controller of disks that is no mass storage by its class: Fibre Channel.
    pub fn is_serial_storage(self) -> bool {
        (self.base, self.sub) == (0x0c, 0x04)
    }

    /// A USB 2 controller (EHCI).
    pub fn is_ehci(self) -> bool {
        self.is_usb() && self.interface == 0x20
    }

    /// A USB 3 controller (xHCI).
    pub fn is_xhci(self) -> bool {
        self.is_usb() && self.interface == 0x30
    }

    /// A network adapter.
    pub fn is_network(self) -> bool {
        self.base == 0x02
    }

    /// A display controller.
    pub fn is_display(self) -> bool {
        self.base == 0x03
    }

    /// The class in words, the more exact the better it is known.
    pub fn name(self) -> &'static str {
        match (self.base, self.sub, self.interface) {
            (0x01, 0x01, _) => "IDE controller",
            (0x01, 0x04, _) => "RAID controller",
            (0x01, 0x06, _) => "SATA controller",
            (0x01, 0x07, _) => "SAS controller",
            (0x01, 0x08, _) => "NVMe controller",
            (0x01, ..) => "storage controller",
            (0x02, 0x00, _) => "Ethernet controller",
            (0x02, ..) => "network controller",
            (0x03, ..) => "display controller",
            (0x04, ..) => "multimedia controller",
            (0x06, 0x00, _) => "host bridge",
            (0x06, 0x01, _) => "ISA bridge",
            (0x06, 0x04, _) => "PCI bridge",
            (0x06, ..) => "bridge",
            (0x07, ..) => "communication controller",
            (0x0c, 0x03, 0x00) => "USB 1 controller (UHCI)",
            (0x0c, 0x03, 0x10) => "USB 1 controller (OHCI)",
            (0x0c, 0x03, 0x20) => "USB 2 controller (EHCI)",
            (0x0c, 0x03, 0x30) => "USB 3 controller (xHCI)",
            (0x0c, 0x03, 0x40) => "USB 4 controller",
            (0x0c, 0x03, _) => "USB controller",
            (0x0c, 0x04, _) => "Fibre Channel controller",
            (0x0c, 0x05, _) => "SMBus controller",
            _ => "device",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}{:02x}{:02x}", self.base, self.sub, self.interface)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controllers_whose_loss_breaks_a_host_are_recognised() {
        let class = |text| Class::from_hex(text).unwrap();
        assert!(class("0c0330").is_usb() && !class("0c0330").is_storage());
        assert!(class("010601").is_storage());
        assert_eq!(class("0C0320").name(), "USB 2 controller (EHCI)");
        assert_eq!(class("0C0320").to_string(), "0c0320");
        assert_eq!(class("ff0000").name(), "device");
    }

    #[test]
    fn a_class_code_is_six_hexadecimal_digits() {
        for text in ["", "0c03", "0c03200", "0x0c03", "0c032g", "0c032é"] {
            assert_eq!(Class::from_hex(text), None, "{text:?}");
        }
    }
}
