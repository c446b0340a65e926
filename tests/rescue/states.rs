//! A state that is cut off or damaged: what is left is what other programs find in it.

use super::{bank, look, number, places, tar_names};
use crate::host::{Host, run};
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use bootbank::state::{KeyCache, Limits, ReadState as _, Rescued};
use proptest::test_runner::TestRunner;

const PLAIN: &str = "esxi67-usb-passthru";
const ENCRYPTED: &str = "esxi702-encrypted";

/// Gives the state of bank 5 another size in its directory entry.
fn shorten(host: &Host, bytes: &mut [u8], size: usize) {
    let bank = bank(host, 5);
    let entry = number(&bank["offset"]) + number(&bank["files"]["state.tgz"]["entry_offset"]);
    let size = u32::try_from(size).unwrap();
    bytes[entry + 28..entry + 32].copy_from_slice(&size.to_le_bytes());
}

/// The conditions that `ls --rescue` gives the members of bank 5, by path.
fn conditions(host: &Host) -> BTreeMap<String, String> {
    let ran = look(
        host,
        &["ls", "--rescue", "--bank", "5", "--json", "STICK", "/"],
    );
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    let object = ran.json();
    assert!(!object["damage"].as_array().unwrap().is_empty());
    let entries = object["entries"].as_array().unwrap().iter();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    entries
        .map(|entry| (text(&entry["path"]), text(&entry["condition"])))
        .collect()
}

fn cat(host: &Host, path: &str) -> (Vec<u8>, i32) {
    let out = host.path("out");
    let ran = look(
        host,
        &[
            "get", "--rescue", "--force", "--bank", "5", "STICK", path, "out",
        ],
    );
    let bytes = fs::read(&out).unwrap_or_default();
    let _ = fs::remove_file(out);
    (bytes, ran.code)
}

#[test]
fn a_state_cut_off_anywhere_gives_what_gzip_and_tar_give() {
    let host = Host::new(PLAIN);
    let tree = host.unpacked(5, "tree");
    let state = host.bank_file(5, "STATE.TGZ");
    let image = host.bytes();
    for part in [3, 5, 7] {
        let size = state.len() * part / 8;
        let mut bytes = image.clone();
        shorten(&host, &mut bytes, size);
        fs::write(&host.image, bytes).unwrap();
        fs::write(host.path("cut.tgz"), &state[..size]).unwrap();
        let script = "gzip -dc cut.tgz >outer.tar 2>/dev/null; tail -c +513 outer.tar | gzip -dc >inner.tar 2>/dev/null; true";
        run(Command::new("sh")
            .args(["-c", script])
            .current_dir(host.path("")));
        let names = tar_names(&host.path("inner.tar"));
        let found = conditions(&host);
        let listed: Vec<&String> = found.keys().collect();
        let mut expected: Vec<&String> = names.iter().collect();
        expected.sort();
        assert_eq!(listed, expected, "{part}/8");
        assert!(
            !host
                .run(&["ls", "STICK", "--bank", "5", "/"])
                .stderr
                .is_empty()
        );
        for (path, condition) in &found {
            let original = fs::read(tree.join(path)).unwrap();
            let (bytes, code) = cat(&host, path);
            assert_eq!(code, 4, "{path}");
            match condition.as_str() {
                "whole" => assert!(bytes == original, "{part}/8: {path}"),
                "cut" => {
                    assert!(
                        bytes.len() < original.len() && original.starts_with(&bytes),
                        "{part}/8: {path}"
                    );
                    assert_eq!(Some(path), names.last());
                }
                other => panic!("{path} is {other}"),
            }
        }
    }
}

