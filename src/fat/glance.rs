//! A volume looked at without opening it: what a few sectors tell.

use super::FatError;
use super::directory::{entries, short_name};
use super::geometry::{BOOT_FIELDS, Geometry};
use super::volume::{MAGIC, VolumeUuid, read, second_sector, uuid_in, window};
use crate::bytes::le16;
use crate::medium::ReadAt;
use std::ops::Range;

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
    let (Ok(geometry), Some(short)) = (
        Geometry::parse(&boot, sector_size, window.size()),
        short_name(name),
    ) else {
        return Ok(false);
    };
    let root = read(&window, geometry.root_range())?;
    Ok(entries(&root, |at| at as u64).any(|entry| entry.raw_name() == short))
}
