//! One thing found on a medium, and how bad it is.

use crate::edit::{CONFIG_STORE, EditError};
use crate::error::ErrorKind;
use crate::stick::{Cause, Error};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Severity {
    /// Harmless, and good to know.
    Note,
    /// Odd, but it neither stops the host nor a change.
    Warning,
    /// It stops the host or a change.
    Error,
}

impl Severity {
    /// The word used in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// One thing met.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// `table`, `fat`, `boot.cfg`, `gzip`, `tar`, `envelope`, `esx.conf` or `configstore`.
    pub layer: &'static str,
    /// On which partition.
    pub partition: Option<u32>,
    /// What.
    pub message: String,
    /// What it means to whoever has to act on it, of an error.
    pub kind: Option<ErrorKind>,
}

impl Finding {
    /// Something that is no error.
    pub(super) fn new(
        severity: Severity,
        layer: &'static str,
        partition: Option<u32>,
        message: impl Into<String>,
    ) -> Self {
        Finding {
            severity,
            layer,
            partition,
            message: message.into(),
            kind: None,
        }
    }

    /// Something that keeps the host from starting.
    pub(super) fn stops(
        layer: &'static str,
        partition: Option<u32>,
        message: impl Into<String>,
    ) -> Self {
        Finding {
            kind: Some(ErrorKind::Damaged),
            ..Finding::new(Severity::Error, layer, partition, message)
        }
    }
}

/// An error as a finding.
pub(super) fn from_error(error: &Error) -> Finding {
    let bare = Error::to_string(error);
    let prefix = error
        .partition()
        .map(|partition| format!("partition {partition}: "));
    let message = match &prefix {
        Some(prefix) => bare
            .strip_prefix(prefix.as_str())
            .unwrap_or(&bare)
            .to_owned(),
        None => bare,
    };
    Finding {
        severity: Severity::Error,
        layer: layer_of(&error.cause),
        partition: error.partition(),
        message,
        kind: Some(error.kind()),
    }
}

fn layer_of(cause: &Cause) -> &'static str {
    match cause {
        Cause::Table(_)
        | Cause::NoWholeBank(_)
        | Cause::NoBank(_)
        | Cause::OtherType(_)
        | Cause::Installer(_)
        | Cause::Cut(_)
        | Cause::StandIn { .. } => "table",
        Cause::State(error) | Cause::Edit(EditError::State(error)) => error.layer(),
        Cause::Edit(EditError::Ownership { path, .. }) if *path == CONFIG_STORE => "configstore",
        Cause::Edit(EditError::Sidecar { .. }) => "configstore",
        Cause::Edit(_) | Cause::Ownership(_) => "esx.conf",
        Cause::Unopened(error) => layer_of(&error.cause),
        Cause::NothingLeft { error, .. } => layer_of(&error.cause),
        Cause::OtherTable { .. } => "table",
        _ => "fat",
    }
}
