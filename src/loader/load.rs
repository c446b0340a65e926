//! What mboot makes of a bank that was chosen: the files its boot.cfg names, looked for and
//! followed one by one. Every reason to stop is collected, not only the first.

use super::boot::{Boot, ModuleVerdict, Role, Stop};
use super::boot_cfg::{BootCfg, Module};
use super::content::FileAt;
use super::path::{self, SHORT};
use super::volume::{Chain, Lookup, Root, Volume};
use super::{ChainFault, Found, Generation, Seen, Undecided};
use std::collections::HashSet;

/// Most different files of one boot.cfg that are looked for. Real ones name up to 250.
const MAX_FILES: usize = 4096;

impl Seen<'_> {
    /// What becomes of this bank, without reading the content of any file.
    /// `build` and `updated` are those that the loader goes by.
    pub(super) fn boot(&self, generation: Generation, build: Option<&str>, updated: u32) -> Boot {
        let mut boot = Boot::new(self.partition, generation);
        match (&self.found, &self.volume) {
            (Found::BootCfg(cfg), Some(volume)) => {
                boot.binary_at = cfg.binary_at();
                boot.not_updated = updated == 0 && cfg.rejected_by(generation).is_none();
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
