//! The project's own scripts, as far as they can fail unseen.

use crate::run::{Place, repository};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

/// A command of that name that does this, found before the real one.
fn command(place: &Place, name: &str, script: &str) {
    let bin = place.path().join("bin");
    fs::create_dir_all(&bin).unwrap();
    let path = bin.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_package_that_could_not_be_fetched_is_none_that_is_kept() {
    let place = Place::new();
    command(&place, "apt-cache", "echo '  Candidate: 1.2'");
    command(&place, "apt-get", "echo 'E: no network' >&2; exit 100");
    let script = format!(
        "set -euo pipefail; PATH={}/bin:$PATH; . {}; made=$(unpacked cache thing); echo \"made $made\"",
        place.path().display(),
        repository("scripts/lib/debian.sh").display()
    );
    for _ in 0..2 {
        let mut bash = Command::new("bash");
        bash.args(["-c", &script]).current_dir(place.path());
        let done = bash.output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(!done.status.success(), "{done:?}");
        assert!(said.contains("cannot fetch thing 1.2"), "{said}");
        assert!(said.contains("E: no network"), "{said}");
        let left = fs::read_dir(place.path().join("cache")).unwrap();
        assert_eq!(left.count(), 0);
    }
}

#[test]
fn what_cargo_builds_is_looked_for_where_it_was_told_to_put_it() {
    let scripts = fs::read_dir(repository("scripts")).unwrap();
    let scripts = scripts.chain(fs::read_dir(repository("scripts/vm")).unwrap());
    for script in scripts {
        let path = script.unwrap().path();
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        // Where a script names its own variable it was told.
        let text = text.replace("$target/", "");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let fixed = [
                "target/debug",
                "target/dist",
                "target/release",
                "{CARGO_TARGET_DIR",
            ];
            let is_fixed = fixed.iter().any(|fixed| line.contains(fixed));
            assert!(
                !is_fixed,
                "{}: {line}: use scripts/lib/build-dir.sh",
                path.display()
            );
        }
    }
}
