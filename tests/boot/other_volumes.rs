//! What is no bank, and what is one that cannot be opened: neither stands in the way of the others, and no
//! copy goes where no bank belongs.

use crate::stick::{GPT, Stick};

/// The partition of the VMware Tools images in this layout: a volume with VMware's mark and without a boot.cfg.
const STORE: u32 = 8;

/// Bytes per sector in the boot sector of a FAT volume.
const BYTES_PER_SECTOR: u64 = 11;

#[test]
fn a_bank_is_not_copied_over_a_volume_that_is_none() {
    let stick = Stick::new(GPT);
    let before = stick.bytes();
    for to in [STORE, 1] {
        let to = to.to_string();
        let copied = stick.run(&["bank", "copy", "5", &to, "STICK"]);
        assert_eq!(copied.code, 2, "{}", copied.all());
        let says = format!("partition {to} is not a bank; the banks are on partitions 5, 6");
        assert!(copied.stderr.contains(&says), "{}", copied.stderr);
    }
    assert!(stick.bytes() == before, "written to");
    // Where a bank belongs, and its boot.cfg is gone, one is made again.
    stick.delete(6, &["BOOT.CFG"]);
    let copied = stick.run(&["bank", "copy", "5", &STORE.to_string(), "STICK"]);
    assert_eq!(copied.code, 2, "{}", copied.all());
    let copied = stick.run(&["bank", "copy", "5", "6", "STICK"]);
    assert_eq!(copied.code, 0, "{}", copied.all());
    stick.verify(0);
}

#[test]
fn a_damaged_volume_beside_two_banks_is_named_and_stops_nothing() {
    let stick = Stick::new(GPT);
    let store = stick.partition(STORE);
    stick.poke_at(store + BYTES_PER_SECTOR, &[0, 0]);
    let info = stick.run(&["info", "STICK"]).all();
    assert!(!info.contains("bank on partition 8"), "{info}");
    let report = stick.verify(0);
    has(&report, "warning [fat] partition 8: the volume is damaged");
    let fixed = stick.run(&["fix", "STICK"]);
    assert_eq!(fixed.code, 0, "{}", fixed.all());
    assert!(
        fixed.stdout.contains("bank on partition 6"),
        "{}",
        fixed.all()
    );
    // Nor where one of the banks lost its boot.cfg.
    stick.delete(6, &["BOOT.CFG"]);
    let fixed = stick.run(&["fix", "STICK"]);
    assert!(!fixed.stderr.contains("partition 8"), "{}", fixed.stderr);
    // Of the two banks one that is damaged stays one.
    let stick = Stick::new(GPT);
    stick.poke(6, BYTES_PER_SECTOR, &[0, 0]);
    let fixed = stick.run(&["fix", "STICK"]);
    assert_eq!(fixed.code, 4, "{}", fixed.all());
    assert!(fixed.stderr.contains("partition 6"), "{}", fixed.stderr);
}

/// What fsck.fat does not repair is not left to it.
#[test]
fn one_copy_of_the_fat_is_named_where_the_rest_does_not_fit_it() {
    let stick = Stick::new(GPT);
    const COPIES: u64 = 16;
    const SECTORS_PER_FAT: u64 = 22;
    stick.poke(5, COPIES, &[1]);
    stick.poke(5, SECTORS_PER_FAT, &[1, 0]);
    let fixed = stick.run(&["fix", "STICK"]);
    assert_eq!(fixed.code, 4, "{}", fixed.all());
    has(
        &fixed.stderr,
        "the boot sector tells of one copy of the FAT, and ESXi makes two",
    );
    has(&fixed.stderr, "fsck.fat does not repair a boot sector");
}

