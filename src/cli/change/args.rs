//! How a change is made: what is typed, and what it means, checked once.

use crate::cli::process::{Needs, is_stream};
use crate::cli::report::Failure;
use crate::fat::Method;
use crate::host::Host;
use crate::medium::{Lba, directory_of};
use clap::Args;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::output::{self, Place};
use super::undo_store::{self, UndoPlace};

/// What every writing command understands.
#[derive(Debug, Args)]
pub struct ChangeArgs {
    /// Show what would change, and write nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Show the changes as a unified diff
    #[arg(long)]
    pub diff: bool,
    /// Write nothing, and exit with 1 if something would change
    #[arg(long)]
    pub check: bool,
    /// Write a changed copy, and leave the target alone. A FILE ending in .gz or .zst is compressed,
    /// DIR/ takes the copies of several targets, - is standard output. The target may be a
    /// packed image (.gz, .zst, .xz). The copy of a virtual disk is one too where FILE has the same
    /// extension (.qcow2, .vmdk, ...), else a raw image
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Overwrite an existing output file; change a virtual disk although it holds snapshots
    #[arg(long)]
    pub force: bool,
    /// Where to write the undo file (default: a new file in $XDG_STATE_HOME/bootbank/undo)
    #[arg(short = 'z', long, value_name = "FILE", conflicts_with = "no_undo")]
    pub undo_file: Option<PathBuf>,
    /// Write no undo file
    #[arg(long)]
    pub no_undo: bool,
    /// Write over the old file if a bank has no room for a second copy. A cut halfway leaves the
    /// host unbootable until `bootbank undo`
    #[arg(long)]
    pub in_place: bool,
    /// Put no new content into these sectors, which an earlier run could not write. The hint of that
    /// run names them: numbers, and ranges such as 8441-8470, with commas between
    #[arg(long, value_name = "SECTORS", value_delimiter = ',', value_parser = sectors)]
    pub avoid: Vec<Sectors>,
    /// Go ahead without asking
    #[arg(short, long)]
    pub yes: bool,
    /// Never ask, as if there were no terminal. What would be asked about is then refused without
    /// -y, except a change of an image file or virtual disk that is not made in place and costs the
    /// host nothing
    #[arg(long)]
    pub no_input: bool,
}

impl ChangeArgs {
    /// What a command has to get at that changes these targets, or copies of them.
    pub fn needs(&self, targets: &[PathBuf]) -> Needs {
        if self.dry_run || self.check {
            return Needs::to_read(targets);
        }
        if let Some(output) = &self.output {
            return needs_of_copies(targets, output, self.force);
        }
        let needs = Needs::to_replace(targets).even_with_snapshots(self.force);
        if self.no_undo {
            return needs;
        }
        match (&self.undo_file, undo_store::directory()) {
            (Some(file), _) => needs.keeping_in(directory_of(file), 0),
            (None, Ok(directory)) => needs.keeping_in(directory, undo_store::OWN_PARTS),
            (None, Err(_)) => needs,
        }
    }
}

/// Patched copies are made; where their directory is missing, that is made here, while it is
/// allowed.
fn needs_of_copies(targets: &[PathBuf], output: &Path, force: bool) -> Needs {
    let mut needs = Needs::to_read(targets);
    needs.copies = !is_stream(output);
    // What goes wrong here goes wrong again when the copies are made, and is said then.
    let paths: Vec<&Path> = targets.iter().map(PathBuf::as_path).collect();
    let fits = output::check_places(output, &paths, &Host::default());
    if fits.and_then(|()| output::make_directory(output)).is_err() {
        return needs;
    }
    for target in targets {
        let Ok(place) = Place::of(output, target) else {
            continue;
        };
        if let Place::File { path, .. } = &place {
            needs = needs.making(path, force, output::mode_for(target));
        }
        if output::needs_scratch(target, &place) {
            needs = needs.making_scratch_in(output::scratch_directory(&place));
        }
    }
    needs
}

/// Neighbouring sectors of a medium.
pub type Sectors = Range<Lba>;

/// `--avoid`: one number, or the first and the last of several.
fn sectors(text: &str) -> Result<Sectors, String> {
    let number = |text: &str| text.trim().parse().map(Lba);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (number(first), number(last)) {
        (Ok(first), Ok(last)) if first <= last => Ok(first..last.saturating_add(1)),
        _ => Err("a sector is a number, and several are FIRST-LAST".to_owned()),
    }
}

