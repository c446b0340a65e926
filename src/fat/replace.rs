//! A file's new content as ordered steps, so that a cut at any point leaves old or new.
//!
//! What is written where, and why in this order ([`replace()`]):
//!
//! | step | sectors | if it is cut, in any mixture |
//! |---|---|---|
//! | reclaim | FAT entries nothing reaches, where an earlier run was cut | still nothing reaches them |
//! | data | clusters free in every copy of the FAT | free clusters hold other garbage |
//! | allocate | FAT entries of those clusters, in every copy | nothing reaches them: leftovers |
//! | switch | bytes 26 to 31 of the directory entry, inside one aligned 8-byte word | old or new |
//! | release | FAT entries of the old chain, in every copy | nothing reaches them: leftovers |
//!
//! Each step is on the medium before the next one begins. A FAT12 entry may lie across two
//! sectors or words and be torn; it is then one nothing reaches, and the half of the byte it
//! shares with a neighbour keeps its bits. Times, attributes, names, the boot sector, the
//! dirty marks and the sector with the volume's identity are never touched: ESXi checks none
//! of the times and finds its volumes by that identity.
//!
//! [`replace_in_place`] overwrites the clusters the file has. It needs no free cluster, and
//! a cut in the middle leaves neither old nor new.

use super::FatError;
use super::directory::{Entry, FIRST_CLUSTER_AT, SIZE_AT};
use super::geometry::ClusterId;
use super::reach::{Node, Reach};
use super::table::FatTable;
use super::volume::Volume;
use crate::commit::{Phase, Planner};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// A file of the root directory and what it shall hold.
#[derive(Clone, Debug)]
pub struct Replacement<'c> {
    /// The entry of the file, as [`Volume::find`] gave it.
    pub entry: Entry,
    /// The new content; never empty.
    pub content: &'c [u8],
    /// What for, in words: `new content of state.tgz`.
    pub why: String,
}

/// Where new content goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Into free clusters, the entry switched over afterwards.
    SecondCopy,
    /// Over the clusters the file has.
    InPlace,
}

