//! What VMware's own loader would do with a boot medium: which bank it takes, and whether that
//! bank's kernel and modules load.
//!
//! The loader is two programs: safeboot chooses a bank, mboot loads what the bank's boot.cfg
//! names. This room models both, by release ([`Generation`]), over a reader of its own that is as
//! lenient and as strict as theirs. It is kept apart from [`crate::fat`] on purpose: that one
//! decides what may be written, this one what boots, and where they differ the difference is
//! something to tell.
//!
//! ```text
//! partition table -> volume (mark, root directory, FAT copy 1) -> boot.cfg -> choice
//!                                                                    | load
//!                                                 kernel, modules <--+-> content
//! ```
//!
//! [`Loader::new`] reads two sectors of each partition that may hold a bank, and of the banks the
//! root directory and boot.cfg. [`Loader::judge`] and [`Loader::boot`] say the rest, at the
//! [`Depth`] asked for. What cannot be read here is [`Undecided`] and never guessed.
//!
//! Left out: what the kernel's own format must be, signatures (a module that is not VMware's is
//! refused under secure boot only), the room in memory, and what 6.7 does with a gzipped boot.cfg.
//! Where each fact is from is told in `docs/loader.md`.

mod boot;
pub(crate) mod boot_cfg;
mod choice;
mod content;
mod fat;
mod generation;
mod load;
pub(crate) mod options;
mod path;
#[cfg(test)]
mod tests;
mod undecided;
mod verdict;
mod volume;

pub use boot::{Boot, ModuleVerdict, Note, Role, Stop};
pub use boot_cfg::{BootCfg, BootCfgProblem, Module};
pub use choice::{BankContent, BankInput, choose, generation_of, warnings_about};
pub use content::{ContentFault, ContentVerdict, FileAt, UnpackLimit, check_content};
pub use generation::Generation;
pub use undecided::Undecided;
pub use verdict::{BankVerdict, Choice, ChoiceWarning, Chosen, WhyNot};
pub use volume::{ChainFault, Ignored};

use crate::medium::ReadAt;
use crate::partition::PartitionTable;
use std::fmt;
use volume::{Head, Lookup, Volume};

const BOOT_CFG: &str = "boot.cfg";
const STATE: &str = "state.tgz";

/// The largest boot.cfg that is read, in bytes. The loader has no limit; real ones are around 5 KB.
const BOOT_CFG_LIMIT: u32 = 1 << 20;

/// How much of a bank is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Names, chains and sizes of the kernel and the modules; none of their content is read.
    Presence,
    /// Everything: each file is read and unpacked, in bounded memory.
    Content,
}

/// A medium as the loader sees it.
pub struct Loader<'m> {
    medium: &'m dyn ReadAt,
    seen: Vec<Seen<'m>>,
    generation: Generation,
}

impl fmt::Debug for Loader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader")
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// A partition that carries VMware's mark, or may carry it.
struct Seen<'m> {
    partition: u32,
    volume: Option<Volume<'m>>,
    found: Found,
    has_state: bool,
}

/// What is in it.
enum Found {
    BootCfg(Box<BootCfg>),
    Ignored(Ignored),
    Undecided(Undecided),
}

/// What the loader does with a medium.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The choice of the loader that came with the newest bank.
    pub choice: Choice,
    /// What each generation would choose, oldest first.
    pub by_generation: Vec<(Generation, Chosen)>,
    /// What else a user should know of the choice.
    pub warnings: Vec<ChoiceWarning>,
    /// What becomes of the bank that is chosen; `None` where none is, or it cannot be told.
    pub boot: Option<Boot>,
}

impl<'m> Loader<'m> {
    /// Looks for banks in the partitions of a medium. Nothing that is met is an error.
    pub fn new(medium: &'m dyn ReadAt, table: &PartitionTable) -> Self {
        let mut seen = Vec::new();
        for partition in table.bank_candidates() {
            let Some(range) = partition.byte_range(table.sector_size) else {
                continue;
            };
            seen.extend(Seen::look(
                medium,
                partition.number,
                range.start,
                table.sector_size,
            ));
        }
        seen.sort_by_key(|seen| seen.partition);
        let generation = generation_of(&inputs(&seen));
        Loader {
            medium,
            seen,
            generation,
        }
    }

    /// The loader that came with the newest bank: the one that is most likely installed.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Which bank that loader takes.
    pub fn choice(&self) -> Choice {
        self.choice_of(self.generation)
    }

    /// Which bank the loader of a generation takes.
    pub fn choice_of(&self, generation: Generation) -> Choice {
        choose(generation, &inputs(&self.seen))
    }

    /// What a user should know beyond the choice.
    pub fn warnings(&self) -> Vec<ChoiceWarning> {
        warnings_about(&self.choice(), &inputs(&self.seen))
    }

    /// The boot.cfg of a bank, as far as the loader sees one there.
    pub fn boot_cfg(&self, partition: u32) -> Option<&BootCfg> {
        match &self.seen(partition)?.found {
            Found::BootCfg(cfg) => Some(cfg),
            Found::Ignored(_) | Found::Undecided(_) => None,
        }
    }

    /// Everything at once: the choices, and what becomes of the bank that is chosen.
    pub fn judge(&self, depth: Depth) -> Judgement {
        let choice = self.choice();
        let chosen_by = |generation| (generation, self.choice_of(generation).chosen);
        let bank = choice.chosen.bank();
        Judgement {
            by_generation: Generation::ALL.map(chosen_by).to_vec(),
            warnings: self.warnings(),
            boot: bank.map(|partition| self.boot(partition, depth)),
            choice,
        }
    }

