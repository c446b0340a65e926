//! Settings of esx.conf: one key set or taken out, every other byte kept.

use super::configuration::inside;
use super::secrets::shown_value;
use super::{Change, ChangeSource, Configuration, ESX_CONF, EditError, Edited, Unmatched};
use crate::bank::Release;
use crate::ownership::EsxConf;

/// A change to esx.conf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfEdit {
    /// Gives a key a value. A key that is there keeps its place; a new one goes behind the line
    /// that shares the most of its path.
    Set {
        /// The whole key: `/adv/Misc/HostName`.
        key: String,
        /// The text between the quotes.
        value: String,
    },
    /// Takes out every line of a key.
    Unset {
        /// The whole key.
        key: String,
        /// Whether a key that is not there is fine. Where it is not, no state of the medium
        /// having the key is an error.
        absent_ok: bool,
    },
}

impl ConfEdit {
    /// Makes the change in `configuration` and notes it in `edited`.
    pub(super) fn make(
        &self,
        configuration: &mut Configuration,
        release: Option<&Release>,
        edited: &mut Edited,
    ) -> Result<(), EditError> {
        let moved_on = configuration.reads_store(release);
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
                "{key} is new in esx.conf; from 7.0 U2 on most settings are kept in the ConfigStore, and a host ignores lines it does not know"
            ));
        }
        edited.changes.push(Change {
            source: ChangeSource::EsxConf,
            key: key.clone(),
            address: None,
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
