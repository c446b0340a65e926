//! What a command has to get at: the files it reads, those it changes, and the directories it
//! makes files in. Known from the arguments alone, before anything is opened; each command says
//! it of itself.

use crate::medium::OutputFile;
use std::path::{Path, PathBuf};

/// The name that stands for standard input or output.
const STREAM: &str = "-";

/// What a run of the program has to get at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Files and devices that are read.
    pub reads: Vec<PathBuf>,
    /// Files and devices that are read and changed.
    pub writes: Vec<PathBuf>,
    /// Directories in which files are made, renamed and removed.
    pub makes_in: Vec<PathBuf>,
    /// Directories in which a directory is made as well, and files in that one.
    pub makes_directories_in: Vec<PathBuf>,
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

    /// The same, and this directory is made, and files in it; what there is of the way to it
    /// stays as it is.
    #[must_use]
    pub fn making_directory(mut self, directory: &Path) -> Self {
        let existing = directory.ancestors().find(|at| at.is_dir());
        let existing = existing.map_or(PathBuf::from("."), Path::to_owned);
        self.makes_directories_in.push(existing);
        self
    }

    /// The same, and this file is made; `-` is open already.
    #[must_use]
    pub fn making(mut self, file: &Path) -> Self {
        if !is_stream(file) {
            self.makes_in.push(OutputFile::directory_for(file));
        }
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
