//! Tables made by sgdisk and sfdisk in sparse files.

use super::*;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

struct Image(File);

impl ReadAt for Image {
    fn size(&self) -> u64 {
        self.0.metadata().unwrap().len()
    }
    fn read_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }
}

fn image(size: u64) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(size).unwrap();
    file
}

fn open(path: &Path) -> Image {
    Image(File::open(path).unwrap())
}

fn sgdisk(path: &Path, arguments: &[&str]) {
    let output = Command::new("sgdisk").args(arguments).arg(path).output();
    let output = output.expect("these tests need sgdisk (package gdisk)");
    assert!(output.status.success(), "{output:?}");
}

fn sfdisk(path: &Path, script: &str) {
    let mut child = Command::new("sfdisk")
        .args(["--no-reread", "--no-tell-kernel", "--quiet"])
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("these tests need sfdisk (package fdisk)");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(script.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success());
}

/// The layout of 5.x and 6.x.
fn esxi_6_gpt() -> tempfile::NamedTempFile {
    let file = image(7_200_000 * 512);
    sgdisk(
        file.path(),
        &[
            "-a1",
            "-n1:64:8191",
            "-t1:EF00",
            "-c1:BOOT", //
            "-n5:8224:520191",
            "-t5:0700",
            "-c5:BANK1", //
            "-n6:520224:1032191",
            "-t6:0700",
            "-c6:BANK2", //
            "-n7:1032224:1257471",
            "-t7:9D275380-40AD-11DB-BF97-000C2911D1B8", //
            "-n8:1257504:1843199",
            "-t8:0700",
            "-c8:STORE", //
            "-n9:1843200:7086079",
            "-t9:9D275380-40AD-11DB-BF97-000C2911D1B8", //
            "-n3:7086080:7190000",
            "-t3:AA31E02A-400F-11DB-9590-000C2911D1B8",
            "-c3:Größe",
        ],
    );
    file
}

