//! Reads remembered, and counted.

use super::{ReadAt, check_range, room_for};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Unit of what is remembered, in bytes: a page, and a whole number of logical sectors.
const BLOCK: usize = 4096;
const BLOCK_U64: u64 = BLOCK as u64;

/// Most bytes asked of the medium at once.
const LONGEST_READ: u64 = 8 << 20;

/// Reads as long as this, in bytes, are not remembered: whoever asks for so much keeps it, or asks
/// for something else next.
const TOO_LONG: usize = 1 << 20;

/// Bytes remembered before all of it is forgotten.
const DEFAULT_LIMIT: usize = 64 << 20;

/// A medium whose blocks are read once.
///
/// Neighbouring blocks that are missing are read together. What is read a megabyte at a time is read
/// each time. Nothing is written through it, and what is written to the medium behind it is not noticed:
/// after a commit make a new one.
#[derive(Debug)]
pub struct CachedReads<M> {
    medium: M,
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By position in blocks. The last block of a medium may be short.
    blocks: BTreeMap<u64, Box<[u8]>>,
    bytes_read: u64,
    reads: u64,
}

impl<M> CachedReads<M> {
    /// Remembers up to 64 MiB of `medium`.
    pub fn new(medium: M) -> Self {
        Self::with_limit(medium, DEFAULT_LIMIT)
    }

    /// Remembers up to `limit` bytes of `medium`.
    pub fn with_limit(medium: M, limit: usize) -> Self {
        CachedReads {
            medium,
            limit,
            state: Mutex::default(),
        }
    }

    /// Bytes that were read from the medium itself.
    pub fn bytes_read(&self) -> u64 {
        self.state().bytes_read
    }

