//! `bootbank conf`: the settings of esx.conf.

use crate::cli::change::{ChangeArgs, Job};
use crate::cli::report::{Exit, Failure};
use crate::cli::session::{Answer, Run, Schema, Session, changes_one, command_list, looks_at_one};
use crate::cli::terminal::{Gate, quoted_path, shown};
use crate::edit::identity::moved_to;
use crate::edit::{ConfEdit, ESX_CONF, Edit, EditError};
use crate::ownership::EsxConf;
use crate::secrets::{Guarded, quotable};
use crate::state::ReadState as _;
use crate::stick::{self, Error};
use crate::target::Opened;
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use std::path::{Path, PathBuf};
use wildmatch::WildMatch;

const SCHEMA: &str = "bootbank.conf/1";

command_list! {
    /// Show and change the settings of esx.conf
    Conf {
        "list" => List(List),
        "get" => Get(Get),
        "set" => Set(Set),
        "unset" => Unset(Unset),
    }
}

/// List the settings of esx.conf
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank conf list stick.img                  every setting
  bootbank conf list stick.img /system          /system and the keys below it
  bootbank conf list stick.img '*/mac'          keys that match the pattern as a whole")]
pub struct List {
    /// Image file, block device or state file
    stick: PathBuf,
    /// A key, to list it and the keys below it, or a pattern with * and ?
    key: Option<String>,
}

/// Write the value of one key to standard output
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank conf get stick.img /system/uuid")]
pub struct Get {
    /// Image file, block device or state file
    stick: PathBuf,
    /// The whole key
    key: String,
}

/// Set one key; a new key goes next to its siblings
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank conf set stick.img /adv/Misc/HostName esx7.example.org
  bootbank conf set -n --diff stick.img /system/uuid \"\"")]
pub struct Set {
    /// Image file, block device or state file
    stick: PathBuf,
    /// The whole key
    key: String,
    /// The value; esx.conf cannot hold a double quote
    #[arg(allow_hyphen_values = true)]
    value: String,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Remove one key
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank conf unset stick.img /adv/Misc/HostName")]
pub struct Unset {
    /// Image file, block device or state file
    stick: PathBuf,
    /// The whole key
    key: String,
    #[command(flatten)]
    change: ChangeArgs,
}

/// `bootbank conf list` and `bootbank conf get`
#[derive(JsonSchema, Serialize)]
struct Settings {
    schema: &'static str,
    target: String,
    /// Where the state is; nothing for a state file.
    partition: Option<u32>,
    file: String,
    entries: Vec<Entry>,
}

#[derive(JsonSchema, Serialize)]
struct Entry {
    key: String,
    value: String,
    line: usize,
}

impl Run for List {
    looks_at_one!();

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        let wanted = self.key.as_deref().map(Wanted::new);
        let fits = |found: &str| wanted.as_ref().is_none_or(|wanted| wanted.fits(found));
        let wanted = Asked {
            fits: &fits,
            typed: self.key.as_deref(),
            by_name: false,
            gate: session.ui.gate(),
            moved: None,
        };
        Ok(show(session, &self.stick, &wanted, |settings| {
            let lines = settings.entries.iter();
            let lines =
                lines.map(|entry| format!("{} = \"{}\"\n", shown(&entry.key), shown(&entry.value)));
            (lines.collect(), None)
        }))
    }

    fn schemas() -> Vec<Schema> {
        vec![Schema::answer::<Settings>("conf")]
    }
}

impl Run for Get {
    looks_at_one!();

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        let fits = |found: &str| found == self.key;
        let moved = self.moved();
        let wanted = Asked {
            fits: &fits,
            typed: Some(&self.key),
            by_name: true,
            gate: Gate::asked_for(),
            moved: moved.as_deref(),
        };
        Ok(show(session, &self.stick, &wanted, |settings| {
            let last = settings.entries.last();
            let value = last.map_or("", |entry| entry.value.as_str());
            (format!("{}\n", shown(value)), Some(format!("{value}\n")))
        }))
    }
}

impl Run for Set {
    changes_one!();

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        let edit = ConfEdit::Set {
            key: self.key.clone(),
            value: self.value.clone(),
        };
        Job::edit(session, &self.change, &self.stick, vec![Edit::Conf(edit)])
    }
}

impl Run for Unset {
    changes_one!();

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        let edit = ConfEdit::Unset {
            key: self.key.clone(),
            absent_ok: false,
        };
        Job::edit(session, &self.change, &self.stick, vec![Edit::Conf(edit)])
    }
}

impl Get {
    /// Where later releases keep what this key held, and the command that shows it.
    fn moved(&self) -> Option<String> {
        let (row, member) = moved_to(&self.key)?;
        Some(format!(
            "from 8.0 on the host keeps this as {member} in the ConfigStore row {row}: bootbank store get {} -c {} -g {} -k {}",
            quoted_path(&self.stick),
            row.component,
            row.group,
            row.name
        ))
    }
}

