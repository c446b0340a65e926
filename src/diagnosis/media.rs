//! Which of several disks or files are boot media of ESXi hosts, whose, and in what condition.
//!
//! Each is looked at on its own, and what keeps one from being read says nothing of the others.

use super::role::{Consequence, Role};
use super::situation::Situation;
use super::survey::{PassedDevice, Standing, Survey};
use super::whose::{Certainty, Whose};
use crate::error::ErrorKind;
use crate::host::{Disk, Host, Machine, Use};
use crate::medium::{CachedReads, Identity, MediumError, ReadAt as _, Target};
use crate::partition::TableError;
use crate::pci::PciAddress;
use crate::stick::{Cause, Error, NextBoot, Settings, Stick};
use crate::target::Kind;
use std::path::{Path, PathBuf};

/// Disks that cannot be boot media: made of memory, made of other disks, optical drives, floppies.
const NEVER: [&str; 6] = ["zram", "ram", "dm-", "md", "sr", "fd"];

/// A disk or a file, and what was found on it.
#[derive(Debug)]
#[non_exhaustive]
pub struct FoundMedium {
    /// Its node, or the file.
    pub path: PathBuf,
    /// The disk, where it is one.
    pub disk: Option<Disk>,
    /// Size in bytes, where it is known.
    pub size: Option<u64>,
    /// What keeps it busy.
    pub uses: Vec<Use>,
    /// Mount points and swap of the running system that are on it.
    pub system: Vec<PathBuf>,
    /// What it is.
    pub found: Found,
}

/// What a disk or a file turned out to be.
#[derive(Debug)]
#[non_exhaustive]
pub enum Found {
    /// The boot medium of a host.
    Medium(Box<Summary>),
    /// It may be one, and is damaged so that nothing more can be said.
    Damaged(Error),
    /// It may be one, and cannot be opened.
    Closed(MediumError),
    /// It would have to be unpacked or handed to QEMU first, and was not: what it is.
    NotLookedInto(Kind),
    /// It is none, and why.
    Other(String),
}

/// A boot medium in short.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// The host's name.
    pub host: Option<String>,
    /// Its system UUID; clones share it.
    pub system_uuid: Option<String>,
    /// `build` of the bank that boots next, or of the first bank that has one.
    pub build: Option<String>,
    /// The bank that boots next.
    pub boots_next: Option<u32>,
    /// The devices that are passed through in that bank, where that is known.
    pub passed_through: Option<Vec<PassedDevice>>,
    /// What the host shows while they are.
    pub consequences: Vec<Consequence>,
    /// Whose it is.
    pub whose: Whose,
    /// The PCI function of this machine it hangs on.
    pub controller: Option<PciAddress>,
    /// In what condition it is.
    pub verdict: Verdict,
}

/// The condition of a boot medium, in one word.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The host starts from it.
    Boots,
    /// The host starts from it, and has given the controller of this medium away.
    BootControllerPassedThrough(Certainty),
    /// The host starts from it, and what is in its state only the host can read.
    Sealed,
    /// The host starts from it, and its state cannot be read, or nothing can be written to it: why.
    Damaged(String),
    /// The host does not start from it: why.
    DoesNotBoot(String),
    /// It cannot be told: why.
    Undecided(String),
}

impl Verdict {
    /// The word used in output.
    pub fn as_str(&self) -> &'static str {
        match self {
            Verdict::Boots => "boots",
            Verdict::BootControllerPassedThrough(_) => "passed-through boot controller",
            Verdict::Sealed => "sealed",
            Verdict::Damaged(_) => "damaged",
            Verdict::DoesNotBoot(_) => "does not boot",
            Verdict::Undecided(_) => "undecided",
        }
    }

    /// Why, where there is more to say than the word.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Verdict::Damaged(why) | Verdict::DoesNotBoot(why) | Verdict::Undecided(why) => {
                Some(why)
            }
            _ => None,
        }
    }
}

impl Found {
    /// The condition as a word, whatever it is.
    pub fn as_str(&self) -> &'static str {
        match self {
            Found::Medium(summary) => summary.verdict.as_str(),
            Found::Damaged(_) => "damaged",
            Found::Closed(_) => "cannot be opened",
            Found::NotLookedInto(_) => "not looked into",
            Found::Other(_) => "no ESXi boot medium",
        }
    }
}

/// The attached disks that may be boot media, loop devices among them.
pub fn attached_disks(host: &Host) -> Vec<Disk> {
    let may_be = |disk: &Disk| !NEVER.iter().any(|never| disk.name.starts_with(never));
    host.disks().into_iter().filter(may_be).collect()
}

