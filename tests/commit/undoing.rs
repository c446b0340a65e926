//! The way back: the undo file, and what it puts back from where.

use crate::media::{Counts, Event, Fault, Faulty, Recorder};
use crate::repair;
use crate::{SECTOR, SECTOR_SIZE, medium, plan, undo};
use bootbank::commit::{CommitError, Holds, IfDifferent, Phase, Planner, Undo, UndoError, run};
use bootbank::medium::Lba;
use sha2::{Digest as _, Sha256};

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
    assert!(run(&medium, &set, &|| false).unwrap().unfinished.is_none());
    assert_ne!(medium.bytes(), bytes);
    let undo = undo(set);
    let back = undo.plan(&medium, IfDifferent::Refuse).unwrap();
    assert!(run(&medium, &back, &|| false).unwrap().unfinished.is_none());
    assert_eq!(medium.bytes(), bytes);
    assert!(undo.plan(&medium, IfDifferent::Refuse).unwrap().is_empty());
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
    assert!(
        run(&recorder, &set, &|| false)
            .unwrap()
            .unfinished
            .is_none()
    );
    let undo = undo(set);
    for whole in 0..4 {
        for words in (0..=128).step_by(7) {
            let state = cut(&bytes, &recorder.log(), whole, words);
            let medium = Recorder::new(state.clone());
            let back = undo.plan(&medium, IfDifferent::Refuse).unwrap();
            assert!(run(&medium, &back, &|| false).unwrap().unfinished.is_none());
            assert_eq!(medium.bytes(), bytes, "{whole} {words}");
            for whole in 0..medium.writes() {
                let again = Recorder::new(cut(&state, &medium.log(), whole, 3));
                let back = undo.plan(&again, IfDifferent::Refuse).unwrap();
                assert!(run(&again, &back, &|| false).unwrap().unfinished.is_none());
                assert_eq!(again.bytes(), bytes);
            }
        }
    }
}

/// So it is told from a medium on which an earlier or a later change was undone without this one.
#[test]
fn every_cut_of_a_change_in_place_and_of_its_undo_is_known_as_one() {
    let bytes = medium();
    let sector = |number: usize| (number * SECTOR) as u64;
    let mut planner = Planner::new(&bytes, SECTOR_SIZE);
    planner.allow(sector(4)..sector(12)).unwrap();
    planner.begin(Phase::Overwrite, 5, "new content");
    planner.preserve(sector(9)..sector(12)).unwrap();
    planner.put(sector(9), &[1; 2 * SECTOR]).unwrap();
    planner.begin(Phase::Resize, 5, "its size");
    planner.put(sector(4), &[2; 40]).unwrap();
    let set = planner.finish();
    let change = Recorder::new(bytes.clone());
    assert!(run(&change, &set, &|| false).unwrap().unfinished.is_none());
    let undo = undo(set);
    let back = Recorder::new(change.bytes());
    let way = undo.plan(&back, IfDifferent::Refuse).unwrap();
    assert!(run(&back, &way, &|| false).unwrap().unfinished.is_none());
    assert_eq!(back.bytes(), bytes);
    for (from, run) in [(&bytes, &change), (&change.bytes(), &back)] {
        for whole in 0..run.writes() {
            for words in (0..=128).step_by(5) {
                let state = cut(from, &run.log(), whole, words);
                assert!(undo.may_be_cut(&state), "{whole} {words}");
            }
        }
    }
    // A size without its content is no cut where nothing was overwritten.
    let mut planner = Planner::new(&bytes, SECTOR_SIZE);
    planner.allow(sector(4)..sector(12)).unwrap();
    planner.begin(Phase::Data, 5, "content");
    planner.put(sector(9), &[1; SECTOR]).unwrap();
    planner.begin(Phase::Switch, 5, "entry");
    planner.put(sector(4), &[2; 40]).unwrap();
    let set = planner.finish();
    let mut mixed = bytes.clone();
    mixed[4 * SECTOR..4 * SECTOR + 40].fill(2);
    assert!(!crate::undo(set).may_be_cut(&mixed));
}

