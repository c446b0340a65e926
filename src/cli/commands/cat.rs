//! `bootbank cat`: one file of a bank or of its state to standard output.

use crate::cli::report::{Exit, Failure};
use crate::cli::session::{Run, Session, content_of, looks_at_one};
use crate::secrets::Guarded;
use clap::Args;
use std::path::PathBuf;

/// Errors are those of a listing: the file itself is no JSON.
const SCHEMA: &str = "bootbank.ls/1";

/// Write one file to standard output
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank cat stick.img etc/vmware/esx.conf
  bootbank cat stick.img bank5:boot.cfg")]
pub struct Cat {
    /// Image file, block device or state file
    stick: PathBuf,
    /// A path as the host sees it (etc/vmware/esx.conf), or a bank's own file (bank:boot.cfg,
    /// bank5:boot.cfg)
    path: String,
}

impl Run for Cat {
    looks_at_one!();

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        if session.ui.is_json() {
            return Err(Failure::usage(
                "cat writes the file itself, so --json cannot be used",
            ));
        }
        let (content, damage) = match content_of(session, &self.stick, &self.path) {
            Ok(found) => found,
            Err(failure) => {
                failure.show(&session.ui, SCHEMA, &self.stick.display().to_string());
                return Ok(failure.exit());
            }
        };
        if Guarded::of_file(&self.path, &content).is_secret() {
            session.ui.warn_of_secrets(&self.path);
        }
        session
            .ui
            .file(&content)
            .map_err(|error| Failure::io(format!("cannot write to standard output: {error}")))?;
        Ok(session.say_damage(&self.stick, &damage, Exit::Done))
    }
}
