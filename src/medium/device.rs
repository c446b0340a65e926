//! Block devices: whole disks, claimed exclusively and written past the page cache.
//!
//! The kernel caches a disk in pages, and a buffered write of one 512-byte sector writes back
//! the page around it as the cache has it, which may be stale: a disk's node and its partitions'
//! nodes are cached separately. So a claimed device is read and written with `O_DIRECT`, in
//! whole logical sectors, from memory aligned to a page. Where a driver has no `O_DIRECT` the
//! page cache is used, and told to forget before anything is read back.
//!
//! `O_EXCL` on the whole disk's node is refused by the kernel while any of its partitions is
//! mounted, swapped to or part of another device. It is not while a program merely has a node
//! open, a virtual machine for instance, or while a loop device lies on top: sysfs, `/proc` and
//! the byte-range locks QEMU takes tell of those. A partition's node that somebody keeps open has
//! a cache of its own, whose dirty pages would be written over the change later; they are written
//! out when the disk is claimed, and what is left of them is dropped at the end.
//!
//! Partition tables are never re-read and no file system is ever unmounted here.
#![allow(unsafe_code)]

use super::node::Node;
use super::{Access, Identity, MediumError, ReadAt, ReadOnlyReason, check_range, image};
use crate::host::{DeviceNumber, Disk, Host, LockClass, Use, WriteCache, ask_again_while};
use rustix::fs::{Advice, FlockOperation, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Memory alignment for direct transfers: no driver asks for more than a page.
const ALIGNMENT: usize = 4096;

/// Most bytes given to the kernel at once: a multiple of every sector size accepted here.
const TRANSFER: usize = 1 << 20;

/// A whole disk.
#[derive(Debug)]
pub struct BlockDevice {
    file: File,
    path: PathBuf,
    host: Host,
    number: DeviceNumber,
    disk: Option<Disk>,
    size: u64,
    logical_sector_size: u32,
    physical_sector_size: u32,
    access: Access,
    /// The memory of direct transfers; `None` where the page cache is used.
    bounce: Option<Mutex<Bounce>>,
}

impl BlockDevice {
    /// Opens a disk to be looked at: no claim, so it may be in use.
    pub(super) fn open_read(node: &Node<'_>, number: DeviceNumber) -> Result<Self, MediumError> {
        refuse_partition(node, number)?;
        let file = node
            .open(Access::Read, OFlags::empty())
            .map_err(|errno| node.open_error(errno, Access::Read))?;
        // Best effort: without it, a few sectors cost a read-ahead of 128 KiB each.
        let _ = rustix::fs::fadvise(&file, 0, None, Advice::Random);
        Self::new(node, number, file, Access::Read, false)
    }

    /// Opens a disk to be changed and claims it until this value is dropped. Before that, it
    /// must not be write-protected nor hold any part of the running system.
    pub(super) fn open_write(node: &Node<'_>, number: DeviceNumber) -> Result<Self, MediumError> {
        refuse_partition(node, number)?;
        let host = node.host();
        let holds = host.system_uses_of(number);
        if !holds.is_empty() {
            let path = node.path().to_owned();
            return Err(MediumError::SystemDisk { path, holds });
        }
        if host.disk(number).is_some_and(|disk| disk.read_only) {
            return Err(node.read_only(ReadOnlyReason::Device));
        }
        let (file, direct) = claim(node, number)?;
        if read_only(&file).is_ok_and(|read_only| read_only) {
            return Err(node.read_only(ReadOnlyReason::Device));
        }
        image::lock_bytes(node, &file)?;
        lock(node, &file)?;
        refuse_users(node, number)?;
        write_out_partitions(node, number)?;
        // Best effort: ordinary users lack the capability it needs.
        let _ = flush_buffers(&file);
        let mut device = Self::new(node, number, file, Access::Write, direct)?;
        device.settle_direct()?;
        Ok(device)
    }

    fn new(
        node: &Node<'_>,
        number: DeviceNumber,
        file: File,
        access: Access,
        direct: bool,
    ) -> Result<Self, MediumError> {
        let ask = |errno: Errno| node.io_error("ask for the size of", errno.into());
        let bytes = size_in_bytes(&file).map_err(ask)?;
        let logical = rustix::fs::ioctl_blksszget(&file).map_err(ask)?;
        let physical = rustix::fs::ioctl_blkpbszget(&file).unwrap_or(logical);
        let path = node.path().to_owned();
        if !logical.is_power_of_two() || !(512..=65536).contains(&logical) {
            return Err(MediumError::SectorSize {
                path,
                size: logical,
            });
        }
        // A loop device over a file of odd length may count part of a last sector.
        let size = bytes - bytes % u64::from(logical);
        if size == 0 {
            return Err(MediumError::Empty { path });
        }
        Ok(BlockDevice {
            file,
            path,
            host: node.host().clone(),
            number,
            disk: node.host().disk(number),
            size,
            logical_sector_size: logical,
            physical_sector_size: physical,
            access,
            bounce: direct.then(|| Mutex::new(Bounce::new())),
        })
    }

    /// Reads the first sector, which shows whether the driver really does direct transfers;
    /// gives them up where it does not. The claim stays.
    fn settle_direct(&mut self) -> Result<(), MediumError> {
        if self.bounce.is_none() {
            return Ok(());
        }
        let mut sector = vec![0; self.logical_sector_size as usize];
        let read = match self.read_at(&mut sector, 0) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => self.give_up_direct(),
            read => read,
        };
        read.map_err(|source| MediumError::Io {
            op: "read the first sector of",
            path: self.path.clone(),
            source,
        })
    }

    fn give_up_direct(&mut self) -> io::Result<()> {
        let flags = rustix::fs::fcntl_getfl(&self.file)?;
        rustix::fs::fcntl_setfl(&self.file, flags - OFlags::DIRECT)?;
        self.bounce = None;
        Ok(())
    }

    /// Which disk it is.
    pub fn identity(&self) -> Identity {
        Identity::Disk(self.number)
    }

    /// The name it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Logical sector size in bytes: the unit of every write.
    pub fn logical_sector_size(&self) -> u32 {
        self.logical_sector_size
    }

    /// Physical sector size in bytes: what the device rewrites when part of it is written.
    pub fn physical_sector_size(&self) -> u32 {
        self.physical_sector_size
    }

    /// What sysfs says of it: model, serial number, removable or not.
    pub fn disk(&self) -> Option<&Disk> {
        self.disk.as_ref()
    }

    /// What the kernel believes of its write cache.
    pub fn write_cache(&self) -> Option<WriteCache> {
        self.disk.as_ref()?.write_cache
    }

    /// Whether transfers go past the page cache.
    pub fn is_direct(&self) -> bool {
        self.bounce.is_some()
    }

    /// Reads the whole sectors around what is asked for, piece by piece.
    fn read_direct(&self, bounce: &Mutex<Bounce>, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let sector = u64::from(self.logical_sector_size);
        let mut bounce = bounce.lock().unwrap_or_else(PoisonError::into_inner);
        let mut at = offset;
        let mut rest = buf;
        while !rest.is_empty() {
            let first = at - at % sector;
            let before = usize::try_from(at - first).map_err(io::Error::other)?;
            let now = rest.len().min(TRANSFER - before);
            let whole = (before + now).next_multiple_of(self.logical_sector_size as usize);
            let memory = bounce.get(whole)?;
            self.file.read_exact_at(memory, first)?;
            let (target, later) = rest.split_at_mut(now);
            target.copy_from_slice(&memory[before..before + now]);
            at += now as u64;
            rest = later;
        }
        Ok(())
    }

    fn write_direct(&self, bounce: &Mutex<Bounce>, data: &[u8], offset: u64) -> io::Result<()> {
        let mut bounce = bounce.lock().unwrap_or_else(PoisonError::into_inner);
        let mut at = offset;
        for piece in data.chunks(TRANSFER) {
            let memory = bounce.get(piece.len())?;
            memory.copy_from_slice(piece);
            self.file.write_all_at(memory, at)?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    /// [`super::WriteAt::write_at`] of a claimed disk.
    pub(super) fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        check_range(offset, data.len(), self.size)?;
        self.check_whole_sectors(offset, data.len())?;
        match &self.bounce {
            Some(bounce) => self.write_direct(bounce, data, offset),
            None => self.file.write_all_at(data, offset),
        }
        .map_err(|error| self.explain("writing", Some(offset), error))
    }

    /// [`super::WriteAt::sync`] of a claimed disk. Sends the device a flush where the kernel
    /// believes it has a write cache ([`BlockDevice::write_cache`]); a device that does not say
    /// so gets none.
    pub(super) fn sync(&self) -> io::Result<()> {
        let synced = self.file.sync_data();
        synced.map_err(|error| self.explain("syncing", None, error))
    }

    /// [`super::WriteAt::read_back`] of a claimed disk: past the page cache. What is returned
    /// came from the device, which may have answered from memory of its own.
    pub(super) fn read_back(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if self.bounce.is_none() {
            let _ = flush_buffers(&self.file);
            rustix::fs::fadvise(&self.file, 0, None, Advice::DontNeed)?;
        }
        self.read_at(buf, offset)
    }

    /// Says of an error whether the device is still there to try again with.
    fn explain(&self, op: &'static str, offset: Option<u64>, source: io::Error) -> io::Error {
        // One that is pulled out has no sectors any more: a write finds no space, a read the end.
        let has_gone = || {
            let left = size_in_bytes(&self.file).unwrap_or(0);
            left < self.size || !self.host.is_present(self.number)
        };
        let gone = match Errno::from_io_error(&source) {
            Some(Errno::NXIO | Errno::NODEV | Errno::NOMEDIUM) => true,
            Some(Errno::IO | Errno::NOSPC) => has_gone(),
            None if source.kind() == io::ErrorKind::UnexpectedEof => has_gone(),
            _ => false,
        };
        if !gone {
            return source;
        }
        io::Error::other(MediumError::Vanished {
            path: self.path.clone(),
            op,
            offset,
            source,
        })
    }

    fn check_whole_sectors(&self, offset: u64, len: usize) -> io::Result<()> {
        let sector = u64::from(self.logical_sector_size);
        if offset.is_multiple_of(sector) && (len as u64).is_multiple_of(sector) {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{len} bytes at byte {offset} are not whole sectors of {sector} bytes"),
        ))
    }
}

