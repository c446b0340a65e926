//! `bootbank store`: the rows of the ConfigStore, in the terms of configstorecli.

use super::args::{ColumnArg, RowArgs, StoreCommand};
use super::change::{Job, Work};
use super::exit::Exit;
use super::input;
use super::look;
use super::options::Change;
use super::report::Failure;
use super::session::Session;
use super::ui::shown;
use crate::edit::{CONFIG_STORE, Configuration, Edit, EditError, StoreEdit};
use crate::ownership::{Cell, Row, RowKey, ValueColumn};
use schemars::JsonSchema;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::Path;

const SCHEMA: &str = "bootbank.store/1";

/// What `list` and `get` show.
#[derive(JsonSchema, Serialize)]
pub struct Rows {
    schema: &'static str,
    target: String,
    partition: u32,
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

/// # Errors
/// Arguments that cannot be meant; the rest is reported as of the target.
pub fn run(session: &Session, command: &StoreCommand) -> Result<Exit, Failure> {
    let (stick, edit, change) = match command {
        StoreCommand::List { stick, row } => return Ok(list(session, stick, row)),
        StoreCommand::Get { stick, row, column } => {
            let key = key_of(row)?;
            return Ok(get(session, stick, &key, column.map(ValueColumn::from)));
        }
        StoreCommand::Set {
            stick,
            row,
            value,
            file,
            column,
            change,
        } => {
            let json = match (value, file) {
                (_, Some(file)) => input::text(file)?,
                (Some(value), None) => value.clone(),
                (None, None) => return Err(Failure::usage("there is no value to set")),
            };
            let edit = StoreEdit::Set {
                key: key_of(row)?,
                column: (*column).into(),
                json: json.trim().to_owned(),
            };
            (stick, edit, change)
        }
        StoreCommand::Delete { stick, row, change } => {
            let edit = StoreEdit::Delete {
                key: key_of(row)?,
                absent_ok: false,
            };
            (stick, edit, change)
        }
    };
    let work = Work::edits(vec![Edit::Store(edit)]);
    let job = Job::new(session, Change::new(change, 1)?);
    Ok(job.run(std::slice::from_ref(stick), &work))
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

/// The one row the arguments name.
fn key_of(args: &RowArgs) -> Result<RowKey, Failure> {
    match (&args.component, &args.group, &args.key) {
        (Some(component), Some(group), Some(key)) => Ok(RowKey::new(
            component,
            group,
            key,
            args.id.as_deref().unwrap_or_default(),
        )),
        _ => Err(Failure::usage(
            "a row is named by -c COMPONENT -g GROUP -k KEY, and -i ID where there are several",
        )
        .hint("`bootbank store list` shows every row")),
    }
}

fn list(session: &Session, stick: &Path, args: &RowArgs) -> Exit {
    let is = |wanted: &Option<String>, found: &str| {
        wanted
            .as_deref()
            .is_none_or(|wanted| look::glob(wanted, found))
    };
    let fits = |key: &RowKey| {
        is(&args.component, &key.component)
            && is(&args.group, &key.group)
            && is(&args.key, &key.name)
            && is(&args.id, &key.identifier)
    };
    show(session, stick, |rows| {
        let fitting: Vec<&Row> = rows.iter().filter(|row| fits(&row.key)).collect();
        let mut text = String::new();
        for row in &fitting {
            let _ = writeln!(text, "{}", shown(&row.key.to_string()));
            for column in ValueColumn::ALL {
                if let Some(value) = row.value(column).text() {
                    let _ = writeln!(text, "  {} {}", column.as_str(), shown(value));
                }
            }
        }
        Ok((fitting, text))
    })
}

fn get(session: &Session, stick: &Path, key: &RowKey, column: Option<ValueColumn>) -> Exit {
    show(session, stick, |rows| {
        let Some(row) = rows.iter().find(|row| row.key == *key) else {
            let missing = crate::edit::Unmatched::Row(key.to_string());
            return Err(crate::stick::Error::from(EditError::from(missing)).into());
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
        let Some(value) = row.value(column).text() else {
            let names: Vec<&str> = holding.iter().map(|column| column.as_str()).collect();
            return Err(Failure::usage(format!(
                "row {key} has no {}; its values are in {}",
                column.as_str(),
                names.join(", ")
            ))
            .hint("--column chooses: auto, user, vital, cached or desired"));
        };
        Ok((vec![row], format!("{}\n", shown(value))))
    })
}

/// Opens the store, has rows chosen and put into words, and shows them.
fn show(
    session: &Session,
    stick: &Path,
    choose: impl Fn(&[Row]) -> Result<(Vec<&Row>, String), Failure>,
) -> Exit {
    let target = stick.display().to_string();
    let found = session.look_into(stick, |opened, _| {
        let (partition, state) = look::state(session, opened)?;
        let inside = |error: EditError| {
            crate::stick::Error::from(error)
                .on(partition)
                .in_file(state.file_name())
        };
        let configuration = Configuration::open(&state).map_err(inside)?;
        let missing = EditError::Missing { path: CONFIG_STORE };
        let store = configuration.store.ok_or_else(|| inside(missing))?;
        let (rows, text) = choose(store.rows())?;
        let object = Rows {
            schema: SCHEMA,
            target: target.clone(),
            partition,
            file: state.file_name().to_owned(),
            rows: rows.into_iter().map(object).collect(),
        };
        Ok((object, text))
    });
    match found {
        Ok((object, _)) if object.rows.is_empty() => {
            let failure = Failure::usage("no row of the ConfigStore fits")
                .hint("`bootbank store list` without options shows every row");
            failure.show(&session.ui, SCHEMA, &target);
            failure.exit()
        }
        Ok((object, text)) => {
            session.ui.text(&text);
            session.ui.json(&object);
            Exit::Done
        }
        Err(failure) => {
            failure.show(&session.ui, SCHEMA, &target);
            failure.exit()
        }
    }
}

fn object(row: &Row) -> ShownRow {
    let mut values = serde_json::Map::new();
    for column in ValueColumn::ALL {
        if let Some(text) = row.value(column).text() {
            let value = serde_json::from_str(text).unwrap_or_else(|_| text.into());
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
