//! What comes before the loader: whether UEFI firmware or a BIOS finds anything on the medium to start from.

use crate::stick::{GPT, Stick, run};
use crate::verify::has;
use std::process::Command;

const PROGRAM: &str = "EFI/BOOT/BOOTx64.EFI";
const NO_CODE: &str = "the first sector has no code for a BIOS";
const NO_PROGRAM: &str = "the EFI system partition holds no EFI/BOOT/BOOTX64.EFI, or an empty one";
const NOTHING: &str = "no firmware starts ESXi's loader from this medium";

/// The volume of the EFI system partition, as mtools names it.
fn system(stick: &Stick) -> String {
    format!("{}@@{}", stick.image.display(), stick.partition(1))
}

fn delete(stick: &Stick, path: &str) {
    let mut mdel = Command::new("mdel");
    run(mdel.args(["-i", &system(stick), &format!("::{path}")]));
}

fn copy_in(stick: &Stick, content: &[u8], path: &str) {
    let source = stick.path("program");
    std::fs::write(&source, content).unwrap();
    let mut mcopy = Command::new("mcopy");
    mcopy.args(["-o", "-i", &system(stick)]);
    run(mcopy.arg(&source).arg(format!("::{path}")));
}

/// Code ends before the disk signature; the table stays.
fn without_code(stick: &Stick) {
    stick.poke_at(0, &[0; 440]);
}

#[test]
fn a_medium_that_firmware_starts_from_is_sound_and_says_nothing_of_it() {
    assert_eq!(Stick::new(GPT).verify(0), "stick.img: sound\n");
}

#[test]
fn what_only_one_kind_of_firmware_starts_from_is_a_note() {
    let by_uefi = Stick::new(GPT);
    without_code(&by_uefi);
    has(&by_uefi.verify(0), "note", &[NO_CODE, "only UEFI"]);

    let by_bios = Stick::new(GPT);
    for program in [
        PROGRAM,
        "EFI/VMware/safeboot64.efi",
        "EFI/VMware/mboot64.efi",
    ] {
        delete(&by_bios, program);
    }
    let only_bios = [NO_PROGRAM, "a BIOS finds code to start from"];
    has(&by_bios.verify(0), "note", &only_bios);
    copy_in(&by_bios, b"", PROGRAM);
    has(&by_bios.verify(0), "note", &only_bios);
    // The processors of other machines have other programs.
    copy_in(&by_bios, b"program", "EFI/BOOT/BOOTAA64.EFI");
    assert_eq!(by_bios.verify(0), "stick.img: sound\n");
}

#[test]
fn a_program_that_needs_a_boot_entry_of_the_machine_is_a_note() {
    let stick = Stick::new(GPT);
    delete(&stick, PROGRAM);
    has(
        &stick.verify(0),
        "note",
        &[
            "partition 1:",
            "EFI/VMWARE/SAFEBO~1.EFI",
            "a boot entry for it",
        ],
    );
}

#[test]
fn a_medium_from_which_no_firmware_starts_is_warned_of_with_what_puts_it_right() {
    let cure = "Copy partition 1 of a medium of the same release over it";
    let stick = Stick::new(GPT);
    without_code(&stick);
    let mut mdeltree = Command::new("mdeltree");
    run(mdeltree.args(["-i", &system(&stick), "::EFI"]));
    has(
        &stick.verify(0),
        "warning",
        &[NOTHING, NO_PROGRAM, NO_CODE, cure],
    );
    let info = stick.run(&["info", "STICK"]);
    assert_eq!(info.code, 0, "{}", info.all());
    for said in [NOTHING, NO_PROGRAM, NO_CODE, cure] {
        assert!(info.all().contains(said), "{}", info.all());
    }
    stick.poke_at(stick.partition(1), &[0; 4096]);
    has(&stick.verify(0), "warning", &[NOTHING, "is blank", cure]);
    // The configuration is changed all the same: it says nothing of how the host is started.
    assert_eq!(stick.run(&["fix", "-y", "STICK"]).code, 0);
}

#[test]
fn what_cannot_be_looked_into_is_not_called_missing() {
    let stick = Stick::new(GPT);
    without_code(&stick);
    let sectors = "8128";
    let mut mkfs = Command::new("mkfs.fat");
    mkfs.args(["-F", "32", "-s", "1", "--offset=64"]);
    run(mkfs.arg(&stick.image).arg(sectors));
    let report = stick.verify(0);
    has(
        &report,
        "note",
        &["cannot be looked into", "FAT32", "is not known"],
    );
    assert!(!report.contains(NOTHING), "{report}");
    let info = stick.run(&["info", "STICK"]);
    assert!(!info.all().contains(NOTHING), "{}", info.all());
}

#[test]
fn media_of_4_with_code_and_without_an_efi_system_partition_say_nothing_of_it() {
    let stick = Stick::new("esxi40-mbr");
    assert_eq!(stick.verify(0), "stick.img: sound\n");
    without_code(&stick);
    has(
        &stick.verify(0),
        "warning",
        &[NOTHING, "there is no EFI system partition", NO_CODE],
    );
}
