//! Made-up machines: small sysfs and procfs trees in a temporary directory.

use super::*;
use std::os::unix::fs::symlink;
use tempfile::TempDir;

struct Machine {
    dir: TempDir,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let machine = Machine { dir };
        for directory in ["sys/block", "sys/class/block", "sys/dev/block", "proc/self"] {
            fs::create_dir_all(machine.path(directory)).unwrap();
        }
        machine
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    fn file(&self, relative: &str, content: &str) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// A whole disk below `bus`, with the links the kernel makes. Returns its directory.
    fn disk(&self, bus: &str, name: &str, number: &str, mebibytes: u64) -> String {
        let dir = format!("sys/devices/{bus}/block/{name}");
        self.file(&format!("{dir}/dev"), &format!("{number}\n"));
        self.file(&format!("{dir}/size"), &format!("{}\n", mebibytes * 2048));
        self.link(&format!("sys/block/{name}"), &dir);
        self.node_links(&dir, name, number);
        dir
    }

    fn partition(&self, disk: &str, name: &str, index: u32, number: &str) -> String {
        let dir = format!("{disk}/{name}");
        self.file(&format!("{dir}/dev"), &format!("{number}\n"));
        self.file(&format!("{dir}/partition"), &format!("{index}\n"));
        self.node_links(&dir, name, number);
        dir
    }

    fn node_links(&self, dir: &str, name: &str, number: &str) {
        self.link(&format!("sys/class/block/{name}"), dir);
        self.link(&format!("sys/dev/block/{number}"), dir);
    }

    /// `above` is built on `below`, both directories.
    fn stacked(&self, below: &str, above: &str) {
        let name = |dir: &str| dir.rsplit('/').next().unwrap().to_owned();
        self.link(&format!("{below}/holders/{}", name(above)), above);
        self.link(&format!("{above}/slaves/{}", name(below)), below);
    }

    fn link(&self, at: &str, to: &str) {
        let at = self.path(at);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        symlink(self.path(to), at).unwrap();
    }

    fn mounts(&self, lines: &[&str]) {
        self.file("proc/self/mountinfo", &(lines.join("\n") + "\n"));
    }

    fn host(&self) -> Host {
        Host::new(self.dir.path())
    }
}

fn number(text: &str) -> DeviceNumber {
    DeviceNumber::parse(text).unwrap()
}

/// A stick `sdb` with a partition, and an internal disk `sda` with two.
fn stick_and_disk() -> Machine {
    let machine = Machine::new();
    let stick = machine.disk(
        "usb1/1-2/1-2:1.0/host6/target6:0:0/6:0:0:0",
        "sdb",
        "8:16",
        8000,
    );
    machine.file("sys/devices/usb1/1-2/idVendor", "0781\n");
    machine.file("sys/devices/usb1/1-2/serial", "4C530001\n");
    machine.file(&format!("{stick}/removable"), "1\n");
    machine.file(&format!("{stick}/ro"), "0\n");
    machine.file(&format!("{stick}/device/model"), "Cruzer Fit      \n");
    machine.file(&format!("{stick}/queue/write_cache"), "write through\n");
    machine.file(&format!("{stick}/queue/logical_block_size"), "512\n");
    machine.file(&format!("{stick}/queue/physical_block_size"), "4096\n");
    machine.partition(&stick, "sdb5", 5, "8:21");
    let disk = machine.disk("pci0/ata1", "sda", "8:0", 500_000);
    machine.partition(&disk, "sda1", 1, "8:1");
    machine.partition(&disk, "sda2", 2, "8:2");
    machine
}

#[test]
fn a_disk_is_described_by_its_sysfs_files() {
    let disk = stick_and_disk().host().disk(number("8:16")).unwrap();
    assert_eq!(disk.node, Path::new("/dev/sdb"));
    assert_eq!(disk.size, 8000 << 20);
    assert_eq!(disk.model.as_deref(), Some("Cruzer Fit"));
    assert_eq!(disk.serial.as_deref(), Some("4C530001"));
    assert_eq!(disk.write_cache, Some(WriteCache::WriteThrough));
    assert_eq!(disk.logical_sector_size, Some(512));
    assert_eq!(disk.physical_sector_size, Some(4096));
    assert!(disk.removable && !disk.read_only);
}

