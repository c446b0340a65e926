//! A change that was undone is noted as such: later changes use the same sectors, so what a medium holds does not
//! always tell.

use super::{IMAGE, files};
use crate::run::{BOOTBANK, Place};
use crate::skipping::may_trace;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What there is beside the undo files.
pub(super) fn notes(place: &Place) -> Vec<PathBuf> {
    let directory = files(place)[0].parent().unwrap().to_owned();
    let entries = fs::read_dir(directory).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|it| it == "undone"))
        .collect()
}

fn undo_last(place: &Place, name: &str) {
    place.run(&["undo", "--last", "-q", name]).expect(0);
}

#[test]
fn what_was_made_after_others_were_undone_is_undone_without_them() {
    let place = Place::new();
    place.copy(IMAGE, "a.img");
    let before = place.read("a.img");
    for key in ["/adv/A", "/adv/B", "/adv/C"] {
        place
            .run(&["conf", "set", "-q", "a.img", key, "1"])
            .expect(0);
    }
    for _ in 0..3 {
        undo_last(&place, "a.img");
    }
    assert_eq!(place.read("a.img"), before);
    assert_eq!(notes(&place).len(), 3);
    place.write("f", "x");
    place
        .run(&["put", "-q", "a.img", "f", "bank6:x.b00"])
        .expect(0);
    undo_last(&place, "a.img");
    assert_eq!(place.read("a.img"), before);
    let none = place.run(&["undo", "--last", "a.img"]).expect(0);
    assert!(
        none.stdout().contains("no change is left to undo"),
        "{}",
        none.stdout()
    );
    // With the undo files go the notes about them.
    place.run(&["undo", "--prune", "-y"]).expect(0);
    assert!(notes(&place).len() <= 1);
}

/// A later change whose undo file is elsewhere leaves only the files to go by, and those of a change that was undone
/// are as it had made them, because an earlier one was undone too.
#[test]
fn a_change_that_was_undone_is_not_undone_again_where_the_undo_of_another_brings_back_what_it_made()
{
    let place = Place::new();
    place.copy("esxi67-4kn", "a.img");
    let name_in = |bank: &str| {
        let got = place.run(&["conf", "get", "a.img", "/adv/Misc/HostName", "--bank", bank]);
        got.stdout().trim().to_owned()
    };
    let run = |arguments: &[&str]| place.run(arguments).expect(0);
    run(&["conf", "set", "-q", "a.img", "/adv/Misc/HostName", "h1"]);
    run(&["state", "reset", "-q", "-y", "5", "a.img"]);
    run(&["seal", "-q", "-y", "--only", "host-name", "a.img"]);
    undo_last(&place, "a.img");
    assert_eq!(name_in("6"), "h1");
    run(&[
        "bootcfg",
        "set",
        "-q",
        "-y",
        "a.img",
        "bootstate",
        "1",
        "--bank",
        "5",
        "-z",
        "z.undo",
    ]);
    undo_last(&place, "a.img");
    undo_last(&place, "a.img");
    let without = place.read("a.img");
    assert_eq!((name_in("5"), name_in("6")), (String::new(), String::new()));
    undo_last(&place, "a.img");
    assert_eq!(place.read("a.img"), without);
}

/// An image that is put back holds again what was undone.
#[test]
fn a_medium_that_was_given_the_change_again_is_undone_again() {
    let place = Place::new();
    place.copy(IMAGE, "a.img");
    let before = place.read("a.img");
    place.run(&["fix", "-q", "a.img"]).expect(0);
    let changed = place.read("a.img");
    undo_last(&place, "a.img");
    place.write("a.img", &changed);
    undo_last(&place, "a.img");
    assert_eq!(place.read("a.img"), before);
    // Of another medium nothing was noted.
    place.write("b.img", &changed);
    let [undo] = files(&place).try_into().unwrap();
    place
        .run(&["undo", "-q", undo.to_str().unwrap(), "b.img"])
        .expect(0);
    assert_eq!(notes(&place).len(), 2);
}

/// Killed at each sync, made again, and all of it undone change by change.
#[test]
fn a_run_that_was_cut_and_made_again_is_undone_once() {
    let traced = |place: &Place, count: usize, arguments: &[&str]| {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-o", "/dev/null", "-e", "trace=fdatasync", "-e"]);
        strace.arg(format!("inject=fdatasync:signal=KILL:when={count}"));
        strace.arg(BOOTBANK).args(arguments);
        strace.env("XDG_STATE_HOME", place.path().join("state"));
        strace.current_dir(place.path()).stdin(Stdio::null());
        strace.output().unwrap()
    };
    if !may_trace() {
        return;
    }
    for count in 1..=4 {
        let place = Place::new();
        place.copy(IMAGE, "a.img");
        let before = place.read("a.img");
        place
            .run(&["conf", "set", "-q", "a.img", "/adv/A", "1"])
            .expect(0);
        let with_a = place.read("a.img");
        let cut = traced(&place, count, &["fix", "-y", "a.img"]);
        assert!(!cut.status.success(), "{count}");
        let after_cut = place.read("a.img");
        place.run(&["fix", "-q", "a.img"]).expect(0);
        let mut found = Vec::new();
        while found.last() != Some(&before) && found.len() < 5 {
            undo_last(&place, "a.img");
            found.push(place.read("a.img"));
        }
        let mut wanted = vec![after_cut, with_a, before];
        wanted.dedup();
        assert!(found == wanted, "{count}: {} steps", found.len());
    }
}

#[test]
fn where_no_note_can_be_made_the_change_is_undone_and_that_is_said() {
    let place = Place::new();
    place.copy(IMAGE, "a.img");
    let before = place.read("a.img");
    place.run(&["fix", "-q", "a.img"]).expect(0);
    let [undo] = files(&place).try_into().unwrap();
    // A folder is in the place of each note that could be made.
    undo_last(&place, "a.img");
    let [note] = notes(&place).try_into().unwrap();
    fs::remove_file(&note).unwrap();
    fs::create_dir(&note).unwrap();
    place
        .run(&["fix", "-q", "a.img", "-z", "other.undo"])
        .expect(0);
    let undo: &Path = &undo;
    let undone = place
        .run(&["undo", undo.to_str().unwrap(), "a.img"])
        .expect(0);
    assert_eq!(place.read("a.img"), before);
    assert!(
        undone.stderr().contains("could not be noted"),
        "{}",
        undone.stderr()
    );
}
