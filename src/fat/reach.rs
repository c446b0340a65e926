//! What of a volume is in use: every directory walked, every chain followed.
//!
//! Other systems make folders on a stick that is plugged in, so the root directory is not
//! enough to tell which clusters are free to take. What no directory entry reaches and the
//! FAT still calls allocated, or what its copies disagree about, is left over from an
//! interrupted run: harmless, and found here by set difference, never by following a chain
//! nothing points at.

use super::FatError;
use super::cluster_set::ClusterSet;
use super::directory::{Entry, entries, entry_after_end};
use super::geometry::{ClusterId, SLOT_BYTES};
use super::table::Link;
use super::volume::Volume;
use std::collections::BTreeMap;
use std::fmt;
use std::slice::from_ref;

/// Most bytes of one directory: 65536 slots, as in Microsoft's description.
pub(super) const MAX_DIRECTORY: u64 = 65536 * SLOT_BYTES;

/// Most bytes of all directories together. A bank has one directory of 16 KiB; the limit
/// keeps the time and memory a hostile volume can take small.
const MAX_DIRECTORIES: u64 = 16 << 20;

/// Levels of directory a path in a message shows.
const SHOWN_LEVELS: usize = 16;

/// A file or directory somewhere in the volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    parent: Option<usize>,
    entry: Entry,
    chain: Vec<ClusterId>,
}

impl Node {
    /// Its directory entry.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// All its clusters, first to last.
    pub fn chain(&self) -> &[ClusterId] {
        &self.chain
    }

    /// Index among [`Reach::nodes`] of the directory it is in; `None` for the root directory.
    pub fn parent(&self) -> Option<usize> {
        self.parent
    }
}

/// What an interrupted run left behind. None of it is reachable from a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leftovers {
    /// Clusters a copy of the FAT calls allocated though they belong to nothing.
    pub allocated: Vec<ClusterId>,
    /// Clusters that belong to nothing and about which the copies of the FAT differ.
    pub differing: Vec<ClusterId>,
}

impl Leftovers {
    /// Number of clusters concerned, each counted once.
    pub fn len(&self) -> usize {
        let known = |cluster: &&ClusterId| self.allocated.binary_search(cluster).is_ok();
        let both = self.differing.iter().filter(known);
        self.allocated.len() + self.differing.len() - both.count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.allocated.is_empty() && self.differing.is_empty()
    }
}

/// What is in use and what is not, in a volume without damage.
#[derive(Clone, PartialEq, Eq)]
pub struct Reach {
    nodes: Vec<Node>,
    leftovers: Leftovers,
    bad: Vec<ClusterId>,
    free: ClusterSet,
}

impl Reach {
    pub(super) fn walk(volume: &Volume<'_>) -> Result<Self, FatError> {
        let mut walk = Walk {
            volume,
            owned: ClusterSet::default(),
            nodes: Vec::new(),
            directory_bytes: volume.geometry().root_range().end
                - volume.geometry().root_range().start,
        };
        walk.check_end(None, volume.root())?;
        for entry in volume.slots() {
            walk.add(None, 0, entry)?;
        }
        let mut at = 0;
        while let Some(node) = walk.nodes.get(at) {
            if node.entry.is_directory() {
                walk.add_directory(at)?;
            }
            at += 1;
        }
        Ok(walk.finish())
    }

    /// Every file and directory, those of the root directory first. Labels, long names and
    /// the entries `.` and `..` are not among them.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Path of a node in its volume, in 8.3 names.
    pub fn path(&self, node: usize) -> String {
        path(&self.nodes, Some(node))
    }

    /// Files and directories by where their entries are, each with its index.
    pub(super) fn by_offset(&self) -> BTreeMap<u64, (usize, &Node)> {
        let nodes = self.nodes.iter().enumerate();
        nodes
            .map(|(index, node)| (node.entry.offset(), (index, node)))
            .collect()
    }

