//! `bootbank reference`: the whole command line as Markdown, made from the command line itself.

use crate::cli::process::Needs;
use crate::cli::report::{Exit, Failure};
use crate::cli::session::{Run, Session};
use clap::{Args, Command};
use std::fmt::Write as _;
use std::path::Path;

/// Width of the help texts in the reference, whatever the terminal is.
const WIDTH: usize = 100;

/// Write this reference as Markdown
#[derive(Debug, Args)]
#[command(hide = true)]
pub struct Reference {}

impl Run for Reference {
    fn first_target(&self) -> Option<&Path> {
        None
    }

    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        let mut text = "# Command line reference\n\n\
            `scripts/make-docs` writes this page from the program itself; a test checks that they agree.\n\
            The options of `bootbank` work with every command and are not repeated.\n"
            .to_owned();
        let mut command = (session.program.command)().term_width(WIDTH);
        command.build();
        describe(command, "bootbank", &mut text);
        session.ui.data(text.as_bytes());
        Ok(Exit::Done)
    }
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    let subs = command.get_subcommands();
    subs.filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
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
