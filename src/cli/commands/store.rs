//! `bootbank store`: the rows of the ConfigStore, in the terms of configstorecli.

use crate::cli::change::{ChangeArgs, Job};
use crate::cli::process::{self, Needs};
use crate::cli::report::{Exit, Failure};
use crate::cli::session::{Answer, Run, Schema, Session, changes_one, command_list, looks_at_one};
use crate::cli::terminal::{Gate, safe_json, shown};
use crate::edit::{Edit, EditError, StoreEdit, Unmatched, secret_types};
use crate::ownership::{Cell, Row, RowKey, SecretTypes, ValueColumn};
use crate::secrets::Guarded;
use crate::state::ReadState as _;
use crate::stick::{self, Error};
use clap::{Args, ValueEnum};
use schemars::JsonSchema;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use wildmatch::WildMatch;

const SCHEMA: &str = "bootbank.store/1";

command_list! {
    /// Show and change the rows of the ConfigStore
    Store {
        "list" => List(List),
        "get" => Get(Get),
        "set" => Set(Set),
        "delete" => Delete(Delete),
    }
}

/// List rows of the ConfigStore
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank store list stick.img -c esx -g hardware
  bootbank store list --json stick.img")]
pub struct List {
    /// Image file, block device or state file
    stick: PathBuf,
    #[command(flatten)]
    row: RowArgs,
}

/// Write one value of a row to standard output, as JSON
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank store get stick.img -c esx -g hardware -k pci_devices -i 0000:00:14.0")]
pub struct Get {
    /// Image file, block device or state file
    stick: PathBuf,
    #[command(flatten)]
    row: RowArgs,
    /// Which column (default: the only one with a value, otherwise user)
    #[arg(long, value_enum)]
    column: Option<ColumnArg>,
}

/// Set one value of a row, checked against the host's own schema if the state holds one
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank store set stick.img -c esx -g system -k keyboard '{\"layout\":\"German\"}'
  bootbank store set stick.img -c esx -g network -k firewall -f firewall.json")]
pub struct Set {
    /// Image file, block device or state file
    stick: PathBuf,
    #[command(flatten)]
    row: RowArgs,
    /// The value, as JSON
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    value: Option<String>,
    /// Read the value from a file; - is standard input
    #[arg(short, long, value_name = "FILE|-")]
    file: Option<PathBuf>,
    /// Which column
    #[arg(long, value_enum, default_value = "user")]
    column: ColumnArg,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Delete a row
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank store delete stick.img -c esx -g hardware -k pci_devices -i 0000:00:14.0")]
pub struct Delete {
    /// Image file, block device or state file
    stick: PathBuf,
    #[command(flatten)]
    row: RowArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

/// A row of the ConfigStore, or part of its name.
#[derive(Debug, Args)]
struct RowArgs {
    /// Component, such as `esx`
    #[arg(short, long, value_name = "C")]
    component: Option<String>,
    /// Configuration group, such as `hardware`
    #[arg(short, long, value_name = "G")]
    group: Option<String>,
    /// Key, such as `pci_devices`
    #[arg(short, long, value_name = "K")]
    key: Option<String>,
    /// Identifier, for a key with several rows
    #[arg(short, long, value_name = "ID")]
    id: Option<String>,
}

/// `--column`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ColumnArg {
    /// What the system configured by itself.
    Auto,
    /// What the user set.
    User,
    /// What the host must not lose.
    Vital,
    /// What the host keeps for a while.
    Cached,
    /// What the host is meant to have.
    Desired,
}

/// What `list` and `get` show.
#[derive(JsonSchema, Serialize)]
struct Rows {
    schema: &'static str,
    target: String,
    /// Where the state is; nothing for a state file.
    partition: Option<u32>,
    file: String,
    rows: Vec<ShownRow>,
}

#[derive(JsonSchema, Serialize)]
struct ShownRow {
    component: String,
    group: String,
    key: String,
    id: String,
    version: Option<String>,
    revision: Option<i64>,
    modified: Option<String>,
    values: serde_json::Map<String, serde_json::Value>,
}

impl Run for List {
    looks_at_one!();

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        let pattern = |wanted: &Option<String>| wanted.as_deref().map(WildMatch::new);
        let wanted = [
            pattern(&self.row.component),
            pattern(&self.row.group),
            pattern(&self.row.key),
            pattern(&self.row.id),
        ];
        let fits = |key: &RowKey| {
            let found = [&key.component, &key.group, &key.name, &key.identifier];
            let mut both = wanted.iter().zip(found);
            both.all(|(wanted, found)| wanted.as_ref().is_none_or(|it| it.matches(found)))
        };
        let gate = session.ui.gate();
        Ok(show(session, &self.stick, gate, |rows, through| {
            let fitting: Vec<&Row> = rows.iter().filter(|row| fits(&row.key)).collect();
            let text = fitting.iter().map(|row| in_words(row, through)).collect();
            Ok((fitting, text, None))
        }))
    }

