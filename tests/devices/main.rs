//! The program on media as they come: claimed, attached, read-only, full, interrupted.
//!
//! What needs root (loop devices, mounts) says so and is over without it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

#[path = "../common/crash.rs"]
mod crash;
mod disk;
mod guided;
#[path = "../common/holder.rs"]
mod holder;
mod in_place;
#[path = "../common/loops.rs"]
mod loops;
#[allow(dead_code, reason = "shared; not all of it is used here")]
#[path = "../common/media.rs"]
mod media;
mod program;
mod scan;
mod signals;
#[path = "../common/skipping.rs"]
mod skipping;
mod station;
mod terminal;
mod undo_file;
mod users;
