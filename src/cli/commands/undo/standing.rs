//! Which changes of a medium are undone, and which one is next.

use super::file;
use crate::cli::change::KeptUndo;
use crate::cli::report::Failure;
use crate::cli::session::Session;
use crate::cli::terminal::{quoted_path, shown};
use crate::commit::{self, AnyUndo, ChangeState, IfDifferent, NextUndo};
use crate::medium::ReadAt;
use crate::stick::standing;
use std::path::Path;

/// What a change is to be undone on.
pub enum Now<'n> {
    /// A medium.
    Medium(&'n dyn ReadAt),
    /// The bytes of a state file.
    State(&'n [u8]),
}

/// The change to undo next, of those of one medium or state file, newest first. `stick` is what the target is
/// called, and its [key](crate::cli::change::target_key).
///
/// # Errors
/// Which one that is cannot be told.
pub fn next_to_undo<'k>(
    session: &Session,
    kept: &[&'k KeptUndo],
    now: &Now<'_>,
    (stick, key): (&Path, &str),
) -> Result<Option<&'k KeptUndo>, Failure> {
    let looks: Vec<Result<ChangeState, Failure>> =
        kept.iter().map(|file| look(session, file, now)).collect();
    let with_note = |(file, look): (&&KeptUndo, &Result<ChangeState, Failure>)| ChangeState {
        made: file.written,
        undone: file.undone_on(key),
        ..look.clone().unwrap_or_default()
    };
    let changes: Vec<ChangeState> = kept.iter().zip(&looks).map(with_note).collect();
    match commit::next_to_undo(&changes) {
        NextUndo::None => Ok(None),
        NextUndo::Change(index) => match looks.get(index) {
            Some(Err(failure)) => Err(unreadable(
                failure.clone(),
                older(kept, &looks, index),
                stick,
            )),
            _ => Ok(kept.get(index).copied()),
        },
        NextUndo::Mixed(index) => {
            let file = kept
                .get(index)
                .map_or(String::new(), |it| quoted_path(&it.path));
            Err(Failure::refused(format!(
                "{} holds parts of before and of after its newest change that has an undo file, as no cut leaves them on \
                 a medium that keeps what it has reported as written: perhaps other changes were made or undone whose undo files are not there; \
                 nothing was written",
                shown(&stick.display().to_string())
            ))
            .hint(format!(
                "`bootbank undo -n {file} {}` shows what would be put back",
                quoted_path(stick)
            )))
        }
        NextUndo::Unclear(index) => {
            let name = quoted_path(stick);
            let file = kept
                .get(index)
                .map_or(String::new(), |it| quoted_path(&it.path));
            Err(Failure::refused(format!(
                "which change of {} is the last that stands cannot be told, because one took back what another had made; \
                 nothing was written",
                shown(&stick.display().to_string())
            ))
            .hint(format!(
                "`bootbank undo {file} {name}` undoes the one it may be; `bootbank undo --list {name}` shows them all"
            )))
        }
    }
}

/// The change to undo next of those older than the one of an index, if that one is undone already.
fn older<'k>(
    kept: &[&'k KeptUndo],
    looks: &[Result<ChangeState, Failure>],
    index: usize,
) -> Option<&'k KeptUndo> {
    let older = kept.iter().zip(looks).skip(index + 1);
    let readable = older.filter_map(|(file, look)| Some((*file, look.clone().ok()?)));
    let (files, changes): (Vec<&KeptUndo>, Vec<ChangeState>) = readable.unzip();
    match commit::next_to_undo(&changes) {
        NextUndo::None => None,
        NextUndo::Change(index) | NextUndo::Unclear(index) | NextUndo::Mixed(index) => {
            files.get(index).copied()
        }
    }
}

/// An undo file that may be the one to use cannot be read.
fn unreadable(failure: Failure, older: Option<&KeptUndo>, stick: &Path) -> Failure {
    let told =
        "nothing was written, for whether the change of this undo file stands cannot be told";
    failure.hint(match older {
        Some(older) => format!(
            "{told}; if it is undone already, `bootbank undo {} {}` undoes the one before it",
            quoted_path(&older.path),
            quoted_path(stick)
        ),
        None => format!("{told}; no older change is left to undo"),
    })
}

