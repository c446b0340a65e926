//! Virtual disks: files that hold a disk in a format of a hypervisor. QEMU reads and writes them
//! and serves them as an [`super::nbd::Export`]; what is here is what to know of one before it is
//! let near it.
//!
//! Such a file can name others: a backing file, a file for its data, extents. QEMU opens whatever is
//! named, with the rights it was started with. So what a file names is looked at before: what a
//! change would be written to must be the file itself or lie beside it, and what is read below it
//! must be a regular file whose format is stated and not guessed.
//!
//! The facts come from `qemu-img info --output=json`; the rules are our own.

#[cfg(feature = "cli")]
use super::node::{name_of, open_path};
use super::{Access, ImageFormat, MediumError};
use crate::error::ErrorKind;
use serde::Deserialize;
use std::fmt;
#[cfg(feature = "cli")]
use std::fs::File;
use std::path::{Path, PathBuf};

/// Formats of virtual disks that QEMU reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DiskFormat {
    /// QEMU's own.
    Qcow2,
    /// VMware's.
    Vmdk,
    /// Virtual PC's, with its header in front.
    Vhd,
    /// Hyper-V's.
    Vhdx,
    /// VirtualBox's.
    Vdi,
}

impl DiskFormat {
    /// The format of a file of that content, where it is one of these.
    pub fn of(format: ImageFormat) -> Option<Self> {
        Some(match format {
            ImageFormat::Qcow2 => DiskFormat::Qcow2,
            ImageFormat::Vmdk => DiskFormat::Vmdk,
            ImageFormat::Vhd => DiskFormat::Vhd,
            ImageFormat::Vhdx => DiskFormat::Vhdx,
            ImageFormat::Vdi => DiskFormat::Vdi,
            _ => return None,
        })
    }

    /// What QEMU calls it.
    pub fn qemu_name(self) -> &'static str {
        match self {
            DiskFormat::Qcow2 => "qcow2",
            DiskFormat::Vmdk => "vmdk",
            DiskFormat::Vhd => "vpc",
            DiskFormat::Vhdx => "vhdx",
            DiskFormat::Vdi => "vdi",
        }
    }

    /// The format that a file of this name is expected to have.
    pub fn of_name(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match extension.as_str() {
            "qcow2" | "qcow" => DiskFormat::Qcow2,
            "vmdk" => DiskFormat::Vmdk,
            "vhd" => DiskFormat::Vhd,
            "vhdx" => DiskFormat::Vhdx,
            "vdi" => DiskFormat::Vdi,
            _ => return None,
        })
    }
}

impl fmt::Display for DiskFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DiskFormat::Qcow2 => "qcow2",
            DiskFormat::Vmdk => "VMDK",
            DiskFormat::Vhd => "VHD",
            DiskFormat::Vhdx => "VHDX",
            DiskFormat::Vdi => "VDI",
        })
    }
}

/// Why a virtual disk cannot be worked on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VirtualDiskError {
    /// QEMU is not installed.
    #[error(
        "this is a virtual disk ({format}), and QEMU, which reads and writes it, is not installed"
    )]
    NoQemu {
        /// Its format.
        format: DiskFormat,
    },
    /// More of them than one run opens.
    #[error("one run opens at most {most} virtual disks")]
    TooMany {
        /// How many it opens.
        most: usize,
    },
    /// A name that cannot be handed on.
    #[error("the name of a virtual disk cannot have a line break in it")]
    Name,
    /// QEMU reports an error.
    #[error("QEMU cannot open it: {said}")]
    Unopened {
        /// In its words.
        said: String,
    },
    /// Another process has the lock that QEMU takes.
    #[error("another process has it open")]
    Locked,
    /// QEMU ended badly after it had served the file. What was flushed before is in it.
    #[error("QEMU did not close it as it should: {said}")]
    NotClosed {
        /// In its words.
        said: String,
    },
    /// What QEMU says of it cannot be read.
    #[error("what QEMU says of it cannot be understood: {0}")]
    Unknown(String),
    /// The system cannot start QEMU.
    #[error("cannot start QEMU: {0}")]
    NotStarted(String),
    /// It holds internal snapshots.
    #[error("it has {} inside, and a change now is lost when one is gone back to", snapshots(*count))]
    Snapshots {
        /// How many.
        count: usize,
    },
    /// Its content is encrypted.
    #[error("it is encrypted, and bootbank has no key for it")]
    Encrypted,
    /// QEMU found it inconsistent at some time.
    #[error("it is marked as corrupt")]
    Corrupt,
    /// A compressed, read-only kind of VMDK.
    #[error("it is a stream-optimised VMDK, which can only be read")]
    StreamOptimised,
    /// It names a file that would be read or written in its place.
    #[error("it names another file, {}, {why}", file.display())]
    Elsewhere {
        /// The file it names.
        file: PathBuf,
        /// What is wrong with that.
        why: &'static str,
    },
    /// A copy of one file would not be a copy of the disk.
    #[error("it is more than one file: {} belongs to it", file.display())]
    NotOneFile {
        /// The other file.
        file: PathBuf,
    },
}

