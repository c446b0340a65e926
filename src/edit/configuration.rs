//! A state's configuration opened: what its files say of the owners of devices.

use super::EditError;
use crate::bank::Release;
use crate::ownership::{
    Alias, ConfigStore, DeviceOwner, EsxConf, NoteKind, OwnershipError, Source, aliases_by_address,
    sidecars, tie_aliases, tie_classes,
};
use crate::pci::PciAddress;
use crate::state::{MemberKind, ReadState, Rescued, State, StateError};
use std::collections::HashMap;
use std::sync::Arc;

/// Most devices, of both files together. A host has some hundreds with a line each.
const MAX_DEVICES: usize = 8192;
pub use crate::state::{CONFIG_STORE, ESX_CONF};

/// Where the host keeps the schemas of what is in the ConfigStore.
pub const SCHEMA_STORE: &str = "etc/vmware/schemastore/schema-store-1";

/// The parts of a state that say who owns which device; of an empty state, with which the host starts
/// with default settings, none. A clone shares them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Configuration {
    /// Name of the bank's file it was opened from.
    pub file: String,
    /// esx.conf, where the state holds one.
    pub esx_conf: Option<Arc<EsxConf>>,
    /// The ConfigStore, where the state holds one.
    pub store: Option<Arc<ConfigStore>>,
    /// Why the ConfigStore is left closed, where the host takes the owners of devices from esx.conf.
    pub closed_store: Option<OwnershipError>,
}

/// Why bootbank cannot change a configuration that readers take as it is.
pub(crate) fn not_editable(state: &State) -> Option<StateError> {
    let mut checked = [ESX_CONF, CONFIG_STORE].into_iter();
    checked.find_map(|path| state.check_editable(path).err())
}

/// The devices that are passed through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PassedThrough {
    /// Those that the host passes through.
    pub read: Vec<DeviceOwner>,
    /// Those that only a file passes through from which a host of its release takes no owners.
    pub unread: Vec<DeviceOwner>,
    /// Those that only lines name which the host passes over ([`DeviceOwner::is_ignored_by_host`]).
    pub ignored: Vec<DeviceOwner>,
}

impl Configuration {
    /// Opens what `state` holds.
    ///
    /// # Errors
    /// A sealed state; a state that holds files and neither of these; a ConfigStore that is damaged or
    /// lies beside a journal.
    pub fn open(state: &impl ReadState) -> Result<Self, EditError> {
        Self::open_for(state, None)
    }

    /// The same, as a host of `release` reads it: where that takes the owners of devices from esx.conf,
    /// a ConfigStore that cannot be opened stays closed. What shape it has in 7.0 and 7.0 U1 is not known.
    ///
    /// # Errors
    /// As [`Configuration::open`].
    pub fn open_for(state: &impl ReadState, release: Option<&Release>) -> Result<Self, EditError> {
        let esx_conf = match state.content(ESX_CONF)? {
            Some(bytes) => Some(EsxConf::parse(bytes.to_vec()).map_err(inside(ESX_CONF))?),
            None => None,
        };
        let may_be_closed = esx_conf.is_some() && release.is_some_and(Release::reads_esx_conf);
        let (store, closed_store) = match open_store(state)? {
            Some(Err(error)) if may_be_closed => (None, Some(error)),
            opened => (opened.transpose().map_err(inside(CONFIG_STORE))?, None),
        };
        if esx_conf.is_none() && store.is_none() && !is_empty(state)? {
            return Err(EditError::NoConfiguration);
        }
        Ok(Configuration {
            file: state.file_name().to_owned(),
            esx_conf: esx_conf.map(Arc::new),
            store: store.map(Arc::new),
            closed_store,
        })
    }

    /// Opens what is left of a state: a file that cannot be opened does not hide the other.
    ///
    /// # Errors
    /// As [`Configuration::open`], where neither can be opened.
    pub fn rescue(state: &Rescued) -> Result<(Self, Vec<EditError>), EditError> {
        let mut damage = Vec::new();
        let mut keep = |error: EditError| damage.push(error);
        let conf = state.content(ESX_CONF)?;
        let conf = conf.map(|bytes| EsxConf::parse(bytes.to_vec()).map_err(inside(ESX_CONF)));
        let conf = conf.and_then(|conf| conf.map_err(&mut keep).ok());
        let store = match open_store(state) {
            Ok(store) => store.transpose().map_err(inside(CONFIG_STORE)),
            Err(error @ EditError::Sidecar { .. }) => Err(error),
            Err(error) => return Err(error),
        };
        let store = store.map_err(&mut keep).ok().flatten();
        let configuration = Configuration {
            file: state.file_name().to_owned(),
            esx_conf: conf.map(Arc::new),
            store: store.map(Arc::new),
            closed_store: None,
        };
        if configuration.esx_conf.is_none() && configuration.store.is_none() {
            return Err(damage
                .into_iter()
                .next()
                .unwrap_or(EditError::NoConfiguration));
        }
        Ok((configuration, damage))
    }

