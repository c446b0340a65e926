//! Media for tests: one that records what is done to it, one that fails on demand.

use bootbank::medium::{ReadAt, WriteAt};
use std::cell::{Cell, RefCell};
use std::io;

/// What was done to a medium, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Bytes written at a position.
    Write { offset: u64, data: Vec<u8> },
    /// Everything before is durable.
    Sync,
}

/// A medium in memory that logs every write and sync and counts what is read.
pub struct Recorder {
    bytes: RefCell<Vec<u8>>,
    log: RefCell<Vec<Event>>,
    pub bytes_read: Cell<u64>,
}

impl Recorder {
    pub fn new(bytes: Vec<u8>) -> Self {
        Recorder {
            bytes: RefCell::new(bytes),
            log: RefCell::default(),
            bytes_read: Cell::new(0),
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.bytes.borrow().clone()
    }

    pub fn log(&self) -> Vec<Event> {
        self.log.borrow().clone()
    }

    pub fn writes(&self) -> usize {
        let log = self.log.borrow();
        log.iter()
            .filter(|event| matches!(event, Event::Write { .. }))
            .count()
    }

    pub fn syncs(&self) -> usize {
        self.log
            .borrow()
            .iter()
            .filter(|event| **event == Event::Sync)
            .count()
    }
}

impl ReadAt for Recorder {
    fn size(&self) -> u64 {
        self.bytes.borrow().len() as u64
    }
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.bytes_read
            .set(self.bytes_read.get() + buf.len() as u64);
        self.bytes.borrow().read_at(buf, offset)
    }
}

impl WriteAt for Recorder {
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        self.bytes.borrow_mut()[start..start + data.len()].copy_from_slice(data);
        let data = data.to_vec();
        self.log.borrow_mut().push(Event::Write { offset, data });
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        self.log.borrow_mut().push(Event::Sync);
        Ok(())
    }
    fn read_back(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_at(buf, offset)
    }
}

/// How a [`Faulty`] medium fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The operation reports this error and does nothing.
    Errno(i32),
    /// A write stores the first half of its data, in whole sectors, and reports an error.
    ShortWrite,
    /// A write reports success and stores nothing.
    DroppedWrite,
    /// A write reports an error and leaves the erased cells of flash in its sectors.
    SpoiltWrite,
}

/// Fails one operation, counted from 0 over all reads, writes and syncs (or over those of one
/// kind), and works otherwise. With `dead_after` every later operation fails too, as when a
/// stick is pulled.
pub struct Faulty<'m, M = Recorder> {
    pub inner: &'m M,
    pub fault: Fault,
    pub at: usize,
    pub dead_after: bool,
    pub counts: Counts,
    done: Cell<usize>,
}

/// Which operations a [`Faulty`] medium counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    Reads,
    Writes,
    Syncs,
}

impl<'m, M> Faulty<'m, M> {
    pub fn new(inner: &'m M, counts: Counts, at: usize, fault: Fault) -> Self {
        Faulty {
            inner,
            fault,
            at,
            dead_after: false,
            counts,
            done: Cell::new(0),
        }
    }

    /// Whether the fault was met.
    pub fn met(&self) -> bool {
        self.done.get() > self.at
    }

    fn due(&self, counts: Counts) -> Option<Fault> {
        if counts != self.counts {
            return (self.dead_after && self.met()).then_some(Fault::Errno(5));
        }
        let now = self.done.replace(self.done.get() + 1);
        if now == self.at {
            Some(self.fault)
        } else {
            (self.dead_after && now > self.at).then_some(Fault::Errno(5))
        }
    }
}

impl<M: ReadAt> ReadAt for Faulty<'_, M> {
    fn size(&self) -> u64 {
        self.inner.size()
    }
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        match self.due(Counts::Reads) {
            None => self.inner.read_at(buf, offset),
            Some(Fault::Errno(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Some(_) => Err(io::Error::from_raw_os_error(5)),
        }
    }
}

impl<M: WriteAt> WriteAt for Faulty<'_, M> {
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        match self.due(Counts::Writes) {
            None => self.inner.write_at(data, offset),
            Some(Fault::Errno(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Some(Fault::DroppedWrite) => Ok(()),
            Some(Fault::SpoiltWrite) => {
                self.inner.write_at(&vec![0xff; data.len()], offset)?;
                Err(io::Error::from_raw_os_error(5))
            }
            Some(Fault::ShortWrite) => {
                let half = data.len() / 2 / 512 * 512;
                self.inner.write_at(&data[..half], offset)?;
                Err(io::Error::from_raw_os_error(28))
            }
        }
    }
    fn sync(&self) -> io::Result<()> {
        match self.due(Counts::Syncs) {
            None => self.inner.sync(),
            Some(Fault::Errno(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Some(_) => Err(io::Error::from_raw_os_error(5)),
        }
    }
    fn read_back(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_at(buf, offset)
    }
}
