//! What can be asked to change, as values. What that makes of a state is in [`super::apply`] and
//! the files of the single subjects.

use super::host::HostEdit;
use super::seal;
use super::selector::Selector;
use crate::bank::{BootCfgEdit, KerneloptEdit};
use crate::ownership::{Alias, Owner, RowKey, ValueColumn};
use crate::pci::PciAddress;

/// One thing to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
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
    /// A setting of the bank's `boot.cfg`.
    BootCfg(BootCfgEdit),
    /// What a pipeline sets on a host, each where its release keeps it.
    Host(HostEdit),
    /// What makes an image that of one host is taken out.
    Seal(Vec<seal::SealOperation>),
}

impl Edit {
    /// Whether it changes the `boot.cfg` of a bank; every other edit changes its states.
    pub fn is_of_boot_cfg(&self) -> bool {
        matches!(self, Edit::Kernelopt(_) | Edit::BootCfg(_))
    }

    /// Whether a line or row that may pass the device at this address through, or one that cannot be told,
    /// matters to it: it is about the owner of that device.
    pub(super) fn may_be_about(&self, at: Option<PciAddress>, aliases: &[Alias]) -> bool {
        let Edit::Owner(OwnerEdit { devices, .. }) = self else {
            return false;
        };
        at.is_none_or(|at| match devices {
            Devices::PassedThrough => true,
            Devices::PassedThroughAt(addresses) => addresses.contains(&at),
            Devices::Named(selectors) | Devices::NamedOrNew(selectors) => {
                selectors.iter().any(|it| it.may_mean(at, aliases))
            }
        })
    }

    /// Whether it claims to give every passed-through device back.
    pub fn gives_all_back(&self) -> bool {
        let all = |edit: &OwnerEdit| edit.devices == Devices::PassedThrough;
        matches!(self, Edit::Owner(edit) if all(edit) && edit.owner == Owner::Vmkernel)
    }

    /// Whether it passes devices through.
    pub fn passes_through(&self) -> bool {
        matches!(self, Edit::Owner(edit) if edit.owner == Owner::Passthru)
    }

    /// Whether it can change which bank boots.
    pub fn decides_the_bank(&self) -> bool {
        matches!(self, Edit::BootCfg(edit) if edit.decides_the_bank())
    }
}

/// Gives devices to an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerEdit {
    /// Which devices.
    pub devices: Devices,
    /// The owner they get.
    pub owner: Owner,
}

/// Which devices an edit is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Devices {
    /// Every one that is passed through now.
    PassedThrough,
    /// Those at these addresses that are passed through now, but not virtual functions. An address that nothing in the state
    /// names is no mistake.
    PassedThroughAt(Vec<PciAddress>),
    /// Those named. One that nothing in the state names is a mistake.
    Named(Vec<Selector>),
    /// Those named, also where nothing in the state names them yet: a device to be passed through
    /// gets an entry of its own then, and one to be the VMkernel's is that without one.
    NamedOrNew(Vec<Selector>),
}

/// A change to esx.conf.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfEdit {
    /// Gives a key a value. A key that is there keeps its place; a new one goes behind the line
    /// that shares the most of its path.
    Set {
        /// The whole key: `/adv/Misc/HostName`.
        key: String,
        /// The text between the quotes.
        value: String,
    },
    /// Takes out every line of a key.
    Unset {
        /// The whole key.
        key: String,
        /// Whether nothing need be said of a key that is not there. Otherwise, where no state of the
        /// medium has it, a warning tells so.
        absent_ok: bool,
    },
}

/// A change to a row of the ConfigStore.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreEdit {
    /// Gives one value column of a row a new content. A row that is not there is made by the host's
    /// own schema, with the content as all it says.
    Set {
        /// The row.
        key: RowKey,
        /// The column; the user's own settings are in [`ValueColumn::User`]. In a row that is made
        /// the schema says for each property in which column it is kept.
        column: ValueColumn,
        /// Its new content, as JSON.
        json: String,
    },
    /// Deletes a row.
    Delete {
        /// The row.
        key: RowKey,
        /// Whether nothing need be said of a row that is not there. Otherwise, where no state of the
        /// medium has it, a warning tells so.
        absent_ok: bool,
    },
}

/// A change to a file of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileEdit {
    /// Gives a file this content. One that is there keeps its mode, owner, time and place; a
    /// new one is added as the host's own are.
    Put {
        /// Where: `etc/motd`.
        path: String,
        /// Its content.
        content: Vec<u8>,
        /// Permission bits of a new file, 0644 where not given.
        mode: Option<u32>,
    },
    /// Takes a file out.
    Remove {
        /// Which.
        path: String,
        /// Whether nothing need be said of a file that is not there. Otherwise, where no state of the
        /// medium has it, a warning tells so.
        absent_ok: bool,
    },
}

/// What the edits depend on besides the state: nothing is taken from a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// Seconds since 1970 for times that have to be invented; `None` to keep what is there.
    pub time: Option<u64>,
}
