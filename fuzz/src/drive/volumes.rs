//! Partition tables and FAT volumes.

use super::super::repair;
use super::Sparse;
use bootbank::commit::Planner;
use bootbank::fat::{Action, FatError, FileChange, Method, Volume, judge, replace};
use bootbank::partition::PartitionTable;

/// First byte: sector size and length of the medium; then its first sectors.
pub fn table(data: &[u8]) -> bool {
    let Some((&how, head)) = data.split_first() else {
        return false;
    };
    let mut head = head.to_vec();
    let given = [None, Some(512), Some(4096)][usize::from(how % 3)];
    repair::gpt(&mut head, if how % 3 == 2 { 4096 } else { 512 });
    let size = if how & 0x40 == 0 {
        8 << 30
    } else {
        head.len() as u64
    };
    let medium = Sparse { head: &head, size };
    let Ok(table) = PartitionTable::read(&medium, given) else {
        return false;
    };
    let faulty = |number: u32| table.fault_of(number).is_some();
    for partition in table.bank_candidates().filter(|it| !faulty(it.number)) {
        let range = partition
            .byte_range(table.sector_size)
            .expect("a checked partition");
        assert!(range.end <= size, "a bank past the end");
    }
    true
}

/// The bytes of a volume.
pub fn fat(data: &[u8]) -> bool {
    let medium = data.to_vec();
    let sector_size = if data.get(11..13) == Some(&[0, 16]) {
        4096
    } else {
        512
    };
    let range = 0..medium.len() as u64;
    let Ok(volume) = Volume::open(&medium, range, sector_size) else {
        return false;
    };
    for name in ["boot.cfg", "state.tgz"] {
        if let Ok(Some(entry)) = volume.find(name) {
            let _ = volume.read_file(&entry, 1 << 20);
        }
    }
    let _ = (volume.label(), volume.vmware_uuid(), volume.dirty_marks());
    let Ok(reach) = volume.check() else {
        return false;
    };
    let Some(entry) = volume.files().find(|entry| !entry.is_directory()) else {
        return false;
    };
    let content = vec![7; 700];
    let files = [FileChange {
        entry,
        action: Action::Replace(content.clone().into()),
        why: "fuzz".to_owned(),
    }];
    let mut planner = Planner::new(&medium, sector_size);
    if replace(&volume, &reach, &mut planner, 1, &files).is_err() {
        return false;
    }
    match judge(
        &volume,
        &reach,
        &planner.finish(),
        &files,
        Method::SecondCopy,
    ) {
        Err(error @ FatError::Rejected { .. }) => {
            panic!("the planner and its judge differ: {error}")
        }
        judged => judged.is_ok(),
    }
}