#[test]
fn a_serial_number_in_a_scsi_page_is_found_behind_its_header() {
    let machine = Machine::new();
    let dir = machine.disk("pci0", "sdc", "8:32", 1);
    let page = machine.path(&format!("{dir}/device/vpd_pg80"));
    fs::create_dir_all(page.parent().unwrap()).unwrap();
    fs::write(page, b"\x00\x80\x00\x08  WX1234").unwrap();
    let disk = machine.host().disk(number("8:32")).unwrap();
    assert_eq!(disk.serial.as_deref(), Some("WX1234"));
}

#[test]
fn drives_without_a_medium_are_not_listed() {
    let machine = stick_and_disk();
    machine.disk("pci0/reader", "sdc", "8:32", 0);
    let names: Vec<String> = machine.host().disks().into_iter().map(|d| d.name).collect();
    assert_eq!(names, ["sda", "sdb"]);
}

#[test]
fn a_partition_leads_to_its_disk_and_a_disk_to_its_partitions() {
    let host = stick_and_disk().host();
    // The tree is gone by now: what cannot be read counts as not there.
    assert_eq!(host.disk_of_partition(number("8:21")), None);

    let machine = stick_and_disk();
    let host = machine.host();
    let disk = host.disk_of_partition(number("8:21")).unwrap();
    assert_eq!(disk.node, Path::new("/dev/sdb"));
    assert_eq!(host.disk_of_partition(number("8:16")), None);
    assert_eq!(host.disk(number("8:21")), None);
    let partitions = host.partitions(number("8:0"));
    let nodes: Vec<_> = partitions
        .iter()
        .map(|p| (p.number, p.node.to_str()))
        .collect();
    assert_eq!(nodes, [(1, Some("/dev/sda1")), (2, Some("/dev/sda2"))]);
}

#[test]
fn slashes_in_kernel_names_come_back() {
    let machine = Machine::new();
    machine.disk("pci0", "cciss!c0d0", "104:0", 10);
    let disk = machine.host().disk(number("104:0")).unwrap();
    assert_eq!(disk.node, Path::new("/dev/cciss/c0d0"));
}

#[test]
fn a_mounted_partition_keeps_its_disk_busy_and_says_how_to_free_it() {
    let machine = stick_and_disk();
    machine.mounts(&[
        "22 1 8:2 / / rw - ext4 /dev/sda2 rw",
        r"40 22 8:21 / /media/me/NO\040NAME rw,nosuid shared:3 master:1 - vfat /dev/sdb5 rw",
    ]);
    let uses = machine.host().uses_of(number("8:16"));
    let expected = Use::Mounted {
        node: "/dev/sdb5".into(),
        mount_point: "/media/me/NO NAME".into(),
    };
    assert_eq!(uses, [expected]);
    assert_eq!(
        uses[0].freed_by(),
        Some(FreedBy::Unmount(Path::new("/dev/sdb5")))
    );
}

#[test]
fn a_mount_on_an_encrypted_partition_is_named_before_the_mapping() {
    let machine = stick_and_disk();
    let crypt = machine.disk("virtual", "dm-0", "253:0", 10);
    machine.file(&format!("{crypt}/dm/name"), "luks-1\n");
    machine.stacked("sys/devices/pci0/ata1/block/sda/sda2", &crypt);
    machine.mounts(&["22 1 253:0 / /data rw - xfs /dev/mapper/luks-1 rw"]);
    let uses = machine.host().uses_of(number("8:0"));
    let releases: Vec<FreedBy<'_>> = uses.iter().filter_map(Use::freed_by).collect();
    assert_eq!(
        releases,
        [
            FreedBy::Unmount(Path::new("/dev/mapper/luks-1")),
            FreedBy::RemoveMapping("luks-1")
        ]
    );
}

