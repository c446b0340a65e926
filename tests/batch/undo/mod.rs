//! Undo at hand: which undo files there are, the newest of a medium, several at once, and which are
//! not needed any more.

mod last;
mod noted;
mod of_files;
mod prune;

use crate::run::{Place, Run};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const IMAGE: &str = "esxi67-usb-passthru";

/// The undo files in the default directory, the oldest first.
fn files(place: &Place) -> Vec<PathBuf> {
    let listed = place.run(&["undo", "--list", "--json"]).expect(0).objects();
    let mut files: Vec<PathBuf> = listed
        .iter()
        .map(|it| it["file"].as_str().unwrap().into())
        .collect();
    files.reverse();
    files
}

/// A stick, changed twice: what it held before and in between.
fn changed_twice(place: &Place, name: &str) -> [Vec<u8>; 2] {
    place.copy(IMAGE, name);
    let before = place.read(name);
    place.run(&["fix", "-q", name]).expect(0);
    let between = place.read(name);
    place
        .run(&["kernelopt", "modify", "-q", "-a", "debug", name])
        .expect(0);
    assert_ne!(place.read(name), between);
    [before, between]
}

#[test]
fn the_list_says_when_what_and_how_of_every_undo_file() {
    let place = Place::new();
    assert!(place.run(&["undo", "--list"]).expect(0).stdout().is_empty());
    changed_twice(&place, "a.img");
    place.copy(IMAGE, "b.img");
    place.run(&["fix", "-q", "b.img"]).expect(0);
    let listed = place.run(&["undo", "--list", "--json"]).expect(0).objects();
    let times: Vec<&str> = listed
        .iter()
        .map(|it| it["time"].as_str().unwrap())
        .collect();
    assert!(times.is_sorted_by(|a, b| a > b), "{times:?}");
    let told: Vec<(&str, &str)> = listed
        .iter()
        .map(|it| {
            let text = |key: &str| it[key].as_str().unwrap();
            let target = Path::new(text("target")).file_name().unwrap();
            (target.to_str().unwrap(), text("command"))
        })
        .collect();
    let expected = [
        ("b.img", "fix"),
        ("a.img", "kernelopt modify"),
        ("a.img", "fix"),
    ];
    assert_eq!(told, expected);
    let changed: Vec<&str> = listed[2]["changed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_str().unwrap())
        .collect();
    assert!(
        changed.contains(&"bank 5: state.tgz: /device/0000:00:20.0/owner"),
        "{changed:?}"
    );
    assert_eq!(listed[0]["banks"].as_array().unwrap().len(), 2);
    // The file name tells when and of what, and needs no quotes.
    for file in files(&place) {
        let name = file.file_name().unwrap().to_str().unwrap();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        assert!(name.chars().all(plain), "{name}");
        assert!(
            name.contains("Z-a.img-") || name.contains("Z-b.img-"),
            "{name}"
        );
    }
    let text = place.run(&["undo", "--list"]).expect(0).stdout();
    let date = Command::new("date").args(["-u", "+%Y-"]).output().unwrap();
    let date = String::from_utf8(date.stdout).unwrap();
    assert!(
        text.starts_with(date.trim()) && text.contains(" UTC  "),
        "{text}"
    );
    assert!(text.contains("kernelopt modify: 2 changes"), "{text}");
}

#[test]
fn a_file_that_is_none_is_listed_with_what_is_wrong_with_it() {
    let place = Place::new();
    changed_twice(&place, "a.img");
    let directory = place.path().join("state/bootbank/undo");
    fs::write(directory.join("20260101T000500Z-x.undo"), "no tar").unwrap();
    let listed = place.run(&["undo", "--list", "--json"]).expect(0).objects();
    assert_eq!(listed.len(), 3);
    assert_eq!(listed[2]["error"]["kind"], "damaged");
    assert_eq!(listed[2]["time"], "2026-01-01T00:05:00Z");
    // It is no reason to leave the others alone, and is never removed.
    place
        .run(&["undo", "--prune", "-y", "--older-than", "0"])
        .expect(0);
    assert_eq!(files(&place).len(), 2);
}

#[test]
fn where_no_directory_is_known_the_file_can_be_named() {
    let place = Place::new();
    for look in ["--list", "--last", "--prune"] {
        let mut command = place.command(&["undo", look]);
        command.env_remove("HOME").env_remove("XDG_STATE_HOME");
        let run = Run(command.output().unwrap()).expect(3);
        let said = run.stderr();
        assert!(
            said.contains("bootbank undo FILE") && !said.contains("--no-undo"),
            "{said}"
        );
    }
}

#[test]
fn where_one_of_several_undo_files_is_none_no_other_is_used() {
    let place = Place::new();
    changed_twice(&place, "a.img");
    let changed = place.read("a.img");
    place.copy(IMAGE, "b.img");
    let kept = files(&place);
    // The medium and the undo file in the wrong order: the file names another medium.
    let run = place
        .run(&["undo", "b.img", kept[1].to_str().unwrap()])
        .expect(4);
    assert!(
        run.stderr().contains("bootbank undo FILE STICK"),
        "{}",
        run.stderr()
    );
    assert_eq!(place.read("a.img"), changed);
}

#[test]
fn several_undo_files_are_carried_out_the_newest_first() {
    let place = Place::new();
    let [before, _] = changed_twice(&place, "a.img");
    let kept = files(&place);
    let names: Vec<&str> = kept.iter().map(|it| it.to_str().unwrap()).collect();
    let done = place.run(&["undo", "--json", names[0], names[1]]).expect(0);
    let used: Vec<String> = done
        .objects()
        .iter()
        .map(|it| it["undone"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(used, [names[1], names[0]]);
    assert_eq!(place.read("a.img"), before);
    // With the medium named behind them, too.
    place.run(&["undo", names[0], names[1], "a.img"]).expect(0);
    assert_eq!(place.read("a.img"), before);
}

#[test]
fn where_a_later_change_cannot_be_undone_the_earlier_one_is_not_begun() {
    let place = Place::new();
    changed_twice(&place, "a.img");
    let kept = files(&place);
    let mut spoilt = fs::read(&kept[1]).unwrap();
    let last = spoilt.len() - 2000;
    spoilt[last] ^= 1;
    fs::write(&kept[1], spoilt).unwrap();
    let before = place.read("a.img");
    let names: Vec<&str> = kept.iter().map(|it| it.to_str().unwrap()).collect();
    let run = place.run(&["undo", "--json", names[0], names[1]]).expect(6);
    let outcomes: Vec<String> = run
        .objects()
        .iter()
        .map(|it| it["outcome"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(outcomes, ["failed", "not-started"], "{}", run.stderr());
    assert_eq!(place.read("a.img"), before);
}

#[test]
fn a_run_that_was_cut_can_be_made_again_with_the_same_undo_file() {
    let place = Place::new();
    place.copy(IMAGE, "a.img");
    place.run(&["state", "export", "a.img", "a.tgz"]).expect(0);
    for target in ["a.img", "a.tgz"] {
        let before = place.read(target);
        let undo_file = format!("{target}.undo");
        let fix = ["fix", "-q", "-z", &undo_file, target];
        // Cut while the undo file was written, and after it was.
        let half = ".bootbank-1-0.partial";
        place.write(half, "half");
        place.run(&fix).expect(0);
        assert_eq!(place.read(half), b"half", "whose it is nobody knows");
        let undo = place.read(&undo_file);
        place.write(target, &before);
        place.run(&fix).expect(0);
        assert_eq!(place.read(&undo_file), undo);
        place.run(&["undo", &undo_file]).expect(0);
        assert_eq!(place.read(target), before);
        // The way back of another change is never lost, nor that of another target.
        let other = ["rm", "-z", &undo_file, target, "etc/hosts"];
        let twin = format!("twin-{target}");
        place.write(&twin, &before);
        let of_twin = ["fix", "-q", "-z", &undo_file, &twin];
        for arguments in [&other[..], &of_twin] {
            let refused = place.run(arguments).expect(3);
            let told = refused.stderr();
            assert!(told.contains("never overwritten"), "{told}");
            assert_eq!(place.read(&undo_file), undo);
        }
    }
}

/// The files of an earlier change alone would put another bank back than the one that was chosen.
#[test]
fn an_undo_of_files_alone_that_would_make_another_bank_boot_says_so() {
    let place = Place::new();
    place.copy(IMAGE, "a.img");
    place
        .run(&["bank", "use", "6", "a.img", "-y", "-z", "use.undo"])
        .expect(0);
    let later = ["conf", "set", "a.img", "/a/b", "c", "--bank", "6"];
    place
        .run(&[&later[..], &["-z", "later.undo"]].concat())
        .expect(0);
    let before = place.read("a.img");
    let refused = place.run(&["undo", "use.undo"]).expect(3);
    let told = refused.stderr();
    assert!(told.contains("another bank would boot then"), "{told}");
    assert!(told.contains("undo that first"), "{told}");
    assert_eq!(place.read("a.img"), before);
    place.run(&["undo", "later.undo"]).expect(0);
    place.run(&["undo", "use.undo"]).expect(0);
}

/// The line that is printed is run by a shell.
#[test]
fn the_line_that_undoes_a_change_works_for_any_name() {
    let names: [&[u8]; 4] = [b"-n.img", b"it's one.img", b"x\xffy.img", b"a\nb.img"];
    for name in names {
        let place = Place::new();
        let image = place.copy(IMAGE, "plain.img");
        let before = place.read("plain.img");
        let path = place.path().join(OsStr::from_bytes(name));
        fs::rename(image, &path).unwrap();
        let run = Run(place
            .command(&["fix", "--"])
            .arg(OsStr::from_bytes(name))
            .output()
            .unwrap());
        let said = run.expect(0).stderr();
        let line = said
            .lines()
            .find_map(|line| Some(line.split_once("to undo it: ")?.1));
        let line = line.unwrap().replacen("bootbank", crate::run::BOOTBANK, 1);
        assert_ne!(fs::read(&path).unwrap(), before);
        let undone = Command::new("bash")
            .args(["-c", &line])
            .current_dir(place.path())
            .output();
        let undone = undone.unwrap();
        assert!(undone.status.success(), "{line}: {undone:?}");
        assert_eq!(fs::read(&path).unwrap(), before);
        // The undo file itself knows the name, too.
        let again = place.run(&["undo", "--last"]).expect(0);
        assert!(
            again.stdout().contains("no change is left to undo"),
            "{}",
            again.stdout()
        );
    }
}

#[test]
fn the_list_of_a_medium_holds_its_undo_files_alone() {
    let place = Place::new();
    changed_twice(&place, "a.img");
    place.copy("esxi67-fresh", "b.img");
    place.run(&["fix", "-q", "b.img"]).expect(0);
    place.copy("esxi40-mbr", "c.img");
    let count = |name: &str| {
        let listed = place.run(&["undo", "--list", "--json", name]).expect(0);
        listed.objects().len()
    };
    assert_eq!([count("a.img"), count("b.img"), count("c.img")], [2, 1, 0]);
    let said = place.run(&["undo", "--list", "c.img"]).expect(0).stderr();
    assert!(said.contains("there is no undo file for c.img"), "{said}");
    place.run(&["undo", "--list", "a.img", "b.img"]).expect(2);
}

#[test]
fn a_medium_in_place_of_an_undo_file_and_none_at_all_are_told_of_last() {
    let place = Place::new();
    place.copy(IMAGE, "s.img");
    let said = place.run(&["undo", "s.img"]).expect(4).stderr();
    assert!(
        said.contains(
            "s.img is a boot medium; `bootbank undo --last s.img` undoes its newest change"
        ),
        "{said}"
    );
    place.write("notes.txt", "no undo file and no medium ".repeat(100));
    let said = place.run(&["undo", "notes.txt"]).expect(4).stderr();
    assert!(!said.contains("--last"), "{said}");
    let said = place.run(&["undo"]).expect(2).stderr();
    assert!(
        said.contains("undo --last") && said.contains("undo --list"),
        "{said}"
    );
}
