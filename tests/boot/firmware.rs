//! What comes before the loader: whether UEFI firmware or a BIOS finds anything on the medium to start from.

use crate::stick::{GPT, Stick, run};
use crate::verify::has;
use std::fs::{self, File};
use std::process::Command;

const PROGRAM: &str = "EFI/BOOT/BOOTx64.EFI";
const OWN_PROGRAMS: [&str; 2] = ["EFI/VMware/safeboot64.efi", "EFI/VMware/mboot64.efi"];
const NO_CODE: &str = "the first sector has no code for a BIOS";
const NO_PROGRAM: &str = "the EFI system partition holds no EFI/BOOT/BOOTX64.EFI";
const NOTHING: &str = "no firmware finds ESXi's loader on this medium";
const ONLY_BIOS: &str = "a BIOS finds code to start from, UEFI firmware does not";
const SOUND: &str = "stick.img: sound\n";

/// The volume on a partition, as mtools names it.
fn volume(stick: &Stick, number: u32) -> String {
    format!("{}@@{}", stick.image.display(), stick.partition(number))
}

fn delete(stick: &Stick, path: &str) {
    let mut mdel = Command::new("mdel");
    run(mdel.args(["-i", &volume(stick, 1), &format!("::{path}")]));
}

fn copy_in(stick: &Stick, content: &[u8], number: u32, path: &str) {
    let source = stick.path("program");
    fs::write(&source, content).unwrap();
    let mut mcopy = Command::new("mcopy");
    mcopy.args(["-o", "-i", &volume(stick, number)]);
    run(mcopy.arg(&source).arg(format!("::{path}")));
}

fn make_folders(stick: &Stick, number: u32, folders: &[&str]) {
    let mut mmd = Command::new("mmd");
    mmd.args(["-i", &volume(stick, number)]);
    run(mmd.args(folders.iter().map(|folder| format!("::{folder}"))));
}

/// Code ends before the disk signature; the table stays.
fn without_code(stick: &Stick) {
    stick.poke_at(0, &[0; 440]);
}

fn without_programs(stick: &Stick) {
    for program in [PROGRAM].into_iter().chain(OWN_PROGRAMS) {
        delete(stick, program);
    }
}

fn sgdisk(stick: &Stick, options: &[&str]) {
    let mut sgdisk = Command::new("sgdisk");
    run(sgdisk.args(options).arg(&stick.image));
}

/// Makes a volume of so many KiB in place of the one on partition 1.
fn format(stick: &Stick, bits: &str, at: u64, kib: u64) {
    let mut mkfs = Command::new("mkfs.fat");
    mkfs.args(["-F", bits, "-s", "1", &format!("--offset={at}")]);
    run(mkfs.arg(&stick.image).arg(kib.to_string()));
}

/// That neither warns nor speaks of firmware.
fn is_silent(stick: &Stick, code: i32) {
    let report = stick.verify(code);
    let speaks = ["firmware", "BIOS"]
        .into_iter()
        .any(|it| report.contains(it));
    assert!(!speaks, "{report}");
}

#[test]
fn what_only_one_kind_of_firmware_starts_from_is_a_note() {
    let by_uefi = Stick::new(GPT);
    assert_eq!(by_uefi.verify(0), SOUND);
    without_code(&by_uefi);
    has(&by_uefi.verify(0), "note", &[NO_CODE, "only UEFI"]);

    let by_bios = Stick::new(GPT);
    without_programs(&by_bios);
    has(
        &by_bios.verify(0),
        "note",
        &["partition 1:", NO_PROGRAM, ONLY_BIOS],
    );
    copy_in(&by_bios, b"", 1, PROGRAM);
    let is_empty = "EFI/BOOT/BOOTX64.EFI is empty or damaged";
    has(&by_bios.verify(0), "note", &[is_empty, ONLY_BIOS]);
    // Processors of another kind have another program.
    copy_in(&by_bios, b"program", 1, "EFI/BOOT/BOOTAA64.EFI");
    assert_eq!(by_bios.verify(0), SOUND);

    for options in [["-d1", ""], ["-t1:8300", ""]] {
        let without = Stick::new(GPT);
        sgdisk(&without, &options[..1]);
        has(
            &without.verify(0),
            "note",
            &["no EFI system partition", ONLY_BIOS],
        );
    }
}

