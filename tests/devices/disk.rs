//! Whole disks, by way of loop devices: what is refused leaves every byte, and says what to do.

use crate::holder::Holder;
use crate::loops::{LoopDevice, Mounted};
use crate::program::{Bench, Run, sha256, text};
use crate::skipping::skipped;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The number of the user `nobody`, who has no rights of their own.
const NOBODY: u32 = 65534;

pub(crate) struct Disk {
    pub(crate) bench: Bench,
    pub(crate) device: LoopDevice,
    pub(crate) image: PathBuf,
}

impl Disk {
    /// A bundled image attached with options of losetup; `None` where that cannot be.
    pub(crate) fn attach(image: &str, options: &[&str]) -> Option<Self> {
        let bench = Bench::new();
        let image = bench.bundled(image);
        Some(Disk {
            device: LoopDevice::attach(&image, options)?,
            bench,
            image,
        })
    }

    pub(crate) fn node(&self) -> &str {
        text(self.device.node())
    }

    fn run(&self, arguments: &[&str]) -> Run {
        self.bench.run(arguments)
    }

    /// The program run by a user who has no rights of their own.
    pub(crate) fn as_nobody(&self) -> impl Fn(&[&str]) -> Run {
        // Where the program was built others may have no business.
        let program = self.bench.path("bootbank");
        // By another process: what this one has open for writing a thread's child has open too.
        let copied = Command::new("cp")
            .arg(env!("CARGO_BIN_EXE_bootbank"))
            .arg(&program)
            .status();
        assert!(copied.unwrap().success());
        let home = self.bench.path("home");
        fs::create_dir(&home).unwrap();
        chown(&home, Some(NOBODY), Some(NOBODY)).unwrap();
        let above = program.parent().unwrap();
        fs::set_permissions(above, Permissions::from_mode(0o711)).unwrap();
        move |arguments| {
            let id = NOBODY.to_string();
            Command::new("setpriv")
                .args(["--reuid", &id, "--regid", &id, "--clear-groups"])
                .args(["--inh-caps=-all", "--bounding-set=-all", "--"])
                .arg(&program)
                .args(arguments)
                .env("XDG_STATE_HOME", &home)
                .stdin(Stdio::null())
                .output()
                .unwrap()
                .into()
        }
    }

    /// Runs the program, which must exit with `code` and leave every byte and no undo file.
    #[track_caller]
    pub(crate) fn refuses(&self, arguments: &[&str], code: i32) -> Run {
        let before = sha256(&self.image);
        let run = self.run(arguments).exits(code);
        assert_eq!(sha256(&self.image), before, "{run:#?}");
        assert_eq!(self.bench.undo_files().len(), 0, "{run:#?}");
        run
    }
}

fn change_and_undo(image: &str, options: &[&str], sector_size: u64) {
    let Some(disk) = Disk::attach(image, options) else {
        return;
    };
    let before = sha256(&disk.image);
    let info = disk.run(&["info", "--json", disk.node()]).exits(0).object();
    assert_eq!(info["sector_size"], sector_size);
    assert_eq!(info["size"], fs::metadata(&disk.image).unwrap().len());

    let asked = disk.refuses(&["fix", disk.node()], 2);
    asked
        .says("is a block device, but bootbank cannot ask before changing it")
        .says("-y");

    let changed = disk
        .run(&["fix", "-y", "--json", disk.node()])
        .exits(0)
        .object();
    assert_eq!(changed["outcome"], "changed");
    assert_ne!(sha256(&disk.image), before);
    disk.run(&["verify", disk.node()]).exits(0);
    disk.run(&["fix", "--check", disk.node()]).exits(0);
    let undo = changed["undo"].as_str().unwrap();
    disk.run(&["undo", undo]).exits(0).says("undone");
    assert_eq!(sha256(&disk.image), before);
}

#[test]
fn a_disk_of_512_byte_sectors_is_changed_when_told_to_and_undone() {
    change_and_undo("esxi67-fresh", &[], 512);
}

#[test]
fn a_disk_of_4096_byte_sectors_is_changed_when_told_to_and_undone() {
    change_and_undo("esxi67-4kn", &["-b", "4096"], 4096);
}

#[test]
fn an_image_for_other_sectors_than_the_disk_has_can_be_looked_into_as_the_hint_says() {
    let Some(disk) = Disk::attach("esxi67-4kn", &[]) else {
        return;
    };
    for command in [&["info"][..], &["fix", "-y"]] {
        let refused = disk.refuses(&[command, &[disk.node()]].concat(), 3);
        refused
            .says("read with sectors of 512 bytes")
            .says("losetup --sector-size 4096");
    }
    disk.run(&["info", text(&disk.image)]).exits(0);
    let Disk {
        bench,
        device,
        image,
    } = disk;
    drop(device);
    let device = LoopDevice::attach(&image, &["--sector-size", "4096"]).unwrap();
    bench.run(&["info", text(device.node())]).exits(0);
}

