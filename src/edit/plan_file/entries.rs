//! What may stand in a plan. The JSON schema of a plan is made from these types.

use super::fill::strings_of;
use crate::ownership::ValueColumn;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;

#[cfg(feature = "cli")]
use schemars::JsonSchema;

/// A plan as it stands in the file.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PlanFile {
    /// What must be so before anything is changed.
    #[serde(default)]
    pub expect: Expect,
    /// Who owns devices.
    #[serde(default)]
    pub device: Vec<DeviceEntry>,
    /// Settings of esx.conf.
    #[serde(default)]
    pub conf: ConfEntries,
    /// Rows of the ConfigStore.
    #[serde(default)]
    pub store: StoreEntries,
    /// Kernel options in the boot.cfg of each bank.
    #[serde(default)]
    pub kernelopt: KerneloptEntries,
    /// Files of the configuration.
    #[serde(default)]
    pub file: Vec<FileEntry>,
    /// What a pipeline sets on a host, each where its release keeps it.
    #[serde(default)]
    pub host: HostEntries,
}

impl PlanFile {
    /// Calls `visit` with every value that may name a column, and with its place in the file.
    ///
    /// # Errors
    /// The first of `visit`.
    pub(super) fn each_value<E>(
        &mut self,
        mut visit: impl FnMut(&mut String, Range<usize>) -> Result<(), E>,
    ) -> Result<(), E> {
        for row in &mut self.store.set {
            let span = row.span();
            let row = row.get_mut();
            visit(&mut row.identifier, span.clone())?;
            for text in strings_of(&mut row.value) {
                visit(text, span.clone())?;
            }
        }
        for row in &mut self.store.delete {
            let span = row.span();
            visit(&mut row.get_mut().identifier, span)?;
        }
        for file in &mut self.file {
            let span = file.path.span();
            file.text
                .iter_mut()
                .try_for_each(|text| visit(text, span.clone()))?;
        }
        let devices = self.device.iter_mut().map(|entry| &mut entry.address);
        let options = &mut self.kernelopt;
        let host = &mut self.host;
        let values = devices
            .chain(self.expect.conf.values_mut())
            .chain(self.conf.set.values_mut())
            .chain(options.append.iter_mut().chain(&mut options.delete))
            .chain(host.name.iter_mut().chain(&mut host.domain))
            .chain(host.ntp.iter_mut().chain(&mut host.ssh_key));
        for value in values {
            let span = value.span();
            visit(value.get_mut(), span)?;
        }
        Ok(())
    }
}

/// What a pipeline sets on a host. What is not given stays.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HostEntries {
    /// Its name, with or without the domain.
    #[cfg_attr(feature = "cli", schemars(with = "Option<String>"))]
    pub name: Option<Spanned<String>>,
    /// Its domain.
    #[cfg_attr(feature = "cli", schemars(with = "Option<String>"))]
    pub domain: Option<Spanned<String>>,
    /// Its NTP servers, in place of those it has.
    #[serde(default)]
    #[cfg_attr(feature = "cli", schemars(with = "Vec<String>"))]
    pub ntp: Vec<Spanned<String>>,
    /// Public keys that may log in as root, beside those that may already.
    #[serde(default)]
    #[cfg_attr(feature = "cli", schemars(with = "Vec<String>"))]
    pub ssh_key: Vec<Spanned<String>>,
}

impl HostEntries {
    /// Every value of it.
    pub(super) fn values(&self) -> impl Iterator<Item = &Spanned<String>> {
        let one = self.name.iter().chain(&self.domain);
        one.chain(&self.ntp).chain(&self.ssh_key)
    }
}

/// What must be so, in every bank the command is about that holds a state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expect {
    /// The build in boot.cfg: `6.7.0-8169922`, or the beginning of it: `6.7.0`.
    pub build: Option<String>,
    /// Partition number of the bank that boots next.
    pub bank: Option<u32>,
    /// Values of esx.conf keys.
    #[serde(default)]
    #[cfg_attr(feature = "cli", schemars(with = "BTreeMap<String, String>"))]
    pub conf: BTreeMap<String, Spanned<String>>,
}

