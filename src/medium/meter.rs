//! Counts what passes between the program and a medium.

use super::{ReadAt, WriteAt};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// A medium that counts the bytes read from it and written to it, and the syncs asked of it.
#[derive(Debug)]
pub struct Meter<M> {
    medium: M,
    read: AtomicU64,
    written: AtomicU64,
    syncs: AtomicU64,
}

impl<M> Meter<M> {
    /// Counts from zero.
    pub fn new(medium: M) -> Self {
        Meter {
            medium,
            read: AtomicU64::new(0),
            written: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
        }
    }

    /// Bytes read so far, reading back included.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes handed over to be written so far.
    pub fn bytes_written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Syncs asked for so far.
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }
}

impl<M: ReadAt> ReadAt for Meter<M> {
    fn size(&self) -> u64 {
        self.medium.size()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.read.fetch_add(buf.len() as u64, Ordering::Relaxed);
        self.medium.read_at(buf, offset)
    }

    fn read_vec(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.read.fetch_add(len as u64, Ordering::Relaxed);
        self.medium.read_vec(offset, len)
    }
}

impl<M: WriteAt> WriteAt for Meter<M> {
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.written.fetch_add(data.len() as u64, Ordering::Relaxed);
        self.medium.write_at(data, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.medium.sync()
    }

    fn read_back(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.read.fetch_add(buf.len() as u64, Ordering::Relaxed);
        self.medium.read_back(buf, offset)
    }

    fn check_name(&self) -> io::Result<()> {
        self.medium.check_name()
    }
}
