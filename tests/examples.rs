//! The programs in `examples/` do what they say, on a bundled image.

// Clippy exempts test functions only, not what they share.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// Where the examples are, built from what is there now.
static EXAMPLES: LazyLock<PathBuf> = LazyLock::new(|| {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--locked", "--examples"]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status();
    assert!(built.unwrap().success());
    Path::new(env!("CARGO_BIN_EXE_bootbank")).with_file_name("examples")
});

/// What an example prints.
fn run(example: &str, arguments: &[&Path]) -> String {
    let output = Command::new(EXAMPLES.join(example))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{example}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// An image on which one device is passed through, in two banks, and its bytes.
fn image(directory: &Path) -> (PathBuf, Vec<u8>) {
    let packed = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/testimages/esxi67-usb-passthru.img.gz"
    );
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(fs::File::open(packed).unwrap())
        .read_to_end(&mut bytes)
        .unwrap();
    let path = directory.join("stick.img");
    fs::write(&path, &bytes).unwrap();
    (path, bytes)
}

#[test]
fn what_one_example_lists_the_next_gives_back_and_its_undo_file_brings_back() {
    let dir = tempfile::tempdir().unwrap();
    let (path, bytes) = image(dir.path());
    let undo = dir.path().join("stick.undo");
    let listed = run("list_devices", &[&path]);
    assert!(listed.contains("/device/0000:00:20.0/owner"), "{listed}");

    let fixed = run("fix_image", &[&path, &undo]);
    let change = "/device/0000:00:20.0/owner becomes vmkernel";
    assert!(fixed.contains(change), "{fixed}");
    assert_eq!(run("list_devices", &[&path]), "");
    let again = run("fix_image", &[&path, &undo]);
    assert_eq!(again, "nothing to change\n");

    let mut back = Command::new(env!("CARGO_BIN_EXE_bootbank"));
    let back = back.arg("undo").args([&undo, &path]).output().unwrap();
    assert!(back.status.success(), "{back:?}");
    assert!(fs::read(&path).unwrap() == bytes);
}

#[test]
fn an_image_in_parts_is_read_as_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (_, bytes) = image(dir.path());
    // None of them ends where a sector does.
    let parts: Vec<PathBuf> = bytes
        .chunks(bytes.len() / 5 + 77)
        .enumerate()
        .map(|(index, part)| {
            let path = dir.path().join(format!("part.{index}"));
            fs::write(&path, part).unwrap();
            path
        })
        .collect();
    let parts: Vec<&Path> = parts.iter().map(PathBuf::as_path).collect();
    assert_eq!(parts.len(), 5);
    assert_eq!(run("own_medium", &parts), "partition 5 boots next\n");
}
