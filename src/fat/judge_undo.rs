//! The steps that take a change back, held against what a change may be about.
//!
//! An undo file comes from outside. Whatever it says, its steps may give back files of the root
//! directory, and leave everything else as it is now: folders and what is in them, labels, other
//! files, and every cluster that is theirs. The result must be sound to both readers.

use super::FatError;
use super::directory::{DELETED, Entry, SLOT_LEN};
use super::marks::boot_but_for_mark;
use super::reach::{Node, Reach};
use super::second_reader;
use super::volume::Volume;
use crate::commit::{Overlay, WriteSet};
use crate::error::ErrorKind;
use crate::medium::ReadAt as _;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// A file of the root directory that an undo is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// Its entry now; `None` where it comes back.
    pub now: Option<Entry>,
    /// Its entry afterwards; `None` where it goes.
    pub afterwards: Option<Entry>,
}

impl Restored {
    /// Its name in the volume.
    pub fn name(&self) -> String {
        let entry = self.afterwards.as_ref().or(self.now.as_ref());
        entry.map(Entry::name).unwrap_or_default()
    }
}

/// Judges what the steps of `set`, which take a change back, do to `volume`. Yields the files they
/// are about.
///
/// A cut in the middle of a change in place leaves a volume that is damaged for the moment. Then the
/// result is held against `done`, the volume as the change would have left it.
///
/// # Errors
/// [`FatError::Rejected`] where something else would change, and whatever [`Volume::open`] and
/// [`Volume::check`] find wrong with the result.
pub fn judge_undo(
    volume: &Volume<'_>,
    done: &Volume<'_>,
    set: &WriteSet,
) -> Result<Vec<Restored>, FatError> {
    let known = volume.known_head();
    let overlay = Overlay::new(&known, set);
    let range = volume.start()..volume.start() + volume.window().size();
    let after = Volume::open(&overlay, range, volume.geometry().sector_size())?;
    let reached = after.check()?;
    let (before, reach) = match volume.check() {
        Ok(reach) => (volume, reach),
        Err(error) if error.kind() == ErrorKind::Io => return Err(error),
        Err(error) => (done, done.check().map_err(|_| error)?),
    };
    let case = Case {
        before,
        reach: &reach,
        after: &after,
        reached: &reached,
    };
    let mut about = BTreeSet::new();
    case.compare_nodes(&mut about)?;
    case.look_at_sectors(set, &mut about)?;
    case.compare_heads(&about)?;
    case.show_second_reader(&about)?;
    Ok(case.restored(&about))
}

fn rejected<T>(what: String, offset: u64) -> Result<T, FatError> {
    Err(FatError::Rejected { what, offset })
}

struct Case<'j> {
    before: &'j Volume<'j>,
    reach: &'j Reach,
    after: &'j Volume<'j>,
    reached: &'j Reach,
}

impl<'j> Case<'j> {
    fn sides(&self) -> [&'j Reach; 2] {
        [self.reach, self.reached]
    }

    /// Files whose entry or chain differs, by where their entries are, are added to `about`.
    fn compare_nodes(&self, about: &mut BTreeSet<u64>) -> Result<(), FatError> {
        let [before, after] = self.sides().map(Reach::by_offset);
        let places: BTreeSet<u64> = before.keys().chain(after.keys()).copied().collect();
        for at in places {
            let (old, new) = (before.get(&at), after.get(&at));
            if let (Some((_, old)), Some((_, new))) = (old, new)
                && old.entry() == new.entry()
                && old.chain() == new.chain()
                && self.reach.folder_of(old) == self.reached.folder_of(new)
            {
                continue;
            }
            for (reach, found) in self.sides().into_iter().zip([old, new]) {
                if let Some((index, node)) = found {
                    check_root_file(reach, *index, node)?;
                }
            }
            about.insert(at);
        }
        Ok(())
    }

    /// A cluster that gets other content belongs to a file of the root directory, or to nothing.
    fn look_at_sectors(&self, set: &WriteSet, about: &mut BTreeSet<u64>) -> Result<(), FatError> {
        let geometry = self.before.geometry();
        let mut clusters = BTreeSet::new();
        for lba in set.net_changes().into_keys() {
            let offset = set
                .offset_of(lba)
                .and_then(|at| at.checked_sub(self.before.start()));
            clusters.extend(offset.and_then(|offset| geometry.cluster_at(offset)));
        }
        for reach in self.sides() {
            for (index, node) in reach.nodes().iter().enumerate() {
                if node.chain().iter().any(|it| clusters.contains(it)) {
                    check_root_file(reach, index, node)?;
                    about.insert(node.entry().offset());
                }
            }
        }
        Ok(())
    }

    /// Nothing of the boot sector but its mark, nothing of the FAT's first entry, and no slot of the
    /// root directory that counts changes but those of the files it is about.
    fn compare_heads(&self, about: &BTreeSet<u64>) -> Result<(), FatError> {
        let geometry = self.before.geometry();
        let reserved = u64::from(geometry.reserved_sectors()) * u64::from(geometry.sector_size());
        let reserved = usize::try_from(reserved).unwrap_or(usize::MAX);
        let [mut old, mut new] = [self.before, self.after].map(boot_but_for_mark);
        old.truncate(reserved);
        new.truncate(reserved);
        let mut tables = self.before.fats().iter().zip(self.after.fats());
        if old != new || tables.any(|(old, new)| old.raw(0) != new.raw(0)) {
            return rejected("the head of the volume would change".to_owned(), 0);
        }
        let mut theirs = about.clone();
        for (volume, reach) in [(self.before, self.reach), (self.after, self.reached)] {
            let files = reach.nodes().iter().map(Node::entry);
            let files = files.filter(|entry| about.contains(&entry.offset()));
            theirs.extend(files.flat_map(|entry| volume.long_name_slots(entry)));
        }
        let slots = |volume: &'j Volume<'j>| volume.root().chunks(SLOT_LEN);
        let pairs = slots(self.before).zip(slots(self.after));
        let places = (geometry.root_range().start..).step_by(SLOT_LEN);
        for (at, (old, new)) in places.zip(pairs) {
            let counts = |slot: &[u8]| !matches!(slot.first(), Some(0 | &DELETED) | None);
            if old != new && !theirs.contains(&at) && (counts(old) || counts(new)) {
                let what = "another slot of the root directory would change";
                return rejected(what.to_owned(), at);
            }
        }
        Ok(())
    }

    fn show_second_reader(&self, about: &BTreeSet<u64>) -> Result<(), FatError> {
        second_reader::agree(self.after, self.reached, &|index| {
            let node = &self.reached.nodes()[index];
            if !about.contains(&node.entry().offset()) {
                return Ok(None);
            }
            let size = u64::from(node.entry().size());
            let content = self.after.read_chain(node.chain(), size)?;
            Ok(Some(Cow::Owned(content)))
        })
    }

    fn restored(&self, about: &BTreeSet<u64>) -> Vec<Restored> {
        let entry = |reach: &Reach, at: u64| {
            let mut entries = reach.nodes().iter().map(Node::entry);
            entries.find(|entry| entry.offset() == at).cloned()
        };
        let restored = about.iter().map(|at| Restored {
            now: entry(self.reach, *at),
            afterwards: entry(self.reached, *at),
        });
        restored.collect()
    }
}

fn check_root_file(reach: &Reach, index: usize, node: &Node) -> Result<(), FatError> {
    if node.parent().is_none() && !node.entry().is_directory() {
        return Ok(());
    }
    let path = reach.path(index);
    let what = format!("{path} would change, which is not a file of the root directory");
    rejected(what, node.entry().offset())
}
