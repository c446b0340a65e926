//! A plan carried out: order, refusal, failure, and what each bank holds then.

use crate::media::{Counts, Event, Fault, Faulty, Recorder};
use crate::{SECTOR, SECTOR_SIZE, medium, plan};
use bootbank::commit::{CommitError, Holds, Phase, Planner, WriteSet, run};
use bootbank::medium::{Lba, MediumError, ReadAt, WriteAt};

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
            let mut met = 0;
            for at in 0..100 {
                let recorder = Recorder::new(bytes.clone());
                let faulty = Faulty::new(&recorder, counts, at, fault);
                let result = run(&faulty, &set, &|| false);
                if !faulty.met() {
                    assert!(result.is_ok());
                    break;
                }
                met += 1;
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
                        // Behind the switch the change is made, and what is left is no failure.
                        assert_ne!(failure.phase, Phase::Release, "{context}");
                    }
                    Err(CommitError::Check { .. }) => assert_eq!(recorder.writes(), 0, "{context}"),
                    Err(other) => panic!("{other}: {context}"),
                }
            }
            // Each of the four steps is written, synced and read back.
            assert!((4..100).contains(&met), "{counts:?} {fault:?}: {met} met");
        }
    }
}

#[test]
fn neighbouring_sectors_are_written_together_a_mebibyte_at_a_time() {
    const MEBIBYTE: usize = 1 << 20;
    let bytes = vec![0; 3 * MEBIBYTE];
    let mut planner = Planner::new(&bytes, SECTOR_SIZE);
    planner.allow(0..bytes.len() as u64).unwrap();
    planner.begin(Phase::Data, 5, "content");
    let content = vec![0xdd; 2 * MEBIBYTE + SECTOR];
    planner.put(SECTOR as u64, &content).unwrap();
    let medium = Recorder::new(bytes.clone());
    assert!(
        run(&medium, &planner.finish(), &|| false)
            .unwrap()
            .unfinished
            .is_none()
    );
    let lengths: Vec<usize> = medium
        .log()
        .iter()
        .filter_map(|event| match event {
            Event::Write { data, .. } => Some(data.len()),
            Event::Sync => None,
        })
        .collect();
    assert_eq!(lengths, [MEBIBYTE, MEBIBYTE, SECTOR]);
}