    /// Reads that reached the medium itself.
    pub fn reads(&self) -> u64 {
        self.state().reads
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M: ReadAt> CachedReads<M> {
    /// Reads those of the blocks that are not remembered, each run of them together.
    fn fetch(&self, state: &mut State, blocks: std::ops::Range<u64>) -> io::Result<()> {
        let mut next = blocks.start;
        while next < blocks.end {
            if state.blocks.contains_key(&next) {
                next += 1;
                continue;
            }
            let known = state.blocks.range(next..blocks.end).next();
            let end = known.map_or(blocks.end, |(&block, _)| block);
            let end = end.min(next.saturating_add(LONGEST_READ / BLOCK_U64));
            let start = next.saturating_mul(BLOCK_U64);
            let stop = end.saturating_mul(BLOCK_U64).min(self.medium.size());
            let len = usize::try_from(stop.saturating_sub(start)).map_err(io::Error::other)?;
            let run = self.read_vec_counted(state, start, len)?;
            for (block, bytes) in (next..).zip(run.chunks(BLOCK)) {
                state.blocks.insert(block, bytes.into());
            }
            next = end;
        }
        Ok(())
    }

    fn read_counted(&self, state: &mut State, buf: &mut [u8], offset: u64) -> io::Result<()> {
        state.reads += 1;
        state.bytes_read += buf.len() as u64;
        self.medium.read_at(buf, offset)
    }

    fn read_vec_counted(&self, state: &mut State, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        state.reads += 1;
        state.bytes_read += len as u64;
        self.medium.read_vec(offset, len)
    }

    /// How many bytes may be remembered beside a read of this length; `None` where it is too long to
    /// be remembered.
    fn room_beside(&self, len: usize) -> Option<usize> {
        // Its blocks at most reach one block further at either end.
        let beside = self.limit.checked_sub(len.saturating_add(2 * BLOCK));
        beside.filter(|_| len < TOO_LONG)
    }

    /// Gives `take` the remembered pieces of `len` bytes from `offset` on, in order; `false`, with
    /// nothing given, where the medium itself has to be asked.
    fn recall(
        &self,
        state: &mut State,
        (offset, len): (u64, usize),
        mut take: impl FnMut(&[u8]),
    ) -> io::Result<bool> {
        let Some(most_before) = self.room_beside(len) else {
            return Ok(false);
        };
        if state.blocks.len().saturating_mul(BLOCK) > most_before {
            state.blocks.clear();
        }
        let blocks = offset / BLOCK_U64..(offset + len as u64).div_ceil(BLOCK_U64);
        if self.fetch(state, blocks.clone()).is_err() {
            // The bad sector may be a neighbour that nobody asked for.
            return Ok(false);
        }
        let mut within = usize::try_from(offset % BLOCK_U64).map_err(io::Error::other)?;
        let mut left = len;
        for (_, block) in state.blocks.range(blocks) {
            let piece = block.get(within..).unwrap_or_default();
            let piece = piece.get(..left).unwrap_or(piece);
            take(piece);
            left -= piece.len();
            within = 0;
        }
        Ok(true)
    }
}

impl<M: ReadAt> ReadAt for CachedReads<M> {
    fn size(&self) -> u64 {
        self.medium.size()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        check_range(offset, buf.len(), self.size())?;
        let state = &mut *self.state();
        let mut rest = &mut *buf;
        let remembered = self.recall(state, (offset, rest.len()), |piece| {
            let (target, later) = std::mem::take(&mut rest).split_at_mut(piece.len());
            target.copy_from_slice(piece);
            rest = later;
        })?;
        if remembered {
            Ok(())
        } else {
            self.read_counted(state, buf, offset)
        }
    }

    fn read_vec(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        check_range(offset, len, self.size())?;
        let state = &mut *self.state();
        if self.room_beside(len).is_none() {
            return self.read_vec_counted(state, offset, len);
        }
        let mut bytes = room_for(len)?;
        if self.recall(state, (offset, len), |piece| bytes.extend_from_slice(piece))? {
            Ok(bytes)
        } else {
            self.read_vec_counted(state, offset, len)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn medium(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at / 7).to_le_bytes()[0]).collect()
    }

    #[test]
    fn a_block_is_read_once_and_the_rest_of_it_costs_nothing() {
        let bytes = medium(20_000);
        let cached = CachedReads::new(&bytes[..]);
        let mut word = [0; 4];
        cached.read_at(&mut word, 5000).unwrap();
        cached.read_at(&mut word, 8188).unwrap();
        assert_eq!(word, bytes[8188..8192]);
        assert_eq!((cached.reads(), cached.bytes_read()), (1, 4096));
    }

    #[test]
    fn a_run_of_missing_blocks_is_one_read_and_known_ones_are_left_out() {
        let bytes = medium(20_000);
        let cached = CachedReads::new(&bytes[..]);
        cached.read_at(&mut [0; 1], 8192).unwrap();
        let mut all = vec![0; 20_000];
        cached.read_at(&mut all, 0).unwrap();
        assert_eq!(all, bytes);
        assert_eq!((cached.reads(), cached.bytes_read()), (3, 20_000));
    }

    #[test]
    fn a_bad_sector_fails_only_the_reads_that_touch_it() {
        struct BadSector(Vec<u8>);
        impl ReadAt for BadSector {
            fn size(&self) -> u64 {
                self.0.size()
            }
            fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
                let touches = offset < 1024 && offset + buf.len() as u64 > 512;
                if touches {
                    return Err(io::Error::other("bad sector"));
                }
                self.0.read_at(buf, offset)
            }
        }
        let cached = CachedReads::new(BadSector(medium(8192)));
        let mut sector = [0; 512];
        cached.read_at(&mut sector, 1024).unwrap();
        assert_eq!(sector, medium(8192)[1024..1536]);
        assert_eq!(cached.read_vec(1024, 512).unwrap(), sector);
        assert!(cached.read_at(&mut sector, 600).is_err());
        assert!(cached.read_vec(600, 512).is_err());
    }

    #[test]
    fn a_read_past_the_end_is_refused_and_costs_nothing() {
        let cached = CachedReads::new(medium(100));
        for (len, offset) in [(1, 100), (101, 0), (1, u64::MAX)] {
            let error = cached.read_at(&mut vec![0; len], offset).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            let error = cached.read_vec(offset, len).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
        assert_eq!(cached.reads(), 0);
    }

    proptest! {
        #[test]
        fn every_read_gives_what_the_medium_holds_and_memory_stays_bounded(
            reads in prop::collection::vec((0_usize..70_000, 0_usize..30_000, any::<bool>()), 1..30),
        ) {
            let bytes = medium(70_001);
            let limit = 32 << 10;
            let cached = CachedReads::with_limit(&bytes[..], limit);
            for (offset, len, into_a_vector) in reads {
                let len = len.min(bytes.len() - offset);
                let mut buf = vec![0; len];
                if into_a_vector {
                    buf = cached.read_vec(offset as u64, len).unwrap();
                } else {
                    cached.read_at(&mut buf, offset as u64).unwrap();
                }
                prop_assert_eq!(&buf[..], &bytes[offset..offset + len]);
                prop_assert!(cached.state().blocks.len() * BLOCK <= limit);
            }
        }
    }
}
