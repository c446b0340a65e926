//! SIGINT and SIGTERM: before the switch the old configuration stays, after it the commit is
//! finished.

use crate::program::{Bench, Run, sha256, text};
use crate::skipping::{may_trace, skipped};
use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const IMAGE: &str = "esxi67-fresh";

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let sent = Command::new("kill")
        .args(["-s", name, &pid])
        .stderr(Stdio::null())
        .status();
    // A process that has just ended takes no signal.
    assert!(sent.is_ok());
}

/// After a stop the bank is old, sound but for leftovers, and the next run heals it.
#[track_caller]
fn assert_old_and_healed_by_the_next_run(bench: &Bench, image: &Path) {
    bench.run(&["verify", text(image)]).exits(0);
    bench.run(&["fix", "--check", text(image)]).exits(1);
    bench.run(&["fix", "--no-undo", text(image)]).exits(0);
    let verified = bench.run(&["verify", "--json", text(image)]).exits(0);
    assert!(!verified.stdout.contains("leftover"), "{verified:#?}");
}

/// Runs the program and has it sent a signal at the very moment a given call begins.
fn traced(bench: &Bench, call: &str, count: u32, name: &str, arguments: &[&str]) -> Run {
    let inject = format!("inject={call}:signal={name}:when={count}");
    let options = [
        "-f",
        "-o",
        "/dev/null",
        "-e",
        &format!("trace={call}"),
        "-e",
        &inject,
    ];
    Command::new("strace")
        .args(options)
        .arg(env!("CARGO_BIN_EXE_bootbank"))
        .args(arguments)
        .env("XDG_STATE_HOME", bench.path("state"))
        .stdin(Stdio::null())
        .output()
        .unwrap()
        .into()
}

/// Without strace only the test of any moment is left, which leaves it to chance.
#[test]
fn a_signal_during_each_sync_stops_the_change_before_the_switch_and_not_after() {
    if !may_trace() {
        return;
    }
    let mut after = None;
    // fsync is that of the undo file; fdatasync those of data, allocate, switch and release.
    let cases = [
        ("fsync", 1, 130),
        ("fdatasync", 1, 130),
        ("fdatasync", 2, 130),
        ("fdatasync", 3, 0),
        ("fdatasync", 4, 0),
    ];
    for name in ["INT", "TERM", "HUP", "QUIT"] {
        for (call, count, code) in cases {
            let bench = Bench::new();
            let image = bench.bundled(IMAGE);
            let before = sha256(&image);
            // Its directory is there, so that the first fsync is that of the undo file.
            fs::create_dir_all(bench.path("state/bootbank/undo")).unwrap();
            let run = traced(&bench, call, count, name, &["fix", text(&image)]).exits(code);
            let undo = bench.undo_files();
            assert_eq!(undo.len(), 1);
            if code == 0 {
                bench.run(&["verify", text(&image)]).exits(0);
                let new = sha256(&image);
                assert_eq!(*after.get_or_insert_with(|| new.clone()), new);
            } else {
                run.says("every bank still holds the configuration that it had")
                    .says("`bootbank reclaim`");
                if call == "fsync" {
                    assert_eq!(sha256(&image), before);
                }
                let cut = fs::read(&image).unwrap();
                // Three ways on: run again, reclaim, undo.
                assert_old_and_healed_by_the_next_run(&bench, &image);
                fs::write(&image, &cut).unwrap();
                bench.run(&["reclaim", text(&image)]).exits(0);
                bench.run(&["reclaim", "--check", text(&image)]).exits(0);
                bench.run(&["fix", "--check", text(&image)]).exits(1);
                fs::write(&image, &cut).unwrap();
                bench.run(&["undo", text(&undo[0]), text(&image)]).exits(0);
                assert_eq!(sha256(&image), before);
            }
        }
    }
}