#[test]
fn raid_swap_and_loop_devices_are_holders() {
    let machine = stick_and_disk();
    let raid = machine.disk("virtual", "md0", "9:0", 10);
    fs::create_dir_all(machine.path(&format!("{raid}/md"))).unwrap();
    machine.stacked("sys/devices/pci0/ata1/block/sda/sda1", &raid);
    machine.file(
        "proc/swaps",
        "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n",
    );
    let looped = machine.disk("virtual", "loop3", "7:3", 10);
    machine.file(&format!("{looped}/loop/backing_file"), "/dev/sdb\n");
    let host = machine.host();
    let words: Vec<String> = host
        .uses_of(number("8:0"))
        .iter()
        .map(Use::to_string)
        .collect();
    assert_eq!(
        words,
        [
            "/dev/sda1 is part of the RAID /dev/md0",
            "/dev/sda2 is used as swap"
        ]
    );
    let words: Vec<String> = host
        .uses_of(number("8:16"))
        .iter()
        .map(Use::to_string)
        .collect();
    assert_eq!(words, ["/dev/sdb is attached to /dev/loop3"]);
    // What is mounted through it has to be unmounted first.
    machine.mounts(&["22 1 7:3 / /data rw - xfs /dev/loop3 rw"]);
    let host = machine.host();
    let uses = host.uses_of(number("8:16"));
    let releases: Vec<FreedBy<'_>> = uses.iter().filter_map(Use::freed_by).collect();
    let loop3 = Path::new("/dev/loop3");
    assert_eq!(
        releases,
        [FreedBy::Unmount(loop3), FreedBy::DetachLoop(loop3)]
    );
}

#[test]
fn holders_that_hold_each_other_do_not_make_the_search_endless() {
    let machine = Machine::new();
    let one = machine.disk("virtual", "dm-0", "253:0", 1);
    let two = machine.disk("virtual", "dm-1", "253:1", 1);
    machine.stacked(&one, &two);
    machine.stacked(&two, &one);
    let host = machine.host();
    assert_eq!(host.uses_of(number("253:0")).len(), 2);
    assert_eq!(host.disks_behind_path(Path::new("/dev/dm-0")).len(), 2);
}

#[test]
fn the_disk_under_the_root_file_system_is_the_systems_whatever_lies_between() {
    // mount table, swap table, which disk, what of the system is on it
    let plain = "1 0 8:2 / / rw - ext4 /dev/sda2 rw";
    let cases: [(&str, &[&str], &str, &[&str]); 7] = [
        ("plain", &[plain], "8:0", &["/"]),
        ("the stick beside it", &[plain], "8:16", &[]),
        (
            "a boot partition",
            &[
                "1 0 0:9 / / rw - tmpfs none rw",
                "2 1 8:21 / /boot rw - vfat /dev/sdb5 rw",
            ],
            "8:16",
            &["/boot"],
        ),
        (
            "an ordinary mount",
            &[plain, "2 1 8:21 / /mnt rw - vfat /dev/sdb5 rw"],
            "8:16",
            &[],
        ),
        (
            "LVM on a partition",
            &["1 0 253:0 / / rw - xfs /dev/mapper/vg-root rw"],
            "8:0",
            &["/"],
        ),
        (
            "btrfs with a number of its own",
            &["1 0 0:33 /@ / rw - btrfs /dev/sda1 rw,subvol=/@"],
            "8:0",
            &["/"],
        ),
        (
            "a live system: overlay over squashfs in a file on the stick",
            &[
                "1 0 0:30 / / rw - overlay overlay rw,lowerdir=/run/base:/x,upperdir=/run/o/u",
                "2 1 7:0 / /run/base ro - squashfs /dev/loop0 ro",
                "3 1 8:21 / /run/live ro - vfat /dev/sdb5 ro",
                "4 1 0:31 / /run/o rw - tmpfs tmpfs rw",
            ],
            "8:16",
            &["/"],
        ),
    ];
    for (what, mounts, disk, holds) in cases {
        let machine = stick_and_disk();
        let volume = machine.disk("virtual", "dm-0", "253:0", 10);
        machine.file(&format!("{volume}/dm/name"), "vg-root\n");
        machine.stacked("sys/devices/pci0/ata1/block/sda/sda2", &volume);
        let looped = machine.disk("virtual", "loop0", "7:0", 10);
        machine.file(
            &format!("{looped}/loop/backing_file"),
            "/run/live/filesystem.squashfs\n",
        );
        machine.mounts(mounts);
        let found = machine.host().system_uses_of(number(disk));
        let holds: Vec<PathBuf> = holds.iter().map(PathBuf::from).collect();
        assert_eq!(found, holds, "{what}");
    }
}

