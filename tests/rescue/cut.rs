//! An image that ends before its partitions do.

use super::{bank, look, number};
use crate::host::Host;
use std::fs;

const SAYS: &str = "the medium is cut off: it ends at byte";

/// The image cut off in the middle of its second bank.
fn cut() -> Host {
    let host = Host::new("esxi67-usb-passthru");
    let end = number(&bank(&host, 6)["offset"]) + (3 << 20);
    fs::write(host.path("cut.img"), &host.bytes()[..end]).unwrap();
    host
}

#[test]
fn what_the_first_bank_holds_is_read_as_from_the_whole_image_with_exit_4() {
    let host = cut();
    let commands: [&[&str]; 7] = [
        &["cat", "@", "etc/vmware/esx.conf"],
        &["cat", "@", "bank5:boot.cfg"],
        &["ls", "@", "bank5:"],
        &["ls", "@", "etc"],
        &["conf", "list", "@"],
        &["state", "export", "@", "-"],
        &["kernelopt", "show", "--bank", "5", "@"],
    ];
    for command in commands {
        let on = |image: &'static str| -> Vec<&str> {
            let words = command.iter();
            words
                .map(|word| if *word == "@" { image } else { word })
                .collect()
        };
        let run = |arguments: Vec<&str>| {
            if command[0] == "state" {
                // The file itself is no text.
                let ran = host.run(&[&arguments[..3], &["out"]].concat());
                let bytes = fs::read(host.path("out")).unwrap();
                fs::remove_file(host.path("out")).unwrap();
                (ran.code, format!("{bytes:?}"), ran.stderr)
            } else {
                let ran = look(&host, &arguments);
                (ran.code, ran.stdout, ran.stderr)
            }
        };
        let whole = run(on("STICK"));
        let cut = run(on("cut.img"));
        assert_eq!((whole.0, cut.0), (0, 4), "{command:?}: {}", cut.2);
        assert_eq!(whole.1, cut.1, "{command:?}");
        assert!(cut.2.contains(SAYS), "{command:?}: {}", cut.2);
    }
}

