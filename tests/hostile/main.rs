//! Input that lies: each lie gets its own error, and no lie a single written byte.
//!
//! | module | what it shows |
//! |---|---|
//! | `lies` | one image for each way of lying, through the program: exit code, message, nothing written |
//! | `kept` | what is odd in a configuration and no error: kept, reported, safe to show |
//! | `places` | files that cannot be read, written or made |
//! | `means` | little memory, few files, small files |
//! | `bounds` | what is within its limit part by part and too much together |
//! | `undo` | undo files that are not what they say |
//! | `undo_judged` | sound undo files whose steps would leave something else than a change does |
//! | `mutation` | thousands of seeded edits in the metadata of every profile's image, in-process |
//! | `replay` | the seeds of the fuzz targets, and every input that was once a find |

#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod bounds;
#[path = "../../fuzz/src/drive/mod.rs"]
mod drive;
#[path = "../common/holder.rs"]
#[allow(dead_code, reason = "not all of it is used here")]
mod holder;
mod images;
mod kept;
mod lies;
mod means;
mod memory;
mod mutation;
mod places;
#[path = "../common/repair.rs"]
mod repair;
mod replay;
#[path = "../common/skipping.rs"]
mod skipping;
mod undo;
mod undo_judged;
