//! The `/device` lines of esx.conf: owners, aliases, and the spelling a new line takes.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::line::{NoteKind, device_key};
use super::{EsxConf, OddLine, OwnershipError};
use crate::ownership::bus_address::Aliases;
use crate::ownership::{Alias, DeviceOwner, Owner, Source, split_virtual_function, tie_aliases};
use crate::pci::{self, Class, PciAddress, Radix, Spelling};

impl EsxConf {
    /// Every device that has a `/device` line, in the order of the file.
    ///
    /// Where several lines give one device an owner, it counts as passed through if any of them
    /// says so: that the last one wins is inferred.
    pub fn devices(&self) -> Vec<DeviceOwner> {
        let mut devices: Vec<DeviceOwner> = Vec::new();
        let mut index: HashMap<&str, usize> = HashMap::new();
        for entry in self.entries() {
            let Some((written, leaf)) = device_key(entry.key) else {
                continue;
            };
            let at = *index.entry(written).or_insert_with(|| {
                let key = format!("/device/{written}/owner");
                devices.push(DeviceOwner::new(Source::EsxConf, key, written));
                devices.len().saturating_sub(1)
            });
            if let Some(device) = devices.get_mut(at) {
                take_leaf(device, leaf, entry.value);
            }
        }
        for device in &mut devices {
            let owner = device.owner.clone();
            device
                .shadowed
                .retain(|value| Some(value) != owner.as_ref());
        }
        tie_aliases(&mut devices, &self.aliases());
        devices
    }

    /// The adapters that `/vmkdevmgr` lines tie to a place, PCI lines before logical ones, which
    /// number the adapters of one function. Hosts of 5.5 to 6.7 name slots there
    /// (`/vmkdevmgr/pci/m00008901/alias`).
    pub fn aliases(&self) -> Vec<Alias> {
        let mut aliases = Aliases::default();
        for entry in self.entries() {
            let path = entry.key.strip_prefix("/vmkdevmgr/");
            let path = path.and_then(|path| path.strip_suffix("/alias"));
            if let Some((bus, place)) = path.and_then(|path| path.split_once('/')) {
                aliases.take(bus, place, entry.value.to_owned());
            }
        }
        aliases.in_order()
    }

    /// Sets the owner at each of `keys` (`/device/000:26.7/owner`), in every line that has the key
    /// and means the other one.
    ///
    /// Only the bytes between the quotes change. A value that already means `owner` is left
    /// as it is, whatever its wording; with nothing to change the result equals `self`.
    ///
    /// # Errors
    /// [`OwnershipError::NoSuchKey`] without such a line; [`OwnershipError::OddLine`] where a line
    /// not of the exact form has the key; [`OwnershipError::BadKey`] for a key that is no device's
    /// owner.
    pub fn set_owner(&self, keys: &[&str], owner: Owner) -> Result<EsxConf, OwnershipError> {
        self.refuse_odd_lines(keys, |_| true)?;
        self.set_exact_lines(keys, owner)
    }

    /// As [`EsxConf::set_owner`] to the VMkernel, where a line not of the exact form with one of the keys is in the
    /// way only if it may pass the device through, and `despite_doubt` not even then: the caller tells of it.
    pub(crate) fn give_back(
        &self,
        keys: &[&str],
        despite_doubt: bool,
    ) -> Result<EsxConf, OwnershipError> {
        self.refuse_odd_lines(keys, |odd| odd.is_doubtful() && !despite_doubt)?;
        self.set_exact_lines(keys, Owner::Vmkernel)
    }

    fn refuse_odd_lines(
        &self,
        keys: &[&str],
        is_in_the_way: impl Fn(&OddLine) -> bool,
    ) -> Result<(), OwnershipError> {
        let wanted: HashSet<&str> = keys.iter().copied().collect();
        let mut odd = self.odd.iter().filter(|odd| is_in_the_way(odd));
        match odd.find(|odd| wanted.contains(odd.key.as_str())) {
            Some(odd) => Err(odd.refused()),
            None => Ok(()),
        }
    }

    fn set_exact_lines(&self, keys: &[&str], owner: Owner) -> Result<EsxConf, OwnershipError> {
        let wanted: HashSet<&str> = keys.iter().copied().collect();
        let mut found: HashSet<&str> = HashSet::new();
        let mut edits = Vec::new();
        for line in &self.lines {
            let Some(key) = wanted.get(self.text(&line.key)) else {
                continue;
            };
            found.insert(key);
            if meaning(key, self.text(&line.value)) != owner {
                edits.push((
                    line.value.clone(),
                    owner.spelled(Source::EsxConf).to_owned(),
                ));
            }
        }
        for key in keys {
            let shown = || super::shortened(key);
            if !matches!(device_key(key), Some((_, "owner"))) {
                return Err(OwnershipError::BadKey {
                    key: shown(),
                    why: "it is not of the form /device/ADDRESS/owner",
                });
            }
            if !found.contains(key) {
                return Err(OwnershipError::NoSuchKey { key: shown() });
            }
        }
        self.spliced(edits)
    }

