//! What the commit promises, on bare sectors: order, refusal, failure, and the way back.
#![allow(clippy::unwrap_used, clippy::panic, dead_code)]

#[path = "common/media.rs"]
mod media;

use bootbank::commit::{CommitError, Holds, Phase, Planner, Undo, UndoError, WriteSet, run};
use bootbank::medium::{Lba, ReadAt, WriteAt};
use media::{Counts, Event, Fault, Faulty, Recorder};
use std::collections::BTreeMap;

const SECTOR: usize = 512;
const SECTOR_SIZE: u32 = 512;

/// Sector 0 is a table nobody may touch, 1 and 2 the FAT copies, 3 the directory, 4 to 7 the
/// old file, 8 to 11 free.
fn medium() -> Vec<u8> {
    (0..16u8).flat_map(|sector| [sector; SECTOR]).collect()
}

fn plan(bytes: &[u8]) -> WriteSet {
    let at = |lba: u64| lba * SECTOR as u64;
    let mut planner = Planner::new(&bytes, SECTOR_SIZE);
    planner.allow(at(1)..at(12)).unwrap();
    planner.begin(Phase::Data, 5, "new content");
    planner.put(at(8), &[0xdd; 2 * SECTOR]).unwrap();
    planner.begin(Phase::Allocate, 5, "new chain");
    planner.put(at(1) + 10, b"new").unwrap();
    planner.put(at(2) + 10, b"new").unwrap();
    planner.begin(Phase::Switch, 5, "entry");
    planner.put(at(3) + 26, b"switch").unwrap();
    planner.begin(Phase::Release, 5, "old chain");
    planner.preserve(at(4)..at(8)).unwrap();
    planner.put(at(1) + 20, b"free").unwrap();
    planner.put(at(2) + 20, b"free").unwrap();
    planner.finish()
}

fn undo(set: WriteSet) -> Undo {
    Undo {
        medium_size: 16 * SECTOR as u64,
        damaged: Default::default(),
        about: BTreeMap::from([("target".to_owned(), "test".to_owned())]),
        set,
    }
}

#[test]
fn every_step_is_synced_before_the_next_begins() {
    let bytes = medium();
    let medium = Recorder::new(bytes.clone());
    let done = run(&medium, &plan(&bytes), &|| false).unwrap();
    assert_eq!(done.steps_done, 4);
    assert_eq!(done.bytes_written, 7 * SECTOR as u64);
    let offsets: Vec<Option<u64>> = medium
        .log()
        .iter()
        .map(|event| match event {
            Event::Write { offset, .. } => Some(offset / SECTOR as u64),
            Event::Sync => None,
        })
        .collect();
    let expected = [Some(8), None, Some(1), None, Some(3), None, Some(1), None];
    assert_eq!(offsets, expected);
}

#[test]
fn a_sector_outside_the_declared_ranges_is_refused() {
    let bytes = medium();
    let mut planner = Planner::new(&bytes, SECTOR_SIZE);
    planner.allow(512..1024).unwrap();
    planner.begin(Phase::Data, 5, "table");
    assert!(planner.put(0, b"x").is_err());
    assert!(planner.put(1024, b"x").is_err());
    assert!(planner.put(512, b"x").is_ok());
    assert!(planner.preserve(0..512).is_err());
}

#[test]
fn a_sector_that_changed_since_planning_stops_the_commit_before_its_first_write() {
    let bytes = medium();
    let set = plan(&bytes);
    for &lba in set.net_changes().keys() {
        let mut changed = bytes.clone();
        changed[usize::try_from(lba.0).unwrap() * SECTOR + 511] ^= 1;
        let medium = Recorder::new(changed);
        let error = run(&medium, &set, &|| false).unwrap_err();
        assert!(
            matches!(error, CommitError::Changed { lba: at } if at == lba),
            "{error}"
        );
        assert!(medium.log().is_empty());
    }
}

