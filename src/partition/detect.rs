//! What sector 0 is when it is no partition table, and which sector size a table is for.
//!
//! A GPT says its sector size by where its header stands. An MBR does not say it; the boot
//! sector of a FAT partition does, if the partition is found where that size puts it. Where
//! both sizes make sense the question goes back to the user: banks read at the wrong places
//! could be the remains of an older installation.

use super::{Partition, TableError, TableWarning, gpt, mbr, read};
use crate::bytes::le16;
use crate::medium::ReadAt;

/// The sector sizes ESXi boot media have.
pub(super) const SECTOR_SIZES: [u32; 2] = [512, 4096];

const VMWARE_VOLUME: &[u8; 16] = b"VMWARE FAT16    ";

/// Formats whose first bytes cannot be those of a disk worth reading.
const MAGICS: [(&[u8], &str); 10] = [
    (b"QFI\xfb", "a QEMU qcow2 image"),
    (
        b"KDMV",
        "a VMware VMDK image (hosted sparse or stream-optimized)",
    ),
    (b"COWD", "a VMware VMDK image (ESX sparse)"),
    (
        b"# Disk DescriptorFile",
        "a VMDK descriptor, the text file beside a -flat.vmdk",
    ),
    (b"vhdxfile", "a VHDX image"),
    (b"conectix", "a VHD image"),
    (
        b"<<< Oracle VM VirtualBox Disk Image",
        "a VirtualBox VDI image",
    ),
    (b"\x28\xb5\x2f\xfd", "a zstd stream, such as a packed image"),
    (b"\xfd7zXZ\x00", "an xz stream, such as a packed image"),
    (b"PK\x03\x04", "a zip archive"),
];

/// Named errors for what is recognisably something other than a whole raw disk.
pub(super) fn refuse_other_formats(head: &[u8]) -> Result<(), TableError> {
    // Method 8 and no reserved flag: gzip as every reader demands it.
    if let [0x1F, 0x8B, 8, flags, ..] = head
        && flags & 0xE0 == 0
    {
        return Err(TableError::Gzip);
    }
    match MAGICS.iter().find(|(magic, _)| head.starts_with(magic)) {
        Some(&(_, format)) => Err(TableError::ForeignFormat { format }),
        None => Ok(()),
    }
}

/// The error for a medium without any partition table.
pub(super) fn no_table(medium: &dyn ReadAt, head: &[u8]) -> TableError {
    if let Some(volume) = unpartitioned_fat(head) {
        return volume;
    }
    if head.get(257..262) == Some(b"ustar") {
        let format = "a tar archive";
        return TableError::ForeignFormat { format };
    }
    const ISO_9660_AT: u64 = 0x8001;
    let is_iso = medium.size() > ISO_9660_AT + 5
        && read(medium, ISO_9660_AT, 5).is_ok_and(|id| id == b"CD001");
    if is_iso {
        let format = "an ISO 9660 image, such as the ESXi installer";
        return TableError::ForeignFormat { format };
    }
    TableError::NoTable
}

fn unpartitioned_fat(head: &[u8]) -> Option<TableError> {
    let sector_size = u32::from(le16(head, 11)?);
    if !is_fat_boot_sector(head, sector_size) {
        return None;
    }
    let identifier = usize::try_from(sector_size).ok()?;
    let vmware = head.get(identifier..)?.starts_with(VMWARE_VOLUME);
    let named = head.get(54..57) == Some(b"FAT") || head.get(82..85) == Some(b"FAT");
    (vmware || named).then_some(TableError::UnpartitionedFat { vmware })
}

/// Whether `sector` can be the boot sector of a FAT volume with sectors of `sector_size` bytes.
pub(super) fn is_fat_boot_sector(sector: &[u8], sector_size: u32) -> bool {
    let [
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        low,
        high,
        cluster,
        reserved_low,
        reserved_high,
        fats,
        ..,
    ] = *sector
    else {
        return false;
    };
    SECTOR_SIZES.contains(&sector_size)
        && u32::from(u16::from_le_bytes([low, high])) == sector_size
        && cluster.is_power_of_two()
        && (reserved_low, reserved_high) != (0, 0)
        && matches!(fats, 1 | 2)
        && sector.get(21).is_some_and(|&media| media >= 0xF0)
}

/// The sector size of a GPT.
pub(super) fn gpt_sector_size(
    medium: &dyn ReadAt,
) -> Result<(u32, Option<TableWarning>), TableError> {
    let mut signed = Vec::new();
    let mut valid = Vec::new();
    for size in SECTOR_SIZES {
        if gpt::has_signature(medium, size)? {
            signed.push(size);
            if gpt::has_valid_header(medium, size)? {
                valid.push(size);
            }
        }
    }
    match (valid[..].as_ref(), signed[..].as_ref()) {
        (&[size], &[_]) => Ok((size, None)),
        (&[sector_size], _) => {
            let stale = signed.into_iter().find(|&other| other != sector_size);
            let warning = stale.map(|sector_size| TableWarning::StaleGptHeader { sector_size });
            Ok((sector_size, warning))
        }
        // Damaged, but no doubt where. Without any header, 512 gives the right error.
        (&[], &[size]) => Ok((size, None)),
        (&[], &[]) => Ok((SECTOR_SIZES[0], None)),
        _ => Err(TableError::SectorSizeAmbiguous),
    }
}

/// The error for a medium without a GPT header where `given` puts it.
pub(super) fn wrong_gpt_sector_size(
    medium: &dyn ReadAt,
    given: u32,
) -> Result<Option<TableError>, TableError> {
    for found in SECTOR_SIZES {
        if found != given && gpt::has_valid_header(medium, found)? {
            return Ok(Some(TableError::SectorSizeWrong { given, found }));
        }
    }
    Ok(None)
}

/// The MBR read with the sector size that puts a FAT volume of that same sector size
/// where a FAT partition begins.
pub(super) fn read_mbr(medium: &dyn ReadAt, sector0: &[u8]) -> Result<(u32, mbr::Mbr), TableError> {
    let [small, large] = SECTOR_SIZES.map(|size| (size, mbr::read_table(medium, size, sector0)));
    let fits = |(size, mbr): &(u32, mbr::Mbr)| -> Result<bool, TableError> {
        for partition in &mbr.partitions {
            if partition.may_hold_bank() && holds_fat(medium, partition, *size)? {
                return Ok(true);
            }
        }
        Ok(false)
    };
    match (fits(&small)?, fits(&large)?) {
        (true, true) => Err(TableError::SectorSizeAmbiguous),
        (true, false) => Ok(small),
        (false, true) => Ok(large),
        (false, false) => {
            let (size, mut mbr) = small;
            mbr.warnings.push(TableWarning::SectorSizeAssumed);
            Ok((size, mbr))
        }
    }
}

fn holds_fat(
    medium: &dyn ReadAt,
    partition: &Partition,
    sector_size: u32,
) -> Result<bool, TableError> {
    match partition.byte_range(sector_size) {
        Some(bytes) if bytes.start + 512 <= medium.size() => Ok(is_fat_boot_sector(
            &read(medium, bytes.start, 512)?,
            sector_size,
        )),
        _ => Ok(false),
    }
}
