//! State files read and changed, and what other programs make of the result.

use crate::host::{Host, Ran, run};
use crate::state_files::{KINDS, MANIFEST, make, sh};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

/// Unpacks the configuration in a state file of any kind (first argument, its kind the second) into
/// a directory (third), with nothing of this program.
const UNPACK: &str = concat!(
    include_str!("../common/envelope.py"),
    r#"
import io, os, sys, tarfile
file, kind, out = sys.argv[1:]
def files(data):
    archive = tarfile.open(fileobj=io.BytesIO(data), mode="r:gz")
    return {m.name: archive.extractfile(m).read() for m in archive if m.isfile()}
data = open(file, "rb").read()
if kind == "configBundle.tgz":
    data = files(data)["state.tgz"]
if kind == "local.tgz.ve":
    key = open(os.path.join(os.path.dirname(file), "encryption.info"), "rb").read()
    data = opened(data, key)
elif kind != "local.tgz":
    inside = files(data)
    data = inside.get("local.tgz") or opened(inside["local.tgz.ve"], inside["encryption.info"])
tarfile.open(fileobj=io.BytesIO(data), mode="r:gz").extractall(out)
"#
);

fn unpacked(host: &Host, kind: &str, name: &str) -> std::path::PathBuf {
    let out = host.path(name);
    let python = std::env::var("BOOTBANK_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    run(Command::new(python).args(["-c", UNPACK]).args([
        &host.path("backup"),
        Path::new(kind),
        &out,
    ]));
    out
}