#[test]
fn an_interrupt_is_heard_until_the_switch_and_not_after() {
    let bytes = medium();
    let set = plan(&bytes);
    for asked in 0..6usize {
        let medium = Recorder::new(bytes.clone());
        let count = std::cell::Cell::new(0);
        let interrupted = || count.replace(count.get() + 1) == asked;
        match run(&medium, &set, &interrupted) {
            Err(CommitError::Interrupted { steps_done, .. }) => {
                assert!(asked < 3);
                assert_eq!(steps_done, asked);
                assert_eq!(medium.syncs(), asked);
            }
            Ok(done) => {
                assert!(asked >= 3);
                assert_eq!(done.steps_done, 4);
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn every_failing_operation_is_named_and_the_bank_is_old_or_new() {
    let bytes = medium();
    let set = plan(&bytes);
    let faults = [
        Fault::Errno(5),
        Fault::Errno(28),
        Fault::ShortWrite,
        Fault::DroppedWrite,
    ];
    for counts in [Counts::Reads, Counts::Writes, Counts::Syncs] {
        for fault in faults {
            for at in 0..100 {
                let recorder = Recorder::new(bytes.clone());
                let faulty = Faulty::new(&recorder, counts, at, fault);
                let result = run(&faulty, &set, &|| false);
                if !faulty.met() {
                    assert!(result.is_ok());
                    break;
                }
                let context = format!("{counts:?} {fault:?} {at}: {result:?}");
                let entry = &recorder.bytes()[3 * SECTOR..4 * SECTOR];
                let is_new = entry[26..32] == *b"switch";
                match result {
                    Ok(done) => {
                        assert!(is_new, "{context}");
                        let failure = done.unfinished.unwrap();
                        assert_eq!(failure.phase, Phase::Release, "{context}");
                    }
                    Err(CommitError::Failed(failure)) => {
                        let expected = if is_new { Holds::New } else { Holds::Old };
                        assert_eq!(failure.holds, [(5, expected)], "{context}");
                    }
                    Err(CommitError::Check { .. }) => assert_eq!(recorder.writes(), 0, "{context}"),
                    Err(other) => panic!("{other}: {context}"),
                }
            }
        }
    }
}

#[test]
fn a_medium_pulled_in_the_middle_is_reported_as_unknown() {
    let bytes = medium();
    let recorder = Recorder::new(bytes.clone());
    let mut faulty = Faulty::new(&recorder, Counts::Writes, 1, Fault::Errno(19));
    faulty.dead_after = true;
    let error = run(&faulty, &plan(&bytes), &|| false).unwrap_err();
    let CommitError::Failed(failure) = error else {
        panic!("{error}");
    };
    assert_eq!(failure.holds, [(5, Holds::Unknown)]);
}

/// Two entries of partition 5, the second of which takes two sectors, and one of partition 6.
fn plan_of_three_switches(bytes: &[u8]) -> WriteSet {
    let at = |lba: u64| lba * SECTOR as u64;
    let mut planner = Planner::new(&bytes, SECTOR_SIZE);
    planner.allow(at(1)..at(16)).unwrap();
    for (partition, lba, content) in [
        (5, 3, b"one".to_vec()),
        (5, 12, [2; 2 * SECTOR].to_vec()),
        (6, 15, b"three".to_vec()),
    ] {
        planner.begin(Phase::Switch, partition, "entry");
        planner.put(at(lba), &content).unwrap();
    }
    planner.finish()
}

#[test]
fn what_each_bank_holds_after_a_failure_is_told_from_all_its_entries() {
    let bytes = medium();
    let set = plan_of_three_switches(&bytes);
    let old_and = |five| vec![(5, five), (6, Holds::Old)];
    // Which write fails and how, and what is left.
    for (at, fault, expected) in [
        (0, Fault::Errno(5), old_and(Holds::Old)),
        (1, Fault::Errno(5), old_and(Holds::Mixed)),
        // One of the two sectors was written.
        (1, Fault::ShortWrite, old_and(Holds::Unknown)),
        (2, Fault::Errno(5), vec![(5, Holds::New), (6, Holds::Old)]),
        // What is in the sector was never there.
        (0, Fault::SpoiltWrite, old_and(Holds::Unknown)),
        (
            2,
            Fault::SpoiltWrite,
            vec![(5, Holds::New), (6, Holds::Unknown)],
        ),
    ] {
        let recorder = Recorder::new(bytes.clone());
        let faulty = Faulty::new(&recorder, Counts::Writes, at, fault);
        let Err(CommitError::Failed(failure)) = run(&faulty, &set, &|| false) else {
            panic!("write {at}, {fault:?} was not reported");
        };
        assert_eq!(failure.holds, expected, "write {at}, {fault:?}");
    }
    // The same where the FAT is spoilt and the entry was not reached.
    let recorder = Recorder::new(bytes.clone());
    let faulty = Faulty::new(&recorder, Counts::Writes, 1, Fault::SpoiltWrite);
    let Err(CommitError::Failed(failure)) = run(&faulty, &plan(&bytes), &|| false) else {
        panic!("the fault was not reported");
    };
    assert_eq!(failure.holds, [(5, Holds::Unknown)]);
}

#[test]
fn one_set_after_another_keeps_what_neither_writes() {
    let bytes = medium();
    let at = |lba: u64| lba * SECTOR as u64;
    let planned = |medium: &[u8], put: u64, kept: [u64; 2]| {
        let mut planner = Planner::new(&medium, SECTOR_SIZE);
        planner.allow(at(1)..at(12)).unwrap();
        planner.begin(Phase::Data, 5, "content");
        planner.put(at(put), &[0xdd; SECTOR]).unwrap();
        for lba in kept {
            planner.preserve(at(lba)..at(lba + 1)).unwrap();
        }
        planner.finish()
    };
    let first = planned(&bytes, 8, [4, 5]);
    let recorder = Recorder::new(bytes.clone());
    run(&recorder, &first, &|| false).unwrap();
    // It writes over a sector that the first kept, and keeps one that the first wrote.
    let next = planned(&recorder.bytes(), 4, [6, 8]);
    let both = first.then(next);
    assert_eq!(both.steps().len(), 2);
    assert_eq!(both.allowed().len(), 1);
    let kept: Vec<Lba> = both.preserved()[&5].keys().copied().collect();
    assert_eq!(kept, [Lba(5), Lba(6)]);
}

#[test]
fn an_undo_file_whose_steps_disagree_is_refused() {
    let bytes = medium();
    let at = 8 * SECTOR as u64;
    let written = |medium: &[u8], byte: u8| {
        let mut planner = Planner::new(&medium, SECTOR_SIZE);
        planner.allow(at..at + SECTOR as u64).unwrap();
        planner.begin(Phase::Data, 5, "content");
        planner.put(at, &[byte; SECTOR]).unwrap();
        planner.finish()
    };
    // Both were planned for the medium as it was: the second begins with what the first removes.
    let file = undo(written(&bytes, 1).then(written(&bytes, 2)));
    let read = Undo::from_bytes(&file.to_bytes().unwrap());
    let Err(UndoError::Inconsistent(why)) = read else {
        panic!("{read:?}");
    };
    assert!(why.contains("disagree about sector 8"), "{why}");
    // So is one whose medium ends before a sector it names.
    let mut file = undo(written(&bytes, 1));
    file.medium_size = at;
    let read = Undo::from_bytes(&file.to_bytes().unwrap());
    assert!(matches!(read, Err(UndoError::Inconsistent(_))), "{read:?}");
}

/// A medium none of whose sectors can be read.
struct Unreadable(u64);

impl ReadAt for Unreadable {
    fn size(&self) -> u64 {
        self.0
    }
    fn read_at(&self, _: &mut [u8], _: u64) -> std::io::Result<()> {
        Err(std::io::Error::from_raw_os_error(5))
    }
}

#[test]
fn sectors_that_an_overlay_replaces_are_not_read_up_to_the_last() {
    let bytes = medium();
    let at = |lba: u64| lba * SECTOR as u64;
    let mut planner = Planner::new(&bytes, SECTOR_SIZE);
    planner.allow(at(14)..at(16)).unwrap();
    planner.begin(Phase::Data, 5, "content");
    planner.put(at(14), &[0xdd; 2 * SECTOR]).unwrap();
    let set = planner.finish();
    let medium = Unreadable(at(16));
    let overlay = bootbank::commit::Overlay::new(&medium, &set);
    let mut buf = [0; 2 * SECTOR];
    overlay.read_at(&mut buf, at(14)).unwrap();
    assert_eq!(buf, [0xdd; 2 * SECTOR]);
    assert!(overlay.read_at(&mut buf, at(13)).is_err());
}

#[test]
fn the_undo_file_comes_back_as_it_was_and_is_the_same_each_time() {
    let bytes = medium();
    let undo = undo(plan(&bytes));
    let file = undo.to_bytes().unwrap();
    assert_eq!(file, undo.to_bytes().unwrap());
    assert_eq!(Undo::from_bytes(&file).unwrap(), undo);
}

#[test]
fn undo_restores_every_byte_after_a_whole_run() {
    let bytes = medium();
    let set = plan(&bytes);
    let medium = Recorder::new(bytes.clone());
    run(&medium, &set, &|| false).unwrap();
    assert_ne!(medium.bytes(), bytes);
    let undo = undo(set);
    let back = undo.plan(&medium, false).unwrap();
    run(&medium, &back, &|| false).unwrap();
    assert_eq!(medium.bytes(), bytes);
    assert!(undo.plan(&medium, false).unwrap().is_empty());
}

/// The medium after the first `whole` writes and, of the next one, its first `words` words.
fn cut(bytes: &[u8], log: &[Event], whole: usize, words: usize) -> Vec<u8> {
    let mut state = bytes.to_vec();
    let writes = log.iter().filter_map(|event| match event {
        Event::Write { offset, data } => Some((usize::try_from(*offset).unwrap(), data)),
        Event::Sync => None,
    });
    for (index, (offset, data)) in writes.enumerate().take(whole + 1) {
        let len = if index < whole {
            data.len()
        } else {
            (words * 8).min(data.len())
        };
        state[offset..offset + len].copy_from_slice(&data[..len]);
    }
    state
}

#[test]
fn undo_restores_every_byte_from_every_cut_and_can_itself_be_cut() {
    let bytes = medium();
    let set = plan(&bytes);
    let recorder = Recorder::new(bytes.clone());
    run(&recorder, &set, &|| false).unwrap();
    let undo = undo(set);
    for whole in 0..4 {
        for words in (0..=128).step_by(7) {
            let state = cut(&bytes, &recorder.log(), whole, words);
            let medium = Recorder::new(state.clone());
            let back = undo.plan(&medium, false).unwrap();
            run(&medium, &back, &|| false).unwrap();
            assert_eq!(medium.bytes(), bytes, "{whole} {words}");
            for whole in 0..medium.writes() {
                let again = Recorder::new(cut(&state, &medium.log(), whole, 3));
                let back = undo.plan(&again, false).unwrap();
                run(&again, &back, &|| false).unwrap();
                assert_eq!(again.bytes(), bytes);
            }
        }
    }
}

#[test]
fn a_failed_undo_calls_old_what_was_old_before_the_change() {
    let bytes = medium();
    let set = plan(&bytes);
    let changed = Recorder::new(bytes.clone());
    run(&changed, &set, &|| false).unwrap();
    let back = undo(set).plan(&changed, false).unwrap();
    let faulty = Faulty::new(&changed, Counts::Writes, 0, Fault::Errno(5));
    let Err(CommitError::Failed(failure)) = run(&faulty, &back, &|| false) else {
        panic!("the fault was not reported");
    };
    let failure = failure.seen_from_the_undone();
    assert_eq!(failure.holds, [(5, Holds::New)]);
}

#[test]
fn undo_refuses_a_medium_that_is_another_one_or_changed_since() {
    let bytes = medium();
    let set = plan(&bytes);
    let recorder = Recorder::new(bytes.clone());
    run(&recorder, &set, &|| false).unwrap();
    let undo = undo(set);
    let longer = [recorder.bytes(), vec![0]].concat();
    assert!(matches!(
        undo.plan(&longer, true),
        Err(UndoError::OtherSize { .. })
    ));
    for lba in [1usize, 2, 3, 8, 9] {
        let mut other = recorder.bytes();
        other[lba * SECTOR + 300] ^= 0x80;
        let Err(UndoError::Mismatch { count: 1, first }) = undo.plan(&other, false) else {
            panic!("sector {lba} was not noticed");
        };
        assert_eq!(first, [Lba(lba as u64)]);
        assert!(undo.plan(&other, true).is_ok());
    }
    let mut old_file_rewritten = bytes.clone();
    old_file_rewritten[5 * SECTOR] ^= 1;
    assert!(matches!(
        undo.plan(&old_file_rewritten, false),
        Err(UndoError::Mismatch { .. })
    ));
}

#[test]
fn a_damaged_undo_file_is_refused_wherever_it_is_damaged() {
    let bytes = medium();
    let original = undo(plan(&bytes));
    let file = original.to_bytes().unwrap();
    for at in (0..file.len()).step_by(13) {
        let mut flipped = file.clone();
        flipped[at] ^= 0x41;
        match Undo::from_bytes(&flipped) {
            // Bytes of the tar that carry no meaning: times, padding, names of the owner.
            Ok(undo) => assert_eq!(undo, original, "byte {at}"),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    for len in (0..file.len() - 2 * SECTOR).step_by(97) {
        assert!(Undo::from_bytes(&file[..len]).is_err(), "cut at {len}");
    }
}

#[test]
fn an_overlay_reads_as_the_medium_will_after_the_steps() {
    let bytes = medium();
    let set = plan(&bytes);
    let recorder = Recorder::new(bytes.clone());
    run(&recorder, &set, &|| false).unwrap();
    let after = recorder.bytes();
    let overlay = bootbank::commit::Overlay::new(&bytes, &set);
    for offset in (0..after.len()).step_by(101) {
        for len in [1, 7, 511, 512, 513, 2000] {
            let end = (offset + len).min(after.len());
            let mut buf = vec![0; end - offset];
            overlay.read_at(&mut buf, offset as u64).unwrap();
            assert_eq!(buf, after[offset..end]);
        }
    }
    assert!(
        overlay
            .read_at(&mut [0; 2], after.len() as u64 - 1)
            .is_err()
    );
}

#[test]
fn a_failed_write_of_new_content_names_its_sectors_and_a_sync_all_of_the_step() {
    let bytes = medium();
    for counts in [Counts::Writes, Counts::Syncs] {
        let recorder = Recorder::new(bytes.clone());
        let faulty = Faulty::new(&recorder, counts, 0, Fault::Errno(5));
        let Err(CommitError::Failed(failure)) = run(&faulty, &plan(&bytes), &|| false) else {
            panic!("the fault was not reported");
        };
        assert_eq!(failure.worn, [Lba(8)..Lba(10)], "{counts:?}");
    }
}

/// An entry is made as a deleted one, then switched: where the second write fails and the medium has
/// what was there before the first, no reader of the volume finds anything new.
#[test]
fn what_a_preparing_step_replaced_counts_as_old() {
    let bytes = medium();
    let mut planner = Planner::new(&bytes, SECTOR_SIZE);
    planner.allow(3 * SECTOR as u64..4 * SECTOR as u64).unwrap();
    for (phase, content) in [(Phase::Prepare, [0xe5; 32]), (Phase::Switch, [0x41; 32])] {
        planner.begin(phase, 5, "entry");
        planner.put(3 * SECTOR as u64, &content).unwrap();
    }
    let set = planner.finish();
    for (at, holds) in [(0, Holds::Old), (1, Holds::Old)] {
        let recorder = Recorder::new(bytes.clone());
        let faulty = Faulty::new(&recorder, Counts::Writes, at, Fault::Errno(5));
        let Err(CommitError::Failed(failure)) = run(&faulty, &set, &|| false) else {
            panic!("the fault was not reported");
        };
        assert_eq!(failure.holds, [(5, holds)], "write {at}");
    }
    let lost = Lost(Recorder::new(bytes.clone()), bytes);
    let Err(CommitError::Failed(failure)) = run(&lost, &set, &|| false) else {
        panic!("the lost writes were not noticed");
    };
    assert_eq!(failure.holds, [(5, Holds::Old)]);
}

/// A medium whose second write fails, and that has forgotten the first by then.
struct Lost(Recorder, Vec<u8>);

impl Lost {
    fn failed(&self) -> bool {
        self.0.writes() > 1
    }
}

impl ReadAt for Lost {
    fn size(&self) -> u64 {
        self.0.size()
    }
    fn read_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        match self.failed() {
            true => self.1.read_at(buf, offset),
            false => self.0.read_at(buf, offset),
        }
    }
}

impl WriteAt for Lost {
    fn write_at(&self, data: &[u8], offset: u64) -> std::io::Result<()> {
        self.0.write_at(data, offset)?;
        match self.failed() {
            true => Err(std::io::Error::other("it is worn out")),
            false => Ok(()),
        }
    }
    fn sync(&self) -> std::io::Result<()> {
        self.0.sync()
    }
    fn read_back(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.read_at(buf, offset)
    }
}

#[test]
fn the_steps_of_an_undo_get_the_numbers_of_the_table_at_hand() {
    let bytes = medium();
    let undo = undo(plan(&bytes));
    let there = undo.on_partitions(&|_| Some(7)).unwrap();
    let steps = there.set.steps().iter();
    assert!(steps.clone().all(|step| step.partition == 7));
    assert_eq!(steps.count(), undo.set.steps().len());
    assert!(there.set.preserved().keys().eq([&7]));

    // One step of new content is over two sectors, and must not be of two volumes.
    let torn = |lba: Lba| Some(if lba < Lba(9) { 5 } else { 6 });
    let error = undo.on_partitions(&torn).unwrap_err();
    assert!(
        matches!(error, UndoError::SeveralPartitions { step: 0 }),
        "{error}"
    );
    let error = undo.on_partitions(&|_| None).unwrap_err();
    assert!(matches!(error, UndoError::OutsideVolumes { .. }), "{error}");
}

#[test]
fn only_sectors_of_a_file_that_is_written_over_are_called_so() {
    let bytes = medium();
    let mut planner = Planner::new(&bytes, SECTOR_SIZE);
    planner.allow(0..16 * SECTOR as u64).unwrap();
    planner.begin(Phase::Overwrite, 5, "over");
    planner.put(4 * SECTOR as u64, &[1; SECTOR]).unwrap();
    planner.begin(Phase::Resize, 5, "size");
    planner.put(3 * SECTOR as u64, &[1; SECTOR]).unwrap();
    let undo = undo(planner.finish());
    assert!(undo.overwrites(Lba(4)));
    assert!(!undo.overwrites(Lba(3)) && !undo.overwrites(Lba(5)));
}

#[test]
fn the_digest_of_an_undo_file_is_that_of_its_checksums() {
    let file = undo(plan(&medium())).to_file().unwrap();
    let bytes = file.to_bytes().unwrap();
    assert_eq!(file.len(), bytes.len() as u64);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.undo");
    std::fs::write(&path, bytes).unwrap();
    let script = "tar -xOf \"$0\" SHA256SUMS | sha256sum";
    let sum = std::process::Command::new("sh")
        .args(["-c", script])
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(sum.stdout).unwrap(),
        format!("{}  -\n", file.digest())
    );
}

#[test]
fn a_medium_that_changed_since_says_in_how_many_sectors() {
    let mut bytes = medium();
    let undo = undo(plan(&bytes));
    let said = |bytes: &Vec<u8>| match undo.plan(bytes, false) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("it was not noticed"),
    };
    bytes[8 * SECTOR] ^= 1;
    assert!(
        said(&bytes).contains("1 sector to put back holds"),
        "{}",
        said(&bytes)
    );
    bytes[9 * SECTOR] ^= 1;
    assert!(
        said(&bytes).contains("2 sectors to put back hold"),
        "{}",
        said(&bytes)
    );
}

#[test]
fn a_file_that_was_half_written_over_is_broken_and_nothing_else_is() {
    let bytes = medium();
    let mut planner = Planner::new(&bytes, SECTOR_SIZE);
    planner.allow(SECTOR as u64..8 * SECTOR as u64).unwrap();
    planner.begin(Phase::Overwrite, 5, "over");
    planner.put(4 * SECTOR as u64, &[1; 2 * SECTOR]).unwrap();
    planner.begin(Phase::Switch, 6, "entry");
    planner.put(3 * SECTOR as u64, &[1; 6]).unwrap();
    planner.begin(Phase::Release, 5, "the end of the chain in both copies");
    planner.put(SECTOR as u64, &[9; 2 * SECTOR]).unwrap();
    let set = planner.finish();
    for (at, fault, expected) in [
        (0, Fault::ShortWrite, [(5, Holds::Broken), (6, Holds::Old)]),
        (0, Fault::SpoiltWrite, [(5, Holds::Broken), (6, Holds::Old)]),
        (0, Fault::Errno(5), [(5, Holds::Old), (6, Holds::Old)]),
        (
            1,
            Fault::SpoiltWrite,
            [(5, Holds::New), (6, Holds::Unknown)],
        ),
    ] {
        let recorder = Recorder::new(bytes.clone());
        let faulty = Faulty::new(&recorder, Counts::Writes, at, fault);
        let Err(CommitError::Failed(failure)) = run(&faulty, &set, &|| false) else {
            panic!("write {at}, {fault:?} was not reported");
        };
        assert_eq!(failure.holds, expected, "write {at}, {fault:?}");
    }
    // The first of two files is new and the second old: together that is neither.
    let mut planner = Planner::new(&bytes, SECTOR_SIZE);
    planner.allow(4 * SECTOR as u64..8 * SECTOR as u64).unwrap();
    for lba in [4, 6] {
        planner.begin(Phase::Overwrite, 5, "over");
        planner.put(lba * SECTOR as u64, &[1; SECTOR]).unwrap();
    }
    let recorder = Recorder::new(bytes.clone());
    let faulty = Faulty::new(&recorder, Counts::Writes, 1, Fault::Errno(5));
    let Err(CommitError::Failed(failure)) = run(&faulty, &planner.finish(), &|| false) else {
        panic!("the fault was not reported");
    };
    assert_eq!(failure.holds, [(5, Holds::Broken)]);
}

#[test]
fn an_undo_file_for_sectors_that_no_medium_has_is_refused() {
    for (size, is_one) in [
        (512, true),
        (4096, true),
        (768, false),
        (256, false),
        (8192, false),
    ] {
        let bytes = vec![1; 24_576];
        let mut planner = Planner::new(&bytes, size);
        planner.allow(0..24_576).unwrap();
        planner.begin(Phase::Switch, 5, "entry");
        planner.put(u64::from(size), b"new").unwrap();
        let mut undo = undo(planner.finish());
        undo.medium_size = 24_576;
        let read = Undo::from_bytes(&undo.to_bytes().unwrap());
        assert_eq!(read.is_ok(), is_one, "{size}: {read:?}");
    }
}

#[test]
fn what_was_kept_of_a_file_goes_back_in_the_way_the_file_was_replaced() {
    let bytes = medium();
    for (phase, back) in [
        (Phase::Data, Phase::Data),
        (Phase::Overwrite, Phase::Overwrite),
    ] {
        let mut planner = Planner::new(&bytes, SECTOR_SIZE);
        planner
            .allow(4 * SECTOR as u64..12 * SECTOR as u64)
            .unwrap();
        planner.begin(phase, 5, "new content");
        planner
            .preserve(10 * SECTOR as u64..12 * SECTOR as u64)
            .unwrap();
        planner.put(4 * SECTOR as u64, &[1; SECTOR]).unwrap();
        let undo = undo(planner.finish());
        let mut after = bytes.clone();
        after[4 * SECTOR..5 * SECTOR].fill(1);
        // Something else has written to what was kept.
        after[10 * SECTOR..11 * SECTOR].fill(7);
        let set = undo.plan(&after, true).unwrap();
        let kept = set
            .steps()
            .iter()
            .find(|step| step.sectors.contains_key(&Lba(10)));
        assert_eq!(kept.unwrap().phase, back);
    }
}

#[test]
fn the_bytes_of_a_plan_and_the_steps_of_an_undo_file_are_counted() {
    let bytes = medium();
    assert_eq!(plan(&bytes).bytes_to_write(), 7 * SECTOR as u64);
    for (steps, is_one) in [(256, true), (257, false)] {
        let mut planner = Planner::new(&bytes, SECTOR_SIZE);
        planner.allow(0..16 * SECTOR as u64).unwrap();
        for step in 0..steps {
            planner.begin(Phase::Switch, 5, "entry");
            let content = u32::try_from(step).unwrap().to_le_bytes();
            planner
                .put(SECTOR as u64, &[content, [0xee; 4]].concat())
                .unwrap();
        }
        let file = undo(planner.finish()).to_bytes().unwrap();
        assert_eq!(Undo::from_bytes(&file).is_ok(), is_one, "{steps} steps");
    }
}

/// Until the old chain is released its clusters are the old file; afterwards they are anybody's.
#[test]
fn old_content_that_changed_matters_until_its_clusters_are_given_up() {
    let bytes = medium();
    let undo = undo(plan(&bytes));
    assert!(!undo.to_file().unwrap().is_empty());
    let mut switched = bytes.clone();
    switched[8 * SECTOR..10 * SECTOR].fill(0xdd);
    for copy in [1, 2] {
        switched[copy * SECTOR + 10..][..3].copy_from_slice(b"new");
    }
    switched[3 * SECTOR + 26..][..6].copy_from_slice(b"switch");
    let mut released = switched.clone();
    for copy in [1, 2] {
        released[copy * SECTOR + 20..][..4].copy_from_slice(b"free");
    }
    for (medium, is_given_up) in [(switched, false), (released, true)] {
        assert!(undo.plan(&medium, false).is_ok());
        let mut other = medium.clone();
        other[5 * SECTOR] ^= 1;
        assert_eq!(undo.plan(&other, false).is_ok(), is_given_up);
    }
}
