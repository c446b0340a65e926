//! The `error` of every JSON object.

use schemars::JsonSchema;
use serde::Serialize;

/// `error` of every object.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ErrorObject {
    /// `refused`, `damaged`, `unsupported`, `io` or `usage`.
    pub kind: &'static str,
    /// What and where.
    pub message: String,
    /// The same for where the place is told already; nothing where it begins with none.
    #[serde(skip)]
    pub shorter: Option<Box<Shorter>>,
    /// What to do next.
    pub hint: Option<String>,
    /// Partition number, where one is concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    /// Path on the medium or on this machine, where one is concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Byte position on the medium, where one is concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}

/// A message for people, without the place that stands before it already.
#[derive(Clone, Debug)]
pub struct Shorter {
    /// Without the partition.
    pub in_bank: String,
    /// Without the partition and the file.
    pub in_file: String,
}

impl ErrorObject {
    /// The message for where the partition is told already.
    pub fn in_bank(&self) -> &str {
        let shorter = self.shorter.as_ref();
        shorter.map_or(&self.message, |it| &it.in_bank)
    }

    /// The message for where the partition and the file are told already.
    pub fn in_file(&self) -> &str {
        let shorter = self.shorter.as_ref();
        shorter.map_or(&self.message, |it| &it.in_file)
    }
}

/// A target that could not be treated: `schema` is that of the command.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FailedObject {
    pub schema: &'static str,
    pub target: String,
    pub error: ErrorObject,
}

/// What went wrong before any target was looked at.
pub const ERROR: &str = "bootbank.error/1";
