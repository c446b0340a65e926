//! One medium: whose it is, the change, and whose it is then.

use super::Station;
use super::object::{SCHEMA, Treated, Trouble};
use crate::cli::change::Outcome;
use crate::cli::process::{Again, Told};
use crate::cli::report::{Exit, Failure, disk_in_words};
use crate::cli::session::Session;
use crate::host::Disk;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use std::ffi::OsString;

/// What a writing command tells of a medium.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Change {
    outcome: Option<Outcome>,
    undo: Option<String>,
    warnings: Vec<String>,
    error: Option<Trouble>,
}

impl Station {
    /// Makes the change to the medium on a disk.
    pub(super) fn treat(
        &self,
        session: &Session,
        again: &Again,
        disk: &Disk,
    ) -> Result<(Exit, Treated), Failure> {
        let node = disk.node.display();
        session.ui.say(&format!(
            "{node} ({}): at work, do not pull it out",
            disk_in_words(disk)
        ));
        let before = host_on(again, disk)?;
        let told = again.ask(&self.command(disk))?;
        let exit = told.exit;
        let mut change = change_in(told);
        let outcome = change.outcome.unwrap_or(Outcome::Failed);
        // What was done is told and logged, whatever becomes of a second look.
        let after = match outcome {
            Outcome::Changed | Outcome::Partial => host_on(again, disk).unwrap_or_else(|failure| {
                let why = failure.object().message;
                let text = format!("which host it is now is not known: {why}");
                change.warnings.push(text);
                None
            }),
            _ => before.clone(),
        };
        let treated = Treated {
            schema: SCHEMA,
            target: node.to_string(),
            time: Timestamp::now().to_string(),
            by_id: disk.by_id.as_ref().map(|path| path.display().to_string()),
            model: disk.product(),
            serial: disk.serial.clone(),
            size: disk.size,
            bus: disk.bus.as_str(),
            host_before: before,
            host_after: after,
            outcome,
            undo: change.undo,
            warnings: change.warnings,
            error: change.error,
        };
        Ok((exit, treated))
    }

    /// The command that makes the change. Giving devices back costs a host nothing and is what was
    /// asked for; of a plan the command refuses what does, unless the station was told to go ahead.
    fn command(&self, disk: &Disk) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        let Some(plan) = &self.apply else {
            words.extend(["fix", "--yes", "--no-input"].map(OsString::from));
            words.push(disk.node.clone().into());
            return words;
        };
        words.extend(["apply", "--no-input"].map(OsString::from));
        words.extend(self.yes.then(|| "--yes".into()));
        words.extend(self.allow_outside.then(|| "--allow-outside".into()));
        if let Some(map) = &self.host_map {
            words.extend(["--host-map".into(), map.clone().into()]);
        }
        words.extend(["--".into(), plan.clone().into(), disk.node.clone().into()]);
        words
    }
}

/// What a writing command told. One that told nothing has failed.
fn change_in(told: Told) -> Change {
    let change = told.objects.last();
    let change = change.and_then(|object| Change::deserialize(object).ok());
    change.unwrap_or_else(|| {
        let object = told.nothing().object();
        let trouble = Trouble {
            kind: object.kind.to_owned(),
            message: object.message,
            hint: object.hint,
            ..Trouble::default()
        };
        Change {
            error: Some(trouble),
            ..Change::default()
        }
    })
}

/// The host that boots from the medium on a disk, by its name or else its system UUID.
fn host_on(again: &Again, disk: &Disk) -> Result<Option<String>, Failure> {
    let told = again.ask(&["info".into(), OsString::from(&disk.node)])?;
    Ok(told.objects.last().and_then(host_in))
}

/// The host in the object of `bootbank info`: that of the bank which boots next, else of another.
fn host_in(info: &Value) -> Option<String> {
    let banks = info.get("banks")?.as_array()?;
    let boots_next = |bank: &&Value| bank.get("boots_next") == Some(&Value::Bool(true));
    let (next, others): (Vec<&Value>, Vec<&Value>) = banks.iter().partition(boots_next);
    let states = next
        .into_iter()
        .chain(others)
        .filter_map(|bank| bank.get("states")?.as_array());
    // What the host loads last counts, as in every other place.
    let mut hosts = states
        .flat_map(|states| states.iter().rev())
        .filter_map(|state| {
            let host = state.get("host")?;
            let text = |name| host.get(name)?.as_str();
            text("name")
                .or_else(|| text("system_uuid"))
                .map(str::to_owned)
        });
    hosts.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_that_of_the_bank_that_boots_next() {
        let bank = |next: bool, host: Value| serde_json::json!({"boots_next": next, "states": [{"host": host}]});
        let named = |name: &str| serde_json::json!({"name": name, "system_uuid": "u"});
        let cases = [
            (
                vec![bank(false, named("old")), bank(true, named("new"))],
                Some("new"),
            ),
            (
                vec![bank(true, Value::Null), bank(false, named("old"))],
                Some("old"),
            ),
            (
                vec![bank(
                    true,
                    serde_json::json!({"name": null, "system_uuid": "u"}),
                )],
                Some("u"),
            ),
            (vec![], None),
        ];
        for (banks, expected) in cases {
            let info = serde_json::json!({ "banks": banks });
            assert_eq!(host_in(&info).as_deref(), expected, "{info}");
        }
        assert_eq!(host_in(&serde_json::json!({"error": {}})), None);
    }
}
