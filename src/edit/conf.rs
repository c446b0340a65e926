//! Settings of esx.conf: one key set or taken out, every other byte kept.

use super::configuration::inside;
use super::request::ConfEdit;
use super::{
    ChangeSource, Configuration, ESX_CONF, Edit, EditError, EditWarning, Edited, SettingChange,
    Unmatched,
};
use crate::bank::Release;
use crate::ownership::EsxConf;
use crate::secrets::Guarded;
use std::collections::{HashMap, HashSet};

impl ConfEdit {
    fn key(&self) -> &str {
        match self {
            ConfEdit::Set { key, .. } | ConfEdit::Unset { key, .. } => key,
        }
    }

    /// How many of `edits` can be made in one pass: of one kind, each about another key.
    pub(super) fn at_once(edits: &[Edit]) -> usize {
        let mut keys = HashSet::new();
        let mut kind = None;
        let mut count = 0usize;
        for edit in edits {
            let Edit::Conf(edit) = edit else { break };
            let this = std::mem::discriminant(edit);
            if *kind.get_or_insert(this) != this || !keys.insert(edit.key()) {
                break;
            }
            count = count.saturating_add(1);
        }
        count
    }

    /// Makes changes that [`ConfEdit::at_once`] found to go together, and notes them in `edited`.
    pub(super) fn make_all(
        edits: &[Edit],
        configuration: &mut Configuration,
        release: Option<&Release>,
        edited: &mut Edited,
    ) -> Result<(), EditError> {
        let edits = edits.iter().filter_map(|edit| match edit {
            Edit::Conf(edit) => Some(edit),
            _ => None,
        });
        let edits: Vec<&ConfEdit> = edits.collect();
        let moved_on = configuration.reads_store(release);
        let Some(conf) = &mut configuration.esx_conf else {
            let may_be_absent = |edit: &&ConfEdit| {
                matches!(
                    edit,
                    ConfEdit::Unset {
                        absent_ok: true,
                        ..
                    }
                )
            };
            return if edits.iter().all(may_be_absent) {
                Ok(())
            } else {
                Err(EditError::Missing { path: ESX_CONF })
            };
        };
        let due = Due::of(conf, &edits);
        let unset = |conf: EsxConf| match due.unset.as_slice() {
            [] => Ok(conf),
            keys => conf.unset_all(keys),
        };
        let changed = conf.set_all(&due.set).and_then(unset);
        let is_new = |change: &&SettingChange| change.from.is_none() && change.to.is_some();
        let new = due.changes.iter().filter(is_new).filter(|_| moved_on);
        edited
            .warnings
            .extend(new.map(|change| EditWarning::NewKey(change.key.clone())));
        edited.unmatched.extend(due.unmatched);
        edited.changes.extend(due.changes);
        *conf = changed.map_err(inside(ESX_CONF))?.into();
        Ok(())
    }
}

/// What edits come to in esx.conf.
#[derive(Default)]
struct Due<'e> {
    /// Keys with the values that they are to have, also where they have them.
    set: Vec<(&'e str, &'e str)>,
    unset: Vec<&'e str>,
    changes: Vec<SettingChange>,
    unmatched: Vec<Unmatched>,
}

impl<'e> Due<'e> {
    fn of(conf: &EsxConf, edits: &[&'e ConfEdit]) -> Self {
        let seen = Seen::of(conf, edits);
        let mut due = Due::default();
        for edit in edits {
            let key = edit.key();
            let to = match edit {
                ConfEdit::Set { value, .. } => {
                    due.set.push((key, value.as_str()));
                    if seen.is_as_wanted(key) {
                        continue;
                    }
                    Some(value)
                }
                ConfEdit::Unset { absent_ok, .. } => {
                    if !seen.present.contains(key) && !conf.has_odd_line(key) {
                        if !absent_ok {
                            due.unmatched.push(Unmatched::Key(key.to_owned()));
                        }
                        continue;
                    }
                    due.unset.push(key);
                    None
                }
            };
            let guarded = |value: &str| Guarded::named(key, value);
            let from = seen.contrary.get(key).map(|value| guarded(value));
            let to = to.map(|value| guarded(value));
            let change = SettingChange::new(ChangeSource::EsxConf, key, from, to);
            due.changes.push(change);
        }
        due
    }
}

/// What esx.conf says of the keys that edits are about.
struct Seen<'c> {
    present: HashSet<&'c str>,
    /// The value of the last line that is not already as wanted.
    contrary: HashMap<&'c str, &'c str>,
}

impl<'c> Seen<'c> {
    fn of(conf: &'c EsxConf, edits: &[&ConfEdit]) -> Seen<'c> {
        let wanted = edits.iter().map(|edit| match edit {
            ConfEdit::Set { key, value } => (key.as_str(), Some(value.as_str())),
            ConfEdit::Unset { key, .. } => (key.as_str(), None),
        });
        let wanted: HashMap<&str, Option<&str>> = wanted.collect();
        let mut seen = Seen {
            present: HashSet::new(),
            contrary: HashMap::new(),
        };
        for entry in conf.entries() {
            let Some(to) = wanted.get(entry.key) else {
                continue;
            };
            seen.present.insert(entry.key);
            if Some(entry.value) != *to {
                seen.contrary.insert(entry.key, entry.value);
            }
        }
        seen
    }

    fn is_as_wanted(&self, key: &str) -> bool {
        self.present.contains(key) && !self.contrary.contains_key(key)
    }
}
