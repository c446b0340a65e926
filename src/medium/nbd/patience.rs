//! A stream that gives up on a server that says something now and then and never comes to an end.

use super::{Disconnection, NbdError};
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

/// How long a request may take from its first byte to the last one of its answer, which is at most 1 MiB.
pub(super) const LONGEST_REQUEST: Duration = Duration::from_secs(300);

/// A stream on which each request has its time. How long is waited for one byte is up to the stream.
#[derive(Debug)]
pub(super) struct Patient<S> {
    stream: S,
    patience: Duration,
    until: Instant,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, patience: Duration) -> Self {
        Patient {
            stream,
            patience,
            until: Instant::now() + patience,
        }
    }

    /// A request begins, and with it its time.
    pub(super) fn begin(&mut self) {
        self.until = Instant::now() + self.patience;
    }

    fn check(&self) -> io::Result<()> {
        match Instant::now() < self.until {
            true => Ok(()),
            false => Err(io::Error::other(NbdError::Lost(Disconnection::Slow))),
        }
    }
}

impl<S: Read> Read for Patient<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.check()?;
        self.stream.read(buf)
    }
}

impl<S: Write> Write for Patient<S> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.check()?;
        self.stream.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
