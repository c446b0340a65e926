//! What can be wrong with a gzip member.

use crate::error::{ErrorKind, counted};
use thiserror::Error;

/// Why bytes are not the one gzip member they should be, or cannot be made one.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum GzipError {
    /// Nothing at all. The host would start with an empty configuration.
    #[error("the file is empty")]
    Empty,
    /// The first two bytes are not `1f 8b`.
    #[error(
        "this is not gzip: the file begins with {} instead of 1f 8b",
        in_hex(found)
    )]
    NotGzip {
        /// The first bytes met, at most two.
        found: Vec<u8>,
    },
    /// A compression method other than deflate.
    #[error("the gzip method at offset 2 is {method}, not deflate (8)")]
    Method {
        /// The method byte.
        method: u8,
    },
    /// Flag bits that no version of the format defines.
    #[error("the gzip flags {flags:#04x} at offset 3 have reserved bits set")]
    ReservedFlags {
        /// The flag byte.
        flags: u8,
    },
    /// The header's own checksum (FHCRC) is not that of the header.
    #[error("the gzip header checksum is wrong: stored {stored:#06x}, computed {computed:#06x}")]
    HeaderCrc {
        /// What the header says.
        stored: u16,
        /// What its bytes give.
        computed: u16,
    },
    /// The file ends inside the header, the compressed data or the trailer.
    #[error("the gzip file is cut off in its {part} after {len} bytes")]
    Truncated {
        /// `header`, `data` or `trailer`.
        part: &'static str,
        /// Length of the file in bytes.
        len: usize,
    },
    /// The compressed data are not valid deflate.
    #[error("the compressed data near offset {offset} are damaged")]
    Deflate {
        /// Offset in the file up to which they were read.
        offset: u64,
    },
    /// The trailer's CRC-32 is not that of the data.
    #[error("the gzip CRC is wrong: stored {stored:#010x}, computed {computed:#010x}")]
    BadCrc {
        /// What the trailer says.
        stored: u32,
        /// What the data give.
        computed: u32,
    },
    /// The trailer's length is not that of the data.
    #[error("the gzip trailer says {stored} bytes, but the data have {actual} (modulo 2^32)")]
    BadSize {
        /// What the trailer says.
        stored: u32,
        /// Unpacked length in bytes modulo 2^32.
        actual: u32,
    },
    /// Another gzip member follows the first.
    #[error("a second gzip member begins at offset {offset}")]
    SecondMember {
        /// Offset in the file.
        offset: usize,
    },
    /// Something other than a gzip member follows the first.
    #[error(
        "other data follow the gzip trailer at offset {offset}: {}",
        counted(count, "byte")
    )]
    TrailingBytes {
        /// Offset in the file of the first of them.
        offset: usize,
        /// How many.
        count: usize,
    },
    /// The data would be longer than the limit allows.
    #[error("it unpacks to more than the limit of {limit} bytes")]
    OverLimit {
        /// The limit in bytes.
        limit: u64,
    },
    /// All that is held unpacked at a time would be more than is allowed.
    #[error("what has to be unpacked at the same time is more than the limit of {limit} bytes")]
    OverBudget {
        /// The limit in bytes.
        limit: u64,
    },
    /// The operating system gives no more memory.
    #[error("there is not enough memory to unpack it: {needed} bytes are needed")]
    NoMemory {
        /// Bytes needed at least.
        needed: u64,
    },
    /// The compressor failed; not known to happen.
    #[error("cannot compress the data")]
    Compress,
}

/// Bytes as in a hex dump: `1f 8b`.
fn in_hex(bytes: &[u8]) -> String {
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(" ")
}

impl GzipError {
    /// What the error means to whoever has to act on it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            GzipError::Method { .. } | GzipError::ReservedFlags { .. } => ErrorKind::Unsupported,
            GzipError::OverLimit { .. } | GzipError::OverBudget { .. } => ErrorKind::Refused,
            GzipError::Compress | GzipError::NoMemory { .. } => ErrorKind::Io,
            _ => ErrorKind::Damaged,
        }
    }
}
