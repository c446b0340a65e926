//! A whole table beside the one that the loader uses: found, read, and restored with sgdisk.

use super::look;
use crate::host::{Host, run};
use std::fs;
use std::process::Command;

const NTFS: [u8; 16] = [0x80, 32, 33, 0, 7, 254, 255, 255, 0, 8, 0, 0, 0, 64, 0, 0];

struct Case {
    name: &'static str,
    spoil: fn(&mut [u8]),
    /// The word for `--table`, and what the refusal says of it.
    table: &'static str,
    says: &'static str,
}

const GPT: &str = "a whole GPT is behind it";
const BACKUP: &str = "the backup GPT at the end of the medium is whole";

#[rustfmt::skip]
const CASES: [Case; 6] = [
    Case { name: "byte 446 is 80", spoil: |b| b[446] = 0x80, table: "gpt", says: GPT },
    Case { name: "slot 1 is NTFS", spoil: |b| b[446..462].copy_from_slice(&NTFS), table: "gpt", says: GPT },
    Case { name: "no 55 aa and no entry", spoil: |b| b[446..512].fill(0), table: "gpt", says: GPT },
    Case { name: "sector 0 is zeroed", spoil: |b| b[..512].fill(0), table: "gpt", says: GPT },
    Case { name: "sector 1 is zeroed", spoil: |b| b[512..1024].fill(0), table: "backup", says: BACKUP },
    Case { name: "an entry is damaged", spoil: |b| b[1030] ^= 1, table: "backup", says: BACKUP },
];

/// What sgdisk is to run, out of a hint.
fn restoring(hint: &str) -> String {
    let start = hint.find("then: ").expect("a command") + "then: ".len();
    let end = hint[start..].find("; meanwhile").unwrap();
    hint[start..start + end].to_owned()
}

#[test]
fn it_is_named_with_what_restores_it_and_read_meanwhile() {
    for case in CASES {
        let host = Host::new("esxi67-usb-passthru");
        let listed = host.done(&["conf", "list", "STICK"]);
        let mut bytes = host.bytes();
        // The boot code of a BIOS start stays, too.
        for (at, byte) in bytes[..440].iter_mut().enumerate() {
            *byte = (at * 7 % 251).try_into().unwrap();
        }
        let whole = bytes.clone();
        (case.spoil)(&mut bytes);
        let spoiled = bytes.clone();
        fs::write(&host.image, bytes).unwrap();
        for command in [
            &["info", "STICK", "--json"][..],
            &["fix", "STICK", "--json"],
        ] {
            let ran = look(&host, command);
            let error = &ran.json()["error"];
            let message = error["message"].as_str().unwrap();
            assert_eq!(ran.code, 4, "{}: {message}", case.name);
            assert!(message.ends_with(case.says), "{}: {message}", case.name);
            let hint = error["hint"].as_str().unwrap();
            let option = format!("--table {}", case.table);
            assert!(hint.contains(&option), "{}: {hint}", case.name);
        }
        assert_eq!(
            host.done(&["conf", "list", "STICK", "--table", case.table]),
            listed
        );
        let info = look(&host, &["info", "STICK", "--table", case.table]);
        assert_eq!(info.code, 4, "{}: {}", case.name, info.stderr);
        for wrong in ["bootbank fix", "bootbank bank use", "; boots next"] {
            assert!(!info.stdout.contains(wrong), "{}", info.stdout);
        }
        let why = "ESXi's loader does not use this table";
        assert!(info.stdout.contains(why), "{}", info.stdout);
        let told = look(&host, &["info", "STICK", "--json", "--table", case.table]).json();
        assert_eq!(told["next_boot"]["starts"], false, "{}: {told}", case.name);
        assert_eq!(told["next_boot"]["reasons"][0], why, "{}", case.name);
        let banks = look(&host, &["bank", "list", "STICK", "--table", case.table]);
        assert_eq!(banks.code, 4, "{}: {}", case.name, banks.stderr);
        assert!(!banks.stdout.contains("; boots next"), "{}", banks.stdout);
        for bank in told["banks"].as_array().unwrap() {
            assert_eq!(bank["boots_next"], false, "{}: {bank}", case.name);
            assert_eq!(bank["why_not"], why, "{}: {bank}", case.name);
        }
        let verify = look(&host, &["verify", "STICK", "--table", case.table]);
        assert_eq!(verify.code, 4, "{}: {}", case.name, verify.stdout);
        for writing in [
            &["fix", "STICK"][..],
            &["reclaim", "STICK"],
            &["fix", "-n", "STICK"],
        ] {
            let writing = [writing, &["--table", case.table]].concat();
            let ran = look(&host, &writing);
            assert_eq!(ran.code, 2, "{}: {}", case.name, ran.stderr);
        }
        assert!(
            host.bytes() == spoiled,
            "{}: something was written",
            case.name
        );

        let info = look(&host, &["info", "STICK", "--json"]);
        let hint = info.json()["error"]["hint"].as_str().unwrap().to_owned();
        let image = host.image.display().to_string();
        let line = restoring(&hint).replace("STICK", &image);
        run(Command::new("sh").arg("-c").arg(&line));
        let checked = run(Command::new("sgdisk").arg("-v").arg(&host.image));
        let checked = String::from_utf8(checked.stdout).unwrap();
        assert!(
            checked.contains("No problems found"),
            "{}: {checked}",
            case.name
        );
        assert_eq!(
            host.done(&["conf", "list", "STICK"]),
            listed,
            "{}",
            case.name
        );
        assert_eq!(host.run(&["info", "STICK"]).code, 0, "{}", case.name);
        let after = host.bytes();
        assert!(
            after[512..] == whole[512..],
            "{}: more than the MBR changed",
            case.name
        );
        if case.name != "sector 0 is zeroed" {
            assert!(
                after[..440] == whole[..440],
                "{}: the boot code changed",
                case.name
            );
        }
    }
}

