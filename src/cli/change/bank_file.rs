//! One file of a bank, put in or taken out.

use super::{ChangeArgs, Job};
use crate::cli::report::{Exit, Failure};
use crate::cli::session::Session;
use crate::diagnosis::Work;
use crate::stick::{BankChoice, BankFile};
use std::path::PathBuf;

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
    Ok(job.run(Work::Files(vec![file])))
}
