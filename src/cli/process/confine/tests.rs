//! What a confined thread can still do, tried on the running kernel.
//!
//! Landlock binds the thread that asks for it and those it starts, so each test confines a
//! thread of its own and leaves the others alone.

use super::{Needs, confine, in_words};
use landlock::RulesetStatus;
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

/// Runs `check` in a thread confined to `needs`; not where the kernel has no Landlock.
fn confined(needs: &Needs, check: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let status = confine(needs);
            let words = in_words(&status, needs);
            let status = status.unwrap();
            assert!(status.no_new_privs);
            let own = fs::read_to_string("/proc/thread-self/status").unwrap();
            assert!(own.contains("NoNewPrivs:\t1\n"), "{own}");
            if status.ruleset == RulesetStatus::NotEnforced {
                eprintln!("skipped: {words}");
            } else {
                assert!(words.starts_with("confined by Landlock"), "{words}");
                check();
            }
        });
        thread.join().unwrap();
    });
}

fn denied<T>(result: std::io::Result<T>) -> bool {
    result.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

fn append(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().append(true).open(path)
}

#[test]
fn a_confined_thread_writes_to_its_target_and_its_directory_and_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let [target, source, other] = ["target", "source", "other"].map(|name| dir.path().join(name));
    for file in [&target, &source, &other] {
        fs::write(file, "content").unwrap();
    }
    let (inside, outside) = (dir.path().join("inside"), dir.path().join("outside"));
    fs::create_dir(&inside).unwrap();
    fs::create_dir(&outside).unwrap();
    let needs = Needs {
        reads: vec![source.clone()],
        writes: vec![target.clone()],
        makes_in: vec![inside.clone()],
        ..Needs::default()
    };
    confined(&needs, || {
        // What it is for.
        assert_eq!(fs::read(&source).unwrap(), b"content");
        append(&target).unwrap();
        fs::write(inside.join("part"), "new").unwrap();
        fs::write(inside.join("old"), "old").unwrap();
        fs::rename(inside.join("part"), inside.join("old")).unwrap();
        fs::remove_file(inside.join("old")).unwrap();
        File::open(&inside).unwrap().sync_all().unwrap();
        assert!(Path::new("/sys/dev/block").read_dir().is_ok());
        assert!(fs::read_to_string("/proc/self/mountinfo").is_ok());
        // What it is not for.
        assert!(denied(append(&source)));
        assert!(denied(append(&other)));
        assert!(denied(fs::read(&other)));
        assert!(denied(fs::write(outside.join("new"), "")));
        assert!(denied(fs::remove_file(&other)));
        assert!(denied(fs::remove_file(&target)));
        assert!(denied(fs::create_dir(inside.join("deeper"))));
        assert!(denied(std::os::unix::fs::symlink("/", inside.join("link"))));
        assert!(fs::rename(&other, inside.join("other")).is_err());
        assert!(denied(Command::new("/bin/true").status().map(drop)));
    });
    assert_eq!(fs::read(&other).unwrap(), b"content");
}

#[test]
fn threads_it_starts_are_confined_too() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    confined(&Needs::default(), || {
        let writes = || fs::write(&file, "");
        let written = std::thread::scope(|scope| scope.spawn(writes).join().unwrap());
        assert!(denied(written));
    });
    assert!(!file.exists());
}

#[test]
fn a_confined_thread_connects_to_nobody_where_the_kernel_can_forbid_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    confined(&Needs::default(), || {
        // Since Landlock's fourth version; before, the connection is made.
        match TcpStream::connect(address) {
            Ok(_) => eprintln!("this kernel's Landlock knows nothing of the network"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::PermissionDenied),
        }
    });
}
