//! Runs of the program, and the images it runs on.

use sha2::{Digest, Sha256};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// What a run of the program came to.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Run {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Run {
    /// Fails unless the exit code is this one.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Fails unless standard error says this.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no `{text}` in {self:#?}");
        self
    }

    /// The object on standard output.
    #[track_caller]
    pub(crate) fn object(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// A directory for one test: an image, and a home for undo files.
pub(crate) struct Bench {
    dir: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Bench {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where undo files go by default.
    pub(crate) fn undo_directory(&self) -> PathBuf {
        self.path("state/bootbank/undo")
    }

    /// The undo files there are.
    pub(crate) fn undo_files(&self) -> Vec<PathBuf> {
        match fs::read_dir(self.undo_directory()) {
            Ok(listing) => listing.map(|entry| entry.unwrap().path()).collect(),
            Err(_) => Vec::new(),
        }
    }

    /// Unpacks a bundled image.
    pub(crate) fn bundled(&self, name: &str) -> PathBuf {
        let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("testimages");
        let packed = fs::File::open(packed.join(format!("{name}.img.gz"))).unwrap();
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(packed)
            .read_to_end(&mut bytes)
            .unwrap();
        let image = self.path("stick.img");
        fs::write(&image, bytes).unwrap();
        image
    }

    /// The names of all files right in this directory.
    pub(crate) fn names(&self) -> Vec<String> {
        let listing = fs::read_dir(self.dir.path()).unwrap();
        let names = listing.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// Makes an image from a profile.
    pub(crate) fn made(&self, profile: &str) -> PathBuf {
        let image = self.path("stick.img");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/make-image");
        let python = std::env::var("BOOTBANK_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let made = Command::new(python)
            .arg(script)
            .arg(profile)
            .arg(&image)
            .arg("--small")
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{profile}: {errors}");
        image
    }

    /// The program, away from any terminal.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bootbank"));
        command
            .env("XDG_STATE_HOME", self.path("state"))
            .env_remove("SOURCE_DATE_EPOCH")
            .stdin(Stdio::null());
        command
    }

    /// Runs the program.
    pub(crate) fn run<A: AsRef<std::ffi::OsStr>>(&self, arguments: &[A]) -> Run {
        self.command().args(arguments).output().unwrap().into()
    }
}

/// Digest of all bytes of a file or device.
pub(crate) fn sha256(path: &Path) -> String {
    Sha256::digest(fs::read(path).unwrap())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
