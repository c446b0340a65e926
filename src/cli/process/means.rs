//! What the program cannot do without, asked for at the start: an error that is said there can be
//! understood, and the same one met halfway looks like something else.

use crate::cli::report::Failure;
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use std::fs::File;
use std::io;
use std::path::Path;

/// Files that are open at a time for one target, with room to spare.
const FILES: usize = 12;

/// Sees to it that this process may open files, and that the kernel gives random numbers, which hash
/// tables take.
///
/// # Errors
/// What is missing, and how to get it.
pub fn check_means() -> Result<(), Failure> {
    let root = Path::new("/");
    let opened: io::Result<Vec<File>> = (0..FILES).map(|_| File::open(root)).collect();
    if let Err(error) = opened {
        return Err(Failure::io(format!(
            "this process may not open {FILES} more files: {error}; nothing was written"
        ))
        .hint("raise the limit for open files: ulimit -n 1024"));
    }
    let mut byte = [0];
    match getrandom(&mut byte, GetRandomFlags::NONBLOCK) {
        // Then there is another source, /dev/urandom.
        Ok(_) | Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN | Errno::INTR) => Ok(()),
        Err(errno) => Err(Failure::io(format!(
            "the kernel gives no random numbers: {errno}; nothing was written"
        ))
        .hint("this is a fault of this machine, or of a sandbox that bootbank runs in")),
    }
}
