//! What an undo does, and what is odd about it, in words.

use crate::cli::change::{ChangeObject, ChangedBank};
use crate::cli::session::Session;
use crate::cli::terminal::{plural, shown, size};
use crate::commit::{About, Undo, WriteSet};
use crate::stick::{BankPart, OtherMedium, PutBack, UndoPlan};
use std::collections::BTreeMap;

/// Where there is nothing to put back.
pub(super) fn already_so(object: &ChangeObject) -> String {
    format!(
        "{}: already as it was before the change\n",
        shown(&object.target)
    )
}

/// What is put back, and from which undo file; the banks are noted in the object.
pub(super) fn describe(session: &Session, undo: &Undo, plan: &UndoPlan, object: &mut ChangeObject) {
    let set: &WriteSet = &plan.set;
    let ui = &session.ui;
    let mut partitions: Vec<u32> = set.steps().iter().map(|step| step.partition).collect();
    partitions.sort_unstable();
    partitions.dedup();
    ui.text(&format!(
        "{}: {} to put back in {} step{}, on partition{} {}\n",
        shown(&object.target),
        size(set.bytes_to_write()),
        set.steps().len(),
        plural(set.steps().len()),
        plural(partitions.len()),
        crate::stick::numbers(partitions.iter().copied())
    ));
    for line in things_in_words(&plan.things) {
        ui.text(&format!("  {line}\n"));
    }
    describe_about(session, &undo.about);
    object.banks = partitions
        .into_iter()
        .map(|partition| ChangedBank {
            partition: Some(partition),
            in_place: false,
            leftovers: 0,
            changes: Vec::new(),
        })
        .collect();
}

/// `-v`: what the undo file says of itself.
pub(super) fn describe_about(session: &Session, about: &About) {
    for (name, value) in BTreeMap::from(about.clone()) {
        let (name, value) = (shown(&name), shown(&value));
        session.ui.detail(&format!("  {name}: {value}"));
    }
}

/// What comes back, a line for each bank.
fn things_in_words(things: &[PutBack]) -> Vec<String> {
    let mut banks: Vec<(u32, Vec<String>)> = Vec::new();
    for PutBack { partition, thing } in things {
        let text = match thing {
            BankPart::State(name) | BankPart::BankFile(name) => shown(name),
            BankPart::BootCfg => "boot.cfg".to_owned(),
            BankPart::Marks => "the marks of an unclean unmount".to_owned(),
            BankPart::Leftovers => "leftovers".to_owned(),
        };
        match banks.last_mut() {
            Some((last, texts)) if last == partition => texts.push(text),
            _ => banks.push((*partition, vec![text])),
        }
    }
    let line = |(partition, texts): (u32, Vec<String>)| {
        format!("bank on partition {partition}: {}", texts.join(", "))
    };
    banks.into_iter().map(line).collect()
}

/// How a medium differs from the one in the undo file.
pub(super) fn other_in_words(other: &OtherMedium) -> String {
    match other {
        OtherMedium::Bank {
            partition,
            expected,
            found: Some(found),
        } => format!(
            "the bank on partition {partition} has the UUID {found}, and not {}",
            shown(expected)
        ),
        OtherMedium::Bank {
            partition,
            expected,
            found: None,
        } => format!(
            "there is no bank on partition {partition}, but one with the UUID {} is expected",
            shown(expected)
        ),
        OtherMedium::Host { expected, found } => format!(
            "its state is that of the host {}, and not of {}",
            shown(found),
            shown(expected)
        ),
    }
}

/// What a person should know of it.
pub(super) fn warnings_of(plan: &UndoPlan) -> Vec<String> {
    let files_only = plan.files_only.as_ref().map(|why| {
        format!(
            "{why}; so the files of that change become what they were, and everything else stays as it is"
        )
    });
    let damage = plan.damage.iter();
    let damage = damage.map(|damage| {
        format!(
            "putting every byte back damages the medium: {damage}; --force does it all the same"
        )
    });
    let again = plan.damaged_again.iter();
    let again = again.map(|error| format!("{error}; it was so before the change too"));
    files_only.into_iter().chain(damage).chain(again).collect()
}