#[test]
fn without_a_whole_one_there_is_nothing_to_name() {
    let host = Host::new("esxi67-usb-passthru");
    let mut bytes = host.bytes();
    let end = bytes.len() - 512;
    bytes[512] ^= 1;
    bytes[end + 20] ^= 1;
    fs::write(&host.image, bytes).unwrap();
    let ran = look(&host, &["info", "STICK"]);
    assert_eq!(ran.code, 4);
    assert!(!ran.stderr.contains("--table"), "{}", ran.stderr);
    for (table, says) in [
        ("gpt", "the primary GPT is damaged"),
        ("backup", "there is no whole backup GPT"),
    ] {
        let ran = look(&host, &["info", "STICK", "--table", table]);
        assert_eq!(ran.code, 4);
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
    }
    let ran = look(&host, &["info", "STICK", "--table", "mbr"]);
    assert_eq!(ran.code, 2);
}

#[test]
fn where_there_is_no_gpt_none_is_called_damaged() {
    for profile in ["esxi40-mbr", "zeros"] {
        let host = Host::new("esxi40-mbr");
        if profile == "zeros" {
            fs::write(&host.image, vec![0; 4 << 20]).unwrap();
        }
        for command in ["info", "verify"] {
            let ran = look(&host, &[command, "STICK", "--table", "gpt"]);
            assert_eq!(ran.code, 4, "{profile}: {}", ran.stderr);
            let told = ran.stderr + &ran.stdout;
            assert!(told.contains("there is no GPT"), "{profile}: {told}");
            assert!(!told.contains("the primary GPT"), "{profile}: {told}");
        }
        let ran = look(&host, &["info", "STICK", "--json", "--table", "gpt"]);
        let error = ran.json()["error"].clone();
        assert_eq!(error["kind"], "unsupported", "{error}");
        let hint = error["hint"].as_str().unwrap();
        assert!(hint.contains("leave --table out"), "{hint}");
    }
}

#[test]
fn a_gpt_that_the_mbr_leads_to_is_the_loaders_own() {
    let host = Host::new("esxi67-usb-passthru");
    for command in [
        &["verify", "STICK"][..],
        &["info", "STICK"],
        &["bank", "list", "STICK"],
    ] {
        let usual = look(&host, command);
        let asked = look(&host, &[command, &["--table", "gpt"]].concat());
        assert_eq!((usual.code, &usual.stdout), (asked.code, &asked.stdout));
    }
}
