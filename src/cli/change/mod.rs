//! The way every writing command goes: plan, show, ask, keep the way back, commit.
//!
//! `show.rs` is what a person sees of it, `keep.rs` the undo file, `copy.rs` the way of
//! `--output`. Several targets go this way beside each other and know nothing of one another.

mod args;
mod ask;
mod closing;
mod copy;
mod keep;
mod object;
mod output;
mod show;
mod undo_place;
mod undo_store;

pub use args::ChangeArgs;
pub use closing::{Closing, next_boot, of_outlook};
pub use object::{Change as ChangeObject, ChangedBank, Outcome, SCHEMA};
pub use undo_store::LARGEST as LARGEST_UNDO_FILE;

use crate::cli::report::{ERROR, Exit, Failure};
use crate::cli::session::{Session, distinct, for_each};
use crate::cli::terminal::{shown, size};
use crate::commit::{self, CommitError, Committed};
use crate::edit::plan_file::Expect;
use crate::edit::{Context, Devices, Edit, EditError, OwnerEdit, SelectError, Unmatched};
use crate::medium::{CachedReads, ClaimedTarget, Meter, ReadAt, Target, WriteAt};
use crate::ownership::Owner;
use crate::stick::{BankChoice, BankFile, Cause, Plan, Request, Stick};
use args::{Mode, Way};
use output::Place;
use std::path::{Path, PathBuf};

/// The program and its version, as undo files name it.
const PROGRAM: &str = concat!("bootbank ", env!("CARGO_PKG_VERSION"));

/// What is to be done to a target.
pub enum Work {
    /// Change the configuration, where what is expected of it is so.
    Edits {
        /// What must be so before anything is changed.
        expect: Expect,
        /// What to change.
        edits: Vec<Edit>,
    },
    /// Put this `state.tgz` in place of the banks' own.
    Import(Vec<u8>),
    /// Give files of the banks themselves this content.
    Files(Vec<BankFile>),
    /// Let this bank boot next.
    UseBank {
        /// Number of its partition.
        partition: u32,
        /// Even if the host would not start from it.
        even_if_broken: bool,
    },
    /// Make one bank a copy of another.
    CopyBank {
        /// Number of the partition of the original.
        from: u32,
        /// Number of the partition of the copy.
        to: u32,
    },
    /// Clear the marks of an unclean unmount.
    MarkClean,
    /// Put the state of one bank into another.
    CopyState {
        /// Number of the partition it comes from.
        from: u32,
        /// Number of the partition it goes to.
        to: u32,
    },
    /// Give a bank a state without any configuration.
    ResetState {
        /// Number of its partition.
        partition: u32,
    },
    /// Free what interrupted runs left allocated to nothing.
    Reclaim,
}

impl Work {
    /// Whether it can be done to one bank and not to another.
    fn goes_by_bank(&self) -> bool {
        matches!(self, Work::Edits { .. } | Work::Import(_) | Work::Files(_))
    }

    /// Changes the configuration, whatever it is.
    pub fn edits(edits: Vec<Edit>) -> Self {
        let expect = Expect::default();
        Work::Edits { expect, edits }
    }
}

/// How a writing command goes about its targets, whatever it does to them.
pub struct Job<'s> {
    session: &'s Session,
    way: Way,
    asks: bool,
    explain: fn(&Plan) -> Option<String>,
    closing: Closing,
    banks: BankChoice,
}

/// What a command does to one target.
struct One<'j> {
    job: &'j Job<'j>,
    work: &'j Work,
}

/// What became of one target.
struct Report {
    exit: Exit,
    object: ChangeObject,
}

/// What is kept of a report until all targets are done.
struct Verdict {
    exit: Exit,
    target: String,
    outcome: Outcome,
    /// Why it failed.
    why: Option<String>,
}

impl<'s> Job<'s> {
    /// A job on that many targets that asks nothing and explains nothing.
    ///
    /// # Errors
    /// Options that contradict each other, or one place for the files of several targets.
    pub fn new(session: &'s Session, args: &ChangeArgs, targets: usize) -> Result<Self, Failure> {
        Ok(Job {
            session,
            way: Way::new(args, targets)?,
            asks: false,
            explain: |_| None,
            closing: Closing::IfWrong,
            banks: session.common.bank,
        })
    }

