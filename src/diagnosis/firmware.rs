//! Does the machine's firmware find anything to start from? What comes before the loader.

use super::cause::FindingCause;
use super::finding::{Finding, Severity};
use crate::stick::{Firmware, Uefi};

/// Finds what kinds of firmware find nothing on the medium. A machine can start ESXi from elsewhere, so that none
/// of this is an error.
pub(super) fn check_firmware(firmware: &Firmware, findings: &mut Vec<Finding>) {
    let mut add = |severity, on, cause| {
        findings.push(Finding::new(severity, "table", on, cause));
    };
    if let Some(warning) = firmware.warning() {
        return add(
            Severity::Warning,
            None,
            FindingCause::Warning(warning.cause),
        );
    }
    let uefi = &firmware.uefi;
    // An MBR is what a BIOS starts from.
    if !matches!(uefi, Uefi::Program { .. } | Uefi::Mbr) {
        let cause = FindingCause::Firmware { uefi: uefi.clone() };
        add(Severity::Note, uefi.partition(), cause);
    }
    if !uefi.is_nothing() && firmware.boot_code == Some(false) {
        add(Severity::Note, None, FindingCause::NoBootCode);
    }
}