#[test]
fn info_names_what_is_missing_and_verify_calls_it_an_error() {
    let host = cut();
    let info = look(&host, &["info", "--json", "cut.img"]);
    let object = info.json();
    assert_eq!(info.code, 4, "{}", info.stderr);
    assert_eq!(object["banks"][0]["error"], serde_json::Value::Null);
    assert_eq!(object["banks"][1]["error"]["partition"], 6);
    let said = object["damage"][0]["message"].as_str().unwrap();
    for part in [
        SAYS,
        "of partition 6 are missing",
        "partitions 7, 8, 9 are missing as a whole",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let verify = look(&host, &["verify", "cut.img"]);
    assert_eq!(verify.code, 4);
    assert!(
        verify.stdout.contains(&format!("error [table] {SAYS}")),
        "{}",
        verify.stdout
    );
    let pci = look(&host, &["pci", "list", "--json", "cut.img"]);
    let whole = host.run(&["pci", "list", "--json", "STICK"]).json();
    assert_eq!(pci.code, 4);
    assert_eq!(
        pci.json()["banks"][0]["devices"],
        whole["banks"][0]["devices"]
    );
}

#[test]
fn what_is_there_is_compared_and_the_rest_left_out() {
    let host = cut();
    let same = look(&host, &["diff", "STICK", "cut.img"]);
    assert_eq!(
        (same.code, same.stdout.as_str()),
        (4, ""),
        "{}",
        same.stderr
    );
    host.done(&[
        "conf",
        "set",
        "STICK",
        "/system/uuid",
        "u",
        "--no-undo",
        "--bank",
        "5",
    ]);
    let differs = look(&host, &["diff", "STICK", "cut.img"]);
    assert_eq!(differs.code, 4);
    assert!(
        differs
            .stdout
            .contains("bank5:state.tgz: conf /system/uuid"),
        "{}",
        differs.stdout
    );
    assert!(!differs.stdout.contains("bank6"), "{}", differs.stdout);
    // The other bank is cut off: that is no difference to the one that is there.
    let banks = look(&host, &["diff", "--banks", "cut.img"]);
    assert_eq!((banks.code, banks.stdout.as_str()), (4, ""));
    assert!(banks.stderr.contains("cut off"), "{}", banks.stderr);
}

#[test]
fn nothing_is_written_to_it() {
    let host = cut();
    let before = fs::read(host.path("cut.img")).unwrap();
    fs::write(host.path("f"), "x").unwrap();
    let writing: [&[&str]; 8] = [
        &["fix", "cut.img"],
        &["fix", "--bank", "5", "cut.img"],
        &["fix", "-n", "--bank", "5", "cut.img"],
        &["fix", "-o", "fixed.img", "cut.img"],
        &["reclaim", "cut.img"],
        &["put", "cut.img", "f", "etc/motd", "--bank", "5"],
        &["put", "cut.img", "f", "bank5:new.txt"],
        &["kernelopt", "modify", "cut.img", "-a", "x=1", "--bank", "5"],
    ];
    for command in writing {
        let ran = look(&host, command);
        assert_eq!(ran.code, 4, "{command:?}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("partition 6 reaches from"),
            "{command:?}: {}",
            ran.stderr
        );
    }
    assert!(fs::read(host.path("cut.img")).unwrap() == before);
    assert!(!host.path("fixed.img").exists());
    // Nor by an undo file of the whole image.
    host.done(&["fix", "STICK", "-z", "undo"]);
    let ran = look(&host, &["undo", "undo", "cut.img"]);
    assert_ne!(ran.code, 0, "{}", ran.stderr);
    assert!(fs::read(host.path("cut.img")).unwrap() == before);
}

#[test]
fn every_place_to_cut_is_read_or_refused_and_never_worse() {
    for profile in ["esxi67-usb-passthru", "esxi40-mbr"] {
        let host = Host::new(profile);
        let bytes = host.bytes();
        let (first, second) = (
            number(&bank(&host, 5)["offset"]),
            number(&bank(&host, 6)["offset"]),
        );
        let places = [
            700,
            first - 100,
            first + 5000,
            second - 512,
            second,
            second + 512,
            second + 1024,
            bytes.len() - 1,
        ];
        for end in places {
            fs::write(host.path("cut.img"), &bytes[..end]).unwrap();
            for command in [
                &["info", "cut.img"][..],
                &["verify", "--quick", "cut.img"],
                &["ls", "cut.img"],
            ] {
                let ran = look(&host, command);
                let expected = if end == bytes.len() - 1 {
                    [0, 0]
                } else {
                    [4, 4]
                };
                assert!(
                    expected.contains(&ran.code),
                    "{profile} {end} {command:?}: {} {}",
                    ran.code,
                    ran.stderr
                );
            }
            let whole_first = end >= second - 512;
            let cat = look(
                &host,
                &["cat", "--bank", "5", "cut.img", "etc/vmware/esx.conf"],
            );
            assert_eq!(
                !cat.stdout.is_empty(),
                whole_first,
                "{profile} {end}: {}",
                cat.stderr
            );
            let by_default = look(&host, &["cat", "cut.img", "bank5:boot.cfg"]);
            assert_eq!(
                !by_default.stdout.is_empty(),
                whole_first,
                "{profile} {end}"
            );
        }
    }
}

/// What `fix` would refuse is not what to do next.
#[test]
fn no_change_is_advised_for_it() {
    let host = cut();
    let info = look(&host, &["info", "cut.img"]);
    assert!(
        info.stdout.contains("because it is cut off."),
        "{}",
        info.stdout
    );
    let scan = look(&host, &["scan", "."]);
    let found = scan.stdout.split("./").find(|it| it.starts_with("cut.img"));
    assert!(
        found.unwrap().contains("damaged: the medium is cut off"),
        "{}",
        scan.stdout
    );
    for said in [&info.stdout, found.unwrap()] {
        assert!(!said.contains("bootbank fix"), "{said}");
    }
}