    fn schemas() -> Vec<Schema> {
        vec![Schema::answer::<Rows>("store")]
    }
}

impl Run for Get {
    looks_at_one!();

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        let key = self.row.whole()?;
        let column = self.column.map(ValueColumn::from);
        let gate = Gate::asked_for();
        Ok(show(session, &self.stick, gate, |rows, through| {
            let (row, column) = value(rows, &key, column)?;
            let value = through.guarded(row, column).unwrap_or_default();
            if value.is_secret() {
                session.ui.warn_of_secrets(&key.to_string());
            }
            let value = gate.text(&value);
            // What is no JSON may be damaged, and is not to be damaged further.
            let (text, as_it_is) = match safe_json(&value) {
                Some(json) => (format!("{json}\n"), None),
                None => (format!("{}\n", shown(&value)), Some(format!("{value}\n"))),
            };
            Ok((vec![row], text, as_it_is))
        }))
    }
}

impl Run for Set {
    fn first_target(&self) -> Option<&Path> {
        Some(&self.stick)
    }

    fn needs(&self) -> Needs {
        let needs = self.change.needs(std::slice::from_ref(&self.stick));
        match &self.file {
            Some(file) => needs.reading(file),
            None => needs,
        }
    }

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        let json = match (&self.value, &self.file) {
            (_, Some(file)) => process::text(file)?,
            (Some(value), None) => value.clone(),
            (None, None) => return Err(Failure::usage("there is no value to set")),
        };
        let edit = StoreEdit::Set {
            key: self.row.whole()?,
            column: self.column.into(),
            json: json.trim().to_owned(),
        };
        Job::edit(session, &self.change, &self.stick, vec![Edit::Store(edit)])
    }
}

impl Run for Delete {
    changes_one!();

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        let edit = StoreEdit::Delete {
            key: self.row.whole()?,
            absent_ok: false,
        };
        Job::edit(session, &self.change, &self.stick, vec![Edit::Store(edit)])
    }
}

impl From<ColumnArg> for ValueColumn {
    fn from(column: ColumnArg) -> Self {
        match column {
            ColumnArg::Auto => ValueColumn::AutoConf,
            ColumnArg::User => ValueColumn::User,
            ColumnArg::Vital => ValueColumn::Vital,
            ColumnArg::Cached => ValueColumn::Cached,
            ColumnArg::Desired => ValueColumn::Desired,
        }
    }
}

impl RowArgs {
    /// The one row the arguments name.
    fn whole(&self) -> Result<RowKey, Failure> {
        match (&self.component, &self.group, &self.key) {
            (Some(component), Some(group), Some(key)) => Ok(RowKey::new(
                component,
                group,
                key,
                self.id.as_deref().unwrap_or_default(),
            )),
            _ => Err(Failure::usage(
                "name a row with -c COMPONENT -g GROUP -k KEY, and -i ID if the key has several rows",
            )
            .hint("`bootbank store list` lists every row")),
        }
    }
}

/// What values pass on their way to be shown.
struct Through {
    gate: Gate,
    secret_types: SecretTypes,
}

impl Through {
    fn guarded(&self, row: &Row, column: ValueColumn) -> Option<Guarded> {
        let json = row.value(column).text()?;
        Some(self.secret_types.guard(&row.key, json))
    }

    fn text(&self, row: &Row, column: ValueColumn) -> Option<String> {
        let value = self.guarded(row, column)?;
        Some(self.gate.text(&value).into_owned())
    }
}

