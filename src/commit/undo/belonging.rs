//! Which target an undo file is for, and whether two are for the same one.
//!
//! A target is known again by the serial number of a disk, or else by its name. Neither is certain: clones
//! have the banks of another medium, cheap sticks share a serial number, a disk may be imaged anew and a
//! name be given again. So there are several questions, from the weakest to the strongest:
//!
//! - *Can it be for this medium?* By its size, its serial number and its banks: [`Belonging::Possible`].
//! - *Does it name this medium?* [`Belonging::Named`], [`About::names`].
//! - *Are two for the same target?* [`About::is_of_same_target`]: enough to undo one after the other.
//! - *Is the medium that has its name now the same one?* Not where [`About::is_of_other_disk`], and surely
//!   where [`About::is_surely_of_disk`].
//! - *Are two surely for the same target?* [`UndoSummary::is_surely_of_same_target`]: enough to remove one because of the other.

use super::{About, UndoKind, UndoSummary};
use crate::bytes::hex;
use crate::medium::nbd::Address;
use crate::medium::{ReadAt as _, Target};
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// The name of a target from wherever it is asked for: an absolute path, or the address of an NBD export as it
/// is.
pub(super) fn whole_name(path: &Path) -> PathBuf {
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
    /// Whether another one is of the same target, as far as the two tell: a disk by its serial number,
    /// anything else by its name. The UUIDs of the banks are not asked, for clones share them, and a disk
    /// of the same serial number may have been imaged anew.
    pub fn is_of_same_target(&self, other: &About) -> bool {
        self.key().is_some_and(|own| other.key() == Some(own))
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

    /// Whether it is of a disk whose serial number is another than `found`, or that has none any more. Where it
    /// knows no serial number, nothing speaks against any disk.
    pub fn is_of_other_disk(&self, found: Option<&str>) -> bool {
        self.serial.is_some() && self.serial.as_deref() != found
    }

    /// Whether nothing speaks against the medium that has its name and this serial number: also none may have
    /// come where there was no serial number.
    pub fn is_surely_of_disk(&self, found: Option<&str>) -> bool {
        self.serial.as_deref() == found
    }
}

impl UndoSummary {
    /// Whether another one is of the same target, and nothing speaks against it: what is told of both has to be
    /// the same.
    pub fn is_surely_of_same_target(&self, other: &UndoSummary) -> bool {
        let (own, about) = (&self.about, &other.about);
        let same_size = match self.kind {
            UndoKind::Medium => self.size == other.size,
            // It has another size after each change.
            UndoKind::File => true,
        };
        self.kind == other.kind
            && same_size
            && own.is_of_same_target(about)
            && own.model == about.model
            && own.banks == about.banks
    }

    /// How surely it is for a medium on which there are banks of these UUIDs.
    pub fn belongs_to(&self, target: &Target, banks: &[String]) -> Belonging {
        let about = &self.about;
        // A disk that does not tell its serial number, as behind some adapters, can be the same one.
        let other_disk = target.serial().is_some() && about.is_of_other_disk(target.serial());
        let mut uuids = about.banks.values();
        let unknown = about.banks.is_empty() || banks.is_empty();
        let can_be = self.kind == UndoKind::Medium
            && self.size == target.size()
            && !other_disk
            && (unknown || uuids.any(|it| banks.contains(it)));
        match can_be {
            false => Belonging::No,
            true if about.names(target) => Belonging::Named,
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;

    /// Cheap sticks share a serial number, and two names that are not UTF-8 look alike.
    #[test]
    fn what_may_be_of_two_targets_is_not_surely_of_one() {
        let stick = |size: u64, model: &str, uuid: Option<&str>| UndoSummary {
            kind: UndoKind::Medium,
            size,
            partitions: BTreeSet::new(),
            about: About {
                target: Some(PathBuf::from("/dev/sdb")),
                serial: Some("0123456789AB".to_owned()),
                model: Some(model.to_owned()),
                banks: uuid.map(|uuid| (5, uuid.to_owned())).into_iter().collect(),
                ..About::default()
            },
        };
        let file = |size: u64| UndoSummary {
            kind: UndoKind::File,
            ..stick(size, "Cruzer", None)
        };
        let (stick_of, state) = (stick(8, "Cruzer", Some("u5")), file(8));
        let unread = stick(8, "Cruzer", None);
        for (own, other, is_surely) in [
            (&stick_of, stick(8, "Cruzer", Some("u5")), true),
            (&stick_of, stick(9, "Cruzer", Some("u5")), false),
            (&stick_of, stick(8, "Cruzer", Some("u6")), false),
            (&stick_of, stick(8, "Ultra", Some("u5")), false),
            (&state, file(9), true),
            (&state, stick(8, "Cruzer", None), false),
            // No bank of it could be read.
            (&unread, stick(9, "Cruzer", None), false),
        ] {
            assert!(own.about.is_of_same_target(&other.about));
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

    #[test]
    fn a_disk_is_another_one_where_a_known_serial_number_is_not_found() {
        let about = |serial: Option<&str>| About {
            serial: serial.map(str::to_owned),
            ..About::default()
        };
        for (known, found, is_other) in [
            (Some("1"), Some("1"), false),
            (Some("1"), Some("2"), true),
            (Some("1"), None, true),
            (None, Some("2"), false),
        ] {
            assert_eq!(about(known).is_of_other_disk(found), is_other);
        }
    }
}
