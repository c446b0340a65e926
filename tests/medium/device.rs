//! Whole disks, by way of loop devices: needs root, skipped with a line without it.

use crate::holder::Holder;
use crate::loops::{LoopDevice, Mounted};
use crate::skipping::skipped;
use crate::{open_read, open_write, pattern, while_children_start};
use bootbank::error::ErrorKind;
use bootbank::host::{FreedBy, Host, Use};
use bootbank::medium::{Identity, MediumError, ReadAt, ReadOnlyReason, TargetKind, WriteAt};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

const SIZE: usize = 4 << 20;

struct Disk {
    device: LoopDevice,
    file: PathBuf,
    bytes: Vec<u8>,
    _dir: TempDir,
}

fn disk(options: &[&str]) -> Option<Disk> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("disk");
    let bytes = pattern(SIZE);
    fs::write(&file, &bytes).unwrap();
    Some(Disk {
        device: LoopDevice::attach(&file, options)?,
        file,
        bytes,
        _dir: dir,
    })
}

/// A disk with one partition from sector 2048 on, known to the kernel.
fn partitioned() -> Option<Disk> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("disk");
    fs::write(&file, vec![0; 2 * SIZE]).unwrap();
    let status = Command::new("sgdisk")
        .args(["-n", "1:2048:0"])
        .arg(&file)
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success());
    let bytes = fs::read(&file).unwrap();
    Some(Disk {
        device: LoopDevice::attach(&file, &["--partscan"])?,
        file,
        bytes,
        _dir: dir,
    })
}

fn uses<T: std::fmt::Debug>(result: Result<T, MediumError>) -> Vec<Use> {
    match result.unwrap_err() {
        MediumError::Busy { uses, .. } => uses,
        other => panic!("{other}"),
    }
}

fn check_writes_reach_the_disk(sector: usize) {
    let size = sector.to_string();
    let Some(mut disk) = disk(&["--sector-size", &size]) else {
        return;
    };
    let target = open_write(disk.device.node()).unwrap();
    assert_eq!(target.kind(), TargetKind::Device);
    assert_eq!(target.logical_sector_size(), u32::try_from(sector).ok());
    assert_eq!(target.size(), SIZE as u64);
    assert!(target.device().unwrap().is_direct());

    // More than one transfer, from a place that is no multiple of anything but the sector.
    let change = pattern(3 << 20);
    let change = &change[..(2 << 20) + 3 * sector];
    let start = 5 * sector;
    target.write_at(change, start as u64).unwrap();
    target.sync().unwrap();
    let mut back = vec![0; change.len()];
    target.read_back(&mut back, start as u64).unwrap();
    assert!(back == change);

    let mut odd = vec![0; (1 << 20) + 77];
    target.read_at(&mut odd, 4095).unwrap();
    disk.bytes[start..start + change.len()].copy_from_slice(change);
    assert!(odd == disk.bytes[4095..4095 + odd.len()]);
    target.read_at(&mut odd[..9], SIZE as u64 - 9).unwrap();
    assert_eq!(odd[..9], disk.bytes[SIZE - 9..]);
    assert!(fs::read(&disk.file).unwrap() == disk.bytes);
}

#[test]
fn writes_reach_a_disk_of_512_byte_sectors_and_change_nothing_else() {
    check_writes_reach_the_disk(512);
}

#[test]
fn writes_reach_a_disk_of_4096_byte_sectors_and_change_nothing_else() {
    check_writes_reach_the_disk(4096);
}

