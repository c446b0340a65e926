//! A state that is a file of its own, opened as a target.

use crate::bank::Release;
use crate::commit::WriteSet;
use crate::edit::host_map::Names;
use crate::edit::identity::{system_uuid_of, written_by};
use crate::edit::plan_file::Expect;
use crate::edit::{
    self, ChangeSource, Configuration, Context, ESX_CONF, Edit, Edited, Identity, SettingChange,
    check_agreement, check_unmatched,
};
use crate::error::ErrorKind;
use crate::ownership::EsxConf;
use crate::secrets::Guarded;
use crate::state::{Effort, MemberEdit, Saved, SavedAs, State};
use crate::stick::{
    Cause, Error, FilePlan, FoundFile, Look, NextBoot, Outlook, Path, Plan, Reading, Settings,
    Warning, check_conf, is_of_build,
};
use std::sync::Arc;

/// A state in a file of its own: read, and its changes planned.
#[derive(Clone, Debug)]
pub struct SavedState<'k> {
    /// `None` where only what is left of a damaged one was read.
    saved: Option<Saved>,
    reading: Reading,
    key_store: Option<Vec<u8>>,
    settings: Settings<'k>,
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
                let rescued = Saved::rescue(bytes, limits, keys).map_err(|why| {
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
        let is_plain = self.reading.form()? == crate::state::Form::Plain;
        let fits = is_plain || release.encrypts_state() != Some(false);
        fits.then_some(release)
    }

    /// Size of the file in bytes.
    pub fn size(&self) -> u64 {
        let whole = self.saved.as_ref().map(Saved::as_bytes);
        whole.unwrap_or_else(|| self.reading.as_bytes()).len() as u64
    }

    /// Why the file can be read and not changed, in words; `None` where it can be changed.
    pub fn manifest_warning(&self) -> Option<String> {
        let error = self.saved.as_ref()?.check_manifest().err()?;
        Some(error.to_string())
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

    /// What `edits` come to in it. Reads, computes and verifies; writes nothing.
    ///
    /// # Errors
    /// [`Cause::NoBanks`] for an edit of `boot.cfg`; as [`edit::apply`]; a bundle that cannot be
    /// kept true.
    pub fn plan(&self, edits: &[Edit], context: Context) -> Result<Plan, Error> {
        if edits.iter().any(Edit::is_of_boot_cfg) {
            return Err(Cause::NoBanks.into());
        }
        let (state, release) = (self.whole()?, self.release());
        let inside = |error: Error| error.in_file(state.file_name());
        let apply = |state: &State| {
            let edited = edit::apply(state, edits, context, release.as_ref());
            edited.map_err(|error| inside(error.into()))
        };
        let mut edited = apply(state)?;
        let mut gone = check_unmatched(&[edited.unmatched.as_slice()])?;
        let mut warnings = state.warnings();
        warnings.append(&mut edited.warnings);
        warnings.append(&mut gone);
        let content = if edited.members.is_empty() {
            None
        } else {
            let (content, new) = self.changed(&mut edited)?;
            let again = apply(&new)?;
            check_agreement(&again, edits).map_err(|error| inside(error.into()))?;
            if !again.members.is_empty() {
                let what = format!("{} would still need the change", state.file_name());
                return Err(Cause::Verification(what).into());
            }
            Some((content, new))
        };
        let after = content.as_ref().map_or(state, |(_, new)| new);
        let outlook = Outlook {
            boot: NextBoot::NoMedium,
            passed_through: Configuration::open_for(after, release.as_ref())
                .ok()
                .and_then(|configuration| configuration.passed_through_count().ok()?),
            has_settings: true,
            cure: None,
        };
        Ok(Plan {
            warnings: warnings.into_iter().map(Warning::from).collect(),
            state: Some(FilePlan {
                file: state.file_name().to_owned(),
                listed: true,
                form: Some(state.form()),
                searched: edited.searched,
                doubtful: edited.doubtful,
                changes: edited.changes,
                texts: edited.texts,
                content: content.map(|(content, _)| content.into()),
                removed: false,
            }),
            ..Plan::new(WriteSet::default(), Vec::new(), outlook)
        })
    }

    /// The file with the members that were edited, and the state in it, opened again.
    fn changed(&self, edited: &mut Edited) -> Result<(Vec<u8>, Arc<State>), Error> {
        let saved = self.saved.as_ref().ok_or(Cause::NoSuchFile)?;
        let uuid = self.new_uuid(&edited.members);
        if let Some((from, to)) = &uuid {
            let [from, to] = [from, to].map(|uuid| Some(Guarded::named("UUID", uuid.as_str())));
            let change = SettingChange::new(ChangeSource::File, "UUID in Manifest.txt", from, to);
            edited.changes.push(change);
        }
        let uuid = uuid.as_ref().map(|(_, to)| to.as_str());
        let content = saved.edit(&edited.members, uuid, Effort::Usual)?;
        let Settings { limits, keys, .. } = &self.settings;
        let again = Saved::open(&content, self.key_store.as_deref(), limits, keys)?;
        if again.saved_as() != saved.saved_as() {
            let what = "the file would be of another kind".to_owned();
            return Err(Cause::Verification(what).into());
        }
        Ok((content, Arc::clone(again.state())))
    }

    /// The host's UUID before and after, where the manifest of a bundle has the old one and the
    /// edits change it.
    fn new_uuid(&self, members: &[MemberEdit]) -> Option<(String, String)> {
        let old = self.saved.as_ref()?.manifest()?.uuid()?.to_owned();
        let in_state = system_uuid_of(self.state()?)?;
        let content = members.iter().find_map(|member| match member {
            MemberEdit::Replace { path, content } if path == ESX_CONF => Some(content),
            _ => None,
        })?;
        let new = EsxConf::parse(content.to_vec()).ok()?;
        let new = new.get(edit::identity::SYSTEM_UUID).unwrap_or_default();
        let changes = old.eq_ignore_ascii_case(&in_state) && new != in_state;
        changes.then(|| (old, new.to_owned()))
    }

    /// The state, to be changed.
    fn whole(&self) -> Result<&State, Error> {
        let damaged = || {
            let error = self.reading.missing(None);
            error.unwrap_or_else(|| Cause::NoSuchFile.into())
        };
        self.state().ok_or_else(damaged)
    }
}
