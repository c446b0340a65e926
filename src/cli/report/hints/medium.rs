//! What to do where a medium cannot be opened, or an output not be made.

use super::GONE;
use crate::cli::terminal::{quoted, quoted_path};
use crate::host::{FreedBy, Use};
use crate::medium::nbd::NbdError;
use crate::medium::virtual_disk::{DiskFormat, VirtualDiskError};
use crate::medium::{
    Access, ImageFormat, MediumError, NodePermissions, ReadOnlyReason, directory_of,
};
use crate::target::Kind;
use std::io;
use std::path::Path;

/// What to do where a file may not grow any more.
pub const FILE_TOO_LARGE: &str = "raise the limit for the size of files (ulimit -f unlimited), or choose a file system that holds files of that size";

/// Unmounts as an ordinary user.
const UDISKSCTL: &str = "udisksctl";

/// What to do about an error of a medium.
pub fn medium_hint(error: &MediumError) -> Option<String> {
    let text = match error {
        MediumError::PermissionDenied {
            path, access, node, ..
        } => permission_hint(path, *access, node.as_ref()),
        MediumError::ReadOnly { path, why } => read_only_hint(path, why),
        MediumError::Locked { .. } => {
            "wait for the other program, or stop it".to_owned()
        }
        MediumError::Busy { uses, .. } => busy_hint(uses),
        MediumError::AttachedToLoop { loop_device, .. } => {
            format!("to free it: {}losetup -d {}", sudo(), quoted_path(loop_device))
        }
        MediumError::PartitionNode { disk, .. } => {
            format!("name the whole disk: {}", disk.display())
        }
        MediumError::Compressed { format, path } => compressed_hint(*format, path),
        MediumError::Described { extent, .. } => {
            format!("it is a raw image: name {} instead", quoted_path(extent))
        }
        MediumError::TooLarge { .. } => {
            "nothing was written; if that size is right, allow it with --max-unpacked SIZE".to_owned()
        }
        MediumError::ChangedSince { .. } => {
            "nothing was written; stop the other program, and run the command again".to_owned()
        }
        MediumError::NotKept { .. } => {
            "nothing was written; run bootbank as the file's owner, or write a changed copy with -o FILE".to_owned()
        }
        MediumError::Nbd { source, .. } => return nbd_hint(source),
        MediumError::VirtualDisk { path, source } => return virtual_disk_hint(path, source),
        // An unpacker's own errors are no errno.
        MediumError::Unpack { source } if source.raw_os_error().is_none() => {
            "the packed image is cut off or damaged: copy or download it again; `gzip -t FILE` (`xz -t`, `zstd -t`) checks it".to_owned()
        }
        MediumError::Vanished { .. } => GONE.to_owned(),
        MediumError::SystemDisk { .. } => {
            "start this machine from another disk, such as one with a live system, and run bootbank there; if only swap is on it, swapoff frees it"
                .to_owned()
        }
        MediumError::Empty { .. } => {
            "perhaps a copy or a download was cut off: make it again".to_owned()
        }
        MediumError::IsDirectory { .. } => {
            "`bootbank scan DIR` looks at each file in a directory; other commands take a file or a disk".to_owned()
        }
        _ => return output_hint(error),
    };
    Some(text)
}

fn read_only_hint(path: &Path, why: &ReadOnlyReason) -> String {
    match why {
        ReadOnlyReason::NoWritePermission => {
            format!("chmod u+w {}, or leave it as it is and write a changed copy with -o FILE", quoted_path(path))
        }
        ReadOnlyReason::Server => {
            "start the server so that it takes writes (qemu-nbd: without -r), or use -o FILE to write a changed copy".to_owned()
        }
        ReadOnlyReason::Device => {
            "look for a write-protect switch; some worn-out sticks make themselves read-only; -o FILE writes a changed copy".to_owned()
        }
        _ => "-o FILE writes a changed copy elsewhere".to_owned(),
    }
}

