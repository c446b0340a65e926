//! Media that QEMU holds: exports of an NBD server.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

#[path = "../common/qemu.rs"]
mod qemu;
#[path = "../common/skipping.rs"]
mod skipping;

mod disks;
mod exports;
mod lab;
