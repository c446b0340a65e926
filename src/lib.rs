//! Reads and edits VMware ESXi boot media at block level, without mounting them.

pub mod bank;
#[cfg(feature = "cli")]
pub mod cli;
pub mod commit;
pub mod edit;
pub mod error;
pub mod fat;
pub mod host;
pub mod medium;
pub mod ownership;
pub mod partition;
pub mod pci;
pub mod state;
pub mod stick;

pub(crate) mod bytes;
