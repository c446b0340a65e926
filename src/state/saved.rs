//! A state that is a file of its own, in no bank: what people have from a backup or out of a bank.
//!
//! It is told by what is in it, not by its name: a `state.tgz`, a bare `local.tgz`, a `local.tgz.ve`
//! whose key is in an `encryption.info` of its own, or a `configBundle.tgz` with a `state.tgz` in it.

use super::archive::Archive;
use super::envelope::Envelope;
use super::{
    Effort, KeyCache, LOCAL, LOCAL_ENCRYPTED, Limits, Manifest, MemberEdit, Packed, Rescued, STATE,
    State, StateError, StateFault, gzip,
};
use bytes::Bytes;
use std::sync::Arc;

/// What every bare `local.tgz` holds.
const CONFIGURATION: &str = "etc/vmware";
/// What messages call the outermost archive of a file whose kind its name does not tell.
const THE_ARCHIVE: &str = "the archive";
const MANIFEST: &str = "Manifest.txt";

/// What kind of file a state is saved as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SavedAs {
    /// `state.tgz`, as it is in a bank.
    State,
    /// A bare `local.tgz`.
    Local,
    /// A bare `local.tgz.ve`.
    Encrypted,
    /// The bundle that the host's own backup makes.
    Bundle,
}

impl SavedAs {
    /// The usual name of such a file.
    pub fn as_str(self) -> &'static str {
        match self {
            SavedAs::State => STATE,
            SavedAs::Local => LOCAL,
            SavedAs::Encrypted => LOCAL_ENCRYPTED,
            SavedAs::Bundle => "configBundle.tgz",
        }
    }
}

/// A state in a file of its own, every layer of it verified.
#[derive(Clone, Debug)]
pub struct Saved {
    file: Bytes,
    state: Arc<State>,
    saved_as: SavedAs,
    bundle: Option<Bundle>,
}

/// The archive around a state.
#[derive(Clone, Debug)]
struct Bundle {
    packed: Packed,
    state_at: String,
    manifest: Option<(String, Manifest)>,
}

impl Saved {
    /// Opens such a file. `key_store` is the content of the `encryption.info` beside it, where there
    /// is one; only a bare `local.tgz.ve` needs it.
    ///
    /// # Errors
    /// As [`State::open`]; [`StateFault::NoConfiguration`] for an archive that holds no state;
    /// [`StateFault::NoKeyBeside`].
    pub fn open(
        bytes: &[u8],
        key_store: Option<&[u8]>,
        limits: &Limits,
        keys: &KeyCache,
    ) -> Result<Self, StateError> {
        let saved = |saved_as, state: State, bundle| Saved {
            file: match &bundle {
                Some(_) => Bytes::copy_from_slice(bytes),
                None => state.file.clone(),
            },
            state: Arc::new(state),
            saved_as,
            bundle,
        };
        if Envelope::is_one(bytes) {
            let state = State::open_encrypted(bytes, key_store, limits, keys)?;
            return Ok(saved(SavedAs::Encrypted, state, None));
        }
        let packed = Packed::open(THE_ARCHIVE, bytes, limits)?;
        match tell(&packed.archive) {
            Some(SavedAs::Bundle) => {
                let bundle = Bundle::new(packed)?;
                let content = bundle.packed.content(&bundle.state_at)?;
                let state = State::open(STATE, content.unwrap_or_default(), limits, keys)?;
                Ok(saved(SavedAs::Bundle, state, Some(bundle)))
            }
            Some(kind) => {
                let state = State::of_packed(kind.as_str(), bytes, packed, limits, keys)?;
                Ok(saved(kind, state, None))
            }
            None => Err(StateError::new(packed.at, StateFault::NoConfiguration)),
        }
    }

    /// What is left of such a file where it is damaged. `key_store` as for [`Saved::open`].
    ///
    /// # Errors
    /// As [`Rescued::open`] and [`Rescued::open_encrypted`].
    pub fn rescue(
        bytes: &[u8],
        key_store: Option<&[u8]>,
        limits: &Limits,
        keys: &KeyCache,
    ) -> Result<Rescued, StateError> {
        if Envelope::is_one(bytes) {
            return Rescued::open_encrypted(bytes, key_store, limits, keys);
        }
        let no_state = || StateError::new(THE_ARCHIVE, StateFault::NoConfiguration);
        let open = |name, bytes: &[u8]| Rescued::open(name, bytes, None, limits, keys, &[]);
        let unpacked = gzip::salvage(bytes, limits.max_unpacked)
            .map_err(|error| StateError::new(THE_ARCHIVE, error))?;
        let salvaged = Archive::salvage(unpacked.data, limits.max_unpacked)
            .map_err(|error| StateError::new(THE_ARCHIVE, error))?;
        match tell(salvaged.archive()) {
            Some(SavedAs::Bundle) => {
                let path = state_in(salvaged.archive()).unwrap_or_default();
                match salvaged.content(&path) {
                    Ok(Some((_, content))) => open(STATE, content),
                    _ => Err(no_state()),
                }
            }
            Some(kind) => open(kind.as_str(), bytes),
            None => Err(no_state()),
        }
    }

    /// The whole file.
    pub fn as_bytes(&self) -> &[u8] {
        &self.file
    }

    /// The state in it.
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// What kind of file it is.
    pub fn saved_as(&self) -> SavedAs {
        self.saved_as
    }

