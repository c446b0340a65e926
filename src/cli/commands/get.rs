//! `bootbank get`: copy one file out.

use crate::cli::process::{Needs, is_stream};
use crate::cli::report::{Exit, Failure};
use crate::cli::session::{Answer, Run, Schema, Session};
use crate::medium::{Identity, MediumError};
use crate::secrets::Guarded;
use crate::stick::{Cause, Error, Path as StickPath};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use std::path::{Path, PathBuf};

const SCHEMA: &str = "bootbank.get/1";

/// Permission bits of a file that is copied out.
pub const FILE_MODE: u32 = 0o600;

/// Copy one file out of a bank or its state
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank get stick.img etc/vmware/esx.conf esx.conf
  bootbank get stick.img bank:state.tgz - | tar -tzf -")]
pub struct Get {
    /// Image file, block device or state file
    stick: PathBuf,
    /// A path as the host sees it, or a bank's own file (bank:boot.cfg, bank5:state.tgz)
    path: String,
    /// The file to write; - is standard output
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    /// Overwrite an existing file
    #[arg(long)]
    force: bool,
}

/// Object for one file that was copied out.
#[derive(Serialize, JsonSchema)]
struct Got {
    schema: &'static str,
    target: String,
    /// The path as it was given.
    path: String,
    output: String,
    /// Bytes of the file.
    size: usize,
}

impl Run for Get {
    fn first_target(&self) -> Option<&Path> {
        Some(&self.stick)
    }

    fn only_looks(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        Needs::to_read([&self.stick]).making(&self.file, self.force, FILE_MODE)
    }

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        let got = content_of(session, &self.stick, &self.path).and_then(|(content, damage)| {
            let named = (self.path.as_str(), content.as_slice());
            write_file(session, &self.stick, &self.file, self.force, named)?;
            let object = Got {
                schema: SCHEMA,
                target: self.stick.display().to_string(),
                path: self.path.clone(),
                output: self.file.display().to_string(),
                size: content.len(),
            };
            Ok(Answer {
                damage,
                ..Answer::new(String::new(), object)
            })
        });
        Ok(session.show(&self.stick, SCHEMA, got))
    }

    fn schemas() -> Vec<Schema> {
        vec![Schema::answer::<Got>("get")]
    }
}

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
        Ok((found.bytes, damage.map(Failure::from).collect()))
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
