//! `bootbank get`, `put` and `rm`: single files of a configuration.

use super::args::{GetArgs, PutArgs, RmArgs};
use super::change::{Job, Work};
use super::exit::Exit;
use super::input;
use super::json;
use super::options::Change;
use super::report::Failure;
use super::session::Session;
use crate::edit::{Edit, FileEdit};
use crate::medium::{Identity, MediumError, OutputFile};
use crate::stick::{Cause, Error, Path as StickPath};
use std::path::Path;

/// `bootbank get`
///
/// # Errors
/// Arguments that cannot be meant.
pub fn get(session: &Session, args: &GetArgs) -> Result<Exit, Failure> {
    let target = args.stick.display().to_string();
    let path = StickPath::parse(&args.path);
    let content = session.look_into(&args.stick, |stick, _| {
        let content = stick.content(&path, session.common.bank)?;
        let missing = || Error::from(Cause::NoSuchFile).in_file(args.path.clone());
        content.ok_or_else(|| missing().into())
    });
    let written = content
        .and_then(|content| write_file(session, &args.stick, &args.file, args.force, &content));
    match written {
        Ok(()) => Ok(Exit::Done),
        Err(failure) => {
            failure.show(&session.ui, json::LS, &target);
            Ok(failure.exit())
        }
    }
}

/// Writes bytes to standard output, or to a file that appears only when it is complete and
/// that only its owner may read: it can hold secrets of a host.
pub(super) fn write_file(
    session: &Session,
    stick: &Path,
    file: &Path,
    force: bool,
    content: &[u8],
) -> Result<(), Failure> {
    if file == Path::new("-") {
        if session.ui.is_json() {
            return Err(Failure::usage(
                "the file itself goes to standard output; --json does not apply to it",
            ));
        }
        return session
            .ui
            .file(content)
            .map_err(|error| Failure::io(format!("cannot write: {error}")));
    }
    let is_stick = |host| Some(Identity::of(file, host).ok()? == Identity::of(stick, host).ok()?);
    if is_stick(&session.host) == Some(true) {
        let path = file.to_owned();
        return Err(MediumError::SameFile { path }.into());
    }
    let mut output = OutputFile::create(file, force, 0o600)?;
    let stop = &mut |_| std::ops::ControlFlow::Continue(());
    output.fill_from_reader(&mut &*content, stop)?;
    output.publish()?;
    Ok(())
}

/// `bootbank put`
///
/// # Errors
/// Arguments that cannot be meant; the rest is reported as of the target.
pub fn put(session: &Session, args: &PutArgs) -> Result<Exit, Failure> {
    let path = member(&args.path)?;
    let mode = args.mode.as_deref().map(mode).transpose()?;
    let edit = FileEdit::Put {
        path,
        content: input::bytes(&args.file)?,
        mode,
    };
    let work = Work::edits(vec![Edit::File(edit)]);
    let job = Job::new(session, Change::new(&args.change, 1)?);
    Ok(job.run(std::slice::from_ref(&args.stick), &work))
}

/// `bootbank rm`
///
/// # Errors
/// Arguments that cannot be meant; the rest is reported as of the target.
pub fn rm(session: &Session, args: &RmArgs) -> Result<Exit, Failure> {
    let edit = FileEdit::Remove {
        path: member(&args.path)?,
        absent_ok: false,
    };
    let work = Work::edits(vec![Edit::File(edit)]);
    let job = Job::new(session, Change::new(&args.change, 1)?);
    Ok(job.run(std::slice::from_ref(&args.stick), &work))
}

/// A path in the configuration; a bank's own files are not written.
fn member(text: &str) -> Result<String, Failure> {
    match StickPath::parse(text) {
        StickPath::State(path) => Ok(path),
        StickPath::Bank { name, .. } => {
            let failure = Failure::refused(format!(
                "{text}: the files of a bank are read and not written"
            ));
            Err(match name.to_ascii_lowercase().as_str() {
                "boot.cfg" => failure.hint("`bootbank kernelopt modify` changes its options"),
                "state.tgz" => failure.hint("`bootbank state import` puts a state in"),
                _ => failure,
            })
        }
    }
}

fn mode(text: &str) -> Result<u32, Failure> {
    let mode = u32::from_str_radix(text, 8).ok();
    mode.filter(|mode| *mode <= 0o7777).ok_or_else(|| {
        Failure::usage(format!(
            "--mode takes permission bits in octal, as 0644, not `{text}`"
        ))
    })
}