/// Which settings are asked for.
struct Asked<'a> {
    fits: &'a dyn Fn(&str) -> bool,
    /// What was typed for it.
    typed: Option<&'a str>,
    /// One by its name.
    by_name: bool,
    gate: Gate,
    /// Where else a host may keep it.
    moved: Option<&'a str>,
}

/// Shows the settings that fit, in words and as the one value that is asked for; none fitting is an
/// error.
fn show(
    session: &Session,
    path: &Path,
    asked: &Asked<'_>,
    in_words: impl Fn(&Settings) -> (String, Option<String>),
) -> Exit {
    session.answer(path, SCHEMA, |opened, _| {
        let (settings, damage) = settings(session, opened, path, asked)?;
        if let Some(typed) = asked.typed
            && settings.entries.is_empty()
        {
            let hint = asked
                .moved
                .unwrap_or("`bootbank conf list` without a key lists every key");
            let none = format!("no key in esx.conf matches {}", quotable(typed));
            return Err(Failure::usage(none).hint(hint));
        }
        let release = opened.release(settings.partition);
        if let (Some(text), Some(release)) = (asked.moved, release)
            && release.reads_name_from_store()
        {
            session.ui.warn(&format!("{release}: {text}"));
        }
        let (text, value) = in_words(&settings);
        let answer = Answer::new(text, settings).of_value(value);
        Ok(answer.with_damage(damage).through(asked.gate))
    })
}

fn settings(
    session: &Session,
    opened: &Opened<'_, '_>,
    path: &Path,
    asked: &Asked<'_>,
) -> Result<(Settings, Vec<Error>), Failure> {
    let (partition, state) = opened.state(session.common.bank)?;
    let inside = |error: Error| {
        error
            .on(partition)
            .in_file(format!("{}:{ESX_CONF}", state.file_name()))
    };
    let found = state.file(partition, ESX_CONF)?;
    let missing = || match state.configuration(partition, None) {
        Ok((configuration, _)) if configuration.is_default() => EditError::Empty,
        _ => EditError::Missing { path: ESX_CONF },
    };
    let behind = || state.missing(partition);
    let found = found.ok_or_else(|| behind().unwrap_or_else(|| inside(missing().into())))?;
    let conf = EsxConf::parse(found.bytes).map_err(|error| inside(error.into()))?;
    if let Some(key) = asked.typed
        && conf.get(key).is_none()
    {
        conf.check_exact(key).map_err(|error| {
            let text = format!("no key in esx.conf matches {}: {error}", quotable(key));
            Failure::usage(text).hint("`bootbank get` takes etc/vmware/esx.conf out")
        })?;
    }
    let entries = conf.entries().filter(|entry| (asked.fits)(entry.key));
    let entries = entries.map(|entry| {
        let value = Guarded::named(entry.key, entry.value);
        if asked.by_name && value.is_secret() {
            session.ui.warn_of_secrets(entry.key);
        }
        Entry {
            key: entry.key.to_owned(),
            value: asked.gate.text(&value).into_owned(),
            line: entry.line,
        }
    });
    let settings = Settings {
        schema: SCHEMA,
        target: path.display().to_string(),
        partition,
        file: state.file_name().to_owned(),
        entries: entries.collect(),
    };
    let path = stick::Path::State(String::new());
    let stood_in = opened.stood_in(&path, session.common.bank);
    Ok((settings, stood_in.into_iter().chain(found.damage).collect()))
}

/// The keys asked for: one and those below it, or all that fit a pattern.
enum Wanted<'k> {
    At(&'k str),
    Like(WildMatch),
}

impl<'k> Wanted<'k> {
    fn new(text: &'k str) -> Self {
        if text.contains(['*', '?']) {
            Wanted::Like(WildMatch::new(text))
        } else {
            Wanted::At(text.trim_end_matches('/'))
        }
    }

    fn fits(&self, key: &str) -> bool {
        match self {
            Wanted::Like(pattern) => pattern.matches(key),
            Wanted::At(wanted) => {
                let rest = key.strip_prefix(wanted);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '[']))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Wanted;

    #[test]
    fn a_key_is_asked_for_by_itself_by_what_is_above_it_or_by_a_pattern() {
        let cases = [
            ("*", "/a", true),
            ("/a/*/mac", "/a/b/c/mac", true),
            ("/a/*/mac", "/a/b/c/mac2", false),
            ("*mac*", "/net/mac/0", true),
            ("/child[????]", "/child[0000]", true),
            ("/child[???]", "/child[0000]", false),
            ("/a*b*c", "/aXbXbc", true),
            ("/abc", "/abc", true),
            ("/abc/", "/abc/d", true),
            ("/abc", "/abc[0000]/d", true),
            ("/abc", "/abcd", false),
        ];
        for (wanted, key, expected) in cases {
            assert_eq!(Wanted::new(wanted).fits(key), expected, "{wanted} on {key}");
        }
    }
}
