//! `bootbank ls`: what a bank and its state hold.

use crate::cli::report::{Exit, Failure};
use crate::cli::session::{Answer, Run, Schema, Session, looks_at_one};
use crate::cli::terminal::{shown, table};
use crate::state::{Condition, Member, MemberKind, ReadState as _};
use crate::stick::{Cause, Error, Path as StickPath, Reading, Slot, Stick};
use crate::target::Opened;
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use std::path::PathBuf;

const SCHEMA: &str = "bootbank.ls/1";

/// List the files in a bank and in its state
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank ls stick.img                      everything
  bootbank ls stick.img etc/ssh              one directory, as the host sees it
  bootbank ls stick.img bank:                the files in the bank that boots next")]
pub struct Ls {
    /// Image file, block device or state file
    stick: PathBuf,
    /// `bank:` or `bankN:` for the bank's own files, or a directory as the host sees it
    path: Option<String>,
}

/// `bootbank ls`
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Listing {
    schema: &'static str,
    target: String,
    entries: Vec<ListEntry>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct ListEntry {
    path: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtime: Option<u64>,
    kind: EntryKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    /// How much of a member of a damaged state is left: `whole`, `unsure` or `cut`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    condition: Option<Condition>,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum EntryKind {
    File,
    Directory,
    Symlink,
    Hardlink,
    Other,
}

impl Run for Ls {
    looks_at_one!();

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        Ok(session.answer(&self.stick, SCHEMA, |opened, _| {
            let mut damage = Vec::new();
            let entries = match &self.path {
                Some(path) => list(session, opened, path, &mut damage)?,
                None => list_all(session, opened, &mut damage)?,
            };
            let object = Listing {
                schema: SCHEMA,
                target: self.stick.display().to_string(),
                entries,
            };
            Ok(Answer::new(in_words(&object.entries), object).with_damage(damage))
        }))
    }

    fn schemas() -> Vec<Schema> {
        vec![Schema::answer::<Listing>("ls")]
    }
}

/// Without a path: the files of each chosen bank, then the configuration of the one that boots.
fn list_all(
    session: &Session,
    opened: &Opened<'_, '_>,
    damage: &mut Vec<Error>,
) -> Result<Vec<ListEntry>, Failure> {
    let stick = match opened {
        Opened::Medium(stick) => stick,
        Opened::State(saved) => return members_of(saved.reading(), None, "", damage),
    };
    let mut entries = Vec::new();
    let mut chosen = stick.chosen(session.common.bank)?;
    chosen.sort_by_key(|slot| slot.partition);
    for slot in chosen {
        if stick.table().fault_of(slot.partition).is_none() {
            entries.extend(bank_files(slot)?);
        }
    }
    let configuration = StickPath::State(String::new());
    let slot = stick.bank_of(&configuration, session.common.bank)?;
    damage.extend(stick.stood_in(&configuration, session.common.bank));
    entries.extend(members(stick, slot, "", damage)?);
    Ok(entries)
}

fn list(
    session: &Session,
    opened: &Opened<'_, '_>,
    text: &str,
    damage: &mut Vec<Error>,
) -> Result<Vec<ListEntry>, Failure> {
    let path = StickPath::parse(text);
    let entries = match (opened, &path) {
        (Opened::State(saved), StickPath::State(directory)) => members_of(
            saved.reading(),
            None,
            directory.trim_end_matches('/'),
            damage,
        )?,
        (opened, path) => {
            let stick = opened.stick()?;
            let slot = stick.bank_of(path, session.common.bank)?;
            damage.extend(stick.stood_in(path, session.common.bank));
            match path {
                StickPath::Bank { name, .. } => {
                    let mut files = bank_files(slot)?;
                    files.retain(|file| name.is_empty() || ends_in(&file.path, name));
                    files
                }
                StickPath::State(directory) => {
                    members(stick, slot, directory.trim_end_matches('/'), damage)?
                }
            }
        }
    };
    if entries.is_empty() && !matches!(&path, StickPath::Bank { name, .. } if name.is_empty()) {
        return Err(Error::from(Cause::NoSuchFile).in_file(text).into());
    }
    Ok(entries)
}

