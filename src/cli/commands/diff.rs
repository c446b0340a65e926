//! `bootbank diff`: two sticks, images or states, compared by what they configure.

use crate::bank::{BOOT_CFG, STATE_FILES};
use crate::cli::process::Needs;
use crate::cli::report::{ErrorObject, Exit, Failure};
use crate::cli::session::{Run, Schema, Session};
use crate::cli::terminal::{Gate, HEADING, HINT, REMOVED, shown, styled, unified};
use crate::diagnosis::{BankHealth, bank_health};
use crate::edit::inventory::{Difference, Inventory, Item, differences};
use crate::state::Contents as _;
use crate::stick::{BankChoice, Error, Path as StickPath, Reading, Slot, Stick};
use crate::target::{Kind, Opened};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const SCHEMA: &str = "bootbank.diff/1";

/// Compare what two media or states configure; exit with 1 if they differ
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank diff before.img after.img
  bootbank diff stick.img state.tgz          a medium with a state
  bootbank diff --banks stick.img            the two banks of one medium")]
pub struct Diff {
    /// Image file, block device or state file
    a: PathBuf,
    /// What to compare it with
    #[arg(required_unless_present = "banks", conflicts_with = "banks")]
    b: Option<PathBuf>,
    /// Compare the two banks of one medium
    #[arg(long)]
    banks: bool,
}

/// Where an inventory is from: a bank, and a file in it; both open for a bare state.
type Place = (Option<u32>, String);
/// An error with the name of the side it is about.
type OneSided = (String, Box<Failure>);
/// What of a target was not whole.
type Damage<'p> = Vec<(&'p Path, Failure)>;

/// Everything on one side.
#[derive(Default)]
struct Side {
    places: BTreeMap<Place, Inventory>,
    /// Banks that cannot be read: nothing is said of them on the other side either.
    unread: BTreeSet<Option<u32>>,
    damage: Vec<Failure>,
}

#[derive(JsonSchema, Serialize)]
struct Differences {
    schema: &'static str,
    target: String,
    other: String,
    differs: bool,
    differences: Vec<Shown>,
    /// What of either side was not whole.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    damage: Vec<ErrorObject>,
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

/// Two sides that could not be compared.
#[derive(Serialize, JsonSchema)]
struct Failed {
    schema: &'static str,
    target: String,
    other: String,
    error: ErrorObject,
}

/// What a comparison came to.
struct Compared<'p> {
    found: Vec<(Place, Difference)>,
    damage: Damage<'p>,
    /// What the two sides are called.
    names: [String; 2],
    /// Which of two banks has the newer state, in words.
    newer: Option<String>,
}

impl Diff {
    /// What the first one is compared with; with `--banks` itself.
    fn other(&self) -> &Path {
        self.b.as_deref().unwrap_or(&self.a)
    }
}

impl Run for Diff {
    fn first_target(&self) -> Option<&Path> {
        Some(&self.a)
    }

    fn only_looks(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        Needs::to_read([&self.a]).reading(self.other())
    }

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        let target = self.a.display().to_string();
        let other = self.other().display().to_string();
        let compared = match self.banks {
            true => compare_banks(session, self),
            false => compare(session, self),
        };
        match compared {
            Ok(Compared {
                found,
                damage,
                names: [a, b],
                newer,
            }) => {
                let differs = !found.is_empty();
                let gate = session.ui.gate();
                session.ui.text(&in_words(&found, &a, &b, gate));
                newer.iter().for_each(|text| session.ui.say(text));
                session.ui.json(&Differences {
                    schema: SCHEMA,
                    target,
                    other,
                    differs,
                    differences: found
                        .iter()
                        .map(|(place, difference)| object(place, difference, gate))
                        .collect(),
                    damage: damage.iter().map(|(_, failure)| failure.object()).collect(),
                });
                let mut exit = if differs { Exit::Differs } else { Exit::Done };
                for (path, failure) in &damage {
                    exit = session.say_damage(path, std::slice::from_ref(failure), exit);
                }
                Ok(exit)
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
        vec![Schema::of::<Differences>("diff").or_failed::<Failed>()]
    }
}

/// What differs, by place, and what was not whole.
fn compare<'a>(session: &Session, args: &'a Diff) -> Result<Compared<'a>, OneSided> {
    let of = |path: &Path| {
        let name = path.display().to_string();
        move |failure: Failure| (name, Box::new(failure))
    };
    let is_state = |path: &Path| Ok(Kind::of(path, &session.host)? == Kind::State);
    let states = [
        is_state(&args.a).map_err(of(&args.a))?,
        is_state(args.other()).map_err(of(args.other()))?,
    ];
    let side = |path: &Path| match states {
        [false, false] => side(session, path),
        // Against a state file only the configuration of one bank can be compared.
        _ => bare_side(session, path, states == [true, true]),
    };
    let a = side(&args.a).map_err(of(&args.a))?;
    let b = side(args.other()).map_err(of(args.other()))?;
    let found = differing(&a, &b);
    let mut damage: Damage<'a> = Vec::new();
    damage.extend(a.damage.into_iter().map(|it| (args.a.as_path(), it)));
    damage.extend(b.damage.into_iter().map(|it| (args.other(), it)));
    Ok(Compared {
        found,
        damage,
        names: [&args.a, args.other()].map(|path| path.display().to_string()),
        newer: None,
    })
}

