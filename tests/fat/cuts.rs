//! Every state a cut run can leave reads as old or as new, by this program and by others.

use crate::fat_volume::{FORMATS, Format, Made, open, pattern};
use crate::{LIMIT, crash};
use bootbank::commit::{IfDifferent, Phase, Planner, WriteSet};
use bootbank::fat::{Action, FileChange, Method, judge, replace};

/// Of so many states, one is also shown to mtools and fsck.fat, which are slow.
const SAMPLE: usize = 23;

fn read(bytes: &[u8], format: Format, name: &str) -> Vec<u8> {
    let volume = open(&bytes, format);
    let entry = volume.find(name).unwrap().unwrap();
    volume.read_file(&entry, LIMIT).unwrap()
}

/// A judged plan that gives `state.tgz` new content, whatever a cut left behind.
fn plan(bytes: &[u8], format: Format, method: Method, content: &[u8]) -> WriteSet {
    crate::plan(bytes, format, method, &[("state.tgz", content)]).unwrap()
}

#[test]
fn every_cut_leaves_the_old_file_or_the_new_one_and_all_others() {
    for format in FORMATS {
        let cluster = (format.sector_size * format.sectors_per_cluster) as usize;
        let made = Made::bank(format, cluster * 3 + 5);
        let old = made.files["state.tgz"].clone();
        let new = pattern(cluster * 4 + 9, 200);
        let base = made.bytes();
        let first = plan(&base, format, Method::SecondCopy, &new);
        // A second run over what a first one left: with a reclaim step before the others.
        let mut cut = base.clone();
        crash::apply(&mut cut, &first.steps()[0], format.sector_size);
        crash::apply(&mut cut, &first.steps()[1], format.sector_size);
        let second = plan(&cut, format, Method::SecondCopy, &new);
        assert_eq!(second.steps()[0].phase, Phase::Reclaim);

        for (base, set) in [(&base, &first), (&cut, &second)] {
            let mut count = 0;
            crash::each_state(base, set, 12, |medium, cut| {
                let medium = medium.to_vec();
                let switch = set.steps().iter().position(|it| it.phase == Phase::Switch);
                let state = read(&medium, format, "state.tgz");
                let expected: &[&[u8]] = match Some(cut.step).cmp(&switch) {
                    std::cmp::Ordering::Less => &[&old],
                    std::cmp::Ordering::Equal => &[&old, &new],
                    std::cmp::Ordering::Greater => &[&new],
                };
                assert!(expected.contains(&&*state), "{}: {cut:?}", format.name);
                let healing = plan(&medium, format, Method::SecondCopy, &new);
                count += 1;
                if count % SAMPLE == 0 {
                    by_other_tools(&made, &medium, expected, &healing, &new);
                }
            });
            assert!(count > 20, "{count} states of {}", format.name);
        }
    }
}

/// What mtools reads, also after fsck.fat repaired the volume; then the next run completes it.
fn by_other_tools(made: &Made, medium: &[u8], expected: &[&[u8]], healing: &WriteSet, new: &[u8]) {
    let judged = made.judge(medium);
    assert!(expected.contains(&&*judged.content("state.tgz")));
    judged.others_are_untouched(&["state.tgz"]);
    judged.repaired();
    assert!(
        expected.contains(&&*judged.content("state.tgz")),
        "after fsck.fat -a"
    );
    judged.others_are_untouched(&["state.tgz"]);

    let mut healed = medium.to_vec();
    crash::apply_all(&mut healed, healing);
    let judged = made.judge(&healed);
    judged.is_clean();
    assert!(judged.content("state.tgz") == new);
}

/// Cluster 341 and 682 have FAT12 entries of which each half is in another sector.
#[test]
fn entries_torn_across_two_fat_sectors_harm_nothing() {
    let format = FORMATS[0];
    let made = Made::bank(format, 400 * 512);
    let base = made.bytes();
    let (old, new) = (&made.files["state.tgz"], pattern(420 * 512, 200));
    let set = plan(&base, format, Method::SecondCopy, &new);
    let fat_sectors = |step: usize| set.steps()[step].sectors.len();
    assert_eq!(
        (fat_sectors(1), fat_sectors(3)),
        (4, 4),
        "two sectors of each copy"
    );
    let mut count = 0;
    crash::each_state(&base, &set, 12, |medium, cut| {
        // Which free clusters hold data makes no difference to the FAT.
        if cut.phase == Phase::Data {
            return;
        }
        let medium = medium.to_vec();
        let state = read(&medium, format, "state.tgz");
        assert!(state == *old || state == new, "{cut:?}");
        let healing = plan(&medium, format, Method::SecondCopy, &new);
        count += 1;
        if count % SAMPLE == 0 {
            by_other_tools(&made, &medium, &[old, &new], &healing, &new);
        }
    });
    assert!(count > 300, "{count} states");
}

#[test]
fn a_cut_in_place_is_always_put_back_by_the_old_sectors() {
    for format in FORMATS {
        let cluster = (format.sector_size * format.sectors_per_cluster) as usize;
        let made = Made::bank(format, cluster * 3 + 5);
        let base = made.bytes();
        let set = plan(&base, format, Method::InPlace, &pattern(cluster + 9, 200));
        crash::each_state(&base, &set, 12, |medium, cut| {
            let mut medium = medium.to_vec();
            for step in set.steps().iter().rev() {
                for (&lba, change) in &step.sectors {
                    let at = lba.0 as usize * format.sector_size as usize;
                    medium[at..at + change.old.len()].copy_from_slice(&change.old);
                }
            }
            assert!(medium == base, "{}: {cut:?}", format.name);
        });
    }
}

