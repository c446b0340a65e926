//! Who holds a file: locks from `proc/locks`, open files from `proc/<pid>/fd`.

use super::{DeviceNumber, Host, entries, value_of};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
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
    /// The locks on one file. Some file systems (btrfs, overlays) give their files another
    /// device number here than in `stat`; there none are found.
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
    /// Where all of them are ordinary files that nobody has locked, nobody will be asked for, and
    /// the open files of all processes are not looked through.
    pub fn note_open_files(&mut self, files: &[PathBuf]) {
        let noted = match self.may_be_in_use(files) {
            true => self.open_files_where(|path| {
                path.starts_with("/dev") && !path.starts_with("/dev/pts")
                    || files.iter().any(|file| file == path)
            }),
            false => Vec::new(),
        };
        self.open_files = Some(Arc::new(noted));
    }

    /// Whether one of `files` is no ordinary file, or has a lock. The inode alone decides: the
    /// device number of a lock is not always that of `stat`.
    fn may_be_in_use(&self, files: &[PathBuf]) -> bool {
        let locked: BTreeSet<u64> = self.locks().iter().map(|lock| lock.inode).collect();
        let mut found = files.iter().filter_map(|file| fs::metadata(file).ok());
        found.any(|it| !it.is_file() || locked.contains(&it.ino()))
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

/// A process and what of interest it has open.
#[derive(Clone, Debug)]
pub(super) struct OpenFiles {
    process: Process,
    paths: Vec<PathBuf>,
}
