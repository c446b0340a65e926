//! Whose a medium is, which device is which, and what follows, in words.

use crate::cli::terminal::{WARNING, plural, shown, size, styled};
use crate::diagnosis::{
    Certainty, Consequence, Evidence, OwnedBy, Part, PassedDevice, Role, Situation, Standing,
    Survey, Unread, Whose,
};
use crate::host::Disk;
use crate::ownership::Source;
use crate::stick::{Cause, Error};
use schemars::JsonSchema;
use serde::Serialize;
use std::fmt::Write as _;

/// Whose a medium is.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct BelongsTo {
    /// `this machine`, `another host`; nothing where that cannot be told.
    pub whom: Option<&'static str>,
    /// Whether that is known, and not only probable.
    pub is_known: bool,
    /// Why, in words.
    pub why: String,
}

impl From<&Whose> for BelongsTo {
    fn from(whose: &Whose) -> Self {
        BelongsTo {
            whom: whose.owned.as_str(),
            is_known: matches!(
                whose.owned,
                OwnedBy::ThisMachine(Certainty::Known) | OwnedBy::Another(Certainty::Known)
            ),
            why: evidence_in_words(&whose.evidence),
        }
    }
}

/// What the host shows while a device is passed through.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SymptomObject {
    /// `no configuration saved`, `VMware Tools images missing`, `console keyboard dead`,
    /// `console dark` or `management network lost`.
    pub symptom: &'static str,
    /// The device it follows from: its address, or its key where that is no address.
    pub device: String,
    /// Whether that is known, and not only probable.
    pub is_known: bool,
}

impl From<&Consequence> for SymptomObject {
    fn from(consequence: &Consequence) -> Self {
        let device = &consequence.device;
        let address = device.typed_address();
        SymptomObject {
            symptom: consequence.symptom.as_str(),
            device: address.unwrap_or_else(|| device.key.clone()),
            is_known: consequence.certainty == Certainty::Known,
        }
    }
}

/// What a device is to the host.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RoleObject {
    /// `this medium's controller`, `keyboard`, `display` or `management NIC`.
    pub role: &'static str,
    /// Whether it is a bridge above the device that is it.
    pub is_bridge: bool,
    /// Whether that is known, and not only probable.
    pub is_known: bool,
}

impl From<&Part> for RoleObject {
    fn from(part: &Part) -> Self {
        RoleObject {
            role: role_in_words(part.role),
            is_bridge: part.is_bridge,
            is_known: part.certainty == Certainty::Known,
        }
    }
}

impl RoleObject {
    /// `keyboard`, `probably this medium's controller`, `bridge above the display`.
    pub fn in_words(&self) -> String {
        let probably = if self.is_known { "" } else { "probably " };
        let bridge = match (self.is_bridge, self.role) {
            (false, _) => "",
            (true, THIS_MEDIUM) => "bridge above ",
            (true, _) => "bridge above the ",
        };
        format!("{probably}{bridge}{}", self.role)
    }
}

const THIS_MEDIUM: &str = "this medium's controller";

/// A disk as a person tells it from another: `SanDisk Cruzer Fit, serial 4C53, 7.5 GiB`.
pub fn disk_in_words(disk: &Disk) -> String {
    let mut parts = Vec::new();
    parts.extend(disk.product().map(|product| shown(&product)));
    let serial = disk.serial.as_deref();
    parts.extend(serial.map(|serial| format!("serial {}", shown(serial))));
    parts.push(size(disk.size));
    parts.join(", ")
}

/// What has to be done before a medium of this host is changed: the beginning of a sentence, which a
/// command goes on.
pub fn first_of_all(whose: &Whose) -> &'static str {
    match whose.owned {
        // Who asks may do so from a virtual machine on it.
        OwnedBy::ThisMachine(Certainty::Known) => "with ESXi down, ",
        _ => "power the host off, then ",
    }
}

/// Whose a medium is, and why: a sentence.
pub fn whose_in_words(whose: &Whose) -> String {
    let belongs = match whose.owned {
        OwnedBy::ThisMachine(Certainty::Known) => "this medium belongs to this machine",
        OwnedBy::ThisMachine(Certainty::Probable) => "this medium probably belongs to this machine",
        OwnedBy::Another(Certainty::Known) => "this medium belongs to another host",
        OwnedBy::Another(Certainty::Probable) => "this medium probably belongs to another host",
        OwnedBy::Unknown => "whether this medium belongs to this machine cannot be told",
    };
    format!("{belongs}: {}", evidence_in_words(&whose.evidence))
}

