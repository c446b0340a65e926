//! Machines for tests: listings of sysfs in `tests/machines`, unpacked into a directory. The lines
//! are those of `scripts/record-machine`.

use super::Host;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use tempfile::TempDir;

/// A machine unpacked; gone with the value.
pub(crate) struct Recorded {
    dir: TempDir,
}

impl Recorded {
    /// The machine that `tests/machines/NAME.txt` lists.
    pub(crate) fn open(name: &str) -> Self {
        let listings = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machines");
        let listing = fs::read_to_string(listings.join(format!("{name}.txt"))).unwrap();
        let recorded = Recorded {
            dir: tempfile::tempdir().unwrap(),
        };
        for line in listing.lines().filter(|line| !line.starts_with('#')) {
            match (line.split_once(" -> "), line.split_once(" = ")) {
                (Some((path, target)), _) => recorded.link(path, target),
                (None, Some((path, content))) => recorded.file(path, content),
                (None, None) => panic!("{name}: {line}"),
            }
        }
        recorded
    }

    /// Adds a file.
    pub(crate) fn file(&self, path: &str, content: &str) {
        let path = self.place(path);
        fs::write(path, format!("{content}\n")).unwrap();
    }

    /// Takes a directory away.
    pub(crate) fn remove(&self, path: &str) {
        std::fs::remove_dir_all(self.place(path)).unwrap();
    }

    fn link(&self, path: &str, target: &str) {
        symlink(target, self.place(path)).unwrap();
    }

