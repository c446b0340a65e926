//! State files of every kind, made by GNU tar from what mtools reads out of a bank.

use crate::host::{Host, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A manifest as the host's own script writes it.
pub(crate) const MANIFEST: &str = "RELEASELEVEL=VMware ESXi 6.7.0 Update 3\nUUID=@\n\
                                   KERNELOPTS=autoPartition=FALSE\nUSEROPTS=\n";

/// The kinds, by the usual name, and the profile of the image each is made from.
pub(crate) const KINDS: [(&str, &str); 5] = [
    ("state.tgz", "esxi67-usb-passthru"),
    ("local.tgz", "esxi67-usb-passthru"),
    ("configBundle.tgz", "esxi67-usb-passthru"),
    ("state-702.tgz", "esxi702-encrypted"),
    ("local.tgz.ve", "esxi702-encrypted"),
];

/// A state file of a kind in the directory of its own host; the name tells nothing.
pub(crate) fn make(kind: &str, profile: &str) -> (Host, PathBuf) {
    let host = Host::new(profile);
    let file = host.path("backup");
    let state = host.bank_file(5, "STATE.TGZ");
    let parts = host.path("parts");
    std::fs::create_dir(&parts).unwrap();
    std::fs::write(parts.join("state.tgz"), &state).unwrap();
    if kind.starts_with("state") {
        std::fs::write(&file, &state).unwrap();
        return (host, file);
    }
    if kind == "configBundle.tgz" {
        let uuid = host.done(&["conf", "get", "STICK", "/system/uuid"]);
        let manifest = MANIFEST.replace('@', uuid.trim());
        std::fs::write(parts.join("Manifest.txt"), manifest).unwrap();
        sh(&parts, "tar czf ../backup Manifest.txt state.tgz");
        return (host, file);
    }
    sh(&parts, "tar xzf state.tgz");
    std::fs::copy(parts.join(kind), &file).unwrap();
    if kind == "local.tgz.ve" {
        let key = "encryption.info";
        std::fs::copy(parts.join(key), host.path(key)).unwrap();
    }
    (host, file)
}

pub(crate) fn sh(directory: &Path, script: &str) -> String {
    let mut sh = Command::new("sh");
    let output = run(sh.args(["-ec", script]).current_dir(directory));
    String::from_utf8(output.stdout).unwrap()
}

/// What is about media makes no sense for a state file, and nothing is done then.
#[test]
fn what_a_state_file_cannot_take_is_refused() {
    let (host, file) = make("state.tgz", "esxi67-usb-passthru");
    let before = std::fs::read(&file).unwrap();
    for (arguments, code, says) in [
        (
            &["fix", "--avoid", "5", "backup"][..],
            2,
            "this is a state file",
        ),
        (
            &["fix", "-o", "copy.tgz.gz", "backup"],
            2,
            "so its copy cannot be packed",
        ),
        (&["bank", "list", "backup"], 2, "which has no banks"),
    ] {
        let ran = host.run(arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{arguments:?}: {}", ran.stderr);
        assert_eq!(std::fs::read(&file).unwrap(), before);
    }
    // To standard output goes the same as into a file.
    let to_file = host.run(&["fix", "-o", "copy.tgz", "backup"]);
    assert_eq!(to_file.code, 0, "{}", to_file.stderr);
    sh(
        file.parent().unwrap(),
        &format!(
            "{} fix -q -o - backup > streamed.tgz",
            env!("CARGO_BIN_EXE_bootbank")
        ),
    );
    let copy = std::fs::read(host.path("copy.tgz")).unwrap();
    assert_eq!(std::fs::read(host.path("streamed.tgz")).unwrap(), copy);
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

/// What `tar` calls an archive is a state file, in every form that it writes.
#[test]
fn an_archive_is_a_state_file_whatever_form_tar_gave_it() {
    let (host, _) = make("local.tgz", "esxi67-usb-passthru");
    let parts = host.path("parts");
    sh(&parts, "mkdir old && tar xzf local.tgz -C old");
    sh(&parts, "tar --format=v7 -czf ../old.gz -C old etc");
    sh(&parts, "tar -czf ../empty.gz -T /dev/null");
    let ran = host.run(&["fix", "old.gz", "--no-undo"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let conf = sh(&host.path(""), "tar xOzf old.gz etc/vmware/esx.conf");
    assert!(!conf.contains("owner = \"passthru\""), "{conf}");
    let info = host.run(&["info", "empty.gz"]);
    assert_eq!(info.code, 0, "{}", info.stderr);
    let says = "plain, empty: the host starts with default settings";
    assert!(info.stdout.contains(says), "{}", info.stdout);
    for (edit, code, says) in [
        (&["fix", "empty.gz", "--no-undo"][..], 0, ""),
        (
            &["conf", "set", "empty.gz", "/system/uuid", "u", "--no-undo"],
            3,
            "the state is empty",
        ),
        (&["store", "list", "empty.gz"], 3, "the state is empty"),
    ] {
        let ran = host.run(edit);
        assert_eq!(ran.code, code, "{edit:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{edit:?}: {}", ran.stderr);
    }
}

/// What is within the limit of one archive is changed: the old and the new one are held at a time.
#[test]
fn a_state_file_up_to_the_limit_of_an_archive_is_changed() {
    let (host, _) = make("local.tgz", "esxi67-usb-passthru");
    let parts = host.path("parts");
    sh(
        &parts,
        "mkdir old && tar xzf local.tgz -C old && truncate -s 3M old/etc/big",
    );
    sh(&parts, "tar -czf ../big.tgz -C old etc");
    let fix = ["fix", "big.tgz", "--no-undo", "--max-unpacked"];
    let ran = host.run(&[&fix[..], &["2M"]].concat());
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    let ran = host.run(&[&fix[..], &["4M"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

/// A host reads them, and `tar` does; what cannot be changed is said before somebody tries.
#[test]
fn a_configuration_that_cannot_be_changed_is_named_by_verify() {
    let (host, _) = make("local.tgz", "esxi67-usb-passthru");
    let parts = host.path("parts");
    sh(&parts, "mkdir old && tar xzf local.tgz -C old");
    sh(
        &parts,
        "touch -d '2020-01-01 00:00:00.5' old/etc/vmware/esx.conf",
    );
    sh(&parts, "tar --format=posix -czf ../pax.tgz -C old etc");
    sh(&parts, "ln old/etc/vmware/esx.conf old/etc/a");
    sh(
        &parts,
        "tar --format=gnu -czf ../link.tgz -C old etc/a etc/vmware",
    );
    for (file, why) in [
        ("pax.tgz", "a pax record sets its"),
        ("link.tgz", "a hard link"),
    ] {
        let verify = host.run(&["verify", file]);
        assert_eq!(verify.code, 0, "{}", verify.stderr);
        let line = verify.stdout.lines().find(|line| line.contains(why));
        let line = line.unwrap_or_else(|| panic!("{}", verify.stdout));
        assert!(line.contains("warning [tar]"), "{line}");
        assert!(
            line.ends_with("so bootbank cannot change the configuration"),
            "{line}"
        );
        let fix = host.run(&["fix", file, "--no-undo"]);
        assert_ne!(fix.code, 0, "{}", fix.stdout);
        assert!(fix.stderr.contains(why), "{}", fix.stderr);
    }
    let verify = host.run(&["verify", "parts/local.tgz"]);
    assert!(
        !verify.stdout.contains("cannot change"),
        "{}",
        verify.stdout
    );
}
