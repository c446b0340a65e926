//! Kernel options: what edits make of the `boot.cfg` of a bank.

use super::{Change, ChangeSource, Edit, EditError, Edited, TextChange, Unmatched};
use crate::bank::{BOOT_CFG, BootCfg, KerneloptError};

/// What the kernel options among `edits` make of a `boot.cfg`. `Edited::members` stays empty; the
/// new file is the second value, `None` where nothing changes.
///
/// # Errors
/// [`EditError::Kernelopt`]: a word that is no single option, a bootstate digit that would move
/// out of the loader's reach, or options the loader would not read as meant.
pub fn apply_to_boot_cfg(
    before: &BootCfg,
    edits: &[Edit],
) -> Result<(Edited, Option<Vec<u8>>), EditError> {
    let mut edited = Edited {
        searched: vec![BOOT_CFG.to_owned()],
        ..Edited::default()
    };
    let mut after = before.clone();
    for edit in edits {
        let Edit::Kernelopt(edit) = edit else {
            continue;
        };
        match after.with_kernelopt(std::slice::from_ref(edit)) {
            Ok(bytes) => after = BootCfg::parse(&bytes),
            // Another bank may have it.
            Err(KerneloptError::NotThere { word }) => {
                edited.unmatched.push(Unmatched::Option(word));
            }
            Err(error) => return Err(error.into()),
        }
    }
    if after.raw() == before.raw() {
        return Ok((edited, None));
    }
    check_only_options_changed(before, &after)?;
    edited.changes.push(Change {
        source: ChangeSource::BootCfg,
        key: "kernelopt".to_owned(),
        address: None,
        alias: None,
        harm: None,
        from: before.kernelopt.clone(),
        to: after.kernelopt.clone(),
    });
    let text = |cfg: &BootCfg| String::from_utf8_lossy(cfg.raw()).into_owned();
    edited.texts.push(TextChange {
        path: String::new(),
        before: text(before),
        after: text(&after),
    });
    let content = after.raw().to_vec();
    Ok((edited, Some(content)))
}

/// What the loader makes of the file must be the same but for the options.
fn check_only_options_changed(before: &BootCfg, after: &BootCfg) -> Result<(), EditError> {
    let rest = |cfg: &BootCfg| {
        (
            cfg.build.clone(),
            (cfg.updated, cfg.bootstate, cfg.quickboot),
            (cfg.title.clone(), cfg.prefix.clone(), cfg.kernel.clone()),
            cfg.modules.clone(),
        )
    };
    let digit = |cfg: &BootCfg| cfg.bootstate_digit_at().is_some();
    if rest(before) == rest(after) && digit(before) == digit(after) {
        Ok(())
    } else {
        Err(EditError::BootCfg)
    }
}
