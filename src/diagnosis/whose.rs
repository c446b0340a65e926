//! Whose medium is it: that of the machine at hand, or another host's?
//!
//! The address of a network adapter is the best witness: esx.conf names those of the host, and the
//! system UUID that ESXi makes when it is installed ends in one (read: a real state, in which both
//! agree). Where the state names none, the PCI devices it knows are held against this machine's.

use crate::edit::{Identity, Network};
use crate::host::{Mac, Machine};
use crate::ownership::DeviceOwner;
use crate::pci::{Class, PciAddress};
use std::collections::{BTreeMap, BTreeSet};

/// How sure a statement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Certainty {
    /// It is so.
    Known,
    /// There is reason to think so; words about it say "probably".
    Probable,
}

/// Whose a medium is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OwnedBy {
    /// The machine at hand boots from it.
    ThisMachine(Certainty),
    /// Another host does.
    Another(Certainty),
    /// Nothing tells.
    Unknown,
}

impl OwnedBy {
    /// The words used in output; `None` where nothing tells.
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            OwnedBy::ThisMachine(_) => Some("this machine"),
            OwnedBy::Another(_) => Some("another host"),
            OwnedBy::Unknown => None,
        }
    }
}

/// Why a medium is taken for somebody's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evidence {
    /// The state names the address of a network adapter that this machine has.
    SameAdapter(Mac),
    /// The system UUID ends in the address of a network adapter that this machine has: ESXi was
    /// installed here.
    InstalledHere(Mac),
    /// The system UUID is the one the firmware of this machine has.
    SameUuid,
    /// The state names addresses of network adapters, the first of them this, and this machine has
    /// none of them.
    OtherAdapters(Mac),
    /// Of the PCI devices that the state names, this machine has so many and lacks so many.
    Devices {
        /// Devices of this machine.
        present: usize,
        /// Addresses at which this machine has nothing.
        missing: usize,
        /// Addresses at which this machine has a device of another kind.
        other: usize,
    },
    /// The state names neither network adapters nor enough PCI devices, or cannot be opened.
    Nothing,
}

/// Whose a medium is, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whose {
    /// Whose.
    pub owned: OwnedBy,
    /// Why.
    pub evidence: Evidence,
}

/// Fewest PCI devices that tell one machine from another.
const FEWEST: usize = 3;

impl Whose {
    /// A medium of which nothing is known.
    pub(super) const UNKNOWN: Whose = Whose {
        owned: OwnedBy::Unknown,
        evidence: Evidence::Nothing,
    };

    /// Whether it is this machine's, known or probable.
    pub fn is_this_machine(&self) -> bool {
        matches!(self.owned, OwnedBy::ThisMachine(_))
    }

    /// By what a state says of its host.
    pub(super) fn of(
        identity: &Identity,
        network: &Network,
        devices: &[DeviceOwner],
        machine: &Machine,
    ) -> Self {
        let this = |evidence| Whose {
            owned: OwnedBy::ThisMachine(Certainty::Known),
            evidence,
        };
        let has = |mac: &&Mac| machine.nics().iter().any(|nic| nic.mac == **mac);
        let mut named = network.physical.iter().chain(&network.first);
        if let Some(mac) = named.find(has) {
            return this(Evidence::SameAdapter(*mac));
        }
        let uuid = identity.system_uuid.as_deref().unwrap_or_default();
        if let Some(mac) = adapter_of(uuid).filter(|mac| has(&mac)) {
            return this(Evidence::InstalledHere(mac));
        }
        if is_same_uuid(uuid, machine.smbios().uuid.as_deref().unwrap_or_default()) {
            return this(Evidence::SameUuid);
        }
        // A UUID alone speaks against nobody: clones keep that of the host they were made on.
        if let (Some(mac), false) = (network.physical.first(), machine.nics().is_empty()) {
            return Whose {
                owned: OwnedBy::Another(Certainty::Known),
                evidence: Evidence::OtherAdapters(*mac),
            };
        }
        by_devices(devices, machine)
    }
}

