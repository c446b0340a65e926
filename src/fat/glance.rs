//! A volume looked at without opening it: what a few sectors tell.

use super::FatError;
use super::directory::{entries, short_name};
use super::geometry::{BOOT_FIELDS, Geometry};
use super::volume::{MAGIC, VolumeUuid, read, second_sector, uuid_in, window};
use crate::bytes::{le16, le32};
use crate::medium::{ReadAt, Window};
use std::ops::Range;

/// Clusters of a root directory that are looked into: at 512 bytes each they hold 512 entries.
const MOST_CLUSTERS: usize = 32;
/// The largest cluster in bytes that FAT32 may have.
const LARGEST_CLUSTER: u64 = 64 << 10;

/// The identity of the volume in `partition` (bytes on the medium), where VMware formatted it;
/// `None` for any other content. Reads the first two sectors.
///
/// # Errors
/// [`FatError::PastMedium`] and [`FatError::Read`]; [`FatError::BootField`] where the identity is
/// there and the boot sector reserves no sector for it.
pub fn vmware_uuid(
    medium: &dyn ReadAt,
    partition: Range<u64>,
    sector_size: u32,
) -> Result<Option<VolumeUuid>, FatError> {
    let window = window(medium, &partition)?;
    let len = u64::from(sector_size) * 2;
    if window.size() < len {
        return Ok(None);
    }
    let boot = read(&window, 0..len)?;
    let marked = second_sector(&boot, sector_size).is_some_and(|second| second.starts_with(MAGIC));
    match le16(&boot, 14) {
        Some(reserved @ 0..2) if marked => Err(FatError::BootField {
            field: "reserved sectors",
            value: reserved.into(),
            problem: "leaves no room for VMware's mark, so the loader ignores the bank",
        }),
        _ => Ok(uuid_in(&boot, sector_size)),
    }
}

/// Whether `partition` (bytes on the medium) holds a FAT volume whose root directory has an
/// entry of that name. Reads the boot sector and the root directory.
///
/// # Errors
/// [`FatError::PastMedium`] and [`FatError::Read`].
pub(crate) fn root_holds(
    medium: &dyn ReadAt,
    partition: Range<u64>,
    sector_size: u32,
    name: &str,
) -> Result<bool, FatError> {
    let window = window(medium, &partition)?;
    let head = u64::from(sector_size).max(BOOT_FIELDS as u64);
    let boot = read(&window, 0..head.min(window.size()))?;
    // What is no FAT volume holds no file; which of its fields is wrong is of no interest here.
    let Some(short) = short_name(name) else {
        return Ok(false);
    };
    let root = match Geometry::parse(&boot, sector_size, window.size()) {
        Ok(geometry) => read(&window, geometry.root_range())?,
        // Only FAT32 has no length of a FAT there.
        Err(_) if le16(&boot, 22) == Some(0) => root_of_fat32(&window, &boot)?,
        Err(_) => return Ok(false),
    };
    Ok(entries(&root, |at| at as u64).any(|entry| entry.raw_name() == short))
}

