//! The undo file holds secrets of a host and is the only way back: made for its owner alone,
//! never over or through anything, whole or not at all.

use crate::loops::Mounted;
use crate::program::{Bench, sha256, text};
use crate::skipping::skipped;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

const IMAGE: &str = "esxi67-fresh";

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn it_is_for_its_owner_alone_and_so_is_its_directory() {
    let bench = Bench::new();
    let image = bench.bundled(IMAGE);
    let program = env!("CARGO_BIN_EXE_bootbank");
    // Whatever the umask would allow.
    let run = Command::new("sh")
        .args([
            "-c",
            "umask 0; exec \"$@\"",
            "sh",
            program,
            "fix",
            text(&image),
        ])
        .env("XDG_STATE_HOME", bench.path("state"))
        .output()
        .unwrap();
    assert!(run.status.success());
    let undo = bench.undo_files();
    assert_eq!(undo.len(), 1);
    assert_eq!(mode(&undo[0]), 0o600);
    assert_eq!(mode(&bench.undo_directory()), 0o700);
    assert_eq!(mode(&bench.path("state")), 0o700);
    // Readable with ordinary tools.
    let listed = Command::new("tar")
        .arg("-tf")
        .arg(&undo[0])
        .output()
        .unwrap();
    assert!(
        String::from_utf8(listed.stdout)
            .unwrap()
            .starts_with("manifest.json\n")
    );
}

#[test]
fn neither_a_file_nor_a_link_in_its_place_is_touched_and_nothing_else_is_written() {
    let bench = Bench::new();
    let image = bench.bundled(IMAGE);
    let before = sha256(&image);
    let precious = bench.path("precious");
    fs::write(&precious, "precious").unwrap();
    let link = bench.path("link");
    symlink(&precious, &link).unwrap();
    let dangling = bench.path("dangling");
    symlink(bench.path("planted"), &dangling).unwrap();
    for place in [&precious, &link, &dangling] {
        let run = bench.run(&["fix", "-z", text(place), text(&image)]);
        run.exits(3)
            .says("never overwritten")
            .says("nothing was written");
        assert_eq!(sha256(&image), before);
    }
    assert_eq!(fs::read(&precious).unwrap(), b"precious");
    assert!(link.is_symlink() && dangling.is_symlink());
    assert!(!bench.path("planted").exists());
}

#[test]
fn a_full_disk_under_it_stops_the_change_before_its_first_write() {
    let bench = Bench::new();
    let image = bench.bundled(IMAGE);
    let before = sha256(&image);
    let small = bench.path("small");
    fs::create_dir(&small).unwrap();
    let Some(_mounted) = Mounted::mount(&["-t", "tmpfs", "-o", "size=8k", "tmpfs"], &small) else {
        return;
    };
    let undo = small.join("x.undo");
    let run = bench
        .run(&["fix", "--json", "-z", text(&undo), text(&image)])
        .exits(3);
    let object = run.object();
    assert_eq!(object["error"]["kind"], "refused");
    assert_eq!(object["undo"], serde_json::Value::Null);
    run.says("cannot write the undo file")
        .says("nothing was written");
    assert_eq!(sha256(&image), before);
    assert!(!undo.exists(), "no half of one");
}

#[test]
fn a_full_file_system_under_a_sparse_image_is_no_fault_of_the_image() {
    let bench = Bench::new();
    let image = bench.bundled(IMAGE);
    let small = bench.path("small");
    fs::create_dir(&small).unwrap();
    let options = ["-t", "tmpfs", "-o", "size=64m", "tmpfs"];
    let Some(_mounted) = Mounted::mount(&options, &small) else {
        return;
    };
    let sparse = small.join("s.img");
    let copied = Command::new("cp")
        .arg("--sparse=always")
        .args([&image, &sparse])
        .status();
    assert!(copied.unwrap().success());
    // The rest of the room goes to another file.
    let mut rest = fs::File::create(small.join("rest")).unwrap();
    while rest.write_all(&[1; 4096]).is_ok() {}
    let run = bench.run(&["fix", "-q", text(&sparse)]).exits(5);
    let run = run.says("the file system that holds the image is full");
    assert!(!run.stderr.contains("--avoid"), "{}", run.stderr);
    drop(rest);
    fs::remove_file(small.join("rest")).unwrap();
    bench.run(&["fix", "-q", text(&sparse)]).exits(0);
}

#[test]
fn an_undo_file_does_not_go_to_standard_output() {
    let bench = Bench::new();
    let image = bench.bundled(IMAGE);
    let before = sha256(&image);
    bench
        .run(&["fix", "-z", "-", text(&image)])
        .exits(2)
        .says("standard output");
    assert_eq!(sha256(&image), before);
    assert!(!std::path::Path::new("-").exists());
}

#[test]
fn without_a_home_and_a_name_for_it_nothing_is_written() {
    let bench = Bench::new();
    let image = bench.bundled(IMAGE);
    let before = sha256(&image);
    let run = |arguments: &[&str]| -> crate::program::Run {
        let mut command = bench.command();
        command.env_remove("XDG_STATE_HOME").env_remove("HOME");
        command.args(arguments).output().unwrap().into()
    };
    run(&["fix", text(&image)])
        .exits(3)
        .says("-z FILE")
        .says("--no-undo");
    assert_eq!(sha256(&image), before);
    // Where nothing is to be undone none is needed.
    run(&["fix", "--no-undo", text(&image)]).exits(0);
    run(&["fix", text(&image)]).exits(0);
}

#[test]
fn the_only_places_a_confined_run_can_write_to_are_named() {
    let bench = Bench::new();
    let image = bench.bundled(IMAGE);
    let run = bench.run(&["fix", "-n", "-v", text(&image)]).exits(0);
    if run
        .stderr
        .contains("not confined: this kernel has no Landlock")
    {
        skipped("this kernel has no Landlock");
        return;
    }
    run.says("it can write nothing\n");
    let undo = bench.undo_directory();
    let places = format!(
        "it can write only {}, {}\n",
        image.display(),
        undo.display()
    );
    bench
        .run(&["fix", "-v", text(&image)])
        .exits(0)
        .says(&places);
}
