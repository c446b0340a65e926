//! Recorded machines, and states as esx.conf text.

use super::super::whose::{Certainty, OwnedBy};
use super::*;
use crate::edit::{Devices, Edit, Harm, OwnerEdit, SettingChange};
use crate::host::recorded::Recorded;
use crate::ownership::{EsxConf, Owner, Source};
use crate::secrets::Guarded;

/// A machine with a medium, and what the medium's state says.
struct Case {
    recorded: Recorded,
    local: Machine,
}

impl Case {
    fn new(machine: &str) -> Self {
        let recorded = Recorded::open(machine);
        let local = recorded.host().machine();
        Case { recorded, local }
    }

    /// The medium on `disk`, or an image, with this esx.conf.
    fn with(&self, disk: Option<&str>, conf: &str) -> (Situation<'_>, Vec<DeviceOwner>) {
        let host = self.recorded.host();
        let disks = host.disks();
        let disk = disk.map(|name| disks.iter().find(|disk| disk.name == name).unwrap());
        let configuration = Configuration {
            file: "state.tgz".to_owned(),
            esx_conf: Some(EsxConf::parse(conf.as_bytes().to_vec()).unwrap().into()),
            store: None,
            closed_store: None,
        };
        let situation = Situation::of_disk(disk, &host, &self.local).with(&configuration, None);
        (situation, configuration.devices().unwrap())
    }

    /// The medium of this machine itself: the state names the first of its adapters.
    fn own(&self, disk: &str, conf: &str) -> (Situation<'_>, Vec<DeviceOwner>) {
        let nic = self.local.nics().first().unwrap();
        let mac = format!("/net/pnic/child[0000]/mac = \"{}\"\n", nic.mac);
        self.with(Some(disk), &(mac + conf))
    }
}

/// Each device with its roles: `00:14.0 BootController`, `?` behind what is probable, `^` behind a
/// bridge.
fn marks(situation: &Situation<'_>, devices: &[DeviceOwner]) -> Vec<String> {
    let mark = |part: &Part| {
        let bridge = if part.is_bridge { "^" } else { "" };
        let sure = if part.certainty == Certainty::Probable {
            "?"
        } else {
            ""
        };
        format!("{:?}{bridge}{sure}", part.role)
    };
    let of = |device: &DeviceOwner| {
        let parts = situation.parts(device);
        let parts: Vec<String> = parts.iter().map(mark).collect();
        let address = device.address.unwrap().lspci();
        (!parts.is_empty()).then(|| format!("{address} {}", parts.join(" ")))
    };
    devices.iter().filter_map(of).collect()
}

fn passed(devices: &[DeviceOwner]) -> Vec<PassedDevice> {
    let passed = devices.iter().filter(|device| device.passthrough);
    passed
        .map(|device| PassedDevice::from(device.clone()))
        .collect()
}

#[test]
fn on_its_own_machine_the_controller_is_the_one_the_medium_hangs_on() {
    // Machine, disk, what is given back.
    let cases: [(&str, &str, &[&str]); 9] = [
        // The ports of this chipset are led to xHCI or to EHCI.
        ("desktop", "sdb", &["00:14.0", "00:1a.0", "00:1d.0"]),
        ("two-sockets", "sdb", &["81:00.0", "80:02.0"]),
        ("two-sockets", "sda", &["0001:01:00.0", "0001:00:00.0"]),
        ("nvme", "nvme0n1", &["04:00.0", "00:1d.0"]),
        ("nvme", "nvme1n1", &["00:0e.0"]),
        // The card is reset as a whole.
        (
            "two-hubs",
            "sda",
            &["03:00.2", "00:1c.0", "02:00.0", "03:00.0", "03:00.1"],
        ),
        ("sata-dom", "sda", &["00:11.4"]),
        (
            "hba-switch",
            "sda",
            &["84:00.0", "80:02.0", "82:00.0", "83:08.0"],
        ),
        ("idsdm", "sda", &["00:1a.0"]),
    ];
    for (machine, disk, expected) in cases {
        let case = Case::new(machine);
        let (situation, _) = case.own(disk, "");
        assert_eq!(
            situation.whose.owned,
            OwnedBy::ThisMachine(Certainty::Known)
        );
        let found = situation.boot_device().unwrap();
        let found: Vec<String> = found.iter().map(|at| at.lspci()).collect();
        assert_eq!(found, expected, "{machine} {disk}");
    }
}