impl VirtualDiskError {
    /// What the error means to whoever has to act on it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            VirtualDiskError::Corrupt | VirtualDiskError::Unopened { .. } => ErrorKind::Damaged,
            VirtualDiskError::NoQemu { .. } | VirtualDiskError::Encrypted => ErrorKind::Unsupported,
            VirtualDiskError::Name | VirtualDiskError::TooMany { .. } => ErrorKind::Usage,
            VirtualDiskError::Unknown(_)
            | VirtualDiskError::NotStarted(_)
            | VirtualDiskError::NotClosed { .. } => ErrorKind::Io,
            VirtualDiskError::Locked
            | VirtualDiskError::Snapshots { .. }
            | VirtualDiskError::StreamOptimised
            | VirtualDiskError::Elsewhere { .. }
            | VirtualDiskError::NotOneFile { .. } => ErrorKind::Refused,
        }
    }

    /// The same, of the file that it was found in.
    pub fn in_file(self, path: &Path) -> MediumError {
        MediumError::VirtualDisk {
            path: path.to_owned(),
            source: self,
        }
    }
}

fn snapshots(count: usize) -> String {
    match count {
        1 => "a snapshot".to_owned(),
        count => format!("{count} snapshots"),
    }
}

/// What `qemu-img info --output=json` says of one file, as far as it matters here.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DiskInfo {
    #[serde(default)]
    snapshots: Vec<serde_json::Value>,
    #[serde(default)]
    encrypted: bool,
    full_backing_filename: Option<PathBuf>,
    backing_filename: Option<PathBuf>,
    backing_filename_format: Option<String>,
    #[serde(default)]
    format_specific: Specific,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Specific {
    #[serde(default)]
    data: Data,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Data {
    data_file: Option<PathBuf>,
    #[serde(default)]
    corrupt: bool,
    create_type: Option<String>,
    #[serde(default)]
    extents: Vec<Extent>,
}

#[derive(Clone, Debug, Deserialize)]
struct Extent {
    filename: PathBuf,
    #[serde(default)]
    compressed: bool,
}

/// What a virtual disk reads where it holds nothing itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backing {
    /// The file.
    pub file: PathBuf,
    /// Its format, as QEMU calls it.
    pub format: String,
}

impl DiskInfo {
    /// Reads what QEMU says.
    ///
    /// # Errors
    /// [`VirtualDiskError::Unknown`].
    pub fn from_json(json: &[u8]) -> Result<Self, VirtualDiskError> {
        serde_json::from_slice(json).map_err(|error| VirtualDiskError::Unknown(error.to_string()))
    }

