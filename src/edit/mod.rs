//! What can be asked to change, as values, and what that makes of a state.
//!
//! [`apply`] works out what edits come to in one opened state: which members get which new
//! content, and what that means in words. Pure: bytes in, values out.

mod conf;
mod configuration;
mod files;
#[cfg(test)]
mod fixtures;
mod host;
pub mod host_map;
pub mod identity;
pub mod inventory;
mod kernelopt;
mod owners;
pub mod plan_file;
pub mod seal;
pub mod secrets;
pub mod selector;
mod store;

pub use conf::ConfEdit;
pub use configuration::{CONFIG_STORE, Configuration, ESX_CONF, SCHEMA_STORE};
pub use files::{FileEdit, fingerprint};
pub use host::HostEdit;
pub use identity::Identity;
pub use kernelopt::apply_to_boot_cfg;
pub use owners::{Devices, OwnerEdit, rows_as_text};
pub use selector::{SelectError, Selector};
pub use store::StoreEdit;

use crate::bank::{KerneloptEdit, KerneloptError, Release};
use crate::error::ErrorKind;
use crate::ownership::{Owner, OwnershipError, SchemaStore, Source};
use crate::pci::PciAddress;
use crate::state::{MemberEdit, MemberKind, State, StateError};
use configuration::inside;

/// One thing to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Who owns devices.
    Owner(OwnerEdit),
    /// A setting of esx.conf.
    Conf(ConfEdit),
    /// A row of the ConfigStore.
    Store(StoreEdit),
    /// A file of the configuration.
    File(FileEdit),
    /// Kernel options of the bank's `boot.cfg`.
    Kernelopt(KerneloptEdit),
    /// What a pipeline sets on a host, each where its release keeps it.
    Host(HostEdit),
    /// What makes an image that of one host is taken out.
    Seal(Vec<seal::Operation>),
}

impl Edit {
    /// Whether it changes the `boot.cfg` of a bank; every other edit changes its states.
    pub fn is_of_boot_cfg(&self) -> bool {
        matches!(self, Edit::Kernelopt(_))
    }
}

/// Where a setting that changes is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
pub enum Unmatched {
    /// A device.
    #[error(transparent)]
    Device(#[from] SelectError),
    /// A key of esx.conf.
    #[error("esx.conf has no line `{0}`")]
    Key(String),
    /// A row of the ConfigStore.
    #[error("the ConfigStore has no row {0}")]
    Row(String),
    /// A row of the ConfigStore that is not there and cannot be made.
    #[error("the ConfigStore has no row {row}, and none can be made: {why}")]
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
    #[error("kernel option {0:?} is not there to be replaced")]
    Option(String),
}

impl Unmatched {
    /// What the error means to whoever has to act on it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Unmatched::NewRow { .. } => ErrorKind::Refused,
            _ => ErrorKind::Usage,
        }
    }

    /// Whether `other` means the same, though it may be said of another state.
    fn is_same(&self, other: &Unmatched) -> bool {
        match (self, other) {
            (Unmatched::Device(one), Unmatched::Device(two)) => one.selector() == two.selector(),
            _ => self == other,
        }
    }
}

/// What the edits depend on besides the state: nothing is taken from a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// Seconds since 1970 for times that have to be invented; `None` to keep what is there.
    pub time: Option<u64>,
}

/// One setting before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where it is kept.
    pub source: ChangeSource,
    /// What it is called there.
    pub key: String,
    /// The device, for a device's owner whose address can be told.
    pub address: Option<PciAddress>,
    /// What people call the device, where the state tells: `vmhba32`.
    pub alias: Option<String>,
    /// Value before; `None` where there was none.
    pub from: Option<String>,
    /// Value after; `None` where there is none.
    pub to: Option<String>,
    /// What it would cost the host, so that nobody does it unasked.
    pub harm: Option<Harm>,
}

/// What a change can cost a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// A storage adapter is passed through: the host loses the disks behind it, and its boot medium
    /// where that is one of them.
    StorageAdapter,
}

/// A member as text before and after, for a diff. A database is shown as its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextChange {
    /// Path of the member; empty where the bank's own file is meant.
    pub path: String,
    /// Text before.
    pub before: String,
    /// Text after.
    pub after: String,
}

/// What edits come to in one state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edited {
    /// Members that get new content. Empty where nothing has to change.
    pub members: Vec<MemberEdit>,
    /// The settings that change.
    pub changes: Vec<Change>,
    /// The changed members as texts.
    pub texts: Vec<TextChange>,
    /// What was looked into.
    pub searched: Vec<String>,
    /// What is odd about it.
    pub warnings: Vec<String>,
    /// Lines that look like passed-through devices, but not of the form that can be changed.
    /// Where there are any, "nothing to change" is not the whole truth.
    pub doubtful: usize,
    /// What the edits name and this state does not hold. Whether that is an error depends on
    /// the other states of the medium.
    pub unmatched: Vec<Unmatched>,
}

