//! What edits make of the `boot.cfg` of a bank: its kernel options and its other settings.

use super::warning::{EditWarning, KeysInUndo, RECOVERY_KEY_OPTION};
use super::{ChangeSource, Edit, EditError, Edited, Harm, SettingChange, TextChange, Unmatched};
use crate::bank::{BOOT_CFG, BootCfg, KERNELOPT, KerneloptEdit, KerneloptError, MODULES};
use crate::secrets::Guarded;
use crate::state::RecoveryKey;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// What the edits of `boot.cfg` among `edits` make of one. `Edited::members` stays empty; the new
/// file is the second value, `None` where nothing changes.
///
/// # Errors
/// [`EditError::Kernelopt`] and [`EditError::BootCfgSetting`] for what cannot be written;
/// [`EditError::BootCfg`] where the loader would read more than was asked for differently.
pub fn apply_to_boot_cfg(
    before: &BootCfg,
    edits: &[Edit],
) -> Result<(Edited, Option<Vec<u8>>), EditError> {
    let mut edited = Edited {
        searched: vec![BOOT_CFG.to_owned()],
        ..Edited::default()
    };
    let mut after = before.clone();
    let mut asked = BTreeSet::new();
    for edit in edits {
        match edit {
            Edit::Kernelopt(edit) => {
                asked.insert(KERNELOPT.to_owned());
                match after.with_kernelopt(std::slice::from_ref(edit)) {
                    Ok(bytes) => after = BootCfg::parse(&bytes),
                    // Another bank may have it.
                    Err(KerneloptError::NotThere { word }) => {
                        edited.unmatched.push(Unmatched::Option(word));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            Edit::BootCfg(edit) => {
                asked.insert(edit.key.to_ascii_lowercase());
                after = BootCfg::parse(&after.with_setting(edit)?);
            }
            _ => {}
        }
    }
    edited.warnings = options_in_other_letters(&after, edits);
    if after.raw() == before.raw() {
        return Ok((edited, None));
    }
    edited.changes = changes(before, &after, &asked)?;
    let hidden = before.problems.iter();
    let hidden = hidden.filter(|problem| asked.iter().any(|key| problem.hides(key)));
    let odd = hidden
        .map(|problem| EditWarning::HiddenLine(problem.clone()))
        .chain(modules_gone(before, &after))
        .chain(options_twice(before, &after))
        .chain(recovery_key_warnings(before, &after));
    edited.warnings.extend(odd);
    edited.texts.push(TextChange {
        path: String::new(),
        before: Guarded::file(BOOT_CFG, String::from_utf8_lossy(before.raw())),
        after: Guarded::file(BOOT_CFG, String::from_utf8_lossy(after.raw())),
    });
    let content = after.raw().to_vec();
    Ok((edited, Some(content)))
}

/// That modules are gone from the list.
fn modules_gone(before: &BootCfg, after: &BootCfg) -> Option<EditWarning> {
    let listed: HashSet<&str> = after.modules.iter().map(|it| it.path.as_str()).collect();
    let modules = before.modules.iter().map(|module| &module.path);
    let gone: Vec<String> = modules
        .filter(|path| !listed.contains(path.as_str()))
        // What that costs is known, and asked about.
        .filter(|path| !BootCfg::is_vmkernel(path))
        .cloned()
        .collect();
    (!gone.is_empty()).then_some(EditWarning::ModulesGone(gone))
}

/// Options that are there more than once, with several values, and were not before.
fn options_twice(before: &BootCfg, after: &BootCfg) -> Vec<EditWarning> {
    let (old, new) = (option_values(before), option_values(after));
    let several = new.into_iter().filter(|(name, values)| {
        values.len() > 1 && old.get(name).is_none_or(|old| old.len() < values.len())
    });
    let names = several.map(|(name, _)| name.to_owned());
    names.map(EditWarning::OptionTwice).collect()
}

/// Options that edits name, where one is left whose name differs from it in capitals alone.
fn options_in_other_letters(after: &BootCfg, edits: &[Edit]) -> Vec<EditWarning> {
    let name = |word: &str| {
        word.split_once('=')
            .map_or(word, |(name, _)| name)
            .to_owned()
    };
    let there = after
        .kernelopt
        .as_deref()
        .unwrap_or_default()
        .split_whitespace();
    let there: Vec<String> = there.map(name).collect();
    let asked = edits.iter().filter_map(|edit| match edit {
        Edit::Kernelopt(KerneloptEdit::Append(word) | KerneloptEdit::Delete(word)) => {
            Some(name(word))
        }
        _ => None,
    });
    let asked: Vec<String> = asked.collect();
    let in_other_letters = asked.iter().filter_map(|word| {
        let is_other = |it: &&String| it.eq_ignore_ascii_case(word) && !asked.contains(it);
        Some(EditWarning::OptionInOtherLetters {
            asked: word.clone(),
            found: there.iter().find(is_other)?.clone(),
        })
    });
    in_other_letters.collect()
}

/// The kernel options of the form `NAME=VALUE`, in their order.
fn options_with_values(cfg: &BootCfg) -> impl Iterator<Item = (&str, &str)> {
    let options = cfg.kernelopt.as_deref().unwrap_or_default();
    let words = options.split_whitespace();
    words.filter_map(|word| word.split_once('='))
}

/// The values of each kernel option that has one.
fn option_values(cfg: &BootCfg) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in options_with_values(cfg) {
        values.entry(name).or_default().insert(value);
    }
    values
}

/// What whoever changes the recovery key among the kernel options has to know. A key whose form is
/// wrong is no reason to refuse: a later release may write it otherwise.
fn recovery_key_warnings(before: &BootCfg, after: &BootCfg) -> Vec<EditWarning> {
    let (old, new) = (recovery_keys(before), recovery_keys(after));
    let added = new.iter().filter(|key| !old.contains(key));
    let mistyped = added.filter_map(|key| RecoveryKey::parse(key).err());
    let mut warnings: Vec<EditWarning> = mistyped.map(EditWarning::RecoveryKeyForm).collect();
    let taken_away = old.iter().any(|key| !new.contains(key));
    let added = new.iter().any(|key| !old.contains(key));
    let keys = match (taken_away, added) {
        (true, true) => Some(KeysInUndo::Both),
        (true, false) => Some(KeysInUndo::TakenAway),
        (false, true) => Some(KeysInUndo::Added),
        (false, false) => None,
    };
    warnings.extend(keys.map(EditWarning::RecoveryKeyInUndo));
    warnings
}

/// The recovery keys among the kernel options, as they were typed.
fn recovery_keys(cfg: &BootCfg) -> Vec<&str> {
    options_with_values(cfg)
        .filter(|(name, _)| name.eq_ignore_ascii_case(RECOVERY_KEY_OPTION))
        .map(|(_, key)| key.trim_matches('"'))
        .collect()
}

/// The settings that the loader reads differently, all of which were asked for.
fn changes(
    before: &BootCfg,
    after: &BootCfg,
    asked: &BTreeSet<String>,
) -> Result<Vec<SettingChange>, EditError> {
    let digit = |cfg: &BootCfg| cfg.bootstate_digit_at().is_some();
    let (old, new) = (before.settings(), after.settings());
    let keys: BTreeSet<&'static str> = old.keys().chain(new.keys()).copied().collect();
    let differing = keys.into_iter().filter(|key| old.get(key) != new.get(key));
    let mut changes = Vec::new();
    for key in differing {
        if !asked.contains(key) {
            return Err(EditError::BootCfg);
        }
        let guarded = |value: Option<&String>| value.map(Guarded::of);
        let (from, to) = (guarded(old.get(key)), guarded(new.get(key)));
        let mut change = SettingChange::new(ChangeSource::BootCfg, key, from, to);
        let loses_vmkernel = before.lists_vmkernel() && !after.lists_vmkernel();
        change.harm = (key == MODULES && loses_vmkernel).then_some(Harm::NoVmkernel);
        changes.push(change);
    }
    if !asked.contains("bootstate") && digit(before) != digit(after) {
        return Err(EditError::BootCfg);
    }
    Ok(changes)
}