impl ReadAt for BlockDevice {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        check_range(offset, buf.len(), self.size)?;
        match &self.bounce {
            Some(bounce) => self.read_direct(bounce, buf, offset),
            None => self.file.read_exact_at(buf, offset),
        }
        .map_err(|error| self.explain("reading", Some(offset), error))
    }
}

/// Nobody is to read through a partition's node what was there before the change.
impl Drop for BlockDevice {
    fn drop(&mut self) {
        if self.access == Access::Read {
            return;
        }
        for partition in self.host.partitions(self.number) {
            if let Ok(file) = File::open(&partition.node) {
                let _ = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
            }
        }
    }
}

/// Memory for direct transfers, at an address that is a multiple of [`ALIGNMENT`].
#[derive(Debug)]
struct Bounce {
    memory: Vec<u8>,
}

impl Bounce {
    fn new() -> Self {
        Bounce { memory: Vec::new() }
    }

    /// `len` aligned bytes, whatever is in them.
    fn get(&mut self, len: usize) -> io::Result<&mut [u8]> {
        let needed = len.saturating_add(ALIGNMENT);
        if self.memory.len() < needed {
            self.memory.resize(needed, 0);
        }
        let start = self.memory.as_ptr().align_offset(ALIGNMENT);
        self.memory
            .get_mut(start..)
            .and_then(|aligned| aligned.get_mut(..len))
            .ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))
    }
}

