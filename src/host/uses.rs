//! What keeps a disk busy, and which disks the running system stands on.

use super::disks::is_partition;
use super::{DeviceNumber, Host, Mount, Process, entries, node_of, number_in, value_of};
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// Mount points without which the running system falls over.
const SYSTEM_MOUNT_POINTS: [&str; 6] = ["/", "/usr", "/var", "/boot", "/boot/efi", "/efi"];

/// One thing that keeps a disk, or a part of it, busy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Use {
    /// Mounted as a file system.
    Mounted {
        /// The node that is mounted.
        node: PathBuf,
        /// Where.
        mount_point: PathBuf,
    },
    /// Swapped to.
    Swap {
        /// The node that is swapped to.
        node: PathBuf,
    },
    /// Part of a device-mapper device: LVM, LUKS, multipath.
    DeviceMapper {
        /// The node that is taken.
        node: PathBuf,
        /// Name of the mapping.
        name: String,
    },
    /// Part of a software RAID.
    Raid {
        /// The node that is taken.
        node: PathBuf,
        /// Node of the array.
        array: PathBuf,
    },
    /// Attached to a loop device.
    Loop {
        /// The node that is attached.
        node: PathBuf,
        /// Node of the loop device.
        loop_device: PathBuf,
    },
    /// Claimed by another kernel driver.
    Holder {
        /// The node that is taken.
        node: PathBuf,
        /// Node of what has taken it.
        holder: PathBuf,
    },
    /// Open in a process.
    Open {
        /// Who has it open.
        process: Process,
    },
}

