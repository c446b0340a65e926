//! What can be told of a plan without a medium: entries that make no sense, and entries that
//! contradict each other.

use super::{DeclaredPlan, FileEntry, PlanFileError};
use crate::bank::path_in_bank;
use crate::edit::{CONFIG_STORE, ESX_CONF, permission_bits};
use crate::ownership::EsxConf;
use crate::secrets::quotable;
use std::collections::BTreeSet;
use std::ops::Range;

/// What stands for every device that is passed through.
pub(super) const PASSED_THROUGH: &str = "passed-through";

/// Longest name of a file or directory in bytes.
const LONGEST_NAME: usize = 255;

/// Checks a plan as a whole.
pub(super) fn check(declared: &DeclaredPlan) -> Result<(), PlanFileError> {
    let mut named = Named {
        declared,
        seen: BTreeSet::new(),
    };
    named.devices()?;
    named.settings()?;
    named.rows()?;
    named.options()?;
    named.files()
}

/// A setting by what it is and what it is called, to find two entries for one.
struct Named<'p> {
    declared: &'p DeclaredPlan,
    seen: BTreeSet<(&'static str, String)>,
}

impl Named<'_> {
    fn once(
        &mut self,
        what: &'static str,
        name: &str,
        span: Range<usize>,
    ) -> Result<(), PlanFileError> {
        if self.seen.insert((what, name.to_owned())) {
            return Ok(());
        }
        let name = quotable(name);
        let message = format!("there are two entries for the {what} {name}");
        Err(self.declared.error(span, message))
    }

    fn devices(&mut self) -> Result<(), PlanFileError> {
        let entries = &self.declared.plan.device;
        for entry in entries {
            let address = entry.address.get_ref();
            self.once("device", address, entry.address.span())?;
            if address == PASSED_THROUGH && entries.len() > 1 {
                let message =
                    format!("`{PASSED_THROUGH}` cannot be combined with other entries for devices");
                return Err(self.declared.error(entry.address.span(), message));
            }
        }
        Ok(())
    }

    fn settings(&mut self) -> Result<(), PlanFileError> {
        let conf = &self.declared.plan.conf;
        let keys = conf.set.keys().chain(&conf.unset);
        for key in keys {
            setting(key.get_ref(), "").map_err(|why| self.declared.error(key.span(), why))?;
            self.once("key", key.get_ref(), key.span())?;
        }
        Ok(())
    }

    fn rows(&mut self) -> Result<(), PlanFileError> {
        let store = &self.declared.plan.store;
        for entry in &store.delete {
            let row = entry.get_ref();
            let name = [&row.component, &row.group, &row.key, &row.identifier].map(String::as_str);
            self.once("row", &name.join(" "), entry.span())?;
        }
        for entry in &store.set {
            let row = entry.get_ref();
            let name = [&row.component, &row.group, &row.key, &row.identifier].map(String::as_str);
            let name = name.join(" ");
            if self.seen.contains(&("row", name.clone())) {
                let message = format!("another entry deletes the row {name}");
                return Err(self.declared.error(entry.span(), message));
            }
            let cell = format!("{name} {:?}", row.column);
            self.once("value", &cell, entry.span())?;
        }
        Ok(())
    }

    fn options(&mut self) -> Result<(), PlanFileError> {
        let options = &self.declared.plan.kernelopt;
        for word in options.append.iter().chain(&options.delete) {
            self.once("kernel option", word.get_ref(), word.span())?;
        }
        Ok(())
    }

    fn files(&mut self) -> Result<(), PlanFileError> {
        let plan = &self.declared.plan;
        for entry in &plan.file {
            let span = entry.path.span();
            let at = |message: String| self.declared.error(span.clone(), message);
            file(entry).map_err(at)?;
            let path = entry.path.get_ref().trim_start_matches('/').to_owned();
            let edits_conf = !plan.conf.set.is_empty() || !plan.conf.unset.is_empty();
            let edits_store = !plan.store.set.is_empty() || !plan.store.delete.is_empty();
            let edited_too = match path.as_str() {
                ESX_CONF => edits_conf || !plan.device.is_empty(),
                CONFIG_STORE => edits_store || !plan.device.is_empty(),
                _ => false,
            };
            if edited_too {
                let message = format!("other entries change settings in {path}");
                return Err(self.declared.error(span, message));
            }
            self.once("file", &path, span)?;
        }
        Ok(())
    }
}

fn file(entry: &FileEntry) -> Result<(), String> {
    let path = entry.path.get_ref();
    let parts = path.trim_start_matches('/').split('/');
    if path.contains('\0') || path.trim_matches('/').is_empty() {
        return Err("a path names a file in the state, such as etc/motd".to_owned());
    }
    if path_in_bank(path).is_some() {
        return Err(format!(
            "{path} is a file of a bank, and a plan file changes files in the state; `bootbank put` changes those of a bank"
        ));
    }
    if parts.clone().any(|part| part == "..") {
        return Err(format!("{path} must not hold `..`"));
    }
    if parts.clone().any(|part| part.is_empty() || part == ".") {
        return Err(format!("{path} has an empty part or a `.` in it"));
    }
    if parts.clone().any(|part| part.len() > LONGEST_NAME) {
        return Err(format!(
            "a part of the path is longer than {LONGEST_NAME} bytes, which no file system on a host allows"
        ));
    }
    let ways = [entry.text.is_some(), entry.from.is_some(), entry.remove];
    if ways.iter().filter(|way| **way).count() != 1 {
        return Err(format!(
            "{path} needs exactly one of `text`, `from` and `remove = true`"
        ));
    }
    match &entry.owner {
        Some(_) if entry.remove => {
            return Err(format!("{path} is to be removed, so it takes no owner"));
        }
        Some(owner) if owner.get_ref() != "root" => {
            return Err(format!(
                "{path} can only belong to root, not to {}: a host's own archives hold no other owner",
                owner.get_ref()
            ));
        }
        _ => {}
    }
    match &entry.mode {
        Some(_) if entry.remove => Err(format!("{path} is to be removed, so it takes no mode")),
        Some(text) if permission_bits(text.get_ref()).is_none() => Err(format!(
            "{} is not a mode; write octal digits up to 7777 in quotes, such as \"0644\"",
            text.get_ref()
        )),
        _ => Ok(()),
    }
}

/// Whether esx.conf can hold a setting, asked of an empty one.
pub(super) fn setting(key: &str, value: &str) -> Result<(), String> {
    let empty = EsxConf::parse(Vec::new());
    let set = empty.and_then(|conf| conf.set(key, value));
    set.map(drop).map_err(|error| error.to_string())
}
