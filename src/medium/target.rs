//! What a command works on, whichever kind of medium it is: opened to be read, or claimed to be
//! changed.

use super::nbd::{Address, Export};
use super::node::Node;
use super::{
    Access, BlockDevice, Identity, ImageFile, MediumError, ReadAt, ReadOnlyReason, WriteAt,
};
use crate::host::{Host, WriteCache};
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

/// The kinds of medium a user can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TargetKind {
    /// A regular file that holds the bytes of a disk.
    Image,
    /// A whole disk.
    Device,
    /// An export of an NBD server.
    Export,
    /// A file that holds a disk in a format of a hypervisor, which QEMU reads and writes.
    VirtualDisk,
}

/// An open medium. It can be read; to be written it has to be a [`ClaimedTarget`].
///
/// ```compile_fail,E0277
/// # use bootbank::{host::Host, medium::{Target, WriteAt}};
/// let image = Target::open_read("esxi.img".as_ref(), &Host::default())?;
/// let medium: &dyn WriteAt = &image; // the trait bound `Target: WriteAt` is not satisfied
/// # Ok::<(), bootbank::medium::MediumError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Target {
    /// An image file.
    Image(ImageFile),
    /// A whole disk.
    Device(Box<BlockDevice>),
    /// An export of an NBD server, or a virtual disk that one serves.
    Export(Arc<Export>),
}

impl Target {
    /// Opens an image file, a disk or an NBD export to be read.
    ///
    /// # Errors
    /// Each reason it cannot be read is its own variant of [`MediumError`].
    pub fn open_read(path: &Path, host: &Host) -> Result<Self, MediumError> {
        if Address::is_one(path) {
            return Export::connect(path, Access::Read).map(Target::Export);
        }
        let node = Node::look_up(path, host)?;
        match node.block_device() {
            Some(number) => BlockDevice::open_read(&node, number).map(Target::from),
            None => ImageFile::open_read(&node).map(Target::Image),
        }
    }

    /// The name it was opened by.
    pub fn path(&self) -> &Path {
        match self {
            Target::Image(image) => image.path(),
            Target::Device(device) => device.path(),
            Target::Export(export) => export.path(),
        }
    }

    /// Which kind it is.
    pub fn kind(&self) -> TargetKind {
        match self {
            Target::Image(_) => TargetKind::Image,
            Target::Device(_) => TargetKind::Device,
            Target::Export(export) => export.kind(),
        }
    }

    /// Which medium it is, however it was named.
    pub fn identity(&self) -> Identity {
        match self {
            Target::Image(image) => image.identity(),
            Target::Device(device) => device.identity(),
            Target::Export(export) => export.identity(),
        }
    }

    /// Logical sector size in bytes; `None` for an image file or export, which has none of its own.
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
            Target::Image(_) | Target::Export(_) => None,
        }
    }

    /// The open file of an image.
    pub(super) fn file(&self) -> Option<&File> {
        match self {
            Target::Image(image) => Some(image.file()),
            Target::Device(_) | Target::Export(_) => None,
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
        match self {
            Target::Image(image) => image.size(),
            Target::Device(device) => device.size(),
            Target::Export(export) => export.size(),
        }
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        match self {
            Target::Image(image) => image.read_at(buf, offset),
            Target::Device(device) => device.read_at(buf, offset),
            Target::Export(export) => export.read_at(buf, offset),
        }
    }

    fn read_vec(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        match self {
            Target::Image(image) => image.read_vec(offset, len),
            Target::Device(device) => device.read_vec(offset, len),
            Target::Export(export) => export.read_vec(offset, len),
        }
    }
}

/// An open medium that nobody else has, as far as the kernel and those who ask it can see to
/// that. The claim lasts until this value is dropped.
///
/// ```
/// # use bootbank::{host::Host, medium::{ClaimedTarget, WriteAt}};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("esxi.img");
/// # std::fs::write(&path, [0; 512])?;
/// let image = ClaimedTarget::open(&path, &Host::default())?;
/// let medium: &dyn WriteAt = &image;
/// medium.write_at(&[1; 512], 0)?;
/// # assert_eq!(std::fs::read(&path)?, [1; 512]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ClaimedTarget(Target);

impl ClaimedTarget {
    /// Opens an image file, a disk or an NBD export to be changed, claiming it before anything of it is read.
    ///
    /// # Errors
    /// Each reason it cannot be had is its own variant of [`MediumError`].
    pub fn open(path: &Path, host: &Host) -> Result<Self, MediumError> {
        if Address::is_one(path) {
            return Export::connect(path, Access::Write).and_then(Self::from_export);
        }
        let node = Node::look_up(path, host)?;
        let target = match node.block_device() {
            Some(number) => BlockDevice::open_write(&node, number).map(Target::from),
            None => ImageFile::open_write(&node).map(Target::Image),
        };
        target.map(ClaimedTarget)
    }
}

impl ClaimedTarget {
    /// Takes an export that was opened to be changed. The protocol has no claims: the server keeps
    /// others out, or nobody does.
    ///
    /// # Errors
    /// [`MediumError::ReadOnly`] of one that was opened to be read.
    pub fn from_export(export: Arc<Export>) -> Result<Self, MediumError> {
        match export.access() {
            Access::Write => Ok(ClaimedTarget(Target::Export(export))),
            Access::Read => Err(MediumError::ReadOnly {
                path: export.path().to_owned(),
                why: ReadOnlyReason::Server,
            }),
        }
    }
}

/// Whatever is asked of an open medium can be asked of a claimed one.
impl Deref for ClaimedTarget {
    type Target = Target;

    fn deref(&self) -> &Target {
        &self.0
    }
}

impl ReadAt for ClaimedTarget {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(buf, offset)
    }

    fn read_vec(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.0.read_vec(offset, len)
    }
}

impl WriteAt for ClaimedTarget {
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        match &self.0 {
            Target::Image(image) => image.write_at(data, offset),
            Target::Device(device) => device.write_at(data, offset),
            Target::Export(export) => export.write_at(data, offset),
        }
    }

    fn sync(&self) -> io::Result<()> {
        match &self.0 {
            Target::Image(image) => image.sync(),
            Target::Device(device) => device.sync(),
            Target::Export(export) => export.sync(),
        }
    }

    fn read_back(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        match &self.0 {
            Target::Image(image) => image.read_back(buf, offset),
            Target::Device(device) => device.read_back(buf, offset),
            // Nothing on this side remembers; what the server does is its own affair.
            Target::Export(export) => export.read_at(buf, offset),
        }
    }

    fn check_name(&self) -> io::Result<()> {
        match &self.0 {
            Target::Image(image) => image.check_name(),
            // A node can be made anew for the same disk; one that is pulled out fails to be read.
            Target::Device(_) => Ok(()),
            // The connection leads to what it was made to, whatever has its name now.
            Target::Export(_) => Ok(()),
        }
    }
}
