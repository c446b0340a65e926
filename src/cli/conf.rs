//! `bootbank conf`: the settings of esx.conf.

use super::args::ConfCommand;
use super::change::{Job, Work};
use super::exit::Exit;
use super::look;
use super::options::Change;
use super::report::Failure;
use super::session::Session;
use super::ui::shown;
use crate::edit::{ConfEdit, ESX_CONF, Edit};
use crate::ownership::{EsxConf, OwnershipError};
use schemars::JsonSchema;
use serde::Serialize;
use std::path::Path;

const SCHEMA: &str = "bootbank.conf/1";

/// What `list` and `get` show.
#[derive(JsonSchema, Serialize)]
pub struct Settings {
    schema: &'static str,
    target: String,
    partition: u32,
    file: String,
    entries: Vec<Entry>,
}

#[derive(JsonSchema, Serialize)]
struct Entry {
    key: String,
    value: String,
    line: usize,
}

/// # Errors
/// Arguments that cannot be meant; the rest is reported as of the target.
pub fn run(session: &Session, command: &ConfCommand) -> Result<Exit, Failure> {
    let (stick, edit, change) = match command {
        ConfCommand::List { stick, key } => {
            let fits = |found: &str| key.as_deref().is_none_or(|key| fits(key, found));
            return Ok(show(session, stick, &fits, |settings| {
                let lines = settings.entries.iter();
                lines
                    .map(|entry| format!("{} = \"{}\"\n", shown(&entry.key), shown(&entry.value)))
                    .collect()
            }));
        }
        ConfCommand::Get { stick, key } => {
            return Ok(show(session, stick, &|found| found == key, |settings| {
                let last = settings.entries.last();
                last.map(|entry| format!("{}\n", shown(&entry.value)))
                    .unwrap_or_default()
            }));
        }
        ConfCommand::Set {
            stick,
            key,
            value,
            change,
        } => {
            let (key, value) = (key.clone(), value.clone());
            (stick, ConfEdit::Set { key, value }, change)
        }
        ConfCommand::Unset { stick, key, change } => {
            let edit = ConfEdit::Unset {
                key: key.clone(),
                absent_ok: false,
            };
            (stick, edit, change)
        }
    };
    let work = Work::edits(vec![Edit::Conf(edit)]);
    let job = Job::new(session, Change::new(change, 1)?);
    Ok(job.run(std::slice::from_ref(stick), &work))
}

/// Shows the settings that fit; none fitting is an error.
fn show(
    session: &Session,
    stick: &Path,
    fits: &dyn Fn(&str) -> bool,
    in_words: impl Fn(&Settings) -> String,
) -> Exit {
    let target = stick.display().to_string();
    let found = session.look_into(stick, |opened, _| {
        let (partition, state) = look::state(session, opened)?;
        let inside = |error: crate::stick::Error| {
            error
                .on(partition)
                .in_file(format!("{}:{ESX_CONF}", state.file_name()))
        };
        let bytes = state
            .content(ESX_CONF)
            .map_err(|error| inside(error.into()))?;
        let missing = crate::edit::EditError::Missing { path: ESX_CONF };
        let bytes = bytes.ok_or_else(|| inside(missing.into()))?;
        let conf = EsxConf::parse(bytes.to_vec()).map_err(|error| inside(error.into()))?;
        let entries: Vec<Entry> = conf
            .entries()
            .filter(|entry| fits(entry.key))
            .map(|entry| Entry {
                key: entry.key.to_owned(),
                value: entry.value.to_owned(),
                line: entry.line,
            })
            .collect();
        Ok(Settings {
            schema: SCHEMA,
            target: target.clone(),
            partition,
            file: state.file_name().to_owned(),
            entries,
        })
    });
    match found {
        Ok(settings) if settings.entries.is_empty() => {
            let failure = Failure::usage("no key of esx.conf fits")
                .hint("`bootbank conf list` without a key shows every key");
            failure.show(&session.ui, SCHEMA, &target);
            failure.exit()
        }
        Ok(settings) => {
            session.ui.text(&in_words(&settings));
            session.ui.json(&settings);
            Exit::Done
        }
        Err(failure) => {
            failure.show(&session.ui, SCHEMA, &target);
            failure.exit()
        }
    }
}

/// Whether a key is the one asked for, lies below it, or fits it as a pattern.
fn fits(pattern: &str, key: &str) -> bool {
    if pattern.contains(['*', '?']) {
        return look::glob(pattern, key);
    }
    let rest = key.strip_prefix(pattern.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '[']))
}

/// An error of esx.conf as one of a stick.
impl From<OwnershipError> for Failure {
    fn from(error: OwnershipError) -> Self {
        crate::stick::Error::from(error).into()
    }
}
