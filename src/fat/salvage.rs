//! What is left of a file: read sector by sector, as far as its chain goes.
//!
//! Looking only. What comes of it is never written back.

use super::volume::read;
use super::{Entry, FatError, Volume};
use std::ops::Range;

/// A file of which some may be missing.
#[derive(Debug)]
pub struct Salvage {
    /// Its bytes, as many as its directory entry says; zeros where they cannot be read.
    pub bytes: Vec<u8>,
    /// The bytes that are such zeros, in order.
    pub missing: Vec<Range<u64>>,
}

impl Volume<'_> {
    /// Reads a file of the root directory with everything that can be read of it. Where its chain
    /// breaks off, comes back to itself or leads nowhere, the rest is missing; a sector that cannot
    /// be read is missing alone.
    ///
    /// # Errors
    /// [`FatError::FileTooLarge`] for more than `limit` bytes.
    pub fn salvage_file(&self, entry: &Entry, limit: u64) -> Result<Salvage, FatError> {
        let size = u64::from(entry.size());
        if size > limit {
            return Err(FatError::FileTooLarge {
                file: entry.name(),
                size: entry.size(),
                limit,
            });
        }
        let mut salvage = Salvage {
            bytes: Vec::new(),
            missing: Vec::new(),
        };
        let mut chain = Vec::new();
        let needed = size.div_ceil(self.geometry().cluster_bytes());
        let mut seen = std::collections::BTreeSet::new();
        // How far it goes is all that is asked.
        let _ = self.follow(entry, &|| entry.name(), &mut |cluster| {
            let enough = chain.len() as u64 >= needed;
            if enough || !seen.insert(cluster.get()) {
                return Err(FatError::ChainLoop {
                    file: entry.name(),
                    cluster: cluster.get(),
                });
            }
            chain.push(cluster);
            Ok(())
        });
        for run in self.runs(&chain, size) {
            self.salvage_run(run, &mut salvage);
        }
        let have = salvage.bytes.len() as u64;
        if have < size {
            salvage.skip(have..size);
        }
        Ok(salvage)
    }

    fn salvage_run(&self, run: Range<u64>, salvage: &mut Salvage) {
        if let Ok(bytes) = read(self.window(), run.clone()) {
            salvage.bytes.extend(bytes);
            return;
        }
        let sector = u64::from(self.geometry().sector_size());
        let mut at = run.start;
        while at < run.end {
            let end = at.saturating_add(sector).min(run.end);
            match read(self.window(), at..end) {
                Ok(bytes) => salvage.bytes.extend(bytes),
                Err(_) => {
                    let from = salvage.bytes.len() as u64;
                    salvage.skip(from..from.saturating_add(end - at));
                }
            }
            at = end;
        }
    }
}

impl Salvage {
    /// Puts zeros for the bytes of `range`, which begins where the bytes end so far.
    fn skip(&mut self, range: Range<u64>) {
        let end = usize::try_from(range.end).unwrap_or(self.bytes.len());
        self.bytes.resize(end, 0);
        match self.missing.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.missing.push(range),
        }
    }
}
