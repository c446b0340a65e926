//! No command says that a medium boots that stops: of each the words of every command that speaks
//! of the next boot.

use crate::spoils::{STOPPING, Spoilt};
use crate::stick::{Ran, Stick, run};
use std::process::Command;

/// Commands that change something, and then say what happens at the next boot.
const CHANGES: [&[&str]; 5] = [
    &["fix", "-y", "STICK"],
    &[
        "pci",
        "set",
        "STICK",
        "-y",
        "-d",
        "0000:03:00.0",
        "-e",
        "false",
    ],
    &["state", "import", "STICK", "state.tgz"],
    &["state", "copy", "6", "5", "STICK"],
    &["bank", "mark-clean", "5", "STICK"],
];

/// Promises that hold for a medium that boots, and for no other.
const PROMISES: [&str; 3] = [
    "saves its configuration again",
    "console keyboard",
    "start it:",
];
/// How it is said that one stops.
const WARNINGS: [&str; 3] = [
    "will not start",
    "No bank of this medium boots",
    "would not start",
];

fn spoilt(how: &Spoilt) -> Stick {
    let stick = Stick::new(crate::stick::GPT);
    let state = stick.read(6, "state.tgz");
    std::fs::write(stick.path("state.tgz"), state).unwrap();
    (how.spoil)(&stick);
    stick
}

/// Nothing is promised, and who says which bank boots next says that it stops.
fn check(how: &Spoilt, what: &[&str], ran: &Ran) {
    let said = ran.all();
    let context = || format!("{}: {}\n{said}", how.name, what.join(" "));
    for promise in PROMISES {
        assert!(!said.contains(promise), "{promise:?}: {}", context());
    }
    let warned = WARNINGS.iter().any(|warning| said.contains(warning));
    if let Some(line) = said.lines().find(|line| line.starts_with("Bank ")) {
        assert!(line.contains("will not start"), "{}", context());
    }
    assert!(
        warned || ran.code != 0 || what.contains(&"mark-clean"),
        "{}",
        context()
    );
}

#[test]
fn no_change_promises_a_boot_of_a_medium_that_stops() {
    let mut cured = Vec::new();
    for how in &STOPPING {
        for what in CHANGES {
            let stick = spoilt(how);
            let ran = stick.run(what);
            if stick.run(&["verify", "--quick", "STICK"]).code == 0 {
                cured.push((how.name, what[1]));
                assert!(ran.all().contains("Bank 5 boots next and has 1 device"));
            } else {
                check(how, what, &ran);
            }
        }
    }
    assert_eq!(
        cured,
        [("state absent", "import"), ("state absent", "copy")]
    );
}

#[test]
fn no_undo_promises_a_boot_of_a_medium_that_stops() {
    let mut refused = Vec::new();
    for how in &STOPPING {
        let stick = spoilt(how);
        let before = stick.bytes();
        let fixed = stick.run(&["fix", "-y", "--undo-file", "stick.undo", "STICK"]);
        if fixed.code != 0 {
            refused.push(how.name);
            continue;
        }
        let what = ["undo", "stick.undo", "STICK"];
        let undone = stick.run(&what);
        assert_eq!(undone.code, 0, "{}", undone.all());
        check(how, &what, &undone);
        assert!(stick.bytes() == before, "{}", how.name);
    }
    assert_eq!(
        refused,
        ["module's chain too short"],
        "a volume that is damaged"
    );
}

#[test]
fn the_list_of_banks_says_that_none_starts_or_that_the_one_that_is_taken_does_not() {
    for how in &STOPPING {
        let stick = spoilt(how);
        let listed = stick.run(&["bank", "list", "STICK"]);
        let said = &listed.stdout;
        let mut banks = said.split("  bank on partition ").skip(1);
        let taken = banks.find(|bank| bank.lines().next().unwrap().contains("; boots next"));
        if let Some(taken) = taken {
            assert!(taken.contains("would not start"), "{}:\n{said}", how.name);
        }
    }
}

#[test]
fn info_promises_no_boot_of_a_medium_that_stops() {
    for how in &STOPPING {
        let stick = spoilt(how);
        let what = ["info", "STICK"];
        let ran = stick.run(&what);
        check(how, &what, &ran);
        let defaults = "starts with default settings";
        assert!(
            !ran.stdout.contains(defaults),
            "{}:\n{}",
            how.name,
            ran.stdout
        );
    }
}

