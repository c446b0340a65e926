//! A state as one file: whether one from elsewhere may take the place of a bank's own.
//!
//! A host restores what it understands of a state and starts with defaults for the rest, so one
//! of another generation is refused: it would be lost without a word.

use super::settings_state::is_empty_state;
use super::work::{BankFile, Task};
use super::{BankChoice, Cause, Error, Plan, Request, STATE, Slot, Stick, Warning, WarningCause};
use crate::bank::{Release, STATE_FILES};
use crate::edit::identity::written_by;
use crate::edit::{CONFIG_STORE, Configuration, ESX_CONF};
use crate::error::ErrorKind;
use crate::state::{Form, Saved, State};
use bytes::Bytes;
use std::sync::Arc;

/// Why a state may not take the place of another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The file is sealed to the machine it came from.
    #[error(
        "the state to import is sealed (mode {mode}): it is made for the host whose TPM holds the key, and bootbank does not \
         encrypt it anew for another one"
    )]
    Sealed {
        /// Where the key is kept.
        mode: String,
    },
    /// The state to be replaced is sealed.
    #[error(
        "the state to be replaced is sealed (mode {mode}): its host expects a state that its TPM can open"
    )]
    TargetSealed {
        /// Where the key is kept.
        mode: String,
    },
    /// One is encrypted, the other is not.
    #[error(
        "the state to import is {new}, but the one that it would replace is {old}: they come from different generations of ESXi"
    )]
    OtherForm {
        /// Form of the one to be replaced.
        old: Form,
        /// Form of the one to import.
        new: Form,
    },
    /// One has a file the other generation does not have.
    #[error(
        "{path} is only in the state {}: the states come from different generations of ESXi",
        if *in_new { "to import" } else { "that it would replace" }
    )]
    OtherFiles {
        /// Which file.
        path: &'static str,
        /// Whether the state to import has it, and the one that it would replace does not.
        in_new: bool,
    },
    /// The host is of a release that keeps states of another form.
    #[error("the state to import is {form}, but hosts of build {build} keep another kind")]
    OtherBuild {
        /// `build` of the bank.
        build: String,
        /// Form of the one to import.
        form: Form,
    },
    /// The file that the host loads, or that is to be changed, keeps states in another way.
    #[error("this file cannot hold a state that is {form}")]
    Unfit {
        /// Form of the state.
        form: Form,
    },
    /// What an empty state of this release looks like is not known.
    #[error(
        "what a state without configuration looks like on {} is not known",
        host_of(build.as_deref())
    )]
    NoDefault {
        /// `build` of the bank, where it is known.
        build: Option<String>,
    },
    /// It is of a later release than the host that is to read it.
    #[error(
        "the state to put in is of ESXi {new}, but a host of ESXi {old} is to read it: of a later release's settings it reads only some"
    )]
    LaterRelease {
        /// Version of the bank.
        old: String,
        /// Version of the state.
        new: String,
    },
    /// They were written by hosts of different versions.
    #[error(
        "ESXi {new} wrote the state to import, but ESXi {old} wrote the one that it would replace"
    )]
    OtherVersion {
        /// Version of the one to be replaced.
        old: String,
        /// Version of the one to import.
        new: String,
    },
}

fn host_of(build: Option<&str>) -> String {
    match build {
        None => "a host of an unknown release".to_owned(),
        Some(build) => format!("a host of build {build:?}"),
    }
}

impl TransferError {
    /// What the error means to whoever has to act on it.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Refused
    }
}

impl Stick<'_, '_> {
    /// Opens a state from elsewhere, all its layers, as one for this bank: with it comes what the file
    /// holds that the bank's host loads, and what a person should know.
    pub(super) fn imported(
        &self,
        slot: &Slot<'_>,
        content: &[u8],
    ) -> Result<(Arc<State>, Bytes, Vec<Warning>), Error> {
        let settings = self.settings();
        let new = Saved::open(content, None, &settings.limits, settings.keys)
            .map_err(|error| Error::from(error).in_file("the state to import"))?;
        let new = Arc::clone(new.state());
        let name = slot.name_of_state()?;
        let on = |error: Error| error.on(slot.partition).in_file(name);
        // What is replaced need not be sound, or be there at all: then the build of the bank tells
        // which states its host reads.
        let own = slot.state_called(name);
        let old = own.and_then(|file| self.open_state(slot, file).ok());
        let build = slot.build()?;
        let odd = check_replaces(old.as_deref(), &new, build, Some(slot.partition)).map_err(on)?;
        let warnings = new.warnings().into_iter().map(Warning::from);
        let warnings = warnings.chain(odd).collect();
        let content = self.as_loaded(slot, &new)?;
        Ok((new, content, warnings))
    }