fn refuse_partition(node: &Node<'_>, number: DeviceNumber) -> Result<(), MediumError> {
    match node.host().disk_of_partition(number) {
        None => Ok(()),
        Some(disk) => Err(MediumError::PartitionNode {
            path: node.path().to_owned(),
            disk: disk.node,
        }),
    }
}

/// The exclusive open; whether it is one for direct transfers.
fn claim(node: &Node<'_>, number: DeviceNumber) -> Result<(File, bool), MediumError> {
    let open = || match node.open(Access::Write, OFlags::EXCL | OFlags::DIRECT) {
        Err(Errno::INVAL) => node
            .open(Access::Write, OFlags::EXCL)
            .map(|file| (file, false)),
        direct => direct.map(|file| (file, true)),
    };
    // A mount and its like stay; only a program can have it for a moment.
    let may_pass = |opened: &Result<_, Errno>| {
        matches!(opened, Err(Errno::BUSY)) && node.host().uses_of(number).is_empty()
    };
    ask_again_while(may_pass, open).map_err(|errno| match errno {
        Errno::BUSY => busy(node, number),
        // EPERM has its own meaning for files: for a device it is a missing right.
        Errno::PERM => node.open_error(Errno::ACCESS, Access::Write),
        other => node.open_error(other, Access::Write),
    })
}