/// The files of a folder, in order of their names.
///
/// # Errors
/// What the operating system reported of the folder.
pub fn files_in(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Looks at a disk or a file. `settings` says how to open what has sectors of so many bytes.
pub fn look_at<'k>(
    path: &Path,
    host: &Host,
    local: &Machine,
    settings: impl FnOnce(Option<u32>) -> Settings<'k>,
) -> FoundMedium {
    let disk = match Identity::of(path, host) {
        Ok(Identity::Disk(number)) => host.disk(number),
        _ => None,
    };
    let number = disk.as_ref().map(|disk| disk.number);
    let mut uses = number.map_or(Vec::new(), |number| host.uses_of(number));
    uses.extend(number.map_or(Vec::new(), |number| host.openers_of(number)));
    let mut medium = FoundMedium {
        path: path.to_owned(),
        size: disk.as_ref().map(|disk| disk.size),
        system: number.map_or(Vec::new(), |number| host.system_uses_of(number)),
        uses,
        disk,
        found: Found::Other(String::new()),
    };
    if let Ok(kind @ (Kind::Packed(_) | Kind::VirtualDisk(_))) = Kind::of(path, host) {
        medium.size = std::fs::metadata(path).ok().map(|it| it.len());
        medium.found = Found::NotLookedInto(kind);
        return medium;
    }
    let target = match Target::open_read(path, host) {
        Ok(target) => target,
        Err(error) => {
            medium.found = of_unopened(error);
            return medium;
        }
    };
    medium.size = Some(target.size());
    let cached = CachedReads::new(&target);
    medium.found = match Stick::open(&cached, &settings(target.logical_sector_size())) {
        Ok(stick) => {
            let disk = medium.disk.as_ref();
            let situation = Situation::of(&stick, disk, host, local);
            Found::Medium(Box::new(Summary::of(&Survey::of(&stick), &situation)))
        }
        Err(error) => of_unread(error),
    };
    medium
}

/// A file of another kind is none; what may not be opened may be one.
fn of_unopened(error: MediumError) -> Found {
    match error.kind() {
        ErrorKind::Refused | ErrorKind::Io => Found::Closed(error),
        _ => Found::Other(error.to_string()),
    }
}

/// A disk without a table or a bank is none; one whose table is broken may be one.
fn of_unread(error: Error) -> Found {
    let is_none = error.kind() == ErrorKind::Unsupported
        || matches!(
            error.cause,
            Cause::NoBank(_)
                | Cause::Table(TableError::Empty | TableError::SmallerThanASector { .. })
        );
    if is_none {
        Found::Other(error.to_string())
    } else {
        Found::Damaged(error)
    }
}

impl Summary {
    /// Of what was found on a medium.
    pub fn of(survey: &Survey, situation: &Situation<'_>) -> Self {
        let next = survey.banks.iter().filter(|bank| bank.boots_next);
        let banks = || next.clone().chain(&survey.banks);
        let mut states = banks().flat_map(|bank| bank.states.iter().rev());
        let identity = states.find_map(|state| state.identity.as_ref());
        let standing = survey.standing();
        let passed_through = match &standing {
            Standing::Read { passed_through, .. } => Some(passed_through.clone()),
            _ => None,
        };
        let consequences = situation.consequences(passed_through.as_deref().unwrap_or_default());
        Summary {
            host: identity.and_then(|identity| identity.name.clone()),
            system_uuid: identity.and_then(|identity| identity.system_uuid.clone()),
            build: banks().find_map(|bank| bank.build.clone()),
            boots_next: survey.next_boot.partition(),
            verdict: verdict(survey, &standing, situation),
            passed_through,
            consequences,
            whose: situation.whose.clone(),
            controller: situation.attachment.as_ref().map(|it| it.controller),
        }
    }
}

