//! Replies to requests, simple and structured. A reply is believed only as far as it answers the
//! one request that was sent.

use super::NbdError;
use super::wire::{
    CHUNK_DATA, CHUNK_ERROR, CHUNK_HOLE, CHUNK_NONE, DONE, SIMPLE_REPLY_MAGIC,
    STRUCTURED_REPLY_MAGIC, bytes_from, u16_from, u32_from, u64_from,
};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::io::{self, Read};

/// Longest payload of a chunk that tells of an error.
const LONGEST_ERROR: u32 = 8 << 10;

/// Most chunks that may tell of an error to one request.
const MOST_ERRORS: usize = 64;

const OUTSIDE: NbdError = NbdError::Protocol("data that was not asked for");

/// The answer to a request without data.
pub(super) fn acknowledgement(
    stream: &mut impl Read,
    cookie: u64,
    structured: bool,
) -> Result<(), NbdError> {
    answer(stream, cookie, structured, &mut [], 0)
}

/// The answer to a read of `buf.len()` bytes at `offset`, into `buf`.
pub(super) fn data(
    stream: &mut impl Read,
    cookie: u64,
    structured: bool,
    buf: &mut [u8],
    offset: u64,
) -> Result<(), NbdError> {
    answer(stream, cookie, structured, buf, offset)
}

fn answer(
    stream: &mut impl Read,
    cookie: u64,
    structured: bool,
    buf: &mut [u8],
    offset: u64,
) -> Result<(), NbdError> {
    match u32_from(stream)? {
        SIMPLE_REPLY_MAGIC => {
            let error = u32_from(stream)?;
            check_cookie(stream, cookie)?;
            if structured && !buf.is_empty() {
                return Err(NbdError::Protocol("a simple reply to a read"));
            }
            match error {
                0 => Ok(stream.read_exact(buf)?),
                error => Err(NbdError::Request(errno(error))),
            }
        }
        STRUCTURED_REPLY_MAGIC if structured => Chunks {
            stream,
            cookie,
            buf,
            offset,
            filled: BTreeMap::new(),
            errors: 0,
            error: None,
        }
        .all(),
        _ => Err(NbdError::Protocol("no reply where one must be")),
    }
}

fn check_cookie(stream: &mut impl Read, cookie: u64) -> Result<(), NbdError> {
    if u64_from(stream)? != cookie {
        return Err(NbdError::Protocol("a reply to another request"));
    }
    Ok(())
}

/// The chunks of one structured reply.
struct Chunks<'r, S> {
    stream: &'r mut S,
    cookie: u64,
    buf: &'r mut [u8],
    /// Position of `buf` on the export in bytes.
    offset: u64,
    /// Ranges of `buf` that were filled: start and end.
    filled: BTreeMap<usize, usize>,
    errors: usize,
    error: Option<NbdError>,
}

impl<S: Read> Chunks<'_, S> {
    /// Reads them all; the first word of the first is read already.
    fn all(mut self) -> Result<(), NbdError> {
        while !self.one()? {
            if u32_from(self.stream)? != STRUCTURED_REPLY_MAGIC {
                return Err(NbdError::Protocol("no reply where one must be"));
            }
        }
        if let Some(error) = self.error {
            return Err(error);
        }
        let got: usize = self.filled.iter().map(|(start, end)| end - start).sum();
        if got == self.buf.len() {
            Ok(())
        } else {
            Err(NbdError::Protocol("less data than was asked for"))
        }
    }

    /// Reads one behind its first word; whether it was the last.
    fn one(&mut self) -> Result<bool, NbdError> {
        let flags = u16_from(self.stream)?;
        let kind = u16_from(self.stream)?;
        check_cookie(self.stream, self.cookie)?;
        let len = u32_from(self.stream)?;
        let done = flags & DONE != 0;
        match kind {
            CHUNK_NONE if len == 0 && done => {}
            CHUNK_DATA if len > 8 => {
                let start = u64_from(self.stream)?;
                let range = self.claim(start, len - 8)?;
                self.stream.read_exact(&mut self.buf[range])?;
            }
            CHUNK_HOLE if len == 12 => {
                let start = u64_from(self.stream)?;
                let size = u32_from(self.stream)?;
                let range = self.claim(start, size)?;
                self.buf[range].fill(0);
            }
            kind if kind & CHUNK_ERROR != 0 => self.failure(len)?,
            _ => return Err(NbdError::Protocol("a reply of a kind that cannot be here")),
        }
        Ok(done)
    }

    /// The range of the buffer that `size` bytes at byte `start` of the export fill, which nothing
    /// has filled yet.
    fn claim(&mut self, start: u64, size: u32) -> Result<std::ops::Range<usize>, NbdError> {
        let from = start.checked_sub(self.offset);
        let from = from.and_then(|from| usize::try_from(from).ok());
        let from = from.ok_or(OUTSIDE)?;
        let to = usize::try_from(size)
            .ok()
            .and_then(|size| from.checked_add(size));
        let to = to.filter(|to| *to <= self.buf.len() && *to > from);
        let to = to.ok_or(OUTSIDE)?;
        let before = self.filled.range(..to).next_back();
        if before.is_some_and(|(_, end)| *end > from) {
            return Err(NbdError::Protocol("the same data twice"));
        }
        self.filled.insert(from, to);
        Ok(from..to)
    }

    /// An error, which does not end the reply.
    fn failure(&mut self, len: u32) -> Result<(), NbdError> {
        self.errors += 1;
        if !(6..=LONGEST_ERROR).contains(&len) || self.errors > MOST_ERRORS {
            return Err(NbdError::Protocol("an error longer than any"));
        }
        let code = u32_from(self.stream)?;
        let rest = usize::try_from(len - 4).map_err(io::Error::other)?;
        bytes_from(self.stream, rest)?;
        if code == 0 {
            return Err(NbdError::Protocol("an error that is none"));
        }
        self.error.get_or_insert(NbdError::Request(errno(code)));
        Ok(())
    }
}

/// The protocol's numbers of errors are those of Linux; one it does not have means `EINVAL`.
fn errno(code: u32) -> io::Error {
    const KNOWN: [Errno; 8] = [
        Errno::PERM,
        Errno::IO,
        Errno::NOMEM,
        Errno::INVAL,
        Errno::NOSPC,
        Errno::OVERFLOW,
        Errno::NOTSUP,
        Errno::SHUTDOWN,
    ];
    let is_it = |known: &&Errno| u32::try_from(known.raw_os_error()) == Ok(code);
    let known = KNOWN.iter().find(is_it);
    (*known.unwrap_or(&Errno::INVAL)).into()
}
