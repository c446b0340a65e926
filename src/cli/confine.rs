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

use super::args::{ChangeArgs, Command, PciCommand};
use super::undo;
use super::undo_store;
use crate::medium::OutputFile;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, RestrictionStatus, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
};
use std::path::{Path, PathBuf};

/// What tells about the machine: disks, mounts, locks and processes, the names of groups.
const ABOUT_THE_MACHINE: [&str; 4] = ["/proc", "/sys", "/etc/group", "/dev/urandom"];

/// What a run of the program has to get at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Files and devices that are read.
    pub reads: Vec<PathBuf>,
    /// Files and devices that are read and changed.
    pub writes: Vec<PathBuf>,
    /// Directories in which files are made, renamed and removed.
    pub makes_in: Vec<PathBuf>,
}

impl Needs {
    /// What a command needs. Directories for undo files are made here, while that is allowed.
    pub fn of(command: &Command) -> Self {
        match command {
            Command::Info(args) | Command::Verify(args) | Command::Pci(PciCommand::List(args)) => {
                Needs::to_read(&args.sticks)
            }
            Command::Ls(args) => Needs::to_read([&args.stick]),
            Command::Cat(args) => Needs::to_read([&args.stick]),
            Command::Fix(args) => Needs::to_change(&args.sticks, &args.change),
            Command::Pci(PciCommand::Set(args)) => Needs::to_change(&args.sticks, &args.change),
            Command::Reclaim(args) => Needs::to_change(&args.sticks, &args.change),
            Command::Undo(args) => {
                let mut needs = Needs::to_read([&args.file]);
                let named = || undo::named_target(&args.file);
                needs.writes.extend(args.stick.clone().or_else(named));
                needs
            }
        }
    }

    /// Commands that only look.
    pub fn to_read<'p>(paths: impl IntoIterator<Item = &'p PathBuf>) -> Self {
        Needs {
            reads: paths.into_iter().cloned().collect(),
            ..Needs::default()
        }
    }

    /// Commands that change targets, or copies of them.
    pub fn to_change(targets: &[PathBuf], change: &ChangeArgs) -> Self {
        if let Some(output) = &change.output {
            let mut needs = Needs::to_read(targets);
            needs.makes_in.push(OutputFile::directory_for(output));
            return needs;
        }
        if change.dry_run || change.check {
            return Needs::to_read(targets);
        }
        let mut needs = Needs {
            writes: targets.to_vec(),
            ..Needs::default()
        };
        if !change.no_undo {
            let directory = match &change.undo_file {
                Some(file) => Some(undo_store::directory_of(file)),
                None => undo_store::directory().ok(),
            };
            if let Some(directory) = directory {
                // What goes wrong here goes wrong again when the file is written, and is said
                // then, if there is one to write at all.
                let _ = undo_store::make_directory(&directory);
                needs.makes_in.push(directory);
            }
        }
        needs
    }

    /// The targets by the names the kernel knows them by.
    pub fn targets(&self) -> Vec<PathBuf> {
        let named = self.reads.iter().chain(&self.writes);
        named.filter_map(|path| path.canonicalize().ok()).collect()
    }
}

/// Confines this thread, and all that it starts from now on, to `needs`. There is no way back.
///
/// # Errors
/// What the kernel would not do; older kernels doing less is no error.
pub fn confine(needs: &Needs) -> Result<RestrictionStatus, RulesetError> {
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
        .chain(all(&needs.makes_in, make));
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
pub fn in_words(result: &Result<RestrictionStatus, RulesetError>, needs: &Needs) -> String {
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
        .map(|path| path.display().to_string())
        .collect();
    if places.is_empty() {
        format!("{degree}: nothing can be written")
    } else {
        format!("{degree}: nothing can be written but {}", places.join(", "))
    }
}

#[cfg(test)]
mod tests;
