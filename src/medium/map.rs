//! Image files mapped into memory, to be looked at.
//!
//! Only regular files, only for reading, under a shared lock. A block device is never mapped:
//! one pulled out would end the process with SIGBUS, where a positioned read reports EIO.
#![allow(unsafe_code)]

use super::node::Node;
use super::{Access, Identity, MediumError, ReadAt, check_range, image};
use memmap2::{Advice, Mmap, MmapOptions};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// A regular file mapped read-only.
///
/// The shared lock keeps out everybody who asks for one, this program's own writing commands
/// first of all. A program that does not ask can still cut the file short, and touching a page
/// past the new end is SIGBUS, as is one that the disk below fails to deliver. So the size is
/// asked for before every read, and the pages are (`MADV_POPULATE_READ`, Linux 5.14): the kernel
/// answers with an error then, and what it cannot map is read by position, which says why. That
/// leaves the moment between this and the copy.
#[derive(Debug)]
pub struct MappedImage {
    file: File,
    map: Mmap,
    path: PathBuf,
    identity: Identity,
}

impl MappedImage {
    /// Maps an image; `None` where its file system has no locks or no mappings, or the address
    /// space no room for it, and it has to be read by position. So has one in memory, where
    /// looking at a hole through a mapping fills it.
    pub(super) fn open(node: &Node<'_>) -> Result<Option<Self>, MediumError> {
        let file = node.open_file(Access::Read)?;
        if !image::lock_shared(node, &file)? || is_in_memory(&file) {
            return Ok(None);
        }
        let size = node.check_content(&file)?;
        let Some(map) = usize::try_from(size).ok().and_then(|len| map(&file, len)) else {
            return Ok(None);
        };
        Ok(Some(MappedImage {
            file,
            map,
            path: node.path().to_owned(),
            identity: node.file_identity(),
        }))
    }

    /// Which file it is.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The name it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file(&self) -> &File {
        &self.file
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

impl ReadAt for MappedImage {
    fn size(&self) -> u64 {
        self.map.len() as u64
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        check_range(offset, buf.len(), self.size())?;
        image::check_size(&self.file, &self.path, self.size())?;
        let start = usize::try_from(offset).map_err(|_| super::past_the_end())?;
        let populated = self
            .map
            .advise_range(Advice::PopulateRead, start, buf.len());
        if populated.is_err() {
            return self.file.read_exact_at(buf, offset);
        }
        let source = self.map.get(start..).and_then(|rest| rest.get(..buf.len()));
        buf.copy_from_slice(source.ok_or_else(super::past_the_end)?);
        Ok(())
    }
}
