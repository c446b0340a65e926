//! Media as they are: real files, real locks, and disks by way of loop devices.

#[path = "../common/holder.rs"]
mod holder;
#[path = "../common/loops.rs"]
mod loops;

mod copy;
mod device;
mod image;

use bootbank::host::Host;
use bootbank::medium::{MediumError, Target};
use std::path::Path;

/// Bytes of which no two sectors are alike.
fn pattern(len: usize) -> Vec<u8> {
    let sectors = (0..len).map(|at| at / 512);
    let bytes = sectors.zip(0..len);
    bytes
        .map(|(sector, at)| (sector.wrapping_mul(31) ^ at).to_le_bytes()[0])
        .collect()
}

fn open_read(path: &Path) -> Result<Target, MediumError> {
    Target::open_read(path, &Host::default())
}

fn open_write(path: &Path) -> Result<Target, MediumError> {
    Target::open_write(path, &Host::default())
}
