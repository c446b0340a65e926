//! What people see, word for word: a change of wording is a change of these files. After a
//! change that is meant: `INSTA_UPDATE=always cargo test --test sticks words`.

use super::images::{bundled, bundled_names, small};
use super::program::{Bench, Ran};
use crate::args;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Longer rows of a database are cut: what they say is not what is pinned here.
const WIDEST: usize = 140;

/// A run as text: the command, both streams, the exit code.
fn told(bench: &Bench, arguments: &[OsString]) -> String {
    let shown: Vec<String> = arguments
        .iter()
        .map(|a| a.to_string_lossy().into())
        .collect();
    let Ran {
        code,
        stdout,
        stderr,
    } = bench.run(arguments);
    let mut text = format!("$ bootbank {}\n{stdout}", shown.join(" "));
    for line in stderr.lines() {
        text.push_str(&format!("2> {line}\n"));
    }
    if code != 0 {
        text.push_str(&format!("exit {code}\n"));
    }
    tidy(bench, &text) + "\n"
}

/// Without what differs from run to run.
fn tidy(bench: &Bench, text: &str) -> String {
    let directory = bench.path().display().to_string();
    let text = text.replace(&format!("{directory}/"), "");
    let lines = text
        .lines()
        .map(|line| match line.char_indices().nth(WIDEST) {
            Some((at, _)) if line.contains("Value {") => format!("{}...\n", &line[..at]),
            _ => format!("{line}\n"),
        });
    lines.collect()
}

#[test]
fn the_bundled_images_in_words() {
    for name in bundled_names() {
        let bench = Bench::new();
        let stick = bundled(&name, bench.path());
        let stick = stick.file_name().unwrap();
        let undo = "way-back.undo";
        let mut text = String::new();
        for arguments in [
            args!["info", stick].to_vec(),
            args!["pci", "list", stick].to_vec(),
            args!["verify", stick].to_vec(),
            args!["fix", "-n", "--diff", stick].to_vec(),
            args!["fix", stick, "-z", undo].to_vec(),
            args!["fix", stick].to_vec(),
            args!["undo", "-n", undo, stick].to_vec(),
            args!["undo", undo, stick].to_vec(),
            args!["undo", undo, stick].to_vec(),
        ] {
            // A sealed image leaves no undo file, and what that says is among the errors.
            if arguments[0] != "undo" || bench.file(undo).exists() {
                text.push_str(&told(&bench, &arguments));
            }
        }
        insta::assert_snapshot!(name, text);
    }
}

#[test]
fn listings_in_words() {
    let bench = Bench::new();
    let stick = bundled("esxi40-mbr", bench.path());
    let stick = stick.file_name().unwrap();
    let text: String = [
        args!["ls", stick, "bank:"],
        args!["ls", stick, "etc/vmware"],
        args!["ls", stick, "etc/absent"],
    ]
    .iter()
    .map(|arguments| told(&bench, arguments))
    .collect();
    insta::assert_snapshot!("listings", text);
}

#[test]
fn errors_in_words() {
    let bench = Bench::new();
    let stick = small("esxi67-fresh").copy_to(bench.path());
    let bytes = fs::read(&stick).unwrap();
    let made = |name: &str, bytes: &[u8]| fs::write(bench.file(name), bytes).unwrap();
    made("empty.img", b"");
    made("text.img", b"this is no image of a disk");
    made("zeros.img", &vec![0; 1 << 20]);
    made("short.img", &bytes[..6 << 20]);
    made("broken-gpt.img", &changed(&bytes, 512 + 16, 1));
    made("broken-bank.img", &changed(&bytes, 8224 * 512 + 13, 0x55));
    made("stray.img", &stray_line(&bench, &stick));
    made("image.qcow2", b"QFI\xfb\0\0\0\x03");
    made(
        "image.img.gz",
        &fs::read(super::images::manifest("testimages/esxi67-fresh.img.gz")).unwrap(),
    );
    fs::set_permissions(bench.file("stick.img"), fs::Permissions::from_mode(0o644)).unwrap();
    let stick = "stick.img";
    let other = small("esxi67-gpt");
    fs::copy(&other.path, bench.file("other.img")).unwrap();
    bench.done(&args!["fix", "other.img", "-z", "other.undo"]);
    let mut text = String::new();
    for arguments in [
        args!["info", "absent.img"].to_vec(),
        args!["info", "empty.img"].to_vec(),
        args!["info", "text.img"].to_vec(),
        args!["info", "zeros.img"].to_vec(),
        args!["info", "short.img"].to_vec(),
        args!["info", "broken-gpt.img"].to_vec(),
        args!["info", "broken-bank.img"].to_vec(),
        args!["fix", "broken-bank.img"].to_vec(),
        args!["verify", "broken-bank.img"].to_vec(),
        args!["info", "image.qcow2"].to_vec(),
        args!["info", "image.img.gz"].to_vec(),
        args!["info", "."].to_vec(),
        args!["info", "/dev/null"].to_vec(),
        args!["info", stick, "--sector-size", "4096"].to_vec(),
        args!["fix", stick, "--bank", "7"].to_vec(),
        args!["fix", stick, "--bank", "6"].to_vec(),
        args!["fix", stick, "-d", "0000:77:00.0"].to_vec(),
        args!["fix", stick, "-d", "nonsense"].to_vec(),
        args!["pci", "set", stick, "-d", "vmhba77", "-e", "true"].to_vec(),
        args!["fix", stick, "--max-unpacked", "10K"].to_vec(),
        args!["fix", stick, "-z", "other.undo"].to_vec(),
        args!["fix", stick, "-o", "other.img"].to_vec(),
        args!["fix", stick, "-o", stick, "--force"].to_vec(),
        args!["fix", stick, "other.img", "-o", "copy.img"].to_vec(),
        args!["fix", "-n", "--check", stick].to_vec(),
        args!["fix", "stray.img", "-z", "stray.undo"].to_vec(),
        args!["info", "stray.img"].to_vec(),
        args!["verify", "stray.img"].to_vec(),
        args!["cat", stick, "etc/absent"].to_vec(),
        args!["undo", "absent.undo"].to_vec(),
        args!["undo", "text.img", stick].to_vec(),
        args!["undo", "other.undo", stick].to_vec(),
        args!["undo", "-n", "other.undo", stick, "--force"].to_vec(),
        args!["fix", "zeros.img", stick, "absent.img", "--check"].to_vec(),
    ] {
        text.push_str(&told(&bench, &arguments));
    }
    assert!(
        fs::read(bench.file(stick)).unwrap() == bytes,
        "nothing was written"
    );
    insta::assert_snapshot!("errors", text);
}

