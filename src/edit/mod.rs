//! What can be asked to change, as values, and what that makes of a state.
//!
//! [`apply`] works out what edits come to in one opened state: which members get which new
//! content, and what that means in words. Pure: bytes in, values out.

mod configuration;
mod owners;
pub mod selector;

pub use configuration::{CONFIG_STORE, Configuration, ESX_CONF};
pub use owners::{Devices, OwnerEdit};
pub use selector::{SelectError, Selector};

use crate::error::ErrorKind;
use crate::ownership::{OwnershipError, Source};
use crate::pci::PciAddress;
use crate::state::{MemberEdit, State, StateError};

/// One thing to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Who owns devices.
    Owner(OwnerEdit),
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
    pub source: Source,
    /// What it is called there.
    pub key: String,
    /// The devices that can be meant, for a device's owner.
    pub addresses: Vec<PciAddress>,
    /// What people call the device, where the state tells: `vmhba32`.
    pub alias: Option<String>,
    /// Value before; `None` where there was none.
    pub from: Option<String>,
    /// Value after; `None` where there is none.
    pub to: Option<String>,
}

/// A member as text before and after, for a diff. A database is shown as its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextChange {
    /// Path of the member.
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
    /// Selectors that no device of this state answers to. Whether that is an error depends on
    /// the other states of the medium.
    pub unmatched: Vec<SelectError>,
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
    /// Neither file that could name an owner is there.
    #[error("the state holds neither {ESX_CONF} nor a ConfigStore")]
    NoConfiguration,
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
            EditError::NoConfiguration => ErrorKind::Damaged,
            EditError::Sidecar { .. } => ErrorKind::Unsupported,
        }
    }
}

/// What `edits` come to in `state`.
///
/// # Errors
/// [`EditError`]: a state that cannot be opened to the bottom, or an edit it cannot take.
pub fn apply(state: &State, edits: &[Edit], context: Context) -> Result<Edited, EditError> {
    let before = Configuration::open(state)?;
    let mut edited = Edited {
        searched: before.searched(),
        warnings: before.warnings()?,
        doubtful: before.doubtful(),
        ..Edited::default()
    };
    let mut after = Configuration::open(state)?;
    for edit in edits {
        match edit {
            Edit::Owner(owners) => owners.make(&mut after, context, &mut edited)?,
        }
    }
    owners::members(&before, &after, &mut edited);
    Ok(edited)
}

/// Looks at what several states made of the same edits: a selector that no device of any of
/// them answers to is an error.
///
/// # Errors
/// [`SelectError::NoSuchDevice`], as the first state put it.
pub fn check_unmatched(unmatched: &[&[SelectError]]) -> Result<(), EditError> {
    let Some((first, others)) = unmatched.split_first() else {
        return Ok(());
    };
    let nowhere = first.iter().find(|missing| {
        let selector = missing.selector();
        let missing_too = |list: &&[SelectError]| list.iter().any(|m| m.selector() == selector);
        others.iter().all(missing_too)
    });
    match nowhere {
        Some(missing) => Err(missing.clone().into()),
        None => Ok(()),
    }
}
