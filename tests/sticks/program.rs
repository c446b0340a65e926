//! The program run, and the judge of what it did.

use super::images::{Image, manifest, run};
use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A private directory for one test: targets, undo files, the state directory.
pub struct Bench {
    directory: TempDir,
}

/// What a run of the program came to.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Bench {
    pub fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("sticks-")
            .tempdir()
            .unwrap();
        Bench { directory }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// How many undo files there are where they go by default.
    pub fn undo_files(&self) -> usize {
        std::fs::read_dir(self.file("xdg/bootbank/undo")).map_or(0, Iterator::count)
    }

    /// The program with a clean environment, ready for arguments.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bootbank"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            // Where a build that counts lines puts them.
            .envs(std::env::vars_os().filter(|(name, _)| name == "LLVM_PROFILE_FILE"))
            .env("XDG_STATE_HOME", self.path().join("xdg"))
            .current_dir(self.path());
        command
    }

    pub fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Ran {
        let mut command = self.command();
        command.args(arguments);
        ran(&mut command)
    }

    /// Runs it with `--json`; the objects and the exit code.
    pub fn json<A: AsRef<OsStr>>(&self, arguments: &[A]) -> (Vec<Value>, i32) {
        let mut command = self.command();
        command.args(arguments).arg("--json");
        let ran = ran(&mut command);
        let objects = ran.stdout.lines().map(|line| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
        });
        (objects.collect(), ran.code)
    }

    /// Runs it on one target with `--json`; the object of a run that succeeds.
    pub fn done<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Value {
        let (mut objects, code) = self.json(arguments);
        assert_eq!((objects.len(), code), (1, 0), "{objects:?}");
        objects.remove(0)
    }
}

pub fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// One argument after the other, of whatever type.
#[macro_export]
macro_rules! args {
    ($($argument:expr),* $(,)?) => {
        [$(std::ffi::OsString::from(&$argument)),*]
    };
}

/// A digest of whole files that a hole more or less does not change.
pub fn digest(path: &Path) -> String {
    let output = run(judge().arg("digest").arg(path));
    String::from_utf8(output).unwrap().trim().to_owned()
}

/// Has the judge find that `after` differs from `before` as a `fix` of these banks (empty: all)
/// makes it, and in nothing else.
pub fn judge_fixed(image: &Image, after: &Path, undo: &Path, banks: &str, epoch: Option<&str>) {
    let mut command = judge();
    command.arg("fixed").args([&image.path, after]);
    command.arg(&image.truth_file).arg(undo).arg(banks);
    if let Some(epoch) = epoch {
        command.env("SOURCE_DATE_EPOCH", epoch);
    }
    run(&mut command);
}

/// The judge, ready for arguments.
pub fn judge() -> Command {
    script("judge.py")
}

/// The Python that has `cryptography`, with a script that lies beside the tests.
pub fn script(name: &str) -> Command {
    let python = std::env::var("BOOTBANK_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut command = Command::new(python);
    command.arg("-B").arg(manifest("tests/sticks").join(name));
    command
}
