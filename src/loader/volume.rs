//! A bank's volume as the loader reads it: leniently where a checker would object, and without
//! mercy where a chain ends.
//!
//! Only the root directory is looked at, only the first copy of the FAT, and a name belongs to
//! the first slot that has it, whatever its attributes say. A chain is followed from sector to
//! sector the way `libfat` does it: the FAT is asked only where a file goes on behind a cluster's
//! last sector, so a file of one cluster needs no entry there; an entry of 0 leads into the root
//! directory; what the boot sector says of media, signature and labels does not matter.
//!
//! FAT32 is left out: the loader's reader of it is faulty and no release of ESXi makes such banks.

use super::fat::FatCopy;
use super::path::SHORT;
use super::undecided::{Undecided, read};
use crate::bytes::{array, le16, le32};
use crate::medium::ReadAt;
use std::collections::HashMap;
use std::ops::Range;

/// What VMware writes at the start of a volume's second sector.
const MAGIC: &[u8] = b"VMWARE FAT16    ";
const SLOT: usize = 32;
const MAX_FAT12: u64 = 0xff4;
const MAX_FAT16: u64 = 0xfff4;

/// Why the loader does not take a volume of VMware's for a bank.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    /// A field of the boot sector with which the loader cannot go on.
    #[error("the loader reads nothing in it, because {0}")]
    Volume(&'static str),
    /// Its root directory has no boot.cfg that the loader can see.
    #[error("the loader finds no boot.cfg in it")]
    NoBootCfg,
    /// There is one, and it cannot be read to its end.
    #[error("the loader cannot read its boot.cfg: {0}")]
    BootCfg(ChainFault),
}

/// Why the loader cannot read a file to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    /// Its first cluster does not exist.
    #[error("its first cluster {cluster} does not exist")]
    FirstCluster {
        /// The number in the directory, with bytes 20 and 21 as its upper half.
        cluster: u32,
    },
    /// The chain ends early.
    #[error("it is {size} bytes long, and its clusters hold {held}")]
    Short {
        /// Size in the directory, in bytes.
        size: u32,
        /// Bytes up to the end of the chain.
        held: u64,
    },
    /// The chain leads to a cluster that does not exist, or a bad one.
    #[error("its chain leads from cluster {cluster} to {next}, which does not exist")]
    OutOfRange {
        /// The last cluster that can be read.
        cluster: u32,
        /// What the FAT says follows.
        next: u32,
        /// Whether all of the file lies before that. The loader asks all the same where the file
        /// fills its last cluster.
        complete: bool,
    },
    /// The chain meets an entry of 0; the loader goes on in the root directory, to its end.
    #[error("its chain leads into free clusters")]
    Free,
    /// More bytes than the volume has: only a chain that loops could hold them.
    #[error(
        "it is {size} bytes long, which is more than the volume holds, and its chain does not end"
    )]
    Larger {
        /// Size in the directory, in bytes.
        size: u32,
    },
}

/// Where something is on the medium, in bytes; neighbours are one run.
pub(super) type Runs = Vec<Range<u64>>;

/// What a partition holds at first sight.
pub(super) enum Head<'m> {
    /// No mark of VMware's.
    Unmarked,
    /// VMware's mark, and what the boot sector says.
    Marked(Result<Volume<'m>, &'static str>),
}

/// The geometry of a volume, in sectors from its first.
#[derive(Clone)]
pub(super) struct Volume<'m> {
    medium: &'m dyn ReadAt,
    start: u64,
    sector: u64,
    per_cluster: u64,
    fat: u64,
    root: u64,
    data: u64,
    clusters: u64,
}

/// Where a name leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// To nothing.
    Absent,
    /// To a first cluster that does not exist.
    BadStart {
        /// Its number.
        cluster: u32,
    },
    /// To a file that begins at this sector.
    At(Start),
}

/// Where a file begins, and its size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    sector: u64,
    pub(super) size: u32,
}

/// A file followed to its end.
pub(super) struct Chain {
    /// Where its sectors are, the last one whole.
    pub(super) runs: Runs,
    /// Whether some of them are the root directory's.
    pub(super) through_root: bool,
}

