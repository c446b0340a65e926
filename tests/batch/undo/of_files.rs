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
    let lines: [&[&str]; 4] = [
        &["put", "a.img", "new", "bank5:extra.v00"],
        &["rm", "a.img", "bank5:old.v00"],
        &["put", "a.img", "newer", "bank5:old.v00"],
        &["bank", "copy", "5", "6", "a.img"],
    ];
    for line in lines {
        place.copy("esxi67-usb-passthru", "a.img");
        let old = ["put", "-q", "a.img", "new", "bank5:old.v00", "--no-undo"];
        place.run(&old).expect(0);
        comes_back(&place, line);
        fs::remove_file(place.path().join("the.undo")).unwrap();
    }
}

/// Between two files of the bank that boots next a cut could keep the host from starting.
#[test]
fn a_bank_that_boots_next_is_not_put_back_file_by_file() {
    let place = Place::new();
    place.copy("esxi67-usb-passthru", "a.img");
    place.write("new", vec![7; 100_000]);
    let old = ["put", "-q", "a.img", "new", "bank5:old.v00", "--no-undo"];
    place.run(&old).expect(0);
    let before = held(&place, "a.img", 5);
    let copied = [
        "bank", "copy", "6", "5", "a.img", "-q", "-y", "-z", "the.undo",
    ];
    place.run(&copied).expect(0);
    place.write("junk.bin", b"junk");
    let bank = volume("a.img", 5);
    mtools(&place, "mcopy", &["-i", &bank, "junk.bin", "::JUNK.BIN"]);
    let copy = place.read("a.img");
    let refused = place.run(&["undo", "the.undo", "a.img", "-y"]).expect(3);
    let told = refused.stderr();
    assert!(
        told.contains("the bank boots next") && told.contains("`bootbank bank use`"),
        "{told}"
    );
    assert!(place.read("a.img") == copy);
    place
        .run(&["bank", "use", "6", "a.img", "-q", "-y", "--no-undo"])
        .expect(0);
    place.run(&["undo", "the.undo", "a.img", "-y"]).expect(0);
    let mut now = held(&place, "a.img", 5);
    assert_eq!(now.remove("junk.bin").as_deref(), Some(&b"junk"[..]));
    assert!(now == before);
    // What is undone already is, whichever bank boots.
    let back = ["bank", "use", "5", "a.img", "-q", "-y", "--no-undo"];
    place.run(&back).expect(0);
    let undone = place.read("a.img");
    place.run(&["undo", "the.undo", "a.img", "-y"]).expect(0);
    assert!(place.read("a.img") == undone);
}

/// The directory ended where the change put its file; what came behind it since is no part of it.
#[test]
fn what_came_after_the_change_stays() {
    let place = Place::new();
    place.write("small", vec![7; 3000]);
    place.write("big", vec![8; 700_000]);
    for filled in 0..17 {
        place.copy("esxi67-fresh", "a.img");
        let bank = volume("a.img", 5);
        for index in 0..filled {
            let name = format!("::F{index}.BIN");
            mtools(&place, "mcopy", &["-i", &bank, "small", &name]);
        }
        let undo = format!("{filled}.undo");
        let first = ["put", "-q", "a.img", "small", "bank5:new.v00", "-z", &undo];
        place.run(&first).expect(0);
        let later = ["put", "-q", "a.img", "big", "bank5:later.v00", "--no-undo"];
        place.run(&later).expect(0);
        let mut expected = held(&place, "a.img", 5);
        expected.remove("new.v00");
        place.run(&["undo", &undo, "a.img", "-y"]).expect(0);
        assert!(held(&place, "a.img", 5) == expected, "{filled}");
    }
}

/// A copy of a bank uses clusters again that it has just freed: a file can be where another content was.
#[test]
fn a_file_that_is_where_it_was_with_other_content_comes_back() {
    let place = Place::new();
    for size in [600, 1100, 1600, 2600, 5100] {
        place.copy("esxi67-usb-passthru", "a.img");
        place.write("more", vec![9; size]);
        for (bank, name) in [("bank5:aa.v00", "more"), ("bank6:zz.v00", "more")] {
            let put = ["put", "-q", "a.img", name, bank, "--no-undo"];
            place.run(&put).expect(0);
        }
        comes_back(&place, &["bank", "copy", "5", "6", "a.img"]);
        fs::remove_file(place.path().join("the.undo")).unwrap();
    }
}

/// Half an undo is none: a bank that is none any more is named.
#[test]
fn a_bank_that_is_gone_is_not_passed_over() {
    let place = Place::new();
    place.copy("esxi67-usb-passthru", "a.img");
    let set = [
        "bootcfg", "set", "-q", "a.img", "timeout", "17", "-z", "the.undo",
    ];
    place.run(&set).expect(0);
    let bank = volume("a.img", 5);
    mtools(&place, "mren", &["-i", &bank, "::BOOT.CFG", "BOOT.BAK"]);
    let held = place.read("a.img");
    let refused = place.run(&["undo", "the.undo", "a.img", "-y"]).expect(3);
    assert!(
        refused.stderr().contains("partition 5 is not a bank"),
        "{}",
        refused.stderr()
    );
    assert!(place.read("a.img") == held);
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
