//! Volumes that lie, named by the lie.

use crate::fat_victim::Victim;
use crate::fat_volume::{FORMATS, Format, Made, open, pattern, set_fat_entry};
use crate::{LIMIT, Lie};
use bootbank::error::ErrorKind;
use bootbank::fat::{FatError, Volume};

/// Damage to `state.tgz` itself: reading it fails, and so does a check of the volume.
const LIES_ABOUT_THE_FILE: [Lie; 9] = [
    (
        "chain-loops",
        |v| v.link(v.chain[3], v.chain[1]),
        "loops back to cluster",
    ),
    (
        "chain-loops-on-itself",
        |v| v.link(v.chain[2], v.chain[2]),
        "loops back to cluster",
    ),
    (
        "chain-runs-into-free",
        |v| v.link(v.chain[3], v.free),
        ", which is free",
    ),
    ("chain-freed", |v| v.link(v.chain[0], 0), ", which is free"),
    (
        "chain-goes-to-cluster-1",
        |v| v.link(v.chain[1], 1),
        "to 1, which does not exist",
    ),
    (
        "chain-goes-past-the-end",
        |v| v.link(v.chain[1], 0xfff6),
        "which does not exist",
    ),
    (
        "chain-runs-into-bad",
        |v| v.link(v.chain[2], 0xfff7),
        "marked as bad",
    ),
    (
        "chain-shorter-than-size",
        |v| v.link(v.chain[2], 0xffff),
        "its chain of 3 clusters",
    ),
    (
        "size-larger-than-chain",
        |v| v.put(v.state + 28, &[0xff; 4]),
        "has 4294967295 bytes",
    ),
];

/// The entry of `state.tgz` is one ESXi's loader would stop at: it is not even found.
const LIES_ABOUT_THE_ENTRY: [Lie; 8] = [
    (
        "first-cluster-0",
        |v| v.put(v.state + 26, &[0, 0]),
        "begins at cluster 0",
    ),
    (
        "first-cluster-1",
        |v| v.put(v.state + 26, &[1, 0]),
        "begins at cluster 1",
    ),
    (
        "first-cluster-past-the-end",
        |v| v.put(v.state + 26, &[0xff; 2]),
        "begins at cluster 65535",
    ),
    (
        "high-cluster-set",
        |v| v.put(v.state + 20, &[1, 0]),
        "0x0001 in bytes 20 and 21",
    ),
    (
        "name-twice",
        |v| v.put(v.local, b"STATE   TGZ"),
        "two directory slots",
    ),
    (
        "directory-in-its-place",
        |v| v.put(v.state + 11, &[0x10]),
        "is a directory",
    ),
    (
        "label-in-its-place",
        |v| v.put(v.state + 11, &[0x08]),
        "is a volume label",
    ),
    (
        "long-name-in-its-place",
        |v| v.put(v.state + 11, &[0x0f]),
        "is part of a long name",
    ),
];

/// Damage elsewhere: `state.tgz` still reads, but nothing may be changed.
const LIES_ELSEWHERE: [Lie; 11] = [
    (
        "label-with-a-chain",
        |v| v.put(v.local + 11, &[0xaa]),
        "points to cluster",
    ),
    (
        "directory-ends-before-its-last-entry",
        |v| v.put(v.local, &[0]),
        "after its end",
    ),
    (
        "chains-cross",
        |v| v.link(v.other[0], v.chain[2]),
        "belongs to both",
    ),
    (
        "two-files-at-one-cluster",
        |v| v.put(v.local + 26, &v.chain[0].to_le_bytes()),
        "belongs to both",
    ),
    (
        "other-chain-loops",
        |v| v.link(v.other[1], v.other[0]),
        "of local.tgz loops",
    ),
    (
        "folder-freed",
        |v| v.link(v.inside[0], 0),
        "of SYSTEM~1 runs into cluster",
    ),
    (
        "folder-at-cluster-0",
        |v| v.put(v.folder + 26, &[0, 0]),
        "SYSTEM~1 begins at cluster 0",
    ),
    (
        "dot-points-elsewhere",
        |v| v.put(v.folder_at + 26, &[9, 0]),
        "of SYSTEM~1",
    ),
    (
        "dot-dot-points-elsewhere",
        |v| v.put(v.folder_at + 58, &[9, 0]),
        "of SYSTEM~1",
    ),
    (
        "dot-in-the-root-directory",
        |v| v.put(v.local, b".          "),
        "of / ",
    ),
    (
        "file-in-folder-begins-past-the-end",
        |v| v.put(v.folder_at + 4 * 32 + 26, &[0xf0, 0xff]),
        "begins at cluster 65520",
    ),
];

