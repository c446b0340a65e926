//! A set of clusters: one bit for each number a FAT16 can hold.

use super::geometry::ClusterId;

const WORD_BITS: usize = u64::BITS as usize;

/// Clusters of one volume, at most 65,524 of them: 8 KiB at most, grown as far as is needed.
#[derive(Clone, Debug, Default)]
pub(super) struct ClusterSet {
    words: Vec<u64>,
}

impl ClusterSet {
    pub(super) fn contains(&self, cluster: ClusterId) -> bool {
        let (word, bit) = place(cluster);
        self.words.get(word).is_some_and(|it| it & bit != 0)
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
            let (word, bit) = place(cluster);
            if word >= self.words.len() {
                self.words.resize(word + 1, 0);
            }
            self.words[word] |= bit;
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
        for cluster in all {
            assert_eq!(set.contains(cluster), some.contains(&cluster), "{cluster}");
        }
        assert!(!ClusterSet::default().contains(first));
    }
}
