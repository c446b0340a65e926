//! `encryption.info`: how the key of an encrypted configuration is kept, and the key itself.
//!
//! The file is lines of `name = "value"`. In mode `NONE` it holds everything the key is derived
//! from; in any other mode (`TPM`) the key is sealed to the machine and this module only says so.
//!
//! Form and derivation were verified on a real 7.0.2 state. The fields of a sealed store have
//! not been seen and are not looked at.

use super::key::Key;
use super::recovery_key::RecoveryKey;
use crate::error::ErrorKind;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use pbkdf2::{Algorithm, Params, Pbkdf2};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use thiserror::Error;
use zeroize::Zeroizing;

/// The mode in which the key can be derived from the file alone.
const MODE_NONE: &str = "NONE";
const PHRASE: &[u8] = b"This is obfuscation, not encryption. If you want encryption, use TPM.";
/// PBKDF2 with HMAC-SHA-256 and this number of rounds, which is held against what its crate allows when this is compiled.
const DERIVATION: Pbkdf2 = match Params::new(100_000) {
    Ok(params) => Pbkdf2::new(Algorithm::Pbkdf2Sha256, params),
    Err(_) => panic!("the number of rounds is allowed"),
};
const PART: usize = 16;
/// A real file has four lines and 193 bytes; a sealed one some hundreds.
const MAX_LEN: usize = 64 * 1024;

/// Why `encryption.info` cannot be understood. Lines are counted from 1.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyStoreError {
    /// Larger than any such file.
    #[error("the file has {len} bytes, more than {MAX_LEN}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// Not UTF-8.
    #[error("byte {offset} is not UTF-8 text")]
    NotText {
        /// Offset of the first byte that is not.
        offset: usize,
    },
    /// A line that is not `name = "value"`.
    #[error("line {line} is not of the form name = \"value\"")]
    Line {
        /// Its number.
        line: usize,
    },
    /// A name given twice.
    #[error("{name} is there twice")]
    Duplicate {
        /// The name of the line, or of the field within `ConfigEncData`.
        name: String,
    },
    /// A line or field that must be there is not.
    #[error("{name} is missing")]
    Missing {
        /// The name of the line, or of the field within `ConfigEncData`.
        name: &'static str,
    },
    /// A text encoding other than UTF-8.
    #[error(".encoding is {value:?}, not UTF-8")]
    Encoding {
        /// What the file says.
        value: String,
    },
    /// A field of `ConfigEncData` without a value.
    #[error("field {index} of ConfigEncData is not of the form name=value")]
    Field {
        /// Its number, from 1.
        index: usize,
    },
    /// A `%` that two hexadecimal digits do not follow, or bytes that are not ASCII.
    #[error("the percent-encoding of {name} in ConfigEncData is broken")]
    PercentEncoding {
        /// The field's name.
        name: &'static str,
    },
    /// A value that is not base64.
    #[error("{name} in ConfigEncData is not base64")]
    Base64 {
        /// The field's name.
        name: &'static str,
    },
    /// A value of the wrong length.
    #[error("{name} in ConfigEncData has {len} bytes instead of {PART}")]
    Length {
        /// The field's name.
        name: &'static str,
        /// Its length in bytes.
        len: usize,
    },
    /// A version of `ConfigEncData` other than 1.
    #[error("ConfigEncData has version {value:?}, not 1")]
    Version {
        /// What the file says.
        value: String,
    },
    /// The key was asked for, but it is not in the file.
    #[error("the key is not in the file (mode {mode})")]
    Sealed {
        /// The mode.
        mode: String,
    },
}

impl KeyStoreError {
    /// What the error means to whoever has to act on it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            KeyStoreError::Encoding { .. }
            | KeyStoreError::Version { .. }
            | KeyStoreError::TooLong { .. } => ErrorKind::Unsupported,
            KeyStoreError::Sealed { .. } => ErrorKind::Refused,
            _ => ErrorKind::Damaged,
        }
    }
}

/// What the key is derived from in mode `NONE`.
#[derive(Clone)]
struct KeyParts {
    key_id: [u8; PART],
    data1: Zeroizing<[u8; PART]>,
    data2: Zeroizing<[u8; PART]>,
}

impl KeyParts {
    fn derive(&self) -> Key {
        let mut password = Zeroizing::new(Vec::with_capacity(PART.saturating_add(PHRASE.len())));
        password.extend_from_slice(&*self.data1);
        password.extend_from_slice(PHRASE);
        let mut key = Zeroizing::new([0; 32]);
        // By a function of its crate that is generic over nothing, so that a debug build has it optimised too.
        DERIVATION.hash_password_into(&password, &*self.data2, &mut *key);
        Key::new(key)
    }

    /// Tells parts apart without keeping them.
    fn digest(&self) -> [u8; 32] {
        let digest = Sha256::new();
        let digest = digest.chain_update(self.data1.as_slice());
        let digest = digest.chain_update(self.data2.as_slice());
        digest.finalize().into()
    }
}

/// A parsed `encryption.info`.
#[derive(Clone)]
pub struct EncryptionInfo {
    mode: String,
    parts: Option<KeyParts>,
}

impl fmt::Debug for EncryptionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptionInfo")
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

