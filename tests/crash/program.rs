//! The program itself, with its writes and syncs made to fail by strace.

use crate::judges::run;
use crate::skipping::may_trace;
use crate::sticks::{FIX, Image};
use std::path::Path;
use std::process::{Command, Output};

/// Runs `bootbank` with the call of that number failing.
fn with_fault(arguments: &[&Path], call: &str, number: usize, error: &str) -> Output {
    let mut strace = Command::new("strace");
    strace.args([
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        &format!("trace={call}"),
    ]);
    strace.args(["-e", &format!("inject={call}:error={error}:when={number}")]);
    strace.arg(env!("CARGO_BIN_EXE_bootbank"));
    run(strace.args(arguments))
}

fn fix(image: &Path, undo: &Path, call: &str, number: usize, error: &str) -> Output {
    let words = ["fix", "--no-input", "-z"].map(Path::new);
    with_fault(&[&words[..], &[undo, image]].concat(), call, number, error)
}

#[test]
fn a_failing_write_or_sync_exits_with_5_says_old_or_new_and_names_the_undo_file() {
    if !may_trace() {
        return;
    }
    let stick = Image::bundled("esxi67-fresh");
    let set = stick.fix(&stick.bytes, FIX).unwrap();
    let old = stick.states(&stick.bytes).unwrap();
    // The undo file comes first. Then: data in one run, two copies of the FAT, the entry, two copies of the FAT.
    const OF_UNDO: usize = 1;
    let calls = (1..=6).map(|at| ("pwrite64", OF_UNDO + at, at <= 4, false));
    let syncs = (1..=set.steps().len()).map(|at| ("fdatasync", at, at <= 3, at >= 3));
    for (call, at, fails, is_new) in calls.chain(syncs) {
        for error in ["EIO", "ENOSPC"] {
            let directory = tempfile::tempdir().unwrap();
            let image = directory.path().join("a.img");
            let undo = directory.path().join("a.undo");
            std::fs::write(&image, &stick.bytes).unwrap();
            let output = fix(&image, &undo, call, at, error);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let context = format!("{call} {at} {error}: {said}");
            let now = std::fs::read(&image).unwrap();
            let is_old = stick.states(&now).unwrap() == old;
            if fails {
                assert_eq!(output.status.code(), Some(5), "{context}");
                assert_eq!(is_old, !is_new, "{context}");
                let holds = if is_new {
                    "holds the new"
                } else {
                    "holds the old"
                };
                assert!(said.contains(holds), "{context}");
                assert!(said.contains("a.undo"), "{context}");
                assert!(said.contains(" of 4 ("), "names no step: {context}");
            } else {
                // What is left is clusters allocated to nothing.
                assert_eq!(output.status.code(), Some(0), "{context}");
                assert!(!is_old && said.contains("reclaim"), "{context}");
            }
            let mut bootbank = Command::new(env!("CARGO_BIN_EXE_bootbank"));
            let output = run(bootbank.arg("undo").arg(&undo).arg(&image));
            assert!(output.status.success(), "{output:?} after {context}");
            assert!(std::fs::read(&image).unwrap() == stick.bytes, "{context}");
        }
    }
}

/// What the bank holds is said in the words of the change that is taken back.
#[test]
fn a_failing_undo_says_whether_the_bank_holds_old_or_new_and_can_be_run_again() {
    if !may_trace() {
        return;
    }
    let stick = Image::bundled("esxi67-fresh");
    let old = stick.states(&stick.bytes).unwrap();
    // The old chain, the entry, the new chain, what was in its clusters.
    for at in 1..=4 {
        let directory = tempfile::tempdir().unwrap();
        let (image, undo) = (
            directory.path().join("a.img"),
            directory.path().join("a.undo"),
        );
        std::fs::write(&image, &stick.bytes).unwrap();
        let fixed = fix(&image, &undo, "fdatasync", 999, "EIO");
        assert!(fixed.status.success(), "{fixed:?}");
        let arguments = [Path::new("undo"), &undo, &image];
        let output = with_fault(&arguments, "fdatasync", at, "EIO");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(5), "{said}");
        let is_old = stick.states(&std::fs::read(&image).unwrap()).unwrap() == old;
        assert_eq!(is_old, at >= 2, "{said}");
        let holds = if is_old {
            "holds the old"
        } else {
            "holds the new"
        };
        assert!(said.contains(holds), "{said}");
        let output = with_fault(&arguments, "fdatasync", 999, "EIO");
        assert!(output.status.success(), "{output:?}");
        assert!(std::fs::read(&image).unwrap() == stick.bytes);
    }
}

/// A state file is replaced by a file that takes its name. What is said of it is what it holds, also where it
/// may not keep that.
#[test]
fn a_failing_sync_of_a_state_file_says_which_content_it_holds() {
    if !may_trace() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("a.img");
    std::fs::write(&image, &Image::bundled("esxi67-fresh").bytes).unwrap();
    let state = directory.path().join("state.tgz");
    let mut export = Command::new(env!("CARGO_BIN_EXE_bootbank"));
    let exported = run(export.args(["state", "export"]).args([&image, &state]));
    assert!(exported.status.success(), "{exported:?}");
    let old = std::fs::read(&state).unwrap();
    // The undo file and its directory, the new file and its directory.
    let syncs = [
        (1, 5, "cannot write the undo file"),
        (2, 5, "cannot write the undo file"),
        (3, 5, "the file holds its old content"),
        (4, 5, "is written, but a power cut may take it back"),
    ];
    for (at, code, words) in syncs {
        let undo = directory.path().join("undo");
        let output = fix(&state, &undo, "fsync", at, "EIO");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{at}: {said}");
        assert!(said.contains(words), "{at}: {said}");
        let is_old = std::fs::read(&state).unwrap() == old;
        assert_eq!(is_old, at < 4, "{at}: {said}");
        assert_eq!(undo.exists(), at > 2, "{at}: {said}");
        assert!(at < 4 || !said.contains("old content"), "{said}");
        let undone = [Path::new("undo"), &undo, &state];
        if at == 4 {
            let output = with_fault(&undone, "fsync", 2, "EIO");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(5), "{said}");
            assert!(said.contains(words), "{said}");
            assert!(std::fs::read(&state).unwrap() == old, "{said}");
        } else if at == 3 {
            std::fs::remove_file(&undo).unwrap();
        }
    }
}
