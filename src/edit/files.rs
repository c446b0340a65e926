//! Files of the configuration: put in, or taken out.

use super::configuration::inside;
use super::request::FileEdit;
use super::{
    CONFIG_STORE, ChangeSource, Configuration, Context, ESX_CONF, EditError, SettingChange,
};
use super::{EditWarning, Edited, TextChange, Unmatched};
use crate::bytes::hex;
use crate::error::counted;
use crate::ownership::{ConfigStore, EsxConf};
use crate::secrets::Guarded;
use crate::state::{Member, MemberEdit, MemberKind, State};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Permission bits of a file that is new in a state.
const NEW_FILE_MODE: u32 = 0o644;

/// Permission bits from their octal digits: `0644`.
pub fn permission_bits(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let bits = u32::from_str_radix(text, 8).ok().filter(|_| digits)?;
    (bits <= 0o7777).then_some(bits)
}
/// What a host needs to find its configuration again.
const NEEDED: [&str; 4] = [
    ESX_CONF,
    "etc/vmware/.backup.counter",
    "etc/vmware/encryption.info",
    "var/lib/vmware/configstore",
];

/// What a file is to become.
enum Wanted {
    Content(Vec<u8>, Option<u32>),
    Nothing,
}

/// The files that edits change, other than those [`Configuration`] opens.
#[derive(Default)]
pub(super) struct Files {
    wanted: BTreeMap<String, Wanted>,
}

impl FileEdit {
    /// Notes the change in `files`, or makes it in `configuration` where the file is one that
    /// is opened there.
    pub(super) fn make(
        &self,
        state: &State,
        configuration: &mut Configuration,
        files: &mut Files,
        edited: &mut Edited,
    ) -> Result<(), EditError> {
        match self {
            FileEdit::Put {
                path,
                content,
                mode,
            } => {
                let typed = path;
                let path = plain_path(path)?;
                configuration.note_search(&path, edited);
                refuse_others(state, &path, &[MemberKind::Regular])?;
                if typed.ends_with('/') {
                    let path = typed.clone();
                    return Err(EditError::NamesDirectory { path });
                }
                match path.as_str() {
                    ESX_CONF => put_esx_conf(configuration, content, edited)?,
                    CONFIG_STORE => put_store(configuration, content, edited)?,
                    _ => {
                        let wanted = Wanted::Content(content.clone(), *mode);
                        files.wanted.insert(path, wanted);
                    }
                }
            }
            FileEdit::Remove { path, absent_ok } => {
                let path = plain_path(path)?;
                let is_needed = |needed: &str| {
                    let rest = path.strip_prefix(needed);
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                };
                if NEEDED.iter().any(|needed| is_needed(needed)) {
                    return Err(EditError::Needed { path });
                }
                configuration.note_search(&path, edited);
                refuse_others(state, &path, &[MemberKind::Regular, MemberKind::HardLink])?;
                let there = match files.wanted.get(&path) {
                    Some(wanted) => matches!(wanted, Wanted::Content(..)),
                    None => state.find(&path)?.is_some(),
                };
                if there {
                    files.wanted.insert(path, Wanted::Nothing);
                } else if !absent_ok {
                    edited.unmatched.push(Unmatched::File(path));
                }
            }
        }
        Ok(())
    }
}

impl Files {
    /// Whether any of them is put in.
    pub(super) fn adds(&self) -> bool {
        let mut wanted = self.wanted.values();
        wanted.any(|wanted| matches!(wanted, Wanted::Content(..)))
    }

    /// Notes what differs from `state`.
    pub(super) fn note(
        self,
        state: &State,
        context: Context,
        edited: &mut Edited,
    ) -> Result<(), EditError> {
        for (path, wanted) in self.wanted {
            let link = state
                .find(&path)?
                .filter(|it| it.kind == MemberKind::HardLink);
            if let (Some(link), Wanted::Nothing) = (link, &wanted) {
                note_link(&path, &link.link_name, edited);
                edited.members.push(MemberEdit::Remove { path });
                continue;
            }
            let before = state.content(&path)?;
            match (before, wanted) {
                (Some(old), Wanted::Content(new, mode)) => {
                    let kept = state.find(&path)?.map(|member| member.mode);
                    if let (Some(kept), Some(mode)) = (kept, mode)
                        && kept != mode
                    {
                        return Err(EditError::ModeKept { path, kept, mode });
                    }
                    if old != new.as_slice() {
                        note_change(&path, Some(old), Some(&new), edited);
                        edited.members.push(MemberEdit::Replace {
                            path,
                            content: new.into(),
                        });
                    }
                }
                (None, Wanted::Content(content, mode)) => {
                    note_change(&path, None, Some(&content), edited);
                    let warning = EditWarning::NewFile { path: path.clone() };
                    edited.warnings.push(warning);
                    edited.members.push(MemberEdit::Add {
                        path,
                        content: content.into(),
                        mode: mode.unwrap_or(NEW_FILE_MODE),
                        mtime: added_time(state, context)?,
                    });
                }
                (Some(old), Wanted::Nothing) => {
                    note_change(&path, Some(old), None, edited);
                    edited.members.push(MemberEdit::Remove { path });
                }
                (None, Wanted::Nothing) => {}
            }
        }
        Ok(())
    }
}

