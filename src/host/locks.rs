//! Who holds a file: whether there is a lock is asked of the kernel, whose it is of `proc/locks`, and
//! who has it open of `proc/<pid>/fd`.

use super::{DeviceNumber, Host, entries, value_of};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{self, c_int, c_short};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which of the kernel's kinds of file lock one is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LockClass {
    /// `flock(2)`: the whole file, belongs to an open file.
    Flock,
    /// `fcntl(2)`: a range of bytes, belongs to a process.
    Posix,
    /// `fcntl(2)`, `F_OFD_SETLK`: a range of bytes, belongs to an open file. QEMU's kind.
    OpenFile,
}

/// A lock somebody holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileLock {
    /// Its kind.
    pub class: LockClass,
    /// Whether it shuts out readers as well as writers.
    pub exclusive: bool,
    /// The holder; not known for [`LockClass::OpenFile`].
    pub pid: Option<u32>,
    /// Device number of the file system the file is on.
    pub device: DeviceNumber,
    /// Inode number of the file.
    pub inode: u64,
    /// First byte locked.
    pub start: u64,
    /// Last byte locked; `None` means to the end of the file and beyond.
    pub last: Option<u64>,
}

impl FileLock {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split_whitespace().skip(1);
        let class = match fields.next()? {
            "FLOCK" => LockClass::Flock,
            "POSIX" => LockClass::Posix,
            "OFDLCK" => LockClass::OpenFile,
            // "->" is one who waits; leases are no locks.
            _ => return None,
        };
        let exclusive = fields.nth(1)? == "WRITE";
        let pid = fields.next()?.parse().ok();
        let mut file = fields.next()?.split(':');
        let mut hex = || u32::from_str_radix(file.next()?, 16).ok();
        let device = DeviceNumber {
            major: hex()?,
            minor: hex()?,
        };
        let inode = file.next()?.parse().ok()?;
        let start = fields.next()?.parse().ok()?;
        let last = match fields.next()? {
            "EOF" => None,
            last => Some(last.parse().ok()?),
        };
        Some(FileLock {
            class,
            exclusive,
            pid,
            device,
            inode,
            start,
            last,
        })
    }

    /// Whether the lock covers the byte at `position`.
    pub fn covers(&self, position: u64) -> bool {
        self.start <= position && self.last.is_none_or(|last| position <= last)
    }
}

/// A running process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its name, as the kernel keeps it: at most 15 bytes.
    pub name: Option<String>,
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            Some(name) => write!(f, "process {} ({name})", self.pid),
            None => write!(f, "process {}", self.pid),
        }
    }
}

impl Host {
    /// The locks on one file, for naming who has it. Some file systems (btrfs, overlays) give their
    /// files another device number here than in `stat`; there none are found.
    pub fn locks_on(&self, device: DeviceNumber, inode: u64) -> Vec<FileLock> {
        let locks = self.locks().into_iter();
        locks
            .filter(|lock| lock.device == device && lock.inode == inode)
            .collect()
    }

    fn locks(&self) -> Vec<FileLock> {
        let table = self.text("/proc/locks").unwrap_or_default();
        table.lines().filter_map(FileLock::parse).collect()
    }

    /// Whether [`Host::note_open_files`] was called: what was noted then is the answer from then on.
    pub(crate) fn has_noted_open_files(&self) -> bool {
        self.open_files.is_some()
    }

    /// The process with this number.
    pub fn process(&self, pid: u32) -> Process {
        Process {
            pid,
            name: value_of(&self.below_root(format!("/proc/{pid}/comm"))),
        }
    }

    /// Processes other than this one that have one of these paths open. An ordinary user sees
    /// only their own processes.
    pub fn processes_with_open(&self, paths: &[PathBuf]) -> Vec<Process> {
        if let Some(noted) = &self.open_files {
            let has_one = |open: &&OpenFiles| open.paths.iter().any(|path| paths.contains(path));
            let found = noted.iter().filter(has_one);
            return found.map(|open| open.process.clone()).collect();
        }
        let open = self.open_files_where(|path| paths.iter().any(|it| it == path));
        open.into_iter().map(|open| open.process).collect()
    }

    /// Notes who has device nodes, or one of `files`, open, for every later question after
    /// that: a process that confines itself with Landlock sees nobody else's open files.
    ///
    /// Where all of them are ordinary files that nobody has alone, and of which nobody has locked bytes,
    /// the open files of all processes are not looked through: who else has a lock is in
    /// `/proc/locks`.
    pub fn note_open_files(&mut self, files: &[PathBuf]) {
        let noted = if files.iter().any(|file| may_be_in_use(file)) {
            self.open_files_where(|path| {
                path.starts_with("/dev") && !path.starts_with("/dev/pts")
                    || files.iter().any(|file| file == path)
            })
        } else {
            Vec::new()
        };
        self.open_files = Some(Arc::new(noted));
    }