fn ok(ran: &Ran) {
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn what_is_put_into_a_state_file_is_found_there_by_tar_and_undo_brings_every_byte_back() {
    for (kind, profile) in KINDS {
        let (host, file) = make(kind, profile);
        let before = fs::read(&file).unwrap();
        let old = unpacked(&host, kind, "old");
        fs::write(host.path("text"), "from a test\n").unwrap();
        ok(&host.run(&["put", "backup", "text", "etc/motd.test", "-z", "undo"]));
        let new = unpacked(&host, kind, "new");
        let put = fs::read_to_string(new.join("etc/motd.test")).unwrap();
        assert_eq!(put, "from a test\n", "{kind}");
        let diff = format!("diff -rq {} {} || true", old.display(), new.display());
        let found = sh(&host.path(""), &diff);
        assert_eq!(found.lines().count(), 1, "{kind}: {found}");
        assert_eq!(
            host.done(&["cat", "backup", "etc/motd.test"]),
            put,
            "{kind}"
        );
        ok(&host.run(&["verify", "backup"]));
        ok(&host.run(&["undo", "undo", "backup"]));
        assert!(fs::read(&file).unwrap() == before, "{kind}");
        ok(&host.run(&["undo", "undo", "backup"]));
    }
}

#[test]
fn fix_gives_devices_of_a_state_file_back_and_finds_nothing_left() {
    for (kind, profile) in KINDS {
        let (host, file) = make(kind, profile);
        let listed = host.run(&["pci", "list", "backup", "--json"]).json();
        let passed = |listed: &serde_json::Value| {
            let devices = listed["banks"][0]["devices"].as_array().unwrap();
            devices
                .iter()
                .filter(|it| it["passthrough"] == true)
                .count()
        };
        assert!(passed(&listed) > 0, "{kind}");
        assert!(listed["banks"][0]["partition"].is_null());
        assert_eq!(host.run(&["fix", "--check", "backup"]).code, 1, "{kind}");
        ok(&host.run(&["fix", "-o", "copy", "backup"]));
        ok(&host.run(&["fix", "--no-undo", "backup"]));
        assert!(fs::read(&file).unwrap() == fs::read(host.path("copy")).unwrap());
        assert_eq!(host.run(&["fix", "--check", "backup"]).code, 0, "{kind}");
        let listed = host.run(&["pci", "list", "backup", "--json"]).json();
        assert_eq!(passed(&listed), 0, "{kind}");
        let found = unpacked(&host, kind, "found");
        let conf = fs::read_to_string(found.join("etc/vmware/esx.conf")).unwrap();
        assert!(!conf.contains("= \"passthru\""), "{kind}");
        let store = found.join(crate::host::STORE);
        if store.is_file() {
            let query = "select count(*) from Config where UserValue like '%OWNER_PASSTHRU%'";
            assert_eq!(crate::host::sqlite(&store, query), "0\n", "{kind}");
        }
    }
}

#[test]
fn a_bank_and_its_state_in_a_file_are_changed_to_the_same_state() {
    let (host, file) = make("state.tgz", "esxi67-usb-passthru");
    ok(&host.run(&[
        "host",
        "set",
        "--name",
        "n",
        "--domain",
        "d.example",
        "backup",
        "STICK",
    ]));
    assert_eq!(host.bank_file(5, "STATE.TGZ"), fs::read(file).unwrap());
    ok(&host.run(&["diff", "backup", "STICK", "--bank", "5"]));
}

#[test]
fn a_bundle_keeps_its_manifest_true_and_gzip_and_tar_read_it() {
    let (host, file) = make("configBundle.tgz", "esxi67-usb-passthru");
    let manifest = || {
        sh(
            &host.path(""),
            "gzip -t backup; tar xzOf backup Manifest.txt",
        )
    };
    let before = manifest();
    ok(&host.run(&[
        "conf",
        "set",
        "backup",
        "/adv/Misc/HostName",
        "x",
        "--no-undo",
    ]));
    assert_eq!(manifest(), before);
    let uuid = "11111111-2222-3333-4444-555555555555";
    ok(&host.run(&["conf", "set", "backup", "/system/uuid", uuid, "--no-undo"]));
    let line = before
        .lines()
        .find(|line| line.starts_with("UUID="))
        .unwrap();
    assert_eq!(manifest(), before.replace(line, &format!("UUID={uuid}")));
    let names = sh(&host.path(""), "tar tzf backup");
    assert_eq!(names, "Manifest.txt\nstate.tgz\n");

    // A line that may say something of the state: read, and left as it is.
    sh(
        &host.path("parts"),
        "echo STATESHA1=12 >>Manifest.txt; tar czf ../backup *",
    );
    let odd = fs::read(&file).unwrap();
    ok(&host.run(&["fix", "-n", "STICK"]));
    let ran = host.run(&["fix", "backup"]);
    assert_eq!(ran.code, 4);
    assert!(ran.stderr.contains("STATESHA1"), "{}", ran.stderr);
    assert!(fs::read(&file).unwrap() == odd);
    let info = host.run(&["info", "backup"]);
    assert!(
        info.stdout.contains("Manifest.txt has a line"),
        "{}",
        info.stdout
    );
}

/// What goes in is what outside programs find there; the file stays of its kind, and an undo brings every byte back.
#[test]
fn a_state_is_imported_into_a_state_file_of_every_kind() {
    for (kind, profile) in KINDS {
        let (host, file) = make(kind, profile);
        let before = fs::read(&file).unwrap();
        fs::write(host.path("other.tgz"), host.bank_file(5, "STATE.TGZ")).unwrap();
        for edit in [
            &["conf", "set", "other.tgz", "/from", "a test", "--no-undo"][..],
            &["fix", "other.tgz", "--no-undo"],
        ] {
            ok(&host.run(edit));
        }
        let import = ["state", "import", "backup", "other.tgz"];
        let shown = host.run(&[&import[..], &["-n", "--diff"]].concat());
        assert!(
            shown.stdout.contains("+conf /from = a test"),
            "{kind}: {}",
            shown.stdout
        );
        assert_eq!(
            host.run(&[&import[..], &["--check"]].concat()).code,
            1,
            "{kind}"
        );
        ok(&host.run(&[&import[..], &["-o", "copy"]].concat()));
        assert!(fs::read(&file).unwrap() == before, "{kind}");
        ok(&host.run(&[&import[..], &["-z", "undo"]].concat()));
        assert!(fs::read(&file).unwrap() == fs::read(host.path("copy")).unwrap());
        let found = unpacked(&host, kind, "found");
        let conf = fs::read_to_string(found.join("etc/vmware/esx.conf")).unwrap();
        assert!(conf.contains("/from = \"a test\""), "{kind}: {conf}");
        ok(&host.run(&["diff", "backup", "other.tgz"]));
        ok(&host.run(&["verify", "backup"]));
        assert_eq!(
            host.run(&[&import[..], &["--check"]].concat()).code,
            0,
            "{kind}"
        );
        ok(&host.run(&["undo", "undo", "backup"]));
        assert!(fs::read(&file).unwrap() == before, "{kind}");
    }
}

/// The manifest names the host whose state is in the bundle, as its restore asks.
#[test]
fn a_bundle_gets_the_state_of_another_host_with_its_uuid() {
    let (host, _) = make("configBundle.tgz", "esxi67-usb-passthru");
    let uuid = "11111111-2222-3333-4444-555555555555";
    fs::write(host.path("other.tgz"), host.bank_file(5, "STATE.TGZ")).unwrap();
    ok(&host.run(&[
        "conf",
        "set",
        "other.tgz",
        "/system/uuid",
        uuid,
        "--no-undo",
    ]));
    let ran = host.run(&["state", "import", "backup", "other.tgz", "--json"]);
    ok(&ran);
    let manifest = sh(&host.path(""), "tar xzOf backup Manifest.txt");
    assert!(manifest.contains(&format!("UUID={uuid}\n")), "{manifest}");
    let changes = ran.json()["banks"][0]["changes"].to_string();
    assert!(changes.contains("UUID in Manifest.txt"), "{changes}");

    // Whatever the manifest said before: nothing, or the UUID of a third host.
    let uuid_after = |before: &str| {
        let parts = host.path("parts");
        fs::write(parts.join("Manifest.txt"), MANIFEST.replace('@', before)).unwrap();
        sh(&parts, "tar czf ../backup Manifest.txt state.tgz");
        ok(&host.run(&["state", "import", "backup", "other.tgz", "--no-undo"]));
        sh(&host.path(""), "tar xzOf backup Manifest.txt | grep UUID=")
    };
    for before in ["", "22222222-2222-3333-4444-555555555555"] {
        assert_eq!(uuid_after(before), format!("UUID={uuid}\n"), "{before}");
    }
    ok(&host.run(&["conf", "unset", "other.tgz", "/system/uuid", "--no-undo"]));
    assert_eq!(uuid_after(uuid), "UUID=\n");
    // Also by the state that is in it.
    let own = host.done(&["conf", "get", "parts/state.tgz", "/system/uuid"]);
    fs::copy(host.path("parts/state.tgz"), host.path("other.tgz")).unwrap();
    assert_eq!(uuid_after(uuid), format!("UUID={own}"));
}

/// An empty state is some thirty bytes, and takes every setting away.
#[test]
fn an_empty_state_goes_into_a_state_file_when_asked_twice_and_another_follows_it() {
    for kind in ["local.tgz", "state.tgz", "configBundle.tgz"] {
        let (host, file) = make(kind, "esxi67-usb-passthru");
        let before = fs::read(&file).unwrap();
        fs::write(host.path("own.tgz"), host.bank_file(5, "STATE.TGZ")).unwrap();
        ok(&host.run(&["state", "reset", "5", "STICK", "-y", "--no-undo"]));
        fs::write(host.path("empty.tgz"), host.bank_file(5, "STATE.TGZ")).unwrap();
        let import = ["state", "import", "backup", "empty.tgz"];
        let ran = host.run(&import);
        assert_eq!(ran.code, 2, "{kind}: {}", ran.stderr);
        assert!(ran.stderr.contains("the state is empty"), "{}", ran.stderr);
        assert!(fs::read(&file).unwrap() == before, "{kind}");
        let ran = host.run(&[&import[..], &["-y", "-z", "undo"]].concat());
        ok(&ran);
        assert!(
            ran.stderr.contains("starts with default settings"),
            "{}",
            ran.stderr
        );
        assert_eq!(
            host.run(&[&import[..], &["--check"]].concat()).code,
            0,
            "{kind}"
        );
        let empty = fs::read(&file).unwrap();
        ok(&host.run(&["undo", "undo", "backup"]));
        assert!(fs::read(&file).unwrap() == before, "{kind}");

        fs::write(&file, &empty).unwrap();
        let sealed = Host::new("esxi702-encrypted").bank_file(5, "STATE.TGZ");
        fs::write(host.path("702.tgz"), sealed).unwrap();
        let ran = host.run(&["state", "import", "backup", "702.tgz"]);
        assert_eq!(ran.code, 3, "{kind}: {}", ran.stderr);
        ok(&host.run(&["state", "import", "backup", "own.tgz", "-y", "--no-undo"]));
        ok(&host.run(&["diff", "backup", "own.tgz"]));
    }
}

/// A state file holds a state of its own generation and release, and takes no device from the host unasked.
#[test]
fn a_state_that_does_not_fit_a_state_file_is_refused() {
    let (host, file) = make("configBundle.tgz", "esxi67-usb-passthru");
    let before = fs::read(&file).unwrap();
    let bank_file = |profile| Host::new(profile).bank_file(5, "STATE.TGZ");
    fs::write(host.path("702.tgz"), bank_file("esxi702-encrypted")).unwrap();
    fs::write(host.path("55.tgz"), bank_file("esxi55-gpt")).unwrap();
    fs::write(host.path("sealed.tgz"), bank_file("esxi702-sealed")).unwrap();
    for (state, code, says) in [
        ("702.tgz", 3, "they come from different generations of ESXi"),
        (
            "55.tgz",
            3,
            "ESXi 5.5.0 wrote the state to import, but ESXi 6.7.0 wrote",
        ),
        ("sealed.tgz", 3, "the state to import is sealed"),
        ("nothing.tgz", 2, "nothing.tgz"),
    ] {
        let ran = host.run(&["state", "import", "backup", state]);
        assert_eq!(ran.code, code, "{state}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{state}: {}", ran.stderr);
    }
    assert!(fs::read(&file).unwrap() == before);
    fs::write(host.path("old.tgz"), host.bank_file(5, "STATE.TGZ")).unwrap();
    ok(&host.run(&["fix", "backup", "--no-undo"]));
    let ran = host.run(&["state", "import", "backup", "old.tgz"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("storage adapter"), "{}", ran.stderr);
    ok(&host.run(&["state", "import", "backup", "old.tgz", "-y", "--no-undo"]));
}

#[test]
fn a_key_is_found_beside_the_archive_or_named() {
    let (host, _) = make("local.tgz.ve", "esxi702-encrypted");
    let get = ["conf", "get", "backup", "/system/uuid"];
    let uuid = host.done(&get);
    fs::rename(host.path("encryption.info"), host.path("key")).unwrap();
    let ran = host.run(&get);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("--key-file"), "{}", ran.stderr);
    assert_eq!(
        host.done(&[&get[..], &["--key-file", "key"]].concat()),
        uuid
    );
    ok(&host.run(&[
        "conf",
        "set",
        "backup",
        "/x",
        "1",
        "--key-file",
        "key",
        "--no-undo",
    ]));
    // The key of another host does not open it.
    let (other, _) = make("local.tgz.ve", "esxi702-encrypted");
    fs::copy(other.path("encryption.info"), host.path("encryption.info")).unwrap();
    fs::write(host.path("other"), "no key store").unwrap();
    let ran = host.run(&[&get[..], &["--key-file", "other"]].concat());
    assert_eq!(ran.code, 4, "{}", ran.stderr);
}

#[test]
fn a_change_keeps_mode_owner_and_links_and_refuses_a_file_that_somebody_has() {
    let (host, file) = make("state.tgz", "esxi67-usb-passthru");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o604)).unwrap();
    std::os::unix::fs::symlink("backup", host.path("link")).unwrap();
    let before = fs::metadata(&file).unwrap();
    ok(&host.run(&["conf", "set", "link", "/x", "1", "--no-undo"]));
    let after = fs::metadata(&file).unwrap();
    assert!(host.path("link").symlink_metadata().unwrap().is_symlink());
    let owner = |it: &fs::Metadata| (it.mode(), it.uid(), it.gid());
    assert_eq!(owner(&before), owner(&after));
    assert_ne!(before.ino(), after.ino());
    let held = fs::File::open(&file).unwrap();
    held.lock_shared().unwrap();
    let ran = host.run(&["conf", "set", "backup", "/x", "2", "--no-undo"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("is locked"), "{}", ran.stderr);
    drop(held);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
    let ran = host.run(&["conf", "set", "backup", "/x", "2", "--no-undo"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    let left = fs::read_dir(host.path("")).unwrap();
    let names = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let partial: Vec<String> = names.filter(|name| name.contains("partial")).collect();
    assert!(partial.is_empty(), "{partial:?}");
}

#[test]
fn an_undo_file_of_a_state_file_puts_nothing_else_back() {
    let (host, file) = make("state.tgz", "esxi67-usb-passthru");
    ok(&host.run(&["conf", "set", "backup", "/x", "1", "-z", "undo"]));
    let sums = "mkdir u; cd u; tar xf ../undo; sha256sum -c SHA256SUMS; sha256sum <../backup";
    let said = sh(&host.path(""), sums);
    let digest = said.lines().last().unwrap().split(' ').next().unwrap();
    let manifest = fs::read_to_string(host.path("u/manifest.json")).unwrap();
    assert!(manifest.contains(digest));
    ok(&host.run(&["conf", "set", "backup", "/x", "2", "--no-undo"]));
    let changed = fs::read(&file).unwrap();
    let ran = host.run(&["undo", "undo", "backup"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    // Not even by force onto something that is no state file.
    host.refuses(&["undo", "--force", "undo", "STICK"], 3, "is no state file");
    assert!(fs::read(&file).unwrap() == changed);
    ok(&host.run(&["undo", "--force", "undo", "backup"]));
    assert!(fs::read(&file).unwrap() == fs::read(host.path("u/file.old")).unwrap());
}

#[test]
fn what_is_left_of_a_damaged_state_file_is_read_with_rescue_and_never_changed() {
    for (kind, profile) in [KINDS[0], KINDS[1]] {
        let (host, file) = make(kind, profile);
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..whole.len() * 2 / 3]).unwrap();
        let ran = host.run(&["verify", "backup"]);
        assert_eq!(ran.code, 4, "{kind}: {}", ran.stdout);
        assert_eq!(host.run(&["fix", "--no-undo", "backup"]).code, 4, "{kind}");
        let ran = host.run(&["ls", "backup", "--rescue"]);
        assert_eq!(ran.code, 4, "{kind}");
        assert!(ran.stdout.contains(" etc/"), "{kind}: {}", ran.stdout);
        assert_eq!(host.run(&["fix", "--rescue", "backup"]).code, 2, "{kind}");
        assert_eq!(fs::read(&file).unwrap().len(), whole.len() * 2 / 3);
    }
}
