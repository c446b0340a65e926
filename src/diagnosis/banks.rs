//! The banks side by side: which one boots, which ones could, and whose state is newer.

use crate::state::Form;
use crate::stick::{BankChoice, Error, Slot, StateFile, Stick};
use std::cmp::Ordering;

/// The member that counts how often a host saved its configuration: its last line is a number.
const COUNTER: &str = "etc/vmware/.backup.counter";

/// What is to be known of a bank to choose between it and another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BankHealth {
    /// Number of its partition.
    pub partition: u32,
    /// `build` of its boot.cfg.
    pub build: Option<String>,
    /// `updated` of its boot.cfg.
    pub updated: Option<u32>,
    /// `bootstate` of its boot.cfg.
    pub bootstate: Option<i32>,
    /// Whether it boots next.
    pub boots_next: bool,
    /// Why it does not, in words.
    pub why_not: Option<String>,
    /// Whether the loader gets through it, by presence and sizes, and by the
    /// content of a state that was found damaged; `None` where that cannot be told.
    pub starts: Option<bool>,
    /// What stops the loader, in words.
    pub stops: Vec<String>,
    /// How often the host had saved its configuration when it wrote this state: the higher, the
    /// newer.
    pub state_counter: Option<u64>,
    /// Time in the state's directory entry, `2026-11-23 19:45:00`. FAT keeps local time.
    pub state_time: Option<String>,
}

/// The chosen banks, by partition number.
///
/// # Errors
/// A choice that is no bank of this medium.
pub fn bank_health(stick: &Stick<'_, '_>, banks: BankChoice) -> Result<Vec<BankHealth>, Error> {
    let mut chosen = stick.chosen(banks)?;
    chosen.sort_by_key(|slot| slot.partition);
    Ok(chosen
        .into_iter()
        .map(|slot| health_of(stick, slot))
        .collect())
}

fn health_of(stick: &Stick<'_, '_>, slot: &Slot<'_>) -> BankHealth {
    let boot_cfg = stick.loader().boot_cfg(slot.partition);
    let boot = stick.boot_of(slot.partition);
    let state = stick.shown_state(slot).ok();
    BankHealth {
        partition: slot.partition,
        build: boot_cfg.and_then(|cfg| cfg.build.clone()),
        updated: boot_cfg.map(|cfg| cfg.updated),
        bootstate: boot_cfg.map(|cfg| cfg.bootstate),
        boots_next: stick.takes(slot),
        why_not: stick.why_not(slot),
        starts: boot.boots(),
        stops: boot.stops().map(ToString::to_string).collect(),
        state_counter: state.and_then(|file| counter(stick, slot, file)),
        state_time: state.and_then(|file| file.entry.modified()),
    }
}

/// The number in the counter file of a state.
fn counter(stick: &Stick<'_, '_>, slot: &Slot<'_>, file: &StateFile) -> Option<u64> {
    let state = stick.open_state(slot, file).ok()?;
    if state.form() == Form::Sealed {
        return None;
    }
    let bytes = state.content(COUNTER).ok()??;
    let text = std::str::from_utf8(bytes).ok()?;
    text.lines().rev().find_map(|line| line.trim().parse().ok())
}

/// Which of two banks has the newer state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewerState<'b> {
    /// The bank whose state was saved later.
    pub newer: &'b BankHealth,
    /// The other one.
    pub older: &'b BankHealth,
    /// What tells.
    pub told_by: ToldBy,
}

/// What tells which of two states is newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ToldBy {
    /// How often the host had saved its configuration, in the newer one and in the older.
    Saves {
        /// In the newer one.
        newer: u64,
        /// In the older one.
        older: u64,
    },
    /// The time of the file.
    FileTime,
}

/// Which bank's state was saved later, where both say it in the same way: by how often they were
/// saved, or else by the time of the file. `None` where neither tells.
pub fn newer_state<'b>(one: &'b BankHealth, two: &'b BankHealth) -> Option<NewerState<'b>> {
    let saves = one.state_counter.zip(two.state_counter);
    let times = one.state_time.as_ref().zip(two.state_time.as_ref());
    let (order, told_by) = match (saves, times) {
        (Some((one, two)), _) if one != two => {
            let (newer, older) = (one.max(two), one.min(two));
            (one.cmp(&two), ToldBy::Saves { newer, older })
        }
        (_, Some((one, two))) => (one.cmp(two), ToldBy::FileTime),
        (_, None) => return None,
    };
    let (newer, older) = match order {
        Ordering::Equal => return None,
        Ordering::Greater => (one, two),
        Ordering::Less => (two, one),
    };
    Some(NewerState {
        newer,
        older,
        told_by,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bank(partition: u32, state_counter: Option<u64>, day: Option<u32>) -> BankHealth {
        BankHealth {
            partition,
            build: None,
            updated: None,
            bootstate: None,
            boots_next: false,
            why_not: None,
            starts: None,
            stops: Vec::new(),
            state_counter,
            state_time: day.map(|day| format!("2026-11-{day:02} 19:45:00")),
        }
    }

    #[test]
    fn the_number_of_saves_tells_before_the_time_of_the_file_and_only_where_both_have_it() {
        let saves = |newer, older| Some(ToldBy::Saves { newer, older });
        let by_time = Some(ToldBy::FileTime);
        // The saves and the day of bank 5, those of bank 6, the newer one.
        let cases = [
            ((Some(9), Some(1)), (Some(8), Some(2)), Some(5), saves(9, 8)),
            ((Some(8), None), (Some(9), None), Some(6), saves(9, 8)),
            ((Some(9), Some(1)), (Some(9), Some(2)), Some(6), by_time),
            ((None, Some(2)), (Some(9), Some(1)), Some(5), by_time),
            ((Some(9), Some(1)), (Some(9), Some(1)), None, None),
            ((Some(9), None), (None, Some(1)), None, None),
            ((None, None), (None, None), None, None),
        ];
        for ((saves_5, day_5), (saves_6, day_6), newer, told_by) in cases {
            let (one, two) = (bank(5, saves_5, day_5), bank(6, saves_6, day_6));
            let found = newer_state(&one, &two);
            assert_eq!(found.map(|it| it.newer.partition), newer, "{one:?} {two:?}");
            assert_eq!(found.map(|it| it.told_by), told_by, "{one:?} {two:?}");
        }
    }
}
