//! Files that are replaced as a whole: what is refused, and that the old one is there then.

use bootbank::error::ErrorKind;
use bootbank::host::Host;
use bootbank::medium::{MediumError, OutputFile, WholeFile};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use tempfile::TempDir;

const LIMIT: u64 = 1 << 20;

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
