//! A finished plan held against what it may do, before anything is written.
//!
//! The plan is laid over the medium and the volume opened again on the result. This program's
//! own reader compares exact chains and bytes; the `fatfs` crate, which shares no code with
//! it, must see the same files.

use super::FatError;
use super::cluster_set::ClusterSet;
use super::directory::{FIRST_CLUSTER_AT, SIZE_AT, SLOT_LEN};
use super::reach::{Node, Reach};
use super::replace::{Action, FileChange, Method, nodes_of};
use super::second_reader;
use super::volume::Volume;
use crate::commit::{Overlay, WriteSet};
use crate::medium::ReadAt;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

/// Judges what the steps of `set` do to `volume`. `reach` comes from its check, `files` are
/// what was asked for (none for a plan that only reclaims). Sectors outside the volume are not
/// looked at. Reads next to nothing: heads come from memory, new content from the plan.
///
/// # Errors
/// [`FatError::Rejected`] where the plan changes more than it may or does not do what it
/// should, [`FatError::SecondReader`] where `fatfs` sees something else, and whatever
/// [`Volume::open`] and [`Volume::check`] find wrong with the result.
pub fn judge(
    volume: &Volume<'_>,
    reach: &Reach,
    set: &WriteSet,
    files: &[FileChange],
    method: Method,
) -> Result<(), FatError> {
    let known = volume.known_head();
    let overlay = Overlay::new(&known, set);
    let range = volume.start()..volume.start() + volume.window().size();
    let sector_size = volume.geometry().sector_size();
    second_reader::agree(
        &Volume::open(&known, range.clone(), sector_size)?,
        reach,
        &|_| Ok(None),
    )?;

    let after = Volume::open(&overlay, range, sector_size)?;
    let reached = after.check()?;
    let case = Case {
        before: volume,
        reach,
        after: &after,
        reached: &reached,
        unused: reach.free_after_reclaim(),
        old: nodes_of(reach, files)?,
        files,
        method,
    };
    let contents = case.check_nodes()?;
    case.check_directory_bytes()?;
    case.check_fats()?;
    case.check_sectors(set)?;
    second_reader::agree(&after, &reached, &|index| {
        let content = contents.iter().find(|(node, _)| *node == index);
        Ok(content.map(|(_, content)| Cow::Borrowed(*content)))
    })
}

fn rejected<T>(what: impl Into<String>, offset: u64) -> Result<T, FatError> {
    let what = what.into();
    Err(FatError::Rejected { what, offset })
}

struct Case<'j> {
    before: &'j Volume<'j>,
    reach: &'j Reach,
    after: &'j Volume<'j>,
    reached: &'j Reach,
    /// Clusters nothing reached before.
    unused: ClusterSet,
    /// The replaced and removed files as they are before.
    old: Vec<&'j Node>,
    files: &'j [FileChange],
    method: Method,
}

impl<'j> Case<'j> {
    /// Every file is where it was with the chain it had, but for those that were to change: they
    /// hold their new content, are new, or are gone. Yields new contents by index of the node.
    fn check_nodes(&self) -> Result<Vec<(usize, &'j [u8])>, FatError> {
        let mut before: BTreeMap<u64, (usize, &Node)> = self.reach.by_offset();
        let mut contents = Vec::new();
        for (index, new) in self.reached.nodes().iter().enumerate() {
            let at = new.entry().offset();
            let old = before.remove(&at);
            let file = self.files.iter().find(|it| it.entry.offset() == at);
            let path = || self.reached.path(index);
            match (old, file.map(|file| &file.action)) {
                (Some((_, old)), None) if self.is_same(old, new) => {}
                (Some((_, old)), Some(Action::Replace(content))) => {
                    self.check_content(new, content, path())?;
                    self.check_new_chain(Some(old), new)?;
                    contents.push((index, content.as_ref()));
                }
                (None, Some(Action::Create(content))) => {
                    self.check_content(new, content, path())?;
                    self.check_new_chain(None, new)?;
                    contents.push((index, content.as_ref()));
                }
                (None, _) => return rejected(format!("{} would appear", path()), at),
                (Some(_), _) => return rejected(format!("{} would change", path()), at),
            }
        }
        for (at, (index, _)) in before {
            let file = self.files.iter().find(|it| it.entry.offset() == at);
            if !file.is_some_and(|file| file.action == Action::Remove) {
                return rejected(format!("{} would disappear", self.reach.path(index)), at);
            }
        }
        if contents.len() != self.files.iter().filter_map(FileChange::content).count() {
            return rejected("a file does not get its new content", 0);
        }
        Ok(contents)
    }

    /// Whether a file or directory is the same before and after, in the same directory.
    fn is_same(&self, old: &Node, new: &Node) -> bool {
        old.entry() == new.entry()
            && old.chain() == new.chain()
            && self.reach.folder_of(old) == self.reached.folder_of(new)
    }

