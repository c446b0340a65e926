//! An image of its own in a directory of its own, and the program run on it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

/// Makes the kernel and every module of each bank a gzip file, by Python's gzip.
const PACK: &str = r#"
import gzip, json, os, random, subprocess, sys
image, truth, work = sys.argv[1:]
for bank in json.load(open(truth))["banks"]:
    volume = f"{image}@@{bank['offset']}"
    for name in bank["files"]:
        if name in ("boot.cfg", "state.tgz", "local.tgz"):
            continue
        path = os.path.join(work, name)
        with open(path, "wb") as out:
            content = random.Random(name).randbytes(2500)
            out.write(gzip.compress(content, mtime=0))
        subprocess.run(["mcopy", "-o", "-i", volume, path, f"::{name}"], check=True)
"#;

/// What is made once: an image's bytes, and where its banks begin.
type Made = (Vec<u8>, BTreeMap<u32, u64>);
static MADE: Mutex<BTreeMap<String, Made>> = Mutex::new(BTreeMap::new());

pub(crate) struct Stick {
    directory: tempfile::TempDir,
    pub(crate) image: PathBuf,
    /// Where each bank begins, by partition number.
    pub(crate) banks: BTreeMap<u32, u64>,
}

/// What a run of the program came to.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// The 6.7 host with a state in both banks.
pub(crate) const GPT: &str = "esxi67-gpt";

