//! Undo where another system wrote to the bank since: the files of the change become what they were,
//! and its own stay.

use crate::run::Place;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

/// Number and first sector.
const BANKS: [(u32, u64); 2] = [(5, 8224), (6, 20512)];

fn volume(name: &str, bank: u32) -> String {
    let (_, lba) = BANKS.into_iter().find(|(it, _)| *it == bank).unwrap();
    format!("{name}@@{}", lba * 512)
}

fn mtools(place: &Place, tool: &str, arguments: &[&str]) {
    let mut command = Command::new(tool);
    command.args(arguments).current_dir(place.path());
    let output = command.env("MTOOLS_SKIP_CHECK", "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {arguments:?}: {said}");
}

/// The files of a bank, as mtools reads them.
fn held(place: &Place, name: &str, bank: u32) -> BTreeMap<String, Vec<u8>> {
    let to = tempfile::tempdir().unwrap();
    let source = volume(name, bank);
    let to_path = to.path().to_str().unwrap();
    mtools(place, "mcopy", &["-i", &source, "::*", to_path]);
    let files = fs::read_dir(to.path()).unwrap().map(Result::unwrap);
    let named = files.map(|file| (file.file_name().into_string().unwrap(), file.path()));
    named
        .map(|(name, path)| (name.to_lowercase(), fs::read(path).unwrap()))
        .collect()
}

/// Makes the change `line` of a medium, then a file of another system on every bank, which takes what
/// clusters the change freed, and undoes the change.
fn comes_back(place: &Place, line: &[&str]) {
    let before = BANKS.map(|(bank, _)| held(place, "a.img", bank));
    let line = [line, &["-q", "-y", "-z", "the.undo"]].concat();
    place.run(&line).expect(0);
    let after = BANKS.map(|(bank, _)| held(place, "a.img", bank));
    assert_ne!(before, after, "{line:?}");
    place.write("junk.bin", vec![0x5a; 1 << 20]);
    for (bank, _) in BANKS {
        let source = volume("a.img", bank);
        mtools(place, "mcopy", &["-i", &source, "junk.bin", "::JUNK.BIN"]);
    }
    let undone = place.run(&["undo", "the.undo", "a.img", "-y"]).expect(0);
    let told = undone.stderr();
    assert!(told.contains("become what they were"), "{line:?}: {told}");
    for ((bank, _), mut before) in BANKS.into_iter().zip(before) {
        before.insert("junk.bin".to_owned(), vec![0x5a; 1 << 20]);
        let now = held(place, "a.img", bank);
        let names = |files: &BTreeMap<_, _>| files.keys().cloned().collect::<Vec<String>>();
        assert_eq!(names(&now), names(&before), "{line:?}");
        assert!(now == before, "{line:?}");
    }
    // A second time there is nothing to do.
    let held = place.read("a.img");
    place.run(&["undo", "the.undo", "a.img", "-y"]).expect(0);
    assert!(place.read("a.img") == held, "{line:?}");
}

#[test]
fn what_a_change_removed_comes_back_and_what_it_made_goes() {
    let place = Place::new();
    place.write("new", vec![7; 100_000]);
    place.write("newer", vec![8; 200_000]);
    let lines: [&[&str]; 5] = [
        &["put", "a.img", "new", "bank5:extra.v00"],
        &["rm", "a.img", "bank5:old.v00"],
        &["put", "a.img", "newer", "bank5:old.v00"],
        &["bank", "copy", "5", "6", "a.img"],
        &["bank", "copy", "6", "5", "a.img"],
    ];
    for line in lines {
        place.copy("esxi67-usb-passthru", "a.img");
        let old = ["put", "-q", "a.img", "new", "bank5:old.v00", "--no-undo"];
        place.run(&old).expect(0);
        comes_back(&place, line);
        fs::remove_file(place.path().join("the.undo")).unwrap();
    }
}

/// A fresh install has a bank without a state, of which no change of settings is about.
#[test]
fn files_of_a_bank_without_a_state_come_back_too() {
    let place = Place::new();
    place.write("new", vec![7; 100_000]);
    place.write("newer", vec![8; 200_000]);
    place.copy("esxi67-fresh", "a.img");
    let old = ["put", "-q", "a.img", "new", "bank6:old.v00", "--no-undo"];
    place.run(&old).expect(0);
    comes_back(&place, &["put", "a.img", "newer", "bank6:old.v00"]);
}

#[test]
fn a_name_that_another_system_took_meanwhile_is_left_to_it() {
    let place = Place::new();
    place.copy("esxi67-usb-passthru", "a.img");
    place.write("new", vec![7; 100_000]);
    let made = ["put", "-q", "a.img", "new", "bank5:extra.v00"];
    place
        .run(&[&made[..], &["-z", "the.undo"]].concat())
        .expect(0);
    place.write("other", vec![9; 50_000]);
    let bank = volume("a.img", 5);
    let over = ["-o", "-i", &bank, "other", "::EXTRA.V00"];
    mtools(&place, "mcopy", &over);
    let held = place.read("a.img");
    let refused = place.run(&["undo", "the.undo", "a.img", "-y"]).expect(3);
    let told = refused.stderr();
    assert!(told.contains("neither the old nor the new"), "{told}");
    assert!(place.read("a.img") == held);
}
