//! A bank in its place on the medium, and the state files in it.

use super::{Cause, Error, Settings, Warning, WarningCause};
use crate::bank::{Bank, BankVerdict, Release, STATE_FILES, WhyNot};
use crate::error::ErrorKind;
use crate::fat::{Entry, FatError, Volume};
use crate::state::{Carries, Sign, gzip};
use std::sync::Arc;

/// A bank in its place: what it is, and what the loader will make of it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Slot<'m> {
    /// Number of its partition.
    pub partition: u32,
    /// The bank, or why it cannot be opened.
    pub bank: Result<Bank<'m>, Arc<Error>>,
    /// Whether it boots next, and why not.
    pub verdict: BankVerdict,
    /// The state files in it; empty for the second bank of a fresh install. What the host loads comes
    /// last.
    pub states: Vec<StateFile>,
}

/// A state file of a bank, not opened yet.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StateFile {
    /// `state.tgz`, `local.tgz`, or the name of another archive that `modules=` lists and that
    /// holds a configuration.
    pub name: String,
    /// Its directory entry.
    pub entry: Entry,
    /// Whether `modules=` of the bank's boot.cfg names it: a file it does not name is not loaded.
    pub listed: bool,
}

impl<'m> Slot<'m> {
    /// The release its boot.cfg tells.
    pub fn release(&self) -> Option<Release> {
        let bank = self.bank.as_ref().ok()?;
        Release::parse(bank.boot_cfg().build.as_deref()?)
    }

    /// What its boot.cfg says that it is of; nothing where it does not say.
    ///
    /// # Errors
    /// Why the bank could not be opened.
    pub(super) fn build(&self) -> Result<Option<&str>, Error> {
        let build = self.opened()?.boot_cfg().build.as_deref();
        Ok(build.filter(|build| !build.is_empty()))
    }

    /// The bank.
    ///
    /// # Errors
    /// Why it could not be opened.
    pub fn opened(&self) -> Result<&Bank<'m>, Error> {
        let failed = |error: &Arc<Error>| Cause::Unopened(Arc::clone(error)).into();
        self.bank.as_ref().map_err(failed)
    }

    /// Why the loader never looks at the bank, whatever is in it, where it does not.
    pub(super) fn not_looked_at(&self) -> Option<&'static str> {
        match self.verdict.why_not {
            Some(WhyNot::NotLookedAt(limit)) => Some(limit),
            _ => None,
        }
    }

    /// Whether an upgrade put the bank there, whose host has not started yet: its state is the one of the old release,
    /// which that host converts.
    pub(crate) fn awaits_first_boot(&self) -> bool {
        self.bank
            .as_ref()
            .is_ok_and(|bank| bank.boot_cfg().awaits_first_boot())
    }

    /// The state that the host starts with: of those that `modules=` lists the one it lists last. Where
    /// it lists none, any could be meant, and it is the last there is.
    pub(crate) fn loaded_state(&self) -> Option<&StateFile> {
        self.states.last()
    }

    /// Whether a file is none that the host loads, and holds nothing that it could mean.
    pub(super) fn is_nothing(&self, file: &StateFile) -> bool {
        !file.listed && file.entry.size() == 0
    }

    /// Whether a state that cannot be opened is one that the host does not load: beside one it does, or
    /// without a byte in it.
    pub(crate) fn is_harmless(&self, file: &StateFile, error: &Error) -> bool {
        let loaded = self.states.iter().any(|state| state.listed);
        let holds_nothing = file.entry.size() == 0;
        !file.listed && (loaded || holds_nothing) && error.kind() == ErrorKind::Damaged
    }

    /// The state file of this name.
    pub(super) fn state_called(&self, name: &str) -> Option<&StateFile> {
        let mut states = self.states.iter();
        states.find(|file| file.name.eq_ignore_ascii_case(name))
    }

    /// What the host loads besides the state `name`, or instead of it.
    pub(super) fn loads_otherwise(&self, name: &str) -> Vec<Warning> {
        let (partition, file) = (self.partition, || name.to_owned());
        let is_listed = |bank: &Bank<'_>| bank.boot_cfg().lists_module(name);
        if !self.bank.as_ref().is_ok_and(is_listed) {
            let cause = WarningCause::NotListed {
                partition,
                file: file(),
            };
            return vec![cause.into()];
        }
        let others = self.states.iter().filter(|file| file.listed);
        let others = others.filter(|file| !file.name.eq_ignore_ascii_case(name));
        let listed_too = |other: &StateFile| WarningCause::ListedToo {
            partition,
            file: file(),
            other: other.name.clone(),
        };
        others.map(|other| listed_too(other).into()).collect()
    }

    /// The name of the file that a state has to be in for the host to start with it: that of the one
    /// it starts with now, or of one that is missing and that `modules=` lists.
    pub(super) fn name_of_state(&self) -> Result<&str, Error> {
        let boot_cfg = self.opened()?.boot_cfg();
        let loaded = self.loaded_state();
        if let Some(file) = loaded.filter(|file| file.listed) {
            return Ok(&file.name);
        }
        let mut usual = STATE_FILES.into_iter();
        let missing = usual.find(|name| boot_cfg.lists_module(name));
        let [state, _] = STATE_FILES;
        Ok(missing.unwrap_or_else(|| loaded.map_or(state, |file| &file.name)))
    }
}

