//! Putting back what one or several undo files hold.

use super::words::{already_so, describe, describe_about, other_in_words, warnings_of};
use super::{UndoCommand, file};
use crate::cli::change::{
    ChangeObject, KeptUndo, Outcome, empty, not_replaced, note_undone, of_outlook, outcome_of,
    write,
};
use crate::cli::report::{Exit, Failure, disk_in_words};
use crate::cli::session::Session;
use crate::cli::terminal::{quoted_path, shown, size};
use crate::commit::{self, About, AnyUndo, CommitError, Committed, FileUndo, TargetKey, Undo};
use crate::medium::{
    CachedReads, ClaimedTarget, MediumError, Meter, ReadAt, ReadOnlyReason, Target,
};
use crate::stick::{Error, UndoPlan, plan_undo};
use crate::target::Kind;
use std::path::{Path, PathBuf};

/// Carries out undo files one after the other: on `stick`, or each on the medium that it names. Once
/// one fails on a medium, those of earlier changes of it are not begun.
pub fn each(
    session: &Session,
    args: &UndoCommand,
    files: &[KeptUndo],
    stick: Option<&Path>,
) -> Exit {
    let mut exits = Vec::new();
    let mut failed: Vec<PathBuf> = Vec::new();
    for file in files {
        let named = file.about().and_then(|about| about.target.as_deref());
        let medium = stick.or(named).unwrap_or(Path::new(""));
        let mut object = empty(medium);
        object.undone = Some(file.path.display().to_string());
        let result = if failed.iter().any(|it| it == medium) {
            object.outcome = Outcome::NotStarted;
            Err(Failure::refused(format!(
                "{} was not used, because a later change could not be undone; nothing was written",
                file.path.display()
            )))
        } else if session.interrupt.requested() {
            object.outcome = Outcome::NotStarted;
            let text = format!("interrupted; {} was not used", file.path.display());
            Err(Failure::refused(text).exit_with(Exit::Interrupted))
        } else {
            one(session, args, &file.path, stick, &mut object)
        };
        let exit = result.unwrap_or_else(|failure| {
            failure.say(&session.ui, &object.target);
            object.fail(&failure);
            failed.push(medium.to_owned());
            failure.exit()
        });
        session.ui.json(&object);
        exits.push(exit);
    }
    Exit::of_all(&exits)
}

fn one(
    session: &Session,
    args: &UndoCommand,
    file: &Path,
    stick: Option<&Path>,
    object: &mut ChangeObject,
) -> Result<Exit, Failure> {
    let undo = file::open(session, file)?;
    let path = match (stick, undo.about().target.clone()) {
        (Some(stick), _) => stick.to_owned(),
        (None, Some(target)) => target,
        (None, None) => {
            return Err(Failure::usage(
                "the undo file names no medium; name it: bootbank undo FILE STICK",
            ));
        }
    };
    let (exit, key) = match &undo {
        AnyUndo::Medium(undo) => put_back(session, args, undo, &path, stick.is_some(), object),
        AnyUndo::File(undo) => {
            let exit = put_back_file(session, args, undo, &path, stick.is_some(), object)?;
            Ok((exit, TargetKey::of(&path, None)))
        }
    }?;
    if !args.dry_run && exit == Exit::Done {
        note(session, file, &key, object);
    }
    Ok(exit)
}

/// Notes that a change is undone: `undo --last` passes over it from now on.
fn note(session: &Session, file: &Path, key: &TargetKey, object: &mut ChangeObject) {
    if let Err(error) = note_undone(file, key) {
        let text = format!(
            "the change is undone, but it could not be noted beside {}: {error}; `bootbank undo --last` goes by what the medium holds",
            file.display()
        );
        session
            .ui
            .warn(&format!("{}: {}", object.target, shown(&text)));
        object.warnings.push(text);
    }
}

/// Puts the old content of a state file back.
fn put_back_file(
    session: &Session,
    args: &UndoCommand,
    undo: &FileUndo,
    path: &Path,
    is_named: bool,
    object: &mut ChangeObject,
) -> Result<Exit, Failure> {
    let kind = Kind::of(path, &session.host);
    if kind.map_err(|error| unopened(error, is_named))? != Kind::State {
        return Err(Failure::refused(format!(
            "{} is no state file, and this undo file is for one",
            path.display()
        )));
    }
    let file = if args.dry_run {
        session.read_state_file(path)?
    } else {
        session.claim_state_file(path)?
    };
    object.bytes_read = file.bytes().len() as u64;
    let old = undo
        .plan(file.bytes(), args.if_different())
        .map_err(Error::from)?;
    let Some(old) = old else {
        session.ui.text(&already_so(object));
        return Ok(Exit::Done);
    };
    let ui = &session.ui;
    ui.text(&format!(
        "{}: {} to put back, the whole file\n",
        shown(&object.target),
        size(old.len() as u64)
    ));
    describe_about(session, &undo.about);
    object.outcome = Outcome::WouldChange;
    if args.dry_run {
        ui.say(&format!("{}: nothing was written", object.target));
        return Ok(Exit::Done);
    }
    let working = session.interrupt.working();
    let new = session.outputs.take_like(path);
    let replaced = new.and_then(|new| commit::replace(&file, new, old));
    replaced.map_err(|error| {
        let old = "the file is as the change left it; run the same undo again";
        not_replaced(error, old, object)
    })?;
    working.done();
    object.outcome = Outcome::Changed;
    object.bytes_written = old.len() as u64;
    ui.say(&format!("{}: undone", object.target));
    Ok(Exit::Done)
}