fn ends_in(path: &str, name: &str) -> bool {
    let file = path.split_once(':').map_or(path, |(_, file)| file);
    file.eq_ignore_ascii_case(name)
}

fn bank_files(slot: &Slot<'_>) -> Result<Vec<ListEntry>, Failure> {
    let bank = slot.opened()?;
    let files = bank.volume().files().map(|entry| ListEntry {
        path: format!("bank{}:{}", slot.partition, entry.name()),
        size: u64::from(entry.size()),
        mode: None,
        owner: None,
        mtime: None,
        kind: if entry.is_directory() {
            EntryKind::Directory
        } else {
            EntryKind::File
        },
        link: None,
        condition: None,
    });
    Ok(files.collect())
}

/// The members of a bank's state at or below `directory`: of two states in a bank those of the
/// one its `modules=` lists, where it has any there, as `cat` looks for them.
fn members(
    stick: &Stick<'_, '_>,
    slot: &Slot<'_>,
    directory: &str,
    damage: &mut Vec<Error>,
) -> Result<Vec<ListEntry>, Failure> {
    for file in slot.states.iter().rev() {
        let state = stick.read_state(slot, file)?;
        let entries = members_of(&state, Some(slot.partition), directory, damage)?;
        if !entries.is_empty() {
            return Ok(entries);
        }
    }
    Ok(Vec::new())
}

/// The members of one state at or below `directory`.
fn members_of(
    state: &Reading,
    partition: Option<u32>,
    directory: &str,
    damage: &mut Vec<Error>,
) -> Result<Vec<ListEntry>, Failure> {
    damage.extend(state.damage(partition));
    let found = state
        .members()
        .map_err(|error| Error::from(error).on(partition).in_file(state.file_name()))?;
    let wanted = found
        .iter()
        .filter(|member| is_below(&member.path(), directory));
    let condition = |member| Some(state.rescued()?.condition_of(member));
    let entries = wanted.map(|member| member_entry(member, condition(member)));
    Ok(entries.collect())
}

fn is_below(path: &str, directory: &str) -> bool {
    match path.strip_prefix(directory) {
        Some(rest) => directory.is_empty() || rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}

fn name_or_number(name: &str, number: u64) -> String {
    match name {
        "" => number.to_string(),
        name => name.to_owned(),
    }
}

fn member_entry(member: &Member, condition: Option<Condition>) -> ListEntry {
    let link = String::from_utf8_lossy(&member.link_name).into_owned();
    ListEntry {
        path: member.path().into_owned(),
        size: member.size as u64,
        mode: Some(format!("{:04o}", member.mode)),
        owner: Some(format!(
            "{}:{}",
            name_or_number(&member.uname, member.uid),
            name_or_number(&member.gname, member.gid)
        )),
        mtime: Some(member.mtime),
        kind: match member.kind {
            MemberKind::Regular | MemberKind::Contiguous => EntryKind::File,
            MemberKind::Directory => EntryKind::Directory,
            MemberKind::Symlink => EntryKind::Symlink,
            MemberKind::HardLink => EntryKind::Hardlink,
            _ => EntryKind::Other,
        },
        link: (!link.is_empty()).then_some(link),
        condition,
    }
}

fn in_words(entries: &[ListEntry]) -> String {
    let rows: Vec<Vec<String>> = entries
        .iter()
        .map(|entry| {
            let mut name = shown(&entry.path);
            if let Some(link) = &entry.link {
                name = format!("{name} -> {}", shown(link));
            }
            if entry.kind == EntryKind::Directory && !name.ends_with('/') {
                name.push('/');
            }
            match entry.condition {
                Some(Condition::Cut { .. }) => name.push_str("  (cut off)"),
                Some(Condition::Unsure) => name.push_str("  (some bytes may be wrong)"),
                _ => {}
            }
            vec![
                entry.mode.clone().unwrap_or_else(|| "-".to_owned()),
                entry.owner.as_deref().map_or("-".to_owned(), shown),
                format!("{:>9}", entry.size),
                name,
            ]
        })
        .collect();
    table(&rows)
}
