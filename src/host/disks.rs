//! Disks and their partitions as sysfs describes them.

use super::{DeviceNumber, Host, entries, node_of, number_in, text_of, value_of};
use std::fs;
use std::path::{Path, PathBuf};

/// sysfs counts sizes in 512-byte units whatever the device's own sector is.
const SYSFS_UNIT: u64 = 512;

/// What the kernel believes of a disk's volatile write cache. With `WriteThrough` it never
/// sends a flush, so a device that does cache and does not say so loses what it acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WriteCache {
    /// There is one; a sync sends a flush.
    WriteBack,
    /// There is none, says the device; a sync sends nothing.
    WriteThrough,
}

impl WriteCache {
    /// The kernel's own words for it, as in `queue/write_cache`.
    pub fn as_str(self) -> &'static str {
        match self {
            WriteCache::WriteBack => "write back",
            WriteCache::WriteThrough => "write through",
        }
    }
}

/// A whole disk.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Disk {
    /// Kernel name, `sdb`.
    pub name: String,
    /// Device node, `/dev/sdb`.
    pub node: PathBuf,
    /// Major and minor number.
    pub number: DeviceNumber,
    /// Size in bytes; 0 for a drive without a medium.
    pub size: u64,
    /// Logical sector size in bytes.
    pub logical_sector_size: Option<u32>,
    /// Physical sector size in bytes.
    pub physical_sector_size: Option<u32>,
    /// Whether the kernel takes no writes: a write-protect switch, a read-only loop.
    pub read_only: bool,
    /// Whether the medium can be taken out.
    pub removable: bool,
    /// Maker, as the device says it.
    pub vendor: Option<String>,
    /// Model, as the device says it.
    pub model: Option<String>,
    /// Serial number of the device, for USB that of the bridge or stick.
    pub serial: Option<String>,
    /// What the kernel believes of its write cache.
    pub write_cache: Option<WriteCache>,
}

/// A partition as the kernel has it, which is not always what the table on the disk says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Partition {
    /// Number in the kernel's view, from 1.
    pub number: u32,
    /// Device node, `/dev/sdb1`.
    pub node: PathBuf,
    /// Major and minor number.
    pub device: DeviceNumber,
}

impl Host {
    /// Every disk with a medium in it, in order of the kernel names.
    pub fn disks(&self) -> Vec<Disk> {
        entries(&self.below_root("/sys/block"))
            .into_values()
            .filter_map(|link| disk_in(&fs::canonicalize(link).ok()?))
            .filter(|disk| disk.size > 0)
            .collect()
    }

    /// The disk with this number; `None` for a partition and for what sysfs does not know.
    pub fn disk(&self, number: DeviceNumber) -> Option<Disk> {
        let dir = self.sysfs_dir(number)?;
        (!is_partition(&dir)).then(|| disk_in(&dir)).flatten()
    }

    /// The disk a partition is on; `None` where `number` is no partition.
    pub fn disk_of_partition(&self, number: DeviceNumber) -> Option<Disk> {
        let dir = self.sysfs_dir(number)?;
        is_partition(&dir).then(|| disk_in(dir.parent()?)).flatten()
    }

    /// The kernel's partitions of a disk, by number.
    pub fn partitions(&self, disk: DeviceNumber) -> Vec<Partition> {
        let Some(dir) = self.sysfs_dir(disk) else {
            return Vec::new();
        };
        let mut partitions: Vec<Partition> = entries(&dir)
            .into_values()
            .filter_map(|dir| {
                Some(Partition {
                    number: value_of(&dir.join("partition"))?.parse().ok()?,
                    node: node_of(&dir),
                    device: number_in(&dir)?,
                })
            })
            .collect();
        partitions.sort_by_key(|partition| partition.number);
        partitions
    }

    /// Whether sysfs still knows a device: it does not once the device is pulled out.
    pub fn is_present(&self, number: DeviceNumber) -> bool {
        self.sysfs_dir(number).is_some()
    }
}

pub(super) fn is_partition(sysfs_dir: &Path) -> bool {
    sysfs_dir.join("partition").exists()
}

fn disk_in(dir: &Path) -> Option<Disk> {
    let number_at = |name: &str| value_of(&dir.join(name))?.parse::<u64>().ok();
    let sector_at = |name: &str| u32::try_from(number_at(name)?).ok();
    Some(Disk {
        name: dir.file_name()?.to_string_lossy().replace('!', "/"),
        node: node_of(dir),
        number: number_in(dir)?,
        size: number_at("size").unwrap_or(0).saturating_mul(SYSFS_UNIT),
        logical_sector_size: sector_at("queue/logical_block_size"),
        physical_sector_size: sector_at("queue/physical_block_size"),
        read_only: number_at("ro") == Some(1),
        removable: number_at("removable") == Some(1),
        vendor: value_of(&dir.join("device/vendor")),
        model: value_of(&dir.join("device/model")),
        serial: serial_in(dir),
        write_cache: match value_of(&dir.join("queue/write_cache")).as_deref() {
            Some("write back") => Some(WriteCache::WriteBack),
            Some("write through") => Some(WriteCache::WriteThrough),
            _ => None,
        },
    })
}

/// The serial number: virtio has it at the disk, NVMe and MMC at the device, SCSI in a page
/// of its own, USB at the USB device some levels up.
fn serial_in(dir: &Path) -> Option<String> {
    let plain = ["serial", "device/serial"];
    plain
        .iter()
        .find_map(|name| value_of(&dir.join(name)))
        .or_else(|| usb_serial(dir))
        .or_else(|| scsi_serial(&dir.join("device/vpd_pg80")))
}

fn usb_serial(dir: &Path) -> Option<String> {
    let usb = dir.ancestors().find(|up| up.join("idVendor").exists())?;
    value_of(&usb.join("serial"))
}

/// SCSI's unit serial number page: four bytes of header, then the number.
fn scsi_serial(page: &Path) -> Option<String> {
    let text = text_of(page)?;
    let number: String = text.chars().skip(4).collect();
    let number = number.trim_matches(|c: char| c.is_whitespace() || c.is_control());
    (!number.is_empty()).then(|| number.to_owned())
}
