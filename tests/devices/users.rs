//! Disks somebody else uses without a claim the kernel would honour: virtual machines, loop
//! devices on top, programs that have a node open. And what partition nodes keep in their caches.

use crate::disk::Disk;
use crate::holder::Holder;
use crate::loops::LoopDevice;
use crate::program::text;
use std::fs;
use std::os::unix::fs::FileExt as _;

/// `fix` must be refused, say so, and leave every byte.
#[track_caller]
fn refuses(disk: &Disk, says: &str) {
    disk.refuses(&["fix", "-y", disk.node()], 3).says(says);
}

#[test]
fn a_disk_a_virtual_machine_has_locked_is_refused() {
    let Some(disk) = Disk::attach("esxi67-fresh", &[]) else {
        return;
    };
    // The byte QEMU locks while it may write: type, whence, start, length, pid.
    let qemu = "f = os.open(path, os.O_RDWR)\n\
                lock = struct.pack('hhqqi', fcntl.F_RDLCK, 0, 101, 1, 0)\n\
                fcntl.fcntl(f, 37, lock)";
    let holder = Holder::python(qemu, disk.node());
    refuses(&disk, &format!("locked by process {}", holder.pid()));
}

#[test]
fn a_disk_under_a_loop_device_is_refused_with_the_line_that_detaches_it() {
    let Some(disk) = Disk::attach("esxi67-fresh", &[]) else {
        return;
    };
    let Some(above) = LoopDevice::attach(disk.device.node(), &["--offset", "4210688"]) else {
        return;
    };
    refuses(&disk, &format!("losetup -d {}", above.node().display()));
}

#[test]
fn a_disk_whose_partition_a_program_keeps_open_is_refused_and_the_program_named() {
    let Some(disk) = Disk::attach("esxi67-fresh", &["--partscan"]) else {
        return;
    };
    let partition = disk.device.partition(5);
    let holder = Holder::python("f = os.open(path, os.O_RDONLY)", text(&partition));
    refuses(
        &disk,
        &format!("open in process {} (python3)", holder.pid()),
    );
    drop(holder);
    disk.bench.run(&["fix", "-y", disk.node()]).exits(0);
}

/// Somebody wrote through a partition's node and the kernel has not written it out.
#[test]
fn what_a_partition_node_has_not_written_out_is_on_the_disk_before_it_is_read() {
    let Some(disk) = Disk::attach("esxi67-fresh", &["--partscan"]) else {
        return;
    };
    let partition = disk.device.partition(5);
    let node = fs::File::options()
        .read(true)
        .write(true)
        .open(&partition)
        .unwrap();
    // The time of the first entry of the root directory: behind both FATs.
    let mut boot = [0; 512];
    node.read_exact_at(&mut boot, 0).unwrap();
    let word = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
    let root = (word(14) + u64::from(boot[16]) * word(22)) * 512;
    node.write_all_at(&[0x42, 0x42], root + 22).unwrap();
    drop(node);
    disk.bench.run(&["fix", "-y", disk.node()]).exits(0);
    let image = fs::read(&disk.image).unwrap();
    let at = usize::try_from(4_210_688 + root + 22).unwrap();
    assert_eq!(image[at..at + 2], [0x42, 0x42]);
    disk.bench.run(&["verify", disk.node()]).exits(0);
}
