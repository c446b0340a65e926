//! One copy of the file allocation table, held in memory.

use super::cluster_set::ClusterSet;
use super::geometry::{ClusterId, FatKind};
use crate::bytes::le16;

/// What the entry of a cluster says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// The cluster is free.
    Free,
    /// The chain goes on at the cluster of this number, which may not exist.
    Next(u16),
    /// The cluster is marked as bad and belongs to nothing.
    Bad,
    /// The chain ends here.
    End,
}

/// The entries of one copy of the FAT, as they are on the medium.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FatTable {
    kind: FatKind,
    bytes: Vec<u8>,
}

impl FatTable {
    /// `bytes` cover the entries of all clusters.
    pub(super) fn new(kind: FatKind, bytes: Vec<u8>) -> Self {
        FatTable { kind, bytes }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The value of entry `number`, reserved entries 0 and 1 included.
    pub(super) fn raw(&self, number: u16) -> u16 {
        let number = usize::from(number);
        // The table was read to the last cluster's entry; what lies past it is never free.
        match self.kind {
            FatKind::Fat16 => le16(&self.bytes, number * 2).unwrap_or(u16::MAX),
            FatKind::Fat12 => {
                let pair = le16(&self.bytes, number * 3 / 2).unwrap_or(u16::MAX);
                if number.is_multiple_of(2) {
                    pair & 0x0fff
                } else {
                    pair >> 4
                }
            }
        }
    }

    /// The clusters whose entry is 0, and the numbers of other entries that are, the reserved ones and
    /// those behind the last cluster's included.
    pub(super) fn zeros(&self) -> ClusterSet {
        const AT_ONCE: usize = 64;
        let bit = |is_zero: bool, at: usize| u64::from(is_zero) << at;
        let words = match self.kind {
            FatKind::Fat16 => {
                let words = self.bytes.chunks(2 * AT_ONCE).map(|entries| {
                    // Most of a volume is free.
                    if entries == [0; 2 * AT_ONCE] {
                        return u64::MAX;
                    }
                    let entries = entries.chunks_exact(2).enumerate();
                    entries.fold(0, |word, (at, entry)| word | bit(entry == [0, 0], at))
                });
                words.collect()
            }
            FatKind::Fat12 => {
                let count = self.bytes.len() * 8 / 12;
                let numbers = (0..count.div_ceil(AT_ONCE)).map(|word| {
                    let first = word * AT_ONCE;
                    let numbers = (first..count.min(first + AT_ONCE)).enumerate();
                    numbers.fold(0, |word, (at, number)| {
                        let number = u16::try_from(number).unwrap_or(u16::MAX);
                        word | bit(self.raw(number) == 0, at)
                    })
                });
                numbers.collect()
            }
        };
        ClusterSet::of_words(words)
    }

    /// Numbers of the entries that are not the same in `other`, lowest first, those behind the
    /// last cluster's included. Equal stretches of both tables are passed over as bytes.
    pub(super) fn differing<'t>(&'t self, other: &'t FatTable) -> impl Iterator<Item = u16> + 't {
        // Whole entries, whether they have 12 bits or 16.
        const STRETCH: usize = 96;
        let bits = self.kind.bits() as usize;
        let (each, all) = (STRETCH * 8 / bits, self.bytes.len() * 8 / bits);
        let pairs = self.bytes.chunks(STRETCH).zip(other.bytes.chunks(STRETCH));
        let unequal = pairs.enumerate().filter(|(_, (own, others))| own != others);
        unequal
            .flat_map(move |(at, _)| at * each..((at + 1) * each).min(all))
            .filter_map(|number| u16::try_from(number).ok())
            .filter(|&number| self.raw(number) != other.raw(number))
    }

    pub(super) fn link(&self, cluster: ClusterId) -> Link {
        let end = self.end_mark() & 0xfff8;
        match self.raw(cluster.get()) {
            0 => Link::Free,
            value if value >= end => Link::End,
            value if value == end - 1 => Link::Bad,
            value => Link::Next(value),
        }
    }

    pub(super) fn set_free(&mut self, cluster: ClusterId) {
        self.set(cluster, 0);
    }

    pub(super) fn set_bad(&mut self, cluster: ClusterId) {
        self.set(cluster, (self.end_mark() & 0xfff8) - 1);
    }

    /// Chains `clusters` in their order and ends the chain after the last one.
    pub(super) fn set_chain(&mut self, clusters: &[ClusterId]) {
        let following = clusters.iter().skip(1).map(|next| next.get());
        let values = following.chain([self.end_mark()]);
        for (&cluster, value) in clusters.iter().zip(values) {
            self.set(cluster, value);
        }
    }

    fn end_mark(&self) -> u16 {
        match self.kind {
            FatKind::Fat12 => 0x0fff,
            FatKind::Fat16 => 0xffff,
        }
    }

    /// A FAT12 entry shares one of its two bytes with a neighbour, whose half stays.
    fn set(&mut self, cluster: ClusterId, value: u16) {
        let number = cluster.index();
        let (at, value) = match self.kind {
            FatKind::Fat16 => (number * 2, value),
            FatKind::Fat12 => {
                let at = number * 3 / 2;
                let pair = le16(&self.bytes, at).unwrap_or(0);
                if number.is_multiple_of(2) {
                    (at, pair & 0xf000 | value & 0x0fff)
                } else {
                    (at, pair & 0x000f | value << 4)
                }
            }
        };
        if let Some(entry) = self.bytes.get_mut(at..at + 2) {
            entry.copy_from_slice(&value.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fat::geometry::tests::geometry_with;

    fn table(kind: FatKind) -> (FatTable, Vec<ClusterId>) {
        let clusters = match kind {
            FatKind::Fat12 => 400,
            FatKind::Fat16 => 5000,
        };
        let geometry = geometry_with(clusters);
        assert_eq!(geometry.kind(), kind);
        let bytes = vec![0; usize::try_from(geometry.fat_bytes_used()).unwrap()];
        let ids = geometry.all_clusters().collect();
        (FatTable::new(kind, bytes), ids)
    }

    #[test]
    fn entries_that_differ_are_told_once_each_the_lowest_first() {
        for kind in [FatKind::Fat12, FatKind::Fat16] {
            let (one, ids) = table(kind);
            let mut other = one.clone();
            let changed = [ids[0], ids[3], ids[200], ids[201], ids[ids.len() - 1]];
            changed.iter().for_each(|id| other.set_bad(*id));
            let found: Vec<u16> = one.differing(&other).collect();
            assert_eq!(found, changed.map(|id| id.get()));
            assert_eq!(one.differing(&one).count(), 0);
        }
    }

    #[test]
    fn the_zeros_are_those_of_the_table_and_none_behind_it() {
        for kind in [FatKind::Fat12, FatKind::Fat16] {
            let (mut table, ids) = table(kind);
            let entries = table.bytes.len() * 8 / kind.bits() as usize;
            assert_eq!(table.zeros().len(), entries, "{kind:?}");
            for &id in [&ids[0], &ids[63], &ids[64], &ids[ids.len() - 1]] {
                assert!(table.zeros().contains(id));
                table.set_bad(id);
                assert!(!table.zeros().contains(id), "{kind:?}");
            }
        }
    }

    #[test]
    fn a_fat12_entry_never_touches_its_neighbours() {
        let (mut table, ids) = table(FatKind::Fat12);
        table.set_chain(&ids);
        for (at, &id) in ids.iter().enumerate() {
            table.set_free(id);
            assert_eq!(table.link(id), Link::Free);
            let before = at.checked_sub(1).map(|before| table.link(ids[before]));
            assert!(before.is_none_or(|link| link == Link::Next(id.get())));
            if let Some(&after) = ids.get(at + 1) {
                assert_ne!(table.link(after), Link::Free);
            }
            table.set(id, ids.get(at + 1).map_or(0xfff, |next| next.get()));
        }
    }

    #[test]
    fn entries_that_differ_are_found_wherever_they_are() {
        for kind in [FatKind::Fat12, FatKind::Fat16] {
            let (old, ids) = table(kind);
            for &changed in [&ids[0], &ids[61], &ids[62], &ids[63], &ids[ids.len() - 1]] {
                let mut new = old.clone();
                new.set_bad(changed);
                let found: Vec<u16> = old.differing(&new).collect();
                assert_eq!(found, [changed.get()], "{kind:?}");
            }
            assert_eq!(old.differing(&old).count(), 0);
        }
    }

    #[test]
    fn the_four_meanings_of_an_entry_are_told_apart_in_both_widths() {
        for (kind, mask) in [(FatKind::Fat12, 0x0fff), (FatKind::Fat16, 0xffff)] {
            let (mut table, ids) = table(kind);
            let cases = [
                (0, Link::Free),
                (1, Link::Next(1)),
                (0xfff6 & mask, Link::Next(0xfff6 & mask)),
                (0xfff7 & mask, Link::Bad),
                (0xfff8 & mask, Link::End),
                (mask, Link::End),
            ];
            for id in &ids[..2] {
                for (value, link) in cases {
                    table.set(*id, value);
                    assert_eq!(table.link(*id), link, "{value:#x} in {kind:?}");
                }
            }
            table.set_bad(ids[0]);
            assert_eq!(table.link(ids[0]), Link::Bad);
        }
    }
}
