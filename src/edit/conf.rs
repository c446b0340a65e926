//! Settings of esx.conf: one key set or taken out, every other byte kept.

use super::configuration::inside;
use super::request::ConfEdit;
use super::secrets::shown_value;
use super::{ChangeSource, Configuration, ESX_CONF, EditError, Edited, SettingChange, Unmatched};
use crate::ownership::EsxConf;

impl ConfEdit {
    /// Makes the change in `configuration` and notes it in `edited`.
    pub(super) fn make(
        &self,
        configuration: &mut Configuration,
        edited: &mut Edited,
    ) -> Result<(), EditError> {
        let moved_on = configuration.store.is_some();
        let Some(conf) = &mut configuration.esx_conf else {
            return match self {
                ConfEdit::Unset {
                    absent_ok: true, ..
                } => Ok(()),
                _ => Err(EditError::Missing { path: ESX_CONF }),
            };
        };
        let (key, changed, to) = match self {
            ConfEdit::Set { key, value } => (key, conf.set(key, value), Some(value.clone())),
            ConfEdit::Unset { key, absent_ok } => {
                if conf.get(key).is_none() && !conf.has_odd_line(key) {
                    if !absent_ok {
                        edited.unmatched.push(Unmatched::Key(key.clone()));
                    }
                    return Ok(());
                }
                (key, conf.unset(key), None)
            }
        };
        let changed: EsxConf = changed.map_err(inside(ESX_CONF))?;
        if changed.as_bytes() == conf.as_bytes() {
            return Ok(());
        }
        let from = contrary(conf, key, to.as_deref());
        if from.is_none() && moved_on {
            edited.warnings.push(format!(
                "{key} is new in esx.conf; from 7.0 on most settings are in the ConfigStore, and a host ignores lines it does not know"
            ));
        }
        edited.changes.push(SettingChange {
            source: ChangeSource::EsxConf,
            key: key.clone(),
            addresses: Vec::new(),
            alias: None,
            from: from.map(|value| shown_value(key, value)),
            to: to.map(|value| shown_value(key, value)),
        });
        *conf = changed;
        Ok(())
    }
}

/// The value of the last line of a key that is not already as wanted.
fn contrary(conf: &EsxConf, key: &str, to: Option<&str>) -> Option<String> {
    let others = conf.entries().filter(|entry| entry.key == key);
    let other = others.filter(|entry| Some(entry.value) != to).last();
    other.map(|entry| entry.value.to_owned())
}
