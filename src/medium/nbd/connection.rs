//! A connection to an export: requests, one at a time.

use super::handshake::{Facts, shake_hands};
use super::patience::{LONGEST_REQUEST, Patient};
use super::wire::{CMD_DISC, CMD_FLUSH, CMD_READ, CMD_WRITE, REQUEST_MAGIC};
use super::{NbdError, reply};
use std::io::{self, Read, Write};
use std::time::Duration;

/// Most bytes of one request: a multiple of every smallest block.
const TRANSFER: u32 = 1 << 20;

/// A connection to an export, over anything that can be read and written.
///
/// After the first error other than one the server reported of a request, nothing more is sent:
/// where the next reply begins is not known any more.
#[derive(Debug)]
pub struct Connection<S: Read + Write> {
    stream: Patient<S>,
    facts: Facts,
    cookie: u64,
    broken: bool,
}

impl<S: Read + Write> Connection<S> {
    /// Greets the server at the other end and asks for the export of that name.
    ///
    /// # Errors
    /// A server that has no such export, is too old, wants TLS or breaks the protocol.
    pub fn negotiate(stream: S, export: &str) -> Result<Self, NbdError> {
        Self::negotiate_within(stream, export, LONGEST_REQUEST)
    }

    /// The same, where the greeting and each request may take this long.
    pub(super) fn negotiate_within(
        stream: S,
        export: &str,
        patience: Duration,
    ) -> Result<Self, NbdError> {
        let mut stream = Patient::new(stream, patience);
        let facts = shake_hands(&mut stream, export)?;
        Ok(Connection {
            stream,
            facts,
            cookie: 0,
            broken: false,
        })
    }

    /// What the server says of the export.
    pub fn facts(&self) -> Facts {
        self.facts
    }

    /// Fills `buf` from byte `offset` on; the range lies within the export.
    ///
    /// # Errors
    /// [`NbdError::Request`] where the server reported one, otherwise a lost or broken connection.
    pub fn read(&mut self, buf: &mut [u8], offset: u64) -> Result<(), NbdError> {
        let mut at = offset;
        let mut rest = buf;
        while !rest.is_empty() {
            let (before, piece) = self.piece(at, rest.len());
            let (now, later) = rest.split_at_mut(piece);
            if before == 0 && self.is_whole(piece) {
                self.read_blocks(now, at)?;
            } else {
                let around = self.read_around(before, piece, at)?;
                now.copy_from_slice(&around[before..before + piece]);
            }
            at += piece as u64;
            rest = later;
        }
        Ok(())
    }

    /// Writes `data` at byte `offset`; the range lies within the export. What else is in the
    /// smallest blocks that it touches is read and written with it, as a disk does whose physical
    /// sectors are larger than its logical ones.
    ///
    /// # Errors
    /// As [`Connection::read`]. Part of `data` may have reached the export.
    pub fn write(&mut self, data: &[u8], offset: u64) -> Result<(), NbdError> {
        let mut at = offset;
        let mut rest = data;
        while !rest.is_empty() {
            let (before, piece) = self.piece(at, rest.len());
            let (now, later) = rest.split_at(piece);
            if before == 0 && self.is_whole(piece) {
                self.write_blocks(now, at)?;
            } else {
                let mut around = self.read_around(before, piece, at)?;
                around[before..before + piece].copy_from_slice(now);
                self.write_blocks(&around, at - before as u64)?;
            }
            at += piece as u64;
            rest = later;
        }
        Ok(())
    }

    /// Returns when everything written before is durable, says the server.
    ///
    /// # Errors
    /// As [`Connection::read`].
    pub fn flush(&mut self) -> Result<(), NbdError> {
        let structured = self.facts.structured;
        self.exchange(CMD_FLUSH, 0, 0, &[], |stream, cookie| {
            reply::acknowledgement(stream, cookie, structured)
        })
    }

    /// Takes leave, so that the server need not take the end for a failure. There is no reply.
    ///
    /// # Errors
    /// A connection that is lost already.
    pub fn disconnect(&mut self) -> Result<(), NbdError> {
        self.exchange(CMD_DISC, 0, 0, &[], |_, _| Ok(()))?;
        self.broken = true;
        Ok(())
    }

    /// How far byte `at` is into a smallest block, and how many of `len` bytes fit into one request.
    fn piece(&self, at: u64, len: usize) -> (usize, usize) {
        let minimum = self.facts.blocks.minimum;
        let longest = self.facts.blocks.maximum.min(TRANSFER);
        // The smallest block is at most 64 KiB.
        let before = usize::try_from(at % u64::from(minimum)).unwrap_or(0);
        let longest = usize::try_from(longest - longest % minimum).unwrap_or(1 << 16);
        (before, len.min(longest - before))
    }

    fn is_whole(&self, len: usize) -> bool {
        (len as u64).is_multiple_of(u64::from(self.facts.blocks.minimum))
    }

    /// The whole blocks around `len` bytes at `at`, which begins `before` bytes into the first.
    fn read_around(&mut self, before: usize, len: usize, at: u64) -> Result<Vec<u8>, NbdError> {
        let minimum = usize::try_from(self.facts.blocks.minimum).map_err(io::Error::other)?;
        let mut around = vec![0; (before + len).next_multiple_of(minimum)];
        self.read_blocks(&mut around, at - before as u64)?;
        Ok(around)
    }

    fn read_blocks(&mut self, buf: &mut [u8], offset: u64) -> Result<(), NbdError> {
        let structured = self.facts.structured;
        self.exchange(CMD_READ, offset, buf.len(), &[], |stream, cookie| {
            reply::data(stream, cookie, structured, buf, offset)
        })
    }

    fn write_blocks(&mut self, data: &[u8], offset: u64) -> Result<(), NbdError> {
        let structured = self.facts.structured;
        self.exchange(CMD_WRITE, offset, data.len(), data, |stream, cookie| {
            reply::acknowledgement(stream, cookie, structured)
        })
    }

    /// Sends one request and reads what answers it.
    fn exchange(
        &mut self,
        command: u16,
        offset: u64,
        len: usize,
        data: &[u8],
        answer: impl FnOnce(&mut Patient<S>, u64) -> Result<(), NbdError>,
    ) -> Result<(), NbdError> {
        if self.broken {
            return Err(NbdError::from(io::Error::from(io::ErrorKind::BrokenPipe)));
        }
        self.stream.begin();
        self.cookie += 1;
        let cookie = self.cookie;
        let result = self
            .send(command, offset, len, data)
            .and_then(|()| answer(&mut self.stream, cookie));
        self.broken = !matches!(result, Ok(()) | Err(NbdError::Request(_)));
        result
    }

    fn send(&mut self, command: u16, offset: u64, len: usize, data: &[u8]) -> Result<(), NbdError> {
        let mut request = Vec::with_capacity(28 + data.len());
        request.extend(REQUEST_MAGIC.to_be_bytes());
        request.extend(0u16.to_be_bytes());
        request.extend(command.to_be_bytes());
        request.extend(self.cookie.to_be_bytes());
        request.extend(offset.to_be_bytes());
        let len = u32::try_from(len).map_err(io::Error::other)?;
        request.extend(len.to_be_bytes());
        request.extend(data);
        Ok(self.stream.write_all(&request)?)
    }
}
