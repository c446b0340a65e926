//! Many targets: each on its own, whatever becomes of the others.

use crate::holder::Holder;
use crate::run::{Place, Run};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

const PROFILE: &str = "esxi67-usb-passthru";
const TRUNCATED: usize = 7;
const LOCKED: usize = 13;
const SEALED: usize = 21;
const ALREADY_RIGHT: usize = 34;
const UNREADABLE: usize = 42;

fn name(index: usize) -> String {
    format!("clone{index:02}.img")
}

#[test]
fn of_fifty_clones_those_that_can_be_are_fixed_and_the_others_keep_every_byte() {
    let place = Place::new();
    for index in 0..50 {
        match index {
            SEALED => drop(place.copy("esxi702-sealed", &name(index))),
            UNREADABLE => {
                // A link to itself: nobody can read it, not even root.
                let path = place.path().join(name(index));
                std::os::unix::fs::symlink(&path, &path).unwrap();
            }
            _ => drop(place.copy(PROFILE, &name(index))),
        }
    }
    let original = place.read(&name(0));
    let half = original.len() as u64 / 2;
    let truncated = fs::File::options()
        .write(true)
        .open(place.path().join(name(TRUNCATED)));
    truncated.unwrap().set_len(half).unwrap();
    place.run(&["fix", "-q", &name(ALREADY_RIGHT)]).expect(0);
    let fixed = place.read(&name(ALREADY_RIGHT));
    let sealed = place.read(&name(SEALED));
    let locked = place.path().join(name(LOCKED));
    let _holder = Holder::python(
        "held = open(path)\nfcntl.flock(held, fcntl.LOCK_SH)",
        locked.to_str().unwrap(),
    );

    let list: String = (0..50).map(|index| format!("{}\n", name(index))).collect();
    place.write("list", format!("# all of them\n{list}"));
    let run = place
        .run(&["fix", "-j", "2", "--json", "--from-file", "list"])
        .expect(6);

    let objects = run.objects();
    assert_eq!(objects.len(), 50);
    let of: BTreeMap<&str, &Value> = objects
        .iter()
        .map(|object| (object["target"].as_str().unwrap(), object))
        .collect();
    for index in 0..50 {
        let name = name(index);
        let object = of[name.as_str()];
        let (outcome, kind) = match index {
            TRUNCATED => ("failed", Some("damaged")),
            LOCKED => ("failed", Some("refused")),
            SEALED => ("failed", Some("refused")),
            ALREADY_RIGHT => ("unchanged", None),
            UNREADABLE => ("failed", Some("io")),
            _ => ("changed", None),
        };
        assert_eq!(object["outcome"], outcome, "{object}");
        assert_eq!(object["error"]["kind"].as_str(), kind, "{object}");
        assert_eq!(object["undo"].is_string(), outcome == "changed", "{object}");
        match index {
            TRUNCATED => assert_eq!(place.read(&name), &original[..original.len() / 2]),
            LOCKED => assert_eq!(place.read(&name), original),
            SEALED => assert_eq!(place.read(&name), sealed),
            UNREADABLE => {}
            _ => assert!(place.read(&name) == fixed, "{name} is not as the others"),
        }
    }
    let summary = run.stderr();
    for line in [
        "50 targets",
        "    45  changed",
        "     1  nothing to change",
        "     4  failed",
    ] {
        assert!(summary.contains(line), "{line}: {summary}");
    }
    for index in [0, 20, 49] {
        let name = name(index);
        let undo = of[name.as_str()]["undo"].as_str().unwrap();
        place.run(&["undo", "-y", undo, &name]).expect(0);
        assert!(place.read(&name) == original, "{name} was not put back");
    }
}

#[test]
fn one_line_is_said_of_each_target_and_each_medium_is_one_target() {
    let place = Place::new();
    let image = place.copy(PROFILE, "a.img");
    place.copy(PROFILE, "b.img");
    std::os::unix::fs::symlink(&image, place.path().join("link.img")).unwrap();
    fs::hard_link(&image, place.path().join("hard.img")).unwrap();
    let run = place
        .run(&["fix", "a.img", "link.img", "./a.img", "hard.img", "b.img"])
        .expect(0);
    let stdout = run.stdout();
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{stdout}");
    assert!(lines[0].starts_with("a.img: changed, 4 settings in banks 6, 5; undo file "));
    assert!(lines[1].starts_with("b.img: changed, "));
    assert_eq!(
        run.stderr()
            .matches("is named twice; it is used once")
            .count(),
        3
    );
    assert!(run.stderr().contains("2 targets"));
    // Nothing that only a terminal can show is in what a script reads.
    assert!(!run.stderr().contains(['\r', '\u{1b}']));
}

