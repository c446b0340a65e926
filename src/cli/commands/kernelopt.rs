//! `bootbank kernelopt`: the kernel options in `boot.cfg`. Works on sealed states as well:
//! `boot.cfg` is not part of them.

use crate::bank::{KERNELOPT, KerneloptEdit, KerneloptError};
use crate::cli::change::{ChangeArgs, Job};
use crate::cli::report::{Exit, Failure};
use crate::cli::session::{Answer, Run, Schema, Session, changes_one, command_list, looks_at_one};
use crate::cli::terminal::{quoted, shown};
use crate::edit::Edit;
use crate::secrets::Guarded;
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use std::path::PathBuf;

const SCHEMA: &str = "bootbank.kernelopt/1";

command_list! {
    /// Show and change the kernel options of the banks
    Kernelopt {
        "show" => Show(Show),
        "modify" => Modify(Modify),
    }
}

/// Show the kernel options of each bank
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank kernelopt show stick.img")]
pub struct Show {
    /// Image file or block device
    stick: PathBuf,
}

/// Change kernel options; those that are already as asked stay as they are
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank kernelopt modify stick.img -a allowLegacyCPU=true
  bootbank kernelopt modify stick.img -d runweasel -r systemMediaSize=max=systemMediaSize=min")]
pub struct Modify {
    /// Image file or block device
    stick: PathBuf,
    /// Add this option at the end, unless it is there already (repeatable)
    #[arg(short, long, value_name = "X")]
    append: Vec<String>,
    /// Delete this option (repeatable); NAME alone deletes it whatever its value
    #[arg(short = 'd', long, value_name = "NAME[=VALUE]")]
    delete: Vec<String>,
    /// Replace OLD with NEW (repeatable); OLD is the whole option: NAME alone is not NAME=1. If OLD holds an = itself, NEW
    /// must hold just as many
    #[arg(short, long, value_name = "OLD=NEW")]
    replace: Vec<String>,
    #[command(flatten)]
    change: ChangeArgs,
}

/// `bootbank kernelopt show`
#[derive(JsonSchema, Serialize)]
struct Options {
    schema: &'static str,
    target: String,
    banks: Vec<BankOptions>,
}

#[derive(JsonSchema, Serialize)]
struct BankOptions {
    partition: u32,
    boots_next: bool,
    kernelopt: Option<String>,
    options: Vec<String>,
}

impl Run for Show {
    looks_at_one!();

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        Ok(session.answer(&self.stick, SCHEMA, |opened, _| {
            let stick = opened.stick()?;
            let mut chosen = stick.chosen(session.common.bank)?;
            chosen.sort_by_key(|slot| slot.partition);
            let mut banks = Vec::new();
            for slot in chosen {
                let boot_cfg = slot.opened()?.boot_cfg();
                session.warn_of_hidden(slot.partition, boot_cfg, KERNELOPT);
                let kernelopt = boot_cfg.kernelopt.as_deref();
                let gate = session.ui.gate();
                let kernelopt =
                    kernelopt.map(|options| gate.text(&Guarded::of(options)).into_owned());
                let words = kernelopt.iter().flat_map(|text| text.split(' '));
                banks.push(BankOptions {
                    partition: slot.partition,
                    boots_next: stick.takes(slot),
                    options: words.map(str::to_owned).collect(),
                    kernelopt,
                });
            }
            let target = self.stick.display().to_string();
            let object = Options {
                schema: SCHEMA,
                target,
                banks,
            };
            let text = object.banks.iter().map(in_words).collect();
            Ok(Answer::new(text, object))
        }))
    }

    fn schemas() -> Vec<Schema> {
        vec![Schema::answer::<Options>("kernelopt")]
    }
}

impl Run for Modify {
    changes_one!();

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        Job::edit(session, &self.change, &self.stick, edits(self)?)
    }
}

fn in_words(bank: &BankOptions) -> String {
    let next = if bank.boots_next { " (boots next)" } else { "" };
    let options = bank.kernelopt.as_deref().map_or("(none)".to_owned(), shown);
    format!("bank on partition {}{next}: {options}\n", bank.partition)
}

/// Replacements first, then deletions, then what is appended: whatever the order of the
/// arguments, an option that is appended is there in the end.
fn edits(args: &Modify) -> Result<Vec<Edit>, Failure> {
    let mut edits = Vec::new();
    for text in &args.replace {
        let (old, new) = halves(text)?;
        edits.push(KerneloptEdit::Replace { old, new });
    }
    edits.extend(KerneloptEdit::to_result(&args.delete, &args.append));
    for edit in &edits {
        edit.check().map_err(refused)?;
    }
    if edits.is_empty() {
        return Err(Failure::usage(
            "there is nothing to do: name an option with -a, -d or -r",
        ));
    }
    Ok(edits.into_iter().map(Edit::Kernelopt).collect())
}

fn refused(error: KerneloptError) -> Failure {
    let failure = Failure::new(error.kind(), error.to_string());
    match error {
        KerneloptError::Setting { key, value } => failure.hint(format!(
            "bootbank bootcfg set STICK {key} {}",
            quoted(&value)
        )),
        _ => failure,
    }
}

/// Splits OLD=NEW at the middle one of its `=`: both halves have equally many.
fn halves(text: &str) -> Result<(String, String), Failure> {
    let places: Vec<usize> = text.match_indices('=').map(|(at, _)| at).collect();
    let middle = places.len() / 2;
    match (places.len() % 2, places.get(middle)) {
        (1, Some(&at)) => {
            let (old, new) = text.split_at(at);
            Ok((old.to_owned(), new.get(1..).unwrap_or_default().to_owned()))
        }
        _ => Err(Failure::usage(format!(
            "-r takes OLD=NEW with as many = in OLD as in NEW; `{text}` does not split that way"
        ))
        .hint("-d OLD -a NEW does the same, but puts NEW at the end")),
    }
}

#[cfg(test)]
mod tests {
    use super::halves;

    #[test]
    fn a_replacement_is_split_at_its_middle() {
        let cases = [
            ("a=b", Some(("a", "b"))),
            ("quiet=1=quiet=0", Some(("quiet=1", "quiet=0"))),
            ("a==b=c", Some(("a=", "b=c"))),
            ("a=b=c", None),
            ("a", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(old, new)| (old.to_owned(), new.to_owned()));
            assert_eq!(halves(text).ok(), expected, "{text}");
        }
    }
}
