//! Looking past damage: what is left of a bank's files and of its state.
//!
//! A command that only looks takes a damaged medium as far as it goes. A plan is never made from
//! anything of this: it takes a [`State`], and what was rescued is a [`Rescued`].

use super::{BankChoice, Cause, Error, Path, Slot, StateFile, Stick};
use crate::bank::Release;
use crate::edit::{CONFIG_STORE, Configuration, ESX_CONF, EditError};
use crate::error::ErrorKind;
use crate::fat::Entry;
use crate::partition::TableChoice;
use crate::state::{Condition, Form, Member, ReadState, Rescued, State, StateError};
use std::sync::Arc;

/// How to look at a medium.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// By which table.
    pub table: TableChoice,
    /// Whether to go on past damage, and read what is left.
    pub rescue: bool,
}

/// A state that is looked into: whole, or what is left of it.
#[derive(Clone, Debug)]
pub enum Reading {
    /// Every layer of it was verified.
    Whole(Arc<State>),
    /// What is left of it.
    Rescued(Box<Rescued>),
}

/// A file that was read.
#[derive(Debug)]
#[non_exhaustive]
pub struct FoundFile {
    /// Its bytes; zeros where some cannot be read and others behind them can.
    pub bytes: Vec<u8>,
    /// Why it may not be whole; empty where it is.
    pub damage: Vec<Error>,
}

impl ReadState for Reading {
    fn file_name(&self) -> &str {
        self.inner().file_name()
    }

    fn members(&self) -> Result<&[Member], StateError> {
        self.inner().members()
    }

    fn content(&self, path: &str) -> Result<Option<&[u8]>, StateError> {
        self.inner().content(path)
    }

    fn content_of(&self, member: &Member) -> Result<Option<&[u8]>, StateError> {
        self.inner().content_of(member)
    }
}

impl Reading {
    fn inner(&self) -> &dyn ReadState {
        match self {
            Reading::Whole(state) => state.as_ref(),
            Reading::Rescued(rescued) => rescued.as_ref(),
        }
    }

    /// What was rescued, where it is not whole.
    pub fn rescued(&self) -> Option<&Rescued> {
        match self {
            Reading::Whole(_) => None,
            Reading::Rescued(rescued) => Some(rescued),
        }
    }

    /// The form in which it holds the configuration.
    pub fn form(&self) -> Form {
        match self {
            Reading::Whole(state) => state.form(),
            Reading::Rescued(rescued) => rescued.form(),
        }
    }

