//! The fixed newstyle handshake, up to the point where requests may be sent.

use super::NbdError;
use super::wire::{
    FIXED_NEWSTYLE, HAS_FLAGS, INFO_BLOCK_SIZE, INFO_EXPORT, NO_ZEROES, OLDSTYLE_MAGIC, OPT_GO,
    OPT_STRUCTURED_REPLY, OPTION_MAGIC, OPTION_REPLY_MAGIC, READ_ONLY, REP_ACK, REP_ERR_TLS_REQD,
    REP_ERR_UNKNOWN, REP_ERR_UNSUP, REP_ERROR, REP_INFO, SEND_FLUSH, SERVER_MAGIC, bytes_from,
    u16_from, u32_from, u64_from,
};
use std::io::{self, Read, Write};

/// Longest payload of a reply to an option: more than a name and a message come to.
const LONGEST_REPLY: u32 = 16 << 10;

/// Most replies to one option before the server counts as one that never ends.
const MOST_REPLIES: usize = 256;

/// Bytes of a server's message that are passed on.
const LONGEST_MESSAGE: usize = 200;

/// Sizes of requests a server takes, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockSizes {
    /// Start and length of a request are multiples of this: a power of two up to 64 KiB.
    pub minimum: u32,
    /// What the server likes best: a power of two.
    pub preferred: u32,
    /// No request is longer than this.
    pub maximum: u32,
}

impl Default for BlockSizes {
    /// What the protocol lets a client assume of a server that does not say.
    fn default() -> Self {
        BlockSizes {
            minimum: 1,
            preferred: 4096,
            maximum: 32 << 20,
        }
    }
}

impl BlockSizes {
    /// Reads the payload of `NBD_INFO_BLOCK_SIZE` behind its type.
    fn from_info(mut info: &[u8]) -> Result<Self, NbdError> {
        if info.len() != 12 {
            return Err(NbdError::Protocol("a fact of the wrong length"));
        }
        let sizes = BlockSizes {
            minimum: u32_from(&mut info)?,
            preferred: u32_from(&mut info)?,
            maximum: u32_from(&mut info)?,
        };
        let BlockSizes {
            minimum,
            preferred,
            maximum,
        } = sizes;
        let possible = minimum.is_power_of_two()
            && minimum <= 64 << 10
            && preferred.is_power_of_two()
            && preferred >= minimum.max(512)
            && maximum >= preferred
            && (maximum == u32::MAX || maximum.is_multiple_of(minimum));
        if possible {
            Ok(sizes)
        } else {
            Err(NbdError::Protocol("its block sizes cannot be"))
        }
    }
}

/// What a server says of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Facts {
    /// Size in bytes; a multiple of the smallest block.
    pub size: u64,
    /// Whether it takes no writes.
    pub read_only: bool,
    /// Whether it has `NBD_CMD_FLUSH`.
    pub can_flush: bool,
    /// Sizes of requests.
    pub blocks: BlockSizes,
    /// Whether it answers reads with structured replies.
    pub structured: bool,
}

/// Greets the server and asks for `export`.
pub(super) fn shake_hands<S: Read + Write>(
    stream: &mut S,
    export: &str,
) -> Result<Facts, NbdError> {
    greet(stream)?;
    send_option(stream, OPT_STRUCTURED_REPLY, &[])?;
    let structured = match reply_to(stream, OPT_STRUCTURED_REPLY)? {
        Reply::Ack => true,
        Reply::Error { code, .. } if code == REP_ERR_TLS_REQD => return Err(NbdError::Tls),
        Reply::Error { .. } => false,
        Reply::Info(_) => return Err(NbdError::Protocol("an answer to a question not asked")),
    };
    let (size, flags, blocks) = go(stream, export)?;
    if flags & HAS_FLAGS == 0 {
        return Err(NbdError::Protocol(
            "its flags lack the one that is always set",
        ));
    }
    Ok(Facts {
        size: size - size % u64::from(blocks.minimum),
        read_only: flags & READ_ONLY != 0,
        can_flush: flags & SEND_FLUSH != 0,
        blocks,
        structured,
    })
}

