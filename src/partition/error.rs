//! Everything that can be wrong with a partition table, each thing by its own name.

use crate::error::{ErrorKind, counted};
use crate::medium::Lba;

/// Why a medium's partition table could not be accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The medium could not be read.
    #[error("cannot read {length} bytes at byte {offset}: {source}")]
    Read {
        /// Byte position on the medium.
        offset: u64,
        /// Number of bytes asked for.
        length: usize,
        /// What the medium reported.
        source: std::io::Error,
    },
    /// The medium has no bytes at all.
    #[error("the medium is empty (0 bytes)")]
    Empty,
    /// The medium cannot hold even one sector.
    #[error("the medium has only {}, less than one sector", counted(size, "byte"))]
    SmallerThanASector {
        /// Size of the medium in bytes.
        size: u64,
    },
    /// Sector 0 is no boot record and nothing else that is recognised.
    #[error("not a disk: sector 0 holds no partition table")]
    NoTable,
    /// The file begins as a gzip stream does: a packed image, or a bare state.tgz.
    #[error("not a disk: the content is a gzip stream, such as a packed image or a state.tgz")]
    Gzip,
    /// A disk or archive format other than a raw image.
    #[error("not a raw disk image: the content is {format}")]
    ForeignFormat {
        /// Name of the format.
        format: &'static str,
    },
    /// A FAT volume without a partition table around it.
    #[error(
        "not a whole disk: sector 0 is the boot sector of a FAT volume{}",
        if *.vmware { " that VMware formatted, such as the copy of a single bank" } else { "" }
    )]
    UnpartitionedFat {
        /// Whether the volume's second sector carries VMware's identifier.
        vmware: bool,
    },
    /// The table can be read with sectors of 512 and of 4096 bytes, and both make sense.
    #[error("the sector size is not clear: both 512 and 4096 bytes are possible")]
    SectorSizeAmbiguous,
    /// A sector size that no ESXi boot medium has.
    #[error("sectors of {size} bytes are not supported; only 512 and 4096 are")]
    SectorSizeUnsupported {
        /// Sector size in bytes.
        size: u32,
    },
    /// The GPT was made for another sector size than the one asked for.
    #[error(
        "the GPT is for sectors of {found} bytes, but the medium is read with sectors of {given} bytes"
    )]
    SectorSizeWrong {
        /// Sector size that was asked for, in bytes.
        given: u32,
        /// Sector size at which a valid header stands, in bytes.
        found: u32,
    },
    /// A GPT whose protective MBR entry ESXi's loader does not accept.
    #[error(
        "MBR entry {slot} of type ee starts at sector {start_lba} with flags {flags:02x}; ESXi's loader needs \
         it in entry 1, at sector 1, with flags 00; otherwise it ignores the GPT and finds no bank"
    )]
    NotProtective {
        /// MBR entry, from 1.
        slot: u32,
        /// Its flags byte; 80 is what a `pmbr_boot` flag leaves.
        flags: u8,
        /// Its first sector.
        start_lba: Lba,
    },
    /// The primary GPT contradicts itself. The backup is not used instead, by ESXi's loader
    /// as little as here.
    #[error("the primary GPT is damaged, so the medium does not boot: {0}")]
    Gpt(#[from] GptFault),
    /// A GPT was asked for, and nothing of one is there.
    #[error("there is no GPT: no header at byte {offset}, and no entry for one in the MBR")]
    NoGpt {
        /// Where its header would be.
        offset: u64,
    },
    /// The backup GPT, which was asked for, contradicts itself or is none.
    #[error("there is no whole backup GPT at the end of the medium: {0}")]
    BackupGpt(GptFault),
    /// A table that was read although the loader does not use it: nothing is written by it.
    #[error("this table is not the one that ESXi's loader uses, so nothing is written by it")]
    NotTheLoaders {
        /// Which table it is.
        choice: super::TableChoice,
    },
    /// A partition that may hold a bank covers the backup GPT.
    #[error("{0}, so nothing is written")]
    BackupOverlap(#[from] super::BackupOverlap),
    /// A GPT header longer than the 92 bytes every known tool writes.
    #[error("GPT headers of {size} bytes are not supported; only 92 are")]
    GptHeaderSize {
        /// The header's size field in bytes.
        size: u32,
    },
    /// GPT entries of a size other than 128 bytes.
    #[error("GPT entries of {size} bytes are not supported; only 128 are")]
    GptEntrySize {
        /// The header's entry size field in bytes.
        size: u32,
    },
    /// More GPT entries than are accepted.
    #[error("a GPT of {count} entries is not supported; the limit is {limit}")]
    GptEntryCount {
        /// The header's entry count.
        count: u32,
        /// The most that are accepted.
        limit: u32,
    },
    /// This program and the `gpt` crate read the same table differently.
    #[error("two readers of the GPT disagree about {0}")]
    GptReadersDisagree(String),
    /// The extended partition's chain comes back to a record it has passed.
    #[error("the chain of logical partitions loops: it leads to sector {lba} a second time")]
    EbrLoop {
        /// Sector of the extended boot record.
        lba: Lba,
    },
    /// The extended partition's chain is longer than is accepted.
    #[error("the chain of logical partitions has more than {limit} links")]
    EbrChainTooLong {
        /// The most that are accepted.
        limit: u32,
    },
    /// A link of the chain is not an extended boot record.
    #[error("sector {lba} should hold an extended boot record but does not end in 55 aa")]
    EbrSignature {
        /// Sector that was read.
        lba: Lba,
    },
    /// A link of the chain lies outside the extended partition.
    #[error(
        "the chain of logical partitions leads to sector {lba}, outside the extended partition \
         (sectors {first_lba} to {last_lba})"
    )]
    EbrOutsideExtended {
        /// Sector the chain leads to.
        lba: Lba,
        /// First sector of the extended partition.
        first_lba: Lba,
        /// Last sector of the extended partition.
        last_lba: Lba,
    },
    /// A link of the chain lies past the end of the medium.
    #[error(
        "the chain of logical partitions leads to sector {lba}, but the medium has only {sectors} sectors"
    )]
    EbrPastEnd {
        /// Sector the chain leads to.
        lba: Lba,
        /// Sectors the medium has.
        sectors: u64,
    },
    /// An extended partition within the extended partition, which ESXi's loader does not read.
    #[error("the extended boot record at sector {lba} holds another extended partition")]
    NestedExtended {
        /// Sector of the extended boot record.
        lba: Lba,
    },
    /// An entry without a length, of a type that ESXi's loader reads. It does not look at the length.
    #[error(
        "partition {number} has a type (0x{type_byte:02x}) and no length: ESXi's loader reads a volume there all the same, \
         which no other system does"
    )]
    WithoutLength {
        /// Number of the partition.
        number: u32,
        /// Its type.
        type_byte: u8,
    },
    /// A logical partition that leaves the extended one.
    #[error(
        "logical partition {number} (sectors {first_lba} to {last_lba}) lies outside the extended partition \
         (sectors {extended_first} to {extended_last})"
    )]
    LogicalOutsideExtended {
        /// Partition number.
        number: u32,
        /// First sector.
        first_lba: Lba,
        /// Last sector.
        last_lba: Lba,
        /// First sector of the extended partition.
        extended_first: Lba,
        /// Last sector of the extended partition.
        extended_last: Lba,
    },
    /// A partition that may hold a bank cannot be where its entry says.
    #[error("partition {number} {fault}")]
    Partition {
        /// Partition number.
        number: u32,
        /// What is wrong with it.
        fault: PartitionFault,
    },
}