#[test]
fn what_is_not_whole_sectors_or_past_the_end_is_not_written() {
    let Some(disk) = disk(&["--sector-size", "4096"]) else {
        return;
    };
    let target = open_write(disk.device.node()).unwrap();
    for (len, offset) in [(512, 0), (4096, 512), (4095, 4096)] {
        let error = target.write_at(&vec![1; len], offset).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
    let error = target.write_at(&[1; 4096], SIZE as u64).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    let error = target.read_at(&mut [0; 2], SIZE as u64 - 1).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    drop(target);
    assert!(fs::read(&disk.file).unwrap() == disk.bytes);
}

#[test]
fn whoever_has_a_disk_open_for_a_moment_only_is_waited_for() {
    let Some(disk) = disk(&[]) else { return };
    let script = "exec 3< \"$0\"; echo ready; exec sleep 0.1";
    let mut looker = Command::new("sh")
        .args(["-c", script])
        .arg(disk.device.node())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = [0; 6];
    io::Read::read_exact(looker.stdout.as_mut().unwrap(), &mut line).unwrap();
    let claimed = open_write(disk.device.node());
    assert!(looker.wait().unwrap().success());
    claimed.unwrap();
}

#[test]
#[ignore = "run by the test in main.rs in a process of its own"]
fn a_disk_is_claimed_while_this_process_starts_others() {
    let Some(disk) = disk(&[]) else { return };
    while_children_start(|| {
        for _ in 0..30 {
            drop(open_write(disk.device.node()).unwrap());
        }
    });
}

#[test]
fn reading_claims_nothing_and_writes_nothing() {
    let Some(disk) = disk(&[]) else { return };
    let reader = open_read(disk.device.node()).unwrap();
    let _second = open_read(disk.device.node()).unwrap();
    let _writer = open_write(disk.device.node()).unwrap();
    let mut buf = [0; 700];
    reader.read_at(&mut buf, 1000).unwrap();
    assert_eq!(buf, disk.bytes[1000..1700]);
    assert!(fs::read(&disk.file).unwrap() == disk.bytes);
}

#[test]
fn a_reader_sees_what_a_claimed_disk_was_given() {
    let Some(disk) = disk(&[]) else { return };
    let reader = open_read(disk.device.node()).unwrap();
    let mut sector = [0; 512];
    reader.read_at(&mut sector, 512).unwrap();
    let writer = open_write(disk.device.node()).unwrap();
    writer.write_at(&[7; 512], 512).unwrap();
    reader.read_at(&mut sector, 512).unwrap();
    assert_eq!(sector, [7; 512]);
}

#[test]
fn a_disk_is_claimed_once() {
    let Some(disk) = disk(&[]) else { return };
    let first = open_write(disk.device.node()).unwrap();
    assert_eq!(uses(open_write(disk.device.node())), []);
    drop(first);
    open_write(disk.device.node()).unwrap();
}

#[test]
fn a_disk_held_open_by_another_process_names_it() {
    let Some(disk) = disk(&[]) else { return };
    let node = disk.device.node().to_str().unwrap();
    let holder = Holder::python("f = os.open(path, os.O_RDWR | os.O_EXCL)", node);
    match &uses(open_write(disk.device.node()))[..] {
        [Use::Open { process }] => assert_eq!(process.pid, holder.pid()),
        other => panic!("{other:?}"),
    }
    open_read(disk.device.node()).unwrap();
    drop(holder);
    open_write(disk.device.node()).unwrap();
}

#[test]
fn a_disk_locked_as_udev_asks_tools_to_is_left_alone() {
    let Some(disk) = disk(&[]) else { return };
    let node = disk.device.node().to_str().unwrap();
    let holder = Holder::python("f = os.open(path, 0); fcntl.flock(f, fcntl.LOCK_EX)", node);
    match open_write(disk.device.node()).unwrap_err() {
        MediumError::Locked { by, .. } => assert_eq!(by[0].pid, holder.pid()),
        other => panic!("{other}"),
    }
}

#[test]
fn a_partition_node_is_refused_with_the_name_of_its_disk() {
    let Some(disk) = partitioned() else { return };
    let partition = disk.device.partition(1);
    for error in [
        open_read(&partition).unwrap_err(),
        open_write(&partition).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Usage);
        match error {
            MediumError::PartitionNode { disk: named, .. } => {
                assert_eq!(named, disk.device.node());
            }
            other => panic!("{other}"),
        }
    }
    let host = Host::default();
    let identity = Identity::of(&partition, &host).unwrap();
    assert_eq!(identity, Identity::of(disk.device.node(), &host).unwrap());
}

