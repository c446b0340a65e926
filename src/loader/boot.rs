//! What becomes of a bank, as a value: what is loaded, what stops the loader, and what is only odd.

use super::boot_cfg::BootCfgProblem;
use super::content::{ContentFault, ContentVerdict, FileAt};
use super::{ChainFault, Generation, Ignored, Undecided};
use std::fmt;

/// What a file is loaded as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The kernel.
    Kernel,
    /// A module.
    Module,
    /// An ACPI table: read as it is, never unpacked.
    AcpiTable,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Kernel => "kernel",
            Role::Module => "module",
            Role::AcpiTable => "ACPI table",
        })
    }
}

/// One file that boot.cfg names, and what becomes of it. A file named more than once is there once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleVerdict {
    /// What it is loaded as.
    pub role: Role,
    /// Its name as boot.cfg has it.
    pub name: String,
    /// Where it is, if the loader can read it to its end.
    pub file: Option<FileAt>,
    /// What its content is worth; `None` as long as it was not read.
    pub content: Option<ContentVerdict>,
    /// What the loader stops at.
    pub stop: Option<Stop>,
    /// What could not be found out.
    pub undecided: Option<Undecided>,
}

/// Why the loader does not get as far as starting the kernel, or starts it without what belongs
/// to it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// The partition carries no bank that the loader can see.
    #[error("it is no bank: VMware's mark is not there")]
    NoBank,
    /// The loader passes over it.
    #[error("{0}")]
    Ignored(Ignored),
    /// safeboot rejects boot.cfg.
    #[error("boot.cfg is rejected: {0}")]
    Rejected(BootCfgProblem),
    /// No `build`: safeboot takes such a bank for invalid.
    #[error("boot.cfg has no build, so the loader does not take the bank")]
    BuildMissing,
    /// `build` does not begin with a digit.
    #[error(
        "build {build:?} does not begin with a digit: the loader stops with \"ESX version is unknown\""
    )]
    BuildNotANumber {
        /// The build string.
        build: String,
    },
    /// mboot rejects boot.cfg.
    #[error("boot.cfg {0}")]
    Fatal(BootCfgProblem),
    /// `skip` is set.
    #[error("boot.cfg sets skip: the loader stops with \"Skipping boot from this configuration\"")]
    Skip,
    /// No `kernel`.
    #[error("boot.cfg names no kernel: the loader stops with \"kernel=<FILEPATH> must be set\"")]
    NoKernel,
    /// A file that is not there.
    #[error(
        "{role} {name} is not in the bank: the loader stops with \"Fatal error: 15 (Not found)\""
    )]
    Absent {
        /// What it is to be loaded as.
        role: Role,
        /// Its name as boot.cfg has it.
        name: String,
    },
    /// A file that is not there, and whose name need not be what was meant: binary data is behind it.
    #[error(
        "boot.cfg breaks off after {name:?}, the name of a {role}, and the bank holds no such file: the loader stops with \
         \"Fatal error: 15 (Not found)\""
    )]
    BrokenOff {
        /// What it is to be loaded as.
        role: Role,
        /// What is left of its name.
        name: String,
    },
    /// A file that cannot be read to its end.
    #[error("{role} {name} cannot be read, {fault}: the loader stops with \"Fatal error: {}\"", volume_error(.fault))]
    Chain {
        /// What it is to be loaded as.
        role: Role,
        /// Its name as boot.cfg has it.
        name: String,
        /// Why not.
        fault: ChainFault,
    },
    /// A file whose chain meets a free cluster: the loader goes on in the root directory, and
    /// starts the host with that.
    #[error(
        "{role} {name} leads into free clusters: the loader takes part of the root directory for its content"
    )]
    Foreign {
        /// What it is to be loaded as.
        role: Role,
        /// Its name as boot.cfg has it.
        name: String,
    },
    /// A file whose content does not unpack.
    #[error("{role} {name} is damaged, {fault}: the loader stops with \"Error {}\"", .fault.loader_error())]
    Content {
        /// What it is to be loaded as.
        role: Role,
        /// Its name as boot.cfg has it.
        name: String,
        /// What is wrong with it.
        fault: ContentFault,
    },
}

impl Stop {
    /// The file it is about, as boot.cfg names it.
    pub fn file(&self) -> Option<&str> {
        match self {
            Stop::Absent { name, .. }
            | Stop::Chain { name, .. }
            | Stop::Foreign { name, .. }
            | Stop::Content { name, .. } => Some(name),
            _ => None,
        }
    }
}

/// The loader's number and words, which are others once the last sector was read.
fn volume_error(fault: &ChainFault) -> &'static str {
    match fault {
        ChainFault::OutOfRange { complete: true, .. } => "34 (Unexpected EOF)",
        _ => "11 (Volume corrupted)",
    }
}

/// What does not stop the loader and is still worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Note {
    /// A file that is no gzip file.
    #[error("{role} {name} is not compressed: the loader warns and loads it as it is")]
    AsItIs {
        /// What it is loaded as.
        role: Role,
        /// Its name as boot.cfg has it.
        name: String,
    },
    /// A file without content.
    #[error("{role} {name} is loaded empty")]
    Empty {
        /// What it is loaded as.
        role: Role,
        /// Its name as boot.cfg has it.
        name: String,
    },
    /// No `updated`: safeboot takes such a bank for invalid.
    #[error("boot.cfg has no updated, or 0, so the loader does not take the bank")]
    NotUpdated,
    /// Bytes in boot.cfg that no text has.
    #[error("boot.cfg holds binary data from byte {at} on")]
    Binary {
        /// Byte position in the file.
        at: usize,
    },
}