    /// What a bundle says of the state in it; `None` for any other file.
    pub fn manifest(&self) -> Option<&Manifest> {
        let (_, manifest) = self.bundle.as_ref()?.manifest.as_ref()?;
        Some(manifest)
    }

    /// Whether the manifest of a bundle is understood, so that it can be kept true.
    ///
    /// # Errors
    /// [`StateFault::Manifest`].
    pub fn check_manifest(&self) -> Result<(), StateError> {
        match &self.bundle {
            Some(bundle) => bundle.known_manifest().map(drop),
            None => Ok(()),
        }
    }

    /// The file with `edits` made to the configuration, as [`State::edit`]. Where `uuid` is given,
    /// it is the host's UUID from then on, and the manifest of a bundle gets it too.
    ///
    /// # Errors
    /// As [`State::edit`]; [`StateFault::Manifest`] for a bundle whose manifest is not understood.
    pub fn edit(
        &self,
        edits: &[MemberEdit],
        uuid: Option<&str>,
        effort: Effort,
    ) -> Result<Bytes, StateError> {
        self.around(self.state.edit(edits, effort)?, uuid, effort)
    }

    /// The file with another state in place of its own; `None` where a file of this kind cannot hold it.
    /// `uuid` is as in [`Saved::edit`].
    ///
    /// # Errors
    /// [`StateFault::Manifest`] for a bundle whose manifest is not understood.
    pub fn with_state(
        &self,
        state: &State,
        uuid: Option<&str>,
        effort: Effort,
    ) -> Result<Option<Bytes>, StateError> {
        let content = match self.saved_as {
            SavedAs::State | SavedAs::Bundle => state.as_state_file()?,
            SavedAs::Local => state.as_bare_file()?,
            SavedAs::Encrypted => self.state.encrypted_like_it(state)?,
        };
        let file = content.map(|content| self.around(content, uuid, effort));
        file.transpose()
    }

    /// The file with this content in place of that of its state.
    fn around(
        &self,
        content: Bytes,
        uuid: Option<&str>,
        effort: Effort,
    ) -> Result<Bytes, StateError> {
        match &self.bundle {
            None => Ok(content),
            Some(_) if uuid.is_none() && *content == *self.state.as_bytes() => {
                Ok(self.file.clone())
            }
            Some(bundle) => Ok(bundle.with_state(content.into(), uuid, effort)?.into()),
        }
    }
}

impl Bundle {
    fn new(packed: Packed) -> Result<Self, StateError> {
        let no_state = || StateError::new(&packed.at, StateFault::NoConfiguration);
        let state_at = state_in(&packed.archive).ok_or_else(no_state)?;
        // It lies beside the state.
        let beside = state_at.strip_suffix(STATE).unwrap_or_default();
        let manifest_at = format!("{beside}{MANIFEST}");
        let manifest = packed.content(&manifest_at)?.map(Manifest::parse);
        Ok(Bundle {
            manifest: manifest.map(|manifest| (manifest_at, manifest)),
            packed,
            state_at,
        })
    }

    /// The manifest, and where it is, if all of it is understood.
    fn known_manifest(&self) -> Result<&(String, Manifest), StateError> {
        let not_known =
            |what: String| StateError::new(SavedAs::Bundle.as_str(), StateFault::Manifest { what });
        let manifest = self.manifest.as_ref();
        let found = manifest.ok_or_else(|| not_known("is missing".to_owned()))?;
        match found.1.unknown() {
            None => Ok(found),
            Some(line) => Err(not_known(format!(
                "has a line that is not known ({line:?})"
            ))),
        }
    }

    /// The bundle with another state in it.
    fn with_state(
        &self,
        content: Vec<u8>,
        uuid: Option<&str>,
        effort: Effort,
    ) -> Result<Vec<u8>, StateError> {
        let (manifest_at, manifest) = self.known_manifest()?;
        let mut edits = vec![MemberEdit::Replace {
            path: self.state_at.clone(),
            content: content.into(),
        }];
        edits.extend(uuid.map(|uuid| MemberEdit::Replace {
            path: manifest_at.clone(),
            content: manifest.with_uuid(uuid).into(),
        }));
        let archive = self.packed.edit(&edits)?;
        let limits = Limits::each(archive.bytes().len() as u64);
        self.packed.pack(&archive, effort, &limits)
    }
}

/// Where a bundle has its state.
fn state_in(archive: &Archive) -> Option<String> {
    let mut paths = archive.members().iter().map(|member| member.path());
    let is_state = |path: &str| path == STATE || path.ends_with(&format!("/{STATE}"));
    paths
        .find(|path| is_state(path))
        .map(|path| path.into_owned())
}

/// What an archive holds a configuration as; `None` where it holds none.
fn tell(archive: &Archive) -> Option<SavedAs> {
    let has = |path: &str| archive.find(path).is_some();
    if has(LOCAL) || has(LOCAL_ENCRYPTED) {
        return Some(SavedAs::State);
    }
    if state_in(archive).is_some() {
        return Some(SavedAs::Bundle);
    }
    // One of no members is what a host without any settings has.
    let members = archive.members();
    let is_configuration = members.is_empty()
        || members
            .iter()
            .any(|member| member.path().starts_with(CONFIGURATION));
    is_configuration.then_some(SavedAs::Local)
}
