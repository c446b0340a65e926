//! `bootbank rm`: remove one file from the configuration, or from a bank.

use crate::cli::change::{ChangeArgs, Job, change_bank_file};
use crate::cli::report::{Exit, Failure};
use crate::cli::session::{Run, Session, changes_one};
use crate::edit::{Edit, FileEdit};
use crate::stick::Path as StickPath;
use clap::Args;
use std::path::PathBuf;

/// Remove one file from the configuration, or from a bank
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank rm stick.img etc/ssh/ssh_host_rsa_key
  bootbank rm stick.img bank6:old.v00")]
pub struct Rm {
    /// Image file, block device or state file
    stick: PathBuf,
    /// A path as seen on the host, or a bank's file (bank6:old.v00)
    path: String,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Run for Rm {
    changes_one!();

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        match StickPath::parse(&self.path) {
            StickPath::State(path) => {
                let absent_ok = false;
                let edit = Edit::File(FileEdit::Remove { path, absent_ok });
                Job::edit(session, &self.change, &self.stick, vec![edit])
            }
            StickPath::Bank { partition, name } => {
                change_bank_file(session, &self.change, &self.stick, partition, name, None)
            }
        }
    }
}