fn evidence_in_words(evidence: &Evidence) -> String {
    match evidence {
        Evidence::SameAdapter(mac) => {
            format!("its state names the network adapter {mac}, which this machine has")
        }
        Evidence::InstalledHere(mac) => {
            format!(
                "its system UUID ends in {mac}, the address of a network adapter of this machine"
            )
        }
        Evidence::SameUuid => "its system UUID is that of this machine's firmware".to_owned(),
        Evidence::OtherAdapters(mac) => format!(
            "its state names the network adapter {mac}, and this machine has none of those it names"
        ),
        Evidence::Devices {
            present,
            missing,
            other,
        } => {
            let others = match other {
                0 => String::new(),
                other => format!(
                    ", and another kind of device in {other} place{}",
                    plural(*other)
                ),
            };
            format!(
                "of the PCI devices in its state this machine has {present} and lacks {missing}{others}"
            )
        }
        _ => "its state names neither network adapters nor enough PCI devices, or cannot be opened"
            .to_owned(),
    }
}

fn role_in_words(role: Role) -> &'static str {
    match role {
        Role::BootController => THIS_MEDIUM,
        Role::Keyboard => "keyboard",
        Role::Display => "display",
        _ => "management NIC",
    }
}

/// What follows from devices that are passed through, a line for each device and role; empty where
/// nothing is known of any.
fn consequences_in_words(devices: &[PassedDevice], situation: &Situation<'_>) -> Vec<String> {
    let of_device = |device: &PassedDevice| {
        let name = passed_in_words(device);
        let parts = situation.parts(device).into_iter();
        parts
            .map(|part| {
                let (is, then) = match part.certainty {
                    Certainty::Known => ("is", ""),
                    Certainty::Probable => ("is probably", "then "),
                };
                let bridge = if part.is_bridge { "the bridge above " } else { "" };
                let (what, follows) = match part.role {
                    Role::BootController => (
                        THIS_MEDIUM,
                        "the host starts but saves no configuration, and the VMware Tools images are missing",
                    ),
                    Role::Keyboard => (
                        "the controller of a keyboard",
                        "at the console that keyboard is dead",
                    ),
                    Role::Display => ("the display", "the console stays dark"),
                    _ => (
                        "the adapter of the management network",
                        "the host cannot be reached through it",
                    ),
                };
                format!("{name} {is} {bridge}{what}: {then}{follows}.")
            })
            .collect::<Vec<String>>()
    };
    devices.iter().flat_map(of_device).collect()
}

/// A device as `0000:00:14.0 (vmhba32)`.
pub fn passed_in_words(device: &PassedDevice) -> String {
    let address = device.typed_address();
    let name = address.unwrap_or_else(|| device.key.clone());
    let name = shown(&name);
    match &device.alias {
        Some(alias) => format!("{name} ({})", shown(alias)),
        None => name,
    }
}

/// What the passed-through devices of the bank that boots next can have done to the host, and
/// what to do next. The target is as commands name it: those that look, and those that change it.
pub fn standing_in_words(
    survey: &Survey,
    (target, changed): (&str, &str),
    situation: &Situation<'_>,
) -> String {
    match survey.standing() {
        Standing::NoneBoots => String::new(),
        Standing::NoState => {
            "The bank that boots next holds no saved settings: the host starts with default settings.\n".to_owned()
        }
        Standing::NotLoaded => {
            "The host loads no state of the bank that boots next: it starts with default settings.\n".to_owned()
        }
        Standing::Sealed => format!(
            "The state of the bank that boots next is sealed, so it is not known which devices are passed through.\n\
             Next: with the host's recovery key in a file, `bootbank fix --recovery-key FILE {changed}`; without it, only the host itself can change it.\n"
        ),
        Standing::KeyDoesNotFit => format!(
            "The state of the bank that boots next is sealed, and this recovery key does not open it, so it is not known which devices are passed through.\n\
             Next: `bootbank fix --recovery-key FILE {changed}` with the key of the host that sealed it; without it, only the host itself can change it.\n"
        ),
        Standing::Unopened => format!(
            "The state of the bank that boots next cannot be opened, so it is not known which devices are passed through.\n\
             Next: `bootbank verify {target}` says what is wrong.\n"
        ),
        Standing::Read {
            passed_through,
            unread,
            doubtful: 0,
        } if passed_through.is_empty() => format!(
            "No device is passed through in the bank that boots next.\n{}",
            unread_in_words(unread.as_ref())
        ),
        Standing::Read { passed_through, .. } if passed_through.is_empty() => {
            "The state in the bank that boots next has entries that may pass a device through, in a form bootbank does not know. \
             See the warnings.\n"
                .to_owned()
        }
        Standing::Read { passed_through, unread, .. } => {
            let mut text = devices_in_words(&passed_through, situation);
            text.push_str(&unread_in_words(unread.as_ref()));
            text.push_str(&match &survey.unwritable {
                None => {
                    let next = survey.next_boot.partition();
                    let only = next.filter(|_| !survey.unwritable_others.is_empty());
                    let only = only.map(|number| format!("--bank {number} {changed}"));
                    let changed = only.as_deref().unwrap_or(changed);
                    next_in_words(&passed_through, (target, changed), situation)
                }
                Some(Error { cause: Cause::Cut(_), .. }) => {
                    "Nothing can be changed on this medium, because it is cut off.\n".to_owned()
                }
                Some(Error { partition: Some(number), cause: Cause::State(why), .. }) => format!(
                    "bootbank cannot give them back in bank {number}: {}.\n",
                    shown(&why.to_string())
                ),
                Some(Error { partition: Some(number), cause, .. }) => format!(
                    "Nothing can be changed in bank {number}: {}.\n",
                    shown(&cause.to_string())
                ),
                Some(why) => format!(
                    "Nothing can be changed on this medium: {}.\n",
                    shown(&why.to_string())
                ),
            });
            text
        }
    }
}