/// Whether the disk that has a name now is the one that had it when it was changed. Whoever names the medium
/// means the one that is there.
pub fn check_same_disk(about: &About, path: &Path, found: Option<&str>) -> Result<(), Failure> {
    let Some(serial) = about
        .serial
        .as_ref()
        .filter(|_| about.is_of_other_disk(found))
    else {
        return Ok(());
    };
    let found = match found {
        Some(other) => format!("serial number {}", shown(other)),
        None => "no serial number".to_owned(),
    };
    Err(Failure::refused(format!(
        "{} is another medium than the one that was changed: it has {found}, and that has serial number {}; nothing was written",
        path.display(),
        shown(serial)
    ))
    .hint("if that one has another name now, name it: bootbank undo --last STICK, or bootbank undo FILE STICK"))
}

fn check_named(undo: &Undo, target: &Target, is_named: bool) -> Result<(), Failure> {
    if is_named {
        Ok(())
    } else {
        check_same_disk(&undo.about, target.path(), target.serial())
    }
}

/// Puts back what is there no more, or with `-n` shows it. Returns by what the target is known again.
fn put_back(
    session: &Session,
    args: &UndoCommand,
    undo: &Undo,
    path: &Path,
    is_named: bool,
    object: &mut ChangeObject,
) -> Result<(Exit, TargetKey), Failure> {
    let unopened = |error| unopened(error, is_named);
    if args.dry_run {
        let target = session.open_read(path).map_err(unopened)?;
        check_named(undo, &target, is_named)?;
        let meter = Meter::new(&target);
        if planned(session, args, undo, &target, &meter, object)?.is_some() {
            let nothing = format!("{}: nothing was written", object.target);
            session.ui.say(&nothing);
        }
        object.bytes_read = meter.bytes_read();
        return Ok((Exit::Done, TargetKey::of(path, target.serial())));
    }
    let target = session.claim(path).map_err(unopened)?;
    check_named(undo, &target, is_named)?;
    let meter = Meter::new(&target);
    let plan = planned(session, args, undo, &target, &meter, object)?;
    object.bytes_read = meter.bytes_read();
    let exit = match plan {
        None => Exit::Done,
        Some(plan) => {
            confirm_other(session, args, &target, &plan, object)?;
            let exit = carry_out(session, &plan, &target, &meter, object)?;
            let next = match &plan.outlook {
                Some(outlook) => of_outlook(outlook, path),
                None => format!(
                    "This may have damaged the medium. Next: `bootbank verify {}` says what is wrong.",
                    quoted_path(path)
                ),
            };
            session.ui.say(&next);
            exit
        }
    };
    Ok((exit, TargetKey::of(path, target.serial())))
}

/// Writes the old sectors. From the first write on a signal is remembered and no more.
fn carry_out(
    session: &Session,
    plan: &UndoPlan,
    target: &Target,
    meter: &Meter<&ClaimedTarget>,
    object: &mut ChangeObject,
) -> Result<Exit, Failure> {
    let working = session.interrupt.working();
    session.interrupt.begin_writing();
    let kind = Some(target.kind());
    let result = write(session, &object.target, kind, meter, &plan.set);
    match &result {
        Err(CommitError::Interrupted { .. }) => drop(working),
        _ => working.done(),
    }
    object.bytes_read = meter.bytes_read();
    object.bytes_written = meter.bytes_written();
    conclude(session, result, object)
}

/// The sectors to be put back, told to who asked; `None` where there are none.
fn planned(
    session: &Session,
    args: &UndoCommand,
    undo: &Undo,
    target: &Target,
    medium: &dyn ReadAt,
    object: &mut ChangeObject,
) -> Result<Option<UndoPlan>, Failure> {
    let ui = &session.ui;
    let medium = CachedReads::new(medium);
    check_sector_size(undo, target)?;
    let settings = session.settings(Some(undo.set.sector_size()));
    let plan = plan_undo(&medium, undo, &settings, args.if_different())?;
    if plan.set.is_empty() {
        ui.text(&already_so(object));
        return Ok(None);
    }
    for text in warnings_of(&plan) {
        ui.warn(&format!("{}: {}", object.target, shown(&text)));
        object.warnings.push(text);
    }
    describe(session, undo, &plan, object);
    object.outcome = Outcome::WouldChange;
    Ok(Some(plan))
}

