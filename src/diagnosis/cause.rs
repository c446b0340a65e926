//! What a check can find, as values with their words.

use crate::bank::{BootCfgProblem, ChoiceWarning, WhyNot};
use crate::error::counted;
use crate::fat::VolumeUuid;
use crate::loader::{Note, Stop, Undecided};
use crate::state::StateError;
use crate::stick::{Uefi, WarningCause, WhyMissed, numbers};

/// What was found, by room, and what only the whole shows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FindingCause {
    /// Something cannot be read, or not be understood, in words; [`super::Finding::kind`] says which.
    #[error("{0}")]
    Error(String),
    /// Something odd that every command would warn of.
    #[error(transparent)]
    Warning(WarningCause),
    /// The medium was read by a table that ESXi's loader does not use; why, as [`crate::stick::Stick::not_by_loader`]
    /// says it.
    #[error("{0}, so the medium does not boot")]
    NotByLoader(&'static str),

    /// The firmware of some machines finds nothing to start from, or not where it should be.
    #[error("{uefi}{}", then_in_words(uefi))]
    Firmware {
        /// The best that UEFI firmware finds.
        uefi: Uefi,
    },
    /// There is no code for a BIOS.
    #[error("the first sector has no code for a BIOS: only UEFI firmware starts from the medium")]
    NoBootCode,
    /// The loader takes no bank.
    #[error("{}{}", ChoiceWarning::NothingBoots, whole_in_words(whole, but.as_ref()))]
    NothingBoots {
        /// Banks whose files are whole.
        whole: Vec<u32>,
        /// Why the loader never looks at those.
        but: Option<WhyNot>,
    },
    /// A line of a `boot.cfg`.
    #[error(transparent)]
    BootCfg(BootCfgProblem),
    /// Files that the loader stops at since they are not in the bank.
    #[error("{}", absent_in_words(files, banks))]
    Absent {
        /// Their names.
        files: Vec<String>,
        /// The other banks that have them.
        banks: Vec<u32>,
    },
    /// Anything else that stops the loader.
    #[error("{stop}{}", whole_file_in_words(banks))]
    Stop {
        /// What.
        stop: Stop,
        /// The other banks that have the file it is about whole.
        banks: Vec<u32>,
    },
    /// Something that does not stop it.
    #[error(transparent)]
    Note(Note),
    /// Files that are no gzip files; the vendor's own are.
    #[error("{}", uncompressed_in_words(first, *count))]
    Uncompressed {
        /// The first.
        first: String,
        /// How many.
        count: usize,
    },
    /// Whether the loader gets through cannot be told.
    #[error("whether the loader gets through cannot be told: {0}")]
    Undecided(Undecided),

    /// A volume carries the mark of an unclean unmount.
    #[error(
        "the volume is marked as not cleanly unmounted. ESXi's loader ignores the mark, but the check before an upgrade \
         refuses such a host (VMware KB 345227)"
    )]
    NotUnmounted,
    /// A volume carries the mark of an I/O error.
    #[error(
        "the volume is marked as having had an I/O error. ESXi's loader ignores the mark. Read the whole medium once, \
         for example with dd{}",
        if *in_bank { "; if that succeeds, clear the mark" } else { "" }
    )]
    HadIoError {
        /// Whether it is a bank.
        in_bank: bool,
    },
    /// A boot sector with a media byte that other systems do not take.
    #[error(
        "the media byte of the boot sector is {0:02X}: the host boots from it, but Linux and mtools refuse the volume"
    )]
    MediaByte(u8),
    /// Clusters that no file uses.
    #[error(
        "{} from an interrupted run: harmless, because no file uses them",
        counted(clusters, "leftover cluster")
    )]
    Leftovers {
        /// How many.
        clusters: usize,
    },
    /// Clusters marked as bad.
    #[error("{} marked as bad", counted(clusters, "cluster"))]
    BadClusters {
        /// How many.
        clusters: usize,
    },
    /// A volume that is no bank.
    #[error("the volume is damaged: {why}")]
    DamagedVolume {
        /// How, in words.
        why: String,
    },
    /// A bank that the loader passes over.
    #[error("{0}")]
    Missed(WhyMissed),
    /// More banks than an installation has.
    #[error(
        "there are {} banks (partitions {}); installations of ESXi have two",
        .0.len(),
        numbers(.0.iter().copied())
    )]
    ManyBanks(Vec<u32>),
    /// Two banks with one UUID.
    #[error(
        "the banks on partitions {first} and {second} have the same UUID {uuid}: one is a copy of the other, and the host can take the wrong one"
    )]
    SameUuid {
        /// Number of the partition of one.
        first: u32,
        /// Number of the partition of the other.
        second: u32,
        /// The UUID.
        uuid: VolumeUuid,
    },

    /// A bank without a state.
    #[error("the bank holds no state; that is normal for the second bank of a fresh install")]
    NoState,
    /// A damaged state that the host does not load.
    #[error("{why}; modules= does not list it, so the host does not load it")]
    NotLoaded {
        /// How it is damaged, in words.
        why: String,
    },
    /// A state that cannot be looked into.
    #[error("{file}: sealed (mode {mode}), so bootbank cannot check what is inside")]
    Sealed {
        /// The bank's file.
        file: String,
        /// The mode that its key store names.
        mode: String,
    },
    /// A state without any configuration.
    #[error("{file}: the state is empty, so the host {}", settings_in_words(filled.as_deref()))]
    EmptyState {
        /// The bank's file.
        file: String,
        /// The file that the host takes its settings from.
        filled: Option<String>,
    },
    /// A state that readers take as it is and that cannot be changed.
    #[error("{0}; so bootbank cannot change the configuration")]
    NotEditable(StateError),
}