    /// Whether it is that of an empty state: the host starts with default settings.
    pub fn is_default(&self) -> bool {
        self.esx_conf.is_none() && self.store.is_none()
    }

    /// Why there is no ConfigStore to look into or to change.
    pub fn without_store(&self) -> EditError {
        match &self.closed_store {
            Some(error) => inside(CONFIG_STORE)(error.clone()),
            None if self.is_default() => EditError::Empty,
            None => EditError::Missing { path: CONFIG_STORE },
        }
    }

    /// Bytes of its files.
    pub(crate) fn len(&self) -> usize {
        let conf = self
            .esx_conf
            .as_ref()
            .map_or(0, |conf| conf.as_bytes().len());
        let store = self
            .store
            .as_ref()
            .map_or(0, |store| store.as_bytes().len());
        conf.saturating_add(store)
    }

    /// What was looked into, as `state.tgz:etc/vmware/esx.conf`.
    pub fn searched(&self) -> Vec<String> {
        let conf = self.esx_conf.iter().map(|_| ESX_CONF);
        let store = self.store.iter().map(|_| CONFIG_STORE);
        conf.chain(store)
            .map(|path| format!("{}:{path}", self.file))
            .collect()
    }

    /// Notes that a file of the configuration was looked into.
    pub(super) fn note_search(&self, path: &str, edited: &mut super::Edited) {
        let name = format!("{}:{path}", self.file);
        if !edited.searched.contains(&name) {
            edited.searched.push(name);
        }
    }

    /// Every device either file names, those of esx.conf first. An alias that only one of them
    /// knows is shown at both. Lines and rows whose owner cannot be told are left out:
    /// [`Configuration::doubtful`] counts them.
    ///
    /// # Errors
    /// [`EditError::TooManyDevices`].
    pub fn devices(&self) -> Result<Vec<DeviceOwner>, EditError> {
        let mut devices = self
            .esx_conf
            .as_ref()
            .map_or(Vec::new(), |conf| conf.devices());
        if let Some(store) = &self.store {
            devices.extend(store.devices());
        }
        if devices.len() > MAX_DEVICES {
            return Err(EditError::TooManyDevices {
                count: devices.len(),
                limit: MAX_DEVICES,
            });
        }
        tie_aliases(&mut devices, &self.aliases());
        // A row joins slot and address; a line at that address has the same adapter.
        let by_address = aliases_by_address(&devices);
        tie_aliases(&mut devices, &by_address);
        tie_classes(&mut devices);
        Ok(devices)
    }

    /// The devices that are passed through, each once: what several lines, or esx.conf and the ConfigStore,
    /// name at one address is one device, shown as the first names it. A virtual function is another device
    /// than its function.
    ///
    /// # Errors
    /// As [`Configuration::devices`].
    pub fn passed_through(&self, release: Option<&Release>) -> Result<PassedThrough, EditError> {
        let unread = self.unread(release);
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut devices: Vec<DeviceOwner> = Vec::new();
        let mut passed = self.devices()?;
        passed.retain(|device| device.passthrough);
        let is_unread = |device: &DeviceOwner| Some(device.source) == unread;
        // What the host reads names the device.
        passed.sort_by_key(is_unread);
        for device in passed {
            let place = device.typed_address();
            let place = place.unwrap_or_else(|| device.key.clone());
            let known = places.get(&place).and_then(|at| devices.get_mut(*at));
            if let Some(known) = known {
                known.alias = known.alias.take().or(device.alias);
                known.class = known.class.or(device.class);
            } else {
                places.insert(place, devices.len());
                devices.push(device);
            }
        }
        let (ignored, devices) = devices
            .into_iter()
            .partition(DeviceOwner::is_ignored_by_host);
        let devices: Vec<DeviceOwner> = devices;
        let (unread, read) = devices.into_iter().partition(is_unread);
        Ok(PassedThrough {
            read,
            unread,
            ignored,
        })
    }

    /// The file from which a host of this release takes no owners of devices; `None` where the state holds one
    /// of the two alone, or the release is not known.
    pub fn unread(&self, release: Option<&Release>) -> Option<Source> {
        let release = release.filter(|_| self.esx_conf.is_some() && self.store.is_some())?;
        match () {
            () if release.reads_config_store() => Some(Source::EsxConf),
            () if release.reads_esx_conf() => Some(Source::ConfigStore),
            () => None,
        }
    }

    /// Whether the host reads settings from the ConfigStore rather than from esx.conf: by its
    /// release, or where that is not known, by there being a store.
    pub fn reads_store(&self, release: Option<&Release>) -> bool {
        let has_store = self.store.is_some();
        has_store && release.is_none_or(Release::reads_config_store)
    }