/// It carries VMware's mark as the banks do; whatever is wrong with its volume is not wrong with them.
#[test]
fn an_efi_system_partition_that_cannot_be_read_stands_in_the_way_of_no_bank() {
    let damages: [(u64, &[u8], &str, &str); 3] = [
        // The whole of what the firmware reads first; more sectors than the partition has; no FAT16 but a FAT32.
        (
            0,
            &[0; 90],
            "warning",
            "the volume is damaged: the boot sector is wrong",
        ),
        (
            32,
            &[0xff, 0xff, 0xff, 0],
            "warning",
            "the volume is damaged",
        ),
        (17, &[0; 8], "note", "cannot be looked into"),
    ];
    for (at, bytes, severity, words) in damages {
        let stick = Stick::new(GPT);
        let start = stick.partition(1);
        if at == 32 {
            stick.poke_at(start + 19, &[0, 0]);
        }
        stick.poke_at(start + at, bytes);
        has(&stick.verify(0), severity, &["partition 1:", words]);
        let info = stick.run(&["info", "STICK"]);
        assert_eq!(info.code, 0, "{}", info.all());
        let kinds: Vec<&str> = info.stdout.lines().skip(2).take(3).collect();
        assert!(kinds[0].contains(" efi "), "{kinds:?}");
        assert!(
            kinds[1..].iter().all(|it| it.contains(" bank ")),
            "{kinds:?}"
        );
        let fixed = stick.run(&["fix", "STICK"]);
        assert_eq!(fixed.code, 0, "{}", fixed.all());
        for bank in ["partition 5", "partition 6"] {
            assert!(fixed.stdout.contains(bank), "{}", fixed.stdout);
        }
        assert_eq!(stick.run(&["bank", "copy", "5", "1", "STICK"]).code, 2);
    }
}

/// An old program that was put aside, and what is called nearly so.
#[test]
fn names_that_no_firmware_looks_for_do_not_count() {
    let stick = Stick::new(GPT);
    without_code(&stick);
    without_programs(&stick);
    for name in [
        "BOOTX64_.EFI",
        "BOOTX64.BAK",
        "BOOTMGFW.EFI",
        "BOOTX64_old.efi",
    ] {
        copy_in(&stick, b"program", 1, &format!("EFI/BOOT/{name}"));
    }
    make_folders(&stick, 1, &["EFI/BOOT/BOOTX64.EFI"]);
    copy_in(&stick, b"program", 1, "EFI/BOOT/BOOTX64.EFI/x.efi");
    has(&stick.verify(0), "warning", &[NOTHING, NO_PROGRAM]);
}

#[test]
fn a_program_that_needs_a_boot_entry_of_the_machine_is_a_note() {
    let stick = Stick::new(GPT);
    delete(&stick, PROGRAM);
    let said = [
        "partition 1:",
        "programs in EFI/VMware",
        "a boot entry for them",
    ];
    has(&stick.verify(0), "note", &said);
}

#[test]
fn a_medium_from_which_no_firmware_starts_is_warned_of() {
    let stick = Stick::new(GPT);
    without_code(&stick);
    without_programs(&stick);
    let warning = [
        NOTHING,
        NO_PROGRAM,
        "(partition 1)",
        NO_CODE,
        "An earlier copy",
    ];
    has(&stick.verify(0), "warning", &warning);
    let info = stick.run(&["info", "STICK"]);
    assert_eq!(info.code, 0, "{}", info.all());
    assert!(
        warning.iter().all(|part| info.all().contains(part)),
        "{}",
        info.all()
    );
    // The configuration is changed all the same: it says nothing of how the host is started.
    assert_eq!(stick.run(&["fix", "-y", "STICK"]).code, 0);

    let of_4 = Stick::new("esxi40-mbr");
    assert_eq!(of_4.verify(0), SOUND);
    without_code(&of_4);
    has(&of_4.verify(0), "warning", &[NOTHING, "a GPT", NO_CODE]);
}

