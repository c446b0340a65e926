//! Will it boot? What the loader stops at, in the bank that boots next and in those that could.

use super::cause::FindingCause;
use super::finding::{Finding, Severity};
use crate::bank::STATE_FILES;
use crate::error::ErrorKind;
use crate::loader::{
    Boot, ChoiceWarning, ContentVerdict, Depth, FileAt, Note, Stop, Undecided, UnpackLimit,
    check_content,
};
use crate::medium::ReadAt;
use crate::stick::{Cure, Slot, Stick, WarningCause};
use std::cell::OnceCell;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// How the content of modules is read: hundreds of megabytes, on several threads.
#[derive(Clone, Copy)]
pub struct ContentCheck<'c> {
    /// The medium, as several threads can read it.
    pub medium: &'c (dyn ReadAt + Sync),
    /// How many.
    pub threads: usize,
    /// Told how many bytes of how many are done.
    pub progress: &'c (dyn Fn(u64, u64) + Sync),
}

impl fmt::Debug for ContentCheck<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentCheck")
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

/// Finds what keeps the medium, or a bank of it that could boot, from starting.
pub(super) fn check_boot(
    stick: &Stick<'_, '_>,
    chosen: &[&Slot<'_>],
    contents: Option<ContentCheck<'_>>,
    findings: &mut Vec<Finding>,
) {
    check_choice(stick, findings);
    let loader = stick.loader();
    let mut boots: Vec<(bool, Boot)> = chosen
        .iter()
        .filter(|slot| loader.boot_cfg(slot.partition).is_some())
        .map(|slot| {
            let boot = loader.boot(slot.partition, Depth::Presence);
            (slot.verdict.bootable, boot)
        })
        .collect();
    if let Some(contents) = contents {
        let could_boot = boots.iter_mut().filter(|(bootable, _)| *bootable);
        read_contents(could_boot.map(|(_, boot)| boot).collect(), contents);
    }
    // All of a bank is read for it, so it is found out once, and only where it matters.
    let whole: OnceCell<Vec<u32>> = OnceCell::new();
    for (bootable, boot) in &boots {
        let others = boots.iter().map(|(_, boot)| boot);
        let others: Vec<&Boot> = others.filter(|it| it.partition != boot.partition).collect();
        let is_worth = |partition| {
            let whole = whole.get_or_init(|| stick.whole_banks().collect());
            whole.contains(&partition)
        };
        let build = |partition| loader.boot_cfg(partition)?.build.as_deref();
        let of_same_build =
            |partition| build(partition).is_some_and(|other| Some(other) == build(boot.partition));
        let sources = Sources {
            boots: &others,
            is_worth: &is_worth,
            of_same_build: &of_same_build,
            has_settings: &|partition| {
                let settings = stick.bank_on(partition).and_then(|slot| {
                    let file = stick.loaded_settings(slot)?;
                    stick.open_state(slot, file).ok()
                });
                settings.is_some()
            },
        };
        let mut found = Vec::new();
        add_findings((boot, *bootable), &sources, &mut found);
        // Into a damaged volume nothing is put: that is to be repaired first, and is told as well.
        if found.iter().any(|it| it.cure.is_some()) && stick.check_volume(boot.partition).is_err() {
            found.iter_mut().for_each(|it| it.cure = None);
        }
        findings.append(&mut found);
    }
}

/// Finds what is to be said of the loader's choice of a bank.
fn check_choice(stick: &Stick<'_, '_>, findings: &mut Vec<Finding>) {
    for warning in stick.choice_warnings() {
        match warning {
            ChoiceWarning::NothingBoots => {
                let (cause, cure) = whole_banks(stick);
                findings.push(Finding::stops("boot.cfg", None, cause).cured_by(cure));
            }
            // What stops a bank is found below, with all the rest that does.
            ChoiceWarning::BuildNotANumber { .. }
            | ChoiceWarning::Fatal { .. }
            | ChoiceWarning::NoKernel { .. }
            | ChoiceWarning::StateMissing { .. } => {}
            other => {
                let cause = FindingCause::Warning(WarningCause::Choice(other.clone()));
                findings.push(Finding::new(Severity::Warning, "boot.cfg", None, cause));
            }
        }
    }
}

/// Where a bank that lacks files can get them from.
struct Sources<'s> {
    /// The other banks.
    boots: &'s [&'s Boot],
    /// Whether a bank is whole, and so worth a copy.
    is_worth: &'s dyn Fn(u32) -> bool,
    /// Whether a bank is of the same build, so that single files of it fit.
    of_same_build: &'s dyn Fn(u32) -> bool,
    /// Whether a host that starts with a bank has settings from its state, which can be opened.
    has_settings: &'s dyn Fn(u32) -> bool,
}

