//! Targets that are state files: read as a whole, with the key that belongs to them.

use super::Session;
use crate::cli::process;
use crate::cli::report::Failure;
use crate::medium::WholeFile;
use crate::state::KEY_STORES;
use crate::state::envelope::Envelope;
use crate::target::SavedState;
use std::path::Path;

impl Session {
    /// The bytes of a state file.
    ///
    /// # Errors
    /// Options that are about banks; what keeps the file from being read.
    pub fn read_state_file(&self, path: &Path) -> Result<WholeFile, Failure> {
        self.common.check_for_state_file()?;
        Ok(WholeFile::open_read(
            path,
            &self.host,
            self.common.limits.max_unpacked,
        )?)
    }

    /// The same for one that is to be changed, which nobody else has then.
    ///
    /// # Errors
    /// As [`Session::read_state_file`].
    pub fn claim_state_file(&self, path: &Path) -> Result<WholeFile, Failure> {
        self.common.check_for_state_file()?;
        Ok(WholeFile::claim(
            path,
            &self.host,
            self.common.limits.max_unpacked,
        )?)
    }

    /// Opens the state in the file at `path`, whose content is `bytes`.
    ///
    /// # Errors
    /// A file that is damaged, or holds no state; a key file that cannot be read.
    pub fn open_saved(&self, path: &Path, bytes: &[u8]) -> Result<SavedState<'_>, Failure> {
        let key_store = self.key_store_for(path, bytes)?;
        let settings = self.settings(None);
        let saved = SavedState::open(bytes, key_store.as_deref(), &settings, self.common.look);
        Ok(saved?)
    }

    /// The file that keeps the key of the state file at `path`: the one that was named, or the one
    /// beside it. `None` where there is none, and for a state that needs none.
    ///
    /// # Errors
    /// One that cannot be read.
    pub fn key_store_for(&self, path: &Path, bytes: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        match &self.common.key_store {
            _ if !Envelope::is_one(bytes) => Ok(None),
            Some(named) => Ok(Some(named.clone())),
            None => key_store_beside(path),
        }
    }
}

/// The file that keeps the key, in the directory of the encrypted archive.
fn key_store_beside(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let mut beside = KEY_STORES.iter().map(|name| path.with_file_name(name));
    let found = beside.find(|path| path.is_file());
    found.as_deref().map(process::bytes).transpose()
}
