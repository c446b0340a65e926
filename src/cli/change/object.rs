//! The JSON object of every writing command. Fields are added, never renamed.

use crate::cli::report::{ErrorObject, Failure};
use crate::target::Kind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

pub const SCHEMA: &str = "bootbank.change/1";

/// Every writing command.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Change {
    pub schema: &'static str,
    pub target: String,
    /// The target as a path, which need not be text.
    #[serde(skip)]
    pub path: PathBuf,
    /// What it is, where that can be told.
    #[serde(skip)]
    #[schemars(skip)]
    pub kind: Option<Kind>,
    pub outcome: Outcome,
    pub searched: Vec<String>,
    pub banks: Vec<ChangedBank>,
    pub undo: Option<String>,
    /// The undo file as a path.
    #[serde(skip)]
    pub undo_path: Option<PathBuf>,
    /// The undo file that an undo carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undone: Option<String>,
    pub bytes_read: u64,
    pub bytes_written: u64,
    pub output: Option<String>,
    pub warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorObject>,
    /// Lines and rows that may pass a device through and stay, where every device was to be given
    /// back.
    #[serde(skip)]
    #[schemars(skip)]
    pub left: usize,
}

impl Change {
    /// Records what failed. What is known to have become of the target stays: it may have been changed all the
    /// same, as where another file took its name right after.
    pub fn fail(&mut self, failure: &Failure) {
        let is_known = matches!(
            self.outcome,
            Outcome::Changed | Outcome::Partial | Outcome::NotStarted
        );
        if !is_known {
            self.outcome = Outcome::Failed;
        }
        self.error = Some(failure.object());
    }
}

/// What became of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Changed,
    Unchanged,
    WouldChange,
    Partial,
    Failed,
    NotStarted,
}

impl Outcome {
    /// Every outcome, the best first.
    pub const ALL: [Outcome; 6] = [
        Outcome::Changed,
        Outcome::Unchanged,
        Outcome::WouldChange,
        Outcome::Partial,
        Outcome::Failed,
        Outcome::NotStarted,
    ];

    /// As a person reads it.
    pub fn in_words(self) -> &'static str {
        match self {
            Outcome::Changed => "changed",
            Outcome::Unchanged => "nothing to change",
            Outcome::WouldChange => "would change",
            Outcome::Partial => "partly changed",
            Outcome::Failed => "failed",
            Outcome::NotStarted => "not started",
        }
    }
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ChangedBank {
    /// Nothing for a state file, which is in no bank.
    pub partition: Option<u32>,
    /// Whether its files are overwritten where they lie, for want of room beside them.
    pub in_place: bool,
    /// Clusters that are freed, which an interrupted run left allocated to no file.
    pub leftovers: usize,
    pub changes: Vec<ChangeItem>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ChangeItem {
    pub file: String,
    pub source: &'static str,
    pub key: String,
    /// As `-d` takes it, so with the `.vf1` of a virtual function.
    pub addresses: Vec<String>,
    pub from: Option<String>,
    pub to: Option<String>,
}