/// What an exclusive open does not keep out: loop devices, and programs that have a node open.
fn refuse_users(node: &Node<'_>, number: DeviceNumber) -> Result<(), MediumError> {
    // What was noted once does not change by waiting.
    let may_pass = |openers: &Vec<Use>| !openers.is_empty() && !node.host().has_noted_open_files();
    let openers = ask_again_while(may_pass, || node.host().openers_of(number));
    let mut uses = node.host().uses_of(number);
    uses.extend(openers);
    if uses.is_empty() {
        return Ok(());
    }
    let path = node.path().to_owned();
    Err(MediumError::Busy { path, uses })
}

/// Writes out what the kernel caches of each partition's own node, and drops it. As far as this
/// user may open them; nobody else has them open as far as can be seen. What cannot be written out
/// is somebody's data lost on a medium that fails: no change is made on top of that.
fn write_out_partitions(node: &Node<'_>, disk: DeviceNumber) -> Result<(), MediumError> {
    for partition in node.host().partitions(disk) {
        if let Ok(file) = File::open(&partition.node) {
            rustix::fs::fsync(&file)
                .map_err(|errno| node.io_error("write out the partitions of", errno.into()))?;
            // Advice; clean pages that stay are no more than they were.
            let _ = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
        }
    }
    Ok(())
}

fn busy(node: &Node<'_>, number: DeviceNumber) -> MediumError {
    let mut uses = node.host().uses_of(number);
    if uses.is_empty() {
        uses = node.host().openers_of(number);
    }
    MediumError::Busy {
        path: node.path().to_owned(),
        uses,
    }
}

/// Takes the lock by which udev and the tools around it agree to leave a disk alone.
fn lock(node: &Node<'_>, file: &File) -> Result<(), MediumError> {
    image::lock_whole(file, FlockOperation::NonBlockingLockExclusive).map_err(|errno| match errno {
        Errno::WOULDBLOCK => image::locked(node, LockClass::Flock),
        other => node.io_error("lock", other.into()),
    })
}

/// BLKGETSIZE64: size of the device in bytes.
fn size_in_bytes(file: &File) -> Result<u64, Errno> {
    const BLKGETSIZE64: rustix::ioctl::Opcode = rustix::ioctl::opcode::read::<usize>(0x12, 114);
    // SAFETY: the kernel's BLKGETSIZE64 writes one u64 and takes nothing else. Its number is
    // built from `size_t`, which is what the kernel's header does.
    unsafe { rustix::ioctl::ioctl(file, rustix::ioctl::Getter::<BLKGETSIZE64, u64>::new()) }
}

/// BLKROGET: whether the kernel takes no writes for the device.
fn read_only(file: &File) -> Result<bool, Errno> {
    const BLKROGET: rustix::ioctl::Opcode = rustix::ioctl::opcode::none(0x12, 94);
    // SAFETY: the kernel's BLKROGET writes one int and takes nothing else.
    let flag =
        unsafe { rustix::ioctl::ioctl(file, rustix::ioctl::Getter::<BLKROGET, i32>::new()) }?;
    Ok(flag != 0)
}

/// BLKFLSBUF: writes out and drops what the kernel caches of the disk. Needs CAP_SYS_ADMIN.
fn flush_buffers(file: &File) -> Result<(), Errno> {
    const BLKFLSBUF: rustix::ioctl::Opcode = rustix::ioctl::opcode::none(0x12, 97);
    // SAFETY: the kernel's BLKFLSBUF ignores its argument.
    unsafe { rustix::ioctl::ioctl(file, rustix::ioctl::NoArg::<BLKFLSBUF>::new()) }
}

#[cfg(test)]
mod tests;
