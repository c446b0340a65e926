//! Many media at once, plans, and pipelines: the program as scripts use it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod apply;
mod ci;
mod docs;
mod foreign;
mod foretold;
mod json;
// Other test crates use more of it.
#[allow(dead_code)]
#[path = "../common/holder.rs"]
mod holder;
mod many;
mod once;
mod pipeline;
mod run;
mod scan;
mod scripts;
#[path = "../common/skipping.rs"]
mod skipping;
mod spread;
mod streams;
mod undo;