#[test]
fn a_loop_device_over_all_of_a_file_is_that_file_and_over_a_part_is_not() {
    let machine = stick_and_disk();
    for (name, device, offset) in [("loop0", "7:0", "0\n"), ("loop1", "7:1", "512\n")] {
        let looped = machine.disk("virtual", name, device, 10);
        machine.file(&format!("{looped}/loop/backing_file"), "/images/a.img\n");
        machine.file(&format!("{looped}/loop/offset"), offset);
        machine.file(&format!("{looped}/loop/sizelimit"), "0\n");
    }
    let host = machine.host();
    let whole = Some(PathBuf::from("/images/a.img"));
    assert_eq!(host.file_of_loop(number("7:0")), whole);
    assert_eq!(host.file_of_loop(number("7:1")), None);
    assert_eq!(host.file_of_loop(number("8:0")), None);
}

#[test]
fn every_member_of_a_btrfs_is_the_systems() {
    let machine = stick_and_disk();
    let stick = "sys/devices/usb1/1-2/1-2:1.0/host6/target6:0:0/6:0:0:0/block/sdb/sdb5";
    machine.link("sys/fs/btrfs/uuid/devices/sdb5", stick);
    machine.link(
        "sys/fs/btrfs/uuid/devices/sda1",
        "sys/devices/pci0/ata1/block/sda/sda1",
    );
    machine.mounts(&["1 0 0:33 /@ / rw - btrfs /dev/sda1 rw"]);
    assert_eq!(
        machine.host().system_uses_of(number("8:16")),
        [Path::new("/")]
    );
}

#[test]
fn a_disk_that_is_swapped_to_is_the_systems() {
    let machine = stick_and_disk();
    machine.mounts(&["1 0 8:2 / / rw - ext4 /dev/sda2 rw"]);
    machine.file("proc/swaps", "Filename Type\n/dev/sdb5 partition 1 0 -2\n");
    let found = machine.host().system_uses_of(number("8:16"));
    assert_eq!(found, [Path::new("/dev/sdb5")]);
}

#[test]
fn a_live_systems_home_is_in_memory() {
    let machine = Machine::new();
    machine.mounts(&[
        "1 0 0:30 / / rw - overlay overlay rw,lowerdir=/run/base,upperdir=/run/o/u",
        "4 1 0:31 / /run/o rw - tmpfs tmpfs rw",
        "5 1 8:1 / /mnt rw - ext4 /dev/sda1 rw",
    ]);
    let host = machine.host();
    assert!(host.is_in_memory(Path::new("/root/.local/state")));
    assert!(host.is_in_memory(Path::new("/run/o/x")));
    assert!(!host.is_in_memory(Path::new("/mnt/undo")));
}

/// Ubuntu's: the writable layer was mounted in the initramfs, where nothing leads any more.
#[test]
fn a_live_systems_layer_that_cannot_be_seen_is_in_memory() {
    let machine = Machine::new();
    machine.mounts(&[
        "1 0 0:30 / / rw - overlay /cow rw,lowerdir=/layers/base,upperdir=/cow/upper",
        "5 1 8:1 / /mnt rw - ext4 /dev/sda1 rw",
    ]);
    let host = machine.host();
    assert!(host.is_in_memory(Path::new("/root/.local/state")));
    assert!(!host.is_in_memory(Path::new("/mnt/undo")));
}

#[test]
fn of_two_mounts_at_one_point_the_later_one_counts() {
    let machine = Machine::new();
    machine.mounts(&["1 0 8:1 / /a rw - ext4 x rw", "2 1 8:2 / /a rw - xfs y rw"]);
    let mount = machine.host().mount_of(Path::new("/a/b")).unwrap();
    assert_eq!((mount.id, mount.fs_type.as_str()), (2, "xfs"));
    assert_eq!(machine.host().mount_of(Path::new("/ab")), None);
}

