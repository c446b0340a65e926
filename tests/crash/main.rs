//! What a power cut or a failing medium can make of a stick, over real runs of each writing
//! command. docs/crash-safety.md states the model; the tables there are compared with what is
//! counted here. `BOOTBANK_LONG=1` shows every state to every judge instead of a sample.

#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the images are small, and a test that cannot go on fails"
)]

#[path = "../common/media.rs"]
#[allow(dead_code, reason = "not all of it is used here")]
mod media;
#[path = "../common/qemu.rs"]
mod qemu;
#[path = "../common/replay.rs"]
mod replay;
#[path = "../common/skipping.rs"]
mod skipping;

mod bank_runs;
mod banks;
mod changed;
mod commands;
mod disks;
mod export;
mod faults;
mod judges;
mod lies;
mod program;
mod replaced;
mod runs;
mod sticks;
mod table;
mod usual_ways;
mod worn;

/// Whether every state is shown to every judge.
fn long() -> bool {
    std::env::var_os("BOOTBANK_LONG").is_some_and(|value| value != "0")
}
