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
mod bundle;
pub mod envelope;
mod error;
#[cfg(test)]
mod fixtures;
pub mod gzip;
pub mod key_store;
mod recovery_key;
mod rescue;

pub use archive::{Member, MemberEdit, MemberKind};
pub use bundle::state_in;
pub use error::StateError;
pub use gzip::Effort;
pub use key_store::KeyCache;
pub use recovery_key::{RecoveryKey, RecoveryKeyError};
pub use rescue::{Condition, Contents, Rescued};

use archive::{Archive, ArchiveError};
use envelope::{Envelope, Plaintext};
use key_store::{EncryptionInfo, Key};
use std::sync::Arc;

const STATE: &str = "state.tgz";
const LOCAL: &str = "local.tgz";
/// Member of `state.tgz` that holds the encrypted inner archive, from 7.0 U2 on.
pub const LOCAL_ENCRYPTED: &str = "local.tgz.ve";
/// The names under which the key store has been seen; the first is the usual one.
const KEY_STORES: [&str; 2] = ["encryption.info", ".#encryption.info"];

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

/// Bounds on what a state may take in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Length in bytes that each archive may have when unpacked.
    pub max_unpacked: u64,
}

impl Default for Limits {
    /// 256 MiB, far beyond any real state.
    fn default() -> Self {
        Limits {
            max_unpacked: 256 * 1024 * 1024,
        }
    }
}

/// A compressed archive, opened.
#[derive(Clone, Debug)]
struct Packed {
    /// What messages call it.
    at: String,
    header: gzip::Header,
    archive: Archive,
}

impl Packed {
    /// What it holds a configuration as; `None` where it holds none.
    fn kind(&self) -> Option<Carrier> {
        let members = || self.archive.members().iter();
        let is_inner = |member: &Member| matches!(&*member.path(), LOCAL | LOCAL_ENCRYPTED);
        if members().any(is_inner) {
            return Some(Carrier::State);
        }
        let is_configuration = |member: &Member| member.path().starts_with("etc/");
        members().any(is_configuration).then_some(Carrier::Local)
    }

    fn open(at: &str, bytes: &[u8], limits: &Limits) -> Result<Self, StateError> {
        let gzip = gzip::unpack(bytes, limits.max_unpacked).map_err(|source| {
            let at = at.to_owned();
            StateError::Gzip { at, source }
        })?;
        let archive = Archive::parse(gzip.data).map_err(|source| {
            let at = at.to_owned();
            StateError::Archive { at, source }
        })?;
        Ok(Packed {
            at: at.to_owned(),
            header: gzip.header,
            archive,
        })
    }

    /// The archive with `edits` made, and the file that holds it.
    fn edit(&self, edits: &[MemberEdit], effort: Effort) -> Result<(Archive, Vec<u8>), StateError> {
        let changed = self.archive.edit(edits).map_err(|err| self.error(err))?;
        let file = gzip::pack(&self.header, changed.as_bytes(), effort).map_err(|source| {
            let at = self.at.clone();
            StateError::Gzip { at, source }
        })?;
        Ok((changed, file))
    }

    fn content(&self, path: &str) -> Result<Option<&[u8]>, StateError> {
        self.archive.content(path).map_err(|err| self.error(err))
    }

    fn error(&self, source: ArchiveError) -> StateError {
        StateError::Archive {
            at: self.at.clone(),
            source,
        }
    }

    fn warnings(&self) -> impl Iterator<Item = String> {
        let warnings = self.archive.warnings().iter();
        warnings.map(|warning| format!("{}: {warning}", self.at))
    }
}

/// How the inner archive lies in the outer one.
#[derive(Clone, Debug)]
enum Inner {
    Plain(Packed),
    Encrypted(Box<Opened>),
    Sealed { mode: String },
}

/// An encrypted inner archive and what is needed to write it again.
#[derive(Clone, Debug)]
struct Opened {
    packed: Packed,
    plaintext: Plaintext,
    key: Arc<Key>,
    key_id: String,
    /// Where the key is kept, of a sealed state that was opened with its recovery key.
    sealed: Option<String>,
}

/// A state, every layer of it verified.
#[derive(Clone, Debug)]
pub struct State {
    file_name: String,
    file: Vec<u8>,
    limits: Limits,
    outer: Option<Packed>,
    inner: Inner,
    warnings: Vec<String>,
}