#[test]
fn a_list_on_standard_input_is_one_of_targets_and_an_empty_one_is_refused() {
    let place = Place::new();
    place.copy(PROFILE, "a b.img");
    place.write("list", "\u{feff}\n# comment\r\na b.img\r\n");
    place.write("first", "\u{feff}a b.img\r\n");
    place.run(&["info", "--from-file", "first"]).expect(0);
    let list = fs::File::open(place.path().join("list")).unwrap();
    let done = place
        .command(&["info", "--json", "--from-file", "-"])
        .stdin(list)
        .output();
    let run = Run(done.unwrap()).expect(0);
    assert_eq!(run.objects()[0]["target"], "a b.img");
    place.run(&["info", "--from-file", "/dev/null"]).expect(2);
    place.run(&["info", "--from-file", "not-there"]).expect(2);
    place.run(&["fix", "-j", "0", "a b.img"]).expect(2);
}

#[test]
fn check_of_several_is_1_where_one_differs_and_6_where_one_fails() {
    let place = Place::new();
    place.copy(PROFILE, "a.img");
    place.copy(PROFILE, "b.img");
    place.run(&["fix", "-q", "a.img"]).expect(0);
    let before = place.read("b.img");
    place
        .run(&["fix", "--check", "-j", "2", "a.img", "b.img"])
        .expect(1);
    place
        .run(&["fix", "--check", "-j", "2", "a.img", "b.img", "none.img"])
        .expect(6);
    assert_eq!(place.read("b.img"), before);
}

#[test]
fn an_interrupt_finishes_what_has_begun_and_says_which_were_not_started() {
    let place = Place::new();
    let names: Vec<String> = (0..30).map(name).collect();
    for name in &names {
        place.copy(PROFILE, name);
    }
    let original = place.read(&names[0]);
    place.copy(PROFILE, "one.img");
    place.run(&["fix", "-q", "one.img"]).expect(0);
    let fixed = place.read("one.img");
    let arguments = ["fix", "--json", "-j", "2"].into_iter();
    let arguments: Vec<&str> = arguments.chain(names.iter().map(String::as_str)).collect();
    let mut child = place
        .command(&arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let rest = lines.map(Result::unwrap);
    let objects: Vec<Value> = std::iter::once(first)
        .chain(rest)
        .map(|line| serde_json::from_str(&line).unwrap())
        .collect();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(objects.len(), names.len());
    let mut not_started = 0;
    for object in &objects {
        let bytes = place.read(object["target"].as_str().unwrap());
        match object["outcome"].as_str().unwrap() {
            "changed" => assert!(bytes == fixed, "{object}"),
            "not-started" => {
                not_started += 1;
                assert!(bytes == original, "{object}");
            }
            // Stopped before its switch: at most clusters are left allocated to nothing.
            "failed" => place
                .run(&["fix", "-q", object["target"].as_str().unwrap()])
                .expect(0)
                .0
                .stdout
                .clear(),
            other => panic!("{other}: {object}"),
        }
    }
    assert!(not_started > 10, "{not_started}");
}

/// As many lines as the writing of them says, and warnings that are alike are one.
#[test]
fn a_batch_that_only_checks_says_one_line_of_each_target() {
    let place = Place::new();
    for name in ["a.img", "b.img", "c.img"] {
        place.copy(PROFILE, name);
    }
    place.run(&["fix", "-q", "c.img"]).expect(0);
    for (option, code) in [("-n", 0), ("--check", 1)] {
        let run = place.run(&["fix", option, "a.img", "b.img", "c.img"]);
        let run = run.expect(code);
        let stdout = run.stdout();
        let lines: Vec<&str> = stdout.lines().collect();
        assert_eq!(
            lines[..2],
            [
                "a.img: would change, 4 settings in banks 6, 5",
                "b.img: would change, 4 settings in banks 6, 5",
            ]
        );
        assert!(lines[2].starts_with("c.img: nothing to change"), "{stdout}");
        assert_eq!(lines.len(), 3, "{stdout}");
        assert!(
            !run.stderr().contains("nothing was written"),
            "{}",
            run.stderr()
        );
    }
    let storage = ["pci", "set", "-n", "-d", "vmhba0", "-e", "true"];
    let targets = ["a.img", "b.img", "c.img"];
    let run = place.run(&[&storage[..], &targets].concat()).expect(0);
    let said = run.stderr();
    assert_eq!(
        said.matches("vmhba0 is a storage adapter").count(),
        1,
        "{said}"
    );
    assert!(
        said.contains("3 targets (a.img, b.img, c.img): vmhba0 is"),
        "{said}"
    );
    // With -v all of it is shown, as of one target.
    let run = place.run(&[&["fix", "-n", "-v"][..], &targets].concat());
    assert!(run.expect(0).stdout().contains("bank on partition 5"));
}

#[test]
fn verify_says_with_q_only_what_is_wrong() {
    let place = Place::new();
    place.copy(PROFILE, "a.img");
    place.copy(PROFILE, "b.img");
    place.write("bad.img", vec![0; 1 << 20]);
    let run = place.run(&["verify", "-q", "a.img", "bad.img", "b.img"]);
    let stdout = run.expect(6).stdout();
    assert!(stdout.starts_with("bad.img: "), "{stdout}");
    assert!(!stdout.contains("a.img: sound"), "{stdout}");
    assert!(!stdout.contains("b.img"), "{stdout}");
    assert_eq!(place.run(&["verify", "-q", "a.img"]).expect(0).stdout(), "");
}
