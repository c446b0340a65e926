//! `bootbank undo`: put back, byte for byte, what a change replaced; and what undo files there are.

mod file;
mod list;
mod prune;
mod put_back;
mod standing;
mod words;

use crate::cli::change::{
    KeptUndo, empty, kept_for, kept_for_state_file, kept_undos, undo_directory,
};
use crate::cli::process::Needs;
use crate::cli::report::{Exit, Failure};
use crate::cli::session::{Run, Schema, Session};
use crate::cli::terminal::{quoted_path, shown};
use crate::commit::{IfDifferent, TargetKey};
use crate::medium::CachedReads;
use crate::stick::Now;
use crate::target::Kind;
use clap::Args;
use standing::{fitting, next_to_undo};
use std::path::{Path, PathBuf};

/// Put back what a change replaced, or look after the undo files
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank undo x.undo                       on the medium that was changed
  bootbank undo x.undo /dev/sdX              on this medium
  bootbank undo -n x.undo                    show what would be put back
  bootbank undo a.undo b.undo                both; of one medium, the newest change first
  bootbank undo --last                       the newest change of the medium that was changed last
  bootbank undo --last /dev/sdX              the newest change of this medium
  bootbank undo --list                       which undo files there are, and what for
  bootbank undo --list /dev/sdX              those of this medium
  bootbank undo --prune                      remove those that are not needed any more

Asks only with --force or --prune. --last says which change of which medium it undoes, and passes over \
changes that are undone already: run again and again, it goes back change by change. Where one change took back \
another, and nothing tells which of them stands, it refuses and names the undo file.")]
pub struct UndoCommand {
    /// Undo files that changes wrote, and after them the medium, if it is not the one that is named
    /// in the undo file
    #[arg(value_name = "FILE|STICK")]
    paths: Vec<PathBuf>,
    /// Show the undo files in the default directory, or those of the medium STICK, the newest first:
    /// when, which medium, whose, what was changed
    #[arg(long, conflicts_with_all = ["last", "prune", "force", "dry_run"])]
    list: bool,
    /// Undo the newest change that is not undone yet, by the undo files in the default directory: of
    /// the medium STICK, or of the one that was changed last
    #[arg(long, conflicts_with = "prune")]
    last: bool,
    /// Remove undo files from the default directory: those whose change has been undone on its medium,
    /// and old ones. One of each medium always stays: the newest whose change is not undone, or else the
    /// oldest. Asks first
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
    /// What is done where a target does not hold what the change left.
    fn if_different(&self) -> IfDifferent {
        if self.force {
            IfDifferent::Overwrite
        } else {
            IfDifferent::Refuse
        }
    }

    /// The paths as undo files and a medium: the last one is the medium, unless it begins as an undo
    /// file does.
    fn split(&self) -> Result<(&[PathBuf], Option<&Path>), Failure> {
        if self.last || self.list || self.prune {
            return match self.paths.as_slice() {
                [] => Ok((&[], None)),
                [stick] => Ok((&[], Some(stick))),
                _ if self.last => Err(Failure::usage("--last takes one medium")),
                _ => Err(Failure::usage("--list takes one medium")),
            };
        }
        if self.paths.is_empty() {
            return Err(Failure::usage("undo takes an undo file, and none is named")
                .hint("`bootbank undo --last` undoes the newest change, and `bootbank undo --list` shows the undo files there are"));
        }
        Ok(match self.paths.split_last() {
            Some((last, [])) => (std::slice::from_ref(last), None),
            Some((last, files)) if !file::begins_as_undo_file(last) => (files, Some(last)),
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
                file::check_is_file(file)?;
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
            // The medium that was changed last, by the name it had then.
            let (newest, others) = self
                .files
                .split_first()
                .map_or((None, &[][..]), |(a, b)| (Some(a), b));
            let of_it = |it: &&KeptUndo| newest.is_some_and(|newest| it.is_of_same_target(newest));
            let others: Vec<KeptUndo> = others.iter().filter(of_it).cloned().collect();
            self.files.truncate(1);
            self.files.extend(others);
        }
        Ok(())
    }

    fn needs(&self) -> Needs {
        let files = match self.last {
            // Of one medium: its name may have been another at an earlier change.
            true => self.files.get(..1).unwrap_or_default(),
            false => self.files.as_slice(),
        };
        let targets = files.iter().filter_map(KeptUndo::about);
        let targets = targets.filter_map(|about| about.target.clone());
        let directory = undo_directory().ok();
        let needs = match self.stick() {
            Some(stick) if self.list => Needs::to_read([stick]),
            // The changes were made in spite of snapshots.
            Some(stick) => Needs::to_replace([stick]).even_with_snapshots(true),
            None if self.list => Needs::default(),
            None if self.prune => Needs::to_read(targets),
            None => Needs::to_replace(targets).even_with_snapshots(true),
        };
        match directory {
            Some(directory) if self.prune && !self.dry_run => needs.making_in(directory),
            // What is undone is noted there.
            Some(directory) if !self.list && !self.dry_run && directory.is_dir() => {
                let files = self.files.iter();
                let needs = files.fold(needs, |needs, file| needs.reading(&file.path));
                needs.making_in(directory)
            }
            _ => {
                let files = self.files.iter();
                files.fold(needs, |needs, file| needs.reading(&file.path))
            }
        }
    }

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        session.common.check_without_bank()?;
        if self.list {
            let files = match self.stick() {
                None => self.files.iter().collect(),
                Some(stick) => self.files_of(session, stick)?,
            };
            return Ok(list::list(session, &files, self.stick()));
        }
        if self.prune {
            return prune::prune(session, self);
        }
        if self.last {
            return self.undo_last(session);
        }
        let stick = self.stick();
        Ok(put_back::each(session, self, &self.files, stick))
    }

