//! A medium that acknowledges a sync and keeps what it likes: outside what the order of writes
//! can protect. There the undo file has to bring the old configuration back.

use crate::media::Recorder;
use crate::replay::{Cow, Random, epochs};
use crate::runs::{Found, Run};
use crate::sticks::{FIX, Image};
use crate::{long, table};
use bootbank::commit::{IfDifferent, run};
use bootbank::fat::Method;
use bootbank::medium::ReadAt;
use std::collections::BTreeMap;

/// States with any of the sectors of all steps on the medium, as last written or as at some
/// time before, some of them torn: so many are drawn.
const DRAWN: usize = 400;

fn draw(name: &str, method: Method, row: &str) {
    let image = match method {
        Method::SecondCopy => Image::bundled(name),
        Method::InPlace => Image::full(name),
    };
    let act = |medium: &dyn ReadAt| {
        let set = image.fix(medium, method);
        set.map_err(|error| error.to_string())
    };
    let of = Run::new(&image, &act);
    let undo = of.undo.as_ref().unwrap();
    let log = Recorder::log(&of.recorder);
    let epochs = epochs(&image.bytes, &log, image.sector);
    let drawn = if long() { DRAWN * 50 } else { DRAWN };
    let mut counts = BTreeMap::new();
    for seed in 0..drawn {
        let medium = lie(&image, &epochs, seed as u64);
        if seed < DRAWN {
            *counts.entry(of.found(&medium)).or_insert(0) += 1;
        }
        let back = undo.plan(&medium, IfDifferent::Refuse);
        let back = back.unwrap_or_else(|error| panic!("{error}, seed {seed}"));
        assert!(run(&medium, &back, &|| false).unwrap().unfinished.is_none());
        let wrong = medium.differences(&BTreeMap::new());
        assert_eq!(wrong, [0u64; 0], "seed {seed}");
    }
    let of = |found| counts.get(&found).copied().unwrap_or_default();
    let (old, new) = (of(Found::Old), of(Found::New));
    let (between, neither) = (of(Found::Between), of(Found::Neither));
    table::expect(row, &[DRAWN, old, new, between, neither, DRAWN]);
}

fn lie<'i>(image: &'i Image, epochs: &[BTreeMap<u64, Vec<u8>>], seed: u64) -> Cow<'i> {
    let mut random = Random(seed);
    let medium = Cow::new(&image.bytes, image.sector);
    // Some media lose much and some little.
    let kept = random.next() % 8;
    for (&lba, content) in epochs.iter().flatten() {
        if random.next() % 8 > kept {
            continue;
        }
        let start = lba * image.sector as u64;
        let mut sector = medium.bytes(start..start + image.sector as u64);
        let words = (image.sector / 8) as u64;
        let torn = kept < 7 && random.next().is_multiple_of(4);
        let cut = if torn { random.next() % words * 8 } else { 0 } as usize;
        sector[cut..].copy_from_slice(&content[cut..]);
        medium.put(lba, &sector);
    }
    medium
}

#[test]
fn the_undo_file_brings_back_every_byte_from_a_medium_that_lied() {
    draw("esxi67-fresh", FIX, "lying medium, fix, one bank");
    draw(
        "esxi55-fragmented",
        FIX,
        "lying medium, fix, two banks, fragmented",
    );
    draw(
        "esxi67-fresh",
        Method::InPlace,
        "lying medium, fix --in-place",
    );
}
