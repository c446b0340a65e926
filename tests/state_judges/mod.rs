//! Other programs' opinion of archives and envelopes: GNU tar, gzip and Python.
//!
//! A judge that is missing fails the test that needs it. `BOOTBANK_PYTHON` names a Python with
//! the `cryptography` package where `python3` has none.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

/// Runs a program to its end.
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|err| panic!("{command:?} cannot be run: {err}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Runs a Python script with arguments; what it prints.
pub(crate) fn python(script: &str, arguments: &[&Path]) -> String {
    let python = std::env::var("BOOTBANK_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let output = run(Command::new(python).arg("-c").arg(script).args(arguments));
    String::from_utf8(output.stdout).unwrap()
}

/// What Python's `tarfile` says of each member of a `.tgz`: header fields and SHA-256, by name.
pub(crate) fn members(tgz: &Path) -> BTreeMap<String, String> {
    run(Command::new("gzip")
        .arg("-t")
        .arg("-S")
        .arg(".tgz")
        .arg(tgz));
    python(MEMBERS, &[tgz])
        .lines()
        .map(|line| line.split_once('\t').unwrap())
        .map(|(name, facts)| (name.to_owned(), facts.to_owned()))
        .collect()
}

const MEMBERS: &str = r#"
import sys, tarfile, hashlib
tar = tarfile.open(sys.argv[1], "r:gz")
for m in tar:
    digest = hashlib.sha256(tar.extractfile(m).read()).hexdigest() if m.isreg() else m.linkname
    print(m.name, (m.type, oct(m.mode), m.uid, m.gid, m.uname, m.gname, m.mtime, digest), sep="\t")
"#;

/// The bytes GNU tar extracts for one member of a `.tgz`.
pub(crate) fn extract(tgz: &Path, member: &str) -> Vec<u8> {
    run(Command::new("tar").arg("-xzOf").arg(tgz).arg(member)).stdout
}
