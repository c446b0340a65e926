//! The command line described by itself: manual pages, completions, the reference, and the
//! JSON schemas of what is read and written. All of it comes from the types that do the work.

use super::args::{Cli, CompletionsArgs, ManArgs, SchemaArgs};
use super::exit::Exit;
use super::json;
use super::report::Failure;
use super::session::Session;
use crate::edit::plan_file::PlanFile;
use clap::{Command, CommandFactory as _};
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use std::fmt::Write as _;

/// Width of the help texts in the reference, whatever the terminal is.
const WIDTH: usize = 100;

/// The command line, complete and ready to be described.
fn command() -> Command {
    let mut command = Cli::command().term_width(WIDTH);
    command.build();
    command
}

/// Writes a manual page for each command.
///
/// # Errors
/// What the operating system reported.
pub fn man(session: &Session, args: &ManArgs) -> Result<Exit, Failure> {
    let failed = |error: std::io::Error| {
        Failure::io(format!(
            "cannot write manual pages to {}: {error}",
            args.dir.display()
        ))
    };
    std::fs::create_dir_all(&args.dir).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), &args.dir).map_err(failed)?;
    session
        .ui
        .say(&format!("{}: manual pages written", args.dir.display()));
    Ok(Exit::Done)
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    let subs = command.get_subcommands();
    subs.filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
}

/// Writes the completions of a shell to standard output.
pub fn completions(session: &Session, args: &CompletionsArgs) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "bootbank", &mut script);
    session.ui.data(&script);
    Exit::Done
}

/// Writes the reference of the whole command line as Markdown to standard output.
pub fn reference(session: &Session) -> Exit {
    let mut text = "# Command line reference\n\n\
        Made by `scripts/make-docs` from the program itself; a test holds the two together.\n\
        The options of `bootbank` itself go with every command and are not repeated.\n"
        .to_owned();
    describe(command(), "bootbank", &mut text);
    session.ui.data(text.as_bytes());
    Exit::Done
}

fn describe(mut command: Command, name: &str, text: &mut String) {
    let help = command.render_long_help().to_string();
    let _ = writeln!(text, "\n## {name}\n\n```text");
    for line in help.lines() {
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text.push_str("```\n");
    for sub in visible(&command) {
        let hidden = |arg: clap::Arg| {
            let is_global = arg.is_global_set();
            arg.hide(is_global)
        };
        let own = sub.clone().mut_args(hidden);
        describe(own, &format!("{name} {}", sub.get_name()), text);
    }
}

/// Makes a schema.
type Make = fn(&mut SchemaGenerator) -> Schema;

/// The schemas by name, each made when asked for.
const SCHEMAS: [(&str, Make); 13] = [
    ("change", json::Change::json_schema),
    ("conf", super::conf::Settings::json_schema),
    ("diff", super::compare::Differences::json_schema),
    ("error", json::FailedObject::json_schema),
    ("info", json::Info::json_schema),
    ("kernelopt", super::kernelopt::Options::json_schema),
    ("ls", json::Listing::json_schema),
    ("pci", json::Pci::json_schema),
    ("plan", PlanFile::json_schema),
    ("seal", super::seal::Operations::json_schema),
    ("state", super::state::Exported::json_schema),
    ("store", super::store::Rows::json_schema),
    ("verify", json::Verify::json_schema),
];

/// Writes one JSON schema to standard output, or the names there are.
///
/// # Errors
/// A name there is no schema of.
pub fn schema(session: &Session, args: &SchemaArgs) -> Result<Exit, Failure> {
    let names: Vec<&str> = SCHEMAS.iter().map(|(name, _)| *name).collect();
    let Some(asked) = &args.name else {
        session
            .ui
            .data(format!("{}\n", names.join("\n")).as_bytes());
        return Ok(Exit::Done);
    };
    let found = SCHEMAS.iter().find(|(name, _)| name == asked);
    let (name, make) = found.ok_or_else(|| {
        Failure::usage(format!("there is no schema `{asked}`"))
            .hint(format!("there are {}", names.join(", ")))
    })?;
    let settings = match *name {
        "plan" => SchemaSettings::draft2020_12(),
        // What is written may leave fields out that are not there.
        _ => SchemaSettings::draft2020_12().for_serialize(),
    };
    let mut generator = settings.into_generator();
    let mut schema = make(&mut generator);
    schema.insert(
        "$schema".to_owned(),
        "https://json-schema.org/draft/2020-12/schema".into(),
    );
    schema.insert("title".to_owned(), format!("bootbank {name}").into());
    let definitions = generator.take_definitions(true);
    if !definitions.is_empty() {
        schema.insert("$defs".to_owned(), definitions.into());
    }
    let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    session.ui.data(format!("{text}\n").as_bytes());
    Ok(Exit::Done)
}
