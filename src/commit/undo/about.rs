//! What an undo file tells of its change: which target it is for, whose, and what was done.

use crate::bytes::hex;
use crate::medium::nbd::Address;
use crate::medium::{ReadAt as _, Target};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const TARGET: &str = "target";
/// The path's bytes in hexadecimal, of one that is not UTF-8.
const TARGET_BYTES: &str = "target bytes";
const TIME: &str = "time";
const PROGRAM: &str = "program";
const COMMAND: &str = "command";
const MODEL: &str = "model";
const SERIAL: &str = "serial";
const HOST: &str = "host";
const SYSTEM_UUID: &str = "system uuid";
const CHANGES: &str = "changes";
const CHANGED: &str = "changed";
/// Before the number of a partition: the UUID of its bank.
const BANK: &str = "bank";

/// What an undo file tells of its change. Shown to a person, and what tells the undo files of one medium
/// from those of others; never decisive for what is written. What an older version did not keep is
/// missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct About {
    /// The target by the name it had then, as an absolute path or an address of an NBD export.
    pub target: Option<PathBuf>,
    /// When the undo file was made.
    pub time: Option<SystemTime>,
    /// The program that made it, and its version.
    pub program: Option<String>,
    /// The command, without its arguments: `conf set`.
    pub command: Option<String>,
    /// The model of a disk.
    pub model: Option<String>,
    /// The serial number of a disk.
    pub serial: Option<String>,
    /// The name of the host before the change.
    pub host: Option<String>,
    /// The host's UUID before the change.
    pub system_uuid: Option<String>,
    /// How many settings and files were changed.
    pub changes: Option<usize>,
    /// The first of them by name, none with a line break in it.
    pub changed: Vec<String>,
    /// The UUIDs of the banks, by partition number.
    pub banks: BTreeMap<u32, String>,
    /// What else is there by name: of a later version, or not as this one writes it.
    pub other: BTreeMap<String, String>,
}

/// The name of a target from wherever it is asked for: an absolute path, or the address of an NBD export as it
/// is.
fn whole_name(path: &Path) -> PathBuf {
    let absolute = || std::path::absolute(path).ok();
    let found = (!Address::is_one(path)).then(absolute).flatten();
    found.unwrap_or_else(|| path.to_owned())
}

/// By what a target is told from others: the serial number of a disk, or else its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetKey(String);

impl TargetKey {
    /// Of a target by its path and, where it has one, its serial number.
    pub fn of(path: &Path, serial: Option<&str>) -> Self {
        let name = || whole_name(path);
        TargetKey(match serial {
            Some(serial) => format!("serial number {serial}"),
            None => match name().to_str() {
                Some(text) => text.to_owned(),
                // Shown, two such names can be alike.
                None => format!("name in hexadecimal {}", hex(name().as_os_str().as_bytes())),
            },
        })
    }
}

impl fmt::Display for TargetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl About {
    /// Of a change of this target: its name, and nothing else yet. `bootbank undo` finds it by that.
    pub fn of_target(path: &Path) -> Self {
        About {
            target: Some(whole_name(path)),
            ..About::default()
        }
    }

    /// Whether another one is of the same medium, as far as the two tell: a disk by its serial number,
    /// anything else by its name. The UUIDs of the banks are not asked, for clones share them, and a disk
    /// of the same serial number may have been imaged anew.
    pub fn is_of_same_target(&self, other: &About) -> bool {
        self.key().is_some_and(|own| other.key() == Some(own))
    }

    /// The same where nothing speaks against it: sticks of one make may have one serial number, and a name may be
    /// given again. What is told of both has to be the same.
    pub fn is_surely_of_same_target(&self, other: &About) -> bool {
        self.is_of_same_target(other) && self.model == other.model && self.banks == other.banks
    }

    fn key(&self) -> Option<TargetKey> {
        let (target, serial) = (self.target.as_deref(), self.serial.as_deref());
        let is_named = target.is_some() || serial.is_some();
        is_named.then(|| TargetKey::of(target.unwrap_or(Path::new("")), serial))
    }