/// The address of a network adapter that a system UUID ends in.
fn adapter_of(uuid: &str) -> Option<Mac> {
    let last = uuid
        .rsplit('-')
        .next()
        .filter(|last| last.len() == 12 && last.is_ascii())?;
    let pairs: Vec<&str> = (0..6)
        .filter_map(|at| last.get(at * 2..at * 2 + 2))
        .collect();
    Mac::parse(&pairs.join(":"))
}

/// Whether two UUIDs are the same in either order of bytes: SMBIOS has the first three fields
/// little-endian since version 2.6, and not everybody reads them so.
fn is_same_uuid(uuid: &str, firmware: &str) -> bool {
    let (Ok(uuid), Ok(firmware)) = (uuid::Uuid::try_parse(uuid), uuid::Uuid::try_parse(firmware))
    else {
        return false;
    };
    !uuid.is_nil() && (uuid == firmware || uuid.to_bytes_le() == firmware.into_bytes())
}

/// What the state calls an adapter and this machine's class there must go together.
fn is_of_kind(device: &DeviceOwner, class: Class) -> Option<bool> {
    if let Some(stated) = device.class {
        return Some(stated == class);
    }
    let alias = device.alias.as_deref()?;
    let kinds: [(&str, bool); 3] = [
        (
            "vmhba",
            class.is_storage() || class.is_usb() || class.is_serial_storage(),
        ),
        ("vmnic", class.is_network()),
        ("vmgfx", class.is_display()),
    ];
    let kind = kinds.iter().find(|(kind, _)| alias.starts_with(kind));
    kind.map(|(_, fits)| *fits)
}

