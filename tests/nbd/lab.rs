//! Images in a directory of their own, and the program run on them.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory with a bundled image in it, and undo files.
pub struct Lab {
    pub directory: tempfile::TempDir,
}

impl Lab {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Lab { directory }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Unpacks a bundled image.
    pub fn unpack(&self, image: &str, name: &str) -> PathBuf {
        let packed = format!("{}/testimages/{image}.img.gz", env!("CARGO_MANIFEST_DIR"));
        let mut bytes = Vec::new();
        let packed = std::fs::File::open(packed).unwrap();
        flate2::read::GzDecoder::new(packed)
            .read_to_end(&mut bytes)
            .unwrap();
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bootbank"));
        command
            .args(arguments)
            .env("XDG_STATE_HOME", self.directory.path());
        command.stdin(std::process::Stdio::null());
        command
    }

    pub fn bootbank(&self, arguments: &[&str]) -> Done {
        self.command(arguments).output().unwrap().into()
    }
}

/// What came of a run.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub out: String,
    pub said: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        Done {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Done {
    /// The exit code was this, and each of these was said.
    #[track_caller]
    pub fn expect(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        for word in words {
            let found = self.said.contains(word) || self.out.contains(word);
            assert!(found, "{word}: {self:?}");
        }
        self
    }
}

/// Whether two files hold the same bytes.
pub fn same(a: &Path, b: &Path) -> bool {
    std::fs::read(a).unwrap() == std::fs::read(b).unwrap()
}
