//! Confinement: before anything of a medium is read, the process gives up every right it does
//! not need.
//!
//! A medium comes from anywhere and the program may run as root. Landlock, where the kernel has
//! it, lets the process write to the targets and to the directories of the files it makes, read
//! these and what tells about the machine, and nothing else: no other file, no program to run,
//! no network, no signal to others. With no_new_privs nothing it could still start gains rights.
//! All of it is best effort: an older kernel enforces less or nothing, which `-v` says.
//!
//! What is open already (standard output, the terminal) stays usable. Where a file is looked up
//! is not restricted by Landlock; opening and changing it is.

use super::needs::Needs;
use crate::cli::terminal::Ui;
use crate::host::{BY_ID, DeviceNumber, Host, PCI_IDS};
use crate::medium::Identity;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, RestrictionStatus, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What tells about the machine: disks and their lasting names, mounts, locks and processes, the
/// names of groups and of PCI devices.
const ABOUT_THE_MACHINE: [&str; 7] = [
    "/proc",
    "/sys",
    BY_ID,
    PCI_IDS[0],
    PCI_IDS[1],
    "/etc/group",
    "/dev/urandom",
];

/// How often, and how long apart, it is looked who has a disk open before that is taken for a use
/// of it: udev, blkid and the like open every disk for a moment.
const LOOKS_AT_OPENERS: u32 = 20;
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// Gives up what is not needed, and returns what was seen of this machine before: who has the
/// targets open cannot be seen any more after that.
pub fn confine_to(mut needs: Needs, ui: &Ui) -> Host {
    let mut host = Host::default();
    let targets = needs.writes.iter();
    let disks = targets.filter_map(|path| match Identity::of(path, &host) {
        Ok(Identity::Disk(disk)) => Some(disk),
        _ => None,
    });
    let disks: Vec<DeviceNumber> = disks.collect();
    for _ in 0..LOOKS_AT_OPENERS {
        host.note_open_files(&needs.targets());
        if disks.iter().all(|disk| host.openers_of(*disk).is_empty()) {
            break;
        }
        std::thread::sleep(LOOK_PAUSE);
    }
    // The nodes of a disk's partitions have caches of their own, which are written out.
    let partitions = disks.iter().flat_map(|disk| host.partitions(*disk));
    let partitions: Vec<PathBuf> = partitions.map(|partition| partition.node).collect();
    needs.reads.extend(partitions);
    let confined = confine(&needs);
    ui.detail(&in_words(&confined, &needs));
    host
}

/// Confines this thread, and all that it starts from now on, to `needs`. There is no way back.
///
/// # Errors
/// What the kernel would not do; older kernels doing less is no error.
fn confine(needs: &Needs) -> Result<RestrictionStatus, RulesetError> {
    // The newest version whose effects were tried; older kernels leave out what they lack.
    let abi = ABI::V6;
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?;
    let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let read_medium = make_bitflags!(AccessFs::{ReadFile | IoctlDev});
    let write_medium = read_medium | AccessFs::WriteFile;
    let make = make_bitflags!(AccessFs::{
        ReadFile | ReadDir | WriteFile | Truncate | MakeReg | RemoveFile
    });
    let machine = ABOUT_THE_MACHINE.iter().map(Path::new);
    let rules = machine
        .map(|path| (path, read))
        .chain(all(&needs.reads, read_medium))
        .chain(all(&needs.writes, write_medium))
        .chain(all(&needs.makes_in, make))
        .chain(all(&needs.makes_directories_in, make | AccessFs::MakeDir));
    ruleset
        .add_rules(rules.filter_map(|(path, access)| rule(path, access)))?
        .restrict_self()
}

fn all(
    paths: &[PathBuf],
    access: BitFlags<AccessFs>,
) -> impl Iterator<Item = (&Path, BitFlags<AccessFs>)> {
    paths.iter().map(move |path| (path.as_path(), access))
}

/// Allows something at and below a path. What is not there needs no rule: opening it fails
/// anyway, with the error that says so.
fn rule(
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Option<Result<PathBeneath<PathFd>, RulesetError>> {
    let opened = PathFd::new(path).ok()?;
    // Rights to what is in a directory mean nothing for a file, and the kernel says so.
    let access = match path.is_dir() {
        true => access,
        false => access & AccessFs::from_file(ABI::V6),
    };
    Some(Ok(PathBeneath::new(opened, access)))
}

/// What came of it, in words for `-v`.
fn in_words(result: &Result<RestrictionStatus, RulesetError>, needs: &Needs) -> String {
    let status = match result {
        Ok(status) => status,
        Err(error) => return format!("not confined: {error}"),
    };
    let degree = match status.ruleset {
        RulesetStatus::FullyEnforced => "confined by Landlock",
        RulesetStatus::PartiallyEnforced => "confined by Landlock as far as this kernel can",
        RulesetStatus::NotEnforced => {
            return "not confined: this kernel has no Landlock".to_owned();
        }
    };
    let places: Vec<String> = needs
        .writes
        .iter()
        .chain(&needs.makes_in)
        .chain(&needs.makes_directories_in)
        .map(|path| path.display().to_string())
        .collect();
    if places.is_empty() {
        format!("{degree}: it can write nothing")
    } else {
        format!("{degree}: it can write only {}", places.join(", "))
    }
}

#[cfg(test)]
mod tests;
