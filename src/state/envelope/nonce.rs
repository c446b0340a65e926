//! The nonce of an envelope, and what is done with it and the key.
//!
//! A host writes 12 bytes: a fixed text and a counter (read in a real 7.0.2 state). The vendor's tool for such
//! files writes 16 random bytes, and takes the nonce from the header when it reads (run, 6.7).

use crate::state::key::Key;
use aes_gcm::aead::consts::U16;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::aes::Aes256;
use aes_gcm::{Aes256Gcm, AesGcm, Error, Tag};

/// The leading bytes of a host's nonce, which it sets to a fixed text.
const FIXED: usize = 4;

/// A nonce of a length that is known to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Nonce {
    /// As a host writes it.
    OfHost([u8; 12]),
    /// As the vendor's tool does.
    OfTool([u8; 16]),
}

impl Nonce {
    /// What these bytes are as a nonce.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let host = bytes.try_into().ok().map(Nonce::OfHost);
        host.or_else(|| bytes.try_into().ok().map(Nonce::OfTool))
    }

    /// As it lies in the header.
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Nonce::OfHost(bytes) => bytes,
            Nonce::OfTool(bytes) => bytes,
        }
    }

    /// Another one of the same form, made of `code`.
    pub(super) fn with_code(self, code: [u8; 32]) -> Self {
        let mut next = self;
        let free = match &mut next {
            Nonce::OfHost(bytes) => bytes.get_mut(FIXED..).unwrap_or_default(),
            Nonce::OfTool(bytes) => bytes.as_mut_slice(),
        };
        for (slot, byte) in free.iter_mut().zip(code) {
            *slot = byte;
        }
        next
    }

    /// Encrypts `bytes` in place, and returns the tag over them and `aad`.
    pub(super) fn encrypt(&self, key: &Key, aad: &[u8], bytes: &mut [u8]) -> Result<Tag, Error> {
        let key = key.as_bytes().into();
        match self {
            Nonce::OfHost(nonce) => {
                Aes256Gcm::new(key).encrypt_inout_detached(&(*nonce).into(), aad, bytes.into())
            }
            Nonce::OfTool(nonce) => AesGcm::<Aes256, U16>::new(key).encrypt_inout_detached(
                &(*nonce).into(),
                aad,
                bytes.into(),
            ),
        }
    }

    /// Decrypts `bytes` in place, once `tag` vouches for them and `aad`.
    pub(super) fn decrypt(
        &self,
        key: &Key,
        aad: &[u8],
        bytes: &mut [u8],
        tag: &Tag,
    ) -> Result<(), Error> {
        let key = key.as_bytes().into();
        match self {
            Nonce::OfHost(nonce) => {
                Aes256Gcm::new(key).decrypt_inout_detached(&(*nonce).into(), aad, bytes.into(), tag)
            }
            Nonce::OfTool(nonce) => AesGcm::<Aes256, U16>::new(key).decrypt_inout_detached(
                &(*nonce).into(),
                aad,
                bytes.into(),
                tag,
            ),
        }
    }
}
