//! A finished plan held against what it may do, before anything is written.
//!
//! The plan is laid over the medium and the volume opened again on the result. This program's
//! own reader compares exact chains and bytes; the `fatfs` crate, which shares no code with
//! it, must see the same files.

use super::FatError;
use super::directory::{FIRST_CLUSTER_AT, SIZE_AT};
use super::geometry::ClusterId;
use super::reach::{Node, Reach};
use super::replace::{Method, Replacement, nodes_of};
use super::second_reader;
use super::volume::Volume;
use crate::commit::{Overlay, WriteSet};
use crate::medium::ReadAt;
use std::collections::BTreeSet;

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
    files: &[Replacement<'_>],
    method: Method,
) -> Result<(), FatError> {
    let known = volume.known_head();
    let overlay = Overlay::new(&known, set);
    let range = volume.start()..volume.start() + volume.window().size();
    let sector_size = volume.geometry().sector_size();
    second_reader::agree(
        &Volume::open(&known, range.clone(), sector_size)?,
        reach,
        &[],
    )?;

    let after = Volume::open(&overlay, range, sector_size)?;
    let reached = after.check()?;
    let case = Case {
        before: volume,
        reach,
        after: &after,
        reached: &reached,
        old: nodes_of(reach, files)?,
        files,
        method,
    };
    let contents = case.check_nodes()?;
    case.check_directory_bytes()?;
    case.check_fats()?;
    case.check_sectors(set)?;
    second_reader::agree(&after, &reached, &contents)
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
    /// The replaced files as they are before, in the order of `files`.
    old: Vec<&'j Node>,
    files: &'j [Replacement<'j>],
    method: Method,
}

impl<'j> Case<'j> {
    /// Every file is where it was with the chain it had; the replaced ones hold their new
    /// content. Yields these by index.
    fn check_nodes(&self) -> Result<Vec<(usize, &'j [u8])>, FatError> {
        let (before, after) = (self.reach.nodes(), self.reached.nodes());
        if before.len() != after.len() {
            return rejected("the number of files would change", 0);
        }
        let mut contents = Vec::new();
        for (index, (old, new)) in before.iter().zip(after).enumerate() {
            let at = old.entry().offset();
            let position = self.old.iter().position(|it| it.entry().offset() == at);
            let Some(position) = position else {
                if old != new {
                    return rejected(format!("{} would change", self.reach.path(index)), at);
                }
                continue;
            };
            let content = self.files[position].content;
            let size = u64::from(new.entry().size());
            let needed = self.after.geometry().clusters_for(size);
            if size != content.len() as u64 || needed != new.chain().len() as u64 {
                let what = format!("{} would get the wrong length", self.reach.path(index));
                return rejected(what, at);
            }
            if self.after.read_chain(new.chain(), size)? != content {
                let what = format!("{} would get the wrong content", self.reach.path(index));
                return rejected(what, at);
            }
            self.check_new_chain(old, new)?;
            contents.push((index, content));
        }
        Ok(contents)
    }

    fn check_new_chain(&self, old: &Node, new: &Node) -> Result<(), FatError> {
        let sound = match self.method {
            Method::InPlace => old.chain().starts_with(new.chain()),
            Method::SecondCopy => {
                let unused = self.unused();
                new.chain().iter().all(|cluster| unused.contains(cluster))
            }
        };
        if sound {
            Ok(())
        } else {
            rejected(
                "new content would go into clusters in use",
                old.entry().offset(),
            )
        }
    }

    /// No byte of the root directory changes but first cluster and size of replaced files.
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
        let pairs = self.before.root().iter().zip(self.after.root());
        for (offset, (old, new)) in (range.start..).zip(pairs) {
            let of_replaced = |node: &Node| {
                let entry = node.entry().offset();
                (entry + from as u64..entry + 32).contains(&offset)
            };
            if old != new && !self.old.iter().any(|node| of_replaced(node)) {
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
        let mut may_change = self.unused();
        may_change.extend(&self.reach.leftovers().differing);
        may_change.extend(self.old.iter().flat_map(|node| node.chain()));
        let geometry = self.before.geometry();
        let tables = self.before.fats().iter().zip(self.after.fats());
        for ((old, new), place) in tables.zip(geometry.fat_ranges()) {
            let bits = u64::from(geometry.kind().bits());
            let capacity = geometry.fat_bytes_used() * 8 / bits;
            for number in 0..=u16::try_from(capacity - 1).unwrap_or(u16::MAX) {
                let allowed = geometry
                    .cluster(number)
                    .is_some_and(|it| may_change.contains(&it));
                if !allowed && old.raw(number) != new.raw(number) {
                    let what = format!("the FAT entry of cluster {number} would change");
                    return rejected(what, place.start + u64::from(number) * bits / 8);
                }
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
            self.old.iter().any(|old| old.entry().offset() == at)
        };
        let nodes = self.reached.nodes().iter().filter(replaced);
        let filled: BTreeSet<ClusterId> = nodes.flat_map(Node::chain).copied().collect();
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
                .is_some_and(|it| filled.contains(&it));
            let expected = in_cluster
                || geometry.root_range().contains(&offset)
                || geometry.fat_ranges().into_iter().any(in_fat);
            if !expected {
                return rejected("a sector would change that must not", offset);
            }
        }
        Ok(())
    }

    /// Clusters nothing reached before.
    fn unused(&self) -> BTreeSet<ClusterId> {
        let left = &self.reach.leftovers().allocated;
        self.reach.free().iter().chain(left).copied().collect()
    }
}
