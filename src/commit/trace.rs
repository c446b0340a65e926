//! Which change of a medium is the one to undo next.
//!
//! A medium that went back behind a change may look as that change left it: where one adds what the
//! next takes away, the sectors of the second are the same before the first and after it. So a change is
//! gone not only where it is undone, but also where one is that it was made on top of; unless the medium
//! is as it left it: then nothing tells whether it was undone or is the last that was made. Where other
//! things were written since, only files can be compared, and the files are as it left them.

use super::{About, FileUndo, IfDifferent, Undo, digest};
use crate::medium::{Lba, ReadAt};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::time::SystemTime;

/// What a change replaced by what, and what is there now, in short.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace(BTreeMap<Lba, Mark>);

/// What one sector held before a change and after it, and what it holds now, if it can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    before: u64,
    left: u64,
    now: Option<u64>,
}

impl Trace {
    /// Whether a change found what an earlier one had left.
    pub fn is_on_top_of(&self, earlier: &Trace) -> bool {
        let mut common = earlier.0.iter();
        common.any(|(lba, earlier)| {
            let found = self.0.get(lba).map(|own| own.before);
            earlier.before != earlier.left && found == Some(earlier.left)
        })
    }
}

impl Undo {
    /// What `medium` holds in the sectors that the change wrote.
    pub fn sectors_now(&self, medium: &dyn ReadAt) -> SectorsNow {
        match self.plan(medium, IfDifferent::Refuse) {
            Ok(way_back) if way_back.is_empty() => SectorsNow::Before,
            _ if self.is_there(medium) => SectorsNow::After,
            Ok(_) if self.may_be_cut(medium) => SectorsNow::Cut,
            Ok(_) => SectorsNow::Mixed,
            Err(_) => SectorsNow::Other,
        }
    }

    /// What the change replaced by what, and what `medium` holds there.
    pub fn trace(&self, medium: &dyn ReadAt) -> Trace {
        let net = self.set.net_changes().into_iter();
        let marks = net.map(|(lba, (old, new))| {
            let at = self.set.offset_of(lba);
            let now = at.and_then(|at| medium.read_vec(at, new.len()).ok());
            let mark = Mark {
                before: short(&**old),
                left: short(&**new),
                now: now.map(|now| short(&*now)),
            };
            (lba, mark)
        });
        Trace(marks.collect())
    }
}

impl FileUndo {
    /// What the change replaced by what, and what the file holds now.
    pub fn trace(&self, now: &[u8]) -> Trace {
        let mark = Mark {
            before: short(&digest(&self.old)),
            left: short(&self.new),
            now: Some(short(&digest(now))),
        };
        Trace(BTreeMap::from([(Lba::default(), mark)]))
    }
}

/// What a target holds in the sectors that a change wrote. A state file counts as one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SectorsNow {
    /// Every one is as before the change.
    Before,
    /// Every one is as the change left it.
    After,
    /// Some are as before and some as after, as a cut of the change, or of its undo, leaves them.
    Cut,
    /// Some are as before and some as after, as no cut leaves them, so that other changes led there.
    Mixed,
    /// Something else was written to one of them, or it cannot be read.
    #[default]
    Other,
}

/// How the files look that a change replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FilesNow {
    /// As before the change.
    Before,
    /// As it left them, or nothing tells that they are not.
    After,
    /// As neither.
    #[default]
    Other,
}

/// A change, and how the medium looks beside it. The default is that of which nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChangeState {
    /// By its sectors.
    pub sectors: SectorsNow,
    /// By its files: sectors may have been written since of which no file is made.
    pub files: FilesNow,
    /// What it replaced.
    pub trace: Trace,
    /// When it was made, where that is known.
    pub made: Option<SystemTime>,
    /// When it was undone on this medium, where that was noted.
    pub undone: Option<SystemTime>,
}

impl ChangeState {
    /// Whether the medium is as before the change: its files are, or every sector.
    fn is_undone(&self) -> bool {
        self.sectors == SectorsNow::Before || self.files == FilesNow::Before
    }

    fn is_there(&self) -> bool {
        self.sectors == SectorsNow::After
    }