    /// Where the entry of the directory is that a node is in; `None` for the root directory.
    pub(super) fn folder_of(&self, node: &Node) -> Option<u64> {
        let folder = self.nodes.get(node.parent?)?;
        Some(folder.entry.offset())
    }

    /// What an interrupted run left behind.
    pub fn leftovers(&self) -> &Leftovers {
        &self.leftovers
    }

    /// Clusters that are free once the leftovers are.
    pub(super) fn free_after_reclaim(&self) -> ClusterSet {
        let mut free = self.free.clone();
        free.extend(&self.leftovers.allocated);
        free
    }

    /// Clusters marked as bad in any copy of the FAT. They are kept and never used.
    pub fn bad(&self) -> &[ClusterId] {
        &self.bad
    }

    /// Clusters that are free in every copy of the FAT. Leftovers are not.
    pub fn free(&self) -> &ClusterSet {
        &self.free
    }
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reach")
            .field("nodes", &self.nodes.len())
            .field("leftovers", &self.leftovers)
            .field("bad", &self.bad)
            .field("free", &self.free.len())
            .finish()
    }
}

struct Walk<'v, 'm> {
    volume: &'v Volume<'m>,
    /// Clusters that belong to one of the nodes.
    owned: ClusterSet,
    nodes: Vec<Node>,
    directory_bytes: u64,
}

impl Walk<'_, '_> {
    /// Nothing may come behind the end of a directory: its clusters would be leftovers here and
    /// a file elsewhere.
    fn check_end(&self, at: Option<usize>, content: &[u8]) -> Result<(), FatError> {
        match entry_after_end(content) {
            None => Ok(()),
            Some(offset) => Err(FatError::EntryAfterEnd {
                directory: path(&self.nodes, at),
                offset,
            }),
        }
    }

    /// Reads the directory `at` and adds what is in it.
    fn add_directory(&mut self, at: usize) -> Result<(), FatError> {
        let chain = self.nodes[at].chain.clone();
        let cluster_bytes = self.volume.geometry().cluster_bytes();
        let bytes = chain.len() as u64 * cluster_bytes;
        self.directory_bytes += bytes;
        let too_large = bytes > MAX_DIRECTORY.max(cluster_bytes);
        if too_large || self.directory_bytes > MAX_DIRECTORIES {
            return Err(FatError::DirectoryTooLarge {
                directory: path(&self.nodes, Some(at)),
                bytes: self.directory_bytes,
                limit: if too_large {
                    MAX_DIRECTORY
                } else {
                    MAX_DIRECTORIES
                },
            });
        }
        let content = self.volume.read_chain(&chain, bytes)?;
        self.check_end(Some(at), &content)?;
        let volume = self.volume;
        let offset_of = |byte| volume.offset_in(&chain, byte);
        for (position, entry) in entries(&content, offset_of).enumerate() {
            self.add(Some(at), position, entry)?;
        }
        Ok(())
    }

    /// Adds the slot at `position` of a directory, with its chain.
    fn add(
        &mut self,
        parent: Option<usize>,
        position: usize,
        entry: Entry,
    ) -> Result<(), FatError> {
        if !entry.owns_clusters() {
            // Whether attributes like these make a label is where readers differ.
            return match entry.first_cluster() {
                0 => Ok(()),
                cluster => Err(FatError::LabelWithCluster {
                    directory: path(&self.nodes, parent),
                    offset: entry.offset(),
                    cluster,
                }),
            };
        }
        if let Some(dots) = entry.dots() {
            return self.check_dots(parent, position, dots, &entry);
        }
        let index = self.nodes.len();
        self.nodes.push(Node {
            parent,
            entry: entry.clone(),
            chain: Vec::new(),
        });
        let (owned, nodes, fats) = (&mut self.owned, &self.nodes, self.volume.fats());
        let file = || path(nodes, Some(index));
        let chain = self.volume.follow(&entry, &file, &mut |cluster| {
            if !owned.insert(cluster) {
                return Err(met_before(nodes, index, cluster));
            }
            // There are eight marks that end a chain, and they mean the same.
            match fats {
                [one, two, ..] if one.link(cluster) != two.link(cluster) => {
                    let number = cluster.get();
                    Err(FatError::CopiesDiffer {
                        file: file(),
                        cluster: number,
                        first: one.raw(number),
                        second: two.raw(number),
                    })
                }
                _ => Ok(()),
            }
        })?;
        if let Some(node) = self.nodes.get_mut(index) {
            node.chain = chain;
        }
        Ok(())
    }

