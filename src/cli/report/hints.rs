//! What to do next, for each error that has an answer.

use crate::bank::BankError;
use crate::cli::terminal::{quoted, quoted_path};
use crate::commit::{CommitError, UndoError};
use crate::edit::{CONFIG_STORE, ESX_CONF, EditError, SelectError, Unmatched};
use crate::error::ErrorKind;
use crate::fat::FatError;
use crate::host::{Unmounting, Use};
use crate::medium::nbd::NbdError;
use crate::medium::virtual_disk::{DiskFormat, VirtualDiskError};
use crate::medium::{Access, Content, MediumError, NodePermissions, ReadOnlyReason};
use crate::ownership::OwnershipError;
use crate::partition::{OtherTable, PartitionFault, TableChoice, TableError};
use crate::state::StateError;
use crate::state::archive::ArchiveError;
use crate::state::gzip::GzipError;
use crate::stick::{Cause, Error};
use crate::target::Kind;
use std::io;
use std::path::Path;

/// What to do about an error of a stick.
pub(super) fn hint(error: &Error) -> Option<String> {
    let on_medium = error.partition().is_some();
    let text = match &error.cause {
        Cause::Table(error) => return table_hint(error),
        Cause::Fat(error) => return fat_hint(error),
        Cause::Bank(BankError::Fat(error)) => return fat_hint(error),
        Cause::Bank(BankError::BootCfgTooLarge(_)) => {
            "nothing was written; no host writes a boot.cfg of that size: where another bank is whole, `bootbank bank copy FROM TO STICK` makes this one a copy of it"
        }
        Cause::State(error) => return state_hint(error, on_medium),
        Cause::Edit(EditError::State(error)) => return state_hint(error, on_medium),
        Cause::Edit(EditError::Missing { path: CONFIG_STORE }) => {
            "hosts keep settings there from 7.0 on; for older ones: `bootbank conf list` shows the settings in esx.conf, `bootbank info` the release"
        }
        Cause::Edit(EditError::Ownership {
            source: OwnershipError::OddLine { .. },
            ..
        }) => {
            "nothing was written; edit that line by hand first: `bootbank get` takes etc/vmware/esx.conf out, `bootbank put` puts it back"
        }
        Cause::Edit(EditError::Missing { path: ESX_CONF }) => {
            "`bootbank store list` shows the settings in the ConfigStore, `bootbank ls` every file"
        }
        Cause::Edit(EditError::Select(SelectError::Ambiguous { .. })) => {
            "name one of them by its key, with `raw:` in front, or by its whole address; `bootbank pci list` lists every device"
        }
        Cause::Edit(
            EditError::Select(_)
            | EditError::Unmatched(Unmatched::Device(_) | Unmatched::NewDevice(_)),
        ) => {
            "`bootbank pci list` lists every device; an address is read as hexadecimal unless `dec:` or `raw:` is in front"
        }
        Cause::Edit(EditError::Unmatched(Unmatched::Row(_))) => {
            "`bootbank store list` lists every row"
        }
        Cause::Edit(EditError::Empty) => {
            "`bootbank state copy` and `bootbank state import` put a configuration in; --bank N chooses another bank"
        }
        Cause::Edit(EditError::HostUnknown { .. }) => {
            "nothing was written; set it once on a host of this release, and make the image from that one; or leave it out"
        }
        Cause::Edit(EditError::Ownership {
            source: OwnershipError::RowValue { .. },
            ..
        }) => {
            "`bootbank store get` shows the row, and `bootbank store set` with --column puts the column right"
        }
        Cause::NoSuchFile => "`bootbank ls STICK` lists the files",
        Cause::Edit(EditError::Sidecar { .. }) => {
            "the host was not shut down cleanly; start it and shut it down once, or make the change on the host"
        }
        Cause::Unopened(error) => return hint(error),
        Cause::NoBanks => {
            "the command, or the path, is about banks, so it takes an image file or a whole disk"
        }
        Cause::NoBank(_) => {
            "is this an ESXi boot medium? bootbank needs the whole disk, not one partition of it"
        }
        Cause::OtherType(_) => {
            "bootbank does not change tables: give the partition its type back on a copy of the medium"
        }
        Cause::Installer(_) => {
            "name the medium that ESXi was installed to: the installer holds no configuration"
        }
        Cause::NothingLeft { error, .. } => return hint(error),
        Cause::OtherTable { other, .. } => return Some(other_table_hint(other)),
        Cause::NoWholeBank(
            TableError::Partition {
                fault: PartitionFault::PastEnd { .. },
                ..
            }
            | TableError::EbrPastEnd { .. },
        ) => {
            "the medium is cut off before the end of its first bank, or its table is for a larger one; make the image again from the medium, or from a whole copy"
        }
        Cause::NoWholeBank(error) => return table_hint(error),
        Cause::Cut(_) => {
            "what is there can be read, and nothing is written; make the image again from the medium, or from a whole copy"
        }
        Cause::StandIn { .. } => "--bank N looks into another bank",
        Cause::UnpackedTogether { .. } => {
            "--bank N works on one bank at a time; --max-unpacked SIZE allows more"
        }
        Cause::OwnWay => {
            "`bootbank bootcfg set` and `bootbank kernelopt modify` change boot.cfg; `bootbank state import` puts a state in"
        }
        Cause::Loaded => "take it out of modules= first: `bootbank bootcfg set STICK modules ...`",
        Cause::NotLookedAt(_) => {
            "which banks the loader looks at goes by the numbers in the partition table, and bootbank does not change tables: \
             give the banks their numbers back on a copy of the medium, with `sgdisk --transpose` for a GPT"
        }
        Cause::WouldStop(_) => {
            "`bootbank verify STICK` says where the loader would stop; `bootbank bank use` goes on all the same with --even-if-broken, `bank copy` does not"
        }
        Cause::SettingsUnread(_) => {
            "`bootbank state copy FROM TO STICK` gives the bank the state of another; `bootbank bank use` goes on all the same with --even-if-broken"
        }
        Cause::NoSuchBank { .. } => "`bootbank info` lists the banks",
        Cause::NoneBoots(_) => "name a bank by its partition number: --bank N",
        Cause::ChangedSince { .. } => {
            "if there was a later change, undo that first, with its own undo file; if you are sure that this is the right medium and that newer data on it may be lost, use --force, then check the volume with fsck.fat"
        }
        Cause::Undo(UndoError::TooManyParts { .. }) => {
            "nothing was written; -o FILE writes a changed copy, which needs no undo file"
        }
        Cause::Undo(UndoError::NotAnUndoFile(_)) => {
            "name the undo file first, then the medium: bootbank undo FILE STICK"
        }
        Cause::Commit(CommitError::Changed { .. }) => {
            "another program is writing to this medium; stop it, and run the command again"
        }
        Cause::Commit(CommitError::Replaced { .. } | CommitError::ReplacedMeanwhile { .. }) => {
            "another program put something else in its place; find out which of the two files you mean"
        }
        Cause::Commit(CommitError::Interrupted { .. }) => {
            "run the command again, or free the leftovers with `bootbank reclaim`"
        }
        Cause::Commit(CommitError::Failed(failure)) if is_full(&failure.source) => NO_ROOM_OUTSIDE,
        Cause::Expectation(_) => {
            "nothing was written; the plan file is for another medium, or this one was changed already"
        }
        Cause::Verification(_) => {
            "this is a bug in bootbank, or a kind of volume it does not know: please report it"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// An image may be sparse, so that a write to it takes room of the file system it is in.
const NO_ROOM_OUTSIDE: &str =
    "the file system that holds the image is full: make room there, and run it again";

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

/// What to do about a medium on a disk whose sectors have another size than its table is for.
pub(super) fn other_sectors_hint(found: u32) -> String {
    format!(
        "no host boots this medium from a disk with such sectors; copy it to a file to look into it, or attach that file with `losetup --sector-size {found}`"
    )
}

/// What to do where the loader's table is broken and another one is whole.
fn other_table_hint(other: &OtherTable) -> String {
    let table = match other.choice {
        TableChoice::Backup => "backup",
        _ => "gpt",
    };
    let restore = match other.restore {
        Some(restore) => format!(
            "to restore it, keep a copy of the medium, then: {}; meanwhile ",
            restore.commands("STICK")
        ),
        None => String::new(),
    };
    format!(
        "{restore}`bootbank info --table {table} STICK` and the other commands that only look read the medium by it"
    )
}

fn table_hint(error: &TableError) -> Option<String> {
    let text = match error {
        TableError::SectorSizeWrong { found, .. } => {
            return Some(format!(
                "leave the option out, or use --sector-size {found}"
            ));
        }
        TableError::SectorSizeAmbiguous => {
            "name the right one: --sector-size 512 or --sector-size 4096"
        }
        TableError::NoGpt { .. } | TableError::BackupGpt(_) => {
            "leave --table out: then the table is read that ESXi's loader uses"
        }
        TableError::Gpt(_) | TableError::NotProtective { .. } => {
            "ESXi's own loader refuses this table too, so the medium does not boot; bootbank does not repair tables"
        }
        TableError::Partition {
            fault: PartitionFault::PastEnd { .. },
            ..
        }
        | TableError::EbrPastEnd { .. } => {
            "nothing was written: the medium is cut off, or its table is for a larger one; `bootbank info` and the other commands that only look read the banks that are there"
        }
        TableError::WithoutLength { .. } => {
            "bootbank does not repair tables; on a copy, sfdisk gives the entry its length, or deletes it"
        }
        TableError::BackupOverlap(_) => {
            "the medium boots all the same; repair its partition table first, for example with gdisk on a copy"
        }
        TableError::Read { .. } => return None,
        _ => Kind::TAKEN,
    };
    Some(text.to_owned())
}

fn fat_hint(error: &FatError) -> Option<String> {
    let text = match error {
        FatError::NoRoom {
            fits_in_place: true,
            ..
        } => {
            "nothing was written; --in-place writes over the old file instead, which is safe on a copy (-o FILE); on the medium a cut halfway leaves the host unbootable until `bootbank undo`"
        }
        FatError::FileTooLarge { .. } => {
            "nothing was written; if that size is right, allow it with --max-unpacked SIZE"
        }
        _ if error.kind() == ErrorKind::Damaged => {
            "nothing was written; repair the volume first, for example with fsck.fat on a copy"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

fn state_hint(error: &StateError, on_medium: bool) -> Option<String> {
    let text = match error {
        StateError::Sealed { .. } => {
            "the key is in the host's TPM, not on this medium; with the host's recovery key in a file, --recovery-key FILE opens \
             the state; without it, give the device back on the running host, or install ESXi anew and keep the datastores"
        }
        StateError::Archive {
            source: ArchiveError::LinkedTo { path, link },
            ..
        } => {
            return Some(format!(
                "nothing was written; remove the link first: `bootbank rm STICK {}`, then {} can go; `bootbank seal --without NAME` leaves out the operation that removes it",
                quoted(link),
                quoted(path)
            ));
        }
        StateError::NoKeyBeside { .. } => {
            "put the encryption.info of the same state.tgz beside it, or name it with --key-file FILE"
        }
        StateError::Manifest { .. } => "unpack it with tar, and work on the state.tgz inside",
        StateError::NoConfiguration { .. } => Kind::TAKEN,
        StateError::RecoveryKey { .. } => {
            "name the file with this host's recovery key by --recovery-key FILE: \
             `esxcli system settings encryption recovery list` shows it while the host runs. If it is the right one, \
             please report it: how the key of a sealed host is made was never seen on a real one"
        }
        StateError::Gzip {
            source: GzipError::OverLimit { .. },
            ..
        } => "nothing was written; if that size is right, allow it with --max-unpacked SIZE",
        StateError::Gzip {
            source: GzipError::OverBudget { .. },
            ..
        } => {
            "nothing was written; --max-unpacked SIZE allows more, and --bank N works on one bank of a medium at a time"
        }
        StateError::Gzip {
            source: GzipError::NoMemory { .. },
            ..
        } => {
            "nothing was written; run it where there is more memory, or raise the limit (ulimit -v)"
        }
        // A key file that is none is not what a backup cures.
        StateError::KeyStore { .. } if !on_medium => return None,
        error if error.kind() == ErrorKind::Damaged && !on_medium => {
            "an older backup is what cures it; with --rescue, commands that only look read what is left of it"
        }
        error if error.kind() == ErrorKind::Damaged => {
            "the state of the other bank, where that is whole, cures it: `bootbank state copy FROM TO STICK`; so does an older state \
             from a backup: `bootbank state import STICK FILE`; with --rescue, commands that only look read what is left of it"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

pub(super) fn medium_hint(error: &MediumError) -> Option<String> {
    let text = match error {
        MediumError::PermissionDenied {
            path, access, node, ..
        } => permission_hint(path, *access, node.as_ref()),
        MediumError::ReadOnly { path, why } => match why {
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
        },
        MediumError::Locked { .. } => {
            "wait for the other program, or stop it".to_owned()
        }
        MediumError::Busy { uses, .. } => busy_hint(uses),
        MediumError::AttachedToLoop { loop_device, .. } => {
            format!("to free it: losetup -d {}", loop_device.display())
        }
        MediumError::PartitionNode { disk, .. } => {
            format!("name the whole disk: {}", disk.display())
        }
        MediumError::Compressed { content, path } => compressed_hint(*content, path),
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
        MediumError::Exists { .. } => "--force overwrites it".to_owned(),
        MediumError::NoSpace { source, .. } if source.kind() == io::ErrorKind::FileTooLarge => {
            FILE_TOO_LARGE.to_owned()
        }
        MediumError::SystemDisk { .. } => {
            "start this machine from another disk, such as one with a live system, and run bootbank there; if only swap is on it, swapoff frees it"
                .to_owned()
        }
        MediumError::OutputIsDisk { path } => format!(
            "name a file, and copy that to the disk, for example with: dd if=FILE of={} bs=4M conv=fsync",
            quoted_path(path)
        ),
        MediumError::OutputNotFile { .. } => "name a file; - is standard output".to_owned(),
        MediumError::IsDirectory { .. } => {
            "`bootbank scan DIR` looks at each file in a directory; other commands take a file or a disk".to_owned()
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
        return match is_device {
            true => format!(
                "you are root, and may not: a container keeps its devices to itself; pass this one in, for example with --device {path}, or run bootbank outside"
            ),
            false => format!(
                "you are root, and may not: a container or a network file system takes that right away; run bootbank as the owner of {path}, or outside"
            ),
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
    let rule = match is_device {
        true => {
            "; for every USB disk, add a udev rule: SUBSYSTEM==\"block\", ENV{ID_BUS}==\"usb\", TAG+=\"uaccess\""
        }
        false => "",
    };
    format!("you need permission, not root: {group}sudo setfacl -m u:$USER:{right} {path}{rule}")
}

/// What to do where a file may not grow any more.
pub const FILE_TOO_LARGE: &str = "raise the limit for the size of files (ulimit -f unlimited), or choose a file system that holds files of that size";

/// Unmounts as an ordinary user.
const UDISKSCTL: &str = "udisksctl";

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether a shell would find a command of that name.
fn is_installed(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(name).is_file())
}

fn busy_hint(uses: &[Use]) -> String {
    let unmounting = match (is_root(), is_installed(UDISKSCTL)) {
        (true, _) => Unmounting::Umount,
        (false, true) => Unmounting::Udisksctl,
        (false, false) => Unmounting::SudoUmount,
    };
    let commands = uses.iter().filter_map(|it| it.release_command(unmounting));
    let lines: Vec<String> = commands.collect();
    if lines.is_empty() {
        "close the program that has it open".to_owned()
    } else {
        format!("to free it: {}", lines.join("; "))
    }
}

fn compressed_hint(content: Content, path: &Path) -> String {
    let path = quoted_path(path);
    match content {
        Content::Gzip | Content::Zstd | Content::Xz => {
            "a packed image is not changed in place; -o FILE writes a changed copy, packed again if FILE ends in .gz or .zst"
                .to_owned()
        }
        Content::Ova => {
            format!(
                "unpack the virtual disk in it: tar -xf {path} --wildcards '*.vmdk'; then: qemu-img convert -O raw DISK.vmdk stick.img"
            )
        }
        Content::Tar => format!("unpack the image in it: tar -xf {path}"),
        Content::PackedTar => Kind::TAKEN.to_owned(),
        _ => match DiskFormat::of(content) {
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
        _ => return None,
    })
}