/// That no bank boots, with a bank whose files are whole, or such banks that the loader never looks at; and what
/// lets the first of them boot.
fn whole_banks(stick: &Stick<'_, '_>) -> (FindingCause, Option<Cure>) {
    if let Some(bank) = stick.whole_banks().next() {
        let (whole, but) = (vec![bank], None);
        let cause = FindingCause::NothingBoots { whole, but };
        return (cause, Some(Cure::UseBank(bank)));
    }
    let elsewhere: Vec<u32> = stick.whole_elsewhere().collect();
    let limit = |number| stick.bank_on(number)?.verdict.why_not.clone();
    let first = elsewhere.first().copied();
    let but = first.and_then(limit);
    let (whole, cure) = match &but {
        Some(_) => (elsewhere, first.map(Cure::Renumber)),
        None => (Vec::new(), None),
    };
    (FindingCause::NothingBoots { whole, but }, cure)
}

/// A medium that tells how much of the files was read from it.
struct Watched<'w, 'c> {
    contents: &'w ContentCheck<'c>,
    done: AtomicU64,
    total: u64,
}

impl ReadAt for Watched<'_, '_> {
    fn size(&self) -> u64 {
        self.contents.medium.size()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.contents.medium.read_at(buf, offset)?;
        let read = buf.len() as u64;
        let done = self.done.fetch_add(read, Ordering::Relaxed);
        // Some bytes are read twice: the last of each file.
        let done = done.saturating_add(read).min(self.total);
        (self.contents.progress)(done, self.total);
        Ok(())
    }
}

/// Reads and unpacks the files of all these banks, the largest first, on as many threads as asked
/// for.
fn read_contents(mut boots: Vec<&mut Boot>, contents: ContentCheck<'_>) {
    let mut files: Vec<(usize, usize, FileAt)> = Vec::new();
    for (at, boot) in boots.iter().enumerate() {
        for (index, file) in boot.files.iter().enumerate() {
            files.extend(file.to_check().map(|file| (at, index, file.clone())));
        }
    }
    files.sort_by_key(|(_, _, file)| std::cmp::Reverse(file.size));
    let limits: Vec<UnpackLimit> = boots.iter().map(|_| UnpackLimit::default()).collect();
    let generations: Vec<_> = boots.iter().map(|boot| boot.generation).collect();
    let total = files.iter().map(|(_, _, file)| u64::from(file.size)).sum();
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, usize, ContentVerdict)>> = Mutex::default();
    let watched = Watched {
        contents: &contents,
        done: AtomicU64::new(0),
        total,
    };
    (contents.progress)(0, total);
    let work = || {
        while let Some((at, index, file)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let content = check_content(&watched, file, generations[*at], &limits[*at]);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.push((*at, *index, content));
        }
    };
    thread::scope(|scope| {
        // Where there is no room for another thread, those that there are do the work.
        let others = 1..contents.threads.min(files.len());
        others
            .map(|_| thread::Builder::new().spawn_scoped(scope, work))
            .take_while(Result::is_ok)
            .for_each(drop);
        work();
    });
    let results = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (at, index, content) in results {
        if let Some(boot) = boots.get_mut(at) {
            boot.record(index, content);
        }
    }
}

/// Whether a bank could boot or not decides how bad it is that it does not.
fn add_findings(
    (boot, bootable): (&Boot, bool),
    sources: &Sources<'_>,
    findings: &mut Vec<Finding>,
) {
    let on = Some(boot.partition);
    // A bank that is not to boot may be empty, but not half overwritten.
    let is_binary = |note: &Note| matches!(note, Note::Binary { .. });
    let rubbish = !bootable && boot.notes().iter().any(is_binary);
    let mut add = |layer, cause: FindingCause, cure: Option<Cure>| {
        let finding = if bootable || rubbish {
            Finding::stops(layer, on, cause)
        } else {
            Finding::new(Severity::Note, layer, on, cause)
        };
        findings.push(finding.cured_by(cure));
    };
    let absent: Vec<&Stop> = boot
        .stops()
        .filter(|stop| matches!(stop, Stop::Absent { .. }))
        .collect();
    if !absent.is_empty() {
        let (cause, cure) = absent_from(boot, &absent, sources);
        add("boot.cfg", cause, cure);
    }
    for stop in boot.stops() {
        let layer = match stop {
            Stop::Absent { .. } => continue,
            Stop::Chain { .. } => "fat",
            Stop::Content { .. } => "gzip",
            _ => "boot.cfg",
        };
        let (banks, cure) = stop
            .file()
            .map_or_else(Default::default, |file| whole_in(file, boot, sources));
        let stop = stop.clone();
        add(layer, FindingCause::Stop { stop, banks }, cure);
    }
    add_notes(boot, bootable, rubbish, findings);
    for why in boot.undecided() {
        findings.push(Finding {
            kind: Some(match why {
                Undecided::Read { .. } => ErrorKind::Io,
                _ => ErrorKind::Unsupported,
            }),
            ..Finding::stops("fat", on, FindingCause::Undecided(why.clone()))
        });
    }
}

