//! Opening a boot medium: its table, its volumes, and `boot.cfg` of each bank.

use super::slot::slots;
use super::{Cause, Error, Installer, Look, OtherType, Settings, Slot, Stick, missed};
use crate::bank::{Bank, ChoiceWarning, Probed};
use crate::error::ErrorKind;
use crate::loader::Loader;
use crate::medium::ReadAt;
use crate::partition::{Partition, PartitionTable, Role, TableChoice, other_table};
use std::sync::Arc;

/// Most banks that are opened. The loader looks at three, and two are what every layout has.
const MAX_BANKS: usize = 16;
/// Banks that a layout has.
const USUAL_COUNT: usize = 2;

impl<'m, 'k> Stick<'m, 'k> {
    /// Opens the medium: table, volumes, `boot.cfg` of each bank.
    ///
    /// A damaged bank is no error here: it is in its slot, as is one that the medium ends before.
    /// A medium without any is. What may be read is more than what may be changed: a plan is only
    /// made where the table is [`PartitionTable::writable`].
    ///
    /// # Errors
    /// A table that is damaged or none; [`Cause::NoBank`], [`Cause::Installer`],
    /// [`Cause::TooManyBanks`].
    pub fn open(medium: &'m dyn ReadAt, settings: &Settings<'k>) -> Result<Self, Error> {
        Self::open_to_look(medium, settings, Look::default())
    }

    /// The same in the way that `look` asks for: by a table that ESXi's loader may not use, or past
    /// what is damaged.
    ///
    /// # Errors
    /// As [`Stick::open`].
    pub fn open_to_look(
        medium: &'m dyn ReadAt,
        settings: &Settings<'k>,
        look: Look,
    ) -> Result<Self, Error> {
        let sector_size = settings.sector_size;
        Self::open_by(medium, settings, look).map_err(|error| {
            let of_table = matches!(
                error.cause,
                Cause::Table(_) | Cause::NoWholeBank(_) | Cause::NoBank(_)
            );
            if !of_table || error.kind() == ErrorKind::Io || look.table != TableChoice::Loader {
                return error;
            }
            match other_table(medium, sector_size) {
                Some(other) => {
                    let error = Box::new(error);
                    Cause::OtherTable { error, other }.into()
                }
                None => {
                    let table = PartitionTable::read(medium, sector_size).ok();
                    let installer = Installer::on(medium, table.as_ref());
                    installer.map_or(error, |found| Cause::Installer(found).into())
                }
            }
        })
    }

    fn open_by(medium: &'m dyn ReadAt, settings: &Settings<'k>, look: Look) -> Result<Self, Error> {
        let table = PartitionTable::read_as(medium, settings.sector_size, look.table)?;
        let loader = Loader::new(medium, &table);
        let other_types = missed::of_other_types(medium, &table);
        let found = Found::on(medium, &table, &loader)?;
        found.check_any(&table, &other_types)?;
        let choice = loader.choice();
        let slots = slots(found.banks, &choice.banks, settings);
        Ok(Stick {
            medium,
            settings: settings.clone(),
            look,
            table,
            choice_warnings: choice_warnings(&loader, &slots),
            slots,
            chosen: choice.chosen,
            loader,
            marked: found.marked,
            unmarked: found.unmarked,
            other_types,
            opened: Arc::default(),
            avoided: Vec::new(),
        })
    }
}

/// What is in the partitions that could hold a bank.
#[derive(Default)]
struct Found<'m> {
    /// Banks, and what is none that can be opened though it may be one, by partition number.
    banks: Vec<(u32, Result<Bank<'m>, Error>)>,
    /// Volumes with VMware's mark and without a `boot.cfg`, and those that cannot be opened and are no banks.
    marked: Vec<u32>,
    /// FAT volumes without that mark.
    unmarked: Vec<u32>,
}

