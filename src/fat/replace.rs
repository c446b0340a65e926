//! Files of the root directory replaced, made and removed in ordered steps, so that a cut at any
//! point leaves each of them old or new.
//!
//! What is written where, and why in this order ([`replace()`]):
//!
//! | step | sectors | if it is cut, in any mixture |
//! |---|---|---|
//! | reclaim | FAT entries nothing reaches, where an earlier run was cut | still nothing reaches them |
//! | data | clusters free in every copy of the FAT | free clusters hold other garbage |
//! | allocate | FAT entries of those clusters, in every copy | nothing reaches them: leftovers |
//! | prepare | the slots of new files, each as a deleted entry | every reader skips a deleted entry |
//! | switch | bytes 26 to 31 of the directory entry, or byte 0 of one that is made or removed: each inside one aligned 8-byte word | old or new |
//! | release | FAT entries of the old chain, in every copy; long names of removed files | nothing reaches them: leftovers |
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
use super::cluster_set::ClusterSet;
use super::directory::{DELETED, Entry, FIRST_CLUSTER_AT, SIZE_AT};
use super::geometry::ClusterId;
use super::reach::{Node, Reach};
use super::room::{Room, leave_out_avoided};
use super::table::FatTable;
use super::volume::Volume;
use crate::commit::{Phase, Planner};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// A file of the root directory, and what becomes of it.
#[derive(Clone, Debug)]
pub struct FileChange {
    /// Its entry, as [`Volume::find`] or [`Volume::new_entries`] gave it.
    pub entry: Entry,
    /// What becomes of it.
    pub action: Action,
    /// What for, in words: `new content of state.tgz`.
    pub why: String,
}

/// What becomes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It gets other content; never empty.
    Replace(Bytes),
    /// It is made, with this content. An empty one gets no cluster.
    Create(Bytes),
    /// It is removed.
    Remove,
}

impl FileChange {
    /// What the file shall hold; `None` for one that is removed.
    pub fn content(&self) -> Option<&Bytes> {
        match &self.action {
            Action::Replace(content) | Action::Create(content) => Some(content),
            Action::Remove => None,
        }
    }

    /// Whether the file is there before the change.
    pub(super) fn is_there(&self) -> bool {
        !matches!(self.action, Action::Create(_))
    }

    fn len(&self) -> u64 {
        self.content().map_or(0, |content| content.len() as u64)
    }
}

/// Where new content goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Into free clusters, the entry switched over afterwards.
    SecondCopy,
    /// Over the clusters the file has.
    InPlace,
}

