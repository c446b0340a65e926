//! Whether a place is fit for the undo file of a change: it must outlive what the undo file is
//! there for.

use super::undo_store::{self, UndoPlace};
use crate::cli::report::Failure;
use crate::host::{DeviceNumber, Host};
use crate::medium::Identity;
use crate::stick::Plan;
use std::path::{Path, PathBuf};

/// Refuses a place on the medium that is changed, and one in memory for a change in place.
/// Returns whether it is in memory.
///
/// # Errors
/// Refused, with another place to name.
pub fn check(
    undo: &Path,
    plan: &Plan,
    target: (&Path, Identity),
    host: &Host,
) -> Result<bool, Failure> {
    let place = resolved(undo);
    if let Identity::Disk(number) = target.1
        && host.disks_behind_path(&place).contains(&number)
    {
        return Err(Failure::refused(format!(
            "the undo file {} would be on {}, the medium to change; nothing was written",
            undo.display(),
            target.0.display()
        ))
        .hint(ELSEWHERE));
    }
    let in_memory = host.is_in_memory(&place);
    if in_memory && plan.in_place().next().is_some() {
        return Err(Failure::refused(format!(
            "the undo file {} would be in memory, and a reboot deletes it, but a change in place needs it; nothing was written",
            undo.display()
        ))
        .hint(ELSEWHERE));
    }
    Ok(in_memory)
}

const ELSEWHERE: &str = "put it on another disk with -z FILE";

/// A target that could not be claimed may be so because the undo file's place is mounted from
/// it: then unmounting it is only half of what there is to do.
pub fn of_unclaimed(failure: Failure, place: &UndoPlace, target: &Path, host: &Host) -> Failure {
    let undo = match place {
        UndoPlace::None => return failure,
        UndoPlace::File(file) => file.clone(),
        UndoPlace::Default => match undo_store::directory() {
            Ok(directory) => directory,
            Err(_) => return failure,
        },
    };
    match Identity::of(target, host) {
        Ok(Identity::Disk(number)) if lies_on(&undo, number, host) => failure.and_hint(&format!(
            "the undo file would be on this disk too, in {}; {ELSEWHERE}",
            undo.display()
        )),
        _ => failure,
    }
}

fn lies_on(undo: &Path, disk: DeviceNumber, host: &Host) -> bool {
    // The disk the system runs on has troubles of its own.
    host.system_uses_of(disk).is_empty() && host.disks_behind_path(&resolved(undo)).contains(&disk)
}

/// Where a path leads that need not exist yet: absolute, and free of links as far as there is
/// something.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for ancestor in absolute.ancestors() {
        if let Ok(there) = ancestor.canonicalize() {
            let rest = absolute.strip_prefix(ancestor).unwrap_or(Path::new(""));
            return there.join(rest);
        }
    }
    absolute
}
