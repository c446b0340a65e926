//! Numbers of the protocol, and reading and writing them: everything is big-endian.

use std::io::{self, Read};

/// First word of every server: `NBDMAGIC`.
pub(super) const SERVER_MAGIC: u64 = 0x4e42_444d_4147_4943;
/// Second word of a newstyle server, and first of every option: `IHAVEOPT`.
pub(super) const OPTION_MAGIC: u64 = 0x4948_4156_454f_5054;
/// Second word of an oldstyle server.
pub(super) const OLDSTYLE_MAGIC: u64 = 0x0000_4202_8186_1253;
/// First word of a reply to an option.
pub(super) const OPTION_REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
/// First word of a request.
pub(super) const REQUEST_MAGIC: u32 = 0x2560_9513;
/// First word of a simple reply.
pub(super) const SIMPLE_REPLY_MAGIC: u32 = 0x6744_6698;
/// First word of a chunk of a structured reply.
pub(super) const STRUCTURED_REPLY_MAGIC: u32 = 0x668e_33ef;

/// Flags of server and client in the handshake.
pub(super) const FIXED_NEWSTYLE: u16 = 1;
pub(super) const NO_ZEROES: u16 = 1 << 1;

pub(super) const OPT_GO: u32 = 7;
pub(super) const OPT_STRUCTURED_REPLY: u32 = 8;

pub(super) const REP_ACK: u32 = 1;
pub(super) const REP_INFO: u32 = 3;
pub(super) const REP_ERROR: u32 = 1 << 31;
pub(super) const REP_ERR_UNSUP: u32 = REP_ERROR | 1;
pub(super) const REP_ERR_TLS_REQD: u32 = REP_ERROR | 5;
pub(super) const REP_ERR_UNKNOWN: u32 = REP_ERROR | 6;

pub(super) const INFO_EXPORT: u16 = 0;
pub(super) const INFO_BLOCK_SIZE: u16 = 3;

/// Transmission flags.
pub(super) const HAS_FLAGS: u16 = 1;
pub(super) const READ_ONLY: u16 = 1 << 1;
pub(super) const SEND_FLUSH: u16 = 1 << 2;

pub(super) const CMD_READ: u16 = 0;
pub(super) const CMD_WRITE: u16 = 1;
pub(super) const CMD_DISC: u16 = 2;
pub(super) const CMD_FLUSH: u16 = 3;

/// Flag of the last chunk of a structured reply.
pub(super) const DONE: u16 = 1;

pub(super) const CHUNK_NONE: u16 = 0;
pub(super) const CHUNK_DATA: u16 = 1;
pub(super) const CHUNK_HOLE: u16 = 2;
/// Set in the type of every chunk that tells of an error.
pub(super) const CHUNK_ERROR: u16 = 1 << 15;

pub(super) fn u16_from(stream: &mut impl Read) -> io::Result<u16> {
    array_from(stream).map(u16::from_be_bytes)
}

pub(super) fn u32_from(stream: &mut impl Read) -> io::Result<u32> {
    array_from(stream).map(u32::from_be_bytes)
}

pub(super) fn u64_from(stream: &mut impl Read) -> io::Result<u64> {
    array_from(stream).map(u64::from_be_bytes)
}

/// That many bytes; a caller has held the number against a limit.
pub(super) fn bytes_from(stream: &mut impl Read, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn array_from<const N: usize>(stream: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}
