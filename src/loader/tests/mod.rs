//! Claims about the loader, on small volumes made here byte by byte.

mod agree;
mod choosing;
mod contents;
mod loading;

use super::*;
use crate::partition::{Partition, PartitionTable, PartitionType, TableKind};
use std::io::Write as _;

const SECTOR: usize = 512;
const PER_CLUSTER: usize = 2;
const CLUSTER: usize = SECTOR * PER_CLUSTER;
const CLUSTERS: usize = 4200;
const FAT_SECTORS: usize = 17;
const FAT_AT: usize = 2 * SECTOR;
const ROOT_AT: usize = FAT_AT + 2 * FAT_SECTORS * SECTOR;
const DATA_AT: usize = ROOT_AT + 512 * 32;
const VOLUME: usize = DATA_AT + CLUSTERS * CLUSTER;

/// A FAT16 volume of a bank.
#[derive(Clone)]
struct Bank {
    bytes: Vec<u8>,
    next: u16,
}

impl Bank {
    /// An empty volume with VMware's mark.
    fn empty() -> Bank {
        let mut bytes = vec![0; VOLUME];
        let sectors = u16::try_from(VOLUME / SECTOR).unwrap();
        for (at, field) in [
            (11, &512_u16.to_le_bytes()[..]),
            (13, &[2]),
            (14, &2_u16.to_le_bytes()),
            (16, &[2]),
            (17, &512_u16.to_le_bytes()),
            (19, &sectors.to_le_bytes()),
            (21, &[0xf8]),
            (22, &17_u16.to_le_bytes()),
            (SECTOR, b"VMWARE FAT16    0123456789abcdef"),
            (FAT_AT, &[0xf8, 0xff, 0xff, 0xff]),
            (FAT_AT + FAT_SECTORS * SECTOR, &[0xf8, 0xff, 0xff, 0xff]),
        ] {
            bytes[at..at + field.len()].copy_from_slice(field);
        }
        Bank { bytes, next: 2 }
    }

    /// A bank that boots: a kernel, two modules and a state.
    fn sound(updated: u32) -> Bank {
        let mut bank = Bank::empty();
        bank.put("BOOT    CFG", boot_cfg(updated).as_bytes());
        bank.put("B       B00", &gzip(&noise(2500)));
        bank.put("A       B00", &gzip(&noise(5000)));
        bank.put("USEROPTSGZ ", &gzip(b"x"));
        bank.put("STATE   TGZ", &gzip(&noise(2000)));
        bank
    }

    /// The same with another boot.cfg.
    fn with_boot_cfg(text: &str) -> Bank {
        let mut bank = Bank::sound(1);
        let at = bank.slot("BOOT    CFG");
        bank.bytes[at] = 0xe5;
        bank.put("BOOT    CFG", text.as_bytes());
        bank
    }

    fn put(&mut self, name: &str, content: &[u8]) {
        let count = u16::try_from(content.len().div_ceil(CLUSTER)).unwrap();
        let first = if count == 0 { 0 } else { self.next };
        for index in 0..count {
            let cluster = first + index;
            let next = if index + 1 == count {
                0xffff
            } else {
                cluster + 1
            };
            self.link(cluster, next);
        }
        let at = at_cluster(self.next);
        self.bytes[at..at + content.len()].copy_from_slice(content);
        self.next += count;
        self.add_slot(name, first, u32::try_from(content.len()).unwrap());
    }

    fn add_slot(&mut self, name: &str, first: u16, size: u32) {
        let mut slots = self.bytes[ROOT_AT..DATA_AT].chunks_exact_mut(32);
        let slot = slots.find(|slot| slot[0] == 0).unwrap();
        slot[..11].copy_from_slice(name.as_bytes());
        slot[11] = 0x20;
        slot[26..28].copy_from_slice(&first.to_le_bytes());
        slot[28..32].copy_from_slice(&size.to_le_bytes());
    }

    /// Byte position of the slot of that name.
    fn slot(&self, name: &str) -> usize {
        let mut slots = self.bytes[ROOT_AT..DATA_AT].chunks_exact(32);
        let index = slots.position(|slot| slot[..11] == *name.as_bytes());
        ROOT_AT + index.unwrap() * 32
    }

    fn first(&self, name: &str) -> u16 {
        le16(&self.bytes, self.slot(name) + 26).unwrap()
    }

    fn set_size(&mut self, name: &str, size: u32) {
        let at = self.slot(name) + 28;
        self.bytes[at..at + 4].copy_from_slice(&size.to_le_bytes());
    }

    /// Sets an entry in both copies of the FAT.
    fn link(&mut self, cluster: u16, next: u16) {
        for copy in 0..2 {
            self.link_in(copy, cluster, next);
        }
    }

    fn link_in(&mut self, copy: usize, cluster: u16, next: u16) {
        let at = FAT_AT + copy * FAT_SECTORS * SECTOR + usize::from(cluster) * 2;
        self.bytes[at..at + 2].copy_from_slice(&next.to_le_bytes());
    }

    fn set(mut self, at: usize, bytes: &[u8]) -> Bank {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    fn change(mut self, change: impl FnOnce(&mut Bank)) -> Bank {
        change(&mut self);
        self
    }
}

use crate::bytes::le16;

fn at_cluster(cluster: u16) -> usize {
    DATA_AT + (usize::from(cluster) - 2) * CLUSTER
}

fn boot_cfg(updated: u32) -> String {
    format!(
        "bootstate=0\nkernel=b.b00\nmodules=A.b00 --- useropts.gz --- state.tgz\nbuild=7.0.3-1\nupdated={updated}\n"
    )
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(content).unwrap();
    packed.finish().unwrap()
}

/// Bytes that do not get smaller.
fn noise(len: u32) -> Vec<u8> {
    let word = |index: u32| index.wrapping_mul(2_654_435_761).rotate_left(index % 32);
    (0..len).map(|at| word(at).to_le_bytes()[2]).collect()
}

/// Banks one behind the other, from partition 5 on.
fn medium(banks: &[Bank]) -> (Vec<u8>, PartitionTable) {
    let sectors = u64::try_from(VOLUME / SECTOR).unwrap();
    let partitions = (5..).zip(0..).take(banks.len());
    let partitions = partitions.map(|(number, index)| Partition {
        number,
        partition_type: PartitionType::Mbr(6),
        name: String::new(),
        first_lba: crate::medium::Lba(index * sectors),
        last_lba: crate::medium::Lba((index + 1) * sectors - 1),
        boot_flag: false,
    });
    let table = PartitionTable {
        kind: TableKind::Mbr,
        sector_size: 512,
        partitions: partitions.collect(),
        warnings: Vec::new(),
        faults: Vec::new(),
        backup_overlap: None,
        source: Default::default(),
    };
    let bytes: Vec<&[u8]> = banks.iter().map(|bank| bank.bytes.as_slice()).collect();
    (bytes.concat(), table)
}

/// What becomes of one bank, all of it read.
fn boot(bank: &Bank) -> Boot {
    let (bytes, table) = medium(std::slice::from_ref(bank));
    Loader::new(&bytes, &table).boot(5, Depth::Content)
}

fn stops(boot: &Boot) -> Vec<String> {
    boot.stops().map(ToString::to_string).collect()
}