#[test]
fn a_disk_is_no_output_and_the_hint_leads_to_one() {
    let Some(disk) = Disk::attach("esxi67-fresh", &[]) else {
        return;
    };
    let source = disk.bench.path("source.img");
    fs::copy(&disk.image, &source).unwrap();
    for force in [&[][..], &["--force"]] {
        let arguments = [&["fix", "-o", disk.node(), text(&source)], force].concat();
        disk.refuses(&arguments, 2)
            .says("is a block device, and the output must be a file")
            .says(&format!("dd if=FILE of={}", disk.node()));
    }
    disk.refuses(&["get", disk.node(), "etc/hosts", "/dev/null"], 2)
        .says("is a character device, and the output must be a file")
        .says("- is standard output");
}

#[test]
fn a_device_named_by_its_address_needs_no_leave() {
    let Some(disk) = Disk::attach("esxi67-fresh", &[]) else {
        return;
    };
    disk.run(&["fix", "-d", "0000:00:14.0", disk.node()])
        .exits(0);
}

#[test]
fn info_says_what_the_kernel_believes_of_the_write_cache() {
    let Some(disk) = Disk::attach("esxi67-fresh", &[]) else {
        return;
    };
    let name = disk.device.node().file_name().unwrap();
    let setting = Path::new("/sys/block").join(name).join("queue/write_cache");
    for mode in ["write through", "write back"] {
        if fs::write(&setting, mode).is_err() {
            skipped(format!("{} takes no writes", setting.display()));
            return;
        }
        let info = disk.run(&["info", "--json", disk.node()]).exits(0);
        assert_eq!(info.object()["write_cache"], mode);
        let info = disk.run(&["info", "-v", disk.node()]).exits(0);
        assert!(
            info.stdout.contains(&format!("write cache: {mode}")),
            "{info:#?}"
        );
    }
    let image = disk.run(&["info", "--json", text(&disk.image)]).exits(0);
    assert_eq!(image.object().get("write_cache"), None);
}

#[test]
fn a_partition_given_by_mistake_is_answered_with_its_disk() {
    let Some(disk) = Disk::attach("esxi67-fresh", &["--partscan"]) else {
        return;
    };
    let partition = disk.device.partition(5);
    for command in [
        &["fix", "-y"][..],
        &["info"],
        &["verify"],
        &["reclaim", "-y"],
    ] {
        let arguments = [command, &[text(&partition)]].concat();
        let run = disk.refuses(&arguments, 2);
        run.says(&format!("is a partition of {}", disk.node()))
            .says(&format!("name the whole disk: {}", disk.node()));
    }
}

#[test]
fn a_mounted_partition_is_named_with_the_line_that_frees_it() {
    let Some(disk) = Disk::attach("esxi67-fresh", &["--partscan"]) else {
        return;
    };
    let partition = disk.device.partition(1);
    let mut made = Command::new("mke2fs");
    made.args(["-q", "-t", "ext2"]).arg(&partition);
    assert!(
        made.status()
            .expect("mke2fs is needed for this test")
            .success()
    );
    let point = disk.bench.path("mounted here");
    fs::create_dir(&point).unwrap();
    let Some(_mounted) = Mounted::mount(&["-o", "ro", text(&partition)], &point) else {
        return;
    };
    let run = disk.refuses(&["fix", "-y", disk.node()], 3);
    run.says(&format!(
        "{} is mounted at {}",
        partition.display(),
        point.display()
    ))
    // Only root can have mounted it here.
    .says(&format!("to free it: umount {}", partition.display()));
    // The undo file would be written to the very disk that is changed.
    let undo = point.join("x.undo");
    let run = disk.refuses(&["fix", "-y", "-z", text(&undo), disk.node()], 3);
    run.says("the undo file would be on this disk too")
        .says("-z FILE");
    // To look is allowed.
    disk.run(&["verify", disk.node()]).exits(0);
}

#[test]
fn a_mapped_partition_is_named_with_the_line_that_frees_it() {
    struct Mapping(String);
    impl Drop for Mapping {
        fn drop(&mut self) {
            let _ = Command::new("dmsetup").args(["remove", &self.0]).status();
        }
    }
    let Some(disk) = Disk::attach("esxi67-fresh", &["--partscan"]) else {
        return;
    };
    let name = format!("bootbank-test-{}", std::process::id());
    let table = format!("0 64 linear {} 0", disk.device.partition(7).display());
    let mut mapped = Command::new("dmsetup");
    mapped.args(["create", &name, "--table", &table]);
    let mapped = mapped.stderr(Stdio::null()).status();
    if !mapped.is_ok_and(|status| status.success()) {
        skipped("no device-mapper here");
        return;
    }
    let _mapping = Mapping(name.clone());
    let run = disk.refuses(&["fix", "-y", disk.node()], 3);
    run.says("device-mapper")
        .says(&format!("dmsetup remove {name}"));
}

