//! Where a medium ends according to the table at its start, told from its first bytes alone: for an
//! image that arrives as a stream.

use super::{detect, gpt, mbr};
use crate::bytes::le64;

/// Bytes from the start of a medium that tell where it ends: of an MBR whose sectors are 4096 bytes
/// long, up to the boot sector of the first partition.
pub const EXTENT_HEAD: usize = 1 << 20;

/// The first byte behind everything that the table in `head` names, the backup GPT included; `None`
/// where there is no table. Nothing is verified, and the table may name more than there is.
pub fn extent(head: &[u8], sector_size: Option<u32>) -> Option<u64> {
    let entries = mbr::entries(head);
    if !mbr::has_signature(head) || !mbr::plausible(&entries) {
        return None;
    }
    let sizes = detect::SECTOR_SIZES.into_iter();
    let sizes: Vec<u32> = sizes
        .filter(|size| sector_size.is_none_or(|given| given == *size))
        .collect();
    if entries.iter().any(|entry| entry.is_gpt()) {
        let ends = sizes.iter().filter_map(|size| gpt_end(head, *size));
        return ends.max();
    }
    let holds_fat = |entry: &mbr::Entry, size: u32| {
        let at = entry.start.0.checked_mul(u64::from(size))?;
        let sector = head.get(usize::try_from(at).ok()?..)?;
        Some(detect::is_fat_boot_sector(sector, size))
    };
    let fits = |size: &&u32| entries.iter().any(|it| holds_fat(it, **size) == Some(true));
    let size = sizes.iter().find(fits).or(sizes.first())?;
    let ends = entries.iter().filter_map(|entry| entry.end());
    Some(ends.max()?.saturating_mul(u64::from(*size)))
}

/// Where the GPT whose header is in sector 1 says that the medium ends, in bytes.
fn gpt_end(head: &[u8], sector_size: u32) -> Option<u64> {
    let at = usize::try_from(sector_size).ok()?;
    let header = head.get(at..)?;
    if !header.starts_with(gpt::SIGNATURE) {
        return None;
    }
    let backup = le64(header, gpt::BACKUP_AT)?;
    let last_usable = le64(header, gpt::LAST_USABLE_AT)?;
    let sectors = backup.max(last_usable).saturating_add(1);
    Some(sectors.saturating_mul(u64::from(sector_size)))
}

/// A disk of so many sectors of 512 bytes: a protective MBR, the header of a GPT, and data.
#[cfg(test)]
pub fn disk_with_gpt(sectors: u64) -> Vec<u8> {
    let length = usize::try_from(sectors * 512).unwrap();
    let mut disk = vec![0xa5; length];
    disk[..1024].fill(0);
    disk[446 + 4] = 0xee;
    disk[446 + 8] = 1;
    let behind_mbr = u32::try_from(sectors - 1).unwrap();
    disk[446 + 12..][..4].copy_from_slice(&behind_mbr.to_le_bytes());
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk[512..][..gpt::SIGNATURE.len()].copy_from_slice(gpt::SIGNATURE);
    disk[512 + gpt::BACKUP_AT..][..8].copy_from_slice(&(sectors - 1).to_le_bytes());
    disk
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_mbr_ends_behind_its_last_partition() {
        let mut head = vec![0; EXTENT_HEAD];
        head[510..512].copy_from_slice(&[0x55, 0xaa]);
        head[446 + 4] = 6;
        head[446 + 8] = 63;
        head[446 + 12] = 100;
        assert_eq!(extent(&head, None), Some(163 * 512));
        assert_eq!(extent(&head, Some(4096)), Some(163 * 4096));
        head[510] = 0;
        assert_eq!(extent(&head, None), None);
    }

    #[test]
    fn a_gpt_ends_behind_its_backup_or_what_partitions_may_use() {
        let mut image = disk_with_gpt(68);
        for (backup, last_usable) in [(99u64, 66u64), (1, 99)] {
            image[512 + gpt::BACKUP_AT..][..8].copy_from_slice(&backup.to_le_bytes());
            image[512 + gpt::LAST_USABLE_AT..][..8].copy_from_slice(&last_usable.to_le_bytes());
            assert_eq!(extent(&image, None), Some(100 * 512));
        }
    }
}
