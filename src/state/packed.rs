//! A compressed archive, as the layers of a state hold one another.

use super::archive::{Archive, ArchiveError};
use super::budget::Held;
use super::gzip::{self, Effort, GzipError};
use super::{
    CONFIG_STORE, LOCAL, LOCAL_ENCRYPTED, Limits, Member, MemberEdit, StateError, StateFault,
    StateWarning,
};
use std::sync::Arc;

/// A compressed archive, opened.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    /// What messages call it.
    pub(super) at: String,
    header: gzip::Header,
    pub(super) archive: Archive,
    /// Its share of the budget.
    _held: Arc<Held>,
}

impl Packed {
    /// What it holds a configuration as; `None` where it holds none.
    pub(super) fn kind(&self) -> Option<Carrier> {
        let members = || self.archive.members().iter();
        let is_inner = |member: &Member| matches!(&*member.path(), LOCAL | LOCAL_ENCRYPTED);
        if members().any(is_inner) {
            return Some(Carrier::State);
        }
        let is_configuration = |member: &Member| {
            let path = member.path();
            path.starts_with("etc/") || path == CONFIG_STORE
        };
        members().any(is_configuration).then_some(Carrier::Local)
    }

    pub(super) fn open(at: &str, bytes: &[u8], limits: &Limits) -> Result<Self, StateError> {
        let mut held = Held::of(limits.budget.as_ref());
        let mut grow = |bytes| held.grow_to(bytes);
        let gzip = gzip::unpack_within(bytes, limits.max_unpacked, &mut grow);
        let gzip = gzip.map_err(|error| StateError::new(at, error))?;
        let archive = Archive::parse(gzip.data).map_err(|error| StateError::new(at, error))?;
        Ok(Packed {
            at: at.to_owned(),
            header: gzip.header,
            archive,
            _held: Arc::new(held),
        })
    }

    /// The archive with `edits` made.
    pub(super) fn edit(&self, edits: &[MemberEdit]) -> Result<Archive, StateError> {
        self.archive.edit(edits).map_err(|err| self.error(err))
    }

    /// The file that holds another archive in place of this one; it was unpacked and compared with it.
    pub(super) fn pack(
        &self,
        archive: &Archive,
        effort: Effort,
        limits: &Limits,
    ) -> Result<Vec<u8>, StateError> {
        let failed = |error: GzipError| StateError::new(&self.at, error);
        let bytes = archive.bytes();
        if bytes.len() as u64 > limits.max_unpacked {
            let limit = limits.max_unpacked;
            return Err(failed(GzipError::OverLimit { limit }));
        }
        let mut held = Held::of(limits.budget.as_ref());
        let mut grow = |bytes| held.grow_to(bytes);
        let file = gzip::pack_pieces(&self.header, bytes, effort, &mut grow).map_err(failed)?;
        if !gzip::holds(&file, bytes).map_err(failed)? {
            let what = "the archive does not unpack to what was packed";
            return Err(StateError::new(&self.at, StateFault::Verification { what }));
        }
        Ok(file)
    }

    pub(super) fn content(
        &self,
        path: &(impl AsRef<[u8]> + ?Sized),
    ) -> Result<Option<&[u8]>, StateError> {
        self.archive.content(path).map_err(|err| self.error(err))
    }

    pub(super) fn error(&self, error: ArchiveError) -> StateError {
        StateError::new(&self.at, error)
    }

    pub(super) fn warnings(&self) -> impl Iterator<Item = StateWarning> {
        let warnings = self.archive.warnings().iter();
        warnings.map(|warning| StateWarning::Archive {
            at: self.at.clone(),
            warning: warning.clone(),
        })
    }
}

/// What an archive holds a configuration as.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrier {
    /// As `state.tgz` does: the archive of an archive.
    State,
    /// As `local.tgz` does: the files themselves.
    Local,
}
