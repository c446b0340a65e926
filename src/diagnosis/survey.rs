//! The banks of a medium and the states in them, each opened as far as it goes.

use crate::bank::{Bank, Release};
use crate::edit::{
    CONFIG_STORE, Configuration, ESX_CONF, EditError, Identity, PassedThrough, not_editable,
};
use crate::error::{ErrorKind, counted};
use crate::ownership::{DeviceOwner, Source, typed_address};
use crate::pci::{Class, PciAddress};
use crate::state::envelope::Envelope;
use crate::state::{Form, ReadState as _, State};
use crate::stick::{Cure, Error, NextBoot, Reading, Slot, StateFile, Stick, Warning, WarningCause};
use crate::target::SavedState;

/// What was found on a medium.
#[derive(Debug)]
#[non_exhaustive]
pub struct Survey {
    /// The banks, by partition number.
    pub banks: Vec<BankSurvey>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
    /// Partitions whose bank cannot be read, as opposed to reading wrongly: one of them may be
    /// what boots next.
    pub unread: Vec<u32>,
    /// What the loader does at the next boot.
    pub next_boot: NextBoot,
    /// What would make the medium boot, where it does not.
    pub cure: Option<Cure>,
    /// Why nothing may be written to the medium: it is cut off, or its table forbids it, or, where the bank that
    /// boots next passes devices through, the volume of that bank does.
    pub unwritable: Option<Error>,
    /// Banks besides the one that boots next for which a change of the configuration in all banks is refused: they
    /// cannot be opened, a state in them cannot, or they pass devices through and nothing may be written to them.
    pub unwritable_others: Vec<u32>,
}

/// One bank.
#[derive(Debug)]
#[non_exhaustive]
pub struct BankSurvey {
    /// Number of its partition.
    pub partition: u32,
    /// The identity VMware gave the volume, as the host writes it.
    pub uuid: Option<String>,
    /// The volume's label.
    pub label: Option<String>,
    /// `build` of its boot.cfg.
    pub build: Option<String>,
    /// `updated` of its boot.cfg.
    pub updated: Option<u32>,
    /// `bootstate` of its boot.cfg.
    pub bootstate: Option<i32>,
    /// Whether it would boot if no other bank ranked higher.
    pub bootable: bool,
    /// Whether it boots next.
    pub boots_next: bool,
    /// Why it does not, in words.
    pub why_not: Option<String>,
    /// The states in it, the one that the host loads last.
    pub states: Vec<StateSurvey>,
    /// Whether it holds none, though `modules=` names one.
    pub lacks_state: bool,
    /// Why it cannot be opened.
    pub error: Option<Error>,
}

/// One state file of a bank.
#[derive(Debug)]
#[non_exhaustive]
pub struct StateSurvey {
    /// Its name.
    pub file: String,
    /// Its size in bytes.
    pub size: u64,
    /// Whether `modules=` of the bank's boot.cfg names it: a file it does not name is not loaded.
    pub listed: bool,
    /// The form in which it holds the configuration; `None` where it cannot be opened.
    pub form: Option<Form>,
    /// Where the key of a sealed state is kept.
    pub seal: Option<String>,
    /// The devices it passes through as the host reads it, each once; `None` where that cannot be told.
    pub passed_through: Option<Vec<PassedDevice>>,
    /// Devices that only a file passes through from which the host takes no owners.
    pub unread: Option<Unread>,
    /// Lines and rows that may pass a device through and are not of the form that can be read.
    pub doubtful: usize,
    /// Whether it is empty: the host starts with default settings, unless it loads another state.
    pub is_empty: bool,
    /// Whose state it is; `None` where it cannot be opened or is empty.
    pub identity: Option<Identity>,
    /// What can be told of a sealed state without its key, in words.
    pub outside: Vec<String>,
    /// Why it, or what is inside, cannot be opened; of a state that was rescued the first thing that is not whole.
    pub error: Option<Error>,
    /// What else of a state that was rescued is not whole.
    pub damage: Vec<Error>,
}

/// Devices that only the one of two files passes through from which the host's release takes no owners.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unread {
    /// That file.
    pub source: Source,
    /// The devices; at least one.
    pub devices: Vec<PassedDevice>,
}

/// A device that a state passes through.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct PassedDevice {
    /// Where it is; `None` where its key is no address.
    pub address: Option<PciAddress>,
    /// Which virtual function of the function there it is: `1` of `.vf1`.
    pub virtual_function: Option<String>,
    /// The key that names it, as it is written.
    pub key: String,
    /// The name of its adapter, `vmhba32`.
    pub alias: Option<String>,
    /// Its class, where the state holds it.
    pub class: Option<Class>,
}