/// The beginning of the root directory of a FAT32 volume: as much as holds what an installer has
/// there. Where the chain leads out of the volume it ends.
fn root_of_fat32(window: &Window<&dyn ReadAt>, boot: &[u8]) -> Result<Vec<u8>, FatError> {
    let field = |at| le16(boot, at).map(u64::from);
    let byte = |at: usize| boot.get(at).map(|byte| u64::from(*byte));
    let long = |at| le32(boot, at).map(u64::from);
    let layout = || {
        let sector = field(11)?;
        let fat = field(14)?.checked_mul(sector)?;
        let all_fats = byte(16)?.checked_mul(long(36)?)?.checked_mul(sector)?;
        let len = byte(13)?.checked_mul(sector)?;
        let len = Some(len).filter(|len| (1..=LARGEST_CLUSTER).contains(len))?;
        Some((fat, fat.checked_add(all_fats)?, len, long(44)?))
    };
    let mut root = Vec::new();
    let Some((fat, data, len, mut cluster)) = layout() else {
        return Ok(root);
    };
    for _ in 0..MOST_CLUSTERS {
        let start = cluster.checked_sub(2).and_then(|at| at.checked_mul(len));
        let start = start.and_then(|at| at.checked_add(data));
        let end = start.and_then(|start| start.checked_add(len));
        let (Some(start), Some(end)) = (start, end.filter(|end| *end <= window.size())) else {
            break;
        };
        root.extend(read(window, start..end)?);
        let entry = cluster.saturating_mul(4).saturating_add(fat);
        let end = entry.saturating_add(4);
        if end > window.size() {
            break;
        }
        let next = read(window, entry..end)?;
        cluster = le32(&next, 0).map_or(0, |next| u64::from(next & 0x0fff_ffff));
    }
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECTOR: usize = 512;

    /// A FAT32 volume: one FAT of a sector, clusters of a sector, the root directory in clusters 2
    /// and 5. Its second part holds the file.
    fn fat32() -> Vec<u8> {
        let mut volume = vec![0; 16 * SECTOR];
        for (at, bytes) in [
            (11, &512_u16.to_le_bytes()[..]),
            (13, &[1]),
            (14, &2_u16.to_le_bytes()),
            (16, &[1]),
            (32, &16_u32.to_le_bytes()),
            (36, &1_u32.to_le_bytes()),
            (44, &2_u32.to_le_bytes()),
            (2 * SECTOR + 8, &5_u32.to_le_bytes()),
            (2 * SECTOR + 20, &0x0fff_ffff_u32.to_le_bytes()),
        ] {
            volume[at..at + bytes.len()].copy_from_slice(bytes);
        }
        for slot in volume[3 * SECTOR..4 * SECTOR].chunks_exact_mut(32) {
            slot[..11].copy_from_slice(b"OTHER      ");
        }
        volume[6 * SECTOR..6 * SECTOR + 11].copy_from_slice(b"BOOT    CFG");
        volume
    }

    fn holds(volume: &[u8]) -> Result<bool, FatError> {
        let medium = volume.to_vec();
        root_holds(&medium, 0..medium.len() as u64, 512, "boot.cfg")
    }

    #[test]
    fn the_root_directory_of_fat32_is_followed_to_its_end() {
        assert!(holds(&fat32()).unwrap());
        let mut without = fat32();
        without[6 * SECTOR..6 * SECTOR + 11].copy_from_slice(b"BOOT    BAK");
        assert!(!holds(&without).unwrap());
        // The chain ends before, leads out of the volume, or in a circle.
        for next in [0x0fff_ffff_u32, 0, 1, 4000, 2] {
            let mut other = fat32();
            other[2 * SECTOR + 8..2 * SECTOR + 12].copy_from_slice(&next.to_le_bytes());
            assert!(!holds(&other).unwrap(), "{next:#x}");
        }
    }

    /// Two sectors are all that is asked for, and neither one less nor one byte less is read.
    #[test]
    fn a_mark_needs_two_whole_sectors() {
        let mut marked = fat32();
        marked[SECTOR..SECTOR + MAGIC.len()].copy_from_slice(MAGIC);
        let uuid = |len: usize| vmware_uuid(&marked, 0..len as u64, 512).unwrap();
        assert!(uuid(16 * SECTOR).is_some());
        assert_eq!(uuid(2 * SECTOR), uuid(16 * SECTOR));
        assert_eq!(uuid(2 * SECTOR - 1), None);
        assert_eq!(uuid(0), None);
        assert_eq!(vmware_uuid(&fat32(), 0..1024, 512).unwrap(), None);
        // Without the mark one reserved sector is as good as two.
        let mut other = fat32();
        other[14] = 1;
        assert_eq!(vmware_uuid(&other, 0..1024, 512).unwrap(), None);
        marked[14] = 1;
        assert!(vmware_uuid(&marked, 0..1024, 512).is_err());
    }

    #[test]
    fn fields_that_cannot_be_hold_nothing() {
        // Clusters of no byte, and a cluster whose entry in the FAT lies behind the volume.
        let tiny: [(usize, &[u8]); 4] = [
            (11, &[1, 0]),
            (16, &[0]),
            (44, &[44, 1, 0, 0]),
            (14, &[9, 0]),
        ];
        let empty: [(usize, &[u8]); 1] = [(13, &[0])];
        for fields in [&tiny[..], &empty] {
            let mut volume = fat32();
            volume.truncate(2 * SECTOR);
            for (at, bytes) in fields {
                volume[*at..at + bytes.len()].copy_from_slice(bytes);
            }
            assert!(!holds(&volume).unwrap());
        }
    }
}
