//! Going back change by change, without the name of an undo file.

use super::noted::notes;
use super::{IMAGE, changed_twice, files};
use crate::run::Place;
use std::fs;
use std::process::Command;

#[test]
fn last_is_the_newest_of_all_or_of_one_medium() {
    let place = Place::new();
    let [before, between] = changed_twice(&place, "a.img");
    place.copy(IMAGE, "b.img");
    place.run(&["fix", "-q", "b.img"]).expect(0);
    let changed = place.read("b.img");
    // Clones: only the name tells one from the other.
    let last = place.run(&["undo", "--last", "a.img"]).expect(0);
    let says_what = |line: &str| line.trim_start().starts_with("kernelopt modify: ");
    assert!(
        last.stderr().lines().any(says_what),
        "what is undone, line by line: {}",
        last.stderr()
    );
    assert_eq!(place.read("a.img"), between);
    assert_eq!(place.read("b.img"), changed);
    place.run(&["undo", "--last"]).expect(0);
    assert_eq!(place.read("b.img"), before);
    // Under a new name the medium is still known by its banks.
    fs::rename(place.path().join("b.img"), place.path().join("c.img")).unwrap();
    fs::remove_file(place.path().join("a.img")).unwrap();
    let again = place.run(&["undo", "--last", "c.img"]).expect(0);
    assert!(
        again.stdout().contains("c.img: no change is left to undo"),
        "{}",
        again.stdout()
    );
    let other = place.copy("esxi67-fresh", "other.img");
    let none = place
        .run(&["undo", "--last", other.to_str().unwrap()])
        .expect(3);
    assert!(
        none.stderr().contains("no undo file for"),
        "{}",
        none.stderr()
    );
}

#[test]
fn last_names_in_lines_what_it_undoes_and_takes_one_medium() {
    let place = Place::new();
    let [_, between] = changed_twice(&place, "a.img");
    let changed = place.read("a.img");
    place.copy(IMAGE, "b.img");
    // The newest of all is not what somebody means who names two media.
    let two = place.run(&["undo", "--last", "b.img", "c.img"]).expect(2);
    assert!(
        two.stderr().contains("--last takes one medium"),
        "{}",
        two.stderr()
    );
    assert_eq!(place.read("a.img"), changed);
    let said = place.run(&["undo", "--last"]).expect(0).stderr();
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    assert!(lines.contains(&"kernelopt modify: 2 changes"), "{said}");
    assert_eq!(place.read("a.img"), between);
    assert!(
        said.contains("The newest change of ") && said.contains("a.img that is not undone yet:"),
        "{said}"
    );
    let kept = files(&place);
    let age = ["undo", "--older-than", "3", kept[0].to_str().unwrap()];
    place.run(&age).expect(2);
}

#[test]
fn last_refuses_where_an_undo_file_in_between_is_not_there() {
    let place = Place::new();
    place.copy("esxi67-fresh", "t.img");
    for value in ["1", "2", "3"] {
        let line = ["conf", "set", "-q", "-y", "t.img", "/adv/x", value];
        place.run(&line).expect(0);
    }
    for _ in 0..2 {
        place.run(&["undo", "--last", "-q", "t.img"]).expect(0);
    }
    let undone = place.read("t.img");
    // As where they were undone with undo files that are elsewhere.
    for note in notes(&place) {
        fs::remove_file(note).unwrap();
    }
    fs::remove_file(&files(&place)[1]).unwrap();
    let refused = place.run(&["undo", "--last", "t.img"]).expect(3).stderr();
    assert!(refused.contains("as no cut leaves them"), "{refused}");
    assert!(!refused.contains("--force"), "{refused}");
    assert!(place.read("t.img") == undone);
}