    fn schemas() -> Vec<Schema> {
        vec![Schema::of::<list::UndoFile>("undo-file")]
    }
}

impl UndoCommand {
    /// The undo files of a medium or a state file, the newest first.
    fn files_of(&self, session: &Session, stick: &Path) -> Result<Vec<&KeptUndo>, Failure> {
        let unopened = |error| put_back::unopened(error, true);
        if Kind::of(stick, &session.host).map_err(unopened)? == Kind::State {
            return Ok(kept_for_state_file(&self.files, stick));
        }
        let target = session.open_read(stick).map_err(unopened)?;
        let medium = CachedReads::new(&target);
        let opened = session.open_stick(&medium, target.logical_sector_size());
        Ok(kept_for(&self.files, &target, opened.ok().as_ref()))
    }

    /// The newest change of a target that is not undone yet; `None` where all are.
    fn next_of(&self, session: &Session, stick: &Path) -> Result<Option<&KeptUndo>, Failure> {
        let is_named = self.stick().is_some();
        let unopened = |error| put_back::unopened(error, is_named);
        let is_state = Kind::of(stick, &session.host).map_err(unopened)? == Kind::State;
        let of_it = if is_named {
            self.files_of(session, stick)?
        } else {
            self.files.iter().collect()
        };
        let next = if is_state {
            let file = session.read_state_file(stick)?;
            let key = TargetKey::of(stick, None);
            next_to_undo(session, &of_it, &Now::State(file.bytes()), (stick, &key))?
        } else {
            let target = session.open_read(stick).map_err(unopened)?;
            let newest = self.files.first().filter(|_| !is_named);
            if let Some(about) = newest.and_then(KeptUndo::about) {
                put_back::check_same_disk(about, stick, target.serial())?;
            }
            let medium = CachedReads::new(&target);
            let now = Now::Medium(&medium);
            let key = TargetKey::of(stick, target.serial());
            if !is_named || of_it.iter().any(|it| it.names(&target)) {
                next_to_undo(session, &of_it, &now, (stick, &key))?
            } else {
                next_of_unnamed(session, &of_it, &now, (stick, &key))?
            }
        };
        if of_it.is_empty() {
            return Err(none_kept(Some(stick)));
        }
        Ok(next)
    }

    /// Undoes the newest change of a medium that is not undone yet.
    fn undo_last(&self, session: &Session) -> Result<Exit, Failure> {
        let named = self.stick();
        let newest = self.files.first();
        let of_newest = || newest?.about()?.target.as_deref();
        let Some(stick) = named.or_else(of_newest) else {
            // What is wrong with an undo file that names no medium is said where it is read.
            return match newest {
                Some(_) => Ok(put_back::each(
                    session,
                    self,
                    self.files.get(..1).unwrap_or_default(),
                    None,
                )),
                None => Err(none_kept(None)),
            };
        };
        let Some(next) = self.next_of(session, stick)? else {
            let object = empty(stick);
            session.ui.text(&format!(
                "{}: no change is left to undo: every one that has an undo file is undone, or was noted as undone; `bootbank undo --list` shows the undo files\n",
                shown(&object.target)
            ));
            session.ui.json(&object);
            return Ok(Exit::Done);
        };
        session.ui.lines(&format!(
            "The newest change of {} that is not undone yet:\n{}",
            quoted_path(stick),
            list::in_words(next)
        ));
        Ok(put_back::each(
            session,
            self,
            std::slice::from_ref(next),
            Some(stick),
        ))
    }
}

/// The change to undo next on a medium that no undo file names: it may be another one's clone, so the
/// change is one that fits it.
fn next_of_unnamed<'k>(
    session: &Session,
    candidates: &[&'k KeptUndo],
    now: &Now<'_>,
    (stick, key): (&Path, &TargetKey),
) -> Result<Option<&'k KeptUndo>, Failure> {
    let of_it = fitting(session, candidates, now);
    let next = next_to_undo(session, &of_it, now, (stick, key))?;
    let fits = match next {
        Some(next) => !fitting(session, &[next], now).is_empty(),
        None => candidates.is_empty() || !of_it.is_empty(),
    };
    if fits {
        return Ok(next);
    }
    let name = quoted_path(stick);
    Err(Failure::refused(format!(
        "no undo file names {}, and what it holds fits none that may be for it; nothing was written",
        shown(&stick.display().to_string())
    ))
    .hint(format!(
        "`bootbank undo --list {name}` shows those of its size and banks, clones of it among them; name the one that was made on \
         it: bootbank undo FILE {name}"
    )))
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
