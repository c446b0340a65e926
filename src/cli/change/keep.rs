//! The way back: the undo file of a change.

use super::undo_store::UndoPlace;
use super::{ChangeObject, One, Outcome, about, undo_place, undo_store};
use crate::cli::report::Failure;
use crate::cli::terminal::{quoted_path, size};
use crate::commit::{self, About, CommitError, FileUndo, UndoError, UndoFile};
use crate::fat::Method;
use crate::medium::{Identity, Target, WholeFile};
use crate::stick::{Plan, Stick};
use std::path::{Path, PathBuf};

/// An undo file about to be written, and where.
pub(super) struct PlacedUndo {
    pub(super) path: PathBuf,
    pub(super) file: UndoFile,
}

impl One<'_> {
    /// The undo file, if one is wanted. It is not written yet.
    pub(super) fn undo_of(
        &self,
        plan: &Plan,
        stick: &Stick<'_, '_>,
        target: &Target,
    ) -> Result<Option<UndoFile>, Failure> {
        let command = &self.job.session.program.command_words;
        let about = about::of_medium(plan, target, command);
        self.wanted_undo(|| stick.undo_of(plan, about).to_file())
    }

    /// The same for a state file of this host, whose old content the undo file holds.
    pub(super) fn undo_of_file(
        &self,
        plan: &Plan,
        file: &WholeFile,
        (host, new): (Option<String>, &[u8]),
    ) -> Result<Option<UndoFile>, Failure> {
        let command = &self.job.session.program.command_words;
        let about = About {
            host,
            ..about::of_file(plan, file.path(), command)
        };
        let undo = FileUndo {
            old: file.bytes().to_vec(),
            new: commit::digest(new),
            about,
        };
        self.wanted_undo(|| undo.to_file())
    }

    fn wanted_undo(
        &self,
        file: impl FnOnce() -> Result<UndoFile, UndoError>,
    ) -> Result<Option<UndoFile>, Failure> {
        if self.job.way.undo == UndoPlace::None {
            return Ok(None);
        }
        let file = file().map_err(crate::stick::Error::from)?;
        if file.size() > undo_store::LARGEST {
            let text = format!(
                "the undo file would be {}, more than the limit of {}; nothing was written",
                size(file.size()),
                size(undo_store::LARGEST)
            );
            return Err(Failure::refused(text)
                .hint("--bank N changes one bank at a time; -o FILE writes a changed copy, which needs no undo file"));
        }
        Ok(Some(file))
    }

    /// The place of the undo file, found fit for it. Writes nothing.
    pub(super) fn place_undo(
        &self,
        file: Option<UndoFile>,
        plan: &Plan,
        target: (&Path, Identity),
        object: &mut ChangeObject,
    ) -> Result<Option<PlacedUndo>, Failure> {
        let Some(file) = file else {
            return Ok(None);
        };
        let place = undo_store::choose(&self.job.way.undo, target.0, &file);
        let place = place.map_err(|failure| match self.job.way.method {
            Method::SecondCopy => failure,
            Method::InPlace => failure.hint("name a file with -z FILE: --in-place needs one"),
        });
        let Some(path) = place? else {
            return Ok(None);
        };
        let in_memory = undo_place::check(&path, plan, target, &self.job.session.host)?;
        if in_memory {
            let text = format!(
                "the undo file {} is in memory, and a reboot deletes it; keep a copy elsewhere",
                path.display()
            );
            self.job.warn(object, text);
        }
        Ok(Some(PlacedUndo { path, file }))
    }
}

/// What to do after a commit failed that has an undo file; nothing where nothing was written.
pub(super) fn way_back(error: &CommitError, plan: &Plan, object: &ChangeObject) -> Option<String> {
    let undo = object.undo_path.as_ref()?;
    let in_place = plan.in_place().next().is_some();
    let line = || undo_line(undo, &object.path);
    match error {
        CommitError::Failed(_) if in_place && object.outcome == Outcome::Partial => Some(format!(
            "a bank that was half written over does not boot until you run: {}",
            line()
        )),
        CommitError::Failed(_) => Some(format!(
            "to undo it: {} (with --force if the medium damaged its own sectors); to finish it: run the command again",
            line()
        )),
        // The file that has the target's name is not the one that was changed.
        CommitError::ReplacedMeanwhile { .. } => Some(format!(
            "to undo it: bootbank undo {} FILE, where FILE is the file that was changed",
            quoted_path(undo)
        )),
        _ => None,
    }
}

/// The line that undoes a change.
pub(super) fn undo_line(undo: &Path, target: &Path) -> String {
    format!(
        "bootbank undo {} {}",
        quoted_path(undo),
        quoted_path(target)
    )
}
