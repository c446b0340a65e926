//! The sandbox: before anything of a medium is read, the process gives up every right it does not
//! need, since a medium comes from anywhere and the program may run as root.
//!
//! - **Rights** ([`rights`]): what root can do beyond others is dropped, but for what the targets
//!   need.
//! - **Files** (Landlock): the process can write to the targets and to the directories of the files
//!   it makes, read these and what tells about the machine, and no other file. Where this run made the
//!   directory for undo files, it can remove empty directories below the one that holds `bootbank`.
//!   It can start no program, connect to no TCP port and send no signal to others.
//! - **System calls** ([`calls`], seccomp): those the program makes and no others. There is no network
//!   of any kind, no Unix socket, no change of owners or permissions, no module, no mount. A call that
//!   is denied ends the process with a message ([`denied`]).
//!
//! Each is as much as the kernel can do, which `-v` says; where it can do nothing, root is told
//! unasked. `--no-sandbox` does without. What is open already (standard output, the terminal, a
//! connection made before) stays usable. Where a file is looked up is not restricted by Landlock;
//! opening and changing it is.
//!
//! Landlock and the rights are those of a thread and what it starts, so all this is done before
//! there is a second one. A program that is started for a medium, QEMU, is held by Landlock too
//! ([`start_held`]).

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod calls;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod denied;
mod rights;

use super::needs::Needs;
use super::outputs::Outputs;
use crate::cli::terminal::Ui;
use crate::host::{BY_ID, DeviceNumber, Host, PCI_IDS, Use, ask_again_while};
use crate::medium::Identity;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, RestrictionStatus, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
    make_bitflags,
};
use rustix::io::Errno;
use rustix::thread::CapabilitySet;
use std::fs::File;
use std::path::{Path, PathBuf};

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

/// Gives up what is not needed, unless `sandbox` is false, and returns what was seen of this machine
/// before, since who has the targets open cannot be seen any more after that, and the files that are
/// to be made.
pub fn confine_to(mut needs: Needs, sandbox: bool, ui: &Ui) -> (Host, Outputs) {
    let mut host = Host::default();
    let targets = needs.writes.iter();
    let disks = targets.filter_map(|path| match Identity::of(path, &host) {
        Ok(Identity::Disk(disk)) => Some(disk),
        _ => None,
    });
    let disks: Vec<DeviceNumber> = disks.collect();
    let taken = |openers: &Vec<Use>| !openers.is_empty();
    ask_again_while(taken, || {
        host.note_open_files(&needs.targets());
        disks
            .iter()
            .flat_map(|disk| host.openers_of(*disk))
            .collect()
    });
    needs.read_beside();
    needs.unpack();
    let outputs = Outputs::open(&mut needs);
    if !sandbox {
        ui.detail("not confined: --no-sandbox");
        return (host, outputs);
    }
    // The nodes of a disk's partitions have caches of their own, which are written out.
    let partitions = disks.iter().flat_map(|disk| host.partitions(*disk));
    let partitions: Vec<PathBuf> = partitions.map(|partition| partition.node).collect();
    needs.reads.extend(partitions);
    let sandbox = Sandbox::enter(&needs, !disks.is_empty());
    if sandbox.holds_nothing() && rustix::process::geteuid().is_root() {
        ui.warn(NOTHING_HOLDS);
    }
    sandbox
        .in_words(&needs)
        .iter()
        .for_each(|line| ui.detail(line));
    (host, outputs)
}

/// Said to root, whom nothing stops then.
const NOTHING_HOLDS: &str = "this kernel cannot confine bootbank: it has no Landlock, and system calls \
     cannot be limited. A medium made to do harm could do it as root";

/// What came of each part.
struct Sandbox {
    rights: Result<CapabilitySet, Errno>,
    files: Result<RestrictionStatus, RulesetError>,
    calls: Result<(), String>,
}

impl Sandbox {
    /// Confines this thread, and all that it starts from now on, to `needs`. There is no way back.
    fn enter(needs: &Needs, changes_a_disk: bool) -> Self {
        Sandbox {
            // First, as the others deny what is needed for it.
            rights: rights::give_up(needs, changes_a_disk),
            files: confine_files(needs),
            calls: limit_calls(),
        }
    }

    /// Whether the kernel enforces neither of the two that hold root.
    fn holds_nothing(&self) -> bool {
        let files = self.files.as_ref();
        let no_files = files.map_or(true, |found| found.ruleset == RulesetStatus::NotEnforced);
        no_files && self.calls.is_err()
    }

