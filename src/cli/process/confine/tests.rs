//! What a confined process can still do, tried on the running kernel.
//!
//! Landlock binds the thread that asks for it and those it starts, so what it does is tried in a
//! thread of its own. The rest binds the whole process, and a denied system call ends it: each such
//! attempt is made in a process of its own, which is this test program run again for the test
//! [`from_inside`] alone.
#![allow(unsafe_code)]

use super::{Sandbox, confine_files, files_in_words};
use crate::cli::process::{Needs, Outputs};
use crate::skipping::skipped;
use landlock::RulesetStatus;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs `check` in a thread confined to `needs`; not where the kernel has no Landlock.
fn confined(needs: &Needs, check: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let status = confine_files(needs);
            let words = files_in_words(&status, needs);
            let status = status.unwrap();
            assert!(status.no_new_privs);
            let own = fs::read_to_string("/proc/thread-self/status").unwrap();
            assert!(own.contains("NoNewPrivs:\t1\n"), "{own}");
            if status.ruleset == RulesetStatus::NotEnforced {
                skipped(words);
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
fn a_file_that_was_opened_before_gets_its_name_and_nothing_beside_it_can_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let [there, free, taken] = ["there", "free", "taken"].map(|name| dir.path().join(name));
    let below = dir.path().join("below");
    fs::create_dir(&below).unwrap();
    for file in [&there, &taken, &below.join("file")] {
        fs::write(file, "content").unwrap();
    }
    for (path, force) in [(&free, false), (&taken, true)] {
        let mut needs = Needs::default().making(path, force, 0o600);
        let outputs = Outputs::open(&mut needs);
        if !needs.makes_in.is_empty() {
            skipped("this file system has no files without a name");
            return;
        }
        confined(&needs, || {
            let mut file = outputs.take(path, force, 0o600).unwrap();
            file.write_all(b"new").unwrap();
            for other in [&there, &below.join("file")] {
                assert!(denied(append(other)));
                assert!(denied(fs::read(other)));
                assert!(denied(fs::write(other, "")));
                // A name is taken away only where one is to be replaced.
                assert!(force || denied(fs::remove_file(other)));
            }
            assert!(denied(fs::write(below.join("new"), "")));
            assert!(denied(fs::create_dir(dir.path().join("new"))));
            file.publish().unwrap();
        });
        if free.exists() {
            assert_eq!(fs::read(path).unwrap(), b"new");
        }
    }
    assert_eq!(fs::read(&there).unwrap(), b"content");
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

/// Name of the variable that says which attempt [`from_inside`] is to make.
const ATTEMPT: &str = "BOOTBANK_TEST_ATTEMPT";

/// A directory with the files of an attempt: `target`, which may be changed, and `other`.
const PLACE: &str = "BOOTBANK_TEST_PLACE";

/// One thing a confined process tries.
struct Attempt {
    name: &'static str,
    /// The system calls it is made of, any of which may be the one that is named. None where it is
    /// made with signals held back, so that SIGSYS itself ends the process.
    calls: &'static [&'static str],
    make: fn(&Path),
}

/// A system call by its number, with nothing in its arguments.
fn bare(call: syscalls::Sysno) {
    // SAFETY: no pointer is handed over but null, and no call that is tried here succeeds with that.
    let _ = unsafe { syscalls::syscall6(call, 0, 0, 0, 0, 0, 0) };
}

fn socket(domain: usize, kind: usize, protocol: usize) {
    // SAFETY: none of the arguments is a pointer.
    let _ = unsafe { syscalls::syscall3(syscalls::Sysno::socket, domain, kind, protocol) };
}

macro_rules! bare_calls {
    ($($name:ident)*) => {
        [$(Attempt {
            name: stringify!($name),
            calls: &[stringify!($name)],
            make: |_| bare(syscalls::Sysno::$name),
        }),*]
    };
}

fn attempts() -> Vec<Attempt> {
    let mut all = vec![
        Attempt {
            name: "chmod of another file",
            calls: &["chmod", "fchmodat", "fchmodat2"],
            make: |place| {
                fs::set_permissions(place.join("other"), Permissions::from_mode(0o777)).unwrap()
            },
        },
        Attempt {
            name: "chmod of an open file",
            calls: &["fchmod"],
            make: |place| {
                let file = File::open(place.join("target")).unwrap();
                file.set_permissions(Permissions::from_mode(0o777)).unwrap();
            },
        },
        Attempt {
            name: "chown of another file",
            calls: &["chown", "fchownat"],
            make: |place| chown(place.join("other"), Some(1), Some(1)).unwrap(),
        },
        Attempt {
            name: "unix socket by path",
            calls: &["socket"],
            make: |place| {
                drop(std::os::unix::net::UnixStream::connect(
                    place.join("socket"),
                ))
            },
        },
        Attempt {
            name: "TCP",
            calls: &["socket"],
            make: |_| drop(TcpStream::connect("127.0.0.1:9")),
        },
        Attempt {
            name: "UDP",
            calls: &["socket"],
            make: |_| drop(std::net::UdpSocket::bind("127.0.0.1:0")),
        },
        Attempt {
            name: "raw socket",
            calls: &["socket"],
            make: |_| socket(2, 3, 1),
        },
        Attempt {
            name: "packet socket",
            calls: &["socket"],
            make: |_| socket(17, 3, 0x300),
        },
        Attempt {
            name: "netlink socket",
            calls: &["socket"],
            make: |_| socket(16, 3, 0),
        },
        Attempt {
            name: "another program",
            calls: &[],
            make: |_| drop(Command::new("/bin/true").status()),
        },
        Attempt {
            name: "typing into the terminal",
            calls: &["ioctl"],
            make: |_| {
                // SAFETY: TIOCSTI reads one byte from an address; none is given.
                let _ = unsafe { syscalls::syscall3(syscalls::Sysno::ioctl, 0, 0x5412, 0) };
            },
        },
        Attempt {
            name: "memory for code",
            calls: &["mmap"],
            make: |_| {
                // SAFETY: an anonymous mapping where the kernel likes; nothing uses it.
                let _ = unsafe {
                    syscalls::syscall6(syscalls::Sysno::mmap, 0, 4096, 7, 0x22, usize::MAX, 0)
                };
            },
        },
    ];
    all.extend(bare_calls! {
        init_module finit_module delete_module kexec_load kexec_file_load execve execveat ptrace
        mount umount2 pivot_root chroot setns unshare bpf keyctl add_key request_key
        clone io_uring_setup perf_event_open userfaultfd process_vm_readv process_vm_writev
        open_by_handle_at mknodat symlinkat fchmodat fchownat setxattr reboot swapon
        settimeofday setuid capset personality kill socketpair bind connect listen sendmsg
        memfd_create pidfd_open truncate utimensat acct quotactl syslog
    });
    all
}

/// Makes one attempt after the sandbox is entered, in a process that [`inside`] started for it.
#[test]
fn from_inside() {
    let (Some(attempt), Some(place)) = (std::env::var_os(ATTEMPT), std::env::var_os(PLACE)) else {
        return;
    };
    let place = PathBuf::from(place);
    let needs = Needs::to_write([place.join("target")]);
    let sandbox = Sandbox::enter(&needs, false);
    for line in sandbox.in_words(&needs) {
        println!("{line}");
    }
    if attempt == "nothing" {
        println!(
            "{}",
            fs::read_to_string("/proc/thread-self/status").unwrap()
        );
        assert_eq!(fs::read(place.join("target")).unwrap(), b"content");
        append(&place.join("target")).unwrap();
        return;
    }
    let attempts = attempts();
    let attempt = attempts.iter().find(|known| attempt == known.name);
    (attempt.unwrap().make)(&place);
    println!("it went on");
}

/// Runs [`from_inside`] for one attempt.
fn inside(attempt: &str, place: &Path) -> Output {
    let test = std::env::current_exe().unwrap();
    let name = "cli::process::confine::tests::from_inside";
    Command::new(test)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(ATTEMPT, attempt)
        .env(PLACE, place)
        .output()
        .unwrap()
}

fn place() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    for name in ["target", "other"] {
        fs::write(place.path().join(name), "content").unwrap();
    }
    place
}