/// A device and its owner.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DeviceEntry {
    /// The device, as the command line names it, or `passed-through` for every one that is.
    #[cfg_attr(feature = "cli", schemars(with = "String"))]
    pub address: Spanned<String>,
    /// The owner it gets.
    pub owner: OwnerWord,
    /// Whether the device may be one that nothing in the state names yet.
    #[serde(default)]
    pub new: bool,
}

/// An owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum OwnerWord {
    /// The VMkernel.
    Vmkernel,
    /// Passed through to virtual machines.
    Passthru,
}

/// Settings of esx.conf.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ConfEntries {
    /// Values by key.
    #[serde(default)]
    #[cfg_attr(feature = "cli", schemars(with = "BTreeMap<String, String>"))]
    pub set: BTreeMap<Spanned<String>, Spanned<String>>,
    /// Keys to take out; one that is not there is fine.
    #[serde(default)]
    #[cfg_attr(feature = "cli", schemars(with = "Vec<String>"))]
    pub unset: Vec<Spanned<String>>,
}

/// Rows of the ConfigStore.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StoreEntries {
    /// Values to set.
    #[serde(default)]
    #[cfg_attr(feature = "cli", schemars(with = "Vec<StoreSetEntry>"))]
    pub set: Vec<Spanned<StoreSetEntry>>,
    /// Rows to delete; one that is not there is fine.
    #[serde(default)]
    #[cfg_attr(feature = "cli", schemars(with = "Vec<RowEntry>"))]
    pub delete: Vec<Spanned<RowEntry>>,
}

/// A row of the ConfigStore, as configstorecli names it.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RowEntry {
    /// Component: `esx`.
    pub component: String,
    /// Configuration group.
    pub group: String,
    /// Key.
    pub key: String,
    /// Identifier, where there are several rows of one key.
    #[serde(default)]
    pub identifier: String,
}

/// A row and the value it gets.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StoreSetEntry {
    /// Component: `esx`.
    pub component: String,
    /// Configuration group.
    pub group: String,
    /// Key.
    pub key: String,
    /// Identifier, where there are several rows of one key.
    #[serde(default)]
    pub identifier: String,
    /// The column: `user` unless given.
    #[serde(default)]
    pub column: ColumnWord,
    /// The value. What it means as JSON is stored.
    #[cfg_attr(feature = "cli", schemars(with = "serde_json::Value"))]
    pub value: toml::Value,
}

/// A column of the ConfigStore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ColumnWord {
    /// `AutoConfValue`
    Auto,
    /// `UserValue`
    #[default]
    User,
    /// `VitalValue`
    Vital,
    /// `CachedValue`
    Cached,
    /// `DesiredValue`
    Desired,
}

/// Kernel options.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct KerneloptEntries {
    /// Options to append unless they are there.
    #[serde(default)]
    #[cfg_attr(feature = "cli", schemars(with = "Vec<String>"))]
    pub append: Vec<Spanned<String>>,
    /// Options to take out; one that is not there is fine.
    #[serde(default)]
    #[cfg_attr(feature = "cli", schemars(with = "Vec<String>"))]
    pub delete: Vec<Spanned<String>>,
}

/// A file of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FileEntry {
    /// Where, as seen on the host: `etc/motd`.
    #[cfg_attr(feature = "cli", schemars(with = "String"))]
    pub path: Spanned<String>,
    /// Its content.
    pub text: Option<String>,
    /// A local file with its content, looked for from the directory of the plan.
    pub from: Option<String>,
    /// Take the file out instead; one that is not there is fine.
    #[serde(default)]
    pub remove: bool,
    /// Permission bits of a new file, octal: `"0644"`.
    #[cfg_attr(feature = "cli", schemars(with = "Option<String>"))]
    pub mode: Option<Spanned<String>>,
    /// Owner of a new file. Only `root`: a host's own archives hold no other.
    #[cfg_attr(feature = "cli", schemars(with = "Option<String>"))]
    pub owner: Option<Spanned<String>>,
}

impl From<ColumnWord> for ValueColumn {
    fn from(word: ColumnWord) -> Self {
        match word {
            ColumnWord::Auto => ValueColumn::AutoConf,
            ColumnWord::User => ValueColumn::User,
            ColumnWord::Vital => ValueColumn::Vital,
            ColumnWord::Cached => ValueColumn::Cached,
            ColumnWord::Desired => ValueColumn::Desired,
        }
    }
}
