use super::*;
use crate::medium::Meter;

static NONE: Vec<u8> = Vec::new();

/// The boot sector of a volume whose FATs of 300 sectors have room for more clusters than 16 bits number.
fn boot_sector(clusters: u32) -> Vec<u8> {
    let mut boot = vec![0; 512];
    let sectors = 2 + 2 * 300 + 32 + clusters * 2;
    for (at, field) in [
        (11, &512_u16.to_le_bytes()[..]),
        (13, &[2]),
        (14, &2_u16.to_le_bytes()),
        (16, &[2]),
        (17, &512_u16.to_le_bytes()),
        (22, &300_u16.to_le_bytes()),
        (32, &sectors.to_le_bytes()),
    ] {
        boot[at..at + field.len()].copy_from_slice(field);
    }
    boot
}

#[test]
fn a_volume_with_as_many_clusters_as_fat32_is_none() {
    let parse = |clusters| Volume::parse(&NONE, 0, 512, &boot_sector(clusters)).map(drop);
    assert_eq!(parse(65_524), Ok(()));
    let many = "it has as many clusters as FAT32, which makes no bank";
    assert_eq!(parse(65_525), Err(many));
}

#[test]
fn the_fat_must_have_an_entry_for_each_cluster_and_two_more() {
    let parse = |clusters: u32| {
        let mut boot = boot_sector(clusters);
        boot[22..24].copy_from_slice(&20_u16.to_le_bytes());
        let sectors = 2 + 2 * 20 + 32 + clusters * 2;
        boot[32..36].copy_from_slice(&sectors.to_le_bytes());
        Volume::parse(&NONE, 0, 512, &boot).map(drop)
    };
    let entries = 20 * 512 / 2;
    assert_eq!(parse(entries - 2), Ok(()));
    let small = "its FAT is too small for its clusters";
    assert_eq!(parse(entries - 1), Err(small));
}

#[test]
fn no_sectors_per_cluster_are_256() {
    let mut boot = boot_sector(4200);
    boot[13] = 0;
    let sectors = 2 + 2 * 300 + 32 + 5000_u32 * 256;
    boot[32..36].copy_from_slice(&sectors.to_le_bytes());
    let volume = Volume::parse(&NONE, 0, 512, &boot).unwrap();
    assert_eq!(volume.data_bytes(), 5000 * 256 * 512);
    boot[13] = 3;
    assert!(Volume::parse(&NONE, 0, 512, &boot).is_err());
}

#[test]
fn the_one_cluster_by_which_the_loader_says_no_is_no_file() {
    let volume = Volume::parse(&NONE, 0, 512, &boot_sector(4200)).unwrap();
    let found = |cluster| {
        let mut root = Root::default();
        root.slots.insert(*b"B       B00", (cluster, 5));
        volume.find(&root, b"B       B00").ok()
    };
    assert_eq!(found(u32::MAX - 1), Some(Lookup::Absent));
    for cluster in [u32::MAX, u32::MAX - 2] {
        assert_eq!(found(cluster), Some(Lookup::BadStart { cluster }));
    }
}

#[test]
fn all_files_together_may_lie_in_the_root_directory_and_the_clusters() {
    let volume = Volume::parse(&NONE, 0, 512, &boot_sector(4200)).unwrap();
    assert_eq!(volume.data_bytes(), 4200 * 1024);
    assert_eq!(volume.budget(), 512 * 32 + volume.data_bytes());
}

/// Where what all files together may lie in is used up, only a file that no volume of this size can hold is
/// at fault by itself.
#[test]
fn a_file_as_long_as_all_clusters_is_not_too_long() {
    let volume = Volume::parse(&NONE, 0, 512, &boot_sector(4200)).unwrap();
    let all = u32::try_from(volume.data_bytes()).unwrap();
    let follow = |size| {
        let mut fat = FatCopy::new(&NONE, Some(0), 512, true);
        let sector = volume.data;
        let followed = volume.follow(&mut fat, Start { sector, size }, &mut 0);
        followed.ok().map(|chain| chain.map(Result::err))
    };
    assert_eq!(follow(all), Some(None));
    let size = all + 1;
    assert_eq!(follow(size), Some(Some(Some(ChainFault::Larger { size }))));
}

/// A FAT in which the entry of each cluster is its number and one more.
fn fat_of(sectors: usize) -> Vec<u8> {
    let entries = (0..sectors * 256).map(|cluster| u16::try_from(cluster + 1).unwrap());
    entries.flat_map(u16::to_le_bytes).collect()
}

#[test]
fn every_entry_is_found_and_the_fat_is_read_page_by_page() {
    for (sector, together) in [(512, 8), (4096, 1)] {
        let medium = Meter::new(fat_of(128));
        let mut fat = FatCopy::new(&medium, Some(0), sector, true);
        for cluster in 0..128 * 256 {
            let next = fat.entry(cluster).unwrap();
            assert_eq!(u64::from(next), cluster + 1, "sectors of {sector}");
        }
        assert_eq!(medium.bytes_read(), 128 * 512);
        // Entries of any order: a page that was read is not read again.
        let medium = Meter::new(fat_of(128));
        let mut fat = FatCopy::new(&medium, Some(0), sector, true);
        for cluster in [0x7fff, 0x4001, 0x7ffe, 0x4000, 0x7800] {
            assert_eq!(u64::from(fat.entry(cluster).unwrap()), cluster + 1);
        }
        assert_eq!(medium.bytes_read(), 2 * sector * together);
    }
}