fn in_words(row: &Row, through: &Through) -> String {
    let mut text = format!("{}\n", shown(&row.key.to_string()));
    for column in ValueColumn::ALL {
        let other = || row.value(column).not_text().map(|what| format!("({what})"));
        if let Some(value) = through.text(row, column).or_else(other) {
            let _ = writeln!(text, "  {} {}", column.as_str(), shown(&value));
        }
    }
    text
}

/// Rows that were chosen, what a person is shown of them, and the one value that is asked for, where
/// that cannot be shown as it is.
type Chosen<'r> = (Vec<&'r Row>, String, Option<String>);

/// One row, and the column that is meant, which holds a value.
fn value<'r>(
    rows: &'r [Row],
    key: &RowKey,
    column: Option<ValueColumn>,
) -> Result<(&'r Row, ValueColumn), Failure> {
    let Some(row) = rows.iter().find(|row| row.key == *key) else {
        let missing = Unmatched::row(key, rows.iter().map(|row| &row.key));
        return Err(Error::from(EditError::from(missing)).into());
    };
    let holding = ValueColumn::ALL.into_iter();
    let holding: Vec<ValueColumn> = holding
        .filter(|column| row.value(*column).text().is_some())
        .collect();
    let column = match (column, holding.as_slice()) {
        (Some(column), _) => column,
        (None, [only]) => *only,
        (None, _) => ValueColumn::User,
    };
    if row.value(column).text().is_none() {
        let names: Vec<&str> = holding.iter().map(|column| column.as_str()).collect();
        return Err(Failure::usage(format!(
            "row {key} has no value in {}; it has values in {}",
            column.as_str(),
            names.join(", ")
        ))
        .hint("choose with --column: auto, user, vital, cached or desired"));
    }
    Ok((row, column))
}

/// Opens the store, has rows chosen and put into words, and shows them.
fn show(
    session: &Session,
    path: &Path,
    gate: Gate,
    choose: impl for<'r> Fn(&'r [Row], &Through) -> Result<Chosen<'r>, Failure>,
) -> Exit {
    session.answer(path, SCHEMA, |opened, _| {
        let (partition, state) = opened.state(session.common.bank)?;
        let inside = |error: EditError| Error::from(error).on(partition).in_file(state.file_name());
        let (configuration, damage) = state.configuration(partition, None)?;
        // It may be behind the damage.
        let damaged = || state.missing(partition);
        let missing = || damaged().unwrap_or_else(|| inside(configuration.without_store()));
        let store = configuration.store.as_ref().ok_or_else(missing)?;
        let through = Through {
            gate,
            secret_types: secret_types(&state).map_err(inside)?,
        };
        let (rows, text, value) = choose(store.rows(), &through)?;
        if rows.is_empty() {
            return Err(Failure::usage("no row of the ConfigStore matches")
                .hint("`bootbank store list` without options lists every row"));
        }
        let object = Rows {
            schema: SCHEMA,
            target: path.display().to_string(),
            partition,
            file: state.file_name().to_owned(),
            rows: rows.into_iter().map(|row| object(row, &through)).collect(),
        };
        let configuration = stick::Path::State(String::new());
        Ok(Answer::new(text, object)
            .of_value(value)
            .with_damage(Vec::from_iter(
                opened.stood_in(&configuration, session.common.bank),
            ))
            .with_damage(damage)
            .through(gate))
    })
}

fn object(row: &Row, through: &Through) -> ShownRow {
    let mut values = serde_json::Map::new();
    for column in ValueColumn::ALL {
        if let Some(text) = through.text(row, column) {
            let value = serde_json::from_str(&text).unwrap_or_else(|_| text.into());
            values.insert(column.as_str().to_owned(), value);
        }
    }
    let RowKey {
        component,
        group,
        name,
        identifier,
    } = row.key.clone();
    ShownRow {
        component,
        group,
        key: name,
        id: identifier,
        version: row.version.text().map(str::to_owned),
        revision: match row.revision {
            Cell::Integer(number) => Some(number),
            _ => None,
        },
        modified: row.modified.text().map(str::to_owned),
        values,
    }
}
