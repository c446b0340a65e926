//! Who owns devices: which ones are meant, and the change in esx.conf and in the ConfigStore.
//!
//! A host up to 7.0 U1 reads esx.conf and a later one the ConfigStore. A device that either names
//! is changed in both; one that neither names gets its entry where its release reads it.

use super::configuration::inside;
use super::request::{Devices, OwnerEdit};
use super::selector::{SelectError, Selector, select};
use super::surroundings::Surroundings;
use super::{
    CONFIG_STORE, Configuration, ESX_CONF, EditError, EditWarning, Edited, SCHEMA_STORE,
    SettingChange, TextChange, Unmatched,
};
use crate::bank::Release;
use crate::ownership::{
    BusAddress, ConfigStore, DeviceOwner, EsxConf, Owner, OwnershipError, RowKey, SchemaStore,
    SecretTypes, Source, StoreChange, ValueColumn,
};
use crate::pci::PciAddress;
use crate::secrets::Guarded;
use crate::state::MemberEdit;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

impl Devices {
    /// The selectors, where there are any.
    pub fn selectors(&self) -> &[Selector] {
        match self {
            Devices::PassedThrough | Devices::PassedThroughAt(_) => &[],
            Devices::Named(selectors) | Devices::NamedOrNew(selectors) => selectors,
        }
    }
}

impl OwnerEdit {
    /// Makes the change in `configuration` and notes it in `edited`. Yields the devices that it is about
    /// and that have an entry, also where nothing changes.
    pub(super) fn make(
        &self,
        configuration: &mut Configuration,
        surroundings: Surroundings<'_>,
        edited: &mut Edited,
    ) -> Result<Vec<DeviceOwner>, EditError> {
        let Surroundings {
            context,
            release,
            schema,
            ..
        } = surroundings;
        configuration.check_rows()?;
        let devices = configuration.devices()?;
        let (chosen, missing) = self.choose(&devices)?;
        let mut added = self.one_sided(&chosen, configuration, surroundings, edited);
        let mut in_conf = Vec::new();
        let mut in_store = Vec::new();
        for device in chosen.iter().filter(|device| self.is_to_change(device)) {
            edited.changes.push(self.change_of(device));
            match device.source {
                Source::EsxConf => in_conf.push(*device),
                Source::ConfigStore => in_store.push(StoreChange::SetOwner {
                    identifier: device.key.clone(),
                    owner: self.owner,
                }),
            }
        }
        for error in missing {
            let (error, address) = self.resolve(error, configuration);
            match (self.owner, address) {
                (Owner::Passthru, Some(address)) => added.push(address),
                (Owner::Passthru, None) => edited.unmatched.push(Unmatched::NewDevice(error)),
                // Without an entry it is the VMkernel's.
                (Owner::Vmkernel, Some(_)) => {}
                (Owner::Vmkernel, None) => edited.unmatched.push(Unmatched::Device(error)),
            }
        }
        self.set_lines(configuration, &in_conf)?;
        for address in added {
            if configuration.reads_store(release) {
                in_store.push(new_row(configuration, schema, address)?);
                let key = address.to_string();
                self.note_added(Source::ConfigStore, key, address, configuration, edited);
            } else {
                self.add_line(configuration, address, edited)?;
            }
        }
        if let Some(store) = configuration
            .store
            .as_mut()
            .filter(|_| !in_store.is_empty())
        {
            let changed = store.edit(&in_store, context.time);
            *store = changed.map_err(inside(CONFIG_STORE))?.into();
        }
        Ok(chosen.into_iter().cloned().collect())
    }

