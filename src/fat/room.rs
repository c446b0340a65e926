//! Which free clusters new content goes to.

use super::FatError;
use super::cluster_set::ClusterSet;
use super::geometry::ClusterId;
use super::reach::Reach;
use super::volume::Volume;
use crate::commit::Planner;

/// Most clusters that are passed over because they cannot be read: where there are more, the medium
/// is not worn but dying, or gone, and each try may take its time.
const MOST_UNREADABLE: usize = 64;

/// The clusters of a volume that new content may go to.
pub(super) struct Room<'v> {
    volume: &'v Volume<'v>,
    free: ClusterSet,
    /// Free clusters that are not used: they are to be avoided, or cannot be read.
    left_out: usize,
}

impl<'v> Room<'v> {
    /// What is free once leftovers are, without what the planner avoids.
    pub(super) fn of(volume: &'v Volume<'v>, reach: &Reach, planner: &Planner<'_>) -> Self {
        let mut free = reach.free_after_reclaim();
        let all = free.len();
        leave_out_avoided(volume, &mut free, planner);
        let left_out = all - free.len();
        Room {
            volume,
            free,
            left_out,
        }
    }

    /// Whether this many clusters are there.
    ///
    /// # Errors
    /// [`FatError::NoRoom`].
    pub(super) fn check(&self, needed: u64) -> Result<(), FatError> {
        match self.free.len() as u64 {
            free if free < needed => Err(self.no_room(needed, free)),
            _ => Ok(()),
        }
    }

    fn no_room(&self, needed: u64, free: u64) -> FatError {
        FatError::NoRoom {
            needed,
            free,
            left_out: self.left_out as u64,
            cluster_bytes: self.volume.geometry().cluster_bytes(),
            fits_in_place: false,
        }
    }

    /// Takes clusters for `bytes` bytes, passing over those the medium cannot read: worn flash is not
    /// written to where it already fails, and what fails would stand in the way of every other try.
    ///
    /// # Errors
    /// [`FatError::NoRoom`]; [`FatError::Read`] where very many cannot be read.
    pub(super) fn take(&mut self, bytes: u64) -> Result<Vec<ClusterId>, FatError> {
        let geometry = self.volume.geometry();
        let needed = geometry.clusters_for(bytes);
        let mut unreadable = 0;
        loop {
            let chain = take(&mut self.free, needed);
            if (chain.len() as u64) < needed {
                return Err(self.no_room(needed, chain.len() as u64));
            }
            match self.volume.read_chain(&chain, bytes) {
                Ok(_) => return Ok(chain),
                Err(error) if error.has_vanished() => return Err(error),
                Err(_) => {}
            }
            let all = chain.len();
            let readable = self.readable(chain, &mut unreadable)?;
            if readable.len() == all {
                // It failed, and now it does not: nothing to tell the clusters apart by.
                return Ok(readable);
            }
            self.left_out += all - readable.len();
            self.free.extend(&readable);
        }
    }

    /// Those of a chain that can be read, each tried by itself. `unreadable` counts the others.
    fn readable(
        &self,
        chain: Vec<ClusterId>,
        unreadable: &mut usize,
    ) -> Result<Vec<ClusterId>, FatError> {
        let whole = self.volume.geometry().cluster_bytes();
        let mut readable = Vec::with_capacity(chain.len());
        for cluster in chain {
            match self.volume.read_chain(&[cluster], whole) {
                Ok(_) => readable.push(cluster),
                Err(error) if *unreadable == MOST_UNREADABLE || error.has_vanished() => {
                    return Err(error);
                }
                Err(_) => *unreadable += 1,
            }
        }
        Ok(readable)
    }
}

/// Takes the clusters out of a set that hold any of what the planner avoids.
pub(super) fn leave_out_avoided(
    volume: &Volume<'_>,
    clusters: &mut ClusterSet,
    planner: &Planner<'_>,
) {
    let geometry = volume.geometry();
    for avoided in planner.avoided() {
        let within = |cluster: &ClusterId| {
            let start = volume.start() + geometry.cluster_offset(*cluster);
            start < avoided.end && avoided.start < start + geometry.cluster_bytes()
        };
        let touched: Vec<ClusterId> = clusters.iter().filter(within).collect();
        touched
            .into_iter()
            .for_each(|cluster| clusters.remove(cluster));
    }
}

/// Takes `count` clusters out of `free`: the first run long enough, else the lowest ones.
fn take(free: &mut ClusterSet, count: u64) -> Vec<ClusterId> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let mut run: Vec<ClusterId> = Vec::new();
    for cluster in free.iter() {
        if run.len() >= count {
            break;
        }
        if run
            .last()
            .is_some_and(|last| last.get() + 1 != cluster.get())
        {
            run.clear();
        }
        run.push(cluster);
    }
    if run.len() < count {
        run = free.iter().take(count).collect();
    }
    for &cluster in &run {
        free.remove(cluster);
    }
    run
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fat::geometry::tests::geometry_with;

    #[test]
    fn clusters_in_one_run_are_taken_before_lower_ones_that_are_not() {
        let ids: Vec<ClusterId> = geometry_with(5000).all_clusters().collect();
        let some: Vec<ClusterId> = [0, 2, 3, 4, 5, 6].map(|at| ids[at]).to_vec();
        let numbers = |count| {
            let mut free: ClusterSet = some.iter().collect();
            let taken = take(&mut free, count);
            assert_eq!(free.len(), some.len() - taken.len());
            let at = |id: &ClusterId| ids.iter().position(|it| it == id).unwrap();
            taken.iter().map(at).collect::<Vec<usize>>()
        };
        assert_eq!(numbers(1), [0]);
        assert_eq!(numbers(4), [2, 3, 4, 5]);
        // No run is that long.
        assert_eq!(numbers(6), [0, 2, 3, 4, 5, 6]);
    }
}
