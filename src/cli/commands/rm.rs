//! `bootbank rm`: remove one file from the configuration, or from a bank.

use crate::cli::change::{ChangeArgs, Job, Work};
use crate::cli::report::{Exit, Failure};
use crate::cli::session::{Run, Session, changes_one};
use crate::edit::{Edit, FileEdit};
use crate::stick::{BankChoice, BankFile, Path as StickPath};
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

/// Gives a file of one bank this content, or removes it: of the bank that boots next where neither
/// the path nor `--bank` names another.
///
/// # Errors
/// Options that contradict each other.
pub fn change_bank_file(
    session: &Session,
    change: &ChangeArgs,
    stick: &PathBuf,
    partition: Option<u32>,
    name: String,
    content: Option<Vec<u8>>,
) -> Result<Exit, Failure> {
    let banks = match (partition, session.common.bank) {
        (Some(number), given)
            if ![BankChoice::All, BankChoice::Partition(number)].contains(&given) =>
        {
            return Err(Failure::usage(format!(
                "the path names bank {number}, and --bank another one"
            ))
            .hint("leave --bank out"));
        }
        (Some(number), _) => BankChoice::Partition(number),
        (None, BankChoice::All) => BankChoice::Next,
        (None, given) => given,
    };
    let file = BankFile {
        partition: None,
        name,
        content,
    };
    let job = Job::new(session, change, std::slice::from_ref(stick))?.on_banks(banks);
    Ok(job.run(&Work::Files(vec![file])))
}
