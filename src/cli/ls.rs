//! `bootbank ls`: what a bank and its state hold.

use super::args::LsArgs;
use super::exit::Exit;
use super::json;
use super::report::Failure;
use super::session::Session;
use super::ui::{shown, table};
use crate::state::{Member, MemberKind};
use crate::stick::{Cause, Error, Path, Slot, Stick};

/// Lists one stick.
pub fn run(session: &Session, args: &LsArgs) -> Exit {
    let name = args.stick.display().to_string();
    let listed = session.look_into(&args.stick, |stick, _| {
        let entries = match &args.path {
            Some(path) => list(session, stick, path)?,
            None => list_all(session, stick)?,
        };
        Ok(json::Listing {
            schema: json::LS,
            target: name.clone(),
            entries,
        })
    });
    match listed {
        Ok(object) => {
            session.ui.text(&in_words(&object.entries));
            session.ui.json(&object);
            Exit::Done
        }
        Err(failure) => {
            failure.show(&session.ui, json::LS, &name);
            failure.exit()
        }
    }
}

/// Without a path: the files of each chosen bank, then the configuration of the one that boots.
fn list_all(session: &Session, stick: &Stick<'_, '_>) -> Result<Vec<json::ListEntry>, Failure> {
    let mut entries = Vec::new();
    let mut chosen = stick.chosen(session.common.bank)?;
    chosen.sort_by_key(|slot| slot.partition);
    for slot in chosen {
        entries.extend(bank_files(slot)?);
    }
    let configuration = Path::State(String::new());
    let slot = stick.bank_of(&configuration, session.common.bank)?;
    entries.extend(members(stick, slot, "")?);
    Ok(entries)
}

fn list(
    session: &Session,
    stick: &Stick<'_, '_>,
    text: &str,
) -> Result<Vec<json::ListEntry>, Failure> {
    let path = Path::parse(text);
    let slot = stick.bank_of(&path, session.common.bank)?;
    let entries = match &path {
        Path::Bank { name, .. } => {
            let mut files = bank_files(slot)?;
            files.retain(|file| name.is_empty() || ends_in(&file.path, name));
            files
        }
        Path::State(directory) => members(stick, slot, directory.trim_end_matches('/'))?,
    };
    if entries.is_empty() && !matches!(&path, Path::Bank { name, .. } if name.is_empty()) {
        return Err(Error::from(Cause::NoSuchFile).in_file(text).into());
    }
    Ok(entries)
}

fn ends_in(path: &str, name: &str) -> bool {
    let file = path.split_once(':').map_or(path, |(_, file)| file);
    file.eq_ignore_ascii_case(name)
}

fn bank_files(slot: &Slot<'_>) -> Result<Vec<json::ListEntry>, Failure> {
    let bank = slot.opened()?;
    let files = bank.volume().files().map(|entry| json::ListEntry {
        path: format!("bank{}:{}", slot.partition, entry.name()),
        size: u64::from(entry.size()),
        mode: None,
        owner: None,
        mtime: None,
        kind: if entry.is_directory() {
            "directory"
        } else {
            "file"
        },
        link: None,
    });
    Ok(files.collect())
}

/// The members of a bank's state at or below `directory`: of two states in a bank those of the
/// one its `modules=` lists, where it has any there, as `cat` looks for them.
fn members(
    stick: &Stick<'_, '_>,
    slot: &Slot<'_>,
    directory: &str,
) -> Result<Vec<json::ListEntry>, Failure> {
    for file in slot.states.iter().rev() {
        let state = stick.open_state(slot, file)?;
        let found = state
            .members()
            .map_err(|error| Error::from(error).on(slot.partition).in_file(file.name))?;
        let wanted = found
            .iter()
            .filter(|member| is_below(&member.path(), directory));
        let entries: Vec<json::ListEntry> = wanted.map(member_entry).collect();
        if !entries.is_empty() {
            return Ok(entries);
        }
    }
    Ok(Vec::new())
}

fn is_below(path: &str, directory: &str) -> bool {
    match path.strip_prefix(directory) {
        Some(rest) => directory.is_empty() || rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}

fn member_entry(member: &Member) -> json::ListEntry {
    let link = String::from_utf8_lossy(&member.link_name).into_owned();
    json::ListEntry {
        path: member.path().into_owned(),
        size: member.size as u64,
        mode: Some(format!("{:04o}", member.mode)),
        owner: Some(format!("{}:{}", member.uname, member.gname)),
        mtime: Some(member.mtime),
        kind: match member.kind {
            MemberKind::Regular | MemberKind::Contiguous => "file",
            MemberKind::Directory => "directory",
            MemberKind::Symlink => "symlink",
            MemberKind::HardLink => "hardlink",
            _ => "other",
        },
        link: (!link.is_empty()).then_some(link),
    }
}

fn in_words(entries: &[json::ListEntry]) -> String {
    let rows: Vec<Vec<String>> = entries
        .iter()
        .map(|entry| {
            let mut name = shown(&entry.path);
            if let Some(link) = &entry.link {
                name = format!("{name} -> {}", shown(link));
            }
            if entry.kind == "directory" && !name.ends_with('/') {
                name.push('/');
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
