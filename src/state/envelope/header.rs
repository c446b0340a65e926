//! The envelope's header block: a fixed part and a list of attributes.
//!
//! An attribute is a type byte, a flag byte, two zero bytes, a NUL-terminated name and a value
//! whose form the type gives; a zero byte in place of a type ends the list. The header is kept
//! and written back as bytes, so only what is needed is taken out of it.
//!
//! An attribute that is not known is judged by its flag, as the vendor's reader does (run, 6.7): 0
//! must be understood, 1 may be ignored. One that may be ignored is kept.

use super::nonce::Nonce;
use super::{BLOCK, EnvelopeError, check_zero, expect_magic, expect_size, expect_version};
use crate::bytes::le64;
use crate::state::key::Key;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::ops::Range;

pub(super) const MAGIC: &str = "DataTransformEnvelope";
const PART: &str = "header";
const SIZE_AT: usize = 504;
const VERSION_AT: usize = 508;
const ATTRIBUTES_AT: usize = 512;
/// Bytes of the header after its fixed part.
const SIZE: u32 = 0xe00;
const VERSION: u32 = 2;
const CIPHER: &str = "AES-256-GCM";

const IV: &str = "vmware.iv";
const KEY_INFO: &str = "vmware.keyInfo";
const CIPHER_NAME: &str = "vmware.cipherName";
const KEY_HASH: &str = "vmware.keyHash";

/// Attributes of the vendor's library that change what the content is. The others that it names
/// (contentType, internal.key, internal.key.hash, key.data, userworld.dump, vmkernel.dump: in 6.7's
/// binaries, with and without the `vmware.` in front) are of core dumps and of keys this program
/// has no use for; they go by their flag.
const COMPRESSION: [&str; 2] = ["vmware.compressionMethod", "compressionMethod"];

const MUST_BE_UNDERSTOOD: u8 = 0;
const MAY_BE_IGNORED: u8 = 1;

const STRING: u8 = 0x0b;
const BYTES: u8 = 0x0c;

/// One attribute; the value is a range of the header.
#[derive(Clone, Debug)]
struct Attribute<'a> {
    name: &'a str,
    kind: u8,
    flag: u8,
    value: Range<usize>,
    end: usize,
}

/// What the header of an envelope says.
#[derive(Clone, Debug)]
pub(in crate::state) struct Header {
    /// Where in the header the nonce lies.
    pub(super) iv_at: Range<usize>,
    pub(super) iv: Nonce,
    pub(super) key_info: String,
    pub(super) key_hash: [u8; 32],
}

impl Header {
    /// The id of the key it was encrypted with.
    pub(in crate::state) fn key_info(&self) -> &str {
        &self.key_info
    }

    /// Whether `key` has the hash that the header gives its key.
    pub(in crate::state) fn is_key(&self, key: &Key) -> bool {
        let hash = Sha256::new()
            .chain_update(self.cipher())
            .chain_update(key.as_bytes())
            .finalize();
        hash.as_slice() == self.key_hash
    }

    /// Whether `key`, by its id and its hash, is the one it was encrypted with.
    pub(super) fn check_key(&self, key: &Key, key_id: &str) -> Result<(), EnvelopeError> {
        if !key_id.eq_ignore_ascii_case(&self.key_info) {
            return Err(EnvelopeError::KeyId {
                wanted: self.key_info.clone(),
                held: key_id.to_owned(),
            });
        }
        if self.is_key(key) {
            Ok(())
        } else {
            Err(EnvelopeError::KeyHash {
                key_id: key_id.to_owned(),
            })
        }
    }

    pub(super) fn parse(header: &[u8; BLOCK]) -> Result<Self, EnvelopeError> {
        expect_magic(header, PART, MAGIC)?;
        expect_version(header, PART, VERSION_AT, VERSION)?;
        expect_size(header, PART, SIZE_AT, SIZE)?;
        check_zero(header, PART, MAGIC.len()..SIZE_AT)?;
        let attributes = attributes(header)?;
        check_cipher(header, &attributes)?;
        let (iv_at, iv) = bytes(header, &attributes, IV, "12 bytes, or 16", Nonce::of)?;
        let hash = |value: &[u8]| value.try_into().ok();
        let (_, key_hash) = bytes(header, &attributes, KEY_HASH, "32 bytes", hash)?;
        attributes.iter().try_for_each(check_attribute)?;
        Ok(Header {
            iv_at,
            iv,
            key_info: string(header, &attributes, KEY_INFO)?.to_owned(),
            key_hash,
        })
    }

    /// The cipher's name, which the hash of the key is salted with.
    pub(super) fn cipher(&self) -> &'static str {
        CIPHER
    }
}

/// Whether an attribute leaves the content readable.
fn check_attribute(attribute: &Attribute<'_>) -> Result<(), EnvelopeError> {
    let name = || attribute.name.to_owned();
    let known = [IV, KEY_INFO, CIPHER_NAME, KEY_HASH];
    if COMPRESSION.contains(&attribute.name) {
        return Err(EnvelopeError::Compressed { name: name() });
    }
    match attribute.flag {
        MUST_BE_UNDERSTOOD if known.contains(&attribute.name) => Ok(()),
        MUST_BE_UNDERSTOOD => Err(EnvelopeError::AttributeUnknown { name: name() }),
        MAY_BE_IGNORED => Ok(()),
        flag => Err(EnvelopeError::AttributeFlag { name: name(), flag }),
    }
}

