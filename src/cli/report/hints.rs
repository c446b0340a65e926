//! What to do next, for each error that has an answer.

use crate::commit::{CommitError, UndoError};
use crate::edit::EditError;
use crate::error::ErrorKind;
use crate::fat::FatError;
use crate::host::Use;
use crate::medium::{Access, Content, MediumError, NodePermissions, ReadOnlyReason};
use crate::partition::TableError;
use crate::state::StateError;
use crate::stick::Cause;
use std::path::Path;

/// What to do about an error of a stick.
pub(super) fn hint(cause: &Cause) -> Option<String> {
    let text = match cause {
        Cause::Table(error) => return table_hint(error),
        Cause::Fat(error) => return fat_hint(error),
        Cause::Bank(crate::bank::BankError::Fat(error)) => return fat_hint(error),
        Cause::State(error) => return state_hint(error),
        Cause::Edit(EditError::State(error)) => return state_hint(error),
        Cause::Edit(
            EditError::Select(_) | EditError::Unmatched(crate::edit::Unmatched::Device(_)),
        ) => {
            "`bootbank pci list` shows every device; `raw:`, `hex:` or `dec:` before an address chooses one reading"
        }
        Cause::Edit(EditError::Unmatched(crate::edit::Unmatched::Key(_))) => {
            "`bootbank conf list` shows every key"
        }
        Cause::Edit(EditError::Unmatched(crate::edit::Unmatched::Row(_))) => {
            "`bootbank store list` shows every row"
        }
        Cause::Edit(EditError::Unmatched(crate::edit::Unmatched::File(_))) => {
            "`bootbank ls` shows every file"
        }
        Cause::Edit(EditError::Sidecar { .. }) => {
            "the host was not shut down cleanly; start and shut it down once, or use its own tools"
        }
        Cause::Unopened(error) => return hint(&error.cause),
        Cause::NoBank(_) => {
            "is this an ESXi boot medium? It needs the whole disk, not one partition of it"
        }
        Cause::UnpackedTogether { .. } => {
            "--bank N takes one bank at a time; --max-unpacked allows more"
        }
        Cause::OwnWay => {
            "`bootbank bootcfg set` and `bootbank kernelopt modify` change boot.cfg; `bootbank state import` puts a state in"
        }
        Cause::Loaded => "take it out of modules= first: `bootbank bootcfg set STICK modules ...`",
        Cause::NoSuchBank { .. } => "`bootbank info` lists the banks",
        Cause::NoneBoots(_) => "name a bank by its partition number: --bank N",
        Cause::ChangedSince { .. } => {
            "a later change is undone first, with its own undo file; if it is certain that this is the medium and that what was written to it since may be lost: --force, and check the volume with fsck.fat afterwards"
        }
        Cause::Undo(UndoError::NotAnUndoFile(_)) => {
            "the undo file comes first, then the medium: bootbank undo FILE STICK"
        }
        Cause::Commit(CommitError::Changed { .. }) => {
            "something else writes to this medium; make sure that nothing does, and run it again"
        }
        Cause::Commit(CommitError::Interrupted { .. }) => {
            "run the command again, or `bootbank reclaim` to free what it left allocated"
        }
        Cause::Expectation(_) => {
            "nothing was written; the plan is for another medium, or this one was changed already"
        }
        Cause::Verification(_) => {
            "this is a defect of bootbank or a kind of volume it does not know: please report it"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

fn table_hint(error: &TableError) -> Option<String> {
    let text = match error {
        TableError::SectorSizeWrong { found, .. } => {
            return Some(format!(
                "leave the option out, or say --sector-size {found}"
            ));
        }
        TableError::SectorSizeAmbiguous => "say which it is: --sector-size 512 or 4096",
        TableError::Gpt(_) | TableError::NotProtective { .. } => {
            "ESXi's own loader refuses this table as well: such a medium does not boot. bootbank does not repair tables"
        }
        TableError::Read { .. } => return None,
        _ => "nothing was written; bootbank needs a raw image or the node of a whole disk",
    };
    Some(text.to_owned())
}

fn fat_hint(error: &FatError) -> Option<String> {
    let text = match error {
        FatError::NoRoom { .. } => {
            "nothing was written; --in-place writes over the old file instead: safe on a copy (-o FILE), while on the medium a cut in the middle leaves the host unbootable until `bootbank undo`"
        }
        FatError::FileTooLarge { .. } => {
            "nothing was written; where such a size is right, allow it with --max-unpacked SIZE"
        }
        _ if error.kind() == ErrorKind::Damaged => {
            "nothing was written; repair the volume first, for instance with fsck.fat on a copy"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

fn state_hint(error: &StateError) -> Option<String> {
    let text = match error {
        StateError::Sealed { .. } => {
            "the key is in the host's TPM, not on this medium, and nothing was written. Three ways are left, each on the host itself: \
             (1) while it runs, give the device back with `esxcli hardware pci pcipassthru set -d ADDR -e false -a`, re-link the bank with \
             `localcli --plugin-dir=/usr/lib/vmware/esxcli/int/ boot system restore --bootbanks` and run /sbin/auto-backup.sh; \
             (2) with the recovery key noted earlier, start it with the boot option encryptionRecoveryKey=; \
             (3) reinstall and keep the datastores"
        }
        StateError::Gzip {
            source: crate::state::gzip::GzipError::OverLimit { .. },
            ..
        } => "nothing was written; where such a size is right, allow it with --max-unpacked SIZE",
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
                format!("chmod u+w {}, or leave it alone and use -o FILE", path.display())
            }
            ReadOnlyReason::Device => {
                "look for a write-protect switch; some worn-out sticks make themselves read-only. -o FILE writes a patched copy".to_owned()
            }
            _ => "-o FILE writes a patched copy elsewhere".to_owned(),
        },
        MediumError::Locked { .. } => {
            "another program works on it; wait for it, or stop it".to_owned()
        }
        MediumError::Busy { uses, .. } => busy_hint(uses),
        MediumError::AttachedToLoop { loop_device, .. } => {
            format!("to free it: losetup -d {}", loop_device.display())
        }
        MediumError::PartitionNode { disk, .. } => {
            format!("name the whole disk: {}", disk.display())
        }
        MediumError::Compressed { content, path } => compressed_hint(*content, path),
        MediumError::Exists { .. } => "--force replaces it".to_owned(),
        MediumError::SystemDisk { .. } => {
            "start another system, from a live stick for instance, and run it there; what is only swapped to is freed by swapoff"
                .to_owned()
        }
        MediumError::IsDirectory { .. } => {
            "name an image file or the node of a whole disk".to_owned()
        }
        _ => return None,
    };
    Some(text)
}

fn permission_hint(path: &Path, access: Access, node: Option<&NodePermissions>) -> String {
    let is_device = path.starts_with("/dev");
    let path = path.display();
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
            "; for every USB disk a udev rule: SUBSYSTEM==\"block\", ENV{ID_BUS}==\"usb\", TAG+=\"uaccess\""
        }
        false => "",
    };
    format!(
        "root is not needed, permission is: {group}sudo setfacl -m u:$USER:{right} {path}{rule}"
    )
}

fn busy_hint(uses: &[Use]) -> String {
    let lines: Vec<String> = uses.iter().filter_map(Use::release_command).collect();
    if lines.is_empty() {
        "close whatever has it open".to_owned()
    } else {
        format!("to free it: {}", lines.join("; "))
    }
}

fn compressed_hint(content: Content, path: &Path) -> String {
    let path = path.display();
    match content {
        Content::Gzip | Content::Zstd | Content::Xz => {
            "a compressed image can be the source of -o FILE; to look into it, or for -n and --check, unpack it first"
                .to_owned()
        }
        Content::Qcow2 | Content::Vmdk | Content::Vhdx => {
            let format = match content {
                Content::Qcow2 => "qcow2",
                Content::Vmdk => "vmdk",
                _ => "vhdx",
            };
            format!(
                "qemu-img convert -O raw {path} stick.img, work on stick.img, and back: qemu-img convert -O {format} stick.img {path}"
            )
        }
        _ => "unpack it first".to_owned(),
    }
}
