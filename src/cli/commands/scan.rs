//! `bootbank scan`: which attached disks, or files of a folder, are boot media of ESXi hosts, whose,
//! and in what condition.

use crate::cli::process::Needs;
use crate::cli::report::{
    BelongsTo, ErrorObject, Exit, Failure, SymptomObject, disk_in_words, first_of_all,
    passed_in_words, whose_in_words,
};
use crate::cli::session::{Run, Schema, Session, for_each, once_each};
use crate::cli::terminal::{
    ERROR, HEADING, WARNING, name, plural, quoted_path, shown, size, styled,
};
use crate::diagnosis::{
    Certainty, Found, FoundMedium, Summary, Verdict, attached_disks, files_in, look_at,
};
use crate::host::{Disk, Host, Use};
use crate::target::Kind;
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const SCHEMA: &str = "bootbank.scan/1";

/// Most clones of a medium that are named in text.
const MOST_NAMED: usize = 3;

/// Find ESXi boot media among the attached disks, or the files of a folder
#[derive(Debug, Default, Args)]
#[command(after_help = "\
Examples:
  bootbank scan                              the attached disks
  bootbank scan images/                      the files of a folder
  bootbank scan --json | jq -r 'select(.verdict == \"boots\").target'

Each disk is shown with its lasting name below /dev/disk/by-id, model and serial number: clones are \
told apart by these. No right is needed but to read the disks; what may not be read is listed with \
the line that allows it. Packed images and virtual disks are listed and not looked into: `bootbank info \
FILE` does. Nothing is written.")]
pub struct Scan {
    /// Look into the files of this folder instead of the attached disks
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// What is looked at, found out before the process confines itself.
    #[arg(skip)]
    paths: Vec<PathBuf>,
}

