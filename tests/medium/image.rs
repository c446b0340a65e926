//! Image files: what is read and written, who is kept out, and what is refused.

use crate::holder::Holder;
use crate::loops::{LoopDevice, Mounted};
use crate::skipping::skipped;
use crate::{open_read, open_write, pattern, while_children_start};
use bootbank::error::ErrorKind;
use bootbank::host::Host;
use bootbank::medium::{
    Access, Identity, ImageFormat, MediumError, ReadAt, ReadOnlyReason, TargetKind, WriteAt,
};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

const SIZE: usize = 64 << 10;

fn image() -> (TempDir, PathBuf, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stick.img");
    let bytes = pattern(SIZE);
    fs::write(&path, &bytes).unwrap();
    (dir, path, bytes)
}

/// The pids a lock error names.
fn lock_holders<T: std::fmt::Debug>(result: Result<T, MediumError>) -> Vec<u32> {
    match result.unwrap_err() {
        MediumError::Locked { by, .. } => by.iter().map(|process| process.pid).collect(),
        other => panic!("{other}"),
    }
}

fn inner(error: &io::Error) -> &MediumError {
    error.get_ref().unwrap().downcast_ref().unwrap()
}

#[test]
fn an_image_opened_for_reading_reads_as_the_file() {
    let (_dir, path, bytes) = image();
    let target = open_read(&path).unwrap();
    assert_eq!(target.kind(), TargetKind::Image);
    assert_eq!(target.size(), SIZE as u64);
    assert_eq!(target.logical_sector_size(), None);
    let mut buf = vec![0; 1000];
    target.read_at(&mut buf, 12_345).unwrap();
    assert_eq!(buf, bytes[12_345..13_345]);
    assert_eq!(target.read_vec(12_345, 1000).unwrap(), buf);
    assert!(target.read_vec(SIZE as u64, 0).unwrap().is_empty());
    assert!(target.read_vec(SIZE as u64 - 1, 2).is_err());
}