/// What it means that this is the best UEFI firmware finds, where a BIOS can start from the medium.
fn then_in_words(uefi: &Uefi) -> &'static str {
    match uefi {
        Uefi::Program { .. } | Uefi::Mbr => "",
        Uefi::OtherType { .. } => ": not all firmware starts it",
        Uefi::Unknown { .. } => ", so it is not known whether UEFI firmware finds ESXi's loader",
        Uefi::ByEntry { .. } => {
            ": UEFI firmware starts those only on a machine that has a boot entry for them"
        }
        _ => ": a BIOS finds code to start from, UEFI firmware does not",
    }
}

fn whole_in_words(whole: &[u32], but: Option<&WhyNot>) -> String {
    if whole.is_empty() {
        return String::new();
    }
    let s = if whole.len() == 1 { "" } else { "s" };
    let banks = numbers(whole.iter().copied());
    let but = but.map_or(String::new(), |limit| format!(", but {limit}"));
    format!("; the files of bank{s} {banks} are whole{but}")
}

fn absent_in_words(files: &[String], banks: &[u32]) -> String {
    let (which, list, it) = match files {
        [only] => (format!("{only} is"), String::new(), "it"),
        many => {
            let list = format!(": {}", many.join(", "));
            (format!("{} files are", many.len()), list, "them")
        }
    };
    let has = match banks {
        [] => String::new(),
        _ => format!("; bank {} has {it}", numbers(banks.iter().copied())),
    };
    format!("{which} in boot.cfg and not in the bank, so the loader stops{list}{has}")
}

fn whole_file_in_words(banks: &[u32]) -> String {
    match banks {
        [] => String::new(),
        _ => format!("; bank {} has it whole", numbers(banks.iter().copied())),
    }
}

fn uncompressed_in_words(first: &str, count: usize) -> String {
    match count {
        1 => format!("{first} is not compressed: the loader loads it as it is"),
        many => format!(
            "{many} files are not compressed, {first} the first: the loader loads them as they are"
        ),
    }
}

fn settings_in_words(filled: Option<&str>) -> String {
    match filled {
        Some(filled) => format!("takes its settings from {filled}"),
        None => "starts with default settings".to_owned(),
    }
}
