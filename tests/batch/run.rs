//! Running the program, and images to run it on.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

/// Path of the program.
pub(crate) const BOOTBANK: &str = env!("CARGO_BIN_EXE_bootbank");

/// Path inside the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// An interpreter for the project's own scripts.
pub(crate) fn python() -> String {
    std::env::var("BOOTBANK_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// A small image of a profile, made once; to be copied, not changed.
pub(crate) fn image(profile: &'static str) -> PathBuf {
    static MADE: OnceLock<TempDir> = OnceLock::new();
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let directory = MADE.get_or_init(|| TempDir::new().unwrap());
    let path = directory.path().join(format!("{profile}.img"));
    let _guard = ONE_AT_A_TIME.lock().unwrap();
    if !path.exists() {
        let made = Command::new(python())
            .arg(repository("scripts/make-image"))
            .args([profile, path.to_str().unwrap(), "--small"])
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
    }
    path
}

/// A directory of its own to work in, with a place for undo files.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Place(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// A copy of an image of a profile.
    pub(crate) fn copy(&self, profile: &'static str, name: &str) -> PathBuf {
        let path = self.path().join(name);
        let copied = Command::new("cp")
            .args(["--sparse=always"])
            .args([&image(profile), &path])
            .status();
        assert!(copied.unwrap().success());
        path
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path().join(name)).unwrap()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path().join(name), content).unwrap();
    }

    /// The program in this directory.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BOOTBANK);
        command
            .args(arguments)
            .current_dir(self.path())
            .env("XDG_STATE_HOME", self.path().join("state"))
            .env_remove("SOURCE_DATE_EPOCH")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        Run(self.command(arguments).output().unwrap())
    }
}

/// What a run came to.
pub(crate) struct Run(pub(crate) Output);

impl Run {
    pub(crate) fn code(&self) -> i32 {
        self.0.status.code().unwrap()
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    /// The same, which must have ended with `code`.
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "{}\n{}", self.stdout(), self.stderr());
        self
    }

    /// The JSON objects on standard output.
    pub(crate) fn objects(&self) -> Vec<Value> {
        let lines = self.stdout();
        let lines = lines.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}
