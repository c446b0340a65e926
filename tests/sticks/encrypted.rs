//! ESXi 7 and later: encrypted, sealed, kept in two places at once; and a real state.

use super::images::{self, Image, run};
use super::profiles::whole_way;
use super::program::{Bench, digest, judge, judge_fixed, ran, script};
use crate::args;
use crate::skipping::skipped;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

#[test]
fn a_sealed_state_is_described_and_refused() {
    let image = images::profile("esxi702-sealed");
    let bench = Bench::new();
    let stick = image.copy_to(bench.path());
    let before = digest(&stick);
    let info = bench.done(&args!["info", stick]);
    for bank in info["banks"].as_array().unwrap() {
        let state = &bank["states"][0];
        assert_eq!(
            (&state["form"], &state["seal"]),
            (&json!("sealed"), &json!("TPM"))
        );
        let outside = state["outside"].as_array().unwrap();
        assert!(
            outside
                .iter()
                .any(|known| known.as_str().unwrap().starts_with("key "))
        );
    }
    let (listed, code) = bench.json(&args!["pci", "list", stick]);
    assert_eq!(code, 3);
    assert_eq!(listed[0]["error"]["kind"], "refused");
    assert_eq!(listed[0]["banks"][0]["error"]["partition"], 5);
    for command in [
        args!["fix", stick].to_vec(),
        args!["fix", stick, "--bank", "next"].to_vec(),
        args!["pci", "set", stick, "-d", "0000:00:14.0", "-e", "false"].to_vec(),
        args!["pci", "set", stick, "-d", "0000:00:14.0", "-e", "true"].to_vec(),
        args!["fix", stick, "-o", bench.file("out.img")].to_vec(),
        args!["fix", stick, "--check"].to_vec(),
    ] {
        let (objects, code) = bench.json(&command);
        assert_eq!(code, 3, "{command:?}");
        let error = &objects[0]["error"];
        assert_eq!(error["kind"], "refused");
        assert_eq!(error["path"], "state.tgz");
        let hint = error["hint"].as_str().unwrap();
        for way in ["TPM", "--recovery-key FILE", "running host", "install ESXi"] {
            assert!(hint.contains(way), "{way}: {hint}");
        }
        // A key on a command line is seen by others; and one page is none of a hint's business.
        assert!(!hint.contains("encryptionRecoveryKey"), "{hint}");
        assert!(hint.len() < 250, "{hint}");
        // No other bank could be treated, so none is offered.
        assert!(!hint.contains("--bank"), "{hint}");
    }
    let cat = bench.run(&args!["cat", stick, "etc/vmware/esx.conf"]);
    assert_eq!((cat.code, cat.stdout.as_str()), (3, ""));
    assert!(
        !cat.stderr.contains("nothing was written"),
        "{}",
        cat.stderr
    );
    let page = include_str!("../../docs/supported.md");
    for way in ["pcipassthru set", "encryptionRecoveryKey", "reinstall"] {
        assert!(page.contains(way), "{way}");
    }
    assert_eq!(bench.run(&args!["verify", stick]).code, 0);
    assert_eq!(digest(&stick), before);
    assert_eq!(bench.undo_files(), 0);
}

#[test]
fn one_sealed_bank_stops_all_until_the_other_is_chosen() {
    let image = images::profile("esxi702-one-sealed");
    let bench = Bench::new();
    let stick = image.copy_to(bench.path());
    let before = digest(&stick);
    let (objects, code) = bench.json(&args!["fix", stick]);
    let error = &objects[0]["error"];
    assert_eq!((code, &error["partition"]), (3, &json!(6)));
    assert!(
        error["hint"].as_str().unwrap().contains("--bank 5"),
        "{error}"
    );
    assert_eq!(digest(&stick), before);
    let (listed, code) = bench.json(&args!["pci", "list", stick]);
    assert_eq!(code, 3);
    assert_eq!(
        listed[0]["banks"][0]["devices"].as_array().unwrap().len(),
        3
    );
    assert_eq!(bench.json(&args!["pci", "list", stick, "--bank", "5"]).1, 0);
    for choice in ["5", "next"] {
        let stick = image.copy_to(bench.path());
        let undo = bench.file(choice);
        bench.done(&args!["fix", stick, "--bank", choice, "-z", undo]);
        judge_fixed(&image, &stick, &undo, "5", None);
    }
}

