//! `bootbank diff`: two sticks, images or states, compared by what they configure.

use crate::bank::{BOOT_CFG, STATE_FILES};
use crate::cli::process::Needs;
use crate::cli::report::{ErrorObject, Exit, Failure};
use crate::cli::session::{Run, Schema, Session, open_state_file, state_file};
use crate::cli::terminal::{HEADING, HINT, REMOVED, shown, styled, unified};
use crate::edit::inventory::{Difference, Inventory, Item, differences};
use crate::state::State;
use crate::stick::{BankChoice, Error, Slot, Stick};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const SCHEMA: &str = "bootbank.diff/1";

/// Compare what two media or states configure; exit with 1 if they differ
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank diff before.img after.img
  bootbank diff stick.img state.tgz          a medium with a state")]
pub struct Diff {
    /// Image file, block device, state.tgz, local.tgz or configBundle.tgz
    a: PathBuf,
    /// What to compare it with
    b: PathBuf,
    /// Show keys, password hashes and other secrets
    #[arg(long)]
    show_secrets: bool,
}

/// Where an inventory is from: a bank, and a file in it; both open for a bare state.
type Place = (Option<u32>, String);
/// An error with the name of the side it is about.
type OneSided = (String, Box<Failure>);
/// Everything on one side.
type Side = BTreeMap<Place, Inventory>;

#[derive(JsonSchema, Serialize)]
struct Differences {
    schema: &'static str,
    target: String,
    other: String,
    differs: bool,
    differences: Vec<Shown>,
}

#[derive(JsonSchema, Serialize)]
struct Shown {
    partition: Option<u32>,
    file: String,
    kind: &'static str,
    key: String,
    secret: bool,
    a: Option<String>,
    b: Option<String>,
}

#[derive(Serialize)]
struct Failed {
    schema: &'static str,
    target: String,
    other: String,
    error: ErrorObject,
}

impl Run for Diff {
    fn first_target(&self) -> Option<&Path> {
        Some(&self.a)
    }

    fn needs(&self) -> Needs {
        Needs::to_read([&self.a, &self.b])
    }

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        let target = self.a.display().to_string();
        let other = self.b.display().to_string();
        match compare(session, self) {
            Ok(found) => {
                let differs = !found.is_empty();
                session.ui.text(&in_words(&found, &target, &other, self));
                session.ui.json(&Differences {
                    schema: SCHEMA,
                    target,
                    other,
                    differs,
                    differences: found
                        .iter()
                        .map(|(place, difference)| object(place, difference, self.show_secrets))
                        .collect(),
                });
                Ok(if differs { Exit::Differs } else { Exit::Done })
            }
            Err((of, failure)) => {
                failure.say(&session.ui, &of);
                session.ui.json(&Failed {
                    schema: SCHEMA,
                    target,
                    other,
                    error: failure.object(),
                });
                Ok(failure.exit())
            }
        }
    }

    fn schemas() -> Vec<Schema> {
        vec![Schema::of::<Differences>("diff")]
    }
}

/// What differs, by place.
fn compare(session: &Session, args: &Diff) -> Result<Vec<(Place, Difference)>, OneSided> {
    let of = |path: &Path| {
        let name = path.display().to_string();
        move |failure: Failure| (name, Box::new(failure))
    };
    let states = [
        state_file(&args.a).map_err(of(&args.a))?,
        state_file(&args.b).map_err(of(&args.b))?,
    ];
    // Against a bare state only the configuration of one bank can be compared.
    let bare = states.iter().any(Option::is_some);
    let [a, b] = states;
    let a = side(session, &args.a, a, bare).map_err(of(&args.a))?;
    let b = side(session, &args.b, b, bare).map_err(of(&args.b))?;
    let none = Inventory::default();
    let places: std::collections::BTreeSet<&Place> = a.keys().chain(b.keys()).collect();
    let mut found = Vec::new();
    for place in places {
        let (old, new) = (a.get(place).unwrap_or(&none), b.get(place).unwrap_or(&none));
        let here = differences(old, new).into_iter();
        found.extend(here.map(|difference| (place.clone(), difference)));
    }
    Ok(found)
}

