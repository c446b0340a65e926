//! What the commands told in objects, as far as the guided way goes by it.

use crate::cli::change::Outcome;
use crate::cli::process::{Again, Told};
use crate::cli::report::{Exit, Failure};
use crate::cli::terminal::size;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A disk, as `bootbank scan` tells it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Medium {
    pub target: String,
    pub verdict: String,
    pub size: Option<u64>,
    pub disk: Option<Disk>,
    pub host: Option<String>,
    pub system_uuid: Option<String>,
    pub passed_through: Option<Vec<Device>>,
    pub symptoms: Vec<SymptomObject>,
    pub belongs_to: Option<BelongsTo>,
    pub controller: Option<String>,
    pub error: Option<Trouble>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Disk {
    pub model: Option<String>,
    pub serial: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Device {
    pub address: Option<String>,
    pub key: String,
    pub alias: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SymptomObject {
    pub symptom: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct BelongsTo {
    pub whom: Option<String>,
    pub is_known: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Trouble {
    pub message: String,
    pub hint: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Banks {
    banks: Vec<Bank>,
}

/// A bank, as `bootbank bank list` tells it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Bank {
    pub partition: u32,
    pub build: Option<String>,
    pub boots_next: bool,
    pub starts: Option<bool>,
}

/// An undo file, as `bootbank undo --list` tells it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Undo {
    pub target: String,
    pub file: String,
    pub time: Option<String>,
    pub serial: Option<String>,
    pub command: Option<String>,
}

/// What a writing command tells of what it does, and `bootbank undo` of the file that it goes by.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Change {
    outcome: Option<Outcome>,
    undone: Option<String>,
}

impl Change {
    /// Whether there is something to do, and it was not done.
    fn is_to_come(&self) -> bool {
        self.outcome == Some(Outcome::WouldChange)
    }
}

impl Medium {
    /// What tells it from another: `SanDisk Cruzer Fit, serial 4C53, 7.5 GiB, host esx7.lab`.
    pub fn in_words(&self) -> String {
        let disk = self.disk.clone().unwrap_or_default();
        let serial = disk.serial.map(|serial| format!("serial {serial}"));
        let name = self.host.as_ref().map(|name| format!("host {name}"));
        let uuid = self.system_uuid.as_ref();
        let host = name.or_else(|| uuid.map(|uuid| format!("host UUID {uuid}")));
        let parts = [disk.model, serial, self.size.map(size), host];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        parts.join(", ")
    }

    /// Whether an undo file may be for it. The command that uses the file looks closely.
    pub fn may_be_of(&self, undo: &Undo) -> bool {
        let serial = self.disk.as_ref().and_then(|disk| disk.serial.as_ref());
        match (serial, &undo.serial) {
            (Some(own), Some(other)) => own == other,
            (None, None) => self.target == undo.target,
            _ => false,
        }
    }
}

/// The attached disks.
///
/// # Errors
/// A process that cannot be started, or told nothing.
pub fn disks(again: &Again) -> Result<Vec<Medium>, Failure> {
    let told = again.ask(&["scan"])?;
    match told.exit {
        Exit::Done => Ok(objects(told)),
        _ => Err(told.nothing()),
    }
}

/// The banks of a medium; none where they cannot be told.
///
/// # Errors
/// A process that cannot be started.
pub fn banks(again: &Again, target: &str) -> Result<Vec<Bank>, Failure> {
    let told = again.ask(&["bank", "list", target])?;
    let banks = objects::<Banks>(told).into_iter();
    Ok(banks.flat_map(|told| told.banks).collect())
}

/// Whether a writing command says that it would change something.
///
/// # Errors
/// A process that cannot be started.
pub fn would_change(again: &Again, line: &[&str]) -> Result<bool, Failure> {
    let told = again.ask(line)?;
    let changes = objects::<Change>(told);
    Ok(changes.iter().any(Change::is_to_come))
}

/// The undo file of the newest change of a medium that is not undone yet.
///
/// # Errors
/// A process that cannot be started.
pub fn undo_of_last(again: &Again, medium: &Medium) -> Result<Option<Undo>, Failure> {
    let told = again.ask(&["undo", "--list"])?;
    let mut files: Vec<Undo> = objects(told);
    if !files.iter().any(|undo| medium.may_be_of(undo)) {
        return Ok(None);
    }
    let told = again.ask(&["undo", "--last", "--dry-run", &medium.target])?;
    let last = objects::<Change>(told).pop().unwrap_or_default();
    if !last.is_to_come() {
        return Ok(None);
    }
    files.retain(|undo| Some(&undo.file) == last.undone.as_ref());
    Ok(files.pop())
}

fn objects<T: DeserializeOwned>(told: Told) -> Vec<T> {
    let objects = told.objects.into_iter();
    objects
        .filter_map(|object| serde_json::from_value(object).ok())
        .collect()
}
