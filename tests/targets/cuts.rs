//! A change of a state file, ended by a kill at each of its system calls.

use crate::skipping::may_trace;
use crate::state_files::{make, sh};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The calls that change what is on a disk, and those between which a cut could matter.
const CALLS: [&str; 9] = [
    "openat", "write", "pwrite64", "fsync", "fchmod", "fchown", "linkat", "unlink", "rename",
];

/// Runs a change that is killed when it begins the call of that number; whether it came to that.
fn killed(directory: &Path, call: &str, number: usize) -> bool {
    let call = if call == "rename" { "renameat2" } else { call };
    let mut strace = Command::new("strace");
    strace
        .current_dir(directory)
        .args(["-f", "-qq", "-o", "/dev/null"]);
    strace.args(["-e", &format!("trace={call}")]);
    strace.args(["-e", &format!("inject={call}:signal=KILL:when={number}")]);
    strace.arg(env!("CARGO_BIN_EXE_bootbank"));
    strace.args(["fix", "-y", "-z", "undo", "backup"]);
    !strace.output().unwrap().status.success()
}

#[test]
fn a_kill_at_any_call_leaves_the_old_file_or_the_new_one() {
    if !may_trace() {
        return;
    }
    let (host, file) = make("configBundle.tgz", "esxi67-usb-passthru");
    let directory = host.path("");
    let old = fs::read(&file).unwrap();
    host.done(&["fix", "-o", "new", "backup"]);
    let new = fs::read(host.path("new")).unwrap();
    let (mut cuts, mut renamed) = (0, 0);
    for call in CALLS {
        for number in 1.. {
            fs::write(&file, &old).unwrap();
            sh(&directory, "rm -f undo .bootbank-*.partial");
            if !killed(&directory, call, number) {
                break;
            }
            cuts += 1;
            let now = fs::read(&file).unwrap();
            assert!(now == old || now == new, "{call} {number}");
            sh(&directory, "gzip -t backup && tar tzf backup >/dev/null");
            if now == new {
                renamed += 1;
                // Before the file is replaced the way back is there.
                assert!(host.path("undo").exists(), "{call} {number}");
            }
            if host.path("undo").exists() {
                host.done(&["undo", "undo", "backup"]);
                assert!(fs::read(&file).unwrap() == old, "{call} {number}");
            }
            sh(&directory, "rm -f undo");
            host.done(&["fix", "-y", "-z", "undo", "backup"]);
            assert!(fs::read(&file).unwrap() == new, "{call} {number}");
        }
    }
    assert!(cuts > 20, "{cuts}");
    assert!(renamed > 0, "no cut came after the rename");
}
