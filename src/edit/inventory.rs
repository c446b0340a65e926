//! What a bank configures as items that can be compared, however it is packed.
//!
//! Order, times, compression, the ConfigStore's bookkeeping (Revision, ModifiedTime) and tables
//! other than `Config` are none of it.

use super::files::fingerprint;
use super::surroundings::secret_types;
use super::{CONFIG_STORE, Configuration, ESX_CONF, EditError};
use crate::bank::{BootCfg, KERNELOPT};
use crate::ownership::{EsxConf, Row, SecretTypes, ValueColumn};
use crate::secrets::Guarded;
use crate::state::{Member, MemberKind, ReadState, Rescued, State};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ItemKind {
    /// The owner of a PCI device.
    Owner,
    /// A key of esx.conf.
    Conf,
    /// One value of a row of the ConfigStore.
    Store,
    /// A kernel option.
    Kernelopt,
    /// Another key of `boot.cfg`.
    BootCfg,
    /// A file of the configuration.
    File,
    /// A file of the bank.
    BankFile,
}

impl ItemKind {
    /// The word used in output.
    pub fn as_str(self) -> &'static str {
        match self {
            ItemKind::Owner => "owner",
            ItemKind::Conf => "conf",
            ItemKind::Store => "store",
            ItemKind::Kernelopt => KERNELOPT,
            ItemKind::BootCfg => "boot.cfg",
            ItemKind::File => "file",
            ItemKind::BankFile => "bank-file",
        }
    }
}

/// One item: what it is compared by.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Item {
    /// The value.
    pub value: Guarded,
    /// The content of a text file, for a diff by lines.
    pub text: Option<Guarded>,
}

/// Everything one bank, or one state, configures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    items: BTreeMap<(ItemKind, String), Item>,
}

/// An item that two inventories do not have alike.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// What it is.
    pub kind: ItemKind,
    /// What names it.
    pub key: String,
    /// In the first; `None` where it is not there.
    pub a: Option<Item>,
    /// In the second.
    pub b: Option<Item>,
}

/// The items that differ, by kind and name.
pub fn differences(a: &Inventory, b: &Inventory) -> Vec<Difference> {
    let names: BTreeSet<_> = a.items.keys().chain(b.items.keys()).collect();
    let mut found = Vec::new();
    for name in names {
        let (old, new) = (a.items.get(name), b.items.get(name));
        if old.map(|item| &item.value) != new.map(|item| &item.value) {
            found.push(Difference {
                kind: name.0,
                key: name.1.clone(),
                a: old.cloned(),
                b: new.cloned(),
            });
        }
    }
    found
}

impl Inventory {
    /// Number of items.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Adds what a state holds.
    ///
    /// # Errors
    /// A state that is sealed, or cannot be opened to the bottom.
    pub fn add_state(&mut self, state: &State) -> Result<(), EditError> {
        let configuration = match Configuration::open(state) {
            Ok(configuration) => Some(configuration),
            Err(EditError::NoConfiguration) => None,
            Err(error) => return Err(error),
        };
        self.add_contents(state, configuration.as_ref())
    }

    /// Adds what is left of a state, and what it says of the owners of devices as far as that can
    /// be read.
    ///
    /// # Errors
    /// A member whose content cannot be had.
    pub fn add_rescued(&mut self, state: &Rescued) -> Result<(), EditError> {
        let configuration = Configuration::rescue(state).ok();
        let configuration = configuration.map(|(configuration, _)| configuration);
        self.add_contents(state, configuration.as_ref())
    }

    fn add_contents(
        &mut self,
        state: &impl ReadState,
        configuration: Option<&Configuration>,
    ) -> Result<(), EditError> {
        if let Some(configuration) = configuration {
            if let Some(conf) = &configuration.esx_conf {
                self.add_conf(conf);
            }
            let rows = configuration.store.iter().flat_map(|store| store.rows());
            let secret_types = secret_types(state)?;
            rows.for_each(|row| self.add_row(row, &secret_types));
        }
        for member in state.members()? {
            let path = member.path();
            if !matches!(&*path, ESX_CONF | CONFIG_STORE) && member.kind != MemberKind::Directory {
                self.add_member(state, member)?;
            }
        }
        Ok(())
    }