#[test]
fn a_failure_says_what_was_being_done_and_what_each_bank_holds() {
    let bytes = medium();
    let failing = |set: &WriteSet, counts, at, fault| {
        let recorder = Recorder::new(bytes.clone());
        let faulty = Faulty::new(&recorder, counts, at, fault);
        run(&faulty, set, &|| false).unwrap_err().to_string()
    };
    let errno = Fault::Errno(5);
    let said = [
        failing(&plan(&bytes), Counts::Writes, 0, errno),
        failing(&plan(&bytes), Counts::Syncs, 1, errno),
        failing(&plan(&bytes), Counts::Writes, 2, Fault::DroppedWrite),
        failing(&plan(&bytes), Counts::Writes, 2, Fault::SpoiltWrite),
        failing(&plan_of_three_switches(&bytes), Counts::Writes, 1, errno),
        failing(&plan_of_three_switches(&bytes), Counts::Writes, 2, errno),
    ];
    insta::assert_snapshot!(said.join("\n"), @"
    step 1 of 4 (data) failed on partition 5: write at sector 8: Input/output error (os error 5); the bank on partition 5 holds the old configuration
    step 2 of 4 (allocate) failed on partition 5: sync: Input/output error (os error 5); the bank on partition 5 holds the old configuration
    step 3 of 4 (switch) failed on partition 5: comparison with what was written at sector 3: the medium did not keep what was written; the bank on partition 5 holds the old configuration
    step 3 of 4 (switch) failed on partition 5: write at sector 3: Input/output error (os error 5); the bank on partition 5 holds an unknown configuration
    step 2 of 3 (switch) failed on partition 5: write at sector 12: Input/output error (os error 5); the bank on partition 5 holds the new configuration in some files and the old one in others; the bank on partition 6 holds the old configuration
    step 3 of 3 (switch) failed on partition 6: write at sector 15: Input/output error (os error 5); the bank on partition 5 holds the new configuration; the bank on partition 6 holds the old configuration
    ");
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
    assert!(
        run(&recorder, &first, &|| false)
            .unwrap()
            .unfinished
            .is_none()
    );
    // It writes over a sector that the first kept, and keeps one that the first wrote.
    let next = planned(&recorder.bytes(), 4, [6, 8]);
    let both = first.then(next);
    assert_eq!(both.steps().len(), 2);
    assert_eq!(both.allowed().len(), 1);
    let kept: Vec<Lba> = both.preserved()[&5].keys().copied().collect();
    assert_eq!(kept, [Lba(5), Lba(6)]);
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
fn an_overlay_reads_as_the_medium_will_after_the_steps() {
    let bytes = medium();
    let set = plan(&bytes);
    let recorder = Recorder::new(bytes.clone());
    assert!(
        run(&recorder, &set, &|| false)
            .unwrap()
            .unfinished
            .is_none()
    );
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
    let worn = |counts, errno| {
        let recorder = Recorder::new(bytes.clone());
        let faulty = Faulty::new(&recorder, counts, 0, Fault::Errno(errno));
        let Err(CommitError::Failed(failure)) = run(&faulty, &plan(&bytes), &|| false) else {
            panic!("the fault was not reported");
        };
        failure.worn
    };
    for counts in [Counts::Writes, Counts::Syncs] {
        // EIO, ENODATA, EREMOTEIO, EILSEQ, ETIMEDOUT: what the block layer says of sectors.
        for errno in [5, 61, 121, 84, 110] {
            assert_eq!(worn(counts, errno), [Lba(8)..Lba(10)], "{counts:?} {errno}");
        }
        // EPERM, EINTR, ENXIO, EBADF, ENOMEM, EACCES, ENODEV, EINVAL, EFBIG, ENOSPC, EROFS, EPIPE, EDQUOT.
        for errno in [1, 4, 6, 9, 12, 13, 19, 22, 27, 28, 30, 32, 122] {
            assert_eq!(worn(counts, errno), [], "{counts:?} {errno}");
        }
    }
}

/// Other sectors of a device that has been pulled out fare no better.
#[test]
fn a_device_that_is_gone_has_no_sectors_to_pass_over() {
    let bytes = medium();
    let gone = Gone(bytes.clone());
    let Err(CommitError::Failed(failure)) = run(&gone, &plan(&bytes), &|| false) else {
        panic!("the device was not missed");
    };
    assert_eq!(
        (failure.worn.as_slice(), failure.lba),
        (&[][..], Some(Lba(8)))
    );
    assert!(MediumError::has_vanished(&failure.source));
}

/// A device that is pulled out before the first write.
struct Gone(Vec<u8>);

impl ReadAt for Gone {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }
    fn read_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.0.read_at(buf, offset)
    }
}

