//! `local.tgz.ve`: the encrypted archive of 7.0 U2 and later, opened and written.
//!
//! A header block with attributes, a body, and a footer block with the authentication tag, each
//! a multiple of 4096 bytes. The body is AES-256-GCM over the archive, padding, and one block
//! whose end says how long the padding is. The header is authenticated too.
//!
//! Opening was verified on a real 7.0.2 state; writing it back unchanged gives the same file bit
//! for bit. That a host accepts a nonce other than its own was never tried: it reads the nonce
//! from the header.

mod error;
mod header;
mod nonce;

pub use error::EnvelopeError;

use super::key::Key;
use crate::bytes::{array, le32};
use aes_gcm::Tag;
pub(in crate::state) use header::Header;
use hmac::{Hmac, KeyInit, Mac};
use nonce::Nonce;
use sha2::Sha256;
use std::ops::Range;

const BLOCK: usize = 4096;
/// Authenticated after the header.
const CONTEXT: &[u8] = b"ESXConfiguration";

const AEAD_PART: &str = "AEAD footer";
const AEAD_MAGIC: &str = "DataTransformAeadFooter";
const AEAD_TAG_AT: usize = 32;
const AEAD_SIZE_AT: usize = 4088;
const AEAD_VERSION_AT: usize = 4092;
const TAG_LEN: usize = 16;
const TAG_SIZE: u32 = 16;
const AEAD_VERSION: u32 = 1;

const CRYPTO_PART: &str = "crypto footer";
const CRYPTO_MAGIC: &str = "DataTransformCryptoFooter";
const CRYPTO_LEN: usize = 512;
const CRYPTO_PADDING_AT: usize = 504;
const CRYPTO_VERSION_AT: usize = 508;
const CRYPTO_VERSION: u32 = 2;

/// Keeps nonces derived here apart from any other use of the key.
const NONCE_LABEL: &[u8] = b"bootbank local.tgz.ve nonce 1";

/// An envelope whose form has been checked; its content is still encrypted.
#[derive(Clone, Debug)]
pub struct Envelope<'a> {
    header: Header,
    header_block: &'a [u8; BLOCK],
    body: &'a [u8],
    footer: &'a [u8; BLOCK],
    tag: [u8; TAG_LEN],
}

/// What an envelope decrypts to: content, padding, crypto footer block.
#[derive(Clone, PartialEq, Eq)]
pub struct Plaintext {
    bytes: Vec<u8>,
    content_len: usize,
}

impl Plaintext {
    /// The content, without padding and footer.
    pub fn content(&self) -> &[u8] {
        self.bytes.get(..self.content_len).unwrap_or_default()
    }

    /// Splits off the content length that the crypto footer gives.
    fn new(bytes: Vec<u8>) -> Result<Self, EnvelopeError> {
        let len = bytes.len();
        let too_short = EnvelopeError::TooShort { len };
        let room = len.checked_sub(BLOCK).ok_or(too_short)?;
        let footer = bytes
            .get(len.saturating_sub(CRYPTO_LEN)..)
            .unwrap_or_default();
        expect_magic(footer, CRYPTO_PART, CRYPTO_MAGIC)?;
        expect_version(footer, CRYPTO_PART, CRYPTO_VERSION_AT, CRYPTO_VERSION)?;
        check_zero(footer, CRYPTO_PART, CRYPTO_MAGIC.len()..CRYPTO_PADDING_AT)?;
        let padding = le32(footer, CRYPTO_PADDING_AT).unwrap_or_default();
        let content_len = usize::try_from(padding)
            .ok()
            .and_then(|padding| room.checked_sub(padding))
            .ok_or(EnvelopeError::Padding { padding, room })?;
        Ok(Plaintext { bytes, content_len })
    }

    /// The same with other content: padding kept where its length stays, else zeros, and the
    /// crypto footer block with nothing but the padding length replaced.
    fn with_content(&self, content: &[u8]) -> Result<Self, EnvelopeError> {
        let len = content.len();
        let too_long = EnvelopeError::TooLong { len };
        let room = self.bytes.len().saturating_sub(BLOCK);
        let old_padding = self.bytes.get(self.content_len..room).unwrap_or_default();
        let padding = if len == self.content_len {
            old_padding.len()
        } else {
            len.next_multiple_of(BLOCK).saturating_sub(len)
        };
        let padding_field = u32::try_from(padding).map_err(|_| too_long)?;
        let mut bytes = Vec::with_capacity(len.saturating_add(padding).saturating_add(BLOCK));
        bytes.extend_from_slice(content);
        if padding == old_padding.len() {
            bytes.extend_from_slice(old_padding);
        } else {
            bytes.resize(len.saturating_add(padding), 0);
        }
        let footer = self.bytes.get(room..).unwrap_or_default();
        bytes.extend_from_slice(footer);
        let from_end = CRYPTO_LEN - CRYPTO_PADDING_AT;
        let field = bytes.len().saturating_sub(from_end);
        overwrite(&mut bytes, field, &padding_field.to_le_bytes());
        Ok(Plaintext {
            bytes,
            content_len: len,
        })
    }
}