    /// What came of it, for `-v`.
    fn in_words(&self, needs: &Needs) -> Vec<String> {
        let rights = match &self.rights {
            Ok(left) if left.is_empty() => "it has no rights beyond those of its user".to_owned(),
            Ok(left) => {
                let names: Vec<&str> = left.iter_names().map(|(name, _)| name).collect();
                format!("the rights of root it keeps: {}", names.join(", "))
            }
            Err(error) => format!("its rights could not be given up: {error}"),
        };
        let calls = match &self.calls {
            Ok(()) => {
                "limited to the system calls it makes: no network, no other program".to_owned()
            }
            Err(error) => format!("its system calls are not limited: {error}"),
        };
        vec![files_in_words(&self.files, needs), calls, rights]
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn limit_calls() -> Result<(), String> {
    denied::watch();
    calls::limit().map_err(|error| error.to_string())
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn limit_calls() -> Result<(), String> {
    Err("there is no list of them for this architecture".to_owned())
}

/// Starts a program by `start`, which can then change these files and nothing else, whatever it is made to open:
/// what has their names then may be another file than was looked at. It reaches no server either.
///
/// Landlock holds the thread that asks for it, and what that starts: so it is one that ends here.
///
/// # Errors
/// What the kernel would not do; older kernels doing less is no error.
pub fn start_held<T: Send>(
    writes: &[File],
    start: impl FnOnce() -> T + Send,
) -> Result<T, RulesetError> {
    std::thread::scope(|scope| {
        let held = scope.spawn(|| hold_to(writes).map(|_| start()));
        held.join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn hold_to(writes: &[File]) -> Result<RestrictionStatus, RulesetError> {
    let ruleset = ruleset_of(AccessFs::from_write(ABI_TRIED))?;
    let write = make_bitflags!(AccessFs::{WriteFile | Truncate});
    let allow = |file| Ok::<_, RulesetError>(PathBeneath::new(file, write));
    let files = writes.iter().map(allow);
    let nothing = rule(Path::new("/dev/null"), write);
    ruleset
        .add_rules(files)?
        .add_rules(nothing)?
        .restrict_self()
}

/// The newest version of Landlock whose effects were tried; older kernels leave out what they lack.
const ABI_TRIED: ABI = ABI::V6;

/// Rules by which these accesses are denied but where a rule allows them, and every server and signal to others.
fn ruleset_of(accesses: BitFlags<AccessFs>) -> Result<RulesetCreated, RulesetError> {
    Ruleset::default()
        .handle_access(accesses)?
        .handle_access(AccessNet::from_all(ABI_TRIED))?
        .scope(Scope::from_all(ABI_TRIED))?
        .create()
}

/// Confines this thread, and all that it starts from now on, to the files of `needs`.
///
/// # Errors
/// What the kernel would not do; older kernels doing less is no error.
fn confine_files(needs: &Needs) -> Result<RestrictionStatus, RulesetError> {
    let ruleset = ruleset_of(AccessFs::from_all(ABI_TRIED))?;
    let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let read_medium = make_bitflags!(AccessFs::{ReadFile | IoctlDev});
    let write_medium = read_medium | AccessFs::WriteFile;
    let make = make_bitflags!(AccessFs::{
        ReadFile | ReadDir | WriteFile | Truncate | MakeReg | RemoveFile
    });
    // The directory is opened to be synced.
    let name = make_bitflags!(AccessFs::{ReadDir | MakeReg});
    let machine = ABOUT_THE_MACHINE.iter().map(Path::new);
    let rules = machine
        .map(|path| (path, read))
        .chain(all(&needs.reads, read_medium))
        .chain(all(&needs.writes, write_medium))
        .chain(all(&needs.makes_in, make))
        .chain(all(&needs.names_in, name))
        .chain(all(&needs.replaces_in, name | AccessFs::RemoveFile))
        .chain(all(&needs.removes_below, AccessFs::RemoveDir.into()));
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
    let access = if path.is_dir() {
        access
    } else {
        access & AccessFs::from_file(ABI_TRIED)
    };
    Some(Ok(PathBeneath::new(opened, access)))
}

/// What came of Landlock.
fn files_in_words(result: &Result<RestrictionStatus, RulesetError>, needs: &Needs) -> String {
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
    let listed = |paths: &mut dyn Iterator<Item = &PathBuf>| {
        let places = paths.map(|path| path.display().to_string());
        places.collect::<Vec<_>>().join(", ")
    };
    let written = listed(&mut needs.writes.iter().chain(&needs.makes_in));
    let named = listed(&mut needs.names_in.iter().chain(&needs.replaces_in));
    match (written.is_empty(), named.is_empty()) {
        (true, true) => format!("{degree}: it can write nothing"),
        (false, true) => format!("{degree}: it can write only {written}"),
        (true, false) => format!("{degree}: it can write only new files in {named}"),
        (false, false) => {
            format!("{degree}: it can write only {written}, and new files in {named}")
        }
    }
}

#[cfg(test)]
mod tests;
