//! What root can do beyond others (capabilities), given up but for what the targets need.
//!
//! - Getting at files whatever their permission bits say (`CAP_DAC_OVERRIDE`,
//!   `CAP_DAC_READ_SEARCH`) is kept only where this user's own permissions do not reach one of the
//!   files: an image of somebody else. Targets are opened by name later on.
//! - Replacing or removing somebody else's file in a directory like /tmp (`CAP_FOWNER`) is kept only
//!   where files are made in such a directory.
//! - Telling the kernel to forget what it caches of a disk (BLKFLSBUF, `CAP_SYS_ADMIN`) is kept only
//!   where a disk is changed, since what is read back would otherwise be what was cached. What else
//!   that right allows takes system calls that are not on the list.

use super::super::needs::Needs;
use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities,
};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Permission bit of a directory in which files are removed by their owners alone.
const STICKY: u32 = 0o1000;

/// Gives up, in this thread and all that it starts, every capability that is not needed. Returns
/// those that are left.
///
/// # Errors
/// What the kernel reported.
pub fn give_up(needs: &Needs, changes_a_disk: bool) -> Result<CapabilitySet, Errno> {
    let had = capabilities(None)?;
    // Best effort: these matter only to programs that are started, and none can be.
    let _ = clear_ambient_capability_set();
    for number in 0..CapabilitySet::all().bits().count_ones() {
        let one = CapabilitySet::from_bits_retain(1 << number);
        if remove_capability_from_bounding_set(one).is_err() {
            break;
        }
    }
    let mut needed = CapabilitySet::empty();
    if !reaches_all_without(needs) {
        needed |= CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
    }
    if makes_among_others(needs) {
        needed |= CapabilitySet::FOWNER;
    }
    if changes_a_disk {
        needed |= CapabilitySet::SYS_ADMIN;
    }
    let kept = had.permitted & needed;
    keep(had.effective & kept, kept)?;
    Ok(kept)
}

fn keep(effective: CapabilitySet, permitted: CapabilitySet) -> Result<(), Errno> {
    let inheritable = CapabilitySet::empty();
    set_capabilities(
        None,
        CapabilitySets {
            effective,
            permitted,
            inheritable,
        },
    )
}

/// Whether everything can be had without special rights, tried in a thread that has none. Where
/// there is no room for one, it is not known, and they are kept.
fn reaches_all_without(needs: &Needs) -> bool {
    let none = CapabilitySet::empty();
    let reaches = || keep(none, none).is_ok() && reaches_all(needs);
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, reaches);
        thread.is_ok_and(|thread| thread.join().unwrap_or(false))
    })
}

/// Whether this thread can get at everything. What is not there is no reason for special rights.
fn reaches_all(needs: &Needs) -> bool {
    let look = Access::READ_OK;
    let change = look | Access::WRITE_OK;
    let make = change | Access::EXEC_OK;
    let reaches = |path: &Path, access| {
        let asked = accessat(CWD, path, access, AtFlags::EACCESS);
        matches!(asked, Ok(()) | Err(Errno::NOENT | Errno::NOTDIR))
    };
    let all = |paths: &[PathBuf], access| paths.iter().all(|path| reaches(path, access));
    all(&needs.reads, look)
        && all(&needs.writes, change)
        && needs
            .directories()
            .all(|directory| reaches(directory, make))
}

fn makes_among_others(needs: &Needs) -> bool {
    let me = rustix::process::geteuid().as_raw();
    let mut found = needs.directories().filter_map(|path| path.metadata().ok());
    found.any(|directory| directory.mode() & STICKY != 0 && directory.uid() != me)
}