/// What differs between the two sides, place by place.
fn differing(a: &Side, b: &Side) -> Vec<(Place, Difference)> {
    let none = Inventory::default();
    let places: BTreeSet<&Place> = a.places.keys().chain(b.places.keys()).collect();
    let mut found = Vec::new();
    for place in places {
        if a.unread.contains(&place.0) || b.unread.contains(&place.0) {
            continue;
        }
        let old = a.places.get(place).unwrap_or(&none);
        let new = b.places.get(place).unwrap_or(&none);
        let here = differences(old, new).into_iter();
        found.extend(here.map(|difference| (place.clone(), difference)));
    }
    found
}

/// The two banks of one medium against each other: the lower partition first.
fn compare_banks<'a>(session: &Session, args: &'a Diff) -> Result<Compared<'a>, OneSided> {
    let target = args.a.display().to_string();
    let named = |failure| (args.a.display().to_string(), Box::new(failure));
    session.common.check_without_bank().map_err(named)?;
    let compared = session.look_into(&args.a, |opened, _| {
        let stick = opened.stick()?;
        let health = bank_health(stick, BankChoice::All)?;
        let [one, two] = health.as_slice() else {
            return Err(Failure::usage(format!(
                "there are {} banks, and --banks compares two",
                health.len()
            )));
        };
        let mut sides = Vec::new();
        for bank in [one, two] {
            let chosen = stick.chosen(BankChoice::Partition(bank.partition))?;
            let mut side = Side::default();
            for slot in chosen {
                add_bank(&mut side, stick, slot, None)?;
            }
            sides.push(side);
        }
        let name = |bank: &BankHealth| format!("{target} bank {}", bank.partition);
        let found = match sides.as_slice() {
            [a, b] => differing(a, b),
            _ => Vec::new(),
        };
        let of_medium = stick.damage().into_iter().map(Failure::from);
        let damage = of_medium.chain(sides.into_iter().flat_map(|side| side.damage));
        Ok(Compared {
            found,
            damage: damage.map(|it| (args.a.as_path(), it)).collect(),
            names: [name(one), name(two)],
            newer: newer_in_words(one, two),
        })
    });
    compared.map_err(named)
}

/// Which bank's state was saved later, where both say it in the same way: by how often they were saved,
/// or else by the time of the file.
fn newer_in_words(one: &BankHealth, two: &BankHealth) -> Option<String> {
    let by_counter = (one.state_counter.as_ref()).zip(two.state_counter.as_ref());
    let by_counter = by_counter.map_or(Ordering::Equal, |(one, two)| one.cmp(two));
    let by_time = (one.state_time.as_ref()).zip(two.state_time.as_ref());
    let by_time = by_time.map_or(Ordering::Equal, |(one, two)| one.cmp(two));
    let (newer, older) = match by_counter.then(by_time) {
        Ordering::Equal => return None,
        Ordering::Greater => (one, two),
        Ordering::Less => (two, one),
    };
    let next = if newer.boots_next {
        "boots next"
    } else {
        "does not boot next"
    };
    Some(match (newer.state_counter, older.state_counter) {
        (Some(new), Some(old)) if new != old => format!(
            "The state of bank {} is newer: saved {new} times, that of bank {} {old} times. Bank {} {next}.",
            newer.partition, older.partition, newer.partition
        ),
        _ => format!(
            "The state of bank {} is newer by the time of its file. Bank {} {next}.",
            newer.partition, newer.partition
        ),
    })
}

/// The configuration of a state file, or of one bank; with `checked` options about banks are refused
/// for a state file.
fn bare_side(session: &Session, path: &Path, checked: bool) -> Result<Side, Failure> {
    let look = |opened: &Opened<'_, '_>| {
        let (partition, state) = opened.state(session.common.bank)?;
        let mut side = Side::default();
        let inventory = side.inventory(&state, partition)?;
        side.places.insert((None, String::new()), inventory);
        let place = StickPath::State(String::new());
        let stood_in = opened.stood_in(&place, session.common.bank);
        let damage = opened.damage().into_iter().chain(stood_in);
        side.damage.extend(damage.map(Failure::from));
        Ok(side)
    };
    match checked || Kind::of(path, &session.host)? != Kind::State {
        true => session.look_into(path, |opened, _| look(opened)),
        false => session.look_into_state_file(path, look),
    }
}