#[test]
fn the_gpt_of_5_and_6_is_read_as_sgdisk_wrote_it() {
    let file = esxi_6_gpt();
    let table = PartitionTable::read(&open(file.path()), None).unwrap();
    assert_eq!((table.kind, table.sector_size), (TableKind::Gpt, 512));
    assert_eq!(table.warnings, []);
    let rows: Vec<_> = table
        .partitions
        .iter()
        .map(|p| {
            (
                p.number,
                p.role().as_str(),
                p.name.as_str(),
                p.first_lba.0,
                p.last_lba.0,
            )
        })
        .collect();
    let expected = [
        (1, "efi", "BOOT", 64, 8191),
        (3, "vmfs", "Größe", 7_086_080, 7_190_000),
        (5, "fat", "BANK1", 8224, 520_191),
        (6, "fat", "BANK2", 520_224, 1_032_191),
        (7, "vmkcore", "", 1_032_224, 1_257_471),
        (8, "fat", "STORE", 1_257_504, 1_843_199),
        (9, "vmkcore", "", 1_843_200, 7_086_079),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn the_backup_is_neither_needed_nor_used() {
    let file = esxi_6_gpt();
    let whole = PartitionTable::read(&open(file.path()), None).unwrap();
    let size = file.as_file().metadata().unwrap().len();
    file.as_file()
        .write_all_at(&[0xFF; 34 * 512], size - 34 * 512)
        .unwrap();
    let without = PartitionTable::read(&open(file.path()), None).unwrap();
    assert_eq!(whole, without);
    // The other way round: a bad primary is an error although the backup is good.
    let file = esxi_6_gpt();
    // The disk's GUID, which is random: one byte of it may be what is written.
    file.as_file().write_all_at(&[0xFF; 16], 512 + 56).unwrap();
    let error = PartitionTable::read(&open(file.path()), None).unwrap_err();
    assert!(
        matches!(error, TableError::Gpt(GptFault::HeaderCrc { .. })),
        "{error}"
    );
    assert_eq!(error.kind(), ErrorKind::Damaged);
}

/// Bank 6 moved to the end of the medium, so that it begins where sgdisk has put the entries of the
/// backup, or the sector in front of them.
#[test]
fn a_bank_over_the_backup_can_be_read_and_not_be_written() {
    for (last, overlaps) in [(7_199_967, true), (7_199_966, false)] {
        let file = esxi_6_gpt();
        let mut head = vec![0; 34 * 512];
        file.as_file().read_exact_at(&mut head, 0).unwrap();
        let entry = 1024 + 5 * 128;
        put(&mut head, entry + 32, &7_199_000u64.to_le_bytes());
        put(&mut head, entry + 40, &u64::to_le_bytes(last));
        let crc = crc32fast::hash(&head[1024..]);
        put(&mut head, 512 + 88, &crc.to_le_bytes());
        put(&mut head, 512 + 16, &[0; 4]);
        let crc = crc32fast::hash(&head[512..512 + 92]);
        put(&mut head, 512 + 16, &crc.to_le_bytes());
        file.as_file().write_all_at(&head, 0).unwrap();

        let table = PartitionTable::read(&open(file.path()), None).unwrap();
        assert_eq!(table.partitions.len(), 7);
        assert_eq!(table.backup_overlap.is_some(), overlaps, "{last}");
        assert_eq!(table.writable().is_err(), overlaps);
        assert_eq!(table.cut(7_200_000 * 512), None);
        // What is in the backup's place and is none keeps nobody from writing.
        let size = 7_200_000 * 512;
        file.as_file().write_all_at(&[0; 512], size - 512).unwrap();
        let table = PartitionTable::read(&open(file.path()), None).unwrap();
        assert!(table.writable().is_ok());
    }
}

#[test]
fn the_first_gigabyte_of_a_stick_is_enough() {
    let file = esxi_6_gpt();
    file.as_file().set_len(1 << 30).unwrap();
    let table = PartitionTable::read(&open(file.path()), None).unwrap();
    assert_eq!(table.partitions.len(), 7);
    let cut: Vec<String> = table.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(cut.len(), 2, "{cut:?}");
    assert!(
        cut[1].starts_with("partition 9 reaches from sector 1843200 to 7086079"),
        "{cut:?}"
    );
}

#[test]
fn a_gpt_with_a_large_entry_array_is_read() {
    let file = image(64 << 20);
    sgdisk(
        file.path(),
        &["--resize-table=256", "-n200:4096:8191", "-t200:0700"],
    );
    let table = PartitionTable::read(&open(file.path()), None).unwrap();
    assert_eq!(table.partitions.len(), 1);
    assert_eq!(
        (table.partitions[0].number, table.partitions[0].first_lba.0),
        (200, 4096)
    );
}

#[test]
fn a_forced_mbr_is_read_as_sfdisk_wrote_it() {
    let file = image(1_900_000 * 512);
    sfdisk(
        file.path(),
        "label: dos\nunit: sectors\n\
         4 : start=32, size=8160, type=4, bootable\n\
         1 : start=8192, size=1835008, type=5\n\
         5 : start=8224, size=511968, type=6\n\
         6 : start=520224, size=511968, type=6\n\
         7 : start=1032224, size=225248, type=fc\n\
         8 : start=1257504, size=585696, type=6\n",
    );
    let mut boot_sector = vec![0; 512];
    put_fat(&mut boot_sector, 0, 512);
    file.as_file()
        .write_all_at(&boot_sector, 8224 * 512)
        .unwrap();
    let table = PartitionTable::read(&open(file.path()), None).unwrap();
    assert_eq!((table.kind, table.sector_size), (TableKind::Mbr, 512));
    assert_eq!(table.warnings, []);
    let expected = [
        (4, "04".to_owned(), 32, 8191),
        (5, "06".to_owned(), 8224, 520_191),
        (6, "06".to_owned(), 520_224, 1_032_191),
        (7, "fc".to_owned(), 1_032_224, 1_257_471),
        (8, "06".to_owned(), 1_257_504, 1_843_199),
    ];
    assert_eq!(summary(&table), expected);
    assert!(table.partition(4).unwrap().boot_flag);
}
