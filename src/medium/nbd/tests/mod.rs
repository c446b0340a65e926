//! Servers that lie, as bytes; `tests/nbd/` has real ones.

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

#[test]
fn a_handshake_asks_for_the_export_by_name_and_learns_what_it_is() {
    let info = block_info(512, 4096, 1 << 20).and(export_info(8192 + 100, 0b111));
    let says = bytes().raw(GREETING).and(ack(8)).and(info).and(ack(7));
    let connection = meet(says).unwrap();
    let facts = connection.facts();
    assert_eq!(facts.size, 8192, "whole blocks");
    assert!(facts.read_only && facts.can_flush && facts.structured);
    let BlockSizes {
        minimum,
        preferred,
        maximum,
    } = facts.blocks;
    assert_eq!((minimum, preferred, maximum), (512, 4096, 1 << 20));
}

#[test]
fn a_server_that_cannot_be_used_is_named_for_it() {
    let greeted = || bytes().raw(GREETING).and(ack(8));
    for (says, words) in [
        (bytes(), "closed the connection"),
        (bytes().raw(b"SSH-2.0-x\r\n123456789"), "does not greet"),
        (
            bytes().raw(b"NBDMAGIC").u64(0x0000_4202_8186_1253),
            "oldstyle",
        ),
        (bytes().raw(b"NBDMAGICIHAVEOPT\0\x02"), "fixed newstyle"),
        (
            bytes()
                .raw(GREETING)
                .and(option_reply(8, REP_ERR_TLS_REQD, b"")),
            "TLS",
        ),
        (greeted().and(option_reply(7, REP_ERR_TLS_REQD, b"")), "TLS"),
        (
            greeted().and(option_reply(7, REP_ERR_UNSUP, b"")),
            "NBD_OPT_GO",
        ),
        (
            greeted().and(option_reply(7, REP_ERR_UNKNOWN, b"no\x1b[31m such")),
            "no export `name` (no [31m such)",
        ),
        (
            greeted().and(option_reply(7, 0x8000_0002, b"")),
            "refuses to serve",
        ),
    ] {
        let said = said(meet(says));
        assert!(said.contains(words), "{said} / {words}");
    }
}

#[test]
fn a_lie_in_the_handshake_ends_it() {
    let greeted = || bytes().raw(GREETING).and(ack(8));
    let endless = (0..1000).fold(greeted(), |says, _| says.and(export_info(8192, 5)));
    let lies = [
        ("no facts", greeted().and(ack(7))),
        ("endless", endless),
        ("another option's answer", greeted().and(ack(8))),
        (
            "a fact cut short",
            greeted().and(option_reply(7, REP_INFO, b"\0\0\0")),
        ),
        (
            "huge",
            greeted().and(
                bytes()
                    .u64(OPTION_REPLY_MAGIC)
                    .u32(7)
                    .u32(REP_INFO)
                    .u32(u32::MAX),
            ),
        ),
        (
            "flags without the first",
            greeted().and(export_info(8192, 4)).and(ack(7)),
        ),
        (
            "block sizes of 11 bytes",
            greeted().and(option_reply(7, REP_INFO, b"\0\x03123456789")),
        ),
        ("block of 3", greeted().and(block_info(3, 4096, 8192))),
        ("block of 0", greeted().and(block_info(0, 4096, 8192))),
        (
            "block of 128 KiB",
            greeted().and(block_info(128 << 10, 128 << 10, 128 << 10)),
        ),
        (
            "preferred below the smallest",
            greeted().and(block_info(4096, 512, 8192)),
        ),
        (
            "largest below the preferred",
            greeted().and(block_info(512, 4096, 512)),
        ),
        (
            "largest no multiple",
            greeted().and(block_info(512, 512, 1000)),
        ),
    ];
    for (name, says) in lies {
        let said = said(meet(says));
        assert!(said.contains("broke the protocol"), "{name}: {said}");
    }
}

#[test]
fn data_comes_whole_or_in_chunks_and_holes_in_any_order() {
    let data = |start: u64, bytes_: &[u8]| bytes().u64(start).raw(bytes_);
    assert_eq!(
        read_of(simple(0, 1, &[7; 512]), false, 512).unwrap(),
        [7; 512]
    );
    let says = chunk(0, CHUNK_DATA, 1, data(768, &[2; 256]))
        .and(chunk(0, CHUNK_HOLE, 1, bytes().u64(512).u32(128)))
        .and(chunk(0, CHUNK_DATA, 1, data(640, &[1; 128])))
        .and(chunk(DONE, CHUNK_NONE, 1, bytes()));
    let expected = [[0; 128].as_slice(), &[1; 128], &[2; 256]].concat();
    assert_eq!(read_of(says, true, 512).unwrap(), expected);
}