impl WriteAt for Gone {
    fn write_at(&self, _: &[u8], offset: u64) -> std::io::Result<()> {
        Err(std::io::Error::other(MediumError::Vanished {
            path: "/dev/sdx".into(),
            op: "writing",
            offset: Some(offset),
            source: std::io::Error::from_raw_os_error(28),
        }))
    }
    fn sync(&self) -> std::io::Result<()> {
        Ok(())
    }
    fn read_back(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.read_at(buf, offset)
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
    for at in [0, 1] {
        let recorder = Recorder::new(bytes.clone());
        let faulty = Faulty::new(&recorder, Counts::Writes, at, Fault::Errno(5));
        let Err(CommitError::Failed(failure)) = run(&faulty, &set, &|| false) else {
            panic!("the fault was not reported");
        };
        assert_eq!(failure.holds, [(5, Holds::Old)], "write {at}");
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
        if self.failed() {
            self.1.read_at(buf, offset)
        } else {
            self.0.read_at(buf, offset)
        }
    }
}

impl WriteAt for Lost {
    fn write_at(&self, data: &[u8], offset: u64) -> std::io::Result<()> {
        self.0.write_at(data, offset)?;
        if self.failed() {
            Err(std::io::Error::other("it is worn out"))
        } else {
            Ok(())
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

/// A copy of a bank changes one sector of the directory again and again: which of its switches are made is told by
/// what the sector holds then, not by what each of them left.
#[test]
fn what_a_bank_holds_is_told_where_steps_change_a_sector_again() {
    let bytes = medium();
    let at = |lba: u64| lba * SECTOR as u64;
    let removed = {
        let mut planner = Planner::new(&bytes, SECTOR_SIZE);
        planner.allow(at(1)..at(16)).unwrap();
        planner.begin(Phase::Switch, 5, "removal");
        planner.put(at(3), b"\xe5").unwrap();
        planner.begin(Phase::Release, 5, "old chain");
        planner.put(at(1), b"free").unwrap();
        planner.finish()
    };
    let mut between = bytes.clone();
    between[3 * SECTOR] = 0xe5;
    between[SECTOR..][..4].copy_from_slice(b"free");
    let made = {
        let mut planner = Planner::new(&between, SECTOR_SIZE);
        planner.allow(at(1)..at(16)).unwrap();
        planner.begin(Phase::Prepare, 5, "entry");
        planner.put(at(3), b"\xe5 new entry, of two words").unwrap();
        planner.begin(Phase::Switch, 5, "entry");
        planner.put(at(3), b"A").unwrap();
        planner.begin(Phase::Release, 5, "leftovers");
        planner.put(at(1) + 100, b"done").unwrap();
        planner.finish()
    };
    let set = removed.then(made);
    let expected = [Holds::Old, Holds::Mixed, Holds::Mixed, Holds::Mixed];
    for (at, holds) in expected.into_iter().enumerate() {
        for fault in [Fault::Errno(5), Fault::DroppedWrite] {
            let recorder = Recorder::new(bytes.clone());
            let faulty = Faulty::new(&recorder, Counts::Writes, at, fault);
            let Err(CommitError::Failed(failure)) = run(&faulty, &set, &|| false) else {
                panic!("write {at}, {fault:?} was not reported");
            };
            assert_eq!(failure.holds, [(5, holds)], "write {at}, {fault:?}");
        }
    }
    let recorder = Recorder::new(bytes.clone());
    let faulty = Faulty::new(&recorder, Counts::Writes, 4, Fault::Errno(5));
    let failure = run(&faulty, &set, &|| false).unwrap().unfinished.unwrap();
    assert_eq!(failure.holds, [(5, Holds::New)]);
}

/// The target of a copy is told not to boot, and at the end to boot as before: its sector is then as it was. What
/// was not begun is not made, whatever the sector looks like.
#[test]
fn a_sector_that_comes_back_to_what_it_was_has_not_come_that_far() {
    let bytes = medium();
    let at = |lba: u64| lba * SECTOR as u64;
    let to = |medium: &[u8], lba: u64, content: &[u8]| {
        let mut planner = Planner::new(&medium, SECTOR_SIZE);
        planner.allow(at(1)..at(16)).unwrap();
        planner.begin(Phase::Switch, 5, "entry");
        planner.put(at(lba), content).unwrap();
        planner.finish()
    };
    let mut disabled = bytes.clone();
    disabled[3 * SECTOR] = 0xe5;
    let mut copied = disabled.clone();
    copied[12 * SECTOR] = b'A';
    let set = to(&bytes, 3, b"\xe5").then(to(&disabled, 12, b"A"));
    let set = set.then(to(&copied, 3, &[3]));
    for (at, holds) in [Holds::Old, Holds::Mixed, Holds::Mixed]
        .into_iter()
        .enumerate()
    {
        let recorder = Recorder::new(bytes.clone());
        let faulty = Faulty::new(&recorder, Counts::Writes, at, Fault::Errno(5));
        let Err(CommitError::Failed(failure)) = run(&faulty, &set, &|| false) else {
            panic!("write {at} was not reported");
        };
        assert_eq!(failure.holds, [(5, holds)], "write {at}");
    }
}
