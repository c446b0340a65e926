//! What can be wrong with an envelope.

use crate::error::ErrorKind;
use thiserror::Error;

/// Why an envelope cannot be opened or written. Offsets are bytes from its start unless said
/// otherwise.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Too short for header, crypto footer and AEAD footer.
    #[error("the envelope has {len} bytes, less than its three fixed blocks")]
    TooShort {
        /// Its length in bytes.
        len: usize,
    },
    /// The length is no multiple of 4096.
    #[error("the envelope has {len} bytes, not a multiple of 4096")]
    Unaligned {
        /// Its length in bytes.
        len: usize,
    },
    /// A block does not begin with its name.
    #[error("the {part} does not begin with {expected}")]
    Magic {
        /// `header`, `AEAD footer` or `crypto footer`.
        part: &'static str,
        /// What it should begin with.
        expected: &'static str,
    },
    /// A byte that is always zero is not.
    #[error("byte {offset} of the {part} is {value:#04x}, but must be 0")]
    NotZero {
        /// `header`, `AEAD footer` or `crypto footer`.
        part: &'static str,
        /// Offset within that part.
        offset: usize,
        /// The byte.
        value: u8,
    },
    /// A version other than the known one.
    #[error("the {part} has version {version}; only {known} is known")]
    Version {
        /// `header`, `AEAD footer` or `crypto footer`.
        part: &'static str,
        /// What it says.
        version: u32,
        /// The version that is known.
        known: u32,
    },
    /// A length field other than the known one.
    #[error("the {part} gives its length as {size}; only {known} is known")]
    Size {
        /// `header` or `AEAD footer`.
        part: &'static str,
        /// What it says.
        size: u32,
        /// The length that is known.
        known: u32,
    },
    /// An attribute of a type that is not known, so that its end is not known either.
    #[error("the attribute at offset {offset} has the unknown type {kind:#04x}")]
    AttributeType {
        /// Where the attribute begins.
        offset: usize,
        /// Its type byte.
        kind: u8,
    },
    /// An attribute that does not end within the header.
    #[error("the attribute {name:?} at offset {offset} runs past the end of the header")]
    AttributeOverrun {
        /// Where the attribute begins.
        offset: usize,
        /// Its name, as far as there is one.
        name: String,
    },
    /// An attribute whose name or string is not UTF-8, or whose zero bytes are not zero.
    #[error("the attribute at offset {offset} has a malformed {part}")]
    AttributeMalformed {
        /// Where the attribute begins.
        offset: usize,
        /// `name`, `string` or `prefix`.
        part: &'static str,
    },
    /// An attribute given twice.
    #[error("the attribute {name:?} is there twice")]
    AttributeDuplicate {
        /// Its name.
        name: String,
    },
    /// An attribute of another type or length than it must have.
    #[error("the attribute {name} is not {expected}")]
    AttributeValue {
        /// Its name.
        name: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A required attribute is missing.
    #[error("the attribute {name} is missing")]
    AttributeMissing {
        /// Its name.
        name: &'static str,
    },
    /// An attribute that says of itself that it must be understood.
    #[error(
        "the attribute {name:?} must be understood to read the content, and bootbank does not know it"
    )]
    AttributeUnknown {
        /// Its name.
        name: String,
    },
    /// An attribute whose flag byte is neither 0 nor 1.
    #[error("the attribute {name:?} has the flag {flag}, and only 0 and 1 are known")]
    AttributeFlag {
        /// Its name.
        name: String,
        /// Its flag byte.
        flag: u8,
    },
    /// Content that is compressed before it is encrypted.
    #[error("the content is compressed (attribute {name:?}), which bootbank does not understand")]
    Compressed {
        /// The attribute that says so.
        name: String,
    },
    /// A cipher other than AES-256-GCM.
    #[error("the cipher is {name:?}, not AES-256-GCM")]
    Cipher {
        /// What the header says.
        name: String,
    },
    /// The envelope was made with another key.
    #[error("the envelope needs key {wanted}, but encryption.info holds {held}")]
    KeyId {
        /// The key named in the header.
        wanted: String,
        /// The key that is there.
        held: String,
    },
    /// The key's hash is not that of the header.
    #[error("key {key_id} does not match the hash in the header")]
    KeyHash {
        /// The key's name.
        key_id: String,
    },
    /// Header, body or tag have changed since the envelope was made.
    #[error("the authentication tag is wrong: the header, the body or the tag was altered")]
    Tag,
    /// More padding than there are data.
    #[error("the padding is {padding} bytes long, but there is room for only {room}")]
    Padding {
        /// What the crypto footer says.
        padding: u32,
        /// Bytes of data and padding together.
        room: usize,
    },
    /// The content is longer than the format can hold.
    #[error("the content has {len} bytes, too many to encrypt")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// What was written does not decrypt to what was to be written. A fault of this program.
    #[error("the new envelope does not decrypt to its content")]
    Verification,
}

impl EnvelopeError {
    /// What the error means to whoever has to act on it.
    pub fn kind(&self) -> ErrorKind {
        use EnvelopeError::*;
        match self {
            Version { .. }
            | Size { .. }
            | AttributeType { .. }
            | AttributeUnknown { .. }
            | AttributeFlag { .. }
            | Compressed { .. }
            | Cipher { .. }
            | TooLong { .. } => ErrorKind::Unsupported,
            Verification => ErrorKind::Refused,
            _ => ErrorKind::Damaged,
        }
    }
}
