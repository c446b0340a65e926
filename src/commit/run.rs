//! The one place that writes to a medium.
//!
//! # On-disk order
//!
//! Replacing a file of a FAT volume takes four steps, each ended by a sync:
//!
//! ```text
//! 1 data       the new content goes into clusters that are free in both FAT copies
//! 2 allocate   both FAT copies get the new chain; the old chain stays
//! 3 switch     one directory sector: first cluster and size, bytes 26-31 of the entry
//! 4 release    both FAT copies free the old chain
//! ```
//!
//! Until step 3 is on the medium nothing that can be reached has changed, so any subset of
//! the writes of steps 1 and 2 leaves the old file. A directory entry is 32 bytes long and
//! entries start at multiples of 32, so bytes 24-31 of an entry are one aligned 8-byte word
//! and a sector torn at any 8-byte boundary holds the old reference or the new one, never
//! half of each. Step 4 touches only clusters nothing refers to any more. What a cut can
//! leave behind is clusters allocated to nothing, or FAT copies that differ in such
//! clusters: both are unreachable and are put right by the next plan or by reclaiming.
//!
//! # What this rests on
//!
//! A sync that returns means that what was written before it survives a power cut, and a
//! write damages no sector it was not addressed to. Worn or counterfeit flash keeps neither
//! promise reliably. That is why every step is read back past this machine's caches (a medium
//! that drops writes is caught before the switch in most cases) and why an undo file exists.
//!
//! Before the first write every sector of the set, and every sector of the files that are replaced,
//! is compared with the content the plan was made from: what another program wrote in between is
//! never lost. The medium must still have its name then, and at the end that is asked again. An error
//! of a write, a sync or a comparison ends the run at once; nothing is tried twice, because after a
//! failed sync the kernel may have forgotten what was dirty.

use super::aftermath::Fault;
use super::outcome::{CommitError, Committed, Holds, Operation};
use super::{Step, WriteSet};
use crate::medium::{Lba, WriteAt};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io;

/// Bytes moved by one call at the most, so that memory stays small whatever the file's size.
const RUN_LIMIT: usize = 1 << 20;

/// Carries out `set` on `medium`, step by step. `interrupted` is asked before every step up
/// to the first switch and never after it.
///
/// # Errors
/// [`CommitError`] says how far it came. A failure after the last switch that left every bank
/// with the new content is no error: it is in [`Committed::unfinished`].
pub fn run(
    medium: &dyn WriteAt,
    set: &WriteSet,
    interrupted: &dyn Fn() -> bool,
) -> Result<Committed, CommitError> {
    run_watched(medium, set, interrupted, &|_, _| {})
}

/// The same, where `begins` is told of each step before its first write: its index from 0, and the
/// step.
///
/// # Errors
/// As [`run`].
pub fn run_watched(
    medium: &dyn WriteAt,
    set: &WriteSet,
    interrupted: &dyn Fn() -> bool,
    begins: &dyn Fn(usize, &Step),
) -> Result<Committed, CommitError> {
    check_unchanged(medium, set)?;
    medium
        .check_name()
        .map_err(|source| CommitError::Replaced { source })?;
    let steps = set.steps();
    let point_of_no_return = steps.iter().position(|step| step.phase.is_commitment());
    let last_switch = steps.iter().rposition(|step| step.phase.is_commitment());
    let mut bytes_written = 0;
    for (index, step) in steps.iter().enumerate() {
        if point_of_no_return.is_none_or(|first| index <= first) && interrupted() {
            return Err(CommitError::Interrupted {
                steps_done: index,
                steps: steps.len(),
            });
        }
        begins(index, step);
        match carry_out(medium, set, step) {
            Ok(bytes) => bytes_written += bytes,
            Err(fault) => {
                let failure = fault.at(medium, set, index, step);
                // Behind the last switch only clusters are freed. But the sectors that say so
                // hold chains in use as well, and a medium that fails may have spoilt those.
                let in_effect = last_switch.is_some_and(|last| index > last);
                let told = failure.holds.iter().all(|(_, holds)| *holds == Holds::New);
                if !(in_effect && told) {
                    return Err(CommitError::Failed(Box::new(failure)));
                }
                check_name_again(medium)?;
                return Ok(Committed {
                    bytes_written,
                    steps_done: index,
                    unfinished: Some(failure),
                });
            }
        }
    }
    check_name_again(medium)?;
    Ok(Committed {
        bytes_written,
        steps_done: steps.len(),
        unfinished: None,
    })
}

