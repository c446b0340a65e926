//! The banks side by side: which one boots, which ones could, and whose state is newer.

use crate::loader::Depth;
use crate::state::Form;
use crate::stick::{BankChoice, Error, Slot, StateFile, Stick};

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
    /// Whether the loader gets through it, by presence and sizes; `None` where that cannot be told.
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
    let boot = stick.loader().boot(slot.partition, Depth::Presence);
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
