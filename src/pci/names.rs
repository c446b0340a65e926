//! Names of vendors and devices, from the text of `pci.ids`.
//!
//! The list is public (<https://pci-ids.ucw.cz>), and nearly every distribution has it. It is not
//! in the program: it has 1.5 MB, and changes every week. A few vendors are, for systems without it.

use std::collections::HashMap;
use std::ops::Range;

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
    text: String,
    /// For each vendor the name, and where its devices are in the text.
    vendors: HashMap<u16, (Range<usize>, Range<usize>)>,
}

impl PciNames {
    /// From the text of `pci.ids`. Lines that are not as that file has them name nothing.
    pub fn new(text: String) -> Self {
        let mut vendors: HashMap<u16, (Range<usize>, Range<usize>)> = HashMap::new();
        let mut current = None;
        let mut at = 0usize;
        for line in text.split_inclusive('\n') {
            let start = at;
            at = at.saturating_add(line.len());
            if line.starts_with(['#', '\n', '\r']) {
                continue;
            }
            if !line.starts_with('\t') {
                // Behind the vendors come the classes, as `C 00  name`.
                current = named(line).map(|(id, name)| {
                    let start = start.saturating_add(line.len().saturating_sub(name.len()));
                    vendors.entry(id).or_insert((start..at, at..at));
                    id
                });
            } else if let Some((_, devices)) = current.and_then(|id| vendors.get_mut(&id)) {
                devices.end = at;
            }
        }
        PciNames { text, vendors }
    }

    /// Who made it.
    pub fn vendor(&self, id: u16) -> Option<&str> {
        let listed = self.vendors.get(&id);
        let listed = listed.and_then(|(name, _)| self.text.get(name.clone()));
        let mut built_in = VENDORS.iter();
        listed.map(str::trim).or_else(|| {
            built_in
                .find(|(known, _)| *known == id)
                .map(|(_, name)| *name)
        })
    }

    /// What it is called.
    pub fn device(&self, vendor: u16, device: u16) -> Option<&str> {
        let (_, devices) = self.vendors.get(&vendor)?;
        let lines = self.text.get(devices.clone())?.lines();
        let mut devices = lines.filter_map(|line| named(line.strip_prefix('\t')?));
        let (_, name) = devices.find(|(id, _)| *id == device)?;
        Some(name.trim())
    }
}

/// `8086  Intel Corporation`: an id, two blanks, and the name with all that is behind it.
fn named(line: &str) -> Option<(u16, &str)> {
    let (id, name) = line.split_once("  ")?;
    let is_id = id.len() == 4 && id.bytes().all(|b| b.is_ascii_hexdigit());
    let id = u16::from_str_radix(id, 16).ok().filter(|_| is_id)?;
    Some((id, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: &str = "# comment\n\n8086  Intel Corporation\n\t1e31  7 Series xHCI\n\t\t1043 108d  Sub\n\
        # between\n\t1e2d  7 Series EHCI\n1b73  Fresco Logic\n\t1000  FL1000G\nC 0c  Serial bus controller\n\t03  USB controller\n";

    #[test]
    fn names_come_from_the_list_and_a_few_vendors_are_built_in() {
        let names = PciNames::new(IDS.to_owned());
        assert_eq!(names.vendor(0x8086), Some("Intel Corporation"));
        assert_eq!(names.device(0x8086, 0x1e31), Some("7 Series xHCI"));
        assert_eq!(names.device(0x8086, 0x1e2d), Some("7 Series EHCI"));
        assert_eq!(names.device(0x1b73, 0x1000), Some("FL1000G"));
        assert_eq!(names.device(0x8086, 0x1000), None);
        assert_eq!(names.vendor(0x10de), Some("NVIDIA Corporation"));
        assert_eq!(names.vendor(0x1043), None);
        let none = PciNames::default();
        assert_eq!(none.vendor(0x8086), Some("Intel Corporation"));
        assert_eq!(none.device(0x8086, 0x1e31), None);
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
            let names = PciNames::new(text.to_owned());
            assert_eq!(names.device(0x8086, 0x8086), None, "{text:?}");
        }
    }
}