    /// Gives a device without an owner line one, and returns the new key with the result.
    ///
    /// The address is written as the file's other `/device` keys write theirs. A device that has
    /// an owner line is set as by [`EsxConf::set_owner`].
    ///
    /// # Errors
    /// [`OwnershipError::NoSpelling`] where the other keys do not tell how to write this address;
    /// else as [`EsxConf::set_owner`].
    pub fn add_owner(
        &self,
        address: PciAddress,
        owner: Owner,
    ) -> Result<(EsxConf, String), OwnershipError> {
        let devices = self.devices();
        let written = self.spelling_for(&devices, address)?;
        let key = format!("/device/{written}/owner");
        let edited = if self.get(&key).is_some() {
            self.set_owner(&[&key], owner)?
        } else {
            self.set(&key, owner.spelled(Source::EsxConf))?
        };
        Ok((edited, key))
    }

    fn spelling_for(
        &self,
        devices: &[DeviceOwner],
        address: PciAddress,
    ) -> Result<String, OwnershipError> {
        let refuse = |why| {
            Err(OwnershipError::NoSpelling {
                address: address.to_string(),
                why,
            })
        };
        let mut named = devices
            .iter()
            .filter(|d| !d.virtual_function && d.address == Some(address));
        match (named.next(), named.next()) {
            (Some(device), None) => return Ok(device.written.clone()),
            (None, _) => {}
            (Some(_), Some(_)) => return refuse("several lines are this device"),
        }
        let spelled: BTreeSet<String> = spellings_in_use(devices)
            .into_iter()
            .filter_map(|spelling| address.spelled(spelling))
            .collect();
        let mut spelled = spelled.into_iter();
        match (spelled.next(), spelled.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => refuse("no `/device` line has a clear spelling"),
            (Some(_), Some(_)) => refuse("its `/device` lines allow more than one spelling"),
        }
    }

    /// Notes owner lines that contradict each other, and those the host ignores.
    pub(super) fn note_owners(&mut self) {
        let mut first: HashMap<&str, &str> = HashMap::new();
        let mut notes = Vec::new();
        for entry in self.entries() {
            let Some((written, "owner")) = device_key(entry.key) else {
                continue;
            };
            let text = || format!("{} = \"{}\"", entry.key, entry.value);
            let seen = first.entry(entry.key).or_insert(entry.value);
            if *seen != entry.value {
                notes.push((entry.line, NoteKind::DuplicateOwner, text()));
            }
            let device = DeviceOwner::new(Source::EsxConf, String::new(), written);
            if device.is_ignored_by_host() && device.meaning_of(entry.value) == Owner::Passthru {
                notes.push((entry.line, NoteKind::IgnoredOwner, text()));
            }
        }
        for (line, kind, text) in notes {
            self.note(line, kind, text.as_bytes());
        }
    }
}

/// What a value means as owner at `key`.
fn meaning(key: &str, value: &str) -> Owner {
    let written = device_key(key).map_or(key, |(written, _)| written);
    let (_, virtual_function) = split_virtual_function(written);
    Owner::meant_by(Source::EsxConf, virtual_function, value)
}

/// Every spelling the device keys use. Keys the host ignores tell none.
fn spellings_in_use(devices: &[DeviceOwner]) -> BTreeSet<Spelling> {
    let functions = devices.iter().filter(|d| !d.virtual_function);
    functions
        .filter_map(|device| pci::read(&device.written, Radix::Decimal))
        .map(|reading| reading.spelling)
        .collect()
}

fn take_leaf(device: &mut DeviceOwner, leaf: &str, value: &str) {
    let text = Some(value.to_owned()).filter(|v| !v.is_empty());
    match leaf {
        "owner" => take_owner(device, value),
        "vmkname" => device.alias = text,
        "name" => device.name = text,
        "class" => device.class = Class::from_hex(value),
        "vendor" => device.vendor_id = text,
        "devID" => device.device_id = text,
        _ => {}
    }
}

fn take_owner(device: &mut DeviceOwner, value: &str) {
    let means = device.meaning_of(value);
    let Some(before) = device.owner.take() else {
        device.passthrough = means == Owner::Passthru;
        device.owner = Some(value.to_owned());
        return;
    };
    // The value shown is the last, unless only an earlier one passes the device through.
    let (shown, other) = match (device.passthrough, means) {
        (true, Owner::Vmkernel) => (before, value.to_owned()),
        _ => (value.to_owned(), before),
    };
    device.passthrough |= means == Owner::Passthru;
    device.owner = Some(shown);
    device.shadowed.push(other);
}
