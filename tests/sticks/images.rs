//! Images to test on: made once, copied for each test.

use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// An image and what went into it.
pub struct Image {
    pub path: PathBuf,
    pub truth_file: PathBuf,
    pub truth: Value,
}

impl Image {
    /// A copy to be changed, holes left as holes.
    pub fn copy_to(&self, directory: &Path) -> PathBuf {
        let copy = directory.join("stick.img");
        run(Command::new("cp")
            .args(["--sparse=always", "--no-preserve=mode"])
            .arg(&self.path)
            .arg(&copy));
        copy
    }
}

/// The image of a profile, as `scripts/make-image` makes it.
pub fn profile(name: &str) -> Image {
    made(name, &[])
}

/// The same with short partitions and small volumes.
pub fn small(name: &str) -> Image {
    made(name, &["--small"])
}

/// The image of a profile with more options of `scripts/make-image`.
pub fn made(name: &str, options: &[&str]) -> Image {
    let directory = directory();
    let file = format!("{name}{}", options.concat().replace(['/', '='], "_"));
    let path = directory.join(format!("{file}.img"));
    let truth_file = directory.join(format!("{file}.json"));
    let lock = File::create(directory.join(format!("{file}.lock"))).unwrap();
    lock.lock().unwrap();
    if !path.exists() {
        run(Command::new(manifest("scripts/make-image"))
            .arg(name)
            .arg(&path)
            .args(options)
            .arg("--truth")
            .arg(&truth_file));
    }
    let truth = serde_json::from_slice(&fs::read(&truth_file).unwrap()).unwrap();
    Image {
        path,
        truth_file,
        truth,
    }
}

/// A bundled image, unpacked by gzip into `directory`.
pub fn bundled(name: &str, directory: &Path) -> PathBuf {
    let path = directory.join(format!("{name}.img"));
    let packed = manifest("testimages").join(format!("{name}.img.gz"));
    let unpacked = run(Command::new("gzip").arg("-dc").arg(packed));
    fs::write(&path, unpacked).unwrap();
    path
}

/// Names of the bundled images.
pub fn bundled_names() -> Vec<String> {
    let listed = fs::read_dir(manifest("testimages")).unwrap();
    let names = listed.filter_map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.strip_suffix(".img.gz").map(str::to_owned)
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// The directory of the real 7.0.2 state, where it was fetched.
pub fn real_state() -> Option<PathBuf> {
    let directory = std::env::var_os("BOOTBANK_REAL_STATE")
        .map_or_else(|| manifest("target/real-state"), PathBuf::from);
    let there = directory.join("local.tgz.ve").exists();
    there.then_some(directory)
}

/// A file of the project.
pub fn manifest(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Where images are kept, for as long as the scripts that make them stay the same.
fn directory() -> PathBuf {
    let mut sources: Vec<PathBuf> = fs::read_dir(manifest("scripts/imagelib"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    sources.push(manifest("scripts/make-image"));
    sources.sort();
    let mut digest = Sha256::new();
    for source in sources {
        digest.update(fs::read(source).unwrap());
    }
    let digest = digest.finalize();
    let digest: String = digest.iter().take(6).map(|b| format!("{b:02x}")).collect();
    let directory = manifest("target/testimages").join(digest);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// Standard output of a program that must succeed.
pub fn run(command: &mut Command) -> Vec<u8> {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}
