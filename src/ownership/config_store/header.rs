//! The header of a SQLite file and its pages, as the published file format lays them out.

use std::collections::BTreeSet;

use crate::bytes::array;
use crate::ownership::OwnershipError;

/// Hundreds of times what a real host's store takes (132 KB).
const MAX_SIZE: usize = 64 << 20;
/// The format version bytes: 1 for a rollback journal, 2 for a write-ahead log.
pub(super) const VERSIONS: std::ops::Range<usize> = 18..20;

/// The file format of SQLite, as far as it can be checked before SQLite reads the file.
pub(super) fn check(bytes: &[u8]) -> Result<(), OwnershipError> {
    let bad = |offset, why: &str| OwnershipError::StoreHeader {
        offset,
        why: why.to_owned(),
    };
    let word = |offset| array(bytes, offset).map_or(0, u32::from_be_bytes);
    let size = bytes.len();
    if size > MAX_SIZE {
        return Err(OwnershipError::StoreTooLarge {
            size,
            limit: MAX_SIZE,
        });
    }
    let Some(header) = array::<100>(bytes, 0) else {
        return Err(bad(0, "the file is shorter than a header"));
    };
    if !header.starts_with(b"SQLite format 3\0") {
        return Err(bad(0, "it does not begin with `SQLite format 3`"));
    }
    let Some(page_size) = page_size(bytes) else {
        return Err(bad(
            16,
            "the page size is not a power of two from 512 to 65536",
        ));
    };
    if !header[VERSIONS].iter().all(|v| matches!(v, 1 | 2)) {
        return Err(bad(18, "the format version is neither 1 nor 2"));
    }
    if page_size.saturating_sub(u32::from(header[20])) < 480 {
        return Err(bad(20, "a page has less than 480 usable bytes"));
    }
    if header[21..24] != [64, 32, 32] {
        return Err(bad(21, "the payload fractions are not 64, 32, 32"));
    }
    if !matches!(word(44), 1..=4) {
        return Err(bad(44, "the schema format is not 1 to 4"));
    }
    if word(56) != 1 {
        return Err(bad(56, "the text encoding is not UTF-8"));
    }
    // The page count counts only where the writer that set it also set the change counter.
    let whole = u32::try_from(size).unwrap_or(u32::MAX);
    let counted = word(28) != 0 && word(24) == word(92);
    let pages = if counted { word(28) } else { whole / page_size };
    if pages.checked_mul(page_size) != Some(whole) {
        return Err(OwnershipError::StoreSize {
            size,
            pages,
            page_size,
        });
    }
    Ok(())
}

/// Bytes per page, where the header holds a size SQLite knows; 1 stands for 65536.
fn page_size(bytes: &[u8]) -> Option<u32> {
    match array(bytes, 16).map(u16::from_be_bytes)? {
        1 => Some(65536),
        size @ 512..=32768 if size.is_power_of_two() => Some(u32::from(size)),
        _ => None,
    }
}

/// Pages of other tables must be the same before and after. Page 1 also holds the header, whose
/// counters, sizes and list of free pages move.
pub(super) fn check_foreign_pages(
    before: &[u8],
    after: &[u8],
    foreign: &BTreeSet<u32>,
) -> Result<(), OwnershipError> {
    let page_size = page_size(before).and_then(|size| usize::try_from(size).ok());
    let page_size = page_size.unwrap_or(0);
    let page = |bytes: &[u8], number: u32| -> Option<Vec<u8>> {
        let start = usize::try_from(number.checked_sub(1)?)
            .ok()?
            .checked_mul(page_size)?;
        let mut page = bytes.get(start..start.checked_add(page_size)?)?.to_vec();
        if number == 1 {
            for range in [24..40, 92..100] {
                page.get_mut(range)?.fill(0);
            }
        }
        Some(page)
    };
    for number in foreign {
        let old = page(before, *number);
        if old.is_none() || old != page(after, *number) {
            let what = format!("page {number} of the ConfigStore, which belongs to another table");
            return Err(OwnershipError::UnexpectedChange { what });
        }
    }
    Ok(())
}
