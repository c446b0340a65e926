//! A sound volume about to be damaged, and the places damage is done at.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "shared by test programs, none of which uses all; one that cannot go on fails"
)]

use crate::fat_volume::{Format, Made, open, set_fat_entry};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// A volume about to be damaged, with what the damage is made of.
#[derive(Clone)]
pub struct Victim {
    pub format: Format,
    pub bytes: Vec<u8>,
    pub fats: Vec<usize>,
    /// Where the entries of `state.tgz`, `local.tgz` and the folder are.
    pub state: usize,
    pub local: usize,
    pub folder: usize,
    /// Chains of these.
    pub chain: Vec<u16>,
    pub other: Vec<u16>,
    pub inside: Vec<u16>,
    /// Where the first cluster of the folder is.
    pub folder_at: usize,
    pub free: u16,
    pub bits: u16,
}

impl Victim {
    /// A bank of that format. Those of one test are copies of a single one.
    pub fn of(format: Format) -> Self {
        thread_local! {
            static MADE: RefCell<BTreeMap<&'static str, Victim>> = RefCell::default();
        }
        MADE.with_borrow_mut(|made| {
            let victim = made.entry(format.name);
            victim.or_insert_with(|| Victim::made(format)).clone()
        })
    }

    fn made(format: Format) -> Self {
        let cluster = (format.sector_size * format.sectors_per_cluster) as usize;
        let bytes = Made::bank(format, cluster * 4).bytes();
        let volume = open(&bytes, format);
        let reach = volume.check().unwrap();
        let node = |name: &str| {
            let found = reach.nodes().iter().find(|it| it.entry().name() == name);
            let node = found.expect(name);
            let chain: Vec<u16> = node.chain().iter().map(|it| it.get()).collect();
            (node.entry().offset() as usize, chain, node.chain()[0])
        };
        let (state, local, folder) = (node("state.tgz"), node("local.tgz"), node("SYSTEM~1"));
        let geometry = volume.geometry();
        Victim {
            format,
            fats: geometry
                .fat_ranges()
                .iter()
                .map(|it| it.start as usize)
                .collect(),
            state: state.0,
            local: local.0,
            folder: folder.0,
            chain: state.1,
            other: local.1,
            inside: folder.1,
            folder_at: geometry.cluster_offset(folder.2) as usize,
            free: reach.free().iter().next().expect("a free cluster").get(),
            bits: if format.fat_bits == 16 {
                0xffff
            } else {
                0x0fff
            },
            bytes: bytes.clone(),
        }
    }

    /// Sets the entry of a cluster in every copy of the FAT.
    pub fn link(&mut self, cluster: u16, value: u16) {
        for fat in self.fats.clone() {
            set_fat_entry(
                &mut self.bytes,
                self.format,
                fat,
                cluster,
                value & self.bits,
            );
        }
    }

    /// Where a cluster begins.
    pub fn at(&self, cluster: u16) -> usize {
        let bytes = (self.format.sector_size * self.format.sectors_per_cluster) as usize;
        self.folder_at + usize::from(cluster) * bytes - usize::from(self.inside[0]) * bytes
    }

    /// First cluster of `state.tgz` as its entry says now.
    pub fn first(&self) -> u16 {
        u16::from_le_bytes([self.bytes[self.state + 26], self.bytes[self.state + 27]])
    }

    /// Changes a byte that may have any value: the tools take times from the clock.
    pub fn flip(&mut self, at: usize) {
        self.bytes[at] ^= 1;
    }

    pub fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }
}
