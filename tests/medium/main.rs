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

mod copy;
mod device;
mod image;

use bootbank::host::Host;
use bootbank::medium::{ClaimedTarget, MediumError, Target};
use std::path::Path;

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