    /// What the file that the bank's host loads holds with this state in it.
    fn as_loaded(&self, slot: &Slot<'_>, state: &State) -> Result<Bytes, Error> {
        let content = if self.loads_bare(slot)? {
            state.as_bare_file()?
        } else {
            state.as_state_file()?
        };
        content.ok_or_else(|| {
            let form = state.form();
            let error = Error::from(TransferError::Unfit { form });
            let name = slot.name_of_state().unwrap_or(STATE);
            error.on(slot.partition).in_file(name)
        })
    }

    /// Whether the file that the bank's host loads is a bare `local.tgz`, under whatever name.
    fn loads_bare(&self, slot: &Slot<'_>) -> Result<bool, Error> {
        let name = slot.name_of_state()?;
        let [state, local] = STATE_FILES;
        match slot.state_called(name) {
            Some(file) if name != state && name != local => {
                Ok(self.open_state(slot, file)?.is_bare())
            }
            _ => Ok(name == local),
        }
    }

    /// What putting the state of the bank on `from` into the bank on `to` comes to: what the host loads
    /// there in place of what it loads here. Both belong to one host, so a sealed one can be copied like
    /// any other; a state of a newer release than the bank it goes to is refused.
    ///
    /// # Errors
    /// A bank that is not there or holds no state that can be opened; as [`Stick::plan_import`].
    pub fn plan_copy_state(&self, from: u32, to: u32, request: Request) -> Result<Plan, Error> {
        if from == to {
            return Err(Cause::SameBank(from).into());
        }
        let (from_slot, to_slot) = (self.slot(from)?, self.slot(to)?);
        from_slot.opened()?;
        to_slot.opened()?;
        let (new, own) = (from_slot.release(), to_slot.release());
        check_not_later(new.as_ref(), own.as_ref()).map_err(|error| error.on(to))?;
        let copied = self.shown_state(from_slot)?;
        let state = self.open_state(from_slot, copied)?;
        let content = self.as_loaded(to_slot, &state)?;
        let mut plan = self.plan_state(to_slot, content.into(), request)?;
        let others = from_slot
            .states
            .iter()
            .filter(|file| file.listed && file.name != copied.name);
        plan.warnings.extend(others.map(|other| {
            let file = other.name.clone();
            let partition = from;
            Warning::from(WarningCause::NotCopied { partition, file })
        }));
        Ok(plan)
    }

    /// What giving a bank a state without any configuration comes to: the host starts with default
    /// settings. Only for releases that keep a plain state, which is known to be read.
    ///
    /// # Errors
    /// [`TransferError::NoDefault`] for 7.0 U2 and later; as [`Stick::plan`].
    pub fn plan_reset_state(&self, partition: u32, request: Request) -> Result<Plan, Error> {
        let slot = self.slot(partition)?;
        check_takes_empty(slot.build()?).map_err(|error| error.on(partition))?;
        let content = if self.loads_bare(slot)? {
            State::empty_bare()?
        } else {
            State::empty()?
        };
        self.plan_state(slot, content, request)
    }

    /// What this content comes to in the file that the bank's host loads.
    fn plan_state(
        &self,
        slot: &Slot<'_>,
        content: Vec<u8>,
        request: Request,
    ) -> Result<Plan, Error> {
        let name = slot.name_of_state()?;
        let file = BankFile {
            partition: Some(slot.partition),
            name: name.to_owned(),
            content: Some(content),
        };
        let banks = BankChoice::Partition(slot.partition);
        let mut plan = self.plan_task(Task::Files(&[file]), Request { banks, ..request })?;
        plan.warnings.extend(slot.loads_otherwise(name));
        Ok(plan)
    }
}

/// Whether a state may take the place of another. Where that is damaged, missing or empty, the `build` of its
/// host, where it is known, tells which states are read there. `partition` is that of a bank. Returns
/// what a person should know.
///
/// # Errors
/// [`TransferError`], and what reading one of the states met.
pub(crate) fn check_replaces(
    old: Option<&State>,
    new: &State,
    build: Option<&str>,
    partition: Option<u32>,
) -> Result<Vec<Warning>, Error> {
    let own = build.and_then(Release::parse);
    if is_empty_state(new) {
        return check_takes_empty(build).map(|()| Vec::new());
    }
    match old {
        Some(old) if !is_empty_state(old) => {
            check_same_generation(old, new)?;
            check_same_version(old, new, own.as_ref())?;
            let other = warning_of_other_host((old, new), own.as_ref(), partition);
            Ok(other.into_iter().collect())
        }
        // Only hosts that keep a plain state are known to have an empty one.
        Some(old) if own.is_none() && old.form() != new.form() => {
            let (old, new) = (old.form(), new.form());
            Err(TransferError::OtherForm { old, new }.into())
        }
        _ => {
            check_fits_build(new, build)?;
            let writer = written_by(new)?.and_then(|build| Release::parse(&build));
            check_not_later(writer.as_ref(), own.as_ref())?;
            let earlier = warning_of_earlier(writer, own, partition);
            Ok(earlier.into_iter().collect())
        }
    }
}