#[test]
fn a_disk_with_a_claimed_partition_is_busy() {
    let Some(disk) = partitioned() else { return };
    let partition = disk.device.partition(1);
    let statement = "f = os.open(path, os.O_RDWR | os.O_EXCL)";
    let holder = Holder::python(statement, partition.to_str().unwrap());
    match &uses(open_write(disk.device.node()))[..] {
        [Use::Open { process }] => assert_eq!(process.pid, holder.pid()),
        other => panic!("{other:?}"),
    }
    drop(holder);
    open_write(disk.device.node()).unwrap();
}

#[test]
fn a_disk_with_a_mounted_partition_names_mount_point_and_way_out() {
    let Some(disk) = partitioned() else { return };
    let partition = disk.device.partition(1);
    let mkfs = Command::new("mkfs.ext4")
        .args(["-q", "-F"])
        .arg(&partition)
        .status();
    assert!(mkfs.unwrap().success());
    let point = tempfile::tempdir().unwrap();
    let Some(_mounted) = Mounted::mount(&[partition.to_str().unwrap()], point.path()) else {
        return;
    };
    let before = fs::read(&disk.file).unwrap();
    let uses = uses(open_write(disk.device.node()));
    let expected = Use::Mounted {
        node: partition.clone(),
        mount_point: point.path().canonicalize().unwrap(),
    };
    assert_eq!(uses, [expected]);
    assert_eq!(uses[0].freed_by(), Some(FreedBy::Unmount(&partition)));
    assert!(fs::read(&disk.file).unwrap() == before);
    open_read(disk.device.node()).unwrap();
}

#[test]
fn a_write_protected_disk_is_known_before_anything_is_tried() {
    let Some(disk) = disk(&["--read-only"]) else {
        return;
    };
    let error = open_write(disk.device.node()).unwrap_err();
    let why = ReadOnlyReason::Device;
    assert!(
        matches!(error, MediumError::ReadOnly { why: found, .. } if found == why),
        "{error}"
    );
    open_read(disk.device.node()).unwrap();
}

#[test]
fn the_disk_of_the_running_system_is_refused() {
    let host = Host::default();
    let root = host.mount_of(Path::new("/")).unwrap();
    let disks: Vec<_> = host.disks_behind(&root).into_iter().collect();
    let Some(disk) = disks.into_iter().find_map(|number| host.disk(number)) else {
        skipped("the root file system here is on no disk");
        return;
    };
    if !disk.node.exists() {
        skipped(format!("no node for {}", disk.name));
        return;
    }
    match open_write(&disk.node).unwrap_err() {
        MediumError::SystemDisk { holds, .. } => assert!(holds.contains(&PathBuf::from("/"))),
        other => panic!("{other}"),
    }
}

#[test]
fn a_loop_device_without_a_file_is_empty() {
    let Some(disk) = disk(&[]) else { return };
    fs::File::options()
        .write(true)
        .open(&disk.file)
        .unwrap()
        .set_len(0)
        .unwrap();
    let resized = Command::new("losetup")
        .arg("--set-capacity")
        .arg(disk.device.node())
        .status();
    assert!(resized.unwrap().success());
    for error in [
        open_read(disk.device.node()).unwrap_err(),
        open_write(disk.device.node()).unwrap_err(),
    ] {
        assert!(matches!(error, MediumError::Empty { .. }));
    }
}

#[test]
fn a_failing_sector_is_an_error_and_not_a_lost_device() {
    let Some(disk) = disk(&[]) else { return };
    let name = format!("bootbank-test-{}", std::process::id());
    let node = disk.device.node().display();
    let table = format!("0 64 linear {node} 0\n64 8 error\n72 1000 linear {node} 72\n");
    let Some(mapping) = Mapping::create(&name, &table) else {
        return;
    };
    let target = open_write(&mapping.node()).unwrap();
    let mut sector = [0; 512];
    target.read_at(&mut sector, 63 * 512).unwrap();
    assert_eq!(sector, disk.bytes[63 * 512..64 * 512]);
    for error in [
        target.read_at(&mut sector, 64 * 512).unwrap_err(),
        target.read_back(&mut sector, 64 * 512).unwrap_err(),
        target.write_at(&[1; 512], 64 * 512).unwrap_err(),
    ] {
        assert_eq!(error.raw_os_error(), Some(5), "{error}");
    }
    // The loop device below is now part of the mapping, and says so.
    match &uses(open_write(disk.device.node()))[..] {
        [Use::DeviceMapper { name: found, .. }] => assert_eq!(*found, name),
        other => panic!("{other:?}"),
    }
}

