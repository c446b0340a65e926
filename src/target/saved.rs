//! A state that is a file of its own, opened as a target: what is in it.

use crate::bank::Release;
use crate::edit::host_map::Names;
use crate::edit::identity::{system_uuid_of, written_by};
use crate::edit::plan_file::Expect;
use crate::edit::{Configuration, Identity};
use crate::error::ErrorKind;
use crate::state::{Saved, SavedAs, State};
use crate::stick::{
    Cause, Error, FoundFile, Look, Path, Reading, Settings, Warning, WarningCause, check_conf,
    is_of_build,
};
use std::sync::Arc;

/// A state in a file of its own: read, and its changes planned.
#[derive(Clone, Debug)]
pub struct SavedState<'k> {
    /// `None` where only what is left of a damaged one was read.
    pub(super) saved: Option<Saved>,
    reading: Reading,
    pub(super) key_store: Option<Vec<u8>>,
    pub(super) settings: Settings<'k>,
}

impl<'k> SavedState<'k> {
    /// Opens the content of such a file. `key_store` is the `encryption.info` that belongs to it,
    /// where there is one.
    ///
    /// # Errors
    /// What opening the state met; with [`Look::rescue`] only where nothing is left.
    pub fn open(
        bytes: &[u8],
        key_store: Option<&[u8]>,
        settings: &Settings<'k>,
        look: Look,
    ) -> Result<Self, Error> {
        let (limits, keys) = (&settings.limits, settings.keys);
        let saved = match Saved::open(bytes, key_store, limits, keys) {
            Ok(saved) => saved,
            Err(error) if look.rescue && error.kind() == ErrorKind::Damaged => {
                let rescued = Saved::rescue(bytes, key_store, limits, keys).map_err(|why| {
                    let (error, why) = (Box::new(error.into()), Box::new(why.into()));
                    Error::from(Cause::NothingLeft { error, why })
                })?;
                return Ok(SavedState {
                    saved: None,
                    reading: Reading::Rescued(Box::new(rescued)),
                    key_store: None,
                    settings: settings.clone(),
                });
            }
            Err(error) => return Err(error.into()),
        };
        Ok(SavedState {
            reading: Reading::Whole(Arc::clone(saved.state())),
            saved: Some(saved),
            key_store: key_store.map(<[u8]>::to_vec),
            settings: settings.clone(),
        })
    }

    /// The state, or what is left of it.
    pub fn reading(&self) -> &Reading {
        &self.reading
    }

    /// The state, where it is whole.
    pub fn state(&self) -> Option<&State> {
        Some(self.saved.as_ref()?.state())
    }

    /// What kind of file it is; `None` where damage hides it.
    pub fn saved_as(&self) -> Option<SavedAs> {
        self.saved.as_ref().map(Saved::saved_as)
    }

    /// The release of the host that wrote it, as far as the file tells: the manifest of a bundle says
    /// it, and else a line of esx.conf, which does not tell the build. One that cannot be, because
    /// hosts of that release keep states of another form, does not count.
    pub fn release(&self) -> Option<Release> {
        let manifest = self.saved.as_ref().and_then(Saved::manifest);
        let manifest = manifest
            .and_then(|manifest| manifest.version())
            .map(str::to_owned);
        let version = manifest.or_else(|| written_by(&self.reading).ok().flatten());
        let release = Release::parse(&version?)?;
        let is_plain = self.reading.form() == crate::state::Form::Plain;
        let fits = is_plain || release.encrypts_state() != Some(false);
        fits.then_some(release)
    }

    /// Size of the file in bytes.
    pub fn size(&self) -> u64 {
        let whole = self.saved.as_ref().map(Saved::as_bytes);
        whole.unwrap_or_else(|| self.reading.as_bytes()).len() as u64
    }

    /// Why the file can be read and not changed; `None` where it can be changed.
    pub fn manifest_warning(&self) -> Option<Warning> {
        let error = self.saved.as_ref()?.check_manifest().err()?;
        Some(WarningCause::Manifest(error).into())
    }

    /// Whose state it is, where it can be told.
    pub fn identity(&self) -> Option<Identity> {
        let release = self.release();
        let configuration = Configuration::open_for(self.state()?, release.as_ref()).ok()?;
        Some(configuration.identity(release.as_ref()))
    }

    /// What tells this host from others.
    pub fn names(&self) -> Names {
        let mut names = Names::default();
        let uuid = self.state().and_then(system_uuid_of);
        names.system_uuids.extend(uuid);
        names
    }

    /// A file of the configuration; `None` where there is none.
    ///
    /// # Errors
    /// [`Cause::NoBanks`] for a path into a bank; what reading the state met.
    pub fn content(&self, path: &Path) -> Result<Option<FoundFile>, Error> {
        let Path::State(name) = path else {
            return Err(Cause::NoBanks.into());
        };
        match self.reading.file(None, name)? {
            Some(found) => Ok(Some(found)),
            // It may have been behind the damage.
            None => self.reading.missing(None).map_or(Ok(None), Err),
        }
    }

    /// Checks what a plan expects of the state.
    ///
    /// # Errors
    /// [`Cause::Expectation`] for the first thing that is otherwise; [`Cause::NoBanks`] where a bank
    /// is expected to boot.
    pub fn check_expectations(&self, expect: &Expect) -> Result<(), Error> {
        if expect.bank.is_some() {
            return Err(Cause::NoBanks.into());
        }
        if let Some(expected) = &expect.build {
            let release = self.release().map(|release| release.to_string());
            if !release
                .as_deref()
                .is_some_and(|found| is_of_build(found, expected))
            {
                let found = release.map_or("no release".to_owned(), |found| format!("{found:?}"));
                let what =
                    format!("the build should be {expected}, but this state file tells {found}");
                return Err(Cause::Expectation(what).into());
            }
        }
        let state = self.whole()?;
        check_conf(expect, state).map_err(|error| error.in_file(state.file_name()))
    }

    /// The state, to be changed.
    pub(super) fn whole(&self) -> Result<&State, Error> {
        let damaged = || {
            let error = self.reading.missing(None);
            error.unwrap_or_else(|| Cause::NoSuchFile.into())
        };
        self.state().ok_or_else(damaged)
    }
}
