//! Servers that lie, as bytes; `tests/nbd/` has real ones.

mod handshake;
mod patience;
mod replies;

use super::wire::{
    CHUNK_DATA, CHUNK_HOLE, CHUNK_NONE, DONE, OPTION_REPLY_MAGIC, REP_ACK, REP_ERR_TLS_REQD,
    REP_ERR_UNKNOWN, REP_ERR_UNSUP, REP_INFO, SIMPLE_REPLY_MAGIC, STRUCTURED_REPLY_MAGIC,
};
use super::*;
use crate::error::ErrorKind;
use crate::host::Host;
use crate::medium::{Access, ClaimedTarget, ImageFormat};
use proptest::prelude::*;
use std::io::{self, Cursor, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Says what it was given, whatever is said to it, and keeps that.
struct Script {
    says: Cursor<Vec<u8>>,
    heard: Vec<u8>,
}

impl Read for Script {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.says.read(buf)
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.heard.extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes of a message, big-endian.
#[derive(Clone, Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn u16(mut self, n: u16) -> Self {
        self.0.extend(n.to_be_bytes());
        self
    }
    fn u32(mut self, n: u32) -> Self {
        self.0.extend(n.to_be_bytes());
        self
    }
    fn u64(mut self, n: u64) -> Self {
        self.0.extend(n.to_be_bytes());
        self
    }
    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }
    fn and(self, other: Bytes) -> Self {
        self.raw(&other.0)
    }
}

fn bytes() -> Bytes {
    Bytes::default()
}

const GREETING: &[u8] = b"NBDMAGICIHAVEOPT\0\x03";

fn option_reply(option: u32, kind: u32, payload: &[u8]) -> Bytes {
    let len = u32::try_from(payload.len()).unwrap();
    bytes()
        .u64(OPTION_REPLY_MAGIC)
        .u32(option)
        .u32(kind)
        .u32(len)
        .raw(payload)
}

fn export_info(size: u64, flags: u16) -> Bytes {
    option_reply(7, REP_INFO, &bytes().u16(0).u64(size).u16(flags).0)
}

fn block_info(minimum: u32, preferred: u32, maximum: u32) -> Bytes {
    let info = bytes().u16(3).u32(minimum).u32(preferred).u32(maximum);
    option_reply(7, REP_INFO, &info.0)
}

fn ack(option: u32) -> Bytes {
    option_reply(option, REP_ACK, &[])
}

/// A handshake for an export of 8192 bytes that takes writes and flushes.
fn welcome(structured: bool) -> Bytes {
    let first = if structured {
        ack(8)
    } else {
        option_reply(8, REP_ERR_UNSUP, b"")
    };
    let greeting = bytes().raw(GREETING).and(first);
    greeting.and(export_info(8192, 0b101)).and(ack(7))
}

fn meet(says: Bytes) -> Result<Connection<Script>, NbdError> {
    let script = Script {
        says: Cursor::new(says.0),
        heard: Vec::new(),
    };
    Connection::negotiate(script, "name")
}

fn read_of(says: Bytes, structured: bool, len: usize) -> Result<Vec<u8>, NbdError> {
    let mut connection = meet(welcome(structured).and(says)).unwrap();
    let mut buf = vec![0xee; len];
    connection.read(&mut buf, 512).map(|()| buf)
}

fn chunk(flags: u16, kind: u16, cookie: u64, payload: Bytes) -> Bytes {
    let len = u32::try_from(payload.0.len()).unwrap();
    bytes()
        .u32(STRUCTURED_REPLY_MAGIC)
        .u16(flags)
        .u16(kind)
        .u64(cookie)
        .u32(len)
        .and(payload)
}

fn simple(error: u32, cookie: u64, data: &[u8]) -> Bytes {
    let head = bytes().u32(SIMPLE_REPLY_MAGIC).u32(error).u64(cookie);
    head.raw(data)
}

fn said<T>(result: Result<T, NbdError>) -> String {
    result
        .err()
        .map_or("nothing wrong".to_owned(), |error| error.to_string())
}

/// A server that means well, in memory: what it is asked for is answered at once.
struct Honest {
    disk: Vec<u8>,
    minimum: u64,
    maximum: u64,
    says: Vec<u8>,
    requests: usize,
}

impl Read for Honest {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = buf.len().min(self.says.len());
        buf[..len].copy_from_slice(&self.says[..len]);
        self.says.drain(..len);
        Ok(len)
    }
}

impl Write for Honest {
    fn write(&mut self, bytes_: &[u8]) -> io::Result<usize> {
        if bytes_.get(..4) != Some(&super::wire::REQUEST_MAGIC.to_be_bytes()) {
            return Ok(bytes_.len());
        }
        let at = |range: std::ops::Range<usize>| {
            let bytes_ = &bytes_[range];
            bytes_
                .iter()
                .fold(0u64, |n, byte| n << 8 | u64::from(*byte))
        };
        let (command, cookie, offset, len) = (at(6..8), at(8..16), at(16..24), at(24..28));
        assert!(offset.is_multiple_of(self.minimum) && len.is_multiple_of(self.minimum));
        assert!(len <= self.maximum && len > 0);
        let range = usize::try_from(offset).unwrap()..usize::try_from(offset + len).unwrap();
        let answer = match command {
            0 => simple(0, cookie, &self.disk[range]),
            1 => {
                self.disk[range].copy_from_slice(&bytes_[28..]);
                simple(0, cookie, b"")
            }
            _ => panic!("{command}"),
        };
        self.says.extend(answer.0);
        self.requests += 1;
        Ok(bytes_.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_range_is_read_and_written_in_requests_the_server_takes(
        minimum in prop::sample::select(vec![1u32, 512, 4096, 65536]),
        blocks in 1u32..4,
        offset in 0u64..200_000,
        len in 1usize..150_000,
        fill in any::<u8>(),
    ) {
        let size = 6usize * 65536;
        let maximum = minimum.max(512) * blocks;
        let says = bytes()
            .raw(GREETING)
            .and(option_reply(8, REP_ERR_UNSUP, b""))
            .and(block_info(minimum, minimum.max(512), maximum))
            .and(export_info(size as u64, 0b101))
            .and(ack(7));
        let mut disk: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let server = Honest {
            disk: disk.clone(),
            minimum: u64::from(minimum),
            maximum: u64::from(maximum),
            says: says.0,
            requests: 0,
        };
        let mut connection = Connection::negotiate(server, "").unwrap();
        let start = usize::try_from(offset).unwrap();
        let mut buf = vec![0; len];
        connection.read(&mut buf, offset).unwrap();
        prop_assert!(buf == disk[start..start + len]);
        connection.write(&vec![fill; len], offset).unwrap();
        disk[start..start + len].fill(fill);
        let mut after = vec![0; size];
        connection.read(&mut after, 0).unwrap();
        prop_assert!(after == disk);
    }

    #[test]
    fn whatever_a_server_says_there_is_an_end_to_it(
        structured: bool,
        noise in prop::collection::vec(any::<u8>(), 0..4096),
    ) {
        let _ = meet(bytes().raw(&noise));
        let _ = read_of(bytes().raw(&noise), structured, 4096);
    }
}