    /// The bank's file as it is, damage and all.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Reading::Whole(state) => state.as_bytes(),
            Reading::Rescued(rescued) => rescued.as_bytes(),
        }
    }

    /// What of it was not whole; empty where all is. `partition` is where it is from, here and
    /// below: `None` for a state that is in no bank.
    pub fn damage(&self, partition: impl Into<Option<u32>>) -> Vec<Error> {
        let partition = partition.into();
        let rescued = self.rescued();
        let found = rescued.into_iter().flat_map(Rescued::damage);
        found
            .map(|error| {
                Error::from(error.clone())
                    .on(partition)
                    .in_file(self.file_name())
            })
            .collect()
    }

    /// The parts of it that say who owns which device, as a host of `release` reads them, and what of
    /// that was not whole.
    ///
    /// # Errors
    /// As [`Configuration::open_for`]; of what was rescued only where neither part can be read.
    pub fn configuration(
        &self,
        partition: impl Into<Option<u32>>,
        release: Option<&Release>,
    ) -> Result<(Configuration, Vec<Error>), Error> {
        let partition = partition.into();
        let inside = |error: EditError| Error::from(error).on(partition).in_file(self.file_name());
        let rescued = match self {
            Reading::Whole(state) => {
                let configuration =
                    Configuration::open_for(state.as_ref(), release).map_err(inside)?;
                return Ok((configuration, Vec::new()));
            }
            Reading::Rescued(rescued) => rescued,
        };
        let rescue = Configuration::rescue(rescued);
        let (configuration, unread) = rescue.map_err(|error| match error {
            EditError::NoConfiguration => self.missing(partition).unwrap_or_else(|| inside(error)),
            error => inside(error),
        })?;
        let mut damage: Vec<Error> = Vec::new();
        for path in [ESX_CONF, CONFIG_STORE] {
            damage.extend(self.not_whole(partition, path));
        }
        damage.extend(unread.into_iter().map(inside));
        damage.extend(self.damage(partition));
        Ok((configuration, damage))
    }

    /// Why something may not be there: it was behind the damage.
    pub fn missing(&self, partition: impl Into<Option<u32>>) -> Option<Error> {
        self.damage(partition).into_iter().next()
    }

    /// Whether a file of the configuration is there from end to end.
    pub(crate) fn has_all_of(&self, path: &str) -> bool {
        match self.rescued() {
            None => self.content(path).is_ok_and(|content| content.is_some()),
            Some(rescued) => {
                let condition = rescued.condition(path);
                matches!(condition, Some(Condition::Whole | Condition::Unsure))
            }
        }
    }

    /// That a file was not rescued as a whole.
    fn not_whole(&self, partition: Option<u32>, path: &str) -> Option<Error> {
        let condition = self.rescued()?.condition(path)?;
        (condition != Condition::Whole).then(|| {
            let path = path.to_owned();
            let cause = Cause::NotWhole { path, condition };
            Error::from(cause).on(partition).in_file(self.file_name())
        })
    }

    /// A file of the configuration; `None` where there is none.
    ///
    /// # Errors
    /// As [`ReadState::content`].
    pub fn file(
        &self,
        partition: impl Into<Option<u32>>,
        path: &str,
    ) -> Result<Option<FoundFile>, Error> {
        let partition = partition.into();
        let inside = |error: Cause| Error::from(error).on(partition).in_file(self.file_name());
        let Some(bytes) = self.content(path).map_err(|error| inside(error.into()))? else {
            return Ok(None);
        };
        let mut damage = Vec::from_iter(self.not_whole(partition, path));
        // Of a file that is whole the damage elsewhere is told as well: a later copy of it, which
        // would count, may be behind that.
        damage.extend(self.damage(partition));
        Ok(Some(FoundFile {
            bytes: bytes.to_vec(),
            damage,
        }))
    }
}

