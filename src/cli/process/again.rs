//! This program, started again for a part of what was asked for.
//!
//! A medium is read and changed by a process that is confined to it, and there is no way back from
//! that. What goes on to other media, or asks first which one is meant, therefore opens none itself:
//! it starts the program with a command line that anyone could type, and reads its answer.

use crate::cli::report::{Exit, Failure};
use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

/// The program that runs, whatever has become of its file.
const PROGRAM: &str = "/proc/self/exe";

/// What the program is called in its messages.
const NAME: &str = "bootbank";

/// How this program is started again.
#[derive(Clone, Debug)]
pub struct Again {
    options: Vec<OsString>,
}

/// What a run told in objects.
#[derive(Clone, Debug)]
pub struct Told {
    /// How it ended.
    pub exit: Exit,
    /// The objects, in order.
    pub objects: Vec<Value>,
    /// What it said besides.
    pub said: String,
}

impl Again {
    /// With these options in front of each command.
    pub fn new(options: &[OsString]) -> Self {
        Again {
            options: options.to_vec(),
        }
    }

    fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg0(NAME).args(&self.options).args(arguments);
        command
    }

    /// Runs a command on this terminal.
    ///
    /// # Errors
    /// A process that cannot be started.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Result<Exit, Failure> {
        let ended = self.command(arguments).status();
        let ended = ended.map_err(|error| not_started(&error))?;
        Ok(Exit::of_process(ended.code()))
    }

    /// Runs a command for its objects. It gets no input, and a Ctrl-C at the terminal is not for it.
    ///
    /// # Errors
    /// A process that cannot be started.
    pub fn ask<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Result<Told, Failure> {
        let in_objects = std::iter::once(OsStr::new("--json"));
        let arguments: Vec<&OsStr> = in_objects
            .chain(arguments.iter().map(AsRef::as_ref))
            .collect();
        let mut command = self.command(&arguments);
        command.process_group(0).stdin(Stdio::null());
        let output = command.output().map_err(|error| not_started(&error))?;
        let objects = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
        Ok(Told {
            exit: Exit::of_process(output.status.code()),
            objects: objects.map_while(Result::ok).collect(),
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

impl Told {
    /// Why there are no objects, of a run that told none.
    pub fn nothing(&self) -> Failure {
        let said = self.said.lines().find(|line| !line.trim().is_empty());
        let said = said.unwrap_or("it said nothing");
        let said = said.strip_prefix("error: ").unwrap_or(said);
        Failure::io(said).exit_with(self.exit)
    }
}

fn not_started(error: &io::Error) -> Failure {
    Failure::io(format!("cannot start bootbank again: {error}"))
        .hint("/proc has to be mounted, and this process has to be allowed to start programs")
}
