//! Tables and files that lie, each named by its lie.

use super::*;

fn message(disk: &[u8], given: Option<u32>) -> String {
    match PartitionTable::read(&disk, given) {
        // What can be read in part is not written to.
        Ok(table) => match table.writable() {
            Ok(()) => panic!("accepted: {table:?}"),
            Err(error) => error.to_string(),
        },
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_lie_of_a_gpt_is_an_error_of_its_own() {
    let gpt = || GptMaker::new(512);
    let flip = |at: usize| {
        let mut disk = gpt().make();
        disk[at] ^= 1;
        disk
    };
    let damaged = "the primary GPT is damaged, so the medium does not boot: ";
    let cases: Vec<(&str, Vec<u8>, String)> = vec![
        (
            "signature-missing",
            flip(512),
            format!("{damaged}no header at byte 512"),
        ),
        (
            "header-crc-wrong",
            flip(512 + 56),
            format!("{damaged}the header's CRC is "),
        ),
        (
            "array-crc-wrong-in-an-unused-entry",
            flip(2 * 512 + 100 * 128 + 60),
            format!("{damaged}the entry array's CRC is "),
        ),
        (
            "header-says-it-is-the-backup",
            gpt().with(|gpt| gpt.my_lba = 599).make(),
            format!("{damaged}the header at sector 1 says it is at sector 599"),
        ),
        (
            "header-size-0",
            gpt().with(|gpt| gpt.header_size = 0).make(),
            format!("{damaged}the header gives its own size as 0 bytes"),
        ),
        (
            "header-larger-than-a-sector",
            gpt().with(|gpt| gpt.header_size = u32::MAX).make(),
            format!("{damaged}the header gives its own size as 4294967295 bytes"),
        ),
        (
            "header-of-512-bytes",
            gpt().with(|gpt| gpt.header_size = 512).make(),
            "GPT headers of 512 bytes are not supported; only 92 are".to_owned(),
        ),
        (
            "entry-size-0",
            gpt()
                .with(|gpt| (gpt.entry_size, gpt.partitions) = (0, vec![]))
                .make(),
            format!("{damaged}the header gives the size of an entry as 0 bytes"),
        ),
        (
            "entry-size-129",
            gpt().with(|gpt| gpt.entry_size = 129).make(),
            format!("{damaged}the header gives the size of an entry as 129 bytes"),
        ),
        (
            "entry-size-256",
            gpt().with(|gpt| gpt.entry_size = 256).make(),
            "GPT entries of 256 bytes are not supported; only 128 are".to_owned(),
        ),
        (
            "no-entries",
            gpt()
                .with(|gpt| (gpt.entries, gpt.partitions) = (0, vec![]))
                .make(),
            format!("{damaged}the header gives the number of entries as 0"),
        ),
        (
            "entry-count-huge",
            {
                let mut disk = gpt().make();
                put(&mut disk, 512 + 80, &u32::MAX.to_le_bytes());
                put(&mut disk, 512 + 16, &[0; 4]);
                let crc = crc32fast::hash(&disk[512..512 + 92]);
                put(&mut disk, 512 + 16, &crc.to_le_bytes());
                disk
            },
            "a GPT of 4294967295 entries is not supported; the limit is 1024".to_owned(),
        ),
        (
            "array-over-header",
            gpt()
                .with(|gpt| (gpt.array_lba, gpt.partitions) = (1, vec![]))
                .make(),
            format!("{damaged}the entry array starts at sector 1, over the header"),
        ),
        (
            "array-past-end",
            gpt().with(|gpt| gpt.array_lba = 570).make(),
            format!(
                "{damaged}the entry array starts at sector 570 and ends past the medium's 600 sectors"
            ),
        ),
        (
            "array-at-the-end-of-64-bits",
            gpt().with(|gpt| gpt.array_lba = u64::MAX / 1024).make(),
            format!("{damaged}the entry array starts at sector 18014398509481983 and ends past"),
        ),
        (
            "medium-ends-before-the-header",
            gpt().make()[..700].to_vec(),
            format!("{damaged}the medium has 700 bytes, but the header would end at byte 1024"),
        ),
    ];
    for (lie, disk, expected) in cases {
        let message = message(&disk, Some(512));
        assert!(message.starts_with(&expected), "{lie}: {message}");
    }
}

#[test]
fn every_lie_of_an_entry_is_an_error_of_its_own() {
    let bank = |first, last| {
        GptMaker::new(512)
            .with(|gpt| gpt.partitions[2] = (6, Guid::BASIC_DATA, first, last))
            .make()
    };
    let cases = [
        (
            "end-before-start",
            bank(250, 200),
            "partition 6 ends at sector 200, before its start at sector 250",
        ),
        (
            "past-end",
            bank(500, 699),
            "partition 6 reaches from sector 500 to 699, but the medium has only 600 sectors (51200 bytes missing)",
        ),
        (
            "past-end-wholly",
            bank(1000, 1099),
            "partition 6 reaches from sector 1000 to 1099, but the medium has only 600 sectors (51200 bytes missing)",
        ),
        (
            "last-sector-at-the-end-of-64-bits",
            bank(500, u64::MAX),
            "partition 6 reaches from sector 500 to 18446744073709551615, but the medium has only 600 sectors \
             (18446744073709551615 bytes missing)",
        ),
        (
            "overlaps-a-bank",
            bank(199, 250),
            "partition 5 (sectors 100 to 199) overlaps partition 6",
        ),
        (
            "overlaps-a-core-dump",
            bank(200, 300),
            "partition 6 (sectors 200 to 300) overlaps partition 7",
        ),
        (
            "covers-the-entry-array",
            bank(33, 50),
            "partition 6 (sectors 33 to 50) covers sector 33 of the partition table",
        ),
        (
            "covers-the-mbr",
            bank(0, 50),
            "partition 6 (sectors 0 to 50) covers sector 0 of the partition table",
        ),
    ];
    for (lie, disk, expected) in cases {
        assert_eq!(message(&disk, None), expected, "{lie}");
    }
}

#[test]
fn every_lie_of_an_mbr_is_an_error_of_its_own() {
    type Lie = fn(&mut Vec<u8>);
    let cases: [(&str, Lie, &str); 15] = [
        (
            "ebr-loops",
            |disk| set_mbr_entry(&mut disk[200 * 512..], 2, 0, 0x05, 100, 100),
            "the chain of logical partitions loops: it leads to sector 200 a second time",
        ),
        (
            "ebr-signature-missing",
            |disk| disk[200 * 512 + 511] = 0,
            "sector 200 should hold an extended boot record but does not end in 55 aa",
        ),
        (
            "ebr-outside-extended",
            |disk| set_mbr_entry(&mut disk[200 * 512..], 2, 0, 0x05, 500, 100),
            "the chain of logical partitions leads to sector 600, outside the extended partition (sectors 100 to 599)",
        ),
        (
            "ebr-past-end",
            |disk| disk.truncate(299 * 512),
            "the chain of logical partitions leads to sector 300, but the medium has only 299 sectors",
        ),
        (
            "ebr-holds-an-extended-partition",
            |disk| set_mbr_entry(&mut disk[200 * 512..], 1, 0, 0x05, 10, 20),
            "the extended boot record at sector 200 holds another extended partition",
        ),
        (
            "logical-outside-extended",
            |disk| set_mbr_entry(&mut disk[200 * 512..], 1, 0, 0x06, 10, 500),
            "logical partition 6 (sectors 210 to 709) lies outside the extended partition (sectors 100 to 599)",
        ),
        (
            "logical-start-wraps-32-bits",
            |disk| set_mbr_entry(&mut disk[200 * 512..], 1, 0, 0x06, u32::MAX - 50, 60),
            "logical partition 6 (sectors 4294967445 to 4294967504) lies outside the extended partition",
        ),
        (
            "logical-over-its-own-record",
            |disk| set_mbr_entry(&mut disk[200 * 512..], 1, 0, 0x06, 0, 60),
            "partition 6 (sectors 200 to 259) covers sector 200 of the partition table",
        ),
        (
            "logical-over-the-next-record",
            |disk| set_mbr_entry(&mut disk[200 * 512..], 1, 0, 0x06, 10, 91),
            "partition 6 (sectors 210 to 300) covers sector 300 of the partition table",
        ),
        (
            "primary-over-the-mbr",
            |disk| set_mbr_entry(disk, 4, 0, 0x04, 0, 60),
            "partition 4 (sectors 0 to 59) covers sector 0 of the partition table",
        ),
        (
            "logical-without-a-length",
            |disk| set_mbr_entry(&mut disk[200 * 512..], 1, 0, 0x06, 10, 0),
            "partition 6 has a type (0x06) and no length: ESXi's loader reads a volume there all the same",
        ),
        (
            "primary-without-a-length",
            |disk| set_mbr_entry(disk, 4, 0, 0x04, 32, 0),
            "partition 4 has a type (0x04) and no length",
        ),
        (
            "extended-without-a-length",
            |disk| set_mbr_entry(disk, 2, 0, 0x05, 100, 0),
            "partition 2 has a type (0x05) and no length",
        ),
        (
            "primary-past-end",
            |disk| set_mbr_entry(disk, 3, 0, 0x0C, 590, 20),
            "partition 3 reaches from sector 590 to 609, but the medium has only 600 sectors (5120 bytes missing)",
        ),
        (
            "primary-overlaps",
            |disk| set_mbr_entry(disk, 3, 0, 0x83, 90, 10),
            "partition 4 (sectors 32 to 99) overlaps partition 3",
        ),
    ];
    for (lie, tell, expected) in cases {
        let mut disk = mbr(512);
        tell(&mut disk);
        for given in [None, Some(512)] {
            let message = message(&disk, given);
            assert!(message.starts_with(expected), "{lie}: {message}");
        }
    }
}

#[test]
fn a_chain_of_a_thousand_logicals_is_not_followed_to_its_end() {
    let mut disk = vec![0; 4096 * 512];
    put(&mut disk, 510, &[0x55, 0xAA]);
    set_mbr_entry(&mut disk, 1, 0, 0x05, 1, 4000);
    for link in 0..1000_u32 {
        let record = &mut disk[(1 + link as usize * 2) * 512..];
        put(record, 510, &[0x55, 0xAA]);
        set_mbr_entry(record, 1, 0, 0x83, 1, 1);
        set_mbr_entry(record, 2, 0, 0x05, link * 2 + 2, 2);
    }
    let expected = "the chain of logical partitions has more than 128 links";
    assert_eq!(message(&disk, Some(512)), expected);
}

#[test]
fn a_protective_entry_the_loader_does_not_take_is_reported_as_what_it_is() {
    for (slot, flags, start) in [(1, 0x80, 1), (1, 0, 2), (2, 0, 1)] {
        let mut disk = GptMaker::new(512).make();
        set_mbr_entry(&mut disk, 1, 0, 0, 0, 0);
        set_mbr_entry(&mut disk, slot, flags, 0xEE, start, 599);
        let error = PartitionTable::read(&disk, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        let begins = format!(
            "MBR entry {slot} of type ee starts at sector {start} with flags {flags:02x}; "
        );
        assert!(error.to_string().starts_with(&begins), "{error}");
    }
}

#[test]
fn a_gpt_read_with_the_wrong_sector_size_says_so() {
    let disk = GptMaker::new(4096).make();
    let expected =
        "the GPT is for sectors of 4096 bytes, but the medium is read with sectors of 512 bytes";
    assert_eq!(message(&disk, Some(512)), expected);
    let odd = "sectors of 520 bytes are not supported; only 512 and 4096 are";
    assert_eq!(message(&disk, Some(520)), odd);
}

#[test]
fn what_is_not_a_whole_raw_disk_is_named() {
    let starts = |magic: &[u8]| {
        let mut file = vec![0; 40 << 10];
        put(&mut file, 0, magic);
        file
    };
    let at = |offset: usize, magic: &[u8]| {
        let mut file = vec![0; 40 << 10];
        put(&mut file, offset, magic);
        file
    };
    let mut volume = vec![0; 40 << 10];
    put_fat(&mut volume, 0, 512);
    let mut bank = volume.clone();
    put(&mut bank, 512, b"VMWARE FAT16    ");
    // Boot code where the partition table would be.
    put(&mut bank, 446, &[0x9C; 64]);
    let cases: [(&str, Vec<u8>, &str, ErrorKind); 15] = [
        (
            "empty",
            vec![],
            "the medium is empty (0 bytes)",
            ErrorKind::Damaged,
        ),
        (
            "511-bytes",
            vec![0; 511],
            "the medium has only 511 bytes, less than one sector",
            ErrorKind::Damaged,
        ),
        (
            "zeros",
            vec![0; 4096],
            "not a disk: sector 0 holds no partition table",
            ErrorKind::Unsupported,
        ),
        (
            "boot-sector-without-partitions",
            at(510, &[0x55, 0xAA]),
            "not a disk: sector 0 holds no partition table",
            ErrorKind::Unsupported,
        ),
        (
            "text",
            b"hello, world\n".repeat(100),
            "not a disk: sector 0 holds no partition table",
            ErrorKind::Unsupported,
        ),
        (
            "gzip",
            starts(&[0x1F, 0x8B, 8, 0]),
            "not a disk: the content is a gzip stream, such as a packed image or a state.tgz",
            ErrorKind::Unsupported,
        ),
        (
            "gzip-shorter-than-a-sector",
            vec![0x1F, 0x8B, 8, 0, 0],
            "not a disk: the content is a gzip stream, such as a packed image or a state.tgz",
            ErrorKind::Unsupported,
        ),
        (
            "qcow2",
            starts(b"QFI\xfb\0\0\0\x03"),
            "not a raw disk image: the content is a QEMU qcow2 image",
            ErrorKind::Unsupported,
        ),
        (
            "vmdk-sparse",
            starts(b"KDMV\x01"),
            "not a raw disk image: the content is a VMware VMDK image (hosted sparse or stream-optimized)",
            ErrorKind::Unsupported,
        ),
        (
            "vmdk-descriptor",
            starts(b"# Disk DescriptorFile\nversion=1"),
            "not a raw disk image: the content is a VMDK descriptor, the text file beside a -flat.vmdk",
            ErrorKind::Unsupported,
        ),
        (
            "zstd",
            starts(&[0x28, 0xB5, 0x2F, 0xFD]),
            "not a raw disk image: the content is a zstd stream, such as a packed image",
            ErrorKind::Unsupported,
        ),
        (
            "tar",
            at(257, b"ustar  \0"),
            "not a raw disk image: the content is a tar archive",
            ErrorKind::Unsupported,
        ),
        (
            "iso",
            at(0x8001, b"CD001"),
            "not a raw disk image: the content is an ISO 9660 image, such as the ESXi installer",
            ErrorKind::Unsupported,
        ),
        (
            "fat-volume-without-a-table",
            volume,
            "not a whole disk: sector 0 is the boot sector of a FAT volume",
            ErrorKind::Unsupported,
        ),
        (
            "copy-of-a-single-bank",
            bank,
            "not a whole disk: sector 0 is the boot sector of a FAT volume that VMware formatted, such as the copy of \
             a single bank",
            ErrorKind::Unsupported,
        ),
    ];
    for (lie, file, expected, kind) in cases {
        let error = PartitionTable::read(&file, None).unwrap_err();
        assert_eq!(error.to_string(), expected, "{lie}");
        assert_eq!(error.kind(), kind, "{lie}");
    }
}

#[test]
fn a_medium_that_fails_is_an_io_error_with_the_place() {
    struct Failing;
    impl ReadAt for Failing {
        fn size(&self) -> u64 {
            1 << 30
        }
        fn read_at(&self, _: &mut [u8], _: u64) -> std::io::Result<()> {
            Err(std::io::Error::other("no medium"))
        }
    }
    let error = PartitionTable::read(&Failing, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert_eq!(
        error.to_string(),
        "cannot read 8192 bytes at byte 0: no medium"
    );
}