impl<'m> Stick<'m, '_> {
    /// How it was opened.
    pub fn look(&self) -> Look {
        self.look
    }

    /// What of the medium is missing, whatever is looked at.
    pub fn damage(&self) -> Vec<Error> {
        let cut = self.table().cut(self.medium().size());
        let cut = cut.map(|cut| Cause::Cut(Box::new(cut)).into());
        cut.into_iter().collect()
    }

    /// Whether anything may be written to the medium: it is whole, and its table is one to write by.
    ///
    /// # Errors
    /// What speaks against it.
    pub fn check_writable(&self) -> Result<(), Error> {
        match self.damage().into_iter().next() {
            Some(cut) => Err(cut),
            None => Ok(self.table().writable()?),
        }
    }

    /// Whether a bank's volume lets files be changed, as the changes themselves look at it.
    ///
    /// # Errors
    /// What speaks against it.
    pub fn check_volume(&self, partition: u32) -> Result<(), Error> {
        let volume = self.slot(partition)?.opened()?.volume();
        let checked = volume.check().map(drop);
        checked.map_err(|error| Error::from(error).on(partition))
    }

    /// That [`Stick::bank_of`] takes another bank than the one that boots next, where it does.
    pub fn stood_in(&self, path: &Path, choice: BankChoice) -> Option<Error> {
        let names_one = matches!(
            path,
            Path::Bank {
                partition: Some(_),
                ..
            }
        );
        let slot = self.stand_in()?;
        if names_one || choice != BankChoice::All {
            return None;
        }
        let cause = Cause::StandIn {
            why: match self.boots_next() {
                Some(next) => format!("bank {} boots next and is cut off", next.partition),
                None => "which bank boots next cannot be told".to_owned(),
            },
            read: slot.partition,
        };
        Some(cause.into())
    }

    /// The bank that is looked into instead of the one that boots next, where the medium is cut off
    /// and that one cannot be had.
    pub(super) fn stand_in(&self) -> Option<&Slot<'m>> {
        if self.table().faults.is_empty() || self.boots_next().is_some_and(|it| it.bank.is_ok()) {
            return None;
        }
        self.slots().iter().find(|slot| slot.bank.is_ok())
    }

    /// Reads a state file of a bank, and where that was asked for what is left of a damaged one.
    ///
    /// # Errors
    /// As [`Stick::open_state`]; with [`Look::rescue`] only where nothing is left, or a limit is in
    /// the way.
    pub fn read_state(&self, slot: &Slot<'m>, file: &StateFile) -> Result<Reading, Error> {
        let error = match self.open_state(slot, file) {
            Ok(state) => return Ok(Reading::Whole(state)),
            Err(error) => error,
        };
        let is_damage = matches!(
            error.kind(),
            ErrorKind::Damaged | ErrorKind::Unsupported | ErrorKind::Io
        );
        if !self.look.rescue || !is_damage || slot.bank.is_err() {
            return Err(error);
        }
        let settings = self.settings();
        let salvage = slot
            .opened()?
            .volume()
            .salvage_file(&file.entry, settings.limits.max_unpacked)
            .map_err(|error| Error::from(error).on(slot.partition).in_file(&file.name))?;
        let missing = salvage.missing.first().map(|range| range.start);
        Rescued::open(
            &file.name,
            &salvage.bytes,
            missing,
            &settings.limits,
            settings.keys,
            &self.other_key_stores(slot),
        )
        .map(|rescued| Reading::Rescued(Box::new(rescued)))
        .map_err(|why| {
            let why = Error::from(why);
            match why.kind() {
                ErrorKind::Refused => why.on(slot.partition).in_file(&file.name),
                _ => {
                    let (error, why) = (Box::new(error), Box::new(why));
                    Cause::NothingLeft { error, why }.into()
                }
            }
        })
    }

    /// The key stores of the states in the other banks.
    fn other_key_stores(&self, slot: &Slot<'m>) -> Vec<Vec<u8>> {
        let others = self.slots().iter();
        let others = others.filter(|other| other.partition != slot.partition);
        let files = others.flat_map(|other| other.states.iter().map(move |file| (other, file)));
        let stores = files.filter_map(|(other, file)| {
            let state = self.open_state(other, file).ok()?;
            state.key_store().map(<[u8]>::to_vec)
        });
        stores.collect()
    }

    /// Reads a file of a bank, and where that was asked for what is left of it.
    ///
    /// # Errors
    /// As [`Stick::read`]; with [`Look::rescue`] only where a limit is in the way.
    pub fn read_file(&self, slot: &Slot<'m>, entry: &Entry) -> Result<FoundFile, Error> {
        let error = match self.read(slot, entry) {
            Ok(bytes) => {
                let damage = Vec::new();
                return Ok(FoundFile { bytes, damage });
            }
            Err(error) => error,
        };
        if !self.look.rescue || error.kind() == ErrorKind::Refused || slot.bank.is_err() {
            return Err(error);
        }
        let limit = self.settings().limits.max_file();
        let on = |error: Error| error.on(slot.partition).in_file(entry.name());
        let salvage = slot.opened()?.volume().salvage_file(entry, limit);
        let salvage = salvage.map_err(|error| on(error.into()))?;
        let ranges = salvage.missing.into_iter();
        let missing = ranges.map(|range| on(Cause::NotRead { range }.into()));
        Ok(FoundFile {
            bytes: salvage.bytes,
            damage: std::iter::once(error).chain(missing).collect(),
        })
    }
}
