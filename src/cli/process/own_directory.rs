//! A directory for undo files: there as long as a run may put one in, and afterwards if one was.
//!
//! It has to be there before the process confines itself, when nobody knows yet whether there will
//! be anything to undo. A run that made it and put nothing in takes it away again, unless another run
//! counts on it by then, with which it stays: each holds a shared lock on it, and takes an exclusive
//! one first. A directory that the user named, or that was there, is nobody's to take away, and
//! a run that a signal ends leaves what it made.

use crate::host::ask_again_while;
use crate::medium::directory_of;
use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// How often it is made anew because another run has just taken it away.
const TRIES: usize = 20;

/// A directory that a run may put files into.
#[derive(Debug)]
pub struct OwnDirectory {
    /// Held with a shared lock, where the file system has locks.
    lock: File,
    /// What this run may take away again, the innermost first.
    own: Vec<PathBuf>,
}

impl OwnDirectory {
    /// Makes the directory where there is none, and keeps other runs from taking it away. Of what was
    /// made here, the last `own` parts of the path may be taken away again.
    ///
    /// # Errors
    /// What the operating system reported.
    pub fn open(path: &Path, own: usize) -> io::Result<Self> {
        let mut made = Vec::new();
        let mut left = TRIES;
        loop {
            left -= 1;
            match make(path, &mut made).and_then(|()| held(path)) {
                Ok(Some(lock)) => {
                    made.reverse();
                    // One that was taken away in between was made twice.
                    made.dedup();
                    made.truncate(own);
                    let own = made;
                    return Ok(OwnDirectory { lock, own });
                }
                Err(error) if left == 0 || error.kind() != io::ErrorKind::NotFound => {
                    return Err(error);
                }
                Ok(None) if left == 0 => return Err(io::ErrorKind::NotFound.into()),
                Ok(None) | Err(_) => {}
            }
        }
    }

    /// The directory in which the outermost of what may be taken away lies.
    pub fn taken_away_from(&self) -> Option<PathBuf> {
        self.own.last().map(|path| directory_of(path))
    }
}

impl Drop for OwnDirectory {
    fn drop(&mut self) {
        let Some(innermost) = self.own.first() else {
            return;
        };
        let is_empty = fs::read_dir(innermost).is_ok_and(|mut there| there.next().is_none());
        if !is_empty || lock(&self.lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return;
        }
        // The first that holds something stays, and with it what it lies in.
        let _ = self.own.iter().try_for_each(fs::remove_dir);
    }
}

/// The directory, open and locked, if it is still the one of this name.
fn held(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::DIRECTORY.bits().cast_signed();
    let directory = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    // Without locks another run may take it away: then there is no place for an undo file, and no
    // change.
    let _ = lock(&directory, FlockOperation::NonBlockingLockShared);
    let (held, named) = (directory.metadata()?, fs::metadata(path)?);
    let same = (held.dev(), held.ino()) == (named.dev(), named.ino());
    Ok(same.then_some(directory))
}

fn lock(directory: &File, lock: FlockOperation) -> Result<(), Errno> {
    let taken = |locked: &Result<(), Errno>| *locked == Err(Errno::WOULDBLOCK);
    ask_again_while(taken, || rustix::fs::flock(directory, lock))
}

/// Makes a directory for its owner alone, and those it lies in, where there is none. What was made is
/// put behind `made`, the outermost first.
///
/// # Errors
/// What the operating system reported.
pub fn make(path: &Path, made: &mut Vec<PathBuf>) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let parent = directory_of(path);
    make(&parent, made)?;
    match DirBuilder::new().mode(0o700).create(path) {
        // A run beside this one was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
        Ok(()) => made.push(path.to_owned()),
    }
    // A directory that is not in its parent after a power cut takes its files with it.
    File::open(&parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_nothing_was_put_into_is_taken_away_with_what_was_made_for_it() {
        let base = tempfile::tempdir().unwrap();
        let state = base.path().join("local/state");
        let undo = state.join("bootbank/undo");
        let kept = OwnDirectory::open(&undo, 2).unwrap();
        assert_eq!(kept.taken_away_from(), Some(state.clone()));
        assert_eq!(fs::metadata(&undo).unwrap().mode() & 0o777, 0o700);
        drop(kept);
        assert!(state.exists() && !state.join("bootbank").exists());
        drop(OwnDirectory::open(&undo, 0).unwrap());
        assert!(undo.exists(), "a place that was named by the user");
    }

    #[test]
    fn what_was_there_or_holds_something_or_is_another_runs_stays() {
        let base = tempfile::tempdir().unwrap();
        let undo = base.path().join("bootbank/undo");
        fs::create_dir_all(&undo).unwrap();
        drop(OwnDirectory::open(&undo, 2).unwrap());
        assert!(undo.exists());

        fs::remove_dir(&undo).unwrap();
        let kept = OwnDirectory::open(&undo, 2).unwrap();
        fs::write(undo.join("file"), "").unwrap();
        drop(kept);
        assert!(undo.join("file").exists());

        fs::remove_file(undo.join("file")).unwrap();
        fs::remove_dir(&undo).unwrap();
        let first = OwnDirectory::open(&undo, 2).unwrap();
        let second = OwnDirectory::open(&undo, 2).unwrap();
        drop(first);
        assert!(undo.exists(), "the second run counts on it");
        drop(second);
        assert!(undo.exists(), "the second run did not make it");
    }

    #[test]
    fn runs_beside_each_other_never_lose_the_directory() {
        let base = tempfile::tempdir().unwrap();
        let undo = base.path().join("bootbank/undo");
        std::thread::scope(|scope| {
            for number in 0..4 {
                let undo = &undo;
                scope.spawn(move || {
                    for turn in 0..200 {
                        let kept = OwnDirectory::open(undo, 2).unwrap();
                        let file = undo.join(format!("{number}-{turn}"));
                        fs::write(&file, "").unwrap();
                        fs::remove_file(&file).unwrap();
                        drop(kept);
                    }
                });
            }
        });
    }
}
