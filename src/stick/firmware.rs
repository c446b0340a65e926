//! What comes before ESXi's loader: what a machine's firmware finds on a medium to start from.
//!
//! Only what is there is looked at. What it does, whether it is signed, and what the machine's own boot entries say
//! is not known here. Where each fact is from is told in `docs/loader.md`.

use super::{Stick, Warning, WarningCause};
use crate::error::ErrorKind;
use crate::fat::{Entry, FatError, Volume};
use crate::medium::ReadAt;
use crate::partition::{Partition, Role, TableChoice, TableKind};
use std::fmt;

/// Bytes of the first sector that can hold code: the disk signature and the table follow.
const BOOT_CODE: usize = 440;
/// The programs that UEFI firmware starts from any medium, by kind of processor, and where they are.
const DEFAULT_PROGRAMS: [&str; 3] = ["BOOTX64.EFI", "BOOTAA64.EFI", "BOOTIA32.EFI"];
const DEFAULT_FOLDER: [&str; 2] = ["EFI", "BOOT"];
/// Where the programs are that ESXi's installer makes boot entries for in a machine.
const OWN_FOLDER: [&str; 2] = ["EFI", "VMWARE"];
/// What every FAT boot sector begins with: a jump.
const JUMPS: [u8; 2] = [0xeb, 0xe9];

/// What a machine's firmware finds on a medium to start ESXi's loader from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Firmware {
    /// What UEFI firmware finds.
    pub uefi: Uefi,
    /// Whether the first sector holds code for a BIOS; `None` where it cannot be read.
    pub boot_code: Option<bool>,
}

/// What UEFI firmware finds, in the partition of this number. Of several partitions the best counts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Uefi {
    /// A program where every machine of its kind of processor looks for one.
    Program {
        /// The EFI system partition.
        partition: u32,
    },
    /// The same, in a FAT partition of another type, where not all firmware looks.
    OtherType {
        /// The partition.
        partition: u32,
    },
    /// It cannot be looked into.
    Unknown {
        /// The EFI system partition.
        partition: u32,
        /// Why not, in words.
        why: String,
    },
    /// Only programs that a machine starts which has a boot entry for them: the machine that ESXi was installed on.
    ByEntry {
        /// The EFI system partition.
        partition: u32,
    },
    /// A program that is empty, or whose clusters are damaged.
    Broken {
        /// The EFI system partition.
        partition: u32,
        /// Its name in `EFI/BOOT`.
        name: String,
    },
    /// No program.
    NoProgram {
        /// The EFI system partition.
        partition: u32,
    },
    /// No FAT volume.
    NoVolume {
        /// The EFI system partition.
        partition: u32,
    },
    /// The GPT names no EFI system partition.
    NoPartition,
    /// The medium has an MBR, and UEFI firmware starts ESXi from a GPT only.
    Mbr,
}

impl Firmware {
    /// Whether neither UEFI firmware nor a BIOS finds anything to start, for certain.
    pub fn finds_nothing(&self) -> bool {
        self.uefi.is_nothing() && self.boot_code == Some(false)
    }

    /// That it finds nothing, where that is certain.
    pub fn warning(&self) -> Option<Warning> {
        let warning = || {
            let uefi = self.uefi.clone();
            WarningCause::NoStart { uefi }.into()
        };
        self.finds_nothing().then(warning)
    }
}

impl Uefi {
    /// Whether there is nothing to start, for certain.
    pub fn is_nothing(&self) -> bool {
        matches!(
            self,
            Uefi::Broken { .. }
                | Uefi::NoProgram { .. }
                | Uefi::NoVolume { .. }
                | Uefi::NoPartition
                | Uefi::Mbr
        )
    }

    /// The partition it is about.
    pub fn partition(&self) -> Option<u32> {
        match self {
            Uefi::Program { partition }
            | Uefi::OtherType { partition }
            | Uefi::Unknown { partition, .. }
            | Uefi::ByEntry { partition }
            | Uefi::Broken { partition, .. }
            | Uefi::NoProgram { partition }
            | Uefi::NoVolume { partition } => Some(*partition),
            Uefi::NoPartition | Uefi::Mbr => None,
        }
    }

    /// Where several partitions tell something, the lowest counts.
    fn rank(&self) -> u8 {
        match self {
            Uefi::Program { .. } => 0,
            Uefi::OtherType { .. } => 1,
            Uefi::Unknown { .. } => 2,
            Uefi::ByEntry { .. } => 3,
            Uefi::Broken { .. } => 4,
            Uefi::NoProgram { .. } => 5,
            Uefi::NoVolume { .. } => 6,
            Uefi::NoPartition => 7,
            Uefi::Mbr => 8,
        }
    }
}

