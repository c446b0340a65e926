//! Undo files that are needed no more.

use super::last::leave_folder;
use super::{IMAGE, changed_twice, files};
use crate::run::Place;
use std::fs::{self, File};
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn prune_removes_what_was_undone_and_leaves_one_of_each_medium() {
    let place = Place::new();
    changed_twice(&place, "a.img");
    place.copy(IMAGE, "b.img");
    place.run(&["fix", "-q", "b.img"]).expect(0);
    let all = files(&place);
    let names: Vec<&str> = all.iter().map(|it| it.to_str().unwrap()).collect();
    // It asks, and here nobody can be asked.
    let asked = place
        .run(&["undo", "--prune", "--older-than", "0"])
        .expect(2);
    assert!(asked.stderr().contains("-y"), "{}", asked.stderr());
    place
        .run(&["undo", "--prune", "-y", "--older-than", "36500"])
        .expect(0);
    assert_eq!(files(&place), all);
    // Both changes are undone; the file of the older tells that.
    place.run(&["undo", "-q", names[1], names[0]]).expect(0);
    let shown = place.run(&["undo", "--prune", "-n", "--json", "--older-than", "36500"]);
    let shown = shown.expect(0).objects();
    assert_eq!(shown.len(), 1);
    assert_eq!(
        (&shown[0]["outcome"], &shown[0]["why"]),
        (&"would-remove".into(), &"undone".into())
    );
    assert_eq!(files(&place), all);
    place
        .run(&["undo", "--prune", "-y", "--older-than", "36500"])
        .expect(0);
    assert_eq!(files(&place), [all[0].clone(), all[2].clone()]);
    let said = place.run(&["undo", "--last", "a.img"]).expect(0).stdout();
    assert!(said.contains("no change is left to undo"), "{said}");
}

/// After `undone` of several changes were undone and the undo files pruned, `--last` goes back to what
/// was there before the others, one by one, and then has nothing left.
fn goes_back_after_prune(
    place: &Place,
    name: &str,
    original: &Path,
    (age, counts): (&str, RangeInclusive<usize>),
) {
    let directory = place.path().join("state/bootbank/undo");
    let file = place.path().join(name);
    let copy = |step: usize| place.path().join(format!("copy-{step}"));
    let is_as = |step: usize, told: &str| {
        let same = Command::new("cmp")
            .args(["-s"])
            .arg(&file)
            .arg(copy(step))
            .status();
        assert!(
            same.unwrap().success(),
            "{told}: not as after change {step}"
        );
    };
    for count in counts {
        for undone in 0..=count {
            let told = format!("{name}, {count} changes, {undone} undone, --older-than {age}");
            let _ = fs::remove_dir_all(&directory);
            fs::copy(original, &file).unwrap();
            fs::copy(&file, copy(0)).unwrap();
            for step in 1..=count {
                let value = step.to_string();
                let line = ["conf", "set", "-q", "-y", name, "/adv/x", &value];
                place.run(&line).expect(0);
                fs::copy(&file, copy(step)).unwrap();
            }
            for step in (count - undone..count).rev() {
                place.run(&["undo", "--last", "-q", name]).expect(0);
                is_as(step, &told);
            }
            let line = ["undo", "--prune", "-y", "-q", "--older-than", age];
            place.run(&line).expect(0);
            let left = files(place).len();
            assert_eq!(
                left,
                match age {
                    "0" => 1,
                    _ => (count - undone).max(1),
                },
                "{told}"
            );
            let standing = count - undone;
            for step in (standing - left.min(standing)..standing).rev() {
                place.run(&["undo", "--last", "-q", name]).expect(0);
                is_as(step, &told);
            }
            let end = fs::read(&file).unwrap();
            let said = place.run(&["undo", "--last", name]).expect(0).stdout();
            assert!(said.contains("no change is left to undo"), "{told}: {said}");
            assert!(fs::read(&file).unwrap() == end, "{told}");
        }
    }
}