#[test]
fn lines_that_make_no_sense_are_passed_over() {
    let machine = Machine::new();
    machine.mounts(&[
        "",
        "1",
        "x y z - a b",
        "1 0 8:1 /",
        r"7 0 8:1 / /\04 rw - ext4 x\ rw",
    ]);
    let mounts = machine.host().mounts();
    assert_eq!(mounts.len(), 1);
    assert_eq!(mounts[0].mount_point, Path::new(r"/\04"));
    machine.file(
        "proc/locks",
        "1:\n2: FLOCK ADVISORY\n3: POSIX ADVISORY WRITE 1 08:01 0 EOF\n",
    );
    assert_eq!(machine.host().locks_on(number("8:1"), 0), []);
}

#[test]
fn locks_of_all_kinds_are_told_apart() {
    let machine = Machine::new();
    machine.file(
        "proc/locks",
        "1: FLOCK  ADVISORY  WRITE 812 fe:00:77 0 EOF\n\
         1: -> FLOCK  ADVISORY  WRITE 813 fe:00:77 0 EOF\n\
         2: OFDLCK ADVISORY  READ -1 fe:00:77 100 101\n\
         3: POSIX  ADVISORY  READ 9 fe:00:78 0 5\n",
    );
    let locks = machine.host().locks_on(number("254:0"), 77);
    assert_eq!(locks.len(), 2);
    assert_eq!(locks[0].class, LockClass::Flock);
    assert_eq!(
        (locks[0].pid, locks[0].exclusive, locks[0].last),
        (Some(812), true, None)
    );
    assert_eq!(locks[1].class, LockClass::OpenFile);
    assert_eq!((locks[1].pid, locks[1].exclusive), (None, false));
    let covered: Vec<u64> = (98..104).filter(|&byte| locks[1].covers(byte)).collect();
    assert_eq!(covered, [100, 101]);
}

#[test]
fn a_process_with_the_node_open_is_named() {
    let machine = stick_and_disk();
    machine.file("proc/4711/comm", "blkid\n");
    fs::create_dir_all(machine.path("proc/4711/fd")).unwrap();
    symlink("/dev/sdb5", machine.path("proc/4711/fd/3")).unwrap();
    let uses = machine.host().openers_of(number("8:16"));
    let words: Vec<String> = uses.iter().map(Use::to_string).collect();
    assert_eq!(words, ["it is open in process 4711 (blkid)"]);
}

#[test]
fn open_files_are_looked_through_only_for_devices_and_files_that_are_locked() {
    let machine = stick_and_disk();
    let image = machine.path("stick.img");
    fs::write(&image, "image").unwrap();
    fs::create_dir_all(machine.path("proc/4711/fd")).unwrap();
    symlink(&image, machine.path("proc/4711/fd/3")).unwrap();
    let seen = || {
        let mut host = machine.host();
        host.note_open_files(std::slice::from_ref(&image));
        host.processes_with_open(std::slice::from_ref(&image)).len()
    };
    assert_eq!(seen(), 0, "nobody has it locked, so nobody is named");
    let file = fs::File::open(&image).unwrap();
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    assert_eq!(seen(), 1, "whoever has it alone");
    drop(file);
    let file = fs::File::open(&image).unwrap();
    let lock = nix::libc::flock {
        l_type: nix::libc::F_RDLCK.try_into().unwrap(),
        l_whence: nix::libc::SEEK_SET.try_into().unwrap(),
        l_start: 100,
        l_len: 2,
        l_pid: 0,
    };
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_OFD_SETLK(&lock)).unwrap();
    assert_eq!(seen(), 1, "a lock of QEMU's kind");
}

#[test]
fn a_group_has_the_name_it_has_in_the_group_file() {
    let machine = Machine::new();
    machine.file("etc/group", "root:x:0:\ndisk:x:6:me\n");
    assert_eq!(machine.host().group_name(6).as_deref(), Some("disk"));
    assert_eq!(machine.host().group_name(7), None);
}
