//! Standard input and output, where they can be read and written.
//!
//! Rust's library takes an input that is not open for reading for an empty one, and an output that is not
//! open for writing for written. So that is asked before. An output that was closed cannot be told from
//! /dev/null, which many programs give to those that they start, and counts as that.

use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat, major, minor};
use rustix::io::Errno;
use std::io::{self, Stdin, StdoutLock};
use std::os::fd::AsFd;

/// The device numbers of /dev/null.
const NULL_DEVICE: (u32, u32) = (1, 3);

/// Standard input.
///
/// # Errors
/// It is not open for reading.
pub fn stdin() -> io::Result<Stdin> {
    let stdin = io::stdin();
    open_without(&stdin, OFlags::WRONLY)?;
    Ok(stdin)
}

/// Standard output.
///
/// # Errors
/// It is not open for writing.
pub fn stdout() -> io::Result<StdoutLock<'static>> {
    let stdout = io::stdout().lock();
    open_without(&stdout, OFlags::RDONLY)?;
    Ok(stdout)
}

/// Whether nobody may have given this process a standard input: Rust's library opens /dev/null for reading
/// and writing where there is none, before the program begins. Some programs that start others do the same.
pub fn may_be_missing(stdin: &Stdin) -> io::Result<bool> {
    let status = fstat(stdin)?;
    let is_null = FileType::from_raw_mode(status.st_mode) == FileType::CharacterDevice
        && (major(status.st_rdev), minor(status.st_rdev)) == NULL_DEVICE;
    Ok(is_null && fcntl_getfl(stdin)? & OFlags::ACCMODE == OFlags::RDWR)
}

/// Refuses a file that is open in this way, or only as a place.
fn open_without(file: &impl AsFd, unfit: OFlags) -> io::Result<()> {
    let flags = fcntl_getfl(file)?;
    if flags & OFlags::ACCMODE == unfit || flags.contains(OFlags::PATH) {
        Err(Errno::BADF.into())
    } else {
        Ok(())
    }
}