/// The loader asks less of a volume: what it starts there cannot be told.
#[test]
fn a_bank_that_boots_and_cannot_be_opened_is_not_said_to_hold_no_settings() {
    let stick = Stick::new(GPT);
    let first = first_cluster(&stick, 5, b"BOOT    CFG");
    for fat in 0..2 {
        let at = stick.fat(5, fat) + 2 * u64::from(first);
        stick.poke(5, at, &[0, 0]);
    }
    let info = stick.run(&["info", "STICK"]).all();
    has(
        &info,
        "bank on partition 5: boots next, cannot be opened: the chain of boot.cfg",
    );
    let fixed = stick.run(&["fix", "--bank", "6", "STICK"]);
    assert_eq!(fixed.code, 0, "{}", fixed.all());
    let says = "Bank 5 boots next. Which devices it passes through cannot be told.";
    assert!(fixed.stderr.contains(says), "{}", fixed.stderr);
}

/// An empty file that `modules=` does not list holds nothing: what is set does not reach the host, and that is
/// said; what is asked for is not there.
#[test]
fn a_bank_whose_only_state_is_left_alone_is_not_said_to_need_nothing() {
    let stick = Stick::new(GPT);
    stick.write(5, "state.tgz", b"");
    stick.change(5, "boot.cfg", |content| {
        let text = String::from_utf8(std::mem::take(content)).unwrap();
        *content = text.replace(" --- state.tgz", "").into_bytes();
    });
    let set = stick.run(&["host", "set", "STICK", "--name", "esx9"]);
    assert_eq!(set.code, 0, "{}", set.all());
    has(
        &set.stdout,
        "bank on partition 5, boots next: holds no state that the host loads; left alone",
    );
    has(&set.stderr, "Bank 5 boots next and holds no saved settings");
    let listed = stick.run(&["conf", "list", "STICK"]);
    assert_eq!(listed.code, 2, "{}", listed.all());
    has(
        &listed.stderr,
        "there is no configuration: no state on partition 5",
    );
}

/// The settings of another bank cure a damaged state, where it has any and its host wrote them.
#[test]
fn a_state_that_cures_a_damaged_one_is_of_the_same_build_and_holds_settings() {
    let cures = |spoil: &dyn Fn(&Stick)| {
        let stick = Stick::new(GPT);
        stick.change(5, "state.tgz", |content| content.truncate(9000));
        spoil(&stick);
        let report = stick.run(&["verify", "STICK"]).stdout;
        has(
            &report,
            "error [gzip] partition 5: module state.tgz is damaged",
        );
        report.contains("`bootbank state copy 6 5 stick.img`")
    };
    assert!(cures(&|_| ()));
    assert!(!cures(&|stick| stick.set(
        6,
        "build",
        Some("7.0.0-1.0.15843807")
    )));
    assert!(!cures(&|stick| {
        let reset = stick.run(&["state", "reset", "6", "-y", "STICK"]);
        assert_eq!(reset.code, 0, "{}", reset.all());
    }));
}

/// A command that would be refused is no advice.
#[test]
fn nothing_is_to_be_put_into_a_damaged_volume() {
    let stick = Stick::new(GPT);
    let size_at = entry_of(&stick, 5, b"K       B00") + 28;
    stick.poke(5, size_at, &60_000_000u32.to_le_bytes());
    let report = stick.run(&["verify", "STICK"]).stdout;
    has(&report, "error [fat] partition 5: k.b00");
    assert!(!report.contains("bootbank put"), "{report}");
    assert!(!report.contains("bootbank bank copy"), "{report}");
}

fn has(report: &str, says: &str) {
    assert!(report.contains(says), "no {says:?}:\n{report}");
}

fn entry_of(stick: &Stick, bank: u32, name: &[u8; 11]) -> u64 {
    let root = stick.root(bank);
    let directory = stick.peek(bank, root, 512 * 32);
    let mut entries = directory.chunks(32).enumerate();
    let (index, _) = entries.find(|(_, entry)| entry.starts_with(name)).unwrap();
    root + 32 * index as u64
}

fn first_cluster(stick: &Stick, bank: u32, name: &[u8; 11]) -> u16 {
    let entry = entry_of(stick, bank, name);
    let bytes = stick.peek(bank, entry + 26, 2);
    u16::from_le_bytes([bytes[0], bytes[1]])
}