fn check_error(victim: &Victim, lie: &str, words: &str) {
    let error = open(&victim.bytes, victim.format).check().expect_err(lie);
    assert_eq!(error.kind(), ErrorKind::Damaged, "{lie}: {error}");
    assert!(error.to_string().contains(words), "{lie}: {error}");
}

#[test]
fn each_lie_about_a_file_is_met_with_its_own_error() {
    for format in FORMATS {
        for (lie, damage, words) in LIES_ABOUT_THE_FILE {
            let mut victim = Victim::of(format);
            damage(&mut victim);
            let volume = open(&victim.bytes, format);
            let entry = volume.find("state.tgz").unwrap().unwrap();
            let error = volume.read_file(&entry, u64::MAX).expect_err(lie);
            assert!(error.to_string().contains(words), "{lie}: {error}");
            assert!(error.to_string().contains("state.tgz"), "{lie}: {error}");
            check_error(&victim, lie, words);
        }
    }
}

#[test]
fn each_lie_about_an_entry_is_met_with_its_own_error() {
    for format in FORMATS {
        for (lie, damage, words) in LIES_ABOUT_THE_ENTRY {
            let mut victim = Victim::of(format);
            damage(&mut victim);
            let volume = open(&victim.bytes, format);
            let error = volume.find("state.tgz").expect_err(lie);
            assert_eq!(error.kind(), ErrorKind::Damaged, "{lie}: {error}");
            assert!(error.to_string().contains(words), "{lie}: {error}");
        }
    }
}

#[test]
fn damage_elsewhere_lets_a_file_be_read_but_nothing_be_changed() {
    for format in FORMATS {
        for (lie, damage, words) in LIES_ELSEWHERE {
            let mut victim = Victim::of(format);
            damage(&mut victim);
            let volume = open(&victim.bytes, format);
            let entry = volume.find("state.tgz").unwrap().unwrap();
            let content = volume.read_file(&entry, LIMIT).unwrap();
            assert!(content == pattern(content.len(), 3), "{lie}");
            check_error(&victim, lie, words);
        }
    }
}

#[test]
fn copies_that_differ_about_a_cluster_in_use_are_damage() {
    for format in FORMATS.into_iter().filter(|format| format.fats == 2) {
        let mut victim = Victim::of(format);
        let (second, cluster) = (victim.fats[1], victim.chain[1]);
        set_fat_entry(&mut victim.bytes, format, second, cluster, 0);
        check_error(
            &victim,
            "copies-differ",
            "copies of the FAT differ for cluster",
        );
    }
}

#[test]
fn copies_that_end_a_chain_with_different_marks_mean_the_same() {
    for format in FORMATS.into_iter().filter(|format| format.fats == 2) {
        let mut victim = Victim::of(format);
        let (second, last) = (victim.fats[1], *victim.chain.last().unwrap());
        set_fat_entry(&mut victim.bytes, format, second, last, 0xfff8);
        let volume = open(&victim.bytes, format);
        let reach = volume.check().unwrap();
        assert!(reach.leftovers().is_empty(), "{format:?}");
        let entry = volume.find("state.tgz").unwrap().unwrap();
        let content = volume.read_file(&entry, LIMIT).unwrap();
        assert!(content == pattern(content.len(), 3), "{format:?}");
    }
}

