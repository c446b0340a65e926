//! The primary GUID partition table.
//!
//! Accepted is what ESXi's own loader accepts: signature, own position, header CRC over the
//! header's size, CRC of the entry array. The backup is read only where it is asked for: the loader does not use
//! it, and the vendor's own dd images (alternate LBA 1) have none. What passes is then read
//! by the `gpt` crate too, from the very bytes that were checked, and both readings must be
//! the same. The checks come first because that crate panics on entries that are not 128
//! bytes long and reads as many entries as a header asks for.

use super::{GptFault, Guid, Partition, PartitionType, TableError, read};
use crate::bytes::{array, le16, le32, le64};
use crate::medium::{Lba, ReadAt};
use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

pub(super) const SIGNATURE: &[u8; 8] = b"EFI PART";
/// Offsets of two sector numbers in a header: of the other header, and of the last sector that a
/// partition may have.
pub(super) const BACKUP_AT: usize = 32;
pub(super) const LAST_USABLE_AT: usize = 48;
const HEADER_SIZE: u32 = 92;
const ENTRY_SIZE: u32 = 128;
/// Eight times what every known tool makes.
const MAX_ENTRIES: u32 = 1024;
const LEGACY_BIOS_BOOTABLE: u64 = 1 << 2;

/// A table that passed every check.
pub(super) struct Gpt {
    pub(super) partitions: Vec<Partition>,
    /// Sectors of the MBR, the header and the entry array.
    pub(super) table: Vec<Range<Lba>>,
    /// Where the header says that the other copy of it is: 1 where there is none.
    pub(super) alternate: Lba,
}

struct Header {
    /// The 92 bytes as they are on the medium.
    bytes: Vec<u8>,
    alternate: Lba,
    array_lba: Lba,
    entries: u32,
    entry_size: u32,
    array_crc: u32,
}

/// Whether sector 1 begins as a GPT header does.
pub(super) fn has_signature(medium: &dyn ReadAt, sector_size: u32) -> Result<bool, TableError> {
    let offset = u64::from(sector_size);
    if medium.size() < offset + SIGNATURE.len() as u64 {
        return Ok(false);
    }
    Ok(read(medium, offset, SIGNATURE.len())? == SIGNATURE)
}

/// Whether a header whose checksum is right stands at sector 1.
pub(super) fn has_valid_header(medium: &dyn ReadAt, sector_size: u32) -> Result<bool, TableError> {
    match read_header(medium, sector_size) {
        Ok(_) => Ok(true),
        Err(error @ TableError::Read { .. }) => Err(error),
        // A header of a size that is not supported is a header all the same.
        Err(TableError::GptHeaderSize { .. }) => Ok(true),
        Err(_) => Ok(false),
    }
}

/// Reads the primary table.
pub(super) fn read_table(medium: &dyn ReadAt, sector_size: u32) -> Result<Gpt, TableError> {
    read_table_of(medium, sector_size, Lba(1))
}

/// Reads the backup table, whose header is the last sector of the medium.
pub(super) fn read_backup(medium: &dyn ReadAt, sector_size: u32) -> Result<Gpt, TableError> {
    let sectors = medium.size() / u64::from(sector_size);
    // Before that there are the protective MBR and the primary header.
    let lba = Lba(sectors.saturating_sub(1).max(2));
    let backup = |error| match error {
        TableError::Gpt(fault) => TableError::BackupGpt(fault),
        other => other,
    };
    read_table_of(medium, sector_size, lba).map_err(backup)
}