/// What ends a use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FreedBy<'u> {
    /// To unmount this node.
    Unmount(&'u Path),
    /// To swap to this node no more.
    SwapOff(&'u Path),
    /// To remove the device-mapper device of this name.
    RemoveMapping(&'u str),
    /// To stop the RAID with this node.
    StopRaid(&'u Path),
    /// To detach the loop device with this node.
    DetachLoop(&'u Path),
}

impl Use {
    /// What ends this use, where one thing always does.
    pub fn freed_by(&self) -> Option<FreedBy<'_>> {
        match self {
            Use::Mounted { node, .. } => Some(FreedBy::Unmount(node)),
            Use::Swap { node } => Some(FreedBy::SwapOff(node)),
            Use::DeviceMapper { name, .. } => Some(FreedBy::RemoveMapping(name)),
            Use::Raid { array, .. } => Some(FreedBy::StopRaid(array)),
            Use::Loop { loop_device, .. } => Some(FreedBy::DetachLoop(loop_device)),
            Use::Holder { .. } | Use::Open { .. } => None,
        }
    }
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Use::Mounted { node, mount_point } => {
                write!(
                    f,
                    "{} is mounted at {}",
                    node.display(),
                    mount_point.display()
                )
            }
            Use::Swap { node } => write!(f, "{} is used as swap", node.display()),
            Use::DeviceMapper { node, name } => {
                write!(
                    f,
                    "{} is part of the device-mapper device {name}",
                    node.display()
                )
            }
            Use::Raid { node, array } => {
                write!(
                    f,
                    "{} is part of the RAID {}",
                    node.display(),
                    array.display()
                )
            }
            Use::Loop { node, loop_device } => {
                write!(
                    f,
                    "{} is attached to {}",
                    node.display(),
                    loop_device.display()
                )
            }
            Use::Holder { node, holder } => {
                write!(f, "{} is claimed by {}", node.display(), holder.display())
            }
            Use::Open { process } => write!(f, "it is open in {process}"),
        }
    }
}

impl Host {
    /// What keeps a disk and its partitions busy, what must end first coming first: a mounted
    /// mapping before the mapping.
    pub fn uses_of(&self, disk: DeviceNumber) -> Vec<Use> {
        let mut search = Search::new(self);
        search.add_uses_of_disk(disk);
        search.found
    }

    /// Processes that have the disk's node, or that of a partition, open.
    pub fn openers_of(&self, disk: DeviceNumber) -> Vec<Use> {
        let dir = self.sysfs_dir(disk);
        let mut nodes: Vec<PathBuf> = dir.iter().map(|dir| node_of(dir)).collect();
        let partitions = self.partitions(disk).into_iter();
        nodes.extend(partitions.map(|partition| partition.node));
        let processes = self.processes_with_open(&nodes).into_iter();
        processes.map(|process| Use::Open { process }).collect()
    }

    /// The loop device a file is attached to, found by what the file is and not by its name.
    pub fn loop_device_of(&self, is_the_file: impl Fn(&Path) -> bool) -> Option<PathBuf> {
        let attached = |(_, path): &(PathBuf, PathBuf)| is_the_file(&self.below_root(path));
        let found = self.loops().into_iter().find(attached);
        found.map(|(node, _)| node)
    }

    /// The file that a loop device is all of, from the first byte to the last; `None` for another
    /// device, and for one that is a part of a file.
    pub fn file_of_loop(&self, number: DeviceNumber) -> Option<PathBuf> {
        let dir = self.sysfs_dir(number)?.join("loop");
        let whole = |name: &str| value_of(&dir.join(name)).is_some_and(|value| value == "0");
        if !(whole("offset") && whole("sizelimit")) {
            return None;
        }
        value_of(&dir.join("backing_file")).map(PathBuf::from)
    }

    /// Mount points and swap of the running system that lie on a disk: where there are any,
    /// it must not be written, whatever the kernel would allow.
    pub fn system_uses_of(&self, disk: DeviceNumber) -> Vec<PathBuf> {
        let mounts = self.mounts();
        let points = SYSTEM_MOUNT_POINTS.map(Path::new);
        let system = mounts
            .iter()
            .filter(|mount| points.contains(&mount.mount_point.as_path()));
        let mut uses: Vec<PathBuf> = system
            .filter(|mount| self.disks_behind(mount).contains(&disk))
            .map(|mount| mount.mount_point.clone())
            .collect();
        let swaps = self.swaps().into_iter();
        uses.extend(swaps.filter(|path| self.disks_behind_path(path).contains(&disk)));
        uses
    }

    /// Every device a mount stands on, through partitions, mappings, arrays, loop devices and
    /// overlays, down to whole disks.
    pub fn disks_behind(&self, mount: &Mount) -> BTreeSet<DeviceNumber> {
        let mut search = Search::new(self);
        search.add_mount(mount);
        search.devices
    }

    /// As [`Host::disks_behind`], for a device node or a file that need not exist yet, by an
    /// absolute path free of links.
    pub fn disks_behind_path(&self, path: &Path) -> BTreeSet<DeviceNumber> {
        let mut search = Search::new(self);
        match self.number_of_node(path) {
            Some(number) => search.add_device(number),
            None => search.add_path(path),
        }
        search.devices
    }

    /// Loop devices in use: node, and the path of what is attached.
    fn loops(&self) -> Vec<(PathBuf, PathBuf)> {
        let devices = entries(&self.below_root("/sys/block")).into_values();
        devices
            .filter_map(|dir| {
                let backing = value_of(&dir.join("loop/backing_file"))?;
                let backing = backing.strip_suffix(" (deleted)").unwrap_or(&backing);
                Some((node_of(&dir), PathBuf::from(backing)))
            })
            .collect()
    }

    /// All members of the btrfs that `number` is a member of.
    fn btrfs_members(&self, number: DeviceNumber) -> Vec<DeviceNumber> {
        let file_systems = entries(&self.below_root("/sys/fs/btrfs")).into_values();
        file_systems
            .map(|dir| entries(&dir.join("devices")).into_values())
            .map(|members| members.filter_map(|dir| number_in(&dir)).collect())
            .find(|members: &Vec<_>| members.contains(&number))
            .unwrap_or_default()
    }
}

/// A walk up or down the stack of devices; each device and mount is visited once, so that no
/// table, however odd, makes it endless.
struct Search<'h> {
    host: &'h Host,
    mounts: Vec<Mount>,
    swaps: Vec<PathBuf>,
    seen_mounts: BTreeSet<u32>,
    devices: BTreeSet<DeviceNumber>,
    found: Vec<Use>,
}