#[test]
fn last_again_and_again_goes_back_change_by_change() {
    let place = Place::new();
    let [before, between] = changed_twice(&place, "a.img");
    place
        .run(&["kernelopt", "modify", "-q", "-a", "noIOMMU", "a.img"])
        .expect(0);
    for name in [&["a.img"][..], &[]] {
        let line = [&["undo", "--last"][..], name].concat();
        place.run(&line).expect(0);
    }
    assert_eq!(place.read("a.img"), between);
    let shown = place
        .run(&["undo", "--last", "-n", "--json", "a.img"])
        .expect(0)
        .objects();
    let oldest = files(&place)[0].display().to_string();
    assert_eq!(shown[0]["undone"], oldest.as_str());
    place.run(&["undo", "--last", "a.img"]).expect(0);
    assert_eq!(place.read("a.img"), before);
    // Where none is left that is said, and nothing done.
    for name in [&["a.img"][..], &[]] {
        let line = [&["undo", "--last", "--json"][..], name].concat();
        let objects = place.run(&line).expect(0).objects();
        assert_eq!(objects[0]["outcome"], "unchanged");
        assert_eq!(objects[0]["undone"], serde_json::Value::Null);
    }
    let said = place.run(&["undo", "--last", "a.img"]).expect(0).stdout();
    assert!(said.contains("`bootbank undo --list`"), "{said}");
    assert_eq!(place.read("a.img"), before);
    // A change that is made then is the newest again.
    place.run(&["fix", "-q", "a.img"]).expect(0);
    place.run(&["undo", "--last", "a.img"]).expect(0);
    assert_eq!(place.read("a.img"), before);
}

#[test]
fn of_changes_that_cancel_out_each_is_undone_once() {
    let place = Place::new();
    place.copy(IMAGE, "a.img");
    let mut held = vec![place.read("a.img")];
    for option in ["-a", "-d"] {
        let line = ["kernelopt", "modify", "-q", option, "debug", "a.img"];
        place.run(&line).expect(0);
        held.push(place.read("a.img"));
    }
    assert_ne!(held[0], held[2]);
    for before in [&held[1], &held[0]] {
        place.run(&["undo", "--last", "a.img"]).expect(0);
        assert!(place.read("a.img") == *before);
    }
    // Every sector of the second change is again as that left it, and it was noted that it is undone.
    let none = place.run(&["undo", "--last", "a.img"]).expect(0).stdout();
    assert!(none.contains("no change is left to undo"), "{none}");
    assert!(place.read("a.img") == held[0]);
}

/// A state file is the same bytes before the first and after the second of two such changes: whether both are
/// undone or both stand, nothing tells, and no earlier change is undone for them.
#[test]
fn where_nothing_tells_which_change_stands_none_is_undone() {
    let place = Place::new();
    place.copy(IMAGE, "a.img");
    place
        .run(&["state", "export", "-q", "a.img", "s.tgz"])
        .expect(0);
    place
        .run(&["conf", "set", "-q", "s.tgz", "/adv/Misc/Note", "x"])
        .expect(0);
    let noted = place.read("s.tgz");
    for enable in ["true", "false"] {
        let line = [
            "pci", "set", "-q", "-y", "-d", "vmhba0", "-e", enable, "s.tgz",
        ];
        place.run(&line).expect(0);
    }
    assert!(place.read("s.tgz") == noted);
    let refused = place.run(&["undo", "--last", "s.tgz"]).expect(3).stderr();
    assert!(refused.contains("cannot be told"), "{refused}");
    let newest = files(&place).pop().unwrap();
    assert!(refused.contains(newest.to_str().unwrap()), "{refused}");
    assert!(place.read("s.tgz") == noted);
}

/// The same of a medium that another system wrote to since, so that only files can be compared: the change
/// that was taken back looks undone, and the one that took it back must not count as undone for that.
#[test]
fn where_another_system_wrote_no_change_is_undone_below_two_that_may_stand() {
    let place = Place::new();
    place.copy("esxi67-fresh", "a.img");
    for value in ["v0", "v1", "v2", "v1"] {
        let line = ["conf", "set", "-q", "-y", "a.img", "/adv/x", value];
        place.run(&line).expect(0);
    }
    let newest = files(&place).pop().unwrap();
    let shown = place.run(&["undo", "--last", "-n", "--json", "a.img"]);
    let shown = shown.expect(0).objects();
    assert_eq!(shown[0]["undone"], newest.to_str().unwrap());
    leave_folder(&place, "a.img");
    let held = place.read("a.img");
    let refused = place.run(&["undo", "--last", "a.img"]).expect(3).stderr();
    assert!(refused.contains("cannot be told"), "{refused}");
    assert!(refused.contains(newest.to_str().unwrap()), "{refused}");
    assert!(place.read("a.img") == held);
    // The way that it names works, and then the one below is the next.
    let by_hand = ["undo", "-q", newest.to_str().unwrap(), "a.img"];
    place.run(&by_hand).expect(0);
    let shown = place.run(&["undo", "--last", "-n", "--json", "a.img"]);
    let below = files(&place)[2].display().to_string();
    assert_eq!(shown.objects()[0]["undone"], below.as_str());
}