    /// Makes these edits in one medium, each of them named by the person who asks.
    ///
    /// # Errors
    /// As [`Job::new`]; the rest is reported as of the target.
    pub fn edit(
        session: &'s Session,
        args: &ChangeArgs,
        stick: &PathBuf,
        edits: Vec<Edit>,
    ) -> Result<Exit, Failure> {
        let job = Job::new(session, args, 1)?;
        Ok(job.run(std::slice::from_ref(stick), &Work::edits(edits)))
    }

    /// Which banks, where the command says so itself.
    #[must_use]
    pub fn on_banks(mut self, banks: BankChoice) -> Self {
        self.banks = banks;
        self
    }

    /// Whether to ask before the first write to each target: what is done was not named one by
    /// one.
    #[must_use]
    pub fn asking(mut self, asks: bool) -> Self {
        self.asks = asks;
        self
    }

    /// What is said after a change: what it means and what to do next.
    #[must_use]
    pub fn explaining(mut self, explain: fn(&Plan) -> Option<String>) -> Self {
        self.explain = explain;
        self
    }

    /// When the next boot is spoken of after a change.
    #[must_use]
    pub fn closing(mut self, closing: Closing) -> Self {
        self.closing = closing;
        self
    }

    /// Does the same to every target.
    pub fn run(&self, targets: &[PathBuf], work: &Work) -> Exit {
        let targets = distinct(targets, &self.session.host, &self.session.ui);
        let same = targets.iter().map(|target| (target.as_path(), Ok(work)));
        self.run_on(&same.collect::<Vec<_>>())
    }

    /// Does to each target what is said of it, or says why there is nothing to do; each medium is
    /// named once ([`distinct`]).
    pub fn run_each(&self, targets: &[(PathBuf, Result<Work, Failure>)]) -> Exit {
        let each = targets
            .iter()
            .map(|(target, work)| (target.as_path(), work.as_ref()));
        self.run_on(&each.collect::<Vec<_>>())
    }

    /// Treats the targets, as many at once as `--jobs` says; a failure of one does not stop the
    /// others. An interrupt lets those that are past their switch finish and keeps the rest
    /// from being begun.
    fn run_on(&self, targets: &[(&Path, Result<&Work, &Failure>)]) -> Exit {
        let session = self.session;
        let paths: Vec<&Path> = targets.iter().map(|(target, _)| *target).collect();
        if let Err(failure) = self.check_places(&paths) {
            failure.say(&session.ui, "");
            // Standard output that was to carry an image carries nothing else.
            if !self.streams() {
                let first = paths.first().unwrap_or(&Path::new("")).display();
                let object = failure.in_json(ERROR, &first.to_string());
                session.ui.json(&object);
            }
            return failure.exit();
        }
        // With several targets a signal must leave time to say what became of each.
        let _held = (targets.len() > 1).then(|| session.interrupt.working());
        let verdicts = for_each(session, targets, |(target, work)| {
            self.report(target, *work)
        });
        if targets.len() > 1 {
            self.summarize(&verdicts);
        }
        let exits: Vec<Exit> = verdicts.iter().map(|verdict| verdict.exit).collect();
        Exit::of_all(&exits)
    }

    /// Treats one target and says what became of it.
    fn report(&self, target: &Path, work: Result<&Work, &Failure>) -> Verdict {
        let report = match work {
            _ if self.session.interrupt.requested() => self.not_started(target),
            Ok(work) => One { job: self, work }.treat(target),
            Err(failure) => self.failed(target, failure),
        };
        self.session.ui.json(&report.object);
        self.session.ui.target_done();
        Verdict {
            exit: report.exit,
            target: report.object.target,
            outcome: report.object.outcome,
            why: report.object.error.map(|error| error.message),
        }
    }

    /// Finds out before anything is written that two outputs, or an output and a target, are
    /// the same file.
    fn check_places(&self, targets: &[&Path]) -> Result<(), Failure> {
        let Mode::Output { path, .. } = &self.way.mode else {
            return Ok(());
        };
        if self.streams() {
            if self.session.ui.is_json() {
                return Err(Failure::usage(
                    "--json and -o - both need standard output; leave one of them out",
                ));
            }
            self.session.ui.give_stdout_away();
        }
        output::check_places(path, targets, &self.session.host)
    }

    /// Whether standard output is where the copy goes.
    fn streams(&self) -> bool {
        matches!(&self.way.mode, Mode::Output { path, .. } if path == Path::new(output::STREAM))
    }