/// A bank that stops is not made the one that boots, unless that is asked for by name; and then it
/// is said that it stops.
#[test]
fn a_bank_that_stops_is_used_only_by_force() {
    let mut refused = 0;
    for how in &STOPPING {
        let stick = spoilt(how);
        let listed = stick.run(&["bank", "list", "STICK", "--json"]).stdout;
        let object: serde_json::Value = serde_json::from_str(&listed).unwrap();
        for bank in object["banks"].as_array().unwrap() {
            let number = bank["partition"].to_string();
            let before = stick.bytes();
            let used = stick.run(&["bank", "use", &number, "STICK"]);
            if bank["starts"] == true {
                let boots = format!("Bank {number} boots next and has");
                assert_eq!(used.code, 0, "{}: {}", how.name, used.all());
                assert!(used.all().contains(&boots), "{}: {}", how.name, used.all());
                return_to(&stick, &before);
            } else {
                assert_ne!(used.code, 0, "{}: {}", how.name, used.all());
                assert!(stick.bytes() == before, "{}", how.name);
                if used
                    .all()
                    .contains("the host would not start from this bank")
                {
                    refused += 1;
                    let option = "goes on all the same with --even-if-broken";
                    assert!(used.all().contains(option), "{}", used.all());
                }
                let what = ["bank", "use", &number, "--even-if-broken", "STICK"];
                check(how, &what, &stick.run(&what));
                return_to(&stick, &before);
            }
        }
    }
    assert_ne!(refused, 0);
}

fn return_to(stick: &Stick, bytes: &[u8]) {
    std::fs::write(&stick.image, bytes).unwrap();
}

/// Where the other bank is whole the last sentence names the command that boots it, and it does.
#[test]
fn the_closing_words_name_the_way_out() {
    for how in STOPPING.iter().filter(|how| how.cure.is_some()) {
        let stick = spoilt(how);
        let bank = how.cure.unwrap().to_string();
        let fixed = stick.run(&["fix", "-y", "STICK"]);
        if fixed.code == 0 {
            let cure = format!("Next: `bootbank bank use {bank} stick.img`");
            assert!(fixed.all().contains(&cure), "{}: {}", how.name, fixed.all());
        }
        let used = stick.run(&["bank", "use", &bank, "STICK"]);
        assert_eq!(used.code, 0, "{}: {}", how.name, used.all());
        let boots = format!("Bank {bank} boots next and has ");
        assert!(used.all().contains(&boots), "{}: {}", how.name, used.all());
    }
}

/// Banks that another tool gave other numbers are whole and never looked at: no advice is given that
/// cannot work, and renumbered they boot.
#[test]
fn banks_under_other_numbers_are_told_by_that_and_not_used() {
    let stick = Stick::new(crate::stick::GPT);
    let sgdisk = |argument: &str| {
        let mut sgdisk = Command::new("sgdisk");
        run(sgdisk.arg(argument).arg(&stick.image));
    };
    sgdisk("--sort");
    let why = "the loader looks only at partitions 5 and 6";
    for what in [
        ["verify", "--quick", "STICK"].as_slice(),
        &["info", "STICK"],
        &["fix", "-y", "STICK", "--no-undo"],
    ] {
        let said = stick.run(what).all();
        assert!(said.contains(why), "{what:?}: {said}");
        assert!(!said.contains("bank use"), "{what:?}: {said}");
    }
    let before = stick.bytes();
    for what in [
        ["bank", "use", "2", "STICK"].as_slice(),
        &["bank", "use", "2", "STICK", "--force"],
        &["bank", "copy", "2", "3", "STICK", "-y"],
    ] {
        let ran = stick.run(what);
        assert_eq!(ran.code, 3, "{what:?}: {}", ran.all());
        assert!(ran.stderr.contains(why), "{what:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("sgdisk --transpose"), "{}", ran.stderr);
        assert!(!ran.stderr.contains("bug"), "{what:?}: {}", ran.stderr);
    }
    assert!(stick.bytes() == before);
    sgdisk("--transpose=2:5");
    sgdisk("--transpose=3:6");
    let ran = stick.run(&["verify", "--quick", "STICK"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
}
