//! The rows that name PCI devices: `esx/hardware/pci_devices` for owners, `esx/system/device_data`
//! for the names of adapters.

use super::{Cell, ConfigStore, Row, RowKey, RowNote, SchemaStore, ValueColumn};
use crate::ownership::bus_address::Aliases;
use crate::ownership::json_span::{string_member, with_string_member};
use crate::ownership::{
    Alias, BusAddress, DeviceOwner, Owner, OwnershipError, Source, tie_aliases,
};
use crate::pci::PciAddress;

impl RowKey {
    /// The key of the row that says who owns the device `identifier`.
    pub(crate) fn of_pci_device(identifier: &str) -> RowKey {
        RowKey::new("esx", "hardware", "pci_devices", identifier)
    }
}

fn is_pci_device(row: &Row) -> bool {
    row.key == RowKey::of_pci_device(&row.key.identifier)
}

fn is_device_data(row: &Row) -> bool {
    let RowKey {
        component,
        group,
        name,
        ..
    } = &row.key;
    (component.as_str(), group.as_str(), name.as_str()) == ("esx", "system", "device_data")
}

impl ConfigStore {
    /// Every device that has a `pci_devices` row, in the table's order.
    ///
    /// A device is passed through when any value column says so; the owner shown is then that
    /// one, else that of the column the host's own settings go to first. A row whose owner cannot be
    /// told is left out: it is one of [`ConfigStore::odd_rows`].
    pub fn devices(&self) -> Vec<DeviceOwner> {
        let mut devices: Vec<DeviceOwner> = self
            .pci_devices()
            .filter_map(|row| device(row).ok())
            .collect();
        tie_aliases(&mut devices, &self.aliases);
        devices
    }

    /// Why the owner of a device cannot be told from its row: [`OwnershipError::RowValue`] for each row
    /// with a value column that is not a JSON object, has several owners or one that is not a string.
    pub fn odd_rows(&self) -> Vec<OwnershipError> {
        self.pci_devices()
            .filter_map(|row| device(row).err())
            .collect()
    }

    /// The devices, as far as their addresses can be told, whose rows cannot be read, or have an owner that is
    /// neither of the two the host knows. How it reads such a one is not known: it may pass the device through,
    /// and is kept as it is.
    pub fn doubtful_rows(&self) -> impl Iterator<Item = Option<PciAddress>> {
        let doubtful = |row: &&Row| device(row).is_err() || doubtful_owners(row).next().is_some();
        let rows = self.pci_devices().filter(doubtful);
        rows.map(|row| PciAddress::from_sbdf(&row.key.identifier))
    }

    fn pci_devices(&self) -> impl Iterator<Item = &Row> {
        self.rows().iter().filter(|row| is_pci_device(row))
    }

    /// The adapters that `device_data` rows tie to a place, PCI rows before logical ones.
    ///
    /// Rows that are not as the host writes them are left out.
    pub fn aliases(&self) -> &[Alias] {
        &self.aliases
    }

    /// A row that passes through a device which has none, as `schemas` want it.
    ///
    /// The schema of 7.0.2 demands `sbdf` and `dl_bus_address`. The second is known only where a
    /// `device_data` row names the device by its address; it may also name a slot, and then nothing
    /// here tells which device that is.
    ///
    /// # Errors
    /// [`OwnershipError::CannotAddRow`] where it is not known; as [`SchemaStore::new_row`].
    pub fn passthru_row(
        &self,
        schemas: &SchemaStore,
        address: PciAddress,
    ) -> Result<Row, OwnershipError> {
        let identifier = address.to_string();
        let key = RowKey::of_pci_device(&identifier);
        let mut datas = self.rows().iter().filter_map(DeviceData::read);
        let data = datas.find(|data| {
            let place = BusAddress::parse(&data.bus_address);
            data.bus_type == "pci" && place == Some(BusAddress::Pci(address))
        });
        let data = data.ok_or_else(|| OwnershipError::CannotAddRow {
            row: key.to_string(),
            why: "no device_data row holds its dl_bus_address, which the schema requires"
                .to_owned(),
        })?;
        let owner = Owner::Passthru.spelled(Source::ConfigStore);
        let value = serde_json::json!({
            "sbdf": identifier, "owner": owner, BUS_ADDRESS: data.bus_address,
        });
        schemas.new_row(&key, &value)
    }

    /// What is odd about the `pci_devices` rows.
    pub fn notes(&self) -> Vec<RowNote> {
        let mut notes = Vec::new();
        for row in self.pci_devices() {
            let device = match device(row) {
                Ok(device) => device,
                Err(error) => {
                    notes.push(RowNote::Unreadable(error));
                    continue;
                }
            };
            if device.address.is_none() {
                notes.push(RowNote::NoAddress(row.key.clone()));
            }
            if !device.shadowed.is_empty() {
                notes.push(RowNote::OwnersDiffer(row.key.clone()));
            }
            notes.extend(
                doubtful_owners(row).map(|(column, owner)| RowNote::OddOwner {
                    row: row.key.clone(),
                    column,
                    owner,
                }),
            );
            notes.extend(other_devices(row));
        }
        notes
    }
}

/// The columns of a row that name another device than its Identifier.
fn other_devices(row: &Row) -> impl Iterator<Item = RowNote> {
    ValueColumn::ALL.into_iter().filter_map(|column| {
        let named = string_member(row.value(column).text()?, "sbdf").ok()??;
        (named.value != row.key.identifier).then(|| RowNote::OtherDevice {
            row: row.key.clone(),
            column,
            other: named.value,
        })
    })
}

