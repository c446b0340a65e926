//! Media as they are: real files, real locks, and disks by way of loop devices.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy takes the functions that tests share for production code"
)]

#[path = "../common/holder.rs"]
mod holder;
#[path = "../common/loops.rs"]
mod loops;
#[path = "../common/skipping.rs"]
mod skipping;

mod copy;
mod device;
mod image;
mod whole_file;

use bootbank::host::Host;
use bootbank::medium::{ClaimedTarget, MediumError, Target};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes of which no two sectors are alike. `len` is cut to a multiple of 8.
fn pattern(len: usize) -> Vec<u8> {
    let words = (0..len / 8).map(|word| word.wrapping_mul(0x9E37_79B1));
    words.flat_map(usize::to_le_bytes).collect()
}

fn open_read(path: &Path) -> Result<Target, MediumError> {
    Target::open_read(path, &Host::default())
}

fn open_write(path: &Path) -> Result<ClaimedTarget, MediumError> {
    ClaimedTarget::open(path, &Host::default())
}

/// Runs `check` while another thread of this process starts one program after the other: for a
/// moment each child has what this process has open.
fn while_children_start(check: impl FnOnce()) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                assert!(Command::new("true").status().unwrap().success());
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check));
        done.store(true, Ordering::Relaxed);
        if let Err(panic) = checked {
            std::panic::resume_unwind(panic);
        }
    });
}

/// In a process of their own: for the other tests here too, each child would have it all open.
#[test]
fn a_process_that_starts_others_keeps_its_claims_and_gets_new_ones() {
    for test in [
        "device::a_disk_is_claimed_while_this_process_starts_others",
        "image::an_image_is_claimed_again_while_this_process_starts_others",
    ] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", test])
            .output()
            .unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{test}: {said}"
        );
    }
}
