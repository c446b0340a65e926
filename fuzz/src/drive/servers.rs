//! An NBD server that may say anything.

use bootbank::medium::nbd::Connection;
use std::io::{self, Read, Write};

/// Most bytes read from an export.
const LEN: u64 = 4096;

/// Says what it was given, whatever is said to it.
struct Script<'b>(&'b [u8]);

impl Read for Script<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for Script<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Handshake, a read, a write, a flush and the leave-taking. Deep is an answer to all of them.
pub fn nbd(data: &[u8]) -> bool {
    let Ok(mut connection) = Connection::negotiate(Script(data), "export") else {
        return false;
    };
    let facts = connection.facts();
    let minimum = facts.blocks.minimum;
    assert!(minimum.is_power_of_two() && facts.size.is_multiple_of(minimum.into()));
    let len = facts.size.min(LEN);
    let mut buf = vec![0; len as usize];
    let offset = facts.size - len;
    let answered = connection.read(&mut buf, offset).is_ok()
        && connection.write(&buf, offset).is_ok()
        && connection.flush().is_ok();
    answered && connection.disconnect().is_ok()
}