/// The sectors of every backup GPT there is: of the one the primary header leads to (`alternate`),
/// and of one in the last sector of the medium, where tools look for it. A header whose checksum is
/// right is one; its entries need not be whole.
///
/// # Errors
/// [`TableError::Read`].
pub(super) fn backup_sectors(
    medium: &dyn ReadAt,
    sector_size: u32,
    alternate: Lba,
) -> Result<Vec<Range<Lba>>, TableError> {
    let sectors = medium.size() / u64::from(sector_size);
    let last = Lba(sectors.saturating_sub(1));
    let mut found = Vec::new();
    let mut places = vec![alternate, last];
    places.dedup();
    // In front of sector 2 there is the primary table, and past the end there is nothing.
    for at in places.into_iter().filter(|at| *at >= Lba(2) && *at <= last) {
        let header = match read_header_at(medium, sector_size, at) {
            Ok(header) => header,
            Err(error @ TableError::Read { .. }) => return Err(error),
            Err(_) => continue,
        };
        let length = u64::from(header.entries) * u64::from(header.entry_size);
        let end = header
            .array_lba
            .saturating_add(length.div_ceil(sector_size.into()));
        found.extend([header.array_lba..end, at..at.saturating_add(1)]);
    }
    Ok(found)
}

fn read_table_of(medium: &dyn ReadAt, sector_size: u32, lba: Lba) -> Result<Gpt, TableError> {
    let header = read_header_at(medium, sector_size, lba)?;
    let (array, array_sectors) = read_array(medium, sector_size, &header)?;
    let mut partitions = Vec::new();
    for (number, entry) in (1..).zip(array.chunks_exact(ENTRY_SIZE as usize)) {
        partitions.extend(parse_entry(number, entry));
    }
    agree_with_crate(&header, &array, sector_size, &partitions)?;
    Ok(Gpt {
        alternate: header.alternate,
        partitions,
        table: match lba {
            Lba(1) => vec![Lba(0)..Lba(2), array_sectors],
            last => vec![Lba(0)..Lba(1), array_sectors, last..last.saturating_add(1)],
        },
    })
}

fn read_header(medium: &dyn ReadAt, sector_size: u32) -> Result<Header, TableError> {
    read_header_at(medium, sector_size, Lba(1))
}

/// The header at sector `at`, which must say that it is there.
fn read_header_at(medium: &dyn ReadAt, sector_size: u32, at: Lba) -> Result<Header, TableError> {
    let bounds = |at: Lba| {
        let offset = at.offset(sector_size)?;
        Some((offset, offset.checked_add(sector_size.into())?))
    };
    let (offset, header_end) = bounds(at).unwrap_or((u64::MAX, u64::MAX));
    if medium.size() < header_end {
        return Err(GptFault::NoRoomForHeader {
            size: medium.size(),
            header_end,
        }
        .into());
    }
    let sector = read(medium, offset, sector_size as usize)?;
    // The sector is longer than every field's offset, so none of these can be absent.
    let word = |at| le32(&sector, at).unwrap_or(0);
    let long = |at| le64(&sector, at).unwrap_or(0);
    if !sector.starts_with(SIGNATURE) {
        return Err(GptFault::Signature { offset }.into());
    }
    let lba = Lba(long(24));
    if lba != at {
        return Err(GptFault::HeaderLba { at, lba }.into());
    }
    let size = word(12);
    let covered = usize::try_from(size)
        .ok()
        .filter(|_| size >= HEADER_SIZE)
        .and_then(|size| sector.get(..size))
        .ok_or(GptFault::HeaderSize { size })?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&covered[..16]);
    hasher.update(&[0; 4]);
    hasher.update(&covered[20..]);
    let (stored, computed) = (word(16), hasher.finalize());
    if stored != computed {
        return Err(GptFault::HeaderCrc { stored, computed }.into());
    }
    if size != HEADER_SIZE {
        return Err(TableError::GptHeaderSize { size });
    }
    Ok(Header {
        alternate: Lba(long(32)),
        array_lba: Lba(long(72)),
        entries: word(80),
        entry_size: word(84),
        array_crc: word(88),
        bytes: covered.to_vec(),
    })
}