    fn place(&self, path: &str) -> std::path::PathBuf {
        let path = self.dir.path().join(path.strip_prefix('/').unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    pub(crate) fn host(&self) -> Host {
        Host::new(self.dir.path())
    }
}

mod tests {
    use super::*;
    use crate::host::{Bus, Disk};
    use crate::pci::PciAddress;

    fn disk(host: &Host, name: &str) -> Disk {
        let mut disks = host.disks().into_iter();
        disks.find(|disk| disk.name == name).unwrap()
    }

    fn texts(addresses: &[PciAddress]) -> Vec<String> {
        addresses.iter().map(|at| at.lspci()).collect()
    }

    /// Machine, disk, bus, the function it hangs on, the bridges above, the USB port.
    type Case = (
        &'static str,
        &'static str,
        Bus,
        &'static str,
        &'static [&'static str],
        &'static str,
    );

    const CASES: [Case; 13] = [
        ("virtual-machine", "vda", Bus::Virtio, "00:02.0", &[], ""),
        ("desktop", "sdb", Bus::Usb, "00:14.0", &[], "3-5"),
        ("desktop", "sda", Bus::Sata, "00:1f.2", &[], ""),
        (
            "two-sockets",
            "sdb",
            Bus::Usb,
            "81:00.0",
            &["80:02.0"],
            "3-1",
        ),
        (
            "two-sockets",
            "sda",
            Bus::Scsi,
            "0001:01:00.0",
            &["0001:00:00.0"],
            "",
        ),
        ("nvme", "nvme0n1", Bus::Nvme, "04:00.0", &["00:1d.0"], ""),
        // Behind the Volume Management Device the domain is made up.
        ("nvme", "nvme1n1", Bus::Nvme, "00:0e.0", &[], ""),
        (
            "two-hubs",
            "sda",
            Bus::Usb,
            "03:00.2",
            &["00:1c.0", "02:00.0"],
            "2-1.4.2",
        ),
        ("sata-dom", "sda", Bus::Sata, "00:11.4", &[], ""),
        ("sata-dom", "sdb", Bus::Sata, "00:1f.2", &[], ""),
        (
            "hba-switch",
            "sda",
            Bus::Scsi,
            "84:00.0",
            &["80:02.0", "82:00.0", "83:08.0"],
            "",
        ),
        ("idsdm", "sda", Bus::Usb, "00:1a.0", &[], "1-1.2"),
        ("idsdm", "sdb", Bus::Scsi, "03:00.0", &["00:01.0"], ""),
    ];

    #[test]
    fn a_disk_leads_to_the_pci_function_it_hangs_on() {
        for (machine, name, bus, controller, bridges, port) in CASES {
            let recorded = Recorded::open(machine);
            let host = recorded.host();
            let disk = disk(&host, name);
            assert_eq!(disk.bus, bus, "{machine} {name}");
            let attached = host.attachment_of_disk(disk.number).unwrap();
            assert_eq!(attached.controller.lspci(), controller, "{machine} {name}");
            assert_eq!(texts(&attached.bridges), bridges, "{machine} {name}");
            assert_eq!(
                attached.usb_port.unwrap_or_default(),
                port,
                "{machine} {name}"
            );
        }
    }

    #[test]
    fn the_lasting_name_is_the_one_that_says_the_most() {
        let names = [
            (
                "desktop",
                "sdb",
                "usb-SanDisk_Cruzer_Fit_4C530001230617114250-0:0",
            ),
            (
                "desktop",
                "sda",
                "ata-WDC_WD5003AZEX-00MK2A0_WD-WCC3F0123456",
            ),
            (
                "nvme",
                "nvme0n1",
                "nvme-Samsung_SSD_970_EVO_250GB_S465NX0K123456",
            ),
            (
                "two-sockets",
                "sda",
                "scsi-SHPE_LOGICAL_VOLUME_PEYHC0BRH0X123",
            ),
            ("hba-switch", "sda", "scsi-SATA_INTEL_SSDSC2BB24_PHWA111"),
            ("idsdm", "sdb", "scsi-36d09466012345678"),
        ];
        for (machine, name, lasting) in names {
            let found = disk(&Recorded::open(machine).host(), name).by_id.unwrap();
            assert_eq!(found, Path::new("/dev/disk/by-id").join(lasting));
        }
        assert_eq!(
            disk(&Recorded::open("virtual-machine").host(), "vda").by_id,
            None
        );
    }

    /// Machine, keyboards, display, network adapters.
    #[test]
    fn keyboard_display_and_network_are_found_at_their_functions() {
        let cases: [(&str, &[&str], &str, &[&str]); 8] = [
            ("virtual-machine", &[], "none", &["00:03.0"]),
            ("desktop", &["00:1d.0"], "01:00.0", &["00:19.0"]),
            (
                "two-sockets",
                &["01:00.4"],
                "01:00.1",
                &["86:00.0", "86:00.1"],
            ),
            ("nvme", &[], "none", &["05:00.0"]),
            // no driver has this keyboard
            ("two-hubs", &["03:00.0"], "none", &["00:19.0"]),
            ("sata-dom", &["00:1a.0"], "07:00.0", &["08:00.0", "08:00.1"]),
            ("hba-switch", &[], "85:00.0", &["03:00.0"]),
            ("idsdm", &["00:1d.0"], "0b:00.0", &["01:00.0", "01:00.1"]),
        ];
        for (name, keyboards, display, nics) in cases {
            let recorded = Recorded::open(name);
            let machine = recorded.host().machine();
            assert_eq!(texts(machine.keyboards()), keyboards, "{name}");
            let found = machine.display();
            assert_eq!(
                found.map_or("none".to_owned(), PciAddress::lspci),
                display,
                "{name}"
            );
            let found: Vec<PciAddress> = machine.nics().iter().map(|nic| nic.function).collect();
            assert_eq!(texts(&found), nics, "{name}");
        }
    }

    #[test]
    fn functions_have_ids_class_driver_and_the_bridges_above() {
        let recorded = Recorded::open("hba-switch");
        let machine = recorded.host().machine();
        let hba = machine.function("0000:84:00.0".parse().unwrap()).unwrap();
        assert_eq!((hba.vendor, hba.device), (0x1000, 0x0097));
        assert!(hba.class.unwrap().is_storage());
        assert_eq!(hba.driver.as_deref(), Some("mpt3sas"));
        assert_eq!(texts(&hba.bridges), ["80:02.0", "82:00.0", "83:08.0"]);
        let recorded = Recorded::open("desktop");
        let machine = recorded.host().machine();
        let smbios = machine.smbios();
        assert_eq!(smbios.product.as_deref(), Some("Z87-PRO"));
        assert_eq!(
            smbios.uuid.as_deref(),
            Some("4c4c4544-0051-3010-8052-b4c04f4e3132")
        );
    }

    #[test]
    fn pci_names_come_from_the_list_of_the_system() {
        let recorded = Recorded::open("nvme");
        assert_eq!(
            recorded.host().machine().names().device(0x144d, 0xa808),
            None
        );
        recorded.file(
            "/usr/share/hwdata/pci.ids",
            "144d  Samsung\n\ta808  NVMe SSD Controller SM981",
        );
        let machine = recorded.host().machine();
        let names = machine.names();
        assert_eq!(
            names.device(0x144d, 0xa808).as_deref(),
            Some("NVMe SSD Controller SM981")
        );
    }
}