    /// Adds what a `boot.cfg` says; of lines with one key the last.
    pub fn add_boot_cfg(&mut self, cfg: &BootCfg) {
        // An option may be given several times; together they are one item.
        let mut options: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for word in cfg.kernelopt.iter().flat_map(|options| options.split(' ')) {
            let name = word.split('=').next().unwrap_or(word);
            options.entry(name).or_default().push(word);
        }
        for (name, words) in options {
            let value = Guarded::of(words.join(" "));
            self.add(ItemKind::Kernelopt, name, value);
        }
        for line in String::from_utf8_lossy(cfg.raw()).lines() {
            if let Some((key, value)) = line.split_once('=')
                && let key = key.trim_start().to_ascii_lowercase()
                && !key.starts_with('#')
                && key != KERNELOPT
            {
                self.add(ItemKind::BootCfg, &key, Guarded::of(value.trim()));
            }
        }
    }

    /// Adds a file of the bank.
    pub fn add_bank_file(&mut self, name: &str, content: &[u8]) {
        self.add(ItemKind::BankFile, name, Guarded::of(fingerprint(content)));
    }

    fn add_conf(&mut self, conf: &EsxConf) {
        let mut numbers = BTreeSet::new();
        for entry in conf.entries() {
            numbers.insert(entry.line);
            let is_owner = entry.key.starts_with("/device/") && entry.key.ends_with("/owner");
            let kind = if is_owner {
                ItemKind::Owner
            } else {
                ItemKind::Conf
            };
            self.add(kind, entry.key, Guarded::named(entry.key, entry.value));
        }
        let text = String::from_utf8_lossy(conf.as_bytes());
        let others = (1..).zip(text.lines());
        let others =
            others.filter(|(number, line)| !numbers.contains(number) && !line.trim().is_empty());
        let mut others: Vec<&str> = others.map(|(_, line)| line).collect();
        others.sort_unstable();
        if !others.is_empty() {
            let joined = others.join("\n");
            let lines = Guarded::file(ESX_CONF, joined);
            self.add(ItemKind::Conf, "(lines of another form)", lines);
        }
    }

    fn add_row(&mut self, row: &Row, secret_types: &SecretTypes) {
        for column in ValueColumn::ALL {
            let Some(text) = row.value(column).text() else {
                continue;
            };
            let key = format!("{} {}", row.key, column.as_str());
            let kind = if row.key.name == "pci_devices" {
                ItemKind::Owner
            } else {
                ItemKind::Store
            };
            // Members of an object have no order, and this writes them in one.
            let canonical = match serde_json::from_str::<Value>(text) {
                Ok(value) => value.to_string(),
                Err(_) => text.to_owned(),
            };
            self.add(kind, &key, secret_types.guard(&row.key, canonical));
        }
    }

    fn add_member(&mut self, state: &impl ReadState, member: &Member) -> Result<(), EditError> {
        let path = spelled(member.path_bytes());
        let link = spelled(&member.link_name);
        let (value, text) = match member.kind {
            MemberKind::Regular | MemberKind::Contiguous => {
                let content = state.content_of(member)?.unwrap_or_default();
                let text = std::str::from_utf8(content).ok();
                let text = text.filter(|text| !text.contains('\0'));
                let told = format!("{}, mode {:04o}", fingerprint(content), member.mode);
                (
                    Guarded::about_file(&path, content, told),
                    text.map(|text| Guarded::file(&path, text)),
                )
            }
            kind => (Guarded::of(format!("{kind} to {link}")), None),
        };
        self.items
            .insert((ItemKind::File, path), Item { value, text });
        Ok(())
    }

    fn add(&mut self, kind: ItemKind, key: &str, value: Guarded) {
        let item = Item { value, text: None };
        self.items.insert((kind, key.to_owned()), item);
    }
}

/// A name that another name never has: bytes that are not UTF-8 are written as `\xff`, and so a
/// backslash twice.
fn spelled(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The loader passes over spaces before a key, and takes none between it and `=`.
    #[test]
    fn a_line_of_boot_cfg_is_one_thing_however_it_is_written() {
        let text = "build=1\n\tKernelOpt=a=1 b\n # x=y\nkernelopt =lost\n";
        let mut inventory = Inventory::default();
        inventory.add_boot_cfg(&BootCfg::parse(text.as_bytes()));
        let found: Vec<(ItemKind, &str)> = inventory
            .items
            .keys()
            .map(|(kind, key)| (*kind, key.as_str()))
            .collect();
        let expected = [
            (ItemKind::Kernelopt, "a"),
            (ItemKind::Kernelopt, "b"),
            (ItemKind::BootCfg, "build"),
            (ItemKind::BootCfg, "kernelopt "),
        ];
        assert_eq!(BTreeSet::from_iter(found), BTreeSet::from(expected));
    }
}
