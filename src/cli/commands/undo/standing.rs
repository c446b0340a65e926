//! Which changes of a medium are undone, and which one is next.

use super::file;
use crate::cli::change::KeptUndo;
use crate::cli::report::Failure;
use crate::cli::session::Session;
use crate::cli::terminal::{quoted_path, shown};
use crate::commit::{self, AnyUndo, ChangeState, NextUndo, Spare, TargetKey};
use crate::stick::{Now, standing};
use std::path::Path;

/// The change to undo next, of those of one medium or state file, newest first. `stick` is what the target is
/// called, and its key.
///
/// # Errors
/// Which one that is cannot be told.
pub fn next_to_undo<'k>(
    session: &Session,
    kept: &[&'k KeptUndo],
    now: &Now<'_>,
    (stick, key): (&Path, &TargetKey),
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
                "which change of {} is the last that stands cannot be told: it looks the same whether the newest was undone or is the last \
                 that was made; nothing was written",
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

/// Those of `kept` that are for a target which none of them names ([`commit::fitting`]).
pub fn fitting<'k>(session: &Session, kept: &[&'k KeptUndo], now: &Now<'_>) -> Vec<&'k KeptUndo> {
    let known = kept.iter().filter_map(|file| Some((*file, file.about()?)));
    let (files, changes): (Vec<_>, Vec<_>) = known
        .map(|(file, about)| (file, (about, look(session, file, now).ok())))
        .unzip();
    let fitting = commit::fitting(&changes).into_iter();
    fitting
        .filter_map(|index| files.get(index).copied())
        .collect()
}

/// Which undo files are of use yet. What cannot be read is of use.
pub fn spare(session: &Session, kept: &[&KeptUndo], now: &Now<'_>) -> Spare {
    let looks = kept.iter().map(|file| look(session, file, now).ok());
    Spare::of(looks.collect())
}

/// How a target looks beside a change.
///
/// # Errors
/// The undo file cannot be read, or is not for such a target.
fn look(session: &Session, file: &KeptUndo, now: &Now<'_>) -> Result<ChangeState, Failure> {
    let bytes = file::read(&file.path)?;
    let undo = file::parse(&file.path, &bytes.into())?;
    standing(&undo, now, &session.settings(None)).ok_or_else(|| {
        let kind = match undo {
            AnyUndo::Medium(_) => "a medium",
            AnyUndo::File(_) => "a state file",
        };
        let path = file.path.display();
        Failure::refused(format!("{path} is for {kind}, and this is none"))
    })
}