    /// Whether it names a medium: by its serial number, or else its path.
    pub fn names(&self, target: &Target) -> bool {
        match (&self.serial, target.serial()) {
            (Some(own), Some(found)) => own == found,
            _ => self.names_path(target.path()),
        }
    }

    /// Whether it names a target by its path.
    pub fn names_path(&self, path: &Path) -> bool {
        self.target.as_ref() == Some(&whole_name(path))
    }

    /// How surely an undo file is for a medium, with this in it and made for one of `size` bytes. `banks` are
    /// the UUIDs of the banks that are on it.
    pub fn belongs_to(&self, size: u64, target: &Target, banks: &[String]) -> Belonging {
        let other_disk = match (&self.serial, target.serial()) {
            (Some(own), Some(found)) => own != found,
            _ => false,
        };
        let mut uuids = self.banks.values();
        let unknown = self.banks.is_empty() || banks.is_empty();
        let can_be =
            size == target.size() && !other_disk && (unknown || uuids.any(|it| banks.contains(it)));
        match can_be {
            false => Belonging::No,
            true if self.names(target) => Belonging::Named,
            true => Belonging::Possible,
        }
    }
}

/// How surely an undo file is for a medium, the more the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Belonging {
    /// It is for another one: by its size, by its serial number or by all of its banks.
    No,
    /// It can be for this one, and names another, or none: a clone, or a disk that had another name.
    Possible,
    /// It can be for this one and names it.
    Named,
}

impl From<BTreeMap<String, String>> for About {
    fn from(mut map: BTreeMap<String, String>) -> Self {
        // What cannot be read as what its name says stays where it is.
        fn take<T>(
            map: &mut BTreeMap<String, String>,
            name: &str,
            read: impl Fn(&str) -> Option<T>,
        ) -> Option<T> {
            let value = read(map.get(name)?)?;
            map.remove(name);
            Some(value)
        }
        let mut text = |name: &str| map.remove(name);
        let (program, command) = (text(PROGRAM), text(COMMAND));
        let (model, serial) = (text(MODEL), text(SERIAL));
        let (host, system_uuid) = (text(HOST), text(SYSTEM_UUID));
        let (target, changed) = (text(TARGET), text(CHANGED).unwrap_or_default());
        let bytes = take(&mut map, TARGET_BYTES, from_hex);
        let time = |text: &str| SystemTime::try_from(text.parse::<Timestamp>().ok()?).ok();
        let time = take(&mut map, TIME, time);
        let changes = take(&mut map, CHANGES, |count| count.parse().ok());
        let mut banks = BTreeMap::new();
        map.retain(|name, uuid| {
            let number: Option<u32> = name.strip_prefix(BANK).and_then(|it| it.parse().ok());
            if let Some(number) = number {
                banks.insert(number, uuid.clone());
            }
            number.is_none()
        });
        About {
            target: bytes.or_else(|| target.map(PathBuf::from)),
            time,
            program,
            command,
            model,
            serial,
            host,
            system_uuid,
            changes,
            changed: changed.lines().map(str::to_owned).collect(),
            banks,
            other: map,
        }
    }
}

impl From<About> for BTreeMap<String, String> {
    fn from(about: About) -> Self {
        let bytes = about.target.as_ref().filter(|it| it.to_str().is_none());
        let time = about.time.and_then(|it| Timestamp::try_from(it).ok());
        let entries = [
            (TARGET_BYTES, bytes.map(|it| hex(it.as_os_str().as_bytes()))),
            (TARGET, about.target.map(|it| it.display().to_string())),
            (TIME, time.map(|it| it.to_string())),
            (PROGRAM, about.program),
            (COMMAND, about.command),
            (MODEL, about.model),
            (SERIAL, about.serial),
            (HOST, about.host),
            (SYSTEM_UUID, about.system_uuid),
            (CHANGES, about.changes.map(|count| count.to_string())),
            (CHANGED, Some(about.changed.join("\n"))),
        ];
        let filled = entries.into_iter().filter_map(|(name, value)| {
            let value = value.filter(|value| !value.is_empty())?;
            Some((name.to_owned(), value))
        });
        let banks = about.banks.into_iter();
        let banks = banks.map(|(partition, uuid)| (format!("{BANK}{partition}"), uuid));
        about.other.into_iter().chain(filled).chain(banks).collect()
    }
}

