//! What the commit promises, on bare sectors: order, refusal, failure, and the way back.
#![allow(clippy::unwrap_used, clippy::panic, dead_code)]

#[path = "../common/media.rs"]
mod media;
#[path = "../common/repair.rs"]
mod repair;
mod running;
mod undoing;

use bootbank::commit::{About, Phase, Planner, Undo, WriteSet};

const SECTOR: usize = 512;
const SECTOR_SIZE: u32 = 512;

/// Sector 0 is a table nobody may touch, 1 and 2 the FAT copies, 3 the directory, 4 to 7 the
/// old file, 8 to 11 free.
fn medium() -> Vec<u8> {
    (0..16u8).flat_map(|sector| [sector; SECTOR]).collect()
}

fn plan(bytes: &[u8]) -> WriteSet {
    let at = |lba: u64| lba * SECTOR as u64;
    let mut planner = Planner::new(&bytes, SECTOR_SIZE);
    planner.allow(at(1)..at(12)).unwrap();
    planner.begin(Phase::Data, 5, "new content");
    planner.put(at(8), &[0xdd; 2 * SECTOR]).unwrap();
    planner.begin(Phase::Allocate, 5, "new chain");
    planner.put(at(1) + 10, b"new").unwrap();
    planner.put(at(2) + 10, b"new").unwrap();
    planner.begin(Phase::Switch, 5, "entry");
    planner.put(at(3) + 26, b"switch").unwrap();
    planner.begin(Phase::Release, 5, "old chain");
    planner.preserve(at(4)..at(8)).unwrap();
    planner.put(at(1) + 20, b"free").unwrap();
    planner.put(at(2) + 20, b"free").unwrap();
    planner.finish()
}

fn undo(set: WriteSet) -> Undo {
    Undo {
        medium_size: 16 * SECTOR as u64,
        damaged: Default::default(),
        about: About {
            target: Some("test".into()),
            ..About::default()
        },
        set,
    }
}
