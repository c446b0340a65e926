//! Files that are read as input: a value, a file to put in, a state.

use super::needs::is_stream;
use crate::cli::report::Failure;
use crate::cli::terminal::standard;
use std::fs::File;
use std::io::{self, Read as _, Stdin};
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
    match STDIN_TAKEN.swap(true, Ordering::Relaxed) {
        false => readable_stdin(),
        true => Err(Failure::usage(
            "- stands for standard input twice; name a file for one of the two",
        )),
    }
}

fn readable_stdin() -> Result<Stdin, Failure> {
    let failed = |error| Failure::io(format!("cannot read standard input: {error}"));
    let stdin = standard::stdin().map_err(failed)?;
    match standard::may_be_missing(&stdin).map_err(failed)? {
        false => Ok(stdin),
        true => Err(Failure::io(
            "cannot read standard input: it is closed, or /dev/null opened for reading and writing, which looks the same",
        )
        .hint("if it is to be empty, open it for reading alone: </dev/null, or name the file /dev/null instead of -")),
    }
}

/// The content of a file, or of standard input where it is `-`.
///
/// # Errors
/// What the operating system reported, or an input larger than any state; standard input taken
/// twice.
pub fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut content = Vec::new();
    let read = if is_stream(path) {
        take_stdin()?
            .lock()
            .take(LIMIT + 1)
            .read_to_end(&mut content)
    } else {
        File::open(path).and_then(|file| file.take(LIMIT + 1).read_to_end(&mut content))
    };
    let shown = path.display();
    match read {
        Ok(_) if content.len() as u64 > LIMIT => Err(Failure::usage(format!(
            "{shown} is larger than {} MiB",
            LIMIT >> 20
        ))),
        Ok(_) => Ok(content),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Failure::usage(format!("{shown} does not exist")))
        }
        Err(error) => Err(Failure::io(format!("cannot read {shown}: {error}"))),
    }
}

/// The same as text.
///
/// # Errors
/// As [`bytes`]; an input that is not UTF-8.
pub fn text(path: &Path) -> Result<String, Failure> {
    String::from_utf8(bytes(path)?)
        .map_err(|_| Failure::usage(format!("{} is not UTF-8 text", path.display())))
}
