//! Where the strict reader and the loader both accept a bank, they read the same bytes.

use super::*;
use crate::fat;
use proptest::prelude::*;
use std::io::Read as _;

/// Every file the loader can read, read by both; how many there were. The strict reader may
/// refuse the volume or the file.
fn compare(medium: &dyn ReadAt, table: &PartitionTable) -> usize {
    let loader = Loader::new(medium, table);
    let mut compared = 0;
    for partition in table.bank_candidates() {
        let range = partition.byte_range(table.sector_size).unwrap();
        let Ok(volume) = fat::Volume::open(medium, range, table.sector_size) else {
            continue;
        };
        for entry in volume.files() {
            let name = entry.name();
            let (Some(file), Ok(Some(found))) =
                (loader.find(partition.number, &name), volume.find(&name))
            else {
                continue;
            };
            let Ok(strict) = volume.read_file(&found, 1 << 26) else {
                continue;
            };
            assert!(strict == read_whole(medium, &file), "{name}");
            compared += 1;
        }
        if let (Some(cfg), Ok(Some(entry))) =
            (loader.boot_cfg(partition.number), volume.find(BOOT_CFG))
            && let Ok(strict) = volume.read_file(&entry, 1 << 20)
        {
            assert!(strict == cfg.raw(), "boot.cfg");
        }
    }
    compared
}

fn read_whole(medium: &dyn ReadAt, file: &FileAt) -> Vec<u8> {
    let mut bytes = Vec::new();
    for run in &file.runs {
        let mut part = vec![0; usize::try_from(run.end - run.start).unwrap()];
        medium.read_at(&mut part, run.start).unwrap();
        bytes.extend(part);
    }
    bytes.truncate(usize::try_from(file.size).unwrap());
    bytes
}

#[test]
fn the_bundled_images_are_read_alike_and_their_choice_is_known() {
    let mut seen = 0;
    for image in std::fs::read_dir("testimages").unwrap() {
        let path = image.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "gz") {
            continue;
        }
        let mut bytes = Vec::new();
        let packed = std::fs::File::open(&path).unwrap();
        flate2::read::GzDecoder::new(packed)
            .read_to_end(&mut bytes)
            .unwrap();
        let table = PartitionTable::read(&bytes, None).unwrap();
        let loader = Loader::new(&bytes, &table);
        let judgement = loader.judge(Depth::Content);
        assert!(
            judgement.choice.chosen.bank().is_some(),
            "{}",
            path.display()
        );
        let boot = judgement.boot.unwrap();
        assert_eq!(stops(&boot), [""; 0], "{}", path.display());
        assert_eq!(boot.boots(), Some(true), "{}", path.display());
        assert!(compare(&bytes, &table) >= 3, "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 10);
}

/// Changes at places that matter: boot sector, FAT, root directory, the first clusters.
fn place() -> impl Strategy<Value = usize> {
    prop_oneof![
        0..64_usize,
        SECTOR..SECTOR + 32,
        FAT_AT..FAT_AT + 64,
        ROOT_AT..ROOT_AT + 7 * 32,
        DATA_AT..DATA_AT + 20 * CLUSTER,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_volume_is_judged_without_panic_and_read_as_the_strict_reader_reads_it(
        changes in prop::collection::vec((place(), prop_oneof![any::<u8>(), Just(0), Just(0xff)]), 1..12),
        cut in prop::option::of(0..2 * VOLUME),
    ) {
        let mut bank = Bank::sound(2);
        for (at, byte) in changes {
            bank.bytes[at] = byte;
        }
        let (mut bytes, table) = medium(&[bank, Bank::sound(1)]);
        if let Some(cut) = cut {
            bytes.truncate(cut);
        }
        let judgement = Loader::new(&bytes, &table).judge(Depth::Content);
        if let Some(boot) = judgement.boot {
            prop_assert_eq!(Some(boot.partition), judgement.choice.chosen.bank());
        }
        let _ = Loader::new(&bytes, &table).boot(5, Depth::Content).notes();
        compare(&bytes, &table);
    }
}
