//! Why a target could not be treated, as a message, a hint and an exit code.

use super::exit::Exit;
use super::hints::{hint, hint_beside_rest, medium_hint, other_sectors_hint};
use super::object::{ErrorObject, FailedObject, Shorter};
use crate::cli::terminal::{Ui, shown};
use crate::commit::CommitError;
use crate::error::ErrorKind;
use crate::medium::MediumError;
use crate::partition::TableError;
use crate::stick::{Cause, Error};
use std::path::Path;

/// Why a target could not be treated, ready to be shown.
#[derive(Clone, Debug)]
pub struct Failure {
    kind: ErrorKind,
    exit: Exit,
    message: String,
    shorter: Option<Box<Shorter>>,
    hint: Option<String>,
    partition: Option<u32>,
    path: Option<String>,
    offset: Option<u64>,
}

impl Failure {
    /// A failure of that kind, with the exit code that goes with it.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Failure {
            kind,
            exit: kind.into(),
            message: message.into(),
            shorter: None,
            hint: None,
            partition: None,
            path: None,
            offset: None,
        }
    }

    /// Why a medium could not be opened whose sectors have this size, where it says so itself.
    pub fn of_medium(error: &Error, sector_size: Option<u32>) -> Self {
        let failure = Failure::from(error);
        match (sector_size, &error.cause) {
            (Some(_), Cause::Table(TableError::SectorSizeWrong { found, .. })) => {
                failure.hint(other_sectors_hint(*found))
            }
            _ => failure,
        }
    }

    /// The request makes no sense as it was given.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// Declined for safety.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Refused, message)
    }

    /// The operating system reported an error.
    pub fn io(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Io, message)
    }

    /// The same, with what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, with one more sentence of what to do next.
    #[must_use]
    pub fn and_hint(mut self, more: &str) -> Self {
        self.hint = Some(match self.hint.take() {
            Some(hint) => format!("{hint}; {more}"),
            None => more.to_owned(),
        });
        self
    }

    /// The same, about a path.
    #[must_use]
    pub fn path(mut self, path: &Path) -> Self {
        self.path = Some(path.display().to_string());
        self
    }

    /// The same, with another exit code than that of its kind.
    #[must_use]
    pub fn exit_with(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// As it appears in JSON.
    pub fn object(&self) -> ErrorObject {
        ErrorObject {
            kind: self.kind.as_str(),
            message: self.message.clone(),
            shorter: self.shorter.clone(),
            hint: self.hint.clone(),
            partition: self.partition,
            path: self.path.clone(),
            offset: self.offset,
        }
    }

    /// An error of a stick as it appears in JSON.
    pub fn object_of(error: &Error) -> ErrorObject {
        Failure::from(error).object()
    }

    /// As an object of its own, of one target.
    pub fn in_json(&self, schema: &'static str, target: &str) -> FailedObject {
        FailedObject {
            schema,
            target: target.to_owned(),
            error: self.object(),
        }
    }

    /// Shows it, as the error of one target.
    pub fn show(&self, ui: &Ui, schema: &'static str, target: &str) {
        self.say(ui, target);
        ui.json(&self.in_json(schema, target));
    }

    /// Says it on standard error, without a hint that is among `said` already.
    pub fn say_once(&self, ui: &Ui, target: &str, said: &mut Vec<String>) {
        let mut failure = self.clone();
        if let Some(hint) = &self.hint {
            if said.contains(hint) {
                failure.hint = None;
            } else {
                said.push(hint.clone());
            }
        }
        failure.say(ui, target);
    }

    /// Says it on standard error.
    pub fn say(&self, ui: &Ui, target: &str) {
        let message = shown(&self.message);
        // The message of a medium begins with its path already.
        let begins_with_it = message
            .strip_prefix(target)
            .is_some_and(|rest| !rest.starts_with(char::is_alphanumeric));
        let message = if target.is_empty() || begins_with_it {
            message
        } else {
            format!("{}: {message}", shown(target))
        };
        ui.error(&message, self.hint.as_deref());
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::from(&error)
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let mut failure = Failure::new(error.kind(), error.to_string());
        failure.shorter = Some(Box::new(Shorter {
            in_bank: error.without_partition(),
            in_file: error.without_place(),
        }));
        failure.partition = error.partition();
        failure.path.clone_from(&error.path);
        failure.hint = hint(error);
        failure.offset = error.offset();
        if let Cause::Commit(CommitError::Interrupted { .. }) = error.cause {
            failure.exit = Exit::Interrupted;
        }
        if let Cause::Unopened(inner) = &error.cause {
            failure.path = failure.path.or_else(|| inner.path.clone());
        }
        failure
    }
}

impl Failure {
    /// What is damaged of something of which the rest was read.
    pub fn beside_rest(error: &Error) -> Self {
        Failure {
            hint: hint_beside_rest(error),
            ..Failure::from(error)
        }
    }
}

impl From<MediumError> for Failure {
    fn from(error: MediumError) -> Self {
        Failure::from(&error)
    }
}

impl From<&MediumError> for Failure {
    fn from(error: &MediumError) -> Self {
        let mut failure = Failure::new(error.kind(), error.to_string());
        failure.hint = medium_hint(error);
        if let MediumError::Vanished { offset, .. } = error {
            failure.offset = *offset;
        }
        failure
    }
}
