//! One target on its way: opened, planned, shown, changed.

use super::args::{Mode, sectors_in_words};
use super::ask::which_in_words;
use super::keep::PlacedUndo;
use super::output::Place;
use super::{
    Asked, ChangeObject, Job, Outcome, Report, empty, keep, show, undo_place, undo_store, write,
};
use crate::cli::process::Working;
use crate::cli::report::{Exit, Failure};
use crate::cli::terminal::size;
use crate::commit::{self, CommitError, Committed};
use crate::edit::Context;
use crate::host::Disk;
use crate::medium::{CachedReads, Meter, ReadAt, Target, TargetKind, WriteAt};
use crate::stick::{Plan, Request, Stick};
use crate::target::Kind;
use std::cell::OnceCell;
use std::path::Path;

/// What is known of a medium besides its bytes.
#[derive(Clone, Copy, Default)]
pub(super) struct Origin<'t> {
    /// Its logical sector size in bytes, where that is known.
    pub(super) sector_size: Option<u32>,
    /// The disk that it is on or comes from.
    pub(super) disk: Option<&'t Disk>,
}

impl<'t> Origin<'t> {
    pub(super) fn of(target: &'t Target) -> Self {
        Origin {
            sector_size: target.logical_sector_size(),
            disk: target.device().and_then(|device| device.disk()),
        }
    }
}

/// What a command does to one target.
pub(super) struct One<'j> {
    pub(super) job: &'j Job<'j>,
    pub(super) asked: &'j Asked,
}

