//! What a path leads to, looked at before it is opened.

use super::image_format::flat_extent;
use super::nbd::{self, Address};
use super::{Access, ImageFormat, MediumError, NodePermissions, ReadOnlyReason};
use crate::host::{DeviceNumber, Host};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::{File, FileType, Metadata};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Which medium it is, however it was named: two paths with the same identity must not be
/// worked on as two targets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Identity {
    /// A regular file.
    File {
        /// Device number of its file system.
        device: DeviceNumber,
        /// Its inode number.
        inode: u64,
    },
    /// A whole disk.
    Disk(DeviceNumber),
    /// An export of an NBD server.
    Export {
        /// Full name of the server's socket, or host and port.
        server: PathBuf,
        /// Name of the export.
        name: String,
    },
}

impl Identity {
    /// The identity of what a path leads to; a partition counts as the disk it is on. Opens
    /// nothing.
    ///
    /// # Errors
    /// Where there is nothing, or nothing that could be a medium.
    pub fn of(path: &Path, host: &Host) -> Result<Self, MediumError> {
        if let Some(address) = Address::parse(path) {
            let address = address.map_err(|source| MediumError::Nbd {
                path: path.to_owned(),
                source,
            })?;
            return Ok(nbd::identity_of(&address));
        }
        let node = Node::look_up(path, host)?;
        Ok(match node.block_device() {
            None => node.file_identity(),
            Some(number) => {
                let disk = host.disk_of_partition(number);
                Identity::Disk(disk.map_or(number, |disk| disk.number))
            }
        })
    }

    pub(super) fn of_file(metadata: &Metadata) -> Self {
        Identity::File {
            device: DeviceNumber::from_raw(metadata.dev()),
            inode: metadata.ino(),
        }
    }
}

/// Opens a regular file to read it, and nothing else. What is none is not opened at all: who writes to a named pipe
/// would take that for the reader. One that was put in the place of a file just then does not hold anybody up.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for anything else, or what the operating system reported.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let no_file = || io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file");
    if !std::fs::metadata(path)?.is_file() {
        return Err(no_file());
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(no_file())
    }
}

/// Opens what a name leads to, neither to read nor to write it.
///
/// # Errors
/// What the operating system reported.
#[cfg(feature = "cli")]
pub(crate) fn open_path(path: &Path) -> io::Result<File> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// A name that leads to an open file, whatever it is called.
pub(crate) fn in_proc(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// What is neither a file, a directory nor a disk, in words.
pub(super) fn special(kind: FileType) -> &'static str {
    match () {
        () if kind.is_fifo() => "named pipe",
        () if kind.is_socket() => "socket",
        () => "character device",
    }
}

/// A path that leads to a regular file or a block device.
pub(super) struct Node<'a> {
    path: PathBuf,
    metadata: Metadata,
    host: &'a Host,
}

