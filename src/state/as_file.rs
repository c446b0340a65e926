//! A state as a file of another kind than it was opened from, and states without any configuration.

use super::inner::Inner;
use super::{Effort, LOCAL, STATE, State, StateError, gzip};
use bytes::Bytes;

/// Bytes of a block of an archive.
const BLOCK: usize = 512;

impl State {
    /// A plain `state.tgz` without any configuration, as a file: the host starts with default
    /// settings. `tar` reads it as an archive of one empty archive.
    ///
    /// # Errors
    /// A [`StateError`] of the compression, never met with so little.
    pub fn empty() -> Result<Vec<u8>, StateError> {
        around(&Self::empty_bare()?)
    }

    /// The same as a bare `local.tgz`.
    ///
    /// # Errors
    /// As [`State::empty`].
    pub(crate) fn empty_bare() -> Result<Vec<u8>, StateError> {
        pack_new(LOCAL, &[0; 2 * BLOCK])
    }

    /// The state as a `state.tgz` holds it; `None` where its key would be missing there.
    ///
    /// # Errors
    /// As [`State::empty`].
    pub(crate) fn as_state_file(&self) -> Result<Option<Bytes>, StateError> {
        match (&self.outer, &self.inner) {
            (Some(_), _) => Ok(Some(self.file.clone())),
            (None, Inner::Plain(_)) => Ok(Some(around(&self.file)?.into())),
            (None, _) => Ok(None),
        }
    }

    /// The state as a bare `local.tgz` holds it; `None` for one that is not plain.
    ///
    /// # Errors
    /// As [`State::outer_content`].
    pub(crate) fn as_bare_file(&self) -> Result<Option<Bytes>, StateError> {
        match (&self.outer, &self.inner) {
            (None, Inner::Plain(_)) => Ok(Some(self.file.clone())),
            (Some(_), Inner::Plain(_)) => {
                let inner = self.outer_content(LOCAL)?;
                Ok(inner.map(Bytes::copy_from_slice))
            }
            (_, _) => Ok(None),
        }
    }

    /// The configuration of another state, encrypted with the key of this one as its own is; `None` where one of
    /// them is not encrypted.
    ///
    /// # Errors
    /// A [`StateError`] of the envelope.
    pub(crate) fn encrypted_like_it(&self, other: &State) -> Result<Option<Bytes>, StateError> {
        let (Inner::Encrypted(own), Inner::Encrypted(new)) = (&self.inner, &other.inner) else {
            return Ok(None);
        };
        let content = self.encrypt(own, new.plaintext.content())?;
        Ok(Some(content.into()))
    }
}

/// A packed archive as a member of a new `state.tgz`.
fn around(local: &[u8]) -> Result<Vec<u8>, StateError> {
    let mut header = tar::Header::new_gnu();
    // A name of this length always fits.
    let _ = header.set_path(LOCAL);
    header.set_size(local.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    let mut outer = header.as_bytes().to_vec();
    outer.extend(local);
    outer.resize(outer.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
    pack_new(STATE, &outer)
}

/// A new archive, packed as a host does it.
fn pack_new(at: &str, archive: &[u8]) -> Result<Vec<u8>, StateError> {
    let packed = gzip::pack(&gzip::Header::host(), archive, Effort::Usual);
    packed.map_err(|error| StateError::new(at, error))
}