fn changed(bytes: &[u8], at: usize, to: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= to;
    bytes
}

/// The image with nothing passed through but a line that only looks like it.
fn stray_line(bench: &Bench, stick: &Path) -> Vec<u8> {
    use std::process::Command;
    let image = bench.file("line.img");
    let at = format!("{}@@{}", image.display(), 8224 * 512);
    let script = format!(
        r#"set -e
        cp "$1" "$2"; mkdir "$2.d"; cd "$2.d"
        mcopy -n -i "{at}" ::/state.tgz state.tgz
        tar -xzf state.tgz; mkdir local; tar -xzf local.tgz -C local
        sed -i 's/owner = "passthru"/owner = "Passthru"/' local/etc/vmware/esx.conf
        pack() {{ tar --sort=name --mtime=@0 --owner=0 --group=0 --mode=0644 -cf - "$@" | gzip -n; }}
        pack -C local etc >packed; mv packed local.tgz; pack local.tgz >state.tgz
        mcopy -o -i "{at}" state.tgz ::/state.tgz"#
    );
    let mut shell = Command::new("sh");
    super::images::run(shell.args(["-c", &script, "sh"]).arg(stick).arg(&image));
    fs::read(image).unwrap()
}

/// A device that esx.conf and the ConfigStore both name is one device, whoever counts.
#[test]
fn every_command_counts_the_devices_passed_through_alike() {
    let bench = Bench::new();
    let stick = bundled("esxi70u1-both", bench.path());
    let set = args![
        "pci",
        "set",
        stick,
        "-d",
        "00:14.0",
        "-e",
        "true",
        "-y",
        "--no-undo"
    ];
    let (set, info) = (bench.run(&set), bench.run(&args!["info", stick]));
    let count = |text: &str| -> Vec<String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let is_counted = |at: &usize| words[*at].starts_with("device");
        let counted = (1..words.len() - 1).filter(is_counted);
        let passed = counted.filter(|at| words[at + 1..].iter().take(3).any(|it| *it == "passed"));
        passed.map(|at| words[at - 1].to_owned()).collect()
    };
    let said = format!("{}{}", set.stdout, set.stderr);
    let (told, shown) = (count(&said), count(&info.stdout));
    assert!(
        !told.is_empty() && !shown.is_empty(),
        "{said}{}",
        info.stdout
    );
    assert!(
        told.iter().all(|it| shown.contains(it)),
        "{said}{}",
        info.stdout
    );
}

/// Two clusters of bank 5 that no file has, as a cut run leaves them; bank 6 has none.
#[test]
fn reclaim_says_what_it_frees_in_which_bank() {
    let bench = Bench::new();
    let stick = bundled("esxi67-usb-passthru", bench.path());
    let mut bytes = fs::read(&stick).unwrap();
    let volume = 8224 * 512;
    let word = |at: usize| {
        usize::from(u16::from_le_bytes([
            bytes[volume + at],
            bytes[volume + at + 1],
        ]))
    };
    let (reserved, fats, length) = (word(14), usize::from(bytes[volume + 16]), word(22));
    for copy in 0..fats {
        let entry = volume + (reserved + copy * length) * 512 + 2 * 1000;
        assert_eq!(bytes[entry..entry + 4], [0; 4]);
        bytes[entry..entry + 4].fill(0xff);
    }
    fs::write(&stick, bytes).unwrap();
    let ran = bench.run(&args!["reclaim", "-n", stick]);
    assert!(
        ran.stdout
            .contains("bank on partition 6: nothing to change"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("2 leftover clusters are freed"),
        "{}",
        ran.stdout
    );
    let ran = bench.run(&args!["reclaim", "-n", "--json", stick]);
    let object: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let banks = object["banks"].as_array().unwrap().iter();
    let freed: Vec<(u64, u64)> = banks
        .map(|bank| {
            (
                bank["partition"].as_u64().unwrap(),
                bank["leftovers"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(freed, [(6, 0), (5, 2)]);
}
