//! Where undo files go, what they are called, and how they are written.
//!
//! An undo file holds parts of a host's configuration, secrets among them: it is made for its
//! owner alone (0600, in a directory of 0700), never over an existing file and never through
//! a symbolic link. It is on the disk, name included, before the first write to a medium.

use super::options::UndoPlace;
use super::report::Failure;
use sha2::{Digest, Sha256};
use std::env;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often, and how long apart, another name for an undo file is tried: names differ by the
/// second.
const NAME_TRIES: u32 = 24;
const NAME_PAUSE: Duration = Duration::from_millis(50);

/// The file an undo goes to, decided before anything is written; `None` with `--no-undo`.
///
/// # Errors
/// Refused where there is neither a home directory nor a file given.
pub fn choose(place: &UndoPlace, content: &[u8]) -> Result<Option<PathBuf>, Failure> {
    match place {
        UndoPlace::None => Ok(None),
        UndoPlace::File(file) => Ok(Some(file.clone())),
        UndoPlace::Default => {
            let directory = directory()?;
            let digest = digest(content);
            let name = || format!("{}-{digest}.undo", utc(SystemTime::now()));
            let mut path = directory.join(name());
            // The same change of the same target in the same second: the run before was
            // interrupted, or undone. The next second has a name of its own.
            for _ in 0..NAME_TRIES {
                if path.symlink_metadata().is_err() {
                    break;
                }
                std::thread::sleep(NAME_PAUSE);
                path = directory.join(name());
            }
            Ok(Some(path))
        }
    }
}

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
            .hint("name a file with -z FILE, or go without with --no-undo"));
        }
    };
    Ok(state.join("bootbank/undo"))
}

/// The directory an undo file goes to.
pub fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Makes a directory for undo files, for its owner alone, where there is none.
///
/// # Errors
/// What the operating system reported.
pub fn make_directory(path: &Path) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let parent = directory_of(path);
    make_directory(&parent)?;
    match DirBuilder::new().mode(0o700).create(path) {
        // A run beside this one was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    // A directory that is not in its parent after a power cut takes its files with it.
    File::open(&parent)?.sync_all()
}

/// The largest undo file that is written, and read, in bytes: old and new content of four states
/// as large as a default limit lets them be.
pub const LARGEST: u64 = 1 << 30;

/// Writes the undo file and waits until it is on the disk under its name.
///
/// # Errors
/// Refused where there is something already, no room or no right to write; else what the
/// operating system reported. Nothing of the file is left then.
pub fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let failed = |error: io::Error| cannot_write(path, &error);
    let parent = directory_of(path);
    make_directory(&parent).map_err(failed)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
        .map_err(failed)?;
    let written = file
        .write_all(content)
        .and_then(|()| file.sync_all())
        .and_then(|()| File::open(&parent)?.sync_all());
    written.map_err(|error| {
        // A cut-off undo file would be refused later; better none than one that misleads.
        let _ = fs::remove_file(path);
        failed(error)
    })
}

/// Without the way back there is no change: most reasons are for the user to remove, and
/// none of them has touched the target.
fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    use io::ErrorKind::{
        AlreadyExists, FileTooLarge, IsADirectory, NotADirectory, NotFound, PermissionDenied,
        QuotaExceeded, ReadOnlyFilesystem, StorageFull,
    };
    let text = format!("cannot write the undo file {}: {error}", path.display());
    let nothing = "nothing was written to the target";
    match error.kind() {
        AlreadyExists => Failure::refused(text).hint(format!(
            "{nothing}; an undo file is never overwritten, name another with -z FILE"
        )),
        StorageFull | QuotaExceeded | FileTooLarge | ReadOnlyFilesystem | PermissionDenied
        | NotFound | NotADirectory | IsADirectory => {
            Failure::refused(text).hint(format!("{nothing}; name another place with -z FILE"))
        }
        _ => Failure::io(text).hint(format!("{nothing}; name another place with -z FILE")),
    }
    .path(path)
}

fn digest(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    digest
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A time as `20261123T194500Z`.
fn utc(time: SystemTime) -> String {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let (days, second) = (seconds / 86400, seconds % 86400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Year, month and day of the proleptic Gregorian calendar, `days` after 1970-01-01. Counted
/// in eras of 400 years that begin on the 1st of March, so that the leap day comes last.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
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
            assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }
}