impl<'h> Search<'h> {
    fn new(host: &'h Host) -> Self {
        Search {
            host,
            mounts: host.mounts(),
            swaps: host.swaps(),
            seen_mounts: BTreeSet::new(),
            devices: BTreeSet::new(),
            found: Vec::new(),
        }
    }

    /// Upwards: what stands on this disk and its partitions.
    fn add_uses_of_disk(&mut self, disk: DeviceNumber) {
        self.add_uses(disk);
        for partition in self.host.partitions(disk) {
            self.add_uses(partition.device);
        }
    }

    /// Upwards: what stands on this device.
    fn add_uses(&mut self, number: DeviceNumber) {
        let Some(dir) = self.host.sysfs_dir(number) else {
            return;
        };
        if !self.devices.insert(number) {
            return;
        }
        let node = node_of(&dir);
        for holder in entries(&dir.join("holders")).into_values() {
            if let Some(above) = number_in(&holder) {
                self.add_uses(above);
            }
            self.found.push(holder_use(node.clone(), &holder));
        }
        for mount in &self.mounts {
            if mount.device == number || self.is_source(mount, number) {
                self.found.push(Use::Mounted {
                    node: node.clone(),
                    mount_point: mount.mount_point.clone(),
                });
            }
        }
        let is_this = |path: &PathBuf| self.host.number_of_node(path) == Some(number);
        if self.swaps.iter().any(is_this) {
            self.found.push(Use::Swap { node: node.clone() });
        }
        let loops = self.host.loops().into_iter();
        let attached = loops.filter(|(_, backing)| is_this(backing));
        for (loop_device, _) in attached.collect::<Vec<_>>() {
            if let Some(above) = self.host.number_of_node(&loop_device) {
                self.add_uses_of_disk(above);
            }
            self.found.push(Use::Loop {
                node: node.clone(),
                loop_device,
            });
        }
    }

    /// Whether a mount whose device number is made up was mounted from this device.
    fn is_source(&self, mount: &Mount, number: DeviceNumber) -> bool {
        mount.device.major == 0
            && mount.source.starts_with("/dev/")
            && self.host.number_of_node(Path::new(&mount.source)) == Some(number)
    }

    /// Downwards: what this device stands on.
    fn add_device(&mut self, number: DeviceNumber) {
        let Some(dir) = self.host.sysfs_dir(number) else {
            return;
        };
        if !self.devices.insert(number) {
            return;
        }
        if is_partition(&dir)
            && let Some(disk) = dir.parent().and_then(number_in)
        {
            self.add_device(disk);
        }
        for slave in entries(&dir.join("slaves")).into_values() {
            if let Some(below) = number_in(&slave) {
                self.add_device(below);
            }
        }
        if let Some(backing) = value_of(&dir.join("loop/backing_file")) {
            match self.host.number_of_node(Path::new(&backing)) {
                Some(below) => self.add_device(below),
                None => self.add_path(Path::new(&backing)),
            }
        }
        for member in self.host.btrfs_members(number) {
            self.add_device(member);
        }
    }

    fn add_path(&mut self, path: &Path) {
        if let Some(mount) = self.host.mount_of(path) {
            self.add_mount(&mount);
        }
    }

    fn add_mount(&mut self, mount: &Mount) {
        if !self.seen_mounts.insert(mount.id) {
            return;
        }
        self.add_device(mount.device);
        if mount.source.starts_with("/dev/")
            && let Some(source) = self.host.number_of_node(Path::new(&mount.source))
        {
            self.add_device(source);
        }
        let layers = ["lowerdir", "upperdir"].map(|name| mount.option(name).unwrap_or_default());
        for layer in layers.iter().flat_map(|paths| paths.split(':')) {
            if layer.starts_with('/') {
                self.add_path(Path::new(layer));
            }
        }
    }
}

fn holder_use(node: PathBuf, link: &Path) -> Use {
    let dir = fs::canonicalize(link).unwrap_or_else(|_| link.to_owned());
    if let Some(name) = value_of(&dir.join("dm/name")) {
        return Use::DeviceMapper { node, name };
    }
    let holder = node_of(&dir);
    if dir.join("md").exists() {
        return Use::Raid {
            node,
            array: holder,
        };
    }
    Use::Holder { node, holder }
}
