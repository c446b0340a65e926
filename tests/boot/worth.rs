//! A bank is worth booting, and worth copying, only where what is in its files is whole: names and sizes are
//! not enough.

use crate::spoils::flipped_in;
use crate::stick::{GPT, Ran, Stick};
use crate::verify::has;

/// What is wrong in bank 6, which no loader and no host can make use of, and how it comes about.
type Damage = (&'static str, fn(&Stick));

const DAMAGED: [Damage; 3] = [
    ("module", |stick| flipped_in(stick, 6, "s.v00")),
    ("state", |stick| flipped_in(stick, 6, "state.tgz")),
    ("state that the loader takes", |stick| {
        stick.write(6, "state.tgz", b"no archive, and no gzip file")
    }),
];

/// What is done to a stick beforehand.
type Spoil<'s> = &'s dyn Fn(&Stick);

/// Nothing was written, and it is said why.
fn refused(what: &str, ran: &Ran, stick: &Stick, before: &[u8]) {
    assert_eq!(ran.code, 3, "{what}: {}", ran.all());
    assert!(stick.bytes() == before, "{what}: written to");
    let why = [
        "the host would not start from this bank",
        "the host could not read its settings in this bank",
    ];
    assert!(
        why.iter().any(|why| ran.stderr.contains(why)),
        "{what}: {}",
        ran.stderr
    );
}

#[test]
fn a_bank_with_damage_inside_its_files_is_not_copied_and_used_only_by_force() {
    for (what, spoil) in DAMAGED {
        let stick = Stick::new(GPT);
        spoil(&stick);
        let before = stick.bytes();
        let copied = stick.run(&["bank", "copy", "6", "5", "STICK"]);
        refused(what, &copied, &stick, &before);
        let used = stick.run(&["bank", "use", "6", "STICK"]);
        refused(what, &used, &stick, &before);
        let forced = stick.run(&["bank", "use", "6", "--even-if-broken", "STICK"]);
        assert_eq!(forced.code, 0, "{what}: {}", forced.all());
    }
}

/// The hint that is given then leads to a copy: first the settings, then the bank.
#[test]
fn a_bank_with_a_damaged_state_is_copied_once_it_has_the_others() {
    let stick = Stick::new(GPT);
    flipped_in(&stick, 6, "state.tgz");
    let copied = stick.run(&["state", "copy", "5", "6", "STICK"]);
    assert_eq!(copied.code, 0, "{}", copied.all());
    let copied = stick.run(&["bank", "copy", "6", "5", "STICK"]);
    assert_eq!(copied.code, 0, "{}", copied.all());
    stick.verify(0);
}

/// Where a bank lacks files, only a whole bank is said to be worth a copy; of another the files are.
#[test]
fn no_advice_leads_to_a_bank_with_damage_inside_its_files() {
    for (what, spoil) in DAMAGED {
        let stick = Stick::new(GPT);
        stick.delete(5, &["K.B00"]);
        spoil(&stick);
        let report = stick.run(&["verify", "STICK"]).stdout;
        assert!(!report.contains("bootbank bank copy"), "{what}: {report}");
        let info = stick.run(&["info", "STICK"]).all();
        assert!(!info.contains("which is whole"), "{what}: {info}");
        let advice = "`bootbank get stick.img bank6:k.b00 FILE` and `bootbank put stick.img FILE bank5:k.b00`";
        assert!(report.contains(advice), "{what}: {report}");
        let got = stick.run(&["get", "STICK", "bank6:k.b00", "k"]);
        assert_eq!(got.code, 0, "{}", got.all());
        let put = stick.run(&["put", "STICK", "k", "bank5:k.b00"]);
        assert_eq!(put.code, 0, "{}", put.all());
        assert_eq!(stick.read(5, "k.b00"), stick.read(6, "k.b00"));
    }
}

/// What shows that a state is damaged does not say that the host starts with it.
#[test]
fn a_bank_whose_state_is_found_damaged_is_not_said_to_start() {
    let cut = |stick: &Stick| stick.change(5, "state.tgz", |content| content.truncate(9000));
    let spoils: [(&str, Spoil<'_>); 2] = [
        ("flipped", &|stick| flipped_in(stick, 5, "state.tgz")),
        ("cut off", &cut),
    ];
    for (what, spoil) in spoils {
        let stick = Stick::new(GPT);
        spoil(&stick);
        let info = stick.run(&["info", "STICK"]).all();
        let says = "Bank 5 boots next, but the host will not start: module state.tgz is ";
        assert!(info.contains(says), "{what}: {info}");
        let told = stick.run(&["info", "--json", "STICK"]).stdout;
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["next_boot"]["starts"], false, "{what}: {told}");
        let listed = stick.run(&["bank", "list", "--json", "STICK"]).stdout;
        let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
        let starts = |at: usize| &listed["banks"][at]["starts"];
        assert_eq!(
            (starts(0), starts(1)),
            (&false.into(), &true.into()),
            "{what}"
        );
        assert_eq!(stick.run(&["verify", "STICK"]).code, 4);
    }
}

/// What `bank use` itself puts right is no reason to refuse.
#[test]
fn a_bank_is_used_whose_boot_cfg_is_put_right_by_that() {
    for (key, value) in [("updated", "0x4"), ("bootstate", "3"), ("bootstate", "7")] {
        let stick = Stick::new(GPT);
        stick.set(6, key, Some(value));
        let used = stick.run(&["bank", "use", "6", "STICK"]);
        assert_eq!(used.code, 0, "{key}={value}: {}", used.all());
        let next = stick.run(&["bank", "list", "STICK", "--json"]).stdout;
        let listed: serde_json::Value = serde_json::from_str(&next).unwrap();
        let mut banks = listed["banks"].as_array().unwrap().iter();
        let bank = banks.find(|bank| bank["partition"] == 6).unwrap();
        assert_eq!(bank["boots_next"], true, "{key}={value}: {next}");
        assert_eq!(bank["starts"], true, "{key}={value}: {next}");
    }
}

/// A change that makes the host start with default settings is asked about, whatever leads to it.
#[test]
fn nobody_loses_the_settings_unasked() {
    let as_it_is = |_: &Stick| {};
    let without_state = |stick: &Stick| {
        stick.change(6, "boot.cfg", |content| {
            let text = String::from_utf8(std::mem::take(content)).unwrap();
            *content = text.replace(" --- state.tgz", "").into_bytes();
        });
    };
    let with_an_empty_one = |stick: &Stick| {
        let ran = stick.run(&["state", "reset", "6", "STICK"]);
        assert_eq!(ran.code, 0, "{}", ran.all());
    };
    let ways: [(&[&str], Spoil<'_>); 7] = [
        (&["bootcfg", "set", "STICK", "modules", "k.b00"], &as_it_is),
        (&["bank", "use", "6", "STICK"], &without_state),
        (&["bank", "copy", "6", "5", "STICK"], &without_state),
        (
            &[
                "bootcfg", "set", "--bank", "next", "STICK", "modules", "k.b00",
            ],
            &as_it_is,
        ),
        (&["bank", "use", "6", "STICK"], &with_an_empty_one),
        (&["bank", "copy", "6", "5", "STICK"], &with_an_empty_one),
        (&["state", "copy", "6", "5", "STICK"], &with_an_empty_one),
    ];
    for (way, prepare) in ways {
        let stick = Stick::new(GPT);
        prepare(&stick);
        let before = stick.bytes();
        let ran = stick.run(way);
        assert_eq!(ran.code, 2, "{way:?}: {}", ran.all());
        assert!(stick.bytes() == before, "{way:?}: written to");
        let said = "will start with default settings after this change";
        assert!(ran.stderr.contains(said), "{way:?}: {}", ran.stderr);
        let meant = stick.run(&[way, &["-y"]].concat());
        assert_eq!(meant.code, 0, "{way:?}: {}", meant.all());
    }
}

/// That is what `state reset` is for: it is said, and not asked about.
#[test]
fn a_state_that_is_reset_is_said_to_be_gone() {
    let stick = Stick::new(GPT);
    let ran = stick.run(&["state", "reset", "5", "STICK"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    let said =
        "Bank 5 boots next and holds no saved settings: the host starts with default settings.";
    assert!(ran.all().contains(said), "{}", ran.all());
}

/// Of a volume that nothing can be changed in no command says that a change would help.
#[test]
fn no_fix_is_advised_where_the_volume_forbids_it() {
    let stick = Stick::new(GPT);
    crate::spoils::set_entry(&stick, 5, b"IMGPAYLDTGZ", 28, &5_000_000u32.to_le_bytes());
    let info = stick.run(&["info", "STICK"]).all();
    assert!(!info.contains("gives them all back"), "{info}");
    assert!(info.contains("Nothing can be changed in bank 5"), "{info}");
    assert_ne!(stick.run(&["fix", "-y", "STICK"]).code, 0);
    has(
        &stick.run(&["verify", "STICK"]).stdout,
        "error",
        &["imgpayld"],
    );
}

/// Damage in a bank that does not boot next hides no way to repair the one that does, whatever is damaged.
#[test]
fn a_fix_of_the_bank_that_boots_is_advised_where_the_other_forbids_it() {
    let in_the_way: [Damage; 4] = [
        ("chain", |stick| {
            let size = 5_000_000u32.to_le_bytes();
            crate::spoils::set_entry(stick, 6, b"IMGPAYLDTGZ", 28, &size);
        }),
        ("state", |stick| flipped_in(stick, 6, "state.tgz")),
        ("cut state", |stick| {
            stick.change(6, "state.tgz", |it| it.truncate(it.len() / 2))
        }),
        ("boot sector", |stick| stick.poke(6, 11, &[0; 21])),
    ];
    for (what, spoil) in in_the_way {
        let stick = Stick::new(GPT);
        spoil(&stick);
        let info = stick.run(&["info", "STICK"]).all();
        let advice = "`bootbank fix --bank 5 stick.img`";
        assert!(info.contains(advice), "{what}: {info}");
        assert!(!info.contains("`bootbank fix stick.img`"), "{what}: {info}");
        assert_ne!(stick.run(&["fix", "-y", "STICK"]).code, 0, "{what}");
        let fixed = stick.run(&["fix", "-y", "--bank", "5", "STICK"]);
        assert_eq!(fixed.code, 0, "{what}: {}", fixed.all());
    }
}

/// What info says of the next boot is what the change says of it afterwards.
#[test]
fn a_state_that_the_host_does_not_load_passes_nothing_through() {
    let defaults = "starts with default settings";
    let unlisted = Stick::new(GPT);
    let listed = unlisted.read(5, "boot.cfg");
    let listed = String::from_utf8(listed).unwrap();
    let without = listed.replace(" --- state.tgz", "");
    assert_ne!(without, listed);
    unlisted.write(5, "boot.cfg", without.as_bytes());
    let empty = Stick::new(GPT);
    empty.write(5, "state.tgz", b"");
    for (stick, bank) in [(unlisted, "5"), (empty, "6")] {
        let info = stick.run(&["info", "STICK"]).all();
        assert!(info.contains(defaults), "{info}");
        for not in [
            "passed through in the bank",
            "keyboard is dead",
            "cannot be opened, so",
        ] {
            assert!(!info.contains(not), "{info}");
        }
        let fixed = stick.run(&["fix", "-y", "--bank", bank, "STICK"]);
        assert_eq!(fixed.code, 0, "{}", fixed.all());
        assert!(fixed.all().contains(defaults), "{}", fixed.all());
    }
}

/// The loader before 8.0 U1 takes neither for a number.
#[test]
fn a_bank_is_used_whose_rank_the_loader_does_not_read() {
    for rank in ["-1", "0x2", "-2147483648"] {
        let stick = Stick::new(GPT);
        stick.set(5, "updated", Some(rank));
        stick.set(6, "bootstate", Some("3"));
        let used = stick.run(&["bank", "use", "5", "STICK"]);
        assert_eq!(used.code, 0, "{rank}: {}", used.all());
        let boots = "Bank 5 boots next";
        assert!(used.all().contains(boots), "{rank}: {}", used.all());
    }
}

/// Whether a device is passed through by a changed state or by another bank is the same to the host.
#[test]
fn a_bank_that_passes_devices_through_is_not_used_unasked() {
    let stick = Stick::new(GPT);
    let fixed = stick.run(&["fix", "-y", "--bank", "5", "STICK"]);
    assert_eq!(fixed.code, 0, "{}", fixed.all());
    let before = stick.bytes();
    let used = stick.run(&["bank", "use", "6", "STICK"]);
    assert_eq!(used.code, 2, "{}", used.all());
    assert!(used.stderr.contains("vmhba32"), "{}", used.stderr);
    assert!(stick.bytes() == before);
    let meant = stick.run(&["bank", "use", "6", "-y", "STICK"]);
    assert_eq!(meant.code, 0, "{}", meant.all());
    let back = stick.run(&["bank", "use", "5", "STICK"]);
    assert_eq!(back.code, 0, "{}", back.all());
}

/// The loader passes over a bank whose quickboot is set, and over no other.
#[test]
fn quickboot_is_taken_out_where_it_is_set() {
    for (value, stays) in [("0", true), ("1", false)] {
        let stick = Stick::new(GPT);
        let set = ["bootcfg", "set", "STICK", "quickboot", value];
        let set = stick.run(&[&set[..], &["--bank", "6"]].concat());
        assert_eq!(set.code, 0, "{}", set.all());
        let used = stick.run(&["bank", "use", "6", "STICK", "-y"]);
        assert_eq!(used.code, 0, "{}", used.all());
        let get = ["bootcfg", "get", "STICK", "quickboot", "--bank", "6"];
        let left = stick.run(&get);
        assert_eq!(left.stdout.contains("quickboot"), stays, "{}", left.all());
    }
}

/// A file of another release does not make a bank whole, and no advice says so.
#[test]
fn single_files_are_advised_only_of_a_bank_of_the_same_build() {
    let stick = Stick::new(GPT);
    stick.delete(5, &["K.B00"]);
    stick.delete(6, &["S.V00"]);
    assert!(
        stick
            .verify(4)
            .contains("bootbank put stick.img FILE bank5:k.b00")
    );
    stick.set(6, "build", Some("6.5.0-7526125"));
    let report = stick.verify(4);
    assert!(!report.contains("bootbank put"), "{report}");
}
