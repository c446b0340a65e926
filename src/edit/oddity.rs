//! What is odd about a configuration: lines kept as they are, rows that contradict themselves, devices that
//! the two files give to different owners.

use super::configuration::{CONFIG_STORE, Configuration, ESX_CONF};
use super::error::EditError;
use crate::ownership::{
    DeviceOwner, Note, NoteKind, OwnershipError, RowNote, Source, disagreements,
};
use crate::pci::PciAddress;
use std::fmt;

/// Line numbers a sentence names at the most.
const LINES_NAMED: usize = 5;

/// Something odd about a configuration, that a person should know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigurationWarning {
    /// The bank's file that holds the configuration: `state.tgz`.
    pub file: String,
    /// What.
    pub oddity: Oddity,
}

/// What is odd.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Oddity {
    /// A line of esx.conf that may decide who owns a device.
    Line(Note),
    /// Lines of esx.conf that pass no device through and are kept as they are; there can be dozens.
    KeptLines {
        /// What all of them are.
        kind: NoteKind,
        /// Their numbers, from 1.
        lines: Vec<usize>,
    },
    /// Lines that were counted and not noted.
    MoreLines(usize),
    /// A ConfigStore that cannot be opened, of a release that takes the owners of devices from esx.conf.
    ClosedStore(OwnershipError),
    /// A row of the ConfigStore.
    Row(RowNote),
    /// A device that the two files give to different owners.
    Disagreement {
        /// Which.
        address: PciAddress,
        /// Its owner by esx.conf.
        esx_conf: Option<String>,
        /// Its owner by the ConfigStore.
        config_store: Option<String>,
    },
}

/// What a warning is about, wherever that stands: a line may have moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject<'w> {
    Line(NoteKind, &'w str),
    Other(&'w Oddity),
}

impl ConfigurationWarning {
    /// What it is about; `None` for lines that decide nothing about a device.
    pub(super) fn subject(&self) -> Option<Subject<'_>> {
        match &self.oddity {
            Oddity::Line(note) => Some(Subject::Line(note.kind, &note.text)),
            Oddity::KeptLines { .. } | Oddity::MoreLines(_) => None,
            other => Some(Subject::Other(other)),
        }
    }

    /// Which file of the configuration it is about; esx.conf, where the two disagree.
    pub fn source(&self) -> Source {
        match self.oddity {
            Oddity::Line(_)
            | Oddity::KeptLines { .. }
            | Oddity::MoreLines(_)
            | Oddity::Disagreement { .. } => Source::EsxConf,
            Oddity::ClosedStore(_) | Oddity::Row(_) => Source::ConfigStore,
        }
    }
}

impl fmt::Display for ConfigurationWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = &self.file;
        match &self.oddity {
            Oddity::Line(note) => write!(f, "{file}:{ESX_CONF}: {note}"),
            Oddity::KeptLines { kind, lines } => {
                write!(f, "{file}:{ESX_CONF}: {}", kept_in_words(*kind, lines))
            }
            Oddity::MoreLines(count) => write!(f, "{file}:{ESX_CONF}: {count} more like these"),
            Oddity::ClosedStore(error) => write!(
                f,
                "{file}:{CONFIG_STORE} cannot be opened and stays as it is: {error}. A host of this release takes the owners of devices from esx.conf"
            ),
            Oddity::Row(note) => write!(f, "{file}:{CONFIG_STORE}: {note}"),
            Oddity::Disagreement {
                address,
                esx_conf,
                config_store,
            } => write!(
                f,
                "{file}: esx.conf and the ConfigStore disagree about the owner of {address}: {} and {}",
                esx_conf.as_deref().unwrap_or("vmkernel"),
                config_store.as_deref().unwrap_or("OWNER_VMKERNEL"),
            ),
        }
    }
}

impl std::error::Error for ConfigurationWarning {}

/// One sentence for all lines of one kind.
fn kept_in_words(kind: NoteKind, lines: &[usize]) -> String {
    let what = kind.as_str();
    if let [line] = lines {
        return format!("line {line} {what}");
    }
    let named = lines.iter().take(LINES_NAMED);
    let named: Vec<String> = named.map(ToString::to_string).collect();
    let more = if lines.len() > LINES_NAMED {
        ", ..."
    } else {
        ""
    };
    format!(
        "each of {} lines ({}{more}) {what}",
        lines.len(),
        named.join(", ")
    )
}

impl Configuration {
    /// What is odd about it.
    ///
    /// # Errors
    /// As [`Configuration::devices`].
    pub fn warnings(&self) -> Result<Vec<ConfigurationWarning>, EditError> {
        let mut odd = Vec::new();
        if let Some(conf) = &self.esx_conf {
            let (plain, grave): (Vec<&Note>, Vec<&Note>) = conf
                .notes()
                .iter()
                .partition(|note| note.kind.is_only_kept());
            odd.extend(grave.into_iter().cloned().map(Oddity::Line));
            odd.extend(kept_lines(&plain));
            let more = conf.notes_left_out();
            odd.extend((more > 0).then_some(Oddity::MoreLines(more)));
        }
        odd.extend(self.closed_store.clone().map(Oddity::ClosedStore));
        let rows = self.store.iter().flat_map(|store| store.notes());
        odd.extend(rows.map(Oddity::Row));
        odd.extend(disagreeing(&self.devices()?));
        let warning = |oddity| ConfigurationWarning {
            file: self.file.clone(),
            oddity,
        };
        Ok(odd.into_iter().map(warning).collect())
    }
}

/// The lines of each kind, in the order of what is said of them.
fn kept_lines(notes: &[&Note]) -> Vec<Oddity> {
    let mut kinds: Vec<NoteKind> = notes.iter().map(|note| note.kind).collect();
    kinds.dedup();
    kinds.sort_by_key(|kind| kind.as_str());
    kinds.dedup();
    let of_kind = |kind: NoteKind| {
        let lines = notes.iter().filter(|note| note.kind == kind);
        let lines = lines.map(|note| note.line).collect();
        Oddity::KeptLines { kind, lines }
    };
    kinds.into_iter().map(of_kind).collect()
}

/// The devices that the two files give to different owners.
fn disagreeing(devices: &[DeviceOwner]) -> Vec<Oddity> {
    let of = |source| -> Vec<DeviceOwner> {
        let here = devices.iter().filter(|device| device.source == source);
        here.cloned().collect()
    };
    let (conf, store) = (of(Source::EsxConf), of(Source::ConfigStore));
    let all = disagreements(&conf, &store).into_iter();
    all.map(|it| Oddity::Disagreement {
        address: it.address,
        esx_conf: it.esx_conf.owner.clone(),
        config_store: it.config_store.owner.clone(),
    })
    .collect()
}
