//! Another process that holds a file or device in some way until dropped.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};

/// A process that has said it holds what it should, and waits on its standard input.
pub(crate) struct Holder {
    child: Child,
    input: Option<ChildStdin>,
}

impl Holder {
    /// Starts a command and waits for its first line on standard output.
    pub(crate) fn start(program: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program} is needed for this test: {error}"));
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "{program} did not get hold of it");
        Holder {
            input: child.stdin.take(),
            child,
        }
    }

    /// Runs Python statements, with the arguments in `argv[1:]`, and holds what they hold.
    pub(crate) fn python(statements: &str, argument: &str) -> Self {
        let script = format!(
            "import sys, os, fcntl, struct\npath = sys.argv[1]\n{statements}\n\
             print('ready', flush=True)\nsys.stdin.read()"
        );
        Self::start("python3", &["-c", &script, argument])
    }

    /// Number of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}
