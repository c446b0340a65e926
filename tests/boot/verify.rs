//! What `verify` says of media that stop: all of it at once, how bad it is, and what mends it.

use crate::spoils;
use crate::stick::{GPT, Stick, of_booting, run};
use std::fs;
use std::process::Command;

/// The lines of a report about one partition.
fn about(report: &str, partition: u32) -> Vec<&str> {
    let here = format!("partition {partition}: ");
    report.lines().filter(|line| line.contains(&here)).collect()
}

pub(crate) fn has(report: &str, severity: &str, parts: &[&str]) {
    let severe = |line: &&str| line.trim_start().starts_with(severity);
    let all = |line: &str| parts.iter().all(|part| line.contains(part));
    let found = report.lines().filter(severe).any(all);
    assert!(found, "no {severity} with {parts:?}:\n{report}");
}

#[test]
fn absent_modules_are_named_all_at_once_with_the_bank_that_has_them() {
    let stick = Stick::new(GPT);
    spoils::absent(&stick);
    let report = stick.verify(4);
    let cure = "`bootbank bank copy 6 5 stick.img`";
    has(
        &report,
        "error",
        &["a.b00, xhci_xhc.v00", "bank 6 has them", cure],
    );
    assert_eq!(about(&report, 5).len(), 1, "{report}");
    assert!(
        about(&report, 6).is_empty(),
        "mixed case is no fault: {report}"
    );
    let copied = stick.run(&["bank", "copy", "6", "5", "-y", "STICK"]);
    assert_eq!(copied.code, 0, "{}", copied.all());
    stick.verify(0);
}

#[test]
fn names_in_mixed_case_are_no_fault() {
    let stick = Stick::new(GPT);
    spoils::mixed_case(&stick, 5);
    spoils::mixed_case(&stick, 6);
    assert_eq!(stick.verify(0), "stick.img: sound\n");
}

#[test]
fn an_absent_kernel_is_an_error() {
    let stick = Stick::new(GPT);
    stick.delete(5, &["B.B00"]);
    has(
        &stick.verify(4),
        "error",
        &["b.b00 is in boot.cfg", "bank 6 has it"],
    );
}

#[test]
fn a_flipped_bit_in_a_module_is_seen_unless_asked_to_be_quick() {
    let stick = Stick::new(GPT);
    spoils::flipped(&stick);
    has(
        &stick.verify(4),
        "error",
        &["s.v00 is damaged", "CRC", "bank 6 has it whole"],
    );
    let quick = stick.run(&["verify", "--quick", "STICK"]);
    assert_eq!(
        (quick.code, of_booting(&quick.stdout).as_str()),
        (0, "stick.img: sound\n")
    );
}

#[test]
fn a_module_cut_short_is_an_error() {
    let stick = Stick::new(GPT);
    spoils::cut_short(&stick);
    has(
        &stick.verify(4),
        "error",
        &["sb.v00 is damaged", "ends before", "bank 6 has it whole"],
    );
}

/// Its own state stays, which is newer than that of the other bank.
#[test]
fn a_damaged_module_is_brought_over_from_a_bank_of_the_same_build() {
    let stick = Stick::new(GPT);
    spoils::flipped(&stick);
    let state = stick.read(5, "state.tgz");
    let report = stick.verify(4);
    let [get, put] = [
        "`bootbank get stick.img bank6:s.v00 FILE`",
        "`bootbank put stick.img FILE bank5:s.v00`",
    ];
    has(&report, "error", &["s.v00 is damaged", get, put]);
    for command in [
        &["get", "STICK", "bank6:s.v00", "file"][..],
        &["put", "STICK", "file", "bank5:s.v00"],
    ] {
        let ran = stick.run(command);
        assert_eq!(ran.code, 0, "{}", ran.all());
    }
    stick.verify(0);
    assert!(stick.read(5, "state.tgz") == state);
    // Of a state it is for a person to say whose settings are wanted.
    spoils::flipped_in(&stick, 5, "state.tgz");
    let report = stick.verify(4);
    has(
        &report,
        "error",
        &["state.tgz is damaged", "bank 6 has it whole"],
    );
    assert!(!report.contains("bootbank get"), "{report}");
}

#[test]
fn damage_in_several_modules_is_told_at_once() {
    let stick = Stick::new(GPT);
    spoils::flipped(&stick);
    spoils::cut_short(&stick);
    stick.delete(5, &["K.B00"]);
    let report = stick.verify(4);
    for name in [
        "s.v00 is damaged",
        "sb.v00 is damaged",
        "k.b00 is in boot.cfg",
    ] {
        has(&report, "error", &[name]);
    }
}

#[test]
fn a_boot_cfg_half_overwritten_is_an_error_though_the_other_bank_boots() {
    let stick = Stick::new(GPT);
    spoils::half_rubbish(&stick, 5);
    let report = stick.verify(4);
    has(&report, "error", &["binary data from byte 512 on"]);
    has(&report, "error", &["boot.cfg has no build"]);
    has(&report, "error", &["boot.cfg has no updated"]);
}

