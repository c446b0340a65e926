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
mod files;
mod loaders;
mod servers;
mod states;
mod sticks;
mod volumes;

pub use configuration::{boot_cfg, esx_conf, store_bytes, store_json};
pub use files::{plan, saved};
pub use loaders::loader;
pub use servers::nbd;
pub use states::{carrier, envelope, state};
pub use sticks::{image, undo};
pub use volumes::{fat, table};

use bootbank::medium::ReadAt;
use bootbank::state::{KeyCache, Limits};
use bootbank::stick::Settings;
use std::io;
use std::sync::LazyLock;

/// A target: its name, what drives it, and the longest input worth trying.
pub struct Target {
    pub name: &'static str,
    pub drive: fn(&[u8]) -> bool,
    pub max_len: usize,
}

pub const TARGETS: [Target; 15] = [
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
    target("loader", loader, 64 << 10),
    target("plan", plan, 4 << 10),
    target("saved", saved, 16 << 10),
    target("carrier", carrier, 16 << 10),
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

/// Bytes with nothing but zeros behind them.
struct Sparse<'b> {
    head: &'b [u8],
    size: u64,
}

impl ReadAt for Sparse<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64);
        if end.is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buf.fill(0);
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let known = self.head.get(start..).unwrap_or_default();
        let len = known.len().min(buf.len());
        buf[..len].copy_from_slice(&known[..len]);
        Ok(())
    }
}
