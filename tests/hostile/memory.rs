//! A medium in memory that costs no copy of its image and counts what is done to it, and an
//! allocator that counts what a thread holds.

#![allow(
    unsafe_code,
    reason = "an allocator can only be counted from within one"
)]

use bootbank::medium::{ReadAt, WriteAt};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;

const BLOCK: usize = 4096;

/// An image with changes laid over it.
pub struct Medium<'b> {
    base: &'b [u8],
    blocks: RefCell<BTreeMap<usize, Box<[u8; BLOCK]>>>,
    pub bytes_read: Cell<u64>,
    pub reads: Cell<u64>,
    pub writes: Cell<u64>,
}

impl<'b> Medium<'b> {
    pub fn new(base: &'b [u8]) -> Self {
        Medium {
            base,
            blocks: RefCell::default(),
            bytes_read: Cell::new(0),
            reads: Cell::new(0),
            writes: Cell::new(0),
        }
    }

    pub fn get_len(&self) -> usize {
        self.base.len()
    }

    pub fn get(&self, at: usize, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.fill(&mut bytes, at);
        bytes
    }

    /// Puts `bytes` at `at`, as far as they lie on the medium. Not counted as a write.
    pub fn put(&self, at: usize, bytes: &[u8]) {
        let mut blocks = self.blocks.borrow_mut();
        for (place, byte) in (at..self.base.len()).zip(bytes) {
            let (block, within) = (place / BLOCK, place % BLOCK);
            let block = blocks.entry(block).or_insert_with(|| {
                let mut copy = Box::new([0; BLOCK]);
                let start = block * BLOCK;
                let end = self.base.len().min(start + BLOCK);
                copy[..end - start].copy_from_slice(&self.base[start..end]);
                copy
            });
            block[within] = *byte;
        }
    }

    fn fill(&self, buf: &mut [u8], at: usize) {
        buf.copy_from_slice(&self.base[at..at + buf.len()]);
        let last = (at + buf.len()).div_ceil(BLOCK);
        for (block, bytes) in self.blocks.borrow().range(at / BLOCK..last) {
            let start = block * BLOCK;
            let from = start.max(at);
            let to = (start + BLOCK).min(at + buf.len());
            buf[from - at..to - at].copy_from_slice(&bytes[from - start..to - start]);
        }
    }
}

impl ReadAt for Medium<'_> {
    fn size(&self) -> u64 {
        self.base.len() as u64
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64);
        if end.is_none_or(|end| end > self.size()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.reads.set(self.reads.get() + 1);
        self.bytes_read
            .set(self.bytes_read.get() + buf.len() as u64);
        self.fill(buf, usize::try_from(offset).unwrap());
        Ok(())
    }
}

impl WriteAt for Medium<'_> {
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.writes.set(self.writes.get() + 1);
        self.put(usize::try_from(offset).unwrap(), data);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn read_back(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_at(buf, offset)
    }
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

fn count(change: isize) {
    // A thread that is going away counts no longer.
    let _ = HELD.try_with(|held| {
        let now = held.get() + change;
        held.set(now);
        let taken = u64::try_from(change).unwrap_or(0);
        TAKEN.with(|all| all.set(all.get() + taken));
        PEAK.with(|peak| peak.set(peak.get().max(now)));
    });
}

fn size_of(layout: Layout) -> isize {
    isize::try_from(layout.size()).unwrap_or(isize::MAX)
}

// SAFETY: every call goes to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(size_of(layout));
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(-size_of(layout));
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(size_of(layout));
        // SAFETY: as promised by the caller.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(isize::try_from(size).unwrap_or(isize::MAX) - size_of(layout));
        // SAFETY: as promised by the caller.
        unsafe { System.realloc(place, layout, size) }
    }
}

/// Bytes this thread allocated during `work`, those it gave back included: a measure of the copying
/// that is done, the same on every machine.
pub fn taken_by<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = TAKEN.get();
    let result = work();
    (result, TAKEN.get() - before)
}

/// What `work` gives, and the most bytes this thread held more than before. What SQLite allocates is
/// not among them.
pub fn peak_of<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = HELD.get();
    PEAK.set(before);
    let result = work();
    (result, u64::try_from(PEAK.get() - before).unwrap_or(0))
}