/// That the medium has its name still, once the change is on it.
fn check_name_again(medium: &dyn WriteAt) -> Result<(), CommitError> {
    let checked = medium.check_name();
    checked.map_err(|source| CommitError::ReplacedMeanwhile { source })
}

/// Compares every sector of the set, and of the files it replaces, with what the plan was made from.
fn check_unchanged(medium: &dyn WriteAt, set: &WriteSet) -> Result<(), CommitError> {
    let kept = set.preserved().values().flatten();
    let mut expected: BTreeMap<Lba, &Bytes> = kept.map(|(&lba, old)| (lba, old)).collect();
    let changed = set.net_changes().into_iter();
    expected.extend(changed.map(|(lba, (old, _))| (lba, old)));
    for run in contiguous(&expected) {
        let mut now = vec![0; run.bytes.len()];
        let offset = set.offset_of(run.lba).unwrap_or(u64::MAX);
        medium
            .read_back(&mut now, offset)
            .map_err(|source| CommitError::Check {
                lba: run.lba,
                source,
            })?;
        if let Some(index) = first_difference(&now, &run.bytes, set.sector_size()) {
            return Err(CommitError::Changed {
                lba: run.lba.saturating_add(index),
            });
        }
    }
    Ok(())
}

/// Writes the sectors of one step, syncs, and reads them back.
fn carry_out(medium: &dyn WriteAt, set: &WriteSet, step: &Step) -> Result<u64, Fault> {
    let sectors: BTreeMap<Lba, &Bytes> = step
        .sectors
        .iter()
        .map(|(&lba, change)| (lba, &change.new))
        .collect();
    let mut bytes = 0;
    for run in contiguous(&sectors) {
        let offset = set.offset_of(run.lba).unwrap_or(u64::MAX);
        medium
            .write_at(&run.bytes, offset)
            .map_err(|source| fault_of_run(Operation::Write, &run, set, source))?;
        bytes += run.bytes.len() as u64;
    }
    medium
        .sync()
        .map_err(|source| Fault::new(Operation::Sync, None, source))?;
    for run in contiguous(&sectors) {
        read_back(medium, set, &run)?;
    }
    Ok(bytes)
}

/// A fault of all sectors of a run.
fn fault_of_run(operation: Operation, run: &Run, set: &WriteSet, source: io::Error) -> Fault {
    let bytes = run.bytes.len() as u64;
    let sectors = bytes / u64::from(set.sector_size().max(1));
    Fault::new(operation, Some(run.lba), source).of(sectors)
}

fn read_back(medium: &dyn WriteAt, set: &WriteSet, run: &Run) -> Result<(), Fault> {
    let mut now = vec![0; run.bytes.len()];
    let offset = set.offset_of(run.lba).unwrap_or(u64::MAX);
    medium
        .read_back(&mut now, offset)
        .map_err(|source| fault_of_run(Operation::ReadBack, run, set, source))?;
    match first_difference(&now, &run.bytes, set.sector_size()) {
        None => Ok(()),
        Some(index) => Err(Fault::new(
            Operation::Compare,
            Some(run.lba.saturating_add(index)),
            io::Error::other("the medium did not keep what was written"),
        )),
    }
}

/// Neighbouring sectors as one piece.
struct Run {
    lba: Lba,
    bytes: Vec<u8>,
}

/// Cuts sectors into runs of neighbours, none longer than [`RUN_LIMIT`].
fn contiguous<'a>(sectors: &'a BTreeMap<Lba, &'a Bytes>) -> impl Iterator<Item = Run> + 'a {
    let mut rest = sectors.iter().peekable();
    std::iter::from_fn(move || {
        let (&lba, first) = rest.next()?;
        let mut bytes = first.to_vec();
        let mut last = lba;
        while let Some((next, sector)) =
            rest.next_if(|(next, _)| Some(**next) == last.checked_add(1))
        {
            last = *next;
            bytes.extend_from_slice(sector);
            if bytes.len() >= RUN_LIMIT {
                break;
            }
        }
        Some(Run { lba, bytes })
    })
}

/// Index of the first sector in which two runs of equal length differ.
fn first_difference(a: &[u8], b: &[u8], sector_size: u32) -> Option<u64> {
    let sector_size = sector_size as usize;
    a.chunks(sector_size)
        .zip(b.chunks(sector_size))
        .position(|(a, b)| a != b)
        .map(|index| index as u64)
}