    /// Refuses what cannot be opened that way, or not without harm. `file` is the file itself;
    /// with `even_with_snapshots` one that has internal snapshots is changed all the same.
    ///
    /// # Errors
    /// Each reason is its own variant.
    pub fn check(
        &self,
        file: &Path,
        access: Access,
        even_with_snapshots: bool,
    ) -> Result<(), VirtualDiskError> {
        let Data {
            data_file,
            corrupt,
            create_type,
            extents,
        } = &self.format_specific.data;
        if self.encrypted {
            return Err(VirtualDiskError::Encrypted);
        }
        if let Some(named) = data_file {
            return Err(elsewhere(
                named,
                "for its data, and bootbank does not follow that",
            ));
        }
        for extent in extents {
            check_beside(&extent.filename, file)?;
        }
        if access == Access::Read {
            return Ok(());
        }
        let compressed = extents.iter().any(|extent| extent.compressed);
        if compressed || create_type.as_deref() == Some("streamOptimized") {
            return Err(VirtualDiskError::StreamOptimised);
        }
        if *corrupt {
            return Err(VirtualDiskError::Corrupt);
        }
        match self.snapshots.len() {
            count if count > 0 && !even_with_snapshots => {
                Err(VirtualDiskError::Snapshots { count })
            }
            _ => Ok(()),
        }
    }

    /// The files that its content lies in, and that a change writes to: `file`, which is open, and its extents,
    /// looked at as [`DiskInfo::check`] does once they are open: what has their names later is none of them.
    ///
    /// # Errors
    /// [`VirtualDiskError::Elsewhere`].
    #[cfg(feature = "cli")]
    pub(crate) fn open_files(&self, file: File) -> Result<Vec<File>, VirtualDiskError> {
        let directory = |file: &File| Some(name_of(file)?.parent()?.to_owned());
        let place = directory(&file);
        let mut files = vec![file];
        for extent in &self.format_specific.data.extents {
            let part = open_path(&extent.filename).ok().filter(|part| {
                let is_file = part.metadata().is_ok_and(|found| found.is_file());
                is_file && directory(part).is_some_and(|it| Some(it) == place)
            });
            files.push(part.ok_or_else(|| not_beside(&extent.filename))?);
        }
        Ok(files)
    }

    /// The file below, which is only read, if there is one.
    ///
    /// # Errors
    /// One that is no regular file, or whose format QEMU would have to guess.
    pub fn backing(&self) -> Result<Option<Backing>, VirtualDiskError> {
        let Some(named) = &self.backing_filename else {
            return Ok(None);
        };
        let file = self.full_backing_filename.as_ref().unwrap_or(named);
        let format = self.backing_filename_format.as_ref();
        let format = format
            .ok_or_else(|| elsewhere(file, "as its backing file without the format of that"))?;
        if !is_plain_file(file) {
            return Err(elsewhere(
                file,
                "as its backing file, which is not a regular file",
            ));
        }
        Ok(Some(Backing {
            file: file.clone(),
            format: format.clone(),
        }))
    }

    /// Refuses a disk that a copy of the one file would not be a copy of.
    ///
    /// # Errors
    /// [`VirtualDiskError::NotOneFile`].
    pub fn check_one_file(&self, file: &Path) -> Result<(), VirtualDiskError> {
        let itself = file.canonicalize().ok();
        let extents = self.format_specific.data.extents.iter();
        let others = extents
            .map(|extent| &extent.filename)
            .filter(|name| name.canonicalize().ok() != itself);
        match self.backing_filename.iter().chain(others).next() {
            Some(other) => Err(VirtualDiskError::NotOneFile {
                file: other.clone(),
            }),
            None => Ok(()),
        }
    }
}

fn elsewhere(file: &Path, why: &'static str) -> VirtualDiskError {
    VirtualDiskError::Elsewhere {
        file: file.to_owned(),
        why,
    }
}

/// An extent lies in the directory of the file that names it.
fn check_beside(extent: &Path, file: &Path) -> Result<(), VirtualDiskError> {
    let directory = |path: &Path| Some(path.canonicalize().ok()?.parent()?.to_owned());
    let beside = directory(extent).is_some_and(|place| Some(place) == directory(file));
    if beside && is_plain_file(extent) {
        Ok(())
    } else {
        Err(not_beside(extent))
    }
}

