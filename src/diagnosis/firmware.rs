//! Does the machine's firmware find anything to start from? What comes before the loader.

use super::finding::{Finding, Severity};
use crate::stick::{Firmware, Uefi};

/// Finds what kinds of firmware find nothing on the medium. A machine can start from it all the same, where ESXi's
/// loader comes from elsewhere, so that none of this is an error.
pub(super) fn check_firmware(firmware: &Firmware, findings: &mut Vec<Finding>) {
    let uefi = &firmware.uefi;
    let mut add = |severity, text: String| {
        let finding = Finding::new(severity, "table", uefi.partition(), text);
        findings.push(finding);
    };
    if let Some(warning) = firmware.warning() {
        let on = uefi.partition();
        let finding = Finding::new(Severity::Warning, "table", on, warning.message);
        return findings.push(finding.cured_by(warning.cure));
    }
    match uefi {
        Uefi::Program { .. } | Uefi::NoPartition => {}
        Uefi::ByEntry { .. } => add(
            Severity::Note,
            format!(
                "{uefi}: UEFI firmware starts that only on a machine that has a boot entry for it"
            ),
        ),
        Uefi::NoProgram { .. } | Uefi::Blank { .. } => add(
            Severity::Note,
            format!("{uefi}: a BIOS finds code to start from, UEFI firmware nothing"),
        ),
        Uefi::Unknown { .. } => add(
            Severity::Note,
            format!("{uefi}, so it is not known whether UEFI firmware finds ESXi's loader"),
        ),
    }
    let by_uefi = matches!(uefi, Uefi::Program { .. } | Uefi::ByEntry { .. });
    if by_uefi && firmware.boot_code == Some(false) {
        findings.push(Finding::new(
            Severity::Note,
            "table",
            None,
            "the first sector has no code for a BIOS: only UEFI firmware starts from the medium",
        ));
    }
}
