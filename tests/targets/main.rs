//! Every kind of target: told by what is in it, read and changed as docs/targets.md says, and judged
//! by GNU tar, gzip, Python and sqlite3.

// Clippy exempts test functions only, not what they share.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code)]
#[path = "../content/host.rs"]
mod host;
#[path = "../common/skipping.rs"]
mod skipping;

mod cuts;
mod matrix;
mod packed;
mod round_trips;
mod state_files;
