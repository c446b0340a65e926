//! `bootbank completions`: the completions of a shell, made from the command line itself.

use crate::cli::process::Needs;
use crate::cli::report::{Exit, Failure};
use crate::cli::session::{Run, Session};
use crate::edit::seal::SealOperation;
use clap::builder::PossibleValuesParser;
use clap::{Args, Command};
use clap_complete::Shell;
use std::path::Path;

/// Write shell completions to standard output
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank completions bash > ~/.local/share/bash-completion/completions/bootbank")]
pub struct Completions {
    /// Which shell
    shell: Shell,
}

impl Run for Completions {
    fn first_target(&self) -> Option<&Path> {
        None
    }

    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        let schemas = (session.program.schemas)();
        let names = schemas.iter().map(|schema| schema.name);
        let mut command = offering((session.program.command)(), names);
        clap_complete::generate(self.shell, &mut command, "bootbank", &mut script);
        session.ui.data(&script);
        Ok(Exit::Done)
    }
}

/// The command line without the commands that its help does not show.
fn without_hidden(command: &Command) -> Command {
    let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    Command::new("bootbank")
        .version(env!("CARGO_PKG_VERSION"))
        .args(command.get_arguments())
        .subcommands(shown)
}

/// The command line with the words that its free values often are. Only for the shells to offer: a bank may
/// also be a number, and a schema that does not exist has its own message.
fn offering(command: Command, schemas: impl Iterator<Item = &'static str>) -> Command {
    let schemas: Vec<&str> = schemas.collect();
    without_hidden(&command)
        .mut_arg("bank", |bank| {
            bank.value_parser(PossibleValuesParser::new(["all", "next"]))
        })
        .mut_subcommand("schema", |schema| {
            schema.mut_arg("name", |name| {
                name.value_parser(PossibleValuesParser::new(schemas))
            })
        })
        .mut_subcommand("seal", |seal| {
            let named = SealOperation::ALL.map(|operation| operation.about().name);
            ["only", "with", "without"]
                .into_iter()
                .fold(seal, |seal, list| {
                    seal.mut_arg(list, |arg| {
                        arg.value_parser(PossibleValuesParser::new(named))
                    })
                })
        })
}