/// Why edits cannot be made in a state.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The archive.
    #[error(transparent)]
    State(#[from] StateError),
    /// One of the configuration files.
    #[error("{path}: {source}")]
    Ownership {
        /// Which.
        path: &'static str,
        /// What is wrong with it.
        source: OwnershipError,
    },
    /// What was asked for.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// What was asked for is nowhere on the medium.
    #[error(transparent)]
    Unmatched(#[from] Unmatched),
    /// The kernel options.
    #[error(transparent)]
    Kernelopt(#[from] KerneloptError),
    /// The loader would read more than the options otherwise.
    #[error(
        "the change would make ESXi's loader read more of boot.cfg differently than its kernel options"
    )]
    BootCfg,
    /// The file an edit is about is not in the state.
    #[error("the state holds no {path}")]
    Missing {
        /// Which.
        path: &'static str,
    },
    /// A value for a host that cannot be meant.
    #[error("{what}: {why}")]
    HostValue {
        /// `name`, `domain`, `ntp` or `ssh-key`.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A value for a host whose place is not known.
    #[error("where this release keeps {what} is not known, and this state holds none to go by")]
    HostUnknown {
        /// What was to be set.
        what: &'static str,
    },
    /// A value that is no JSON.
    #[error("the value for {row} is not JSON: {why}")]
    NotJson {
        /// The row.
        row: String,
        /// What is wrong with it.
        why: String,
    },
    /// A host without this file does not find its configuration.
    #[error("{path} is needed to boot with this configuration and is not removed")]
    Needed {
        /// Which.
        path: String,
    },
    /// Something that is no regular file.
    #[error("{path} is a {kind}; only regular files are put in and taken out")]
    NotAFile {
        /// Which.
        path: String,
        /// What it is.
        kind: MemberKind,
    },
    /// Another mode is asked for than the one a file has.
    #[error("{path} has mode {kept:04o}, which a new content keeps; mode {mode:04o} was asked for")]
    ModeKept {
        /// Which.
        path: String,
        /// The mode it has.
        kept: u32,
        /// The mode asked for.
        mode: u32,
    },
    /// An esx.conf without a single setting.
    #[error("the content for {ESX_CONF} holds no line of the form KEY = \"VALUE\"")]
    NoEntries,
    /// Neither file that could name an owner is there.
    #[error("the state holds neither {ESX_CONF} nor a ConfigStore")]
    NoConfiguration,
    /// More devices than a host can have.
    #[error("the state names {count} devices, more than the {limit} that are handled")]
    TooManyDevices {
        /// How many it names.
        count: usize,
        /// The most that are handled.
        limit: usize,
    },
    /// More of what an operation is about than a host can have.
    #[error("the state has more than {limit} {what} to take out, more than any host")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The most that are handled.
        limit: usize,
    },
    /// A database with changes waiting beside it.
    #[error("the state holds {name}: the ConfigStore has changes that are not in it yet")]
    Sidecar {
        /// The member.
        name: String,
    },
}

impl EditError {
    /// What the error means to whoever has to act on it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            EditError::State(error) => error.kind(),
            EditError::Ownership { source, .. } => source.kind(),
            EditError::Select(error) => error.kind(),
            EditError::Kernelopt(error) => error.kind(),
            EditError::Unmatched(unmatched) => unmatched.kind(),
            EditError::Missing { .. }
            | EditError::HostValue { .. }
            | EditError::NotJson { .. }
            | EditError::ModeKept { .. }
            | EditError::NoEntries => ErrorKind::Usage,
            EditError::Needed { .. }
            | EditError::HostUnknown { .. }
            | EditError::NotAFile { .. }
            | EditError::BootCfg => ErrorKind::Refused,
            EditError::NoConfiguration => ErrorKind::Damaged,
            EditError::TooManyDevices { .. }
            | EditError::TooMany { .. }
            | EditError::Sidecar { .. } => ErrorKind::Unsupported,
        }
    }
}

