//! `bootbank rm`: take one file out of the configuration.

use crate::cli::change::{ChangeArgs, Job};
use crate::cli::process::Needs;
use crate::cli::report::{Exit, Failure};
use crate::cli::session::{Run, Session};
use crate::edit::{Edit, FileEdit};
use crate::stick::Path as StickPath;
use clap::Args;
use std::path::{Path, PathBuf};

/// Remove one file from the state
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank rm stick.img etc/ssh/ssh_host_rsa_key")]
pub struct Rm {
    /// Image file or block device
    stick: PathBuf,
    /// A path as the host sees it
    path: String,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Run for Rm {
    fn first_target(&self) -> Option<&Path> {
        Some(&self.stick)
    }

    fn needs(&self) -> Needs {
        self.change.needs(std::slice::from_ref(&self.stick))
    }

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        let edit = FileEdit::Remove {
            path: member(&self.path)?,
            absent_ok: false,
        };
        Job::edit(session, &self.change, &self.stick, vec![Edit::File(edit)])
    }
}

/// A path in the configuration; a bank's own files are not written.
///
/// # Errors
/// A path into a bank.
pub fn member(text: &str) -> Result<String, Failure> {
    match StickPath::parse(text) {
        StickPath::State(path) => Ok(path),
        StickPath::Bank { name, .. } => {
            let failure = Failure::refused(format!(
                "{text} is a bank's own file; put and rm change only files in the state"
            ));
            Err(match name.to_ascii_lowercase().as_str() {
                "boot.cfg" => {
                    failure.hint("`bootbank kernelopt modify` changes its kernel options")
                }
                "state.tgz" => failure.hint("`bootbank state import` replaces the state"),
                _ => failure,
            })
        }
    }
}