fn by_devices(devices: &[DeviceOwner], machine: &Machine) -> Whose {
    let of_host = || devices.iter().filter(|device| !device.virtual_function);
    let named: BTreeSet<PciAddress> = of_host().filter_map(|device| device.address).collect();
    if named.len() < FEWEST || machine.functions().is_empty() {
        return Whose::UNKNOWN;
    }
    let mut kinds: BTreeMap<PciAddress, Option<bool>> = BTreeMap::new();
    let (mut missing, mut other) = (Vec::new(), 0usize);
    for device in of_host() {
        let Some(address) = device.address else {
            continue;
        };
        match machine.function(address) {
            None => missing.push(address),
            Some(function) => {
                let fits = function.class.and_then(|class| is_of_kind(device, class));
                let known = kinds.entry(address).or_insert(fits);
                *known = known.or(fits);
            }
        }
    }
    missing.sort();
    missing.dedup();
    other += kinds.values().filter(|fits| **fits == Some(false)).count();
    let present = kinds.len().saturating_sub(other);
    let missing = missing.len();
    let confirmed = kinds.values().any(|fits| *fits == Some(true));
    let owned = match () {
        () if other > 0 || missing > present => OwnedBy::Another(Certainty::Probable),
        () if missing == 0 && present >= FEWEST && confirmed => {
            OwnedBy::ThisMachine(Certainty::Probable)
        }
        () => OwnedBy::Unknown,
    };
    let evidence = Evidence::Devices {
        present,
        missing,
        other,
    };
    Whose { owned, evidence }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::recorded::Recorded;
    use crate::ownership::EsxConf;

    fn whose(machine: &str, uuid: &str, macs: &[&str], conf: &str) -> Whose {
        let recorded = Recorded::open(machine);
        whose_on(&recorded.host().machine(), uuid, macs, conf)
    }

    fn whose_on(machine: &Machine, uuid: &str, macs: &[&str], conf: &str) -> Whose {
        let identity = Identity {
            system_uuid: Some(uuid.to_owned()),
            ..Identity::default()
        };
        let network = Network {
            physical: macs.iter().filter_map(|mac| Mac::parse(mac)).collect(),
            ..Network::default()
        };
        let devices = EsxConf::parse(conf.as_bytes().to_vec()).unwrap().devices();
        Whose::of(&identity, &network, &devices, machine)
    }

    const THIS: OwnedBy = OwnedBy::ThisMachine(Certainty::Known);
    const FOREIGN: &str = "5fb27665-83f4-b1f5-3e9f-000c29801686";
    /// What the desktop has: SATA, network and three USB controllers.
    const DESKTOP: &str = "/device/0000:00:31.2/vmkname = \"vmhba0\"\n/device/0000:00:25.0/vmkname = \"vmnic0\"\n\
        /device/0000:00:20.0/owner = \"passthru\"\n/device/0000:00:29.0/owner = \"passthru\"\n";

    #[test]
    fn no_pci_function_is_read_where_an_adapter_tells_or_too_few_devices_are_named() {
        let recorded = Recorded::open("desktop");
        let machine = recorded.host().machine();
        let two: String = DESKTOP.split_inclusive('\n').take(2).collect();
        for (macs, conf) in [(&["00:0c:29:80:16:86"][..], DESKTOP), (&[], &two)] {
            let found = whose_on(&machine, FOREIGN, macs, conf);
            assert!(!found.is_this_machine(), "{found:?}");
        }
        recorded.remove("/sys/bus/pci/devices");
        assert_eq!(machine.functions(), []);
        assert_eq!(machine.nics().len(), 1);
    }

    #[test]
    fn an_adapter_or_a_uuid_of_this_machine_tells_that_it_is_this_machines() {
        let found = whose(
            "desktop",
            FOREIGN,
            &["00:0c:29:80:16:86", "60:a4:4c:61:9d:70"],
            "",
        );
        assert_eq!(found.owned, THIS);
        assert!(matches!(found.evidence, Evidence::SameAdapter(_)));
        let installed_here = "5fb27665-83f4-b1f5-3e9f-60a44c619d70";
        let found = whose("desktop", installed_here, &["00:0c:29:80:16:86"], "");
        assert!(matches!(found.evidence, Evidence::InstalledHere(_)));
        assert_eq!(found.owned, THIS);
        for uuid in [
            "4C4C4544-0051-3010-8052-B4C04F4E3132",
            "44454c4c-5100-1030-8052-b4c04f4e3132",
        ] {
            let found = whose("desktop", uuid, &[], "");
            assert_eq!(
                (found.owned, found.evidence),
                (THIS, Evidence::SameUuid),
                "{uuid}"
            );
        }
    }

    #[test]
    fn adapters_this_machine_lacks_tell_that_it_is_anothers() {
        let found = whose("desktop", FOREIGN, &["00:0c:29:80:16:86"], DESKTOP);
        assert_eq!(found.owned, OwnedBy::Another(Certainty::Known));
        assert!(matches!(found.evidence, Evidence::OtherAdapters(_)));
    }

    #[test]
    fn pci_devices_tell_it_where_no_adapter_is_named() {
        let found = whose("desktop", FOREIGN, &[], DESKTOP);
        assert_eq!(found.owned, OwnedBy::ThisMachine(Certainty::Probable));
        let found = whose("two-sockets", FOREIGN, &[], DESKTOP);
        assert_eq!(found.owned, OwnedBy::Another(Certainty::Probable));
        let evidence = Evidence::Devices {
            present: 1,
            missing: 3,
            other: 0,
        };
        assert_eq!(found.evidence, evidence);
        // The same addresses, and a network adapter where the state has storage.
        let swapped = DESKTOP.replace("vmhba0", "vmnic1");
        let found = whose("desktop", FOREIGN, &[], &swapped);
        assert_eq!(found.owned, OwnedBy::Another(Certainty::Probable));
        // A card that was moved or taken out.
        let moved = format!("{DESKTOP}/device/0000:05:00.0/owner = \"passthru\"\n");
        assert_eq!(
            whose("desktop", FOREIGN, &[], &moved).owned,
            OwnedBy::Unknown
        );
        let few = "/device/0000:00:31.2/vmkname = \"vmhba0\"\n";
        assert_eq!(whose("desktop", FOREIGN, &[], few), Whose::UNKNOWN);
        assert_eq!(whose("desktop", "", &[], ""), Whose::UNKNOWN);
    }
}