/// What to do where an output cannot be made.
fn output_hint(error: &MediumError) -> Option<String> {
    let text = match error {
        MediumError::Exists { .. } => "--force overwrites it".to_owned(),
        MediumError::NoSpace { source, .. } if source.kind() == io::ErrorKind::FileTooLarge => {
            FILE_TOO_LARGE.to_owned()
        }
        MediumError::NotDurable { .. } => {
            "the disk it is on may be failing: keep a copy of it elsewhere".to_owned()
        }
        MediumError::OutputIsDisk { path } => format!(
            "name a file, and copy that to the disk, for example with: dd if=FILE of={} bs=4M conv=fsync",
            quoted_path(path)
        ),
        MediumError::OutputNotFile { .. } => "name a file; - is standard output".to_owned(),
        MediumError::NoDirectory { path } => {
            format!(
                "make it first: mkdir -p {}",
                quoted_path(&directory_of(path))
            )
        }
        MediumError::OutputIsDirectory { path } => {
            format!("name a file in it: {}", quoted_path(&path.join("NAME")))
        }
        _ => return None,
    };
    Some(text)
}

fn nbd_hint(error: &NbdError) -> Option<String> {
    let text = match error {
        NbdError::Address(_) => {
            "nbd://HOST:PORT/NAME, or nbd+unix:///NAME?socket=PATH; in a shell put it in quotes"
        }
        NbdError::Unreachable(_) => {
            "is the server running? qemu-nbd ends when its client leaves, unless it was started with -t"
        }
        NbdError::Tls => {
            "let the server listen on a Unix socket without TLS, and forward that: ssh -L ./nbd.sock:/path/of/nbd.sock HOST"
        }
        NbdError::NoExport { .. } => "`qemu-nbd -L` or `nbdinfo --list` lists what a server has",
        NbdError::NoFlush => {
            "start the server with flush (nbd-server: flush = true), or use -o FILE to write a changed copy"
        }
        NbdError::TooOld(_) => "qemu-nbd and nbdkit can be used",
        NbdError::Lost(_) | NbdError::Protocol(_) => "see what the server says, and start it again",
        _ => return None,
    };
    Some(text.to_owned())
}

fn permission_hint(path: &Path, access: Access, node: Option<&NodePermissions>) -> String {
    let is_device = path.starts_with("/dev");
    let path = quoted_path(path);
    if is_root() {
        return if is_device {
            format!(
                "you are root, and may not: a container keeps its devices to itself; pass this one in, for example with --device {path}, or run bootbank outside"
            )
        } else {
            format!(
                "you are root, and may not: a container or a network file system takes that right away; run bootbank as the owner of {path}, or outside"
            )
        };
    }
    let right = match access {
        Access::Read => "r",
        Access::Write => "rw",
    };
    // A group helps where it has the right, and root's is none to join.
    let needed = match access {
        Access::Read => 0o040,
        Access::Write => 0o060,
    };
    let group = node
        .filter(|node| node.mode & needed == needed && node.group != 0)
        .and_then(|node| node.group_name.as_deref())
        .map(|group| format!("join the group `{group}`, or "))
        .unwrap_or_default();
    let rule = if is_device {
        "; for every USB disk, add a udev rule: SUBSYSTEM==\"block\", ENV{ID_BUS}==\"usb\", TAG+=\"uaccess\""
    } else {
        ""
    };
    format!("you need permission, not root: {group}sudo setfacl -m u:$USER:{right} {path}{rule}")
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether a shell would find a command of that name.
fn is_installed(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(name).is_file())
}

/// Before a command that takes root.
fn sudo() -> &'static str {
    if is_root() { "" } else { "sudo " }
}

