//! What is odd about a row that names a PCI device.

use super::{RowKey, ValueColumn};
use crate::ownership::{Owner, OwnershipError, Source};
use crate::secrets::quotable;

/// Something about a `pci_devices` row that a person should know. The row is kept as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum RowNote {
    /// It cannot be read.
    #[error("{0}, so it is not known who owns the device")]
    Unreadable(OwnershipError),
    /// Its Identifier is no PCI address.
    #[error("row {0} names no PCI address")]
    NoAddress(RowKey),
    /// Its columns name different owners.
    #[error("the columns of row {0} name different owners")]
    OwnersDiffer(RowKey),
    /// A column names an owner that no host is known to read.
    #[error(
        "column {} of row {row} has the owner {:?}, which is neither {} nor {}; \
         it is not known how ESXi reads it, and it is kept as it is",
        column.as_str(),
        quotable(owner),
        Owner::Passthru.spelled(Source::ConfigStore),
        Owner::Vmkernel.spelled(Source::ConfigStore)
    )]
    OddOwner {
        /// The row.
        row: RowKey,
        /// The column.
        column: ValueColumn,
        /// What it names.
        owner: String,
    },
    /// A column names another device than the Identifier.
    #[error("column {} of row {row} names {other}", column.as_str())]
    OtherDevice {
        /// The row.
        row: RowKey,
        /// The column.
        column: ValueColumn,
        /// What it names, mostly an address.
        other: String,
    },
}
