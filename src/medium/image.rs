//! Image files: read and written by position, under locks held as long as they are open.
//!
//! An image is never mapped: whoever cuts it short would end this process with SIGBUS, and nothing
//! keeps everybody out from doing so. A read by position reports the end instead.
//!
//! Three kinds of lock meet on an image. `flock(2)` is what two runs of this program, and
//! util-linux' `flock`, keep each other out with. QEMU takes `fcntl(2)` byte-range locks, read
//! locks on byte 100+n for each permission it uses and on 200+n for each it grants nobody else;
//! a write lock on the whole file, asked for here, conflicts with any of them, and keeps QEMU
//! out in turn. Loop devices take no lock at all: sysfs tells.
//!
//! All of these are advisory: nothing stops a program that does not ask.

use super::node::Node;
use super::{Access, Identity, MediumError, ReadAt, check_range, room_for};
use crate::host::{
    ByteLock, FileLock, LockClass, Process, ask_again_while, byte_lock_on, drop_byte_lock,
    seen_twice, take_byte_lock,
};
use rustix::buffer::spare_capacity;
use rustix::fs::{Advice, FlockOperation};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes QEMU locks while it may write (100 + 1) or resize (100 + 3) an image, or grants nobody
/// else a consistent view of it (200 + 0). Holders of the others do not disturb a reader.
const QEMU_BYTES_AGAINST_READERS: [u64; 3] = [101, 103, 200];

/// An image file.
#[derive(Debug)]
pub struct ImageFile {
    file: File,
    path: PathBuf,
    size: u64,
    identity: Identity,
}

impl ImageFile {
    /// Opens an image to be changed and claims it until this value is dropped: no other run of
    /// this program, no QEMU and no loop device has it. Of these only a loop device, which asks
    /// for no lock, can still be set up on it.
    pub(super) fn open_write(node: &Node<'_>) -> Result<Self, MediumError> {
        let file = node.open_file(Access::Write)?;
        refuse_attached(node)?;
        claim(node, &file)?;
        Self::new(node, file)
    }

    /// Opens an image to be read, under a shared lock where the file system has locks.
    pub(super) fn open_read(node: &Node<'_>) -> Result<Self, MediumError> {
        let file = node.open_file(Access::Read)?;
        lock_shared(node, &file)?;
        Self::new(node, file)
    }

    fn new(node: &Node<'_>, file: File) -> Result<Self, MediumError> {
        let size = node.check_content(&file)?;
        Ok(ImageFile {
            file,
            path: node.path().to_owned(),
            size,
            identity: node.file_identity(),
        })
    }

    /// Which file it is.
    pub fn identity(&self) -> Identity {
        self.identity.clone()
    }

    /// The name it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// [`super::WriteAt::write_at`] of a claimed image. Never makes the file longer.
    pub(super) fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        check_range(offset, data.len(), self.size)?;
        self.file.write_all_at(data, offset)
    }

    /// [`super::WriteAt::sync`] of a claimed image. Also finds out whether something else cut or
    /// extended the file meanwhile.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()?;
        check_size(&self.file, &self.path, self.size)
    }

    /// [`super::WriteAt::check_name`] of a claimed image.
    pub(super) fn check_name(&self) -> io::Result<()> {
        let there = std::fs::metadata(&self.path);
        if there.is_ok_and(|there| Identity::of_file(&there) == self.identity) {
            return Ok(());
        }
        let path = self.path.clone();
        let now = super::node::name_of(&self.file);
        Err(io::Error::other(MediumError::Replaced { path, now }))
    }

    /// [`super::WriteAt::read_back`] of a claimed image. Asks the kernel to forget the file's
    /// pages and reads. Pages that are dirty, or mapped by another process, stay; on tmpfs all
    /// do; and what a drive below the file system keeps in its own memory is out of reach. A
    /// difference found this way is real, its absence shows that the kernel and the file system,
    /// not necessarily the drive, have the bytes.
    pub(super) fn read_back(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        // The whole file: a range leaves those large folios that reach out of it.
        rustix::fs::fadvise(&self.file, 0, None, Advice::DontNeed)?;
        self.read_at(buf, offset)
    }
}

impl ReadAt for ImageFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        check_range(offset, buf.len(), self.size)?;
        self.file.read_exact_at(buf, offset).map_err(|error| {
            // The end of a file that has become shorter is no end to be expected.
            check_size(&self.file, &self.path, self.size)
                .err()
                .unwrap_or(error)
        })
    }

    fn read_vec(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        check_range(offset, len, self.size)?;
        let mut bytes = room_for(len)?;
        if len == 0 {
            return Ok(bytes);
        }
        // One call reads it all but on odd file systems; more would be more than was asked for.
        let read = rustix::io::retry_on_intr(|| {
            bytes.clear();
            rustix::io::pread(&self.file, spare_capacity(&mut bytes), offset)
        })?;
        if read < len {
            bytes.resize(len, 0);
            self.read_at(
                bytes.get_mut(read..).unwrap_or_default(),
                offset + read as u64,
            )?;
        }
        bytes.truncate(len);
        Ok(bytes)
    }
}

/// Compares the size of an open file with what it was.
fn check_size(file: &File, path: &Path, was: u64) -> io::Result<()> {
    let is = file.metadata()?.len();
    if is == was {
        return Ok(());
    }
    let path = path.to_owned();
    Err(io::Error::other(MediumError::SizeChanged { path, was, is }))
}