#[test]
fn last_goes_on_after_prune_where_it_was_before_on_media_and_state_files() {
    let place = Place::new();
    place.copy("esxi67-fresh", "original.img");
    let line = ["state", "export", "-q", "original.img", "original.tgz"];
    place.run(&line).expect(0);
    for (age, counts) in [("36500", 1..=5), ("0", 4..=4)] {
        for name in ["t.img", "t.tgz"] {
            let original = match name {
                "t.img" => "original.img",
                _ => "original.tgz",
            };
            goes_back_after_prune(
                &place,
                name,
                &place.path().join(original),
                (age, counts.clone()),
            );
        }
    }
}

#[test]
fn prune_removes_the_old_and_the_halves_of_runs_that_were_cut() {
    let place = Place::new();
    changed_twice(&place, "a.img");
    let all = files(&place);
    let directory = all[0].parent().unwrap();
    for (name, age) in [(".bootbank-1-0.partial", 3), (".bootbank-2-0.partial", 0)] {
        fs::write(directory.join(name), "half").unwrap();
        let file = File::options()
            .write(true)
            .open(directory.join(name))
            .unwrap();
        file.set_modified(SystemTime::now() - DAY * age).unwrap();
    }
    for (option, outcome) in [("-n", "would-remove"), ("-y", "removed")] {
        let line = ["undo", "--prune", "--json", "--older-than", "0", option];
        let objects = place.run(&line).expect(0).objects();
        let told: Vec<[&str; 2]> = objects
            .iter()
            .map(|it| ["why", "outcome"].map(|key| it[key].as_str().unwrap()))
            .collect();
        assert_eq!(told, [["old", outcome], ["half", outcome]]);
        let name = objects[1]["file"].as_str().unwrap();
        assert!(name.ends_with("/.bootbank-1-0.partial"), "{name}");
    }
    assert_eq!(files(&place), all[1..]);
    assert!(directory.join(".bootbank-2-0.partial").exists());
    assert!(!directory.join(".bootbank-1-0.partial").exists());
}

#[test]
fn prune_keeps_the_undo_file_of_a_change_that_a_later_one_took_back() {
    let place = Place::new();
    place.copy("esxi67-fresh", "a.img");
    for value in ["v0", "v1", "v2", "v1"] {
        let line = ["conf", "set", "-q", "-y", "a.img", "/adv/x", value];
        place.run(&line).expect(0);
    }
    place.copy(IMAGE, "b.img");
    place
        .run(&["state", "export", "-q", "b.img", "s.tgz"])
        .expect(0);
    for enable in ["true", "false"] {
        let line = [
            "pci", "set", "-q", "-y", "-d", "vmhba0", "-e", enable, "s.tgz",
        ];
        place.run(&line).expect(0);
    }
    let kept = files(&place);
    place
        .run(&["undo", "--prune", "-y", "--older-than", "36500"])
        .expect(0);
    assert_eq!(files(&place), kept);
}

/// Where the newest change was undone and another system wrote to the medium since, the one before it is next,
/// and its file is no old one.
#[test]
fn prune_keeps_the_undo_file_of_the_change_that_is_next() {
    let place = Place::new();
    place.copy(IMAGE, "a.img");
    place
        .run(&["kernelopt", "modify", "-q", "-a", "foo=1", "a.img"])
        .expect(0);
    place
        .run(&["bootcfg", "set", "-q", "a.img", "timeout", "9"])
        .expect(0);
    place.run(&["undo", "-q", "--last", "a.img"]).expect(0);
    leave_folder(&place, "a.img");
    let undone = place
        .run(&["kernelopt", "show", "a.img"])
        .expect(0)
        .stdout();
    assert!(undone.contains("foo=1"), "{undone}");
    place
        .run(&["undo", "--prune", "-y", "--older-than", "0"])
        .expect(0);
    place.run(&["undo", "-q", "--last", "a.img"]).expect(0);
    let undone = place
        .run(&["kernelopt", "show", "a.img"])
        .expect(0)
        .stdout();
    assert!(!undone.contains("foo=1"), "{undone}");
}