impl One<'_> {
    pub(super) fn treat(&self, target: &Path) -> Report {
        let mut object = empty(target);
        // What cannot be told is said by what opens it.
        object.kind = Kind::of(target, &self.job.session.host).ok();
        let is_state = object.kind == Some(Kind::State);
        let result = match &self.job.way.mode {
            Mode::Commit if is_state => self.change_state_file(target, &mut object),
            Mode::DryRun | Mode::Check if is_state => self.preview_state_file(target, &mut object),
            Mode::Output { path, force } => Place::of(path, target)
                .and_then(|place| self.copy(target, &place, *force, &mut object)),
            Mode::Commit => self.change_in_place(target, &mut object),
            Mode::DryRun | Mode::Check => self.preview(target, &mut object),
        };
        let result = result.and_then(|exit| match exit {
            Exit::Done if object.left > 0 => Err(show::left_over(&object)),
            exit => Ok(exit),
        });
        let exit = result.unwrap_or_else(|failure| {
            failure.say(&self.job.session.ui, &object.target);
            if failure.exit() == Exit::SomeFailed {
                // What could be done was.
                object.error = Some(failure.object());
                return failure.exit();
            }
            object.fail(&failure);
            failure.exit()
        });
        Report { exit, object }
    }

    /// Opens the stick on a medium, makes the plan for it, shows that, and hands both on. What is
    /// read and written meanwhile is counted.
    pub(super) fn planned<M: ReadAt, T>(
        &self,
        medium: &M,
        origin: Origin<'_>,
        object: &mut ChangeObject,
        then: impl FnOnce(&Meter<&M>, &Stick<'_, '_>, &Plan, &mut ChangeObject) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let meter = Meter::new(medium);
        let cached = CachedReads::new(&meter);
        let stick = self.job.session.open_stick(&cached, origin.sector_size)?;
        let stick = stick.avoiding(self.job.way.avoid.clone());
        let plan = self.plan(&stick, origin.disk)?;
        self.show(&plan, object)?;
        let result = then(&meter, &stick, &plan, object);
        object.bytes_read = meter.bytes_read();
        object.bytes_written = meter.bytes_written();
        result
    }

    /// `--dry-run` and `--check`: the medium is opened to be read, and unpacked where it is packed.
    fn preview(&self, path: &Path, object: &mut ChangeObject) -> Result<Exit, Failure> {
        let source = self.job.session.open_source(path)?;
        let origin = Origin {
            sector_size: source.logical_sector_size(),
            ..source.target().map(Origin::of).unwrap_or_default()
        };
        self.planned(&source, origin, object, |_, stick, plan, object| {
            // A change for which there can be no undo file is none that would be made.
            if let (Some(target), false) = (source.target(), plan.is_empty()) {
                self.undo_of(plan, stick, target)?;
            }
            Ok(self.previewed(plan, object))
        })
    }

    /// Says what would be written, and what that makes of the exit code.
    pub(super) fn previewed(&self, plan: &Plan, object: &mut ChangeObject) -> Exit {
        if plan.is_empty() {
            return Exit::Done;
        }
        object.outcome = Outcome::WouldChange;
        self.show_steps(plan);
        let ui = &self.job.session.ui;
        if ui.is_brief() && !self.job.way.diff {
            ui.text(&format!(
                "{}: would change, {}\n",
                object.target,
                show::extent(plan)
            ))
        } else {
            ui.say(&format!(
                "{}: nothing was written; the change would write {}",
                object.target,
                size(plan.bytes_to_write())
            ))
        }
        match self.job.way.mode {
            Mode::Check => Exit::Differs,
            _ => Exit::Done,
        }
    }

    /// The change itself, on the target.
    fn change_in_place(&self, path: &Path, object: &mut ChangeObject) -> Result<Exit, Failure> {
        let host = &self.job.session.host;
        let target = self.job.session.claim(path).map_err(|error| {
            let failure = Failure::from(error);
            undo_place::of_unclaimed(failure, &self.job.way.undo, path, host)
        })?;
        self.planned(
            &target,
            Origin::of(&target),
            object,
            |medium, stick, plan, object| {
                if plan.is_empty() {
                    return Ok(Exit::Done);
                }
                object.outcome = Outcome::WouldChange;
                let undo = self.undo_of(plan, stick, &target)?;
                let place = (target.path(), target.identity());
                let undo = self.place_undo(undo, plan, place, object)?;
                let kind = object.kind.unwrap_or(Kind::Image);
                let which = which_in_words(stick, &target);
                let confirmed = self.confirm((path, &which), kind, plan, undo.as_ref(), object);
                let working = self.begin(confirmed, undo.as_ref(), object)?;
                self.job.session.interrupt.begin_writing();
                let result = self.commit(medium, Some(target.kind()), plan, object);
                match &result {
                    Err(failure) if failure.exit() == Exit::Interrupted => drop(working),
                    _ => working.done(),
                }
                let exit = result?;
                self.conclude(plan, object);
                Ok(exit)
            },
        )
    }

    /// Between the question and the first write: a signal is only remembered from now on, and the undo
    /// file is on the disk.
    pub(super) fn begin(
        &self,
        confirmed: Result<(), Failure>,
        undo: Option<&PlacedUndo>,
        object: &mut ChangeObject,
    ) -> Result<Working, Failure> {
        let working = self.job.session.interrupt.working();
        if self.job.session.interrupt.requested() {
            object.outcome = Outcome::NotStarted;
            return Err(interrupted());
        }
        confirmed?;
        if let Some(undo) = undo {
            undo_store::write(&undo.path, &undo.file)?;
            object.undo = Some(undo.path.display().to_string());
            object.undo_path = Some(undo.path.clone());
        }
        Ok(working)
    }

    pub(super) fn commit(
        &self,
        medium: &dyn WriteAt,
        kind: Option<TargetKind>,
        plan: &Plan,
        object: &mut ChangeObject,
    ) -> Result<Exit, Failure> {
        match write(self.job.session, &object.target, kind, medium, &plan.set) {
            Ok(Committed { unfinished, .. }) => {
                object.outcome = Outcome::Changed;
                if let Some(failure) = unfinished {
                    let text = format!(
                        "the change was made, but not all old clusters could be freed: {failure}; `bootbank reclaim` frees them"
                    );
                    self.job.warn(object, text);
                }
                Ok(Exit::Done)
            }
            Err(error) => {
                object.outcome = outcome_of(&error);
                let worn = match &error {
                    CommitError::Failed(failure) if !failure.worn.is_empty() => {
                        let known = self.job.way.avoid.iter().chain(&failure.worn);
                        sectors_in_words(&known.cloned().collect::<Vec<_>>())
                    }
                    _ => String::new(),
                };
                let way_back = keep::way_back(&error, plan, object);
                let mut failure = Failure::from(crate::stick::Error::from(error));
                if let Some(way_back) = way_back {
                    failure = failure.and_hint(&way_back);
                }
                Err(if worn.is_empty() {
                    failure
                } else {
                    failure.and_hint(&format!(
                        "if it fails here again, add --avoid {worn}: the new content then goes elsewhere"
                    ))
                })
            }
        }
    }

    pub(super) fn plan(&self, stick: &Stick<'_, '_>, disk: Option<&Disk>) -> Result<Plan, Failure> {
        let request = Request {
            banks: self.job.banks,
            method: self.job.way.method,
            context: context(),
        };
        let known = OnceCell::new();
        // What the machine at hand is, is found out only where it matters.
        let situation = || known.get_or_init(|| self.job.session.situation_on(stick, disk));
        self.asked.work.plan(stick, request, &situation).map_err(|error| {
            let failed = error.partition();
            let other = failed.and_then(|failed| {
                self.asked.work.bank_without(failed, stick, request, &situation)
            });
            let failure = self.unplanned(error);
            match other {
                None => failure,
                // Changing the other bank does not help a host that boots this one.
                Some(other) if failed == stick.choice().bank() => failure.and_hint(&format!(
                    "bank {} is the one that boots next, so --bank {other} alone does not help the host",
                    failed.unwrap_or_default()
                )),
                Some(other) => failure.and_hint(&format!(
                    "--bank {other} limits the command to the bank on partition {other}"
                )),
            }
        })
    }

    /// Why there is no plan, with what to do about it that goes for every kind of target.
    pub(super) fn unplanned(&self, error: crate::stick::Error) -> Failure {
        let may_be_new = self.asked.work.may_mean_new(&error);
        let failure = Failure::from(error);
        if may_be_new {
            failure.and_hint("if the state does not name it yet, --new passes it through all the same (in a plan file: new = true)")
        } else {
            failure
        }
    }
}

/// What edits depend on besides the target.
pub(super) fn context() -> Context {
    Context {
        time: source_date_epoch(),
    }
}

pub(super) fn interrupted() -> Failure {
    Failure::refused("interrupted; nothing was written").exit_with(Exit::Interrupted)
}

/// Seconds since 1970 that stand for the present where a time has to be invented, as agreed
/// among reproducible builds; `None` where the environment does not say.
fn source_date_epoch() -> Option<u64> {
    std::env::var("SOURCE_DATE_EPOCH").ok()?.parse().ok()
}

/// Whether some banks are new and others old.
pub fn outcome_of(error: &CommitError) -> Outcome {
    let failure = match error {
        CommitError::Failed(failure) => failure,
        CommitError::ReplacedMeanwhile { .. } => return Outcome::Changed,
        _ => return Outcome::Failed,
    };
    let held: Vec<_> = failure.holds.iter().map(|(_, holds)| *holds).collect();
    if held.iter().all(|holds| *holds == commit::Holds::Old) {
        Outcome::Failed
    } else {
        Outcome::Partial
    }
}