fn busy_hint(uses: &[Use]) -> String {
    let sudo = sudo();
    let unmount = match (is_root(), is_installed(UDISKSCTL)) {
        (false, true) => format!("{UDISKSCTL} unmount -b"),
        _ => format!("{sudo}umount"),
    };
    let ends = uses.iter().filter_map(Use::freed_by);
    let commands = ends.map(|end| match end {
        FreedBy::Unmount(node) => format!("{unmount} {}", quoted_path(node)),
        FreedBy::SwapOff(node) => format!("{sudo}swapoff {}", quoted_path(node)),
        FreedBy::RemoveMapping(name) => format!("{sudo}dmsetup remove {}", quoted(name)),
        FreedBy::StopRaid(array) => format!("{sudo}mdadm --stop {}", quoted_path(array)),
        FreedBy::DetachLoop(node) => format!("{sudo}losetup -d {}", quoted_path(node)),
    });
    let lines: Vec<String> = commands.collect();
    if lines.is_empty() {
        "close the program that has it open".to_owned()
    } else {
        format!("to free it: {}", lines.join("; "))
    }
}

fn compressed_hint(format: ImageFormat, path: &Path) -> String {
    let path = quoted_path(path);
    match format {
        ImageFormat::Gzip | ImageFormat::Zstd | ImageFormat::Xz => {
            "a packed image is not changed in place; -o FILE writes a changed copy, packed again if FILE ends in .gz or .zst"
                .to_owned()
        }
        ImageFormat::Ova => {
            format!(
                "unpack the virtual disk in it: tar -xf {path} --wildcards '*.vmdk'; bootbank reads and changes that as it is (one that is stream-optimized with -o FILE)"
            )
        }
        ImageFormat::Tar => {
            format!("unpack the image in it: tar -xf {path}; if it is a state, pack it: gzip {path}")
        }
        ImageFormat::PackedTar => Kind::TAKEN.to_owned(),
        _ => match DiskFormat::of(format) {
            Some(format) => convert_hint(format, &path),
            None => "unpack it first".to_owned(),
        },
    }
}

fn convert_hint(format: DiskFormat, path: &str) -> String {
    let format = format.qemu_name();
    format!(
        "convert it: qemu-img convert -O raw {path} stick.img; then work on stick.img, and convert it back: qemu-img convert -O {format} stick.img {path}"
    )
}

fn virtual_disk_hint(path: &Path, error: &VirtualDiskError) -> Option<String> {
    let path = quoted_path(path);
    Some(match error {
        VirtualDiskError::NoQemu { format } => format!(
            "install qemu-img and qemu-nbd (Debian and Ubuntu: qemu-utils; Fedora, RHEL and SUSE: qemu-img); or, where they are, {}",
            convert_hint(*format, &path)
        ),
        VirtualDiskError::TooMany { .. } => "run the command several times".to_owned(),
        VirtualDiskError::Name => "rename it".to_owned(),
        VirtualDiskError::Snapshots { .. } => format!(
            "--force changes it all the same; `qemu-img snapshot -l {path}` lists them; -o FILE writes a changed copy"
        ),
        VirtualDiskError::Encrypted => {
            "convert it with the key: qemu-img convert --object secret,... --image-opts ..., to a raw image".to_owned()
        }
        VirtualDiskError::Corrupt => format!(
            "`qemu-img check {path}` says what is wrong; keep a copy, then `qemu-img check -r all {path}` repairs it"
        ),
        VirtualDiskError::StreamOptimised => format!(
            "-o FILE writes a changed copy as a raw image; to change it in place: qemu-img convert -O vmdk {path} new.vmdk"
        ),
        VirtualDiskError::Elsewhere { .. } | VirtualDiskError::NotOneFile { .. } => format!(
            "if you trust it, make one file of it: qemu-img convert -O qcow2 {path} new.qcow2"
        ),
        VirtualDiskError::Unopened { .. } => {
            format!("`qemu-img check {path}` may say more")
        }
        VirtualDiskError::NotClosed { .. } => {
            format!("`qemu-img check {path}` and `bootbank verify {path}` say what state it is in")
        }
        _ => return None,
    })
}
