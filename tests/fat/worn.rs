//! Volumes on a worn medium, some sectors of which cannot be read.

use crate::fat_victim::Victim;
use crate::fat_volume::{FORMATS, Made, open};
use bootbank::commit::{Phase, Planner};
use bootbank::fat::{Action, ClusterId, FatError, FileChange, replace};
use bootbank::medium::{Lba, MediumError, ReadAt};
use std::cell::Cell;
use std::io;
use std::ops::Range;

/// A medium some parts of which cannot be read, or that is gone once they are asked for.
struct Worn {
    bytes: Vec<u8>,
    bad: Vec<std::ops::Range<u64>>,
    goes: bool,
    failed: Cell<u32>,
}

impl ReadAt for Worn {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset + buf.len() as u64;
        if self
            .bad
            .iter()
            .any(|bad| bad.start < end && offset < bad.end)
        {
            self.failed.set(self.failed.get() + 1);
            let source = io::Error::from_raw_os_error(5);
            return Err(match self.goes {
                false => source,
                true => io::Error::other(MediumError::Vanished {
                    path: "stick".into(),
                    op: "reading",
                    offset: Some(offset),
                    source,
                }),
            });
        }
        self.bytes.read_at(buf, offset)
    }
}

#[test]
fn free_clusters_that_cannot_be_read_are_left_out_and_a_medium_of_them_is_given_up() {
    let format = FORMATS[4];
    let bytes = Made::bank(format, 2000).bytes();
    let volume = open(&bytes, format);
    let geometry = volume.geometry();
    let place = |it: &ClusterId| {
        let start = geometry.cluster_offset(*it);
        start..start + geometry.cluster_bytes()
    };
    let reach = volume.check().unwrap();
    let free: Vec<ClusterId> = reach.free().iter().collect();
    let worn = |bad: usize, goes: bool| Worn {
        bytes: bytes.clone(),
        bad: free.iter().take(bad).map(place).collect(),
        goes,
        failed: Cell::new(0),
    };
    let planned = |medium: &Worn, len: usize| {
        let volume = open(medium, format);
        let files = [FileChange {
            entry: volume.find("state.tgz").unwrap().unwrap(),
            action: Action::Replace(vec![7; len].into()),
            why: "test".into(),
        }];
        let mut planner = Planner::new(medium, format.sector_size);
        let reach = volume.check().unwrap();
        replace(&volume, &reach, &mut planner, 5, &files).map(|_| planner.finish())
    };
    for bad in [0, 1, 3] {
        let set = planned(&worn(bad, false), 1500).unwrap();
        let written = set.steps().iter().filter(|step| step.phase == Phase::Data);
        let first = written.flat_map(|step| step.sectors.keys()).min().unwrap();
        let expected = geometry.cluster_offset(free[bad]) / u64::from(format.sector_size);
        assert_eq!(first.0, expected, "{bad}");
    }
    // All of what is free is wanted, and a little of it cannot be had.
    let whole = free.len() * usize::try_from(geometry.cluster_bytes()).unwrap();
    match planned(&worn(3, false), whole) {
        Err(FatError::NoRoom {
            left_out,
            free: left,
            needed,
            ..
        }) => {
            assert_eq!((left_out, left, needed), (3, needed - 3, free.len() as u64));
        }
        other => panic!("{other:?}"),
    }
    // Most of what is free is wanted, and none of it can be had: that is a matter of the medium, whether the
    // content fits a second time or not, and no reason to try every cluster.
    for len in [1500, whole / 3, whole / 3 * 2, whole] {
        for (goes, most) in [(false, 64 + 3 + 64), (true, 1)] {
            let medium = worn(free.len(), goes);
            let error = planned(&medium, len).map(drop).unwrap_err();
            assert!(matches!(error, FatError::Read { .. }), "{len}: {error}");
            assert!(medium.failed.get() <= most, "{} reads", medium.failed.get());
        }
    }
}

