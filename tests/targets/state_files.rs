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
