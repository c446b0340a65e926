//! Every device that the states of a target name, and who owns it.

use crate::bank::Release;
use crate::edit::{ConfigurationWarning, EditError};
use crate::ownership::DeviceOwner;
use crate::state::ReadState as _;
use crate::stick::{BankChoice, Error, Reading, Slot, StateFile, Stick};
use crate::target::Opened;

/// The devices of one bank, or of a state file.
#[derive(Debug)]
#[non_exhaustive]
pub struct BankDevices {
    /// Number of its partition; `None` for a state file.
    pub partition: Option<u32>,
    /// The devices its states name.
    pub devices: Vec<ListedDevice>,
    /// What is odd about what its states hold.
    pub warnings: Vec<ConfigurationWarning>,
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

/// The devices of a state file, or of every chosen bank. A state that cannot be opened does not hide
/// the others.
///
/// # Errors
/// A choice that is no bank of this medium.
pub fn devices(opened: &Opened<'_, '_>, banks: BankChoice) -> Result<Vec<BankDevices>, Error> {
    let stick = match opened {
        Opened::Medium(stick) => stick,
        Opened::State(saved) => {
            let mut found = BankDevices::new(None);
            if let Err(error) = found.add(saved.reading(), saved.release().as_ref()) {
                found.errors.push(error);
            }
            return Ok(vec![found]);
        }
    };
    let mut chosen = stick.chosen(banks)?;
    chosen.sort_by_key(|slot| slot.partition);
    let found = chosen.into_iter().map(|slot| {
        let mut bank = BankDevices::new(Some(slot.partition));
        bank.errors.extend(slot.opened().err());
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
    bank.add(&stick.read_state(slot, file)?, slot.release().as_ref())
}

impl BankDevices {
    fn new(partition: Option<u32>) -> Self {
        BankDevices {
            partition,
            devices: Vec::new(),
            warnings: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Adds the devices that a state of a host of `release` names.
    fn add(&mut self, state: &Reading, release: Option<&Release>) -> Result<(), Error> {
        let name = state.file_name();
        let inside = |error: EditError| Error::from(error).on(self.partition).in_file(name);
        let (configuration, damage) = state.configuration(self.partition, release)?;
        let warnings = configuration.warnings().map_err(inside)?;
        let devices = configuration.devices().map_err(inside)?;
        self.errors.extend(damage);
        self.errors
            .extend(configuration.check_rows().map_err(inside).err());
        self.warnings.extend(warnings);
        self.devices
            .extend(devices.into_iter().map(|device| ListedDevice {
                file: name.to_owned(),
                device,
            }));
        Ok(())
    }
}
