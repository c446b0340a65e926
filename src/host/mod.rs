//! What this machine's sysfs and procfs say of disks: what is attached and where, what uses it, and
//! which of it the running system stands on; and of the machine itself: its PCI functions, and
//! which of them carry keyboard, display and network.
//!
//! Everything is read as text below one root path, `/` on a real machine and a made-up tree
//! in tests. Nothing is opened but those text files: no device node, no ioctl. All of it is
//! advice for people and a first check; what decides whether a medium may be written is the
//! kernel's answer to an exclusive open. What cannot be read therefore counts as not there.

mod arrivals;
mod disks;
mod locks;
mod machine;
mod moment;
mod mounts;
mod pci;
mod uses;

pub use arrivals::Arrivals;
pub use disks::{BY_ID, Bus, Disk, Partition, WriteCache};
pub(crate) use locks::{ByteLock, byte_lock_on, drop_byte_lock, take_byte_lock};
pub use locks::{FileLock, LockClass, Process};
pub use machine::{Mac, Machine, Nic, PCI_IDS, Smbios};
pub use mounts::Mount;
pub use pci::{Attachment, PciFunction};
pub use uses::{FreedBy, Use};

pub(crate) use moment::{ask_again_while, seen_twice};

use locks::OpenFiles;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most bytes read of any one file: container hosts have mount tables of megabytes.
const TEXT_LIMIT: u64 = 16 << 20;

/// A block device by major and minor number, `8:16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceNumber {
    /// Which driver.
    pub major: u32,
    /// Which of its devices.
    pub minor: u32,
}

impl DeviceNumber {
    /// From the number as `stat` gives it (`st_dev`, `st_rdev`).
    pub fn from_raw(dev: u64) -> Self {
        DeviceNumber {
            major: rustix::fs::major(dev),
            minor: rustix::fs::minor(dev),
        }
    }

    /// From the decimal form sysfs and mountinfo use, `8:16`.
    pub fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.trim().split_once(':')?;
        Some(DeviceNumber {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
        })
    }
}

impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// One machine's view of its disks.
#[derive(Clone, Debug)]
pub struct Host {
    root: PathBuf,
    /// Open files as they were noted, for when they cannot be looked at any more.
    open_files: Option<Arc<Vec<OpenFiles>>>,
}

impl Default for Host {
    fn default() -> Self {
        Host::new("/")
    }
}

impl Host {
    /// The machine whose `sys`, `proc`, `dev` and `etc` lie below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Host {
            root: root.into(),
            open_files: None,
        }
    }

    /// Name of a group of users by number, from `etc/group`.
    pub fn group_name(&self, gid: u32) -> Option<String> {
        let groups = self.text("/etc/group")?;
        groups.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let number = fields.nth(1)?;
            (number.parse() == Ok(gid)).then(|| name.to_owned())
        })
    }

    /// Where an absolute path of this machine lies below the root.
    fn below_root(&self, absolute: impl AsRef<Path>) -> PathBuf {
        let path = absolute.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Content of a text file of this machine.
    fn text(&self, absolute: impl AsRef<Path>) -> Option<String> {
        text_of(&self.below_root(absolute))
    }

    /// Content of a file of this machine.
    fn bytes(&self, absolute: impl AsRef<Path>) -> Option<Vec<u8>> {
        bytes_of(&self.below_root(absolute))
    }

    /// The sysfs directory of a block device, partition or whole.
    fn sysfs_dir(&self, number: DeviceNumber) -> Option<PathBuf> {
        fs::canonicalize(self.below_root(format!("/sys/dev/block/{number}"))).ok()
    }

    /// The number of a block device by its kernel name (`sda1`, `dm-0`).
    fn number_of_name(&self, name: &str) -> Option<DeviceNumber> {
        let dir = Path::new("/sys/class/block").join(name.replace('/', "!"));
        DeviceNumber::parse(&self.text(dir.join("dev"))?)
    }

    /// The number of the device behind a node path, links resolved.
    fn number_of_node(&self, node: &Path) -> Option<DeviceNumber> {
        if let Some(mapped) = node.strip_prefix("/dev/mapper").ok().and_then(Path::to_str)
            && let Some(number) = self.number_of_mapping(mapped)
        {
            return Some(number);
        }
        let dev = self.below_root("/dev");
        let resolved = fs::canonicalize(self.below_root(node)).ok();
        let resolved = resolved.as_deref().unwrap_or(node);
        let name = resolved
            .strip_prefix(&dev)
            .or_else(|_| resolved.strip_prefix("/dev"))
            .ok()?;
        self.number_of_name(name.to_str()?)
    }

    fn number_of_mapping(&self, mapped: &str) -> Option<DeviceNumber> {
        entries(&self.below_root("/sys/class/block"))
            .into_values()
            .find(|dir| text_of(&dir.join("dm/name")).is_some_and(|name| name.trim() == mapped))
            .and_then(|dir| number_in(&dir))
    }
}

/// Content of a file, at most [`TEXT_LIMIT`] bytes of it; what is not UTF-8 is replaced.
fn text_of(path: &Path) -> Option<String> {
    Some(String::from_utf8_lossy(&bytes_of(path)?).into_owned())
}

/// Content of a file, at most [`TEXT_LIMIT`] bytes of it.
fn bytes_of(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    file.take(TEXT_LIMIT).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Content of a file of one value: trimmed, `None` where nothing is left.
fn value_of(path: &Path) -> Option<String> {
    let text = text_of(path)?;
    let value = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!value.is_empty()).then(|| value.to_owned())
}

fn number_in(sysfs_dir: &Path) -> Option<DeviceNumber> {
    DeviceNumber::parse(&text_of(&sysfs_dir.join("dev"))?)
}

/// What a directory holds, by name, in order of the names.
fn entries(dir: &Path) -> BTreeMap<String, PathBuf> {
    let Ok(listing) = fs::read_dir(dir) else {
        return BTreeMap::new();
    };
    listing
        .flatten()
        .map(|entry| {
            (
                entry.file_name().to_string_lossy().into_owned(),
                entry.path(),
            )
        })
        .collect()
}

/// The device node of a sysfs directory. The kernel writes `!` there for `/` in names.
fn node_of(sysfs_dir: &Path) -> PathBuf {
    if let Some(name) = value_of(&sysfs_dir.join("dm/name")) {
        return Path::new("/dev/mapper").join(name);
    }
    let name = sysfs_dir.file_name().unwrap_or_default().to_string_lossy();
    Path::new("/dev").join(name.replace('!', "/"))
}

#[cfg(test)]
pub(crate) mod recorded;
#[cfg(test)]
mod tests;
