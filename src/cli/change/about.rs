//! What an undo file keeps for a person: which medium it is for, whose, when it was made and what
//! the change was. The library adds the host and the banks ([`Stick::undo_of`]).
//!
//! [`Stick::undo_of`]: crate::stick::Stick::undo_of

use crate::bytes::hex;
use crate::cli::terminal::shown;
use crate::medium::Target;
use crate::medium::nbd::Address;
use crate::stick::{ABOUT_BANK, ABOUT_HOST, Plan};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

const TARGET: &str = "target";
/// The path's bytes in hexadecimal, of one that is not UTF-8.
const TARGET_BYTES: &str = "target bytes";
const TIME: &str = "time";
const PROGRAM: &str = "program";
const COMMAND: &str = "command";
const MODEL: &str = "model";
const SERIAL: &str = "serial";
const CHANGES: &str = "changes";
const CHANGED: &str = "changed";

/// Most changes that are named.
const MOST_NAMED: usize = 20;

/// The program and its version, as undo files name it.
const THIS_PROGRAM: &str = concat!("bootbank ", env!("CARGO_PKG_VERSION"));

/// What an undo file tells of its change; what an older version did not keep is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The medium by the name it had then, as an absolute path.
    pub target: Option<PathBuf>,
    /// When the undo file was made.
    pub time: Option<Timestamp>,
    /// The command, without its arguments: `conf set`.
    pub command: Option<String>,
    /// The model of a disk.
    pub model: Option<String>,
    /// The serial number of a disk.
    pub serial: Option<String>,
    /// The name of the host before the change.
    pub host: Option<String>,
    /// How many settings and files were changed.
    pub changes: Option<usize>,
    /// The first of them by name.
    pub changed: Vec<String>,
    /// The UUIDs of the banks, by partition number.
    pub banks: BTreeMap<u32, String>,
}

impl About {
    /// Of a change that is about to be made.
    pub fn new(plan: &Plan, target: &Target, command: &str) -> Self {
        let disk = target.device().and_then(|device| device.disk());
        About {
            model: disk.and_then(|disk| disk.model.clone()),
            serial: target.serial().map(str::to_owned),
            ..About::of_file(plan, target.path(), command)
        }
    }

    /// Of a change of a file that is about to be made.
    pub fn of_file(plan: &Plan, path: &Path, command: &str) -> Self {
        let path = if Address::is_one(path) {
            path.to_owned()
        } else {
            std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
        };
        let in_state = plan.state.iter().flat_map(|file| {
            let name = |key: &str| format!("{}: {}", file.file, shown(key));
            file.changes.iter().map(move |change| name(&change.key))
        });
        let names = plan.banks.iter().flat_map(|bank| {
            let files = bank.files.iter();
            files.flat_map(move |file| {
                let name = move |key: &str| {
                    if key == file.file {
                        format!("bank {}: {}", bank.partition, shown(key))
                    } else {
                        format!("bank {}: {}: {}", bank.partition, file.file, shown(key))
                    }
                };
                file.changes.iter().map(move |change| name(&change.key))
            })
        });
        About {
            target: Some(path),
            time: Some(Timestamp::now()),
            command: Some(command.to_owned()),
            model: None,
            serial: None,
            host: None,
            changes: Some(plan.change_count()),
            changed: names.chain(in_state).take(MOST_NAMED).collect(),
            banks: BTreeMap::new(),
        }
    }

    /// As an undo file keeps it.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        let text = |path: &PathBuf| path.display().to_string();
        let bytes = self.target.as_ref().filter(|path| path.to_str().is_none());
        let entries = [
            (TARGET, self.target.as_ref().map(text)),
            (
                TARGET_BYTES,
                bytes.map(|path| hex(path.as_os_str().as_bytes())),
            ),
            (TIME, self.time.map(|time| time.to_string())),
            (PROGRAM, Some(THIS_PROGRAM.to_owned())),
            (COMMAND, self.command.clone()),
            (MODEL, self.model.clone()),
            (SERIAL, self.serial.clone()),
            (CHANGES, self.changes.map(|count| count.to_string())),
            (CHANGED, Some(self.changed.join("\n"))),
        ];
        let filled = entries.into_iter().filter_map(|(name, value)| {
            let value = value.filter(|value| !value.is_empty())?;
            Some((name.to_owned(), value))
        });
        filled.collect()
    }

    /// As an undo file has it.
    pub fn from_map(about: &BTreeMap<String, String>) -> Self {
        let text = |name: &str| about.get(name).cloned();
        let bytes = about.get(TARGET_BYTES).and_then(|hex| from_hex(hex));
        let bank = |(name, uuid): (&String, &String)| {
            let number = name.strip_prefix(ABOUT_BANK)?.parse().ok()?;
            Some((number, uuid.clone()))
        };
        let changed = about.get(CHANGED).map(String::as_str).unwrap_or_default();
        About {
            target: bytes.or_else(|| text(TARGET).map(PathBuf::from)),
            time: about.get(TIME).and_then(|time| time.parse().ok()),
            command: text(COMMAND),
            model: text(MODEL),
            serial: text(SERIAL),
            host: text(ABOUT_HOST),
            changes: about.get(CHANGES).and_then(|count| count.parse().ok()),
            changed: changed.lines().map(str::to_owned).collect(),
            banks: about.iter().filter_map(bank).collect(),
        }
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
                time: Some(Timestamp::from_second(1_764_163_502).unwrap()),
                command: Some("conf set".to_owned()),
                serial: Some("4C53".to_owned()),
                changes: Some(2),
                changed: vec!["bank 5: a".to_owned(), "bank 5: b".to_owned()],
                ..About::default()
            };
            assert_eq!(About::from_map(&about.to_map()), about);
        }
        assert_eq!(About::from_map(&BTreeMap::new()), About::default());
    }
}
