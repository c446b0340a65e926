//! The JSON objects scripts read. Fields are added, never renamed.

use schemars::JsonSchema;
use serde::Serialize;

/// `error` of every object.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ErrorObject {
    /// `refused`, `damaged`, `unsupported`, `io` or `usage`.
    pub kind: &'static str,
    /// What and where.
    pub message: String,
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

/// A target that could not be treated: `schema` is that of the command.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FailedObject {
    pub schema: &'static str,
    pub target: String,
    pub error: ErrorObject,
}

pub const INFO: &str = "bootbank.info/1";
pub const PCI: &str = "bootbank.pci/1";
pub const CHANGE: &str = "bootbank.change/1";
pub const VERIFY: &str = "bootbank.verify/1";
pub const LS: &str = "bootbank.ls/1";
/// What went wrong before any target was looked at.
pub const ERROR: &str = "bootbank.error/1";

/// `bootbank info`
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Info {
    pub schema: &'static str,
    pub target: String,
    pub size: u64,
    pub sector_size: u32,
    pub table: &'static str,
    pub partitions: Vec<Partition>,
    pub banks: Vec<Bank>,
    /// How the device says it treats a flush; nothing for image files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_cache: Option<&'static str>,
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Partition {
    pub number: u32,
    #[serde(rename = "type")]
    pub type_id: String,
    pub name: String,
    pub first_lba: u64,
    pub last_lba: u64,
    pub kind: &'static str,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Bank {
    pub partition: u32,
    pub uuid: Option<String>,
    pub label: Option<String>,
    pub build: Option<String>,
    pub updated: Option<u32>,
    pub bootstate: Option<i32>,
    pub bootable: bool,
    pub boots_next: bool,
    pub why_not: Option<String>,
    pub states: Vec<State>,
    /// Why the bank cannot be opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorObject>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct State {
    pub file: String,
    pub form: Option<&'static str>,
    /// Where the key of a sealed state is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
    pub listed_in_modules: bool,
    pub size: u64,
    /// Devices it passes through; nothing where that cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passed_through: Option<usize>,
    /// What can be told of a sealed state without its key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outside: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorObject>,
}

/// `bootbank pci list`
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Pci {
    pub schema: &'static str,
    pub target: String,
    pub banks: Vec<PciBank>,
    pub warnings: Vec<String>,
    /// The first of the banks' errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorObject>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PciBank {
    pub partition: u32,
    pub devices: Vec<Device>,
    /// Why a state of the bank could not be looked into.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorObject>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Device {
    pub file: String,
    pub source: &'static str,
    pub key: String,
    pub addresses: Vec<String>,
    /// The same addresses as `lspci` and as esx.conf of 4.x write them.
    pub spellings: Vec<String>,
    pub owner: String,
    pub passthrough: bool,
    pub alias: Option<String>,
    pub storage: bool,
    pub virtual_function: bool,
    pub name: Option<String>,
}

/// Every writing command.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Change {
    pub schema: &'static str,
    pub target: String,
    pub outcome: Outcome,
    pub searched: Vec<String>,
    pub banks: Vec<ChangedBank>,
    pub undo: Option<String>,
    pub bytes_read: u64,
    pub bytes_written: u64,
    pub output: Option<String>,
    pub warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorObject>,
}

/// What became of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
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
    pub partition: u32,
    /// Whether its files are overwritten where they lie, for want of room beside them.
    pub in_place: bool,
    pub changes: Vec<ChangeItem>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ChangeItem {
    pub file: String,
    pub source: &'static str,
    pub key: String,
    pub addresses: Vec<String>,
    pub from: Option<String>,
    pub to: Option<String>,
}

/// `bootbank verify`
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Verify {
    pub schema: &'static str,
    pub target: String,
    pub ok: bool,
    pub findings: Vec<Finding>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Finding {
    pub severity: &'static str,
    pub layer: &'static str,
    pub partition: Option<u32>,
    pub message: String,
}

/// `bootbank ls`
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Listing {
    pub schema: &'static str,
    pub target: String,
    pub entries: Vec<ListEntry>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ListEntry {
    pub path: String,
    pub size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtime: Option<u64>,
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}