    /// The devices meant, and the selectors that no device answers to.
    fn choose<'d>(
        &self,
        devices: &'d [DeviceOwner],
    ) -> Result<(Vec<&'d DeviceOwner>, Vec<SelectError>), EditError> {
        let passed = devices.iter().filter(|device| {
            let mut meant = device.named_owners().map(|raw| device.meaning_of(raw));
            meant.any(|owner| owner == Owner::Passthru)
        });
        let selectors = match &self.devices {
            Devices::PassedThrough => return Ok((passed.collect(), Vec::new())),
            Devices::PassedThroughAt(addresses) => {
                let is_at = |device: &&DeviceOwner| {
                    let at = device.address.filter(|_| !device.virtual_function);
                    at.is_some_and(|at| addresses.contains(&at))
                };
                return Ok((passed.filter(is_at).collect(), Vec::new()));
            }
            Devices::Named(selectors) | Devices::NamedOrNew(selectors) => selectors,
        };
        let mut chosen = BTreeSet::new();
        let mut missing = Vec::new();
        for selector in selectors {
            match select(devices, std::slice::from_ref(selector)) {
                Ok(found) => chosen.extend(found),
                Err(error @ SelectError::NoSuchDevice { .. }) => missing.push(error),
                Err(error) => return Err(error.into()),
            }
        }
        let chosen = chosen.into_iter().filter_map(|index| devices.get(index));
        Ok((chosen.collect(), missing))
    }

    /// Whether any line or column names the other owner, or passing through needs one that is
    /// not there.
    fn is_to_change(&self, device: &DeviceOwner) -> bool {
        let mut meant = device.named_owners().map(|raw| device.meaning_of(raw));
        meant.any(|owner| owner != self.owner)
            || (device.owner.is_none() && self.owner == Owner::Passthru)
    }

    fn change_of(&self, device: &DeviceOwner) -> SettingChange {
        let contrary = |raw: &&String| device.meaning_of(raw) != self.owner;
        SettingChange {
            source: device.source.into(),
            key: device.key.clone(),
            address: device.address,
            alias: device.alias.clone(),
            from: device.named_owners().find(contrary).map(Guarded::of),
            to: Some(Guarded::of(self.owner.spelled(device.source))),
            harm: None,
        }
    }

    fn note_added(
        &self,
        source: Source,
        key: String,
        address: PciAddress,
        configuration: &Configuration,
        edited: &mut Edited,
    ) {
        let aliases = configuration.aliases().into_iter();
        let mut aliases = aliases.filter(|alias| alias.at == BusAddress::Pci(address));
        let alias = aliases.next().map(|alias| alias.name);
        edited.changes.push(SettingChange {
            harm: None,
            source: source.into(),
            key,
            address: Some(address),
            alias,
            from: None,
            to: Some(Guarded::of(self.owner.spelled(source))),
        });
    }

    /// The address of a selector that matched nothing, where it may be a new device's, and the
    /// error as it is to be told otherwise.
    fn resolve(
        &self,
        missing: SelectError,
        configuration: &Configuration,
    ) -> (SelectError, Option<PciAddress>) {
        let SelectError::NoSuchDevice { selector, .. } = &missing else {
            return (missing, None);
        };
        let mut address = selector.address();
        if let Some(name) = selector.alias() {
            let aliases = configuration.aliases();
            let mut places = aliases.iter().filter(|alias| alias.name == name);
            if let Some(alias) = places.next() {
                address = alias.at.pci().or_else(|| places.find_map(|a| a.at.pci()));
                if let (None, BusAddress::Slot(place)) = (address, &alias.at) {
                    let (selector, place) = (selector.clone(), place.clone());
                    return (SelectError::NoAddress { selector, place }, None);
                }
            }
        }
        // What a new line or row would name is the function, which is not what was asked for.
        let can_be_made = self.owner == Owner::Vmkernel || !selector.is_virtual();
        let may_be_new = matches!(self.devices, Devices::NamedOrNew(_)) && can_be_made;
        // An existing device shows what was meant. A new one would be whatever the digits happen to say.
        if let Some(address) = selector.taken_for_decimal()
            && may_be_new
            && self.owner == Owner::Passthru
        {
            let selector = selector.clone();
            return (SelectError::OnlyDecimal { selector, address }, None);
        }
        (missing, address.filter(|_| may_be_new))
    }

    fn add_line(
        &self,
        configuration: &mut Configuration,
        address: PciAddress,
        edited: &mut Edited,
    ) -> Result<(), EditError> {
        let Some(conf) = &mut configuration.esx_conf else {
            return Err(EditError::Missing { path: ESX_CONF });
        };
        let (with_line, key) = conf
            .add_owner(address, self.owner)
            .map_err(inside(ESX_CONF))?;
        *conf = with_line.into();
        self.note_added(Source::EsxConf, key, address, configuration, edited);
        Ok(())
    }

    fn set_lines(
        &self,
        configuration: &mut Configuration,
        devices: &[&DeviceOwner],
    ) -> Result<(), EditError> {
        let Some(conf) = &mut configuration.esx_conf else {
            return Ok(());
        };
        let (with, without): (Vec<&DeviceOwner>, Vec<&DeviceOwner>) =
            devices.iter().partition(|device| device.owner.is_some());
        let keys: Vec<&str> = with.iter().map(|device| device.key.as_str()).collect();
        // Where every device is given back, what an odd line leaves open is told of all of them at the end.
        let gives_all_back = self.devices == Devices::PassedThrough;
        let changed = match self.owner {
            Owner::Vmkernel => conf.give_back(&keys, gives_all_back),
            Owner::Passthru => conf.set_owner(&keys, self.owner),
        };
        *conf = changed.map_err(inside(ESX_CONF))?.into();
        for device in without {
            let owner = self.owner.spelled(Source::EsxConf);
            *conf = conf
                .set(&device.key, owner)
                .map_err(inside(ESX_CONF))?
                .into();
        }
        Ok(())
    }

    /// The devices to be passed through that only the file names which their host does not read: their
    /// addresses, for each gets an entry in the other file; a warning of those for which none can be made.
    fn one_sided(
        &self,
        chosen: &[&DeviceOwner],
        configuration: &Configuration,
        surroundings: Surroundings<'_>,
        edited: &mut Edited,
    ) -> Vec<PciAddress> {
        let Surroundings {
            release, schema, ..
        } = surroundings;
        let has_both = configuration.esx_conf.is_some() && configuration.store.is_some();
        if self.owner != Owner::Passthru || !has_both {
            return Vec::new();
        }
        let (read, unread) = match configuration.reads_store(release) {
            true => (Source::ConfigStore, Source::EsxConf),
            false => (Source::EsxConf, Source::ConfigStore),
        };
        // Where new entries are asked for, what is in the way of one is an error.
        let is_asked_for = matches!(self.devices, Devices::NamedOrNew(_));
        let can_be_made = |address: PciAddress| match read {
            Source::ConfigStore => new_row(configuration, schema, address).is_ok(),
            Source::EsxConf => {
                let conf = configuration.esx_conf.as_ref();
                conf.is_some_and(|conf| conf.add_owner(address, self.owner).is_ok())
            }
        };
        let mut added = BTreeSet::new();
        for device in chosen.iter().filter(|device| device.source == unread) {
            let names_it = |other: &&&DeviceOwner| {
                other.source == read
                    && other.address.is_some()
                    && other.address == device.address
                    && other.virtual_function_number() == device.virtual_function_number()
            };
            if chosen.iter().any(|other| names_it(&other)) {
                continue;
            }
            let function = device.address.filter(|_| !device.virtual_function);
            match function.filter(|address| is_asked_for || can_be_made(*address)) {
                Some(address) => {
                    added.insert(address);
                }
                None => edited.warnings.push(EditWarning::NotRead {
                    file: configuration.file.clone(),
                    device: device.key.clone(),
                    read,
                    release: release.cloned(),
                }),
            }
        }
        added.into_iter().collect()
    }
}

