//! Patched copies: sparse, whole or not there at all.

use crate::loops::{LoopDevice, Mounted};
use crate::{open_read, open_write, pattern};
use bootbank::host::Host;
use bootbank::medium::{MediumError, OutputFile, ReadAt, SparseReads, WriteAt};
use std::fs::{self, File, Permissions};
use std::io::Read;
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const SIZE: u64 = (32 << 20) + 512;

fn go_on(_: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// A source with data at its start, in the middle and at its very end, and holes between.
fn sparse_source() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("source.img");
    let file = File::create(&path).unwrap();
    file.set_len(SIZE).unwrap();
    let data = pattern(70_000);
    for offset in [0, (10 << 20) + 1000, SIZE - 70_000] {
        file.write_all_at(&data, offset).unwrap();
    }
    (dir, path)
}

fn allocated(path: &Path) -> u64 {
    fs::metadata(path).unwrap().blocks() * 512
}

fn names_in(dir: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(dir.path()).unwrap();
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let mut names: Vec<String> = entries.map(|entry| name(entry.unwrap())).collect();
    names.sort();
    names
}

#[test]
fn a_copy_is_the_same_bytes_and_takes_no_more_room_than_its_data() {
    let (dir, source) = sparse_source();
    let full = dir.path().join("full.img");
    // The same image without holes, as `dd` leaves it.
    fs::write(&full, fs::read(&source).unwrap()).unwrap();
    for source in [&source, &full] {
        let target = dir.path().join("copy.img");
        let mut output = OutputFile::create(&target, true, 0o644).unwrap();
        let mut last = 0;
        let mut progress = |position| {
            assert!(position >= last);
            last = position;
            ControlFlow::Continue(())
        };
        output
            .fill_from(&open_read(source).unwrap(), &mut progress)
            .unwrap();
        assert_eq!(last, SIZE);
        output.publish().unwrap();
        assert!(fs::read(&target).unwrap() == fs::read(source).unwrap());
        assert!(allocated(&target) < 400 << 10, "{}", allocated(&target));
    }
}

#[test]
fn a_copy_of_a_claimed_image_and_of_a_disk_are_the_same_bytes() {
    let (dir, source) = sparse_source();
    let copy = |source: &bootbank::medium::Target, name: &str| {
        let path = dir.path().join(name);
        let mut output = OutputFile::create(&path, false, 0o644).unwrap();
        output.fill_from(source, &mut go_on).unwrap();
        output.publish().unwrap();
        assert!(allocated(&path) < 400 << 10);
        fs::read(&path).unwrap()
    };
    let bytes = fs::read(&source).unwrap();
    assert!(copy(&open_write(&source).unwrap(), "claimed.img") == bytes);
    if let Some(disk) = LoopDevice::attach(&source, &[]) {
        assert!(copy(&open_read(disk.node()).unwrap(), "read.img") == bytes);
        assert!(copy(&open_write(disk.node()).unwrap(), "disk.img") == bytes);
    }
}

#[test]
fn a_copy_is_patched_before_it_gets_its_name() {
    let (dir, source) = sparse_source();
    let target = dir.path().join("copy.img");
    let mut output = OutputFile::create(&target, false, 0o644).unwrap();
    output
        .fill_from(&open_read(&source).unwrap(), &mut go_on)
        .unwrap();
    output.write_at(&[9; 512], 1 << 20).unwrap();
    output.sync().unwrap();
    let mut sector = [0; 512];
    output.read_back(&mut sector, 1 << 20).unwrap();
    assert_eq!(sector, [9; 512]);
    assert!(output.write_at(&[9; 512], SIZE).is_err());
    assert!(!target.exists());
    output.publish().unwrap();
    let mut expected = fs::read(&source).unwrap();
    expected[1 << 20..(1 << 20) + 512].fill(9);
    assert!(fs::read(&target).unwrap() == expected);
    assert_eq!(names_in(&dir), ["copy.img", "source.img"]);
}

/// A reader that gives a few bytes at a time, as an unpacker may.
struct Slowly<'a>(&'a [u8]);

impl Read for Slowly<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let len = buf.len().min(7001);
        (&mut self.0).read(&mut buf[..len])
    }
}

