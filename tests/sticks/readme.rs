//! The commands README shows for the bundled images do what it says.

use super::images::{bundled, bundled_names, manifest};
use super::program::{Bench, Ran, ran};
use std::fs;
use std::process::Command;

/// Command lines of a README: indented by four, continued ones not among them.
fn commands() -> Vec<String> {
    let readme = fs::read_to_string(manifest("README.md")).unwrap();
    let lines = readme.lines().filter_map(|line| line.strip_prefix("    "));
    lines.map(str::to_owned).collect()
}

/// Runs `cargo run --release -- ARGUMENTS` with the program under test instead.
fn run_in_clone(bench: &Bench, command: &str) -> Ran {
    let arguments = command.strip_prefix("cargo run --release -- ").unwrap();
    let link = bench.file("testimages");
    if !link.exists() {
        std::os::unix::fs::symlink(manifest("testimages"), link).unwrap();
    }
    ran(bench.command().args(arguments.split_whitespace()))
}

#[test]
fn the_first_command_fixes_a_bundled_image() {
    let commands = commands();
    let first = &commands[0];
    let bench = Bench::new();
    let ran = run_in_clone(&bench, first);
    assert_eq!(ran.code, 0, "{first}: {}", ran.stderr);
    let fixed = bench.file("fixed.img");
    let again = bench.run(&["fix", "--check", "fixed.img"]);
    assert_eq!(again.code, 0, "{}", again.stdout);
    assert!(fixed.metadata().unwrap().len() > 1 << 20);
    assert_eq!(commands[1], "scripts/test.sh");
}

/// Those that name `stick.img`, in the order they stand there, by a shell, as a reader would.
#[test]
fn every_command_on_a_stick_image_succeeds() {
    let bench = Bench::new();
    let stick = bundled("esxi70u1-both", bench.path());
    fs::rename(stick, bench.file("stick.img")).unwrap();
    let program = bench.file("bootbank");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_bootbank"), program).unwrap();
    let commands = commands();
    let theirs = commands.iter().filter(|line| {
        line.starts_with("bootbank ") && line.contains("stick.img") && !line.contains("ssh ")
    });
    let mut count = 0;
    for line in theirs {
        let mut shell = Command::new("sh");
        let script = format!("PATH=.:$PATH; {line}");
        let ran = ran(shell
            .args(["-c", &script])
            .current_dir(bench.path())
            .env("XDG_STATE_HOME", bench.file("state")));
        assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
        count += 1;
    }
    assert!(count > 3, "README shows commands on stick.img");
}

#[test]
fn every_bundled_image_is_in_the_index() {
    let index = fs::read_to_string(manifest("testimages/INDEX.md")).unwrap();
    for name in bundled_names() {
        assert!(index.contains(&format!("`{name}.img.gz`")), "{name}");
    }
}