/// The banks that were found, each with the loader's verdict. That goes by what the loader reads
/// alone: a bank whose state cannot be had, or that is damaged, may be chosen all the same.
pub(super) fn slots<'m>(
    found: Vec<(u32, Result<Bank<'m>, Error>)>,
    verdicts: &[BankVerdict],
    settings: &Settings<'_>,
) -> Vec<Slot<'m>> {
    let slot = |(partition, bank): (u32, Result<Bank<'m>, Error>)| {
        // An entry that leads nowhere spoils this bank and leaves the others open.
        let opened = bank.and_then(|bank| {
            let states = state_files(&bank, settings).map_err(|error| error.on(partition))?;
            Ok((bank, states))
        });
        let (bank, states) = match opened {
            Ok((bank, states)) => (Ok(bank), states),
            Err(error) => (Err(error), Vec::new()),
        };
        let verdict = verdicts.iter().find(|it| it.partition == partition);
        let verdict = verdict.cloned().unwrap_or_else(|| {
            let why = bank.as_ref().err().map(ToString::to_string);
            not_seen(partition, why.unwrap_or_default())
        });
        Slot {
            partition,
            bank: bank.map_err(Arc::new),
            verdict,
            states,
        }
    };
    found.into_iter().map(slot).collect()
}

/// The verdict on what the loader passes over without a word.
fn not_seen(partition: u32, why: String) -> BankVerdict {
    BankVerdict {
        partition,
        bootable: false,
        boots_next: false,
        why_not: Some(WhyNot::Unreadable(why)),
        state_after: None,
        upgrading: false,
        rollback: false,
    }
}

fn state_files(bank: &Bank<'_>, settings: &Settings<'_>) -> Result<Vec<StateFile>, Error> {
    let boot_cfg = bank.boot_cfg();
    let mut files: Vec<StateFile> = bank
        .states()?
        .into_iter()
        .map(|(name, entry)| StateFile {
            listed: boot_cfg.lists_module(name),
            name: name.to_owned(),
            entry,
        })
        .collect();
    files.extend(other_carriers(bank, settings)?);
    // What the host loads is switched last; of several it takes what the later one holds.
    files.sort_by_key(|file| boot_cfg.place_of_module(&file.name));
    Ok(files)
}

/// Archives of the vendor's that every bank has and that hold no configuration: looking into them
/// would cost more than the state itself.
const OF_THE_VENDOR: [&str; 7] = [
    "imgdb.tgz",
    "imgpayld.tgz",
    "basemisc.tgz",
    "resvibs.tgz",
    "esxiodpt.tgz",
    "locker.tgz",
    "license.tgz",
];

/// The archive in which builders of images put drivers and tools, with files below `etc/` that are no settings.
const OF_THE_BUILDER: &str = "oem.tgz";

/// Most bytes that are read and unpacked of the archives of one bank in search of a configuration.
const SEARCHED: u64 = 512 << 20;

/// By what a file that `modules=` lists would be seen to hold a configuration; `None` where its name says that it
/// does not.
fn sign_for(name: &str) -> Option<Sign> {
    let known = STATE_FILES.iter().chain(&OF_THE_VENDOR);
    if known.into_iter().any(|known| *known == name) {
        return None;
    }
    match name.rsplit_once('.')?.1 {
        "tgz" if name != OF_THE_BUILDER => Some(Sign::AnyFile),
        "tgz" | "gz" => Some(Sign::Settings),
        _ => None,
    }
}

/// Archives under other names that `modules=` lists and that hold a configuration, as `onetime.tgz`
/// of some vendors' images. What is damaged before one is found holds none: what the loader makes of it is said
/// elsewhere. What is not known to hold none counts, so that nothing is said to be searched that was not; where
/// there was too much to search, the first such archive stands for the rest.
fn other_carriers(bank: &Bank<'_>, settings: &Settings<'_>) -> Result<Vec<StateFile>, Error> {
    let mut found = Vec::new();
    let most = settings.limits.max_unpacked;
    let mut left = SEARCHED.max(most);
    for entry in bank.volume().files() {
        let name = entry.name().to_ascii_lowercase();
        let Some(sign) = sign_for(&name).filter(|_| bank.boot_cfg().lists_module(&name)) else {
            continue;
        };
        if entry.is_directory() || bank.find(&name)?.as_ref() != Some(&entry) {
            continue;
        }
        let carries = match search(bank.volume(), &entry, sign, (most, &mut left)) {
            Ok(carries) => carries,
            Err(error) if error.kind() == ErrorKind::Damaged => Carries::No,
            Err(_) => Carries::Unknown,
        };
        if carries != Carries::No {
            found.push(StateFile {
                listed: true,
                name,
                entry,
            });
        }
        if left == 0 {
            break;
        }
    }
    Ok(found)
}

/// Looks into one file of no more than `most` bytes, where `left` bytes may be read and unpacked.
fn search(
    volume: &Volume<'_>,
    entry: &Entry,
    sign: Sign,
    (most, left): (u64, &mut u64),
) -> Result<Carries, FatError> {
    if volume.read_start(entry, gzip::MAGIC.len() as u64)? != gzip::MAGIC {
        return Ok(Carries::No);
    }
    let size = u64::from(entry.size());
    if size > most {
        return Ok(Carries::Unknown);
    }
    let Some(rest) = left.checked_sub(size) else {
        *left = 0;
        return Ok(Carries::Unknown);
    };
    *left = rest;
    Ok(sign.search(&volume.read_file(entry, most)?, left))
}