/// The entry array and the sectors it lies in.
fn read_array(
    medium: &dyn ReadAt,
    sector_size: u32,
    header: &Header,
) -> Result<(Vec<u8>, Range<Lba>), TableError> {
    let &Header {
        array_lba: lba,
        entries,
        entry_size: size,
        ..
    } = header;
    if size < ENTRY_SIZE || !size.is_power_of_two() {
        return Err(GptFault::EntrySize { size }.into());
    }
    if size != ENTRY_SIZE {
        return Err(TableError::GptEntrySize { size });
    }
    if entries == 0 {
        return Err(GptFault::NoEntries.into());
    }
    if entries > MAX_ENTRIES {
        return Err(TableError::GptEntryCount {
            count: entries,
            limit: MAX_ENTRIES,
        });
    }
    if lba < Lba(2) {
        return Err(GptFault::ArrayOverHeader { lba }.into());
    }
    let length = entries * size;
    let sectors = medium.size() / u64::from(sector_size);
    let past_end = GptFault::ArrayPastEnd { lba, sectors };
    let end = lba
        .checked_add(u64::from(length.div_ceil(sector_size)))
        .filter(|end| end.0 <= sectors);
    let (Some(end), Some(offset)) = (end, lba.offset(sector_size)) else {
        return Err(past_end.into());
    };
    let array = read(medium, offset, length as usize)?;
    let (stored, computed) = (header.array_crc, crc32fast::hash(&array));
    if stored != computed {
        return Err(GptFault::ArrayCrc { stored, computed }.into());
    }
    Ok((array, lba..end))
}

/// `None` where the entry is not in use.
fn parse_entry(number: u32, entry: &[u8]) -> Option<Partition> {
    let guid = Guid(array(entry, 0)?);
    if guid == Guid::UNUSED {
        return None;
    }
    let units: Vec<u16> = (56..128)
        .step_by(2)
        .map_while(|at| le16(entry, at).filter(|&unit| unit != 0))
        .collect();
    Some(Partition {
        number,
        partition_type: PartitionType::Gpt(guid),
        name: String::from_utf16_lossy(&units),
        first_lba: Lba(le64(entry, 32)?),
        last_lba: Lba(le64(entry, 40)?),
        boot_flag: le64(entry, 48)? & LEGACY_BIOS_BOOTABLE != 0,
    })
}

fn agree_with_crate(
    header: &Header,
    array: &[u8],
    sector_size: u32,
    ours: &[Partition],
) -> Result<(), TableError> {
    let disagree = |what: String| TableError::GptReadersDisagree(what);
    let block_size = gpt::disk::LogicalBlockSize::try_from(u64::from(sector_size))
        .map_err(|_| TableError::SectorSizeUnsupported { size: sector_size })?;
    let place = |lba: Lba| lba.offset(sector_size).unwrap_or(u64::MAX);
    let mut checked = CheckedBytes {
        parts: [
            (place(Lba(1)), &header.bytes),
            (place(header.array_lba), array),
        ],
        position: 0,
    };
    let their_header = gpt::header::read_header_from_arbitrary_device(&mut checked, block_size)
        .map_err(|error| disagree(format!("the header: {error}")))?;
    let theirs: BTreeMap<u32, _> =
        gpt::partition::file_read_partitions(&mut checked, &their_header, block_size)
            .map_err(|error| disagree(format!("the entry array: {error}")))?
            .into_iter()
            .filter(|(_, entry)| entry.is_used())
            .collect();
    for partition in ours {
        let same = theirs.get(&partition.number).is_some_and(|entry| {
            partition.partition_type
                == PartitionType::Gpt(Guid(entry.part_type_guid.guid.to_bytes_le()))
                && partition.first_lba.0 == entry.first_lba
                && partition.last_lba.0 == entry.last_lba
                && partition.name == entry.name
        });
        if !same {
            return Err(disagree(format!("partition {}", partition.number)));
        }
    }
    if theirs.len() != ours.len() {
        return Err(disagree("which entries are in use".to_owned()));
    }
    Ok(())
}

/// The entry array at its place, the header at sector 1 where the crate looks for it, and nothing
/// else: the crate sees the bytes that were checked, not what another read might give.
struct CheckedBytes<'a> {
    parts: [(u64, &'a [u8]); 2],
    position: u64,
}

impl Read for CheckedBytes<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let rest = self.parts.iter().find_map(|&(start, bytes)| {
            let skip = usize::try_from(self.position.checked_sub(start)?).ok()?;
            bytes.get(skip..).filter(|rest| !rest.is_empty())
        });
        let count = rest.unwrap_or_default().read(buf)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for CheckedBytes<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(_) => None,
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