/// Makes a folder on a bank, as a desktop does on what is plugged in.
pub(super) fn leave_folder(place: &Place, name: &str) {
    let volume = format!("{name}@@{}", 8224 * 512);
    let made = Command::new("mmd")
        .args(["-i", &volume, "::/SYSVOL"])
        .current_dir(place.path())
        .status();
    assert!(made.unwrap().success());
}

#[test]
fn a_later_change_that_cannot_be_undone_is_not_passed_over() {
    let place = Place::new();
    changed_twice(&place, "a.img");
    let kept = files(&place);
    let mut spoilt = fs::read(&kept[1]).unwrap();
    let last = spoilt.len() - 2000;
    spoilt[last] ^= 1;
    fs::write(&kept[1], spoilt).unwrap();
    let before = place.read("a.img");
    let said = place.run(&["undo", "--last", "a.img"]).expect(4).stderr();
    assert_eq!(place.read("a.img"), before);
    // What is wrong with which file, and the one before it, to be used by hand.
    for text in [
        "cannot be told",
        kept[1].to_str().unwrap(),
        kept[0].to_str().unwrap(),
    ] {
        assert!(said.contains(text), "{said}");
    }
}

/// Clones are told apart by what they hold, where no undo file names the medium.
#[test]
fn last_of_a_renamed_medium_takes_no_undo_file_of_its_clone() {
    let place = Place::new();
    for name in ["c1.img", "c2.img", "c3.img"] {
        place.copy("esxi67-fresh", name);
    }
    let before = place.read("c1.img");
    for (name, value) in [("c1.img", "v1"), ("c2.img", "v2")] {
        let line = ["conf", "set", "-q", "-y", name, "/adv/x", value];
        place.run(&line).expect(0);
    }
    let line = [
        "conf",
        "set",
        "-q",
        "-y",
        "--no-undo",
        "c3.img",
        "/adv/x",
        "v3",
    ];
    place.run(&line).expect(0);
    let refused = place.run(&["undo", "--last", "c3.img"]).expect(3).stderr();
    assert!(refused.contains("no undo file names c3.img"), "{refused}");
    assert!(!refused.contains("--force"), "{refused}");
    fs::rename(
        place.path().join("c1.img"),
        place.path().join("renamed.img"),
    )
    .unwrap();
    place.run(&["undo", "--last", "renamed.img"]).expect(0);
    assert!(place.read("renamed.img") == before);
    let again = place.run(&["undo", "--last", "renamed.img"]).expect(0);
    assert!(again.stdout().contains("no change is left to undo"));
}

#[test]
fn last_of_a_state_file_goes_back_change_by_change_too() {
    let place = Place::new();
    place.copy(IMAGE, "a.img");
    place
        .run(&["state", "export", "-q", "a.img", "state.tgz"])
        .expect(0);
    let before = place.read("state.tgz");
    place.run(&["fix", "-q", "state.tgz"]).expect(0);
    let between = place.read("state.tgz");
    place
        .run(&["conf", "set", "-q", "state.tgz", "/adv/Misc/Note", "x"])
        .expect(0);
    place.run(&["undo", "--last", "state.tgz"]).expect(0);
    assert_eq!(place.read("state.tgz"), between);
    place.run(&["undo", "--last"]).expect(0);
    assert_eq!(place.read("state.tgz"), before);
    let said = place.run(&["undo", "--last"]).expect(0).stdout();
    assert!(said.contains("no change is left to undo"), "{said}");
}
