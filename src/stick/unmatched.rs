//! What edits name and banks do not hold: an error where it is to be set.

use super::work::FileWork;
use super::{Error, Slot, Stick, Warning, WarningCause};
use crate::bank::BOOT_CFG;
use crate::edit::{self, EditError, Unmatched};

impl Stick<'_, '_> {
    /// Looks at what the edits name and the files of the chosen banks do not hold. What is to be gone may be
    /// gone already; where it is gone from all, the warnings say so. What is to be set is set in each bank,
    /// in the file that its host goes by. A bank whose states are empty holds no setting at all: where it
    /// does not boot next it is passed over, and the warnings say that too.
    ///
    /// # Errors
    /// The first that is missing.
    pub(super) fn check_unmatched(
        &self,
        work: &[(&Slot<'_>, Vec<FileWork>)],
    ) -> Result<Vec<Warning>, Error> {
        let files = work.iter().flat_map(|(_, files)| files);
        let (boot_cfgs, states): (Vec<&FileWork>, Vec<&FileWork>) =
            files.partition(|file| file.name == BOOT_CFG);
        let mut warnings = Vec::new();
        for files in [boot_cfgs, states] {
            let unmatched: Vec<_> = files.iter().map(|file| file.unmatched()).collect();
            let gone = edit::check_unmatched(&unmatched)?;
            warnings.extend(gone.into_iter().map(Warning::from));
        }
        for (slot, files) in work {
            for file in files {
                let mut missing = file.unmatched().iter();
                if let Some(missing) = missing.find(|missing| missing.is_to_be_set()) {
                    warnings.extend(self.not_set(slot, file, missing)?);
                }
            }
        }
        Ok(warnings)
    }

    /// What it means that a file of a bank does not hold what is to be set: a warning, nothing, or an
    /// error.
    fn not_set(
        &self,
        slot: &Slot<'_>,
        file: &FileWork,
        missing: &Unmatched,
    ) -> Result<Option<Warning>, Error> {
        let fails = |error: EditError| {
            let error = Error::from(error).on(slot.partition);
            Err(error.in_file(file.name.as_str()))
        };
        if file.name == BOOT_CFG {
            return fails(missing.clone().into());
        }
        match self.filled_state(slot) {
            Some(filled) if filled.name == file.name => fails(missing.clone().into()),
            Some(_) => Ok(None),
            None if self.choice().bank() == Some(slot.partition) => fails(EditError::Empty),
            None => Ok(Some(Warning::from(WarningCause::StaysDefault {
                partition: slot.partition,
                missing: missing.clone(),
            }))),
        }
    }
}