/// That the state to import is another host's than the `old` one, as their UUIDs tell.
fn warning_of_other_host(
    (old, new): (&State, &State),
    release: Option<&Release>,
    partition: Option<u32>,
) -> Option<Warning> {
    let identity = |state: &State| {
        let configuration = Configuration::open_for(state, release).ok();
        configuration
            .map(|it| it.identity(release))
            .unwrap_or_default()
    };
    let (old, new) = (identity(old), identity(new));
    let is_other = old.system_uuid.is_some()
        && new.system_uuid.is_some()
        && old.system_uuid != new.system_uuid;
    is_other.then(|| {
        WarningCause::OtherHost {
            partition,
            old: Box::new(old),
            new: Box::new(new),
        }
        .into()
    })
}

/// Whether it is known that a host of this build starts with an empty state.
fn check_takes_empty(build: Option<&str>) -> Result<(), Error> {
    let release = build.and_then(Release::parse);
    let encrypts = release.and_then(|release| release.encrypts_state());
    if encrypts == Some(false) {
        return Ok(());
    }
    let build = build.map(str::to_owned);
    Err(TransferError::NoDefault { build }.into())
}

/// Whether a host of this build reads a state of this form.
fn check_fits_build(new: &State, build: Option<&str>) -> Result<(), Error> {
    if let Some(mode) = new.seal_mode() {
        let mode = mode.to_owned();
        return Err(TransferError::Sealed { mode }.into());
    }
    let release = build.and_then(Release::parse);
    let encrypts = release.and_then(|release| release.encrypts_state());
    let (Some(build), Some(encrypts)) = (build, encrypts) else {
        return Ok(());
    };
    let has_store = new.find(CONFIG_STORE)?.is_some();
    let fits = match new.form() {
        Form::Plain => !encrypts || has_store,
        _ => encrypts,
    };
    if fits {
        return Ok(());
    }
    let (build, form) = (build.to_owned(), new.form());
    Err(TransferError::OtherBuild { build, form }.into())
}

fn check_same_generation(old: &State, new: &State) -> Result<(), Error> {
    if let Some(mode) = new.seal_mode() {
        let mode = mode.to_owned();
        return Err(TransferError::Sealed { mode }.into());
    }
    if let Some(mode) = old.seal_mode() {
        let mode = mode.to_owned();
        return Err(TransferError::TargetSealed { mode }.into());
    }
    if old.form() != new.form() {
        let (old, new) = (old.form(), new.form());
        return Err(TransferError::OtherForm { old, new }.into());
    }
    for path in [ESX_CONF, CONFIG_STORE] {
        let in_new = match (new.find(path)?.is_some(), old.find(path)?.is_some()) {
            (true, false) => true,
            (false, true) => false,
            _ => continue,
        };
        return Err(TransferError::OtherFiles { path, in_new }.into());
    }
    Ok(())
}

/// Whether hosts of the same version wrote both states; where the one to be replaced does not tell, whether
/// its host reads the new one.
fn check_same_version(old: &State, new: &State, own: Option<&Release>) -> Result<(), Error> {
    match (written_by(old)?, written_by(new)?) {
        (Some(old), Some(new)) if old != new => {
            Err(TransferError::OtherVersion { old, new }.into())
        }
        (None, Some(new)) => check_not_later(Release::parse(&new).as_ref(), own),
        _ => Ok(()),
    }
}

/// What a person should know where the host that wrote a state is of an earlier release than the one that is to
/// read it, that of the bank on `partition` or of a state file.
fn warning_of_earlier(
    writer: Option<Release>,
    reader: Option<Release>,
    partition: Option<u32>,
) -> Option<Warning> {
    let (writer, reader) = writer.zip(reader)?;
    let is_earlier = reader.is_later_than(&writer);
    let cause = WarningCause::EarlierRelease {
        partition,
        writer,
        reader,
    };
    is_earlier.then(|| cause.into())
}

/// Whether a state of the release `new` is not of a later one than the bank, as far as both are known.
fn check_not_later(new: Option<&Release>, own: Option<&Release>) -> Result<(), Error> {
    match (own, new) {
        (Some(old), Some(new)) if new.is_later_than(old) => {
            let (old, new) = (old.version().to_owned(), new.version().to_owned());
            Err(TransferError::LaterRelease { old, new }.into())
        }
        _ => Ok(()),
    }
}