/// Looks whether the devices that edits pass through have their entries when all edits are made. An
/// entry that the host does not read may go, but not the only one.
///
/// # Errors
/// [`EditError::Contradiction`]: another edit took one out.
pub(super) fn check_kept(
    passed: &[DeviceOwner],
    after: &Configuration,
    release: Option<&Release>,
) -> Result<(), EditError> {
    if passed.is_empty() {
        return Ok(());
    }
    let left = after.devices()?;
    let left: HashSet<(Source, &str)> = left.iter().map(|it| (it.source, &*it.key)).collect();
    let is_left = |device: &DeviceOwner| left.contains(&(device.source, &*device.key));
    let read = if after.reads_store(release) {
        Source::ConfigStore
    } else {
        Source::EsxConf
    };
    let is_needed = |device: &&DeviceOwner| {
        let mut kept = passed.iter().filter(|other| is_left(other));
        device.source == read || !kept.any(|it| it.typed_address() == device.typed_address())
    };
    let mut gone = passed.iter().filter(|device| !is_left(device));
    match gone.find(is_needed) {
        Some(device) => Err(EditError::Contradiction {
            source_of: device.source.into(),
            key: device.key.clone(),
        }),
        None => Ok(()),
    }
}

/// The row of a device that has none, made by the host's own schema.
fn new_row(
    configuration: &Configuration,
    schema: Option<&SchemaStore>,
    address: PciAddress,
) -> Result<StoreChange, EditError> {
    let no_schema = || OwnershipError::CannotAddRow {
        row: RowKey::of_pci_device(&address.to_string()).to_string(),
        why: format!("the state holds no {SCHEMA_STORE} to tell what it must hold"),
    };
    let store = configuration.store.as_ref();
    let store = store.ok_or(EditError::Missing { path: CONFIG_STORE })?;
    let row = schema
        .ok_or_else(no_schema)
        .and_then(|schema| store.passthru_row(schema, address))
        .map_err(inside(CONFIG_STORE))?;
    Ok(StoreChange::Add { row: Box::new(row) })
}

