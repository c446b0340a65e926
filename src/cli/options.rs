//! What was typed turned into what it means, checked once.

use super::args::{ChangeArgs, CommonArgs};
use super::report::Failure;
use crate::fat::Method;
use crate::stick::BankChoice;
use std::path::PathBuf;

/// The options every command shares.
#[derive(Clone, Debug)]
pub struct Common {
    /// Which banks.
    pub bank: BankChoice,
    /// Logical sector size of image files in bytes, where given.
    pub sector_size: Option<u32>,
    /// Limit for an unpacked archive in bytes.
    pub max_unpacked: u64,
    /// Targets treated at once.
    pub jobs: usize,
}

impl Common {
    /// # Errors
    /// A value that is none of those the option knows.
    pub fn new(args: &CommonArgs) -> Result<Self, Failure> {
        Ok(Common {
            bank: bank(&args.bank)?,
            sector_size: sector_size(args.sector_size)?,
            max_unpacked: size(&args.max_unpacked)?,
            jobs: usize::from(args.jobs),
        })
    }
}

fn bank(text: &str) -> Result<BankChoice, Failure> {
    match text {
        "all" => Ok(BankChoice::All),
        "next" => Ok(BankChoice::Next),
        number => number.parse().map(BankChoice::Partition).map_err(|_| {
            Failure::usage(format!(
                "--bank takes `all`, `next` or a partition number, not `{text}`"
            ))
        }),
    }
}

fn sector_size(given: Option<u32>) -> Result<Option<u32>, Failure> {
    match given {
        None | Some(512 | 4096) => Ok(given),
        Some(other) => Err(Failure::usage(format!(
            "--sector-size takes 512 or 4096, not {other}"
        ))),
    }
}

/// A number of bytes, with an optional K, M or G (powers of 1024).
fn size(text: &str) -> Result<u64, Failure> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'K' | 'k')) => (&text[..at], 1 << 10),
        Some((at, 'M' | 'm')) => (&text[..at], 1 << 20),
        Some((at, 'G' | 'g')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let bytes = digits.parse().ok().and_then(|n: u64| n.checked_mul(unit));
    bytes.filter(|&bytes| bytes > 0).ok_or_else(|| {
        Failure::usage(format!(
            "--max-unpacked takes a number of bytes, as 268435456 or 256M, not `{text}`"
        ))
    })
}

/// What becomes of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Print it.
    DryRun,
    /// Say whether there is anything to do.
    Check,
    /// Carry it out on a copy.
    Output {
        /// The copy, or the directory of copies.
        path: PathBuf,
        /// Replace what is there.
        force: bool,
    },
    /// Carry it out on the target.
    Commit,
}

/// Where the undo file goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UndoPlace {
    /// The directory for undo files, under a name of its own.
    Default,
    /// Here.
    File(PathBuf),
    /// Nowhere.
    None,
}

/// The options every writing command shares.
#[derive(Clone, Debug)]
pub struct Change {
    /// What becomes of the plan.
    pub mode: Mode,
    /// Whether to show the change of the configuration.
    pub diff: bool,
    /// Where the undo file goes.
    pub undo: UndoPlace,
    /// Where new content may go.
    pub method: Method,
    /// Go ahead without asking.
    pub yes: bool,
    /// Never ask.
    pub no_input: bool,
}

impl Change {
    /// # Errors
    /// Options that contradict each other, or one place for the files of several targets.
    pub fn new(args: &ChangeArgs, targets: usize) -> Result<Self, Failure> {
        let mode = match (args.dry_run, args.check, &args.output) {
            (true, true, _) => {
                return Err(Failure::usage("--dry-run and --check exclude each other"));
            }
            (true, false, _) => Mode::DryRun,
            (false, true, _) => Mode::Check,
            (false, false, None) => Mode::Commit,
            (false, false, Some(path)) => Mode::Output {
                path: path.clone(),
                force: args.force,
            },
        };
        if targets > 1 && args.undo_file.is_some() {
            return Err(Failure::usage(
                "--undo-file names one file and there are several targets; leave it out to have one made for each",
            ));
        }
        let on_a_copy = matches!(mode, Mode::Output { .. });
        if args.in_place && args.no_undo && !on_a_copy {
            return Err(Failure::refused(
                "--in-place does not go with --no-undo: until it is done, the undo file is all there is of the old configuration",
            ));
        }
        let undo = match &args.undo_file {
            Some(file) => UndoPlace::File(file.clone()),
            None if args.no_undo => UndoPlace::None,
            None => UndoPlace::Default,
        };
        Ok(Change {
            mode,
            diff: args.diff,
            undo,
            method: if args.in_place {
                Method::InPlace
            } else {
                Method::SecondCopy
            },
            yes: args.yes,
            no_input: args.no_input,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_a_unit() {
        for (text, expected) in [("1", 1), ("4K", 4096), ("256M", 256 << 20), ("2g", 2 << 30)] {
            assert_eq!(size(text).ok(), Some(expected), "{text}");
        }
        for text in [
            "",
            "M",
            "-1",
            "0",
            "1T",
            "99999999999999999999",
            "20000000000G",
            "1.5G",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn banks_are_all_next_or_a_number() {
        assert_eq!(bank("all").ok(), Some(BankChoice::All));
        assert_eq!(bank("next").ok(), Some(BankChoice::Next));
        assert_eq!(bank("6").ok(), Some(BankChoice::Partition(6)));
        assert!(bank("both").is_err());
    }
}
