//! What can be asked to change, as values, and what that makes of a state.
//!
//! The values that are asked for are in `request.rs`, what comes of them in `edited.rs`.
//! [`apply`] turns the one into the other for one opened state, with a file for each subject:
//! owners of devices, settings of esx.conf, rows of the ConfigStore, files, what a pipeline sets on
//! a host, sealing; the settings of `boot.cfg` are [`apply_to_boot_cfg`]'s. Pure: bytes in, values out.

mod apply;
mod boot_cfg;
mod conf;
mod configuration;
mod edited;
mod error;
mod files;
#[cfg(test)]
mod fixtures;
mod harm;
mod host;
pub mod host_map;
pub mod identity;
pub mod inventory;
mod network;
mod oddity;
mod owners;
pub mod plan_file;
mod request;
pub mod seal;
pub mod selector;
mod store;
mod surroundings;
mod warning;

pub use apply::apply;
pub(crate) use apply::{apply_to, check_agreement, check_unmatched};
pub use boot_cfg::apply_to_boot_cfg;
pub(crate) use configuration::is_empty;
pub(crate) use configuration::not_editable;
pub use configuration::{CONFIG_STORE, Configuration, ESX_CONF, PassedThrough, SCHEMA_STORE};
pub use edited::{ChangeSource, Edited, SettingChange, TextChange, Unmatched};
pub use error::EditError;
pub(crate) use files::fingerprint;
pub use files::permission_bits;
pub use harm::Harm;
pub(crate) use harm::note as note_harm;
pub use host::HostEdit;
pub use identity::Identity;
pub use network::Network;
pub use oddity::{ConfigurationWarning, Oddity};
pub use request::{ConfEdit, Context, Devices, Edit, FileEdit, OwnerEdit, StoreEdit};
pub use selector::{SelectError, Selector};
pub use surroundings::secret_types;
pub(crate) use warning::listed;
pub use warning::{EditWarning, KeysInUndo};
