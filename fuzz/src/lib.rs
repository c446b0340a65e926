//! What the fuzz targets share: the drivers, and a count of how deep the inputs get.

pub mod drive;
#[path = "../../tests/common/repair.rs"]
pub mod repair;

use std::sync::atomic::{AtomicU64, Ordering};

static RUNS: AtomicU64 = AtomicU64::new(0);
static DEEP: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    fn atexit(callback: extern "C" fn()) -> i32;
}

extern "C" fn report() {
    let (runs, deep) = (RUNS.load(Ordering::Relaxed), DEEP.load(Ordering::Relaxed));
    let share = deep.saturating_mul(1000) / runs.max(1);
    eprintln!(
        "depth: {deep} of {runs} inputs got to the last layer ({}.{} %)",
        share / 10,
        share % 10
    );
}

/// Drives a target with one input and counts whether it got to the last layer.
pub fn count(drive: fn(&[u8]) -> bool, data: &[u8]) {
    let runs = RUNS.fetch_add(1, Ordering::Relaxed) + 1;
    if runs == 1 {
        // SAFETY: the callback is a function without captures that only reads two counters.
        unsafe { atexit(report) };
    }
    if drive(data) {
        DEEP.fetch_add(1, Ordering::Relaxed);
    }
    // A run that is stopped does not get to its end.
    if runs.is_power_of_two() {
        report();
    }
}