    /// Whether it is undone by what was noted; `last` is when any change of the medium was undone last. A medium
    /// that holds all that the change put there may have been given it again since, as an image put back. That
    /// counts for the change that was undone last: undoing another one can make the same of some sectors.
    fn is_noted_as_undone(&self, last: Option<SystemTime>) -> bool {
        self.undone.is_some() && !(self.is_there() && self.undone == last)
    }

    /// Whether this one was undone before the other was made: then they have nothing to do with each other.
    fn was_undone_before(&self, other: &ChangeState) -> bool {
        let times = self.undone.zip(other.made);
        times.is_some_and(|(undone, made)| undone <= made)
    }
}

/// How well a change fits a medium, the better the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// It is neither there nor undone.
    None,
    /// By its files it may be.
    Files,
    /// It is undone in every sector, as also on a medium that it was never made on.
    Undone,
    /// It is there in every sector.
    There,
}

impl ChangeState {
    /// How well the change fits the medium.
    pub fn fit(&self) -> Fit {
        match (self.sectors, self.files) {
            (SectorsNow::After, _) => Fit::There,
            (SectorsNow::Before, _) => Fit::Undone,
            (_, FilesNow::Before | FilesNow::After) => Fit::Files,
            (_, FilesNow::Other) => Fit::None,
        }
    }
}

/// Those changes that are for a medium which none of them names: all that were made under the names of
/// which a change fits it best. Clones share everything else. Where nothing is known of a change there is no
/// state.
pub fn fitting(changes: &[(&About, Option<ChangeState>)]) -> Vec<usize> {
    let fit = |state: &Option<ChangeState>| state.as_ref().map_or(Fit::None, ChangeState::fit);
    let fits: Vec<Fit> = changes.iter().map(|(_, state)| fit(state)).collect();
    let best = fits.iter().copied().max().unwrap_or(Fit::None);
    if best == Fit::None {
        return Vec::new();
    }
    let fit_best = |&index: &usize| fits.get(index) == Some(&best);
    let best: Vec<usize> = (0..changes.len()).filter(fit_best).collect();
    let about = |index: &usize| changes.get(*index).map(|(about, _)| *about);
    let is_one = |index: &usize| {
        let own = about(index);
        let of_it = |other: &usize| {
            own.zip(about(other))
                .is_some_and(|(a, b)| a.is_of_same_target(b))
        };
        best.contains(index) || best.iter().any(of_it)
    };
    (0..changes.len()).filter(is_one).collect()
}

/// Which of the changes of one medium, the newest first, are of no use any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spare {
    /// How many of the newest are undone together, in every byte.
    pub undone: usize,
    /// How many of the newest are needed to tell which one is to be undone next.
    pub needed: usize,
}

impl Spare {
    /// Of changes with how the medium looks beside each. A change of which nothing is known is of use, and
    /// so are those below it.
    pub fn of(changes: Vec<Option<ChangeState>>) -> Self {
        let known: Vec<ChangeState> = changes.iter().cloned().map_while(|it| it).collect();
        let all: Vec<ChangeState> = changes.into_iter().map(Option::unwrap_or_default).collect();
        Spare {
            undone: undone_together(&known),
            needed: match next_to_undo(&all) {
                NextUndo::Change(index) => index,
                NextUndo::None | NextUndo::Unclear(_) | NextUndo::Mixed(_) => all.len(),
            },
        }
    }
}

/// The change to undo next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextUndo {
    /// None is left.
    None,
    /// The one of this index.
    Change(usize),
    /// Which one cannot be told: this may be undone already, or be the last that was made.
    Unclear(usize),
    /// Which one cannot be told: of this one the medium holds parts, and nothing else is known that could
    /// have led there.
    Mixed(usize),
}

/// The newest change that is not gone, of the changes of one medium, the newest first.
pub fn next_to_undo(changes: &[ChangeState]) -> NextUndo {
    let last_undone = changes.iter().filter_map(|change| change.undone).max();
    let mut gone: Vec<(&ChangeState, Gone)> = Vec::new();
    let mut next = NextUndo::None;
    for (index, change) in changes.iter().enumerate().rev() {
        let below = gone.iter().filter(|(earlier, _)| {
            !earlier.was_undone_before(change) && change.trace.is_on_top_of(&earlier.trace)
        });
        match Judged::of(change, below.map(|(_, how)| *how).max(), last_undone) {
            Judged::Gone(how) => gone.push((change, how)),
            Judged::Unclear(how) => {
                gone.push((change, how));
                next = NextUndo::Unclear(index);
            }
            Judged::Mixed => next = NextUndo::Mixed(index),
            Judged::Stands => next = NextUndo::Change(index),
        }
    }
    next
}

