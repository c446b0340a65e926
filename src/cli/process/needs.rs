//! What a command has to get at: the files it reads, those it changes, and the directories it
//! makes files in. Known from the arguments alone, before anything is opened; each command says
//! it of itself.

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
    /// Its permission bits, less the umask.
    pub mode: u32,
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
    /// Directories in which open files get a name that is free.
    pub names_in: Vec<PathBuf>,
    /// Directories in which open files get a name that another file has.
    pub replaces_in: Vec<PathBuf>,
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

    /// The same, and files are made in this directory.
    #[must_use]
    pub fn making_in(mut self, directory: PathBuf) -> Self {
        self.makes_in.push(directory);
        self
    }

    /// The same, and this file is made; `-` is open already.
    #[must_use]
    pub fn making(mut self, path: &Path, force: bool, mode: u32) -> Self {
        if !is_stream(path) {
            let path = path.to_owned();
            self.files.push(NewFile { path, force, mode });
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

    /// The targets by the names the kernel knows them by.
    pub fn targets(&self) -> Vec<PathBuf> {
        let named = self.reads.iter().chain(&self.writes);
        named.filter_map(|path| path.canonicalize().ok()).collect()
    }
}

/// Whether a file name stands for standard input or output.
pub fn is_stream(file: &Path) -> bool {
    file.as_os_str() == STREAM
}
