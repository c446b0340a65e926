//! Where undo files go, what they are called, and how they are written.
//!
//! An undo file holds parts of a host's configuration, secrets among them: it is made for its
//! owner alone (0600, in a directory of 0700), never over an existing file and never through
//! a symbolic link. It is on the disk, name included, before the first write to a medium.

use crate::cli::process::make_directory;
use crate::cli::report::{FILE_TOO_LARGE, Failure};
use crate::commit::{AnyUndo, TargetKey, UndoFile, digest};
use crate::medium::{MediumError, OutputFile, directory_of, sync_directory};
use jiff::Timestamp;
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Where the undo file goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UndoPlace {
    /// The directory for undo files, under a name of its own.
    Default,
    /// Here.
    File(PathBuf),
    /// Nowhere.
    None,
}

/// The file an undo goes to, decided before anything is written; `None` with `--no-undo`.
///
/// # Errors
/// Refused where there is neither a home directory nor a file given.
pub fn choose(
    place: &UndoPlace,
    target: &Path,
    file: &UndoFile,
) -> Result<Option<PathBuf>, Failure> {
    match place {
        UndoPlace::None => Ok(None),
        UndoPlace::File(file) => Ok(Some(file.clone())),
        UndoPlace::Default => {
            let directory = directory()?;
            let time = utc(Timestamp::now());
            let name = format!(
                "{time}-{}-{}",
                readable(target),
                file.digest().get(..DIGITS).unwrap_or_default()
            );
            let path = free_name(&directory, &name);
            Ok(Some(path))
        }
    }
}

/// How many of the last parts of [`directory`] are this program's own.
pub const OWN_PARTS: usize = 2;

/// `$XDG_STATE_HOME/bootbank/undo`, or `~/.local/state/bootbank/undo`.
///
/// # Errors
/// Refused where neither variable is set.
pub fn directory() -> Result<PathBuf, Failure> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    let state = match (set("XDG_STATE_HOME"), set("HOME")) {
        (Some(state), _) if Path::new(&state).is_absolute() => PathBuf::from(state),
        (_, Some(home)) => PathBuf::from(home).join(".local/state"),
        _ => {
            return Err(Failure::refused(
                "there is no place for the undo file: neither XDG_STATE_HOME nor HOME is set",
            )
            .hint("name a file with -z FILE, or go without one with --no-undo"));
        }
    };
    Ok(state.join("bootbank/undo"))
}

/// How many digits of its digest are in the name of an undo file.
const DIGITS: usize = 12;

/// How much of the name of a target goes into that of its undo file, in characters.
const LONGEST_NAME: usize = 40;

/// The largest undo file that is written, and read, in bytes: old and new content of four states
/// as large as a default limit lets them be.
pub const LARGEST: u64 = 1 << 30;

/// Writes the undo file and waits until it is on the disk under its name. Until it is whole it has
/// none, or another, so that a cut leaves nothing that looks like an undo file and is not one.
///
/// A file that is there already and does what this one would stays: the same run was cut before its first
/// write.
///
/// # Errors
/// Refused where there is something already, no room or no right to write; else what the
/// operating system reported. Nothing of the file is left then.
pub fn write(path: &Path, undo: &UndoFile) -> Result<(), Failure> {
    let failed = |error: io::Error| cannot_write(path, &error);
    let parent = directory_of(path);
    make_directory(&parent, &mut Vec::new()).map_err(failed)?;
    // Who may not open it cannot wait for the name to be on the disk either.
    File::open(&parent).map_err(failed)?;
    if let Ok(there) = path.symlink_metadata() {
        if !there.is_file() || !is_the_same(path, undo).map_err(failed)? {
            return Err(failed(rustix::io::Errno::EXIST.into()));
        }
        forget_undone(path);
        let synced = File::open(path).and_then(|file| file.sync_all());
        return synced
            .and_then(|()| sync_directory(&parent))
            .map_err(failed);
    }
    let failed = |error: MediumError| cannot_write(path, &errno_of(error));
    let mut file = OutputFile::create(path, false, 0o600).map_err(failed)?;
    let written = undo.write_to(&mut file);
    written.map_err(|error| failed(file.write_error(error)))?;
    file.publish().map_err(|error| {
        if matches!(error, MediumError::NotDurable { .. }) {
            let _ = fs::remove_file(path);
        }
        failed(error)
    })
}

/// What the operating system reported of a new file.
fn errno_of(error: MediumError) -> io::Error {
    match error {
        MediumError::Exists { .. } => rustix::io::Errno::EXIST.into(),
        MediumError::OutputIsDirectory { .. } => rustix::io::Errno::ISDIR.into(),
        MediumError::NoDirectory { .. } => rustix::io::Errno::NOENT.into(),
        MediumError::NoSpace { source, .. }
        | MediumError::NotDurable { source, .. }
        | MediumError::Io { source, .. } => source,
        error => io::Error::other(error),
    }
}

/// What a note that a change was undone is called, behind the name of its undo file without `.undo`.
pub const NOTE: &str = "undone";

