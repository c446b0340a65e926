//! The files a run makes, opened before the process confines itself: writing them then takes no
//! right to write to what else is in their directories.

use super::needs::{Making, Needs, NewFile};
use super::own_directory::OwnDirectory;
use crate::medium::{MediumError, OutputFile};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Files that are open and wait to be filled.
#[derive(Debug, Default)]
pub struct Outputs {
    /// By the names they are to have.
    named: Mutex<BTreeMap<PathBuf, OutputFile>>,
    /// Those that take the place of a file and are like it, by its name; or why there is none.
    like: Mutex<BTreeMap<PathBuf, Result<OutputFile, MediumError>>>,
    /// Those that never get a name, with their directories.
    scratch: Mutex<Vec<(PathBuf, OutputFile)>>,
    /// Directories that go again at the end where nothing was put into them.
    kept: Vec<OwnDirectory>,
}

impl Outputs {
    /// Opens the files that are to be made, and puts what is left to do in their directories into
    /// `needs`. One that cannot be opened without a name is made when it is needed, so that a signal
    /// before leaves nothing behind: for that the whole directory is needed. What goes wrong here
    /// goes wrong again then, and is said then.
    pub fn open(needs: &mut Needs) -> Self {
        let kept = open_directories(needs);
        let most = most_open_files(needs.files.len() + needs.scratch_in.len());
        let scratch = open_scratch(needs, most);
        let (mut named, mut like) = (BTreeMap::new(), BTreeMap::new());
        for file in std::mem::take(&mut needs.files) {
            let is_free = scratch.len() + named.len() + like.len() < most;
            let directory = OutputFile::directory_for(&file.path);
            let opened = if is_free { file.open() } else { Opened::Later };
            match opened {
                Opened::New(new) => {
                    let of_directory = if new.replaces_a_file() {
                        &mut needs.replaces_in
                    } else {
                        &mut needs.names_in
                    };
                    of_directory.push(directory);
                    named.insert(file.path, new);
                }
                Opened::Like(new) => {
                    needs.replaces_in.extend(new.is_ok().then_some(directory));
                    like.insert(file.path, new);
                }
                Opened::Later => needs.makes_in.push(directory),
            }
        }
        for directories in [
            &mut needs.makes_in,
            &mut needs.names_in,
            &mut needs.replaces_in,
        ] {
            directories.sort();
            directories.dedup();
        }
        Outputs {
            named: Mutex::new(named),
            like: Mutex::new(like),
            scratch: Mutex::new(scratch),
            kept,
        }
    }

    /// Closes what was not taken, and takes away the directories nothing was put into.
    pub fn close(self) {
        drop(self.kept);
    }

    /// The file that is to have this name, empty.
    ///
    /// # Errors
    /// As [`OutputFile::create`].
    pub fn take(&self, path: &Path, force: bool, mode: u32) -> Result<OutputFile, MediumError> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = named.remove(path);
        drop(named);
        match opened {
            Some(file) => Ok(file),
            None => OutputFile::create(path, force, mode),
        }
    }

    /// The file that is to take the place of the one of this name and is like it, empty.
    ///
    /// # Errors
    /// As [`OutputFile::create_like`]; where it was not opened before, and would not be like the old
    /// one by itself, [`MediumError::NotKept`]: no owner and no mode can be changed any more.
    pub fn take_like(&self, path: &Path) -> Result<OutputFile, MediumError> {
        let mut like = self.like.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = like.remove(path);
        drop(like);
        opened.unwrap_or_else(|| OutputFile::create_if_like(path))
    }

    /// An empty file without a name in this directory.
    ///
    /// # Errors
    /// As [`OutputFile::scratch`].
    pub fn take_scratch(&self, directory: &Path) -> Result<OutputFile, MediumError> {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let found = scratch.iter().position(|(of, _)| of == directory);
        let opened = found.map(|at| scratch.swap_remove(at).1);
        drop(scratch);
        match opened {
            Some(file) => Ok(file),
            None => OutputFile::scratch(directory),
        }
    }
}

/// What became of a file that is to be made.
enum Opened {
    /// It is open, without a name.
    New(OutputFile),
    /// It is, and like the file whose place it takes; or it cannot be.
    Like(Result<OutputFile, MediumError>),
    /// It is made when it is needed.
    Later,
}

impl NewFile {
    fn open(&self) -> Opened {
        match self.making {
            Making::Mode(mode) => match OutputFile::create(&self.path, self.force, mode) {
                Ok(file) if file.has_no_name() => Opened::New(file),
                _ => Opened::Later,
            },
            Making::LikeTheOld => match OutputFile::create_like(&self.path) {
                Ok(file) if !file.has_no_name() => Opened::Later,
                opened => Opened::Like(opened),
            },
        }
    }
}

/// Opens the files that never get a name, `most` of them; of the others the directories are needed.
fn open_scratch(needs: &mut Needs, most: usize) -> Vec<(PathBuf, OutputFile)> {
    let mut scratch = Vec::new();
    for directory in std::mem::take(&mut needs.scratch_in) {
        let file = (scratch.len() < most).then(|| OutputFile::scratch(&directory));
        match file {
            Some(Ok(file)) => scratch.push((directory, file)),
            _ => needs.makes_in.push(directory),
        }
    }
    scratch
}

/// Makes and holds the directories in which a file may be kept.
fn open_directories(needs: &mut Needs) -> Vec<OwnDirectory> {
    let mut kept = Vec::new();
    for (directory, own) in std::mem::take(&mut needs.keeps_in) {
        // What goes wrong here goes wrong again when the file is written, and is said then, if there
        // is one to write at all.
        if let Ok(opened) = OwnDirectory::open(&directory, own) {
            needs.removes_below.extend(opened.taken_away_from());
            kept.push(opened);
        }
        needs.makes_in.push(directory);
    }
    kept
}

/// How many of these files can be open at once beside what else is: half of what the process may
/// have, which is asked for where there are many.
fn most_open_files(wanted: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    let is_short = |most: u64| most / 2 < wanted as u64;
    if limit.current.is_some_and(is_short) {
        limit.current = limit.maximum;
        let _ = setrlimit(Resource::Nofile, limit);
    }
    let most = getrlimit(Resource::Nofile).current;
    most.map_or(usize::MAX, |most| {
        usize::try_from(most / 2).unwrap_or(usize::MAX)
    })
}
