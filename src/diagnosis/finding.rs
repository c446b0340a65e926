//! One thing found on a medium, and how bad it is.

use super::cause::FindingCause;
use crate::edit::{CONFIG_STORE, EditError};
use crate::error::ErrorKind;
use crate::state::StateFault;
use crate::stick::{Cause, Cure, Error, OtherType};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
    /// What. Shown, it is a message without the partition.
    pub cause: FindingCause,
    /// What it means to whoever has to act on it, of an error.
    pub kind: Option<ErrorKind>,
    /// What puts it right, where that is known.
    pub cure: Option<Cure>,
}

impl Finding {
    /// Something that is no error.
    pub(super) fn new(
        severity: Severity,
        layer: &'static str,
        partition: Option<u32>,
        cause: FindingCause,
    ) -> Self {
        Finding {
            severity,
            layer,
            partition,
            cause,
            kind: None,
            cure: None,
        }
    }

    /// Something that keeps the host from starting.
    pub(super) fn stops(layer: &'static str, partition: Option<u32>, cause: FindingCause) -> Self {
        Finding {
            kind: Some(ErrorKind::Damaged),
            ..Finding::new(Severity::Error, layer, partition, cause)
        }
    }

    /// The same, with what puts it right.
    pub(super) fn cured_by(mut self, cure: impl Into<Option<Cure>>) -> Self {
        self.cure = cure.into();
        self
    }
}

/// An error as a finding.
pub(super) fn from_error(error: &Error) -> Finding {
    // That error says all there is to say, with its partition.
    if let Cause::Unopened(inner) = &error.cause {
        return from_error(inner);
    }
    let (layer, on) = (layer_of(&error.cause), error.partition());
    // A key that opens nothing says nothing of the medium.
    let severity = match &error.cause {
        Cause::State(error) if matches!(error.fault, StateFault::RecoveryKey(_)) => {
            Severity::Warning
        }
        _ => Severity::Error,
    };
    Finding {
        kind: (severity == Severity::Error).then(|| error.kind()),
        cure: match &error.cause {
            Cause::OtherType(found) => OtherType::cure(found),
            _ => None,
        },
        ..Finding::new(
            severity,
            layer,
            on,
            FindingCause::Error(error.without_partition()),
        )
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
        Cause::State(error) => error.layer(),
        Cause::Edit(EditError::Ownership { path, .. }) if *path == CONFIG_STORE => "configstore",
        Cause::Edit(EditError::Sidecar { .. }) => "configstore",
        Cause::Edit(_) | Cause::Ownership(_) => "esx.conf",
        Cause::Unopened(error) => layer_of(&error.cause),
        Cause::NothingLeft { error, .. } => layer_of(&error.cause),
        Cause::OtherTable { .. } => "table",
        _ => "fat",
    }
}
