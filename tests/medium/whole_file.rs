//! Files that are replaced as a whole: what is refused, and that the old one is there then.

use bootbank::error::ErrorKind;
use bootbank::host::Host;
use bootbank::medium::{MediumError, OutputFile, WholeFile};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const LIMIT: u64 = 1 << 20;

/// Runs a tool of the package acl on one file, and returns what it said.
fn acl(tool: &str, options: &[&str], path: &Path) -> String {
    let output = Command::new(tool).args(options).arg(path).output();
    let output = output.unwrap_or_else(|error| panic!("{tool} (Debian: acl): {error}"));
    assert!(output.status.success(), "{tool} {options:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn state() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.tgz");
    fs::write(&path, b"as it was").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    (dir, path)
}

/// Whoever changes the file, cuts it short or puts another in its place meanwhile, loses nothing.
#[test]
fn a_file_that_changed_since_it_was_read_is_not_replaced() {
    type Change = fn(&PathBuf);
    let changes: [(&str, Change); 4] = [
        ("other bytes", |path| fs::write(path, b"as it IS ").unwrap()),
        ("longer", |path| {
            fs::write(path, b"as it was and more").unwrap()
        }),
        ("cut short", |path| fs::write(path, b"as").unwrap()),
        ("another file", |path| {
            let other = path.with_extension("other");
            fs::write(&other, b"as it was").unwrap();
            fs::rename(other, path).unwrap();
        }),
    ];
    for (what, change) in changes {
        let (dir, path) = state();
        let file = WholeFile::claim(&path, &Host::default(), LIMIT).unwrap();
        assert_eq!(file.bytes(), b"as it was");
        let new = OutputFile::create_like(&path).unwrap();
        change(&path);
        let theirs = fs::read(&path).unwrap();
        let error = file.replace(new, b"ours").unwrap_err();
        assert!(
            matches!(error, MediumError::ChangedSince { .. }),
            "{what}: {error}"
        );
        assert_eq!(fs::read(&path).unwrap(), theirs, "{what}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "{what}");
    }
}

#[test]
fn a_file_that_is_replaced_keeps_its_permissions() {
    let (_dir, path) = state();
    let file = WholeFile::claim(&path, &Host::default(), LIMIT).unwrap();
    let new = OutputFile::create_like(&path).unwrap();
    file.replace(new, b"ours").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"ours");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o640);
}

#[test]
fn a_file_that_is_empty_or_too_long_is_not_opened() {
    let (_dir, path) = state();
    let open = |limit| WholeFile::open_read(&path, &Host::default(), limit);
    assert_eq!(open(9).unwrap().bytes().len(), 9);
    assert_eq!(open(8).unwrap_err().kind(), ErrorKind::Refused);
    fs::write(&path, b"").unwrap();
    assert!(matches!(open(9).unwrap_err(), MediumError::Empty { .. }));
}

/// A rescue station may let a second person read what root's image is: the new file lets them too, and
/// nobody whom only the directory lets.
#[test]
fn a_file_that_is_replaced_keeps_its_access_list() {
    let listed = |path: &Path| {
        acl(
            "getfacl",
            &["--numeric", "--omit-header", "--absolute-names"],
            path,
        )
    };
    for theirs in ["u:12345:rw", "u::rw"] {
        let (dir, path) = state();
        acl("setfacl", &["-m", theirs], &path);
        acl("setfacl", &["-d", "-m", "u:54321:rw"], dir.path());
        let before = listed(&path);
        let new = OutputFile::create_like(&path).unwrap();
        let file = WholeFile::claim(&path, &Host::default(), LIMIT).unwrap();
        file.replace(new, b"ours").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"ours");
        assert_eq!(listed(&path), before);
    }
}

/// Within the sandbox no owner, no list and no mode can be changed.
#[test]
fn a_file_that_is_not_like_the_old_one_by_itself_is_not_begun() {
    let (dir, path) = state();
    drop(OutputFile::create_if_like(&path).unwrap());
    acl("setfacl", &["-m", "u:12345:r"], &path);
    let error = OutputFile::create_if_like(&path).unwrap_err();
    assert!(matches!(error, MediumError::NotKept { .. }), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}
