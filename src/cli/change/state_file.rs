//! The way of a target that is a state file: the new file is made beside it and takes its name.

use super::ask::which_file_in_words;
use super::copy::Making;
use super::one::context;
use super::output::{self, Packing, Place};
use super::{ChangeObject, One, Outcome};
use crate::cli::report::{Exit, Failure};
use crate::cli::terminal::standard;
use crate::commit;
use crate::edit::Identity;
use crate::fat::Method;
use crate::medium::{MediumError, WholeFile};
use crate::stick::Plan;
use crate::target::Kind;
use std::io::Write as _;
use std::path::Path;

impl One<'_> {
    /// `--dry-run` and `--check`.
    pub(super) fn preview_state_file(
        &self,
        path: &Path,
        object: &mut ChangeObject,
    ) -> Result<Exit, Failure> {
        let file = self.job.session.read_state_file(path)?;
        let (plan, identity) = self.planned_for(&file, object)?;
        if let Some(content) = plan.new_file() {
            self.undo_of_file(&plan, &file, (name_in(identity), content))?;
        }
        Ok(self.previewed(&plan, object))
    }

    /// The change itself.
    pub(super) fn change_state_file(
        &self,
        path: &Path,
        object: &mut ChangeObject,
    ) -> Result<Exit, Failure> {
        let file = self.job.session.claim_state_file(path)?;
        let (plan, identity) = self.planned_for(&file, object)?;
        let Some(content) = plan.new_file() else {
            return Ok(Exit::Done);
        };
        object.outcome = Outcome::WouldChange;
        let which = which_file_in_words(object.bytes_read, identity.clone());
        let undo = self.undo_of_file(&plan, &file, (name_in(identity), content))?;
        let undo = self.place_undo(undo, &plan, (path, file.identity()), object)?;
        let confirmed = self.confirm((path, &which), Kind::State, &plan, undo.as_ref(), object);
        let working = self.begin(confirmed, undo.as_ref(), object)?;
        let new = self.job.session.outputs.take_like(path);
        let replaced = new.and_then(|new| commit::replace(&file, new, content));
        replaced.map_err(|error| {
            let old = "the file holds its old content, and no new one was made";
            not_replaced(error, old, object)
        })?;
        working.done();
        object.outcome = Outcome::Changed;
        object.bytes_written = plan.bytes_to_write();
        self.conclude(&plan, object);
        Ok(Exit::Done)
    }

    /// `--output`. Returns what is to be said of the copy.
    pub(super) fn copy_state_file(
        &self,
        source: &Path,
        place: &Place,
        making: Making,
        object: &mut ChangeObject,
    ) -> Result<Vec<String>, Failure> {
        if let Place::File { path, packing } = place
            && *packing != Packing::Plain
        {
            return Err(Failure::usage(format!(
                "{}: a state file is compressed already, so its copy cannot be packed",
                path.display()
            ))
            .hint("give the copy another name, such as state.tgz"));
        }
        let file = self.job.session.read_state_file(source)?;
        let (plan, _) = self.planned_for(&file, object)?;
        let name = output::name_of(place);
        if !plan.is_empty() {
            self.confirm_copy(&plan, &name)?;
        }
        let content = plan.new_file().unwrap_or(file.bytes());
        match place {
            Place::Stream => {
                let written = standard::stdout()
                    .and_then(|mut stdout| stdout.write_all(content).and_then(|()| stdout.flush()));
                written.map_err(|error| {
                    Failure::io(format!("cannot write to standard output: {error}"))
                })?;
            }
            Place::File { path, .. } => {
                let outputs = &self.job.session.outputs;
                let mut copy = outputs.take(path, making.force, making.mode)?;
                let written = copy.write_all(content);
                written.map_err(|error| Failure::from(copy.write_error(error)))?;
                copy.publish()?;
            }
        }
        if !plan.is_empty() {
            object.outcome = Outcome::Changed;
        }
        object.bytes_written = content.len() as u64;
        Ok(self.explained(&plan, &name))
    }

    /// Opens the state in the file, makes the plan for it, and shows that. With it comes whose
    /// state it is.
    fn planned_for(
        &self,
        file: &WholeFile,
        object: &mut ChangeObject,
    ) -> Result<(Plan, Option<Identity>), Failure> {
        if self.job.way.method == Method::InPlace {
            return Err(Failure::usage(
                "--in-place is about the room in a bank, and this is a state file, which has none",
            )
            .hint("leave --in-place out"));
        }
        if !self.job.way.avoid.is_empty() {
            return Err(Failure::usage(
                "--avoid is about the sectors of a medium, and this is a state file",
            )
            .hint("leave --avoid out"));
        }
        object.bytes_read = file.bytes().len() as u64;
        let saved = self.job.session.open_saved(file.path(), file.bytes())?;
        let plan = self.asked.work.plan_file(&saved, context());
        let plan = plan.map_err(|error| self.unplanned(error))?;
        self.show(&plan, object)?;
        Ok((plan, saved.identity()))
    }
}

/// A file that was not replaced, as `old` says; or that was, and may not stay so.
pub fn not_replaced(error: MediumError, old: &str, object: &mut ChangeObject) -> Failure {
    if matches!(error, MediumError::NotDurable { .. }) {
        object.outcome = Outcome::Changed;
        return Failure::from(error);
    }
    Failure::from(error).and_hint(old)
}

/// The name of the host whose state it is.
fn name_in(identity: Option<Identity>) -> Option<String> {
    identity.and_then(|identity| identity.name)
}
