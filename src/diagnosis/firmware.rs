//! Does the machine's firmware find anything to start from? What comes before the loader.

use super::finding::{Finding, Severity};
use crate::stick::{Firmware, Uefi};

/// Finds what kinds of firmware find nothing on the medium. A machine can start ESXi from elsewhere, so that none
/// of this is an error.
pub(super) fn check_firmware(firmware: &Firmware, findings: &mut Vec<Finding>) {
    if let Some(warning) = firmware.warning() {
        let text = warning.to_string();
        findings.push(Finding::new(Severity::Warning, "table", None, text));
        return;
    }
    let uefi = &firmware.uefi;
    let then = match uefi {
        // An MBR is what a BIOS starts from.
        Uefi::Program { .. } | Uefi::Mbr => None,
        Uefi::OtherType { .. } => Some(": not all firmware starts it"),
        Uefi::Unknown { .. } => {
            Some(", so it is not known whether UEFI firmware finds ESXi's loader")
        }
        Uefi::ByEntry { .. } => {
            Some(": UEFI firmware starts those only on a machine that has a boot entry for them")
        }
        _ => Some(": a BIOS finds code to start from, UEFI firmware does not"),
    };
    let mut note = |on, text: String| {
        findings.push(Finding::new(Severity::Note, "table", on, text));
    };
    if let Some(then) = then {
        note(uefi.partition(), format!("{uefi}{then}"));
    }
    if !uefi.is_nothing() && firmware.boot_code == Some(false) {
        let text =
            "the first sector has no code for a BIOS: only UEFI firmware starts from the medium";
        note(None, text.to_owned());
    }
}
