//! Tables made by sgdisk and sfdisk, tables made by hand, and tables that lie.

mod hostile;
mod made_by_tools;

use super::*;
use crate::error::ErrorKind;

/// A GPT in memory, with whatever fields a test wants to be false.
#[derive(Clone)]
struct GptMaker {
    sector_size: u16,
    sectors: usize,
    signature: [u8; 8],
    header_size: u32,
    my_lba: u64,
    alternate_lba: u64,
    array_lba: u64,
    entries: u32,
    entry_size: u32,
    /// Number, type, first and last sector.
    partitions: Vec<(usize, Guid, u64, u64)>,
}

impl GptMaker {
    /// Banks at 5 and 6 behind an EFI system partition, without a backup, as the vendor's dd
    /// images are.
    fn new(sector_size: u16) -> Self {
        GptMaker {
            sector_size,
            sectors: 600,
            signature: *b"EFI PART",
            header_size: 92,
            my_lba: 1,
            alternate_lba: 1,
            array_lba: 2,
            entries: 128,
            entry_size: 128,
            partitions: vec![
                (1, Guid::EFI_SYSTEM, 64, 99),
                (5, Guid::BASIC_DATA, 100, 199),
                (6, Guid::BASIC_DATA, 200, 299),
                (7, Guid::VMKCORE, 300, 399),
            ],
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn make(&self) -> Vec<u8> {
        let sector_size = usize::from(self.sector_size);
        let mut disk = vec![0; self.sectors * sector_size];
        set_mbr_entry(&mut disk, 1, 0, 0xEE, 1, u32::MAX);
        disk[510..512].copy_from_slice(&[0x55, 0xAA]);
        let mut array = vec![0; (self.entries * self.entry_size) as usize];
        for &(number, guid, first, last) in &self.partitions {
            let at = (number - 1) * self.entry_size as usize;
            put(&mut array, at, &guid.0);
            put(&mut array, at + 16, &number.to_le_bytes());
            put(&mut array, at + 32, &first.to_le_bytes());
            put(&mut array, at + 40, &last.to_le_bytes());
            put(&mut array, at + 56, &utf16(&format!("PART{number}")));
        }
        if let Some(room) = disk.get_mut(usize::try_from(self.array_lba).unwrap() * sector_size..) {
            let length = room.len().min(array.len());
            room[..length].copy_from_slice(&array[..length]);
        }
        let header_at = sector_size;
        put(&mut disk, header_at, &self.signature);
        for (at, word) in [
            (8, 0x10000),
            (12, self.header_size),
            (80, self.entries),
            (84, self.entry_size),
            (88, crc32fast::hash(&array)),
        ] {
            put(&mut disk, header_at + at, &u32::to_le_bytes(word));
        }
        for (at, long) in [
            (24, self.my_lba),
            (32, self.alternate_lba),
            (72, self.array_lba),
        ] {
            put(&mut disk, header_at + at, &long.to_le_bytes());
        }
        let covered = (self.header_size as usize).min(sector_size);
        let crc = crc32fast::hash(&disk[header_at..header_at + covered]);
        put(&mut disk, header_at + 16, &crc.to_le_bytes());
        disk
    }
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn put(bytes: &mut [u8], at: usize, what: &[u8]) {
    bytes[at..at + what.len()].copy_from_slice(what);
}

/// Writes entry `slot` (from 1) of the boot record at the beginning of `record`.
fn set_mbr_entry(record: &mut [u8], slot: usize, flags: u8, kind: u8, start: u32, sectors: u32) {
    let at = 446 + (slot - 1) * 16;
    record[at] = flags;
    record[at + 4] = kind;
    put(record, at + 8, &start.to_le_bytes());
    put(record, at + 12, &sectors.to_le_bytes());
}

/// A boot sector of a FAT16 volume with sectors of `sector_size` bytes.
fn put_fat(disk: &mut [u8], at: usize, sector_size: u16) {
    put(disk, at, &[0xEB, 0x3C, 0x90]);
    put(disk, at + 11, &sector_size.to_le_bytes());
    put(disk, at + 13, &[8, 2, 0, 2]);
    disk[at + 21] = 0xF8;
    put(disk, at + 54, b"FAT16   ");
    put(disk, at + 510, &[0x55, 0xAA]);
}

/// The layout VMware's forced MBR has, small: boot 4, extended 1 with banks 5 and 6, core 7.
fn mbr(sector_size: u16) -> Vec<u8> {
    let fat_sector_size = sector_size;
    let sector_size = usize::from(sector_size);
    let mut disk = vec![0; 600 * sector_size];
    let mut record = |lba: usize, entries: &[(usize, u8, u32, u32)]| {
        let record = &mut disk[lba * sector_size..];
        put(record, 510, &[0x55, 0xAA]);
        for &(slot, kind, start, sectors) in entries {
            set_mbr_entry(record, slot, 0, kind, start, sectors);
        }
    };
    record(0, &[(1, 0x05, 100, 500), (4, 0x04, 32, 68)]);
    record(100, &[(1, 0x06, 10, 90), (2, 0x05, 100, 100)]);
    record(200, &[(1, 0x06, 10, 90), (2, 0x05, 200, 100)]);
    record(300, &[(1, 0xFC, 10, 90)]);
    disk[446 + 3 * 16] = 0x80;
    put_fat(&mut disk, 110 * sector_size, fat_sector_size);
    disk
}

fn summary(table: &PartitionTable) -> Vec<(u32, String, u64, u64)> {
    let line = |p: &Partition| {
        (
            p.number,
            p.partition_type.to_string(),
            p.first_lba.0,
            p.last_lba.0,
        )
    };
    table.partitions.iter().map(line).collect()
}

#[test]
fn a_gpt_without_a_backup_is_read_at_either_sector_size() {
    for sector_size in [512, 4096] {
        let disk = GptMaker::new(sector_size).make();
        for given in [None, Some(u32::from(sector_size))] {
            let table = PartitionTable::read(&disk, given).unwrap();
            assert_eq!(table.kind, TableKind::Gpt);
            assert_eq!(table.sector_size, u32::from(sector_size));
            assert_eq!(table.warnings, []);
            let basic = Guid::BASIC_DATA.to_string();
            assert_eq!(basic, "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7");
            let expected = [
                (1, Guid::EFI_SYSTEM.to_string(), 64, 99),
                (5, basic.clone(), 100, 199),
                (6, basic, 200, 299),
                (7, Guid::VMKCORE.to_string(), 300, 399),
            ];
            assert_eq!(summary(&table), expected);
            let bank = table.partition(5).unwrap();
            assert_eq!(bank.name, "PART5");
            let (start, end) = (100 * u64::from(sector_size), 200 * u64::from(sector_size));
            assert_eq!(bank.byte_range(table.sector_size), Some(start..end));
            let candidates: Vec<u32> = table.bank_candidates().map(|p| p.number).collect();
            assert_eq!(candidates, [1, 5, 6]);
        }
    }
}

#[test]
fn an_mbr_with_logical_partitions_is_read_at_either_sector_size() {
    for sector_size in [512, 4096] {
        let disk = mbr(sector_size);
        for given in [None, Some(u32::from(sector_size))] {
            let table = PartitionTable::read(&disk, given).unwrap();
            assert_eq!(table.kind, TableKind::Mbr);
            assert_eq!(table.sector_size, u32::from(sector_size));
            let expected = [
                (4, "04".to_owned(), 32, 99),
                (5, "06".to_owned(), 110, 199),
                (6, "06".to_owned(), 210, 299),
                (7, "fc".to_owned(), 310, 399),
            ];
            assert_eq!(summary(&table), expected);
            assert_eq!(table.warnings, []);
            let flags: Vec<bool> = table.partitions.iter().map(|p| p.boot_flag).collect();
            assert_eq!(flags, [true, false, false, false]);
        }
    }
}

#[test]
fn both_sector_sizes_plausible_is_refused_and_the_option_decides() {
    // A valid header at byte 4096 among the entries of a valid table at byte 512.
    let outer = GptMaker::new(512).with(|gpt| gpt.array_lba = 450);
    let mut disk = outer.make();
    let inner = GptMaker::new(4096).with(|gpt| gpt.array_lba = 3).make();
    disk.resize(inner.len(), 0);
    put(&mut disk, 4096, &inner[4096..8192]);
    put(&mut disk, 3 * 4096, &inner[3 * 4096..3 * 4096 + 128 * 7]);
    let error = PartitionTable::read(&disk, None).unwrap_err();
    assert!(matches!(error, TableError::SectorSizeAmbiguous), "{error}");
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(
        PartitionTable::read(&disk, Some(512)).unwrap().sector_size,
        512
    );

    let mut disk = mbr(4096);
    put_fat(&mut disk, 32 * 512, 512);
    let error = PartitionTable::read(&disk, None).unwrap_err();
    assert!(matches!(error, TableError::SectorSizeAmbiguous), "{error}");
    assert_eq!(
        PartitionTable::read(&disk, Some(4096)).unwrap().sector_size,
        4096
    );
}

#[test]
fn the_remains_of_an_older_header_do_not_hide_the_valid_one() {
    let mut disk = GptMaker::new(4096).make();
    put(&mut disk, 512, b"EFI PART and nothing that fits");
    let table = PartitionTable::read(&disk, None).unwrap();
    assert_eq!(table.sector_size, 4096);
    let sector_size = 512;
    assert_eq!(
        table.warnings,
        [TableWarning::StaleGptHeader { sector_size }]
    );
}

#[test]
fn an_mbr_without_fat_partitions_is_listed_with_512_byte_sectors_and_a_warning() {
    let mut disk = vec![0; 100 * 512];
    put(&mut disk, 510, &[0x55, 0xAA]);
    set_mbr_entry(&mut disk, 1, 0x80, 0x83, 8, 90);
    let table = PartitionTable::read(&disk, None).unwrap();
    assert_eq!(summary(&table), [(1, "83".to_owned(), 8, 97)]);
    assert_eq!(table.warnings, [TableWarning::SectorSizeAssumed]);
}

#[test]
fn an_mbr_beside_the_remains_of_a_gpt_is_used_as_the_loader_does() {
    let mut disk = mbr(512);
    let gpt = GptMaker::new(512).make();
    put(&mut disk, 512, &gpt[512..34 * 512 - 2048]);
    // Partition 4 begins at sector 32, behind the remains that matter here.
    let table = PartitionTable::read(&disk, Some(512)).unwrap();
    assert_eq!(table.kind, TableKind::Mbr);
    assert_eq!(table.partitions.len(), 4);
    assert_eq!(table.warnings, [TableWarning::GptIgnored]);
}

#[test]
fn a_hybrid_mbr_and_a_missing_55aa_do_not_keep_the_gpt_from_being_read() {
    let mut disk = GptMaker::new(512).make();
    set_mbr_entry(&mut disk, 2, 0x80, 0x06, 100, 100);
    put(&mut disk, 510, &[0, 0]);
    let table = PartitionTable::read(&disk, None).unwrap();
    assert_eq!((table.kind, table.partitions.len()), (TableKind::Gpt, 4));
    assert_eq!(table.warnings, [TableWarning::HybridMbr]);
}

#[test]
fn an_empty_logical_takes_a_number_as_in_the_loader() {
    let mut disk = mbr(512);
    set_mbr_entry(&mut disk[100 * 512..], 1, 0, 0, 0, 0);
    let table = PartitionTable::read(&disk, Some(512)).unwrap();
    let numbers: Vec<u32> = table.partitions.iter().map(|p| p.number).collect();
    assert_eq!(numbers, [4, 6, 7]);
    assert_eq!(table.warnings, [TableWarning::EmptyLogical { number: 5 }]);
}

#[test]
fn what_a_copy_of_the_first_part_of_a_stick_cuts_off_is_a_warning_and_of_a_bank_a_fault() {
    let disk = GptMaker::new(512).make();
    let table = PartitionTable::read(&&disk[..350 * 512 + 100], None).unwrap();
    let messages: Vec<String> = table.warnings.iter().map(ToString::to_string).collect();
    let expected = [
        "partition 7 reaches from sector 300 to 399, but the medium has only 350 sectors (25600 bytes missing)",
        "the medium ends with 100 bytes, less than a sector",
    ];
    assert_eq!(messages, expected);

    let cut = &disk[..250 * 512];
    let table = PartitionTable::read(&cut, None).unwrap();
    assert_eq!(
        table.cut(cut.len() as u64).unwrap().to_string(),
        "the medium is cut off: it ends at byte 128000 (sector 250); \
         the last 25600 bytes of partition 6 are missing; partition 7 is missing as a whole"
    );
    assert!(table.fault_of(5).is_none() && table.fault_of(6).is_some());
    let error = table.writable().unwrap_err();
    assert_eq!(
        (error.kind(), error.partition()),
        (ErrorKind::Damaged, Some(6))
    );
    assert_eq!(
        error.to_string(),
        "partition 6 reaches from sector 200 to 299, but the medium has only 250 sectors (25600 bytes missing)"
    );
}

#[test]
fn a_table_costs_few_reads() {
    struct Counting(Vec<u8>, std::cell::Cell<(u32, usize)>);
    impl ReadAt for Counting {
        fn size(&self) -> u64 {
            self.0.size()
        }
        fn read_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
            let (reads, bytes) = self.1.get();
            self.1.set((reads + 1, bytes + buf.len()));
            self.0.read_at(buf, offset)
        }
    }
    for disk in [
        GptMaker::new(512).make(),
        mbr(512),
        GptMaker::new(4096).make(),
        mbr(4096),
    ] {
        let medium = Counting(disk, Default::default());
        PartitionTable::read(&medium, None).unwrap();
        let (reads, bytes) = medium.1.get();
        assert!(
            reads <= 12 && bytes <= 48 << 10,
            "{reads} reads, {bytes} bytes"
        );
    }
}

proptest::proptest! {
    #[test]
    fn a_table_with_random_damage_is_read_or_refused_without_panic(
        large in proptest::bool::ANY,
        gpt in proptest::bool::ANY,
        fix_crc in proptest::bool::ANY,
        hits in proptest::collection::vec((0_usize..8 * 4096, 0_u8..=255), 1..12),
        short in 0_usize..600,
    ) {
        let sector_size = if large { 4096 } else { 512 };
        let mut disk = if gpt { GptMaker::new(sector_size).make() } else { mbr(sector_size) };
        let sector_size = usize::from(sector_size);
        for (at, byte) in hits {
            disk[at % (40 * sector_size)] = byte;
        }
        if gpt && fix_crc {
            let crc = crc32fast::hash(&disk[2 * sector_size..][..128 * 128]);
            put(&mut disk, sector_size + 88, &crc.to_le_bytes());
            put(&mut disk, sector_size + 16, &[0; 4]);
            let crc = crc32fast::hash(&disk[sector_size..sector_size + 92]);
            put(&mut disk, sector_size + 16, &crc.to_le_bytes());
        }
        disk.truncate((600 - short) * sector_size);
        for given in [None, Some(512), Some(4096)] {
            for choice in [TableChoice::Gpt, TableChoice::Backup] {
                if let Ok(table) = PartitionTable::read_as(&disk, given, choice) {
                    if table.source == TableChoice::Loader {
                        proptest::prop_assert_eq!(Some(table), PartitionTable::read(&disk, given).ok());
                    } else {
                        proptest::prop_assert!(table.writable().is_err());
                    }
                }
            }
            let _ = other_table(&disk, given);
            if let Ok(table) = PartitionTable::read(&disk, given) {
                let whole = |it: &&Partition| table.fault_of(it.number).is_none();
                let whole_backup = table.backup_overlap.is_none();
                proptest::prop_assert_eq!(table.writable().is_ok(), table.cut(0).is_none() && whole_backup);
                for partition in table.bank_candidates().filter(whole) {
                    let range = partition.byte_range(table.sector_size);
                    proptest::prop_assert!(range.is_some_and(|range| range.end <= disk.len() as u64));
                }
            }
        }
    }
}