/// How well a change fits a medium, the better the greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// It is neither there nor undone.
    None,
    /// By its files it may be.
    Files,
    /// It is undone in every sector, as also on a medium that it was never made on.
    Undone,
    /// It is there in every sector.
    There,
}

impl Fit {
    fn of(look: &ChangeState) -> Self {
        match look {
            look if look.is_there => Fit::There,
            look if look.is_undone_exactly => Fit::Undone,
            look if look.is_undone || look.may_be_there => Fit::Files,
            _ => Fit::None,
        }
    }
}

/// Those of `kept` that are for a target which none of them names: all that were made under the names of
/// which a change fits it best. Clones share everything else.
pub fn fitting<'k>(session: &Session, kept: &[&'k KeptUndo], now: &Now<'_>) -> Vec<&'k KeptUndo> {
    let fit = |file: &KeptUndo| look(session, file, now).map_or(Fit::None, |it| Fit::of(&it));
    let fits: Vec<(&KeptUndo, Fit)> = kept.iter().map(|file| (*file, fit(file))).collect();
    let best = fits.iter().map(|(_, fit)| *fit).max();
    let Some(best) = best.filter(|best| *best > Fit::None) else {
        return Vec::new();
    };
    let best: Vec<&KeptUndo> = fits
        .iter()
        .filter(|(_, fit)| *fit == best)
        .map(|(file, _)| *file)
        .collect();
    let is_one = |file: &&KeptUndo| {
        let mut best = best.iter();
        best.any(|it| it.path == file.path || it.is_of_same_medium(file))
    };
    kept.iter().copied().filter(is_one).collect()
}

/// The changes of one medium or state file, the newest first, as `--prune` looks at them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spare {
    /// How many of the newest are undone together, in every byte.
    pub undone: usize,
    /// How many of the newest are needed to tell which one is to be undone next.
    pub needed: usize,
}

/// Which undo files are of use yet. What cannot be read is of use.
pub fn spare(session: &Session, kept: &[&KeptUndo], now: &Now<'_>) -> Spare {
    let looks: Vec<Option<ChangeState>> = kept
        .iter()
        .map(|file| look(session, file, now).ok())
        .collect();
    let readable: Vec<ChangeState> = looks.iter().cloned().map_while(|it| it).collect();
    let all: Vec<ChangeState> = looks.into_iter().map(Option::unwrap_or_default).collect();
    Spare {
        undone: commit::undone_together(&readable),
        needed: match commit::next_to_undo(&all) {
            NextUndo::Change(index) => index,
            NextUndo::None | NextUndo::Unclear(_) | NextUndo::Mixed(_) => all.len(),
        },
    }
}

/// How a target looks beside a change.
///
/// # Errors
/// The undo file cannot be read, or is not for such a target.
fn look(session: &Session, file: &KeptUndo, now: &Now<'_>) -> Result<ChangeState, Failure> {
    let bytes = file::read(&file.path)?;
    match (file::parse(&file.path, &bytes.into())?, now) {
        (AnyUndo::Medium(undo), Now::Medium(medium)) => {
            let settings = session.settings(Some(undo.set.sector_size()));
            Ok(standing(*medium, &undo, &settings))
        }
        (AnyUndo::File(undo), Now::State(now)) => {
            let is_undone = undo
                .plan(now, IfDifferent::Refuse)
                .is_ok_and(|old| old.is_none());
            let is_there = commit::digest(now) == undo.new;
            Ok(ChangeState {
                is_undone,
                is_undone_exactly: is_undone,
                is_there,
                may_be_there: is_there,
                is_mixed: false,
                trace: undo.trace(now),
                ..ChangeState::default()
            })
        }
        (AnyUndo::Medium(_), Now::State(_)) => Err(of_another_kind(file, "a medium")),
        (AnyUndo::File(_), Now::Medium(_)) => Err(of_another_kind(file, "a state file")),
    }
}

fn of_another_kind(file: &KeptUndo, kind: &str) -> Failure {
    let path = file.path.display();
    Failure::refused(format!("{path} is for {kind}, and this is none"))
}
