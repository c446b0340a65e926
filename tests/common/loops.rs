//! Loop devices and small mounts for tests, taken down again whatever the test does.
//!
//! Both need root. Without it, or where the kernel has none, the constructors say so on
//! standard error and give `None`, and the test is over.

use crate::skipping::skipped;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Of two losetup that look for a free device at once both open the same one, and the later holds
/// it open for a moment although the earlier has it: "in use", to whoever looks then.
static ATTACHING: Mutex<()> = Mutex::new(());

fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

fn is_root() -> bool {
    run("id", &["-u"]).as_deref() == Ok("0")
}

/// A file attached as a disk until dropped.
pub(crate) struct LoopDevice {
    node: PathBuf,
}

impl LoopDevice {
    /// Attaches a file; `options` are those of losetup.
    pub(crate) fn attach(file: &Path, options: &[&str]) -> Option<Self> {
        if !is_root() {
            skipped("loop devices need root");
            return None;
        }
        let file = file.to_str().unwrap();
        let arguments = [&["--find", "--show"], options, &[file]].concat();
        let one_at_a_time = ATTACHING.lock().unwrap_or_else(PoisonError::into_inner);
        let attached = run("losetup", &arguments);
        drop(one_at_a_time);
        match attached {
            Ok(node) => Some(LoopDevice { node: node.into() }),
            Err(error) => {
                skipped(format!("no loop device: {error}"));
                None
            }
        }
    }

    /// Attaches a file as the device of this number, which no `attach` takes by itself if it is high.
    #[allow(dead_code, reason = "shared; not all of it is used everywhere")]
    pub(crate) fn attach_as(number: u32, file: &Path) -> Option<Self> {
        if !is_root() {
            skipped("loop devices need root");
            return None;
        }
        let node = format!("/dev/loop{number}");
        match run("losetup", &[&node, file.to_str().unwrap()]) {
            Ok(_) => Some(LoopDevice { node: node.into() }),
            Err(error) => {
                skipped(format!("no loop device: {error}"));
                None
            }
        }
    }

    /// The device node.
    pub(crate) fn node(&self) -> &Path {
        &self.node
    }

    /// The node of one of its partitions, once it is there. The device has to be attached with
    /// `--partscan`, which also takes the partitions away again.
    pub(crate) fn partition(&self, number: u32) -> PathBuf {
        let node = PathBuf::from(format!("{}p{number}", self.node.display()));
        if !node.exists() {
            // A kernel built without this kind of partition table: partx reads it instead.
            let _ = run("partx", &["--add", self.node.to_str().unwrap()]);
        }
        for _ in 0..100 {
            if node.exists() {
                return node;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("{} never appeared", node.display());
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        if let Err(error) = run("losetup", &["--detach", self.node.to_str().unwrap()]) {
            eprintln!("{} stays attached: {error}", self.node.display());
        }
    }
}

/// A file system mounted until dropped.
pub(crate) struct Mounted {
    point: PathBuf,
}

impl Mounted {
    /// Mounts with the arguments of mount(8) that come before the mount point.
    pub(crate) fn mount(arguments: &[&str], point: &Path) -> Option<Self> {
        if !is_root() {
            skipped("mounting needs root");
            return None;
        }
        let arguments = [arguments, &[point.to_str().unwrap()]].concat();
        match run("mount", &arguments) {
            Ok(_) => Some(Mounted {
                point: point.to_owned(),
            }),
            Err(error) => {
                skipped(format!("cannot mount: {error}"));
                None
            }
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(error) = run("umount", &[self.point.to_str().unwrap()]) {
            eprintln!("{} stays mounted: {error}", self.point.display());
        }
    }
}
