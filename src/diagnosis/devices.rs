//! Every device that the states of a medium name, and who owns it.

use crate::edit::EditError;
use crate::ownership::DeviceOwner;
use crate::stick::{BankChoice, Error, Slot, StateFile, Stick};

/// The devices of one bank.
#[derive(Debug)]
pub struct BankDevices {
    /// Number of its partition.
    pub partition: u32,
    /// The devices its states name.
    pub devices: Vec<ListedDevice>,
    /// What a person should know, in words.
    pub warnings: Vec<String>,
    /// Why the bank, or states of it, cannot be looked into.
    pub errors: Vec<Error>,
}

/// A device, and the file that names it.
#[derive(Clone, Debug)]
pub struct ListedDevice {
    /// The bank's file: `state.tgz`.
    pub file: String,
    /// What that file says.
    pub device: DeviceOwner,
}

/// The devices of every chosen bank. A state that cannot be opened does not hide the others.
///
/// # Errors
/// A choice that is no bank of this medium.
pub fn devices(stick: &Stick<'_, '_>, banks: BankChoice) -> Result<Vec<BankDevices>, Error> {
    let mut chosen = stick.chosen(banks)?;
    chosen.sort_by_key(|slot| slot.partition);
    let found = chosen.into_iter().map(|slot| {
        let mut bank = BankDevices {
            partition: slot.partition,
            devices: Vec::new(),
            warnings: Vec::new(),
            errors: slot.opened().err().into_iter().collect(),
        };
        for file in &slot.states {
            if let Err(error) = add(stick, slot, file, &mut bank) {
                bank.errors.push(error);
            }
        }
        bank
    });
    Ok(found.collect())
}

fn add(
    stick: &Stick<'_, '_>,
    slot: &Slot<'_>,
    file: &StateFile,
    bank: &mut BankDevices,
) -> Result<(), Error> {
    let inside = |error: EditError| Error::from(error).on(slot.partition).in_file(&file.name);
    let state = stick.read_state(slot, file)?;
    let (configuration, damage) = state.configuration(slot.partition)?;
    bank.errors.extend(damage);
    bank.warnings
        .extend(configuration.warnings().map_err(inside)?);
    let devices = configuration.devices().map_err(inside)?;
    bank.devices
        .extend(devices.into_iter().map(|device| ListedDevice {
            file: file.name.clone(),
            device,
        }));
    Ok(())
}
