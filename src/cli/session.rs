//! What the commands share: options, the keys derived so far, and opening targets.

use super::options::Common;
use super::report::Failure;
use super::signals::Interrupt;
use super::ui::Ui;
use crate::host::Host;
use crate::medium::{CachedReads, ReadAt, Target};
use crate::state::{KeyCache, Limits};
use crate::stick::{Settings, Stick};
use std::path::Path;

/// One run of the program.
pub struct Session {
    /// What people see.
    pub ui: Ui,
    /// The options every command shares.
    pub common: Common,
    /// Keys derived so far.
    pub keys: KeyCache,
    /// This machine's disks.
    pub host: Host,
    /// Whether a signal asked to stop.
    pub interrupt: Interrupt,
}

impl Session {
    /// How to open a stick whose medium has sectors of `sector_size` bytes, where it says so.
    pub fn settings(&self, sector_size: Option<u32>) -> Settings<'_> {
        Settings {
            sector_size: sector_size.or(self.common.sector_size),
            limits: Limits {
                max_unpacked: self.common.max_unpacked,
            },
            keys: &self.keys,
        }
    }

    /// Opens a target to look into it, and hands the opened stick to `look`.
    ///
    /// # Errors
    /// What opening or `look` met.
    pub fn look_into<T>(
        &self,
        path: &Path,
        look: impl FnOnce(&Stick<'_, '_>, &Target) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let target = Target::open_read(path, &self.host)?;
        let medium = CachedReads::new(&target);
        let stick = self.open_stick(&medium, target.logical_sector_size())?;
        let found = look(&stick, &target)?;
        self.ui.detail(&format!(
            "{}: {} bytes read",
            path.display(),
            medium.bytes_read()
        ));
        Ok(found)
    }

    /// Opens the stick on a medium.
    ///
    /// # Errors
    /// A table that is damaged or none; no bank.
    pub fn open_stick<'m>(
        &self,
        medium: &'m dyn ReadAt,
        sector_size: Option<u32>,
    ) -> Result<Stick<'m, '_>, Failure> {
        Ok(Stick::open(medium, self.settings(sector_size))?)
    }
}
