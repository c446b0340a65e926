//! The FAT volumes of a medium as volumes: those of the banks, and all others.

use super::cause::FindingCause;
use super::finding::{Finding, Severity, from_error};
use crate::error::ErrorKind;
use crate::fat::{FatError, Volume, VolumeUuid};
use crate::stick::{Cure, Error, MissedBank, Stick, WhyMissed};

/// What a volume is checked as.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum As {
    /// A bank: damage keeps it from being changed, and perhaps from booting.
    Bank,
    /// Any other volume, which no plan touches.
    Other,
}

/// Checks what a volume holds against its FATs.
pub(super) fn check_volume(
    volume: &Volume<'_>,
    partition: u32,
    what: As,
    findings: &mut Vec<Finding>,
) {
    check_marks(volume, partition, what, findings);
    check_clusters(volume, partition, what, findings);
}

/// What the volume is marked as.
fn check_marks(volume: &Volume<'_>, partition: u32, what: As, findings: &mut Vec<Finding>) {
    let on = Some(partition);
    let marks = volume.dirty_marks();
    let mark_clean = (what == As::Bank).then_some(Cure::MarkClean(partition));
    let mut add = |severity, cause, cure: Option<Cure>| {
        findings.push(Finding::new(severity, "fat", on, cause).cured_by(cure));
    };
    if marks.boot_sector || marks.fat {
        let cause = FindingCause::NotUnmounted;
        add(Severity::Warning, cause, mark_clean.clone());
    }
    if marks.io_error {
        let in_bank = what == As::Bank;
        let cause = FindingCause::HadIoError { in_bank };
        add(Severity::Warning, cause, mark_clean);
    }
    if !volume.has_usual_media_byte() {
        let cause = FindingCause::MediaByte(volume.media_byte());
        add(Severity::Note, cause, None);
    }
}

/// Which clusters are in use, and which should not be.
fn check_clusters(volume: &Volume<'_>, partition: u32, what: As, findings: &mut Vec<Finding>) {
    let on = Some(partition);
    let mut add = |severity, cause, cure: Option<Cure>| {
        findings.push(Finding::new(severity, "fat", on, cause).cured_by(cure));
    };
    match volume.check() {
        Ok(reach) => {
            let clusters = reach.leftovers().len();
            if clusters > 0 && what == As::Bank {
                let cause = FindingCause::Leftovers { clusters };
                add(Severity::Warning, cause, Some(Cure::Reclaim));
            }
            if !reach.bad().is_empty() {
                let clusters = reach.bad().len();
                let cause = FindingCause::BadClusters { clusters };
                add(Severity::Note, cause, None);
            }
        }
        Err(error) => match what {
            As::Bank => findings.push(from_error(&Error::from(error).on(partition))),
            As::Other => {
                let why = error.to_string();
                add(Severity::Warning, FindingCause::DamagedVolume { why }, None);
            }
        },
    }
}

/// Looks at the volumes that are no banks, and at what a bank of the usual layout should be.
pub(super) fn check_others(stick: &Stick<'_, '_>, findings: &mut Vec<Finding>) {
    let table = stick.table();
    let missed = stick.missed_banks();
    let is_bank = |number: u32| stick.slots().iter().any(|slot| slot.partition == number);
    for partition in table.bank_candidates().filter(|it| !is_bank(it.number)) {
        let Some(range) = partition.byte_range(table.sector_size) else {
            continue;
        };
        match Volume::open(stick.medium(), range, table.sector_size) {
            Ok(volume) => {
                let missed = missed.iter().find(|it| it.partition == partition.number);
                findings.extend(missed.map(|missed| of_missed(stick, missed)));
                // A directory that begins elsewhere says nothing of what is on it.
                if missed.is_some_and(|it| it.why == WhyMissed::OneFat) {
                    continue;
                }
                check_volume(&volume, partition.number, As::Other, findings);
            }
            Err(error @ FatError::Read { .. }) => {
                findings.push(from_error(&Error::from(error).on(partition.number)));
            }
            Err(error)
                if stick.is_marked(partition.number) && error.kind() == ErrorKind::Damaged =>
            {
                let cause = FindingCause::DamagedVolume {
                    why: error.to_string(),
                };
                let on = Some(partition.number);
                findings.push(Finding::new(Severity::Warning, "fat", on, cause));
            }
            // What is no FAT volume is none of ours.
            Err(_) => {}
        }
    }
}

/// A bank that the loader passes over.
fn of_missed(stick: &Stick<'_, '_>, missed: &MissedBank) -> Finding {
    let (layer, to) = match missed.why {
        WhyMissed::OneFat => ("fat", None),
        WhyMissed::NoBootCfg => ("boot.cfg", Some(missed.partition)),
    };
    let on = Some(missed.partition);
    let cause = FindingCause::Missed(missed.why);
    let finding = Finding::new(Severity::Warning, layer, on, cause);
    let copy = |to| {
        let from = stick.whole_banks().next()?;
        Some(Cure::CopyBank { from, to })
    };
    finding.cured_by(to.and_then(copy))
}

/// What there is too much of.
pub(super) fn check_number(stick: &Stick<'_, '_>, findings: &mut Vec<Finding>) {
    let banks: Vec<u32> = stick.slots().iter().map(|slot| slot.partition).collect();
    if banks.len() > 2 {
        let cause = FindingCause::ManyBanks(banks);
        findings.push(Finding::new(Severity::Note, "table", None, cause));
    }
    let mut seen: Vec<(VolumeUuid, u32)> = Vec::new();
    for slot in stick.slots() {
        let Ok(bank) = &slot.bank else { continue };
        let uuid = bank.uuid();
        if let Some((_, first)) = seen.iter().find(|(known, _)| *known == uuid) {
            let (first, second) = (*first, slot.partition);
            let cause = FindingCause::SameUuid {
                first,
                second,
                uuid,
            };
            findings.push(Finding::new(Severity::Note, "fat", None, cause));
        }
        seen.push((uuid, slot.partition));
    }
}
