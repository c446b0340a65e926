//! What this machine is and what hangs on its PCI functions: who made it, keyboards, display,
//! network adapters.

use super::pci::attachment_of;
use super::{Host, PciFunction, entries, value_of};
use crate::pci::{PciAddress, PciNames};
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// Where distributions keep the list of PCI ids.
pub const PCI_IDS: [&str; 2] = ["/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids"];
/// The keys that make an input device a keyboard, as udev has it: those with codes 1 to 31, from
/// Escape to the letter S.
const KEYS: u64 = 0xffff_fffe;

/// A machine. Each part of it is read when it is first asked for, and once: a server has hundreds of PCI
/// functions, and most of what is looked at is told by a UUID or by a network adapter.
///
/// The one by default is of nothing: it has no devices, and its firmware says nothing.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    host: Option<Host>,
    smbios: OnceLock<Smbios>,
    functions: OnceLock<Vec<PciFunction>>,
    keyboards: OnceLock<Vec<PciAddress>>,
    nics: OnceLock<Vec<Nic>>,
    names: OnceLock<PciNames>,
}

/// What the firmware says of the machine (SMBIOS).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Smbios {
    /// Who made it.
    pub vendor: Option<String>,
    /// What it is called.
    pub product: Option<String>,
    /// Its serial number. Only root can read it.
    pub serial: Option<String>,
    /// Its UUID, lower case. Only root can read it.
    pub uuid: Option<String>,
}

/// A network adapter that is a PCI function, or hangs on one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Nic {
    /// Its name in Linux.
    pub name: String,
    /// The PCI function.
    pub function: PciAddress,
    /// Its address.
    pub mac: Mac,
}

/// The address of a network adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Reads `00:0c:29:80:16:86`; the null address and group addresses are nobody's.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 6];
        let mut parts = text.trim().split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2)?;
            let digits = part.bytes().all(|digit| digit.is_ascii_hexdigit());
            *byte = u8::from_str_radix(part, 16).ok().filter(|_| digits)?;
        }
        let is_individual = bytes[0] & 1 == 0 && bytes != [0; 6];
        (is_individual && parts.next().is_none()).then_some(Mac(bytes))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl Machine {
    /// What its firmware says of it.
    pub fn smbios(&self) -> &Smbios {
        self.part(&self.smbios, Host::smbios)
    }

    /// Its PCI functions, in order of the addresses.
    pub fn functions(&self) -> &[PciFunction] {
        self.part(&self.functions, Host::pci_functions).as_slice()
    }

    /// The PCI functions that keyboards hang on, each once. One at a PS/2 port hangs on none.
    pub fn keyboards(&self) -> &[PciAddress] {
        self.part(&self.keyboards, Host::keyboards).as_slice()
    }

    /// Its network adapters.
    pub fn nics(&self) -> &[Nic] {
        self.part(&self.nics, Host::nics).as_slice()
    }

    /// Names of PCI vendors and devices, from the list the system has, or the few that are built in.
    pub fn names(&self) -> &PciNames {
        self.part(&self.names, Host::pci_names)
    }

    /// The PCI function at an address.
    pub fn function(&self, address: PciAddress) -> Option<&PciFunction> {
        let mut functions = self.functions().iter();
        functions.find(|function| function.address == address)
    }

    /// The PCI function the screen hangs on: the one the firmware used, else the only one there is.
    pub fn display(&self) -> Option<PciAddress> {
        let is_display = |function: &&PciFunction| function.class.is_some_and(|it| it.is_display());
        let mut boot = self.functions().iter().filter(|it| it.is_boot_display);
        let mut all = self.functions().iter().filter(is_display);
        let found = match (boot.next(), all.next(), all.next()) {
            (Some(boot), ..) => Some(boot),
            (None, Some(only), None) => Some(only),
            _ => None,
        };
        found.map(|function| function.address)
    }

    fn part<'m, T: Default>(&'m self, part: &'m OnceLock<T>, read: fn(&Host) -> T) -> &'m T {
        part.get_or_init(|| self.host.as_ref().map(read).unwrap_or_default())
    }
}

impl Host {
    /// The machine, of which nothing is read yet.
    pub fn machine(&self) -> Machine {
        Machine {
            host: Some(self.clone()),
            ..Machine::default()
        }
    }

    fn pci_names(&self) -> PciNames {
        let text = PCI_IDS.iter().find_map(|path| self.bytes(path));
        PciNames::new(text.unwrap_or_default())
    }

    fn smbios(&self) -> Smbios {
        let dir = self.below_root("/sys/class/dmi/id");
        let field = |name: &str| value_of(&dir.join(name));
        Smbios {
            vendor: field("sys_vendor"),
            product: field("product_name"),
            serial: field("product_serial"),
            uuid: field("product_uuid").map(|uuid| uuid.to_ascii_lowercase()),
        }
    }

    fn keyboards(&self) -> Vec<PciAddress> {
        let inputs = entries(&self.below_root("/sys/class/input")).into_values();
        let inputs = inputs.filter(|dir| has_letters(dir));
        let interfaces = entries(&self.below_root("/sys/bus/usb/devices")).into_values();
        let interfaces = interfaces.filter(|dir| is_boot_keyboard(dir));
        let mut functions: Vec<PciAddress> = inputs
            .chain(interfaces)
            .filter_map(|dir| Some(attachment_of(&fs::canonicalize(dir).ok()?)?.controller))
            .collect();
        functions.sort();
        functions.dedup();
        functions
    }

    fn nics(&self) -> Vec<Nic> {
        let interfaces = entries(&self.below_root("/sys/class/net")).into_iter();
        interfaces
            .filter_map(|(name, dir)| {
                Some(Nic {
                    name,
                    mac: Mac::parse(&value_of(&dir.join("address"))?)?,
                    function: attachment_of(&fs::canonicalize(dir).ok()?)?.controller,
                })
            })
            .collect()
    }
}

/// Whether an input device has the keys of a keyboard: `capabilities/key` is a row of words, the
/// lowest last.
fn has_letters(input: &Path) -> bool {
    let keys = value_of(&input.join("capabilities/key"));
    let lowest = keys
        .as_deref()
        .and_then(|keys| keys.split_whitespace().last());
    let lowest = lowest.and_then(|word| u64::from_str_radix(word, 16).ok());
    lowest.is_some_and(|word| word & KEYS == KEYS)
}

/// Whether a USB interface is a keyboard by its class (HID), subclass (boot) and protocol: that
/// tells one where no driver has it.
fn is_boot_keyboard(interface: &Path) -> bool {
    let code = |name: &str| value_of(&interface.join(name));
    let [class, subclass, protocol] = [
        "bInterfaceClass",
        "bInterfaceSubClass",
        "bInterfaceProtocol",
    ]
    .map(code);
    class.as_deref() == Some("03")
        && subclass.as_deref() == Some("01")
        && protocol.as_deref() == Some("01")
}