impl Stick {
    pub(crate) fn new(profile: &str) -> Stick {
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("stick.img");
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        let known = made.entry(profile.to_owned());
        let (bytes, banks) = known.or_insert_with(|| make(profile, directory.path()));
        write_sparse(&image, bytes);
        Stick {
            image,
            banks: banks.clone(),
            directory,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// How mtools names the volume of a bank.
    fn volume(&self, bank: u32) -> String {
        format!("{}@@{}", self.image.display(), self.banks[&bank])
    }

    pub(crate) fn delete(&self, bank: u32, names: &[&str]) {
        let mut mdel = Command::new("mdel");
        mdel.args(["-i", &self.volume(bank)]);
        run(mdel.args(names.iter().map(|name| format!("::{name}"))));
    }

    pub(crate) fn read(&self, bank: u32, name: &str) -> Vec<u8> {
        let mut mtype = Command::new("mtype");
        run(mtype.args(["-i", &self.volume(bank), &format!("::{name}")])).stdout
    }

    pub(crate) fn write(&self, bank: u32, name: &str, content: &[u8]) {
        let source = self.path("source");
        fs::write(&source, content).unwrap();
        let mut mcopy = Command::new("mcopy");
        mcopy.args(["-o", "-i", &self.volume(bank)]);
        run(mcopy.arg(&source).arg(format!("::{name}")));
    }

    /// Changes a file's content.
    pub(crate) fn change(&self, bank: u32, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut content = self.read(bank, name);
        change(&mut content);
        self.write(bank, name, &content);
    }

    /// Sets a line of boot.cfg; removes it where there is no value.
    pub(crate) fn set(&self, bank: u32, key: &str, value: Option<&str>) {
        self.change(bank, "boot.cfg", |content| {
            let text = String::from_utf8(std::mem::take(content)).unwrap();
            let others = text
                .lines()
                .filter(|line| !line.starts_with(&format!("{key}=")));
            let mut lines: Vec<String> = others.map(str::to_owned).collect();
            lines.extend(value.map(|value| format!("{key}={value}")));
            *content = (lines.join("\n") + "\n").into_bytes();
        });
    }

    /// Writes bytes at a place in a bank's volume.
    pub(crate) fn poke(&self, bank: u32, at: u64, bytes: &[u8]) {
        let file = File::options().write(true).open(&self.image).unwrap();
        file.write_all_at(bytes, self.banks[&bank] + at).unwrap();
    }

    /// Writes bytes at a place of the medium.
    pub(crate) fn poke_at(&self, at: u64, bytes: &[u8]) {
        let file = File::options().write(true).open(&self.image).unwrap();
        file.write_all_at(bytes, at).unwrap();
    }

    /// Where a partition begins, by sgdisk.
    pub(crate) fn partition(&self, number: u32) -> u64 {
        let mut sgdisk = Command::new("sgdisk");
        let told = run(sgdisk.arg(format!("-i{number}")).arg(&self.image)).stdout;
        let told = String::from_utf8(told).unwrap();
        let line = told
            .lines()
            .find_map(|line| line.strip_prefix("First sector: "));
        let sector: u64 = line.unwrap().split(' ').next().unwrap().parse().unwrap();
        sector * 512
    }

    /// Reads bytes at a place in a bank's volume.
    pub(crate) fn peek(&self, bank: u32, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let file = File::open(&self.image).unwrap();
        file.read_exact_at(&mut bytes, self.banks[&bank] + at)
            .unwrap();
        bytes
    }

    /// Where a copy of a bank's FAT begins in its volume.
    pub(crate) fn fat(&self, bank: u32, copy: u64) -> u64 {
        let sector = self.peek(bank, 0, 512);
        let number = |at: usize| u64::from(u16::from_le_bytes([sector[at], sector[at + 1]]));
        (number(14) + copy * number(22)) * number(11)
    }

    /// Where a bank's root directory begins in its volume.
    pub(crate) fn root(&self, bank: u32) -> u64 {
        let copies = u64::from(self.peek(bank, 16, 1)[0]);
        self.fat(bank, copies)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        fs::read(&self.image).unwrap()
    }

    /// The program, `STICK` among the arguments being the image.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bootbank"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            // Where a build that counts lines puts them.
            .envs(std::env::vars_os().filter(|(name, _)| name == "LLVM_PROFILE_FILE"))
            .env("XDG_STATE_HOME", self.path("xdg"))
            .current_dir(self.directory.path());
        for argument in arguments {
            command.arg(if *argument == "STICK" {
                "stick.img"
            } else {
                argument
            });
        }
        let output = command.output().unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The lines that `verify` prints for what it finds.
    pub(crate) fn verify(&self, code: i32) -> String {
        let ran = self.run(&["verify", "STICK"]);
        assert_eq!(ran.code, code, "{}", ran.all());
        assert_eq!(ran.stderr, "");
        of_booting(&ran.stdout)
    }
}

/// What `verify` prints without what it says of the configuration: the profile holds a line that
/// the host ignores, which is no matter of booting.
pub(crate) fn of_booting(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.contains("[esx.conf]"));
    lines.map(|line| format!("{line}\n")).collect()
}

fn make(profile: &str, directory: &Path) -> Made {
    let (image, truth) = (directory.join("made.img"), directory.join("truth.json"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/make-image");
    let mut command = Command::new(python());
    command.arg("-B").arg(script).arg(profile).arg(&image);
    run(command.arg("--small").arg("--truth").arg(&truth));
    let mut pack = Command::new(python());
    run(pack
        .args(["-c", PACK])
        .args([&image, &truth])
        .arg(directory));
    let truth: serde_json::Value = serde_json::from_slice(&fs::read(truth).unwrap()).unwrap();
    let banks = truth["banks"].as_array().unwrap().iter();
    let banks = banks.map(|bank| {
        let number = bank["partition"].as_u64().unwrap();
        (number as u32, bank["offset"].as_u64().unwrap())
    });
    let banks = banks.collect();
    let bytes = fs::read(&image).unwrap();
    fs::remove_file(&image).unwrap();
    (bytes, banks)
}

/// Holes stay holes: the images are mostly empty.
fn write_sparse(path: &Path, bytes: &[u8]) {
    const BLOCK: usize = 1 << 16;
    let file = File::create(path).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    for (index, block) in bytes.chunks(BLOCK).enumerate() {
        if block.iter().any(|byte| *byte != 0) {
            file.write_all_at(block, (index * BLOCK) as u64).unwrap();
        }
    }
}

fn python() -> String {
    std::env::var("BOOTBANK_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// A program that must succeed.
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}
