//! A copy of a bank in stages, each planned for the medium as the one before leaves it.

use super::{Cause, Error, Settings, Stick};
use crate::bank::{BOOT_CFG, BootCfgEdit};
use crate::commit::{Overlay, WriteSet};
use crate::edit::{ChangeSource, EditError, SettingChange, fingerprint};
use crate::fat::{self, Action, Entry, FatError, FileChange, Method, Volume};
use crate::secrets::Guarded;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// `bootstate` of a bank that the loader passes over.
const INVALID: &str = "3";

/// The files of a bank's root directory, by their eleven bytes of name: entry and content.
pub(super) type Files = BTreeMap<[u8; 11], (Entry, Bytes)>;

/// The stages of a copy, each planned for the medium as the one before leaves it.
pub(super) struct Stages<'s, 'm, 'k> {
    stick: &'s Stick<'m, 'k>,
    to: u32,
    pub(super) set: WriteSet,
    changes: Vec<SettingChange>,
}

impl<'s, 'm, 'k> Stages<'s, 'm, 'k> {
    /// # Errors
    /// As [`Stick::planner`].
    pub(super) fn new(stick: &'s Stick<'m, 'k>, to: u32) -> Result<Self, Error> {
        Ok(Stages {
            stick,
            to,
            set: stick.planner(stick.medium())?.finish(),
            changes: Vec::new(),
        })
    }

    /// Tells the loader to pass over the target.
    pub(super) fn disable(&mut self) -> Result<(), Error> {
        let slot = self.stick.bank_on(self.to);
        let Some(cfg) = slot
            .filter(|slot| slot.verdict.bootable)
            .and_then(|_| self.stick.loader().boot_cfg(self.to))
        else {
            return Ok(());
        };
        let invalid = BootCfgEdit::set("bootstate", INVALID);
        let on = |error| Error::from(EditError::from(error)).on(self.to);
        let content = Bytes::from(cfg.with_setting(&invalid).map_err(on)?);
        self.stage(|volume| {
            let entry = volume.find(BOOT_CFG)?;
            let change = entry.map(|entry| FileChange {
                entry,
                action: Action::Replace(content.clone()),
                why: "the target is told not to boot".to_owned(),
            });
            Ok(change.into_iter().collect())
        })
    }

    /// How the target differs from these files, as the stages so far leave it.
    pub(super) fn differences(&self, files: &Files) -> Result<Differences, Error> {
        let overlay = Overlay::new(self.stick.medium(), &self.set);
        let volume = self.stick.target_volume(&overlay, self.to)?;
        let differences = Differences::between(&volume, files, self.stick.settings());
        differences.map_err(|error| error.on(self.to))
    }

    /// Removes what differs from the original, then makes what is missing: one after the other,
    /// because a bank has no room for two of everything.
    pub(super) fn replace_all(
        &mut self,
        files: &Files,
        differences: Differences,
    ) -> Result<(), Error> {
        let Differences { other, missing } = differences;
        let missing: Vec<&(Entry, Bytes)> =
            missing.iter().filter_map(|name| files.get(name)).collect();
        let mut new: BTreeMap<_, _> = missing
            .iter()
            .map(|(entry, content)| (entry.raw_name(), fingerprint(content)))
            .collect();
        for (entry, there) in &other {
            let new = new.remove(&entry.raw_name());
            let change = change_of(&entry.name(), Some(there.clone()), new);
            self.changes.push(change);
        }
        for (entry, content) in &missing {
            if new.contains_key(&entry.raw_name()) {
                let change = change_of(&entry.name(), None, Some(fingerprint(content)));
                self.changes.push(change);
            }
        }
        self.stage(|_| {
            let gone = other.iter().map(|(entry, _)| FileChange {
                entry: entry.clone(),
                action: Action::Remove,
                why: format!("removal of {}", entry.name()),
            });
            Ok(gone.collect())
        })?;
        self.stage(|volume| {
            let names: Vec<String> = missing.iter().map(|(entry, _)| entry.name()).collect();
            let wanted = names.iter().zip(&missing);
            let wanted: Vec<(&str, &Entry)> = wanted
                .map(|(name, (entry, _))| (name.as_str(), entry))
                .collect();
            let entries = volume.new_entries(&wanted)?.into_iter().zip(&missing);
            let new = entries.map(|(entry, (_, content))| FileChange {
                why: format!("copy of {}", entry.name()),
                entry,
                action: Action::Create(content.clone()),
            });
            Ok(new.collect())
        })
    }

