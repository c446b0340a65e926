//! `bootbank schema`: the JSON schemas of what is read and written.

use crate::cli::process::Needs;
use crate::cli::report::{Exit, Failure};
use crate::cli::session::{Run, Schema, Session};
use clap::Args;
use schemars::generate::SchemaSettings;
use std::path::Path;

/// Write the JSON schema of an output, or of a plan file, to standard output
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank schema                            list the names
  bootbank schema change > change.json")]
pub struct SchemaCommand {
    /// Which schema (default: list the names)
    name: Option<String>,
}

impl Run for SchemaCommand {
    fn first_target(&self) -> Option<&Path> {
        None
    }

    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        let schemas = (session.program.schemas)();
        let names: Vec<&str> = schemas.iter().map(|schema| schema.name).collect();
        let Some(asked) = &self.name else {
            let names = format!("{}\n", names.join("\n"));
            session.ui.data(names.as_bytes());
            return Ok(Exit::Done);
        };
        let found = schemas.iter().find(|schema| schema.name == asked);
        let schema = found.ok_or_else(|| {
            Failure::usage(format!("there is no schema `{asked}`"))
                .hint(format!("choose one of {}", names.join(", ")))
        })?;
        session.ui.data(in_full(schema).as_bytes());
        Ok(Exit::Done)
    }
}

fn in_full(schema: &Schema) -> String {
    let settings = match schema.is_input {
        true => SchemaSettings::draft2020_12(),
        // What is written may leave fields out that are not there.
        false => SchemaSettings::draft2020_12().for_serialize(),
    };
    let mut generator = settings.into_generator();
    let mut made = (schema.make)(&mut generator);
    let id = made.pointer_mut("/properties/schema");
    if let Some(id) = id.filter(|_| !schema.is_input) {
        *id = serde_json::json!({"const": format!("bootbank.{}/1", schema.name)});
    }
    if let Some(failed) = schema.failed {
        let failed = failed(&mut generator);
        made = schemars::json_schema!({"anyOf": [made, failed]});
    }
    made.insert(
        "$schema".to_owned(),
        "https://json-schema.org/draft/2020-12/schema".into(),
    );
    made.insert(
        "title".to_owned(),
        format!("bootbank {}", schema.name).into(),
    );
    let definitions = generator.take_definitions(true);
    if !definitions.is_empty() {
        made.insert("$defs".to_owned(), definitions.into());
    }
    let text = serde_json::to_string_pretty(&made).unwrap_or_default();
    format!("{text}\n")
}