    /// What processes other than this one have open, as far as it is `wanted`. Compares link
    /// texts only: following the links could wait on a dead network mount.
    fn open_files_where(&self, wanted: impl Fn(&Path) -> bool) -> Vec<OpenFiles> {
        let mut found = Vec::new();
        for (name, dir) in entries(&self.below_root("/proc")) {
            let Ok(pid) = name.parse() else { continue };
            if pid == std::process::id() {
                continue;
            }
            let links = entries(&dir.join("fd")).into_values();
            let open = links.filter_map(|link| fs::read_link(link).ok());
            let paths: Vec<PathBuf> = open.filter(|path| wanted(path)).collect();
            if !paths.is_empty() {
                let process = self.process(pid);
                found.push(OpenFiles { process, paths });
            }
        }
        found
    }
}

/// Whether a file that is there is no ordinary one, or somebody has it alone or has locked bytes of it.
fn may_be_in_use(path: &Path) -> bool {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => {}
        found => return found.is_ok(),
    }
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = match opened {
        Ok(file) => file,
        // Somebody has a lease on it.
        Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
    };
    let flock = rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared);
    flock == Err(Errno::WOULDBLOCK) || byte_lock_on(&file, ByteLock::Any, 0..0).is_some()
}

/// Which byte-range locks are asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ByteLock {
    /// Exclusive and shared ones.
    Any,
    /// Those that shut out readers.
    Exclusive,
}

/// A `fcntl(2)` lock that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FoundLock {
    /// Whether it leaves readers in and covers the whole file: such a one is what NFS makes of the
    /// `flock(2)` lock of a reader.
    pub(crate) is_a_readers: bool,
}

/// The first `fcntl(2)` lock on one of these bytes of a file, on any where the range is empty, that
/// does not belong to this open file. `None` where the file system has no such locks.
///
/// The kernel is asked for one file: to read `/proc/locks` waits, where nobody did so a moment
/// before, until every processor has gone through its scheduler, which takes longer than a change.
pub(crate) fn byte_lock_on(file: &File, which: ByteLock, bytes: Range<u64>) -> Option<FoundLock> {
    let against = match which {
        ByteLock::Any => libc::F_WRLCK,
        ByteLock::Exclusive => libc::F_RDLCK,
    };
    let mut lock = byte_lock(against, bytes);
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock)).ok()?;
    let shared = lock.l_type == short(libc::F_RDLCK);
    (lock.l_type != short(libc::F_UNLCK)).then_some(FoundLock {
        is_a_readers: shared && lock.l_start == 0 && lock.l_len == 0,
    })
}

/// Takes the exclusive `fcntl(2)` lock on all bytes of a file. It belongs to this open file, as QEMU's do, so that
/// another one of this process, opened and closed, does not take it away.
///
/// # Errors
/// `EAGAIN` or `EACCES` where somebody has a lock on any of them.
pub(crate) fn take_byte_lock(file: &File) -> nix::Result<()> {
    let lock = byte_lock(libc::F_WRLCK, 0..0);
    fcntl(file, FcntlArg::F_OFD_SETLK(&lock)).map(drop)
}

/// Lets go what [`take_byte_lock`] took.
///
/// # Errors
/// What the file system reported.
pub(crate) fn drop_byte_lock(file: &File) -> nix::Result<()> {
    let lock = byte_lock(libc::F_UNLCK, 0..0);
    fcntl(file, FcntlArg::F_OFD_SETLK(&lock)).map(drop)
}

/// A lock of this kind on these bytes, on all where the range is empty.
fn byte_lock(kind: c_int, bytes: Range<u64>) -> libc::flock {
    libc::flock {
        l_type: short(kind),
        l_whence: short(libc::SEEK_SET),
        l_start: i64::try_from(bytes.start).unwrap_or(i64::MAX),
        l_len: i64::try_from(bytes.end.saturating_sub(bytes.start)).unwrap_or(0),
        l_pid: 0,
    }
}

fn short(value: c_int) -> c_short {
    c_short::try_from(value).unwrap_or_default()
}

/// A process and what of interest it has open.
#[derive(Clone, Debug)]
pub(super) struct OpenFiles {
    process: Process,
    paths: Vec<PathBuf>,
}