/// Without the number of the partition.
impl fmt::Display for Uefi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Uefi::Program { .. } => f.write_str("the EFI system partition holds a program to start"),
            Uefi::OtherType { .. } => {
                f.write_str("a program for UEFI firmware is on a partition that is none of the type EFI system")
            }
            Uefi::Unknown { why, .. } => {
                write!(f, "the EFI system partition cannot be looked into ({why})")
            }
            Uefi::ByEntry { .. } => {
                f.write_str("the EFI system partition holds programs in EFI/VMware, but no EFI/BOOT/BOOTX64.EFI")
            }
            Uefi::Broken { name, .. } => {
                write!(f, "in the EFI system partition EFI/BOOT/{name} is empty or damaged")
            }
            Uefi::NoProgram { .. } => {
                f.write_str("the EFI system partition holds no EFI/BOOT/BOOTX64.EFI")
            }
            Uefi::NoVolume { .. } => f.write_str("the EFI system partition holds no FAT volume"),
            Uefi::NoPartition => f.write_str("there is no EFI system partition"),
            Uefi::Mbr => f.write_str("UEFI firmware starts ESXi from a GPT, and this medium has an MBR"),
        }
    }
}

impl Stick<'_, '_> {
    /// What a machine's firmware finds on the medium to start from; `None` where the medium is cut off, or was
    /// opened by another table than the loader's: then there is a graver reason why it does not start.
    pub fn firmware(&self) -> Option<Firmware> {
        self.may_be_started().then(|| Firmware {
            uefi: self.uefi(),
            boot_code: has_boot_code(self.medium),
        })
    }

    /// A warning where it finds nothing for certain. Where there is code for a BIOS, nothing more is read.
    pub(super) fn without_start(&self) -> Option<Warning> {
        if has_boot_code(self.medium) != Some(false) {
            return None;
        }
        self.firmware()?.warning()
    }

    fn may_be_started(&self) -> bool {
        self.table.source == TableChoice::Loader && self.table.faults.is_empty()
    }

    /// The best that any partition has which is no bank.
    fn uefi(&self) -> Uefi {
        if self.table.kind == TableKind::Mbr {
            return Uefi::Mbr;
        }
        let others = self.table.bank_candidates();
        let others = others.filter(|partition| self.bank_on(partition.number).is_none());
        let found = others.filter_map(|partition| match partition.role() {
            Role::Efi => Some(self.uefi_in(partition)),
            // Much firmware looks into every FAT volume.
            _ => match self.uefi_in(partition) {
                Uefi::Program { partition } => Some(Uefi::OtherType { partition }),
                _ => None,
            },
        });
        found.min_by_key(Uefi::rank).unwrap_or(Uefi::NoPartition)
    }

    fn uefi_in(&self, it: &Partition) -> Uefi {
        let (partition, sector_size) = (it.number, self.table.sector_size);
        let unknown = |why: String| Uefi::Unknown { partition, why };
        let Some(range) = it.byte_range(sector_size) else {
            return unknown("it is not on the medium".to_owned());
        };
        let first = self.medium.read_vec(range.start, 1);
        let begins_otherwise = first.is_ok_and(|first| !first.iter().any(|it| JUMPS.contains(it)));
        let volume = match Volume::open(self.medium, range, sector_size) {
            Ok(volume) => volume,
            Err(error) if error.kind() == ErrorKind::Damaged && begins_otherwise => {
                return Uefi::NoVolume { partition };
            }
            Err(error) => return unknown(error.to_string()),
        };
        uefi_in(&volume, partition).unwrap_or_else(|error| unknown(error.to_string()))
    }
}

fn has_boot_code(medium: &dyn ReadAt) -> Option<bool> {
    let code = medium.read_vec(0, BOOT_CODE).ok()?;
    Some(code.iter().any(|byte| *byte != 0))
}

fn uefi_in(volume: &Volume<'_>, partition: u32) -> Result<Uefi, FatError> {
    let is_file = |entry: &Entry| !entry.is_directory();
    let starts = |entry: &Entry| entry.size() > 0 && volume.chain(entry).is_ok();
    let named = volume.directory(&DEFAULT_FOLDER)?.unwrap_or_default();
    let is_default = |entry: &&Entry| {
        is_file(entry) && DEFAULT_PROGRAMS.contains(&&*entry.name().to_ascii_uppercase())
    };
    let programs: Vec<&Entry> = named.iter().filter(is_default).collect();
    if programs.iter().any(|entry| starts(entry)) {
        return Ok(Uefi::Program { partition });
    }
    let own = volume.directory(&OWN_FOLDER)?.unwrap_or_default();
    let is_program =
        |entry: &&Entry| is_file(entry) && entry.name().to_ascii_uppercase().ends_with(".EFI");
    if own.iter().filter(is_program).any(starts) {
        return Ok(Uefi::ByEntry { partition });
    }
    Ok(match programs.first() {
        Some(broken) => Uefi::Broken {
            partition,
            name: broken.name(),
        },
        None => Uefi::NoProgram { partition },
    })
}
