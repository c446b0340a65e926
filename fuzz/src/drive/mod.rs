//! One function for each target: takes bytes from anywhere, drives a part of bootbank with them
//! and says whether they got to its last layer.
//!
//! Used by the fuzz targets, and by the test suite to replay seeds and past finds. Checksums are
//! repaired first. A panic, a plan that its own judge rejects, or an edit that does not hold is
//! a find.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a harness reports by panicking"
)]

mod configuration;
mod servers;
mod states;
mod sticks;
mod volumes;

pub use configuration::{boot_cfg, esx_conf, store_bytes, store_json};
pub use servers::nbd;
pub use states::{envelope, state};
pub use sticks::{image, undo};
pub use volumes::{fat, table};

use bootbank::state::{KeyCache, Limits};
use bootbank::stick::Settings;
use std::sync::LazyLock;

/// A target: its name, what drives it, and the longest input worth trying.
pub struct Target {
    pub name: &'static str,
    pub drive: fn(&[u8]) -> bool,
    pub max_len: usize,
}

pub const TARGETS: [Target; 11] = [
    target("table", table, 16 << 10),
    target("fat", fat, 64 << 10),
    target("boot_cfg", boot_cfg, 4 << 10),
    target("state", state, 16 << 10),
    target("envelope", envelope, 20 << 10),
    target("esx_conf", esx_conf, 8 << 10),
    target("store_json", store_json, 512),
    target("store_bytes", store_bytes, 32 << 10),
    target("image", image, 64 << 10),
    target("undo", undo, 64 << 10),
    target("nbd", nbd, 8 << 10),
];

const fn target(name: &'static str, drive: fn(&[u8]) -> bool, max_len: usize) -> Target {
    Target {
        name,
        drive,
        max_len,
    }
}

const LIMITS: Limits = Limits::each(1 << 20);

/// Keys derived so far; a derivation takes longer than everything else a target does.
static KEYS: LazyLock<KeyCache> = LazyLock::new(KeyCache::new);

fn settings() -> Settings<'static> {
    Settings {
        sector_size: None,
        limits: LIMITS,
        keys: &KEYS,
    }
}