/// Only a regular file may be replaced, and only that and a hard link to one be removed, which leaves
/// the file: what a symbolic link means to a host that unpacks the archive depends on what else it has. Of a
/// directory an archive often has no more than the files in it.
fn refuse_others(state: &State, path: &str, others: &[MemberKind]) -> Result<(), EditError> {
    let kind = match state.find(path)? {
        Some(member) => Some(member.kind).filter(|kind| !others.contains(kind)),
        None => {
            let is_below = |member: &Member| {
                let rest = member.path_bytes().strip_prefix(path.as_bytes());
                rest.is_some_and(|rest| path.is_empty() || rest.starts_with(b"/"))
            };
            let is_directory = state.members()?.iter().any(is_below);
            is_directory.then_some(MemberKind::Directory)
        }
    };
    kind.map_or(Ok(()), |kind| {
        Err(EditError::NotAFile {
            path: if path.is_empty() { "/" } else { path }.to_owned(),
            kind,
        })
    })
}

fn put_esx_conf(
    configuration: &mut Configuration,
    content: &[u8],
    edited: &mut Edited,
) -> Result<(), EditError> {
    let Some(conf) = &mut configuration.esx_conf else {
        return Err(EditError::Missing { path: ESX_CONF });
    };
    if conf.as_bytes() == content {
        return Ok(());
    }
    let new = EsxConf::parse(content.to_vec()).map_err(inside(ESX_CONF))?;
    if new.entries().next().is_none() {
        return Err(EditError::NoEntries);
    }
    note_settings(ESX_CONF, conf.as_bytes(), content, edited);
    *conf = new.into();
    Ok(())
}

fn put_store(
    configuration: &mut Configuration,
    content: &[u8],
    edited: &mut Edited,
) -> Result<(), EditError> {
    let Some(store) = &mut configuration.store else {
        return Err(configuration.without_store());
    };
    if store.as_bytes() == content {
        return Ok(());
    }
    let new = ConfigStore::open(content.to_vec()).map_err(inside(CONFIG_STORE))?;
    note_settings(CONFIG_STORE, store.as_bytes(), content, edited);
    *store = new.into();
    Ok(())
}

/// As [`note_change`], without the text: the configuration's own diff shows it.
fn note_settings(path: &str, before: &[u8], after: &[u8], edited: &mut Edited) {
    edited.changes.push(change(path, Some(before), Some(after)));
}

fn note_change(path: &str, before: Option<&[u8]>, after: Option<&[u8]>, edited: &mut Edited) {
    edited.changes.push(change(path, before, after));
    edited.texts.push(TextChange {
        path: path.to_owned(),
        before: before.map(|bytes| as_text(path, bytes)).unwrap_or_default(),
        after: after.map(|bytes| as_text(path, bytes)).unwrap_or_default(),
    });
}

/// A hard link that goes. Nothing of the content does.
fn note_link(path: &str, link_name: &[u8], edited: &mut Edited) {
    let what = format!("hard link to {}", String::from_utf8_lossy(link_name));
    edited.changes.push(SettingChange {
        from: Some(Guarded::of(what.as_str())),
        ..change(path, None, None)
    });
    edited.texts.push(TextChange {
        path: path.to_owned(),
        before: Guarded::of(format!("({what})\n")),
        after: Guarded::default(),
    });
}

fn change(path: &str, before: Option<&[u8]>, after: Option<&[u8]>) -> SettingChange {
    let told = |bytes: &[u8]| Guarded::about_file(path, bytes, fingerprint(bytes));
    SettingChange::new(ChangeSource::File, path, before.map(told), after.map(told))
}

/// A file for a diff: itself where it is text, else what it can be told by.
fn as_text(path: &str, bytes: &[u8]) -> Guarded {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Guarded::file(path, text),
        _ => Guarded::about_file(path, bytes, format!("({})\n", fingerprint(bytes))),
    }
}

/// Size and digest of a file's content: `12 bytes, sha256 1f2e...`.
pub(crate) fn fingerprint(bytes: &[u8]) -> String {
    let digest = hex(&Sha256::digest(bytes));
    format!("{}, sha256 {digest}", counted(&bytes.len(), "byte"))
}

/// The time an added file gets: the one given, else that of the newest member.
fn added_time(state: &State, context: Context) -> Result<u64, EditError> {
    if let Some(time) = context.time {
        return Ok(time);
    }
    let times = state.members()?.iter().map(|member| member.mtime);
    Ok(times.max().unwrap_or(0))
}

/// A path as the archive compares it.
fn plain_path(path: &str) -> Result<String, EditError> {
    let parts = path.split('/');
    let parts: Vec<&str> = parts
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if parts.contains(&"..") {
        let path = path.to_owned();
        return Err(EditError::LeadsUp { path });
    }
    Ok(parts.join("/"))
}