/// Notes the members in which `after` differs from `before`.
pub(super) fn members(
    before: &Configuration,
    after: &Configuration,
    secret_types: SecretTypes,
    edited: &mut Edited,
) {
    if let (Some(old), Some(new)) = (&before.esx_conf, &after.esx_conf)
        && old.as_bytes() != new.as_bytes()
    {
        let text = |conf: &Arc<EsxConf>| {
            let conf = Arc::clone(conf);
            Guarded::later(move || Guarded::of_file(ESX_CONF, conf.as_bytes()))
        };
        let content = new.as_bytes().to_vec();
        note(ESX_CONF, text(old), text(new), content, edited);
    }
    if let (Some(old), Some(new)) = (&before.store, &after.store)
        && old.as_bytes() != new.as_bytes()
    {
        let types = Arc::new(secret_types);
        let text = |store: &Arc<ConfigStore>| {
            let (store, types) = (Arc::clone(store), Arc::clone(&types));
            Guarded::later(move || rows_to_show(&store, &types))
        };
        let content = new.as_bytes().to_vec();
        note(CONFIG_STORE, text(old), text(new), content, edited);
    }
}

fn note(path: &str, before: Guarded, after: Guarded, content: Vec<u8>, edited: &mut Edited) {
    let path = path.to_owned();
    edited.members.push(MemberEdit::Replace {
        path: path.clone(),
        content: content.into(),
    });
    edited.texts.push(TextChange {
        path,
        before,
        after,
    });
}

/// A store as text, one line for each value of each row.
fn rows_to_show(store: &ConfigStore, secret_types: &SecretTypes) -> Guarded {
    let mut text = Guarded::default();
    for row in store.rows() {
        for column in ValueColumn::ALL {
            if let Some(value) = row.value(column).text() {
                text.push(&Guarded::of(format!("{} {} ", row.key, column.as_str())));
                text.push(&secret_types.guard(&row.key, value));
                text.push(&Guarded::of("\n"));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests;
