//! The undo files there are where they go by default: what each is for, and which belong to one
//! medium.

use super::undo_store;
use crate::cli::report::Failure;
use crate::commit::{About, Belonging, TargetKey, UndoSummary};
use crate::medium::{Target, is_partial};
use crate::stick::{Error, Stick};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use std::fs::{self, DirEntry, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What to do where it is not known where undo files are.
const ELSEWHERE: &str = "set the variable that was set when the medium was changed, or name the file: bootbank undo FILE";

/// An undo file in the directory for them.
#[derive(Clone, Debug)]
pub struct KeptUndo {
    /// The file.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// When it was made: as it says itself, or else its name or the file system.
    pub time: Option<Timestamp>,
    /// What it says of itself; or why it cannot be read.
    pub found: Result<UndoSummary, Failure>,
    /// When it was written, by the file system.
    pub written: Option<SystemTime>,
    /// On which targets its change was undone, and when, as far as that was noted
    /// ([`undo_store::note_undone`]).
    pub undone: Vec<(String, SystemTime)>,
}

/// Every undo file in the directory for them, the newest first. No directory means none.
///
/// # Errors
/// No place for undo files, or a directory that cannot be read.
pub fn kept_undos() -> Result<Vec<KeptUndo>, Failure> {
    let files = entries()?.into_iter();
    let files = files.filter(|entry| entry.file_type().is_ok_and(|it| it.is_file()));
    let (undos, others): (Vec<PathBuf>, Vec<PathBuf>) = files
        .map(|entry| entry.path())
        .partition(|path| path.extension().is_some_and(|it| it == "undo"));
    let mut kept: Vec<KeptUndo> = undos.into_iter().map(KeptUndo::look_at).collect();
    for note in others
        .iter()
        .filter(|it| it.extension().is_some_and(|it| it == undo_store::NOTE))
    {
        let about = kept
            .iter_mut()
            .find(|it| undo_store::is_note_of(note, &it.path));
        if let Some(kept) = about {
            kept.undone.extend(read_note(note));
        }
    }
    kept.sort_by(|a, b| b.time.cmp(&a.time).then_with(|| b.path.cmp(&a.path)));
    Ok(kept)
}

/// Halves of undo files that runs left which were cut, the last write to which was before `before`.
///
/// # Errors
/// As [`kept_undos`].
pub fn half_undos(before: Timestamp) -> Result<Vec<PathBuf>, Failure> {
    let is_half = |entry: &DirEntry| {
        let old = entry.metadata().ok().and_then(|it| modified(&it));
        let is_file = entry.file_type().is_ok_and(|it| it.is_file());
        let name = entry.file_name();
        is_file && is_partial(&name) && old.is_some_and(|it| it < before)
    };
    let entries = entries()?.into_iter().filter(is_half);
    Ok(entries.map(|entry| entry.path()).collect())
}

fn entries() -> Result<Vec<DirEntry>, Failure> {
    let directory = undo_store::directory().map_err(|failure| failure.hint(ELSEWHERE))?;
    let failed = |error: io::Error| {
        let text = format!("cannot read {}: {error}", directory.display());
        Failure::io(text).path(&directory)
    };
    match fs::read_dir(&directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed(error)),
        Ok(listing) => listing.map(|entry| entry.map_err(failed)).collect(),
    }
}

impl KeptUndo {
    /// Reads the head of an undo file.
    pub fn look_at(path: PathBuf) -> Self {
        let of = |error: Error| Failure::from(error.in_file(path.display().to_string()));
        let read = |error: io::Error| {
            Failure::io(format!("cannot read {}: {error}", path.display())).path(&path)
        };
        let metadata = fs::metadata(&path);
        let found = File::open(&path)
            .map_err(read)
            .and_then(|file| UndoSummary::read(file).map_err(|error| of(error.into())));
        let told = found.as_ref().ok().and_then(|it| it.about.time);
        let told = told.and_then(|time| Timestamp::try_from(time).ok());
        KeptUndo {
            size: metadata.as_ref().map_or(0, fs::Metadata::len),
            time: told
                .or_else(|| in_name(&path))
                .or_else(|| metadata.ok().as_ref().and_then(modified)),
            found,
            written: written(&path),
            undone: Vec::new(),
            path,
        }
    }