fn not_beside(extent: &Path) -> VirtualDiskError {
    let why = "as a part of it, which is not a regular file beside it";
    elsewhere(extent, why)
}

/// Whether a name QEMU gives is that of a regular file, to QEMU as to us: before a colon it looks
/// for a protocol.
fn is_plain_file(name: &Path) -> bool {
    let text = name.to_string_lossy();
    let first = text.split('/').next().unwrap_or_default();
    !first.contains(':') && name.metadata().is_ok_and(|found| found.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(json: &str) -> DiskInfo {
        DiskInfo::from_json(json.as_bytes()).unwrap()
    }

    #[test]
    fn what_a_virtual_disk_names_elsewhere_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::create_dir(at("deep")).unwrap();
        for name in ["a.vmdk", "a-flat.vmdk", "deep/b"] {
            std::fs::write(at(name), "x").unwrap();
        }
        std::os::unix::fs::symlink(at("deep/b"), at("link")).unwrap();
        let extent = |name: &str| {
            let name = at(name).display().to_string();
            info(&format!(
                r#"{{"format-specific":{{"data":{{"extents":[{{"filename":"{name}"}}]}}}}}}"#
            ))
        };
        for access in [Access::Read, Access::Write] {
            extent("a-flat.vmdk")
                .check(&at("a.vmdk"), access, false)
                .unwrap();
            for name in ["deep/b", "link", "none", "deep"] {
                let refused = extent(name).check(&at("a.vmdk"), access, false);
                assert_eq!(refused.unwrap_err().kind(), ErrorKind::Refused, "{name}");
            }
        }
        let device = r#"{"format-specific":{"data":{"extents":[{"filename":"/dev/null"}]}}}"#;
        assert!(
            info(device)
                .check(&at("a.vmdk"), Access::Read, false)
                .is_err()
        );
        let data = r#"{"format-specific":{"data":{"data-file":"a-flat.vmdk"}}}"#;
        assert!(info(data).check(&at("a.vmdk"), Access::Read, true).is_err());
    }

    #[test]
    fn a_backing_file_is_a_regular_file_of_a_stated_format() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().join("base");
        std::fs::write(&base, "x").unwrap();
        let named = |name: &str, format: &str| {
            info(&format!(
                r#"{{"backing-filename":"{name}","full-backing-filename":"{name}"{format}}}"#
            ))
            .backing()
        };
        let stated = r#","backing-filename-format":"raw""#;
        let name = base.to_str().unwrap();
        assert_eq!(named(name, stated).unwrap().unwrap().file, base);
        assert!(named(name, "").is_err(), "QEMU would guess");
        for other in [
            "/dev/null",
            "nbd://h/x",
            "json:{}",
            "fat:/etc",
            "/none",
            "/",
        ] {
            assert!(named(other, stated).is_err(), "{other}");
        }
        assert_eq!(info("{}").backing().unwrap(), None);
    }

    #[test]
    fn what_would_be_lost_or_cannot_be_written_is_only_read() {
        let file = Path::new("/x");
        let snapshots = info(r#"{"snapshots":[{},{}]}"#);
        snapshots.check(file, Access::Read, false).unwrap();
        snapshots.check(file, Access::Write, true).unwrap();
        let error = snapshots.check(file, Access::Write, false).unwrap_err();
        assert_eq!(error, VirtualDiskError::Snapshots { count: 2 });
        let data = |text: &str| info(&format!(r#"{{"format-specific":{{"data":{{{text}}}}}}}"#));
        for text in [r#""create-type":"streamOptimized""#, r#""corrupt":true"#] {
            data(text).check(file, Access::Read, false).unwrap();
            assert!(data(text).check(file, Access::Write, true).is_err());
        }
        assert!(
            info(r#"{"encrypted":true}"#)
                .check(file, Access::Read, true)
                .is_err()
        );
        for json in ["", "[]x", r#"{"snapshots":3}"#] {
            assert!(DiskInfo::from_json(json.as_bytes()).is_err());
        }
    }
}