/// A judged plan that makes two files, removes one with a long name and replaces `state.tgz`.
fn plan_of_three_kinds(bytes: &[u8], format: Format, new: &[u8]) -> WriteSet {
    let volume = open(&bytes, format);
    let reach = volume.check().unwrap();
    let state = volume.find("state.tgz").unwrap().unwrap();
    let made = ["made.one", "made.two"].map(|name| (name, volume.find(name).unwrap()));
    let missing: Vec<&str> = made
        .iter()
        .filter(|(_, found)| found.is_none())
        .map(|(name, _)| *name)
        .collect();
    let missing: Vec<_> = missing.into_iter().map(|name| (name, &state)).collect();
    let fresh = volume.new_entries(&missing).unwrap();
    let change = |entry, action: Action| FileChange {
        entry,
        action,
        why: "a change".to_owned(),
    };
    let there = made.into_iter().filter_map(|(_, found)| found);
    let mut files: Vec<FileChange> = fresh
        .into_iter()
        .map(|entry| change(entry, Action::Create(new.to_vec().into())))
        .chain(there.map(|entry| change(entry, Action::Replace(new.to_vec().into()))))
        .collect();
    if let Some(entry) = volume.find("local.tgz").unwrap() {
        files.push(change(entry, Action::Remove));
    }
    files.push(change(state, Action::Replace(new.to_vec().into())));
    let mut planner = Planner::new(&bytes, format.sector_size);
    replace(&volume, &reach, &mut planner, 5, &files).unwrap();
    let set = planner.finish();
    judge(&volume, &reach, &set, &files, Method::SecondCopy).unwrap();
    set
}

#[test]
fn a_file_that_is_made_or_removed_is_there_whole_or_not_at_all_whenever_it_is_cut() {
    for format in FORMATS {
        let cluster = (format.sector_size * format.sectors_per_cluster) as usize;
        let made = Made::bank(format, cluster * 3 + 5);
        let old_state = made.files["state.tgz"].clone();
        let old_local = made.files["local.tgz"].clone();
        let new = pattern(cluster + 9, 200);
        let base = made.bytes();
        let set = plan_of_three_kinds(&base, format, &new);
        let mut count = 0;
        crash::each_state(&base, &set, 12, |medium, cut| {
            let medium = medium.to_vec();
            let volume = open(&medium, format);
            let content = |name: &str| {
                let found = volume.find(name).unwrap();
                found.map(|entry| volume.read_file(&entry, LIMIT).unwrap())
            };
            let where_ = format!("{}: {cut:?}", format.name);
            for name in ["made.one", "made.two"] {
                let found = content(name);
                assert!(found.is_none_or(|found| found == new), "{name} {where_}");
            }
            let state = content("state.tgz").unwrap();
            assert!(state == old_state || state == new, "state.tgz {where_}");
            let local = content("local.tgz");
            assert!(local.is_none_or(|local| local == old_local), "{where_}");
            // What was cut can be gone on with, and then nothing is left over.
            let healing = plan_of_three_kinds(&medium, format, &new);
            count += 1;
            if count % SAMPLE == 0 {
                let mut healed = medium.clone();
                crash::apply_all(&mut healed, &healing);
                let judged = made.judge(&healed);
                judged.is_clean();
                for name in ["made.one", "made.two", "state.tgz"] {
                    assert!(judged.content(name) == new, "{name} {where_}");
                }
                judged.others_are_untouched(&["state.tgz", "local.tgz"]);
            }
        });
        assert!(count > 20, "{count} states of {}", format.name);
    }
}

#[test]
fn undo_takes_back_files_that_were_made_or_removed_from_every_cut() {
    use bootbank::commit::{About, Undo};
    let format = FORMATS[1];
    let made = Made::bank(format, 5000);
    let base = made.bytes();
    let set = plan_of_three_kinds(&base, format, &pattern(700, 200));
    let undo = Undo {
        set: set.clone(),
        medium_size: base.len() as u64,
        damaged: Default::default(),
        about: About::default(),
    };
    let undo = Undo::from_bytes(&undo.to_bytes().unwrap()).unwrap();
    let mut count = 0;
    crash::each_state(&base, &set, 12, |medium, cut| {
        let mut medium = medium.to_vec();
        let back = undo.plan(&medium, IfDifferent::Refuse).unwrap();
        crash::apply_all(&mut medium, &back);
        count += 1;
        assert_eq!(differing(&medium, &base, &set), 0, "{cut:?}");
    });
    assert!(count > 20, "{count} states");
}

/// Bytes that differ outside free clusters, which an undo leaves as they are only where nothing
/// was written: here all sectors of the set count.
fn differing(now: &[u8], before: &[u8], set: &WriteSet) -> usize {
    let size = set.sector_size() as usize;
    let sectors = set.steps().iter().flat_map(|step| step.sectors.keys());
    let bytes = sectors.flat_map(|lba| {
        let at = lba.0 as usize * size;
        at..at + size
    });
    bytes.filter(|&at| now[at] != before[at]).count()
}
