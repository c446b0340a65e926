//! One file of a medium or a state, copied out.

use super::Session;
use crate::cli::process::is_stream;
use crate::cli::report::Failure;
use crate::medium::{Identity, MediumError};
use crate::secrets::Guarded;
use crate::stick::{Cause, Error, Path as StickPath};
use std::path::Path;

/// Permission bits of a file that is copied out.
pub const FILE_MODE: u32 = 0o600;

/// The content of one file of a bank or of its state, and what of it was not whole.
///
/// # Errors
/// A file that is not there, or whatever opening the medium meets.
pub fn content_of(
    session: &Session,
    stick: &Path,
    path: &str,
) -> Result<(Vec<u8>, Vec<Failure>), Failure> {
    let place = StickPath::parse(path);
    session.look_into(stick, |opened, _| {
        let content = opened.content(&place, session.common.bank)?;
        let missing = || Error::from(Cause::NoSuchFile).in_file(path);
        let found = content.ok_or_else(missing)?;
        let stood_in = opened.stood_in(&place, session.common.bank);
        let damage = opened.damage().into_iter().chain(stood_in);
        let damage = damage.chain(found.damage);
        Ok((
            found.bytes,
            damage.map(|it| Failure::beside_rest(&it)).collect(),
        ))
    })
}

/// Writes bytes to standard output, or to a file that appears only when it is complete and
/// that only its owner may read: it can hold secrets of a host.
///
/// # Errors
/// A file that is the medium itself, or that cannot be written.
pub fn write_file(
    session: &Session,
    stick: &Path,
    file: &Path,
    force: bool,
    (path, content): (&str, &[u8]),
) -> Result<(), Failure> {
    if is_stream(file) {
        if Guarded::of_file(path, content).is_secret() {
            session.ui.warn_of_secrets(path);
        }
        if session.ui.is_json() {
            return Err(Failure::usage(
                "the file goes to standard output, so --json cannot be used",
            ));
        }
        return session
            .ui
            .file(content)
            .map_err(|error| Failure::io(format!("cannot write to standard output: {error}")));
    }
    let is_stick = |host| Some(Identity::of(file, host).ok()? == Identity::of(stick, host).ok()?);
    if is_stick(&session.host) == Some(true) {
        let path = file.to_owned();
        return Err(MediumError::SameFile { path }.into());
    }
    let mut output = session.outputs.take(file, force, FILE_MODE)?;
    let stop = &mut |_| std::ops::ControlFlow::Continue(());
    output.fill_from_reader(&mut &*content, stop)?;
    output.publish()?;
    Ok(())
}