impl<'a> Node<'a> {
    pub(super) fn look_up(path: &Path, host: &'a Host) -> Result<Self, MediumError> {
        let metadata = std::fs::metadata(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                MediumError::NotFound { path: path.into() }
            }
            io::ErrorKind::PermissionDenied => MediumError::PermissionDenied {
                path: path.into(),
                access: Access::Read,
                node: None,
            },
            _ => MediumError::Io {
                op: "look up",
                path: path.into(),
                source,
            },
        })?;
        let kind = metadata.file_type();
        match () {
            () if kind.is_file() || kind.is_block_device() => Ok(Node {
                path: path.into(),
                metadata,
                host,
            }),
            () if kind.is_dir() => Err(MediumError::IsDirectory { path: path.into() }),
            () => Err(MediumError::NotRegular {
                path: path.into(),
                what: special(kind),
            }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn host(&self) -> &'a Host {
        self.host
    }

    pub(super) fn block_device(&self) -> Option<DeviceNumber> {
        let kind = self.metadata.file_type();
        kind.is_block_device()
            .then(|| DeviceNumber::from_raw(self.metadata.rdev()))
    }

    pub(super) fn file_identity(&self) -> Identity {
        Identity::of_file(&self.metadata)
    }

    /// Opens it with `flags` besides the ones every open here has, and sees to it that what is
    /// open is still what was looked up.
    pub(super) fn open(&self, access: Access, flags: OFlags) -> Result<File, Errno> {
        let access = match access {
            Access::Read => OFlags::RDONLY,
            Access::Write => OFlags::RDWR,
        };
        let flags = flags | access | OFlags::CLOEXEC | OFlags::NOCTTY;
        let file = File::from(rustix::fs::open(&self.path, flags, Mode::empty())?);
        let now = rustix::fs::fstat(&file)?;
        let same = now.st_ino == self.metadata.ino() && now.st_dev == self.metadata.dev();
        if same { Ok(file) } else { Err(Errno::STALE) }
    }

    /// Opens a regular file. One that nobody may write is read-only for root as well.
    pub(super) fn open_file(&self, access: Access) -> Result<File, MediumError> {
        let writable = self.metadata.permissions().mode() & 0o222 != 0;
        if access == Access::Write && !writable {
            return Err(self.read_only(ReadOnlyReason::NoWritePermission));
        }
        // Without NONBLOCK a named pipe put here in the meantime would wait for a writer.
        self.open(access, OFlags::NONBLOCK)
            .map_err(|errno| self.open_error(errno, access))
    }

    /// Refuses a file that is empty or no disk as it is. Returns its size in bytes.
    pub(super) fn check_content(&self, file: &File) -> Result<u64, MediumError> {
        let io_error = |source| self.io_error("read", source);
        let size = file.metadata().map_err(io_error)?.len();
        if size == 0 {
            return Err(MediumError::Empty {
                path: self.path.clone(),
            });
        }
        let mut first = [0; ImageFormat::SNIFF_LEN];
        let got = file.read_at(&mut first, 0).map_err(io_error)?;
        let first = first.get(..got).unwrap_or_default();
        let path = self.path.clone();
        match (ImageFormat::sniff(first), flat_extent(first)) {
            (ImageFormat::Raw, _) => Ok(size),
            (ImageFormat::Vmdk, Some(name)) => Err(MediumError::Described {
                extent: path.with_file_name(name),
                path,
            }),
            (format, _) => Err(MediumError::Compressed { path, format }),
        }
    }

    pub(super) fn open_error(&self, errno: Errno, access: Access) -> MediumError {
        match errno {
            Errno::NOENT | Errno::NOTDIR => MediumError::NotFound {
                path: self.path.clone(),
            },
            Errno::ROFS => self.read_only(match self.block_device() {
                Some(_) => ReadOnlyReason::Device,
                None => ReadOnlyReason::FileSystem,
            }),
            Errno::PERM if access == Access::Write => self.read_only(ReadOnlyReason::Immutable),
            Errno::ACCESS | Errno::PERM => MediumError::PermissionDenied {
                path: self.path.clone(),
                access,
                node: Some(self.permissions()),
            },
            Errno::NOMEDIUM => MediumError::Empty {
                path: self.path.clone(),
            },
            _ => self.io_error("open", errno.into()),
        }
    }

    pub(super) fn read_only(&self, why: ReadOnlyReason) -> MediumError {
        MediumError::ReadOnly {
            path: self.path.clone(),
            why,
        }
    }

    pub(super) fn io_error(&self, op: &'static str, source: io::Error) -> MediumError {
        MediumError::io(op, &self.path, source)
    }

    fn permissions(&self) -> NodePermissions {
        let group = self.metadata.gid();
        NodePermissions {
            owner: self.metadata.uid(),
            group,
            group_name: self.host.group_name(group),
            mode: self.metadata.permissions().mode() & 0o7777,
        }
    }
}

/// The name an open file has now; `None` where it has none any more.
pub(super) fn name_of(file: &File) -> Option<PathBuf> {
    let name = std::fs::read_link(in_proc(file)).ok()?;
    // Of a file without a name the kernel says what it was called, and more.
    let there = std::fs::metadata(&name).ok()?;
    let same = Identity::of_file(&there) == Identity::of_file(&file.metadata().ok()?);
    same.then_some(name)
}
