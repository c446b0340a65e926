//! Names of vendors and devices, from the text of `pci.ids`.
//!
//! The list is public (<https://pci-ids.ucw.cz>), and nearly every distribution has it. It is not
//! in the program: it has 1.5 MB, and changes every week. A few vendors are, for systems without it.

use memchr::memmem;
use std::borrow::Cow;

/// Vendors of what a host boots from, and of what it has besides; names as `pci.ids` has them.
const VENDORS: [(u16, &str); 28] = [
    (0x1000, "Broadcom / LSI"),
    (0x1002, "Advanced Micro Devices, Inc. [AMD/ATI]"),
    (0x1022, "Advanced Micro Devices, Inc. [AMD]"),
    (0x1028, "Dell"),
    (0x102b, "Matrox Electronics Systems Ltd."),
    (0x1033, "NEC Corporation"),
    (0x103c, "Hewlett-Packard Company"),
    (0x1077, "QLogic Corp."),
    (0x10de, "NVIDIA Corporation"),
    (0x10df, "Emulex Corporation"),
    (0x10ec, "Realtek Semiconductor Co., Ltd."),
    (0x1106, "VIA Technologies, Inc."),
    (0x1137, "Cisco Systems Inc"),
    (0x144d, "Samsung Electronics Co Ltd"),
    (0x14e4, "Broadcom Inc. and subsidiaries"),
    (0x15ad, "VMware"),
    (0x15b3, "Mellanox Technologies"),
    (0x15b7, "Sandisk Corp"),
    (0x1590, "Hewlett Packard Enterprise"),
    (0x1912, "Renesas Technology Corp."),
    (0x1924, "Solarflare Communications"),
    (0x1a03, "ASPEED Technology, Inc."),
    (0x1af4, "Red Hat, Inc."),
    (0x1b21, "ASMedia Technology Inc."),
    (0x1b36, "Red Hat, Inc."),
    (0x1b4b, "Marvell Technology Group Ltd."),
    (0x8086, "Intel Corporation"),
    (0x9005, "Adaptec"),
];

/// Names of PCI vendors and devices.
#[derive(Clone, Debug, Default)]
pub struct PciNames {
    /// UTF-8, but nothing relies on that.
    text: Vec<u8>,
}

impl PciNames {
    /// From the text of `pci.ids`, which is searched when a name is asked for: of its 40,000 a run needs
    /// a few. Lines that are not as that file has them name nothing.
    pub fn new(text: Vec<u8>) -> Self {
        PciNames { text }
    }

    /// Who made it.
    pub fn vendor(&self, id: u16) -> Option<Cow<'_, str>> {
        let listed = self.listed(id).map(|(name, _)| name);
        listed.or_else(|| {
            let mut built_in = VENDORS.iter();
            let (_, name) = built_in.find(|(known, _)| *known == id)?;
            Some(Cow::Borrowed(*name))
        })
    }

    /// What it is called.
    pub fn device(&self, vendor: u16, device: u16) -> Option<Cow<'_, str>> {
        let (_, below) = self.listed(vendor)?;
        let wanted = format!("\n\t{device:04x}  ");
        let at = memmem::find(below, wanted.as_bytes())?;
        let before = below.get(..at)?;
        // Behind the vendor's own lines are those of the next.
        let is_own = |line: &[u8]| matches!(line, [] | [b'\t' | b'#' | b'\r', ..]);
        before
            .split(|&byte| byte == b'\n')
            .all(is_own)
            .then_some(())?;
        let rest = below.get(at.checked_add(wanted.len())?..)?;
        Some(first_line(rest).0)
    }

    /// The name of a vendor, and what is below its line, from the end of that on.
    fn listed(&self, id: u16) -> Option<(Cow<'_, str>, &[u8])> {
        // Ids of four digits come first in a line only of vendors; classes have `C` before them.
        let wanted = format!("\n{id:04x}  ");
        let begins = self.text.starts_with(wanted.trim_start().as_bytes());
        let end = if begins {
            wanted.len().checked_sub(1)?
        } else {
            memmem::find(&self.text, wanted.as_bytes())?.checked_add(wanted.len())?
        };
        Some(first_line(self.text.get(end..)?))
    }
}

/// The rest of a line, and what follows it, the end of the line included.
fn first_line(text: &[u8]) -> (Cow<'_, str>, &[u8]) {
    let end = memchr::memchr(b'\n', text).unwrap_or(text.len());
    let (line, below) = text.split_at(end);
    (String::from_utf8_lossy(line.trim_ascii()), below)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: &str = "# comment\n\n8086  Intel Corporation\n\t1e31  7 Series xHCI\n\t\t1043 108d  Sub\n\
        # between\n\t1e2d  7 Series EHCI\n1b73  Fresco Logic\n\t1000  FL1000G\nC 0c  Serial bus controller\n\t03  USB controller\n";

    #[test]
    fn names_come_from_the_list_and_a_few_vendors_are_built_in() {
        let names = PciNames::new(IDS.into());
        assert_eq!(names.vendor(0x8086).as_deref(), Some("Intel Corporation"));
        assert_eq!(
            names.device(0x8086, 0x1e31).as_deref(),
            Some("7 Series xHCI")
        );
        assert_eq!(
            names.device(0x8086, 0x1e2d).as_deref(),
            Some("7 Series EHCI")
        );
        assert_eq!(names.device(0x1b73, 0x1000).as_deref(), Some("FL1000G"));
        assert_eq!(names.device(0x8086, 0x1000).as_deref(), None);
        assert_eq!(names.vendor(0x10de).as_deref(), Some("NVIDIA Corporation"));
        assert_eq!(names.vendor(0x1043).as_deref(), None);
        let none = PciNames::default();
        assert_eq!(none.vendor(0x8086).as_deref(), Some("Intel Corporation"));
        assert_eq!(none.device(0x8086, 0x1e31).as_deref(), None);
    }

    #[test]
    fn what_is_no_list_names_nothing() {
        for text in [
            "",
            "\t",
            "\tx\n\n",
            "8086",
            "8086  ",
            "é  x\n\t8086  y",
            "80860000  x\n",
        ] {
            let names = PciNames::new(text.into());
            assert_eq!(names.device(0x8086, 0x8086).as_deref(), None, "{text:?}");
        }
    }
}