impl std::fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plaintext")
            .field("content_len", &self.content_len)
            .finish_non_exhaustive()
    }
}

impl<'a> Envelope<'a> {
    /// Whether bytes begin as an envelope does, whatever comes then.
    pub fn is_one(file: &[u8]) -> bool {
        file.starts_with(header::MAGIC.as_bytes())
    }

    /// Checks the form of an envelope: lengths, names, versions, attributes.
    ///
    /// # Errors
    /// [`EnvelopeError`] names the block, attribute or offset that is wrong or not known.
    pub fn parse(file: &'a [u8]) -> Result<Self, EnvelopeError> {
        let len = file.len();
        if !len.is_multiple_of(BLOCK) {
            return Err(EnvelopeError::Unaligned { len });
        }
        let too_short = EnvelopeError::TooShort { len };
        let (header_block, rest) = file.split_first_chunk().ok_or(too_short.clone())?;
        let (body, footer) = rest.split_last_chunk().ok_or(too_short.clone())?;
        if body.is_empty() {
            return Err(too_short);
        }
        let header = Header::parse(header_block)?;
        let tag = check_aead_footer(footer)?;
        Ok(Envelope {
            header,
            header_block,
            body,
            footer,
            tag,
        })
    }

    /// The name of the key it was encrypted with: a UUID.
    pub fn key_info(&self) -> &str {
        &self.header.key_info
    }

    /// Decrypts the content with `key`, whose name is `key_id`.
    ///
    /// # Errors
    /// [`EnvelopeError::KeyId`], [`EnvelopeError::KeyHash`] where it is not the key;
    /// [`EnvelopeError::Tag`] where anything was altered; [`EnvelopeError::Padding`].
    pub fn decrypt(&self, key: &Key, key_id: &str) -> Result<Plaintext, EnvelopeError> {
        self.header.check_key(key, key_id)?;
        let mut bytes = self.body.to_vec();
        let aad = [self.header_block.as_slice(), CONTEXT].concat();
        let nonce = self.header.iv;
        nonce
            .decrypt(key, &aad, &mut bytes, &Tag::from(self.tag))
            .map_err(|_| EnvelopeError::Tag)?;
        Plaintext::new(bytes)
    }

    /// What an envelope decrypts to whose bytes are not all as they were written: the cipher turns
    /// each byte by itself, so that damage stays where it is. Nothing vouches for any of it, and what
    /// follows the content is not told from it.
    ///
    /// # Errors
    /// [`EnvelopeError`] where its header cannot be read, or the key is not its key.
    pub fn salvage(file: &[u8], key: &Key, key_id: &str) -> Result<Vec<u8>, EnvelopeError> {
        let len = file.len();
        let too_short = EnvelopeError::TooShort { len };
        let (header_block, body) = file.split_first_chunk().ok_or(too_short)?;
        let header = Header::parse(header_block)?;
        header.check_key(key, key_id)?;
        let mut bytes = body.to_vec();
        // In counter mode encrypting is decrypting; the tag that comes of it means nothing.
        let _ = (header.iv.encrypt(key, &[], &mut bytes))
            .map_err(|_| EnvelopeError::TooLong { len })?;
        Ok(bytes)
    }

    /// What stands before the encrypted bytes.
    pub(in crate::state) fn header(&self) -> &Header {
        &self.header
    }

    /// The same, of a file whose rest may be damaged.
    ///
    /// # Errors
    /// A header that is not whole.
    pub(in crate::state) fn header_of(file: &[u8]) -> Result<Header, EnvelopeError> {
        let too_short = EnvelopeError::TooShort { len: file.len() };
        Header::parse(file.first_chunk().ok_or(too_short)?)
    }

    /// The envelope with `content` in place of `old`, which it decrypted to.
    ///
    /// Header attributes and their order stay, and so does everything in the footers except
    /// padding length and tag. A changed plaintext gets a nonce of its own, derived from key and
    /// plaintext, so that the same content gives the same file; an unchanged one gives the
    /// original file. The result has been decrypted again.
    ///
    /// # Errors
    /// The errors of [`decrypt`](Self::decrypt).
    pub fn encrypt(
        &self,
        key: &Key,
        key_id: &str,
        old: &Plaintext,
        content: &[u8],
    ) -> Result<Vec<u8>, EnvelopeError> {
        self.header.check_key(key, key_id)?;
        let new = old.with_content(content)?;
        let nonce = if new.bytes == old.bytes {
            self.header.iv
        } else {
            self.nonce(key, &new)?
        };
        let file = self.seal(key, nonce, &new)?;
        let opened = Envelope::parse(&file)?.decrypt(key, key_id)?;
        if opened != new || opened.content() != content {
            return Err(EnvelopeError::Verification);
        }
        Ok(file)
    }