#[test]
fn each_device_is_marked_for_what_hangs_on_it() {
    let case = Case::new("idsdm");
    let conf = "/device/00000:000:26.0/owner = \"passthru\"\n/device/00000:000:29.0/owner = \"passthru\"\n\
        /device/00000:000:28.7/owner = \"vmkernel\"\n/device/00000:000:20.0/owner = \"vmkernel\"\n\
        /device/00000:001:00.0/vmkname = \"vmnic0\"\n/device/00000:001:00.1/vmkname = \"vmnic1\"\n\
        /device/00000:009:00.0/owner = \"passthru\"\n";
    let (situation, devices) = case.own("sda", conf);
    let expected = [
        "00:1a.0 BootController",
        "00:1d.0 Keyboard",
        "00:1c.7 Display^",
        "01:00.0 ManagementNic?",
    ];
    assert_eq!(marks(&situation, &devices), expected);
    let lacking = devices.iter().filter_map(|device| device.address);
    let lacking: Vec<String> = lacking
        .filter(|at| situation.lacks(*at))
        .map(|at| at.lspci())
        .collect();
    assert_eq!(lacking, ["09:00.0"]);
    let found = situation.consequences(&passed(&devices));
    let found: Vec<(Symptom, Certainty)> =
        found.iter().map(|it| (it.symptom, it.certainty)).collect();
    let known = [
        Symptom::NothingSaved,
        Symptom::ToolsMissing,
        Symptom::KeyboardDead,
    ];
    assert_eq!(found, known.map(|symptom| (symptom, Certainty::Known)));
    assert_eq!(situation.is_usb(&devices[0]), Some(true));
    assert_eq!(situation.is_usb(&devices[4]), Some(false));
    assert_eq!(situation.is_usb(&devices[6]), None);
}

#[test]
fn management_goes_through_the_adapters_of_vmk0() {
    let case = Case::new("two-sockets");
    let conf = "/device/0000:134:00.0/vmkname = \"vmnic0\"\n/device/0000:134:00.1/vmkname = \"vmnic1\"\n\
        /device/0000:133:00.0/owner = \"passthru\"\n\
        /net/vmkernelnic/child[0000]/name = \"vmk0\"\n/net/vmkernelnic/child[0000]/mac = \"3c:a8:2a:11:22:31\"\n";
    let (situation, devices) = case.own("sdb", conf);
    // vmk0 has the address of the second adapter; the name of the first is no better witness.
    let found = marks(&situation, &devices);
    assert!(
        found.contains(&"86:00.1 ManagementNic".to_owned()),
        "{found:?}"
    );
    assert!(
        found.contains(&"85:00.0 ManagementNic^".to_owned()),
        "{found:?}"
    );
    assert!(
        !found.iter().any(|mark| mark.starts_with("86:00.0")),
        "{found:?}"
    );
}

#[test]
fn elsewhere_names_and_classes_make_it_probable() {
    let case = Case::new("desktop");
    let conf = "/net/pnic/child[0000]/mac = \"00:0c:29:80:16:86\"\n\
        /device/0000:00:20.0/owner = \"passthru\"\n/device/0000:00:20.0/vmkname = \"vmhba32\"\n\
        /device/0000:00:31.2/vmkname = \"vmhba0\"\n/device/0000:01:00.0/class = \"030000\"\n\
        /device/0000:02:00.0/vmkname = \"vmnic0\"\n/device/0000:03:00.0/class = \"0c0320\"\n";
    let expected = [
        "00:14.0 BootController?",
        "01:00.0 Display?",
        "02:00.0 ManagementNic?",
    ];
    for disk in [Some("sdb"), None] {
        let (situation, devices) = case.with(disk, conf);
        assert_eq!(situation.whose.owned, OwnedBy::Another(Certainty::Known));
        assert_eq!(marks(&situation, &devices), expected);
        assert_eq!(situation.boot_device(), None);
        assert_eq!(situation.is_usb(&devices[0]), Some(true));
        assert_eq!(situation.is_usb(devices.last().unwrap()), Some(true));
        assert!(!situation.lacks(devices[4].address.unwrap()));
    }
    // A disk that is none of USB boots from no USB adapter.
    let (situation, devices) = case.with(Some("sda"), conf);
    assert_eq!(marks(&situation, &devices), &expected[1..]);
    // An image of this very machine hangs on nothing.
    let own = conf.replace("00:0c:29:80:16:86", "60:a4:4c:61:9d:70");
    assert_eq!(case.with(None, &own).0.boot_device(), None);
    assert!(case.with(Some("sdb"), &own).0.boot_device().is_some());
}

