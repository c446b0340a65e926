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

use super::{ConfEdit, Devices, Edit, FileEdit, HostEdit, OwnerEdit, Selector, StoreEdit};
use crate::bank::KerneloptEdit;
use crate::error::ErrorKind;
use crate::ownership::{Owner, RowKey, Source};
use crate::pci::PciAddress;
use std::collections::{BTreeMap, BTreeSet};
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
        for value in self.values() {
            columns.extend(fill::columns_of(value).map(str::to_owned));
        }
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
        let fill = Fill::new(row);
        let mut expect = self.plan.expect.clone();
        for value in expect.conf.values_mut() {
            *value = fill.text(value).map_err(|why| self.error(0..0, why))?;
        }
        let mut edits = self.device_edits(&fill)?;
        edits.extend(self.conf_edits(&fill)?);
        edits.extend(self.store_edits(&fill)?);
        edits.extend(self.kernelopt_edits(&fill)?);
        edits.extend(self.file_edits(&fill, files)?);
        edits.extend(self.host_edit(&fill)?);
        Ok((expect, edits))
    }

    fn error(&self, span: Range<usize>, message: impl Into<String>) -> PlanFileError {
        PlanFileError::at(&self.text, span, message)
    }

    fn filled(&self, fill: &Fill<'_>, value: &Spanned<String>) -> Result<String, PlanFileError> {
        fill.text(value.get_ref())
            .map_err(|why| self.error(value.span(), why))
    }

    fn device_edits(&self, fill: &Fill<'_>) -> Result<Vec<Edit>, PlanFileError> {
        let mut named: Vec<OwnerEdit> = Vec::new();
        for entry in &self.plan.device {
            let address = self.filled(fill, &entry.address)?;
            let devices = if address == check::PASSED_THROUGH {
                Devices::PassedThrough
            } else {
                let selector: Selector = address.parse().map_err(|error: super::SelectError| {
                    self.error(entry.address.span(), error.to_string())
                })?;
                match entry.new {
                    true => Devices::NamedOrNew(vec![selector]),
                    false => Devices::Named(vec![selector]),
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

    fn conf_edits(&self, fill: &Fill<'_>) -> Result<Vec<Edit>, PlanFileError> {
        let mut edits = Vec::new();
        for (key, value) in &self.plan.conf.set {
            let filled = self.filled(fill, value)?;
            check::setting(key.get_ref(), &filled).map_err(|why| self.error(value.span(), why))?;
            edits.push(Edit::Conf(ConfEdit::Set {
                key: key.get_ref().clone(),
                value: filled,
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

    fn store_edits(&self, fill: &Fill<'_>) -> Result<Vec<Edit>, PlanFileError> {
        let mut edits = Vec::new();
        for entry in &self.plan.store.set {
            let row = entry.get_ref();
            let at = |why| self.error(entry.span(), why);
            let identifier = fill.text(&row.identifier).map_err(at)?;
            let value = fill.json(&row.value).map_err(at)?;
            edits.push(Edit::Store(StoreEdit::Set {
                key: RowKey::new(&row.component, &row.group, &row.key, &identifier),
                column: row.column.into(),
                json: value.to_string(),
            }));
        }
        for entry in &self.plan.store.delete {
            let row = entry.get_ref();
            let at = |why| self.error(entry.span(), why);
            let identifier = fill.text(&row.identifier).map_err(at)?;
            edits.push(Edit::Store(StoreEdit::Delete {
                key: RowKey::new(&row.component, &row.group, &row.key, &identifier),
                absent_ok: true,
            }));
        }
        Ok(edits)
    }

    fn kernelopt_edits(&self, fill: &Fill<'_>) -> Result<Vec<Edit>, PlanFileError> {
        let options = &self.plan.kernelopt;
        let mut edits = Vec::new();
        let delete = options.delete.iter().map(|word| (word, false));
        let append = options.append.iter().map(|word| (word, true));
        for (word, is_append) in delete.chain(append) {
            let filled = self.filled(fill, word)?;
            let edit = match is_append {
                true => KerneloptEdit::Append(filled),
                false => KerneloptEdit::Delete(filled),
            };
            edit.check()
                .map_err(|error| self.error(word.span(), error.to_string()))?;
            edits.push(Edit::Kernelopt(edit));
        }
        Ok(edits)
    }

    fn file_edits(
        &self,
        fill: &Fill<'_>,
        files: &BTreeMap<String, Vec<u8>>,
    ) -> Result<Vec<Edit>, PlanFileError> {
        let mut edits = Vec::new();
        for entry in &self.plan.file {
            let path = entry.path.get_ref().clone();
            let content = match (&entry.text, &entry.from) {
                (Some(text), _) => {
                    let filled = fill.text(text);
                    filled
                        .map_err(|why| self.error(entry.path.span(), why))?
                        .into_bytes()
                }
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
                .and_then(|mode| check::mode(mode.get_ref()));
            edits.push(Edit::File(FileEdit::Put {
                path,
                content,
                mode,
            }));
        }
        Ok(edits)
    }

    fn host_edit(&self, fill: &Fill<'_>) -> Result<Option<Edit>, PlanFileError> {
        let host = &self.plan.host;
        let one = |value: &Option<Spanned<String>>| {
            let value = value.as_ref().map(|value| self.filled(fill, value));
            value.transpose()
        };
        let all = |values: &[Spanned<String>]| -> Result<Vec<String>, PlanFileError> {
            values
                .iter()
                .map(|value| self.filled(fill, value))
                .collect()
        };
        let edit = HostEdit {
            name: one(&host.name)?,
            domain: one(&host.domain)?,
            ntp: all(&host.ntp)?,
            ssh_keys: all(&host.ssh_key)?,
        };
        let at = host.values().next().map_or(0..0, Spanned::span);
        edit.check()
            .map_err(|error| self.error(at, error.to_string()))?;
        Ok((!edit.is_empty()).then_some(Edit::Host(edit)))
    }

    /// Every value that may name a column.
    fn values(&self) -> impl Iterator<Item = &str> {
        let plan = &self.plan;
        let expect = plan.expect.conf.values().map(String::as_str);
        let devices = plan
            .device
            .iter()
            .map(|entry| entry.address.get_ref().as_str());
        let conf = plan.conf.set.values().map(|value| value.get_ref().as_str());
        let set = plan.store.set.iter().map(Spanned::get_ref);
        let identifiers = set.clone().map(|row| row.identifier.as_str());
        let store = set.flat_map(|row| fill::strings_of(&row.value));
        let deleted = plan
            .store
            .delete
            .iter()
            .map(|row| row.get_ref().identifier.as_str());
        let options = plan.kernelopt.append.iter().chain(&plan.kernelopt.delete);
        let options = options.map(|word| word.get_ref().as_str());
        let texts = plan.file.iter().filter_map(|file| file.text.as_deref());
        let host = plan.host.values().map(|value| value.get_ref().as_str());
        expect
            .chain(devices)
            .chain(conf)
            .chain(identifiers)
            .chain(store)
            .chain(deleted)
            .chain(options)
            .chain(texts)
            .chain(host)
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
