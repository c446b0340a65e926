//! What `--dry-run` and `--check` say is what happens without them.

use crate::run::Place;
use std::fs;
use std::path::Path;
use std::process::Command;

const SECTOR: usize = 512;

/// A volume for the bank at `bank` in the image whose root directory has a file in each of its 256
/// sectors: mkfs.fat and mtools make it, with VMware's mark and the boot.cfg of the old one.
fn spread_over_the_directory(place: &Place, image: &str, bank: std::ops::Range<usize>) {
    place
        .run(&["get", image, "bank6:boot.cfg", "boot.cfg"])
        .expect(0);
    let volume = place.path().join("volume");
    let file = fs::File::create(&volume).unwrap();
    file.set_len((bank.len() * SECTOR) as u64).unwrap();
    run(Command::new("mkfs.fat")
        .args(["-F", "16", "-R", "2", "-s", "1", "-r", "4096"])
        .args(["-h", &bank.start.to_string()])
        .arg(&volume));
    run(Command::new("mcopy")
        .args([Path::new("-i"), &volume])
        .arg(place.path().join("boot.cfg"))
        .arg("::boot.cfg"));
    let mut new = fs::read(&volume).unwrap();
    let word = |at: usize| usize::from(u16::from_le_bytes([new[at], new[at + 1]]));
    let (root, entries) = (word(14) + usize::from(new[16]) * word(22), word(17));
    assert_eq!(entries, 4096);
    let root = &mut new[root * SECTOR..][..entries * 32];
    for (number, entry) in root.chunks_mut(32).enumerate().skip(1) {
        entry[0] = 0xE5;
        if number % 16 == 0 {
            entry[..11].copy_from_slice(format!("F{number:<7}TXT").as_bytes());
            entry[11] = 0x20;
        }
    }
    let path = place.path().join(image);
    let mut bytes = fs::read(&path).unwrap();
    let old = &mut bytes[bank.start * SECTOR..bank.end * SECTOR];
    new[SECTOR..2 * SECTOR].copy_from_slice(&old[SECTOR..2 * SECTOR]);
    old.copy_from_slice(&new);
    fs::write(&volume, &new).unwrap();
    run(Command::new("fsck.fat").arg("-n").arg(&volume));
    fs::write(&path, bytes).unwrap();
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_change_that_no_undo_file_can_hold_is_foretold_as_refused() {
    let place = Place::new();
    place.copy("esxi67-usb-passthru", "a.img");
    let info = place.run(&["info", "--json", "a.img"]).expect(0).objects();
    let partitions = info[0]["partitions"].as_array().unwrap();
    let sixth = partitions.iter().find(|it| it["number"] == 6).unwrap();
    let lba = |key: &str| usize::try_from(sixth[key].as_u64().unwrap()).unwrap();
    let bank = lba("first_lba")..lba("last_lba") + 1;
    spread_over_the_directory(&place, "a.img", bank);
    let before = place.read("a.img");
    let copy = ["bank", "copy", "5", "6", "a.img", "-y"];
    for way in [&["-n"][..], &["--check"], &[]] {
        let ran = place.run(&[&copy, way].concat()).expect(3);
        let said = ran.stderr();
        assert!(
            said.contains("more than the 256 that an undo file may have"),
            "{said}"
        );
    }
    assert_eq!(place.read("a.img"), before);
    // Without an undo file it can be done, and that is foretold too.
    for way in [
        &["-n", "--no-undo"][..],
        &["-n", "-o", "b.img"],
        &["-o", "b.img"],
        &["--no-undo"],
    ] {
        place.run(&[&copy, way].concat()).expect(0);
    }
    assert_eq!(place.read("a.img"), place.read("b.img"));
}

#[test]
fn options_of_a_copy_contradict_each_other_in_a_dry_run_too() {
    let place = Place::new();
    place.copy("esxi67-usb-passthru", "a.img");
    for way in [&["-n"][..], &["--check"], &[]] {
        let fix = ["fix", "-o", "b.img", "-z", "a.undo", "a.img"];
        place.run(&[&fix, way].concat()).expect(2);
    }
}