/// What `edits` come to in `state`, one after the other; those of `boot.cfg` are passed over.
///
/// `release` is that of the bank, where its boot.cfg tells one. What is known to be kept in one
/// place is changed in that and in the other; what is new goes where that release reads it.
///
/// # Errors
/// [`EditError`]: a state that cannot be opened to the bottom, or an edit it cannot take.
pub fn apply(
    state: &State,
    edits: &[Edit],
    context: Context,
    release: Option<&Release>,
) -> Result<Edited, EditError> {
    let before = Configuration::open(state)?;
    let mut edited = Edited {
        searched: before.searched(),
        warnings: before.warnings()?,
        doubtful: before.doubtful(),
        ..Edited::default()
    };
    let schema = schema_for(state, edits)?;
    let mut draft = Draft {
        state,
        context,
        release,
        after: before.clone(),
        files: files::Files::default(),
        schema: schema.as_ref(),
    };
    draft.make_all(edits, &mut edited)?;
    owners::members(&before, &draft.after, &mut edited);
    draft.files.note(state, context, &mut edited)?;
    Ok(edited)
}

/// A state's configuration while edits are made to it.
struct Draft<'s> {
    state: &'s State,
    context: Context,
    release: Option<&'s Release>,
    after: Configuration,
    files: files::Files,
    schema: Option<&'s SchemaStore>,
}

/// What an edit may depend on besides the configuration it changes.
#[derive(Clone, Copy)]
struct Surroundings<'s> {
    context: Context,
    /// The bank's, where its boot.cfg tells one.
    release: Option<&'s Release>,
    /// The host's own description of its settings, where the state has it.
    schema: Option<&'s SchemaStore>,
}

impl<'s> Draft<'s> {
    fn surroundings(&self) -> Surroundings<'s> {
        Surroundings {
            context: self.context,
            release: self.release,
            schema: self.schema,
        }
    }

    /// Makes edits in their order; those of esx.conf that follow each other in one pass.
    fn make_all(&mut self, edits: &[Edit], edited: &mut Edited) -> Result<(), EditError> {
        let mut rest = edits;
        while let Some(edit) = rest.first() {
            let (together, others) = rest.split_at(ConfEdit::at_once(rest));
            if together.is_empty() {
                self.make(edit, edited)?;
                rest = rest.get(1..).unwrap_or_default();
            } else {
                ConfEdit::make_all(together, &mut self.after, self.release, edited)?;
                rest = others;
            }
        }
        Ok(())
    }

    fn make(&mut self, edit: &Edit, edited: &mut Edited) -> Result<(), EditError> {
        let surroundings = self.surroundings();
        match edit {
            Edit::Owner(owners) => owners.make(&mut self.after, surroundings, edited),
            Edit::Conf(_) => self.make_all(std::slice::from_ref(edit), edited),
            Edit::Store(store) => store.make(&mut self.after, surroundings, edited),
            Edit::File(file) => file.make(self.state, &mut self.after, &mut self.files, edited),
            Edit::Kernelopt(_) => Ok(()),
            Edit::Host(host) => {
                let parts = host.edits(self.state, &self.after, self.release)?;
                self.make_all(&parts, edited)
            }
            Edit::Seal(operations) => {
                for operation in operations {
                    let parts = operation.edits(self.state, &self.after, self.release, edited)?;
                    self.make_all(&parts, edited)?;
                }
                seal::left_alone(&self.after, edited);
                Ok(())
            }
        }
    }
}

/// The host's own description of its settings, where an edit needs it and the state has it.
fn schema_for(state: &State, edits: &[Edit]) -> Result<Option<SchemaStore>, EditError> {
    let needs_it = |edit: &Edit| match edit {
        Edit::Store(StoreEdit::Set { .. }) | Edit::Host(_) | Edit::Seal(_) => true,
        Edit::Owner(edit) => {
            edit.owner == Owner::Passthru && matches!(edit.devices, Devices::NamedOrNew(_))
        }
        _ => false,
    };
    if !edits.iter().any(needs_it) {
        return Ok(None);
    }
    let Some(bytes) = state.content(SCHEMA_STORE)? else {
        return Ok(None);
    };
    let schema = SchemaStore::open(bytes).map_err(inside(SCHEMA_STORE))?;
    Ok(Some(schema))
}

/// Looks at what several states made of the same edits: what none of them holds is an error.
///
/// # Errors
/// [`EditError::Unmatched`], as the first state put it.
pub fn check_unmatched(unmatched: &[&[Unmatched]]) -> Result<(), EditError> {
    let Some((first, others)) = unmatched.split_first() else {
        return Ok(());
    };
    let nowhere = first.iter().find(|missing| {
        let missing_too = |list: &&[Unmatched]| list.iter().any(|other| other.is_same(missing));
        others.iter().all(missing_too)
    });
    match nowhere {
        Some(missing) => Err(missing.clone().into()),
        None => Ok(()),
    }
}