#[test]
fn a_name_that_rubbish_cuts_off_is_no_missing_file() {
    for (rubbish, severity) in [
        (&[0xC8, 0x12, 0xFF, 0x03][..], "error"),
        (&[0, 0x12, 0xFF, 0x03], "error"),
        (&[0, 0, 0], "note"),
    ] {
        let stick = Stick::new(GPT);
        stick.change(5, "boot.cfg", |content| {
            let state = content.windows(9).position(|it| it == b"state.tgz");
            content.truncate(state.unwrap() + 3);
            content.extend(rubbish);
        });
        let report = stick.verify(if severity == "error" { 4 } else { 0 });
        has(
            &report,
            severity,
            &["breaks off after \"sta\", the name of a module"],
        );
        has(&report, severity, &["boot.cfg has no build"]);
        has(&report, severity, &["boot.cfg has no updated"]);
        assert!(!report.contains("not in the bank"), "{report}");
    }
}

#[test]
fn no_bank_that_may_boot_is_an_error_with_its_cure() {
    let stick = Stick::new(GPT);
    spoils::none_valid(&stick);
    has(
        &stick.verify(4),
        "error",
        &["no bank is bootable", "`bootbank bank use 5 stick.img`"],
    );
    assert_eq!(stick.run(&["bank", "use", "5", "STICK"]).code, 0);
    stick.verify(0);
}

#[test]
fn a_half_copied_bank_that_is_taken_is_one_verdict() {
    let stick = Stick::new(GPT);
    spoils::half_copied(&stick);
    let report = stick.verify(4);
    let cure = "`bootbank bank copy 5 6 stick.img`";
    has(
        &report,
        "error",
        &["k.b00, state.tgz", "bank 5 has them", cure],
    );
    assert!(!report.contains("that is normal"), "{report}");
    let info = stick.run(&["info", "STICK"]).all();
    assert!(
        info.contains("no state, though modules= lists one"),
        "{info}"
    );
    assert!(!info.contains("normal for the second bank"), "{info}");
    let copied = stick.run(&["bank", "copy", "5", "6", "-y", "STICK"]);
    assert_eq!(copied.code, 0, "{}", copied.all());
    stick.verify(0);
}

#[test]
fn a_bank_without_boot_cfg_is_a_warning_and_can_be_made_anew() {
    let stick = Stick::new(GPT);
    spoils::half_copied_without_boot_cfg(&stick);
    has(
        &stick.verify(0),
        "warning",
        &[
            "partition 6",
            "no boot.cfg",
            "passes over it",
            "`bootbank bank copy 5 6 stick.img`",
        ],
    );
    for command in [
        &["info", "STICK"][..],
        &["bank", "list", "STICK"],
        &["fix", "-n", "STICK"],
    ] {
        let told = stick.run(command).all();
        let missed = "partition 6: the volume carries VMware's mark and is where a bank belongs";
        assert!(told.contains(missed), "{told}");
    }
    let copied = stick.run(&["bank", "copy", "5", "6", "-y", "STICK"]);
    assert_eq!(copied.code, 0, "{}", copied.all());
    assert_eq!(stick.verify(0), "stick.img: sound\n");
}

/// Files of length zero belong to a bank as any other: a module that is missing stops the loader.
#[test]
fn files_without_content_are_copied_with_a_bank() {
    let stick = Stick::new(GPT);
    stick.write(5, "empty.v00", b"");
    stick.write(5, "notes.txt", b"");
    stick.write(6, "empty.v00", b"not empty");
    let modules = String::from_utf8(stick.read(5, "boot.cfg")).unwrap();
    let modules = modules.lines().find_map(|it| it.strip_prefix("modules="));
    let modules = format!("{} --- empty.v00", modules.unwrap());
    stick.set(5, "modules", Some(&modules));
    let copied = stick.run(&["bank", "copy", "5", "6", "-y", "STICK", "-z", "undo"]);
    assert_eq!(copied.code, 0, "{}", copied.all());
    for name in ["empty.v00", "notes.txt"] {
        assert_eq!(stick.read(6, name), b"");
    }
    assert!(!stick.verify(0).contains("empty.v00 is missing"));
    let at = stick.banks[&6] as usize;
    fs::write(stick.path("bank6"), &stick.bytes()[at..]).unwrap();
    run(Command::new("fsck.fat").arg("-n").arg(stick.path("bank6")));
    let differ = stick.run(&["diff", "--banks", "STICK"]).stdout;
    assert!(
        !differ.contains("empty.v00") && !differ.contains("notes.txt"),
        "{differ}"
    );
    let again = stick.run(&["bank", "copy", "5", "6", "--check", "STICK"]);
    assert_eq!(again.code, 0, "{}", again.all());
    let undone = stick.run(&["undo", "undo", "STICK"]);
    assert_eq!(undone.code, 0, "{}", undone.all());
    assert_eq!(stick.read(6, "empty.v00"), b"not empty");
}

