//! The inner archive of a state: plain, or encrypted with a key that lies beside it or is sealed.

use super::envelope::{Envelope, EnvelopeError, Header, Plaintext};
use super::key::Key;
use super::key_store::{EncryptionInfo, KeyStoreError};
use super::packed::Packed;
use super::{
    KEY_STORES, KeyCache, LOCAL, LOCAL_ENCRYPTED, Limits, RecoveryKeyError, StateError, StateFault,
    StateWarning,
};
use std::sync::Arc;

/// How the inner archive lies in the outer one.
#[derive(Clone, Debug)]
pub(super) enum Inner {
    Plain(Packed),
    Encrypted(Box<Opened>),
    Sealed { mode: String },
}

/// An encrypted inner archive and what is needed to write it again.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    pub(super) packed: Packed,
    pub(super) plaintext: Plaintext,
    pub(super) key: Arc<Key>,
    pub(super) key_id: String,
    /// Where the key is kept, of a sealed state that was opened with its recovery key.
    pub(super) sealed: Option<String>,
}

/// The key of an encrypted archive.
pub(super) struct Chosen {
    pub(super) key: Arc<Key>,
    pub(super) key_id: String,
    /// As in [`Opened`].
    pub(super) sealed: Option<String>,
}

/// The key of an archive with this header: the one that lies beside it, or for a sealed archive the one its
/// recovery key stands for. `None` where that is wanted and was not given.
pub(super) fn choose_key(
    (envelope_at, header): (&str, &Header),
    (store_at, info): (&str, &EncryptionInfo),
    keys: &KeyCache,
) -> Result<Option<Chosen>, StateError> {
    if let Some(key_id) = info.key_id() {
        let key = keys
            .key(info)
            .map_err(|error| StateError::new(store_at, error))?;
        return Ok(Some(Chosen {
            key,
            key_id,
            sealed: None,
        }));
    }
    let Some(recovery) = keys.recovery_key() else {
        return Ok(None);
    };
    let key_id = header.key_info().to_owned();
    let fits = recovery.candidates().find(|key| header.is_key(key));
    let Some(key) = fits else {
        let recovery_id = recovery.id().map(str::to_owned);
        let error = RecoveryKeyError::DoesNotFit {
            recovery_id,
            key_id,
        };
        return Err(StateError::new(envelope_at, error));
    };
    let sealed = Some(info.mode().to_owned());
    Ok(Some(Chosen {
        key: Arc::new(key),
        key_id,
        sealed,
    }))
}

/// Finds the inner archive in the outer one and opens it.
pub(super) fn open_inner(
    outer: &Packed,
    limits: &Limits,
    keys: &KeyCache,
    warnings: &mut Vec<StateWarning>,
) -> Result<Inner, StateError> {
    let error = |fault| StateError::new(&outer.at, fault);
    match (outer.content(LOCAL)?, outer.content(LOCAL_ENCRYPTED)?) {
        (Some(_), Some(_)) => Err(error(StateFault::BothForms)),
        (None, None) => Err(error(StateFault::NoInnerArchive)),
        (Some(plain), None) => {
            let name = format!("{}:{LOCAL}", outer.at);
            Ok(Inner::Plain(Packed::open(&name, plain, limits)?))
        }
        (None, Some(encrypted)) => {
            let (name, store) = find_key_store(outer, warnings)?;
            let at = format!("{}:{LOCAL_ENCRYPTED}", outer.at);
            let store_at = format!("{}:{name}", outer.at);
            open_encrypted((&at, encrypted), (&store_at, store), limits, keys)
        }
    }
}

/// Opens an encrypted archive with the file that keeps its key, each with what messages call it.
pub(super) fn open_encrypted(
    (envelope_at, encrypted): (&str, &[u8]),
    (store_at, store): (&str, &[u8]),
    limits: &Limits,
    keys: &KeyCache,
) -> Result<Inner, StateError> {
    let store_error = |error: KeyStoreError| StateError::new(store_at, error);
    let info = EncryptionInfo::parse(store).map_err(store_error)?;
    let sealed = || Inner::Sealed {
        mode: info.mode().to_owned(),
    };
    if info.key_id().is_none() && keys.recovery_key().is_none() {
        return Ok(sealed());
    }
    let envelope_error = |error: EnvelopeError| StateError::new(envelope_at, error);
    // The form is checked first: a derivation costs time, a damaged envelope does not need one.
    let envelope = Envelope::parse(encrypted).map_err(envelope_error)?;
    let chosen = choose_key((envelope_at, envelope.header()), (store_at, &info), keys)?;
    let Some(Chosen {
        key,
        key_id,
        sealed,
    }) = chosen
    else {
        return Ok(sealed());
    };
    let plaintext = envelope.decrypt(&key, &key_id).map_err(envelope_error)?;
    let packed = Packed::open(envelope_at, plaintext.content(), limits)?;
    Ok(Inner::Encrypted(Box::new(Opened {
        packed,
        plaintext,
        key,
        key_id,
        sealed,
    })))
}

fn find_key_store<'a>(
    outer: &'a Packed,
    warnings: &mut Vec<StateWarning>,
) -> Result<(&'static str, &'a [u8]), StateError> {
    let mut found = None;
    for name in KEY_STORES {
        match (outer.content(name)?, found) {
            (Some(store), None) => found = Some((name, store)),
            (Some(_), Some((used, _))) => {
                let at = outer.at.clone();
                warnings.push(StateWarning::SecondKeyStore { at, name, used });
            }
            (None, _) => {}
        }
    }
    found.ok_or_else(|| StateError::new(&outer.at, StateFault::NoKeyStore))
}