    /// `.` and `..` come first in a subdirectory and point at it and at its parent. One that
    /// points elsewhere would reach clusters this walk does not see.
    fn check_dots(
        &self,
        parent: Option<usize>,
        position: usize,
        dots: usize,
        entry: &Entry,
    ) -> Result<(), FatError> {
        let first = |node: Option<usize>| {
            node.and_then(|node| self.nodes.get(node))
                .map_or(0, |node| node.entry.first_cluster())
        };
        let grandparent = parent.and_then(|parent| self.nodes.get(parent)?.parent);
        let expected = if dots == 1 {
            first(parent)
        } else {
            first(grandparent)
        };
        let in_place = parent.is_some() && position + 1 == dots && entry.is_directory();
        if in_place && entry.first_cluster() == expected {
            return Ok(());
        }
        Err(FatError::DotEntry {
            directory: path(&self.nodes, parent),
            offset: entry.offset(),
            cluster: entry.first_cluster(),
        })
    }

    /// Sorts the clusters nothing owns.
    fn finish(self) -> Reach {
        let mut leftovers = Leftovers::default();
        let mut bad = Vec::new();
        // Copies that are equal as a whole need one look.
        let fats = match self.volume.fats() {
            [first, others @ ..] if others.iter().all(|it| it == first) => from_ref(first),
            all => all,
        };
        let unowned = ClusterSet::all(self.volume.geometry()).without(&self.owned);
        let free = fats
            .iter()
            .fold(unowned.clone(), |free, fat| free.and(&fat.zeros()));
        for cluster in unowned.without(&free).iter() {
            let links: Vec<_> = fats.iter().map(|fat| fat.link(cluster)).collect();
            if links.windows(2).any(|pair| pair[0] != pair[1]) {
                leftovers.differing.push(cluster);
            }
            if links.contains(&Link::Bad) {
                bad.push(cluster);
            } else {
                leftovers.allocated.push(cluster);
            }
        }
        Reach {
            nodes: self.nodes,
            leftovers,
            bad,
            free,
        }
    }
}

/// A chain that comes to a cluster for the second time: its own, or that of another file.
fn met_before(nodes: &[Node], index: usize, cluster: ClusterId) -> FatError {
    let file = path(nodes, Some(index));
    // The chain of this one is not among them yet.
    let other = nodes.iter().position(|it| it.chain.contains(&cluster));
    let cluster = cluster.get();
    match other {
        None => FatError::ChainLoop { file, cluster },
        Some(other) => FatError::ChainsCross {
            file,
            other: path(nodes, Some(other)),
            cluster,
        },
    }
}

/// Path of a node: 8.3 names, `/` for the root directory, the innermost levels of a deep one.
fn path(nodes: &[Node], node: Option<usize>) -> String {
    let mut names = Vec::new();
    let mut at = node.and_then(|node| nodes.get(node));
    while let Some(node) = at {
        if names.len() == SHOWN_LEVELS {
            names.push("...".to_owned());
            break;
        }
        names.push(node.entry.name());
        at = node.parent.and_then(|parent| nodes.get(parent));
    }
    if names.is_empty() {
        return "/".to_owned();
    }
    names.reverse();
    names.join("/")
}

impl Volume<'_> {
    /// Walks every directory and finds out what is in use and what is left over.
    ///
    /// # Errors
    /// Damage anywhere in the volume, with the path it was met at; [`FatError::Read`].
    pub fn check(&self) -> Result<Reach, FatError> {
        Reach::walk(self)
    }
}