/// What does not stop the loader. Of modules that are not compressed one line tells: the vendor's
/// own are.
fn add_notes(boot: &Boot, bootable: bool, rubbish: bool, findings: &mut Vec<Finding>) {
    let on = Some(boot.partition);
    let mut as_it_is = Vec::new();
    for note in boot.notes() {
        let severity = match note {
            Note::Binary { .. } if bootable => Severity::Warning,
            _ => Severity::Note,
        };
        match note {
            Note::AsItIs { name, .. } => as_it_is.push(name),
            Note::Binary { .. } | Note::NotUpdated if rubbish => {
                findings.push(Finding::stops("boot.cfg", on, FindingCause::Note(note)));
            }
            note => {
                let cause = FindingCause::Note(note);
                findings.push(Finding::new(severity, "boot.cfg", on, cause));
            }
        }
    }
    let count = as_it_is.len();
    if let Some(first) = as_it_is.into_iter().next() {
        let cause = FindingCause::Uncompressed { first, count };
        findings.push(Finding::new(Severity::Note, "gzip", on, cause));
    }
}

/// Files that are not in the bank, and from where they are to be had.
fn absent_from(
    boot: &Boot,
    absent: &[&Stop],
    sources: &Sources<'_>,
) -> (FindingCause, Option<Cure>) {
    let files: Vec<String> = absent
        .iter()
        .filter_map(|stop| stop.file().map(str::to_owned))
        .collect();
    let has_all = |other: &&&Boot| files.iter().all(|name| is_whole(other, name));
    let have_all = sources.boots.iter().filter(has_all);
    let have_all: Vec<u32> = have_all.map(|other| other.partition).collect();
    let worth = have_all.iter().copied();
    let worth: Vec<u32> = worth.filter(|other| (sources.is_worth)(*other)).collect();
    let mut fitting = have_all.into_iter();
    let fitting = fitting.find(|other| (sources.of_same_build)(*other));
    let to = boot.partition;
    let (banks, cure) = match (worth.first(), fitting) {
        (Some(&from), _) => (worth, Some(Cure::CopyBank { from, to })),
        // Not all of such a bank is worth copying.
        (None, Some(from)) => {
            let names = files.clone();
            (vec![from], Some(Cure::TakeFiles { from, to, names }))
        }
        (None, None) => (Vec::new(), None),
    };
    (FindingCause::Absent { files, banks }, cure)
}

/// Which other banks have a damaged file whole, and what brings it over.
fn whole_in(name: &str, boot: &Boot, sources: &Sources<'_>) -> (Vec<u32>, Option<Cure>) {
    let whole = sources.boots.iter().filter(|other| is_whole(other, name));
    let whole: Vec<u32> = whole.map(|other| other.partition).collect();
    let to = boot.partition;
    let fitting = whole.iter().find(|from| (sources.of_same_build)(**from));
    let cure = match fitting {
        _ if STATE_FILES.iter().any(|it| it.eq_ignore_ascii_case(name)) => {
            let filled = fitting.filter(|from| (sources.has_settings)(**from));
            filled.map(|&from| Cure::CopyState { from, to })
        }
        Some(&from) => {
            let names = vec![name.to_owned()];
            Some(Cure::TakeFiles { from, to, names })
        }
        None => {
            let worth = whole.iter().find(|from| (sources.is_worth)(**from));
            worth.map(|&from| Cure::CopyBank { from, to })
        }
    };
    (whole, cure)
}

fn is_whole(boot: &Boot, name: &str) -> bool {
    let mut files = boot.files.iter();
    files.any(|file| file.name.eq_ignore_ascii_case(name) && file.stop.is_none())
}
