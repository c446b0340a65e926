//! `bootbank completions`: the completions of a shell, made from the command line itself.

use crate::cli::process::Needs;
use crate::cli::report::{Exit, Failure};
use crate::cli::session::{Run, Session};
use clap::Args;
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
        let mut command = (session.program.command)();
        clap_complete::generate(self.shell, &mut command, "bootbank", &mut script);
        session.ui.data(&script);
        Ok(Exit::Done)
    }
}