#[test]
fn a_disk_another_process_has_claimed_is_refused_and_the_process_named() {
    let Some(disk) = Disk::attach("esxi67-fresh", &[]) else {
        return;
    };
    let holder = Holder::python("f = os.open(path, os.O_RDWR | os.O_EXCL)", disk.node());
    for command in ["fix", "reclaim"] {
        let run = disk.refuses(&[command, "-y", disk.node()], 3);
        run.says(&format!("open in process {} (python3)", holder.pid()))
            .says("close the program that has it open");
    }
}

#[test]
fn a_disk_locked_as_udev_does_is_refused_and_the_process_named() {
    let Some(disk) = Disk::attach("esxi67-fresh", &[]) else {
        return;
    };
    let statements = "f = os.open(path, os.O_RDONLY)\nfcntl.flock(f, fcntl.LOCK_EX)";
    let holder = Holder::python(statements, disk.node());
    let run = disk.refuses(&["fix", "-y", disk.node()], 3);
    run.says(&format!("locked by process {}", holder.pid()));
}

#[test]
fn a_write_protected_disk_is_recognised_before_planning() {
    let Some(disk) = Disk::attach("esxi67-fresh", &["--read-only"]) else {
        return;
    };
    let run = disk.refuses(&["fix", "-y", disk.node()], 3);
    assert_eq!(run.stdout, "", "nothing was planned");
    run.says("write-protected").says("-o FILE");
    let copy = disk.bench.path("copy.img");
    disk.run(&["fix", "-o", text(&copy), disk.node()]).exits(0);
    disk.run(&["verify", text(&copy)]).exits(0);
}

#[test]
fn an_image_attached_to_a_loop_device_is_refused_with_the_line_that_detaches_it() {
    let Some(disk) = Disk::attach("esxi67-fresh", &[]) else {
        return;
    };
    let run = disk.refuses(&["fix", text(&disk.image)], 3);
    run.says(&format!("is attached to {}", disk.node()))
        .says(&format!("to free it: losetup -d {}", disk.node()));
}

#[test]
fn an_image_another_program_works_on_is_refused_and_the_program_named() {
    let bench = Bench::new();
    let image = bench.bundled("esxi67-fresh");
    let before = sha256(&image);
    let flock = "f = os.open(path, os.O_RDWR)\nfcntl.flock(f, fcntl.LOCK_EX)";
    // The byte QEMU locks while it may write: type, whence, start, length, pid.
    let qemu = "f = os.open(path, os.O_RDWR)\n\
                lock = struct.pack('hhqqi', fcntl.F_RDLCK, 0, 101, 1, 0)\n\
                fcntl.fcntl(f, 37, lock)";
    for statements in [flock, qemu] {
        let holder = Holder::python(statements, text(&image));
        bench
            .run(&["fix", text(&image)])
            .exits(3)
            .says(&format!("locked by process {}", holder.pid()));
        assert_eq!(sha256(&image), before);
        assert_eq!(bench.undo_files().len(), 0);
    }
    bench.run(&["fix", text(&image)]).exits(0);
}

#[test]
fn an_ordinary_user_changes_and_undoes_a_disk_whose_group_they_are_in() {
    struct Rights<'n>(&'n Path, u32, u32);
    impl Drop for Rights<'_> {
        fn drop(&mut self) {
            let Rights(node, group, mode) = *self;
            let _ = chown(node, None, Some(group));
            let _ = fs::set_permissions(node, Permissions::from_mode(mode));
        }
    }
    let Some(disk) = Disk::attach("esxi67-fresh", &[]) else {
        return;
    };
    let before = sha256(&disk.image);
    let node = disk.device.node();
    let metadata = fs::metadata(node).unwrap();
    let _rights = Rights(node, metadata.gid(), metadata.mode());
    fs::set_permissions(node, Permissions::from_mode(0o660)).unwrap();

    let as_nobody = disk.as_nobody();
    let refused = as_nobody(&["fix", "-y", disk.node()]).exits(3);
    refused
        .says(&format!("no permission to write {}", disk.node()))
        .says("you need permission, not root");
    assert_eq!(sha256(&disk.image), before);

    chown(node, None, Some(NOBODY)).unwrap();
    let changed = as_nobody(&["fix", "-y", "--json", disk.node()])
        .exits(0)
        .object();
    assert_eq!(changed["outcome"], "changed");
    let undo = changed["undo"].as_str().unwrap();
    assert_eq!(fs::metadata(undo).unwrap().uid(), NOBODY);
    as_nobody(&["verify", disk.node()]).exits(0);
    as_nobody(&["undo", undo]).exits(0);
    assert_eq!(sha256(&disk.image), before);
}