    /// The adapters either file ties to a place, those of esx.conf first.
    pub fn aliases(&self) -> Vec<Alias> {
        let conf = self.esx_conf.iter().flat_map(|conf| conf.aliases());
        let store = self.store.iter().flat_map(|store| store.aliases());
        conf.chain(store.cloned()).collect()
    }

    /// How many devices a host of `release` passes through; `None` where that cannot be told.
    ///
    /// # Errors
    /// As [`Configuration::passed_through`].
    pub fn passed_through_count(
        &self,
        release: Option<&Release>,
    ) -> Result<Option<usize>, EditError> {
        if self.doubtful() > 0 {
            return Ok(None);
        }
        Ok(Some(self.passed_through(release)?.read.len()))
    }

    /// Number of lines that look like passed-through devices but are not of the form that can be
    /// changed, and of rows whose owner cannot be told or is of no spelling that a host is known to read.
    pub fn doubtful(&self) -> usize {
        self.doubts().count()
    }

    /// The devices of those lines and rows, as far as their addresses can be told.
    pub(super) fn doubts(&self) -> impl Iterator<Item = Option<PciAddress>> {
        let notes = self.esx_conf.iter().flat_map(|conf| conf.notes());
        let lines = notes.filter(|note| note.kind == NoteKind::OddOwner);
        let rows = self.store.iter().flat_map(|store| store.doubtful_rows());
        lines.map(|note| note.address).chain(rows)
    }

    /// Whether the owner of every device that has a row in the ConfigStore can be told. Where not, no
    /// owner is changed.
    ///
    /// # Errors
    /// The first row that cannot be read.
    pub fn check_rows(&self) -> Result<(), EditError> {
        let mut odd = self.store.iter().flat_map(|store| store.odd_rows());
        odd.next()
            .map_or(Ok(()), |row| Err(inside(CONFIG_STORE)(row)))
    }
}

/// Whether a state holds no file at all, as `bootbank state reset` and a fresh install leave it.
///
/// # Errors
/// A sealed state.
pub(crate) fn is_empty(state: &impl ReadState) -> Result<bool, StateError> {
    let mut members = state.members()?.iter();
    Ok(members.all(|member| member.kind == MemberKind::Directory))
}

/// The ConfigStore of a state that holds one, or why it cannot be opened.
///
/// # Errors
/// A sealed state, or a store that lies beside a journal.
fn open_store(
    state: &impl ReadState,
) -> Result<Option<Result<ConfigStore, OwnershipError>>, EditError> {
    let Some(bytes) = state.content(CONFIG_STORE)? else {
        return Ok(None);
    };
    refuse_sidecars(state)?;
    Ok(Some(ConfigStore::open(bytes.to_vec())))
}

/// Refuses a store whose write-ahead log or rollback journal holds something that SQLite has yet to do.
fn refuse_sidecars(state: &impl ReadState) -> Result<(), EditError> {
    for (name, is_empty) in sidecars(CONFIG_STORE) {
        let mut beside = state
            .members()?
            .iter()
            .filter(|it| it.is_at(&name))
            .peekable();
        if beside.peek().is_none() {
            continue;
        }
        // What a link leads to is not looked at.
        let are_files = beside.all(|member| member.kind == MemberKind::Regular);
        if !are_files || !state.content(&name)?.is_some_and(is_empty) {
            return Err(EditError::Sidecar { name });
        }
    }
    Ok(())
}

/// Says in which file of the state an error of [`crate::ownership`] was met.
pub(super) fn inside(path: &'static str) -> impl Fn(crate::ownership::OwnershipError) -> EditError {
    move |source| EditError::Ownership { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edit::fixtures::packed;
    use tar::{Builder, EntryType, Header};

    /// Whether a store may be read with such a write-ahead log beside it.
    fn is_read_beside(kind: EntryType, content: &[u8]) -> bool {
        let mut tar = Builder::new(Vec::new());
        let [(log, _), _] = sidecars(CONFIG_STORE);
        let members = [
            ("etc/other", EntryType::Regular, &b"content"[..]),
            (&log, kind, content),
        ];
        for (name, kind, content) in members {
            let mut header = Header::new_ustar();
            header.set_entry_type(kind);
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            if kind != EntryType::Regular {
                header.set_link_name("etc/other").unwrap();
            }
            tar.append_data(&mut header, name, content).unwrap();
        }
        refuse_sidecars(&packed(&tar.into_inner().unwrap())).is_ok()
    }

    #[test]
    fn a_log_beside_the_store_stands_in_nobodys_way_where_it_is_a_file_and_empty() {
        assert!(is_read_beside(EntryType::Regular, b""));
        assert!(is_read_beside(EntryType::Regular, &[7; 32]));
        assert!(!is_read_beside(EntryType::Regular, &[7; 33]));
        assert!(!is_read_beside(EntryType::Link, b""));
        assert!(!is_read_beside(EntryType::Symlink, b""));
    }
}
