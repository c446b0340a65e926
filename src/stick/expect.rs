//! What a plan expects of a medium before it changes anything.

use super::{BankChoice, Cause, Error, Stick};
use crate::edit::host_map::Names;
use crate::edit::identity::system_uuid_of;
use crate::edit::plan_file::Expect;
use crate::edit::{ESX_CONF, Edit, EditError};
use crate::ownership::EsxConf;
use crate::secrets::Guarded;
use crate::state::State;

impl Stick<'_, '_> {
    /// Checks what a plan with these edits expects of the banks it is about: those that hold a state, and all where
    /// it changes what a bank without one has. What no bank could be asked about is not met.
    ///
    /// # Errors
    /// [`Cause::Expectation`] for the first thing that is otherwise; what opening a state met.
    pub fn check_expectations(
        &self,
        expect: &Expect,
        edits: &[Edit],
        banks: BankChoice,
    ) -> Result<(), Error> {
        let otherwise = |what: String| Error::from(Cause::Expectation(what));
        if let Some(expected) = expect.bank {
            let next = self.boots_next().map(|slot| slot.partition);
            if next != Some(expected) {
                let found = next.map_or("none".to_owned(), |number| number.to_string());
                return Err(otherwise(format!(
                    "bank {expected} should boot next, but it is {found}"
                )));
            }
        }
        let all = banks == BankChoice::All;
        let mut banks = self.chosen(banks)?;
        let has_states = banks.iter().any(|slot| !slot.states.is_empty());
        // Of all banks an empty one is left alone, as a fresh install has it.
        let of_every_bank = edits.iter().any(Edit::is_of_boot_cfg) && !(all && has_states);
        banks.retain(|slot| of_every_bank || !slot.states.is_empty());
        if banks.is_empty() && expect.build.is_some() || !has_states && !expect.conf.is_empty() {
            return Err(otherwise("no bank holds a state to ask".to_owned()));
        }
        for slot in banks {
            let on = |error: Error| error.on(slot.partition);
            if let Some(expected) = &expect.build {
                let build = slot.opened()?.boot_cfg().build.clone().unwrap_or_default();
                if !is_of_build(&build, expected) {
                    let what = format!("the build should be {expected}, but it is {build:?}");
                    return Err(on(otherwise(what)));
                }
            }
            if expect.conf.is_empty() {
                continue;
            }
            for file in &slot.states {
                let state = self.open_state(slot, file)?;
                check_conf(expect, &state).map_err(|error| on(error).in_file(&file.name))?;
            }
        }
        Ok(())
    }

    /// The UUIDs of the banks and of the hosts whose states they hold. A state that cannot be
    /// opened has none to tell.
    pub fn names(&self) -> Names {
        let mut names = Names::default();
        for slot in self.slots() {
            if let Ok(bank) = slot.opened() {
                names.bank_uuids.insert(bank.uuid().to_string());
            }
            for file in &slot.states {
                let state = self.open_state(slot, file).ok();
                let uuid = state.and_then(|state| system_uuid_of(&state));
                names.system_uuids.extend(uuid);
            }
        }
        names
    }
}

/// Checks what a plan expects of the settings in a state.
pub(crate) fn check_conf(expect: &Expect, state: &State) -> Result<(), Error> {
    if expect.conf.is_empty() {
        return Ok(());
    }
    let conf = state.content(ESX_CONF)?;
    let conf = conf.ok_or(EditError::Missing { path: ESX_CONF })?;
    let conf = EsxConf::parse(conf.to_vec())?;
    for (key, expected) in &expect.conf {
        let (found, expected) = (conf.get(key), expected.get_ref());
        if found != Some(expected) {
            let guarded = |value: &str| Guarded::named(key, value);
            let found = found.map(|value| format!("{:?}", guarded(value)));
            let found = found.unwrap_or("not there".to_owned());
            let expected = guarded(expected);
            let what = format!("{key} should be {expected:?}, but it is {found}");
            return Err(Cause::Expectation(what).into());
        }
    }
    Ok(())
}

/// Whether a build is the one expected, or begins with all of its parts: `6.7.0` is the
/// beginning of `6.7.0-8169922`, and not of `6.7.01`.
pub(crate) fn is_of_build(build: &str, expected: &str) -> bool {
    let rest = build.strip_prefix(expected);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
}
