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

/// What a fuzz run learned, where there is one (`BOOTBANK_CORPUS`): for scripts/fuzz-coverage.
#[test]
fn every_input_of_a_corpus_goes_through_its_target() {
    let Some(corpus) = std::env::var_os("BOOTBANK_CORPUS") else {
        eprintln!("no corpus of a fuzz run is named");
        return;
    };
    for target in &TARGETS {
        let Ok(inputs) = fs::read_dir(Path::new(&corpus).join(target.name)) else {
            continue;
        };
        let (mut count, mut deep) = (0, 0);
        for input in inputs {
            let input = fs::read(input.unwrap().path()).unwrap();
            count += 1;
            deep += usize::from((target.drive)(&input));
        }
        eprintln!(
            "{}: {deep} of {count} inputs of the corpus get to the last layer",
            target.name
        );
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