    fn seal(
        &self,
        key: &Key,
        nonce: Nonce,
        plaintext: &Plaintext,
    ) -> Result<Vec<u8>, EnvelopeError> {
        let mut header = *self.header_block;
        overwrite(&mut header, self.header.iv_at.start, nonce.as_bytes());
        let aad = [header.as_slice(), CONTEXT].concat();
        let mut body = plaintext.bytes.clone();
        let len = body.len();
        let tag = nonce.encrypt(key, &aad, &mut body);
        let tag = tag.map_err(|_| EnvelopeError::TooLong { len })?;
        let mut footer = *self.footer;
        overwrite(&mut footer, AEAD_TAG_AT, &tag);
        Ok([header.as_slice(), &body, &footer].concat())
    }

    /// A nonce of the plaintext, in the form of the one that is there: of a host's own the fixed text, then eight
    /// bytes, here from an HMAC under the key instead of a counter. The same plaintext gets the same one; that another under this key does,
    /// or that the host's counter comes to it, has a chance of 2^-64 for each of them.
    fn nonce(&self, key: &Key, new: &Plaintext) -> Result<Nonce, EnvelopeError> {
        let iv_at = &self.header.iv_at;
        let parts = [
            NONCE_LABEL,
            self.header_block.get(..iv_at.start).unwrap_or_default(),
            self.header_block.get(iv_at.end..).unwrap_or_default(),
            &new.bytes,
        ];
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key.as_bytes())
            .map_err(|_| EnvelopeError::Verification)?;
        for part in parts {
            mac.update(part);
        }
        Ok(self.header.iv.with_code(mac.finalize().into_bytes().into()))
    }
}

fn check_aead_footer(footer: &[u8; BLOCK]) -> Result<[u8; TAG_LEN], EnvelopeError> {
    expect_magic(footer, AEAD_PART, AEAD_MAGIC)?;
    expect_version(footer, AEAD_PART, AEAD_VERSION_AT, AEAD_VERSION)?;
    expect_size(footer, AEAD_PART, AEAD_SIZE_AT, TAG_SIZE)?;
    // The footer is not authenticated, so nothing else would notice an altered byte in it.
    check_zero(footer, AEAD_PART, AEAD_MAGIC.len()..AEAD_TAG_AT)?;
    check_zero(footer, AEAD_PART, AEAD_TAG_AT + TAG_LEN..AEAD_SIZE_AT)?;
    let len = footer.len();
    array(footer, AEAD_TAG_AT).ok_or(EnvelopeError::TooShort { len })
}

fn expect_magic(
    block: &[u8],
    part: &'static str,
    expected: &'static str,
) -> Result<(), EnvelopeError> {
    if block.starts_with(expected.as_bytes()) {
        return Ok(());
    }
    Err(EnvelopeError::Magic { part, expected })
}

fn expect_version(
    block: &[u8],
    part: &'static str,
    offset: usize,
    known: u32,
) -> Result<(), EnvelopeError> {
    let version = le32(block, offset).unwrap_or_default();
    if version == known {
        return Ok(());
    }
    Err(EnvelopeError::Version {
        part,
        version,
        known,
    })
}

fn expect_size(
    block: &[u8],
    part: &'static str,
    offset: usize,
    known: u32,
) -> Result<(), EnvelopeError> {
    let size = le32(block, offset).unwrap_or_default();
    if size == known {
        return Ok(());
    }
    Err(EnvelopeError::Size { part, size, known })
}

fn check_zero(block: &[u8], part: &'static str, range: Range<usize>) -> Result<(), EnvelopeError> {
    let start = range.start;
    let bytes = block.get(range).unwrap_or_default();
    match bytes.iter().zip(start..).find(|&(&byte, _)| byte != 0) {
        None => Ok(()),
        Some((&value, offset)) => Err(EnvelopeError::NotZero {
            part,
            offset,
            value,
        }),
    }
}

/// Puts `new` at `offset`, as far as it lies within `bytes`.
fn overwrite(bytes: &mut [u8], offset: usize, new: &[u8]) {
    let slots = bytes.iter_mut().skip(offset);
    for (slot, byte) in slots.zip(new) {
        *slot = *byte;
    }
}

#[cfg(test)]
mod tests;
