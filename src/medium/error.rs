//! Why a medium cannot be opened, claimed, copied or trusted further.

use super::nbd::NbdError;
use super::node::Node;
use super::virtual_disk::VirtualDiskError;
use super::{ImageFormat, image};
use crate::error::ErrorKind;
use crate::host::{Host, LockClass, Process, Use};
use rustix::io::Errno;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What the kernel reports where a drive fails at particular sectors: its block layer's words for a general
/// error, a bad medium, a failed target, a failed checksum and a command that took too long.
const OF_SECTORS: [Errno; 5] = [
    Errno::IO,
    Errno::NODATA,
    Errno::REMOTEIO,
    Errno::ILSEQ,
    Errno::TIMEDOUT,
];

/// What a medium was to be opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Only to be read.
    Read,
    /// To be read and changed.
    Write,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Access::Read => "read",
            Access::Write => "write",
        })
    }
}

/// Who may do what with a file or device node: what somebody without the right to it needs to
/// know to get it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodePermissions {
    /// Number of the owning user.
    pub owner: u32,
    /// Number of the owning group.
    pub group: u32,
    /// Name of the owning group, `disk`.
    pub group_name: Option<String>,
    /// The permission bits, `0o660`.
    pub mode: u32,
}

/// Why a medium takes no writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReadOnlyReason {
    /// Nobody has the permission to write: the file's owner made it read-only.
    NoWritePermission,
    /// It lies on a file system that is mounted read-only.
    FileSystem,
    /// The file is marked as immutable or append-only, or something else that permissions do
    /// not show forbids it.
    Immutable,
    /// The kernel takes no writes for the device: a write-protect switch, a worn-out stick that
    /// declared itself read-only, a loop device set up that way.
    Device,
    /// The server of an NBD export takes no writes for it.
    Server,
}

impl fmt::Display for ReadOnlyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReadOnlyReason::NoWritePermission => "nobody has permission to write it",
            ReadOnlyReason::FileSystem => "its file system is mounted read-only",
            ReadOnlyReason::Immutable => "it is marked immutable",
            ReadOnlyReason::Device => "the device is write-protected",
            ReadOnlyReason::Server => "its NBD server takes no writes",
        })
    }
}