impl PassedDevice {
    /// Its address as a person types it, see [`DeviceOwner::typed_address`].
    pub fn typed_address(&self) -> Option<String> {
        let number = self.virtual_function.as_deref();
        Some(typed_address(self.address?, number))
    }
}

impl From<DeviceOwner> for PassedDevice {
    fn from(device: DeviceOwner) -> Self {
        PassedDevice {
            virtual_function: device.virtual_function_number().map(str::to_owned),
            address: device.address,
            key: device.key,
            alias: device.alias,
            class: device.class,
        }
    }
}

/// How things stand in the bank that boots next.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// No bank boots.
    NoneBoots,
    /// It holds no state, or an empty one: the host starts with default settings.
    NoState,
    /// It holds one that `modules=` does not list, so that the host does not load it: it starts with default settings.
    NotLoaded,
    /// Its state is sealed: nobody but the host can open it.
    Sealed,
    /// Its state is sealed, and the recovery key that was given does not open it.
    KeyDoesNotFit,
    /// Its state cannot be opened, or the bank itself, so that none can be looked for.
    Unopened,
    /// Its state was read.
    Read {
        /// The devices it passes through.
        passed_through: Vec<PassedDevice>,
        /// Those that only a file passes through which the host does not read for that.
        unread: Option<Unread>,
        /// Lines that may pass a device through and cannot be read for certain.
        doubtful: usize,
    },
}

impl Survey {
    /// Opens every state of every bank of a medium. What cannot be opened is in the answer.
    pub fn of(stick: &Stick<'_, '_>) -> Self {
        let next_boot = stick.next_boot();
        let mut survey = Survey {
            banks: Vec::new(),
            warnings: stick.warnings(),
            unread: unread(stick),
            cure: stick.cure(&next_boot),
            unwritable: stick.check_writable().err(),
            unwritable_others: Vec::new(),
            next_boot,
        };
        for slot in stick.slots() {
            let states = slot.states.iter();
            let states = states.map(|file| look_into(stick, slot, file, &mut survey.warnings));
            let bank = BankSurvey::new(stick, slot, states.collect());
            if !bank.boots_next && bank.is_closed(slot) {
                survey.unwritable_others.push(bank.partition);
            }
            if bank.boots_next {
                let damage = || bank.read_past(stick, slot);
                survey.unwritable = survey.unwritable.take().or_else(damage);
            }
            survey.banks.push(bank);
        }
        if survey.unwritable.is_none() {
            for bank in survey.banks.iter().filter(|bank| bank.passes_through()) {
                let writable = stick.check_volume(bank.partition);
                match writable.and_then(|()| check_editable(stick, bank.partition)) {
                    Ok(()) => {}
                    Err(error) if bank.boots_next => survey.unwritable = Some(error),
                    Err(_) if survey.unwritable_others.contains(&bank.partition) => {}
                    Err(_) => survey.unwritable_others.push(bank.partition),
                }
            }
        }
        survey
    }

    /// How things stand in the bank that boots next, by the state that the host loads.
    pub fn standing(&self) -> Standing {
        let Some(bank) = self.banks.iter().find(|bank| bank.boots_next) else {
            return Standing::NoneBoots;
        };
        // The loader asks less of a volume than is asked here: it can find a state in such a bank.
        if bank.error.is_some() {
            return Standing::Unopened;
        }
        match bank.filled_state() {
            None => Standing::NoState,
            Some(state) if !state.listed => Standing::NotLoaded,
            Some(StateSurvey {
                passed_through: Some(passed_through),
                unread,
                doubtful,
                ..
            }) => Standing::Read {
                passed_through: passed_through.clone(),
                unread: unread.clone(),
                doubtful: *doubtful,
            },
            Some(state) if state.form == Some(Form::Sealed) => Standing::Sealed,
            Some(state) if state.error.as_ref().is_some_and(Error::is_of_unfit_key) => {
                Standing::KeyDoesNotFit
            }
            Some(_) => Standing::Unopened,
        }
    }
}

fn unread(stick: &Stick<'_, '_>) -> Vec<u32> {
    let failed = stick.slots().iter().filter(|slot| {
        let kind = slot.bank.as_ref().err().map(|error| error.kind());
        kind == Some(ErrorKind::Io)
    });
    failed.map(|slot| slot.partition).collect()
}

