//! What became of a medium, as an object and in words.

use crate::cli::change::Outcome;
use crate::cli::report::{ErrorObject, disk_in_words};
use crate::cli::terminal::{ERROR, quoted_path, shown, styled};
use crate::host::Disk;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::path::Path;

pub const SCHEMA: &str = "bootbank.station/1";

/// `bootbank station`: one object for each medium, on standard output with `--json` and in the log
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Treated {
    pub schema: &'static str,
    pub target: String,
    /// When it was done, in UTC.
    pub time: String,
    pub by_id: Option<String>,
    pub model: Option<String>,
    pub serial: Option<String>,
    pub size: u64,
    /// `usb`, `nvme`, `sata`, `scsi`, `mmc`, `virtio`, `loop` or `other`.
    pub bus: &'static str,
    /// The host's name before, or its system UUID where it has none.
    pub host_before: Option<String>,
    /// The same after.
    pub host_after: Option<String>,
    /// `changed`, `unchanged`, `partial`, `failed` or `not-started`.
    #[schemars(with = "String")]
    pub outcome: Outcome,
    /// The undo file.
    pub undo: Option<String>,
    pub warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ErrorObject>")]
    pub error: Option<Trouble>,
}

/// Why a medium could not be treated, as the command that tried told it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Trouble {
    pub kind: String,
    pub message: String,
    pub hint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}

impl Treated {
    /// One line: which medium, whose, what was done, and that it may be pulled out; and what to do
    /// where that failed.
    pub fn in_words(&self, disk: &Disk) -> String {
        let host = match (&self.host_before, &self.host_after) {
            (Some(before), Some(after)) if before != after => {
                format!(", host {}, now {}", shown(before), shown(after))
            }
            (Some(host), _) | (None, Some(host)) => format!(", host {}", shown(host)),
            (None, None) => String::new(),
        };
        let mut line = format!("{} ({}{host}): ", shown(&self.target), disk_in_words(disk));
        let outcome = self.outcome.in_words();
        match &self.error {
            Some(trouble) => {
                let but = match self.outcome {
                    Outcome::Changed | Outcome::Unchanged => ", but ",
                    _ => ": ",
                };
                let outcome = styled(&format!("{outcome}{but}"), ERROR);
                let message = shown(&trouble.message);
                let message = message
                    .strip_prefix(&format!("{}: ", self.target))
                    .unwrap_or(&message);
                let _ = write!(line, "{outcome}{message}");
            }
            None => line.push_str(outcome),
        }
        if let Some(undo) = &self.undo {
            let _ = write!(line, "; undo file {}", quoted_path(Path::new(undo)));
        }
        line.push_str("; it may be pulled out now\n");
        for warning in &self.warnings {
            let _ = writeln!(line, "    warning: {}", shown(warning));
        }
        if let Some(hint) = self
            .error
            .as_ref()
            .and_then(|trouble| trouble.hint.as_ref())
        {
            let _ = writeln!(line, "    {}", shown(hint));
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::recorded::Recorded;

    #[test]
    fn a_medium_that_was_changed_is_not_said_to_have_failed() {
        let disk = Recorded::open("desktop").host().disks().remove(0);
        let cases = [
            (Outcome::Changed, "changed, but it was replaced"),
            (Outcome::Unchanged, "nothing to change, but it was replaced"),
            (Outcome::Partial, "partly changed: it was replaced"),
            (Outcome::NotStarted, "not started: it was replaced"),
            (Outcome::Failed, "failed: it was replaced"),
        ];
        for (outcome, expected) in cases {
            let treated = Treated {
                schema: SCHEMA,
                target: "/dev/sdx".to_owned(),
                time: String::new(),
                by_id: None,
                model: None,
                serial: None,
                size: 0,
                bus: "usb",
                host_before: None,
                host_after: None,
                outcome,
                undo: None,
                warnings: Vec::new(),
                error: Some(Trouble {
                    message: "/dev/sdx: it was replaced".to_owned(),
                    ..Trouble::default()
                }),
            };
            let words = anstream::adapter::strip_str(&treated.in_words(&disk)).to_string();
            assert!(words.contains(&format!("): {expected};")), "{words}");
        }
    }
}
