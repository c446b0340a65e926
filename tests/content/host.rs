//! Images to work on, the program, and the programs that judge it.

use crate::skipping::skipped;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) const STORE: &str = "var/lib/vmware/configstore/backup/current-store-1";
pub(crate) const SCHEMAS: &str = "etc/vmware/schemastore/schema-store-1";

/// Unpacks a `state.tgz` (first argument) into a directory (second), encrypted or not.
const UNPACK: &str = concat!(
    include_str!("../common/envelope.py"),
    r#"
import sys, tarfile
state = tarfile.open(sys.argv[1], "r:gz")
files = {m.name: state.extractfile(m).read() for m in state}
inner = files.get("local.tgz") or opened(files["local.tgz.ve"], files["encryption.info"])
open(sys.argv[2] + ".tgz", "wb").write(inner)
"#
);

/// An image of its own in a directory of its own.
pub(crate) struct Host {
    directory: tempfile::TempDir,
    pub(crate) image: PathBuf,
    banks: BTreeMap<u64, u64>,
}

impl Host {
    /// Has scripts/make-image make one.
    pub(crate) fn new(profile: &str) -> Host {
        Host::with(profile, &["--small"])
    }

    /// The image with the real 7.0.2 state, where scripts/fetch-real-state has been run.
    pub(crate) fn real() -> Option<Host> {
        let state = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/real-state");
        if !state.join("local.tgz.ve").is_file() {
            skipped(format!("no real state in {}", state.display()));
            return None;
        }
        let set = format!("real-state={}", state.display());
        Some(Host::with("esxi702-real", &["--set", &set]))
    }

    fn with(profile: &str, options: &[&str]) -> Host {
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("stick.img");
        let truth = directory.path().join("truth.json");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/make-image");
        let mut command = Command::new(python());
        command.arg(script).arg(profile).arg(&image).args(options);
        run(command.arg("--truth").arg(&truth));
        let truth: serde_json::Value = serde_json::from_slice(&fs::read(truth).unwrap()).unwrap();
        let banks = truth["banks"].as_array().unwrap().iter();
        let number = |value: &serde_json::Value| value.as_u64().unwrap();
        let banks = banks.map(|bank| (number(&bank["partition"]), number(&bank["offset"])));
        Host {
            image,
            banks: banks.collect(),
            directory,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn image(&self) -> &Path {
        &self.image
    }

    /// Where a bank begins in the image, in bytes.
    pub(crate) fn bank_start(&self, partition: u64) -> u64 {
        self.banks[&partition]
    }

    /// What mtools call a bank.
    pub(crate) fn bank_at(&self, partition: u64) -> String {
        format!("{}@@{}", self.image.display(), self.bank_start(partition))
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        fs::read(&self.image).unwrap()
    }

    /// A second image, equal to this one.
    pub(crate) fn copy(&self, name: &str) -> PathBuf {
        let copy = self.path(name);
        fs::copy(&self.image, &copy).unwrap();
        copy
    }

    /// Runs the program; the word `STICK` among the arguments stands for the image.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.run_at(None, arguments)
    }

    /// The same, with SOURCE_DATE_EPOCH set.
    pub(crate) fn run_at(&self, epoch: Option<&str>, arguments: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bootbank"));
        command.current_dir(self.directory.path());
        command.env("XDG_STATE_HOME", self.path("state-home"));
        command.env_remove("SOURCE_DATE_EPOCH");
        command.envs(epoch.map(|epoch| ("SOURCE_DATE_EPOCH", epoch)));
        for argument in arguments {
            match *argument {
                "STICK" => command.arg(&self.image),
                other => command.arg(other),
            };
        }
        Ran::of(command.output().unwrap())
    }

    /// Runs the program, which must succeed; what it printed.
    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        ran.stdout
    }

    /// Runs the program, which must fail with this code, say this, and write nothing.
    pub(crate) fn refuses(&self, arguments: &[&str], code: i32, says: &str) {
        let before = self.bytes();
        let ran = self.run(arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.stderr);
        assert!(
            ran.stderr.contains(says),
            "{arguments:?} says {:?}, not {says:?}",
            ran.stderr
        );
        assert!(self.bytes() == before, "{arguments:?} wrote something");
        let undo = self.path("state-home/bootbank/undo");
        let files = std::fs::read_dir(undo).map_or(0, Iterator::count);
        assert_eq!(files, 0, "an undo file was made");
    }

    /// A file of a bank, as mtools reads it.
    pub(crate) fn bank_file(&self, partition: u64, name: &str) -> Vec<u8> {
        let at = self.bank_at(partition);
        run(Command::new("mtype")
            .arg("-i")
            .arg(at)
            .arg(format!("::{name}")))
        .stdout
    }

    /// Puts a file into a bank, by mtools.
    pub(crate) fn put_bank_file(&self, partition: u64, name: &str, content: &[u8]) {
        let file = self.path(name);
        fs::write(&file, content).unwrap();
        let mut put = Command::new("mcopy");
        put.arg("-o").arg("-i").arg(self.bank_at(partition));
        run(put.arg(file).arg(format!("::{name}")));
    }

    /// Unpacks a bank's configuration with Python and GNU tar; the directory.
    pub(crate) fn unpacked(&self, partition: u64, name: &str) -> PathBuf {
        let tgz = self.path(&format!("{name}.state.tgz"));
        fs::write(&tgz, self.bank_file(partition, "STATE.TGZ")).unwrap();
        let directory = self.path(name);
        fs::create_dir(&directory).unwrap();
        let mut python = Command::new(python());
        run(python.arg("-c").arg(UNPACK).arg(&tgz).arg(&directory));
        let inner = self.path(&format!("{name}.tgz"));
        let mut tar = Command::new("tar");
        run(tar.arg("-xpzf").arg(inner).arg("-C").arg(&directory));
        directory
    }

    /// What GNU tar lists of the configuration [`Host::unpacked`] found: mode, owner, size,
    /// time, name.
    pub(crate) fn listing(&self, name: &str) -> Vec<String> {
        let inner = self.path(&format!("{name}.tgz"));
        let mut tar = Command::new("tar");
        let output = run(tar.args(["--full-time", "-tvzf"]).arg(inner));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

/// What the program did.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    fn of(output: Output) -> Ran {
        Ran {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

fn python() -> String {
    std::env::var("BOOTBANK_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// Runs a judge to its end.
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {stderr}");
    output
}

/// What the sqlite3 program answers.
pub(crate) fn sqlite(database: &Path, query: &str) -> String {
    let output = run(Command::new("sqlite3").arg(database).arg(query));
    String::from_utf8(output.stdout).unwrap()
}

/// The files in which two unpacked configurations differ, as `diff -rqN` names them.
pub(crate) fn differing(a: &Path, b: &Path) -> Vec<String> {
    let mut diff = Command::new("diff");
    diff.args(["-rqN", "--no-dereference"]).arg(a).arg(b);
    let output = diff.output().unwrap();
    assert!(output.status.code() < Some(2), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let relative = |path: &str| {
        let path = Path::new(path);
        let inside = path.strip_prefix(a).or_else(|_| path.strip_prefix(b));
        inside.unwrap().display().to_string()
    };
    let name = |line: &str| {
        let files = line.strip_prefix("Files ").unwrap();
        relative(files.split(" and ").next().unwrap())
    };
    let mut names: Vec<String> = text.lines().map(name).collect();
    names.sort();
    names
}