/// What `pci list` finds in what is left is what `info` counts, and a change is not offered.
#[test]
fn info_counts_what_is_passed_through_in_what_is_left() {
    let host = Host::new(PLAIN);
    let whole = look(&host, &["info", "--json", "STICK"]).json();
    let size = host.bank_file(5, "STATE.TGZ").len();
    let mut bytes = host.bytes();
    shorten(&host, &mut bytes, size - 200);
    fs::write(&host.image, bytes).unwrap();
    let state = |object: &serde_json::Value| object["banks"][0]["states"][0].clone();
    let closed = look(&host, &["info", "--json", "STICK"]);
    assert_eq!(closed.code, 0, "{}", closed.stderr);
    assert!(state(&closed.json())["passed_through"].is_null());
    let ran = look(&host, &["info", "--rescue", "--json", "STICK"]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    let rescued = ran.json();
    for key in ["passed_through", "form", "host"] {
        assert_eq!(state(&rescued)[key], state(&whole)[key], "{key}");
    }
    assert_eq!(state(&rescued)["error"]["kind"], "damaged");
    assert!(!rescued["damage"].as_array().unwrap().is_empty());
    let ran = look(&host, &["info", "--rescue", "STICK"]);
    assert!(
        ran.stdout
            .contains("2 devices passed through in what is left of it")
    );
    assert!(!ran.stdout.contains("bootbank fix"), "{}", ran.stdout);
}

#[test]
fn a_checksum_that_is_wrong_outside_leaves_what_is_inside_whole() {
    for profile in [PLAIN, ENCRYPTED] {
        let host = Host::new(profile);
        let tree = host.unpacked(5, "tree");
        let mut bytes = host.bytes();
        let places = places(&bank(&host, 5), "state.tgz");
        bytes[places[places.len() - 6]] ^= 1;
        fs::write(&host.image, bytes).unwrap();
        let conf = look(&host, &["conf", "list", "--bank", "5", "STICK"]);
        assert_eq!((conf.code, conf.stdout.as_str()), (4, ""));
        for part in [
            "bootbank state copy FROM TO STICK",
            "bootbank state import",
            "--rescue",
        ] {
            assert!(conf.stderr.contains(part), "{}", conf.stderr);
        }
        let found = conditions(&host);
        assert!(
            found.values().all(|it| it == "whole"),
            "{profile}: {found:?}"
        );
        for path in found.keys() {
            let (bytes, _) = cat(&host, path);
            assert!(
                bytes == fs::read(tree.join(path)).unwrap(),
                "{profile}: {path}"
            );
        }
        let export = look(
            &host,
            &[
                "state", "export", "--rescue", "--bank", "5", "STICK", "kept.tgz",
            ],
        );
        assert_eq!(export.code, 4, "{}", export.stderr);
        assert!(fs::read(host.path("kept.tgz")).unwrap() == host.bank_file(5, "STATE.TGZ"));
        let pci = look(&host, &["pci", "list", "--rescue", "--json", "STICK"]);
        assert_eq!(pci.code, 4);
        let banks = &pci.json()["banks"];
        assert!(
            !banks[0]["devices"].as_array().unwrap().is_empty(),
            "{banks}"
        );
        host.refuses(&["fix", "--bank", "5", "--rescue", "STICK"], 2, "--rescue");
        host.refuses(&["fix", "--bank", "5", "STICK"], 4, "CRC");
        host.refuses(&["state", "import", "STICK", "kept.tgz"], 4, "CRC");
    }
}

/// Bits flipped all over a state: what is called whole is whole, and what is told is told.
#[test]
fn no_member_is_called_whole_that_is_not() {
    for profile in [PLAIN, ENCRYPTED] {
        let host = Host::new(profile);
        let tree = host.unpacked(5, "tree");
        let image = host.bytes();
        let places = places(&bank(&host, 5), "state.tgz");
        let mut rescued = 0;
        for step in 1..24 {
            let mut bytes = image.clone();
            bytes[places[places.len() * step / 24]] ^= 0x10;
            fs::write(&host.image, bytes).unwrap();
            let ran = look(
                &host,
                &["ls", "--rescue", "--bank", "5", "--json", "STICK", "/"],
            );
            assert!(
                matches!(ran.code, 0 | 4),
                "{profile} {step}: {}",
                ran.stderr
            );
            let object = ran.json();
            let entries = object["entries"].as_array().cloned().unwrap_or_default();
            rescued += usize::from(!entries.is_empty());
            for entry in entries.iter().filter(|entry| entry["condition"] == "whole") {
                let path = entry["path"].as_str().unwrap();
                let (bytes, _) = cat(&host, path);
                assert!(
                    bytes == fs::read(tree.join(path)).unwrap(),
                    "{profile} {step}: {path}"
                );
            }
        }
        assert!(rescued > 12, "{profile}: {rescued} of 23");
    }
}

#[test]
fn a_key_that_is_cut_off_is_taken_from_the_other_bank() {
    let host = Host::new(ENCRYPTED);
    let tree = host.unpacked(5, "tree");
    fs::write(host.path("own.tgz"), host.bank_file(5, "STATE.TGZ")).unwrap();
    host.done(&[
        "state",
        "import",
        "--bank",
        "6",
        "--no-undo",
        "STICK",
        "own.tgz",
    ]);
    let size = host.bank_file(5, "STATE.TGZ").len() * 2 / 3;
    let mut bytes = host.bytes();
    shorten(&host, &mut bytes, size);
    fs::write(&host.image, bytes).unwrap();
    let found = conditions(&host);
    assert!(
        found.values().filter(|it| *it == "whole").count() > 3,
        "{found:?}"
    );
    for (path, _) in found.iter().filter(|(_, condition)| *condition == "whole") {
        let (bytes, _) = cat(&host, path);
        assert!(bytes == fs::read(tree.join(path)).unwrap(), "{path}");
    }
}

/// A `local.tgz.ve` that was taken out of its state, with its `encryption.info` beside it.
#[test]
fn an_envelope_of_its_own_is_rescued_as_far_as_it_goes() {
    let host = Host::new(ENCRYPTED);
    let tree = host.unpacked(5, "tree");
    let outer = host.path("outer");
    fs::create_dir(&outer).unwrap();
    fs::write(outer.join("state.tgz"), host.bank_file(5, "STATE.TGZ")).unwrap();
    run(Command::new("tar")
        .current_dir(&outer)
        .args(["-xzf", "state.tgz"]));
    let file = outer.join("local.tgz.ve");
    let whole = fs::read(&file).unwrap();
    let mut bytes = whole.clone();
    let at = bytes.len() * 3 / 4;
    bytes[at] ^= 4;
    for damaged in [&bytes, &whole[..at]] {
        fs::write(&file, damaged).unwrap();
        let listed = look(
            &host,
            &["ls", "--rescue", "--json", "outer/local.tgz.ve", "/"],
        );
        assert_eq!(listed.code, 4, "{}", listed.stderr);
        let object = listed.json();
        let entries = object["entries"].as_array().unwrap().iter();
        let mut sound = entries.filter(|it| it["condition"] == "whole");
        let path = sound.next().expect("something is left")["path"]
            .as_str()
            .unwrap();
        let ran = look(
            &host,
            &[
                "get",
                "--rescue",
                "--force",
                "outer/local.tgz.ve",
                path,
                "out",
            ],
        );
        assert_eq!(ran.code, 4, "{}", ran.stderr);
        assert!(fs::read(host.path("out")).unwrap() == fs::read(tree.join(path)).unwrap());
    }
    // What leaves nothing is not told to be rescued.
    fs::write(&file, &whole[..600]).unwrap();
    let ran = look(&host, &["ls", "--rescue", "outer/local.tgz.ve", "/"]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("an older backup"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("with --rescue"), "{}", ran.stderr);
}

/// A state file has no other bank whose state could take its place.
#[test]
fn the_hint_for_a_damaged_state_file_is_about_files() {
    let host = Host::new(PLAIN);
    let state = host.bank_file(5, "STATE.TGZ");
    fs::write(host.path("cut.tgz"), &state[..state.len() / 2]).unwrap();
    for command in [
        &["verify", "cut.tgz"][..],
        &["info", "--rescue", "cut.tgz"],
        &["pci", "list", "cut.tgz"],
    ] {
        let ran = look(&host, command);
        assert_eq!(ran.code, 4);
        let said = ran.stdout + &ran.stderr;
        assert!(!said.contains("state copy"), "{command:?}: {said}");
    }
}

#[test]
fn a_state_that_unpacks_to_too_much_stays_closed() {
    let host = Host::new(PLAIN);
    let mut bytes = host.bytes();
    let size = host.bank_file(5, "STATE.TGZ").len() * 7 / 8;
    shorten(&host, &mut bytes, size);
    fs::write(&host.image, bytes).unwrap();
    let ran = look(
        &host,
        &[
            "ls",
            "--rescue",
            "--bank",
            "5",
            "--max-unpacked",
            "4K",
            "STICK",
            "/",
        ],
    );
    assert_eq!(ran.code, 3, "{}", ran.stderr);
}

#[test]
fn whatever_is_damaged_something_or_nothing_is_left_and_never_a_panic() {
    for profile in [PLAIN, ENCRYPTED] {
        let state = Host::new(profile).bank_file(5, "STATE.TGZ");
        let keys = KeyCache::new();
        let hits = proptest::collection::vec((0..state.len(), 0_u8..=255), 0..4);
        let damage = (
            hits,
            0..=state.len(),
            proptest::option::of(0..=state.len() as u64),
        );
        let mut runner = TestRunner::deterministic();
        let ran = runner.run(&damage, |(hits, len, readable)| {
            let mut bytes = state.clone();
            for (at, byte) in hits {
                bytes[at] = byte;
            }
            bytes.truncate(len);
            let limits = Limits::default();
            let opened = Rescued::open("state.tgz", &bytes, readable, &limits, &keys, &[]);
            if let Ok(rescued) = opened {
                for member in rescued.members().unwrap() {
                    let _ = rescued.condition_of(member);
                    let content = rescued.content(&member.path());
                    assert!(content.ok().flatten().unwrap_or_default().len() <= 1 << 20);
                }
            }
            Ok(())
        });
        ran.unwrap();
    }
}