    /// The target's boot.cfg, last of all.
    pub(super) fn put_boot_cfg(&mut self, files: &Files, content: &Bytes) -> Result<(), Error> {
        let original = files
            .values()
            .find(|(entry, _)| entry.name().eq_ignore_ascii_case(BOOT_CFG));
        let Some((like, _)) = original else {
            return Err(Error::from(Cause::NoSuchFile).in_file(BOOT_CFG));
        };
        let before = self.stick.loader().boot_cfg(self.to);
        let before = before.map(|cfg| fingerprint(cfg.raw()));
        let after = Some(fingerprint(content));
        if before != after {
            self.changes.push(change_of(BOOT_CFG, before, after));
        }
        let limit = self.stick.settings().limits.max_file();
        self.stage(|volume| {
            let (entry, action) = match volume.find(BOOT_CFG)? {
                Some(entry) => (Some(entry), Action::Replace(content.clone())),
                None => {
                    let new = volume.new_entries(&[(BOOT_CFG, like)])?;
                    (new.into_iter().next(), Action::Create(content.clone()))
                }
            };
            let is_so = match &entry {
                Some(entry) if matches!(action, Action::Replace(_)) => {
                    volume.read_file(entry, limit)? == *content
                }
                _ => false,
            };
            let change = entry.filter(|_| !is_so).map(|entry| FileChange {
                entry,
                action,
                why: "boot.cfg of the copy".to_owned(),
            });
            Ok(change.into_iter().collect())
        })
    }

    /// Plans and judges one stage on top of those before.
    fn stage(
        &mut self,
        changes: impl FnOnce(&Volume<'_>) -> Result<Vec<FileChange>, FatError>,
    ) -> Result<(), Error> {
        let on = |error: FatError| Error::from(error).on(self.to);
        let overlay = Overlay::new(self.stick.medium(), &self.set);
        let volume = self.stick.target_volume(&overlay, self.to)?;
        let changes = changes(&volume).map_err(on)?;
        if changes.is_empty() {
            return Ok(());
        }
        let reach = volume.check().map_err(on)?;
        let mut planner = self.stick.planner(&overlay)?;
        fat::replace(&volume, &reach, &mut planner, self.to, &changes).map_err(on)?;
        let set = planner.finish();
        fat::judge(&volume, &reach, &set, &changes, Method::SecondCopy).map_err(on)?;
        self.set = std::mem::take(&mut self.set).then(set);
        Ok(())
    }

    pub(super) fn finish(self) -> (WriteSet, Vec<SettingChange>) {
        (self.set, self.changes)
    }
}

/// How a volume differs from the files it is to hold. boot.cfg does not count, which each bank has of its own.
pub(super) struct Differences {
    /// Files that are to go, or to get another content, each with the [`fingerprint`] of what it holds.
    other: Vec<(Entry, String)>,
    /// Names of the files that are to be made: those not there, and those of another content.
    missing: Vec<[u8; 11]>,
}

impl Differences {
    /// Compares them one file at a time: together they may be hundreds of megabytes.
    pub(super) fn between(
        volume: &Volume<'_>,
        files: &Files,
        settings: &Settings<'_>,
    ) -> Result<Self, Error> {
        let limit = settings.limits.max_file();
        let mut other = Vec::new();
        let mut same = BTreeSet::new();
        let there = volume.files().filter(|entry| !entry.is_directory());
        for entry in there.filter(|entry| !is_boot_cfg(entry)) {
            let content = volume.read_file(&entry, limit);
            let content = content.map_err(|error| Error::from(error).in_file(entry.name()))?;
            match files.get(&entry.raw_name()) {
                // Of two entries of one name only one is to stay.
                Some((_, wanted)) if *wanted == content && same.insert(entry.raw_name()) => {}
                _ => other.push((entry, fingerprint(&content))),
            }
        }
        other.sort_by_key(|(entry, _)| entry.raw_name());
        let wanted = files.iter().filter(|(_, (entry, _))| !is_boot_cfg(entry));
        let missing = wanted.filter(|(name, _)| !same.contains(*name));
        Ok(Differences {
            other,
            missing: missing.map(|(name, _)| *name).collect(),
        })
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.other.is_empty() && self.missing.is_empty()
    }
}

fn is_boot_cfg(entry: &Entry) -> bool {
    entry.name().eq_ignore_ascii_case(BOOT_CFG)
}

/// The files of a volume's root directory. Directories, which other systems make, are left alone.
pub(super) fn read_files(volume: &Volume<'_>, settings: &Settings<'_>) -> Result<Files, Error> {
    let limit = settings.limits.max_file();
    let entries = || volume.files().filter(|entry| !entry.is_directory());
    // They are held at a time.
    let bytes = entries().map(|entry| u64::from(entry.size())).sum();
    let together = limit.saturating_mul(2);
    if bytes > together {
        let limit = together;
        return Err(Cause::HeldTogether { bytes, limit }.into());
    }
    let mut files = Files::new();
    for entry in entries() {
        let content = volume.read_file(&entry, limit);
        let content = content.map_err(|error| Error::from(error).in_file(entry.name()))?;
        files.insert(entry.raw_name(), (entry, content.into()));
    }
    Ok(files)
}

pub(super) fn change_of(key: &str, from: Option<String>, to: Option<String>) -> SettingChange {
    let [from, to] = [from, to].map(|value| value.map(Guarded::of));
    SettingChange::new(ChangeSource::File, key, from, to)
}
