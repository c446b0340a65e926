//! What puts something right on a medium, in words and commands.

use crate::cli::terminal::quoted_path;
use crate::partition::TableKind;
use crate::stick::{Cure, Warning};
use crate::target::Kind;
use std::path::Path;

/// What commands call a medium that are to put something right: its name where it is a disk or a plain image, else
/// `STICK`. A packed image has to be unpacked first, and not every program takes a virtual disk or an NBD export.
pub fn name_to_cure(path: &Path, kind: Option<Kind>) -> String {
    match kind {
        Some(Kind::Disk | Kind::Image) => quoted_path(path),
        _ => "STICK".to_owned(),
    }
}

/// As the end of the sentence that says what is wrong; `target` is the medium, as by [`name_to_cure`].
pub fn end_in_words(cure: &Cure, target: &str) -> String {
    match cure {
        Cure::UseBank(bank) => format!(": `bootbank bank use {bank} {target}` lets it boot"),
        Cure::Renumber(_) => ": their partitions were probably given other numbers".to_owned(),
        Cure::CopyBank { from, to } => format!(": `bootbank bank copy {from} {to} {target}`"),
        Cure::CopyState { from, to } => {
            format!(
                ": `bootbank state copy {from} {to} {target}` gives bank {to} the settings of bank {from}"
            )
        }
        Cure::TakeFiles { from, to, names } => {
            let others = if names.len() == 1 {
                ""
            } else {
                "; the others likewise"
            };
            let first = names.first().map_or("", String::as_str);
            format!(
                ": `bootbank get {target} bank{from}:{first} FILE` and `bootbank put {target} FILE bank{to}:{first}` bring one file over{others}"
            )
        }
        Cure::MarkClean(bank) => format!(": `bootbank bank mark-clean {bank} {target}`"),
        Cure::Reclaim => {
            format!("; the next change of this bank, or `bootbank reclaim {target}`, frees them")
        }
        Cure::GiveType { partitions, kind } => {
            let command = type_command(partitions, *kind, target);
            let it = if partitions.len() == 1 { "it" } else { "them" };
            format!(": {command} gives {it} the type of a bank")
        }
    }
}

/// A warning with what puts it right; `target` is as in [`end_in_words`].
pub fn warning_in_words(warning: &Warning, target: &str) -> String {
    let end = warning.cure.as_ref().map(|cure| end_in_words(cure, target));
    format!("{warning}{}", end.unwrap_or_default())
}

/// The command that gives partitions of `medium` the type of a bank.
pub fn type_command(partitions: &[u32], kind: TableKind, medium: &str) -> String {
    let each = partitions.iter();
    match kind {
        TableKind::Gpt => {
            let options: Vec<String> = each.map(|number| format!("-t {number}:0700")).collect();
            format!("`sgdisk {} {medium}`", options.join(" "))
        }
        TableKind::Mbr => {
            let commands = each.map(|number| format!("sfdisk --part-type {medium} {number} 6"));
            format!("`{}`", commands.collect::<Vec<_>>().join(" && "))
        }
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
