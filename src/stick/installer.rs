//! Media that install ESXi: what is said of a medium that holds no bank.

use crate::bank::BOOT_CFG;
use crate::fat::root_holds;
use crate::medium::ReadAt;
use crate::partition::PartitionTable;
use std::fmt;

/// Where the primary volume descriptor of ISO 9660 lies in bytes: sector 16 of 2048 bytes (ECMA-119,
/// 7.1 and 8.4).
const DESCRIPTOR_AT: u64 = 32_768;
/// What it begins with: its type, the standard's identifier, the version.
const DESCRIPTOR: &[u8] = b"\x01CD001\x01";
/// Where its volume identifier begins and ends.
const LABEL: std::ops::Range<usize> = 40..72;

/// Files of the installer's boot loader: beside a `boot.cfg` in a root directory they make the volume
/// one that installs.
const LOADER_FILES: [&str; 3] = ["isolinux.cfg", "syslinux.cfg", "mboot.c32"];

/// How a medium holds an installer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Installer {
    /// A CD image, written to the medium as it is.
    Cd {
        /// The name of its volume, `ESXI-7.0U3G-20328353-STANDARD`.
        label: String,
    },
    /// The files of the ESXi installer, on a FAT volume.
    Files {
        /// Number of its partition.
        partition: u32,
    },
}

impl Installer {
    /// Looks for an installer on a medium.
    pub(super) fn on(medium: &dyn ReadAt, table: Option<&PartitionTable>) -> Option<Installer> {
        on_cd(medium).or_else(|| {
            let table = table?;
            let mut partitions = table.partitions.iter();
            let holds = |number: u32, name: &str| {
                let partition = table.partitions.iter().find(|it| it.number == number);
                let range = partition.and_then(|it| it.byte_range(table.sector_size));
                let holds = range.map(|range| root_holds(medium, range, table.sector_size, name));
                holds.is_some_and(|holds| holds.unwrap_or(false))
            };
            let installs = |number: u32| {
                holds(number, BOOT_CFG) && LOADER_FILES.iter().any(|name| holds(number, name))
            };
            let found = partitions.find(|partition| installs(partition.number))?;
            Some(Installer::Files {
                partition: found.number,
            })
        })
    }
}

fn on_cd(medium: &dyn ReadAt) -> Option<Installer> {
    let mut descriptor = [0; LABEL.end];
    medium.read_at(&mut descriptor, DESCRIPTOR_AT).ok()?;
    if !descriptor.starts_with(DESCRIPTOR) {
        return None;
    }
    let label = String::from_utf8_lossy(descriptor.get(LABEL)?);
    Some(Installer::Cd {
        label: label.trim_end_matches([' ', '\0']).to_owned(),
    })
}

impl fmt::Display for Installer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Installer::Cd { label } if label.to_ascii_uppercase().starts_with("ESXI") => {
                write!(f, "this is the ESXi installer {label}")
            }
            Installer::Cd { label } => write!(f, "this is the CD image {label}"),
            Installer::Files { partition } => {
                write!(f, "partition {partition} holds the ESXi installer")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::medium::Memory;

    #[test]
    fn a_cd_image_is_called_by_its_label() {
        let mut bytes = vec![0; 40_000];
        let at = usize::try_from(DESCRIPTOR_AT).unwrap();
        assert_eq!(on_cd(&Memory::new(bytes.clone())), None);
        bytes[at..at + DESCRIPTOR.len()].copy_from_slice(DESCRIPTOR);
        bytes[at + LABEL.start..at + LABEL.end]
            .copy_from_slice(b"ESXI-6.7.0-8169922-STANDARD     ");
        let found = on_cd(&Memory::new(bytes)).unwrap();
        assert_eq!(
            found.to_string(),
            "this is the ESXi installer ESXI-6.7.0-8169922-STANDARD"
        );
    }
}
