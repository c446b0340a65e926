//! `bootbank kernelopt`: the kernel options in `boot.cfg`. Works on sealed states as well:
//! `boot.cfg` is not part of them.

use super::args::KerneloptCommand;
use super::change::{Job, Work};
use super::exit::Exit;
use super::options::Change;
use super::report::Failure;
use super::session::Session;
use super::ui::shown;
use crate::bank::KerneloptEdit;
use crate::edit::Edit;
use schemars::JsonSchema;
use serde::Serialize;
use std::path::Path;

const SCHEMA: &str = "bootbank.kernelopt/1";

#[derive(JsonSchema, Serialize)]
pub struct Options {
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

/// # Errors
/// Arguments that cannot be meant; the rest is reported as of the target.
pub fn run(session: &Session, command: &KerneloptCommand) -> Result<Exit, Failure> {
    let (stick, edits, change) = match command {
        KerneloptCommand::Show { stick } => return Ok(show(session, stick)),
        KerneloptCommand::Modify {
            stick,
            append,
            delete,
            replace,
            change,
        } => (stick, edits(append, delete, replace)?, change),
    };
    let work = Work::edits(edits);
    let job = Job::new(session, Change::new(change, 1)?);
    Ok(job.run(std::slice::from_ref(stick), &work))
}

/// Replacements first, then deletions, then what is appended: whatever the order of the
/// arguments, an option that is appended is there in the end.
fn edits(append: &[String], delete: &[String], replace: &[String]) -> Result<Vec<Edit>, Failure> {
    let mut edits = Vec::new();
    for text in replace {
        let (old, new) = halves(text)?;
        edits.push(KerneloptEdit::Replace { old, new });
    }
    edits.extend(delete.iter().cloned().map(KerneloptEdit::Delete));
    edits.extend(append.iter().cloned().map(KerneloptEdit::Append));
    if edits.is_empty() {
        return Err(Failure::usage(
            "there is nothing to do: -a, -d or -r says what",
        ));
    }
    Ok(edits.into_iter().map(Edit::Kernelopt).collect())
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
            "-r takes OLD=NEW, with as many = in OLD as in NEW; `{text}` cannot be split so"
        ))
        .hint("-d OLD -a NEW does the same, but for the place")),
    }
}

fn show(session: &Session, stick: &Path) -> Exit {
    let target = stick.display().to_string();
    let found = session.look_into(stick, |opened, _| {
        let mut chosen = opened.chosen(session.common.bank)?;
        chosen.sort_by_key(|slot| slot.partition);
        let mut banks = Vec::new();
        for slot in chosen {
            let kernelopt = slot.opened()?.boot_cfg().kernelopt.clone();
            let words = kernelopt.iter().flat_map(|text| text.split(' '));
            banks.push(BankOptions {
                partition: slot.partition,
                boots_next: slot.verdict.boots_next,
                options: words.map(str::to_owned).collect(),
                kernelopt,
            });
        }
        Ok(Options {
            schema: SCHEMA,
            target: target.clone(),
            banks,
        })
    });
    match found {
        Ok(object) => {
            for bank in &object.banks {
                let next = if bank.boots_next { " (boots next)" } else { "" };
                let options = bank.kernelopt.as_deref().map_or("(none)".to_owned(), shown);
                let line = format!("bank on partition {}{next}: {options}\n", bank.partition);
                session.ui.text(&line);
            }
            session.ui.json(&object);
            Exit::Done
        }
        Err(failure) => {
            failure.show(&session.ui, SCHEMA, &target);
            failure.exit()
        }
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
