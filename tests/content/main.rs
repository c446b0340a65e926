//! What a bank configures, shown and changed by the program and judged by others: GNU tar,
//! diff, mtools, sqlite3 and Python.

// Clippy exempts test functions only, not what they share.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod compare;
mod crash;
mod each_bank;
mod files;
mod host;
mod identity;
mod kernel_options;
mod sealing;
mod secrets;
mod settings;
#[path = "../common/skipping.rs"]
mod skipping;
mod transfer;
mod warned;
