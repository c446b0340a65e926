//! What is said and asked on a terminal, by way of script(1), which makes one.

use crate::program::{Bench, sha256, text};
use bootbank::partition::PartitionTable;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

/// Runs the program on a terminal where `answer` is typed; its exit code and all that the
/// terminal showed.
fn on_a_terminal(bench: &Bench, arguments: &str, answer: &str) -> (i32, String) {
    let command = format!("{} {arguments}", env!("CARGO_BIN_EXE_bootbank"));
    let mut script = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .env("XDG_STATE_HOME", bench.path("state"))
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script(1) is missing: scripts/test.sh installs it");
    let mut keyboard = script.stdin.take().unwrap();
    keyboard.write_all(answer.as_bytes()).unwrap();
    let output = script.wait_with_output().unwrap();
    drop(keyboard);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code().unwrap(), shown)
}

#[test]
fn cat_warns_of_a_secret_on_a_terminal_and_not_in_a_pipe() {
    let bench = Bench::new();
    let image = bench.bundled("esxi67-fresh");
    let image = text(&image);
    let piped = bench
        .command()
        .args(["cat", image, "etc/shadow"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&piped.stderr), "");
    for (path, is_secret) in [("etc/shadow", true), ("etc/hosts", false)] {
        let (code, shown) = on_a_terminal(&bench, &format!("cat {image} {path}"), "");
        assert_eq!(code, 0, "{shown}");
        assert_eq!(
            shown.contains("holds secrets of the host"),
            is_secret,
            "{shown}"
        );
    }
}

#[test]
fn fix_asks_on_a_terminal_and_takes_no_for_an_answer() {
    let bench = Bench::new();
    let image = bench.bundled("esxi67-fresh");
    let before = sha256(&image);
    let arguments = format!("fix {}", text(&image));
    for answer in ["n\n", "\n", "\u{4}"] {
        let (code, shown) = on_a_terminal(&bench, &arguments, answer);
        assert_eq!(code, 3, "{shown}");
        assert!(shown.contains("[y/N]"), "{shown}");
        let which = "(23.0 MiB, host UUID 49093750-250e-4213-a57e-f6c9d4620e83)?";
        assert!(shown.contains(which), "{shown}");
        assert!(
            shown.contains("not confirmed; nothing was written"),
            "{shown}"
        );
        assert_eq!(sha256(&image), before);
        assert_eq!(bench.undo_files().len(), 0);
    }
    let (code, shown) = on_a_terminal(&bench, &arguments, "y\n");
    assert_eq!(code, 0, "{shown}");
    assert_ne!(sha256(&image), before);
}

#[test]
fn a_change_in_place_is_asked_about_though_the_device_was_named() {
    let bench = Bench::new();
    let image = bench.made("esxi67-fullbank");
    let before = sha256(&image);
    let arguments = format!("fix --in-place -d 0000:00:14.0 {}", text(&image));
    let (code, shown) = on_a_terminal(&bench, &arguments, "n\n");
    assert_eq!(code, 3, "{shown}");
    let one_line = shown.replace("\r\n", " ");
    for part in [
        "no room for a second copy",
        "the host does not boot until",
        "bootbank undo /",
        "[y/N]",
    ] {
        assert!(one_line.contains(part), "no `{part}` in {shown}");
    }
    assert_eq!(sha256(&image), before);
    let (code, shown) = on_a_terminal(&bench, &arguments, "y\n");
    assert_eq!(code, 0, "{shown}");
    assert_ne!(sha256(&image), before);
}

/// A clone whose second bank was formatted anew: everything an undo compares is the same.
#[test]
fn force_asks_where_the_banks_are_not_those_of_the_undo_file() {
    let bench = Bench::new();
    let image = bench.bundled("esxi67-fresh");
    let undo = bench.path("way.undo");
    bench
        .run(&["fix", "-q", "-z", text(&undo), text(&image)])
        .exits(0);
    let mut bytes = fs::read(&image).unwrap();
    let table = PartitionTable::read(&bytes, None).unwrap();
    let start = usize::try_from(table.partition(6).unwrap().first_lba.0).unwrap() * 512;
    // The UUID stands behind sixteen bytes of mark in the second sector.
    assert_eq!(&bytes[start + 512..][..12], b"VMWARE FAT16");
    bytes[start + 512 + 16] ^= 1;
    fs::write(&image, bytes).unwrap();
    let before = sha256(&image);
    let arguments = format!("undo --force {} {}", text(&undo), text(&image));
    let (code, shown) = on_a_terminal(&bench, &arguments, "n\n");
    assert_eq!(code, 3, "{shown}");
    assert!(
        shown.contains("another medium than that of the undo file"),
        "{shown}"
    );
    assert!(
        shown.contains("the bank on partition 6 has the UUID"),
        "{shown}"
    );
    assert_eq!(sha256(&image), before);
    // Where nobody can be asked, --force was said already.
    bench
        .run(&["undo", "-n", "--force", text(&undo), text(&image)])
        .exits(0);
    let (code, shown) = on_a_terminal(&bench, &arguments, "y\n");
    assert_eq!(code, 0, "{shown}");
    assert_ne!(sha256(&image), before);
}
