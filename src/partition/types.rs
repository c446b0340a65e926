//! What one entry of a partition table says: number, type, name, first and last sector.

use super::TableKind;
use crate::medium::Lba;
use std::fmt;
use std::ops::Range;

/// A GUID, held as it lies on the disk (first three fields little-endian).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// All zero: marks an entry that is not in use.
    pub const UNUSED: Guid = Guid([0; 16]);
    /// EFI system partition.
    pub const EFI_SYSTEM: Guid = Guid::from_fields(
        0xC12A_7328,
        0xF81F,
        0x11D2,
        [0xBA, 0x4B, 0x00, 0xA0, 0xC9, 0x3E, 0xC9, 0x3B],
    );
    /// Basic data: the type of the banks, and of any other FAT or NTFS volume.
    pub const BASIC_DATA: Guid = Guid::from_fields(
        0xEBD0_A0A2,
        0xB9E5,
        0x4433,
        [0x87, 0xC0, 0x68, 0xB6, 0xB7, 0x26, 0x99, 0xC7],
    );
    /// VMware core dump partition.
    pub const VMKCORE: Guid = Guid::from_fields(
        0x9D27_5380,
        0x40AD,
        0x11DB,
        [0xBF, 0x97, 0x00, 0x0C, 0x29, 0x11, 0xD1, 0xB8],
    );
    /// VMFS datastore.
    pub const VMFS: Guid = Guid::from_fields(
        0xAA31_E02A,
        0x400F,
        0x11DB,
        [0x95, 0x90, 0x00, 0x0C, 0x29, 0x11, 0xD1, 0xB8],
    );
    /// VMFS-L: OSDATA and LOCKER of 7.0 and later.
    pub const VMFSL: Guid = Guid::from_fields(
        0x4EB2_EA39,
        0x7855,
        0x4790,
        [0xA7, 0x9E, 0xFA, 0xE4, 0x95, 0xE2, 0x1F, 0x8D],
    );

    const fn from_fields(a: u32, b: u16, c: u16, d: [u8; 8]) -> Guid {
        let (a, b, c) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes());
        Guid([
            a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], //
            d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7],
        ])
    }
}

impl fmt::Display for Guid {
    /// Upper-case, hyphenated: `EBD0A0A2-B9E5-4433-87C0-68B6B72699C7`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}", uuid::Uuid::from_bytes_le(self.0).hyphenated())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The type identifier of a partition, in the form its table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PartitionType {
    /// Type GUID of a GPT entry.
    Gpt(Guid),
    /// Type byte of an MBR entry.
    Mbr(u8),
}

impl fmt::Display for PartitionType {
    /// The GUID in upper case, or two lower-case hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PartitionType::Gpt(guid) => guid.fmt(f),
            PartitionType::Mbr(byte) => write!(f, "{byte:02x}"),
        }
    }
}

/// What a partition's type identifier says it is for. The content is not looked at:
/// whether a FAT partition is a bank is decided by what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// EFI system partition.
    Efi,
    /// VMware core dump.
    Vmkcore,
    /// VMFS datastore.
    Vmfs,
    /// VMFS-L: OSDATA or LOCKER.
    Vmfsl,
    /// FAT by MBR type, or basic data by GUID: banks, store, scratch.
    Fat,
    /// Anything else.
    Other,
}

impl Role {
    /// The word used in JSON output (`partitions[].kind`).
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Efi => "efi",
            Role::Vmkcore => "vmkcore",
            Role::Vmfs => "vmfs",
            Role::Vmfsl => "vmfsl",
            Role::Fat => "fat",
            Role::Other => "other",
        }
    }
}

impl PartitionType {
    /// Which kind of table has types of this kind.
    pub fn table(self) -> TableKind {
        match self {
            PartitionType::Gpt(_) => TableKind::Gpt,
            PartitionType::Mbr(_) => TableKind::Mbr,
        }
    }

    /// What partitions of this type are for.
    pub fn role(self) -> Role {
        match self {
            PartitionType::Gpt(Guid::EFI_SYSTEM) | PartitionType::Mbr(0xEF) => Role::Efi,
            PartitionType::Gpt(Guid::VMKCORE) | PartitionType::Mbr(0xFC) => Role::Vmkcore,
            PartitionType::Gpt(Guid::VMFS) | PartitionType::Mbr(0xFB) => Role::Vmfs,
            PartitionType::Gpt(Guid::VMFSL) => Role::Vmfsl,
            PartitionType::Gpt(Guid::BASIC_DATA)
            | PartitionType::Mbr(0x01 | 0x04 | 0x06 | 0x0B | 0x0C | 0x0E) => Role::Fat,
            PartitionType::Gpt(_) | PartitionType::Mbr(_) => Role::Other,
        }
    }

    /// Whether ESXi's own loader looks for a bank in partitions of this type.
    pub fn may_hold_bank(self) -> bool {
        matches!(self.role(), Role::Efi | Role::Fat)
    }
}

/// One partition in use.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Partition {
    /// Number as ESXi's loader counts: the GPT entry's position from 1, or 1–4 for MBR
    /// primaries and 5 upwards for logicals in the order of their chain.
    pub number: u32,
    /// Type identifier.
    pub partition_type: PartitionType,
    /// GPT name, empty on MBR disks.
    pub name: String,
    /// First sector, in logical sectors of the medium.
    pub first_lba: Lba,
    /// Last sector, inclusive.
    pub last_lba: Lba,
    /// MBR: flags byte 80. GPT: the legacy BIOS bootable attribute.
    pub boot_flag: bool,
}

impl Partition {
    /// What the type identifier says the partition is for.
    pub fn role(&self) -> Role {
        self.partition_type.role()
    }

    /// Whether ESXi's own loader looks for a bank here.
    pub fn may_hold_bank(&self) -> bool {
        self.partition_type.may_hold_bank()
    }

    /// The partition's bytes on the medium; `None` where the end is before the start or the
    /// position does not fit 64 bits. A partition that may hold a bank has a range
    /// that lies inside the medium, unless the table's `faults` name it.
    pub fn byte_range(&self, sector_size: u32) -> Option<Range<u64>> {
        let start = self.first_lba.offset(sector_size)?;
        let end = self.last_lba.checked_add(1)?.offset(sector_size)?;
        (start < end).then_some(start..end)
    }
}
