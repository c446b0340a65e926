//! The files that are named as undo files.

use crate::cli::change::LARGEST_UNDO_FILE;
use crate::cli::report::Failure;
use crate::cli::session::Session;
use crate::cli::terminal::{quoted_path, size};
use crate::commit::{AnyUndo, UndoSummary};
use crate::partition::PartitionTable;
use crate::stick::Error;
use crate::target::Kind;
use bytes::Bytes;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

/// The undo file at `path`.
///
/// # Errors
/// As [`read`] and [`parse`]. A medium that was named in its place is said to be that.
pub fn open(session: &Session, path: &Path) -> Result<AnyUndo, Failure> {
    let undo = parse(path, &read(path)?.into());
    undo.map_err(|failure| match is_target(session, path) {
        Some(what) => of_target(failure, path, what),
        None => failure,
    })
}

/// An undo file from its bytes.
///
/// # Errors
/// Each way the bytes can be something else.
pub fn parse(path: &Path, bytes: &Bytes) -> Result<AnyUndo, Failure> {
    let undo = AnyUndo::from_shared(bytes);
    Ok(undo.map_err(|error| Error::from(error).in_file(path.display().to_string()))?)
}

/// Whether a path is that of a file that begins as an undo file does, damaged or not.
pub fn begins_as_undo_file(path: &Path) -> bool {
    let is_file = std::fs::metadata(path).is_ok_and(|it| it.is_file());
    is_file && File::open(path).is_ok_and(|file| UndoSummary::read(file).is_ok())
}

/// Refuses what is no file, before anything of it is read: a device or a pipe has no length to ask for,
/// and perhaps no end; opening one may wait.
///
/// # Errors
/// What is no file, and what the operating system reported.
pub fn check_is_file(path: &Path) -> Result<(), Failure> {
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if !metadata.is_file() {
        let failure = Failure::usage(format!("{} is not a file", path.display()));
        return Err(if metadata.file_type().is_block_device() {
            of_target(failure, path, "a disk")
        } else {
            failure
        });
    }
    Ok(())
}

/// What a file is, in words, of which the newest change can be undone: it was named in place of an undo
/// file.
fn is_target(session: &Session, path: &Path) -> Option<&'static str> {
    let kind = Kind::of(path, &session.host).ok()?;
    match kind {
        Kind::Image => {
            let target = session.open_read(path).ok()?;
            let table = PartitionTable::read(&target, session.common.sector_size);
            table.is_ok().then_some("a boot medium")
        }
        Kind::State | Kind::VirtualDisk(_) => Some(kind.as_str()),
        _ => None,
    }
}

fn of_target(failure: Failure, path: &Path, what: &str) -> Failure {
    let name = quoted_path(path);
    failure.hint(format!(
        "{name} is {what}; `bootbank undo --last {name}` undoes its newest change"
    ))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let text = format!("cannot read {}: {error}", path.display());
    match error.kind() {
        std::io::ErrorKind::NotFound => Failure::usage(text),
        _ => Failure::io(text),
    }
}

/// The bytes of an undo file.
///
/// # Errors
/// What is no file, or larger than any undo file; what the operating system reported.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    check_is_file(path)?;
    let failed = |error: std::io::Error| unreadable(path, &error);
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(LARGEST_UNDO_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > LARGEST_UNDO_FILE {
        return Err(Failure::refused(format!(
            "{} is larger than any undo file: more than {}",
            path.display(),
            size(LARGEST_UNDO_FILE)
        )));
    }
    Ok(bytes)
}