    /// When its change was undone on a target of this key, where that was noted after the file was written.
    pub fn undone_on(&self, target: &TargetKey) -> Option<SystemTime> {
        let target = target.to_string();
        let mut notes = self.undone.iter();
        let (_, at) = notes.find(|(on, _)| *on == target)?;
        Some(*at).filter(|at| self.written.is_none_or(|written| written <= *at))
    }

    /// What it is for, where it can be read.
    pub fn about(&self) -> Option<&About> {
        self.found.as_ref().ok().map(|it| &it.about)
    }

    /// Whether another one is for the same target, as far as the files tell.
    pub fn is_of_same_target(&self, other: &KeptUndo) -> bool {
        let both = self.about().zip(other.about());
        both.is_some_and(|(own, other)| own.is_of_same_target(other))
    }

    /// Whether another one is for the same target, and nothing speaks against it.
    pub fn is_surely_of_same_target(&self, other: &KeptUndo) -> bool {
        let both = self.found.as_ref().ok().zip(other.found.as_ref().ok());
        both.is_some_and(|(own, other)| own.is_surely_of_same_target(other))
    }

    /// Whether it names a medium.
    pub fn names(&self, target: &Target) -> bool {
        self.about().is_some_and(|about| about.names(target))
    }
}

/// Those of `kept` that are for a medium: the ones that name it, or else all that can be for it.
pub fn kept_for<'k>(
    kept: &'k [KeptUndo],
    target: &Target,
    stick: Option<&Stick<'_, '_>>,
) -> Vec<&'k KeptUndo> {
    let banks: Vec<String> = stick
        .into_iter()
        .flat_map(Stick::slots)
        .filter_map(|slot| Some(slot.bank.as_ref().ok()?.uuid().to_string()))
        .collect();
    let belonging = |it: &KeptUndo| match &it.found {
        Ok(summary) => summary.belongs_to(target, &banks),
        Err(_) => Belonging::No,
    };
    let each: Vec<(&KeptUndo, Belonging)> = kept.iter().map(|it| (it, belonging(it))).collect();
    let best = each.iter().map(|(_, it)| *it).max();
    let best = best.filter(|best| *best > Belonging::No);
    let best = each.into_iter().filter(|(_, it)| Some(*it) == best);
    best.map(|(file, _)| file).collect()
}

/// Those of `kept` that are for a state file of this name.
pub fn kept_for_state_file<'k>(kept: &'k [KeptUndo], path: &Path) -> Vec<&'k KeptUndo> {
    let names_it = |it: &&KeptUndo| it.about().is_some_and(|about| about.names_path(path));
    kept.iter().filter(names_it).collect()
}

fn written(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

/// On what and when a change was undone. A note that cannot be read tells nothing.
fn read_note(path: &Path) -> Option<(String, SystemTime)> {
    const LONGEST: u64 = 1 << 16;
    let mut target = String::new();
    let note = File::open(path).ok()?;
    let at = note.metadata().ok()?.modified().ok()?;
    note.take(LONGEST).read_to_string(&mut target).ok()?;
    Some((target, at))
}

fn modified(metadata: &fs::Metadata) -> Option<Timestamp> {
    let time: SystemTime = metadata.modified().ok()?;
    Timestamp::try_from(time).ok()
}

/// The time that the name of an undo file begins with.
fn in_name(path: &Path) -> Option<Timestamp> {
    let name = path.file_name()?.to_str()?;
    let time = name.split_once('-')?.0.strip_suffix('Z')?;
    let time = DateTime::strptime("%Y%m%dT%H%M%S", time).ok()?;
    TimeZone::UTC.to_timestamp(time).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_undo_file_tells_its_time() {
        let at = |name: &str| in_name(Path::new(name)).map(|it| it.to_string());
        let expected = Some("2026-11-26T13:45:02Z".to_owned());
        assert_eq!(at("/x/20261126T134502Z-0123456789ab.undo"), expected);
        assert_eq!(at("20261126T134502Z-sdb-0123456789ab.undo"), expected);
        assert_eq!(at("way-back.undo"), None);
    }
}