/// `bootbank scan`: one object for each disk or file
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Medium {
    schema: &'static str,
    target: String,
    /// `boots`, `passed-through boot controller`, `sealed`, `damaged`, `does not boot`, `undecided`,
    /// `cannot be opened`, `not looked into` (a packed image or a virtual disk, which `bootbank info`
    /// looks into) or `no ESXi boot medium`.
    verdict: &'static str,
    /// Why.
    reason: Option<String>,
    size: Option<u64>,
    /// Left out for a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<DiskObject>,
    /// What keeps it busy.
    in_use: Vec<String>,
    /// What is known of a boot medium.
    #[serde(flatten)]
    about: Option<About>,
    /// Why it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorObject>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct DiskObject {
    by_id: Option<String>,
    model: Option<String>,
    serial: Option<String>,
    /// `usb`, `nvme`, `sata`, `scsi`, `mmc`, `virtio`, `loop` or `other`.
    bus: &'static str,
    removable: bool,
    /// Whether the running system is on it.
    system: bool,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct About {
    host: Option<String>,
    system_uuid: Option<String>,
    build: Option<String>,
    /// The bank that boots next.
    boots_next: Option<u32>,
    /// The devices passed through in that bank; nothing where that cannot be told.
    passed_through: Option<Vec<Passed>>,
    /// What the host shows while they are.
    symptoms: Vec<SymptomObject>,
    /// Whose it is.
    belongs_to: BelongsTo,
    /// The PCI function of this machine it hangs on.
    controller: Option<String>,
    /// Others of these media with the same system UUID.
    clones: Vec<String>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Passed {
    address: Option<String>,
    key: String,
    alias: Option<String>,
}

impl Scan {
    /// Of the attached disks.
    pub fn of_disks() -> Self {
        Scan::default()
    }
}

impl Run for Scan {
    fn first_target(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    fn prepare(&mut self) -> Result<(), Failure> {
        self.paths = match &self.folder {
            None => attached_disks(&Host::default())
                .into_iter()
                .map(|disk| disk.node)
                .collect(),
            Some(folder) => files_in(folder).map_err(|error| {
                let text = format!("cannot list {}: {error}", folder.display());
                match error.kind() {
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
                        Failure::usage(text).hint(
                            "scan takes a folder; `bootbank info` looks into one disk or image",
                        )
                    }
                    _ => Failure::io(text),
                }
            })?,
        };
        Ok(())
    }

    fn only_looks(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        Needs::to_read(&self.paths).leaving_packed()
    }

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        session.common.check_without_bank()?;
        session.common.check_for_scan()?;
        let paths = match &self.folder {
            // Each disk that is attached is shown, whatever it is over.
            None => self.paths.clone(),
            Some(_) => {
                let (paths, again) = once_each(&self.paths, &session.host);
                for (path, first) in again {
                    let (path, first) = (name(&path), name(&first));
                    let said = format!("{path} is the same file as {first}, and looked at once");
                    session.ui.say(&said);
                }
                paths
            }
        };
        let found = for_each(session, &paths, session.common.jobs.unwrap_or(1), |path| {
            look_at(path, &session.host, &session.local, |size| {
                session.settings(size)
            })
        });
        let clones = Clones::among(&found);
        let mut shown = 0usize;
        for medium in &found {
            session.ui.json(&object(medium, &clones));
            let is_none = matches!(medium.found, Found::Other(_));
            if !is_none || session.ui.is_verbose() {
                session
                    .ui
                    .text(&in_words(medium, &clones, session.ui.is_verbose()));
                shown = shown.saturating_add(1);
            }
        }
        session.ui.text(&self.rest_in_words(found.len(), shown));
        Ok(Exit::Done)
    }

    fn schemas() -> Vec<Schema> {
        vec![Schema::of::<Medium>("scan")]
    }
}

impl Scan {
    /// What was looked at and is not shown.
    fn rest_in_words(&self, looked_at: usize, shown: usize) -> String {
        let thing = match self.folder {
            Some(_) => "file",
            None => "disk",
        };
        let rest = looked_at.saturating_sub(shown);
        match (shown, rest) {
            (0, 0) => format!("There is no {thing} to look at.\n"),
            (_, 0) => String::new(),
            (0, rest) => format!(
                "No ESXi boot medium found: {rest} other {thing}{} (-v lists {}).\n",
                plural(rest),
                if rest == 1 { "it" } else { "them" }
            ),
            (_, rest) => format!(
                "{rest} other {thing}{} (-v lists {}).\n",
                plural(rest),
                if rest == 1 { "it" } else { "them" }
            ),
        }
    }
}

/// Which media have one system UUID.
struct Clones<'f>(BTreeMap<&'f str, Vec<&'f Path>>);

impl<'f> Clones<'f> {
    fn among(found: &'f [FoundMedium]) -> Self {
        let mut clones: BTreeMap<&str, Vec<&Path>> = BTreeMap::new();
        for medium in found {
            if let Found::Medium(summary) = &medium.found
                && let Some(uuid) = &summary.system_uuid
            {
                clones.entry(uuid).or_default().push(&medium.path);
            }
        }
        Clones(clones)
    }

    /// The others.
    fn of(&self, medium: &FoundMedium, summary: &Summary) -> Vec<String> {
        let all = summary
            .system_uuid
            .as_deref()
            .and_then(|uuid| self.0.get(uuid));
        let others = all
            .into_iter()
            .flatten()
            .filter(|path| **path != medium.path);
        others.map(|path| path.display().to_string()).collect()
    }
}

fn object(medium: &FoundMedium, clones: &Clones<'_>) -> Medium {
    let (reason, about, error) = match &medium.found {
        Found::Medium(summary) => (
            summary.verdict.reason().map(str::to_owned),
            Some(about(summary, clones.of(medium, summary))),
            None,
        ),
        Found::Damaged(error) => (
            Some(error.to_string()),
            None,
            Some(Failure::object_of(error)),
        ),
        Found::Closed(error) => {
            let object = Failure::from(error).object();
            (Some(object.message.clone()), None, Some(object))
        }
        Found::NotLookedInto(kind) => (Some(format!("it is {kind}")), None, None),
        Found::Other(why) => (Some(why.clone()), None, None),
    };
    Medium {
        schema: SCHEMA,
        target: medium.path.display().to_string(),
        verdict: medium.found.as_str(),
        reason,
        size: medium.size,
        disk: medium.disk.as_ref().map(|disk| disk_object(disk, medium)),
        in_use: medium.uses.iter().map(ToString::to_string).collect(),
        about,
        error,
    }
}

fn disk_object(disk: &Disk, medium: &FoundMedium) -> DiskObject {
    DiskObject {
        by_id: disk.by_id.as_ref().map(|path| path.display().to_string()),
        model: disk.product(),
        serial: disk.serial.clone(),
        bus: disk.bus.as_str(),
        removable: disk.removable,
        system: !medium.system.is_empty(),
    }
}

fn about(summary: &Summary, clones: Vec<String>) -> About {
    let passed = summary.passed_through.as_ref();
    let passed = passed.map(|devices| {
        let object = |device: &crate::diagnosis::PassedDevice| Passed {
            address: device.typed_address(),
            key: device.key.clone(),
            alias: device.alias.clone(),
        };
        devices.iter().map(object).collect()
    });
    About {
        host: summary.host.clone(),
        system_uuid: summary.system_uuid.clone(),
        build: summary.build.clone(),
        boots_next: summary.boots_next,
        passed_through: passed,
        symptoms: summary
            .consequences
            .iter()
            .map(SymptomObject::from)
            .collect(),
        belongs_to: BelongsTo::from(&summary.whose),
        controller: summary.controller.map(|address| address.to_string()),
        clones,
    }
}

fn in_words(medium: &FoundMedium, clones: &Clones<'_>, is_verbose: bool) -> String {
    let mut text = styled(&name(&medium.path), HEADING);
    match (&medium.disk, medium.size) {
        (Some(disk), _) => {
            let _ = write!(text, ": {}, {}", disk_in_words(disk), disk.bus.as_str());
        }
        (None, Some(bytes)) => {
            let _ = write!(text, ": {}", size(bytes));
        }
        (None, None) => {}
    }
    text.push('\n');
    let mut line = |line: String| {
        let _ = writeln!(text, "  {line}");
    };
    let by_id = medium.disk.as_ref().and_then(|disk| disk.by_id.as_ref());
    if let Some(by_id) = by_id {
        line(name(by_id));
    }
    found_in_words(medium, clones, is_verbose, &mut line);
    if !medium.system.is_empty() {
        line("this machine runs from it".to_owned());
    } else if !medium.uses.is_empty() {
        let uses: Vec<String> = medium.uses.iter().map(Use::to_string).collect();
        line(format!("in use: {}", shown(&uses.join("; "))));
    }
    text
}

/// What is on a medium, line by line.
fn found_in_words(
    medium: &FoundMedium,
    clones: &Clones<'_>,
    is_verbose: bool,
    line: &mut dyn FnMut(String),
) {
    match &medium.found {
        Found::Medium(summary) => {
            line(host_in_words(summary));
            line(verdict_in_words(summary, &medium.path));
            let others = clones.of(medium, summary);
            if let Some(clones) = clones_in_words(&others) {
                line(clones);
            }
            if is_verbose {
                line(shown(&whose_in_words(&summary.whose)));
            }
        }
        Found::Damaged(error) => line(format!(
            "{}: {}",
            styled("may be a damaged ESXi boot medium", ERROR),
            shown(&error.to_string())
        )),
        Found::Closed(error) => {
            let object = Failure::from(error).object();
            line(format!(
                "{}: {}",
                styled("cannot be opened", ERROR),
                shown(&object.message)
            ));
            if let Some(hint) = object.hint {
                line(shown(&hint));
            }
        }
        Found::NotLookedInto(kind) => line(format!(
            "not looked into, because it is {}: `bootbank info {}`",
            match kind {
                Kind::Packed(_) => "packed, and may be an image".to_owned(),
                kind => kind.to_string(),
            },
            quoted_path(&medium.path)
        )),
        Found::Other(why) => line(format!("{}: {}", medium.found.as_str(), shown(why))),
    }
}

/// Which others are clones; of many, how many more.
fn clones_in_words(others: &[String]) -> Option<String> {
    let named = others.get(..MOST_NAMED).unwrap_or(others);
    let names = shown(&named.join(", "));
    match others.len().saturating_sub(named.len()) {
        _ if others.is_empty() => None,
        0 => Some(format!(
            "same system UUID as {names}: one is a clone of the other"
        )),
        more => Some(format!(
            "same system UUID as {names} and {more} more: a clone of {} others",
            others.len()
        )),
    }
}

/// `host esx7.lab, build 7.0.2-0.0.1, bank 5 boots next`
fn host_in_words(summary: &Summary) -> String {
    let host = match (&summary.host, &summary.system_uuid) {
        (Some(name), _) => format!("host {}", shown(name)),
        (None, Some(uuid)) => format!("host without a name, UUID {}", shown(uuid)),
        (None, None) => "host not known".to_owned(),
    };
    let build = summary.build.as_deref();
    let build = build.map_or("no build".to_owned(), |build| {
        format!("build {}", shown(build))
    });
    let bank = match summary.boots_next {
        Some(bank) => format!("bank {bank} boots next"),
        None => "no bank boots next".to_owned(),
    };
    format!("{host}, {build}, {bank}")
}

fn verdict_in_words(summary: &Summary, path: &Path) -> String {
    let passed = summary.passed_through.as_deref().unwrap_or_default();
    let names: Vec<String> = passed.iter().map(passed_in_words).collect();
    let list = names.join(", ");
    let target = quoted_path(path);
    match &summary.verdict {
        Verdict::Boots if summary.passed_through.is_none() => {
            "boots with default settings".to_owned()
        }
        Verdict::Boots if names.is_empty() => "boots; no device is passed through".to_owned(),
        Verdict::Boots => format!("boots; passed through: {list}"),
        Verdict::BootControllerPassedThrough(sure) => {
            let is = match sure {
                Certainty::Known => "boot controller is passed through",
                Certainty::Probable => "boot controller is probably passed through",
            };
            format!(
                "boots, but its {}; passed through: {list}\n  next: {}`bootbank fix {target}`",
                styled(is, WARNING),
                first_of_all(&summary.whose)
            )
        }
        Verdict::Sealed => {
            "boots; the state is sealed, so what is passed through is not known".to_owned()
        }
        other => {
            let reason = other.reason().unwrap_or_default();
            format!("{}: {}", styled(other.as_str(), ERROR), shown(reason))
        }
    }
}
