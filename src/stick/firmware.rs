//! What comes before ESXi's loader: what a machine's firmware finds on a medium to start from.
//!
//! Only what is there is looked at. What it does, whether it is signed, and what the machine's own boot entries say
//! is not known here. Where each fact is from is told in `docs/loader.md`.

use super::{Cure, Stick, Warning};
use crate::fat::{FatError, Reach, Volume};
use crate::medium::ReadAt;
use crate::partition::{Partition, PartitionTable, Role, TableChoice};
use std::fmt;

/// Bytes of the first sector that can hold code: the disk signature and the table follow.
const BOOT_CODE: usize = 440;
/// What the program that UEFI firmware starts on any medium is called: `BOOT`, the kind of processor, `.EFI`.
const DEFAULT_PROGRAM: &str = "EFI/BOOT/BOOT";
/// Where the programs are that ESXi's installer makes boot entries for in a machine.
const OWN_FOLDER: &str = "EFI/VMWARE/";
const PROGRAM: &str = ".EFI";

/// What a machine's firmware finds on a medium to start ESXi's loader from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Firmware {
    /// What UEFI firmware finds.
    pub uefi: Uefi,
    /// Whether the first sector holds code for a BIOS; `None` where it cannot be read.
    pub boot_code: Option<bool>,
}

/// What UEFI firmware finds, in the partition of this number.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Uefi {
    /// A program where every machine looks for one.
    Program {
        /// The EFI system partition.
        partition: u32,
        /// Its path in 8.3 names, `EFI/BOOT/BOOTX64.EFI`.
        path: String,
    },
    /// Only one that a machine starts which has a boot entry for it: the machine that ESXi was installed on.
    ByEntry {
        /// The EFI system partition.
        partition: u32,
        /// Its path in 8.3 names.
        path: String,
    },
    /// No program, or one without a byte.
    NoProgram {
        /// The EFI system partition.
        partition: u32,
    },
    /// The EFI system partition is blank.
    Blank {
        /// The EFI system partition.
        partition: u32,
    },
    /// It cannot be looked into.
    Unknown {
        /// The EFI system partition.
        partition: u32,
        /// Why not, in words.
        why: String,
    },
    /// The partition table names no EFI system partition.
    NoPartition,
}

impl Firmware {
    /// Whether neither UEFI firmware nor a BIOS finds anything to start, for certain.
    pub fn finds_nothing(&self) -> bool {
        let uefi_finds_nothing = matches!(
            self.uefi,
            Uefi::NoProgram { .. } | Uefi::Blank { .. } | Uefi::NoPartition
        );
        uefi_finds_nothing && self.boot_code == Some(false)
    }
}

impl Firmware {
    /// That it finds nothing, where that is certain.
    pub fn warning(&self) -> Option<Warning> {
        if !self.finds_nothing() {
            return None;
        }
        let uefi = &self.uefi;
        let message = format!(
            "no firmware starts ESXi's loader from this medium: {uefi}, and the first sector has no code for a BIOS"
        );
        Some(Warning {
            message,
            cure: uefi.partition().map(Cure::CopySystemPartition),
        })
    }
}

/// As the start of a sentence.
impl fmt::Display for Uefi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Uefi::NoPartition {
            return f.write_str("there is no EFI system partition");
        }
        f.write_str("the EFI system partition ")?;
        match self {
            Uefi::Program { path, .. } => write!(f, "holds {path}"),
            Uefi::ByEntry { path, .. } => {
                write!(f, "holds {path}, but no {DEFAULT_PROGRAM}X64.EFI")
            }
            Uefi::NoProgram { .. } => {
                write!(f, "holds no {DEFAULT_PROGRAM}X64.EFI, or an empty one")
            }
            Uefi::Blank { .. } => f.write_str("is blank"),
            Uefi::Unknown { why, .. } => write!(f, "cannot be looked into ({why})"),
            Uefi::NoPartition => Ok(()),
        }
    }
}