/// The same as `--avoid` takes it.
pub fn sectors_in_words(sectors: &[Sectors]) -> String {
    let words = sectors.iter().map(|range| match Lba::count(range) {
        1 => range.start.to_string(),
        count => format!("{}-{}", range.start, range.start.saturating_add(count - 1)),
    });
    words.collect::<Vec<_>>().join(",")
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

/// How a change is made, as it was meant.
#[derive(Clone, Debug)]
pub struct Way {
    /// What becomes of the plan.
    pub mode: Mode,
    /// Whether to show the change of the configuration.
    pub diff: bool,
    /// Where the undo file goes.
    pub undo: UndoPlace,
    /// Where new content may go.
    pub method: Method,
    /// Sectors that no new content goes into.
    pub avoid: Vec<Sectors>,
    /// Go ahead without asking.
    pub yes: bool,
    /// Never ask.
    pub no_input: bool,
}

impl Way {
    /// # Errors
    /// Options that contradict each other, or one place for the files of several targets.
    pub fn new(args: &ChangeArgs, targets: usize) -> Result<Self, Failure> {
        let mode = args.mode()?;
        if targets > 1 {
            args.check_for_several()?;
        }
        let method = if args.in_place {
            Method::InPlace
        } else {
            Method::SecondCopy
        };
        Ok(Way {
            mode,
            diff: args.diff,
            undo: args.undo_place()?,
            method,
            avoid: args.avoid.clone(),
            yes: args.yes,
            no_input: args.no_input,
        })
    }
}

impl ChangeArgs {
    fn mode(&self) -> Result<Mode, Failure> {
        match (self.dry_run, self.check, &self.output) {
            (true, true, _) => Err(Failure::usage(
                "--dry-run and --check cannot be used together",
            )),
            (true, false, _) => Ok(Mode::DryRun),
            (false, true, _) => Ok(Mode::Check),
            (false, false, None) => Ok(Mode::Commit),
            (false, false, Some(path)) => Ok(Mode::Output {
                path: path.clone(),
                force: self.force,
            }),
        }
    }

    /// That no option is about one medium alone.
    fn check_for_several(&self) -> Result<(), Failure> {
        if self.undo_file.is_some() {
            return Err(Failure::usage(
                "--undo-file names one file, but there are several targets; leave it out, and each gets its own",
            ));
        }
        if !self.avoid.is_empty() {
            return Err(Failure::usage(
                "--avoid names sectors of one medium, but there are several targets; change that medium by itself",
            ));
        }
        Ok(())
    }

    /// Where the undo file goes. With --dry-run or --check too: what is told is what would be done without them.
    fn undo_place(&self) -> Result<UndoPlace, Failure> {
        let on_a_copy = self.output.is_some();
        if on_a_copy && self.undo_file.is_some() {
            return Err(Failure::usage(
                "--undo-file is for a change of the target itself, and with --output that stays as it is; leave one of the two out",
            ));
        }
        if self.in_place && self.no_undo && !on_a_copy {
            return Err(Failure::refused(
                "--in-place cannot be used with --no-undo: until the change is done, only the undo file holds the old configuration",
            ));
        }
        match &self.undo_file {
            Some(file) if is_stream(file) => Err(Failure::usage(
                "the undo file cannot go to standard output: it must be on a disk before the first write",
            )
            .hint("name a file with -z FILE; ./- is one with that name")),
            Some(file) => Ok(UndoPlace::File(file.clone())),
            None if self.no_undo || on_a_copy => Ok(UndoPlace::None),
            None => Ok(UndoPlace::Default),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_are_told_as_they_are_typed() {
        let typed = ["7", "7-9", " 8 - 8 "];
        let ranges = typed.map(|text| sectors(text).unwrap());
        assert_eq!(sectors_in_words(&ranges), "7,7-9,8");
        assert!(ranges[1].contains(&Lba(9)) && !ranges[1].contains(&Lba(10)));
        for text in ["", "x", "9-7", "-", "1-2-3", "-1", "0x10"] {
            assert!(sectors(text).is_err(), "{text:?}");
        }
    }
}