/// The devices that only a file passes through from which the host takes no owners.
pub fn unread_in_words(unread: Option<&Unread>) -> String {
    let Some(unread) = unread else {
        return String::new();
    };
    let names: Vec<String> = unread.devices.iter().map(passed_in_words).collect();
    let (file, other) = match unread.source {
        Source::EsxConf => ("esx.conf", "the ConfigStore"),
        Source::ConfigStore => ("the ConfigStore", "esx.conf"),
    };
    format!(
        "Only {file} passes {} through: a host of this release reads {other} instead.\n",
        names.join(", ")
    )
}

/// The devices that are passed through, one on each line.
pub fn list_in_words(devices: &[PassedDevice]) -> String {
    let mut text = match devices.len() {
        0 => return String::new(),
        1 => "1 device is".to_owned(),
        many => format!("{many} devices are"),
    };
    text.push_str(" passed through in the bank that boots next:\n");
    for device in devices {
        let _ = writeln!(text, "  {}", styled(&passed_in_words(device), WARNING));
    }
    text
}

fn devices_in_words(devices: &[PassedDevice], situation: &Situation<'_>) -> String {
    let mut text = list_in_words(devices);
    for line in consequences_in_words(devices, situation) {
        let _ = writeln!(text, "{line}");
    }
    let parts = devices.iter().flat_map(|device| situation.parts(device));
    let roles: Vec<Role> = parts.map(|part| part.role).collect();
    let knows_all = situation.machine().is_some() && situation.attachment.is_some();
    let (it, each) = match devices.len() {
        1 => ("it", "it"),
        _ => ("one of them", "one"),
    };
    match (knows_all, roles.contains(&Role::BootController)) {
        (_, true) => {}
        (true, false) => {
            let none = if devices.len() == 1 {
                "It is not"
            } else {
                "None of them is"
            };
            let _ = writeln!(text, "{none} this medium's controller.");
        }
        (false, false) if devices.iter().all(|it| !situation.may_be_controller(it)) => {}
        (false, false) => {
            let _ = writeln!(
                text,
                "If {it} is the controller of this medium, the host starts but saves no configuration,\n\
                 and the VMware Tools images are missing."
            );
        }
    }
    match (knows_all, roles.contains(&Role::Keyboard)) {
        (_, true) => {}
        (true, false) => {
            let _ = writeln!(text, "No keyboard of this machine hangs on {it}.");
        }
        (false, false) if devices.iter().all(|it| situation.is_usb(it) == Some(false)) => {}
        (false, false) => {
            let _ = writeln!(
                text,
                "If {each} is the USB controller of the keyboard, the console keyboard is dead."
            );
        }
    }
    text
}

