//! Files that are read as input: a value, a file to put in, a state.

use super::needs::is_stream;
use crate::bytes::without_mark;
use crate::cli::report::Failure;
use crate::cli::terminal::standard;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Stdin};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Larger than anything a state may hold.
const LIMIT: u64 = 256 << 20;

/// Whether standard input was taken for one input already.
static STDIN_TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes standard input, which can be only one of the inputs.
///
/// # Errors
/// It was taken already.
pub fn take_stdin() -> Result<Stdin, Failure> {
    if STDIN_TAKEN.swap(true, Ordering::Relaxed) {
        Err(Failure::usage(
            "- stands for standard input twice; name a file for one of the two",
        ))
    } else {
        readable_stdin()
    }
}

fn readable_stdin() -> Result<Stdin, Failure> {
    let failed = |error| Failure::io(format!("cannot read standard input: {error}"));
    let stdin = standard::stdin().map_err(failed)?;
    if standard::may_be_missing(&stdin).map_err(failed)? {
        Err(Failure::io(
            "cannot read standard input: it is closed, or /dev/null opened for reading and writing, which looks the same",
        )
        .hint("if it is to be empty, open it for reading alone: </dev/null, or name the file /dev/null instead of -"))
    } else {
        Ok(stdin)
    }
}

/// The content of a file, or of standard input where it is `-`.
///
/// # Errors
/// As [`first_bytes`]; an input larger than any state.
pub fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let content = first_bytes(path, LIMIT + 1)?;
    if content.len() as u64 > LIMIT {
        Err(Failure::usage(format!(
            "{} is larger than {} MiB",
            path.display(),
            LIMIT >> 20
        )))
    } else {
        Ok(content)
    }
}

/// The content of a file, or of standard input where it is `-`, up to that many bytes.
///
/// # Errors
/// What the operating system reported; standard input taken twice.
pub fn first_bytes(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let mut content = Vec::new();
    let (shown, read) = if is_stream(path) {
        let read = take_stdin()?.lock().take(limit).read_to_end(&mut content);
        ("standard input".to_owned(), read)
    } else {
        let read = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut content));
        (path.display().to_string(), read)
    };
    match read.map_err(|error| (error.kind(), error)) {
        Ok(_) => Ok(content),
        // The sandbox lets no directory be opened that is to be a file, and calls it a lack of permission.
        Err((kind, _)) if kind == ErrorKind::IsADirectory || path.is_dir() => Err(Failure::usage(
            format!("{shown} is a directory, and a file is to be read here"),
        )),
        Err((ErrorKind::NotFound | ErrorKind::NotADirectory, _)) => {
            Err(Failure::usage(format!("{shown} does not exist")))
        }
        Err((_, error)) => Err(Failure::io(format!("cannot read {shown}: {error}"))),
    }
}

/// The same as text, a byte order mark left out.
///
/// # Errors
/// As [`bytes`]; an input that is not UTF-8.
pub fn text(path: &Path) -> Result<String, Failure> {
    String::from_utf8(without_mark(&bytes(path)?).to_vec())
        .map_err(|_| Failure::usage(format!("{} is not UTF-8 text", path.display())))
}