/// By what a change is seen to be gone, the surer the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Gone {
    /// By its files, or by a note.
    ByFiles,
    /// By every sector.
    Exactly,
}

/// What can be said of one change.
enum Judged {
    /// It is undone, or stood on one that is.
    Gone(Gone),
    /// It stands.
    Stands,
    /// It may stand, and may be gone with the one it stood on.
    Unclear(Gone),
    /// [`SectorsNow::Mixed`], and no change below it that is gone explains it.
    Mixed,
}

impl Judged {
    /// Of a change; `below` is the surest of the changes that are gone and that it was made on top of.
    fn of(change: &ChangeState, below: Option<Gone>, last_undone: Option<SystemTime>) -> Self {
        if change.is_undone() || change.is_noted_as_undone(last_undone) {
            return Judged::Gone(match change.sectors {
                SectorsNow::Before => Gone::Exactly,
                _ => Gone::ByFiles,
            });
        }
        match (below, change.sectors, change.files) {
            (None, SectorsNow::Mixed, _) => Judged::Mixed,
            (None, ..) => Judged::Stands,
            // What it put there is there, and sectors of the one below it are not as before that.
            (Some(Gone::ByFiles), SectorsNow::After, _) => Judged::Stands,
            (Some(Gone::ByFiles), _, FilesNow::After) => Judged::Unclear(Gone::ByFiles),
            // Sectors that are as before the change below say more than files do.
            (Some(Gone::Exactly), SectorsNow::After, _) => Judged::Unclear(Gone::Exactly),
            (Some(how), ..) => Judged::Gone(how),
        }
    }
}

/// How many of the changes of one medium, the newest first, are undone together and in every byte: each
/// sector is as it was before the first of them that changed it. None is counted where that may also be
/// because a change took back what others had made.
///
/// Of these the undo files can go, all of them or the newest ones. Never some from the middle: a change
/// that was undone with one below it can be seen to be undone by that one alone.
pub fn undone_together(changes: &[ChangeState]) -> usize {
    let mut before: BTreeMap<Lba, Mark> = BTreeMap::new();
    let mut differing = 0_usize;
    let mut undone = 0;
    let may_be_undone = |change: &&ChangeState| !change.is_there();
    for (index, change) in changes.iter().take_while(may_be_undone).enumerate() {
        let differs = |mark: &Mark| usize::from(mark.now != Some(mark.before));
        for (&lba, mark) in &change.trace.0 {
            let newer = before.insert(lba, *mark);
            differing -= newer.as_ref().map_or(0, differs);
            differing += differs(mark);
        }
        if differing == 0 {
            undone = index + 1;
        }
    }
    undone
}

