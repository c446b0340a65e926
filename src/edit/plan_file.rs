//! Edits declared in a file: a TOML plan, read and checked before any medium is.
//!
//! A plan says what is to be so, not in which order it is done: two entries about the same
//! setting are refused, and so the order of entries means nothing. `{name}` in a value stands
//! for that column of a host map, `{{name}}` for the text `{name}`; other braces are text.
//! Pure: the files a plan names are read by whoever calls.

mod check;
mod entries;
mod fill;

pub use entries::{
    ColumnWord, ConfEntries, DeviceEntry, Expect, FileEntry, HostEntries, KerneloptEntries,
    OwnerWord, PlanFile, RowEntry, StoreEntries, StoreSetEntry,
};
pub use fill::Fill;

use super::{
    ConfEdit, Devices, Edit, FileEdit, HostEdit, OwnerEdit, Selector, StoreEdit, permission_bits,
};
use crate::bank::KerneloptEdit;
use crate::error::ErrorKind;
use crate::ownership::{Owner, RowKey, Source};
use crate::pci::PciAddress;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ops::Range;
use toml::Spanned;

/// Why a plan cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
#[non_exhaustive]
pub struct PlanFileError {
    /// Line in the file, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub message: String,
}

impl PlanFileError {
    /// What the error means to whoever has to act on it.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Usage
    }

    fn at(text: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        PlanFileError {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: message.into(),
        }
    }
}

/// A message of the parser without the value it is about, which may be a secret: `invalid type:
/// integer, expected a string`.
fn without_value(message: &str) -> String {
    let about = ["invalid type: ", "invalid value: "];
    let about = about.iter().find(|about| message.starts_with(**about));
    let parts = about.and_then(|about| {
        let (value, expected) = message[about.len()..].rsplit_once(", expected ")?;
        let kind = value.split(['"', '`']).next()?;
        Some(format!("{about}{}, expected {expected}", kind.trim_end()))
    });
    parts.unwrap_or_else(|| message.to_owned())
}

/// A plan that was read and checked.
#[derive(Clone, Debug)]
pub struct DeclaredPlan {
    text: String,
    plan: PlanFile,
}

