//! How a new file gets its name: none at first, or one beside the final one, and never that of a file
//! that is not to be replaced.

use super::node::{in_proc, special};
use super::{Identity, MediumError};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

/// Other partial files of the same process that may be in the way.
const MOST_NAMES: u32 = 1000;

/// How the name of a file in the making begins and ends, where it has one.
const PARTIAL: &str = ".bootbank-";
const PARTIAL_END: &str = ".partial";

/// Whether this is the name of a file in the making. One to which nobody writes any more was left by a run that
/// was cut.
pub fn is_partial(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(PARTIAL.as_bytes()) && name.ends_with(PARTIAL_END.as_bytes())
}

/// Waits until the names in a directory are on the disk. File systems that cannot do that for a directory
/// (FUSE, CIFS) are not asked for more.
///
/// # Errors
/// What the operating system reported, of opening it or of the sync.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    let synced = File::open(directory)?.sync_all();
    match synced.as_ref().map_err(Errno::from_io_error) {
        Err(Some(Errno::INVAL | Errno::NOTSUP | Errno::NOSYS)) => Ok(()),
        _ => synced,
    }
}

/// Where a file of this name goes, and what is there now.
pub(super) fn final_place(
    path: &Path,
    force: bool,
) -> Result<(PathBuf, Option<Identity>), MediumError> {
    if path.symlink_metadata().is_err() {
        return Ok((path.to_owned(), None));
    }
    let Ok(metadata) = path.metadata() else {
        // A link that leads nowhere.
        return if force {
            Ok((path.to_owned(), None))
        } else {
            Err(MediumError::Exists { path: path.into() })
        };
    };
    if metadata.is_dir() {
        return Err(MediumError::OutputIsDirectory { path: path.into() });
    }
    let kind = metadata.file_type();
    if kind.is_block_device() {
        return Err(MediumError::OutputIsDisk { path: path.into() });
    }
    if !kind.is_file() {
        return Err(MediumError::OutputNotFile {
            path: path.into(),
            what: special(kind),
        });
    }
    if !force {
        return Err(MediumError::Exists { path: path.into() });
    }
    let full = path
        .canonicalize()
        .map_err(|error| MediumError::io("look up", path, error))?;
    Ok((full, Some(Identity::of_file(&metadata))))
}

/// The directory that holds what a path names.
pub(crate) fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Makes a file without a name in the directory of `path`; `None` where that cannot be, or where it
/// could not be given a name later, for which /proc is needed.
pub(super) fn without_a_name(path: &Path, mode: Mode) -> Option<File> {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    let file = rustix::fs::open(directory_of(path), flags, mode).ok()?;
    let file = File::from(file);
    std::fs::metadata(in_proc(&file)).is_ok().then_some(file)
}

/// Makes something under a free name beside `path`.
pub(super) fn under_a_free_name<T>(
    path: &Path,
    make: impl Fn(&Path) -> Result<T, Errno>,
) -> Result<(T, PathBuf), Errno> {
    for attempt in 0..MOST_NAMES {
        let name = format!("{PARTIAL}{}-{attempt}{PARTIAL_END}", std::process::id());
        let partial = directory_of(path).join(name);
        match make(&partial) {
            Err(Errno::EXIST) => {}
            made => return made.map(|made| (made, partial)),
        }
    }
    Err(Errno::EXIST)
}

/// Gives an open file without a name a name that is free.
pub(super) fn link(file: &File, path: &Path) -> Result<(), Errno> {
    rustix::fs::linkat(CWD, in_proc(file), CWD, path, AtFlags::SYMLINK_FOLLOW)
}

/// Renames, as the flags say.
pub(super) fn rename(from: &Path, to: &Path, flags: RenameFlags) -> Result<(), Errno> {
    rustix::fs::renameat_with(CWD, from, CWD, to, flags)
}

/// Renames unless there is something by that name.
pub(super) fn rename_to_new(from: &Path, to: &Path) -> Result<(), Errno> {
    match rename(from, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => match link_to_new(from, to) {
            Err(error) if error != Errno::EXIST => rename_to_claimed(from, to),
            linked => linked,
        },
        done => done,
    }
}

/// The same, for file systems that do not know such a rename and know links (NFS): a link takes no other's place.
fn link_to_new(from: &Path, to: &Path) -> Result<(), Errno> {
    rustix::fs::linkat(CWD, from, CWD, to, AtFlags::empty())?;
    // It has the name it is to have; the other one that stays is a file in the making, by its name.
    let _ = std::fs::remove_file(from);
    Ok(())
}

/// The same, for file systems that know neither: the name is taken by an empty file of this process first, so that
/// of two that want it only one has it. A cut right then leaves the empty file.
fn rename_to_claimed(from: &Path, to: &Path) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    rustix::fs::open(to, flags | OFlags::NOFOLLOW, Mode::RUSR | Mode::WUSR)?;
    rename(from, to, RenameFlags::empty()).inspect_err(|_| {
        let _ = std::fs::remove_file(to);
    })
}

/// Why a file cannot be made under a name.
pub(super) fn create_error(path: &Path, errno: Errno) -> MediumError {
    let path = path.to_owned();
    match errno {
        Errno::EXIST => MediumError::Exists { path },
        Errno::NOENT => MediumError::NoDirectory { path },
        Errno::NOSPC | Errno::DQUOT => MediumError::NoSpace {
            path,
            source: errno.into(),
        },
        _ => MediumError::io("create", &path, errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_never_takes_the_name_of_another_in_any_way() {
        for rename in [rename_to_new, link_to_new, rename_to_claimed] {
            let directory = tempfile::tempdir().unwrap();
            let [from, to] = ["from", "to"].map(|name| directory.path().join(name));
            fs::write(&from, "new").unwrap();
            rename(&from, &to).unwrap();
            assert_eq!(fs::read(&to).unwrap(), b"new");
            assert!(!from.exists());
            fs::write(&from, "other").unwrap();
            assert_eq!(rename(&from, &to), Err(Errno::EXIST));
            assert_eq!(fs::read(&to).unwrap(), b"new");
            fs::remove_file(&to).unwrap();
            // Of a rename that fails nothing is left.
            fs::remove_file(&from).unwrap();
            assert_eq!(rename(&from, &to), Err(Errno::NOENT));
            assert!(!to.exists());
        }
    }
}