impl BankSurvey {
    fn new(stick: &Stick<'_, '_>, slot: &Slot<'_>, states: Vec<StateSurvey>) -> Self {
        let bank = slot.bank.as_ref().ok();
        let boot_cfg = bank.map(Bank::boot_cfg);
        BankSurvey {
            partition: slot.partition,
            uuid: bank.map(|bank| bank.uuid().to_string()),
            label: bank.and_then(|bank| bank.volume().label()),
            build: boot_cfg.and_then(|boot_cfg| boot_cfg.build.clone()),
            updated: boot_cfg.map(|boot_cfg| boot_cfg.updated),
            bootstate: boot_cfg.map(|boot_cfg| boot_cfg.bootstate),
            bootable: slot.verdict.bootable && stick.not_by_loader().is_none(),
            boots_next: stick.takes(slot),
            why_not: stick.why_not(slot),
            lacks_state: states.is_empty() && bank.is_some_and(Bank::lists_state),
            states,
            error: slot.opened().err(),
        }
    }

    /// Whether a change of the configuration in all banks is refused for it: it cannot be opened, or a state in it
    /// cannot that the host may load.
    fn is_closed(&self, slot: &Slot<'_>) -> bool {
        let closed = |(state, file): (&StateSurvey, &StateFile)| match &state.error {
            Some(error) => !slot.is_harmless(file, error),
            None => state.form == Some(Form::Sealed) && state.passed_through.is_none(),
        };
        self.error.is_some() || self.states.iter().zip(&slot.states).any(closed)
    }

    /// The damage past which a state of it was read: a change would not get past that.
    fn read_past(&self, stick: &Stick<'_, '_>, slot: &Slot<'_>) -> Option<Error> {
        let mut states = self.states.iter().zip(&slot.states);
        let is_rescued =
            |state: &StateSurvey| state.error.is_some() && state.passed_through.is_some();
        let (_, file) = states.find(|(state, _)| is_rescued(state))?;
        stick.open_state(slot, file).err()
    }

    /// Whether a state of it passes a device through.
    fn passes_through(&self) -> bool {
        let mut states = self.states.iter();
        states.any(|state| {
            let devices = state.passed_through.as_ref();
            devices.is_some_and(|devices| !devices.is_empty()) || state.unread.is_some()
        })
    }

    /// The state that the host has its settings from. Where modules= names none of them, any could be
    /// meant. An empty one leaves those before it.
    pub(crate) fn filled_state(&self) -> Option<&StateSurvey> {
        let listed = self.states.last()?.listed;
        let counts = |state: &&StateSurvey| state.listed == listed && !state.is_empty;
        self.states.iter().rfind(counts)
    }
}

/// That the states which the host of a bank loads can be changed. Those that cannot be opened are told of as such.
fn check_editable(stick: &Stick<'_, '_>, partition: u32) -> Result<(), Error> {
    let Some(slot) = stick.bank_on(partition) else {
        return Ok(());
    };
    for file in slot.states.iter().filter(|file| file.listed) {
        let state = stick.open_state(slot, file).ok();
        let state = state.filter(|state| state.is_open());
        if let Some(why) = state.and_then(|state| not_editable(&state)) {
            return Err(Error::from(why).on(partition));
        }
    }
    Ok(())
}

fn look_into(
    stick: &Stick<'_, '_>,
    slot: &Slot<'_>,
    file: &StateFile,
    warnings: &mut Vec<Warning>,
) -> StateSurvey {
    let size = u64::from(file.entry.size());
    let mut survey = StateSurvey::new(&file.name, size, file.listed);
    let state = match stick.read_state(slot, file) {
        Ok(Reading::Whole(state)) => state,
        Ok(rescued) => {
            let release = slot.release();
            warnings.extend(survey.fill_rescued(&rescued, Some(slot.partition), release.as_ref()));
            return survey;
        }
        Err(error) => {
            survey.error = Some(error);
            // Without a byte it is loaded all the same, and leaves what others hold.
            survey.is_empty = size == 0;
            return survey;
        }
    };
    let release = slot.release();
    let (on, configuration) = (Some(slot.partition), stick.configuration(slot, &state));
    let mut found = survey.fill(&state, on, configuration, release.as_ref());
    let is_older = |warning: &Warning| matches!(warning.cause, WarningCause::OlderState { .. });
    found.retain(|warning| !(slot.awaits_first_boot() && is_older(warning)));
    warnings.extend(found);
    survey.error = survey.error.map(|error| error.on(slot.partition));
    survey
}

impl StateSurvey {
    fn new(file: &str, size: u64, listed: bool) -> Self {
        StateSurvey {
            file: file.to_owned(),
            size,
            listed,
            form: None,
            seal: None,
            passed_through: None,
            unread: None,
            doubtful: 0,
            is_empty: false,
            identity: None,
            outside: Vec::new(),
            error: None,
            damage: Vec::new(),
        }
    }

