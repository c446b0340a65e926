//! What a command has to get at: the files it reads, those it changes, and the directories it
//! makes files in. Known from the arguments alone, before anything is opened; each command says
//! it of itself.

use crate::medium::{ImageFormat, open_regular};
use crate::state::KEY_STORES;
use crate::state::envelope::Envelope;
use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The name that stands for standard input or output.
const STREAM: &str = "-";

/// A file that a run makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// What it is to be called.
    pub path: PathBuf,
    /// Whether it may take the place of another.
    pub force: bool,
    /// What it is like.
    pub making: Making,
}

/// Bytes that tell gzip and the like from another file; to look into what is packed is for later.
const MAGIC_LEN: u64 = 32;

/// What a new file is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Making {
    /// Its permission bits are these, less the umask.
    Mode(u32),
    /// It has the owner, the access list and the permission bits of the file it replaces.
    LikeTheOld,
}

/// What a run of the program has to get at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Files and devices that are read.
    pub reads: Vec<PathBuf>,
    /// Files and devices that are read and changed.
    pub writes: Vec<PathBuf>,
    /// Files that are made.
    pub files: Vec<NewFile>,
    /// Directories in which a file without a name is made, one for each time they are listed.
    pub scratch_in: Vec<PathBuf>,
    /// Directories in which files are made, renamed and removed; what is there can be written as
    /// well.
    pub makes_in: Vec<PathBuf>,
    /// Directories, made where there are none, in which files may be made, renamed and removed. Of one
    /// that was made and stays empty, as many of the last parts as the number says are removed again.
    pub keeps_in: Vec<(PathBuf, usize)>,
    /// Directories below which empty directories are removed.
    pub removes_below: Vec<PathBuf>,
    /// Directories in which open files get a name that is free.
    pub names_in: Vec<PathBuf>,
    /// Directories in which open files get a name that another file has.
    pub replaces_in: Vec<PathBuf>,
    /// Whether a copy is made of each file that is read, in its own format, and changed.
    pub copies: bool,
    /// Whether virtual disks that hold snapshots are changed as well.
    pub even_with_snapshots: bool,
    /// Whether packed images and virtual disks are told from other files, and not opened.
    pub leaves_packed: bool,
}

impl Needs {
    /// To look into these.
    pub fn to_read<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Self {
        Needs {
            reads: paths.into_iter().map(Into::into).collect(),
            ..Needs::default()
        }
    }

    /// To change these.
    pub fn to_write<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Self {
        Needs {
            writes: paths.into_iter().map(Into::into).collect(),
            ..Needs::default()
        }
    }

    /// To change these; a state file is replaced by a new one beside it.
    pub fn to_replace<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Self {
        let mut needs = Needs::to_write(paths);
        let files = needs.writes.iter().filter(|path| may_be_state_file(path));
        needs.files.extend(files.map(|path| NewFile {
            path: path.clone(),
            force: true,
            making: Making::LikeTheOld,
        }));
        needs
    }

    /// The same, and files are made in this directory.
    #[must_use]
    pub fn making_in(mut self, directory: PathBuf) -> Self {
        self.makes_in.push(directory);
        self
    }

    /// The same, and a file may be kept in this directory, which need not be there. The last `own`
    /// parts of it are this program's, and go again where nothing was put into them.
    #[must_use]
    pub fn keeping_in(mut self, directory: PathBuf, own: usize) -> Self {
        self.keeps_in.push((directory, own));
        self
    }

    /// The same, and this file is made; `-` is open already.
    #[must_use]
    pub fn making(mut self, path: &Path, force: bool, mode: u32) -> Self {
        if !is_stream(path) {
            let path = path.to_owned();
            let making = Making::Mode(mode);
            self.files.push(NewFile {
                path,
                force,
                making,
            });
        }
        self
    }

    /// The same, and a file that never gets a name is made in this directory.
    #[must_use]
    pub fn making_scratch_in(mut self, directory: PathBuf) -> Self {
        self.scratch_in.push(directory);
        self
    }

    /// The same, and this file is read; `-` is open already.
    #[must_use]
    pub fn reading(mut self, file: &Path) -> Self {
        if !is_stream(file) {
            self.reads.push(file.to_owned());
        }
        self
    }

    /// The directories in which something is made or named.
    pub fn directories(&self) -> impl Iterator<Item = &PathBuf> {
        let named = self.names_in.iter().chain(&self.replaces_in);
        self.makes_in.iter().chain(named)
    }

    /// The files beside the targets that keep the key of a `local.tgz.ve`, which are read where
    /// there are such.
    pub fn read_beside(&mut self) {
        let targets = self.reads.iter().chain(&self.writes);
        let files = targets.filter(|path| path.is_file());
        let beside = files.flat_map(|path| KEY_STORES.map(|name| path.with_file_name(name)));
        let found: BTreeSet<PathBuf> = beside.filter(|path| path.is_file()).collect();
        self.reads.extend(found);
    }

    /// A file in the directory for temporary files, for each of what is read that may have to be
    /// unpacked, and once more where it is looked into before it is worked on.
    pub fn unpack(&mut self) {
        if self.leaves_packed {
            return;
        }
        let packed = self.reads.iter().filter(|path| may_be_packed(path)).count();
        let scratch = std::iter::repeat_n(std::env::temp_dir(), 2 * packed);
        self.scratch_in.extend(scratch);
    }

    /// The same, where virtual disks that hold snapshots are changed as well if `so`.
    #[must_use]
    pub fn even_with_snapshots(mut self, so: bool) -> Self {
        self.even_with_snapshots = so;
        self
    }

    /// The same, where nothing is unpacked, and no virtual disk handed to QEMU.
    #[must_use]
    pub fn leaving_packed(mut self) -> Self {
        self.leaves_packed = true;
        self
    }

    /// Leaves it at reading a file that another process writes to in place of this one.
    pub fn only_read(&mut self, file: &Path) {
        self.writes.retain(|path| path != file);
        self.reads.push(file.to_owned());
    }

    /// The targets by the names the kernel knows them by.
    pub fn targets(&self) -> Vec<PathBuf> {
        let named = self.reads.iter().chain(&self.writes);
        named.filter_map(|path| path.canonicalize().ok()).collect()
    }
}

/// Whether a target may be a state file, by its first bytes: what is in it is looked at later, when
/// the process is confined.
fn may_be_state_file(path: &Path) -> bool {
    let is_one = |first: Vec<u8>| {
        // An archive that is short enough is told apart from other packed files at once.
        let packed = [ImageFormat::Gzip, ImageFormat::PackedTar];
        Envelope::is_one(&first) || packed.contains(&ImageFormat::sniff(&first))
    };
    first_bytes(path).is_some_and(is_one)
}

/// Whether a target may have to be unpacked, by its first bytes.
pub fn may_be_packed(path: &Path) -> bool {
    let first = first_bytes(path);
    first.is_some_and(|first| ImageFormat::sniff(&first).is_unpacked_here())
}

/// The first bytes of a file; `None` for anything else, and for one that cannot be read.
fn first_bytes(path: &Path) -> Option<Vec<u8>> {
    let mut first = Vec::new();
    let limit = MAGIC_LEN;
    open_regular(path)
        .ok()?
        .take(limit)
        .read_to_end(&mut first)
        .ok()?;
    Some(first)
}

/// Whether a file name stands for standard input or output.
pub fn is_stream(file: &Path) -> bool {
    file.as_os_str() == STREAM
}
