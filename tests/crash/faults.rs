//! Real runs on a medium that fails one operation, each in turn.

use crate::media::{Counts, Fault, Faulty};
use crate::replay::Cow;
use crate::runs::{Found, Run};
use crate::sticks::{FIX, HOST_KEY, Image};
use crate::table;
use bootbank::commit::{CommitError, Failure, Holds, IfDifferent, Phase, Undo, run};
use bootbank::error::ErrorKind;
use bootbank::fat::Method;
use bootbank::medium::ReadAt;
use std::collections::BTreeMap;

/// EIO, ENOSPC, half a write, a write that is acknowledged and dropped.
const FAULTS: [Fault; 4] = [
    Fault::Errno(5),
    Fault::Errno(28),
    Fault::ShortWrite,
    Fault::DroppedWrite,
];

/// What became of the runs that met a fault.
#[derive(Default)]
struct Counted {
    runs: usize,
    unwritten: usize,
    old: usize,
    new: usize,
    between: usize,
    neither: usize,
}

/// Fails every operation of a run once in every way, with the medium dead from then on or not.
fn fail_each(of: &Run<'_>, row: &str) {
    let mut counted = Counted::default();
    for counts in [Counts::Reads, Counts::Writes, Counts::Syncs] {
        for fault in FAULTS {
            let only_writes = matches!(fault, Fault::ShortWrite | Fault::DroppedWrite);
            if only_writes && counts != Counts::Writes {
                continue;
            }
            for dead_after in [false, true] {
                for at in 0.. {
                    let medium = Cow::new(&of.image.bytes, of.image.sector);
                    let mut faulty = Faulty::new(&medium, counts, at, fault);
                    faulty.dead_after = dead_after;
                    let result = run(&faulty, &of.set, &|| false);
                    if !faulty.met() {
                        assert!(result.is_ok(), "a run without a fault");
                        break;
                    }
                    let context =
                        format!("{counts:?} {at} {fault:?} dead {dead_after}: {result:?}");
                    let failure = failure_of(result, &medium, &context);
                    let found = of.found(&medium);
                    counted.add(found, &medium);
                    if let Some(failure) = failure {
                        check_failure(of, &failure, found, dead_after, &context);
                    }
                    heal(of, &medium, found, &context);
                }
            }
        }
    }
    let Counted {
        runs,
        unwritten,
        old,
        new,
        between,
        neither,
    } = counted;
    table::expect(row, &[runs, unwritten, old, new, between, neither]);
}

impl Counted {
    fn add(&mut self, found: Found, medium: &Cow<'_>) {
        self.runs += 1;
        let counter = match found {
            Found::Old if medium.kept().is_empty() => &mut self.unwritten,
            Found::Old => &mut self.old,
            Found::New => &mut self.new,
            Found::Between => &mut self.between,
            Found::Neither => &mut self.neither,
        };
        *counter += 1;
    }
}

/// The failure a run reports; none where nothing was written.
fn failure_of(
    result: Result<bootbank::commit::Committed, CommitError>,
    medium: &Cow<'_>,
    context: &str,
) -> Option<Failure> {
    match result {
        Ok(done) => {
            let unfinished = done.unfinished;
            assert!(unfinished.is_some(), "unnoticed: {context}");
            unfinished
        }
        Err(error @ CommitError::Check { .. }) => {
            assert_eq!(error.kind(), ErrorKind::Io, "{context}");
            assert!(medium.kept().is_empty(), "{context}");
            None
        }
        Err(CommitError::Failed(failure)) => Some(*failure),
        Err(other) => panic!("{other}: {context}"),
    }
}