    /// What becomes of a bank once it is chosen, whether or not it would be.
    pub fn boot(&self, partition: u32, depth: Depth) -> Boot {
        self.boot_as(partition, depth, self.generation)
    }

    /// The same with the loader of another generation.
    pub fn boot_as(&self, partition: u32, depth: Depth, generation: Generation) -> Boot {
        let mut boot = match self.seen(partition) {
            Some(seen) => {
                let (build, updated) = self.known_of(partition, generation);
                seen.boot(generation, build.as_deref(), updated)
            }
            None => Boot::of_no_bank(partition, generation),
        };
        if depth == Depth::Content {
            let limit = UnpackLimit::default();
            for index in 0..boot.files.len() {
                let file = boot.files.get(index).and_then(ModuleVerdict::to_check);
                if let Some(file) = file {
                    let content = check_content(self.medium, file, generation, &limit);
                    boot.record(index, content);
                }
            }
        }
        boot
    }

    /// The `build` and `updated` that the loader goes by in a bank: its own, or, where it has none, those of
    /// the bank before. 6.7 takes them over; the build only matters in the bank that is chosen.
    fn known_of(&self, partition: u32, generation: Generation) -> (Option<String>, u32) {
        let own = self.boot_cfg(partition);
        let build = own.and_then(|cfg| cfg.build.clone());
        let updated = own.map_or(0, |cfg| cfg.updated);
        if build.is_some() && updated != 0 {
            return (build, updated);
        }
        let known = choice::known_of(generation, &inputs(&self.seen), partition);
        let Some(known) = known else {
            return (build, updated);
        };
        let chosen = || self.choice_of(generation).chosen.bank() == Some(partition);
        let build = build.or_else(|| known.build.filter(|_| chosen()));
        (build, if updated == 0 { known.updated } else { updated })
    }

    /// The file of that name in a bank, if the loader could read it there: where a file that
    /// another bank lacks can be had.
    pub fn find(&self, partition: u32, name: &str) -> Option<FileAt> {
        self.seen(partition)?.file(name)
    }

    fn seen(&self, partition: u32) -> Option<&Seen<'m>> {
        self.seen.iter().find(|seen| seen.partition == partition)
    }
}

impl<'m> Seen<'m> {
    /// What the loader sees in a partition; `None` where it is none of VMware's.
    fn look(
        medium: &'m dyn ReadAt,
        partition: u32,
        start: u64,
        sector_size: u32,
    ) -> Option<Seen<'m>> {
        let mut seen = Seen {
            partition,
            volume: None,
            found: Found::Ignored(Ignored::NoBootCfg),
            has_state: true,
        };
        match Volume::look(medium, start, sector_size) {
            Ok(Head::Unmarked) => return None,
            Ok(Head::Marked(Ok(volume))) => {
                seen.look_into(&volume);
                seen.volume = Some(volume);
            }
            Ok(Head::Marked(Err(why))) => seen.found = Found::Ignored(Ignored::Volume(why)),
            Err(why) => seen.found = Found::Undecided(why),
        }
        Some(seen)
    }

    fn look_into(&mut self, volume: &Volume<'_>) {
        let root = volume.root();
        // A state that leads nowhere, or may be behind what cannot be read, is one.
        let state = volume.find(&root, &path::short_name(STATE.as_bytes()));
        self.has_state = state != Ok(Lookup::Absent);
        self.found = match read_boot_cfg(volume, &root) {
            Ok(Ok(bytes)) => Found::BootCfg(Box::new(BootCfg::parse(&bytes))),
            Ok(Err(ignored)) => Found::Ignored(ignored),
            Err(undecided) => Found::Undecided(undecided),
        };
    }

    fn input(&self) -> BankInput<'_> {
        BankInput {
            partition: self.partition,
            met: match &self.found {
                Found::BootCfg(cfg) => BankContent::BootCfg(cfg),
                Found::Ignored(why) => BankContent::Ignored(why),
                Found::Undecided(why) => BankContent::Undecided(why),
            },
            has_state: self.has_state,
        }
    }
}

fn inputs<'s>(seen: &'s [Seen<'_>]) -> Vec<BankInput<'s>> {
    seen.iter().map(Seen::input).collect()
}

fn read_boot_cfg(
    volume: &Volume<'_>,
    root: &volume::Root,
) -> Result<Result<Vec<u8>, Ignored>, Undecided> {
    let start = match volume.find(root, &path::short_name(BOOT_CFG.as_bytes()))? {
        Lookup::Absent => return Ok(Err(Ignored::NoBootCfg)),
        Lookup::BadStart { cluster } => {
            let fault = ChainFault::FirstCluster { cluster };
            return Ok(Err(Ignored::BootCfg(fault)));
        }
        Lookup::At(start) => start,
    };
    let (size, limit) = (start.size, BOOT_CFG_LIMIT);
    let mut budget = volume.budget();
    match volume.follow(&mut volume.fat(), start, &mut budget)? {
        Some(Ok(chain)) if size <= limit => volume.read(&chain.runs, size).map(Ok),
        Some(Err(fault)) => Ok(Err(Ignored::BootCfg(fault))),
        _ => Err(Undecided::LongBootCfg { size, limit }),
    }
}