#[test]
fn what_is_to_be_avoided_gets_no_new_content() {
    let format = FORMATS[4];
    let bytes = Made::bank(format, 2000).bytes();
    let volume = open(&bytes, format);
    let reach = volume.check().unwrap();
    let free: Vec<ClusterId> = reach.free().iter().collect();
    let sector = |cluster: &ClusterId| {
        volume.geometry().cluster_offset(*cluster) / u64::from(format.sector_size)
    };
    let files = [FileChange {
        entry: volume.find("state.tgz").unwrap().unwrap(),
        action: Action::Replace(vec![7; 700].into()),
        why: "test".into(),
    }];
    // One sector of the first free cluster is enough, and so is the last one of the second.
    let second_ends = sector(&free[2]);
    let avoided = [
        Lba(sector(&free[0]))..Lba(sector(&free[0]) + 1),
        Lba(second_ends - 1)..Lba(second_ends),
    ];
    let mut planner = Planner::new(&bytes, format.sector_size).avoiding(&avoided);
    replace(&volume, &reach, &mut planner, 5, &files).unwrap();
    let set = planner.finish();
    let written = set.steps().iter().filter(|step| step.phase == Phase::Data);
    let first = written.flat_map(|step| step.sectors.keys()).min().unwrap();
    assert_eq!(first.0, sector(&free[2]));
}

#[test]
fn what_is_left_of_a_file_says_which_of_its_bytes_are_missing() {
    for format in FORMATS {
        let victim = Victim::of(format);
        let (sector, cluster) = (
            u64::from(format.sector_size),
            u64::from(format.sector_size * format.sectors_per_cluster),
        );
        let whole = {
            let volume = open(&victim.bytes, format);
            let entry = volume.find("state.tgz").unwrap().unwrap();
            volume.read_file(&entry, 1 << 20).unwrap()
        };
        let size = whole.len() as u64;
        let zeroed = |missing: &[Range<u64>]| {
            let mut bytes = whole.clone();
            for range in missing {
                bytes[range.start as usize..range.end as usize].fill(0);
            }
            bytes
        };
        let check = |victim: &Victim, bad: Vec<Range<u64>>, missing: Option<Range<u64>>| {
            let missing = Vec::from_iter(missing);
            let medium = Worn {
                bytes: victim.bytes.clone(),
                bad,
                goes: false,
                failed: Cell::new(0),
            };
            let volume = open(&medium, format);
            let entry = volume.find("state.tgz").unwrap().unwrap();
            let left = volume.salvage_file(&entry, 1 << 20).unwrap();
            assert_eq!(left.missing, missing, "{}", format.name);
            assert!(left.bytes == zeroed(&missing), "{}", format.name);
            assert!(volume.salvage_file(&entry, size - 1).is_err());
            assert!(volume.salvage_file(&entry, size).is_ok());
        };
        check(&victim, Vec::new(), None);
        // A sector of the second cluster; that one and its neighbour in the file; the last byte.
        let second = victim.at(victim.chain[1]) as u64;
        check(
            &victim,
            std::iter::once(second..second + 1).collect(),
            Some(cluster..cluster + sector),
        );
        let first_end = victim.at(victim.chain[0]) as u64 + cluster;
        let both = vec![first_end - 1..first_end, second..second + 1];
        check(&victim, both, Some(cluster - sector..cluster + sector));
        let last = victim.at(*victim.chain.last().unwrap()) as u64 + cluster;
        check(
            &victim,
            std::iter::once(last - 1..last).collect(),
            Some(size - sector..size),
        );
        // The chain breaks off, leads nowhere or in a circle.
        for next in [0, 1, 0xfff7, victim.chain[0]] {
            let mut cut = victim.clone();
            cut.link(victim.chain[1], next);
            check(&cut, Vec::new(), Some(2 * cluster..size));
        }
    }
}