/// Takes the shared lock of a reader. Where the file system has no locks there is nothing to
/// take.
pub(super) fn lock_shared(node: &Node<'_>, file: &File) -> Result<(), MediumError> {
    let of_a_writer = || byte_lock_on(file, ByteLock::Exclusive, 0..0).is_some();
    if ask_again_while(|locked| *locked, of_a_writer)
        || QEMU_BYTES_AGAINST_READERS
            .into_iter()
            .any(|byte| qemu_has(node, file, byte))
    {
        return Err(locked(node, LockClass::OpenFile));
    }
    match lock_whole(file, FlockOperation::NonBlockingLockShared) {
        Err(Errno::WOULDBLOCK) => Err(locked(node, LockClass::Flock)),
        _ => Ok(()),
    }
}

/// Whether QEMU has its lock on a byte. Where another reader's lock on the whole file is in front of
/// it, as on NFS, the list of all locks has to tell, which knows those of this machine only.
fn qemu_has(node: &Node<'_>, file: &File, byte: u64) -> bool {
    match byte_lock_on(file, ByteLock::Any, byte..byte + 1) {
        None => false,
        Some(found) if !found.is_a_readers => true,
        Some(_) => {
            let mut locks = locks_on(node).into_iter();
            locks.any(|lock| lock.class == LockClass::OpenFile && lock.covers(byte))
        }
    }
}

/// Takes both exclusive locks. The byte-range one first: network file systems make a byte-range lock
/// of `flock` too, and would then refuse the other to its own holder. For the same reason it is let
/// go there should `flock` be refused.
pub(super) fn claim(node: &Node<'_>, file: &File) -> Result<(), MediumError> {
    lock_bytes(node, file)?;
    let failed = |errno: Errno| node.io_error("lock", errno.into());
    let exclusive = FlockOperation::NonBlockingLockExclusive;
    let first = rustix::fs::flock(file, exclusive);
    if first == Err(Errno::WOULDBLOCK) && may_make_byte_locks_of_flock(file) {
        drop_byte_lock(file).map_err(|errno| node.io_error("lock", errno.into()))?;
    }
    first
        .or_else(|_| lock_whole(file, exclusive))
        .map_err(|errno| match errno {
            Errno::WOULDBLOCK => locked(node, LockClass::Flock),
            other => failed(other),
        })
}

/// Whether a file is on a file system of other machines, where a lock can be a byte-range lock,
/// whatever it was asked for by: NFS, SMB, Lustre.
fn may_make_byte_locks_of_flock(file: &File) -> bool {
    const KINDS: [u64; 4] = [0x6969, 0xff53_4d42, 0xfe53_4d42, 0x0bd0_0bd0];
    let kind = rustix::fs::fstatfs(file).map_or(0, |found| found.f_type.cast_unsigned());
    KINDS.contains(&kind)
}

/// Takes a `flock` lock, unless somebody has one against it and keeps it.
pub(super) fn lock_whole(file: &File, lock: FlockOperation) -> Result<(), Errno> {
    let taken = |locked: &Result<(), Errno>| *locked == Err(Errno::WOULDBLOCK);
    ask_again_while(taken, || rustix::fs::flock(file, lock))
}

/// Takes the byte-range lock that conflicts with any of QEMU's.
pub(super) fn lock_bytes(node: &Node<'_>, file: &File) -> Result<(), MediumError> {
    let is_refused =
        |lock: &nix::Result<()>| matches!(lock, Err(nix::Error::EAGAIN | nix::Error::EACCES));
    let lock = ask_again_while(is_refused, || take_byte_lock(file));
    // Any other error: a file system without such locks, where nobody else has one.
    if is_refused(&lock) {
        return Err(locked(node, LockClass::OpenFile));
    }
    Ok(())
}

fn refuse_attached(node: &Node<'_>) -> Result<(), MediumError> {
    let is_this = |path: &Path| {
        std::fs::metadata(path).is_ok_and(|found| Identity::of_file(&found) == node.file_identity())
    };
    match node.host().loop_device_of(is_this) {
        None => Ok(()),
        Some(loop_device) => Err(MediumError::AttachedToLoop {
            path: node.path().to_owned(),
            loop_device,
        }),
    }
}

fn locks_on(node: &Node<'_>) -> Vec<FileLock> {
    match node.file_identity() {
        Identity::File { device, inode } => node.host().locks_on(device, inode),
        _ => Vec::new(),
    }
}

/// The error of a lock that somebody else has. The kernel names the holder of some kinds of
/// lock; for the others everybody who has the file open is named.
pub(super) fn locked(node: &Node<'_>, class: LockClass) -> MediumError {
    let host = node.host();
    // Another run of this program has locked the bytes too, and the whole file alone: that lock tells who.
    let may_be_it = |lock: &FileLock| match (lock.class, class) {
        (LockClass::Flock, LockClass::Flock) => true,
        (LockClass::Flock, _) => lock.exclusive,
        (_, class) => class != LockClass::Flock,
    };
    let locks = locks_on(node).into_iter().filter(may_be_it);
    let pids: std::collections::BTreeSet<u32> = locks.filter_map(|lock| lock.pid).collect();
    let mut by: Vec<Process> = pids.into_iter().map(|pid| host.process(pid)).collect();
    if by.is_empty()
        && let Ok(full) = std::fs::canonicalize(node.path())
    {
        by = seen_twice(|| host.processes_with_open(std::slice::from_ref(&full)));
    }
    MediumError::Locked {
        path: node.path().to_owned(),
        by,
    }
}
