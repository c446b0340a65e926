//! The mount table and the swap table.

use super::{DeviceNumber, Host};
use std::path::{Path, PathBuf};

/// One line of `proc/self/mountinfo`: what this process sees mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mount {
    /// Number of the mount, unique among those of the table.
    pub id: u32,
    /// Device number of the file system. btrfs and others without a device of their own have
    /// a made-up one with major 0.
    pub device: DeviceNumber,
    /// Where it is mounted.
    pub mount_point: PathBuf,
    /// Type of the file system, `vfat`.
    pub fs_type: String,
    /// What was mounted: a device node, or any word at all.
    pub source: String,
    /// Options of the file system, separated by commas.
    pub options: String,
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ');
        let id = fields.next()?.parse().ok()?;
        let device = DeviceNumber::parse(fields.nth(1)?)?;
        let mount_point = unescape(fields.nth(1)?).into();
        let mut fields = file_system.split(' ');
        Some(Mount {
            id,
            device,
            mount_point,
            fs_type: fields.next()?.to_owned(),
            source: unescape(fields.next()?),
            options: unescape(fields.next().unwrap_or_default()),
        })
    }

    /// Whether what is written there lives in memory and is gone with the next boot.
    pub fn is_in_memory(&self) -> bool {
        matches!(self.fs_type.as_str(), "tmpfs" | "ramfs" | "rootfs")
    }

    /// The value of a file system option, `upperdir=…`.
    pub(super) fn option(&self, name: &str) -> Option<&str> {
        let mut options = self.options.split(',');
        options.find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
    }
}

impl Host {
    /// The mount table, in the order things were mounted.
    pub fn mounts(&self) -> Vec<Mount> {
        let table = self.text("/proc/self/mountinfo").unwrap_or_default();
        table.lines().filter_map(Mount::parse).collect()
    }

    /// The mount that holds an absolute path free of links: of those with the longest mount
    /// point the one mounted last, which hides the others.
    pub fn mount_of(&self, path: &Path) -> Option<Mount> {
        let mounts = self.mounts();
        let holding = mounts
            .into_iter()
            .filter(|mount| path.starts_with(&mount.mount_point));
        holding.max_by_key(|mount| mount.mount_point.components().count())
    }

    /// Whether a file at this path would live in memory: on tmpfs, or on a live system's
    /// overlay whose writable layer does. Many live systems mount that layer before they change
    /// to their root: its path then leads nowhere, or to the overlay itself, and it is taken for
    /// one in memory.
    pub fn is_in_memory(&self, path: &Path) -> bool {
        let Some(mount) = self.mount_of(path) else {
            return false;
        };
        let upper = match mount.option("upperdir") {
            Some(upper) => self.mount_of(Path::new(upper)),
            None => return mount.is_in_memory(),
        };
        upper.is_none_or(|upper| upper.is_in_memory() || upper.id == mount.id)
    }

    /// What is swapped to: device nodes and files.
    pub fn swaps(&self) -> Vec<PathBuf> {
        let table = self.text("/proc/swaps").unwrap_or_default();
        let rows = table.lines().skip(1);
        rows.filter_map(|row| row.split_whitespace().next())
            .map(|path| unescape(path).into())
            .collect()
    }
}

/// Undoes the kernel's `\040` for a space and the like.
fn unescape(field: &str) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|_| first == b'\\');
        let octal = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