#[test]
fn what_a_reader_gives_is_stored_with_holes_for_its_zeros() {
    let (dir, source) = sparse_source();
    let bytes = fs::read(&source).unwrap();
    for len in [0, 1, 4095, 4096, 1 << 20, (1 << 20) + 1, bytes.len()] {
        let target = dir.path().join("unpacked.img");
        let mut output = OutputFile::create(&target, true, 0o644).unwrap();
        let got = output
            .fill_from_reader(&mut Slowly(&bytes[..len]), &mut go_on)
            .unwrap();
        assert_eq!(got, len as u64);
        output.publish().unwrap();
        assert!(fs::read(&target).unwrap() == bytes[..len]);
        assert!(allocated(&target) < 400 << 10);
    }
}

#[test]
fn a_reader_that_fails_leaves_nothing_behind() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("crc mismatch"))
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let mut output = OutputFile::create(&dir.path().join("x.img"), false, 0o644).unwrap();
    let mut reader = Slowly(&[1; 9000]).chain(Broken);
    let error = output
        .fill_from_reader(&mut reader, &mut go_on)
        .unwrap_err();
    assert!(error.to_string().contains("crc mismatch"), "{error}");
    drop(output);
    assert_eq!(names_in(&dir), [""; 0]);
}

#[test]
fn an_existing_file_stays_unless_forced_and_until_the_copy_is_whole() {
    let (dir, source) = sparse_source();
    let target = dir.path().join("copy.img");
    fs::write(&target, "precious").unwrap();
    let refused = OutputFile::create(&target, false, 0o644).unwrap_err();
    assert!(matches!(refused, MediumError::Exists { .. }), "{refused}");
    let mut output = OutputFile::create(&target, true, 0o644).unwrap();
    output
        .fill_from(&open_read(&source).unwrap(), &mut go_on)
        .unwrap();
    assert_eq!(fs::read(&target).unwrap(), b"precious");
    output.publish().unwrap();
    assert!(fs::read(&target).unwrap() == fs::read(&source).unwrap());
}

#[test]
fn a_file_that_appears_meanwhile_is_not_replaced() {
    let (dir, source) = sparse_source();
    let target = dir.path().join("copy.img");
    let mut output = OutputFile::create(&target, false, 0o644).unwrap();
    output
        .fill_from(&open_read(&source).unwrap(), &mut go_on)
        .unwrap();
    fs::write(&target, "precious").unwrap();
    let error = output.publish().unwrap_err();
    assert!(matches!(error, MediumError::Exists { .. }), "{error}");
    assert_eq!(fs::read(&target).unwrap(), b"precious");
    assert_eq!(names_in(&dir), ["copy.img", "source.img"]);
}

#[test]
fn the_source_is_not_replaced_by_its_own_copy_under_any_name() {
    let (dir, source) = sparse_source();
    let before = fs::read(&source).unwrap();
    let link = dir.path().join("link.img");
    symlink(&source, &link).unwrap();
    for name in [&source, &link] {
        let mut output = OutputFile::create(name, true, 0o644).unwrap();
        let error = output
            .fill_from(&open_read(&source).unwrap(), &mut go_on)
            .unwrap_err();
        assert!(matches!(error, MediumError::SameFile { .. }), "{error}");
    }
    assert!(fs::read(&source).unwrap() == before);
    assert_eq!(names_in(&dir), ["link.img", "source.img"]);
}

#[test]
fn an_interrupted_copy_is_removed() {
    let (dir, source) = sparse_source();
    let mut output = OutputFile::create(&dir.path().join("copy.img"), false, 0o644).unwrap();
    let mut stop = |_| ControlFlow::Break(());
    let error = output
        .fill_from(&open_read(&source).unwrap(), &mut stop)
        .unwrap_err();
    assert!(matches!(error, MediumError::Interrupted { .. }), "{error}");
    drop(output);
    assert_eq!(names_in(&dir), ["source.img"]);
}

#[test]
fn a_copy_of_a_secret_image_is_secret() {
    let (dir, source) = sparse_source();
    fs::set_permissions(&source, Permissions::from_mode(0o600)).unwrap();
    let target = dir.path().join("copy.img");
    let mode = fs::metadata(&source).unwrap().mode();
    let mut output = OutputFile::create(&target, false, mode).unwrap();
    output
        .fill_from(&open_read(&source).unwrap(), &mut go_on)
        .unwrap();
    output.publish().unwrap();
    assert_eq!(fs::metadata(&target).unwrap().mode() & 0o7777, 0o600);
}