/// What the banks held before an undo is what the change had made of them.
#[test]
fn an_undo_that_a_signal_stops_says_that_nothing_is_back_yet() {
    if !may_trace() {
        return;
    }
    let bench = Bench::new();
    let image = bench.bundled(IMAGE);
    let before = sha256(&image);
    bench.run(&["fix", text(&image)]).exits(0);
    let undo = bench.undo_files();
    let back = ["undo", text(&undo[0]), text(&image)];
    let run = traced(&bench, "pwrite64", 1, "INT", &back).exits(130);
    let run = run
        .says("every bank still holds the configuration that it had")
        .says("run the same undo again");
    assert!(!run.stderr.contains("reclaim"), "{run:#?}");
    bench.run(&["fix", "--check", text(&image)]).exits(0);
    bench.run(&back).exits(0);
    assert_eq!(sha256(&image), before);
}

#[test]
fn a_signal_at_any_moment_leaves_the_bank_old_or_new_as_the_exit_code_says() {
    const RUNS: u32 = 24;
    let bench = Bench::new();
    let image = bench.bundled(IMAGE);
    let original = fs::read(&image).unwrap();
    let timed = || {
        fs::write(&image, &original).unwrap();
        fs::remove_dir_all(bench.path("state")).unwrap_or_default();
        let started = Instant::now();
        bench.run(&["fix", text(&image)]).exits(0);
        started.elapsed()
    };
    // The first run also reads the program itself from the disk.
    let whole = timed().min(timed()).min(timed());
    let after = sha256(&image);
    let mut codes = Vec::new();
    for run in 0..RUNS {
        fs::write(&image, &original).unwrap();
        fs::remove_dir_all(bench.path("state")).unwrap_or_default();
        let mut child = bench
            .command()
            .args(["fix", text(&image)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(whole * run * 3 / (RUNS * 2));
        signal(&child, if run % 2 == 0 { "INT" } else { "TERM" });
        let status = child.wait().unwrap();
        match status.code() {
            Some(0) => assert_eq!(sha256(&image), after),
            Some(130) => assert_old_and_healed_by_the_next_run(&bench, &image),
            // Before the program listens it ends as any program does.
            None => assert!(fs::read(&image).unwrap() == original),
            Some(other) => panic!("exit code {other}"),
        }
        codes.push(status.code());
    }
    eprintln!("exit codes over a run of {whole:?}: {codes:?}");
}

#[test]
fn an_interrupted_copy_leaves_no_file_behind() {
    let bench = Bench::new();
    let image = bench.bundled("esxi40-mbr");
    // Something to copy that takes a while: a full datastore behind the last partition.
    let mut file = OpenOptions::new().append(true).open(&image).unwrap();
    let block: Vec<u8> = (0..1 << 20)
        .map(|at: u32| at.to_le_bytes()[0] | 1)
        .collect();
    for _ in 0..384 {
        file.write_all(&block).unwrap();
    }
    let len = file.seek(SeekFrom::End(0)).unwrap();
    drop(file);
    let before = bench.names();
    let output = bench.path("copy.img");
    let mut child = bench
        .command()
        .args(["fix", "-o", text(&output), text(&image)])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The copy has no name yet, or one that ends in .partial: it is what is written to.
    let open_files = format!("/proc/{}/fd", child.id());
    let begun = || {
        let files = fs::read_dir(&open_files).ok()?.flatten();
        let mut files = files.filter(|file| {
            let name = fs::read_link(file.path()).unwrap_or_default();
            let name = name.to_string_lossy().into_owned();
            name.ends_with(" (deleted)") || name.ends_with(".partial")
        });
        let size = fs::metadata(files.next()?.path()).ok()?.len();
        (size > 0).then_some(size)
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    let copied = loop {
        if let Some(size) = begun() {
            break size;
        }
        assert!(Instant::now() < deadline, "the copy never began");
        std::thread::sleep(Duration::from_millis(1));
    };
    signal(&child, "INT");
    let code = child.wait().unwrap().code();
    if copied == len && code == Some(0) {
        skipped("this file system copies in an instant");
        return;
    }
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!(code, Some(130), "{run:#?}");
    run.says("interrupted; the copy was removed");
    assert_eq!(bench.names(), before, "neither the copy nor a part of it");
}
