//! What a command works on, whichever kind of medium it is.

use super::image;
use super::node::Node;
use super::{BlockDevice, Identity, ImageFile, MappedImage, MediumError, ReadAt, WriteAt};
use crate::host::{Host, WriteCache};
use std::fs::File;
use std::io;
use std::path::Path;

/// The two kinds of medium a user can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetKind {
    /// A regular file that holds the bytes of a disk.
    Image,
    /// A whole disk.
    Device,
}

/// An open medium.
#[derive(Debug)]
pub enum Target {
    /// An image file, mapped, to be read.
    Mapped(MappedImage),
    /// An image file accessed by position: claimed, to be changed, or to be read where it could
    /// not be mapped.
    Image(ImageFile),
    /// A whole disk.
    Device(Box<BlockDevice>),
}

impl Target {
    /// Opens an image file or a disk to be read.
    ///
    /// # Errors
    /// Each reason it cannot be read is its own variant of [`MediumError`].
    pub fn open_read(path: &Path, host: &Host) -> Result<Self, MediumError> {
        let node = Node::look_up(path, host)?;
        if let Some(number) = node.block_device() {
            return BlockDevice::open_read(&node, number).map(Target::from);
        }
        match MappedImage::open(&node)? {
            Some(mapped) => Ok(Target::Mapped(mapped)),
            None => ImageFile::open_read(&node).map(Target::Image),
        }
    }

    /// Opens an image file or a disk to be changed, claiming it before anything of it is read.
    /// The claim lasts until this value is dropped.
    ///
    /// # Errors
    /// Each reason it cannot be had is its own variant of [`MediumError`].
    pub fn open_write(path: &Path, host: &Host) -> Result<Self, MediumError> {
        let node = Node::look_up(path, host)?;
        match node.block_device() {
            Some(number) => BlockDevice::open_write(&node, number).map(Target::from),
            None => ImageFile::open_write(&node).map(Target::Image),
        }
    }

    /// The name it was opened by.
    pub fn path(&self) -> &Path {
        match self {
            Target::Mapped(mapped) => mapped.path(),
            Target::Image(image) => image.path(),
            Target::Device(device) => device.path(),
        }
    }

    /// Which kind it is.
    pub fn kind(&self) -> TargetKind {
        match self {
            Target::Mapped(_) | Target::Image(_) => TargetKind::Image,
            Target::Device(_) => TargetKind::Device,
        }
    }

    /// Which medium it is, however it was named.
    pub fn identity(&self) -> Identity {
        match self {
            Target::Mapped(mapped) => mapped.identity(),
            Target::Image(image) => image.identity(),
            Target::Device(device) => device.identity(),
        }
    }

    /// Logical sector size in bytes; `None` for an image file, which has none of its own.
    pub fn logical_sector_size(&self) -> Option<u32> {
        Some(self.device()?.logical_sector_size())
    }

    /// What the kernel believes of a disk's write cache.
    pub fn write_cache(&self) -> Option<WriteCache> {
        self.device()?.write_cache()
    }

    /// A disk's serial number.
    pub fn serial(&self) -> Option<&str> {
        self.device()?.disk()?.serial.as_deref()
    }

    /// The disk, where it is one.
    pub fn device(&self) -> Option<&BlockDevice> {
        match self {
            Target::Device(device) => Some(device),
            Target::Mapped(_) | Target::Image(_) => None,
        }
    }

    /// The open file of an image.
    pub(super) fn file(&self) -> Option<&File> {
        match self {
            Target::Mapped(mapped) => Some(mapped.file()),
            Target::Image(image) => Some(image.file()),
            Target::Device(_) => None,
        }
    }

    fn readable(&self) -> &dyn ReadAt {
        match self {
            Target::Mapped(mapped) => mapped,
            Target::Image(image) => image,
            Target::Device(device) => &**device,
        }
    }

    fn writable(&self) -> io::Result<&dyn WriteAt> {
        match self {
            Target::Mapped(_) => Err(image::opened_for_reading()),
            Target::Image(image) => Ok(image),
            Target::Device(device) => Ok(&**device),
        }
    }
}

impl From<BlockDevice> for Target {
    fn from(device: BlockDevice) -> Self {
        Target::Device(Box::new(device))
    }
}

impl ReadAt for Target {
    fn size(&self) -> u64 {
        self.readable().size()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.readable().read_at(buf, offset)
    }
}

/// Every method fails with `PermissionDenied` on a target opened by [`Target::open_read`].
impl WriteAt for Target {
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.writable()?.write_at(data, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.writable()?.sync()
    }

    fn read_back(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.writable()?.read_back(buf, offset)
    }
}
