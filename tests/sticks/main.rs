//! The program on whole images of boot media, judged by tools that share no code with it.
//!
//! Images come from `scripts/make-image`, once for each profile, with a JSON file of what went
//! in; `judge.py` compares an image before and after with mtools, gzip, tar, fsck.fat, sgdisk
//! and sqlite3. A tool that is missing fails the test that needs it.

// Clippy exempts test functions only, not what they share.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/media.rs"]
#[allow(dead_code)]
mod media;
#[path = "../common/skipping.rs"]
mod skipping;

mod counts;
mod encrypted;
mod images;
mod options;
mod pages;
mod profiles;
mod program;
mod words;
