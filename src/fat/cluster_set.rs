//! A set of clusters: one bit for each number a FAT16 can hold.

use super::geometry::{ClusterId, Geometry};
use std::fmt;

const WORD_BITS: usize = u64::BITS as usize;

/// Clusters of one volume, at most 65,524 of them: 8 KiB at most, grown as far as is needed.
#[derive(Clone, Default)]
pub struct ClusterSet {
    words: Vec<u64>,
}

impl ClusterSet {
    /// The set with a bit for each number of a cluster, 64 to a word, the lowest first.
    pub(super) fn of_words(words: Vec<u64>) -> Self {
        ClusterSet { words }
    }

    /// Every cluster of a volume.
    pub(super) fn all(geometry: &Geometry) -> Self {
        let numbers = usize::from(geometry.last_cluster()) + 1;
        let mut words = vec![u64::MAX; numbers.div_ceil(WORD_BITS)];
        if let Some(last) = words.last_mut() {
            *last >>= (WORD_BITS - numbers % WORD_BITS) % WORD_BITS;
        }
        if let Some(first) = words.first_mut() {
            // The FAT has entries of these two numbers, and no clusters.
            *first &= !0b11;
        }
        ClusterSet::of_words(words)
    }

    /// Whether it is in the set.
    pub fn contains(&self, cluster: ClusterId) -> bool {
        let (word, bit) = place(cluster);
        self.words.get(word).is_some_and(|it| it & bit != 0)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        let ones = self.words.iter().map(|word| word.count_ones() as usize);
        ones.sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Each of them, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = ClusterId> + '_ {
        let words = self.words.iter().enumerate();
        words.flat_map(|(index, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros() as usize;
                rest &= rest.checked_sub(1)?;
                Some(ClusterId::at_index(index * WORD_BITS + bit))
            })
        })
    }

    /// Puts one in; `false` where it is in already.
    pub(super) fn insert(&mut self, cluster: ClusterId) -> bool {
        let (word, bit) = place(cluster);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let is_new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        is_new
    }

    pub(super) fn remove(&mut self, cluster: ClusterId) {
        let (word, bit) = place(cluster);
        if let Some(word) = self.words.get_mut(word) {
            *word &= !bit;
        }
    }

    /// Those that `other` has not.
    pub(super) fn without(&self, other: &ClusterSet) -> ClusterSet {
        self.with_each(other, |own, others| own & !others)
    }

    /// Those that both have.
    pub(super) fn and(&self, other: &ClusterSet) -> ClusterSet {
        self.with_each(other, |own, others| own & others)
    }

    fn with_each(&self, other: &ClusterSet, of: impl Fn(u64, u64) -> u64) -> ClusterSet {
        let others = other.words.iter().copied().chain(std::iter::repeat(0));
        let words = self.words.iter().zip(others);
        ClusterSet::of_words(words.map(|(own, others)| of(*own, others)).collect())
    }
}

/// Sets are equal that hold the same, however far they have grown.
impl PartialEq for ClusterSet {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for ClusterSet {}

impl fmt::Debug for ClusterSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The word a cluster's bit is in, and the bit.
fn place(cluster: ClusterId) -> (usize, u64) {
    (
        cluster.index() / WORD_BITS,
        1 << (cluster.index() % WORD_BITS),
    )
}

impl<'c> Extend<&'c ClusterId> for ClusterSet {
    fn extend<I: IntoIterator<Item = &'c ClusterId>>(&mut self, clusters: I) {
        for &cluster in clusters {
            self.insert(cluster);
        }
    }
}

impl<'c> FromIterator<&'c ClusterId> for ClusterSet {
    fn from_iter<I: IntoIterator<Item = &'c ClusterId>>(clusters: I) -> Self {
        let mut set = ClusterSet::default();
        set.extend(clusters);
        set
    }
}

#[cfg(test)]
mod tests {
    use super::super::geometry::tests::geometry_with;
    use super::*;

    #[test]
    fn it_holds_the_clusters_put_in_and_no_others() {
        let geometry = geometry_with(5000);
        let all: Vec<ClusterId> = geometry.all_clusters().collect();
        let (first, last) = (all[0], all[all.len() - 1]);
        let some = [first, all[61], all[62], last];
        let set: ClusterSet = some.iter().collect();
        assert!(ClusterSet::all(&geometry).iter().eq(all.iter().copied()));
        for cluster in all {
            assert_eq!(set.contains(cluster), some.contains(&cluster), "{cluster}");
        }
        assert!(!ClusterSet::default().contains(first));
        assert_eq!(set.iter().collect::<Vec<_>>(), some);
        assert_eq!(set.len(), some.len());
        assert!(format!("{set:?}").contains(&format!("{last:?}")));
    }

    #[test]
    fn sets_are_taken_from_each_other_whatever_their_lengths() {
        let geometry = geometry_with(5000);
        let all: Vec<ClusterId> = geometry.all_clusters().collect();
        let (low, high) = (&all[..100], &all[50..3000]);
        let [one, two] = [low, high].map(|ids| ids.iter().collect::<ClusterSet>());
        assert!(one.without(&two).iter().eq(all[..50].iter().copied()));
        assert!(two.without(&one).iter().eq(all[100..3000].iter().copied()));
        assert!(one.and(&two).iter().eq(all[50..100].iter().copied()));
        assert_eq!(one.and(&two), two.and(&one));
        let mut rest = one.clone();
        for id in low {
            assert!(!rest.insert(*id));
            rest.remove(*id);
        }
        assert!(rest.is_empty() && rest == ClusterSet::default());
        assert!(one != two && one != rest);
        rest.remove(all[4000]);
        assert!(rest.insert(all[4000]));
    }
}