fn side(
    session: &Session,
    path: &Path,
    state: Option<Vec<u8>>,
    bare: bool,
) -> Result<Side, Failure> {
    if let Some(bytes) = state {
        let state = open_state_file(session, &bytes)?;
        let mut inventory = Inventory::default();
        inventory.add_state(&state).map_err(Error::from)?;
        return Ok(Side::from([((None, String::new()), inventory)]));
    }
    session.look_into(path, |stick, _| {
        if bare {
            let (partition, state) = stick.state(session.common.bank)?;
            let mut inventory = Inventory::default();
            add_state(&mut inventory, &state, partition)?;
            return Ok(Side::from([((None, String::new()), inventory)]));
        }
        let mut side = Side::new();
        let mut chosen = stick.chosen(session.common.bank)?;
        chosen.sort_by_key(|slot| slot.partition);
        for slot in chosen {
            add_bank(&mut side, session, stick, slot)?;
        }
        Ok(side)
    })
}

fn add_bank(
    side: &mut Side,
    session: &Session,
    stick: &Stick<'_, '_>,
    slot: &Slot<'_>,
) -> Result<(), Failure> {
    let bank = slot.opened()?;
    // One bank chosen by what it is for may lie elsewhere on the other side.
    let partition = match session.common.bank {
        BankChoice::Next => None,
        _ => Some(slot.partition),
    };
    let mut own = Inventory::default();
    own.add_boot_cfg(bank.boot_cfg());
    for entry in bank.volume().files().filter(|entry| !entry.is_directory()) {
        let name = entry.name();
        let is_opened = |known: &&str| known.eq_ignore_ascii_case(&name);
        if !STATE_FILES.iter().chain([&BOOT_CFG]).any(is_opened) {
            own.add_bank_file(&name, &stick.read(slot, &entry)?);
        }
    }
    side.insert((partition, String::new()), own);
    for file in &slot.states {
        let state = stick.open_state(slot, file)?;
        let mut inventory = Inventory::default();
        add_state(&mut inventory, &state, slot.partition)?;
        side.insert((partition, file.name.to_owned()), inventory);
    }
    Ok(())
}

fn add_state(inventory: &mut Inventory, state: &State, partition: u32) -> Result<(), Failure> {
    let added = inventory.add_state(state);
    added.map_err(|error| {
        Error::from(error)
            .on(partition)
            .in_file(state.file_name())
            .into()
    })
}

fn value(item: Option<&Item>, show_secrets: bool) -> Option<String> {
    let item = item?;
    let value = if show_secrets {
        &item.value
    } else {
        &item.redacted
    };
    Some(value.clone())
}

fn is_secret(difference: &Difference) -> bool {
    let sides = [&difference.a, &difference.b];
    sides.into_iter().flatten().any(|item| item.secret)
}

fn object((partition, file): &Place, difference: &Difference, show_secrets: bool) -> Shown {
    Shown {
        partition: *partition,
        file: file.clone(),
        kind: difference.kind.as_str(),
        key: difference.key.clone(),
        secret: is_secret(difference),
        a: value(difference.a.as_ref(), show_secrets),
        b: value(difference.b.as_ref(), show_secrets),
    }
}

fn in_words(found: &[(Place, Difference)], a: &str, b: &str, args: &Diff) -> String {
    if found.is_empty() {
        return String::new();
    }
    let heading = format!("--- {a}\n+++ {b}\n");
    let mut text = styled(&heading, HEADING);
    for ((partition, file), difference) in found {
        let bank = partition.map_or(String::new(), |number| format!("bank{number}:"));
        let file = if file.is_empty() {
            String::new()
        } else {
            format!("{file}: ")
        };
        let key = shown(&difference.key);
        let name = format!("{bank}{file}{} {key}", difference.kind.as_str());
        if let (
            Some(Item {
                text: Some(old), ..
            }),
            Some(Item {
                text: Some(new), ..
            }),
        ) = (&difference.a, &difference.b)
            && old != new
            && (args.show_secrets || !is_secret(difference))
        {
            let names = (format!("a/{name}"), format!("b/{name}"));
            text.push_str(&unified(&names.0, &names.1, old, new));
            continue;
        }
        text.push_str(&format!("{name}\n"));
        let sides = [(&difference.a, '-', REMOVED), (&difference.b, '+', HINT)];
        for (item, sign, style) in sides {
            if let Some(value) = value(item.as_ref(), args.show_secrets) {
                let line = format!("{sign}{}", shown(&value));
                text.push_str(&format!("{}\n", styled(&line, style)));
            }
        }
    }
    text
}
