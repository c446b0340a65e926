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

/// How a disk is attached, as far as it matters to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Bus {
    /// USB: sticks, and the SD cards inside many servers.
    Usb,
    /// NVMe.
    Nvme,
    /// A SATA port.
    Sata,
    /// SCSI of any kind: SAS, Fibre Channel, the volumes of RAID controllers.
    Scsi,
    /// A slot for SD cards or eMMC.
    Mmc,
    /// A disk of a virtual machine.
    Virtio,
    /// A file, as a loop device.
    Loop,
    /// None of these.
    Other,
}

impl Bus {
    /// The word used in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Bus::Usb => "usb",
            Bus::Nvme => "nvme",
            Bus::Sata => "sata",
            Bus::Scsi => "scsi",
            Bus::Mmc => "mmc",
            Bus::Virtio => "virtio",
            Bus::Loop => "loop",
            Bus::Other => "other",
        }
    }
}

/// Where udev keeps the lasting names of disks.
pub const BY_ID: &str = "/dev/disk/by-id";

/// Beginnings of lasting names, those first that say the most to a person.
const TELLING_NAMES: [&str; 8] = [
    "usb-", "mmc-", "nvme-", "ata-", "scsi-S", "scsi-", "virtio-", "wwn-",
];

/// A whole disk.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Disk {
    /// Kernel name, `sdb`.
    pub name: String,
    /// Device node, `/dev/sdb`.
    pub node: PathBuf,
    /// Its lasting name, `/dev/disk/by-id/usb-SanDisk_Cruzer_Fit_4C53-0:0`: of several the one that
    /// says the most.
    pub by_id: Option<PathBuf>,
    /// Major and minor number.
    pub number: DeviceNumber,
    /// Size in bytes; 0 for a drive without a medium.
    pub size: u64,
    /// The number the kernel gave it when it came, which no other gets; from Linux 5.15 on.
    pub sequence: Option<u64>,
    /// Logical sector size in bytes.
    pub logical_sector_size: Option<u32>,
    /// Physical sector size in bytes.
    pub physical_sector_size: Option<u32>,
    /// Whether the kernel takes no writes: a write-protect switch, a read-only loop.
    pub read_only: bool,
    /// Whether the medium can be taken out.
    pub removable: bool,
    /// How it is attached.
    pub bus: Bus,
    /// Maker, as the device says it.
    pub vendor: Option<String>,
    /// Model, as the device says it.
    pub model: Option<String>,
    /// Serial number of the device, for USB that of the bridge or stick.
    pub serial: Option<String>,
    /// What the kernel believes of its write cache.
    pub write_cache: Option<WriteCache>,
}

impl Disk {
    /// Maker and model in one, `SanDisk Cruzer Fit`. What SCSI says for every SATA disk, and a
    /// number, name no maker.
    pub fn product(&self) -> Option<String> {
        let vendor = self.vendor.as_deref();
        let vendor = vendor.filter(|vendor| *vendor != "ATA" && !vendor.starts_with("0x"));
        match (vendor, self.model.as_deref()) {
            (Some(vendor), Some(model)) if !model.starts_with(vendor) => {
                Some(format!("{vendor} {model}"))
            }
            (vendor, model) => model.or(vendor).map(str::to_owned),
        }
    }
}

impl Disk {
    /// Whether it is of the kind that people plug in and pull out.
    pub fn can_be_plugged_in(&self) -> bool {
        self.removable || matches!(self.bus, Bus::Usb | Bus::Mmc)
    }
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
            .filter_map(|link| self.disk_in(&fs::canonicalize(link).ok()?))
            .filter(|disk| disk.size > 0)
            .collect()
    }

    /// The disk with this number; `None` for a partition and for what sysfs does not know.
    pub fn disk(&self, number: DeviceNumber) -> Option<Disk> {
        let dir = self.sysfs_dir(number)?;
        (!is_partition(&dir)).then(|| self.disk_in(&dir)).flatten()
    }

    /// The disk a partition is on; `None` where `number` is no partition.
    pub fn disk_of_partition(&self, number: DeviceNumber) -> Option<Disk> {
        let dir = self.sysfs_dir(number)?;
        is_partition(&dir)
            .then(|| self.disk_in(dir.parent()?))
            .flatten()
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

    fn disk_in(&self, dir: &Path) -> Option<Disk> {
        let number_at = |name: &str| value_of(&dir.join(name))?.parse::<u64>().ok();
        let sector_at = |name: &str| u32::try_from(number_at(name)?).ok();
        let name = dir.file_name()?.to_string_lossy().replace('!', "/");
        Some(Disk {
            bus: bus_of(&name, dir),
            by_id: self.lasting_name(&name),
            name,
            node: node_of(dir),
            number: number_in(dir)?,
            size: number_at("size").unwrap_or(0).saturating_mul(SYSFS_UNIT),
            sequence: number_at("diskseq"),
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

    /// The lasting name of a disk, by the links udev makes.
    fn lasting_name(&self, name: &str) -> Option<PathBuf> {
        let links = entries(&self.below_root(BY_ID)).into_iter();
        let to_this = links.filter(|(_, link)| {
            let to = fs::read_link(link).ok();
            to.is_some_and(|to| to.file_name().is_some_and(|to| to == name))
        });
        let rank = |link: &String| {
            let mut begins = TELLING_NAMES.iter();
            let at = begins.position(|begin| link.starts_with(begin));
            // The same disk by numbers that say nothing to a person.
            let is_number = ["nvme-eui.", "nvme-nvme.", "nvme-uuid."]
                .iter()
                .any(|begin| link.starts_with(begin));
            (is_number, at.unwrap_or(TELLING_NAMES.len()), link.len())
        };
        let (best, _) = to_this.min_by_key(|(link, _)| rank(link))?;
        Some(Path::new(BY_ID).join(best))
    }
}

fn bus_of(name: &str, dir: &Path) -> Bus {
    let kinds = [
        ("nvme", Bus::Nvme),
        ("mmcblk", Bus::Mmc),
        ("loop", Bus::Loop),
    ];
    if let Some((_, bus)) = kinds.iter().find(|(begin, _)| name.starts_with(begin)) {
        return *bus;
    }
    let above = [
        ("usb", Bus::Usb),
        ("ata", Bus::Sata),
        ("virtio", Bus::Virtio),
        ("host", Bus::Scsi),
    ];
    let names: Vec<&str> = dir.iter().filter_map(|name| name.to_str()).collect();
    let numbered = |begin: &str| {
        names.iter().any(|name| {
            let digits = name.strip_prefix(begin);
            digits.is_some_and(|it| !it.is_empty() && it.bytes().all(|b| b.is_ascii_digit()))
        })
    };
    let found = above.into_iter().find(|(begin, _)| numbered(begin));
    found.map_or(Bus::Other, |(_, bus)| bus)
}

pub(super) fn is_partition(sysfs_dir: &Path) -> bool {
    sysfs_dir.join("partition").exists()
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
