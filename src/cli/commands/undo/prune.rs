//! `bootbank undo --prune`: remove undo files that are not needed any more.
//!
//! Which ones: those whose change was undone, as the medium shows if it is there under the name in
//! the file; those older than a number of days; and halves that a cut left. One of each medium stays:
//! the newest that is not undone, or the oldest where all are. So does every one that is needed to tell
//! which change is the next to undo, and every one that cannot be read. Files
//! that may be of two media are kept as if they were.

use super::UndoCommand;
use super::list::{self, Outcome, WhyRemoved};
use super::standing;
use crate::cli::change::{KeptUndo, forget_undone, half_undos};
use crate::cli::report::{Exit, Failure};
use crate::cli::session::Session;
use crate::cli::terminal::{Ui, plural};
use crate::commit::Spare;
use crate::medium::CachedReads;
use crate::stick::Now;
use crate::target::Kind;
use jiff::{SignedDuration, Timestamp};
use std::fs;
use std::path::{Path, PathBuf};

/// Days after which an undo file is old, where nothing else is said.
pub const USUAL_AGE: u32 = 90;
/// How old the half of an undo file is before it is certain that nobody is writing it any more.
const HOURS_OF_A_HALF: i64 = 24;
const HOURS_A_DAY: i64 = 24;

/// Removes what is not needed any more, once that was confirmed.
///
/// # Errors
/// What cannot be asked, a directory that cannot be read.
pub fn prune(session: &Session, args: &UndoCommand) -> Result<Exit, Failure> {
    let ui = &session.ui;
    let old = ago(i64::from(args.older_than).saturating_mul(HOURS_A_DAY));
    let chosen = choose(session, &args.files, old);
    let halves = &args.halves;
    let count = chosen.len() + halves.len();
    if count == 0 {
        ui.say("no undo file to remove");
        return Ok(Exit::Done);
    }
    for (file, why) in &chosen {
        ui.text(&format!(
            "{}\n    {}\n",
            list::in_words(file),
            why.in_words()
        ));
    }
    for half in halves {
        let why = WhyRemoved::Half.in_words();
        ui.text(&format!("{}\n    {why}\n", half.display()));
    }
    if args.dry_run {
        for (file, why) in &chosen {
            ui.json(&object(file, *why, Outcome::WouldRemove));
        }
        for half in halves {
            ui.json(&of_half(half, Outcome::WouldRemove));
        }
        ui.say(&format!(
            "{count} file{} would be removed; nothing was removed",
            plural(count)
        ));
        return Ok(Exit::Done);
    }
    confirm(session, args, count)?;
    let mut exits = Vec::new();
    let whole = chosen.iter();
    let whole =
        whole.map(|(file, why)| (file.path.as_path(), object(file, *why, Outcome::Removed)));
    let halves = halves.iter();
    let halves = halves.map(|half| (half.as_path(), of_half(half, Outcome::Removed)));
    for (path, mut object) in whole.chain(halves) {
        if let Err(failure) = remove(path) {
            failure.say(ui, "");
            object.outcome = Some(Outcome::Failed);
            object.error = Some(failure.object());
            exits.push(failure.exit());
        }
        ui.json(&object);
    }
    let removed = count - exits.len();
    ui.say(&format!("{removed} file{} removed", plural(removed)));
    Ok(exits.first().copied().unwrap_or(Exit::Done))
}

/// The files to remove, and why.
fn choose<'k>(
    session: &Session,
    files: &'k [KeptUndo],
    old: Timestamp,
) -> Vec<(&'k KeptUndo, WhyRemoved)> {
    let mut media: Vec<Vec<&KeptUndo>> = Vec::new();
    for file in files.iter().filter(|file| file.found.is_ok()) {
        let of_it = |medium: &&mut Vec<&KeptUndo>| {
            let newest = medium.first();
            newest.is_some_and(|newest| newest.is_surely_of_same_target(file))
        };
        match media.iter_mut().find(of_it) {
            Some(medium) => medium.push(file),
            None => media.push(vec![file]),
        }
    }
    let mut chosen = Vec::new();
    for medium in media.iter().filter(|medium| medium.len() > 1) {
        let Spare { undone, needed } = look_at(session, medium);
        let stays = undone.min(medium.len() - 1);
        for (index, file) in medium.iter().copied().enumerate() {
            if index < stays {
                chosen.push((file, WhyRemoved::Undone));
            } else if index > stays.max(needed) && file.time.is_some_and(|time| time < old) {
                chosen.push((file, WhyRemoved::Old));
            }
        }
    }
    // As they are listed.
    chosen.sort_by_key(|(file, _)| files.iter().position(|it| it.path == file.path));
    chosen
}

/// Halves of undo files that nobody is writing any more.
///
/// # Errors
/// No place for undo files, or a directory that cannot be read.
pub fn halves() -> Result<Vec<PathBuf>, Failure> {
    half_undos(ago(HOURS_OF_A_HALF))
}

fn ago(hours: i64) -> Timestamp {
    let before = Timestamp::now().checked_sub(SignedDuration::from_hours(hours));
    before.unwrap_or(Timestamp::MIN)
}

fn object(file: &KeptUndo, why: WhyRemoved, outcome: Outcome) -> list::UndoFile {
    list::UndoFile {
        outcome: Some(outcome),
        why: Some(why),
        ..list::object(file)
    }
}

fn of_half(path: &Path, outcome: Outcome) -> list::UndoFile {
    list::UndoFile {
        outcome: Some(outcome),
        ..list::object_of_half(path)
    }
}

/// Which undo files of a medium are of use, where it is there under the name in one of them. Of a medium
/// that is not there nothing is known.
fn look_at(session: &Session, kept: &[&KeptUndo]) -> Spare {
    let mut names: Vec<&Path> = Vec::new();
    for file in kept {
        let Some(about) = file.about() else { continue };
        let Some(path) = about.target.as_deref().filter(|path| !names.contains(path)) else {
            continue;
        };
        names.push(path);
        if let Ok(Kind::State) = Kind::of(path, &session.host) {
            if let Ok(now) = session.read_state_file(path) {
                return standing::spare(session, kept, &Now::State(now.bytes()));
            }
        } else if let Ok(target) = session.open_read(path)
            && about.is_surely_of_disk(target.serial())
        {
            let medium = CachedReads::new(&target);
            return standing::spare(session, kept, &Now::Medium(&medium));
        }
    }
    Spare::default()
}

fn confirm(session: &Session, args: &UndoCommand, count: usize) -> Result<(), Failure> {
    if args.yes {
        return Ok(());
    }
    let interrupted = || session.interrupt.requested();
    let question = format!("Remove {count} file{}?", plural(count));
    let answer = if args.may_ask() && Ui::can_ask() {
        session.ui.ask(&question, &interrupted)
    } else {
        None
    };
    match answer {
        Some(true) => Ok(()),
        Some(false) => Err(Failure::refused("not confirmed; nothing was removed")),
        None => Err(Failure::usage(
            "bootbank cannot ask before removing undo files; nothing was removed",
        )
        .hint("-y goes ahead without asking, and -n shows what would be removed")),
    }
}

fn remove(path: &Path) -> Result<(), Failure> {
    fs::remove_file(path).map_err(|error| {
        Failure::io(format!("cannot remove {}: {error}", path.display())).path(path)
    })?;
    forget_undone(path);
    Ok(())
}