impl DeclaredPlan {
    /// Reads a plan. Its lines end in a line feed, in a text of several lines too, whatever the editor that
    /// wrote the file ends them in: `\r` in a basic string is a carriage return.
    ///
    /// # Errors
    /// [`PlanFileError`]: no TOML, keys that are not known, entries that make no sense or
    /// contradict each other.
    pub fn parse(text: &str) -> Result<Self, PlanFileError> {
        let text = &text.replace("\r\n", "\n");
        let plan: PlanFile = toml::from_str(text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            PlanFileError::at(
                text,
                span,
                without_value(&error.message().replace('\n', ", ")),
            )
        })?;
        let declared = DeclaredPlan {
            text: text.to_owned(),
            plan,
        };
        check::check(&declared)?;
        Ok(declared)
    }

    /// The plan as it stands in the file.
    pub fn plan(&self) -> &PlanFile {
        &self.plan
    }

    /// Columns of a host map that its values use.
    pub fn columns(&self) -> BTreeSet<String> {
        let mut columns = BTreeSet::new();
        let named = |value: &mut String, _| -> Result<(), Infallible> {
            columns.extend(fill::columns_of(value).map(str::to_owned));
            Ok(())
        };
        let Ok(()) = self.plan.clone().each_value(named);
        columns
    }

    /// The local files it names.
    pub fn local_files(&self) -> impl Iterator<Item = &str> {
        self.plan
            .file
            .iter()
            .filter_map(|file| file.from.as_deref())
    }

    /// What is expected of a medium, and the edits for it: the plan with the values of its row
    /// of a host map, and with the contents of the local files.
    ///
    /// # Errors
    /// [`PlanFileError`]: a value that makes no sense once it is filled in, or a file that is
    /// not in `files`.
    pub fn fill(
        &self,
        row: &BTreeMap<String, String>,
        files: &BTreeMap<String, Vec<u8>>,
    ) -> Result<(Expect, Vec<Edit>), PlanFileError> {
        let filled = self.filled(row)?;
        let mut edits = filled.device_edits()?;
        edits.extend(filled.conf_edits()?);
        edits.extend(filled.store_edits()?);
        edits.extend(filled.kernelopt_edits()?);
        edits.extend(filled.file_edits(files)?);
        edits.extend(filled.host_edit()?);
        Ok((filled.plan.expect, edits))
    }

    /// The plan with the values of a row. Entries can be about one setting then that are not so in
    /// the file, so it is checked again.
    fn filled(&self, row: &BTreeMap<String, String>) -> Result<DeclaredPlan, PlanFileError> {
        let fill = Fill::new(row);
        let mut filled = self.clone();
        filled.plan.each_value(|value, span| {
            *value = fill.text(value).map_err(|why| self.error(span, why))?;
            Ok(())
        })?;
        check::check(&filled)?;
        Ok(filled)
    }

    fn error(&self, span: Range<usize>, message: impl Into<String>) -> PlanFileError {
        PlanFileError::at(&self.text, span, message)
    }

    fn device_edits(&self) -> Result<Vec<Edit>, PlanFileError> {
        let mut named: Vec<OwnerEdit> = Vec::new();
        for entry in &self.plan.device {
            let address = entry.address.get_ref();
            let devices = if *address == check::PASSED_THROUGH {
                Devices::PassedThrough
            } else {
                let selector: Selector = address.parse().map_err(|error: super::SelectError| {
                    self.error(entry.address.span(), error.to_string())
                })?;
                if entry.new {
                    Devices::NamedOrNew(vec![selector])
                } else {
                    Devices::Named(vec![selector])
                }
            };
            let owner = match entry.owner {
                OwnerWord::Vmkernel => Owner::Vmkernel,
                OwnerWord::Passthru => Owner::Passthru,
            };
            let edit = OwnerEdit { devices, owner };
            if let Some(other) = named.iter().find(|other| contradict(other, &edit)) {
                let message = format!(
                    "another entry gives {address} to {}",
                    other.owner.spelled(Source::EsxConf)
                );
                return Err(self.error(entry.address.span(), message));
            }
            named.push(edit);
        }
        Ok(named.into_iter().map(Edit::Owner).collect())
    }

    fn conf_edits(&self) -> Result<Vec<Edit>, PlanFileError> {
        let mut edits = Vec::new();
        for (key, value) in &self.plan.conf.set {
            check::setting(key.get_ref(), value.get_ref())
                .map_err(|why| self.error(value.span(), why))?;
            edits.push(Edit::Conf(ConfEdit::Set {
                key: key.get_ref().clone(),
                value: value.get_ref().clone(),
            }));
        }
        let unset = self.plan.conf.unset.iter().map(|key| {
            Edit::Conf(ConfEdit::Unset {
                key: key.get_ref().clone(),
                absent_ok: true,
            })
        });
        edits.extend(unset);
        Ok(edits)
    }

    fn store_edits(&self) -> Result<Vec<Edit>, PlanFileError> {
        let mut edits = Vec::new();
        for entry in &self.plan.store.set {
            let row = entry.get_ref();
            let value = fill::json(&row.value).map_err(|why| self.error(entry.span(), why))?;
            edits.push(Edit::Store(StoreEdit::Set {
                key: RowKey::new(&row.component, &row.group, &row.key, &row.identifier),
                column: row.column.into(),
                json: value.to_string(),
            }));
        }
        edits.extend(self.plan.store.delete.iter().map(|entry| {
            let row = entry.get_ref();
            Edit::Store(StoreEdit::Delete {
                key: RowKey::new(&row.component, &row.group, &row.key, &row.identifier),
                absent_ok: true,
            })
        }));
        Ok(edits)
    }

    fn kernelopt_edits(&self) -> Result<Vec<Edit>, PlanFileError> {
        let options = &self.plan.kernelopt;
        type Kind = fn(String) -> KerneloptEdit;
        let words = |words: &[Spanned<String>], kind: Kind| -> Result<Vec<String>, PlanFileError> {
            let checked = words.iter().map(|word| {
                let option = word.get_ref().clone();
                let check = kind(option.clone()).check();
                check.map_err(|error| self.error(word.span(), error.to_string()))?;
                Ok(option)
            });
            checked.collect()
        };
        let delete = words(&options.delete, KerneloptEdit::Delete)?;
        let append = words(&options.append, KerneloptEdit::Append)?;
        let edits = KerneloptEdit::to_result(&delete, &append);
        Ok(edits.into_iter().map(Edit::Kernelopt).collect())
    }

    fn file_edits(&self, files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<Edit>, PlanFileError> {
        let mut edits = Vec::new();
        for entry in &self.plan.file {
            let path = entry.path.get_ref().clone();
            let content = match (&entry.text, &entry.from) {
                (Some(text), _) => text.clone().into_bytes(),
                (None, Some(from)) => files
                    .get(from)
                    .cloned()
                    .ok_or_else(|| self.error(entry.path.span(), format!("{from} was not read")))?,
                (None, None) => {
                    edits.push(Edit::File(FileEdit::Remove {
                        path,
                        absent_ok: true,
                    }));
                    continue;
                }
            };
            let mode = entry
                .mode
                .as_ref()
                .and_then(|mode| permission_bits(mode.get_ref()));
            edits.push(Edit::File(FileEdit::Put {
                path,
                content,
                mode,
            }));
        }
        Ok(edits)
    }

    fn host_edit(&self) -> Result<Option<Edit>, PlanFileError> {
        let host = &self.plan.host;
        let one = |value: &Option<Spanned<String>>| value.as_ref().map(|it| it.get_ref().clone());
        let all = |values: &[Spanned<String>]| -> Vec<String> {
            values.iter().map(|it| it.get_ref().clone()).collect()
        };
        let edit = HostEdit {
            name: one(&host.name),
            domain: one(&host.domain),
            ntp: all(&host.ntp),
            ssh_keys: all(&host.ssh_key),
        };
        let at = host.values().next().map_or(0..0, Spanned::span);
        edit.check()
            .map_err(|error| self.error(at, error.to_string()))?;
        Ok((!edit.is_empty()).then_some(Edit::Host(edit)))
    }
}

/// Whether two edits give one address to different owners, however it was spelled.
fn contradict(one: &OwnerEdit, other: &OwnerEdit) -> bool {
    let addresses = |edit: &OwnerEdit| -> BTreeSet<PciAddress> {
        let selectors = edit.devices.selectors().iter();
        selectors.filter_map(Selector::address).collect()
    };
    let (mine, theirs) = (addresses(one), addresses(other));
    one.owner != other.owner && !mine.is_disjoint(&theirs)
}

#[cfg(test)]
mod tests;