/// The message names the step, and says of each bank what it holds, or that it cannot be told.
fn check_failure(of: &Run<'_>, failure: &Failure, found: Found, dead: bool, context: &str) {
    let step = &of.set.steps()[failure.step];
    assert_eq!(
        (step.phase, step.partition),
        (failure.phase, failure.partition)
    );
    let message = failure.to_string();
    let named = format!("step {} of {}", failure.step + 1, of.set.steps().len());
    assert!(message.contains(&named), "{message}");
    assert!(message.contains(failure.phase.as_str()), "{message}");
    let changing = |phase: Phase| phase.is_commitment();
    let banks = of.set.steps().iter().filter(|it| changing(it.phase));
    let mut banks: Vec<u32> = banks.map(|step| step.partition).collect();
    banks.dedup();
    let said: Vec<u32> = failure.holds.iter().map(|(bank, _)| *bank).collect();
    assert_eq!(said, banks, "{context}");
    for (bank, holds) in &failure.holds {
        assert!(message.contains(&format!("partition {bank} holds {holds}")));
    }
    let all = |what| failure.holds.iter().all(|(_, holds)| *holds == what);
    if banks.is_empty() {
        assert!(
            message.contains("these steps change no configuration"),
            "{message}"
        );
    } else if dead {
        assert!(all(Holds::Unknown), "{context}");
    } else {
        match found {
            Found::Old => assert!(all(Holds::Old), "{context}"),
            // The chain of a file that was overwritten is cut short last of all.
            Found::New => assert!(
                all(Holds::New) || of.in_place && all(Holds::Unknown),
                "{context}"
            ),
            Found::Between => assert!(!all(Holds::Old) && !all(Holds::New), "{context}"),
            Found::Neither => assert!(of.in_place && all(Holds::Broken), "{context}"),
        }
    }
}

/// The same command completes what was begun, and the undo file takes it back.
fn heal(of: &Run<'_>, medium: &Cow<'_>, found: Found, context: &str) {
    if of.in_place {
        // What was rewritten in part can only be undone.
        assert!(found != Found::Between, "{context}");
    } else {
        let healed = medium.copy();
        let again = (of.act)(&healed).unwrap_or_else(|error| panic!("{error}: {context}"));
        assert!(
            run(&healed, &again, &|| false)
                .unwrap()
                .unfinished
                .is_none()
        );
        assert!(of.image.states(&healed).unwrap() == of.new, "{context}");
    }
    if let Some(undo) = &of.undo {
        put_back(undo, medium, context);
    }
}

fn put_back(undo: &Undo, medium: &Cow<'_>, context: &str) {
    let back = undo.plan(medium, IfDifferent::Refuse);
    let back = back.unwrap_or_else(|error| panic!("{error}: {context}"));
    assert!(run(medium, &back, &|| false).unwrap().unfinished.is_none());
    let wrong = medium.differences(&BTreeMap::new());
    assert_eq!(wrong, [0u64; 0], "{context}");
}

/// Fails every write of a run with its sectors spoilt: FATs and directories hold more than the
/// step is about, so what was never touched may be gone. No run may end as done then, or claim
/// that a bank holds what it does not; and the undo file brings back every byte, by force where
/// what the medium holds is none of its business.
fn spoil_each(of: &Run<'_>, row: &str) {
    let (mut runs, mut told, mut by_force) = (0, 0, 0);
    for at in 0.. {
        let medium = Cow::new(&of.image.bytes, of.image.sector);
        let faulty = Faulty::new(&medium, Counts::Writes, at, Fault::SpoiltWrite);
        let result = run(&faulty, &of.set, &|| false);
        if !faulty.met() {
            break;
        }
        runs += 1;
        let found = of.found(&medium);
        let context = format!("write {at}, found {found:?}: {result:?}");
        if result.is_ok() {
            assert_eq!(found, Found::New, "{context}");
            let again = (of.act)(&medium).unwrap_or_else(|error| panic!("{error}: {context}"));
            assert!(again.is_empty(), "{context}");
        }
        let failure = failure_of(result, &medium, &context).unwrap();
        let all = |what| failure.holds.iter().all(|(_, holds)| *holds == what);
        assert!(!all(Holds::Old) || found == Found::Old, "{context}");
        assert!(!all(Holds::New) || found == Found::New, "{context}");
        let unknown = |(_, holds): &(u32, Holds)| *holds == Holds::Unknown;
        told += usize::from(!failure.holds.iter().any(unknown));

        let undo = of.undo.as_ref().unwrap();
        let back = undo.plan(&medium, IfDifferent::Refuse).unwrap_or_else(|_| {
            by_force += 1;
            undo.plan(&medium, IfDifferent::Overwrite).unwrap()
        });
        assert!(run(&medium, &back, &|| false).unwrap().unfinished.is_none());
        let wrong = medium.differences(&BTreeMap::new());
        assert_eq!(wrong, [0u64; 0], "{context}");
    }
    table::expect(row, &[runs, told, runs - told, by_force]);
}

