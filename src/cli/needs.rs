//! What a command has to get at: the files it reads, those it changes, and the directories it
//! makes files in. Known from the arguments alone, before anything is opened.

use super::args::{ChangeArgs, Command, PciCommand, TargetArgs};
use super::args::{ConfCommand, KerneloptCommand, StateCommand, StoreCommand};
use super::output::{self, Place};
use super::undo;
use super::undo_store;
use crate::medium::OutputFile;
use std::path::{Path, PathBuf};

/// What a run of the program has to get at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Files and devices that are read.
    pub reads: Vec<PathBuf>,
    /// Files and devices that are read and changed.
    pub writes: Vec<PathBuf>,
    /// Directories in which files are made, renamed and removed.
    pub makes_in: Vec<PathBuf>,
    /// Directories in which a directory is made as well, and files in that one.
    pub makes_directories_in: Vec<PathBuf>,
}

impl Needs {
    /// What a command needs. Directories for undo files are made here, while that is allowed.
    pub fn of(command: &Command) -> Self {
        match command {
            Command::Info(args) | Command::Verify(args) | Command::Pci(PciCommand::List(args)) => {
                Needs::to_read_all(&args.targets)
            }
            Command::Ls(args) => Needs::to_read([&args.stick]),
            Command::Cat(args) => Needs::to_read([&args.stick]),
            Command::Fix(args) => Needs::to_change_all(&args.targets, &args.change),
            Command::Pci(PciCommand::Set(args)) => {
                Needs::to_change_all(&args.targets, &args.change)
            }
            Command::Reclaim(args) => Needs::to_change_all(&args.targets, &args.change),
            Command::Get(args) => Needs::to_read([&args.stick]).making(&args.file),
            Command::Put(args) => {
                Needs::to_change_one(&args.stick, &args.change).reading(&args.file)
            }
            Command::Rm(args) => Needs::to_change_one(&args.stick, &args.change),
            Command::Conf(command) => match command {
                ConfCommand::List { stick, .. } | ConfCommand::Get { stick, .. } => {
                    Needs::to_read([stick])
                }
                ConfCommand::Set { stick, change, .. }
                | ConfCommand::Unset { stick, change, .. } => Needs::to_change_one(stick, change),
            },
            Command::Store(command) => match command {
                StoreCommand::List { stick, .. } | StoreCommand::Get { stick, .. } => {
                    Needs::to_read([stick])
                }
                StoreCommand::Set {
                    stick,
                    file,
                    change,
                    ..
                } => {
                    let needs = Needs::to_change_one(stick, change);
                    match file {
                        Some(file) => needs.reading(file),
                        None => needs,
                    }
                }
                StoreCommand::Delete { stick, change, .. } => Needs::to_change_one(stick, change),
            },
            Command::Kernelopt(command) => match command {
                KerneloptCommand::Show { stick } => Needs::to_read([stick]),
                KerneloptCommand::Modify { stick, change, .. } => {
                    Needs::to_change_one(stick, change)
                }
            },
            Command::Diff(args) => Needs::to_read([&args.a, &args.b]),
            Command::State(command) => match command {
                StateCommand::Export { stick, file, .. } => Needs::to_read([stick]).making(file),
                StateCommand::Import {
                    stick,
                    file,
                    change,
                } => Needs::to_change_one(stick, change).reading(file),
            },
            Command::Seal(args) => Needs::to_change(&args.sticks, &args.change),
            Command::Apply(args) => {
                let mut needs = Needs::to_change_all(&args.targets, &args.change);
                needs.reads.extend(args.local_files());
                needs
            }
            Command::Man(args) => Needs::default().making_in(&args.dir),
            Command::Completions(_) | Command::Schema(_) | Command::Reference => Needs::default(),
            Command::Undo(args) => {
                let mut needs = Needs::default();
                let named = || undo::named_target(&args.bytes);
                needs.writes.extend(args.stick.clone().or_else(named));
                needs
            }
        }
    }

    /// A patched copy is made; where its directory is missing, that is made as well.
    fn make_output(&mut self, output: &Path) {
        if is_stream(output) {
            let scratch = output::scratch_directory(&Place::Stream);
            return self.makes_in.push(scratch);
        }
        let directory = OutputFile::directory_for(output);
        // `copies/` is a directory to be made, `copies` a file in the one above.
        let named = output.as_os_str().as_encoded_bytes().ends_with(b"/");
        if directory.is_dir() && (!named || output.is_dir()) {
            return self.makes_in.push(directory);
        }
        let existing = directory.ancestors().find(|at| at.is_dir());
        let existing = existing.map_or(PathBuf::from("."), Path::to_owned);
        self.makes_directories_in.push(existing);
    }

    fn to_read_all(targets: &TargetArgs) -> Self {
        Needs::to_read(&targets.sticks)
    }

    fn to_change_all(targets: &TargetArgs, change: &ChangeArgs) -> Self {
        Needs::to_change(&targets.sticks, change)
    }

    /// Commands that only look.
    pub fn to_read<'p>(paths: impl IntoIterator<Item = &'p PathBuf>) -> Self {
        Needs {
            reads: paths.into_iter().cloned().collect(),
            ..Needs::default()
        }
    }

    fn to_change_one(target: &PathBuf, change: &ChangeArgs) -> Self {
        Needs::to_change(std::slice::from_ref(target), change)
    }

    /// The same, and files are made in this directory, which is made here if it is missing.
    #[must_use]
    fn making_in(mut self, directory: &Path) -> Self {
        let _ = std::fs::create_dir_all(directory);
        self.makes_in.push(directory.to_owned());
        self
    }

    /// The same, and this file is made; `-` is open already.
    #[must_use]
    fn making(mut self, file: &Path) -> Self {
        if !is_stream(file) {
            self.makes_in.push(OutputFile::directory_for(file));
        }
        self
    }

    /// The same, and this file is read; `-` is open already.
    #[must_use]
    fn reading(mut self, file: &Path) -> Self {
        if !is_stream(file) {
            self.reads.push(file.to_owned());
        }
        self
    }

    /// Commands that change targets, or copies of them.
    pub fn to_change(targets: &[PathBuf], change: &ChangeArgs) -> Self {
        if change.dry_run || change.check {
            return Needs::to_read(targets);
        }
        if let Some(output) = &change.output {
            let mut needs = Needs::to_read(targets);
            needs.make_output(output);
            return needs;
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

/// Whether a file name stands for standard input or output.
fn is_stream(file: &Path) -> bool {
    file.as_os_str() == "-"
}