impl Stick<'_, '_> {
    /// What a machine's firmware finds on the medium to start from.
    pub fn firmware(&self) -> Firmware {
        Firmware {
            uefi: Uefi::on(self.medium, &self.table),
            boot_code: has_boot_code(self.medium),
        }
    }

    /// A warning where it finds nothing for certain. Where there is code for a BIOS, nothing more is read.
    pub(super) fn without_start(&self) -> Option<Warning> {
        // By another table than the loader's there is another reason why it does not start.
        if self.table.source != TableChoice::Loader || has_boot_code(self.medium) != Some(false) {
            return None;
        }
        self.firmware().warning()
    }
}

fn has_boot_code(medium: &dyn ReadAt) -> Option<bool> {
    let code = medium.read_vec(0, BOOT_CODE).ok()?;
    Some(code.iter().any(|byte| *byte != 0))
}

impl Uefi {
    /// The best that any EFI system partition has.
    fn on(medium: &dyn ReadAt, table: &PartitionTable) -> Uefi {
        let partitions = table.partitions.iter();
        let system = partitions.filter(|partition| partition.role() == Role::Efi);
        let found = system.map(|partition| Uefi::in_partition(medium, table, partition));
        found.min_by_key(Uefi::rank).unwrap_or(Uefi::NoPartition)
    }

    /// The EFI system partition it is about.
    pub fn partition(&self) -> Option<u32> {
        match self {
            Uefi::Program { partition, .. }
            | Uefi::ByEntry { partition, .. }
            | Uefi::NoProgram { partition }
            | Uefi::Blank { partition }
            | Uefi::Unknown { partition, .. } => Some(*partition),
            Uefi::NoPartition => None,
        }
    }

    /// Where several partitions tell something, the lowest counts.
    fn rank(&self) -> u8 {
        match self {
            Uefi::Program { .. } => 0,
            Uefi::ByEntry { .. } => 1,
            Uefi::Unknown { .. } => 2,
            Uefi::NoProgram { .. } => 3,
            Uefi::Blank { .. } => 4,
            Uefi::NoPartition => 5,
        }
    }

    fn in_partition(medium: &dyn ReadAt, table: &PartitionTable, partition: &Partition) -> Uefi {
        let number = partition.number;
        let unknown = |why: String| Uefi::Unknown {
            partition: number,
            why,
        };
        let Some(range) = partition.byte_range(table.sector_size) else {
            return unknown("it is not on the medium".to_owned());
        };
        let sector = usize::try_from(table.sector_size).unwrap_or_default();
        let first = medium.read_vec(range.start, sector);
        if first.is_ok_and(|first| first.iter().all(|byte| matches!(byte, 0 | 0xff))) {
            return Uefi::Blank { partition: number };
        }
        let opened = Volume::open(medium, range, table.sector_size);
        let read: Result<Reach, FatError> = opened.and_then(|volume| volume.check());
        match read {
            Ok(reach) => Uefi::among(&reach, number),
            Err(error) => unknown(error.to_string()),
        }
    }

    fn among(reach: &Reach, partition: u32) -> Uefi {
        let nodes = reach.nodes().iter().enumerate();
        let files = nodes.filter(|(_, node)| !node.entry().is_directory());
        let filled = files.filter(|(_, node)| node.entry().size() > 0);
        let paths = filled.map(|(index, _)| reach.path(index).to_ascii_uppercase());
        let programs: Vec<String> = paths.filter(|path| path.ends_with(PROGRAM)).collect();
        let first_in = |place: &str| {
            programs
                .iter()
                .find(|path| path.starts_with(place))
                .cloned()
        };
        match (first_in(DEFAULT_PROGRAM), first_in(OWN_FOLDER)) {
            (Some(path), _) => Uefi::Program { partition, path },
            (None, Some(path)) => Uefi::ByEntry { partition, path },
            (None, None) => Uefi::NoProgram { partition },
        }
    }
}