#[test]
fn an_error_of_the_server_is_an_errno_and_the_connection_goes_on() {
    let says = simple(5, 1, b"")
        .and(simple(4711, 2, b""))
        .and(simple(0, 3, &[9; 512]));
    let mut connection = meet(welcome(false).and(says)).unwrap();
    let mut buf = [0; 512];
    for expected in [5, 22] {
        match connection.read(&mut buf, 0) {
            Err(NbdError::Request(error)) => assert_eq!(error.raw_os_error(), Some(expected)),
            other => panic!("{other:?}"),
        }
    }
    connection.read(&mut buf, 0).unwrap();
    assert_eq!(buf, [9; 512]);
    // A structured one ends with the chunk that says so, and what came with it does not count.
    let error = |flags, kind| chunk(flags, kind, 1, bytes().u32(28).u16(4).raw(b"full"));
    let says = error(0, 0x8001).and(error(DONE, 0x8009));
    assert!(said(read_of(says, true, 512)).contains("No space left"));
}

#[test]
fn a_reply_that_answers_something_else_is_not_believed() {
    let data = |start: u64, len: usize| bytes().u64(start).raw(&vec![1; len]);
    let whole = || chunk(DONE, CHUNK_DATA, 1, data(512, 512));
    let lies = [
        ("wrong cookie", simple(0, 2, &[1; 512]), false),
        ("structured though not agreed", whole(), false),
        (
            "simple though structured was agreed",
            simple(0, 1, &[1; 512]),
            true,
        ),
        (
            "wrong cookie of a chunk",
            chunk(DONE, CHUNK_DATA, 9, data(512, 512)),
            true,
        ),
        (
            "before what was asked",
            chunk(DONE, CHUNK_DATA, 1, data(511, 512)),
            true,
        ),
        (
            "behind what was asked",
            chunk(DONE, CHUNK_DATA, 1, data(1024, 1)),
            true,
        ),
        (
            "more than was asked",
            chunk(DONE, CHUNK_DATA, 1, data(512, 513)),
            true,
        ),
        (
            "less than was asked",
            chunk(DONE, CHUNK_DATA, 1, data(512, 511)),
            true,
        ),
        ("nothing at all", chunk(DONE, CHUNK_NONE, 1, bytes()), true),
        (
            "no data in it",
            chunk(DONE, CHUNK_DATA, 1, bytes().u64(512)),
            true,
        ),
        (
            "twice",
            chunk(0, CHUNK_DATA, 1, data(600, 9)).and(whole()),
            true,
        ),
        (
            "an empty hole",
            chunk(0, CHUNK_HOLE, 1, bytes().u64(512).u32(0)).and(whole()),
            true,
        ),
        (
            "a huge hole",
            chunk(DONE, CHUNK_HOLE, 1, bytes().u64(512).u32(u32::MAX)),
            true,
        ),
        (
            "a hole at the end of all",
            chunk(DONE, CHUNK_HOLE, 1, bytes().u64(u64::MAX).u32(2)),
            true,
        ),
        (
            "the end without saying so",
            chunk(0, CHUNK_NONE, 1, bytes()).and(whole()),
            true,
        ),
        (
            "an unknown kind",
            chunk(DONE, 5, 1, bytes().u64(0).u32(1)),
            true,
        ),
        (
            "an error cut short",
            chunk(DONE, 0x8001, 1, bytes().u32(5)),
            true,
        ),
        (
            "an error that is none",
            chunk(DONE, 0x8001, 1, bytes().u32(0).u16(0)),
            true,
        ),
        ("another magic", bytes().u32(1).raw(&[0; 64]), true),
        (
            "errors without end",
            (0..100).fold(bytes(), |says, _| {
                says.and(chunk(0, 0x8001, 1, bytes().u32(5).u16(0)))
            }),
            true,
        ),
        (
            "a huge error",
            bytes()
                .u32(STRUCTURED_REPLY_MAGIC)
                .u16(0)
                .u16(0x8001)
                .u64(1)
                .u32(u32::MAX),
            true,
        ),
        (
            "huge data",
            bytes()
                .u32(STRUCTURED_REPLY_MAGIC)
                .u16(0)
                .u16(CHUNK_DATA)
                .u64(1)
                .u32(u32::MAX)
                .u64(512),
            true,
        ),
    ];
    for (name, says, structured) in lies {
        let said = said(read_of(says, structured, 512));
        assert!(said.contains("broke the protocol"), "{name}: {said}");
    }
}

