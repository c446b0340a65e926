//! Files of this process's own mapped into memory, to be read many times: a packed image that
//! was unpacked.
//!
//! Whoever cuts a file short while it is mapped here ends this process with SIGBUS, and nothing
//! keeps everybody out from doing so: locks are advisory, and a lease only asks for a moment's
//! patience. So nothing is mapped that somebody else can open: no image, whoever owns it, and no
//! block device, which can be pulled out. What is left is a file that this process made and that
//! has no name. Everything else is read by position, which costs one system call for a read, and a
//! read here is a page at least.
#![allow(unsafe_code)]

use super::past_the_end;
use memmap2::{Advice, Mmap, MmapOptions};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// All of a file that has no name, mapped read-only.
///
/// A page that the disk below fails to deliver would be SIGBUS as well. So the pages are asked for
/// before every read (`MADV_POPULATE_READ`, Linux 5.14): the kernel answers with an error then, and
/// what it cannot map is read by position, which says why.
#[derive(Debug)]
pub(super) struct Mapping(Mmap);

impl Mapping {
    /// Maps the `size` bytes of a file that was made here, has no name, and is not written any more;
    /// `None` where its file system has no mappings, or the address space no room for it, and it has
    /// to be read by position. So has one in memory, where looking at a hole through a mapping fills
    /// it.
    pub(super) fn of_own(file: &File, size: u64) -> Option<Self> {
        if is_in_memory(file) {
            return None;
        }
        map(file, usize::try_from(size).ok()?).map(Mapping)
    }

    /// Fills `buf` from byte `offset` of `file` on, which is what is mapped.
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
    // SAFETY: the bytes behind a mapping must neither change while a `&[u8]` to them is used nor
    // go away. The file has no name, so no other process opens it, and this one writes it no more;
    // no slice of the map leaves this file.
    unsafe { MmapOptions::new().len(len).map(file) }.ok()
}