fn verdict(survey: &Survey, standing: &Standing, situation: &Situation<'_>) -> Verdict {
    match &survey.next_boot {
        NextBoot::Boots { .. } | NextBoot::NoMedium => {}
        NextBoot::Stops { stops, .. } => {
            let first = stops.first().map(ToString::to_string);
            return Verdict::DoesNotBoot(first.unwrap_or_default());
        }
        NextBoot::Nothing { why } => return Verdict::DoesNotBoot(why.clone()),
        NextBoot::Undecided { why, .. } => return Verdict::Undecided(why.clone()),
    }
    if let Some(why) = &survey.unwritable {
        return Verdict::Damaged(why.to_string());
    }
    match standing {
        Standing::Sealed | Standing::KeyDoesNotFit => Verdict::Sealed,
        Standing::Unopened => {
            let mut next = survey.banks.iter().filter(|bank| bank.boots_next);
            let error = next.find_map(|bank| {
                let mut states = bank.states.iter().rev();
                let of_state = states.find_map(|state| state.error.as_ref());
                bank.error.as_ref().or(of_state)
            });
            Verdict::Damaged(error.map_or(String::new(), ToString::to_string))
        }
        Standing::Read { passed_through, .. } => {
            let parts = passed_through
                .iter()
                .flat_map(|device| situation.parts(device));
            let boot = parts.filter(|part| part.role == Role::BootController);
            match boot.map(|part| part.certainty).min() {
                Some(certainty) => Verdict::BootControllerPassedThrough(certainty),
                None => Verdict::Boots,
            }
        }
        Standing::NoneBoots | Standing::NoState | Standing::NotLoaded => Verdict::Boots,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::recorded::Recorded;
    use crate::medium::Memory;
    use crate::state::{KeyCache, Limits};
    use std::io::Read as _;

    fn image(name: &str) -> Vec<u8> {
        let packed = std::fs::File::open(format!("testimages/{name}.img.gz")).unwrap();
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(packed)
            .read_to_end(&mut bytes)
            .unwrap();
        bytes
    }

    /// What is said of an image on a disk of a machine that has this network adapter.
    fn summary(name: &str, machine: &str, disk: Option<&str>, mac: &str) -> Summary {
        summary_of(image(name), machine, disk, mac)
    }

    fn summary_of(image: Vec<u8>, machine: &str, disk: Option<&str>, mac: &str) -> Summary {
        let recorded = Recorded::open(machine);
        let nic = "/sys/devices/pci0000:00/0000:00:19.0/net/eth0/address";
        recorded.file(nic, mac);
        let host = recorded.host();
        let local = host.machine();
        let disks = host.disks();
        let disk = disk.and_then(|name| disks.iter().find(|disk| disk.name == name));
        let (medium, keys) = (Memory::new(image), KeyCache::new());
        let settings = Settings {
            sector_size: None,
            limits: Limits::default(),
            keys: &keys,
        };
        let stick = Stick::open(&medium, &settings).unwrap();
        let situation = Situation::of(&stick, disk, &host, &local);
        Summary::of(&Survey::of(&stick), &situation)
    }

    const OWN: &str = "00:0c:29:cd:1e:50";

    #[test]
    fn the_verdict_says_what_matters_most() {
        let known = Verdict::BootControllerPassedThrough(Certainty::Known);
        let probable = Verdict::BootControllerPassedThrough(Certainty::Probable);
        let cases = [
            ("esxi67-usb-passthru", Some("sdb"), OWN, &known),
            (
                "esxi67-usb-passthru",
                Some("sdb"),
                "00:00:00:00:00:01",
                &probable,
            ),
            ("esxi67-usb-passthru", None, OWN, &probable),
            // This disk hangs on SATA, which is not passed through.
            ("esxi67-usb-passthru", Some("sda"), OWN, &Verdict::Boots),
            ("esxi55-fragmented", None, OWN, &Verdict::Boots),
            ("esxi702-sealed", None, OWN, &Verdict::Sealed),
        ];
        for (image, disk, mac, verdict) in cases {
            let summary = summary(image, "desktop", disk, mac);
            assert_eq!(&summary.verdict, verdict, "{image} {disk:?} {mac}");
        }
    }

    /// The loader does not ask how many sectors a volume says it has.
    #[test]
    fn a_bank_that_boots_and_cannot_be_opened_does_not_start_with_default_settings() {
        let mut image = image("esxi67-fresh");
        let total_sectors = 8224 * 512 + 0x13;
        let more = u16::from_le_bytes([image[total_sectors], image[total_sectors + 1]]) + 64;
        image[total_sectors..total_sectors + 2].copy_from_slice(&more.to_le_bytes());
        let summary = summary_of(image, "desktop", None, OWN);
        assert_eq!(summary.boots_next, Some(5));
        assert_eq!(summary.passed_through, None);
        let Verdict::Damaged(why) = &summary.verdict else {
            panic!("{:?}", summary.verdict);
        };
        assert!(why.contains("partition 5"), "{why}");
    }

    #[test]
    fn a_summary_names_host_build_bank_and_what_follows() {
        let found = summary("esxi67-usb-passthru", "desktop", Some("sdb"), OWN);
        assert_eq!(found.build.as_deref(), Some("6.7.0-8169922"));
        assert_eq!(found.boots_next, Some(5));
        assert_eq!(
            found.system_uuid.as_deref(),
            Some("5b2641d7-113a-4e67-9ba9-05f407e42677")
        );
        assert_eq!(
            found.controller.map(|at| at.lspci()).as_deref(),
            Some("00:14.0")
        );
        assert_eq!(found.passed_through.map(|devices| devices.len()), Some(2));
        // The keyboard hangs on 1d.0, which is passed through as well.
        assert_eq!(found.consequences.len(), 3);
    }

    #[test]
    fn a_file_that_is_no_medium_is_told_from_one_that_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let mut spoiled = image("esxi67-fresh");
        spoiled[512..1024].fill(0);
        let files: [(&str, &[u8]); 5] = [
            ("a.img", &image("esxi67-fresh")),
            ("b.img", &spoiled),
            ("c.txt", b"notes"),
            ("d.gz", &[0x1f, 0x8b, 8, 0]),
            ("e.img", &[]),
        ];
        for (name, content) in files {
            std::fs::write(dir.path().join(name), content).unwrap();
        }
        std::fs::create_dir(dir.path().join("folder.img")).unwrap();
        let (host, local, keys) = (Host::default(), Machine::default(), KeyCache::new());
        let found = files_in(dir.path()).unwrap();
        let found = found.iter().map(|path| {
            let settings = |sector_size| Settings {
                sector_size,
                limits: Limits::default(),
                keys: &keys,
            };
            look_at(path, &host, &local, settings).found.as_str()
        });
        let none = "no ESXi boot medium";
        let expected = [
            "passed-through boot controller",
            "damaged",
            none,
            "not looked into",
            none,
        ];
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }
}
