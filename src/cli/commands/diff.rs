//! `bootbank diff`: two sticks, images or states, compared by what they configure.

use crate::cli::process::Needs;
use crate::cli::report::{ErrorObject, Exit, Failure};
use crate::cli::session::{Run, Schema, Session};
use crate::cli::terminal::{Gate, HEADING, HINT, REMOVED, shown, styled, unified};
use crate::diagnosis::{
    Comparison, NewerState, Place, Scope, Side, ToldBy, bank_health, compare, compare_banks,
    newer_state,
};
use crate::edit::inventory::{Difference, Item};
use crate::stick::BankChoice;
use crate::target::{Kind, Opened};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
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

/// An error with the name of the side it is about.
type OneSided = (String, Box<Failure>);

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
    /// The one of the two that the error is of.
    failed: String,
    error: ErrorObject,
}

/// What a comparison came to.
struct Compared {
    found: Comparison,
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
        let compared = if self.banks {
            banks(session, self)
        } else {
            targets(session, self)
        };
        match compared {
            Ok(Compared {
                found,
                names: [a, b],
                newer,
            }) => {
                let differs = !found.differences.is_empty();
                let gate = session.ui.gate();
                session.ui.text(&in_words(&found.differences, &a, &b, gate));
                newer.iter().for_each(|text| session.ui.say(text));
                let sides = [self.a.as_path(), self.other()].into_iter();
                let damage: Vec<(&Path, Failure)> = sides
                    .zip(&found.damage)
                    .flat_map(|(path, damage)| damage.iter().map(move |it| (path, it.into())))
                    .collect();
                session.ui.json(&Differences {
                    schema: SCHEMA,
                    target,
                    other,
                    differs,
                    differences: found
                        .differences
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
                    failed: of,
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

/// Two targets against each other.
fn targets(session: &Session, args: &Diff) -> Result<Compared, OneSided> {
    let of = |path: &Path| {
        let name = path.display().to_string();
        move |failure: Failure| (name, Box::new(failure))
    };
    let kind = |path: &Path| Kind::of(path, &session.host).map_err(Failure::from);
    let a = kind(&args.a).map_err(of(&args.a))?;
    let b = kind(args.other()).map_err(of(args.other()))?;
    let scope = Scope::of_both(a, b);
    let side = |path: &Path, own: Kind, other: Kind| {
        let side = |opened: &Opened<'_, '_>| Ok(Side::of(opened, session.common.bank, scope)?);
        // Of one state file, options about banks are for the other target.
        if own == Kind::State && other != Kind::State {
            session.look_into_state_file(path, side)
        } else {
            session.look_into(path, |opened, _| side(opened))
        }
    };
    let first = side(&args.a, a, b).map_err(of(&args.a))?;
    let second = side(args.other(), b, a).map_err(of(args.other()))?;
    Ok(Compared {
        found: compare(first, second),
        names: [&args.a, args.other()].map(|path| path.display().to_string()),
        newer: None,
    })
}

/// The two banks of one medium against each other: the lower partition first.
fn banks(session: &Session, args: &Diff) -> Result<Compared, OneSided> {
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
        let banks = [one.partition, two.partition];
        Ok(Compared {
            found: compare_banks(stick, banks)?,
            names: banks.map(|partition| format!("{target} bank {partition}")),
            newer: newer_state(one, two).map(newer_in_words),
        })
    });
    compared.map_err(named)
}

fn newer_in_words(state: NewerState<'_>) -> String {
    let number = state.newer.partition;
    let next = if state.newer.boots_next {
        "boots next"
    } else {
        "does not boot next"
    };
    match state.told_by {
        ToldBy::Saves { newer, older } => format!(
            "The state of bank {number} is newer: saved {newer} times, that of bank {} {older} times. Bank {number} {next}.",
            state.older.partition
        ),
        ToldBy::FileTime => format!(
            "The state of bank {number} is newer by the time of its file. Bank {number} {next}."
        ),
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

fn object(place: &Place, difference: &Difference, gate: Gate) -> Shown {
    Shown {
        partition: place.partition,
        file: place.file.clone(),
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
    for (place, difference) in found {
        let bank = place
            .partition
            .map_or(String::new(), |number| format!("bank{number}:"));
        let file = match place.file.as_str() {
            "" => String::new(),
            file => format!("{file}: "),
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