#[test]
fn a_call_that_is_not_on_the_list_ends_the_process_and_is_named() {
    let place = place();
    let _listener = std::os::unix::net::UnixListener::bind(place.path().join("socket")).unwrap();
    let before = fs::metadata(place.path().join("other"))
        .unwrap()
        .permissions()
        .mode();
    for attempt in attempts() {
        let run = inside(attempt.name, place.path());
        let said = String::from_utf8_lossy(&run.stderr);
        let out = String::from_utf8_lossy(&run.stdout);
        if out.contains("its system calls are not limited") {
            skipped(out);
            return;
        }
        assert!(!out.contains("it went on"), "{}", attempt.name);
        if attempt.calls.is_empty() {
            assert_eq!(run.status.signal(), Some(libc::SIGSYS), "{}", attempt.name);
            continue;
        }
        let named = attempt
            .calls
            .iter()
            .any(|call| said.contains(&format!("`{call}`")));
        assert!(named, "{}: {said}{out}", attempt.name);
        assert!(
            said.contains("which its sandbox does not allow\nhint: "),
            "{said}"
        );
        assert_eq!(
            run.status.code(),
            Some(5),
            "{}: {:?}",
            attempt.name,
            run.status
        );
    }
    let after = fs::metadata(place.path().join("other"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(before, after);
}

/// The lines of /proc/PID/status on capabilities, as numbers.
fn capabilities(status: &str) -> Vec<(&str, u64)> {
    let lines = status.lines().filter_map(|line| line.split_once(":\t"));
    let lines = lines.filter(|(name, _)| name.starts_with("Cap"));
    lines
        .map(|(name, bits)| (name, u64::from_str_radix(bits, 16).unwrap()))
        .collect()
}

#[test]
fn no_right_of_root_is_kept_where_its_own_files_are_all_there_is() {
    let place = place();
    let run = inside("nothing", place.path());
    let out = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{out}");
    let is_root = rustix::process::geteuid().is_root();
    for (set, bits) in capabilities(&out) {
        // Only root can lower the limit of what programs it starts can have.
        if is_root || set != "CapBnd" {
            assert_eq!(bits, 0, "{set}: {out}");
        }
    }
    assert!(
        out.contains("it has no rights beyond those of its user"),
        "{out}"
    );
}

#[test]
fn somebody_elses_image_is_still_reached_by_root() {
    if !rustix::process::geteuid().is_root() {
        skipped("needs root");
        return;
    }
    let place = place();
    let target = place.path().join("target");
    fs::set_permissions(&target, Permissions::from_mode(0o600)).unwrap();
    chown(&target, Some(65534), Some(65534)).unwrap();
    let run = inside("nothing", place.path());
    let out = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{out}");
    let kept = capabilities(&out)
        .into_iter()
        .find(|(set, _)| *set == "CapEff");
    // CAP_DAC_OVERRIDE is 1, CAP_DAC_READ_SEARCH is 2.
    assert_eq!(kept, Some(("CapEff", 0b110)), "{out}");
}