#[test]
fn a_full_file_system_is_named_and_nothing_is_left_on_it() {
    let (_dir, source) = sparse_source();
    let small = tempfile::tempdir().unwrap();
    let options = ["-t", "tmpfs", "-o", "size=128k", "tmpfs"];
    let Some(_mounted) = Mounted::mount(&options, small.path()) else {
        return;
    };
    let mut output = OutputFile::create(&small.path().join("copy.img"), false, 0o644).unwrap();
    let error = output
        .fill_from(&open_read(&source).unwrap(), &mut go_on)
        .unwrap_err();
    assert!(matches!(error, MediumError::NoSpace { .. }), "{error}");
    drop(output);
    assert_eq!(names_in(&small), [""; 0]);
}

#[test]
fn an_output_that_can_be_no_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    type Expected = fn(&MediumError) -> bool;
    let cases: [(PathBuf, Expected); 3] = [
        (dir.path().into(), |e| {
            matches!(e, MediumError::OutputIsDirectory { .. })
        }),
        ("/dev/null".into(), |e| {
            matches!(e, MediumError::OutputNotFile { .. })
        }),
        (dir.path().join("absent/copy.img"), |e| {
            matches!(e, MediumError::NoDirectory { .. })
        }),
    ];
    for (path, expected) in cases {
        let error = OutputFile::create(&path, true, 0o644).unwrap_err();
        assert!(expected(&error), "{error:?}");
    }
}

#[test]
fn what_is_complete_and_has_no_name_is_read_through_a_mapping_and_reads_the_same() {
    let (dir, source) = sparse_source();
    let name = dir.path().join("scratch");
    let mut output = OutputFile::create(&name, false, 0o600).unwrap();
    let mut packed = File::open(&source).unwrap();
    output.fill_from_reader(&mut packed, &mut go_on).unwrap();
    let unseen = output.has_no_name();
    let complete = output.complete();
    // In memory, holes would be filled by looking at them.
    if unseen && !Host::default().is_in_memory(dir.path()) {
        assert!(complete.is_mapped());
        assert!(names_in(&dir) == ["source.img"], "nobody can open it");
    }
    let bytes = fs::read(&source).unwrap();
    for (offset, len) in [
        (0, 4096),
        ((10 << 20) + 999, 70_002),
        (bytes.len() - 512, 512),
    ] {
        let mut buf = vec![1; len];
        complete.read_at(&mut buf, offset as u64).unwrap();
        assert!(buf == bytes[offset..offset + len]);
    }
    assert!(complete.read_at(&mut [0; 512], SIZE - 511).is_err());
    drop(complete);
    assert_eq!(names_in(&dir), ["source.img"]);
}

/// What another program cuts off while it is read is no hole: neither a copy nor a stream gets zeros for it.
#[test]
fn a_source_that_is_cut_off_meanwhile_is_an_error_and_no_zeros() {
    let cut = |path: &Path| {
        File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_len(1 << 20)
    };
    // Behind a hole, and behind data.
    for full in [false, true] {
        let (dir, path) = sparse_source();
        if full {
            fs::write(&path, fs::read(&path).unwrap()).unwrap();
        }
        let source = open_read(&path).unwrap();
        let mut output = OutputFile::create(&dir.path().join("copy.img"), false, 0o644).unwrap();
        let mut is_cut = false;
        let mut progress = |_| {
            if !is_cut {
                cut(&path).unwrap();
                is_cut = true;
            }
            ControlFlow::Continue(())
        };
        let error = output.fill_from(&source, &mut progress).unwrap_err();
        assert!(matches!(error, MediumError::Io { .. }), "{error}");
        drop(output);
        assert_eq!(names_in(&dir), ["source.img"]);
        let mut bytes = vec![1; 4096];
        let reads = SparseReads::new(&source);
        reads.read_at(&mut bytes, 8192).unwrap();
        assert!(reads.read_at(&mut bytes, 5 << 20).is_err());
    }
}