impl TableError {
    /// What the error means to whoever has to act on it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            TableError::Read { .. } => ErrorKind::Io,
            TableError::SectorSizeAmbiguous | TableError::SectorSizeWrong { .. } => {
                ErrorKind::Refused
            }
            TableError::NoTable
            | TableError::Gzip
            | TableError::ForeignFormat { .. }
            | TableError::UnpartitionedFat { .. }
            | TableError::SectorSizeUnsupported { .. }
            | TableError::NoGpt { .. }
            | TableError::GptHeaderSize { .. }
            | TableError::GptEntrySize { .. }
            | TableError::GptEntryCount { .. }
            | TableError::NestedExtended { .. } => ErrorKind::Unsupported,
            TableError::Empty
            | TableError::WithoutLength { .. }
            | TableError::SmallerThanASector { .. }
            | TableError::NotProtective { .. }
            | TableError::Gpt(_)
            | TableError::BackupGpt(_)
            | TableError::NotTheLoaders { .. }
            | TableError::GptReadersDisagree(_)
            | TableError::EbrLoop { .. }
            | TableError::EbrChainTooLong { .. }
            | TableError::EbrSignature { .. }
            | TableError::EbrOutsideExtended { .. }
            | TableError::EbrPastEnd { .. }
            | TableError::LogicalOutsideExtended { .. }
            | TableError::Partition { .. } => ErrorKind::Damaged,
            TableError::BackupOverlap(_) => ErrorKind::Refused,
        }
    }

    /// The byte of the medium it was met at, where that is known.
    pub fn offset(&self) -> Option<u64> {
        match self {
            TableError::Read { offset, .. }
            | TableError::NoGpt { offset }
            | TableError::Gpt(GptFault::Signature { offset }) => Some(*offset),
            _ => None,
        }
    }

    /// Number of the partition the error is about, where it is about one.
    pub fn partition(&self) -> Option<u32> {
        match self {
            TableError::LogicalOutsideExtended { number, .. }
            | TableError::WithoutLength { number, .. }
            | TableError::Partition { number, .. } => Some(*number),
            TableError::BackupOverlap(overlap) => Some(overlap.number),
            _ => None,
        }
    }
}