/// Where the key of an encrypted archive comes from.
#[derive(Clone, Copy)]
enum Keys<'a> {
    /// The cache of a run.
    Cache(&'a KeyCache),
    /// It is known already, as of a state that was opened before.
    Known(Option<&'a Opened>),
}

impl Keys<'_> {
    /// The key that lies beside the archive.
    fn beside(self, info: &EncryptionInfo) -> Result<Arc<Key>, key_store::KeyStoreError> {
        match self {
            Keys::Cache(cache) => cache.key(info),
            Keys::Known(Some(opened)) => Ok(Arc::clone(&opened.key)),
            Keys::Known(None) => Err(key_store::KeyStoreError::Sealed {
                mode: info.mode().to_owned(),
            }),
        }
    }

    /// The key of an archive that is sealed: `None` where none was given for it.
    fn sealed(self, envelope: &Envelope<'_>) -> Result<Option<Arc<Key>>, RecoveryKeyError> {
        let recovery = match self {
            Keys::Cache(cache) => cache.recovery_key(),
            Keys::Known(opened) => return Ok(opened.map(|opened| Arc::clone(&opened.key))),
        };
        let Some(recovery) = recovery else {
            return Ok(None);
        };
        let fits = recovery.candidates().find(|key| envelope.is_key(key));
        let fits = fits.ok_or_else(|| RecoveryKeyError::DoesNotFit {
            recovery_id: recovery.id().map(str::to_owned),
            key_id: envelope.key_info().to_owned(),
        })?;
        Ok(Some(Arc::new(fits)))
    }

    /// Whether there is a key to try a sealed archive with.
    fn has_one_for_sealed(self) -> bool {
        match self {
            Keys::Cache(cache) => cache.recovery_key().is_some(),
            Keys::Known(opened) => opened.is_some(),
        }
    }
}

/// What an archive holds a configuration as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Carrier {
    /// As `state.tgz` does: the archive of an archive.
    State,
    /// As `local.tgz` does: the files themselves.
    Local,
}

/// Whether a packed archive holds a configuration, as a state or as the files themselves.
pub fn holds_configuration(bytes: &[u8], limits: &Limits) -> bool {
    Packed::open(STATE, bytes, limits).is_ok_and(|packed| packed.kind().is_some())
}

