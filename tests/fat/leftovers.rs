//! What lies in a volume besides the file that is replaced: leftovers of cut runs, bad clusters,
//! marks, copies of the FAT that differ, and a great many clusters.

use crate::fat_volume::{FORMATS, Format, Made, open, pattern, set_fat_entry};
use crate::{cluster, crash, done, phases, plan};
use bootbank::commit::{Phase, Planner};
use bootbank::fat::{Action, FileChange, Method, Volume, judge, reclaim, replace};

use bootbank::medium::ReadAt;
use std::cell::Cell;
use std::io;

#[test]
fn leftovers_of_a_cut_run_are_freed_by_the_next_plan_and_by_reclaim() {
    for format in FORMATS {
        let made = Made::bank(format, cluster(format) * 3);
        let bytes = made.bytes();
        let new = pattern(cluster(format) * 4, 7);
        let set = plan(&bytes, format, Method::SecondCopy, &[("state.tgz", &new)]).unwrap();
        for cut_after in [2, 3] {
            let mut cut = bytes.clone();
            for step in &set.steps()[..cut_after] {
                crash::apply(&mut cut, step, format.sector_size);
            }
            let volume = open(&cut, format);
            let reach = volume.check().unwrap();
            let left = if cut_after == 2 { 4 } else { 3 };
            assert_eq!(reach.leftovers().allocated.len(), left);

            let mut planner = Planner::new(&cut, format.sector_size);
            reclaim(&volume, &reach, &mut planner, 5).unwrap();
            let healing = planner.finish();
            judge(&volume, &reach, &healing, &[], Method::SecondCopy).unwrap();
            assert_eq!(phases(&healing), [Phase::Reclaim]);
            let healed = done(&cut, &healing);
            made.judge(&healed).is_clean();
            assert!(
                open(&healed, format)
                    .check()
                    .unwrap()
                    .leftovers()
                    .is_empty()
            );

            let again = plan(&cut, format, Method::SecondCopy, &[("state.tgz", &new)]).unwrap();
            assert_eq!(phases(&again)[0], Phase::Reclaim);
            let after = done(&cut, &again);
            made.judge(&after).is_clean();
            assert!(made.judge(&after).content("state.tgz") == new);
        }
    }
}

#[test]
fn bad_clusters_and_dirty_marks_are_kept() {
    for format in FORMATS {
        let made = Made::bank(format, cluster(format) * 2);
        let mut bytes = made.bytes();
        let (fats, free) = {
            let volume = open(&bytes, format);
            (
                volume.geometry().fat_ranges(),
                volume.check().unwrap().free().iter().next().unwrap().get(),
            )
        };
        for fat in &fats {
            set_fat_entry(&mut bytes, format, fat.start as usize, free, 0xfff7);
            if format.fat_bits == 16 {
                set_fat_entry(&mut bytes, format, fat.start as usize, 1, 0x7fff);
            }
        }
        bytes[37] = 1;
        let volume = open(&bytes, format);
        assert!(volume.dirty_marks().boot_sector);
        assert_eq!(volume.dirty_marks().fat, format.fat_bits == 16);
        assert_eq!(volume.check().unwrap().bad().len(), 1);
        let new = pattern(cluster(format) * 5, 7);
        let set = plan(&bytes, format, Method::SecondCopy, &[("state.tgz", &new)]).unwrap();
        let mut after = done(&bytes, &set);
        let volume = open(&after, format);
        assert_eq!(volume.check().unwrap().bad()[0].get(), free);
        assert_eq!(volume.dirty_marks(), open(&bytes, format).dirty_marks());
        // mtools does not open a volume the FAT calls dirty.
        for fat in fats.iter().filter(|_| format.fat_bits == 16) {
            set_fat_entry(&mut after, format, fat.start as usize, 1, 0xffff);
        }
        assert!(made.judge(&after).content("state.tgz") == new);
    }
}

#[test]
fn copies_that_differ_where_nothing_reaches_are_made_equal() {
    for format in FORMATS.into_iter().filter(|format| format.fats == 2) {
        let made = Made::bank(format, cluster(format) * 2);
        let mut bytes = made.bytes();
        let volume = open(&bytes, format);
        let second = volume.geometry().fat_ranges()[1].start as usize;
        let reach = volume.check().unwrap();
        let mut free: Vec<_> = reach.free().iter().map(|it| it.get()).collect();
        free.reverse();
        set_fat_entry(&mut bytes, format, second, free[0], 0xffff);
        set_fat_entry(&mut bytes, format, second, free[1], 0xfff7);
        let left = open(&bytes, format).check().unwrap();
        assert_eq!(left.leftovers().differing.len(), 2);
        // One is in both lists, and counts once.
        assert_eq!(left.leftovers().len(), 2);
        assert_eq!((left.leftovers().allocated.len(), left.bad().len()), (1, 1));
        let set = plan(&bytes, format, Method::SecondCopy, &[("state.tgz", b"new")]).unwrap();
        assert_eq!(phases(&set)[0], Phase::Reclaim);
        let after = done(&bytes, &set);
        let fats = open(&after, format).geometry().fat_ranges();
        let of = |copy: usize| &after[fats[copy].start as usize..fats[copy].end as usize];
        assert!(of(0) == of(1), "{}", format.name);
        assert_eq!(open(&after, format).check().unwrap().bad().len(), 1);
    }
}

/// Counts what is read.
struct Counted {
    bytes: Vec<u8>,
    reads: Cell<usize>,
    read: Cell<usize>,
}

impl ReadAt for Counted {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.reads.set(self.reads.get() + 1);
        self.read.set(self.read.get() + buf.len());
        self.bytes.read_at(buf, offset)
    }
}

#[test]
fn a_bank_of_250_megabytes_is_checked_and_a_plan_judged_with_few_reads() {
    let format = Format {
        kib: 250 * 1024,
        sectors_per_cluster: 8,
        ..FORMATS[4]
    };
    let made = Made::bank(format, 30_000);
    let medium = Counted {
        bytes: made.bytes(),
        reads: Cell::new(0),
        read: Cell::new(0),
    };
    let volume = Volume::open(&medium, 0..medium.size(), 512).unwrap();
    let reach = volume.check().unwrap();
    let (reads, read) = (medium.reads.get(), medium.read.get());
    assert!(
        reads <= 6 && read < 300 << 10,
        "{reads} reads of {read} bytes"
    );

    let entry = volume.find("state.tgz").unwrap().unwrap();
    let new = pattern(31_000, 1);
    let files = [FileChange {
        entry,
        action: Action::Replace(new.clone().into()),
        why: "test".into(),
    }];
    let mut planner = Planner::new(&medium, 512);
    replace(&volume, &reach, &mut planner, 5, &files).unwrap();
    judge(
        &volume,
        &reach,
        &planner.finish(),
        &files,
        Method::SecondCopy,
    )
    .unwrap();
    let (reads, read) = (medium.reads.get() - reads, medium.read.get() - read);
    assert!(
        reads <= 40 && read < 128 << 10,
        "{reads} reads of {read} bytes"
    );
}