impl<'m> Found<'m> {
    fn on(
        medium: &'m dyn ReadAt,
        table: &PartitionTable,
        loader: &Loader<'_>,
    ) -> Result<Self, Error> {
        let mut found = Found::default();
        for partition in table.bank_candidates() {
            found.look_into(partition, medium, table, loader);
            if found.banks.len() > MAX_BANKS {
                return Err(Cause::TooManyBanks { limit: MAX_BANKS }.into());
            }
        }
        found.tell_damaged_apart(loader);
        Ok(found)
    }

    /// A damaged volume may be anything. Where there are as many banks as a layout has, another one is the volume
    /// of the VMware Tools images or of scratch, and stands in the way of no bank.
    fn tell_damaged_apart(&mut self, loader: &Loader<'_>) {
        let is_one = |(number, bank): &(u32, Result<Bank<'m>, Error>)| {
            bank.is_ok() || loader.boot_cfg(*number).is_some() || missed::is_usual(*number)
        };
        // One that lost its boot.cfg has its place still.
        let missed = self.marked.iter().filter(|it| missed::is_usual(**it));
        if self.banks.iter().filter(|it| is_one(it)).count() + missed.count() < USUAL_COUNT {
            return;
        }
        let (banks, others) = self.banks.drain(..).partition::<Vec<_>, _>(is_one);
        self.marked.extend(others.iter().map(|(number, _)| *number));
        self.banks = banks;
    }

    fn look_into(
        &mut self,
        partition: &Partition,
        medium: &'m dyn ReadAt,
        table: &PartitionTable,
        loader: &Loader<'_>,
    ) {
        let number = partition.number;
        let Some(range) = partition.byte_range(table.sector_size) else {
            return;
        };
        let for_loader = || loader.boot_cfg(number).is_some();
        if let Some(fault) = table.fault_of(number) {
            // Of a partition that is missing its number is all that is left to tell what it was. What is cut off
            // and was no bank is told of by the table.
            if for_loader() || missed::is_usual(number) {
                self.banks.push((number, Err(Error::from(fault))));
            }
            return;
        }
        match Bank::probe(medium, range, table.sector_size) {
            Ok(Probed::Bank(bank)) => self.banks.push((number, Ok(*bank))),
            Ok(_) if for_loader() => {
                let error = Error::from(Cause::OnlyLoader).on(number);
                self.banks.push((number, Err(error)));
            }
            Ok(Probed::Volume(_)) => self.marked.push(number),
            Ok(Probed::Unmarked) => self.unmarked.push(number),
            Ok(Probed::Other) => {}
            // The EFI system partition carries the mark and holds no boot.cfg. Whatever is wrong with it stands in
            // the way of no bank.
            Err(_) if partition.role() == Role::Efi && !for_loader() => self.marked.push(number),
            Err(error) => self
                .banks
                .push((number, Err(Error::from(error).on(number)))),
        }
    }

    /// Refuses a medium on which there is nothing to open.
    fn check_any(&self, table: &PartitionTable, other_types: &[OtherType]) -> Result<(), Error> {
        let any_opened = self.banks.iter().any(|(_, bank)| bank.is_ok());
        if let (false, Some(fault)) = (any_opened, table.faults.first()) {
            return Err(Cause::NoWholeBank(fault.clone().into()).into());
        }
        if !self.banks.is_empty() {
            return Ok(());
        }
        if !other_types.is_empty() {
            return Err(Cause::OtherType(other_types.to_vec()).into());
        }
        let met = missed::absence_in_words(table, &self.marked, &self.unmarked);
        Err(Cause::NoBank(met).into())
    }
}

/// What the loader's choice of a bank gives reason to say, without a missing `state.tgz` where another file
/// holds the configuration: the host starts with that.
fn choice_warnings(loader: &Loader<'_>, slots: &[Slot<'_>]) -> Vec<ChoiceWarning> {
    let loads_other = |number: u32| {
        let mut slots = slots.iter().filter(|slot| slot.partition == number);
        slots.any(|slot| slot.loaded_state().is_some_and(|file| file.listed))
    };
    let mut warnings = loader.warnings();
    warnings.retain(|warning| match warning {
        ChoiceWarning::StateNotListed { partition } => !loads_other(*partition),
        _ => true,
    });
    warnings
}
