//! The host's saved configuration, as one file of a bank: opened, read, changed.
//!
//! `state.tgz` is a compressed archive that holds another, `local.tgz`, or from 7.0 U2 on its
//! encrypted form `local.tgz.ve` beside the `encryption.info` that keeps the key. Banks of 4.x may
//! hold a bare `local.tgz`. [`State`] chains the layers: [`gzip`], [`archive`], [`envelope`] and
//! [`key_store`] each know one, and nothing here knows what the configuration files mean.
//!
//! All three forms were seen in real data or made by the host's own scripts. Bytes in, values
//! out: no file, clock or random number is used, and the same edit gives the same bytes.

pub mod archive;
mod as_file;
mod budget;
mod bundle;
mod carrier;
pub mod envelope;
mod error;
#[cfg(test)]
mod fixtures;
pub mod gzip;
mod inner;
mod key;
pub mod key_store;
mod packed;
mod pieces;
mod recovery_key;
mod rescue;
mod saved;
mod warning;

pub use archive::{Member, MemberEdit, MemberKind};
pub use budget::Budget;
pub use bundle::Manifest;
pub use carrier::{CONFIG_STORE, Carries, ESX_CONF, Sign};
pub use error::{StateError, StateFault};
pub use gzip::Effort;
pub use key_store::KeyCache;
pub use pieces::Pieces;
pub use recovery_key::{RecoveryKey, RecoveryKeyError};
pub use rescue::{Condition, ReadState, Rescued};
pub use saved::{Saved, SavedAs};
pub use warning::StateWarning;

use bytes::Bytes;
use envelope::Envelope;
use inner::{Inner, Opened, open_encrypted, open_inner};
use packed::{Carrier, Packed};
use serde::{Serialize, Serializer};
use std::borrow::Cow;

const STATE: &str = "state.tgz";
const LOCAL: &str = "local.tgz";
/// Member of `state.tgz` that holds the encrypted inner archive, from 7.0 U2 on.
pub const LOCAL_ENCRYPTED: &str = "local.tgz.ve";

/// The names under which the key store has been seen; the first is the usual one.
pub const KEY_STORES: [&str; 2] = ["encryption.info", ".#encryption.info"];

/// The form in which a state holds the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Form {
    /// As it is.
    Plain,
    /// Encrypted with a key that lies beside it.
    Encrypted,
    /// Encrypted with a key that is kept elsewhere, in a TPM: it cannot be opened offline but with
    /// its recovery key.
    Sealed,
}

impl Form {
    /// The word used in JSON output (`states[].form`).
    pub fn as_str(self) -> &'static str {
        match self {
            Form::Plain => "plain",
            Form::Encrypted => "encrypted",
            Form::Sealed => "sealed",
        }
    }
}

impl Serialize for Form {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl std::fmt::Display for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Bounds on what a state may take in memory.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Length in bytes that each archive may have when unpacked.
    pub max_unpacked: u64,
    /// What all archives together may take that are held at a time, by everyone who shares it.
    pub budget: Option<Budget>,
}

impl Limits {
    /// With a limit for each archive, and none for all of them together.
    pub const fn each(max_unpacked: u64) -> Self {
        Limits {
            max_unpacked,
            budget: None,
        }
    }

    /// Length in bytes that a file may have which is read as it is, such as the kernel or a module. Real ones have
    /// up to 130 MB (`s.v00` of 5.0), which is more than a state unpacks to.
    pub fn max_file(&self) -> u64 {
        const LARGEST_FILE: u64 = 512 << 20;
        self.max_unpacked.max(LARGEST_FILE)
    }
}

impl Default for Limits {
    /// 64 MiB for each, far beyond any real state.
    fn default() -> Self {
        Limits::each(64 * 1024 * 1024)
    }
}

/// A state, every layer of it verified.
#[derive(Clone, Debug)]
pub struct State {
    file_name: String,
    file: Bytes,
    limits: Limits,
    outer: Option<Packed>,
    inner: Inner,
    /// The key store of an encrypted archive that is a file of its own.
    beside: Option<Vec<u8>>,
    warnings: Vec<StateWarning>,
}

impl State {
    /// Whether it is a bare archive of the configuration, and not one around that.
    pub(crate) fn is_bare(&self) -> bool {
        self.outer.is_none()
    }