#[test]
fn reads_and_writes_past_the_end_are_refused_and_the_file_does_not_grow() {
    let (_dir, path, bytes) = image();
    let target = open_read(&path).unwrap();
    for offset in [SIZE as u64 - 511, SIZE as u64, u64::MAX - 5] {
        let error = target.read_at(&mut [0; 512], offset).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
    drop(target);
    let target = open_write(&path).unwrap();
    for offset in [SIZE as u64 - 511, SIZE as u64, u64::MAX - 5] {
        assert!(target.read_at(&mut [0; 512], offset).is_err());
        let error = target.write_at(&[1; 512], offset).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_write_changes_its_sector_and_no_other_byte() {
    let (_dir, path, mut bytes) = image();
    let target = open_write(&path).unwrap();
    target.write_at(&[0xAB; 1024], 4096).unwrap();
    target.sync().unwrap();
    let mut back = vec![0; 1024];
    target.read_back(&mut back, 4096).unwrap();
    assert_eq!(back, [0xAB; 1024]);
    bytes[4096..5120].fill(0xAB);
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn an_image_that_is_cut_short_while_it_is_read_is_an_error_and_no_signal() {
    let (_dir, path, _) = image();
    let target = open_read(&path).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(1000).unwrap();
    let expected = (SIZE as u64, 1000);
    for error in [
        target.read_at(&mut [0; 512], 32_768).unwrap_err(),
        target.read_vec(32_768, 512).unwrap_err(),
        target.read_vec(0, 2000).unwrap_err(),
    ] {
        assert!(
            matches!(inner(&error), MediumError::SizeChanged { was, is, .. } if (*was, *is) == expected),
            "{error}"
        );
    }
}

#[test]
fn no_part_of_an_image_is_mapped() {
    let (_dir, path, _) = image();
    let reader = open_read(&path).unwrap();
    reader.read_at(&mut [0; 512], 0).unwrap();
    drop(reader);
    let writer = open_write(&path).unwrap();
    writer.read_at(&mut [0; 512], 0).unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    assert!(!maps.contains(path.to_str().unwrap()), "{maps}");
}

#[test]
fn a_name_that_leads_to_another_file_is_noticed() {
    let (dir, path, bytes) = image();
    let writer = open_write(&path).unwrap();
    writer.check_name().unwrap();
    let elsewhere = dir.path().join("elsewhere.img");
    fs::rename(&path, &elsewhere).unwrap();
    let now = |writer: &dyn WriteAt| {
        let error = writer.check_name().unwrap_err();
        let MediumError::Replaced { now, .. } = inner(&error) else {
            panic!("{error}");
        };
        now.clone()
    };
    assert_eq!(
        now(&writer),
        Some(elsewhere.clone()),
        "no file has the name"
    );
    fs::write(&path, &bytes).unwrap();
    assert_eq!(now(&writer), Some(elsewhere.clone()), "another file has it");
    fs::remove_file(&elsewhere).unwrap();
    assert_eq!(now(&writer), None);
}

#[test]
fn a_sync_notices_that_the_image_was_cut_short_meanwhile() {
    let (_dir, path, _) = image();
    let target = open_write(&path).unwrap();
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(1000)
        .unwrap();
    let error = target.sync().unwrap_err();
    assert!(
        matches!(inner(&error), MediumError::SizeChanged { is: 1000, .. }),
        "{error}"
    );
}

#[test]
fn readers_share_an_image_and_a_writer_has_it_alone_until_dropped() {
    let (_dir, path, _) = image();
    let me = std::process::id();
    let readers = [open_read(&path).unwrap(), open_read(&path).unwrap()];
    assert!(lock_holders(open_write(&path)).contains(&me));
    drop(readers);
    let writer = open_write(&path).unwrap();
    assert_eq!(lock_holders(open_read(&path)), [me]);
    assert_eq!(lock_holders(open_write(&path)), [me]);
    drop(writer);
    open_write(&path).unwrap();
}

#[test]
fn a_lock_taken_with_the_flock_program_keeps_out_and_names_its_holder() {
    let (_dir, path, _) = image();
    let name = path.to_str().unwrap();
    let hold = |mode: &str| {
        // With --no-fork the shell is the process that took the lock.
        let arguments = ["--no-fork", mode, name, "sh", "-c", "echo ready; read line"];
        Holder::start("flock", &arguments)
    };
    let shared = hold("--shared");
    open_read(&path).unwrap();
    assert_eq!(lock_holders(open_write(&path)), [shared.pid()]);
    drop(shared);
    let exclusive = hold("--exclusive");
    assert_eq!(lock_holders(open_read(&path)), [exclusive.pid()]);
    assert_eq!(lock_holders(open_write(&path)), [exclusive.pid()]);
    drop(exclusive);
    open_write(&path).unwrap();
}

/// Read locks that belong to the open file, as QEMU takes them, on one byte each.
fn hold_bytes(path: &Path, bytes: &str) -> Holder {
    let statements = format!(
        "f = os.open(path, os.O_RDWR)\n\
         for byte in {bytes}:\n  \
           fcntl.fcntl(f, 37, struct.pack('hhqqi', fcntl.F_RDLCK, 0, byte, 1, 0))"
    );
    Holder::python(&statements, path.to_str().unwrap())
}

#[test]
fn the_byte_locks_of_a_writing_qemu_keep_out_writers_and_readers() {
    let (_dir, path, _) = image();
    let qemu = hold_bytes(&path, "[100, 101, 103, 201, 203]");
    assert_eq!(lock_holders(open_write(&path)), [qemu.pid()]);
    assert_eq!(lock_holders(open_read(&path)), [qemu.pid()]);
    drop(qemu);
    open_write(&path).unwrap();
}

#[test]
fn the_byte_locks_of_a_reading_qemu_keep_out_writers_only() {
    let (_dir, path, _) = image();
    let qemu = hold_bytes(&path, "[100, 201]");
    assert_eq!(lock_holders(open_write(&path)), [qemu.pid()]);
    open_read(&path).unwrap();
}

#[test]
fn a_claimed_image_is_refused_to_whoever_asks_as_qemu_does() {
    let (_dir, path, _) = image();
    let _claim = open_write(&path).unwrap();
    // What this process opens and closes besides takes nothing from the claim.
    assert!(open_write(&path).is_err());
    fs::read(&path).unwrap();
    let script = "import sys, os, fcntl, struct\n\
                  f = os.open(sys.argv[1], os.O_RDWR)\n\
                  lock = struct.pack('hhqqi', fcntl.F_WRLCK, 0, 101, 1, 0)\n\
                  kind = struct.unpack('hhqqi', fcntl.fcntl(f, 36, lock))[0]\n\
                  sys.exit(0 if kind == fcntl.F_UNLCK else 9)";
    let status = Command::new("python3")
        .args(["-c", script])
        .arg(&path)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(9));
}

#[test]
#[ignore = "run by the test in main.rs in a process of its own"]
fn an_image_is_claimed_again_while_this_process_starts_others() {
    let (_dir, path, _) = image();
    while_children_start(|| {
        for _ in 0..300 {
            drop(open_write(&path).unwrap());
        }
    });
}

#[test]
fn qemu_itself_and_this_program_keep_each_other_out() {
    let (_dir, path, _) = image();
    let qemu = |commands: &str| {
        let mut command = Command::new("qemu-io");
        command.args(["-f", "raw", "-c", commands]).arg(&path);
        command
    };
    if qemu("quit").output().is_err() {
        skipped("no qemu-io here; the test with its byte locks stands in");
        return;
    }
    let mut running = qemu("sleep 20000").stdout(Stdio::null()).spawn().unwrap();
    let holders = (0..200).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        let opened = open_write(&path);
        opened.is_err().then(|| lock_holders(opened))
    });
    assert_eq!(holders, Some(vec![running.id()]));
    assert_eq!(lock_holders(open_read(&path)), [running.id()]);
    running.kill().unwrap();
    running.wait().unwrap();
    let _claim = open_write(&path).unwrap();
    let output = qemu("write 0 512").output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("lock"), "{message}");
}