#[test]
fn two_sources_that_disagree_are_said_to_and_both_are_changed() {
    let image = images::small("esxi70u1-both");
    let bench = Bench::new();
    let stick = image.copy_to(bench.path());
    let disagree = "esx.conf and the ConfigStore disagree about the owner of 0000:00:14.0";
    let warned = |object: &Value| object["warnings"].to_string().contains(disagree);
    assert!(warned(&bench.done(&args!["pci", "list", stick])));
    let change = bench.done(&args!["fix", stick, "--bank", "5", "-z", bench.file("x")]);
    assert!(warned(&change));
    let changed: Vec<String> = change["banks"][0]["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| {
            format!(
                "{} {}",
                c["source"].as_str().unwrap(),
                c["key"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        changed,
        [
            "esx.conf /device/0000:00:31.2/owner",
            "esx.conf /device/0000:00:29.0/owner",
            "configstore 0000:00:14.0"
        ]
    );
    let after = bench.done(&args!["pci", "list", stick, "--bank", "5"]);
    assert_eq!(after["warnings"], json!([]));
    // One that both name is set in both.
    bench.done(&args![
        "pci", "set", stick, "-d", "00:14.0", "-e", "true", "-y", "--bank", "5"
    ]);
    let listed = bench.done(&args!["pci", "list", stick, "--bank", "5"]);
    let passed = listed["banks"][0]["devices"].as_array().unwrap().iter();
    let passed: Vec<&Value> = passed.filter(|d| d["passthrough"] == true).collect();
    assert_eq!(passed.len(), 2);
    assert!(
        passed
            .iter()
            .all(|d| d["addresses"] == json!(["0000:00:14.0"]))
    );
}

#[test]
fn aliases_are_shown_and_storage_is_marked() {
    let image = images::profile("esxi702-encrypted");
    let bench = Bench::new();
    let listed = bench.done(&args!["pci", "list", image.path, "--bank", "5"]);
    let devices = listed["banks"][0]["devices"].as_array().unwrap();
    let of = |key: &str| devices.iter().find(|d| d["key"] == key).unwrap();
    for (key, alias, storage) in [
        ("0000:00:14.0", json!("vmhba32"), true),
        ("0000:00:1f.2", json!("vmhba0"), true),
        ("0000:03:00.0", json!("vmnic1"), false),
        ("0000:01:00.0", json!(null), false),
    ] {
        let device = of(key);
        assert_eq!(
            (&device["alias"], &device["storage"]),
            (&alias, &json!(storage)),
            "{key}"
        );
    }
    // An alias whose bus address is no PCI address belongs to no device.
    assert!(devices.iter().all(|d| d["alias"] != "vmnic0"));
}

#[test]
fn the_time_of_a_change_is_the_one_the_environment_gives() {
    for name in ["esxi702-encrypted", "esxi70u1-both"] {
        let image = images::made(name, &["--set", "layout=small"]);
        let bench = Bench::new();
        let stick = image.copy_to(bench.path());
        let undo = bench.file("x.undo");
        let mut command = bench.command();
        command.env("SOURCE_DATE_EPOCH", "1700000000").arg("fix");
        run(command.arg("-z").arg(&undo).arg(&stick));
        judge_fixed(&image, &stick, &undo, "", Some("1700000000"));
        // Without it the times that are there stay.
        let stick = image.copy_to(bench.path());
        let undo = bench.file("y.undo");
        bench.done(&args!["fix", stick, "-z", undo]);
        judge_fixed(&image, &stick, &undo, "", None);
    }
}

#[test]
fn a_real_state_goes_the_whole_way() {
    let Some(real) = images::real_state() else {
        skipped("scripts/fetch-real-state has fetched no real state");
        return;
    };
    let option = format!("real-state={}", real.display());
    let image = images::made("esxi702-real", &["--set", &option]);
    let bench = Bench::new();
    let stick = image.copy_to(bench.path());
    let before = digest(&stick);
    let info = bench.done(&args!["info", stick]);
    assert_eq!(info["banks"][0]["states"][0]["form"], "encrypted");
    let none = bench.done(&args!["fix", stick]);
    assert_eq!(none["outcome"], "unchanged");
    assert_eq!(digest(&stick), before);
    assert_eq!(bench.run(&args!["pci", "list", stick]).code, 0);

    // The sample passes nothing through: a row is made for the test, with other tools.
    const ADDRESS: &str = "0000:00:07.1";
    let banks = image.truth["banks"].as_array().unwrap();
    let mut with_row = script("with_row.py");
    with_row.arg(&stick).arg(ADDRESS);
    run(with_row.args(banks.iter().map(|bank| bank["offset"].to_string())));
    let passed = passed_through(&image, &stick, &bench, ADDRESS);
    let undo = bench.file("x.undo");
    let change = bench.done(&args!["fix", stick, "-z", undo]);
    assert_eq!(change["banks"].as_array().unwrap().len(), 2);
    judge_fixed(&passed, &stick, &undo, "", None);
    let fixed = digest(&stick);

    // With the row there, it can be passed through and given back.
    for (enable, undo) in [("true", "there.undo"), ("false", "back.undo")] {
        let set = bench.done(&args![
            "pci", "set", stick, "-d", ADDRESS, "-e", enable, "-y", "-z", undo
        ]);
        assert_eq!(set["outcome"], "changed");
    }
    bench.done(&args!["undo", "back.undo", stick]);
    bench.done(&args!["undo", "there.undo", stick]);
    assert_eq!(digest(&stick), fixed);
    bench.done(&args!["undo", undo, stick]);
    assert_eq!(digest(&stick), digest(&passed.path));
}

/// The image as it is now, with a truth that knows of the row in each bank.
fn passed_through(image: &Image, stick: &Path, bench: &Bench, address: &str) -> Image {
    let mut truth = image.truth.clone();
    for bank in truth["banks"].as_array_mut().unwrap() {
        bank["states"][0]["devices"] = json!([{
            "source": "configstore",
            "key": address,
            "address": address,
            "owner": "OWNER_PASSTHRU",
            "passthrough": true,
        }]);
    }
    let now = Image {
        path: bench.file("passed.img"),
        truth_file: bench.file("passed.json"),
        truth,
    };
    std::fs::write(&now.truth_file, now.truth.to_string()).unwrap();
    let mut copy = Command::new("cp");
    run(copy.arg("--sparse=always").arg(stick).arg(&now.path));
    now
}

#[test]
fn a_row_is_added_only_where_it_can_be_filled_truthfully() {
    let image = images::made("esxi702-encrypted", &["--set", "layout=small"]);
    let bench = Bench::new();
    let stick = image.copy_to(bench.path());
    let before = digest(&stick);
    let refused = bench.run(&args![
        "pci", "set", stick, "-d", "0a:00.0", "-e", "true", "--new"
    ]);
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("holds no etc/vmware/schemastore"),
        "{}",
        refused.stderr
    );
    assert!(!refused.stderr.contains("--bank"), "{}", refused.stderr);
    assert_eq!(digest(&stick), before);
}

#[test]
fn a_bare_archive_of_4x_is_changed_with_the_one_it_lies_beside() {
    let image = images::made("esxi40-mbr", &["--set", "modules=local.tgz"]);
    let bench = Bench::new();
    let fixed = bench.run(&args!["fix", "-n", image.path]);
    assert!(
        fixed.stdout.contains("the host loads local.tgz"),
        "{}",
        fixed.stdout
    );
    whole_way(&image);
    let text = run(judge().arg("digest").arg(&image.path));
    assert!(!text.is_empty());
}

/// The vendor's own tool for such files writes a nonce of 16 bytes.
#[test]
fn an_envelope_of_the_vendors_tool_is_changed_with_a_nonce_of_its_length() {
    let image = images::made(
        "esxi702-encrypted",
        &["--set", "layout=small", "--set", "nonce-size=16"],
    );
    let bench = Bench::new();
    let verified = bench.run(&args!["verify", image.path]);
    assert_eq!(verified.code, 0, "{}", verified.stdout);
    whole_way(&image);
}

/// Decrypts a sealed envelope with the recovery key alone, as this project's image builder made it,
/// and says what each member of the archive in it is. Shares no code with the program.
const OPEN_SEALED: &str = r#"
import sys, struct, hashlib, io, tarfile, pathlib
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
state, text = pathlib.Path(sys.argv[1]).read_bytes(), sys.argv[2]
outer = tarfile.open(fileobj=io.BytesIO(state))
envelope = outer.extractfile("local.tgz.ve").read()
groups = [int(group) for group in text.split("-")]
assert len(groups) == 16 and all(g % 11 == i % 11 for i, g in enumerate(groups))
key = struct.pack(">16H", *(g // 11 for g in groups))
assert hashlib.sha256(b"AES-256-GCM" + key).digest() in envelope[:4096]
iv = envelope[envelope.index(b"vmware.iv\0") + 18:][:12]
header, body, footer = envelope[:4096], envelope[4096:-4096], envelope[-4096:]
plain = AESGCM(key).decrypt(iv, body + footer[32:48], header + b"ESXConfiguration")
padding = int.from_bytes(plain[-8:-4], "little")
inner = tarfile.open(fileobj=io.BytesIO(plain[:len(plain) - 4096 - padding]))
print("encryption.info", hashlib.sha256(outer.extractfile("encryption.info").read()).hexdigest())
for member in inner:
    if member.isreg():
        print(member.name, hashlib.sha256(inner.extractfile(member).read()).hexdigest())
"#;

#[test]
fn a_sealed_bank_is_changed_with_its_recovery_key_and_python_opens_the_result() {
    use bootbank::commit::Overlay;
    use bootbank::edit::{Context, Devices, Edit, OwnerEdit};
    use bootbank::fat::Method;
    use bootbank::medium::Memory;
    use bootbank::ownership::Owner;
    use bootbank::state::{KeyCache, Limits, RecoveryKey};
    use bootbank::stick::{BankChoice, Request, Settings, Stick};
    let image = images::profile("esxi702-sealed");
    let text = image.truth["banks"][0]["states"][0]["recovery_key"]
        .as_str()
        .unwrap();
    let medium = Memory::new(std::fs::read(&image.path).unwrap());
    let keys = KeyCache::with_recovery_key(RecoveryKey::parse(text).unwrap());
    let settings = Settings {
        sector_size: None,
        limits: Limits::default(),
        keys: &keys,
    };
    let stick = Stick::open(&medium, &settings).unwrap();
    let devices = Devices::Named(vec!["0000:00:14.0".parse().unwrap()]);
    let edits = [Edit::Owner(OwnerEdit {
        devices,
        owner: Owner::Vmkernel,
    })];
    let request = |banks| Request {
        banks,
        method: Method::SecondCopy,
        context: Context::default(),
    };
    let plan = stick
        .plan(&edits, request(BankChoice::Partition(5)))
        .unwrap();
    assert_eq!(plan.change_count(), 1);
    // The other bank was sealed with another key: nothing is planned for it, and nothing by halves.
    let other = stick.plan(&edits, request(BankChoice::All)).unwrap_err();
    assert_eq!(other.kind(), bootbank::error::ErrorKind::Refused);
    assert!(
        other.to_string().contains("does not belong to this state"),
        "{other}"
    );

    let directory = tempfile::tempdir().unwrap();
    let after = Overlay::new(&medium, &plan.set);
    let changed = Stick::open(&after, &settings).unwrap();
    let members = |name: &str, stick: &Stick<'_, '_>| -> Vec<String> {
        let slot = stick
            .slots()
            .iter()
            .find(|slot| slot.partition == 5)
            .unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, stick.read(slot, &slot.states[0].entry).unwrap()).unwrap();
        let python = std::env::var("BOOTBANK_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let out = run(Command::new(python)
            .args(["-c", OPEN_SEALED])
            .arg(&path)
            .arg(text));
        String::from_utf8(out)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    };
    let (old, new) = (members("old", &stick), members("new", &changed));
    assert_eq!(old.len(), new.len());
    let differ: Vec<&str> = old
        .iter()
        .zip(&new)
        .filter(|(a, b)| a != b)
        .map(|(a, _)| a.split(' ').next().unwrap())
        .collect();
    assert_eq!(
        differ,
        ["var/lib/vmware/configstore/backup/current-store-1"]
    );
}

#[test]
fn a_recovery_key_is_given_by_file_by_standard_input_or_by_the_environment() {
    use std::io::Write as _;
    use std::process::Stdio;
    let image = images::profile("esxi702-sealed");
    let bench = Bench::new();
    let stick = image.copy_to(bench.path());
    let before = digest(&stick);
    let key = image.truth["banks"][0]["states"][0]["recovery_key"]
        .as_str()
        .unwrap();
    let file = bench.file("key");
    std::fs::write(&file, key).unwrap();

    let sealed = bench.run(&args!["fix", stick, "--bank", "5"]);
    assert_eq!(sealed.code, 3, "{}", sealed.stderr);
    assert!(sealed.stderr.contains("--recovery-key FILE"));
    let fixed = bench.run(&args![
        "fix",
        stick,
        "--bank",
        "5",
        "-z",
        "undo",
        "--recovery-key",
        file
    ]);
    assert_eq!(fixed.code, 0, "{}", fixed.stderr);

    let list = args!["pci", "list", stick, "--bank", "5", "--json"];
    let owners = |stdout: &str| -> Vec<bool> {
        let found: Value = serde_json::from_str(stdout).unwrap();
        let devices = found["banks"][0]["devices"].as_array().unwrap();
        let passed = devices.iter().map(|device| &device["passthrough"]);
        passed.map(|passed| passed.as_bool().unwrap()).collect()
    };
    let by_environment = ran(bench
        .command()
        .args(&list)
        .env("BOOTBANK_RECOVERY_KEY_FILE", &file));
    assert_eq!(by_environment.code, 0, "{}", by_environment.stderr);
    assert!(!owners(&by_environment.stdout).contains(&true));
    let mut child = bench
        .command()
        .args(&list)
        .args(["--recovery-key", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(key.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        owners(std::str::from_utf8(&output.stdout).unwrap()),
        owners(&by_environment.stdout)
    );

    // What is inside is shown, and that it is a sealed state all the same.
    let info = bench.run(&args!["info", stick, "--bank", "5", "--recovery-key", file]);
    assert!(
        info.stdout
            .contains("sealed (mode TPM), opened with the recovery key, no device passed through"),
        "{}",
        info.stdout
    );
    // Putting back needs no key.
    let undone = bench.run(&args!["undo", "undo", stick]);
    assert_eq!(undone.code, 0, "{}", undone.stderr);
    assert_eq!(digest(&stick), before);
}

/// One wrong byte in the middle spoils the tag, and what comes before it is there all the same.
#[test]
fn a_damaged_sealed_state_is_read_with_its_recovery_key() {
    let image = images::profile("esxi702-sealed");
    let bench = Bench::new();
    let stick = image.copy_to(bench.path());
    let bank = &image.truth["banks"][0];
    let key = bank["states"][0]["recovery_key"].as_str().unwrap();
    std::fs::write(bench.file("key"), key).unwrap();
    let script = "set -e; mcopy -i \"$0@@$1\" ::STATE.TGZ whole.tgz; mkdir d; tar -xzf whole.tgz -C d; \
        python3 -c 'f = open(\"d/local.tgz.ve\", \"r+b\"); n = f.seek(0, 2); f.seek(n // 2); b = f.read(1); \
        f.seek(n // 2); f.write(bytes([b[0] ^ 1]))'; \
        tar -C d -czf state.tgz $(tar -tzf whole.tgz)";
    let first = bank["offset"].as_u64().unwrap();
    let mut spoil = Command::new("sh");
    spoil
        .args(["-c", script])
        .arg(&stick)
        .arg(first.to_string());
    run(spoil.current_dir(bench.path()));
    let conf = "etc/vmware/esx.conf";
    let closed = bench.run(&args!["cat", "--rescue", "state.tgz", conf]);
    assert_eq!(closed.code, 3, "{}", closed.stderr);
    assert!(closed.stderr.contains("sealed"), "{}", closed.stderr);
    let read = |state: &str| {
        bench.run(&args![
            "cat",
            "--rescue",
            state,
            conf,
            "--recovery-key",
            "key"
        ])
    };
    let (whole, damaged) = (read("whole.tgz"), read("state.tgz"));
    assert_eq!((whole.code, damaged.code), (0, 4), "{}", damaged.stderr);
    assert!(
        damaged.stderr.contains("authentication tag"),
        "{}",
        damaged.stderr
    );
    assert!(whole.stdout.starts_with(&damaged.stdout));
    assert!(!damaged.stdout.is_empty(), "{}", damaged.stderr);
}

#[test]
fn a_recovery_key_that_is_none_or_of_another_host_opens_nothing() {
    let image = images::profile("esxi702-sealed");
    let bench = Bench::new();
    let stick = image.copy_to(bench.path());
    let before = digest(&stick);
    let of_bank = |index: usize| -> String {
        let state = &image.truth["banks"][index]["states"][0];
        state["recovery_key"].as_str().unwrap().to_owned()
    };
    let mut groups: Vec<String> = of_bank(0).split('-').map(str::to_owned).collect();
    groups.swap(2, 3);
    let cases = [
        (groups.join("-"), 2, "group 3 of the recovery key is wrong"),
        (groups[1..].join("-"), 2, "and this has 15 groups"),
        ("nothing".to_owned(), 2, "and this has 0 groups"),
        (of_bank(1), 3, "this key does not belong to this state"),
    ];
    for (text, code, says) in cases {
        std::fs::write(bench.file("key"), &text).unwrap();
        let ran = bench.run(&args!["fix", stick, "--bank", "5", "--recovery-key", "key"]);
        assert_eq!(ran.code, code, "{}", ran.stderr);
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
        // No part of a key is ever shown.
        let shown = text
            .split('-')
            .any(|group| group.len() == 6 && ran.stderr.contains(group));
        assert!(!shown, "{}", ran.stderr);
    }
    // A key that opens nothing says nothing of the medium.
    std::fs::write(bench.file("key"), of_bank(1)).unwrap();
    let verified = bench.run(&args![
        "verify",
        stick,
        "--bank",
        "5",
        "--recovery-key",
        "key"
    ]);
    assert_eq!(verified.code, 0, "{}", verified.stdout);
    let warns = verified.stdout.contains("warning [envelope] partition 5");
    assert!(warns, "{}", verified.stdout);
    // Nothing is damaged, so there is nothing to verify.
    let does_not_open = |index: usize| {
        std::fs::write(bench.file("key"), of_bank(index)).unwrap();
        let told = bench.run(&args!["info", stick, "--recovery-key", "key"]);
        assert!(!told.stdout.contains("bootbank verify"), "{}", told.stdout);
        told.stdout.contains("this recovery key does not open it")
    };
    assert_eq!([0, 1].map(does_not_open), [false, true]);
    let missing = bench.run(&args!["info", stick, "--recovery-key", "nowhere"]);
    assert_eq!(missing.code, 2, "{}", missing.stderr);
    assert!(missing.stderr.contains("nowhere does not exist"));
    std::fs::write(bench.file("key"), of_bank(0)).unwrap();
    let twice = ran(bench
        .command()
        .args(["info", "--from-file", "-", "--recovery-key", "-"])
        .stdin(std::fs::File::open(bench.file("key")).unwrap()));
    assert_eq!(twice.code, 2, "{}", twice.stderr);
    assert!(
        twice.stderr.contains("standard input twice"),
        "{}",
        twice.stderr
    );
    assert_eq!(digest(&stick), before);
    assert_eq!(bench.undo_files(), 0);
}