/// An image after a fix, and the undo file of that.
fn fixed(image: &Image, method: Method) -> (Image, Undo) {
    let set = image.fix(&image.bytes, method).unwrap();
    let medium = Cow::new(&image.bytes, image.sector);
    assert!(run(&medium, &set, &|| false).unwrap().unfinished.is_none());
    let fixed = image.with(medium.bytes(0..medium.size()));
    (fixed, image.undo_file(&set))
}

fn text<T>(result: Result<T, impl ToString>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

#[test]
fn a_fix_of_one_bank_reports_every_fault_and_can_be_completed_or_undone() {
    let image = Image::bundled("esxi67-fresh");
    let act = |medium: &dyn ReadAt| text(image.fix(medium, FIX));
    fail_each(&Run::new(&image, &act), "faults in fix, one bank");
}

#[test]
fn a_fix_of_two_banks_reports_every_fault_and_can_be_completed_or_undone() {
    let image = Image::bundled("esxi55-fragmented");
    let act = |medium: &dyn ReadAt| text(image.fix(medium, FIX));
    fail_each(
        &Run::new(&image, &act),
        "faults in fix, two banks, fragmented",
    );
}

#[test]
fn a_fix_of_two_directory_sectors_reports_every_fault() {
    let image = Image::bundled("esxi67-two-sectors");
    let act = |medium: &dyn ReadAt| text(image.fix(medium, FIX));
    fail_each(
        &Run::new(&image, &act),
        "faults in fix, two directory sectors",
    );
}

#[test]
fn a_reclaim_reports_every_fault() {
    let image = crate::commands::with_leftovers(&Image::bundled("esxi55-fragmented"));
    let act = |medium: &dyn ReadAt| text(image.reclaim(medium));
    fail_each(&Run::new(&image, &act), "faults in reclaim");
}

#[test]
fn an_undo_reports_every_fault_and_can_be_run_again() {
    let (fixed, undo) = fixed(&Image::bundled("esxi67-fresh"), FIX);
    let act = |medium: &dyn ReadAt| text(undo.plan(medium, IfDifferent::Refuse));
    let mut undoing = Run::new(&fixed, &act);
    undoing.undo = None;
    fail_each(&undoing, "faults in undo, one bank");
}

#[test]
fn a_fix_in_place_reports_every_fault_and_is_always_undone() {
    let image = Image::full("esxi67-fresh");
    let act = |medium: &dyn ReadAt| text(image.fix(medium, Method::InPlace));
    let mut run = Run::new(&image, &act);
    run.in_place = true;
    fail_each(&run, "faults in fix --in-place");
}

/// The way back from an in-place change overwrites files as well.
#[test]
fn an_undo_of_a_change_in_place_reports_every_fault_and_can_be_run_again() {
    let (fixed, undo) = fixed(&Image::full("esxi67-fresh"), Method::InPlace);
    let act = |medium: &dyn ReadAt| text(undo.plan(medium, IfDifferent::Refuse));
    let mut undoing = Run::new(&fixed, &act);
    undoing.undo = None;
    undoing.in_place = true;
    fail_each(&undoing, "faults in undo of a change in place");
}

#[test]
fn a_removal_in_place_that_shortens_a_chain_reports_every_fault() {
    let image = Image::full("esxi67-fresh");
    let act = |medium: &dyn ReadAt| text(image.rm(medium, HOST_KEY, Method::InPlace));
    let mut run = Run::new(&image, &act);
    assert!(run.set.steps().iter().any(|it| it.phase == Phase::Release));
    run.in_place = true;
    fail_each(&run, "faults in rm --in-place, shorter chain");
    spoil_each(&run, "spoilt in rm --in-place, shorter chain");
}

#[test]
fn a_write_that_spoils_its_sectors_is_never_called_done_or_harmless() {
    for (name, row) in [
        ("esxi67-fresh", "spoilt in fix, one bank"),
        ("esxi55-fragmented", "spoilt in fix, two banks, fragmented"),
        ("esxi67-fat12", "spoilt in fix, FAT12"),
    ] {
        let image = Image::bundled(name);
        let act = |medium: &dyn ReadAt| text(image.fix(medium, FIX));
        spoil_each(&Run::new(&image, &act), row);
    }
}