#[test]
fn a_partition_past_the_end_of_the_medium_is_damage() {
    let bytes = vec![0; 4096];
    let error = Volume::open(&bytes, 512..8192, 512).expect_err("too long");
    assert!(
        matches!(
            error,
            FatError::PastMedium {
                end: 8192,
                size: 4096
            }
        ),
        "{error}"
    );
}

/// A volume with so many directories, each of that many clusters of 32 KiB.
fn with_directories(count: u16, clusters: u16) -> (Format, Vec<u8>) {
    let format = Format {
        sectors_per_cluster: 64,
        kib: 150 << 10,
        ..FORMATS[4]
    };
    let mut made = Made::empty(format);
    let names: Vec<String> = (0..count).map(|at| format!("d{at}")).collect();
    names.iter().for_each(|name| made.put(name, b"x"));
    let mut bytes = made.bytes();
    let volume = open(&bytes, format);
    let entry = |name: &String| {
        let entry = volume.find(name).unwrap().unwrap();
        (entry.offset() as usize, entry.first_cluster())
    };
    let entries: Vec<(usize, u16)> = names.iter().map(entry).collect();
    let fats: Vec<_> = volume.geometry().fat_ranges();
    let fats: Vec<usize> = fats.iter().map(|it| it.start as usize).collect();
    for ((at, first), number) in entries.into_iter().zip(0..) {
        let others = 1000 + number * clusters;
        for &fat in &fats {
            set_fat_entry(&mut bytes, format, fat, first, others);
            for cluster in others..others + clusters - 2 {
                set_fat_entry(&mut bytes, format, fat, cluster, cluster + 1);
            }
            set_fat_entry(&mut bytes, format, fat, others + clusters - 2, 0xffff);
        }
        bytes[at + 11] = 0x10;
        // As a directory its entry tells no size.
        bytes[at + 28..at + 32].fill(0);
    }
    (format, bytes)
}

#[test]
fn directories_without_end_are_not_read_to_the_end() {
    const MIB: u64 = 1 << 20;
    // One of 2 MiB is the largest there can be, and 16 MiB of them are read.
    for (count, clusters, limit) in [(1, 65, 2 * MIB), (9, 64, 16 * MIB)] {
        let (format, bytes) = with_directories(count, clusters);
        let error = open(&bytes, format).check().expect_err("too much");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let FatError::DirectoryTooLarge { limit: met, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(met, limit);
    }
    for (count, clusters) in [(1, 64), (7, 64)] {
        let (format, bytes) = with_directories(count, clusters);
        let checked = open(&bytes, format).check();
        let too_large = matches!(checked, Err(FatError::DirectoryTooLarge { .. }));
        assert!(!too_large, "{count} of {clusters}");
    }
}

#[test]
fn the_media_byte_is_that_of_the_boot_sector() {
    let format = FORMATS[0];
    let mut bytes = Made::empty(format).bytes();
    assert_eq!(open(&bytes, format).media_byte(), 0xf8);
    bytes[21] = 0x42;
    let volume = open(&bytes, format);
    assert_eq!(
        (volume.media_byte(), volume.has_usual_media_byte()),
        (0x42, false)
    );
}

#[test]
fn a_file_over_the_limit_is_not_read() {
    let format = FORMATS[0];
    let bytes = Made::bank(format, 5000).bytes();
    let volume = open(&bytes, format);
    let entry = volume.find("state.tgz").unwrap().unwrap();
    let error = volume.read_file(&entry, 4999).expect_err("one byte over");
    assert!(
        matches!(
            error,
            FatError::FileTooLarge {
                size: 5000,
                limit: 4999,
                ..
            }
        ),
        "{error}"
    );
}