    /// Opens the file `file_name` of a bank, `state.tgz` or a bare `local.tgz`, whose content is
    /// `bytes`, which it keeps: those of a `Vec` without a copy. A sealed state opens too; its inner
    /// archive is out of reach unless `keys` carries the recovery key.
    ///
    /// Where the limits have a [`Budget`], this waits while other threads hold what it needs. What it takes
    /// is counted to the thread that opened it, and given back when the state is dropped.
    ///
    /// # Errors
    /// [`StateError`] names the layer and what is wrong with it; [`StateFault::NotAState`] for
    /// another file name.
    pub fn open<'b>(
        file_name: &str,
        bytes: impl Into<Cow<'b, [u8]>>,
        limits: &Limits,
        keys: &KeyCache,
    ) -> Result<Self, StateError> {
        Self::open_with(file_name, bytes.into(), None, limits, keys)
    }

    /// Opens a `local.tgz.ve` that is a file of its own; `key_store` is the content of the
    /// `encryption.info` that belongs to it.
    ///
    /// # Errors
    /// As [`State::open`]; [`StateFault::NoKeyBeside`] where there is no key store.
    pub fn open_encrypted<'b>(
        bytes: impl Into<Cow<'b, [u8]>>,
        key_store: Option<&[u8]>,
        limits: &Limits,
        keys: &KeyCache,
    ) -> Result<Self, StateError> {
        Self::open_with(LOCAL_ENCRYPTED, bytes.into(), key_store, limits, keys)
    }

    fn open_with(
        file_name: &str,
        file: Cow<'_, [u8]>,
        beside: Option<&[u8]>,
        limits: &Limits,
        keys: &KeyCache,
    ) -> Result<Self, StateError> {
        let bytes = file.as_ref();
        let mut warnings = Vec::new();
        let (outer, inner) = if file_name.eq_ignore_ascii_case(LOCAL_ENCRYPTED) {
            let error = || StateError::new(file_name, StateFault::NoKeyBeside);
            let store = beside.ok_or_else(error)?;
            let [store_at, _] = KEY_STORES;
            let inner = open_encrypted((file_name, bytes), (store_at, store), limits, keys)?;
            (None, inner)
        } else {
            let packed = Packed::open(file_name, bytes, limits)?;
            layers(file_name, packed, limits, keys, &mut warnings)?
        };
        Ok(State {
            file_name: file_name.to_owned(),
            file: file.into_owned().into(),
            limits: limits.clone(),
            outer,
            inner,
            beside: beside.map(<[u8]>::to_vec),
            warnings,
        })
    }

    /// The same of a file that was unpacked already: what is large is not held twice.
    fn of_packed(
        file_name: &str,
        bytes: &[u8],
        mut packed: Packed,
        limits: &Limits,
        keys: &KeyCache,
    ) -> Result<Self, StateError> {
        let mut warnings = Vec::new();
        file_name.clone_into(&mut packed.at);
        let (outer, inner) = layers(file_name, packed, limits, keys, &mut warnings)?;
        Ok(State {
            file_name: file_name.to_owned(),
            file: Bytes::copy_from_slice(bytes),
            limits: limits.clone(),
            outer,
            inner,
            beside: None,
            warnings,
        })
    }

    /// The name of the file it was opened from.
    pub fn file_name(&self) -> &str {
        &self.file_name
    }

    /// The whole file.
    pub fn as_bytes(&self) -> &[u8] {
        &self.file
    }

    /// Bytes its archives unpack to, all layers together.
    pub fn unpacked_len(&self) -> u64 {
        let layers = self.outer.iter().chain(self.packed().ok());
        let lens = layers.map(|packed| packed.archive.bytes().len() as u64);
        lens.sum()
    }

    /// The form in which it holds the configuration.
    pub fn form(&self) -> Form {
        match &self.inner {
            Inner::Plain(_) => Form::Plain,
            Inner::Encrypted(opened) if opened.sealed.is_none() => Form::Encrypted,
            Inner::Encrypted(_) | Inner::Sealed { .. } => Form::Sealed,
        }
    }

    /// Where the key of a sealed state is kept: `TPM` or another word. `None` if not sealed.
    pub fn seal_mode(&self) -> Option<&str> {
        match &self.inner {
            Inner::Sealed { mode } => Some(mode),
            Inner::Encrypted(opened) => opened.sealed.as_deref(),
            Inner::Plain(_) => None,
        }
    }

    /// Whether the configuration is within reach: always, but for a sealed state that was not
    /// opened with its recovery key.
    pub fn is_open(&self) -> bool {
        !matches!(self.inner, Inner::Sealed { .. })
    }

    /// The members of the outer archive in its order; none for a bare `local.tgz`.
    pub fn outer_members(&self) -> &[Member] {
        self.outer
            .as_ref()
            .map_or(&[], |outer| outer.archive.members())
    }

    /// The bytes of a file of the outer archive, `encryption.info` for one.
    ///
    /// # Errors
    /// [`StateFault::Archive`] where the path names something other than a file.
    pub fn outer_content(&self, path: &str) -> Result<Option<&[u8]>, StateError> {
        match &self.outer {
            Some(outer) => outer.content(path),
            None => Ok(None),
        }
    }

    /// The file that keeps the key of an encrypted configuration, where there is one.
    pub fn key_store(&self) -> Option<&[u8]> {
        let mut names = KEY_STORES.iter();
        let inside = names.find_map(|name| self.outer_content(name).ok().flatten());
        inside.or(self.beside.as_deref())
    }

    /// The encrypted archive as it is, where there is one.
    pub fn envelope(&self) -> Option<&[u8]> {
        match (&self.inner, &self.outer) {
            (Inner::Plain(_), _) => None,
            (_, None) => Some(&self.file),
            (_, Some(_)) => self.outer_content(LOCAL_ENCRYPTED).ok().flatten(),
        }
    }

    /// The members of the configuration in the order of its archive, duplicates included.
    ///
    /// # Errors
    /// [`StateFault::Sealed`] where they are out of reach.
    pub fn members(&self) -> Result<&[Member], StateError> {
        Ok(self.packed()?.archive.members())
    }

    /// The member of the configuration that `path` names, in any spelling; of several the last.
    ///
    /// # Errors
    /// [`StateFault::Sealed`] where it is out of reach.
    pub fn find(&self, path: &str) -> Result<Option<&Member>, StateError> {
        Ok(self.packed()?.archive.find(path))
    }

    /// The bytes of a configuration file, hard links followed; `None` where there is none.
    ///
    /// # Errors
    /// [`StateFault::Sealed`] where it is out of reach; [`StateFault::Archive`] where the path
    /// names a directory, symbolic link or other member without plain content.
    pub fn content(&self, path: &str) -> Result<Option<&[u8]>, StateError> {
        self.packed()?.content(path)
    }

    /// Whether a file of the configuration, where it is there, can be given other content: the file itself,
    /// and the archive around it.
    ///
    /// # Errors
    /// [`StateFault::Archive`] for a member of a kind, or with headers, that a change would contradict;
    /// [`StateFault::Sealed`].
    pub(crate) fn check_editable(&self, path: &str) -> Result<(), StateError> {
        let check = |packed: &Packed, path: &str| {
            let checked = packed.archive.check_editable(path);
            checked.map_err(|error| packed.error(error))
        };
        check(self.packed()?, path)?;
        match &self.outer {
            Some(outer) => [LOCAL, LOCAL_ENCRYPTED]
                .into_iter()
                .try_for_each(|inner| check(outer, inner)),
            None => Ok(()),
        }
    }

    /// What is odd but does no harm, with the layer it was met in.
    pub fn warnings(&self) -> Vec<StateWarning> {
        let outer = self.outer.iter().flat_map(Packed::warnings);
        let inner = self.packed().ok().into_iter().flat_map(Packed::warnings);
        outer
            .chain(self.warnings.iter().cloned())
            .chain(inner)
            .collect()
    }

    /// The file with `edits` made to the configuration, every layer above packed again. Each layer has
    /// been unpacked and compared before it is returned; that the file opens as a state is for whoever
    /// uses it to see. Edits that change nothing give the file as it was.
    ///
    /// # Errors
    /// [`StateFault::Sealed`]; [`StateFault::Archive`] for an edit that cannot be made.
    pub fn edit(&self, edits: &[MemberEdit], effort: Effort) -> Result<Bytes, StateError> {
        let old = self.packed()?;
        let archive = old.edit(edits)?;
        if archive.bytes() == old.archive.bytes() {
            return Ok(self.file.clone());
        }
        let packed = old.pack(&archive, effort, &self.limits)?;
        drop(archive);
        let (name, content) = match &self.inner {
            Inner::Encrypted(opened) => (LOCAL_ENCRYPTED, self.encrypt(opened, &packed)?),
            Inner::Plain(_) | Inner::Sealed { .. } => (LOCAL, packed),
        };
        let Some(outer) = &self.outer else {
            return Ok(content.into());
        };
        let (path, content) = (name.to_owned(), content.into());
        let archive = outer.edit(&[MemberEdit::Replace { path, content }])?;
        Ok(outer.pack(&archive, effort, &self.limits)?.into())
    }

    /// The envelope with another packed archive in it.
    fn encrypt(&self, opened: &Opened, content: &[u8]) -> Result<Vec<u8>, StateError> {
        let old = self.envelope().unwrap_or_default();
        Envelope::parse(old)
            .and_then(|envelope| {
                envelope.encrypt(&opened.key, &opened.key_id, &opened.plaintext, content)
            })
            .map_err(|error| StateError::new(&opened.packed.at, error))
    }

    /// The inner archive.
    fn packed(&self) -> Result<&Packed, StateError> {
        match &self.inner {
            Inner::Plain(packed) => Ok(packed),
            Inner::Encrypted(opened) => Ok(&opened.packed),
            Inner::Sealed { mode } => {
                let mode = mode.clone();
                Err(StateError::new(
                    &self.file_name,
                    StateFault::Sealed { mode },
                ))
            }
        }
    }
}

/// The archives of a state around one another, by the name of its file: the outer one, where it has one,
/// and what is inside.
fn layers(
    file_name: &str,
    packed: Packed,
    limits: &Limits,
    keys: &KeyCache,
    warnings: &mut Vec<StateWarning>,
) -> Result<(Option<Packed>, Inner), StateError> {
    let is = |name: &str| file_name.eq_ignore_ascii_case(name);
    let carrier = match () {
        () if is(LOCAL) => Some(Carrier::Local),
        () if is(STATE) => Some(Carrier::State),
        // Under any other name the content tells which of the two it is.
        () => packed.kind(),
    };
    match carrier {
        Some(Carrier::State) => {
            let inner = open_inner(&packed, limits, keys, warnings)?;
            Ok((Some(packed), inner))
        }
        Some(Carrier::Local) => Ok((None, Inner::Plain(packed))),
        None => Err(StateError::new(file_name, StateFault::NotAState)),
    }
}

#[cfg(test)]
mod tests;
