//! What edits come to, as values: the members to be written, and what that means in words.

use super::selector::SelectError;
use super::{EditWarning, Harm};
use crate::error::ErrorKind;
use crate::ownership::{Owner, RowKey, Source, typed_address, virtual_function_number};
use crate::pci::PciAddress;
use crate::secrets::{Guarded, quotable};
use crate::state::MemberEdit;

/// One setting before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SettingChange {
    /// Where it is kept.
    pub source: ChangeSource,
    /// What it is called there.
    pub key: String,
    /// The device, for a device's owner whose address can be told.
    pub address: Option<PciAddress>,
    /// What people call the device, where the state tells: `vmhba32`.
    pub alias: Option<String>,
    /// Value before; `None` where there was none.
    pub from: Option<Guarded>,
    /// Value after; `None` where there is none.
    pub to: Option<Guarded>,
    /// What it would cost the host, so that nobody does it unasked.
    pub harm: Option<Harm>,
}

impl SettingChange {
    /// One that is about no device.
    pub fn new(
        source: ChangeSource,
        key: impl Into<String>,
        from: Option<Guarded>,
        to: Option<Guarded>,
    ) -> Self {
        SettingChange {
            source,
            key: key.into(),
            address: None,
            alias: None,
            from,
            to,
            harm: None,
        }
    }

    /// Whether it passes a device through.
    pub fn passes_through(&self) -> bool {
        let passthru = |source| Guarded::of(Owner::Passthru.spelled(source));
        let sources = [Source::EsxConf, Source::ConfigStore];
        let to = self.to.as_ref();
        to.is_some_and(|to| sources.map(passthru).contains(to))
    }

    /// The address of the device as a person types it, with the `.vf1` of a virtual function.
    pub fn typed_address(&self) -> Option<String> {
        Some(typed_address(self.address?, self.virtual_function()))
    }

    /// Which virtual function the device is: `1` of `.vf1`.
    pub(crate) fn virtual_function(&self) -> Option<&str> {
        virtual_function_number(self.key.strip_suffix("/owner").unwrap_or(&self.key))
    }
}

/// A member as text before and after, for a diff. A database is shown as its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TextChange {
    /// Path of the member; empty where the bank's own file is meant.
    pub path: String,
    /// Text before.
    pub before: Guarded,
    /// Text after.
    pub after: Guarded,
}

/// What edits come to in one state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Edited {
    /// Members that get new content. Empty where nothing has to change.
    pub members: Vec<MemberEdit>,
    /// The settings that change.
    pub changes: Vec<SettingChange>,
    /// The changed members as texts.
    pub texts: Vec<TextChange>,
    /// What was looked into.
    pub searched: Vec<String>,
    /// What is odd about it.
    pub warnings: Vec<EditWarning>,
    /// Lines and rows that may pass a device through, but not of the form that can be changed; 0
    /// where no edit is about owners. Where there are any, neither "nothing to change" nor "every
    /// device given back" is the whole truth.
    pub doubtful: usize,
    /// What the edits name and this state does not hold. Where it was to be gone, whether that is
    /// an error depends on the other states of the medium.
    pub unmatched: Vec<Unmatched>,
}

/// Where a setting that changes is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ChangeSource {
    /// A line of `etc/vmware/esx.conf`.
    EsxConf,
    /// A row of the ConfigStore.
    ConfigStore,
    /// A line of the bank's `boot.cfg`.
    BootCfg,
    /// A file as a whole.
    File,
}

impl ChangeSource {
    /// The word used in output: `esx.conf`, `configstore`, `boot.cfg` or `file`.
    pub fn as_str(self) -> &'static str {
        match self {
            ChangeSource::EsxConf => Source::EsxConf.as_str(),
            ChangeSource::ConfigStore => Source::ConfigStore.as_str(),
            ChangeSource::BootCfg => "boot.cfg",
            ChangeSource::File => "file",
        }
    }
}

impl From<Source> for ChangeSource {
    fn from(source: Source) -> Self {
        match source {
            Source::EsxConf => ChangeSource::EsxConf,
            Source::ConfigStore => ChangeSource::ConfigStore,
        }
    }
}

/// What an edit names and one state, or one `boot.cfg`, does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unmatched {
    /// A device that is to be the VMkernel's.
    #[error(transparent)]
    Device(SelectError),
    /// A device that is to be passed through.
    #[error(transparent)]
    NewDevice(SelectError),
    /// A key of esx.conf.
    #[error("esx.conf has no line `{0}`")]
    Key(String),
    /// A row of the ConfigStore.
    #[error("the ConfigStore has no row {row}{}", rows_of_key(*others))]
    Row {
        /// The row.
        row: String,
        /// How many rows there are that differ from it in their identifier alone.
        others: usize,
    },
    /// A row of the ConfigStore that is not there and cannot be made.
    #[error("the ConfigStore has no row {row}, and bootbank cannot make it: {why}")]
    NewRow {
        /// The row.
        row: String,
        /// Why not.
        why: String,
    },
    /// A file of the configuration.
    #[error("the state holds no file {0}")]
    File(String),
    /// A kernel option that was to be replaced.
    #[error("there is no kernel option {:?} to replace", quotable(.0))]
    Option(String),
}

/// The words about other rows of a key.
fn rows_of_key(others: usize) -> String {
    match others {
        0 => String::new(),
        1 => "; its key has 1 row, with another identifier".to_owned(),
        many => format!("; its key has {many} rows, with other identifiers"),
    }
}

impl Unmatched {
    /// A row that is not there.
    pub(crate) fn row<'r>(key: &RowKey, rows: impl Iterator<Item = &'r RowKey>) -> Self {
        let others = rows.filter(|other| other.is_of_same_setting(key)).count();
        Unmatched::Row {
            row: key.to_string(),
            others,
        }
    }

    /// What the error means to whoever has to act on it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Unmatched::NewRow { .. } => ErrorKind::Refused,
            _ => ErrorKind::Usage,
        }
    }

    /// Whether it was to be set, so that a state without it is not as it was asked to be. Any other is
    /// to be gone, or to be what it is without an entry.
    pub(crate) fn is_to_be_set(&self) -> bool {
        match self {
            Unmatched::NewDevice(_) | Unmatched::NewRow { .. } | Unmatched::Option(_) => true,
            Unmatched::Device(_)
            | Unmatched::Key(_)
            | Unmatched::Row { .. }
            | Unmatched::File(_) => false,
        }
    }

    /// Whether `other` means the same, though it may be said of another state.
    pub(super) fn is_same(&self, other: &Unmatched) -> bool {
        match (self, other) {
            (Unmatched::Device(one), Unmatched::Device(two))
            | (Unmatched::NewDevice(one), Unmatched::NewDevice(two)) => {
                one.selector() == two.selector()
            }
            (Unmatched::NewRow { row: one, .. }, Unmatched::NewRow { row: two, .. })
            | (Unmatched::Row { row: one, .. }, Unmatched::Row { row: two, .. }) => one == two,
            _ => self == other,
        }
    }
}
