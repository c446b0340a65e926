//! What requests make of one opened state: which members get which new content.

use super::configuration::{Configuration, SCHEMA_STORE, inside};
use super::edited::{Edited, Unmatched};
use super::error::EditError;
use super::oddity::Subject;
use super::request::{ConfEdit, Context, Devices, Edit, StoreEdit};
use super::selector::SelectError;
use super::surroundings::{Surroundings, secret_types};
use super::warning::EditWarning;
use super::{files, harm, identity, owners, seal};
use crate::bank::Release;
use crate::ownership::{DeviceOwner, Owner, SchemaStore, SecretTypes};
use crate::pci::PciAddress;
use crate::state::State;
use std::collections::HashMap;

/// What `edits` come to in `state`, one after the other; those of `boot.cfg` are passed over.
///
/// `release` is that of the bank, where its boot.cfg tells one. What is known to be kept in one
/// place is changed in that and in the other; what is new goes where that release reads it.
///
/// # Errors
/// [`EditError`]: a state that cannot be opened to the bottom, or an edit it cannot take.
pub fn apply(
    state: &State,
    edits: &[Edit],
    context: Context,
    release: Option<&Release>,
) -> Result<Edited, EditError> {
    let before = Configuration::open_for(state, release)?;
    apply_to(&before, state, edits, context, release)
}

/// The same, where `before` is the configuration of `state`.
///
/// # Errors
/// As [`apply`].
pub(crate) fn apply_to(
    before: &Configuration,
    state: &State,
    edits: &[Edit],
    context: Context,
    release: Option<&Release>,
) -> Result<Edited, EditError> {
    let mut edited = begin(before, edits)?;
    let schema = schema_for(state, edits)?;
    let secret_types = match before.store {
        Some(_) => secret_types(state)?,
        None => SecretTypes::default(),
    };
    let mut draft = Draft {
        state,
        context,
        release,
        after: before.clone(),
        files: files::Files::default(),
        schema: schema.as_ref(),
        secret_types: &secret_types,
        passed: Vec::new(),
    };
    let made = draft.make_all(edits, &mut edited);
    made.map_err(|error| match error {
        EditError::Missing { .. } | EditError::HostUnknown { .. } if before.is_default() => {
            EditError::Empty
        }
        error => error,
    })?;
    let Draft {
        after,
        files,
        passed,
        ..
    } = draft;
    if before.is_default() && files.adds() {
        return Err(EditError::Empty);
    }
    edited.unmatched.retain(|it| !is_taken_out(it, edits));
    if edits.iter().any(|edit| matches!(edit, Edit::Conf(_))) {
        check_entries(before, &after)?;
    }
    check_rows(before, &after)?;
    owners::check_kept(&passed, &after, release)?;
    identity::note_moved(before, &after, release, &mut edited);
    harm::note(before, &after, &mut edited)?;
    note_new_oddities(&after, edits, &mut edited)?;
    owners::members(before, &after, secret_types, &mut edited);
    files.note(state, context, &mut edited)?;
    // What changes and comes to nothing was changed back.
    if edited.members.is_empty() {
        check_agreement(&edited, edits)?;
    }
    Ok(edited)
}

/// What is to be said of a configuration that these edits are to be made to.
fn begin(before: &Configuration, edits: &[Edit]) -> Result<Edited, EditError> {
    let of_files_alone =
        !edits.is_empty() && edits.iter().all(|edit| matches!(edit, Edit::File(_)));
    let aliases = before.aliases();
    let matters =
        |at: &Option<PciAddress>| edits.iter().any(|edit| edit.may_be_about(*at, &aliases));
    let odd = before.warnings()?.into_iter();
    Ok(Edited {
        searched: if of_files_alone {
            Vec::new()
        } else {
            before.searched()
        },
        warnings: odd.map(EditWarning::Configuration).collect(),
        doubtful: before.doubts().filter(matters).count(),
        ..Edited::default()
    })
}

/// A state's configuration while edits are made to it.
struct Draft<'s> {
    state: &'s State,
    context: Context,
    release: Option<&'s Release>,
    after: Configuration,
    files: files::Files,
    schema: Option<&'s SchemaStore>,
    secret_types: &'s SecretTypes,
    /// The devices with an entry that edits pass through.
    passed: Vec<DeviceOwner>,
}

impl<'s> Draft<'s> {
    fn surroundings(&self) -> Surroundings<'s> {
        Surroundings {
            context: self.context,
            release: self.release,
            schema: self.schema,
            secret_types: self.secret_types,
        }
    }

    /// Makes edits in their order; those of esx.conf that follow each other in one pass.
    fn make_all(&mut self, edits: &[Edit], edited: &mut Edited) -> Result<(), EditError> {
        let mut rest = edits;
        while let Some(edit) = rest.first() {
            let (together, others) = rest.split_at(ConfEdit::at_once(rest));
            if together.is_empty() {
                self.make(edit, edited)?;
                rest = rest.get(1..).unwrap_or_default();
            } else {
                ConfEdit::make_all(together, &mut self.after, self.release, edited)?;
                rest = others;
            }
        }
        Ok(())
    }

    fn make(&mut self, edit: &Edit, edited: &mut Edited) -> Result<(), EditError> {
        let surroundings = self.surroundings();
        match edit {
            Edit::Owner(owners) => {
                let chosen = owners.make(&mut self.after, surroundings, edited)?;
                if owners.owner == Owner::Passthru {
                    self.passed.extend(chosen);
                }
                Ok(())
            }
            Edit::Conf(_) => self.make_all(std::slice::from_ref(edit), edited),
            Edit::Store(store) => store.make(&mut self.after, surroundings, edited),
            Edit::File(file) => file.make(self.state, &mut self.after, &mut self.files, edited),
            Edit::Kernelopt(_) | Edit::BootCfg(_) => Ok(()),
            Edit::Host(host) => {
                let parts = host.edits(self.state, &self.after, self.release)?;
                self.make_all(&parts, edited)
            }
            // A name or a secret in there would stay.
            Edit::Seal(_) if self.after.closed_store.is_some() => Err(self.after.without_store()),
            Edit::Seal(operations) => {
                for operation in operations {
                    let parts = operation.edits(self.state, &self.after, self.release, edited)?;
                    self.make_all(&parts, edited)?;
                }
                seal::left_alone(&self.after, edited);
                Ok(())
            }
        }
    }
}