/// Adds to `planner` the steps that replace, make and remove `files`, without a moment at which
/// a file is neither old nor new. Leftovers in `reach` are freed first. Entries are switched
/// one directory sector at a time, the sector with the last of `files` last.
///
/// `reach` comes from [`Volume::check`] of this `volume`, as the medium of the planner has it
/// now: call this once per volume and planner, but for further tries where there was no room, which
/// adds at most the freeing of leftovers. `partition` is only recorded in the steps.
///
/// # Errors
/// [`FatError::NoRoom`] counts all files together, and leaves open whether they would fit in place; [`FatError::ContentSize`],
/// [`FatError::NotInRoot`], [`FatError::Plan`].
pub fn replace(
    volume: &Volume<'_>,
    reach: &Reach,
    planner: &mut Planner<'_>,
    partition: u32,
    files: &[FileChange],
) -> Result<(), FatError> {
    let old = nodes_of(reach, files)?;
    let geometry = volume.geometry();
    let mut room = Room::of(volume, reach, planner);
    let needed = files.iter().map(|file| geometry.clusters_for(file.len()));
    room.check(needed.sum())?;
    let mut steps = Steps::begin(volume, planner, partition)?;
    steps.reclaim(reach)?;
    let mut chains = Vec::new();
    for file in files {
        chains.push(room.take(file.len())?);
    }
    let why = all_reasons(files);

    steps.planner.begin(Phase::Data, partition, &why);
    for (file, chain) in files.iter().zip(&chains) {
        if let Some(content) = file.content() {
            steps.put_content(chain, content)?;
        }
    }
    steps.planner.begin(Phase::Allocate, partition, &why);
    steps.edit_fats(|fat| chains.iter().for_each(|chain| fat.set_chain(chain)))?;
    let first = |index: usize| {
        let chain: Option<&Vec<ClusterId>> = chains.get(index);
        chain.and_then(|it| it.first()).map_or(0, |it| it.get())
    };
    steps.put_entries(Phase::Prepare, files, |index, file| match file.action {
        Action::Create(_) => {
            let mut slot = file.entry.with_content(first(index), size_of(file)?);
            slot[0] = DELETED;
            Ok(Some((0, slot.to_vec())))
        }
        Action::Replace(_) | Action::Remove => Ok(None),
    })?;
    steps.put_entries(Phase::Switch, files, |index, file| {
        Ok(Some(match file.action {
            Action::Replace(_) => {
                let mut word = first(index).to_le_bytes().to_vec();
                word.extend(size_of(file)?.to_le_bytes());
                (FIRST_CLUSTER_AT, word)
            }
            Action::Create(_) => (0, vec![file.entry.raw_name()[0]]),
            Action::Remove => (0, vec![DELETED]),
        }))
    })?;
    steps.keep(&old)?;
    steps.planner.begin(Phase::Release, partition, &why);
    steps.edit_fats(|fat| {
        let clusters = old.iter().flat_map(|node| node.chain());
        clusters.for_each(|&cluster| fat.set_free(cluster));
    })?;
    steps.delete_long_names(files)
}