/// Notes beside an undo file in the directory for them that its change was undone on this target. What a
/// medium holds does not always tell, for later changes use the same sectors.
///
/// # Errors
/// What the operating system reported.
pub fn note_undone(undo: &Path, target: &TargetKey) -> io::Result<()> {
    let own = directory()
        .is_ok_and(|own| own.canonicalize().ok() == directory_of(undo).canonicalize().ok());
    if !own {
        return Ok(());
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(note_of(undo, target))?;
    file.write_all(target.to_string().as_bytes())
}

/// Removes every note that the change of an undo file was undone.
pub fn forget_undone(undo: &Path) {
    let entries = fs::read_dir(directory_of(undo))
        .into_iter()
        .flatten()
        .flatten();
    for entry in entries.filter(|entry| is_note_of(&entry.path(), undo)) {
        // One that stays is older than an undo file of the same name, and does not count.
        let _ = fs::remove_file(entry.path());
    }
}

/// Whether a file is called as a note about this undo file.
pub fn is_note_of(path: &Path, undo: &Path) -> bool {
    let stem = path.file_stem().map(Path::new).and_then(Path::file_stem);
    path.extension().is_some_and(|it| it == NOTE) && stem.is_some() && stem == undo.file_stem()
}

fn note_of(undo: &Path, target: &TargetKey) -> PathBuf {
    let digest = digest(target.to_string().as_bytes());
    let digits = digest.get(..DIGITS).unwrap_or_default();
    undo.with_extension(format!("{digits}.{NOTE}"))
}

/// Whether a file is an undo file that does what this one would, for a target of the same name.
fn is_the_same(path: &Path, undo: &UndoFile) -> io::Result<bool> {
    let mut there = Vec::new();
    let limit = LARGEST.saturating_add(1);
    File::open(path)?.take(limit).read_to_end(&mut there)?;
    let Ok(there) = AnyUndo::from_shared(&there.into()) else {
        return Ok(false);
    };
    let new = undo.to_bytes();
    let new = new.and_then(|new| AnyUndo::from_shared(&new.into()));
    let new = new.map_err(io::Error::other)?;
    Ok(there.does_the_same(&new) && there.about().target == new.about().target)
}

/// Without the way back there is no change: most reasons are for the user to remove, and
/// none of them has touched the target.
fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    use io::ErrorKind::{
        AlreadyExists, FileTooLarge, IsADirectory, NotADirectory, NotFound, PermissionDenied,
        QuotaExceeded, ReadOnlyFilesystem, StorageFull,
    };
    let text = format!("cannot write the undo file {}: {error}", path.display());
    let nothing = "nothing was written";
    match error.kind() {
        AlreadyExists => Failure::refused(text).hint(format!(
            "{nothing}; undo files are never overwritten, so name another with -z FILE"
        )),
        FileTooLarge => Failure::refused(text).hint(format!("{nothing}; {FILE_TOO_LARGE}")),
        StorageFull | QuotaExceeded | ReadOnlyFilesystem | PermissionDenied | NotFound
        | NotADirectory | IsADirectory => {
            Failure::refused(text).hint(format!("{nothing}; choose another place with -z FILE"))
        }
        _ => Failure::io(text).hint(format!("{nothing}; choose another place with -z FILE")),
    }
    .path(path)
}

/// A time as `20261123T194500Z`.
fn utc(time: Timestamp) -> String {
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// The name of a target as a part of a file name that nobody has to quote.
fn readable(target: &Path) -> String {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name = name.chars().map(|c| if plain(c) { c } else { '_' });
    name.take(LONGEST_NAME).collect()
}

/// The first of `NAME.undo`, `NAME-2.undo`, ... that is not taken: the same change of the same
/// target in the same second was interrupted, or undone.
fn free_name(directory: &Path, name: &str) -> PathBuf {
    let others = (2_u64..).map(|number| format!("{name}-{number}.undo"));
    let names = std::iter::once(format!("{name}.undo")).chain(others);
    let mut paths = names.map(|name| directory.join(name));
    let is_free = |path: &PathBuf| path.symlink_metadata().is_err();
    paths
        .find(is_free)
        .unwrap_or_else(|| directory.join(format!("{name}.undo")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_calendar_dates() {
        let cases = [
            (0, "19700101T000000Z"),
            (951_782_400, "20000229T000000Z"),
            (951_868_799, "20000229T235959Z"),
            (1_700_000_000, "20231114T221320Z"),
            (4_107_542_400, "21000301T000000Z"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(utc(Timestamp::from_second(seconds).unwrap()), expected);
        }
    }

    #[test]
    fn the_name_of_a_target_needs_no_quotes() {
        let cases = [
            ("/dev/sdb", "sdb"),
            ("a b'c.img", "a_b_c.img"),
            ("-rf.img", "-rf.img"),
            ("/srv/st\u{f6}ck.img", "st_ck.img"),
            ("/", ""),
        ];
        for (target, expected) in cases {
            assert_eq!(readable(Path::new(target)), expected);
        }
        assert_eq!(readable(Path::new(&"x".repeat(300))).len(), LONGEST_NAME);
    }

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        let directory = tempfile::tempdir().unwrap();
        let mut names = Vec::new();
        for _ in 0..3 {
            let path = free_name(directory.path(), "x");
            fs::write(&path, "").unwrap();
            names.push(path.file_name().unwrap().to_owned());
        }
        assert_eq!(names, ["x.undo", "x-2.undo", "x-3.undo"]);
    }
}
