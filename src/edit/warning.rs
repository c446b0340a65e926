//! What a person should know of an edit.

use super::identity::moved_to;
use super::oddity::ConfigurationWarning;
use super::seal::SealOperation;
use super::{SCHEMA_STORE, Unmatched};
use crate::bank::{BOOT_CFG, BootCfgProblem, Release};
use crate::ownership::{RowKey, Source};
use crate::secrets::quotable;
use crate::state::RecoveryKeyError;

/// The kernel option that gives a sealed host its recovery key.
pub(super) const RECOVERY_KEY_OPTION: &str = "encryptionRecoveryKey";

/// Something a person should know of an edit, which is made all the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditWarning {
    /// The configuration was odd before.
    #[error(transparent)]
    Configuration(ConfigurationWarning),
    /// A line of `boot.cfg` seems to set what is set, and the loader does not see it.
    #[error("{BOOT_CFG}: {0}; that line is kept as it is")]
    HiddenLine(BootCfgProblem),
    /// A recovery key among the kernel options has not the form of one.
    #[error("{BOOT_CFG}: the host will hardly take this {RECOVERY_KEY_OPTION}: {0}")]
    RecoveryKeyForm(RecoveryKeyError),
    /// A recovery key among the kernel options changes, so that an undo file holds it.
    #[error(
        "an undo file of this change holds the {RECOVERY_KEY_OPTION} {}; delete that file once the host starts",
        keys_in_words(*.0)
    )]
    RecoveryKeyInUndo(KeysInUndo),
    /// Modules that the host loaded and does not load any more. Whether it needs them only the host knows.
    #[error("{BOOT_CFG}: modules= lists {} no longer; whether the host starts without {} is not known", listed(.0), if .0.len() == 1 { "it" } else { "them" })]
    ModulesGone(Vec<String>),
    /// A kernel option with another value than it has already, which stays.
    #[error(
        "{BOOT_CFG}: the kernel option {0} is there with several values, and which one counts is not known; leave one of them: kernelopt modify -d {0} -a {0}=VALUE"
    )]
    OptionTwice(String),
    /// A file that the state did not hold. From 4.1 on the host's backup.sh saves the files below /etc that it
    /// has a `.#` twin of, made for files it ships with the sticky bit; others are in the state until it is
    /// written again.
    #[error("{path} is new: {}", saved_in_words(path))]
    NewFile {
        /// Where it lies in the state.
        path: String,
    },
    /// A device that only the file names which the host does not read.
    #[error(
        "{file}: only {} names {device}; {} reads {}{} and does not see this change",
        named(other(*read)),
        release.as_ref().map_or("a host that".to_owned(), ToString::to_string),
        named(*read),
        if release.is_none() && *read == Source::ConfigStore { " alone" } else { "" }
    )]
    NotRead {
        /// The bank's file.
        file: String,
        /// The key of the device.
        device: String,
        /// What the host reads.
        read: Source,
        /// The host's release, where it is known.
        release: Option<Release>,
    },
    /// A key that esx.conf did not hold, of a release that keeps most settings elsewhere.
    #[error("{}", new_in_words(.0))]
    NewKey(String),
    /// A kernel option was named in other capitals than one that is there.
    #[error(
        "the kernel option {:?} is there, in other capitals than {:?}, and was not changed",
        quotable(.found),
        quotable(.asked)
    )]
    OptionInOtherLetters {
        /// As it was asked for.
        asked: String,
        /// As it is there.
        found: String,
    },
    /// A line of esx.conf that the host reads no more.
    #[error(
        "a host of {release} does not read {key} of esx.conf: it is {member} of the ConfigStore row {row}"
    )]
    MovedKey {
        /// The key of the line.
        key: String,
        /// The row that the host reads instead.
        row: RowKey,
        /// The member of its JSON.
        member: &'static str,
        /// The host's release.
        release: Release,
    },
    /// A row whose value could not be held against a schema.
    #[error(
        "the state holds no {SCHEMA_STORE}, so the value of {0} was not checked against the host's schema"
    )]
    Unchecked(RowKey),
    /// The system UUID goes, which virtual machines hold.
    #[error(
        "virtual machines with passed-through devices hold the UUID of their host: assign their devices again"
    )]
    AssignAgain,
    /// What sealing cannot take out of this release.
    #[error("{}: {}", .0.about().name, .0.about().config_store)]
    NotSealed(SealOperation),
    /// An iSCSI name that sealing leaves, though clones share it.
    #[error(
        "the iSCSI name {0} stays: two hosts with one name damage the data on a shared target; give each clone its own name"
    )]
    SharedIscsiName(String),
    /// What was to be taken out is in none of the states.
    #[error("{0}, so there is nothing to take out")]
    GoneAlready(Unmatched),
}

/// The recovery keys that an undo file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeysInUndo {
    /// One that the change takes away.
    TakenAway,
    /// One that the change adds.
    Added,
    /// Both.
    Both,
}

fn keys_in_words(keys: KeysInUndo) -> &'static str {
    match keys {
        KeysInUndo::Both => "that it takes away and the one that it adds",
        KeysInUndo::TakenAway => "that it takes away",
        KeysInUndo::Added => "that it adds",
    }
}

/// The first of several names, and how many more there are.
pub(crate) fn listed(names: &[String]) -> String {
    const NAMED: usize = 3;
    let first: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    match names.len().saturating_sub(NAMED) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

fn saved_in_words(path: &str) -> &'static str {
    if path.starts_with("etc/") {
        "the host unpacks it at boot, but may not save it again: it is known to save only the files under /etc that ESXi ships for that"
    } else {
        "the host is known to save only files under /etc and its ConfigStore, so this one may be gone once the host saves its state"
    }
}

fn new_in_words(key: &str) -> String {
    match moved_to(key) {
        Some((row, member)) => format!(
            "{key} is new in esx.conf; from 8.0 on it is {member} of the ConfigStore row {row}"
        ),
        None => format!(
            "{key} is new in esx.conf; from 7.0 U2 on most settings are kept in the ConfigStore, and a host ignores lines it does not know"
        ),
    }
}

fn other(source: Source) -> Source {
    match source {
        Source::EsxConf => Source::ConfigStore,
        Source::ConfigStore => Source::EsxConf,
    }
}

fn named(source: Source) -> &'static str {
    match source {
        Source::EsxConf => "esx.conf",
        Source::ConfigStore => "the ConfigStore",
    }
}
