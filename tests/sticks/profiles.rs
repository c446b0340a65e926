//! Every profile: looked at, fixed, fixed again, undone, and a device set and taken back.

use super::images::{self, Image, manifest, run};
use super::program::{Bench, digest, judge, judge_fixed};
use crate::args;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// A test for each profile that has a way through `fix`.
macro_rules! profiles {
    ($($test:ident: $name:literal),* $(,)?) => {
        const TESTED: &[&str] = &[$($name),*];
        $(#[test] fn $test() { whole_way(&images::profile($name)); })*
    };
}

profiles! {
    esxi40_mbr: "esxi40-mbr",
    esxi41_mbr_localtgz: "esxi41-mbr-localtgz",
    esxi55_gpt: "esxi55-gpt",
    esxi55_fragmented: "esxi55-fragmented",
    esxi65_formatwithmbr: "esxi65-formatwithmbr",
    esxi67_gpt: "esxi67-gpt",
    esxi67_usb_passthru: "esxi67-usb-passthru",
    esxi67_fresh: "esxi67-fresh",
    esxi67_ddimage: "esxi67-ddimage",
    esxi67_4kn: "esxi67-4kn",
    esxi67_folders: "esxi67-folders",
    esxi67_fat12_small: "esxi67-fat12-small",
    esxi67_two_dir_sectors: "esxi67-two-dir-sectors",
    esxi70ga_plain: "esxi70ga-plain",
    esxi70u1_both: "esxi70u1-both",
    esxi702_encrypted: "esxi702-encrypted",
    esxi80_encrypted_1g: "esxi80-encrypted-1g",
    esxi80_encrypted_4g: "esxi80-encrypted-4g",
    esxi702_dotinfo: "esxi702-dotinfo",
    esxi702_wal: "esxi702-wal",
}

/// Profiles that `fix` refuses, or that need a file fetched first: tested elsewhere here.
const ELSEWHERE: [&str; 4] = [
    "esxi67-fullbank",
    "esxi702-sealed",
    "esxi702-one-sealed",
    "esxi702-real",
];

#[test]
fn no_profile_is_left_out() {
    let listed = run(Command::new(manifest("scripts/make-image")).arg("--list"));
    let listed = String::from_utf8(listed).unwrap();
    for line in listed.lines() {
        let name = line.split_whitespace().next().unwrap();
        assert!(
            TESTED.contains(&name) || ELSEWHERE.contains(&name),
            "{name}"
        );
    }
}

#[test]
fn every_profile_is_described_as_it_was_made() {
    for name in ["esxi67-fullbank", "esxi702-sealed", "esxi702-one-sealed"] {
        let image = images::profile(name);
        let bench = Bench::new();
        info_agrees(&bench, &image, &image.path);
    }
}

#[test]
fn the_judge_notices_what_is_not_a_fix() {
    let image = images::small("esxi67-gpt");
    let bench = Bench::new();
    let judged = |name: &str, arguments: &[&str]| {
        let stick = image.copy_to(bench.path());
        let undo = bench.file(name);
        let mut command = bench.command();
        command.args(arguments).arg("-z").arg(&undo).arg(&stick);
        run(&mut command);
        (stick, undo)
    };
    let finds = |stick: &Path, undo: &Path| {
        let mut command = judge();
        command.arg("fixed").args([&image.path, stick]);
        let output = command.args([&image.truth_file, undo]).output().unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    };
    let (stick, undo) = judged("one.undo", &["fix", "-d", "0000:00:14.0"]);
    let found = finds(&stick, &undo);
    assert!(
        found.contains("nothing is passed through any more"),
        "{found}"
    );
    assert!(found.contains("esx.conf changes in the owners"), "{found}");
    let (stick, undo) = judged("all.undo", &["fix"]);
    assert_eq!(finds(&stick, &undo), "");
    let mut bytes = std::fs::read(&stick).unwrap();
    bytes[8224 * 512 + 512 + 20] ^= 1;
    std::fs::write(&stick, bytes).unwrap();
    assert!(finds(&stick, &undo).contains("sectors outside the plan changed: [8225]"));
}

/// What an administrator does with one stick, each step judged.
pub fn whole_way(image: &Image) {
    let bench = Bench::new();
    let stick = image.copy_to(bench.path());
    let undo = bench.file("way-back.undo");
    let before = digest(&stick);
    info_agrees(&bench, image, &stick);
    devices_agree(&bench, image, &stick);
    only_looked_at(&bench, &stick, &before);

    let change = bench.done(&args!["fix", stick, "-z", undo]);
    change_agrees(image, &change, "changed");
    assert_eq!(change["undo"], json!(undo));
    judge_fixed(image, &stick, &undo, "", None);
    let after = digest(&stick);
    assert_ne!(after, before);
    assert_eq!(bench.run(&args!["verify", stick]).code, 0);

    let again = bench.done(&args!["fix", stick]);
    assert_eq!(again["outcome"], "unchanged");
    assert_eq!(again["undo"], Value::Null);
    assert_eq!(again["bytes_written"], 0);
    assert_eq!(again["searched"], change["searched"]);
    assert!(!again["searched"].as_array().unwrap().is_empty());
    assert_eq!(digest(&stick), after);

    there_and_back(&bench, image, &stick);
    assert_eq!(digest(&stick), after);
    let put_back = bench.done(&args!["undo", undo]);
    assert_eq!(put_back["outcome"], "changed");
    assert_eq!(digest(&stick), before);
    assert_eq!(bench.done(&args!["undo", undo])["outcome"], "unchanged");
}

/// `info --json` against what went in.
fn info_agrees(bench: &Bench, image: &Image, stick: &Path) {
    let info = bench.done(&args!["info", stick]);
    let truth = &image.truth;
    assert_eq!(info["schema"], "bootbank.info/1");
    for key in ["size", "sector_size", "table"] {
        assert_eq!(info[key], truth[key], "{key}");
    }
    let partitions = |of: &Value| -> Vec<Value> {
        let fields = |p: &Value| {
            // The boot partition of an MBR medium is of an ordinary FAT type, or an EFI one.
            let kind = match (type_of(p).as_str(), &p["kind"]) {
                ("04", _) => "fat",
                (_, kind) => kind.as_str().unwrap(),
            };
            json!([
                p["number"],
                p["first_lba"],
                p["last_lba"],
                kind,
                p["name"],
                type_of(p)
            ])
        };
        let mut all: Vec<Value> = list(&of["partitions"]).iter().map(fields).collect();
        // The extended partition is a frame for others and holds nothing itself.
        all.retain(|p| p[3] != "extended");
        all
    };
    assert_eq!(partitions(&info), partitions(truth));
    let bank = |bank: &Value| {
        let states = list(&bank["states"]).iter().map(|state| {
            json!([
                state["file"],
                state["form"],
                state["listed_in_modules"],
                state["size"]
            ])
        });
        let mut states: Vec<Value> = states.collect();
        states.sort_by_key(Value::to_string);
        let keys = [
            "partition",
            "label",
            "build",
            "updated",
            "bootstate",
            "boots_next",
        ];
        json!([keys.map(|key| &bank[key]), states])
    };
    let banks = |of: &Value| -> Vec<Value> { list(&of["banks"]).iter().map(bank).collect() };
    assert_eq!(banks(&info), banks_of_truth(truth, bank));
    for (told, found) in list(&truth["banks"]).iter().zip(list(&info["banks"])) {
        assert_eq!(
            found["uuid"],
            json!(vmware_form(told["uuid"].as_str().unwrap()))
        );
        let fit = [json!(0), json!(1)].contains(&told["bootstate"]) && told["build"] != "";
        assert_eq!(found["bootable"], json!(fit));
        assert_eq!(
            found["why_not"].is_null(),
            told["boots_next"] == true,
            "{found}"
        );
    }
}

/// The banks of the truth; an empty build is none.
fn banks_of_truth(truth: &Value, bank: impl Fn(&Value) -> Value) -> Vec<Value> {
    let mut truth = truth.clone();
    for told in truth["banks"].as_array_mut().unwrap() {
        if told["build"] == "" {
            told["build"] = Value::Null;
        }
    }
    list(&truth["banks"]).iter().map(bank).collect()
}

/// A partition type without the differences of spelling.
fn type_of(partition: &Value) -> String {
    let text = partition["type"].as_str().unwrap().to_lowercase();
    let text = text.strip_prefix("0x").unwrap_or(&text).to_owned();
    if text.len() == 1 {
        format!("0{text}")
    } else {
        text
    }
}

/// 16 bytes in hex as VMware shows them: two little-endian words, a half word, six bytes.
fn vmware_form(hex: &str) -> String {
    let turned = |range: std::ops::Range<usize>| -> String {
        let bytes: Vec<&str> = range.step_by(2).map(|at| &hex[at..at + 2]).collect();
        bytes.into_iter().rev().collect()
    };
    format!(
        "{}-{}-{}-{}",
        turned(0..8),
        turned(8..16),
        turned(16..20),
        &hex[20..32]
    )
}

/// `pci list --json` against what went in: every device, and none that is passed through besides.
fn devices_agree(bench: &Bench, image: &Image, stick: &Path) {
    let listed = bench.done(&args!["pci", "list", stick]);
    assert_eq!(listed["schema"], "bootbank.pci/1");
    let banks = list(&image.truth["banks"])
        .iter()
        .zip(list(&listed["banks"]));
    for (told, found) in banks {
        assert_eq!(found["partition"], told["partition"]);
        let mut unknown = list(&found["devices"]).to_vec();
        for state in list(&told["states"]) {
            for device in list(&state["devices"]) {
                let same = |d: &Value| d["file"] == state["file"] && d["key"] == device["key"];
                let at = unknown.iter().position(same);
                let found = unknown.remove(at.unwrap_or_else(|| panic!("no {device}")));
                assert_eq!(found["source"], device["source"], "{device}");
                let address = device["address"].as_str();
                let address = address.map(|at| json!(format!("{at}{}", virtual_part(device))));
                let addresses = Vec::from_iter(address);
                assert_eq!(list(&found["addresses"]), addresses, "{found}");
                let owner = device["owner"].as_str().unwrap_or_default();
                assert_eq!(found["owner"], owner, "{device}");
                assert_eq!(found["passthrough"], device["passthrough"], "{device}");
                assert!(
                    device["alias"].is_null() || found["alias"] == device["alias"],
                    "{found}"
                );
            }
        }
        for device in unknown {
            assert_eq!(
                (&device["owner"], &device["passthrough"]),
                (&json!(""), &json!(false))
            );
        }
    }
}

/// What tells a virtual function from the function at its address: `.vf1`.
fn virtual_part(device: &Value) -> &str {
    let place = device["key"].as_str().unwrap().trim_end_matches("/owner");
    place.find(".vf").map_or("", |at| &place[at..])
}

/// Neither a dry run nor a check writes.
fn only_looked_at(bench: &Bench, stick: &Path, before: &str) {
    let dry = bench.run(&args!["fix", "-n", "--diff", stick]);
    assert_eq!(
        (dry.code, dry.stdout.contains("+++ b/bank")),
        (0, true),
        "{}",
        dry.stderr
    );
    let (check, code) = bench.json(&args!["fix", "--check", stick]);
    assert_eq!((&check[0]["outcome"], code), (&json!("would-change"), 1));
    assert_eq!(digest(stick), before);
}

/// The change object against what went in.
fn change_agrees(image: &Image, change: &Value, outcome: &str) {
    assert_eq!(change["schema"], "bootbank.change/1");
    assert_eq!(change["outcome"], outcome);
    let mut wanted = Vec::new();
    let mut size = 0;
    for bank in list(&image.truth["banks"]) {
        for state in list(&bank["states"]) {
            size += state["size"].as_u64().unwrap();
            let passed = list(&state["devices"])
                .iter()
                .filter(|d| d["passthrough"] == true);
            wanted.extend(passed.map(|device| {
                let conf = device["source"] == "esx.conf";
                let (from, to) = if conf {
                    ("passthru", "vmkernel")
                } else {
                    ("OWNER_PASSTHRU", "OWNER_VMKERNEL")
                };
                json!([
                    bank["partition"],
                    state["file"],
                    device["source"],
                    device["key"],
                    from,
                    to
                ])
            }));
        }
    }
    let mut found = Vec::new();
    for bank in list(&change["banks"]) {
        found.extend(list(&bank["changes"]).iter().map(|c| {
            json!([
                bank["partition"],
                c["file"],
                c["source"],
                c["key"],
                c["from"],
                c["to"]
            ])
        }));
    }
    wanted.sort_by_key(Value::to_string);
    found.sort_by_key(Value::to_string);
    assert_eq!(found, wanted);
    let written = change["bytes_written"].as_u64().unwrap();
    assert!(
        (size / 2..size + (128 << 10)).contains(&written),
        "{written} for {size}"
    );
}

/// Sets a device to be passed through, takes it back, and undoes both.
fn there_and_back(bench: &Bench, image: &Image, stick: &Path) {
    let bank = list(&image.truth["banks"])
        .iter()
        .find(|bank| bank["boots_next"] == true);
    let bank = bank.unwrap();
    let Some(state) = list(&bank["states"])
        .iter()
        .find(|s| s["file"] == "state.tgz")
    else {
        return;
    };
    let device = list(&state["devices"])
        .iter()
        .find(|d| d["passthrough"] == true)
        .unwrap();
    let address = device["address"].as_str().unwrap();
    let content = || {
        let mut command = judge();
        command
            .arg("content")
            .arg(stick)
            .arg(bank["offset"].to_string());
        let text = String::from_utf8(run(&mut command)).unwrap();
        let without_revision = text
            .lines()
            .map(|line| match line.split_once("\"Revision\": ") {
                Some((before, after)) => {
                    let digits = after.trim_start_matches(|c: char| c.is_ascii_digit());
                    format!("{before}{digits}")
                }
                None => line.to_owned(),
            });
        without_revision.collect::<Vec<String>>()
    };
    let before = content();
    let (there, back) = (bench.file("there.undo"), bench.file("back.undo"));
    let set = |to: &str, undo: &Path| {
        let set = bench.done(&args![
            "pci", "set", stick, "-d", address, "-e", to, "-y", "--bank", "next", "-z", undo
        ]);
        assert_eq!(set["outcome"], "changed");
    };
    set("true", &there);
    let passed = content();
    let differs = |(old, new): &(&String, &String)| old != new;
    let changed: Vec<_> = before.iter().zip(&passed).filter(differs).collect();
    assert_eq!(before.len(), passed.len());
    assert!(!changed.is_empty());
    for (old, new) in changed {
        let turned = old.replace("OWNER_VMKERNEL", "OWNER_PASSTHRU");
        assert_eq!(&turned.replace("\"vmkernel\"", "\"passthru\""), new);
    }
    set("false", &back);
    assert_eq!(content(), before);
    bench.done(&args!["undo", back, stick]);
    bench.done(&args!["undo", there, stick]);
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
