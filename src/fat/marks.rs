//! The marks that other systems leave on a volume, cleared.
//!
//! ESXi's loader ignores them; the check before an upgrade refuses a host whose bank carries them
//! (VMware KB 345227). Bit 0 of the byte at 0x25 of the boot sector says that the volume was in use
//! (Linux), bits 15 and 14 of the FAT's entry 1 that it was unmounted and met no I/O error
//! (Microsoft's description; FAT16 only).

use super::FatError;
use super::geometry::FatKind;
use super::volume::Volume;
use crate::commit::{Overlay, Phase, Planner, WriteSet};
use crate::medium::ReadAt as _;

/// The byte of the boot sector that holds the mark.
pub(crate) const MARK_AT: u64 = 0x25;
const IN_USE: u8 = 0x01;
const ENTRY_ONE: u64 = 2;
const CLEAN: u16 = 0xc000;

/// Adds to `planner` the step that clears the marks of a volume; nothing where there are none.
/// It is the only change to a boot sector that there is, and it is one of a single byte.
///
/// # Errors
/// [`FatError::Plan`].
pub fn mark_clean(
    volume: &Volume<'_>,
    planner: &mut Planner<'_>,
    partition: u32,
) -> Result<(), FatError> {
    let geometry = volume.geometry();
    let sector = u64::from(geometry.sector_size());
    planner.allow(volume.start()..volume.start() + sector)?;
    for range in geometry.fat_ranges() {
        planner.allow(volume.start() + range.start..volume.start() + range.end)?;
    }
    planner.begin(
        Phase::Mark,
        partition,
        "marks of an unclean unmount cleared",
    );
    if volume.dirty_marks().boot_sector {
        let byte = volume.boot().get(0x25).copied().unwrap_or_default();
        planner.put(volume.start() + MARK_AT, &[byte & !IN_USE])?;
    }
    if geometry.kind() == FatKind::Fat16 {
        for (fat, range) in volume.fats().iter().zip(geometry.fat_ranges()) {
            let entry = fat.raw(1) | CLEAN;
            planner.put(
                volume.start() + range.start + ENTRY_ONE,
                &entry.to_le_bytes(),
            )?;
        }
    }
    Ok(())
}

/// Holds such a plan against what it may do: the marks are gone, and nothing else is different.
///
/// # Errors
/// [`FatError::Rejected`], and what opening the result meets.
pub fn judge_marks(volume: &Volume<'_>, set: &WriteSet) -> Result<(), FatError> {
    let known = volume.known_head();
    let overlay = Overlay::new(&known, set);
    let range = volume.start()..volume.start() + volume.window().size();
    let after = Volume::open(&overlay, range, volume.geometry().sector_size())?;
    let marks = after.dirty_marks();
    let cleared = !marks.boot_sector && !marks.fat && !marks.io_error;
    let same = boot_but_for_mark(volume) == boot_but_for_mark(&after)
        && volume.root() == after.root()
        && volume.check()? == after.check()?;
    if cleared && same {
        Ok(())
    } else {
        Err(FatError::Rejected {
            what: "clearing the marks changes something else".to_owned(),
            offset: MARK_AT,
        })
    }
}

/// What was read of the boot sector and the one behind it, as it is without the mark.
pub(super) fn boot_but_for_mark(volume: &Volume<'_>) -> Vec<u8> {
    let mut boot = volume.boot().to_vec();
    // In a boot sector of another form the byte is something else.
    let has_mark = volume.volume_id().is_some();
    if let Some(byte) = boot.get_mut(0x25).filter(|_| has_mark) {
        *byte &= !IN_USE;
    }
    boot
}
