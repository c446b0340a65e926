//! What puts something right on a medium, in words and commands.

use crate::partition::TableKind;
use crate::stick::{Cure, Warning};

/// As the end of the sentence that says what is wrong; `STICK` stands for the medium.
pub fn end_in_words(cure: &Cure) -> String {
    match cure {
        Cure::UseBank(bank) => format!(": `bootbank bank use {bank} STICK` lets it boot"),
        Cure::Renumber(_) => ": their partitions were probably given other numbers".to_owned(),
        Cure::CopyBank { from, to } => format!(": `bootbank bank copy {from} {to} STICK`"),
        Cure::TakeFiles { from, to, names } => {
            let others = if names.len() == 1 {
                ""
            } else {
                "; the others likewise"
            };
            let first = names.first().map_or("", String::as_str);
            format!(
                ": `bootbank get STICK bank{from}:{first} FILE` and `bootbank put STICK FILE bank{to}:{first}` bring one file over{others}"
            )
        }
        Cure::MarkClean(bank) => format!(": `bootbank bank mark-clean {bank} STICK`"),
        Cure::Reclaim => "; the next change or `bootbank reclaim` frees them".to_owned(),
        Cure::GiveType { partition, kind } => {
            let command = type_command(*partition, *kind, "STICK");
            format!("; {command} gives it the type of a bank")
        }
        Cure::CopySystemPartition(partition) => format!(
            ". Copy partition {partition} of a medium of the same release over it, for example with dd"
        ),
    }
}

/// A warning with what puts it right; `STICK` stands for the medium.
pub fn warning_in_words(warning: &Warning) -> String {
    let end = warning.cure.as_ref().map(end_in_words);
    format!("{}{}", warning.message, end.unwrap_or_default())
}

/// The command that gives a partition of `medium` the type of a bank.
pub fn type_command(partition: u32, kind: TableKind, medium: &str) -> String {
    match kind {
        TableKind::Gpt => format!("`sgdisk -t {partition}:0700 {medium}`"),
        TableKind::Mbr => format!("`sfdisk --part-type {medium} {partition} 6`"),
    }
}

/// As the sentence after one that says that a medium does not boot; `target` is the medium as a shell takes it.
pub fn next_in_words(cure: Option<&Cure>, target: &str) -> String {
    match cure {
        Some(Cure::UseBank(partition)) => format!(
            "Next: `bootbank bank use {partition} {target}` boots bank {partition}, which is whole."
        ),
        Some(Cure::Renumber(partition)) => format!(
            "Bank {partition} is whole, and boots once its partition has a number that the loader looks at: \
             give it that on a copy of {target}, with `sgdisk --transpose` for a GPT. bootbank does not change partition tables."
        ),
        _ => format!("Next: `bootbank verify {target}` lists everything that is wrong."),
    }
}