/// The host's own description of its settings, where an edit needs it and the state has it.
fn schema_for(state: &State, edits: &[Edit]) -> Result<Option<SchemaStore>, EditError> {
    let needs_it = |edit: &Edit| match edit {
        Edit::Store(StoreEdit::Set { .. }) | Edit::Host(_) | Edit::Seal(_) => true,
        Edit::Owner(edit) => {
            edit.owner == Owner::Passthru && matches!(edit.devices, Devices::NamedOrNew(_))
        }
        _ => false,
    };
    if !edits.iter().any(needs_it) {
        return Ok(None);
    }
    let Some(bytes) = state.content(SCHEMA_STORE)? else {
        return Ok(None);
    };
    let schema = SchemaStore::open(bytes).map_err(inside(SCHEMA_STORE))?;
    Ok(Some(schema))
}

/// Whether what was not found is a device that is to be the VMkernel's, and of which other edits take out
/// what names it: without a line or row it is the VMkernel's, and to make all of them once more changes
/// nothing.
fn is_taken_out(missing: &Unmatched, edits: &[Edit]) -> bool {
    let Unmatched::Device(SelectError::NoSuchDevice { selector, .. }) = missing else {
        return false;
    };
    let mut taken_out = edits.iter().filter_map(|edit| match edit {
        Edit::Conf(ConfEdit::Unset { key, .. }) => DeviceOwner::of_line(key),
        Edit::Store(StoreEdit::Delete { key, .. }) => DeviceOwner::of_row(key),
        _ => None,
    });
    taken_out.any(|device| selector.matches(&device))
}

/// What is odd about the configuration only after the edits. Giving devices back and passing them through leaves
/// nothing odd that was not.
fn note_new_oddities(
    after: &Configuration,
    edits: &[Edit],
    edited: &mut Edited,
) -> Result<(), EditError> {
    if edits.iter().all(|edit| matches!(edit, Edit::Owner(_))) {
        return Ok(());
    }
    let odd = after.warnings()?;
    let mut known: HashMap<Subject<'_>, usize> = HashMap::new();
    for warning in &edited.warnings {
        if let EditWarning::Configuration(odd) = warning
            && let Some(subject) = odd.subject()
        {
            *known.entry(subject).or_default() += 1;
        }
    }
    let mut new = Vec::new();
    for (warning, subject) in odd.iter().filter_map(|odd| Some((odd, odd.subject()?))) {
        // Of what is there once more than before, one is new.
        match known.get_mut(&subject) {
            Some(count) if *count > 0 => *count -= 1,
            _ => new.push(EditWarning::Configuration(warning.clone())),
        }
    }
    edited.warnings.extend(new);
    Ok(())
}

/// No edit of single settings leaves an esx.conf that had some without any.
fn check_entries(before: &Configuration, after: &Configuration) -> Result<(), EditError> {
    let has_any = |it: &Configuration| it.esx_conf.as_ref().map(|it| it.entries().next().is_some());
    match (has_any(before), has_any(after)) {
        (Some(true), Some(false)) => Err(EditError::NoEntries),
        _ => Ok(()),
    }
}

/// No edit leaves a device's row that cannot be read where it could be before.
fn check_rows(before: &Configuration, after: &Configuration) -> Result<(), EditError> {
    let odd = |it: &Configuration| {
        it.store
            .as_ref()
            .map_or(Vec::new(), |store| store.odd_rows())
    };
    let had = odd(before);
    match odd(after).into_iter().find(|row| !had.contains(row)) {
        Some(row) => Err(EditError::OddRow(row)),
        None => Ok(()),
    }
}

/// Looks at what `edits` come to where they were made already: of several, each must have been kept.
///
/// # Errors
/// [`EditError::Contradiction`].
pub(crate) fn check_agreement(again: &Edited, edits: &[Edit]) -> Result<(), EditError> {
    match again.changes.first() {
        Some(change) if edits.len() > 1 => Err(EditError::Contradiction {
            source_of: change.source,
            key: change.key.clone(),
        }),
        _ => Ok(()),
    }
}

/// Looks at what several states made of the same edits: what none of them holds is an error. Where it was
/// to be taken out it is none, for that is already so; what there is to say of it is given back.
///
/// # Errors
/// [`EditError::Unmatched`], as the first state put it.
pub(crate) fn check_unmatched(unmatched: &[&[Unmatched]]) -> Result<Vec<EditWarning>, EditError> {
    let Some((first, others)) = unmatched.split_first() else {
        return Ok(Vec::new());
    };
    let mut gone = Vec::new();
    for missing in *first {
        let missing_too = |list: &&[Unmatched]| list.iter().any(|other| other.is_same(missing));
        if !others.iter().all(missing_too) {
            continue;
        }
        match missing {
            Unmatched::Key(_) | Unmatched::Row { .. } | Unmatched::File(_) => {
                gone.push(EditWarning::GoneAlready(missing.clone()));
            }
            _ => return Err(missing.clone().into()),
        }
    }
    Ok(gone)
}