/// As [`replace`], but over the clusters each file already has, for a volume without room for
/// a second copy. A cut leaves a file that is neither old nor new until the old content is put
/// back from the plan.
///
/// # Errors
/// [`FatError::NotOver`], [`FatError::NoFit`], [`FatError::Avoided`], and those of [`replace`] but [`FatError::NoRoom`].
pub fn replace_in_place(
    volume: &Volume<'_>,
    reach: &Reach,
    planner: &mut Planner<'_>,
    partition: u32,
    files: &[FileChange],
) -> Result<(), FatError> {
    let old = nodes_of(reach, files)?;
    let mut parts = Vec::new();
    let mut contents = Vec::new();
    for file in files {
        match &file.action {
            Action::Replace(content) => contents.push(content),
            Action::Create(_) | Action::Remove => {
                return Err(FatError::NotOver {
                    file: file.entry.name(),
                    is_new: matches!(file.action, Action::Create(_)),
                });
            }
        }
    }
    for (file, node) in files.iter().zip(&old) {
        let needed = volume.geometry().clusters_for(file.len());
        let used = usize::try_from(needed).unwrap_or(usize::MAX);
        parts.push(
            node.chain()
                .split_at_checked(used)
                .ok_or_else(|| no_fit(file, needed, node.chain().len()))?,
        );
    }
    for (file, (used, _)) in files.iter().zip(&parts) {
        let mut writable: ClusterSet = used.iter().collect();
        leave_out_avoided(volume, &mut writable, planner);
        if writable.len() < used.len() {
            let file = file.entry.name();
            return Err(FatError::Avoided { file });
        }
    }
    let mut steps = Steps::begin(volume, planner, partition)?;
    steps.reclaim(reach)?;
    let why = all_reasons(files);
    steps.planner.begin(Phase::Overwrite, partition, &why);
    // What is kept belongs to the partition of the step that has begun.
    steps.keep(&old)?;
    for (content, (used, _)) in contents.into_iter().zip(&parts) {
        steps.put_content(used, content)?;
    }
    steps.put_entries(Phase::Resize, files, |_, file| {
        Ok(Some((SIZE_AT, size_of(file)?.to_le_bytes().to_vec())))
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

fn no_fit(file: &FileChange, needed: u64, have: usize) -> FatError {
    FatError::NoFit {
        file: file.entry.name(),
        needed,
        have: have as u64,
    }
}

/// The files in the root directory that are replaced or removed, in the order of `files`.
pub(super) fn nodes_of<'r>(
    reach: &'r Reach,
    files: &[FileChange],
) -> Result<Vec<&'r Node>, FatError> {
    let mut named = BTreeSet::new();
    let mut nodes = Vec::new();
    for file in files {
        let is_emptied = matches!(&file.action, Action::Replace(content) if content.is_empty());
        if is_emptied || u32::try_from(file.len()).is_err() {
            return Err(content_size(file));
        }
        let not_in_root = || FatError::NotInRoot {
            file: file.entry.name(),
        };
        if !named.insert(file.entry.offset()) {
            return Err(not_in_root());
        }
        if file.is_there() {
            let is_it = |node: &&Node| node.parent().is_none() && node.entry() == &file.entry;
            let found = reach.nodes().iter().find(is_it);
            let found = found.filter(|node| !node.entry().is_directory());
            nodes.push(found.ok_or_else(not_in_root)?);
        }
    }
    Ok(nodes)
}

fn content_size(file: &FileChange) -> FatError {
    FatError::ContentSize {
        file: file.entry.name(),
        size: file.content().map_or(0, Bytes::len),
    }
}

fn size_of(file: &FileChange) -> Result<u32, FatError> {
    u32::try_from(file.len()).map_err(|_| content_size(file))
}

fn all_reasons(files: &[FileChange]) -> String {
    let reasons: Vec<_> = files.iter().map(|file| file.why.as_str()).collect();
    reasons.join(", ")
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

    /// Puts `content` into the clusters of `chain`: whole sectors, the rest of the last one 0. The plan
    /// shares the content.
    fn put_content(&mut self, chain: &[ClusterId], content: &Bytes) -> Result<(), FatError> {
        let sector = self.volume.geometry().sector_size() as usize;
        let padded = content.len().next_multiple_of(sector);
        let mut rest = content.clone();
        for run in self.volume.runs(chain, padded as u64) {
            let start = on_medium(self.volume, run.clone()).start;
            let len = usize::try_from(run.end - run.start).unwrap_or(usize::MAX);
            let mut now = rest.split_to(len.min(rest.len()));
            let mut last = now.split_off(now.len() / sector * sector).to_vec();
            last.resize(last.len().next_multiple_of(sector), 0);
            self.planner.put_sectors(start, &[now, last.into()])?;
        }
        Ok(())
    }

    /// One step for each directory sector that holds entries of `files`. `bytes` yields what
    /// to put into the entry of a file, and where in it; `None` leaves it as it is.
    fn put_entries(
        &mut self,
        phase: Phase,
        files: &[FileChange],
        bytes: impl Fn(usize, &FileChange) -> Result<Option<(usize, Vec<u8>)>, FatError>,
    ) -> Result<(), FatError> {
        let mut by_sector: BTreeMap<u64, Vec<(usize, u64, Vec<u8>)>> = BTreeMap::new();
        for (index, file) in files.iter().enumerate() {
            if let Some((at, word)) = bytes(index, file)? {
                let sector = file.entry.offset() / u64::from(self.volume.geometry().sector_size());
                let offset = self.volume.start() + file.entry.offset() + at as u64;
                let words = by_sector.entry(sector).or_default();
                words.push((index, offset, word));
            }
        }
        let mut sectors: Vec<_> = by_sector.into_values().collect();
        sectors.sort_by_key(|words| words.last().map(|(index, ..)| *index));
        for words in sectors {
            let reasons: Vec<_> = words
                .iter()
                .map(|(index, ..)| files[*index].why.as_str())
                .collect();
            self.planner
                .begin(phase, self.partition, reasons.join(", "));
            for (_, offset, word) in words {
                self.planner.put(offset, &word)?;
            }
        }
        Ok(())
    }

    /// Deletes the long names of removed files: they belong to nothing any more.
    fn delete_long_names(&mut self, files: &[FileChange]) -> Result<(), FatError> {
        let removed = files.iter().filter(|file| file.action == Action::Remove);
        for offset in removed.flat_map(|file| self.volume.long_name_slots(&file.entry)) {
            self.planner.put(self.volume.start() + offset, &[DELETED])?;
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