impl State {
    /// A plain `state.tgz` without any configuration, as a file: the host starts with default
    /// settings. `tar` reads it as an archive of one empty archive.
    ///
    /// # Errors
    /// [`StateError::Gzip`], never met with so little.
    pub fn empty() -> Result<Vec<u8>, StateError> {
        const BLOCK: usize = 512;
        let packed = |name: &str, archive: &[u8]| {
            let at = name.to_owned();
            gzip::pack(&gzip::Header::host(), archive, Effort::Usual)
                .map_err(|source| StateError::Gzip { at, source })
        };
        let inner = packed(LOCAL, &[0; 2 * BLOCK])?;
        let mut header = tar::Header::new_gnu();
        // A name of this length always fits.
        let _ = header.set_path(LOCAL);
        header.set_size(inner.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        let mut outer = header.as_bytes().to_vec();
        outer.extend(&inner);
        outer.resize(outer.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
        packed(STATE, &outer)
    }

    /// Opens the file `file_name` of a bank, `state.tgz` or a bare `local.tgz`, whose content is
    /// `bytes`. A sealed state opens too; its inner archive is out of reach unless `keys` carries
    /// the recovery key.
    ///
    /// # Errors
    /// [`StateError`] names the layer and what is wrong with it; [`StateError::NotAState`] for
    /// another file name.
    pub fn open(
        file_name: &str,
        bytes: &[u8],
        limits: &Limits,
        keys: &KeyCache,
    ) -> Result<Self, StateError> {
        Self::open_with(file_name, bytes, limits, Keys::Cache(keys))
    }

    fn open_with(
        file_name: &str,
        bytes: &[u8],
        limits: &Limits,
        keys: Keys<'_>,
    ) -> Result<Self, StateError> {
        let is = |name: &str| file_name.eq_ignore_ascii_case(name);
        let mut warnings = Vec::new();
        let (outer, inner) = if is(LOCAL) {
            let packed = Packed::open(file_name, bytes, limits)?;
            (None, Inner::Plain(packed))
        } else if is(STATE) {
            let outer = Packed::open(file_name, bytes, limits)?;
            let inner = open_inner(&outer, limits, keys, &mut warnings)?;
            (Some(outer), inner)
        } else {
            // Under any other name the content tells which of the two it is.
            let outer = Packed::open(file_name, bytes, limits)?;
            match outer.kind() {
                Some(Carrier::State) => {
                    let inner = open_inner(&outer, limits, keys, &mut warnings)?;
                    (Some(outer), inner)
                }
                Some(Carrier::Local) => (None, Inner::Plain(outer)),
                None => {
                    let name = file_name.to_owned();
                    return Err(StateError::NotAState { name });
                }
            }
        };
        Ok(State {
            file_name: file_name.to_owned(),
            file: bytes.to_vec(),
            limits: *limits,
            outer,
            inner,
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
        let outer = self.outer.as_ref().map(|packed| packed.archive.as_bytes());
        let inner = self.packed().ok().map(|packed| packed.archive.as_bytes());
        let layers = outer.into_iter().chain(inner);
        layers.map(|bytes| bytes.len() as u64).sum()
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
    /// [`StateError::Archive`] where the path names something other than a file.
    pub fn outer_content(&self, path: &str) -> Result<Option<&[u8]>, StateError> {
        match &self.outer {
            Some(outer) => outer.content(path),
            None => Ok(None),
        }
    }

    /// The file that keeps the key of an encrypted configuration, where there is one.
    pub fn key_store(&self) -> Option<&[u8]> {
        let mut names = KEY_STORES.iter();
        names.find_map(|name| self.outer_content(name).ok().flatten())
    }

    /// The members of the configuration in the order of its archive, duplicates included.
    ///
    /// # Errors
    /// [`StateError::Sealed`] where they are out of reach.
    pub fn members(&self) -> Result<&[Member], StateError> {
        Ok(self.packed()?.archive.members())
    }

    /// The member of the configuration that `path` names, in any spelling; of several the last.
    ///
    /// # Errors
    /// [`StateError::Sealed`] where it is out of reach.
    pub fn find(&self, path: &str) -> Result<Option<&Member>, StateError> {
        Ok(self.packed()?.archive.find(path))
    }

    /// The bytes of a configuration file, hard links followed; `None` where there is none.
    ///
    /// # Errors
    /// [`StateError::Sealed`] where it is out of reach; [`StateError::Archive`] where the path
    /// names a directory, symbolic link or other member without plain content.
    pub fn content(&self, path: &str) -> Result<Option<&[u8]>, StateError> {
        self.packed()?.content(path)
    }

    /// What is odd but does no harm, with the layer it was met in.
    pub fn warnings(&self) -> Vec<String> {
        let outer = self.outer.iter().flat_map(Packed::warnings);
        let inner = self.packed().ok().into_iter().flat_map(Packed::warnings);
        outer
            .chain(self.warnings.iter().cloned())
            .chain(inner)
            .collect()
    }

    /// The file with `edits` made to the configuration, every layer above packed again. The
    /// result has been opened and compared before it is returned; edits that change nothing give
    /// the file as it was.
    ///
    /// # Errors
    /// [`StateError::Sealed`]; [`StateError::Archive`] for an edit that cannot be made.
    pub fn edit(&self, edits: &[MemberEdit], effort: Effort) -> Result<Vec<u8>, StateError> {
        let inner = self.packed()?;
        let (archive, packed) = inner.edit(edits, effort)?;
        if archive.as_bytes() == inner.archive.as_bytes() {
            return Ok(self.file.clone());
        }
        let Some(outer) = &self.outer else {
            self.check(&packed, None, &archive)?;
            return Ok(packed);
        };
        let (name, content) = match &self.inner {
            Inner::Encrypted(opened) => (LOCAL_ENCRYPTED, self.encrypt(opened, &packed)?),
            Inner::Plain(_) | Inner::Sealed { .. } => (LOCAL, packed),
        };
        let replace = MemberEdit::Replace {
            path: name.to_owned(),
            content,
        };
        let (outer_archive, file) = outer.edit(&[replace], effort)?;
        self.check(&file, Some(&outer_archive), &archive)?;
        Ok(file)
    }

    /// The envelope with another packed archive in it.
    fn encrypt(&self, opened: &Opened, content: &[u8]) -> Result<Vec<u8>, StateError> {
        let old = self.outer_content(LOCAL_ENCRYPTED)?.unwrap_or_default();
        let at = || opened.packed.at.clone();
        Envelope::parse(old)
            .and_then(|envelope| {
                envelope.encrypt(&opened.key, &opened.key_id, &opened.plaintext, content)
            })
            .map_err(|source| StateError::Envelope { at: at(), source })
    }

    /// Opens a changed file and holds it against the archives it was packed from, whose members
    /// were compared with the old ones when they were edited.
    fn check(
        &self,
        file: &[u8],
        outer: Option<&Archive>,
        inner: &Archive,
    ) -> Result<(), StateError> {
        let known = Keys::Known(match &self.inner {
            Inner::Encrypted(opened) => Some(opened),
            Inner::Plain(_) | Inner::Sealed { .. } => None,
        });
        let new = Self::open_with(&self.file_name, file, &self.limits, known)?;
        let differs = |what| StateError::Verification {
            at: self.file_name.clone(),
            what,
        };
        if new.form() != self.form() {
            return Err(differs("its form changed"));
        }
        let new_outer = new.outer.as_ref().map(|packed| packed.archive.as_bytes());
        if new_outer != outer.map(Archive::as_bytes) {
            return Err(differs("the outer archive is not the one that was packed"));
        }
        if new.packed()?.archive.as_bytes() != inner.as_bytes() {
            return Err(differs("the inner archive is not the one that was packed"));
        }
        Ok(())
    }

    /// The inner archive.
    fn packed(&self) -> Result<&Packed, StateError> {
        match &self.inner {
            Inner::Plain(packed) => Ok(packed),
            Inner::Encrypted(opened) => Ok(&opened.packed),
            Inner::Sealed { mode } => Err(StateError::Sealed {
                at: self.file_name.clone(),
                mode: mode.clone(),
            }),
        }
    }
}

/// Finds the inner archive in the outer one and opens it.
fn open_inner(
    outer: &Packed,
    limits: &Limits,
    keys: Keys<'_>,
    warnings: &mut Vec<String>,
) -> Result<Inner, StateError> {
    let at = || outer.at.clone();
    match (outer.content(LOCAL)?, outer.content(LOCAL_ENCRYPTED)?) {
        (Some(_), Some(_)) => Err(StateError::BothForms { at: at() }),
        (None, None) => Err(StateError::NoInnerArchive { at: at() }),
        (Some(plain), None) => {
            let name = format!("{}:{LOCAL}", outer.at);
            Ok(Inner::Plain(Packed::open(&name, plain, limits)?))
        }
        (None, Some(encrypted)) => open_encrypted(outer, encrypted, limits, keys, warnings),
    }
}

fn open_encrypted(
    outer: &Packed,
    encrypted: &[u8],
    limits: &Limits,
    keys: Keys<'_>,
    warnings: &mut Vec<String>,
) -> Result<Inner, StateError> {
    let (store_name, store) = find_key_store(outer, warnings)?;
    let store_at = format!("{}:{store_name}", outer.at);
    let store_error = |source| StateError::KeyStore {
        at: store_at.clone(),
        source,
    };
    let info = EncryptionInfo::parse(store).map_err(store_error)?;
    let key_id = info.key_id();
    let mode = info.mode().to_owned();
    if key_id.is_none() && !keys.has_one_for_sealed() {
        return Ok(Inner::Sealed { mode });
    }
    let envelope_at = format!("{}:{LOCAL_ENCRYPTED}", outer.at);
    let envelope_error = |source| StateError::Envelope {
        at: envelope_at.clone(),
        source,
    };
    // The form is checked first: a derivation costs time, a damaged envelope does not need one.
    let envelope = Envelope::parse(encrypted).map_err(envelope_error)?;
    let (key, key_id, sealed) = match key_id {
        Some(key_id) => (keys.beside(&info).map_err(store_error)?, key_id, None),
        None => {
            let found = keys.sealed(&envelope).map_err(|source| {
                let at = envelope_at.clone();
                StateError::RecoveryKey { at, source }
            })?;
            let Some(key) = found else {
                return Ok(Inner::Sealed { mode });
            };
            (key, envelope.key_info().to_owned(), Some(mode))
        }
    };
    let plaintext = envelope.decrypt(&key, &key_id).map_err(envelope_error)?;
    let packed = Packed::open(&envelope_at, plaintext.content(), limits)?;
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
    warnings: &mut Vec<String>,
) -> Result<(&'static str, &'a [u8]), StateError> {
    let mut found = None;
    for name in KEY_STORES {
        match (outer.content(name)?, found) {
            (Some(store), None) => found = Some((name, store)),
            (Some(_), Some((used, _))) => {
                warnings.push(format!("{}: holds {name} beside {used}", outer.at));
            }
            (None, _) => {}
        }
    }
    found.ok_or_else(|| StateError::NoKeyStore {
        at: outer.at.clone(),
    })
}

#[cfg(test)]
mod tests;