fn check_cipher(header: &[u8], attributes: &[Attribute<'_>]) -> Result<(), EnvelopeError> {
    match string(header, attributes, CIPHER_NAME)? {
        CIPHER => Ok(()),
        other => Err(EnvelopeError::Cipher {
            name: other.to_owned(),
        }),
    }
}

/// Every attribute up to the end of the list, after which only zeros may follow.
fn attributes(header: &[u8; BLOCK]) -> Result<Vec<Attribute<'_>>, EnvelopeError> {
    let mut attributes = Vec::new();
    let mut names = BTreeSet::new();
    let mut at = ATTRIBUTES_AT;
    loop {
        match header.get(at) {
            Some(0) => break,
            Some(&kind) => {
                let attribute = attribute(header, at, kind)?;
                if !names.insert(attribute.name) {
                    return Err(EnvelopeError::AttributeDuplicate {
                        name: attribute.name.to_owned(),
                    });
                }
                at = attribute.end;
                attributes.push(attribute);
            }
            None => {
                return Err(EnvelopeError::AttributeOverrun {
                    offset: at,
                    name: String::new(),
                });
            }
        }
    }
    check_zero(header, PART, at..BLOCK)?;
    Ok(attributes)
}

fn attribute(header: &[u8], offset: usize, kind: u8) -> Result<Attribute<'_>, EnvelopeError> {
    let malformed = |part| EnvelopeError::AttributeMalformed { offset, part };
    let overrun = |name: &str| EnvelopeError::AttributeOverrun {
        offset,
        name: name.to_owned(),
    };
    let name_at = offset.saturating_add(4);
    match header.get(offset.saturating_add(2)..name_at) {
        None => return Err(overrun("")),
        Some(zeros) if zeros != [0, 0] => return Err(malformed("prefix")),
        Some(_) => {}
    }
    let name_end = nul(header, name_at).ok_or_else(|| overrun(""))?;
    let name = header.get(name_at..name_end).unwrap_or_default();
    let name = std::str::from_utf8(name).map_err(|_| malformed("name"))?;
    let value_at = name_end.saturating_add(1);
    let (value, end) = match kind {
        STRING => {
            let end = nul(header, value_at).ok_or_else(|| overrun(name))?;
            (value_at..end, end.saturating_add(1))
        }
        BYTES => {
            let len = le64(header, value_at).and_then(|len| usize::try_from(len).ok());
            let start = value_at.saturating_add(8);
            let end = len.and_then(|len| start.checked_add(len));
            let end = end.ok_or_else(|| overrun(name))?;
            (start..end, end)
        }
        // Unsigned and signed integers of 1, 2, 4 and 8 bytes.
        1..=8 => {
            let len = 1usize << ((kind - 1) % 4);
            let end = value_at.saturating_add(len);
            (value_at..end, end)
        }
        kind => return Err(EnvelopeError::AttributeType { offset, kind }),
    };
    if end > header.len() {
        return Err(overrun(name));
    }
    Ok(Attribute {
        name,
        kind,
        flag: header.get(offset.saturating_add(1)).copied().unwrap_or(0),
        value,
        end,
    })
}

/// Where the next NUL is.
fn nul(header: &[u8], from: usize) -> Option<usize> {
    let nul = header.get(from..)?.iter().position(|&byte| byte == 0)?;
    from.checked_add(nul)
}

fn find<'a, 'b>(
    attributes: &'b [Attribute<'a>],
    name: &'static str,
    kind: u8,
    expected: &'static str,
) -> Result<&'b Attribute<'a>, EnvelopeError> {
    let found = attributes.iter().find(|attribute| attribute.name == name);
    match found.ok_or(EnvelopeError::AttributeMissing { name })? {
        attribute if attribute.kind == kind => Ok(attribute),
        _ => Err(EnvelopeError::AttributeValue { name, expected }),
    }
}

fn string<'a>(
    header: &'a [u8],
    attributes: &[Attribute<'_>],
    name: &'static str,
) -> Result<&'a str, EnvelopeError> {
    let attribute = find(attributes, name, STRING, "a string")?;
    let value = header.get(attribute.value.clone()).unwrap_or_default();
    std::str::from_utf8(value).map_err(|_| EnvelopeError::AttributeValue {
        name,
        expected: "a string of UTF-8",
    })
}

fn bytes<T>(
    header: &[u8],
    attributes: &[Attribute<'_>],
    name: &'static str,
    expected: &'static str,
    read: impl Fn(&[u8]) -> Option<T>,
) -> Result<(Range<usize>, T), EnvelopeError> {
    let range = find(attributes, name, BYTES, expected)?.value.clone();
    let value = header.get(range.clone()).and_then(read);
    let value = value.ok_or(EnvelopeError::AttributeValue { name, expected })?;
    Ok((range, value))
}
