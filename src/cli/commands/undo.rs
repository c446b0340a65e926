//! `bootbank undo`: put back, byte for byte, what a change replaced.

use crate::cli::change::{
    ChangeObject, ChangedBank, LARGEST_UNDO_FILE, Outcome, empty, of_outlook, outcome_of, write,
};
use crate::cli::process::Needs;
use crate::cli::report::{Exit, Failure};
use crate::cli::session::{Run, Session};
use crate::cli::terminal::{plural, shown, size};
use crate::commit::{CommitError, Committed, Undo, WriteSet};
use crate::medium::{
    CachedReads, ClaimedTarget, MediumError, Meter, ReadAt, ReadOnlyReason, Target,
};
use crate::stick::{Error, WayBack, plan_undo};
use clap::Args;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Put back what a change replaced
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank undo x.undo                       on the medium that was changed
  bootbank undo x.undo /dev/sdX              on this medium
  bootbank undo -n x.undo                    show what would be put back")]
pub struct UndoCommand {
    /// The undo file that the change wrote
    file: PathBuf,
    /// The medium (default: the path in the undo file)
    stick: Option<PathBuf>,
    /// Put the old sectors back, whatever was written to them since
    #[arg(long)]
    force: bool,
    /// Show what would be put back, and write nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Changes nothing here: undo never asks
    #[arg(short, long)]
    yes: bool,
    /// The bytes of the undo file, read once.
    #[arg(skip)]
    bytes: Vec<u8>,
}

impl Run for UndoCommand {
    fn first_target(&self) -> Option<&Path> {
        self.stick.as_deref()
    }

    fn prepare(&mut self) -> Result<(), Failure> {
        self.bytes = read(&self.file)?;
        Ok(())
    }

    fn needs(&self) -> Needs {
        let named = || {
            let undo = Undo::from_bytes(&self.bytes).ok()?;
            undo.about.get("target").map(PathBuf::from)
        };
        Needs::to_write(self.stick.clone().or_else(named))
    }

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        let undo = Undo::from_bytes(&self.bytes)
            .map_err(|error| Error::from(error).in_file(self.file.display().to_string()))?;
        let path = match (&self.stick, undo.about.get("target")) {
            (Some(stick), _) => stick.clone(),
            (None, Some(target)) => PathBuf::from(target),
            (None, None) => {
                return Err(Failure::usage(
                    "the undo file names no medium; name it: bootbank undo FILE STICK",
                ));
            }
        };
        let mut object = empty(&path);
        let result = put_back(session, self, &undo, &path, &mut object);
        let exit = result.unwrap_or_else(|failure| {
            failure.say(&session.ui, &object.target);
            if object.outcome != Outcome::Partial {
                object.outcome = Outcome::Failed;
            }
            object.error = Some(failure.object());
            failure.exit()
        });
        session.ui.json(&object);
        Ok(exit)
    }
}

/// The bytes of an undo file.
///
/// # Errors
/// What is no file, or larger than any undo file; what the operating system reported.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| {
        let text = format!("cannot read {}: {error}", path.display());
        match error.kind() {
            std::io::ErrorKind::NotFound => Failure::usage(text),
            _ => Failure::io(text),
        }
    };
    // A device or a pipe has no length to ask for, and perhaps no end; opening one may wait.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Failure::usage(format!("{} is not a file", path.display())));
    }
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(LARGEST_UNDO_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > LARGEST_UNDO_FILE {
        return Err(Failure::refused(format!(
            "{} is larger than any undo file: more than {}",
            path.display(),
            size(LARGEST_UNDO_FILE)
        )));
    }
    Ok(bytes)
}