/// Why a medium cannot be opened, claimed, copied or trusted further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MediumError {
    /// There is nothing by that name.
    #[error("{} does not exist", path.display())]
    NotFound {
        /// What was asked for.
        path: PathBuf,
    },
    /// The permissions of the node do not allow it.
    #[error("no permission to {access} {}", path.display())]
    PermissionDenied {
        /// What was asked for.
        path: PathBuf,
        /// What for.
        access: Access,
        /// Whom the node does allow it; `None` where a directory above keeps it out of sight.
        node: Option<NodePermissions>,
    },
    /// A directory.
    #[error("{} is a directory", path.display())]
    IsDirectory {
        /// What was asked for.
        path: PathBuf,
    },
    /// Neither a regular file nor a block device.
    #[error("{} is a {what}, not a regular file or a block device", path.display())]
    NotRegular {
        /// What was asked for.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Where an output is to go is a disk or a part of one.
    #[error("{} is a block device, and the output must be a file", path.display())]
    OutputIsDisk {
        /// What was asked for.
        path: PathBuf,
    },
    /// Where an output is to go is something else than a file.
    #[error("{} is a {what}, and the output must be a file", path.display())]
    OutputNotFile {
        /// What was asked for.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// It takes no writes.
    #[error("{} is read-only: {why}", path.display())]
    ReadOnly {
        /// What was asked for.
        path: PathBuf,
        /// Why that is.
        why: ReadOnlyReason,
    },
    /// Another process holds a lock on it.
    #[error("{} is locked by {}", path.display(), holders(by))]
    Locked {
        /// What was asked for.
        path: PathBuf,
        /// Who may hold the lock, as far as this user can see.
        by: Vec<Process>,
    },
    /// The kernel does not grant an exclusive claim.
    #[error("{} is in use: {}", path.display(), uses_in_words(uses))]
    Busy {
        /// What was asked for.
        path: PathBuf,
        /// What keeps it busy, what must end first coming first. Empty where nothing shows.
        uses: Vec<Use>,
    },
    /// An image file that the kernel uses as a disk.
    #[error("{} is attached to {}", path.display(), loop_device.display())]
    AttachedToLoop {
        /// What was asked for.
        path: PathBuf,
        /// Node of the loop device.
        loop_device: PathBuf,
    },
    /// A partition where a whole disk is needed.
    #[error("{} is a partition of {}", path.display(), disk.display())]
    PartitionNode {
        /// What was asked for.
        path: PathBuf,
        /// Node of the disk it is on.
        disk: PathBuf,
    },
    /// The running system needs it.
    #[error("{} holds the running system: {}", path.display(), paths_in_words(holds))]
    SystemDisk {
        /// What was asked for.
        path: PathBuf,
        /// Mount points and swap that lie on it.
        holds: Vec<PathBuf>,
    },
    /// An empty file, or a drive without a medium.
    #[error("{} is empty", path.display())]
    Empty {
        /// What was asked for.
        path: PathBuf,
    },
    /// A file that has to be unpacked or converted before it is a disk.
    #[error("{} is {format}, not a raw disk image", path.display())]
    Compressed {
        /// What was asked for.
        path: PathBuf,
        /// What it is instead.
        format: ImageFormat,
    },
    /// The text that describes a VMware virtual disk, which another file holds as it is.
    #[error("{} only describes a virtual disk; the disk itself is {}", path.display(), extent.display())]
    Described {
        /// What was asked for.
        path: PathBuf,
        /// The file that holds the disk.
        extent: PathBuf,
    },
    /// A device with sectors that cannot be.
    #[error("{} has logical sectors of {size} bytes", path.display())]
    SectorSize {
        /// What was asked for.
        path: PathBuf,
        /// Their size in bytes.
        size: u32,
    },
    /// Something else changed the size since the medium was opened.
    #[error("{} was {was} bytes when opened and is {is} bytes now", path.display())]
    SizeChanged {
        /// Which medium.
        path: PathBuf,
        /// Bytes then.
        was: u64,
        /// Bytes now.
        is: u64,
    },
    /// The name a medium was opened by leads to another file since, or to none.
    #[error("{} is not the file any more that was opened{}", path.display(), called(now.as_deref()))]
    Replaced {
        /// The name.
        path: PathBuf,
        /// What the file that was opened is called now; `None` where that cannot be told.
        now: Option<PathBuf>,
    },
    /// The device is no longer there.
    #[error("{} disappeared while {op}{}: {source}", path.display(), at(*offset))]
    Vanished {
        /// Which device.
        path: PathBuf,
        /// What was being done.
        op: &'static str,
        /// At which byte; `None` of a sync, which is about no place.
        offset: Option<u64>,
        /// What the kernel reported.
        source: io::Error,
    },
    /// A file that is read as a whole, and too large for that.
    #[error("{} is larger than {limit} bytes", path.display())]
    TooLarge {
        /// What was asked for.
        path: PathBuf,
        /// The most that is read, in bytes.
        limit: u64,
    },
    /// Something else wrote to a file, or put another in its place, since it was read.
    #[error("{} was changed by another program since it was read", path.display())]
    ChangedSince {
        /// Which file.
        path: PathBuf,
    },
    /// A file whose owner, group or access list its new content cannot be given.
    #[error("{} would not keep its owner, group or access list: {source}", path.display())]
    NotKept {
        /// Which file.
        path: PathBuf,
        /// What the kernel reported.
        source: io::Error,
    },
    /// An NBD export that cannot be reached, or whose server cannot be used.
    #[error("{}: {source}", path.display())]
    Nbd {
        /// Its address, or the file of a virtual disk.
        path: PathBuf,
        /// What is wrong.
        source: NbdError,
    },
    /// A virtual disk that cannot be worked on.
    #[error("{}: {source}", path.display())]
    VirtualDisk {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: VirtualDiskError,
    },
    /// An output file that is there already.
    #[error("{} already exists", path.display())]
    Exists {
        /// Name of the output.
        path: PathBuf,
    },
    /// An output file that is the source as well.
    #[error("{} is both the source and the output", path.display())]
    SameFile {
        /// Name of the output.
        path: PathBuf,
    },
    /// An output would take the place of a directory.
    #[error("{} is a directory, not a file", path.display())]
    OutputIsDirectory {
        /// Name of the output.
        path: PathBuf,
    },
    /// The directory of an output file is not there.
    #[error("cannot make {}: its directory is not there", path.display())]
    NoDirectory {
        /// Name of the output.
        path: PathBuf,
    },
    /// The file system of an output file is full, or its quota or size limit is reached.
    #[error("no room to write {}: {source}", path.display())]
    NoSpace {
        /// Name of the output.
        path: PathBuf,
        /// What the kernel reported.
        source: io::Error,
    },
    /// A new file that is whole and has its name, in a directory that cannot be synced.
    #[error("{} is written, but a power cut may take it back, because its directory cannot be synced: {source}", path.display())]
    NotDurable {
        /// Name of the output.
        path: PathBuf,
        /// What the kernel reported.
        source: io::Error,
    },
    /// A packed image that cannot be unpacked.
    #[error("cannot unpack it: {source}")]
    Unpack {
        /// What the unpacker, or the file it reads, reported.
        source: io::Error,
    },
    /// The caller stopped a copy.
    #[error("copying to {} was interrupted", path.display())]
    Interrupted {
        /// Name of the output.
        path: PathBuf,
    },
    /// Anything else the operating system reported.
    #[error("cannot {op} {}: {source}", path.display())]
    Io {
        /// What was being done, as an imperative.
        op: &'static str,
        /// With what.
        path: PathBuf,
        /// What the kernel reported.
        source: io::Error,
    },
}

impl MediumError {
    /// What the operating system reported of `op`, an imperative, with `path`.
    pub(crate) fn io(op: &'static str, path: &Path, source: io::Error) -> Self {
        MediumError::Io {
            op,
            path: path.to_owned(),
            source,
        }
    }

    /// Whether what was reported of a read, a write or a sync is that the device is no longer there
    /// ([`MediumError::Vanished`]).
    pub fn has_vanished(error: &io::Error) -> bool {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        matches!(inner, Some(MediumError::Vanished { .. }))
    }

    /// Whether what was reported is that a drive fails at particular sectors.
    pub fn is_of_sectors(error: &io::Error) -> bool {
        let reported = Errno::from_io_error(error);
        reported.is_some_and(|error| OF_SECTORS.contains(&error))
    }

    /// The error of a file that some other process has locked, as far as it can be seen which.
    pub fn locked_by_users(path: &Path, host: &Host) -> Self {
        match Node::look_up(path, host) {
            Ok(node) => image::locked(&node, LockClass::OpenFile),
            Err(error) => error,
        }
    }

    /// What the error means to whoever has to act on it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            MediumError::PermissionDenied { .. }
            | MediumError::ReadOnly { .. }
            | MediumError::Locked { .. }
            | MediumError::Busy { .. }
            | MediumError::AttachedToLoop { .. }
            | MediumError::SystemDisk { .. }
            | MediumError::TooLarge { .. }
            | MediumError::ChangedSince { .. }
            | MediumError::NotKept { .. }
            | MediumError::Exists { .. }
            | MediumError::SameFile { .. }
            | MediumError::Interrupted { .. } => ErrorKind::Refused,
            MediumError::NotFound { .. }
            | MediumError::NoDirectory { .. }
            | MediumError::OutputIsDirectory { .. }
            | MediumError::IsDirectory { .. }
            | MediumError::NotRegular { .. }
            | MediumError::OutputIsDisk { .. }
            | MediumError::OutputNotFile { .. }
            | MediumError::Described { .. }
            | MediumError::PartitionNode { .. } => ErrorKind::Usage,
            MediumError::Nbd { source, .. } => source.kind(),
            MediumError::VirtualDisk { source, .. } => source.kind(),
            // An unpacker's own errors are no errno.
            MediumError::Unpack { source } if source.raw_os_error().is_some() => ErrorKind::Io,
            MediumError::Unpack { .. } | MediumError::Empty { .. } => ErrorKind::Damaged,
            MediumError::Compressed { .. } | MediumError::SectorSize { .. } => {
                ErrorKind::Unsupported
            }
            MediumError::SizeChanged { .. }
            | MediumError::Replaced { .. }
            | MediumError::Vanished { .. }
            | MediumError::NoSpace { .. }
            | MediumError::NotDurable { .. }
            | MediumError::Io { .. } => ErrorKind::Io,
        }
    }
}

fn called(now: Option<&Path>) -> String {
    now.map_or(String::new(), |now| {
        format!(", which is {} now", now.display())
    })
}

fn at(offset: Option<u64>) -> String {
    offset.map_or(String::new(), |offset| format!(" at byte {offset}"))
}

fn holders(by: &[Process]) -> String {
    if by.is_empty() {
        return "another process".to_owned();
    }
    let names: Vec<String> = by.iter().map(Process::to_string).collect();
    names.join(", ")
}

fn uses_in_words(uses: &[Use]) -> String {
    if uses.is_empty() {
        return "another process or driver has claimed it".to_owned();
    }
    let words: Vec<String> = uses.iter().map(Use::to_string).collect();
    words.join("; ")
}

fn paths_in_words(paths: &[PathBuf]) -> String {
    let words: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    words.join(", ")
}