    /// What is in a state that is a file of its own, whole or not, and what a person should know
    /// about it; `size` is that of the file in bytes.
    pub fn of_file(saved: &SavedState<'_>, size: u64) -> (Self, Vec<Warning>) {
        let name = saved.saved_as().map(|saved_as| saved_as.as_str());
        let name = name.unwrap_or_else(|| saved.reading().file_name());
        let mut survey = StateSurvey::new(name, size, false);
        let release = saved.release();
        let warnings = match saved.state() {
            Some(state) => {
                let configuration = Configuration::open_for(state, release.as_ref());
                survey.fill(state, None, configuration, release.as_ref())
            }
            None => survey.fill_rescued(saved.reading(), None, release.as_ref()),
        };
        (survey, warnings)
    }

    /// Notes what is in the state, of the bank on this partition, and returns what a person should know.
    fn fill(
        &mut self,
        state: &State,
        partition: Option<u32>,
        configuration: Result<Configuration, EditError>,
        release: Option<&Release>,
    ) -> Vec<Warning> {
        let odd = state.warnings().into_iter();
        let odd = odd.map(|warning| WarningCause::State { partition, warning });
        let mut warnings: Vec<Warning> = odd.map(Warning::from).collect();
        self.form = Some(state.form());
        self.seal = state.seal_mode().map(str::to_owned);
        if state.form() == Form::Sealed {
            self.outside = outside(state);
        }
        if !state.is_open() {
            return warnings;
        }
        let inside = |error: EditError| Error::from(error).in_file(state.file_name());
        match configuration {
            Ok(configuration) => {
                self.is_empty = configuration.is_default();
                let older = WarningCause::of_older_state(partition, state, &configuration, release);
                warnings.extend(older.map(Warning::from));
                let identity = || configuration.identity(release);
                self.identity = (!self.is_empty).then(identity);
                let rows = configuration.check_rows();
                // Of a state file the release is that of the host that wrote it, which may not be the one to read it.
                let reader = release.filter(|_| partition.is_some());
                let devices = rows.and_then(|()| configuration.passed_through(reader));
                devices
                    .into_iter()
                    .for_each(|it| self.note_passed_through(it));
                self.doubtful = configuration.doubtful();
                match configuration
                    .check_rows()
                    .and_then(|()| configuration.warnings())
                {
                    Ok(odd) => warnings.extend(odd.into_iter().map(|warning| {
                        Warning::from(WarningCause::Configuration { partition, warning })
                    })),
                    Err(error) => self.error = Some(inside(error)),
                }
            }
            Err(error) => self.error = Some(inside(error)),
        }
        warnings
    }

    /// Notes what is left of a state that is not whole, as [`StateSurvey::fill`].
    fn fill_rescued(
        &mut self,
        rescued: &Reading,
        partition: Option<u32>,
        release: Option<&Release>,
    ) -> Vec<Warning> {
        self.form = Some(rescued.form());
        let (configuration, damage) = match rescued.configuration(partition, release) {
            Ok(found) => found,
            Err(error) => {
                self.error = Some(error);
                return Vec::new();
            }
        };
        let mut damage = damage.into_iter();
        self.error = damage.next();
        self.damage = damage.collect();
        self.identity = Some(configuration.identity(release));
        self.doubtful = configuration.doubtful();
        // What the host reads of it has to be there.
        let needed: &[&str] = match release {
            Some(release) if release.reads_config_store() => &[CONFIG_STORE],
            Some(release) if release.reads_esx_conf() => &[ESX_CONF],
            _ => &[ESX_CONF, CONFIG_STORE],
        };
        let is_whole = needed.iter().all(|path| rescued.has_all_of(path));
        let rows = configuration.check_rows();
        let reader = release.filter(|_| partition.is_some());
        let devices = rows.and_then(|()| configuration.passed_through(reader));
        let devices = devices.into_iter().filter(|_| is_whole);
        devices.for_each(|it| self.note_passed_through(it));
        let odd = configuration.warnings().into_iter().flatten();
        odd.map(|warning| WarningCause::Configuration { partition, warning }.into())
            .collect()
    }

    /// Notes the devices that it passes through.
    fn note_passed_through(&mut self, devices: PassedThrough) {
        let shown = |devices: Vec<DeviceOwner>| devices.into_iter().map(Into::into).collect();
        self.unread = devices
            .unread
            .first()
            .map(|it| it.source)
            .map(|source| Unread {
                source,
                devices: shown(devices.unread),
            });
        self.passed_through = Some(shown(devices.read));
    }
}

/// What can be told of a sealed state without its key: the members of its outer archive, and
/// which key it needs.
fn outside(state: &State) -> Vec<String> {
    let members = state.outer_members().iter();
    let mut known: Vec<String> = members
        .map(|member| format!("{}, {}", member.path(), counted(&member.size, "byte")))
        .collect();
    if let Some(sealed) = state.envelope()
        && let Ok(envelope) = Envelope::parse(sealed)
    {
        known.push(format!("key {}", envelope.key_info()));
    }
    known
}
