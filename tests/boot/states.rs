//! States that are damaged or not there: what is replaced need not be sound.

use crate::stick::{GPT, Stick};

/// What is wrong with a state, and how it comes about.
type Damage = (&'static str, fn(&Stick));

fn damaged() -> [Damage; 4] {
    [
        ("one bit", |stick| {
            stick.change(5, "state.tgz", |content| {
                let at = content.len() * 7 / 8;
                content[at] ^= 1;
            });
        }),
        ("two thirds", |stick| {
            stick.change(5, "state.tgz", |content| {
                content.truncate(content.len() * 2 / 3)
            });
        }),
        ("no byte", |stick| stick.write(5, "state.tgz", b"")),
        ("absent", |stick| stick.delete(5, &["STATE.TGZ"])),
    ]
}

#[test]
fn a_state_is_imported_in_place_of_one_that_is_damaged_or_absent() {
    for (name, spoil) in damaged() {
        let stick = Stick::new(GPT);
        let backup = stick.read(5, "state.tgz");
        std::fs::write(stick.path("backup.tgz"), &backup).unwrap();
        spoil(&stick);
        let before = stick.bytes();
        stick.verify(4);
        let import = [
            "state",
            "import",
            "--bank",
            "5",
            "--undo-file",
            "a.undo",
            "STICK",
            "backup.tgz",
        ];
        let imported = stick.run(&import);
        assert_eq!(imported.code, 0, "{name}: {}", imported.all());
        assert!(
            imported
                .all()
                .contains("Bank 5 boots next and has 3 devices"),
            "{name}"
        );
        assert!(stick.read(5, "state.tgz") == backup, "{name}: by mtools");
        assert_eq!(stick.verify(0), "stick.img: sound\n", "{name}");
        let undone = stick.run(&["undo", "a.undo", "STICK"]);
        assert_eq!(undone.code, 0, "{name}: {}", undone.all());
        assert!(stick.bytes() == before, "{name}: undone");
    }
}

#[test]
fn the_other_banks_state_takes_the_place_of_one_that_is_damaged_or_absent() {
    for (name, spoil) in damaged() {
        let stick = Stick::new(GPT);
        spoil(&stick);
        let copied = stick.run(&["state", "copy", "6", "5", "STICK"]);
        assert_eq!(copied.code, 0, "{name}: {}", copied.all());
        let same = stick.read(5, "state.tgz") == stick.read(6, "state.tgz");
        assert!(same, "{name}: by mtools");
        assert_eq!(stick.verify(0), "stick.img: sound\n", "{name}");
    }
}

/// The empty one is loaded by nothing, and so blocks nothing.
#[test]
fn an_empty_state_that_is_not_listed_blocks_no_change() {
    let stick = Stick::new("esxi41-mbr-localtgz");
    stick.write(5, "state.tgz", b"");
    let fixed = stick.run(&["fix", "-y", "STICK"]);
    assert_eq!(fixed.code, 0, "{}", fixed.all());
}

/// A file of length zero that modules= does not list is nothing that the host loads: it is said, and
/// keeps nobody from changing the other bank.
#[test]
fn an_empty_state_that_is_not_listed_is_said_and_blocks_nothing() {
    let stick = Stick::new(GPT);
    stick.write(6, "state.tgz", b"");
    stick.change(6, "boot.cfg", |content| {
        let text = String::from_utf8(std::mem::take(content)).unwrap();
        *content = text.replace(" --- state.tgz", "").into_bytes();
    });
    let ran = stick.run(&["fix", "--no-undo", "-y", "STICK"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(
        ran.stderr.contains("the host does not load it"),
        "{}",
        ran.all()
    );
    let ran = stick.run(&["conf", "set", "--no-undo", "-y", "STICK", "/a/b", "c"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
}

/// Beside no state that is loaded, what cannot be opened could be meant, and stops a change: `verify` says so too.
#[test]
fn a_damaged_state_that_is_not_listed_is_an_error_where_it_is_the_only_one() {
    let stick = Stick::new(GPT);
    stick.change(5, "boot.cfg", |content| {
        let text = String::from_utf8(std::mem::take(content)).unwrap();
        *content = text.replace(" --- state.tgz", "").into_bytes();
    });
    let middle = stick.read(5, "state.tgz").len() / 2;
    stick.change(5, "state.tgz", |content| content[middle] ^= 0x10);
    let ran = stick.run(&["fix", "-n", "--usb", "STICK"]);
    assert_eq!(ran.code, 4, "{}", ran.all());
    let text = stick.verify(4);
    assert!(text.contains("error"), "{text}");
}
