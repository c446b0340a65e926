//! The FAT volumes of a medium as volumes: those of the banks, and all others.

use super::finding::{Finding, Severity, from_error};
use crate::error::counted;
use crate::fat::{FatError, Volume};
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
    let mut add = |severity, text: String, cure: Option<Cure>| {
        findings.push(Finding::new(severity, "fat", on, text).cured_by(cure));
    };
    if marks.boot_sector || marks.fat {
        add(
            Severity::Warning,
            "the volume is marked as not cleanly unmounted. ESXi's loader ignores the mark, but the check before an upgrade \
             refuses such a host (VMware KB 345227)"
                .to_owned(),
            mark_clean.clone(),
        );
    }
    if marks.io_error {
        let then = match what {
            As::Bank => "; if that succeeds, clear the mark",
            As::Other => "",
        };
        add(
            Severity::Warning,
            format!(
                "the volume is marked as having had an I/O error. ESXi's loader ignores the mark. Read the whole medium once, \
                 for example with dd{then}"
            ),
            mark_clean,
        );
    }
    if !volume.has_usual_media_byte() {
        add(
            Severity::Note,
            format!(
                "the media byte of the boot sector is {:02X}: the host boots from it, but Linux and mtools refuse the volume",
                volume.media_byte()
            ),
            None,
        );
    }
}

/// Which clusters are in use, and which should not be.
fn check_clusters(volume: &Volume<'_>, partition: u32, what: As, findings: &mut Vec<Finding>) {
    let on = Some(partition);
    let mut add = |severity, text: String, cure: Option<Cure>| {
        findings.push(Finding::new(severity, "fat", on, text).cured_by(cure));
    };
    match volume.check() {
        Ok(reach) => {
            let leftovers = reach.leftovers().len();
            if leftovers > 0 && what == As::Bank {
                add(
                    Severity::Warning,
                    format!(
                        "{} from an interrupted run: harmless, because no file uses them",
                        counted(&leftovers, "leftover cluster")
                    ),
                    Some(Cure::Reclaim),
                );
            }
            if !reach.bad().is_empty() {
                let text = format!("{} marked as bad", counted(&reach.bad().len(), "cluster"));
                add(Severity::Note, text, None);
            }
        }
        Err(error) => match what {
            As::Bank => findings.push(from_error(&Error::from(error).on(partition))),
            As::Other => add(
                Severity::Warning,
                format!("the volume is damaged: {error}"),
                None,
            ),
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
    let finding = Finding::new(Severity::Warning, layer, on, missed.why.to_string());
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
        let text = format!(
            "there are {} banks (partitions {}); installations of ESXi have two",
            banks.len(),
            crate::stick::numbers(banks.iter().copied())
        );
        findings.push(Finding::new(Severity::Note, "table", None, text));
    }
    let mut seen: Vec<(String, u32)> = Vec::new();
    for slot in stick.slots() {
        let Ok(bank) = &slot.bank else { continue };
        let uuid = bank.uuid().to_string();
        if let Some((_, other)) = seen.iter().find(|(known, _)| *known == uuid) {
            let text = format!(
                "the banks on partitions {other} and {} have the same UUID {uuid}: one is a copy of the other, and the host can take the wrong one",
                slot.partition
            );
            findings.push(Finding::new(Severity::Note, "fat", None, text));
        }
        seen.push((uuid, slot.partition));
    }
}
