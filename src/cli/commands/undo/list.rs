//! `bootbank undo --list`: which undo files there are, and what for.

use crate::cli::change::KeptUndo;
use crate::cli::report::{ErrorObject, Exit};
use crate::cli::session::Session;
use crate::cli::terminal::{plural, quoted_path, shown};
use schemars::JsonSchema;
use serde::Serialize;
use std::fs;
use std::path::Path;

pub const SCHEMA: &str = "bootbank.undo-file/1";

/// Most changes of one file that are named in text.
const MOST_NAMED: usize = 3;

/// An undo file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UndoFile {
    pub schema: &'static str,
    /// The medium by the name it had when it was changed; empty where that is not known.
    pub target: String,
    /// The undo file.
    pub file: String,
    /// When it was made, in UTC.
    pub time: Option<String>,
    /// Size of the file in bytes.
    pub size: u64,
    /// Size of the medium in bytes.
    pub medium_size: Option<u64>,
    /// The model of the disk.
    pub model: Option<String>,
    /// The serial number of the disk.
    pub serial: Option<String>,
    /// The name of the host before the change.
    pub host: Option<String>,
    /// The command that made the change, without its arguments.
    pub command: Option<String>,
    /// How many settings and files it changed.
    pub changes: Option<usize>,
    /// The first of them by name.
    pub changed: Vec<String>,
    /// The banks there were.
    pub banks: Vec<UndoBank>,
    /// What --prune does with the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Why it is removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<WhyRemoved>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorObject>,
}

/// A bank as it was when its medium was changed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UndoBank {
    pub partition: u32,
    pub uuid: String,
}

/// What becomes of an undo file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Removed,
    WouldRemove,
    Failed,
}

/// Why an undo file is not needed any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WhyRemoved {
    /// The change was undone.
    Undone,
    /// It is old, and there is a newer one for this medium.
    Old,
    /// A run that was cut left half of one.
    Half,
}

impl WhyRemoved {
    pub fn in_words(self) -> &'static str {
        match self {
            WhyRemoved::Undone => "the change was undone",
            WhyRemoved::Old => "old, and there is a newer one for this medium",
            WhyRemoved::Half => "half an undo file, left by a run that was cut",
        }
    }
}

/// Shows undo files, the newest first: all there are, or those of a medium.
pub fn list(session: &Session, files: &[&KeptUndo], stick: Option<&Path>) -> Exit {
    for file in files {
        session.ui.text(&format!("{}\n", in_words(file)));
        session.ui.json(&object(file));
    }
    if files.is_empty() {
        session.ui.say(&match stick {
            Some(stick) => format!(
                "there is no undo file for {}; `bootbank undo --list` shows those of other media",
                quoted_path(stick)
            ),
            None => "there is no undo file".to_owned(),
        });
    } else {
        let count = files.len();
        session.ui.say(&format!(
            "{count} undo file{}; to undo a change: bootbank undo FILE",
            plural(count)
        ));
    }
    Exit::Done
}

/// An undo file as an object.
pub fn object(file: &KeptUndo) -> UndoFile {
    let about = file.about().cloned().unwrap_or_default();
    let target = about.target.map(|path| path.display().to_string());
    let bank = |(partition, uuid)| UndoBank { partition, uuid };
    UndoFile {
        schema: SCHEMA,
        target: target.unwrap_or_default(),
        file: file.path.display().to_string(),
        time: file.time.map(|time| time.to_string()),
        size: file.size,
        medium_size: file.found.as_ref().ok().map(|it| it.size),
        model: about.model,
        serial: about.serial,
        host: about.host,
        command: about.command,
        changes: about.changes,
        changed: about.changed,
        banks: about.banks.into_iter().map(bank).collect(),
        outcome: None,
        why: None,
        error: file.found.as_ref().err().map(|failure| failure.object()),
    }
}

/// Half an undo file, of which nothing is known but its name and size.
pub fn object_of_half(path: &Path) -> UndoFile {
    UndoFile {
        schema: SCHEMA,
        target: String::new(),
        file: path.display().to_string(),
        time: None,
        size: fs::metadata(path).map_or(0, |it| it.len()),
        medium_size: None,
        model: None,
        serial: None,
        host: None,
        command: None,
        changes: None,
        changed: Vec::new(),
        banks: Vec::new(),
        outcome: None,
        why: Some(WhyRemoved::Half),
        error: None,
    }
}

/// An undo file in lines: when, of what and whose; what was changed; and its name.
pub fn in_words(file: &KeptUndo) -> String {
    let time = file.time.map_or("time unknown".to_owned(), |time| {
        time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
    });
    let name = quoted_path(&file.path);
    let about = match &file.found {
        Ok(summary) => &summary.about,
        Err(failure) => {
            let why = shown(&failure.object().message);
            return format!("{time}  {why}\n    {name}");
        }
    };
    let mut head = vec![time];
    head.push(match &about.target {
        Some(target) => quoted_path(target),
        None => "medium unknown".to_owned(),
    });
    head.extend(about.model.as_deref().map(shown));
    let serial = about.serial.as_deref();
    head.extend(serial.map(|serial| format!("serial {}", shown(serial))));
    let host = about.host.as_deref();
    head.extend(host.map(|host| format!("host {}", shown(host))));
    let command = about.command.as_deref().unwrap_or("a change");
    let count = match about.changes {
        None | Some(0) => String::new(),
        Some(1) => ": 1 change".to_owned(),
        Some(many) => format!(": {many} changes"),
    };
    let mut text = format!("{}\n    {}{count}", head.join("  "), shown(command));
    for named in about.changed.iter().take(MOST_NAMED) {
        text.push_str(&format!("\n      {}", shown(named)));
    }
    let named = about.changed.len().min(MOST_NAMED);
    let more = about.changes.unwrap_or(0).saturating_sub(named);
    if named > 0 && more > 0 {
        text.push_str(&format!("\n      and {more} more"));
    }
    format!("{text}\n    {name}")
}