#[test]
fn nothing_is_sent_after_a_broken_reply() {
    let says = simple(0, 77, b"").and(simple(0, 2, b""));
    let mut connection = meet(welcome(false).and(says)).unwrap();
    assert!(said(connection.write(&[1; 512], 0)).contains("another request"));
    assert!(matches!(
        connection.flush(),
        Err(NbdError::Lost(Disconnection::Closed))
    ));
    assert!(connection.disconnect().is_err());
}

#[test]
fn a_reply_that_breaks_off_is_a_lost_connection_and_not_the_end_of_the_medium() {
    for len in 0..16 + 512 {
        let whole = simple(0, 1, &[1; 512]).0;
        let error = read_of(bytes().raw(&whole[..len]), false, 512).unwrap_err();
        assert!(
            matches!(error, NbdError::Lost(Disconnection::Closed)),
            "{len}: {error}"
        );
    }
}

#[test]
fn silence_ends_after_a_while() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    theirs.write_all(&welcome(false).0).unwrap();
    let mut connection = Connection::negotiate(ours, "name").unwrap();
    let silent = connection.read(&mut [0; 512], 0);
    assert!(matches!(silent, Err(NbdError::Lost(Disconnection::Silent))));
    // What comes too late is not taken for an answer to anything.
    theirs.write_all(&simple(0, 1, &[1; 512]).0).unwrap();
    assert!(matches!(
        connection.flush(),
        Err(NbdError::Lost(Disconnection::Closed))
    ));
}

/// Says one byte at a time, each within the time that is waited for one.
struct Dripping {
    script: Script,
    pause: Duration,
}

impl Read for Dripping {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        std::thread::sleep(self.pause);
        let len = buf.len().min(1);
        self.script.read(&mut buf[..len])
    }
}

impl Write for Dripping {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.script.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_server_that_drips_is_given_up_and_each_request_has_its_own_time() {
    let dripping = |answers: Bytes, pause: u64| Dripping {
        script: Script {
            says: Cursor::new(welcome(false).and(answers).0),
            heard: Vec::new(),
        },
        pause: Duration::from_micros(pause),
    };
    let answers = (1..=3).fold(bytes(), |all, cookie| all.and(simple(0, cookie, &[1; 512])));
    // With time enough every answer is had.
    let mut drips = dripping(answers.clone(), 0);
    let patience = Duration::from_secs(30);
    let mut connection = Connection::negotiate_within(drips, "name", patience).unwrap();
    for _ in 0..3 {
        connection.read(&mut [0; 512], 0).unwrap();
    }
    drips = dripping(answers, 1000);
    let patience = Duration::from_millis(300);
    let slow = Connection::negotiate_within(drips, "name", patience)
        .and_then(|mut connection| connection.read(&mut [0; 512], 0));
    assert!(matches!(slow, Err(NbdError::Lost(Disconnection::Slow))));
}

#[test]
fn an_export_is_had_for_writing_only_where_it_takes_writes_and_flushes() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let open = |flags: u16, access: Access| {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let greeting = bytes()
            .raw(GREETING)
            .and(option_reply(8, REP_ERR_UNSUP, b""));
        let facts = greeting.and(export_info(8192, flags)).and(ack(7));
        let first = simple(0, 1, &[0; ImageFormat::SNIFF_LEN]);
        theirs.write_all(&facts.and(first).0).unwrap();
        Export::of_virtual_disk(ours, file.path(), access, &Host::default())
    };
    for flags in [0b001, 0b011, 0b101, 0b111] {
        assert!(open(flags, Access::Read).is_ok(), "{flags:b}");
    }
    assert!(open(0b101, Access::Write).is_ok());
    for (flags, words) in [(0b001, "no flush"), (0b111, "takes no writes")] {
        let error = open(flags, Access::Write).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.to_string().contains(words), "{error}");
    }
    let read = open(0b101, Access::Read).unwrap();
    assert!(
        ClaimedTarget::from_export(read).is_err(),
        "opened to be read"
    );
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
