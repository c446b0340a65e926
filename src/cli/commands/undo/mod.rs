//! `bootbank undo`: put back, byte for byte, what a change replaced; and what undo files there are.

mod list;
mod prune;
mod put_back;

use crate::cli::change::{KeptUndo, kept_undos, newest_for, undo_directory};
use crate::cli::process::Needs;
use crate::cli::report::{Exit, Failure};
use crate::cli::session::{Run, Schema, Session};
use crate::medium::CachedReads;
use crate::target::Kind;
use clap::Args;
use std::path::{Path, PathBuf};

/// Put back what a change replaced, or look after the undo files
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank undo x.undo                       on the medium that was changed
  bootbank undo x.undo /dev/sdX              on this medium
  bootbank undo -n x.undo                    show what would be put back
  bootbank undo a.undo b.undo                both; of one medium, the newest change first
  bootbank undo --last                       the newest change of all
  bootbank undo --last /dev/sdX              the newest change of this medium
  bootbank undo --list                       which undo files there are, and what for
  bootbank undo --prune                      remove those that are not needed any more")]
pub struct UndoCommand {
    /// Undo files that changes wrote, and after them the medium, if it is not the one that is named
    /// in the undo file
    #[arg(value_name = "FILE|STICK", required_unless_present_any = ["list", "last", "prune"])]
    paths: Vec<PathBuf>,
    /// Show the undo files in the default directory, the newest first: when, which medium, whose, what
    /// was changed
    #[arg(long, conflicts_with_all = ["last", "prune", "paths", "force", "dry_run"])]
    list: bool,
    /// Use the newest undo file in the default directory: of all, or of the medium STICK
    #[arg(long, conflicts_with = "prune")]
    last: bool,
    /// Remove undo files from the default directory: those whose change has been undone on its medium,
    /// and old ones. The newest of each medium always stays. Asks first
    #[arg(long, conflicts_with_all = ["paths", "force"])]
    prune: bool,
    /// With --prune: how many days old a file must be to be removed although its change was not undone
    #[arg(long, value_name = "DAYS", default_value_t = prune::USUAL_AGE, requires = "prune")]
    #[arg(conflicts_with_all = ["paths", "last", "list"])]
    older_than: u32,
    /// Put the old sectors back, whatever was written to them since, and name what that damages. On a
    /// terminal, asks if the banks or the host are not those in the undo file
    #[arg(long)]
    force: bool,
    /// Show what would be put back or removed, and write nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Go ahead without asking
    #[arg(short, long)]
    yes: bool,
    /// Never ask, as if there were no terminal
    #[arg(long)]
    no_input: bool,
    /// The undo files that concern the run, known before the process confines itself.
    #[arg(skip)]
    files: Vec<KeptUndo>,
    /// Halves of undo files.
    #[arg(skip)]
    halves: Vec<PathBuf>,
}

impl UndoCommand {
    /// The paths as undo files and a medium: the last one is the medium, unless it begins as an undo
    /// file does.
    fn split(&self) -> Result<(&[PathBuf], Option<&Path>), Failure> {
        if self.last {
            return match self.paths.as_slice() {
                [] => Ok((&[], None)),
                [stick] => Ok((&[], Some(stick))),
                _ => Err(Failure::usage("--last takes one medium")),
            };
        }
        Ok(match self.paths.split_last() {
            Some((last, [])) => (std::slice::from_ref(last), None),
            Some((last, files)) if !put_back::begins_as_undo_file(last) => (files, Some(last)),
            _ => (self.paths.as_slice(), None),
        })
    }

    fn stick(&self) -> Option<&Path> {
        self.split().ok().and_then(|(_, stick)| stick)
    }

    /// Whether somebody can be asked, and is to be.
    fn may_ask(&self) -> bool {
        !self.yes && !self.no_input
    }
}

impl Run for UndoCommand {
    fn first_target(&self) -> Option<&Path> {
        self.stick()
    }

    fn prepare(&mut self) -> Result<(), Failure> {
        let (named, _) = self.split()?;
        self.files = if self.list || self.prune || self.last {
            kept_undos()?
        } else {
            for file in named {
                put_back::check_is_file(file)?;
            }
            let mut files: Vec<KeptUndo> = named.iter().cloned().map(KeptUndo::look_at).collect();
            // Where one of several is none, the others may be meant for another medium.
            let mut found = files.iter().map(|it| &it.found);
            if let (true, Some(Err(failure))) = (named.len() > 1, found.find(|it| it.is_err())) {
                return Err(failure.clone());
            }
            // A later change of a medium is undone before an earlier one.
            files.sort_by_key(|file| std::cmp::Reverse(file.time));
            files
        };
        if self.prune {
            self.halves = prune::halves()?;
        }
        if self.last && self.stick().is_none() {
            self.files.truncate(1);
        }
        Ok(())
    }

    fn needs(&self) -> Needs {
        let targets = self.files.iter().filter_map(KeptUndo::about);
        let targets = targets.filter_map(|about| about.target.clone());
        let directory = undo_directory().ok();
        let needs = match self.stick() {
            // The changes were made in spite of snapshots.
            Some(stick) => Needs::to_replace([stick]).even_with_snapshots(true),
            None if self.list => Needs::default(),
            None if self.prune => Needs::to_read(targets),
            None => Needs::to_replace(targets).even_with_snapshots(true),
        };
        match directory {
            Some(directory) if self.prune && !self.dry_run => needs.making_in(directory),
            _ => {
                let files = self.files.iter();
                files.fold(needs, |needs, file| needs.reading(&file.path))
            }
        }
    }

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        if self.list {
            return Ok(list::list(session, &self.files));
        }
        if self.prune {
            return prune::prune(session, self);
        }
        let stick = self.stick();
        if !self.last {
            return Ok(put_back::each(session, self, &self.files, stick));
        }
        let newest = match stick {
            None => self.files.first(),
            Some(stick) if Kind::of(stick, &session.host)? == Kind::State => {
                let path = std::path::absolute(stick).unwrap_or_else(|_| stick.to_owned());
                let is_it = |file: &&KeptUndo| {
                    let about = file.about();
                    about.is_some_and(|about| about.target.as_ref() == Some(&path))
                };
                self.files.iter().find(is_it)
            }
            Some(stick) => {
                let target = session.open_read(stick)?;
                let medium = CachedReads::new(&target);
                let opened = session.open_stick(&medium, target.logical_sector_size());
                newest_for(&self.files, &target, opened.ok().as_ref())
            }
        };
        let Some(newest) = newest else {
            return Err(none_kept(stick));
        };
        session.ui.lines(&list::in_words(newest));
        Ok(put_back::each(
            session,
            self,
            std::slice::from_ref(newest),
            stick,
        ))
    }

    fn schemas() -> Vec<Schema> {
        vec![Schema::of::<list::UndoFile>("undo-file")]
    }
}

/// There is no undo file to use.
fn none_kept(stick: Option<&Path>) -> Failure {
    let directory = match undo_directory() {
        Ok(directory) => directory.display().to_string(),
        Err(failure) => return failure,
    };
    let text = match stick {
        Some(stick) => format!("{directory} holds no undo file for {}", stick.display()),
        None => format!("{directory} holds no undo file"),
    };
    Failure::refused(text).hint("if the undo file is elsewhere, name it: bootbank undo FILE STICK")
}
