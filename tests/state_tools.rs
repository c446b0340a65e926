//! What is written into a state, judged by GNU tar, gzip and Python.

// Clippy exempts test functions only, not what they share.
#![allow(clippy::unwrap_used, clippy::panic)]

mod state_judges;

use bootbank::state::archive::Archive;
use bootbank::state::{Effort, Form, KeyCache, Limits, MemberEdit, State};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const CONF: &str = "etc/vmware/esx.conf";

/// A tree with what archives made by hand hold: directories, links, modes, a long path for
/// formats that can have one.
fn tree(root: &Path, format: &str) {
    let long = format!("etc/opt/{}/{}", "d".repeat(80), "f".repeat(60));
    let mut files = vec![
        (CONF, "/system/uuid = \"x\"\n".repeat(60)),
        ("etc/passwd", "root\n".to_owned()),
        ("etc/empty", String::new()),
    ];
    if format != "v7" {
        files.push((&long, "long".to_owned()));
    }
    for (path, content) in files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    std::fs::hard_link(root.join("etc/passwd"), root.join("etc/passwd-")).unwrap();
    std::os::unix::fs::symlink("/usr/share/zoneinfo/UTC", root.join("etc/localtime")).unwrap();
    state_judges::run(
        Command::new("chmod")
            .arg("1600")
            .arg(root.join("etc/passwd")),
    );
}

/// `state.tgz` as the host's own script makes it, in one of GNU tar's formats.
fn state_tgz(directory: &Path, format: &str) -> PathBuf {
    let root = directory.join(format!("{format}-root"));
    tree(&root, format);
    let local = directory.join("local.tgz");
    let state = directory.join(format!("{format}-state.tgz"));
    let format = format!("--format={format}");
    let tar = |to: &Path, from: &Path, what: &str| {
        let mut tar = Command::new("tar");
        tar.arg(&format)
            .arg("-czf")
            .arg(to)
            .arg("-C")
            .arg(from)
            .arg(what);
        state_judges::run(&mut tar);
    };
    tar(&local, &root, ".");
    tar(&state, directory, "local.tgz");
    state
}

fn open(path: &Path) -> State {
    let bytes = std::fs::read(path).unwrap();
    State::open("state.tgz", &bytes, &Limits::default(), &KeyCache::new()).unwrap()
}

/// The members of the inner archive, by Python.
fn inner_members(state: &Path, directory: &TempDir) -> std::collections::BTreeMap<String, String> {
    assert_eq!(state_judges::members(state).len(), 1);
    let local = directory.path().join("extracted.tgz");
    std::fs::write(&local, state_judges::extract(state, "local.tgz")).unwrap();
    state_judges::members(&local)
}

fn set_conf(content: &[u8]) -> MemberEdit {
    MemberEdit::Replace {
        path: CONF.to_owned(),
        content: content.to_vec().into(),
    }
}

#[test]
fn an_edit_in_each_format_of_gnu_tar_changes_one_member() {
    let content = b"/device/000:26.7/owner = \"vmkernel\"\n".repeat(100);
    for format in ["oldgnu", "gnu", "ustar", "v7"] {
        let directory = tempfile::tempdir().unwrap();
        let path = state_tgz(directory.path(), format);
        let state = open(&path);
        assert_eq!(state.form(), Form::Plain);
        let file = state.edit(&[set_conf(&content)], Effort::Usual).unwrap();
        let mut before = inner_members(&path, &directory);
        let changed = directory.path().join("changed.tgz");
        std::fs::write(&changed, file).unwrap();
        let mut after = inner_members(&changed, &directory);
        let conf = format!("./{CONF}");
        assert_ne!(before.remove(&conf), after.remove(&conf));
        assert_eq!(before, after, "{format}");
        let local = directory.path().join("extracted.tgz");
        assert_eq!(state_judges::extract(&local, &conf), content);
    }
}

/// Of a file with many holes the map goes on behind the header: GNU tar's own format, and the older one of pax.
#[test]
fn files_with_holes_are_kept_beside_an_edit_whatever_the_length_of_their_map() {
    // Four pieces fit the header, 21 more each block behind it.
    for (format, pieces) in [
        ("oldgnu", 1),
        ("gnu", 4),
        ("gnu", 5),
        ("gnu", 26),
        ("gnu", 60),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        std::fs::create_dir_all(root.join("etc/vmware")).unwrap();
        std::fs::write(root.join(CONF), "old").unwrap();
        let mut holes = std::fs::File::create(root.join("etc/holes")).unwrap();
        for piece in 0..pieces {
            holes.seek(SeekFrom::Start(piece * 65_536)).unwrap();
            holes.write_all(&[b'h'; 512]).unwrap();
        }
        drop(holes);
        let mut tar = Command::new("tar");
        tar.args(["--sparse", "--sort=name", &format!("--format={format}")]);
        tar.args(["-cf", "-", "-C"]).arg(&root).arg("etc");
        let bytes = state_judges::run(&mut tar).stdout;
        let archive = Archive::parse(bytes).unwrap();
        assert_eq!(archive.content(CONF).unwrap(), Some(&b"old"[..]));
        let edited = archive.edit(&[set_conf(b"new")]).unwrap();
        let path = directory.path().join("edited.tar");
        std::fs::write(&path, Vec::from(edited.bytes().clone())).unwrap();
        let extracted = |name: &str| {
            let mut tar = Command::new("tar");
            state_judges::run(tar.arg("-xOf").arg(&path).arg(name)).stdout
        };
        assert_eq!(extracted("etc/vmware/esx.conf"), b"new");
        let original = std::fs::read(root.join("etc/holes")).unwrap();
        assert!(extracted("etc/holes") == original, "{format}, {pieces}");
    }
}

#[test]
fn a_posix_archive_with_times_in_pax_records_is_read_but_not_changed() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(&state_tgz(directory.path(), "posix"));
    assert_eq!(
        state.content("etc/passwd").unwrap(),
        Some(b"root\n".as_slice())
    );
    let err = state.edit(&[set_conf(b"")], Effort::Usual).unwrap_err();
    let want = "state.tgz:local.tgz: etc/vmware/esx.conf cannot be changed: \
                a pax record sets its mtime";
    assert_eq!(err.to_string(), want);
}

#[test]
fn an_added_member_has_the_bytes_gnu_tar_writes_in_its_old_format() {
    let directory = tempfile::tempdir().unwrap();
    let path = |len: usize| format!("etc/{}", "n".repeat(len - 4));
    for name in [path(8), path(99), path(100), path(101), path(250)] {
        let file = directory.path().join(&name);
        let content = vec![b'c'; 700];
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &content).unwrap();
        let mut tar = Command::new("tar");
        tar.args(["--format=oldgnu", "--owner=root:0", "--group=root:0"]);
        tar.args([
            "--mode=0600",
            "--mtime=@1628668000",
            "-b2",
            "-cf",
            "-",
            "-C",
        ]);
        let theirs = state_judges::run(tar.arg(directory.path()).arg(&name)).stdout;
        let add = MemberEdit::Add {
            path: name.clone(),
            content: content.into(),
            mode: 0o600,
            mtime: 1_628_668_000,
        };
        let empty = Archive::parse(vec![0; 1024]).unwrap();
        let ours = empty.edit(&[add]).unwrap();
        // Both end in zero blocks; theirs are rounded up to a record.
        let (theirs, end) = theirs.split_at(ours.bytes().len());
        assert!(ours.bytes().to_vec() == theirs, "{name}");
        assert!(end.iter().all(|&byte| byte == 0), "{name}");
    }
}