fn from_hex(hex: &str) -> Option<PathBuf> {
    let digits = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = digits.map(byte).collect();
    Some(PathBuf::from(OsString::from_vec(bytes?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_back() {
        let odd = PathBuf::from(OsString::from_vec(b"/srv/\xff-stick.img".to_vec()));
        for target in [PathBuf::from("/dev/sdb"), odd] {
            let about = About {
                target: Some(target),
                time: Some(SystemTime::UNIX_EPOCH + std::time::Duration::new(1_764_163_502, 7)),
                command: Some("conf set".to_owned()),
                serial: Some("4C53".to_owned()),
                system_uuid: Some("5fb27665".to_owned()),
                changes: Some(2),
                changed: vec!["bank 5: a".to_owned(), "bank 5: b".to_owned()],
                banks: BTreeMap::from([(5, "u5".to_owned()), (6, "u6".to_owned())]),
                other: BTreeMap::from([("banks".to_owned(), "two".to_owned())]),
                ..About::default()
            };
            let map = BTreeMap::from(about.clone());
            assert_eq!(map["bank6"], "u6");
            assert_eq!(About::from(map), about);
        }
        assert_eq!(About::from(BTreeMap::new()), About::default());
        assert!(BTreeMap::from(About::default()).is_empty());
    }

    /// A later version may write what this one does not know, and a file can be made by hand.
    #[test]
    fn what_cannot_be_read_is_kept_as_it_is() {
        let odd = [
            ("time", "yesterday"),
            ("changes", "-1"),
            ("bank5a", "u"),
            ("target bytes", "xyz"),
        ];
        let map: BTreeMap<String, String> = odd.map(|(a, b)| (a.to_owned(), b.to_owned())).into();
        let about = About::from(map.clone());
        assert_eq!(about.other, map);
        assert_eq!(BTreeMap::from(about), map);
    }

    /// Cheap sticks share a serial number, and two names that are not UTF-8 look alike.
    #[test]
    fn what_may_be_of_two_targets_is_not_surely_of_one() {
        let stick = |model: &str, uuid: &str| About {
            target: Some(PathBuf::from("/dev/sdb")),
            serial: Some("0123456789AB".to_owned()),
            model: Some(model.to_owned()),
            banks: BTreeMap::from([(5, uuid.to_owned())]),
            ..About::default()
        };
        let own = stick("Cruzer", "u5");
        for (other, is_surely) in [
            (stick("Cruzer", "u5"), true),
            (stick("Cruzer", "u6"), false),
            (stick("Ultra", "u5"), false),
        ] {
            assert!(own.is_of_same_target(&other));
            assert_eq!(own.is_surely_of_same_target(&other), is_surely);
        }
        let named =
            |name: &[u8]| About::of_target(&PathBuf::from(OsString::from_vec(name.to_vec())));
        assert!(named(b"/srv/\xff.img").is_of_same_target(&named(b"/srv/\xff.img")));
        assert!(!named(b"/srv/\xff.img").is_of_same_target(&named(b"/srv/\xfe.img")));
    }

    #[test]
    fn a_target_is_known_again_by_its_serial_number_or_else_its_path() {
        let about = |target: Option<&str>, serial: Option<&str>| About {
            target: target.map(PathBuf::from),
            serial: serial.map(str::to_owned),
            ..About::default()
        };
        let same = |one: &About, other: &About| one.is_of_same_target(other);
        assert!(same(
            &about(Some("/dev/sdb"), Some("1")),
            &about(Some("/dev/sdc"), Some("1"))
        ));
        assert!(!same(
            &about(Some("/dev/sdb"), Some("1")),
            &about(Some("/dev/sdb"), Some("2"))
        ));
        assert!(same(&about(Some("/a"), None), &about(Some("/a"), None)));
        assert!(!same(&about(None, None), &about(None, None)));
        assert!(about(Some("/a"), None).names_path(Path::new("/a")));
        let export = "nbd://localhost:10809/stick";
        assert!(about(Some(export), None).names_path(Path::new(export)));
        assert!(!about(None, None).names_path(Path::new("/a")));
    }
}