impl EncryptionInfo {
    /// Reads the file. In a mode other than `NONE` only the mode is looked at.
    ///
    /// # Errors
    /// [`KeyStoreError`] names the line or field that is malformed or missing.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyStoreError> {
        let len = bytes.len();
        if len > MAX_LEN {
            return Err(KeyStoreError::TooLong { len });
        }
        let text = std::str::from_utf8(bytes).map_err(|err| KeyStoreError::NotText {
            offset: err.valid_up_to(),
        })?;
        let lines = lines(text)?;
        let mode = *lines
            .get("mode")
            .ok_or(KeyStoreError::Missing { name: "mode" })?;
        let parts = if mode == MODE_NONE {
            let encoding = lines.get(".encoding").copied().unwrap_or("UTF-8");
            if !encoding.eq_ignore_ascii_case("UTF-8") {
                return Err(KeyStoreError::Encoding {
                    value: encoding.to_owned(),
                });
            }
            let name = "ConfigEncData";
            let data = lines.get(name).ok_or(KeyStoreError::Missing { name })?;
            Some(key_parts(data)?)
        } else {
            None
        };
        Ok(EncryptionInfo {
            mode: mode.to_owned(),
            parts,
        })
    }

    /// Where the key is kept: `NONE` for in this file, `TPM` or another word for elsewhere.
    pub fn mode(&self) -> &str {
        &self.mode
    }

    /// The key's name as a UUID, `7e62cec5-6aef-4d7e-838b-cae32eefd251`; `None` where sealed.
    pub fn key_id(&self) -> Option<String> {
        let id = u128::from_be_bytes(self.parts.as_ref()?.key_id);
        let hex = format!("{id:032x}");
        let mut uuid = String::with_capacity(36);
        for (index, digit) in hex.chars().enumerate() {
            if matches!(index, 8 | 12 | 16 | 20) {
                uuid.push('-');
            }
            uuid.push(digit);
        }
        Some(uuid)
    }
}

fn lines(text: &str) -> Result<BTreeMap<&str, &str>, KeyStoreError> {
    let mut lines = BTreeMap::new();
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = assignment(line).ok_or(KeyStoreError::Line { line: number })?;
        if lines.insert(name, value).is_some() {
            return Err(KeyStoreError::Duplicate {
                name: name.to_owned(),
            });
        }
    }
    Ok(lines)
}

fn assignment(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let value = value.strip_prefix('"')?.strip_suffix('"')?;
    (!name.is_empty() && !value.contains('"')).then_some((name, value))
}

fn key_parts(data: &str) -> Result<KeyParts, KeyStoreError> {
    let mut fields = BTreeMap::new();
    for (field, index) in data.split(':').zip(1..) {
        let (name, value) = field
            .split_once('=')
            .ok_or(KeyStoreError::Field { index })?;
        if fields.insert(name.trim(), value.trim()).is_some() {
            return Err(KeyStoreError::Duplicate {
                name: name.trim().to_owned(),
            });
        }
    }
    let field = |name| {
        let value = fields.get(name).copied();
        value.ok_or(KeyStoreError::Missing { name })
    };
    let version = field("version")?;
    if version != "1" {
        return Err(KeyStoreError::Version {
            value: version.to_owned(),
        });
    }
    Ok(KeyParts {
        key_id: *part("keyId", field("keyId")?)?,
        data1: part("data1", field("data1")?)?,
        data2: part("data2", field("data2")?)?,
    })
}

fn part(name: &'static str, value: &str) -> Result<Zeroizing<[u8; PART]>, KeyStoreError> {
    let base64 = percent_decode(value).ok_or(KeyStoreError::PercentEncoding { name })?;
    let decoded = BASE64
        .decode(&*base64)
        .map(Zeroizing::new)
        .map_err(|_| KeyStoreError::Base64 { name })?;
    let len = decoded.len();
    <[u8; PART]>::try_from(decoded.as_slice())
        .map(Zeroizing::new)
        .map_err(|_| KeyStoreError::Length { name, len })
}

fn percent_decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut decoded = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => hex_digit(bytes.next()?)? << 4 | hex_digit(bytes.next()?)?,
            byte => byte,
        };
        decoded.push(byte);
    }
    Some(decoded)
}

fn hex_digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

/// The keys derived so far. A derivation takes about 11 ms, and cloned media share their key,
/// so one cache serves a whole run and every thread of it. It also carries the recovery key that
/// a run was given.
#[derive(Debug, Default)]
pub struct KeyCache {
    cached: Mutex<Cached>,
    recovery: Option<RecoveryKey>,
}

#[derive(Debug, Default)]
struct Cached {
    keys: BTreeMap<[u8; 32], Arc<Key>>,
    derivations: usize,
}

impl KeyCache {
    /// An empty cache.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty cache, with a recovery key that sealed states are tried with.
    pub fn with_recovery_key(key: RecoveryKey) -> Self {
        KeyCache {
            recovery: Some(key),
            ..Self::default()
        }
    }

    /// The recovery key sealed states are tried with.
    pub fn recovery_key(&self) -> Option<&RecoveryKey> {
        self.recovery.as_ref()
    }

    /// The key of `info`, derived unless it was before.
    ///
    /// # Errors
    /// [`KeyStoreError::Sealed`] where the key is not in the file.
    pub fn key(&self, info: &EncryptionInfo) -> Result<Arc<Key>, KeyStoreError> {
        let Some(parts) = &info.parts else {
            return Err(KeyStoreError::Sealed {
                mode: info.mode.clone(),
            });
        };
        // The lock is held while deriving, so that no two threads derive the same key.
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let digest = parts.digest();
        if let Some(key) = cached.keys.get(&digest) {
            return Ok(Arc::clone(key));
        }
        let key = Arc::new(parts.derive());
        cached.keys.insert(digest, Arc::clone(&key));
        cached.derivations = cached.derivations.saturating_add(1);
        Ok(key)
    }

    /// How many keys have been derived.
    pub fn derivations(&self) -> usize {
        let cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        cached.derivations
    }
}

#[cfg(test)]
mod tests;
