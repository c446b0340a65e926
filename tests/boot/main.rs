//! Will it boot? Media that do not, each spoilt in one way, and what the program says of them.
//!
//! Images come from `scripts/make-image`; the modules in them are made gzip files by Python, and
//! what is spoilt is spoilt with mtools or byte by byte. None of it is made by this program.

// Clippy exempts test functions only, not what they share.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod firmware;
mod healthy;
mod other_volumes;
mod spoils;
mod states;
mod stick;
mod verify;
mod words;
mod worth;
