//! What mboot makes of a bank that was chosen: the files its boot.cfg names, looked for and
//! followed one by one. Every reason to stop is collected, not only the first.

use super::boot_cfg::{BootCfg, BootCfgProblem, Module};
use super::content::{ContentFault, ContentVerdict, FileAt};
use super::path::{self, SHORT};
use super::volume::{Chain, Lookup, Root, Volume};
use super::{ChainFault, Found, Generation, Ignored, Seen, Undecided};
use std::collections::HashSet;
use std::fmt;

/// Most different files of one boot.cfg that are looked for. Real ones name up to 250.
const MAX_FILES: usize = 4096;

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
    binary_at: Option<usize>,
    /// Whether boot.cfg lacks what ranks the banks.
    not_updated: bool,
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

    fn new(partition: u32, generation: Generation) -> Boot {
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

impl Seen<'_> {
    /// What becomes of this bank, without reading the content of any file.
    pub(super) fn boot(&self, generation: Generation, build: Option<&str>) -> Boot {
        let mut boot = Boot::new(self.partition, generation);
        match (&self.found, &self.volume) {
            (Found::BootCfg(cfg), Some(volume)) => {
                boot.binary_at = cfg.binary_at();
                boot.not_updated = cfg.updated == 0 && cfg.rejected_by(generation).is_none();
                stops_in(cfg, build, generation, &mut boot.in_boot_cfg);
                let mut search = Search::new(volume);
                for named in named_files(cfg, generation, &mut boot.unknown) {
                    let Named {
                        role, broken_off, ..
                    } = named;
                    let mut file = search.file(role, named.name, named.short);
                    if let (Some(Stop::Absent { .. }), Some(name)) = (&file.stop, broken_off) {
                        file.stop = Some(Stop::BrokenOff { role, name });
                    }
                    boot.files.push(file);
                }
            }
            (Found::Ignored(why), _) => boot.in_boot_cfg.push(Stop::Ignored(why.clone())),
            (Found::Undecided(why), _) => boot.unknown.push(why.clone()),
            (Found::BootCfg(_), None) => boot.in_boot_cfg.push(Stop::NoBank),
        }
        boot
    }

    /// The file of that name, if the loader could read it.
    pub(super) fn file(&self, name: &str) -> Option<FileAt> {
        let volume = self.volume.as_ref()?;
        let short = path::short_name(&path::join(b"", name.as_bytes()));
        let mut search = Search::new(volume);
        search.file(Role::Module, name.to_owned(), short).file
    }
}

/// What stops the loader before it looks for a file.
fn stops_in(cfg: &BootCfg, build: Option<&str>, generation: Generation, stops: &mut Vec<Stop>) {
    if let Some(problem) = cfg.rejected_by(generation) {
        stops.push(Stop::Rejected(problem));
    }
    match build {
        None => stops.push(Stop::BuildMissing),
        Some(build) if !build.starts_with(|first: char| first.is_ascii_digit()) => {
            let build = build.to_owned();
            stops.push(Stop::BuildNotANumber { build });
        }
        Some(_) => {}
    }
    if let Some(problem) = cfg.fatal_to(generation) {
        stops.push(Stop::Fatal(problem));
    }
    if cfg.skip && generation >= Generation::From80U1 {
        stops.push(Stop::Skip);
    }
    if cfg.kernel.is_none() {
        stops.push(Stop::NoKernel);
    }
}

/// A file as boot.cfg names it.
struct Named {
    role: Role,
    name: String,
    /// By which the loader looks for it.
    short: [u8; SHORT],
    /// What is left of the name where binary data is behind it.
    broken_off: Option<String>,
}

/// The files a boot.cfg names, each once, up to a limit.
fn named_files(cfg: &BootCfg, generation: Generation, unknown: &mut Vec<Undecided>) -> Vec<Named> {
    let kernel = cfg.kernel.iter().map(|name| Named {
        role: Role::Kernel,
        name: name.clone(),
        short: cfg.kernel_short_name(),
        broken_off: cfg.kernel_broken_off(),
    });
    let listed = |role, list: &'_ [Module]| {
        let of = move |module: &Module| Named {
            role,
            name: module.path.clone(),
            short: cfg.module_short_name(module),
            broken_off: module.broken_off(),
        };
        list.iter().map(of).collect::<Vec<_>>()
    };
    let tables = if generation >= Generation::From80U1 {
        cfg.acpi_tables.as_slice()
    } else {
        &[]
    };
    let mut files = Vec::new();
    let mut known = HashSet::new();
    let modules = listed(Role::Module, &cfg.modules);
    let all = kernel.chain(modules).chain(listed(Role::AcpiTable, tables));
    for named in all {
        if !known.insert(named.short) {
            continue;
        }
        if files.len() == MAX_FILES {
            unknown.push(Undecided::ManyFiles { limit: MAX_FILES });
            break;
        }
        files.push(named);
    }
    files
}

/// A search for files in one volume, which together may not be longer than its data.
struct Search<'v, 'm> {
    volume: &'v Volume<'m>,
    root: Root,
    fat: super::fat::FatCopy<'m>,
    left: u64,
}

impl<'v, 'm> Search<'v, 'm> {
    fn new(volume: &'v Volume<'m>) -> Self {
        Search {
            volume,
            root: volume.root(),
            fat: volume.fat(),
            left: volume.budget(),
        }
    }

    fn file(&mut self, role: Role, name: String, short: [u8; SHORT]) -> ModuleVerdict {
        let (mut file, mut stop, mut undecided) = (None, None, None);
        match self.chain(&name, short) {
            Ok(Ok(Some((_, chain)))) if chain.through_root => {
                let name = name.clone();
                stop = Some(Stop::Foreign { role, name });
            }
            Ok(Ok(Some((size, chain)))) => {
                let name = path::shown(short);
                let runs = chain.runs;
                file = Some(FileAt { name, size, runs });
            }
            Ok(Ok(None)) => {
                let name = name.clone();
                stop = Some(Stop::Absent { role, name });
            }
            Ok(Err(fault)) => {
                let name = name.clone();
                stop = Some(Stop::Chain { role, name, fault });
            }
            Err(why) => undecided = Some(why),
        }
        ModuleVerdict {
            role,
            name,
            file,
            content: None,
            stop,
            undecided,
        }
    }

    /// Size and chain of a file; `None` where there is none of that name.
    #[allow(
        clippy::type_complexity,
        reason = "three ways out, each of which is said"
    )]
    fn chain(
        &mut self,
        name: &str,
        short: [u8; SHORT],
    ) -> Result<Result<Option<(u32, Chain)>, ChainFault>, Undecided> {
        let start = match self.volume.find(&self.root, &short)? {
            Lookup::Absent => return Ok(Ok(None)),
            Lookup::BadStart { cluster } => return Ok(Err(ChainFault::FirstCluster { cluster })),
            Lookup::At(start) => start,
        };
        let followed = self.volume.follow(&mut self.fat, start, &mut self.left)?;
        let followed = followed.ok_or_else(|| {
            let name = name.to_owned();
            Undecided::Overlap { name }
        })?;
        Ok(followed.map(|chain| Some((start.size, chain))))
    }
}