/// What to do about devices that are passed through.
fn next_in_words(
    devices: &[PassedDevice],
    (target, changed): (&str, &str),
    situation: &Situation<'_>,
) -> String {
    let again = if devices.len() == 1 {
        "it back"
    } else {
        "them all back"
    };
    let mut text = format!(
        "Next: {}`bootbank fix {changed}` gives {again}.\n",
        first_of_all(&situation.whose)
    );
    let mut parts = devices.iter().flat_map(|device| situation.parts(device));
    let holds_medium = parts.any(|part| part.role == Role::BootController);
    if holds_medium && situation.boot_device().is_some() {
        let _ = writeln!(
            text,
            "`bootbank fix --boot-device {changed}` gives only this medium's controller back, with what goes with it."
        );
    }
    if devices.len() > 1 {
        let _ = writeln!(
            text,
            "`bootbank fix -d ADDR {changed}` gives one back; `bootbank pci list {target}` lists every device."
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::Survey;
    use crate::host::recorded::Recorded;
    use crate::medium::Memory;
    use crate::state::{KeyCache, Limits};
    use crate::stick::{Settings, Stick};
    use std::io::Read as _;

    /// What `info` says of an image on a disk of the desktop, whose network adapter has this address.
    fn standing(disk: Option<&str>, mac: &str) -> String {
        let packed = std::fs::File::open("testimages/esxi67-usb-passthru.img.gz").unwrap();
        let mut image = Vec::new();
        flate2::read::GzDecoder::new(packed)
            .read_to_end(&mut image)
            .unwrap();
        let (medium, keys) = (Memory::new(image), KeyCache::new());
        let settings = Settings {
            sector_size: None,
            limits: Limits::default(),
            keys: &keys,
        };
        let stick = Stick::open(&medium, &settings).unwrap();
        let recorded = Recorded::open("desktop");
        recorded.file("/sys/devices/pci0000:00/0000:00:19.0/net/eth0/address", mac);
        let host = recorded.host();
        let local = host.machine();
        let disks = host.disks();
        let disk = disk.and_then(|name| disks.iter().find(|disk| disk.name == name));
        let situation = Situation::of(&stick, disk, &host, &local);
        let standing = standing_in_words(&Survey::of(&stick), ("/dev/sdb", "/dev/sdb"), &situation);
        let plain = anstream::adapter::strip_str(&standing).to_string();
        format!("{plain}{}", whose_in_words(&situation.whose))
    }

    #[test]
    fn on_its_own_machine_what_follows_is_stated() {
        insta::assert_snapshot!(standing(Some("sdb"), "00:0c:29:cd:1e:50"), @r"
        2 devices are passed through in the bank that boots next:
          0000:00:14.0 (vmhba32)
          0000:00:1d.0
        0000:00:14.0 (vmhba32) is this medium's controller: the host starts but saves no configuration, and the VMware Tools images are missing.
        0000:00:1d.0 is the controller of a keyboard: at the console that keyboard is dead.
        Next: with ESXi down, `bootbank fix /dev/sdb` gives them all back.
        `bootbank fix --boot-device /dev/sdb` gives only this medium's controller back, with what goes with it.
        `bootbank fix -d ADDR /dev/sdb` gives one back; `bootbank pci list /dev/sdb` lists every device.
        this medium belongs to this machine: its state names the network adapter 00:0c:29:cd:1e:50, which this machine has
        ");
    }

    #[test]
    fn elsewhere_it_is_probable() {
        insta::assert_snapshot!(standing(Some("sdb"), "60:a4:4c:61:9d:70"), @r"
        2 devices are passed through in the bank that boots next:
          0000:00:14.0 (vmhba32)
          0000:00:1d.0
        0000:00:14.0 (vmhba32) is probably this medium's controller: then the host starts but saves no configuration, and the VMware Tools images are missing.
        If one is the USB controller of the keyboard, the console keyboard is dead.
        Next: power the host off, then `bootbank fix /dev/sdb` gives them all back.
        `bootbank fix -d ADDR /dev/sdb` gives one back; `bootbank pci list /dev/sdb` lists every device.
        this medium belongs to another host: its state names the network adapter 00:0c:29:cd:1e:50, and this machine has none of those it names
        ");
    }

    #[test]
    fn a_disk_that_hangs_on_none_of_them_is_told_so() {
        insta::assert_snapshot!(standing(Some("sda"), "00:0c:29:cd:1e:50"), @r"
        2 devices are passed through in the bank that boots next:
          0000:00:14.0 (vmhba32)
          0000:00:1d.0
        0000:00:1d.0 is the controller of a keyboard: at the console that keyboard is dead.
        None of them is this medium's controller.
        Next: with ESXi down, `bootbank fix /dev/sdb` gives them all back.
        `bootbank fix -d ADDR /dev/sdb` gives one back; `bootbank pci list /dev/sdb` lists every device.
        this medium belongs to this machine: its state names the network adapter 00:0c:29:cd:1e:50, which this machine has
        ");
    }

    #[test]
    fn a_disk_is_told_by_model_serial_and_size() {
        let disks = Recorded::open("desktop").host().disks();
        let words: Vec<String> = disks.iter().map(disk_in_words).collect();
        insta::assert_snapshot!(words.join("\n"), @r"
        WDC WD5003AZEX, 465.8 GiB
        SanDisk Cruzer Fit, serial 4C530001230617114250, 7.5 GiB
        ");
    }
}