fn greet<S: Read + Write>(stream: &mut S) -> Result<(), NbdError> {
    if u64_from(stream)? != SERVER_MAGIC {
        return Err(NbdError::Protocol("it does not greet like an NBD server"));
    }
    match u64_from(stream)? {
        OPTION_MAGIC => {}
        OLDSTYLE_MAGIC => return Err(NbdError::TooOld("it knows only the oldstyle handshake")),
        _ => return Err(NbdError::Protocol("it does not greet like an NBD server")),
    }
    let offered = u16_from(stream)?;
    if offered & FIXED_NEWSTYLE == 0 {
        return Err(NbdError::TooOld(
            "it does not know the fixed newstyle handshake",
        ));
    }
    let flags = u32::from(offered & (FIXED_NEWSTYLE | NO_ZEROES));
    stream.write_all(&flags.to_be_bytes())?;
    Ok(())
}

/// `NBD_OPT_GO`: size, transmission flags and block sizes of the export; requests may follow.
fn go<S: Read + Write>(stream: &mut S, export: &str) -> Result<(u64, u16, BlockSizes), NbdError> {
    let mut data = Vec::new();
    let len = u32::try_from(export.len()).map_err(|_| NbdError::Address("its name is too long"))?;
    data.extend(len.to_be_bytes());
    data.extend(export.as_bytes());
    data.extend(1u16.to_be_bytes());
    data.extend(INFO_BLOCK_SIZE.to_be_bytes());
    send_option(stream, OPT_GO, &data)?;
    let mut facts = None;
    let mut blocks = BlockSizes::default();
    for _ in 0..MOST_REPLIES {
        match reply_to(stream, OPT_GO)? {
            Reply::Ack => {
                let (size, flags) =
                    facts.ok_or(NbdError::Protocol("it says nothing of the export"))?;
                return Ok((size, flags, blocks));
            }
            Reply::Info(info) => {
                let mut rest = info.as_slice();
                match u16_from(&mut rest)? {
                    INFO_EXPORT if rest.len() == 10 => {
                        facts = Some((u64_from(&mut rest)?, u16_from(&mut rest)?));
                    }
                    INFO_EXPORT => return Err(NbdError::Protocol("a fact of the wrong length")),
                    INFO_BLOCK_SIZE => blocks = BlockSizes::from_info(rest)?,
                    _ => {}
                }
            }
            Reply::Error { code, said } => return Err(refusal(code, said, export)),
        }
    }
    Err(NbdError::Protocol("its answer does not end"))
}

/// What an error in answer to `NBD_OPT_GO` means.
fn refusal(code: u32, said: String, export: &str) -> NbdError {
    match code {
        REP_ERR_UNSUP => NbdError::TooOld("it does not know NBD_OPT_GO"),
        REP_ERR_TLS_REQD => NbdError::Tls,
        REP_ERR_UNKNOWN => NbdError::NoExport {
            name: export.to_owned(),
            said,
        },
        _ => NbdError::Refused { said },
    }
}

/// One reply to an option.
enum Reply {
    Ack,
    /// A fact, with its type in front.
    Info(Vec<u8>),
    Error {
        code: u32,
        /// What the server said, fit to be shown.
        said: String,
    },
}

fn send_option(stream: &mut impl Write, option: u32, data: &[u8]) -> Result<(), NbdError> {
    let mut bytes = OPTION_MAGIC.to_be_bytes().to_vec();
    bytes.extend(option.to_be_bytes());
    let len = u32::try_from(data.len()).map_err(io::Error::other)?;
    bytes.extend(len.to_be_bytes());
    bytes.extend(data);
    stream.write_all(&bytes)?;
    Ok(())
}

fn reply_to(stream: &mut impl Read, option: u32) -> Result<Reply, NbdError> {
    if u64_from(stream)? != OPTION_REPLY_MAGIC || u32_from(stream)? != option {
        return Err(NbdError::Protocol("an answer that answers nothing asked"));
    }
    let kind = u32_from(stream)?;
    let len = u32_from(stream)?;
    if len > LONGEST_REPLY {
        return Err(NbdError::Protocol("an answer longer than any"));
    }
    let payload = bytes_from(stream, usize::try_from(len).map_err(io::Error::other)?)?;
    match kind {
        REP_ACK if len == 0 => Ok(Reply::Ack),
        REP_INFO if len >= 2 => Ok(Reply::Info(payload)),
        code if code & REP_ERROR != 0 => Ok(Reply::Error {
            code,
            said: message(&payload),
        }),
        _ => Err(NbdError::Protocol(
            "an answer of a kind that was not asked for",
        )),
    }
}

/// A server's own words, cut short.
fn message(payload: &[u8]) -> String {
    let text = String::from_utf8_lossy(payload);
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let short: String = text.chars().take(LONGEST_MESSAGE).map(clean).collect();
    short.trim().to_owned()
}
