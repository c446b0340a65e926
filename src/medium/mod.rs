//! What the bytes live on: image files, block devices, and stand-ins for tests.
//!
//! Everything above this room reads through [`ReadAt`] and never learns what is
//! behind it. [`WriteAt`] is implemented by media that can be changed; what
//! begins a write to one is `commit/run.rs` alone.
//!
//! [`Target`] is what a command opens to look at, an image file ([`ImageFile`]), a whole disk
//! ([`BlockDevice`]) or a network block device ([`nbd::Export`]); [`ClaimedTarget`] is one that nobody else has, and the only one of the two
//! that can be written. [`CachedReads`] keeps what was read and counts what that cost;
//! [`OutputFile`] is a patched copy in the making. Nothing here mounts, partitions, or sets up loop devices, and nothing re-reads a
//! partition table.

mod cache;
mod copy;
mod device;
mod error;
mod image;
mod image_format;
mod lba;
mod map;
mod memory;
mod meter;
mod naming;
pub mod nbd;
mod node;
mod sparse;
mod target;
pub mod virtual_disk;
mod whole_file;

pub use cache::CachedReads;
pub use copy::{CompleteFile, OutputFile};
pub use device::BlockDevice;
pub use error::{Access, MediumError, NodePermissions, ReadOnlyReason};
pub use image::ImageFile;
pub use image_format::ImageFormat;
pub use lba::Lba;
pub use memory::Memory;
pub use meter::Meter;
pub use naming::is_partial;
#[cfg(feature = "cli")]
pub(crate) use naming::{directory_of, sync_directory};
pub use node::Identity;
pub(crate) use node::open_regular;
#[cfg(feature = "cli")]
pub(crate) use node::{in_proc, open_path};
pub use sparse::SparseReads;
pub use target::{ClaimedTarget, Target, TargetKind};
pub use whole_file::WholeFile;

use std::io;
use std::sync::Arc;

/// Reads at a byte position; shared, so it takes `&self`.
pub trait ReadAt {
    /// Size of the whole medium in bytes.
    fn size(&self) -> u64;

    /// Fills `buf` from byte `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` where `offset + buf.len()` runs past [`ReadAt::size`];
    /// otherwise what the operating system reported.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;

    /// The `len` bytes from byte `offset` on. Media that can do so read into memory that nobody
    /// cleared before. Callers bound `len`.
    ///
    /// # Errors
    /// As [`ReadAt::read_at`], and `OutOfMemory` where there is no room for them.
    fn read_vec(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        read_into_zeros(self, offset, len)
    }
}

/// What [`ReadAt::read_vec`] does where a medium has no better way.
pub(crate) fn read_into_zeros<M: ReadAt + ?Sized>(
    medium: &M,
    offset: u64,
    len: usize,
) -> io::Result<Vec<u8>> {
    // In pieces, which are copied at once even where nothing is optimised.
    const ZEROS: [u8; 4096] = [0; 4096];
    let mut bytes = room_for(len)?;
    while bytes.len() < len {
        let rest = len - bytes.len();
        bytes.extend_from_slice(ZEROS.get(..rest).unwrap_or(&ZEROS));
    }
    medium.read_at(&mut bytes, offset)?;
    Ok(bytes)
}

/// A medium that can be changed, in whole logical sectors.
pub trait WriteAt: ReadAt {
    /// Writes `data` at byte `offset`; both are multiples of the logical sector size.
    ///
    /// # Errors
    /// What the operating system reported. Part of `data` may have reached the medium.
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()>;

    /// Returns when everything written before is acknowledged as durable by the medium.
    ///
    /// # Errors
    /// What the operating system reported. After an error it is unknown which of the
    /// writes since the last successful sync reached the medium; trying again proves nothing.
    fn sync(&self) -> io::Result<()>;

    /// As [`ReadAt::read_at`], but past every cache this machine has a say in.
    ///
    /// # Errors
    /// As [`ReadAt::read_at`].
    fn read_back(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;

    /// Asks whether the name the medium was opened by still leads to it. One without a name is what
    /// it is.
    ///
    /// # Errors
    /// [`MediumError::Replaced`] where the name leads to another file now, or to none.
    fn check_name(&self) -> io::Result<()> {
        Ok(())
    }
}

/// What holds a medium can be read as that.
macro_rules! read_as_what_is_held {
    ($($holder:ty),+) => {$(
        impl<M: ReadAt + ?Sized> ReadAt for $holder {
            fn size(&self) -> u64 {
                (**self).size()
            }
            fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
                (**self).read_at(buf, offset)
            }
            fn read_vec(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
                (**self).read_vec(offset, len)
            }
        }
    )+};
}

read_as_what_is_held!(&M, Box<M>, Arc<M>);

impl<M: WriteAt + ?Sized> WriteAt for &M {
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        (**self).write_at(data, offset)
    }
    fn sync(&self) -> io::Result<()> {
        (**self).sync()
    }
    fn read_back(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_back(buf, offset)
    }
    fn check_name(&self) -> io::Result<()> {
        (**self).check_name()
    }
}

impl ReadAt for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let source = usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..start.checked_add(buf.len())?))
            .ok_or_else(past_the_end)?;
        buf.copy_from_slice(source);
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn size(&self) -> u64 {
        self.as_slice().size()
    }
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.as_slice().read_at(buf, offset)
    }
}

/// A part of a medium, with positions counted from its own start: what a partition is
/// to the volume inside it.
#[derive(Clone, Copy, Debug)]
pub struct Window<M> {
    medium: M,
    start: u64,
    len: u64,
}

impl<M: ReadAt> Window<M> {
    /// The `len` bytes from byte `start` of `medium` on; `None` where they do not all exist.
    pub fn new(medium: M, start: u64, len: u64) -> Option<Self> {
        let end = start.checked_add(len)?;
        (end <= medium.size()).then_some(Window { medium, start, len })
    }

    /// Byte position of this window on the medium below it.
    pub fn start(&self) -> u64 {
        self.start
    }
}

impl<M: ReadAt> ReadAt for Window<M> {
    fn size(&self) -> u64 {
        self.len
    }
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        check_range(offset, buf.len(), self.len)?;
        self.medium.read_at(buf, self.start + offset)
    }
    fn read_vec(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        check_range(offset, len, self.len)?;
        self.medium.read_vec(self.start + offset, len)
    }
}

/// An empty vector with room for `len` bytes.
fn room_for(len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(len)
        .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    Ok(bytes)
}

/// Refuses a range of `len` bytes from `offset` on that does not lie within `size` bytes.
fn check_range(offset: u64, len: usize, size: u64) -> io::Result<()> {
    let end = offset.checked_add(len as u64);
    if end.is_some_and(|end| end <= size) {
        Ok(())
    } else {
        Err(past_the_end())
    }
}

/// The error of a read that runs past the end of what is there.
pub(crate) fn past_the_end() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "read past the end")
}