#[test]
fn a_failed_undo_calls_old_what_was_old_before_the_change() {
    let bytes = medium();
    let set = plan(&bytes);
    let changed = Recorder::new(bytes.clone());
    assert!(run(&changed, &set, &|| false).unwrap().unfinished.is_none());
    let back = undo(set).plan(&changed, IfDifferent::Refuse).unwrap();
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
    assert!(
        run(&recorder, &set, &|| false)
            .unwrap()
            .unfinished
            .is_none()
    );
    let undo = undo(set);
    let longer = [recorder.bytes(), vec![0]].concat();
    assert!(matches!(
        undo.plan(&longer, IfDifferent::Overwrite),
        Err(UndoError::OtherSize { .. })
    ));
    for lba in [1usize, 2, 3, 8, 9] {
        let mut other = recorder.bytes();
        other[lba * SECTOR + 300] ^= 0x80;
        let Err(UndoError::Mismatch { count: 1, first }) = undo.plan(&other, IfDifferent::Refuse)
        else {
            panic!("sector {lba} was not noticed");
        };
        assert_eq!(first, [Lba(lba as u64)]);
        assert!(undo.plan(&other, IfDifferent::Overwrite).is_ok());
    }
    let mut old_file_rewritten = bytes.clone();
    old_file_rewritten[5 * SECTOR] ^= 1;
    assert!(matches!(
        undo.plan(&old_file_rewritten, IfDifferent::Refuse),
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
    assert_eq!(file.size(), bytes.len() as u64);
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
    let said = |bytes: &Vec<u8>| match undo.plan(bytes, IfDifferent::Refuse) {
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
    for phase in [Phase::Data, Phase::Overwrite] {
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
        let set = undo.plan(&after, IfDifferent::Overwrite).unwrap();
        let kept = set
            .steps()
            .iter()
            .find(|step| step.sectors.contains_key(&Lba(10)));
        assert_eq!(kept.unwrap().phase, phase);
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
        // No undo file is written that would not be read again.
        let file = undo(planner.finish()).to_bytes();
        assert_eq!(file.is_ok(), is_one, "{steps} steps");
        if let Ok(file) = file {
            Undo::from_bytes(&file).unwrap();
        }
    }
}

/// Until the old chain is released its clusters are the old file; afterwards they are anybody's.
#[test]
fn old_content_that_changed_matters_until_its_clusters_are_given_up() {
    let bytes = medium();
    let undo = undo(plan(&bytes));
    assert!(undo.to_file().unwrap().size() > 0);
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
        assert!(undo.plan(&medium, IfDifferent::Refuse).is_ok());
        let mut other = medium.clone();
        other[5 * SECTOR] ^= 1;
        assert_eq!(undo.plan(&other, IfDifferent::Refuse).is_ok(), is_given_up);
    }
}

/// An undo file whose checksums are right, with one member changed.
fn with_member(file: &[u8], name: &str, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = file.to_vec();
    let mut members = Vec::new();
    for (member, place) in repair::tar(&mut bytes) {
        let mut content = bytes[place].to_vec();
        if member == name {
            change(&mut content);
        }
        if member != "SHA256SUMS" {
            members.push((member, content));
        }
    }
    let sum = |(name, content): &(String, Vec<u8>)| {
        let digest = Sha256::digest(content);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{hex}  {name}\n")
    };
    let sums: String = members.iter().map(sum).collect();
    members.push(("SHA256SUMS".to_owned(), sums.into_bytes()));
    repair::make_tar(&members)
}

/// Checksums that are right say nothing of members that contradict each other.
#[test]
fn members_that_contradict_each_other_are_refused() {
    let bytes = medium();
    let mut planner = Planner::new(&bytes, SECTOR_SIZE);
    planner.allow(0..12 * SECTOR as u64).unwrap();
    planner.begin(Phase::Overwrite, 5, "new content");
    planner
        .preserve(4 * SECTOR as u64..6 * SECTOR as u64)
        .unwrap();
    planner.put(4 * SECTOR as u64, &[1; SECTOR]).unwrap();
    let file = undo(planner.finish()).to_bytes().unwrap();
    let read = |file: &[u8]| Undo::from_bytes(file).map_err(|error| error.to_string());
    read(&with_member(&file, "none", |_| {})).unwrap();
    type Change = fn(&mut Vec<u8>);
    let cases: [(&str, Change, &str); 4] = [
        (
            "preserved-5.old",
            |it| it[0] ^= 1,
            "with what was kept of it",
        ),
        ("preserved-5.old", |it| it.truncate(SECTOR), "damaged"),
        ("step-0.new", |it| it.extend([0; SECTOR]), "damaged"),
        ("step-0.old", |it| it.push(0), "damaged"),
    ];
    for (member, change, says) in cases {
        let error = read(&with_member(&file, member, change)).unwrap_err();
        assert!(error.contains(says), "{member}: {error}");
    }
}