    fn failed(&self, target: &Path, failure: &Failure) -> Report {
        let mut object = empty(target);
        failure.say(&self.session.ui, &object.target);
        object.outcome = Outcome::Failed;
        object.error = Some(failure.object());
        Report {
            exit: failure.exit(),
            object,
        }
    }

    fn not_started(&self, target: &Path) -> Report {
        let mut object = empty(target);
        object.outcome = Outcome::NotStarted;
        self.session
            .ui
            .say(&format!("{}: not started", object.target));
        Report {
            exit: Exit::Interrupted,
            object,
        }
    }

    fn warn(&self, object: &mut ChangeObject, text: String) {
        self.session
            .ui
            .warn(&format!("{}: {}", object.target, shown(&text)));
        object.warnings.push(text);
    }

    /// Whether to ask before the first write to a target, where there is a way to.
    fn is_to_ask(&self) -> bool {
        self.asks && !self.way.yes
    }
}

impl One<'_> {
    fn treat(&self, target: &Path) -> Report {
        let mut object = empty(target);
        let result = match &self.job.way.mode {
            Mode::Output { path, force } => Place::of(path, target)
                .and_then(|place| self.copy(target, &place, *force, &mut object)),
            Mode::Commit => self.change_in_place(target, &mut object),
            Mode::DryRun | Mode::Check => self.preview(target, &mut object),
        };
        let exit = result.unwrap_or_else(|failure| {
            failure.say(&self.job.session.ui, &object.target);
            if !matches!(object.outcome, Outcome::Partial | Outcome::NotStarted) {
                object.outcome = Outcome::Failed;
            }
            object.error = Some(failure.object());
            failure.exit()
        });
        Report { exit, object }
    }

    /// Opens the stick on a medium, makes the plan for it, shows that, and hands both on. What is
    /// read and written meanwhile is counted.
    fn planned<M: ReadAt, T>(
        &self,
        medium: &M,
        sector_size: Option<u32>,
        object: &mut ChangeObject,
        then: impl FnOnce(&Meter<&M>, &Stick<'_, '_>, &Plan, &mut ChangeObject) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let meter = Meter::new(medium);
        let cached = CachedReads::new(&meter);
        let stick = self.job.session.open_stick(&cached, sector_size)?;
        let plan = self.plan(&stick)?;
        self.show(&plan, object)?;
        let result = then(&meter, &stick, &plan, object);
        object.bytes_read = meter.bytes_read();
        object.bytes_written = meter.bytes_written();
        result
    }

    /// `--dry-run` and `--check`: the medium is opened to be read.
    fn preview(&self, path: &Path, object: &mut ChangeObject) -> Result<Exit, Failure> {
        let target = Target::open_read(path, &self.job.session.host)?;
        let sector_size = target.logical_sector_size();
        self.planned(&target, sector_size, object, |_, _, plan, object| {
            if plan.is_empty() {
                return Ok(Exit::Done);
            }
            object.outcome = Outcome::WouldChange;
            self.show_steps(plan);
            self.job.session.ui.say(&format!(
                "{}: nothing was written; the change would write {}",
                object.target,
                size(plan.set.bytes_to_write())
            ));
            Ok(match self.job.way.mode {
                Mode::Check => Exit::Differs,
                _ => Exit::Done,
            })
        })
    }

    /// The change itself, on the target.
    fn change_in_place(&self, path: &Path, object: &mut ChangeObject) -> Result<Exit, Failure> {
        let host = &self.job.session.host;
        let target = ClaimedTarget::open(path, host).map_err(|error| {
            let failure = Failure::from(error);
            undo_place::of_unclaimed(failure, &self.job.way.undo, path, host)
        })?;
        let sector_size = target.logical_sector_size();
        self.planned(
            &target,
            sector_size,
            object,
            |medium, stick, plan, object| {
                if plan.is_empty() {
                    return Ok(Exit::Done);
                }
                object.outcome = Outcome::WouldChange;
                let undo = self.prepare_undo(plan, stick, &target)?;
                let confirmed = self.confirm(&target, plan, undo.as_ref());
                let working = self.job.session.interrupt.working();
                if self.job.session.interrupt.requested() {
                    object.outcome = Outcome::NotStarted;
                    return Err(interrupted());
                }
                confirmed?;
                if let Some(undo) = &undo {
                    undo_store::write(&undo.path, &undo.content)?;
                    object.undo = Some(undo.path.display().to_string());
                }
                let result = self.commit(medium, plan, object);
                let result = result.map_err(|failure| keep::name_undo(failure, plan, object));
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

    fn commit(
        &self,
        medium: &dyn WriteAt,
        plan: &Plan,
        object: &mut ChangeObject,
    ) -> Result<Exit, Failure> {
        let interrupted = || self.job.session.interrupt.requested();
        match commit::run(medium, &plan.set, &interrupted) {
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
                Err(crate::stick::Error::from(error).into())
            }
        }
    }

    fn plan(&self, stick: &Stick<'_, '_>) -> Result<Plan, Failure> {
        let chosen = self.job.banks;
        self.plan_for(stick, chosen).map_err(|error| {
            let failed = error.partition();
            let other = failed
                .filter(|_| chosen == BankChoice::All && self.work.goes_by_bank())
                .and_then(|partition| self.treatable_without(stick, partition));
            let may_be_new = self.may_be_new(&error);
            let mut failure = Failure::from(error);
            if may_be_new {
                failure = failure
                    .and_hint("if the state does not name it yet, --new passes it through all the same (in a plan file: new = true)");
            }
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

    /// Whether the error is a device to be passed through that no state names, which may be meant.
    fn may_be_new(&self, error: &crate::stick::Error) -> bool {
        let Work::Edits { edits, .. } = self.work else {
            return false;
        };
        let names_one = |edit: &Edit| {
            matches!(
                edit,
                Edit::Owner(OwnerEdit {
                    devices: Devices::Named(_),
                    owner: Owner::Passthru,
                })
            )
        };
        let Cause::Edit(EditError::Unmatched(Unmatched::Device(missing))) = &error.cause else {
            return false;
        };
        matches!(missing, SelectError::NoSuchDevice { .. }) && edits.iter().any(names_one)
    }

    fn plan_for(
        &self,
        stick: &Stick<'_, '_>,
        banks: BankChoice,
    ) -> Result<Plan, crate::stick::Error> {
        let request = Request {
            banks,
            method: self.job.way.method,
            context: Context {
                time: source_date_epoch(),
            },
        };
        match &self.work {
            Work::Edits { expect, edits } => stick
                .check_expectations(expect, request.banks)
                .and_then(|()| stick.plan(edits, request)),
            Work::Import(state) => stick.plan_import(state, request),
            Work::Files(files) => stick.plan_files(files, request),
            Work::UseBank {
                partition,
                even_if_broken,
            } => stick.plan_use(*partition, request, *even_if_broken),
            Work::CopyBank { from, to } => stick.plan_copy_bank(*from, *to),
            Work::MarkClean => stick.plan_mark_clean(request),
            Work::CopyState { from, to } => stick.plan_copy_state(*from, *to, request),
            Work::ResetState { partition } => stick.plan_reset_state(*partition, request),
            Work::Reclaim => stick.plan_reclaim(request),
        }
    }

    /// A bank besides that on `partition` which could be treated alone.
    fn treatable_without(&self, stick: &Stick<'_, '_>, partition: u32) -> Option<u32> {
        let mut others = stick.slots().iter().map(|slot| slot.partition);
        others.find(|other| {
            *other != partition && self.plan_for(stick, BankChoice::Partition(*other)).is_ok()
        })
    }
}

fn interrupted() -> Failure {
    Failure::refused("interrupted; nothing was written").exit_with(Exit::Interrupted)
}

/// Seconds since 1970 that stand for the present where a time has to be invented, as agreed
/// among reproducible builds; `None` where the environment does not say.
fn source_date_epoch() -> Option<u64> {
    std::env::var("SOURCE_DATE_EPOCH").ok()?.parse().ok()
}

/// What is said of a target before anything is known about it.
pub fn empty(target: &Path) -> ChangeObject {
    ChangeObject {
        schema: SCHEMA,
        target: target.display().to_string(),
        outcome: Outcome::Unchanged,
        searched: Vec::new(),
        banks: Vec::new(),
        undo: None,
        bytes_read: 0,
        bytes_written: 0,
        output: None,
        warnings: Vec::new(),
        error: None,
    }
}

/// Whether some banks are new and others old.
pub fn outcome_of(error: &CommitError) -> Outcome {
    let CommitError::Failed(failure) = error else {
        return Outcome::Failed;
    };
    let held: Vec<_> = failure.holds.iter().map(|(_, holds)| *holds).collect();
    if held.iter().all(|holds| *holds == commit::Holds::Old) {
        Outcome::Failed
    } else {
        Outcome::Partial
    }
}
