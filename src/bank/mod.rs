//! A bank: a FAT volume of VMware's with a `boot.cfg` in its root, one of the two or three
//! system images a boot medium holds.
//!
//! A bank is known by its content, never by the number of its partition. The EFI partition
//! carries VMware's mark as well but holds no `boot.cfg`, so it is none.
//!
//! This is the strict reading, which decides what may be changed. Which bank boots is another
//! question, and [`crate::loader`] answers it; what a `boot.cfg` means is taken from there.

mod error;
mod kernelopt;
mod release;
mod settings;

pub use crate::loader::{BankVerdict, BootCfg, BootCfgProblem, ChoiceWarning, Module, WhyNot};
pub use error::BankError;
pub(crate) use kernelopt::KERNELOPT;
pub use kernelopt::{KerneloptEdit, KerneloptError};
pub use release::Release;
pub(crate) use settings::MODULES;
pub use settings::{BootCfgEdit, BootCfgError};

use crate::fat::{Entry, FatError, Volume, VolumeUuid, root_holds, vmware_uuid};
use crate::medium::ReadAt;
use std::ops::Range;

/// The file that makes a volume a bank.
pub const BOOT_CFG: &str = "boot.cfg";

/// Files of a bank that can hold a host's configuration: the state since 4.0, and the bare
/// archive 4.x kept on USB sticks.
pub const STATE_FILES: [&str; 2] = ["state.tgz", "local.tgz"];

/// The largest `boot.cfg` that is read, in bytes. Real ones are around 5 KB.
const BOOT_CFG_LIMIT: u64 = 1 << 20;

/// The bank that a path names as people write it, and the file in it: of `bank5:boot.cfg` the partition's
/// number and `boot.cfg`. `bank:` is the bank that boots next. `None` for the path of a file of the
/// configuration.
pub(crate) fn path_in_bank(text: &str) -> Option<(Option<u32>, &str)> {
    const BANK: usize = "bank".len();
    let (bank, name) = text.split_once(':')?;
    // In any case, as the names of a FAT volume are.
    let (word, number) = bank.split_at_checked(BANK)?;
    if !word.eq_ignore_ascii_case("bank") {
        return None;
    }
    match number {
        "" => Some((None, name)),
        number => Some((Some(number.parse().ok()?), name)),
    }
}

/// What a partition that may hold a bank turned out to hold.
#[derive(Debug)]
pub enum Probed<'m> {
    /// A bank.
    Bank(Box<Bank<'m>>),
    /// A FAT volume of VMware's without `boot.cfg`: the EFI partition, or a store.
    Volume(Box<Volume<'m>>),
    /// A volume with a `boot.cfg` but without VMware's mark: the loader does not take it for a
    /// bank.
    Unmarked,
    /// Something else.
    Other,
}

/// A bank opened for reading.
#[derive(Debug)]
pub struct Bank<'m> {
    volume: Volume<'m>,
    uuid: VolumeUuid,
    boot_cfg: BootCfg,
}

impl<'m> Bank<'m> {
    /// Looks at `partition` (bytes on the medium) and opens it where it is VMware's.
    ///
    /// # Errors
    /// A volume that carries VMware's mark and is damaged, or a `boot.cfg` that cannot be read.
    pub fn probe(
        medium: &'m dyn ReadAt,
        partition: Range<u64>,
        sector_size: u32,
    ) -> Result<Probed<'m>, BankError> {
        let Some(uuid) = vmware_uuid(medium, partition.clone(), sector_size)? else {
            let unmarked = root_holds(medium, partition, sector_size, BOOT_CFG)?;
            return Ok(if unmarked {
                Probed::Unmarked
            } else {
                Probed::Other
            });
        };
        let volume = Volume::open(medium, partition, sector_size)?;
        let Some(entry) = volume.find(BOOT_CFG)? else {
            return Ok(Probed::Volume(Box::new(volume)));
        };
        let boot_cfg = volume.read_file(&entry, BOOT_CFG_LIMIT);
        let boot_cfg = boot_cfg.map_err(|error| match error {
            FatError::FileTooLarge { .. } => BankError::BootCfgTooLarge(error),
            other => BankError::Fat(other),
        })?;
        let boot_cfg = BootCfg::parse(&boot_cfg);
        Ok(Probed::Bank(Box::new(Bank {
            volume,
            uuid,
            boot_cfg,
        })))
    }

    /// The volume the bank lives in.
    pub fn volume(&self) -> &Volume<'m> {
        &self.volume
    }

    /// The identity VMware gave the volume.
    pub fn uuid(&self) -> VolumeUuid {
        self.uuid
    }

    /// What its `boot.cfg` says.
    pub fn boot_cfg(&self) -> &BootCfg {
        &self.boot_cfg
    }

    /// Whether `modules=` of its `boot.cfg` names a state, which may be missing.
    pub fn lists_state(&self) -> bool {
        let mut names = STATE_FILES.into_iter();
        names.any(|name| self.boot_cfg.lists_module(name))
    }

    /// The file of that name in the bank's root, as ESXi's loader would find it.
    ///
    /// # Errors
    /// A name the loader would take for something else, or a reference it would stop at.
    pub fn find(&self, name: &str) -> Result<Option<Entry>, BankError> {
        Ok(self.volume.find(name)?)
    }

    /// The state files there are, by name; the one that `modules=` lists comes last, so that
    /// what the host loads is switched last.
    ///
    /// # Errors
    /// As [`Bank::find`].
    pub fn states(&self) -> Result<Vec<(&'static str, Entry)>, BankError> {
        let mut states = Vec::new();
        for name in STATE_FILES {
            if let Some(entry) = self.find(name)? {
                states.push((name, entry));
            }
        }
        states.sort_by_key(|(name, _)| self.boot_cfg.lists_module(name));
        Ok(states)
    }
}