/// What a primary GPT can have wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GptFault {
    /// The medium ends before the header does.
    #[error("the medium has {size} bytes, but the header would end at byte {header_end}")]
    NoRoomForHeader {
        /// Size of the medium in bytes.
        size: u64,
        /// Byte after the header's sector.
        header_end: u64,
    },
    /// No `EFI PART` where the header should be.
    #[error("no header at byte {offset}")]
    Signature {
        /// Byte position of sector 1, the first one looked at where the sector size is unknown.
        offset: u64,
    },
    /// The header's size field cannot be.
    #[error("the header gives its own size as {size} bytes")]
    HeaderSize {
        /// The header's size field.
        size: u32,
    },
    /// The header's checksum does not match.
    #[error("the header's CRC is {computed:08x}, but it should be {stored:08x}")]
    HeaderCrc {
        /// CRC the header gives.
        stored: u32,
        /// CRC of the bytes that are there.
        computed: u32,
    },
    /// The header does not say that it is the one at its sector.
    #[error("the header at sector {at} says it is at sector {lba}")]
    HeaderLba {
        /// Where it was read.
        at: Lba,
        /// The header's `MyLBA` field.
        lba: Lba,
    },
    /// The entry size field cannot be.
    #[error("the header gives the size of an entry as {size} bytes")]
    EntrySize {
        /// The header's entry size field.
        size: u32,
    },
    /// The header says there are no entries.
    #[error("the header gives the number of entries as 0")]
    NoEntries,
    /// The entry array lies over the header or the MBR.
    #[error("the entry array starts at sector {lba}, over the header")]
    ArrayOverHeader {
        /// First sector of the entry array.
        lba: Lba,
    },
    /// The entry array lies past the end of the medium.
    #[error("the entry array starts at sector {lba} and ends past the medium's {sectors} sectors")]
    ArrayPastEnd {
        /// First sector of the entry array.
        lba: Lba,
        /// Sectors the medium has.
        sectors: u64,
    },
    /// The entry array's checksum does not match.
    #[error("the entry array's CRC is {computed:08x}, but it should be {stored:08x}")]
    ArrayCrc {
        /// CRC the header gives.
        stored: u32,
        /// CRC of the bytes that are there.
        computed: u32,
    },
}

