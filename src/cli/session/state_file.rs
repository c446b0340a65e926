//! Targets that are no medium: a bare `state.tgz`, `local.tgz` or `configBundle.tgz`.

use super::Session;
use crate::cli::process;
use crate::cli::report::Failure;
use crate::state::{State, state_in};
use crate::stick::Error;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Where a tar header says that it is one, and what.
const MAGIC_AT: usize = 257;
const MAGIC: &[u8] = b"ustar";

/// The content of `path` where it is a compressed archive; `None` for anything else, which
/// may be a medium.
///
/// # Errors
/// What the operating system reported.
pub fn state_file(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    if !path.is_file() || !is_packed_archive(path) {
        return Ok(None);
    }
    process::bytes(path).map(Some)
}

fn is_packed_archive(path: &Path) -> bool {
    let Ok(file) = File::open(path) else {
        return false;
    };
    let mut header = Vec::new();
    let mut unpacked = flate2::read::GzDecoder::new(file).take(512);
    if unpacked.read_to_end(&mut header).is_err() {
        // What is damaged is told from another file by its name.
        let name = path.extension().and_then(|extension| extension.to_str());
        return name.is_some_and(|name| name.eq_ignore_ascii_case("tgz"));
    }
    header
        .get(MAGIC_AT..)
        .is_some_and(|rest| rest.starts_with(MAGIC))
}

/// Opens the state in such a file.
///
/// # Errors
/// A file that is damaged, or holds no state.
pub fn open(session: &Session, bytes: &[u8]) -> Result<State, Failure> {
    let limits = session.common.limits;
    let (name, state) = state_in(bytes, &limits).map_err(Error::from)?;
    let opened = State::open(name, &state, &limits, &session.keys);
    Ok(opened.map_err(Error::from)?)
}