/// A device-mapper device until dropped.
struct Mapping {
    name: String,
}

impl Mapping {
    fn create(name: &str, table: &str) -> Option<Self> {
        // Without a udev that answers, --noudevsync makes dmsetup make the node itself.
        let mut child = Command::new("dmsetup")
            .args(["create", "--noudevsync", "--noudevrules", name])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        io::Write::write_all(&mut child.stdin.take()?, table.as_bytes()).ok()?;
        if !child.wait().ok()?.success() {
            skipped("no device-mapper here");
            return None;
        }
        Some(Mapping { name: name.into() })
    }

    fn node(&self) -> PathBuf {
        Path::new("/dev/mapper").join(&self.name)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let arguments = ["remove", "--noudevsync", "--retry", &self.name];
        let _ = Command::new("dmsetup").args(arguments).status();
    }
}

/// Who runs [`as_another_user_write_the_sector_named_by_the_environment`].
const NOBODY: &str = "65534";
const NODE_VARIABLE: &str = "BOOTBANK_TEST_NODE";

#[test]
#[ignore = "run by the tests below as another user"]
fn as_another_user_write_the_sector_named_by_the_environment() {
    let node = PathBuf::from(std::env::var_os(NODE_VARIABLE).unwrap());
    let target = match open_write(&node) {
        Ok(target) => target,
        Err(MediumError::PermissionDenied { node, .. }) => {
            let node = node.unwrap();
            println!("denied: group {} mode {:o}", node.group, node.mode);
            return;
        }
        Err(other) => panic!("{other}"),
    };
    target.write_at(&[0x5A; 512], 1024).unwrap();
    target.sync().unwrap();
    let mut sector = [0; 512];
    target.read_back(&mut sector, 1024).unwrap();
    assert_eq!(sector, [0x5A; 512]);
    println!("written");
}

/// What the test above prints when run without any capability, as a member of `group` only.
fn as_nobody(node: &Path, group: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let program = dir.path().join("tests");
    // By another program: what this one has open for writing, its forked children have too, and
    // the kernel starts no program that somebody may write.
    let copied = Command::new("cp")
        .arg(std::env::current_exe().unwrap())
        .arg(&program)
        .status();
    assert!(copied.unwrap().success());
    let test = "device::as_another_user_write_the_sector_named_by_the_environment";
    let output = Command::new("setpriv")
        .args(["--reuid", NOBODY, "--regid", group, "--clear-groups"])
        .args(["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"])
        .arg(&program)
        .args(["--ignored", "--exact", "--nocapture", test])
        .env(NODE_VARIABLE, node)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn an_ordinary_user_needs_no_more_than_a_node_their_group_may_write() {
    let Some(mut disk) = disk(&[]) else { return };
    let node = disk.device.node();
    let before = fs::metadata(node).unwrap();
    let set = |group: u32, mode: u32| {
        std::os::unix::fs::chown(node, None, Some(group)).unwrap();
        fs::set_permissions(node, Permissions::from_mode(mode)).unwrap();
    };
    set(54_321, 0o660);
    let outsider = as_nobody(node, NOBODY);
    let member = as_nobody(node, "54321");
    set(before.gid(), before.mode() & 0o7777);
    assert!(
        outsider.contains("denied: group 54321 mode 660"),
        "{outsider}"
    );
    assert!(member.contains("written"), "{member}");
    disk.bytes[1024..1536].fill(0x5A);
    assert!(fs::read(&disk.file).unwrap() == disk.bytes);
}
