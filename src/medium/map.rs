//! Image files mapped into memory, to be looked at.
//!
//! Only regular files, only for reading, under a shared lock. A block device is never mapped:
//! one pulled out would end the process with SIGBUS, where a positioned read reports EIO.
#![allow(unsafe_code)]

use super::past_the_end;
use memmap2::{Advice, Mmap, MmapOptions};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// All of a regular file, mapped read-only.
///
/// The shared lock keeps out everybody who asks for one, this program's own writing commands
/// first of all. A program that does not ask can still cut the file short, and touching a page
/// past the new end is SIGBUS, as is one that the disk below fails to deliver. So the size is
/// asked for before every read, and the pages are (`MADV_POPULATE_READ`, Linux 5.14): the kernel
/// answers with an error then, and what it cannot map is read by position, which says why. That
/// leaves the moment between this and the copy.
#[derive(Debug)]
pub(super) struct Mapping(Mmap);

impl Mapping {
    /// Maps the `size` bytes of a file that is under a lock; `None` where its file system has no
    /// mappings, or the address space no room for it, and it has to be read by position. So has
    /// one in memory, where looking at a hole through a mapping fills it.
    pub(super) fn of_locked(file: &File, size: u64) -> Option<Self> {
        if is_in_memory(file) {
            return None;
        }
        map(file, usize::try_from(size).ok()?).map(Mapping)
    }

    /// Fills `buf` from byte `offset` of `file` on, which is what is mapped. Callers know that
    /// the file still has its size.
    pub(super) fn read_at(&self, file: &File, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| past_the_end())?;
        let populated = self.0.advise_range(Advice::PopulateRead, start, buf.len());
        if populated.is_err() {
            return file.read_exact_at(buf, offset);
        }
        let source = self.0.get(start..).and_then(|rest| rest.get(..buf.len()));
        buf.copy_from_slice(source.ok_or_else(past_the_end)?);
        Ok(())
    }
}

/// Whether a file is on tmpfs.
fn is_in_memory(file: &File) -> bool {
    const TMPFS_MAGIC: u64 = 0x0102_1994;
    rustix::fs::fstatfs(file).is_ok_and(|found| u64::try_from(found.f_type) == Ok(TMPFS_MAGIC))
}

fn map(file: &File, len: usize) -> Option<Mmap> {
    // SAFETY: the bytes behind a mapping must not change while a `&[u8]` to them is used. No
    // slice of the map leaves this file; `read_at` copies out of it under the shared lock that
    // the open file holds, and a writer who ignores that lock can make the copy differ from
    // what was there a moment ago, no more. Truncation is what the type's comment says it is.
    unsafe { MmapOptions::new().len(len).map(file) }.ok()
}
