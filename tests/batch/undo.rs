//! Undo at hand: which undo files there are, the newest of a medium, several at once, and which are
//! not needed any more.

use crate::run::{Place, Run};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

const IMAGE: &str = "esxi67-usb-passthru";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

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
    fs::remove_file(&files(&place)[1]).unwrap();
    let refused = place.run(&["undo", "--last", "t.img"]).expect(3).stderr();
    assert!(refused.contains("as no cut leaves them"), "{refused}");
    assert!(!refused.contains("--force"), "{refused}");
    assert!(place.read("t.img") == undone);
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
    for (name, age) in [(".old.undo.partial", 3), (".new.undo.partial", 0)] {
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
        assert!(name.ends_with("/.old.undo.partial"), "{name}");
    }
    assert_eq!(files(&place), all[1..]);
    assert!(directory.join(".new.undo.partial").exists());
    assert!(!directory.join(".old.undo.partial").exists());
}

#[test]
fn a_run_that_was_cut_can_be_made_again_with_the_same_undo_file() {
    let place = Place::new();
    place.copy(IMAGE, "a.img");
    let before = place.read("a.img");
    // Cut while the undo file was written, and after it was.
    place.write(".a.undo.partial", "half");
    place.run(&["fix", "-q", "-z", "a.undo", "a.img"]).expect(0);
    assert!(!place.path().join(".a.undo.partial").exists());
    let undo = place.read("a.undo");
    place.write("a.img", &before);
    place.run(&["fix", "-q", "-z", "a.undo", "a.img"]).expect(0);
    assert_eq!(place.read("a.undo"), undo);
    place.run(&["undo", "a.undo"]).expect(0);
    assert_eq!(place.read("a.img"), before);
    // The way back of another change is never lost.
    let other = [
        "kernelopt",
        "modify",
        "-a",
        "debug",
        "-z",
        "a.undo",
        "a.img",
    ];
    let refused = place.run(&other).expect(3);
    assert!(
        refused.stderr().contains("never overwritten"),
        "{}",
        refused.stderr()
    );
    assert_eq!(place.read("a.undo"), undo);
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
    // Every sector of the second change is again as that left it.
    place.run(&["undo", "--last", "a.img"]).expect(3);
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
fn leave_folder(place: &Place, name: &str) {
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