#[test]
fn a_medium_that_is_only_probably_of_this_machine_gives_no_controller_back() {
    let case = Case::new("desktop");
    // What the desktop has, and any other of its make.
    let conf = "/device/0000:00:31.2/vmkname = \"vmhba0\"\n/device/0000:00:25.0/vmkname = \"vmnic0\"\n\
        /device/0000:00:20.0/owner = \"passthru\"\n/device/0000:00:29.0/owner = \"passthru\"\n";
    let (situation, devices) = case.with(Some("sdb"), conf);
    assert_eq!(
        situation.whose.owned,
        OwnedBy::ThisMachine(Certainty::Probable)
    );
    assert_eq!(situation.boot_device(), None);
    let found = marks(&situation, &devices);
    assert!(
        found.contains(&"00:14.0 BootController?".to_owned()),
        "{found:?}"
    );
    // Nor may a device be passed through because this machine has it.
    let edits = passing(&["00:14.0"]);
    assert_eq!(situation.knowing_devices(&edits), edits);
}

/// The edits that pass these devices through, as the command line names them.
fn passing(names: &[&str]) -> Vec<Edit> {
    let selectors = names.iter().map(|name| name.parse().unwrap());
    vec![Edit::Owner(OwnerEdit {
        devices: Devices::Named(selectors.collect()),
        owner: Owner::Passthru,
    })]
}

#[test]
fn a_device_that_its_own_machine_has_may_be_passed_through_although_the_state_names_none() {
    let case = Case::new("desktop");
    let edits = passing(&["00:14.0", "0a:00.0", "vmhba0"]);
    let (own, _) = case.own("sdb", "");
    let known = own.knowing_devices(&edits);
    let named = |names: &[&str]| names.iter().map(|it| it.parse().unwrap()).collect();
    let expected = [
        Devices::Named(named(&["0a:00.0", "vmhba0"])),
        Devices::NamedOrNew(named(&["00:14.0"])),
    ];
    let expected = expected.map(|devices| {
        let owner = Owner::Passthru;
        Edit::Owner(OwnerEdit { devices, owner })
    });
    assert_eq!(known, expected);
    let foreign = "/net/pnic/child[0000]/mac = \"00:0c:29:80:16:86\"\n";
    let (another, _) = case.with(Some("sdb"), foreign);
    assert_eq!(another.knowing_devices(&edits), edits);
}

#[test]
fn what_passing_a_device_through_costs_is_known_on_its_own_machine() {
    let case = Case::new("two-sockets");
    let change = |address: &str, harm: Option<Harm>, owner: Owner| {
        let address: crate::pci::PciAddress = address.parse().unwrap();
        SettingChange {
            source: Source::EsxConf.into(),
            key: address.to_string(),
            address: Some(address),
            alias: None,
            from: None,
            to: Some(Guarded::of(owner.spelled(Source::EsxConf))),
            harm,
        }
    };
    let usb = Some(Harm::UsbController);
    let own = Some(Harm::OwnController);
    let cases = [
        // The controller of sdb, and the bridge above it.
        ("0000:81:00.0", usb, Owner::Passthru, own),
        ("0000:80:02.0", None, Owner::Passthru, own),
        // Given back, it costs nothing.
        ("0000:81:00.0", None, Owner::Vmkernel, None),
        // The controller of another disk, of which the state tells no class.
        (
            "0001:01:00.0",
            None,
            Owner::Passthru,
            Some(Harm::StorageAdapter),
        ),
        // This machine has none there.
        ("0000:0a:00.0", usb, Owner::Passthru, None),
    ];
    for (address, told, owner, expected) in cases {
        let (situation, _) = case.own("sdb", "");
        let found = situation.harm_of(&change(address, told, owner));
        assert_eq!(found, expected, "{address} {owner:?}");
        let foreign = "/net/pnic/child[0000]/mac = \"00:0c:29:80:16:86\"\n";
        let (another, _) = case.with(Some("sdb"), foreign);
        assert_eq!(another.harm_of(&change(address, told, owner)), None);
    }
}