/// Adds to `planner` the steps that give `files` their new content, without a moment at which
/// a file is neither old nor new. Leftovers in `reach` are freed first. Entries are switched
/// one directory sector at a time, the sector with the last of `files` last.
///
/// `reach` comes from [`Volume::check`] of this `volume`, as the medium of the planner has it
/// now: call this once per volume and planner. `partition` is only recorded in the steps.
///
/// # Errors
/// [`FatError::NoRoom`] counts all files together; [`FatError::ContentSize`],
/// [`FatError::NotInRoot`], [`FatError::Plan`].
pub fn replace(
    volume: &Volume<'_>,
    reach: &Reach,
    planner: &mut Planner<'_>,
    partition: u32,
    files: &[Replacement<'_>],
) -> Result<(), FatError> {
    let old = nodes_of(reach, files)?;
    let mut free = free_after_reclaim(reach);
    let geometry = volume.geometry();
    let needed = files
        .iter()
        .map(|file| geometry.clusters_for(file.content.len() as u64));
    let needed: u64 = needed.sum();
    if needed > free.len() as u64 {
        return Err(FatError::NoRoom {
            needed,
            free: free.len() as u64,
            cluster_bytes: geometry.cluster_bytes(),
        });
    }
    let mut steps = Steps::begin(volume, planner, partition)?;
    steps.reclaim(reach)?;
    let mut chains = Vec::new();
    for file in files {
        chains.push(take_readable(volume, &mut free, file.content.len() as u64)?);
    }
    let why = all_reasons(files);

    steps.planner.begin(Phase::Data, partition, &why);
    for (file, chain) in files.iter().zip(&chains) {
        steps.put_content(chain, file.content)?;
    }
    steps.planner.begin(Phase::Allocate, partition, &why);
    steps.edit_fats(|fat| chains.iter().for_each(|chain| fat.set_chain(chain)))?;
    steps.put_entries(Phase::Switch, files, |index, file| {
        let first = chains[index].first().map_or(0, |first| first.get());
        let mut word = first.to_le_bytes().to_vec();
        word.extend(size_of(file)?.to_le_bytes());
        Ok((FIRST_CLUSTER_AT, word))
    })?;
    steps.keep(&old)?;
    steps.planner.begin(Phase::Release, partition, &why);
    steps.edit_fats(|fat| {
        let clusters = old.iter().flat_map(|node| node.chain());
        clusters.for_each(|&cluster| fat.set_free(cluster));
    })
}

/// As [`replace`], but over the clusters each file already has, for a volume without room for
/// a second copy. A cut leaves a file that is neither old nor new until the old content is put
/// back from the plan.
///
/// # Errors
/// [`FatError::NoFit`], and those of [`replace`] but [`FatError::NoRoom`].
pub fn replace_in_place(
    volume: &Volume<'_>,
    reach: &Reach,
    planner: &mut Planner<'_>,
    partition: u32,
    files: &[Replacement<'_>],
) -> Result<(), FatError> {
    let old = nodes_of(reach, files)?;
    let mut parts = Vec::new();
    for (file, node) in files.iter().zip(&old) {
        let needed = volume.geometry().clusters_for(file.content.len() as u64);
        let used = usize::try_from(needed).unwrap_or(usize::MAX);
        parts.push(
            node.chain()
                .split_at_checked(used)
                .ok_or_else(|| FatError::NoFit {
                    file: file.entry.name(),
                    needed,
                    have: node.chain().len() as u64,
                })?,
        );
    }
    let mut steps = Steps::begin(volume, planner, partition)?;
    steps.reclaim(reach)?;
    let why = all_reasons(files);
    steps.planner.begin(Phase::Overwrite, partition, &why);
    // What is kept belongs to the partition of the step that has begun.
    steps.keep(&old)?;
    for (file, (used, _)) in files.iter().zip(&parts) {
        steps.put_content(used, file.content)?;
    }
    steps.put_entries(Phase::Resize, files, |_, file| {
        Ok((SIZE_AT, size_of(file)?.to_le_bytes().to_vec()))
    })?;
    steps.planner.begin(Phase::Release, partition, &why);
    steps.edit_fats(|fat| {
        for (used, unused) in parts.iter().filter(|(_, unused)| !unused.is_empty()) {
            fat.set_chain(used);
            unused.iter().for_each(|&cluster| fat.set_free(cluster));
        }
    })
}

/// Adds to `planner` the step that frees leftovers of an interrupted run
/// and makes the copies of the FAT equal. Adds nothing where there are no leftovers.
///
/// # Errors
/// [`FatError::Plan`].
pub fn reclaim(
    volume: &Volume<'_>,
    reach: &Reach,
    planner: &mut Planner<'_>,
    partition: u32,
) -> Result<(), FatError> {
    Steps::begin(volume, planner, partition)?.reclaim(reach)
}

/// The file in the root directory each replacement is about.
pub(super) fn nodes_of<'r>(
    reach: &'r Reach,
    files: &[Replacement<'_>],
) -> Result<Vec<&'r Node>, FatError> {
    let mut named = BTreeSet::new();
    files
        .iter()
        .map(|file| {
            if file.content.is_empty() || u32::try_from(file.content.len()).is_err() {
                return Err(FatError::ContentSize {
                    file: file.entry.name(),
                    size: file.content.len(),
                });
            }
            let is_it = |node: &&Node| node.parent().is_none() && node.entry() == &file.entry;
            let found = reach.nodes().iter().find(is_it);
            found
                .filter(|node| !node.entry().is_directory())
                .filter(|node| named.insert(node.entry().offset()))
                .ok_or_else(|| FatError::NotInRoot {
                    file: file.entry.name(),
                })
        })
        .collect()
}

fn size_of(file: &Replacement<'_>) -> Result<u32, FatError> {
    u32::try_from(file.content.len()).map_err(|_| FatError::ContentSize {
        file: file.entry.name(),
        size: file.content.len(),
    })
}

fn all_reasons(files: &[Replacement<'_>]) -> String {
    let reasons: Vec<_> = files.iter().map(|file| file.why.as_str()).collect();
    reasons.join(", ")
}

/// Most clusters that are passed over because they cannot be read: where there are more, the medium
/// is not worn but dying, or gone, and each try may take its time.
const MOST_UNREADABLE: usize = 64;

/// Takes clusters for `bytes` bytes out of `free`, passing over those the medium cannot read: worn
/// flash is not written to where it already fails, and what fails would stand in the way of every
/// other try.
fn take_readable(
    volume: &Volume<'_>,
    free: &mut Vec<ClusterId>,
    bytes: u64,
) -> Result<Vec<ClusterId>, FatError> {
    let geometry = volume.geometry();
    let needed = geometry.clusters_for(bytes);
    let mut unreadable = 0;
    loop {
        let chain = take(free, needed);
        if (chain.len() as u64) < needed {
            return Err(FatError::NoRoom {
                needed,
                free: chain.len() as u64,
                cluster_bytes: geometry.cluster_bytes(),
            });
        }
        match volume.read_chain(&chain, bytes) {
            Ok(_) => return Ok(chain),
            Err(error) if unreadable > MOST_UNREADABLE => return Err(error),
            Err(_) => {}
        }
        let is_readable = |cluster: &ClusterId| {
            let whole = geometry.cluster_bytes();
            volume.read_chain(&[*cluster], whole).is_ok()
        };
        let all = chain.len();
        let readable: Vec<ClusterId> = chain.into_iter().filter(is_readable).collect();
        if readable.len() == all {
            // It failed, and now it does not: nothing to tell the clusters apart by.
            return Ok(readable);
        }
        unreadable += all - readable.len();
        free.extend(readable);
        free.sort_unstable();
    }
}

/// Clusters that are free once the leftovers are, lowest first.
fn free_after_reclaim(reach: &Reach) -> Vec<ClusterId> {
    let mut free = reach.free().to_vec();
    free.extend(&reach.leftovers().allocated);
    free.sort_unstable();
    free
}

/// Takes `count` clusters out of `free`: the first run long enough, else the lowest ones.
fn take(free: &mut Vec<ClusterId>, count: u64) -> Vec<ClusterId> {
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(free.len());
    let mut run = 0..0;
    for (at, cluster) in free.iter().enumerate() {
        let goes_on = at
            .checked_sub(1)
            .and_then(|before| free.get(before))
            .is_some_and(|before| before.get() + 1 == cluster.get());
        run = if goes_on {
            run.start..at + 1
        } else {
            at..at + 1
        };
        if run.len() >= count {
            return free.drain(run).collect();
        }
    }
    free.drain(..count).collect()
}

/// The steps of one volume in the making.
struct Steps<'s, 'v, 'm> {
    volume: &'s Volume<'v>,
    planner: &'s mut Planner<'m>,
    partition: u32,
    /// The copies of the FAT as the steps so far leave them.
    fats: Vec<FatTable>,
}

impl<'s, 'v, 'm> Steps<'s, 'v, 'm> {
    /// Declares what of the volume may change.
    fn begin(
        volume: &'s Volume<'v>,
        planner: &'s mut Planner<'m>,
        partition: u32,
    ) -> Result<Self, FatError> {
        for range in volume.declared_ranges() {
            planner.allow(range)?;
        }
        Ok(Steps {
            volume,
            planner,
            partition,
            fats: volume.fats().to_vec(),
        })
    }

    fn reclaim(&mut self, reach: &Reach) -> Result<(), FatError> {
        let left = reach.leftovers();
        if left.is_empty() {
            return Ok(());
        }
        let why = "leftovers of an interrupted run";
        self.planner.begin(Phase::Reclaim, self.partition, why);
        self.edit_fats(|fat| {
            left.allocated
                .iter()
                .for_each(|&cluster| fat.set_free(cluster));
            // A cluster one copy calls bad is bad: the other copy learns of it.
            let known_bad = |cluster: &&ClusterId| reach.bad().binary_search(cluster).is_ok();
            let bad = left.differing.iter().filter(known_bad);
            bad.for_each(|&cluster| fat.set_bad(cluster));
        })
    }

    /// Puts what `edit` changes in each copy of the FAT, in whole sectors.
    fn edit_fats(&mut self, edit: impl Fn(&mut FatTable)) -> Result<(), FatError> {
        let len = self.volume.geometry().sector_size() as usize;
        let places = self.volume.geometry().fat_ranges();
        for (fat, place) in self.fats.iter_mut().zip(places) {
            let before = fat.clone();
            edit(fat);
            let start = on_medium(self.volume, place).start;
            let sectors = before.bytes().chunks(len).zip(fat.bytes().chunks(len));
            for (index, (old, new)) in sectors.enumerate() {
                if old != new {
                    self.planner.put(start + (index * len) as u64, new)?;
                }
            }
        }
        Ok(())
    }

    /// Puts `content` into the clusters of `chain`: whole sectors, the rest of the last one 0.
    fn put_content(&mut self, chain: &[ClusterId], content: &[u8]) -> Result<(), FatError> {
        let sector = self.volume.geometry().sector_size() as usize;
        let mut content = content.to_vec();
        content.resize(content.len().next_multiple_of(sector), 0);
        let mut rest = content.as_slice();
        for run in self.volume.runs(chain, content.len() as u64) {
            let len = usize::try_from(run.end - run.start).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at(len.min(rest.len()));
            self.planner.put(on_medium(self.volume, run).start, now)?;
            rest = later;
        }
        Ok(())
    }

    /// One step for each directory sector that holds entries of `files`. `bytes` yields what
    /// to put into the entry of a file, and where in it.
    fn put_entries(
        &mut self,
        phase: Phase,
        files: &[Replacement<'_>],
        bytes: impl Fn(usize, &Replacement<'_>) -> Result<(usize, Vec<u8>), FatError>,
    ) -> Result<(), FatError> {
        let mut by_sector: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (index, file) in files.iter().enumerate() {
            let sector = file.entry.offset() / u64::from(self.volume.geometry().sector_size());
            by_sector.entry(sector).or_default().push(index);
        }
        let mut sectors: Vec<_> = by_sector.into_values().collect();
        sectors.sort_by_key(|indices| indices.last().copied());
        for indices in sectors {
            let reasons: Vec<_> = indices
                .iter()
                .map(|&index| files[index].why.as_str())
                .collect();
            self.planner
                .begin(phase, self.partition, reasons.join(", "));
            for index in indices {
                let file = &files[index];
                let (at, word) = bytes(index, file)?;
                let offset = self.volume.start() + file.entry.offset() + at as u64;
                self.planner.put(offset, &word)?;
            }
        }
        Ok(())
    }

    /// Keeps the old content of the files in the plan.
    fn keep(&mut self, old: &[&Node]) -> Result<(), FatError> {
        for node in old {
            let size = u64::from(node.entry().size());
            for run in self.volume.runs(node.chain(), size) {
                self.planner.preserve(on_medium(self.volume, run))?;
            }
        }
        Ok(())
    }
}

fn on_medium(volume: &Volume<'_>, range: Range<u64>) -> Range<u64> {
    volume.start() + range.start..volume.start() + range.end
}