impl<'m> Volume<'m> {
    /// Looks at the partition that begins at byte `start` of the medium. Reads two sectors.
    pub(super) fn look(
        medium: &'m dyn ReadAt,
        start: u64,
        sector: u32,
    ) -> Result<Head<'m>, Undecided> {
        let second = read(medium, start.checked_add(sector.into()), sector.into())?;
        if !second.starts_with(MAGIC) {
            return Ok(Head::Unmarked);
        }
        let boot = read(medium, Some(start), sector.into())?;
        Ok(Head::Marked(Volume::parse(medium, start, sector, &boot)))
    }

    fn parse(
        medium: &'m dyn ReadAt,
        start: u64,
        sector_size: u32,
        boot: &[u8],
    ) -> Result<Self, &'static str> {
        const CUT: &str = "its boot sector is cut off";
        let word = |at| le16(boot, at).map(u64::from).ok_or(CUT);
        let long = |at| le32(boot, at).map(u64::from).ok_or(CUT);
        let [per_cluster] = array(boot, 13).ok_or(CUT)?;
        let [copies] = array(boot, 16).ok_or(CUT)?;
        let sector = u64::from(sector_size);
        if word(11)? != sector || !matches!(sector, 512 | 4096) {
            return Err("its bytes per sector are not the disk's");
        }
        // Nine bits do not fit the byte: 0 stands for 256.
        let per_cluster = match u64::from(per_cluster) {
            0 => 256,
            other if other.is_power_of_two() => other,
            _ => return Err("its sectors per cluster are no power of two"),
        };
        let first_set = |short: u64, long: u64| if short == 0 { long } else { short };
        let end = first_set(word(19)?, long(32)?);
        let fat_size = first_set(word(22)?, long(36)?);
        let fat = word(14)?;
        let root = fat + fat_size * u64::from(copies);
        let data = root + (word(17)? * SLOT as u64).div_ceil(sector);
        if data >= end {
            return Err("its total sectors leave no room for data");
        }
        let clusters = (end - data) / per_cluster;
        let needed = match clusters + 2 {
            all if clusters <= MAX_FAT12 => all + all / 2,
            all if clusters <= MAX_FAT16 => all * 2,
            _ => return Err("it has as many clusters as FAT32, which makes no bank"),
        };
        if needed.div_ceil(sector) > fat_size {
            return Err("its FAT is too small for its clusters");
        }
        Ok(Volume {
            medium,
            start,
            sector,
            per_cluster,
            fat,
            root,
            data,
            clusters,
        })
    }

    /// Bytes of all clusters together.
    fn data_bytes(&self) -> u64 {
        self.clusters * self.per_cluster * self.sector
    }

    /// Bytes of clusters that all files together may lie in: no sound volume has more.
    pub(super) fn budget(&self) -> u64 {
        (self.end() - self.root) * self.sector
    }

    fn end(&self) -> u64 {
        self.data + self.clusters * self.per_cluster
    }

    /// The first copy of the FAT, of which nothing has been read yet.
    pub(super) fn fat(&self) -> FatCopy<'m> {
        FatCopy::new(
            self.medium,
            self.start.checked_add(self.fat * self.sector),
            self.sector,
            self.clusters > MAX_FAT12,
        )
    }

    /// The root directory, as far as it can be read.
    pub(super) fn root(&self) -> Root {
        let at = |index: u64| self.start.checked_add((self.root + index) * self.sector);
        let sectors = self.data - self.root;
        let mut root = Root::default();
        if let Ok(bytes) = read(self.medium, at(0), sectors * self.sector) {
            root.take(&bytes);
            return root;
        }
        for index in 0..sectors {
            match read(self.medium, at(index), self.sector) {
                Ok(bytes) if root.take(&bytes) => return root,
                Ok(_) => {}
                Err(error) => {
                    root.unread = Some(error);
                    return root;
                }
            }
        }
        root
    }

    /// Where the file of that name begins.
    pub(super) fn find(&self, root: &Root, name: &[u8; SHORT]) -> Result<Lookup, Undecided> {
        let Some(&(cluster, size)) = root.slots.get(name) else {
            return root.unread.clone().map_or(Ok(Lookup::Absent), Err);
        };
        let sector = match u64::from(cluster) {
            // An empty file needs no cluster, and 0 stands for the root directory.
            _ if size == 0 => self.root,
            0 => self.root,
            // The number by which the loader's search says that there is no such file.
            _ if cluster == u32::MAX - 1 => return Ok(Lookup::Absent),
            number => match self.sector_of(number) {
                Some(sector) => sector,
                None => return Ok(Lookup::BadStart { cluster }),
            },
        };
        Ok(Lookup::At(Start { sector, size }))
    }

    /// Follows a file from its first sector to its last, through no more than `budget` bytes of
    /// clusters, which what it goes through is taken from. `None` where that is not enough.
    pub(super) fn follow(
        &self,
        fat: &mut FatCopy<'_>,
        file: Start,
        budget: &mut u64,
    ) -> Result<Option<Result<Chain, ChainFault>>, Undecided> {
        let size = file.size;
        let mut need = u64::from(size).div_ceil(self.sector);
        let mut chain = Chain {
            runs: Vec::new(),
            through_root: false,
        };
        let mut at = file.sector;
        let mut held = 0;
        while need > 0 {
            let left = self.sectors_from(at);
            let take = left.min(need);
            match budget.checked_sub(take * self.sector) {
                Some(rest) => *budget = rest,
                None if u64::from(size) > self.data_bytes() => {
                    return Ok(Some(Err(ChainFault::Larger { size })));
                }
                None => return Ok(None),
            }
            self.push(&mut chain.runs, at, take)?;
            chain.through_root |= at < self.data;
            need -= take;
            held += take * self.sector;
            if take < left {
                break;
            }
            // Asked behind the file's last sector as well, where that ends a cluster.
            let next = match self.next(fat, at, need == 0)? {
                Ok(next) => next,
                Err(fault) => return Ok(Some(Err(fault))),
            };
            match next {
                Some(next) => at = next,
                None if need == 0 => break,
                None if chain.through_root => return Ok(Some(Err(ChainFault::Free))),
                None => return Ok(Some(Err(ChainFault::Short { size, held }))),
            }
        }
        Ok(Some(Ok(chain)))
    }

    /// The bytes of a file that was followed; callers bound its size.
    pub(super) fn read(&self, runs: &Runs, size: u32) -> Result<Vec<u8>, Undecided> {
        let mut bytes = Vec::new();
        for run in runs {
            let len = run.end.saturating_sub(run.start);
            bytes.extend(read(self.medium, Some(run.start), len)?);
        }
        bytes.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        Ok(bytes)
    }

    fn sector_of(&self, cluster: u64) -> Option<u64> {
        let index = cluster.checked_sub(2)?;
        (index < self.clusters).then(|| self.data + index * self.per_cluster)
    }

    /// Sectors of the cluster, or of the root directory, that begins at `at`.
    fn sectors_from(&self, at: u64) -> u64 {
        if at < self.data {
            self.data - at
        } else {
            self.per_cluster
        }
    }

    /// The sector that follows the cluster, or the root directory, in which `at` lies; `None` at
    /// the end.
    fn next(
        &self,
        fat: &mut FatCopy<'_>,
        at: u64,
        complete: bool,
    ) -> Result<Result<Option<u64>, ChainFault>, Undecided> {
        let Some(within) = at.checked_sub(self.data) else {
            return Ok(Ok(None));
        };
        let cluster = 2 + within / self.per_cluster;
        let entry = fat.entry(cluster)?;
        Ok(match entry {
            _ if fat.is_end(entry) => Ok(None),
            0 => Ok(Some(self.root)),
            _ => match self.sector_of(u64::from(entry)) {
                Some(next) => Ok(Some(next)),
                None => Err(ChainFault::OutOfRange {
                    cluster: u32::try_from(cluster).unwrap_or(u32::MAX),
                    next: u32::from(entry),
                    complete,
                }),
            },
        })
    }

    fn push(&self, runs: &mut Runs, at: u64, sectors: u64) -> Result<(), Undecided> {
        let start = self.start.checked_add(at * self.sector);
        let end = start.and_then(|start| start.checked_add(sectors * self.sector));
        let (Some(start), Some(end)) = (start, end) else {
            return Err(Undecided::past_the_end(at * self.sector));
        };
        match runs.last_mut() {
            Some(run) if run.end == start => run.end = end,
            _ => runs.push(start..end),
        }
        Ok(())
    }
}

/// The names of a root directory, up to the slot that ends it.
#[derive(Default)]
pub(super) struct Root {
    /// First cluster and size of the first slot of each name.
    slots: HashMap<[u8; SHORT], (u32, u32)>,
    /// Why what follows is not known.
    unread: Option<Undecided>,
}

impl Root {
    /// Adds the slots of some sectors; whether the directory ends in them.
    fn take(&mut self, bytes: &[u8]) -> bool {
        for slot in bytes.chunks_exact(SLOT) {
            if slot.first() == Some(&0) {
                return true;
            }
            let fields = || {
                let low = le16(slot, 26)?;
                let high = le16(slot, 20)?;
                let cluster = u32::from(high) << 16 | u32::from(low);
                Some((array::<SHORT>(slot, 0)?, (cluster, le32(slot, 28)?)))
            };
            if let Some((name, place)) = fields() {
                self.slots.entry(name).or_insert(place);
            }
        }
        false
    }
}

#[cfg(test)]
mod tests;