/// What an entry can have wrong, seen against the medium and the other entries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PartitionFault {
    /// The end lies before the start.
    #[error("ends at sector {last_lba}, before its start at sector {first_lba}")]
    EndsBeforeStart {
        /// First sector.
        first_lba: Lba,
        /// Last sector.
        last_lba: Lba,
    },
    /// The medium ends before the partition does: a truncated image, or a false entry.
    #[error(
        "reaches from sector {first_lba} to {last_lba}, but the medium has only {} ({} missing)",
        counted(sectors, "sector"),
        counted(missing, "byte")
    )]
    PastEnd {
        /// First sector.
        first_lba: Lba,
        /// Last sector.
        last_lba: Lba,
        /// Sectors the medium has.
        sectors: u64,
        /// Bytes of the partition that are not on the medium.
        missing: u64,
    },
    /// Two partitions share sectors.
    #[error("(sectors {first_lba} to {last_lba}) overlaps partition {other}")]
    Overlaps {
        /// First sector.
        first_lba: Lba,
        /// Last sector.
        last_lba: Lba,
        /// Number of the partition it shares sectors with.
        other: u32,
    },
    /// The partition lies over a sector of the partition table itself.
    #[error("(sectors {first_lba} to {last_lba}) covers sector {lba} of the partition table")]
    CoversTable {
        /// First sector.
        first_lba: Lba,
        /// Last sector.
        last_lba: Lba,
        /// The first sector of the table that it covers.
        lba: Lba,
    },
}

/// Something odd that does not keep the banks from being read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableWarning {
    /// A partition that cannot hold a bank is not where its entry says.
    #[error("partition {number} {fault}")]
    Partition {
        /// Partition number.
        number: u32,
        /// What is wrong with it.
        fault: PartitionFault,
    },
    /// The medium's size is no whole number of sectors.
    #[error("the medium ends with {}, less than a sector", counted(bytes, "byte"))]
    PartialSector {
        /// Bytes after the last whole sector.
        bytes: u64,
    },
    /// The sector size could not be told and does not matter.
    #[error("no FAT partition shows the sector size; 512 bytes are assumed")]
    SectorSizeAssumed,
    /// Something that looks like a GPT header for another sector size, but is not valid.
    #[error("the remains of a GPT header for sectors of {sector_size} bytes are ignored")]
    StaleGptHeader {
        /// Sector size the remains are for.
        sector_size: u32,
    },
    /// A GPT beside an MBR that ESXi's loader uses instead.
    #[error("the GPT header is ignored, as by ESXi's loader: the MBR has no protective entry")]
    GptIgnored,
    /// MBR entries beside the protective one.
    #[error("this is a hybrid MBR: its other entries are ignored, as by ESXi's loader")]
    HybridMbr,
    /// A flags byte other than 00 and 80.
    #[error("MBR entry {slot} has flags {flags:02x}")]
    MbrFlags {
        /// MBR entry, from 1.
        slot: u32,
        /// Its flags byte.
        flags: u8,
    },
    /// More than one extended partition; only the first is read.
    #[error("MBR entry {slot} is a second extended partition; it is ignored, as by ESXi's loader")]
    SecondExtended {
        /// MBR entry, from 1.
        slot: u32,
    },
    /// A link of the chain without a partition: it takes a number here, but not everywhere.
    #[error("logical partition {number} is empty; other systems number the later ones one lower")]
    EmptyLogical {
        /// The number ESXi's loader counts it as.
        number: u32,
    },
}