/// Whatever is there instead of a FAT volume, be it nothing at all.
#[test]
fn what_is_no_fat_volume_holds_nothing_to_start_from() {
    for content in [vec![0; 4096], vec![0xff; 4096], b"other".repeat(900)] {
        let stick = Stick::new(GPT);
        without_code(&stick);
        stick.poke_at(stick.partition(1), &content);
        has(
            &stick.verify(0),
            "warning",
            &[NOTHING, "holds no FAT volume"],
        );
    }
}

#[test]
fn what_cannot_be_looked_into_is_not_called_missing() {
    let stick = Stick::new(GPT);
    without_code(&stick);
    format(&stick, "32", 64, 4064);
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

/// Damage of other files is told of the volume, and keeps no firmware from the program.
#[test]
fn damage_elsewhere_in_the_volume_is_no_matter() {
    let stick = Stick::new(GPT);
    let start = stick.partition(1);
    let mut mshowfat = Command::new("mshowfat");
    let told = run(mshowfat.args(["-i", &volume(&stick, 1), "::syslinux.cfg"])).stdout;
    let told = String::from_utf8(told).unwrap();
    let cluster: u64 = {
        let digits = told.rsplit('<').next().unwrap();
        let end = digits.find(|it: char| !it.is_ascii_digit()).unwrap();
        digits[..end].parse().unwrap()
    };
    // FAT16: its first entry says that it is free.
    let head = &stick.bytes()[start as usize..][..16];
    let fat = u64::from(u16::from_le_bytes([head[14], head[15]])) * 512;
    stick.poke_at(start + fat + cluster * 2, &[0, 0]);
    let report = stick.verify(0);
    has(&report, "warning", &["partition 1", "damaged"]);
    assert!(!report.contains("firmware"), "{report}");
}

#[test]
fn a_bank_is_no_place_for_what_firmware_starts_whatever_its_type() {
    let stick = Stick::new(GPT);
    sgdisk(&stick, &["-t5:ef00"]);
    is_silent(&stick, 0);
    without_code(&stick);
    without_programs(&stick);
    stick.poke_at(stick.partition(1), &[0; 4096]);
    let report = stick.verify(0);
    has(
        &report,
        "warning",
        &[NOTHING, "holds no FAT volume (partition 1)"],
    );
}

#[test]
fn of_several_partitions_the_best_counts() {
    let stick = Stick::new(GPT);
    delete(&stick, PROGRAM);
    // In partition 8, a store, first as it is and then as a second EFI system partition.
    make_folders(&stick, 8, &["EFI", "EFI/BOOT"]);
    copy_in(&stick, b"program", 8, PROGRAM);
    has(
        &stick.verify(0),
        "note",
        &["partition 8:", "none of the type EFI system"],
    );
    sgdisk(&stick, &["-t8:ef00"]);
    assert_eq!(stick.verify(0), SOUND);
    format(&stick, "32", stick.partition(8) / 512, 16_000);
    has(
        &stick.verify(0),
        "note",
        &["partition 8:", "cannot be looked into"],
    );
}

/// A cut copy is to be copied again, whatever else is missing there.
#[test]
fn of_a_cut_medium_nothing_is_said_of_firmware() {
    let stick = Stick::new(GPT);
    without_code(&stick);
    without_programs(&stick);
    let file = File::options().write(true).open(&stick.image).unwrap();
    file.set_len(stick.partition(6) + 100_000).unwrap();
    is_silent(&stick, 5);
}
