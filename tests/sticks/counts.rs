//! What an operation costs, in bytes and syncs: counts do not depend on the machine.

use super::images;
use super::media::Recorder;
use super::program::Bench;
use crate::args;
use bootbank::commit::{self, About, Undo};
use bootbank::edit::{Context, Devices, Edit, OwnerEdit};
use bootbank::fat::Method;
use bootbank::medium::{CachedReads, Meter};
use bootbank::ownership::Owner;
use bootbank::state::{KeyCache, Limits};
use bootbank::stick::{BankChoice, Request, Settings, Stick};

const MIB: u64 = 1 << 20;

fn settings(keys: &KeyCache) -> Settings<'_> {
    Settings {
        sector_size: None,
        limits: Limits::default(),
        keys,
    }
}

fn give_back() -> Vec<Edit> {
    vec![Edit::Owner(OwnerEdit {
        devices: Devices::PassedThrough,
        owner: Owner::Vmkernel,
    })]
}

const EVERYTHING: Request = Request {
    banks: BankChoice::All,
    method: Method::SecondCopy,
    context: Context { time: None },
};

/// Reading is at most 1 MiB more than it has to be. What it has to be: each state file once, and
/// each sector of the plan three times (its old content for the undo file; again before the
/// first write, whether it still is that; and what was written, read back).
#[test]
fn a_fix_reads_little_and_syncs_four_times_a_bank() {
    for name in [
        "esxi67-usb-passthru",
        "esxi67-fresh",
        "esxi70u1-both",
        "esxi67-4kn",
    ] {
        let image = images::small(name);
        let keys = KeyCache::new();
        let recorder = Meter::new(Recorder::new(std::fs::read(&image.path).unwrap()));
        let medium = CachedReads::new(&recorder);
        let stick = Stick::open(&medium, &settings(&keys)).unwrap();
        let plan = stick.plan(&give_back(), EVERYTHING).unwrap();
        let banks = plan
            .banks
            .iter()
            .filter(|bank| !bank.files.is_empty())
            .count();
        assert!(
            commit::run(&recorder, &plan.set, &|| false)
                .unwrap()
                .unfinished
                .is_none()
        );
        assert_eq!(recorder.syncs(), 4 * banks as u64, "{name}");

        let states = stick.slots().iter().flat_map(|slot| &slot.states);
        let states: u64 = states.map(|file| u64::from(file.entry.size())).sum();
        let planned = plan.set.bytes_to_write();
        let due = states + 3 * planned;
        let read = recorder.bytes_read();
        println!("{name}: {read} bytes read, {states} of state, {planned} planned");
        assert!(read <= due + MIB, "{name}: {read} read, {due} due");
        let written = recorder.bytes_written();
        assert_eq!(written, planned);
        let sectors = 64 * u64::from(stick.table().sector_size) * banks as u64;
        assert!(
            written <= states + sectors,
            "{name}: {written} for {states}"
        );
    }
}

/// The same on banks of full size, from what the program itself counts.
#[test]
fn a_fix_of_a_large_stick_reads_no_more() {
    for name in [
        "esxi702-encrypted",
        "esxi80-encrypted-1g",
        "esxi80-encrypted-4g",
    ] {
        let image = images::profile(name);
        let bench = Bench::new();
        let stick = image.copy_to(bench.path());
        let change = bench.done(&args!["fix", stick]);
        let number = |key: &str| change[key].as_u64().unwrap();
        let (read, written) = (number("bytes_read"), number("bytes_written"));
        let banks = image.truth["banks"].as_array().unwrap().iter();
        let states: u64 = banks
            .map(|b| b["states"][0]["size"].as_u64().unwrap())
            .sum();
        println!("{name}: {read} bytes read, {written} written, {states} of state");
        assert!(read <= states + 3 * written + MIB, "{name}: {read} read");
        assert!(
            written <= states + (64 << 10),
            "{name}: {written} for {states}"
        );
        let again = bench.done(&args!["fix", stick]);
        assert!(again["bytes_read"].as_u64().unwrap() <= states + MIB);
    }
}

#[test]
fn the_key_of_a_hundred_clones_is_derived_once() {
    let image = images::small("esxi702-dotinfo");
    let bytes = std::fs::read(&image.path).unwrap();
    let keys = KeyCache::new();
    for _ in 0..100 {
        let stick = Stick::open(&bytes, &settings(&keys)).unwrap();
        let slot = stick.boots_next().unwrap();
        stick.open_state(slot, &slot.states[0]).unwrap();
    }
    assert_eq!(keys.derivations(), 1);
}

/// The key of each bank is another one on this image, so that the banks that are opened can be counted.
#[test]
fn a_change_of_one_bank_opens_the_state_of_no_other() {
    let image = images::small("esxi702-encrypted");
    let bytes = std::fs::read(&image.path).unwrap();
    for (banks, opened) in [(BankChoice::Next, 1), (BankChoice::All, 2)] {
        let keys = KeyCache::new();
        let stick = Stick::open(&bytes, &settings(&keys)).unwrap();
        let plan = stick
            .plan(
                &give_back(),
                Request {
                    banks,
                    ..EVERYTHING
                },
            )
            .unwrap();
        stick.undo_of(&plan, About::default());
        assert_eq!(keys.derivations(), opened, "{banks:?}");
    }
}

#[test]
fn the_undo_file_is_made_of_the_plan_alone() {
    let image = images::small("esxi67-fresh");
    let bytes = std::fs::read(&image.path).unwrap();
    let undo = || {
        let keys = KeyCache::new();
        let stick = Stick::open(&bytes, &settings(&keys)).unwrap();
        let undo = Undo {
            set: stick.plan(&give_back(), EVERYTHING).unwrap().set,
            medium_size: bytes.len() as u64,
            damaged: Default::default(),
            about: About::default(),
        };
        undo.to_bytes().unwrap()
    };
    let file = undo();
    assert_eq!(file, undo());
    let states: u64 = image.truth["banks"][0]["states"][0]["size"]
        .as_u64()
        .unwrap();
    assert!(
        (file.len() as u64) < 5 * states + (64 << 10),
        "{}",
        file.len()
    );
}