fn conclude(
    session: &Session,
    result: Result<Committed, CommitError>,
    object: &mut ChangeObject,
) -> Result<Exit, Failure> {
    let again = "run the same undo again: it continues from where it was cut";
    match result {
        Ok(done) => match done.unfinished {
            None => {
                object.outcome = Outcome::Changed;
                session.ui.say(&format!("{}: undone", object.target));
                Ok(Exit::Done)
            }
            Some(failure) => {
                object.outcome = Outcome::Partial;
                let failure = failure.seen_from_the_undone();
                let text =
                    format!("the old configuration is back, but not every byte is: {failure}");
                Err(Failure::io(text).hint(again))
            }
        },
        Err(error) => {
            object.outcome = outcome_of(&error);
            let is_interrupted = matches!(error, CommitError::Interrupted { .. });
            let failure = Failure::from(Error::from(error.seen_from_the_undone()));
            // What is to be done after a change that was interrupted is of no use after an undo.
            Err(if is_interrupted {
                failure.hint(again)
            } else {
                failure.and_hint(again)
            })
        }
    }
}

/// What to do about a medium that cannot be opened: an undo makes no copies.
pub fn unopened(error: MediumError, is_named: bool) -> Failure {
    let hint = match &error {
        MediumError::NotFound { .. } if !is_named => {
            "the medium had this name when it was changed; if it has another name now: bootbank undo FILE STICK"
        }
        MediumError::ReadOnly { why, .. } => match why {
            ReadOnlyReason::NoWritePermission => "chmod u+w makes it writable",
            ReadOnlyReason::Device => "look for a write-protect switch",
            _ => "undo writes to the medium itself; make a writable copy, and undo that",
        },
        _ => return error.into(),
    };
    Failure::from(error).hint(hint)
}

/// Sectors of another size than the device's are none of its.
fn check_sector_size(undo: &Undo, target: &Target) -> Result<(), Failure> {
    let sector_size = undo.set.sector_size();
    match target.logical_sector_size() {
        Some(actual) if actual != sector_size => Err(Failure::refused(format!(
            "the undo file is for sectors of {sector_size} bytes, but this device has sectors of {actual} bytes"
        ))),
        _ => Ok(()),
    }
}

/// Asks before sectors are put back by force on a medium that is not the one in the undo file.
fn confirm_other(
    session: &Session,
    args: &UndoCommand,
    target: &Target,
    plan: &UndoPlan,
    object: &mut ChangeObject,
) -> Result<(), Failure> {
    if plan.other_medium.is_empty() {
        return Ok(());
    }
    let other: Vec<String> = plan.other_medium.iter().map(other_in_words).collect();
    let text = format!(
        "this is another medium than that of the undo file: {}",
        other.join("; ")
    );
    let disk = target.device().and_then(|device| device.disk());
    let which = disk.map_or_else(|| size(target.size()), disk_in_words);
    let is_interrupted = || session.interrupt.requested();
    let answer = if args.may_ask() {
        session.ui.ask(
            &format!(
                "{}: {text}\nPut the old sectors back on {} ({which}) all the same?",
                object.target, object.target
            ),
            &is_interrupted,
        )
    } else {
        None
    };
    match answer {
        Some(false) => Err(Failure::refused(format!(
            "{text}; not confirmed, so nothing was written"
        ))),
        // A signal takes the place of an answer.
        None if is_interrupted() => {
            Err(Failure::refused("interrupted; nothing was written").exit_with(Exit::Interrupted))
        }
        Some(true) => Ok(()),
        None => {
            session.ui.warn(&format!("{}: {text}", object.target));
            object.warnings.push(text);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of disks are given anew at every start; a serial number stays with the disk.
    #[test]
    fn a_disk_that_has_the_name_of_another_is_not_taken_for_it() {
        let serial = |serial: Option<&str>| About {
            serial: serial.map(str::to_owned),
            ..About::default()
        };
        let check = |about: Option<&str>, found| {
            check_same_disk(&serial(about), Path::new("/dev/sdb"), found)
        };
        check(Some("4C53"), Some("4C53")).unwrap();
        // What tells nothing of a disk was made for a file, or for a disk without a number.
        check(None, Some("4C53")).unwrap();
        for (found, says) in [
            (
                Some("9A01"),
                "it has serial number 9A01, and that has serial number 4C53",
            ),
            (None, "it has no serial number, and that has"),
        ] {
            let failure = check(Some("4C53"), found).unwrap_err();
            let text = format!("{failure:?}");
            assert!(text.contains(says), "{text}");
        }
    }
}