fn side(session: &Session, path: &Path) -> Result<Side, Failure> {
    session.look_into(path, |opened, _| {
        let stick = opened.stick()?;
        let mut side = Side::default();
        side.damage.extend(stick.damage().iter().map(Failure::from));
        let mut chosen = stick.chosen(session.common.bank)?;
        chosen.sort_by_key(|slot| slot.partition);
        for slot in chosen {
            // One bank chosen by what it is for may lie elsewhere on the other side.
            let partition = match session.common.bank {
                BankChoice::Next => None,
                _ => Some(slot.partition),
            };
            add_bank(&mut side, stick, slot, partition)?;
        }
        Ok(side)
    })
}

fn add_bank(
    side: &mut Side,
    stick: &Stick<'_, '_>,
    slot: &Slot<'_>,
    partition: Option<u32>,
) -> Result<(), Failure> {
    let bank = match slot.opened() {
        Ok(bank) => bank,
        Err(_) if stick.table().fault_of(slot.partition).is_some() => {
            side.unread.insert(partition);
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    // Entries that share clusters would be read as often as there are of them.
    if let Err(error) = bank.volume().check() {
        let error = Error::from(error).on(slot.partition);
        if !stick.look().rescue {
            return Err(error.into());
        }
        side.damage.push(error.into());
    }
    let mut own = Inventory::default();
    own.add_boot_cfg(bank.boot_cfg());
    for entry in bank.volume().files().filter(|entry| !entry.is_directory()) {
        let name = entry.name();
        let is_opened = |known: &&str| known.eq_ignore_ascii_case(&name);
        if !STATE_FILES.iter().chain([&BOOT_CFG]).any(is_opened) {
            let found = stick.read_file(slot, &entry)?;
            side.damage.extend(found.damage.iter().map(Failure::from));
            own.add_bank_file(&name, &found.bytes);
        }
    }
    side.places.insert((partition, String::new()), own);
    for file in &slot.states {
        let state = stick.read_state(slot, file)?;
        let inventory = side.inventory(&state, Some(slot.partition))?;
        side.places
            .insert((partition, file.name.clone()), inventory);
    }
    Ok(())
}

impl Side {
    /// What a state configures; what of it is not whole is noted.
    fn inventory(&mut self, state: &Reading, partition: Option<u32>) -> Result<Inventory, Failure> {
        let mut inventory = Inventory::default();
        let added = match state {
            Reading::Whole(state) => inventory.add_state(state),
            Reading::Rescued(rescued) => inventory.add_rescued(rescued),
        };
        added.map_err(|error| Error::from(error).on(partition).in_file(state.file_name()))?;
        let damage = state.damage(partition);
        self.damage.extend(damage.iter().map(Failure::from));
        Ok(inventory)
    }
}

fn value(item: Option<&Item>, gate: Gate) -> Option<String> {
    Some(gate.text(&item?.value).into_owned())
}

fn is_secret(difference: &Difference) -> bool {
    let sides = [&difference.a, &difference.b];
    sides
        .into_iter()
        .flatten()
        .any(|item| item.value.is_secret())
}

fn object((partition, file): &Place, difference: &Difference, gate: Gate) -> Shown {
    Shown {
        partition: *partition,
        file: file.clone(),
        kind: difference.kind.as_str(),
        key: difference.key.clone(),
        secret: is_secret(difference),
        a: value(difference.a.as_ref(), gate),
        b: value(difference.b.as_ref(), gate),
    }
}

fn in_words(found: &[(Place, Difference)], a: &str, b: &str, gate: Gate) -> String {
    if found.is_empty() {
        return String::new();
    }
    let heading = format!("--- {}\n+++ {}\n", shown(a), shown(b));
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
        {
            let names = (format!("a/{name}"), format!("b/{name}"));
            text.push_str(&unified((&names.0, &names.1), (old, new), gate));
            continue;
        }
        text.push_str(&format!("{name}\n"));
        let sides = [(&difference.a, '-', REMOVED), (&difference.b, '+', HINT)];
        for (item, sign, style) in sides {
            if let Some(value) = value(item.as_ref(), gate) {
                let line = format!("{sign}{}", shown(&value));
                text.push_str(&format!("{}\n", styled(&line, style)));
            }
        }
    }
    text
}
