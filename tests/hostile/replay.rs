//! The seeds of the fuzz targets, and every input that was once a find: none is one any more.
//!
//! A find is kept in fuzz/seeds under the target that made it, named by the lie it tells.

use super::drive::TARGETS;
use super::memory::peak_of;
use std::fs;
use std::path::Path;

/// What one input may take, in bytes. The longest is 64 KiB, and archives may unpack to 1 MiB.
const MOST_MEMORY: u64 = 64 << 20;

#[test]
fn every_seed_and_every_past_find_goes_through_its_target() {
    for target in &TARGETS {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/seeds")
            .join(target.name);
        let mut deepest = false;
        for seed in fs::read_dir(&seeds).unwrap_or_else(|error| panic!("{}: {error}", target.name))
        {
            let path = seed.unwrap().path();
            let input = fs::read(&path).unwrap();
            assert!(
                input.len() <= target.max_len,
                "{} is too long",
                path.display()
            );
            eprintln!("{}", path.display());
            let (deep, memory) = peak_of(|| (target.drive)(&input));
            assert!(memory < MOST_MEMORY, "{}: {memory} bytes", path.display());
            deepest |= deep;
        }
        assert!(deepest, "no seed of {} gets to its last layer", target.name);
    }
}

#[test]
fn a_prefix_or_a_flipped_byte_of_a_seed_is_no_find_either() {
    for target in &TARGETS {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/seeds")
            .join(target.name);
        for seed in fs::read_dir(&seeds).unwrap() {
            let input = fs::read(seed.unwrap().path()).unwrap();
            for step in 0..40 {
                let at = input.len() * step / 40;
                (target.drive)(&input[..at]);
                let mut flipped = input.clone();
                flipped[at] ^= 0xff;
                (target.drive)(&flipped);
            }
        }
    }
}