fn put_back(
    session: &Session,
    args: &UndoCommand,
    undo: &Undo,
    path: &Path,
    object: &mut ChangeObject,
) -> Result<Exit, Failure> {
    if args.dry_run {
        let target = Target::open_read(path, &session.host);
        let target = target.map_err(|error| unopened(error, args))?;
        let meter = Meter::new(&target);
        let way = way_back(session, args, undo, &target, &meter, object)?;
        if way.is_some() {
            let nothing = format!("{}: nothing was written", object.target);
            session.ui.say(&nothing);
        }
        object.bytes_read = meter.bytes_read();
        return Ok(Exit::Done);
    }
    let target = ClaimedTarget::open(path, &session.host);
    let target = target.map_err(|error| unopened(error, args))?;
    let meter = Meter::new(&target);
    let Some(way) = way_back(session, args, undo, &target, &meter, object)? else {
        object.bytes_read = meter.bytes_read();
        return Ok(Exit::Done);
    };
    let working = session.interrupt.working();
    session.interrupt.begin_writing();
    let result = write(
        session,
        &object.target,
        Some(target.kind()),
        &meter,
        &way.set,
    );
    match &result {
        Ok(_) => working.done(),
        Err(_) => drop(working),
    }
    object.bytes_read = meter.bytes_read();
    object.bytes_written = meter.bytes_written();
    let exit = conclude(session, result, object)?;
    if let Some(outlook) = &way.outlook {
        session.ui.say(&of_outlook(outlook, &object.target));
    }
    Ok(exit)
}

/// The sectors to be put back, told to who asked; `None` where there are none.
fn way_back(
    session: &Session,
    args: &UndoCommand,
    undo: &Undo,
    target: &Target,
    medium: &dyn ReadAt,
    object: &mut ChangeObject,
) -> Result<Option<WayBack>, Failure> {
    let ui = &session.ui;
    let medium = CachedReads::new(medium);
    check_sector_size(undo, target)?;
    let settings = session.settings(Some(undo.set.sector_size()));
    let way = plan_undo(&medium, undo, settings, args.force)?;
    let files_only = way.files_only.as_ref().map(|why| {
        format!(
            "{why}; so the replaced files get their old content back, and everything else stays as it is"
        )
    });
    let damage = way.damage.as_ref();
    let damage =
        damage.map(|damage| format!("{damage}; --force puts everything back all the same"));
    for text in files_only.into_iter().chain(damage) {
        ui.warn(&format!("{}: {}", object.target, shown(&text)));
        object.warnings.push(text);
    }
    if way.set.is_empty() {
        ui.text(&format!(
            "{}: already as it was before the change\n",
            shown(&object.target)
        ));
        return Ok(None);
    }
    describe(session, undo, &way.set, object);
    object.outcome = Outcome::WouldChange;
    Ok(Some(way))
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
            let error = match error {
                CommitError::Failed(failure) => CommitError::Failed(failure.seen_from_the_undone()),
                other => other,
            };
            Err(Failure::from(Error::from(error)).and_hint(again))
        }
    }
}

/// What to do about a medium that cannot be opened: an undo makes no copies.
fn unopened(error: MediumError, args: &UndoCommand) -> Failure {
    let hint = match &error {
        MediumError::NotFound { .. } if args.stick.is_none() => {
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

fn describe(session: &Session, undo: &Undo, set: &WriteSet, object: &mut ChangeObject) {
    let ui = &session.ui;
    let mut partitions: Vec<u32> = set.steps().iter().map(|step| step.partition).collect();
    partitions.sort_unstable();
    partitions.dedup();
    ui.text(&format!(
        "{}: {} to put back in {} step{}, on partition{} {}\n",
        shown(&object.target),
        size(set.bytes_to_write()),
        set.steps().len(),
        plural(set.steps().len()),
        plural(partitions.len()),
        crate::stick::numbers(partitions.iter().copied())
    ));
    for (name, value) in &undo.about {
        let (name, value) = (shown(name), shown(value));
        ui.detail(&format!("  {name}: {value}"));
    }
    object.banks = partitions
        .into_iter()
        .map(|partition| ChangedBank {
            partition,
            in_place: false,
            changes: Vec::new(),
        })
        .collect();
}
