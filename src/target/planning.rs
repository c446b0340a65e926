//! What a change comes to in a state that is a file of its own.

use super::SavedState;
use crate::commit::WriteSet;
use crate::edit::identity::{SYSTEM_UUID, system_uuid_of};
use crate::edit::{
    self, ChangeSource, Configuration, Context, ESX_CONF, Edit, EditError, Edited, Harm,
    SettingChange, check_agreement, check_unmatched, fingerprint,
};
use crate::ownership::EsxConf;
use crate::secrets::Guarded;
use crate::state::{Effort, MemberEdit, Saved, State};
use crate::stick::{
    Cause, Error, FilePlan, NextBoot, Outlook, Plan, Settings, TransferError, Warning,
    check_replaces, is_empty_state, note_harm_between, settings_that_differ,
};
use bytes::Bytes;
use std::sync::Arc;

impl SavedState<'_> {
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
        let edited = apply(state)?;
        let gone = check_unmatched(&[edited.unmatched.as_slice()])?;
        let of_edits = edited.warnings.into_iter().chain(gone);
        let warnings = state.warnings().into_iter().map(Warning::from);
        let warnings = warnings.chain(of_edits.map(Warning::from)).collect();
        let mut plan = FilePlan {
            searched: edited.searched,
            doubtful: edited.doubtful,
            changes: edited.changes,
            texts: edited.texts,
            ..self.unchanged(state)
        };
        let new = if edited.members.is_empty() {
            None
        } else {
            let uuid = self.new_uuid(uuid_after(&edited.members));
            let content =
                self.saved()?
                    .edit(&edited.members, uuid_in(uuid.as_ref()), Effort::Usual)?;
            plan.changes.extend(uuid.map(NewUuid::change));
            let new = self.opened_again(&content)?;
            let again = apply(&new)?;
            check_agreement(&again, edits).map_err(|error| inside(error.into()))?;
            if !again.members.is_empty() {
                let what = format!("{} would still need the change", state.file_name());
                return Err(Cause::Verification(what).into());
            }
            Some((content, new))
        };
        Ok(self.planned(plan, new, warnings))
    }

    /// What putting another state in place of its own comes to: `content` is a `state.tgz`, `local.tgz` or
    /// `configBundle.tgz`. The file stays of its kind.
    ///
    /// # Errors
    /// [`TransferError`] for a state of another generation or release, and for a file that cannot hold it; what
    /// opening it met; a bundle that cannot be kept true.
    pub fn plan_import(&self, content: &[u8]) -> Result<Plan, Error> {
        let old = self.whole()?;
        let inside = |error: Error| error.in_file(old.file_name());
        let plan = FilePlan {
            searched: vec![old.file_name().to_owned()],
            ..self.unchanged(old)
        };
        let Settings { limits, keys, .. } = &self.settings;
        let import = Saved::open(content, None, limits, keys)
            .map_err(|error| Error::from(error).in_file("the state to import"))?;
        let import = import.state();
        let uuid = self.uuid_of_import(import);
        let content = self
            .saved()?
            .with_state(import, uuid_in(uuid.as_ref()), Effort::Usual)?;
        if content.as_deref() == Some(self.saved()?.as_bytes()) {
            return Ok(self.planned(plan, None, Vec::new()));
        }
        let build = self.release().map(|release| release.to_string());
        let odd = check_replaces(Some(old), import, build.as_deref(), None).map_err(inside)?;
        let mut warnings: Vec<Warning> = import.warnings().into_iter().map(Warning::from).collect();
        warnings.extend(odd);
        let form = import.form();
        let content = content.ok_or_else(|| inside(TransferError::Unfit { form }.into()))?;
        let new = self.opened_again(&content)?;
        let (mut edited, unknown) = self.replaced(old, &new);
        edited.changes.extend(uuid.map(NewUuid::change));
        warnings.extend(unknown);
        let plan = FilePlan {
            changes: edited.changes,
            texts: settings_that_differ(Some(old), &new)?.into_iter().collect(),
            ..plan
        };
        let harm = is_empty_state(&new) && !is_empty_state(old);
        Ok(Plan {
            harm_at_boot: harm.then_some(Harm::DefaultSettings),
            ..self.planned(plan, Some((content, new)), warnings)
        })
    }

    /// That one state takes the place of another, with what that costs the host, or a warning where that
    /// cannot be told.
    fn replaced(&self, old: &State, new: &State) -> (Edited, Option<Warning>) {
        let told = |state: &State| Some(Guarded::of(fingerprint(state.as_bytes())));
        let change = SettingChange::new(ChangeSource::File, old.file_name(), told(old), told(new));
        let is_other = old.as_bytes() != new.as_bytes();
        let mut edited = Edited {
            changes: is_other.then_some(change).into_iter().collect(),
            ..Edited::default()
        };
        let release = self.release();
        let inside = |error: EditError| Error::from(error).in_file(old.file_name());
        let open = |state| Configuration::open_for(state, release.as_ref()).map_err(inside);
        let unknown = note_harm_between(|| open(old), open(new), inside, &mut edited);
        (edited, unknown)
    }

    fn saved(&self) -> Result<&Saved, Error> {
        self.saved.as_ref().ok_or_else(|| Cause::NoSuchFile.into())
    }

    /// The plan for a file that stays as it is.
    fn unchanged(&self, state: &State) -> FilePlan {
        FilePlan {
            file: state.file_name().to_owned(),
            listed: true,
            form: Some(state.form()),
            searched: Vec::new(),
            doubtful: 0,
            changes: Vec::new(),
            texts: Vec::new(),
            content: None,
            removed: false,
        }
    }

    /// The plan as a whole; `new` is the content of the file and the state in it, where it changes.
    fn planned(
        &self,
        mut file: FilePlan,
        new: Option<(Bytes, Arc<State>)>,
        warnings: Vec<Warning>,
    ) -> Plan {
        let release = self.release();
        let after = new.as_ref().map(|(_, state)| state.as_ref());
        let count = |state| {
            let configuration = Configuration::open_for(state, release.as_ref()).ok()?;
            configuration.passed_through_count(None).ok()?
        };
        let outlook = Outlook {
            boot: NextBoot::NoMedium,
            passed_through: after.or(self.state()).and_then(count),
            has_settings: Some(!after.or(self.state()).is_some_and(is_empty_state)),
            cure: None,
        };
        file.content = new.map(|(content, _)| content);
        Plan {
            warnings,
            state: Some(file),
            ..Plan::new(WriteSet::default(), Vec::new(), outlook)
        }
    }

    /// The state in the new content of the file, which must be of the same kind.
    fn opened_again(&self, content: &[u8]) -> Result<Arc<State>, Error> {
        let Settings { limits, keys, .. } = &self.settings;
        let again = Saved::open(content, self.key_store.as_deref(), limits, keys)?;
        if Some(again.saved_as()) != self.saved_as() {
            let what = "the file would be of another kind".to_owned();
            return Err(Cause::Verification(what).into());
        }
        Ok(Arc::clone(again.state()))
    }

    /// What becomes of the host's UUID in the manifest of a bundle where another state takes the place of its own:
    /// from then on it is that of the new one, and empty where that has none. Where neither state tells one, the
    /// manifest may know better.
    fn uuid_of_import(&self, import: &State) -> Option<NewUuid> {
        let manifest = self.saved.as_ref()?.manifest()?;
        let from = manifest.uuid_as_written()?.to_owned();
        let in_state = self.state().and_then(system_uuid_of);
        let to = match system_uuid_of(import) {
            Some(uuid) => uuid,
            None => in_state.map(|_| String::new())?,
        };
        (!from.eq_ignore_ascii_case(&to)).then_some(NewUuid { from, to })
    }

    /// What becomes of the host's UUID in the manifest of a bundle, given that in the state from then on. A
    /// manifest that has another than the state has now stays.
    fn new_uuid(&self, after: Option<String>) -> Option<NewUuid> {
        let from = self.saved.as_ref()?.manifest()?.uuid()?.to_owned();
        let in_state = system_uuid_of(self.state()?)?;
        let to = after?;
        let changes = from.eq_ignore_ascii_case(&in_state) && to != in_state;
        changes.then_some(NewUuid { from, to })
    }
}

/// The UUID in the manifest of a bundle before and after.
struct NewUuid {
    from: String,
    to: String,
}

impl NewUuid {
    /// The change as it is shown.
    fn change(self) -> SettingChange {
        let guarded = |uuid| Some(Guarded::named("UUID", uuid));
        let (from, to) = (guarded(self.from), guarded(self.to));
        SettingChange::new(ChangeSource::File, "UUID in Manifest.txt", from, to)
    }
}

fn uuid_in(new: Option<&NewUuid>) -> Option<&str> {
    new.map(|new| new.to.as_str())
}

/// The host's UUID once these members are edited; `None` where esx.conf is not among them. It is empty where
/// esx.conf has none from then on.
fn uuid_after(members: &[MemberEdit]) -> Option<String> {
    let content = members.iter().find_map(|member| match member {
        MemberEdit::Replace { path, content } if path == ESX_CONF => Some(content),
        _ => None,
    })?;
    let conf = EsxConf::parse(content.to_vec()).ok()?;
    Some(conf.get(SYSTEM_UUID).unwrap_or_default().to_owned())
}