#[test]
fn a_volume_with_one_fat_is_named() {
    let stick = Stick::new(GPT);
    spoils::one_fat(&stick);
    has(
        &stick.verify(0),
        "warning",
        &["partition 5", "one copy of the FAT"],
    );
}

#[test]
fn a_boot_cfg_in_free_clusters_is_an_error() {
    let stick = Stick::new(GPT);
    spoils::boot_cfg_freed(&stick);
    has(
        &stick.verify(4),
        "error",
        &["partition 6", "boot.cfg", "free"],
    );
    let fix = stick.run(&["fix", "STICK"]);
    assert_eq!(fix.code, 4);
    assert!(
        fix.stderr.contains("--bank 5 alone does not help"),
        "{}",
        fix.stderr
    );
}

#[test]
fn a_media_byte_that_others_refuse_is_a_note() {
    let stick = Stick::new(GPT);
    stick.poke(5, 21, &[0]);
    has(
        &stick.verify(0),
        "note",
        &["media byte", "Linux and mtools refuse"],
    );
}

#[test]
fn the_mark_of_an_unclean_unmount_is_a_warning_with_its_cure() {
    let stick = Stick::new("esxi80-encrypted-1g");
    let flag = stick.peek(5, 0x25, 1)[0];
    stick.poke(5, 0x25, &[flag | 1]);
    let cure = "`bootbank bank mark-clean 5 stick.img`";
    has(&stick.verify(0), "warning", &["KB 345227", cure]);
    // A packed image has to be unpacked or copied first.
    let gzip = std::process::Command::new("gzip")
        .arg("-kf")
        .arg(stick.path("stick.img"))
        .status();
    assert!(gzip.unwrap().success());
    let packed = stick.run(&["verify", "stick.img.gz"]);
    assert!(
        packed.stdout.contains("`bootbank bank mark-clean 5 STICK`"),
        "{}",
        packed.stdout
    );
    assert_eq!(stick.run(&["bank", "mark-clean", "5", "STICK"]).code, 0);
    assert_eq!(stick.peek(5, 0x25, 1), [flag]);
    assert_eq!(stick.verify(0), "stick.img: sound\n");
}

#[test]
fn an_absent_state_that_is_loaded_is_an_error() {
    let stick = Stick::new(GPT);
    stick.delete(5, &["STATE.TGZ"]);
    let report = stick.verify(4);
    has(&report, "error", &["state.tgz is in boot.cfg"]);
    assert!(!report.contains("that is normal"), "{report}");
}

#[test]
fn a_missing_build_is_an_error_where_nothing_else_boots() {
    let stick = Stick::new(GPT);
    stick.set(5, "build", None);
    stick.set(6, "build", None);
    has(&stick.verify(4), "error", &["no bank is bootable"]);
}

/// A bank copied with dd: the host can take the wrong one.
#[test]
fn two_banks_with_one_uuid_are_a_note() {
    let stick = Stick::new(GPT);
    let bytes = stick.peek(5, 0, 6 << 20);
    stick.poke(6, 0, &bytes);
    has(
        &stick.verify(0),
        "note",
        &["partitions 5 and 6", "same UUID"],
    );
}

#[test]
fn damage_to_a_volume_that_is_no_bank_is_named() {
    let stick = Stick::new(GPT);
    spoils::store_damaged(&stick);
    has(&stick.verify(0), "warning", &["partition 8", "damaged"]);
}

/// sgdisk and fdisk give new partitions the type of Linux file systems, and the loader then sees no bank there.
#[test]
fn a_bank_in_a_partition_of_another_type_is_named_with_what_gives_it_back() {
    let stick = Stick::new(GPT);
    let type_of = |number: u32, code: &str| {
        let mut sgdisk = Command::new("sgdisk");
        run(sgdisk
            .arg(format!("--typecode={number}:{code}"))
            .arg(&stick.image));
    };
    type_of(5, "8300");
    let named = "partition 5 holds a bank, but its type 0FC63DAF-8483-4772-8E79-3D69D8477DE4 is none in which ESXi's loader looks for one";
    has(
        &stick.verify(0),
        "warning",
        &[named, "`sgdisk -t 5:0700 stick.img`"],
    );
    let info = stick.run(&["info", "STICK"]);
    assert!(info.all().contains(named), "{}", info.all());
    type_of(6, "8300");
    let info = stick.run(&["info", "STICK"]);
    assert_eq!(info.code, 4, "{}", info.all());
    assert!(info.stderr.contains(named), "{}", info.stderr);
    assert!(
        info.stderr.contains("partition 6 holds a bank"),
        "{}",
        info.stderr
    );
    assert!(
        info.stderr.contains("`sgdisk -t 5:0700 -t 6:0700 COPY`"),
        "{}",
        info.stderr
    );
    let none = [named, "`sgdisk -t 5:0700 -t 6:0700 stick.img` gives them"];
    has(&stick.verify(4), "error", &none);
    type_of(5, "0700");
    type_of(6, "0700");
    assert_eq!(stick.verify(0), "stick.img: sound\n");
}
