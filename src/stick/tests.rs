//! What the stick says where the strict reader and the loader differ.

use super::*;
use crate::bytes::le16;
use crate::edit::{Context, Devices, Edit, OwnerEdit};
use crate::fat::{Method, Volume};
use crate::ownership::Owner;
use std::io::Read as _;
use std::ops::Range;

/// An image in whose banks 5 and 6 devices are passed through; bank 5 boots next.
fn image() -> Vec<u8> {
    let mut bytes = Vec::new();
    let packed = std::fs::File::open("testimages/esxi67-usb-passthru.img.gz").unwrap();
    let mut packed = flate2::read::GzDecoder::new(packed);
    packed.read_to_end(&mut bytes).unwrap();
    bytes
}

fn range_of(bytes: &dyn ReadAt, partition: u32) -> Range<usize> {
    let table = PartitionTable::read(bytes, None).unwrap();
    let range = table.partition(partition).unwrap().byte_range(512).unwrap();
    usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()
}

/// Frees the cluster of a bank's boot.cfg in both copies of the FAT.
fn free_boot_cfg(bytes: &mut [u8], bank: Range<usize>) {
    let volume = bytes[bank.clone()].to_vec();
    let opened = Volume::open(&volume, 0..volume.size(), 512).unwrap();
    let cluster = opened.find("boot.cfg").unwrap().unwrap().first_cluster();
    let geometry = opened.geometry();
    for fat in geometry.fat_ranges() {
        let at = bank.start + usize::try_from(fat.start).unwrap();
        let at = at + usize::from(cluster) * 2;
        assert!(le16(bytes, at).unwrap() >= 0xfff8);
        bytes[at..at + 2].fill(0);
    }
}

fn open<'m>(bytes: &'m dyn ReadAt, keys: &'m KeyCache) -> Stick<'m, 'm> {
    let limits = Limits::default();
    let sector_size = None;
    let settings = Settings {
        sector_size,
        limits,
        keys,
    };
    Stick::open(bytes, &settings).unwrap()
}

fn give_all_back(stick: &Stick<'_, '_>, banks: BankChoice) -> Result<Plan, Error> {
    let devices = Devices::PassedThrough;
    let owner = Owner::Vmkernel;
    let request = Request {
        banks,
        method: Method::SecondCopy,
        context: Context::default(),
    };
    stick.plan(&[Edit::Owner(OwnerEdit { devices, owner })], request)
}

#[test]
fn a_bank_that_must_not_be_changed_may_be_the_one_that_boots() {
    let mut bytes = image();
    let bank_5 = range_of(&bytes, 5);
    free_boot_cfg(&mut bytes, bank_5);
    let keys = KeyCache::new();
    let stick = open(&bytes, &keys);
    assert_eq!(stick.boots_next().map(|slot| slot.partition), Some(5));
    let [first, second] = stick.slots() else {
        panic!("two banks");
    };
    assert!(first.bank.is_err() && first.verdict.bootable && first.verdict.why_not.is_none());
    assert!(second.bank.is_ok() && !second.verdict.boots_next);
    assert_eq!(
        stick.judge(Depth::Content).boot.unwrap().boots(),
        Some(true)
    );
    assert!(give_all_back(&stick, BankChoice::All).is_err());
    assert!(give_all_back(&stick, BankChoice::Next).is_err());
    // The other bank can be changed; bank 5 is still the one that boots afterwards.
    assert!(
        !give_all_back(&stick, BankChoice::Partition(6))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_volume_the_loader_sees_no_bank_in_leaves_the_other_to_boot() {
    let mut bytes = image();
    let at = range_of(&bytes, 5).start;
    bytes[at + 16] = 1;
    let keys = KeyCache::new();
    let stick = open(&bytes, &keys);
    assert_eq!(stick.boots_next().map(|slot| slot.partition), Some(6));
    assert_eq!(
        stick.judge(Depth::Content).boot.unwrap().boots(),
        Some(true)
    );
}

#[test]
fn a_first_fat_of_zeros_does_not_send_the_loader_to_the_other_bank() {
    let mut bytes = image();
    let bank = range_of(&bytes, 5);
    let volume = bytes[bank.clone()].to_vec();
    let opened = Volume::open(&volume, 0..volume.size(), 512).unwrap();
    let fat = opened.geometry().fat_ranges().remove(0);
    let (start, end) = (
        usize::try_from(fat.start).unwrap(),
        usize::try_from(fat.end).unwrap(),
    );
    bytes[bank.start + start..bank.start + end].fill(0);
    let keys = KeyCache::new();
    let stick = open(&bytes, &keys);
    assert_eq!(stick.choice(), &Chosen::Bank(5));
    assert_eq!(
        stick.judge(Depth::Presence).boot.unwrap().boots(),
        Some(false)
    );
}

#[test]
fn what_is_not_there_is_named_whatever_its_name() {
    for name in ["no", "no such file", "x"] {
        let error = Error::from(Cause::NoSuchFile).in_file(name).on(5);
        let says = format!("partition 5: {name}: no such file");
        assert_eq!(error.to_string(), says);
    }
}
