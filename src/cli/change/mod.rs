//! The way every writing command goes: plan, show, ask, keep the way back, commit.
//!
//! What is asked is a value below (`diagnosis::Work`); `one.rs` is the way of one target, `show.rs` what a person sees of it,
//! `keep.rs` the undo file, `copy.rs` the way of `--output`, `state_file.rs` that of a target which is
//! no medium. Several targets go this way beside
//! each other and know nothing of one another.

mod about;
mod args;
mod ask;
mod bank_file;
mod closing;
mod copy;
mod folded;
mod keep;
mod object;
mod one;
mod output;
mod show;
mod state_file;
mod undo_index;
mod undo_place;
mod undo_store;
mod writing;

pub use args::ChangeArgs;
pub use bank_file::change_bank_file;
pub use closing::{Closing, next_boot, of_outlook};
pub use object::{Change as ChangeObject, ChangedBank, Outcome, SCHEMA};
pub use one::outcome_of;
pub use state_file::not_replaced;
pub use undo_index::{KeptUndo, half_undos, kept_for, kept_for_state_file, kept_undos};
pub use undo_store::{
    LARGEST as LARGEST_UNDO_FILE, directory as undo_directory, forget_undone, note_undone,
};
pub use writing::write;

use crate::cli::report::{ERROR, Exit, Failure};
use crate::cli::session::{Session, distinct, for_each, usual_jobs};
use crate::cli::terminal::{Ui, shown};
use crate::diagnosis::Work;
use crate::edit::Edit;
use crate::stick::BankChoice;
use args::{Mode, Way};
use folded::Folded;
use one::One;
use std::path::{Path, PathBuf};

/// How a writing command goes about its targets, whatever it does to them.
pub struct Job<'s> {
    session: &'s Session,
    /// Each medium once ([`distinct`]).
    targets: Vec<PathBuf>,
    way: Way,
    asks: bool,
    explain: Option<&'static str>,
    closing: Closing,
    banks: BankChoice,
    warnings: Folded,
}

/// What is to be done to one target.
pub struct Asked {
    /// What it is.
    pub work: Work,
    /// What there is to warn of, whatever comes of it.
    pub warnings: Vec<String>,
}

impl From<Work> for Asked {
    fn from(work: Work) -> Self {
        let warnings = Vec::new();
        Asked { work, warnings }
    }
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
    /// A job on these targets that asks nothing and explains nothing.
    ///
    /// # Errors
    /// Options that contradict each other, or one place for the files of several targets.
    pub fn new(
        session: &'s Session,
        args: &ChangeArgs,
        targets: &[PathBuf],
    ) -> Result<Self, Failure> {
        let targets = distinct(targets, &session.host, &session.ui);
        Ok(Job {
            session,
            way: Way::new(args, targets.len())?,
            targets,
            asks: false,
            explain: None,
            closing: Closing::IfWrong,
            banks: session.common.bank,
            warnings: Folded::default(),
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
        let job = Job::new(session, args, std::slice::from_ref(stick))?;
        Ok(job.run(Work::edits(edits)))
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
    pub fn explaining(mut self, explain: &'static str) -> Self {
        self.explain = Some(explain);
        self
    }

    /// When the next boot is spoken of after a change.
    #[must_use]
    pub fn closing(mut self, closing: Closing) -> Self {
        self.closing = closing;
        self
    }

    /// The targets, each medium once.
    pub fn targets(&self) -> &[PathBuf] {
        &self.targets
    }

    /// Does the same to every target.
    pub fn run(&self, work: Work) -> Exit {
        let asked = Asked::from(work);
        let targets = self.targets.iter();
        let same = targets.map(|target| (target.as_path(), Ok(&asked)));
        self.run_on(&same.collect::<Vec<_>>())
    }

    /// Does to each target what is said of it, in the order of [`Job::targets`], or says why there is nothing to do.
    pub fn run_each(&self, asked: &[Result<Asked, Failure>]) -> Exit {
        let targets = self.targets.iter().map(PathBuf::as_path);
        let each = targets.zip(asked.iter().map(Result::as_ref));
        self.run_on(&each.collect::<Vec<_>>())
    }

    /// Treats the targets, as many at once as `--jobs` says; a failure of one does not stop the
    /// others. An interrupt lets those that are past their switch finish and keeps the rest
    /// from being begun.
    fn run_on(&self, targets: &[(&Path, Result<&Asked, &Failure>)]) -> Exit {
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
        // Questions come one at a time, each after what leads to it.
        let jobs = if self.may_ask() {
            1
        } else {
            session.common.jobs.unwrap_or_else(|| usual_jobs(&paths))
        };
        let verdicts = for_each(session, targets, jobs, |(target, asked)| {
            self.report(target, *asked)
        });
        for warning in self.warnings.take() {
            session.ui.warn(&warning);
        }
        if targets.len() > 1 {
            self.summarize(&verdicts);
        }
        let exits: Vec<Exit> = verdicts.iter().map(|verdict| verdict.exit).collect();
        Exit::of_all(&exits)
    }

    /// Treats one target and says what became of it.
    fn report(&self, target: &Path, asked: Result<&Asked, &Failure>) -> Verdict {
        let report = match asked {
            _ if self.session.interrupt.requested() => self.not_started(target),
            Ok(asked) => One { job: self, asked }.treat(target),
            Err(failure) => self.failed(target, failure),
        };
        self.session.ui.json(&report.object);
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
        object.fail(failure);
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
        let ui = &self.session.ui;
        let said = shown(&text);
        if !(ui.is_brief() && self.warnings.keep(&object.target, &said)) {
            ui.warn(&format!("{}: {said}", object.target));
        }
        object.warnings.push(text);
    }

    /// Whether to ask before the first write to a target, where there is a way to.
    fn is_to_ask(&self) -> bool {
        self.asks && self.can_ask()
    }

    /// Whether somebody may be asked something before a target is changed.
    fn may_ask(&self) -> bool {
        let writes = matches!(self.way.mode, Mode::Commit | Mode::Output { .. });
        writes && self.can_ask()
    }

    /// Whether somebody is there to be asked, and wants to be.
    fn can_ask(&self) -> bool {
        !self.way.yes && !self.way.no_input && Ui::can_ask()
    }
}

/// What is said of a target before anything is known about it.
pub fn empty(target: &Path) -> ChangeObject {
    ChangeObject {
        schema: SCHEMA,
        target: target.display().to_string(),
        path: target.to_owned(),
        kind: None,
        outcome: Outcome::Unchanged,
        searched: Vec::new(),
        banks: Vec::new(),
        undo: None,
        undo_path: None,
        undone: None,
        bytes_read: 0,
        bytes_written: 0,
        output: None,
        warnings: Vec::new(),
        error: None,
        left: 0,
    }
}