#[test]
fn an_image_attached_to_a_loop_device_is_named_with_the_device() {
    let (_dir, path, _) = image();
    let Some(device) = LoopDevice::attach(&path, &[]) else {
        return;
    };
    let link = path.with_file_name("same.img");
    fs::hard_link(&path, &link).unwrap();
    match open_write(&link).unwrap_err() {
        MediumError::AttachedToLoop { loop_device, .. } => assert_eq!(loop_device, device.node()),
        other => panic!("{other}"),
    }
    open_read(&path).unwrap();
}

#[test]
fn what_is_no_image_is_refused_for_what_it_is() {
    let (dir, path, bytes) = image();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("empty"), "").unwrap();
    fs::write(at("stick.gz"), b"\x1f\x8b\x08\0\0\0\0\0").unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(at("pipe"))
            .status()
            .unwrap()
            .success()
    );
    type Expected = fn(&MediumError) -> bool;
    let cases: [(PathBuf, ErrorKind, Expected); 7] = [
        (at("absent"), ErrorKind::Usage, |e| {
            matches!(e, MediumError::NotFound { .. })
        }),
        (path.join("below"), ErrorKind::Usage, |e| {
            matches!(e, MediumError::NotFound { .. })
        }),
        (dir.path().into(), ErrorKind::Usage, |e| {
            matches!(e, MediumError::IsDirectory { .. })
        }),
        (at("pipe"), ErrorKind::Usage, |e| {
            matches!(
                e,
                MediumError::NotRegular {
                    what: "named pipe",
                    ..
                }
            )
        }),
        ("/dev/null".into(), ErrorKind::Usage, |e| {
            matches!(
                e,
                MediumError::NotRegular {
                    what: "character device",
                    ..
                }
            )
        }),
        (at("empty"), ErrorKind::Damaged, |e| {
            matches!(e, MediumError::Empty { .. })
        }),
        (at("stick.gz"), ErrorKind::Unsupported, |e| {
            matches!(
                e,
                MediumError::Compressed {
                    format: ImageFormat::Gzip,
                    ..
                }
            )
        }),
    ];
    for (path, kind, expected) in cases {
        for error in [
            open_read(&path).unwrap_err(),
            open_write(&path).unwrap_err(),
        ] {
            assert!(expected(&error), "{error:?}");
            assert_eq!(error.kind(), kind, "{error}");
        }
    }
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_file_nobody_may_write_is_read_only_for_root_too() {
    let (_dir, path, _) = image();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    let error = open_write(&path).unwrap_err();
    let why = ReadOnlyReason::NoWritePermission;
    assert!(
        matches!(error, MediumError::ReadOnly { why: found, .. } if found == why),
        "{error}"
    );
    open_read(&path).unwrap();
}

#[test]
fn an_image_on_a_file_system_mounted_read_only_is_read_only() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_mounted) = Mounted::mount(&["-t", "tmpfs", "tmpfs"], dir.path()) else {
        return;
    };
    let path = dir.path().join("stick.img");
    fs::write(&path, vec![1; 4096]).unwrap();
    let remount = ["-o", "remount,ro"];
    assert!(
        Command::new("mount")
            .args(remount)
            .arg(dir.path())
            .status()
            .unwrap()
            .success()
    );
    let error = open_write(&path).unwrap_err();
    let why = ReadOnlyReason::FileSystem;
    assert!(
        matches!(error, MediumError::ReadOnly { why: found, .. } if found == why),
        "{error}"
    );
}

#[test]
fn an_immutable_image_is_read_only() {
    let (_dir, path, _) = image();
    let chattr = |flag| {
        let status = Command::new("chattr")
            .arg(flag)
            .arg(&path)
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    };
    if !chattr("+i") {
        skipped("no right or no way to make a file immutable here");
        return;
    }
    let opened = open_write(&path);
    assert!(chattr("-i"));
    let why = ReadOnlyReason::Immutable;
    let error = opened.unwrap_err();
    assert!(
        matches!(error, MediumError::ReadOnly { why: found, .. } if found == why),
        "{error}"
    );
}

#[test]
fn an_unreadable_image_says_whom_its_permissions_do_allow() {
    let (_dir, path, _) = image();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o200)).unwrap();
    match open_read(&path) {
        Ok(_) => skipped("root may read everything"),
        Err(MediumError::PermissionDenied { access, node, .. }) => {
            assert_eq!((access, node.unwrap().mode), (Access::Read, 0o200));
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn one_file_by_two_names_has_one_identity() {
    let (dir, path, _) = image();
    let at = |name: &str| dir.path().join(name);
    fs::hard_link(&path, at("hard.img")).unwrap();
    symlink(&path, at("soft.img")).unwrap();
    fs::copy(&path, at("copy.img")).unwrap();
    let of = |path: &Path| Identity::of(path, &Host::default()).unwrap();
    let identity = of(&path);
    assert_eq!(of(&at("hard.img")), identity);
    assert_eq!(of(&at("soft.img")), identity);
    assert_ne!(of(&at("copy.img")), identity);
    assert_eq!(open_read(&at("soft.img")).unwrap().identity(), identity);
}
