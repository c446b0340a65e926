//! Will it boot? What the loader stops at, in the bank that boots next and in those that could.

use super::finding::{Finding, Severity};
use crate::bank::STATE_FILES;
use crate::error::ErrorKind;
use crate::loader::{
    Boot, ChoiceWarning, ContentVerdict, Depth, FileAt, Note, Stop, Undecided, UnpackLimit,
    check_content,
};
use crate::medium::ReadAt;
use crate::stick::{Cure, Slot, Stick, numbers};
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
        };
        add_findings((boot, *bootable), &sources, findings);
    }
}
/// Finds what is to be said of the loader's choice of a bank.
fn check_choice(stick: &Stick<'_, '_>, findings: &mut Vec<Finding>) {
    for warning in stick.choice_warnings() {
        match warning {
            ChoiceWarning::NothingBoots => {
                let whole = stick.whole_banks().next().map(|bank| {
                    let text = format!("the files of bank {bank} are whole");
                    (text, Cure::UseBank(bank))
                });
                let (text, cure) = match whole.or_else(|| not_looked_at(stick)) {
                    Some((whole, cure)) => (format!("{warning}; {whole}"), Some(cure)),
                    None => (warning.to_string(), None),
                };
                findings.push(Finding::stops("boot.cfg", None, text).cured_by(cure));
            }
            // What stops a bank is found below, with all the rest that does.
            ChoiceWarning::BuildNotANumber { .. }
            | ChoiceWarning::Fatal { .. }
            | ChoiceWarning::NoKernel { .. }
            | ChoiceWarning::StateMissing { .. } => {}
            other => {
                let text = other.to_string();
                findings.push(Finding::new(Severity::Warning, "boot.cfg", None, text));
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
}

/// Whole banks that the loader never looks at, and why, in words, and what lets the first of them boot.
fn not_looked_at(stick: &Stick<'_, '_>) -> Option<(String, Cure)> {
    let whole: Vec<u32> = stick.whole_elsewhere().collect();
    let first = *whole.first()?;
    let slot = stick.bank_on(first)?;
    let limit = slot.verdict.why_not.as_ref()?;
    let banks = numbers(whole.iter().copied());
    let s = if whole.len() == 1 { "" } else { "s" };
    let text = format!("the files of bank{s} {banks} are whole, but {limit}");
    Some((text, Cure::Renumber(first)))
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
    let mut add = |layer, text: String, cure: Option<Cure>| {
        let finding = if bootable || rubbish {
            Finding::stops(layer, on, text)
        } else {
            Finding::new(Severity::Note, layer, on, text)
        };
        findings.push(finding.cured_by(cure));
    };
    let absent: Vec<&Stop> = boot
        .stops()
        .filter(|stop| matches!(stop, Stop::Absent { .. }))
        .collect();
    if !absent.is_empty() {
        let (text, cure) = absent_in_words(boot, &absent, sources);
        add("boot.cfg", text, cure);
    }
    for stop in boot.stops() {
        let layer = match stop {
            Stop::Absent { .. } => continue,
            Stop::Chain { .. } => "fat",
            Stop::Content { .. } => "gzip",
            _ => "boot.cfg",
        };
        let (whole, cure) = stop
            .file()
            .map_or_else(Default::default, |file| whole_in(file, boot, sources));
        add(layer, format!("{stop}{whole}"), cure);
    }
    add_notes(boot, bootable, rubbish, findings);
    for why in boot.undecided() {
        findings.push(Finding {
            kind: Some(match why {
                Undecided::Read { .. } => ErrorKind::Io,
                _ => ErrorKind::Unsupported,
            }),
            ..Finding::stops(
                "fat",
                on,
                format!("whether the loader gets through cannot be told: {why}"),
            )
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
                findings.push(Finding::stops("boot.cfg", on, note.to_string()));
            }
            note => findings.push(Finding::new(severity, "boot.cfg", on, note.to_string())),
        }
    }
    if let Some(first) = as_it_is.first() {
        let text = match as_it_is.len() {
            1 => format!("{first} is not compressed: the loader loads it as it is"),
            many => format!(
                "{many} files are not compressed, {first} the first: the loader loads them as they are"
            ),
        };
        findings.push(Finding::new(Severity::Note, "gzip", on, text));
    }
}

/// Files that are not in the bank, in words, and from where they are to be had.
fn absent_in_words(boot: &Boot, absent: &[&Stop], sources: &Sources<'_>) -> (String, Option<Cure>) {
    let names: Vec<&str> = absent.iter().filter_map(|stop| stop.file()).collect();
    let files = match names.as_slice() {
        [only] => format!("{only} is"),
        many => format!("{} files are", many.len()),
    };
    let list = match names.len() {
        1 => String::new(),
        _ => format!(": {}", names.join(", ")),
    };
    let it = if names.len() == 1 { "it" } else { "them" };
    let has_all = |other: &&&Boot| names.iter().all(|name| is_whole(other, name));
    let have_all = sources.boots.iter().filter(has_all).copied();
    let have_all: Vec<&Boot> = have_all.collect();
    let numbers_of = have_all.iter().map(|other| other.partition);
    let whole: Vec<u32> = numbers_of
        .filter(|other| (sources.is_worth)(*other))
        .collect();
    let mut fitting = have_all.iter();
    let fitting = fitting.find(|other| (sources.of_same_build)(other.partition));
    let to = boot.partition;
    let (has, cure) = match (whole.first(), fitting) {
        (Some(from), _) => (
            format!("; bank {} has {it}", numbers(whole.iter().copied())),
            Some(Cure::CopyBank { from: *from, to }),
        ),
        // Not all of such a bank is worth copying.
        (None, Some(other)) => {
            let from = other.partition;
            let names = names.iter().map(ToString::to_string).collect();
            (
                format!("; bank {from} has {it}"),
                Some(Cure::TakeFiles { from, to, names }),
            )
        }
        (None, None) => (String::new(), None),
    };
    let text = format!("{files} in boot.cfg and not in the bank, so the loader stops{list}{has}");
    (text, cure)
}

/// Which other banks have a damaged file whole, in words, and what brings it over. A bank keeps its own state
/// where single files of another fit; whose settings are to be kept where the state is damaged is for a person to
/// say.
fn whole_in(name: &str, boot: &Boot, sources: &Sources<'_>) -> (String, Option<Cure>) {
    let whole = sources.boots.iter().filter(|other| is_whole(other, name));
    let whole: Vec<u32> = whole.map(|other| other.partition).collect();
    if whole.is_empty() {
        return (String::new(), None);
    }
    let text = format!("; bank {} has it whole", numbers(whole.iter().copied()));
    let to = boot.partition;
    let fitting = whole.iter().find(|from| (sources.of_same_build)(**from));
    let cure = match fitting {
        _ if STATE_FILES.iter().any(|it| it.eq_ignore_ascii_case(name)) => None,
        Some(from) => Some(Cure::TakeFiles {
            from: *from,
            to,
            names: vec![name.to_owned()],
        }),
        None => {
            let worth = whole.iter().find(|from| (sources.is_worth)(**from));
            worth.map(|from| Cure::CopyBank { from: *from, to })
        }
    };
    (text, cure)
}

fn is_whole(boot: &Boot, name: &str) -> bool {
    let mut files = boot.files.iter();
    files.any(|file| file.name.eq_ignore_ascii_case(name) && file.stop.is_none())
}
