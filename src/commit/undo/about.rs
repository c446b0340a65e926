//! What an undo file tells of its change: which target it is for, whose, and what was done.

use super::belonging;
use crate::bytes::hex;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
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

impl About {
    /// Of a change of this target: its name, and nothing else yet. `bootbank undo` finds it by that.
    pub fn of_target(path: &Path) -> Self {
        About {
            target: Some(belonging::whole_name(path)),
            ..About::default()
        }
    }
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
}