/// What becomes of a bank once it is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// Number of its partition.
    pub partition: u32,
    /// The loader whose rules these are.
    pub generation: Generation,
    /// The kernel first, then the modules and ACPI tables, in the order of boot.cfg.
    pub files: Vec<ModuleVerdict>,
    /// What stops the loader in boot.cfg itself.
    pub in_boot_cfg: Vec<Stop>,
    /// What could not be found out of boot.cfg or of all files together.
    pub unknown: Vec<Undecided>,
    /// Where binary data begins in boot.cfg.
    pub(super) binary_at: Option<usize>,
    /// Whether boot.cfg lacks what ranks the banks.
    pub(super) not_updated: bool,
}

impl Boot {
    /// The kernel, where boot.cfg names one.
    pub fn kernel(&self) -> Option<&ModuleVerdict> {
        self.files.iter().find(|file| file.role == Role::Kernel)
    }

    /// The modules, each once, in the order of `modules`.
    pub fn modules(&self) -> impl Iterator<Item = &ModuleVerdict> {
        self.files.iter().filter(|file| file.role == Role::Module)
    }

    /// Everything that stops the loader.
    pub fn stops(&self) -> impl Iterator<Item = &Stop> {
        let of_files = self.files.iter().filter_map(|file| file.stop.as_ref());
        self.in_boot_cfg.iter().chain(of_files)
    }

    /// Everything that could not be found out.
    pub fn undecided(&self) -> impl Iterator<Item = &Undecided> {
        let of_files = self.files.iter().filter_map(|file| file.undecided.as_ref());
        self.unknown.iter().chain(of_files)
    }

    /// Why it is not certain that the loader gets through, in words.
    pub fn why_not(&self) -> Vec<String> {
        let stops = self.stops().map(ToString::to_string);
        let unknown = self.undecided().map(ToString::to_string);
        stops.chain(unknown).collect()
    }

    /// What does not stop the loader and is still worth knowing.
    pub fn notes(&self) -> Vec<Note> {
        let of_file = |file: &ModuleVerdict| {
            let (role, name) = (file.role, file.name.clone());
            let empty = file.file.as_ref().is_some_and(|file| file.size == 0);
            match file.content {
                _ if empty => Some(Note::Empty { role, name }),
                Some(ContentVerdict::Empty) => Some(Note::Empty { role, name }),
                Some(ContentVerdict::AsItIs) => Some(Note::AsItIs { role, name }),
                _ => None,
            }
        };
        let binary = self.binary_at.map(|at| Note::Binary { at });
        let of_files = self.files.iter().filter_map(of_file);
        let not_updated = self.not_updated.then_some(Note::NotUpdated);
        let of_boot_cfg = binary.into_iter().chain(not_updated);
        of_boot_cfg.chain(of_files).collect()
    }

    /// Whether the loader gets as far as starting the kernel, by what was looked at; `None` where
    /// that cannot be told.
    pub fn boots(&self) -> Option<bool> {
        if self.stops().next().is_some() {
            return Some(false);
        }
        self.undecided().next().is_none().then_some(true)
    }

    /// Puts down what the content of one of `files` is worth.
    pub fn record(&mut self, index: usize, content: ContentVerdict) {
        let Some(file) = self.files.get_mut(index) else {
            return;
        };
        match &content {
            ContentVerdict::Damaged(fault) => {
                file.stop = Some(Stop::Content {
                    role: file.role,
                    name: file.name.clone(),
                    fault: fault.clone(),
                });
            }
            ContentVerdict::Undecided(why) => file.undecided = Some(why.clone()),
            ContentVerdict::Unpacked { .. } | ContentVerdict::AsItIs | ContentVerdict::Empty => {}
        }
        file.content = Some(content);
    }

    pub(super) fn of_no_bank(partition: u32, generation: Generation) -> Boot {
        let mut boot = Boot::new(partition, generation);
        boot.in_boot_cfg.push(Stop::NoBank);
        boot
    }

    pub(super) fn new(partition: u32, generation: Generation) -> Boot {
        Boot {
            partition,
            generation,
            files: Vec::new(),
            in_boot_cfg: Vec::new(),
            unknown: Vec::new(),
            binary_at: None,
            not_updated: false,
        }
    }
}

impl ModuleVerdict {
    /// The file whose content is still to be checked, with
    /// [`check_content`](super::check_content); `None` where there is nothing to check.
    pub fn to_check(&self) -> Option<&FileAt> {
        let file = self.file.as_ref()?;
        let unpacked = self.role != Role::AcpiTable;
        (unpacked && self.content.is_none()).then_some(file)
    }

    /// Why it is not certain that the loader loads it, in words; `None` where it is.
    pub fn why_not(&self) -> Option<String> {
        let stop = self.stop.as_ref().map(ToString::to_string);
        stop.or_else(|| self.undecided.as_ref().map(ToString::to_string))
    }
}