/// The adapters that `device_data` rows tie to a place, as [`ConfigStore::aliases`] gives them.
pub(super) fn aliases(rows: &[Row]) -> Vec<Alias> {
    let mut aliases = Aliases::default();
    for data in rows.iter().filter_map(DeviceData::read) {
        aliases.take(&data.bus_type, &data.bus_address, data.alias);
    }
    aliases.in_order()
}

/// The property that holds what the device layer calls the device's place.
const BUS_ADDRESS: &str = "dl_bus_address";

/// The columns in the order in which an owner is shown: what a user set comes first.
const SHOWN_FIRST: [ValueColumn; 5] = [
    ValueColumn::User,
    ValueColumn::AutoConf,
    ValueColumn::Vital,
    ValueColumn::Cached,
    ValueColumn::Desired,
];

fn device(row: &Row) -> Result<DeviceOwner, OwnershipError> {
    let identifier = &row.key.identifier;
    let mut device = DeviceOwner::new(Source::ConfigStore, identifier.clone(), identifier);
    device.bus_address = SHOWN_FIRST.into_iter().find_map(|column| {
        let json = row.value(column).text()?;
        let member = string_member(json, BUS_ADDRESS).ok()??;
        BusAddress::parse(&member.value)
    });
    let mut owners = Vec::new();
    for column in SHOWN_FIRST {
        owners.extend(owner_in(row, column)?);
    }
    let passed_through = Owner::Passthru.spelled(Source::ConfigStore);
    device.passthrough = owners.iter().any(|owner| owner == passed_through);
    device.owner = if device.passthrough {
        Some(passed_through.to_owned())
    } else {
        owners.first().cloned()
    };
    owners.retain(|owner| Some(owner) != device.owner.as_ref());
    device.shadowed = owners;
    Ok(device)
}

/// The owner one column names.
fn owner_in(row: &Row, column: ValueColumn) -> Result<Option<String>, OwnershipError> {
    let cell = row.value(column);
    if let Some(what) = cell.not_text() {
        return Err(row.bad_value(column, format!("holds {what}")));
    }
    let Some(json) = cell.text() else {
        return Ok(None);
    };
    match string_member(json, "owner") {
        Ok(member) => Ok(member.map(|member| member.value)),
        Err(error) => Err(row.bad_value(column, error.describe("owner"))),
    }
}

/// The owners in the columns of a row that are of no spelling a host is known to read.
fn doubtful_owners(row: &Row) -> impl Iterator<Item = (ValueColumn, String)> {
    let known = [Owner::Passthru, Owner::Vmkernel].map(|it| it.spelled(Source::ConfigStore));
    let owners = ValueColumn::ALL.into_iter().filter_map(|column| {
        let owner = owner_in(row, column).ok()??;
        Some((column, owner))
    });
    owners.filter(move |(_, owner)| !known.contains(&owner.as_str()))
}

/// Sets the owner in each column that has one; see [`super::StoreChange::SetOwner`].
pub(super) fn set_owner(row: &mut Row, owner: Owner) -> Result<(), OwnershipError> {
    let mut owned = Vec::new();
    for column in ValueColumn::ALL {
        owned.extend(owner_in(row, column)?.map(|value| (column, value)));
    }
    if owned.is_empty() && owner == Owner::Passthru {
        let identifier = &row.key.identifier;
        if PciAddress::from_sbdf(identifier).is_none() {
            return Err(OwnershipError::CannotAddRow {
                row: row.key.to_string(),
                why: "the Identifier is not a PCI address".to_owned(),
            });
        }
        if row.value(ValueColumn::User).text().is_none() {
            let json = format!("{{\"sbdf\":\"{identifier}\"}}");
            *row.value_mut(ValueColumn::User) = Cell::Text(json);
        }
        return put_owner(row, ValueColumn::User, owner);
    }
    for (column, value) in owned {
        if Owner::meant_by(Source::ConfigStore, false, &value) != owner {
            put_owner(row, column, owner)?;
        }
    }
    Ok(())
}

fn put_owner(row: &mut Row, column: ValueColumn, owner: Owner) -> Result<(), OwnershipError> {
    let json = row.value(column).text().unwrap_or_default();
    match with_string_member(json, "owner", owner.spelled(Source::ConfigStore)) {
        Ok(json) => {
            *row.value_mut(column) = Cell::Text(json);
            Ok(())
        }
        Err(error) => Err(row.bad_value(column, error.describe("owner"))),
    }
}

/// What a `device_data` row says, as seen in a real 7.0.2 state:
/// `{"alias":"vmhba1","alias_pending":false,"bus_type":"pci","bus_address":"p0000:00:07.1"}` in
/// VitalValue.
struct DeviceData {
    alias: String,
    bus_type: String,
    bus_address: String,
}

impl DeviceData {
    fn read(row: &Row) -> Option<DeviceData> {
        if !is_device_data(row) {
            return None;
        }
        let columns = [ValueColumn::Vital, ValueColumn::User, ValueColumn::AutoConf];
        columns.into_iter().find_map(|column| {
            let json = row.value(column).text()?;
            let member = |name| Some(string_member(json, name).ok()??.value);
            Some(DeviceData {
                alias: member("alias").filter(|alias| !alias.is_empty())?,
                bus_type: member("bus_type")?,
                bus_address: member("bus_address")?,
            })
        })
    }
}