    fn check_content(&self, new: &Node, content: &[u8], path: String) -> Result<(), FatError> {
        let at = new.entry().offset();
        let size = u64::from(new.entry().size());
        let needed = self.after.geometry().clusters_for(size);
        if size != content.len() as u64 || needed != new.chain().len() as u64 {
            return rejected(format!("{path} would get the wrong length"), at);
        }
        if self.after.read_chain(new.chain(), size)? != content {
            return rejected(format!("{path} would get the wrong content"), at);
        }
        Ok(())
    }

    fn check_new_chain(&self, old: Option<&Node>, new: &Node) -> Result<(), FatError> {
        let sound = match (self.method, old) {
            (Method::InPlace, Some(old)) => old.chain().starts_with(new.chain()),
            (Method::InPlace, None) => false,
            (Method::SecondCopy, _) => new.chain().iter().all(|&it| self.unused.contains(it)),
        };
        if sound {
            Ok(())
        } else {
            rejected(
                "new content goes into clusters in use",
                new.entry().offset(),
            )
        }
    }

    /// No byte of the root directory changes but first cluster and size of replaced files, the slots
    /// of new ones, and the first bytes of removed ones and of their long names.
    fn check_directory_bytes(&self) -> Result<(), FatError> {
        // With one reserved sector the second one read is the FAT's.
        let geometry = self.before.geometry();
        let reserved = u64::from(geometry.reserved_sectors()) * u64::from(geometry.sector_size());
        let reserved = usize::try_from(reserved).unwrap_or(usize::MAX);
        let head = |volume: &'j Volume<'j>| volume.boot().iter().take(reserved);
        if !head(self.before).eq(head(self.after)) {
            return rejected("the boot sector or the identity would change", 0);
        }
        let range = self.before.geometry().root_range();
        let from = match self.method {
            Method::SecondCopy => FIRST_CLUSTER_AT,
            Method::InPlace => SIZE_AT,
        };
        let mut may_change: Vec<Range<u64>> = Vec::new();
        for file in self.files {
            let at = file.entry.offset();
            let end = at + SLOT_LEN as u64;
            match file.action {
                Action::Replace(_) => may_change.push(at + from as u64..end),
                Action::Create(_) => may_change.push(at..end),
                Action::Remove => {
                    let long = self.before.long_name_slots(&file.entry);
                    may_change.extend(long.into_iter().chain([at]).map(|it| it..it + 1));
                }
            }
        }
        let pairs = self.before.root().iter().zip(self.after.root());
        for (offset, (old, new)) in (range.start..).zip(pairs) {
            if old != new && !may_change.iter().any(|range| range.contains(&offset)) {
                return rejected("another byte of the root directory would change", offset);
            }
        }
        Ok(())
    }

    /// Every FAT entry that changes was free, on a replaced file's chain, or left over; after
    /// the plan nothing is left over.
    fn check_fats(&self) -> Result<(), FatError> {
        if !self.reached.leftovers().is_empty() {
            return rejected("leftovers would stay", 0);
        }
        let mut may_change = self.unused.clone();
        may_change.extend(&self.reach.leftovers().differing);
        may_change.extend(self.old.iter().flat_map(|node| node.chain()));
        let geometry = self.before.geometry();
        let tables = self.before.fats().iter().zip(self.after.fats());
        for ((old, new), place) in tables.zip(geometry.fat_ranges()) {
            let must_not = |number: &u16| {
                let cluster = geometry.cluster(*number);
                !cluster.is_some_and(|it| may_change.contains(it))
            };
            if let Some(number) = old.differing(new).find(must_not) {
                let what = format!("the FAT entry of cluster {number} would change");
                let bits = u64::from(geometry.kind().bits());
                return rejected(what, place.start + u64::from(number) * bits / 8);
            }
        }
        Ok(())
    }

    /// Every sector of the plan that lies in the volume is one of a FAT's used part, of the
    /// root directory, or of a cluster that new content goes to.
    fn check_sectors(&self, set: &WriteSet) -> Result<(), FatError> {
        let geometry = self.before.geometry();
        let replaced = |node: &&Node| {
            let at = node.entry().offset();
            self.files.iter().any(|file| file.entry.offset() == at)
        };
        let nodes = self.reached.nodes().iter().filter(replaced);
        let filled: ClusterSet = nodes.flat_map(Node::chain).collect();
        for lba in set.net_changes().into_keys() {
            let offset = set
                .offset_of(lba)
                .and_then(|at| at.checked_sub(self.before.start()));
            let Some(offset) = offset.filter(|at| *at < self.before.window().size()) else {
                continue;
            };
            let used = geometry.fat_bytes_used();
            let in_fat =
                |fat: std::ops::Range<u64>| (fat.start..fat.start + used).contains(&offset);
            let in_cluster = geometry
                .cluster_at(offset)
                .is_some_and(|it| filled.contains(it));
            let expected = in_cluster
                || geometry.root_range().contains(&offset)
                || geometry.fat_ranges().into_iter().any(in_fat);
            if !expected {
                return rejected("a sector would change that must not", offset);
            }
        }
        Ok(())
    }
}
