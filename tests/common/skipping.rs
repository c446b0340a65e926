//! Tests that cannot be made on a machine: each says so, and `scripts/test.sh` counts them at its end.

#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write as _;

/// Says that the running test, or a part of it, is left out, and why.
pub(crate) fn skipped(why: impl Display) {
    let why = why.to_string();
    eprintln!("skipped: {why}");
    let Some(list) = std::env::var_os("BOOTBANK_SKIPPED") else {
        return;
    };
    let thread = std::thread::current();
    let line = format!(
        "{}: {}\n",
        thread.name().unwrap_or("?"),
        why.trim().replace('\n', " ")
    );
    let file = OpenOptions::new().create(true).append(true).open(list);
    let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
    written.expect("BOOTBANK_SKIPPED names a file that can be written to");
}

/// Whether strace may trace here, which containers often forbid. That it is installed is taken for granted.
#[allow(dead_code, reason = "shared; not all of it is used everywhere")]
pub(crate) fn may_trace() -> bool {
    let probe = std::process::Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .output()
        .expect("strace is missing: scripts/test.sh installs it");
    if !probe.status.success() {
        let said = String::from_utf8_lossy(&probe.stderr);
        skipped(format!("strace may not trace here: {said}"));
    }
    probe.status.success()
}
