//! Which change of a medium is the one to undo next.
//!
//! A medium that went back behind a change may look as that change left it: where one adds what the
//! next takes away, the sectors of the second are the same before the first and after it. So a change is
//! gone not only where it is undone, but also where one is that it was made on top of.

use super::{FileUndo, Undo, digest};
use crate::medium::Lba;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};

/// What a change replaced by what, in short.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace(BTreeMap<Lba, (u64, u64)>);

impl Trace {
    /// Whether a change found what an earlier one had left.
    pub fn is_on_top_of(&self, earlier: &Trace) -> bool {
        let mut common = earlier.0.iter();
        common.any(|(lba, (before, left))| {
            let found = self.0.get(lba).map(|(found, _)| found);
            before != left && found == Some(left)
        })
    }
}

impl Undo {
    /// What the change replaced by what.
    pub fn trace(&self) -> Trace {
        let net = self.set.net_changes().into_iter();
        Trace(
            net.map(|(lba, (old, new))| (lba, (short(old), short(new))))
                .collect(),
        )
    }
}

impl FileUndo {
    /// What the change replaced by what.
    pub fn trace(&self) -> Trace {
        let change = (short(&digest(&self.old)), short(&self.new));
        Trace(BTreeMap::from([(Lba::default(), change)]))
    }
}

/// The newest change that is not gone, of the changes of one medium, the newest first, each with whether
/// the medium is as it was before it.
pub fn next_to_undo(changes: &[(bool, Trace)]) -> Option<usize> {
    let mut gone: Vec<&Trace> = Vec::new();
    let mut next = None;
    for (index, (is_undone, trace)) in changes.iter().enumerate().rev() {
        if *is_undone || gone.iter().any(|earlier| trace.is_on_top_of(earlier)) {
            gone.push(trace);
        } else {
            next = Some(index);
        }
    }
    next
}

fn short(what: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Changes of one sector, the newest first: what it held before and after, and whether it is undone.
    fn next(changes: &[(u64, u64, bool)]) -> Option<usize> {
        let changes: Vec<(bool, Trace)> = changes
            .iter()
            .map(|&(old, new, is_undone)| {
                (
                    is_undone,
                    Trace(BTreeMap::from([(Lba::default(), (old, new))])),
                )
            })
            .collect();
        next_to_undo(&changes)
    }

    #[test]
    fn the_newest_change_that_is_not_gone_is_the_next_to_undo() {
        assert_eq!(next(&[(2, 3, false), (1, 2, false)]), Some(0));
        assert_eq!(next(&[(2, 3, true), (1, 2, false)]), Some(1));
        assert_eq!(next(&[(2, 3, true), (1, 2, true)]), None);
        assert_eq!(next(&[]), None);
    }

    #[test]
    fn a_change_on_top_of_one_that_is_undone_is_gone_whatever_it_looks_like() {
        assert_eq!(next(&[(2, 3, false), (1, 2, true), (0, 1, false)]), Some(2));
        // The second takes away what the first added.
        assert_eq!(next(&[(2, 1, false), (1, 2, true)]), None);
        assert_eq!(next(&[(3, 4, false), (2, 3, false), (1, 2, true)]), None);
    }

    #[test]
    fn a_change_that_was_made_after_another_was_undone_is_not_gone() {
        assert_eq!(next(&[(1, 5, false), (1, 2, true)]), Some(0));
        // Something else was written since, so that nothing can be told: no change is passed over.
        assert_eq!(
            next(&[(2, 3, false), (1, 2, false), (0, 1, false)]),
            Some(0)
        );
    }
}