fn short(what: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Changes of one sector, the newest first, each with what it held before and after; and what it holds.
    fn beside(holds: u64, changes: &[(u64, u64)]) -> Vec<ChangeState> {
        changes
            .iter()
            .map(|&(old, new)| ChangeState {
                sectors: match holds {
                    _ if holds == old => SectorsNow::Before,
                    _ if holds == new => SectorsNow::After,
                    _ => SectorsNow::Other,
                },
                files: files(holds, old, new),
                trace: Trace(BTreeMap::from([(Lba::default(), mark(holds, old, new))])),
                ..ChangeState::default()
            })
            .collect()
    }

    fn files(holds: u64, old: u64, new: u64) -> FilesNow {
        match holds {
            _ if holds == old => FilesNow::Before,
            _ if holds == new => FilesNow::After,
            _ => FilesNow::Other,
        }
    }

    fn mark(holds: u64, before: u64, left: u64) -> Mark {
        let now = Some(holds);
        Mark { before, left, now }
    }

    fn next(holds: u64, changes: &[(u64, u64)]) -> NextUndo {
        next_to_undo(&beside(holds, changes))
    }

    #[test]
    fn the_newest_change_that_is_not_gone_is_the_next_to_undo() {
        let chain = [(3, 4), (2, 3), (1, 2)];
        let next = |holds| next(holds, &chain);
        assert_eq!(next(4), NextUndo::Change(0));
        assert_eq!(next(3), NextUndo::Change(1));
        assert_eq!(next(2), NextUndo::Change(2));
        assert_eq!(next(1), NextUndo::None);
        // Something else was written since, so that nothing can be told: no change is passed over.
        assert_eq!(next(9), NextUndo::Change(0));
        assert_eq!(next_to_undo(&[]), NextUndo::None);
    }

    /// The same with notes: when each was made, and when it was undone.
    fn next_with_notes(
        holds: u64,
        changes: &[(u64, u64)],
        notes: &[(u64, Option<u64>)],
    ) -> NextUndo {
        let at = |seconds| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        let mut changes = beside(holds, changes);
        for (change, (made, undone)) in changes.iter_mut().zip(notes) {
            change.made = Some(at(*made));
            change.undone = undone.map(at);
        }
        next_to_undo(&changes)
    }

    #[test]
    fn what_was_noted_as_undone_is_passed_over_whatever_the_medium_holds() {
        // Made and undone before the one that stands, and of the same sectors.
        let both = [(1, 3), (1, 2)];
        assert_eq!(
            next_with_notes(3, &both, &[(3, None), (1, Some(2))]),
            NextUndo::Change(0)
        );
        assert_eq!(
            next_with_notes(1, &both, &[(3, Some(4)), (1, Some(2))]),
            NextUndo::None
        );
        // Neither old nor new: of the newest that is not noted nothing can be told.
        assert_eq!(
            next_with_notes(9, &both, &[(3, Some(4)), (1, None)]),
            NextUndo::Change(1)
        );
        // Undone, and there again by the undo of a later one; and because an image was put back.
        let cancelled = [(2, 1), (1, 2)];
        assert_eq!(
            next_with_notes(1, &cancelled, &[(2, Some(3)), (1, Some(4))]),
            NextUndo::None
        );
        assert_eq!(
            next_with_notes(2, &[(1, 2)], &[(1, Some(2))]),
            NextUndo::Change(0)
        );
    }

    #[test]
    fn where_a_change_takes_back_another_nothing_tells_whether_both_are_undone() {
        // Added, and taken away again; or undone twice.
        assert_eq!(next(1, &[(2, 1), (1, 2)]), NextUndo::Unclear(0));
        assert_eq!(next(2, &[(2, 1), (1, 2)]), NextUndo::Change(1));
        let three = [(1, 5), (2, 1), (1, 2)];
        assert_eq!(next(5, &three), NextUndo::Change(0));
        assert_eq!(next(1, &three), NextUndo::Unclear(1));
    }

    #[test]
    fn a_change_that_was_made_after_another_was_undone_is_not_gone() {
        assert_eq!(next(5, &[(1, 5), (1, 2)]), NextUndo::Change(0));
    }

    #[test]
    fn a_change_of_which_parts_are_there_that_no_cut_leaves_is_not_undone() {
        let mut changes = beside(9, &[(3, 4), (1, 2)]);
        assert_eq!(next_to_undo(&changes), NextUndo::Change(0));
        changes[0].sectors = SectorsNow::Mixed;
        assert_eq!(next_to_undo(&changes), NextUndo::Mixed(0));
        // The one below it that is undone explains them.
        let mut changes = beside(1, &[(2, 3), (1, 2)]);
        changes[0].sectors = SectorsNow::Mixed;
        assert_eq!(next_to_undo(&changes), NextUndo::None);
    }

    #[test]
    fn changes_are_undone_together_where_every_sector_is_as_before_the_first_of_them() {
        let chain = [(3, 4), (2, 3), (1, 2)];
        let undone = |holds| undone_together(&beside(holds, &chain));
        assert_eq!([4, 3, 2, 1, 9].map(undone), [0, 1, 2, 3, 0]);
        // Taken back, or undone twice; and a change that was made after two were undone.
        assert_eq!(undone_together(&beside(1, &[(2, 1), (1, 2)])), 0);
        let after_others = [(1, 5), (2, 3), (1, 2)];
        assert_eq!(undone_together(&beside(1, &after_others)), 3);
        assert_eq!(undone_together(&beside(5, &after_others)), 0);
        // One sector that only the newer changed, and that is not as before.
        let mut changes = beside(1, &[(2, 3), (1, 2)]);
        let other = Lba::default().checked_add(1).unwrap();
        changes[0].trace.0.insert(other, mark(8, 7, 8));
        assert_eq!(undone_together(&changes), 0);
        // One that cannot be read.
        let mut changes = beside(1, &[(1, 2)]);
        changes[0].trace.0.values_mut().for_each(|it| it.now = None);
        assert_eq!(undone_together(&changes), 0);
    }

    /// Changes of one file, as [`next`] has them, where other things were written to the medium: no sector
    /// is any more what a change found there or left.
    fn next_by_files(holds: u64, changes: &[(u64, u64)]) -> NextUndo {
        let sector = |index: u64| mark(0, u64::MAX - index, u64::MAX - 1 - index);
        let count = changes.len();
        let changes: Vec<ChangeState> = changes
            .iter()
            .enumerate()
            .map(|(index, &(old, new))| ChangeState {
                files: files(holds, old, new),
                trace: Trace(BTreeMap::from([(
                    Lba::default(),
                    sector((count - index) as u64),
                )])),
                ..ChangeState::default()
            })
            .collect();
        next_to_undo(&changes)
    }

    #[test]
    fn where_only_files_tell_no_change_that_may_stand_is_passed_over() {
        let chain = [(3, 4), (2, 3), (1, 2)];
        let next = |holds| next_by_files(holds, &chain);
        assert_eq!(next(4), NextUndo::Change(0));
        assert_eq!(next(3), NextUndo::Change(1));
        assert_eq!(next(2), NextUndo::Change(2));
        assert_eq!(next(1), NextUndo::None);
        // The newest takes back the one below it: both stand, or both were undone.
        let taken_back = [(2, 1), (1, 2), (0, 1)];
        assert_eq!(next_by_files(1, &taken_back), NextUndo::Unclear(0));
        assert_eq!(next_by_files(1, &taken_back[..2]), NextUndo::Unclear(0));
        assert_eq!(next_by_files(2, &taken_back), NextUndo::Change(1));
        assert_eq!(next_by_files(0, &taken_back), NextUndo::None);
    }

    /// A change that fits a clone best brings those with it that were made under the same name; what fits less
    /// is another clone's.
    #[test]
    fn of_clones_the_changes_of_the_one_that_fits_best_are_meant() {
        let about = |target: &str| About {
            target: Some(target.into()),
            ..About::default()
        };
        let names = [about("/a"), about("/b"), about("/a"), about("/c")];
        let states = |holds: u64| beside(holds, &[(3, 4), (3, 5), (2, 3), (7, 8)]);
        let chosen = |holds: u64| {
            let states = states(holds).into_iter().map(Some);
            fitting(&names.iter().zip(states).collect::<Vec<_>>())
        };
        assert_eq!(chosen(4), [0, 2]);
        assert_eq!(chosen(5), [1]);
        // Undone as well on a medium that neither was made on.
        assert_eq!(chosen(7), [3]);
        assert_eq!(chosen(9), [0usize; 0]);
        let unknown: Vec<_> = names.iter().map(|name| (name, None)).collect();
        assert_eq!(fitting(&unknown), [0usize; 0]);
    }

    #[test]
    fn a_change_of_which_nothing_is_known_is_never_spare() {
        let changes = |holds| {
            beside(holds, &[(3, 4), (2, 3), (1, 2)])
                .into_iter()
                .map(Some)
        };
        let spare = |undone, needed| Spare { undone, needed };
        assert_eq!(Spare::of(changes(2).collect()), spare(2, 2));
        assert_eq!(Spare::of(changes(4).collect()), spare(0, 0));
        let mut unread: Vec<_> = changes(2).collect();
        unread[0] = None;
        assert_eq!(Spare::of(unread), spare(0, 0));
        let mut unread: Vec<_> = changes(2).collect();
        unread[1] = None;
        assert_eq!(Spare::of(unread), spare(0, 0));
    }
}
