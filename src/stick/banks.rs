//! Banks as wholes: which one boots, one made a copy of the other, marks cleared. Each is a plan
//! like any other, and at every cut of it a bank boots that was whole before.

use super::stages::{Differences, Files, Stages, change_of, read_files};
use super::work::Task;
use super::{
    BankChoice, BankPlan, Cause, Error, FilePlan, NextBoot, Plan, Request, Slot, Stick,
    WarningCause,
};
use crate::bank::{BootCfg, BootCfgEdit, ChoiceWarning, KERNELOPT};
use crate::bytes::hex;
use crate::commit::{Overlay, WriteSet};
use crate::edit::{Edit, EditError, Edited, SettingChange};
use crate::error::ErrorKind;
use crate::fat::{self, FatError, Method, Volume, VolumeUuid};
use crate::loader::{Depth, ModuleVerdict};

/// `bootstate` of a bank that may boot.
const VALID: &str = "0";
/// What is done where the loader would not get through the bank that is to boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfBroken {
    /// It is refused.
    Refuse,
    /// The bank boots next all the same.
    Use,
}

/// The kernel option that names the bank's own volume.
const BOOT_UUID: &str = "bootUUID";

impl<'m> Stick<'m, '_> {
    /// What letting the bank on `partition` boot next comes to: its `updated` above that of every
    /// other bank that could boot, and its `bootstate` valid, as VMware KB 84249 sets them. Nothing
    /// but that bank's boot.cfg changes.
    ///
    /// # Errors
    /// [`Cause::NotLookedAt`]; [`Cause::WouldStop`] where the loader would not get through the bank, unless
    /// [`IfBroken::Use`]; [`Cause::NotTaken`] where it would take another one all the same.
    pub fn plan_use(
        &self,
        partition: u32,
        request: Request,
        broken: IfBroken,
    ) -> Result<Plan, Error> {
        let banks = BankChoice::Partition(partition);
        let request = Request { banks, ..request };
        if let Some(limit) = self.slot(partition)?.not_looked_at() {
            return Err(Error::from(Cause::NotLookedAt(limit)).on(partition));
        }
        if broken == IfBroken::Refuse {
            self.check_content(partition)?;
        }
        let edits = if self.boots_next().map(|slot| slot.partition) == Some(partition) {
            Vec::new()
        } else {
            self.edits_to_use(partition)?
        };
        let edits: Vec<Edit> = edits.into_iter().map(Edit::BootCfg).collect();
        let mut plan = if edits.is_empty() {
            self.nothing_to_do(partition)?
        } else {
            self.plan_task(Task::Edits(&edits), request)?
        };
        self.note_harm_of_use(partition, &mut plan);
        match &plan.outlook.boot {
            NextBoot::Boots { partition: taken } if *taken == partition => Ok(plan),
            // Whether the loader passes over the bank in doubt is not for this one to say.
            NextBoot::Undecided { otherwise, .. } if *otherwise == Some(partition) => {
                let in_doubt = self.warnings().into_iter().filter(|warning| {
                    matches!(
                        warning.cause,
                        WarningCause::Choice(ChoiceWarning::Undecided { .. })
                    )
                });
                plan.warnings.extend(in_doubt);
                Ok(plan)
            }
            boot if boot.partition() != Some(partition) => {
                if broken == IfBroken::Refuse {
                    self.check_would_boot(partition)?;
                }
                let taken = boot.partition();
                Err(Error::from(Cause::NotTaken { taken }).on(partition))
            }
            // What the edits cure does not count.
            boot if broken == IfBroken::Refuse => Err(would_stop(boot.why_not()).on(partition)),
            _ => Ok(plan),
        }
    }

    fn edits_to_use(&self, partition: u32) -> Result<Vec<BootCfgEdit>, Error> {
        let boot_cfg = |number: u32| self.loader().boot_cfg(number);
        let others = self
            .slots()
            .iter()
            .filter(|slot| slot.partition != partition && slot.verdict.bootable);
        let highest = others.filter_map(|slot| boot_cfg(slot.partition));
        let highest = highest.map(|cfg| cfg.updated).max().unwrap_or(0);
        let own = boot_cfg(partition).map_or(0, |cfg| cfg.updated);
        let mut edits = Vec::new();
        // A loader before 8.0 U1 rejects a number with a minus, which is a large one for others.
        if own <= highest || i32::try_from(own).is_err() {
            let next = highest
                .checked_add(1)
                .filter(|next| i32::try_from(*next).is_ok());
            let next = next.ok_or_else(|| Error::from(Cause::NoHigherUpdated { highest }))?;
            edits.push(BootCfgEdit::set("updated", next.to_string()));
        }
        edits.push(BootCfgEdit::set("bootstate", VALID));
        if boot_cfg(partition).is_some_and(|cfg| cfg.quickboot) {
            edits.push(BootCfgEdit::remove("quickboot"));
        }
        Ok(edits)
    }

    /// What making the bank on `to` a copy of the one on `from` comes to. The volume keeps its
    /// identity and label, and boot.cfg the role of the bank: one that booted next boots next, any
    /// other ranks below the original, or is alike where no lower rank is left. Before anything else
    /// the target is told not to boot, so that at every cut the original does.
    ///
    /// # Errors
    /// [`Cause::WouldStop`] where the original does not boot; [`Cause::NotLookedAt`] where no bank boots
    /// and the copy would not either; [`Cause::NoneMeanwhile`] where the
    /// loader would not take it while the target is in pieces; volumes that are damaged; no room.
    pub fn plan_copy_bank(&self, from: u32, to: u32) -> Result<Plan, Error> {
        if from == to {
            return Err(Cause::SameBank(from).into());
        }
        let mut stages = Stages::new(self, to)?;
        let original = self.slot(from)?;
        self.check_whole(from)?;
        let files = read_files(original.opened()?.volume(), self.settings())
            .map_err(|error| error.on(from))?;
        let boot_cfg = self.boot_cfg_of_copy(original, to)?;
        let differences = stages.differences(&files)?;
        if !differences.is_empty() {
            stages.disable()?;
            self.check_meanwhile(&stages.set, from, to)?;
            stages.replace_all(&files, differences)?;
        }
        stages.put_boot_cfg(&files, &boot_cfg.into())?;
        let (set, changes) = stages.finish();
        let mut plan = self.judge_copy(set, changes, &files, to)?;
        let left = directories(original.opened()?.volume());
        let stay = directories(&self.target_volume(self.medium(), to)?);
        if !(left.is_empty() && stay.is_empty()) {
            let cause = WarningCause::FilesAloneCopied {
                from,
                to,
                left,
                stay,
            };
            plan.warnings.push(cause.into());
        }
        Ok(plan)
    }

    /// What clearing the marks of an unclean unmount in the chosen banks comes to.
    ///
    /// # Errors
    /// A volume that is damaged, or cannot be read.
    pub fn plan_mark_clean(&self, request: Request) -> Result<Plan, Error> {
        let mut planner = self.planner(self.medium())?;
        let chosen = self.chosen(request.banks)?;
        for slot in &chosen {
            let on = |error: FatError| Error::from(error).on(slot.partition);
            let volume = slot.opened()?.volume();
            volume.check().map_err(on)?;
            fat::mark_clean(volume, &mut planner, slot.partition).map_err(on)?;
        }
        let set = planner.finish();
        let mut banks = Vec::new();
        for slot in &chosen {
            let volume = slot.opened()?.volume();
            fat::judge_marks(volume, &set)
                .map_err(|error| Error::from(error).on(slot.partition))?;
            let marks = volume.dirty_marks();
            let marked = marks.boot_sector || marks.fat || marks.io_error;
            let change = change_of(
                "marks of the volume",
                Some("not clean".to_owned()),
                Some("clean".to_owned()),
            );
            let changes = if marked { vec![change] } else { Vec::new() };
            banks.push(bank_plan(slot.partition, slot.verdict.boots_next, changes));
        }
        Ok(Plan::new(set, banks, self.outlook()))
    }

    /// The volume a copy goes to: a bank, or one where a bank belongs that the loader passes over. Other
    /// volumes carry VMware's mark as well, that of the VMware Tools images for one.
    pub(super) fn target_volume<'o>(
        &self,
        medium: &'o dyn crate::medium::ReadAt,
        to: u32,
    ) -> Result<Volume<'o>, Error> {
        let is_missed = || self.missed_banks().iter().any(|it| it.partition == to);
        let is_one = self.bank_on(to).is_some() || is_missed();
        let range = self.table().partition(to).filter(|_| is_one);
        let range = range.and_then(|it| it.byte_range(self.table().sector_size));
        let Some(range) = range else {
            return Err(self.no_such_bank(to));
        };
        let volume = Volume::open(medium, range, self.table().sector_size);
        let volume = volume.map_err(|error| Error::from(error).on(to))?;
        match volume.vmware_uuid() {
            Some(_) => Ok(volume),
            None => Err(Error::from(Cause::OnlyLoader).on(to)),
        }
    }

    /// Refuses a bank that the loader would not get through by what is there of it.
    fn check_would_boot(&self, partition: u32) -> Result<(), Error> {
        let boot = self.loader().boot(partition, Depth::Presence);
        match boot.boots() {
            Some(true) => Ok(()),
            _ => Err(would_stop(boot.why_not()).on(partition)),
        }
    }

    /// Refuses a bank that is not worth booting or copying.
    pub(super) fn check_whole(&self, partition: u32) -> Result<(), Error> {
        self.check_would_boot(partition)?;
        self.check_content(partition)
    }

    /// Refuses a bank with a file that the loader would not get through, what is in it included, or a state that
    /// the host could not read.
    fn check_content(&self, partition: u32) -> Result<(), Error> {
        let slot = self.slot(partition)?;
        for file in slot.states.iter().filter(|file| file.listed) {
            match self.open_state(slot, file) {
                Err(mut error) if error.kind() == ErrorKind::Damaged => {
                    error.partition = None;
                    let unread = Error::from(Cause::SettingsUnread(Box::new(error)));
                    return Err(unread.on(partition));
                }
                _ => {}
            }
        }
        let boot = self.loader().boot(partition, Depth::Content);
        let why = boot.files.iter().filter_map(ModuleVerdict::why_not);
        match why.collect::<Vec<_>>() {
            why if why.is_empty() => Ok(()),
            why => Err(would_stop(why).on(partition)),
        }
    }

    /// While the target is in pieces the original has to boot, where a bank booted before.
    fn check_meanwhile(&self, set: &WriteSet, from: u32, to: u32) -> Result<(), Error> {
        if set.is_empty() || !self.next_boot().boots() {
            return Ok(());
        }
        let overlay = Overlay::new(self.medium(), set);
        let meanwhile = self.open_beside(&overlay)?;
        if meanwhile.next_boot().boots() {
            Ok(())
        } else {
            Err(Error::from(Cause::NoneMeanwhile { from, to }).on(from))
        }
    }

    fn nothing_to_do(&self, partition: u32) -> Result<Plan, Error> {
        let set = self.planner(self.medium())?.finish();
        let banks = vec![bank_plan(partition, true, Vec::new())];
        Ok(Plan::new(set, banks, self.outlook()))
    }

    /// The boot.cfg of `original` for the bank on `to`.
    fn boot_cfg_of_copy(&self, original: &Slot<'_>, to: u32) -> Result<Vec<u8>, Error> {
        let bank = original.opened()?;
        let own_uuid = self.target_volume(self.medium(), to)?.vmware_uuid();
        let boots_next = self.boots_next().map(|slot| slot.partition) == Some(to);
        let kept = self.loader().boot_cfg(to).map_or(0, |cfg| cfg.updated);
        let updated = if boots_next {
            kept
        } else {
            bank.boot_cfg().updated.saturating_sub(1).max(1)
        };
        let mut edits = vec![
            BootCfgEdit::set("updated", updated.to_string()),
            BootCfgEdit::set("bootstate", VALID),
        ];
        if bank.boot_cfg().quickboot {
            edits.push(BootCfgEdit::remove("quickboot"));
        }
        if let (Some(options), Some(own)) = (&bank.boot_cfg().kernelopt, own_uuid) {
            edits.push(BootCfgEdit::set(
                KERNELOPT,
                with_uuid(options, bank.uuid(), own),
            ));
        }
        let mut cfg = bank.boot_cfg().clone();
        for edit in &edits {
            let bytes = cfg.with_setting(edit);
            let bytes = bytes.map_err(|error| Error::from(EditError::from(error)).on(to))?;
            cfg = BootCfg::parse(&bytes);
        }
        Ok(cfg.raw().to_vec())
    }

    /// Opens the result and holds it against the original.
    fn judge_copy(
        &self,
        set: WriteSet,
        changes: Vec<SettingChange>,
        files: &Files,
        to: u32,
    ) -> Result<Plan, Error> {
        let fails = |what: &str| Error::from(Cause::Verification(what.to_owned())).on(to);
        let overlay = Overlay::new(self.medium(), &set);
        let after = self.open_beside(&overlay)?;
        let volume = self.target_volume(&overlay, to)?;
        if !Differences::between(&volume, files, self.settings())?.is_empty() {
            return Err(fails("the copy differs from the original"));
        }
        after.check_would_boot(to)?;
        let outlook = after.outlook();
        let before = self.boots_next().map(|slot| slot.partition);
        // No loader knows a rank below 1, and of two that are alike it takes the first.
        let rank = |number| after.loader().boot_cfg(number).map(|cfg| cfg.updated);
        let is_tie = |other: u32| to < other && rank(to) == Some(1) && rank(other) == Some(1);
        match &outlook.boot {
            NextBoot::Boots { partition } if before.is_none_or(|it| it == *partition) => {}
            NextBoot::Boots { .. } if before == Some(to) => {}
            NextBoot::Boots { partition } if *partition == to && before.is_some_and(is_tie) => {}
            NextBoot::Nothing { .. } => {
                let limit = after.slot(to)?.not_looked_at();
                let never = |limit| Error::from(Cause::NotLookedAt(limit)).on(to);
                return Err(limit.map_or_else(|| fails("no bank would boot"), never));
            }
            _ => return Err(fails("another bank would boot")),
        }
        let boots_next = outlook.boot.partition() == Some(to);
        let mut edited = Edited {
            changes,
            ..Edited::default()
        };
        let unknown = self.note_harm_of_copy(&after, to, &mut edited);
        let banks = vec![bank_plan(to, boots_next, edited.changes)];
        Ok(Plan {
            harm_at_boot: self.harm_at_boot(&set, &banks, &outlook),
            warnings: unknown.into_iter().collect(),
            ..Plan::new(set, banks, outlook)
        })
    }
}

fn would_stop(why: Vec<String>) -> Error {
    Cause::WouldStop(why.join("; ")).into()
}

/// Kernel options with the identity of one bank's volume in place of the other's: the raw sixteen
/// bytes in hexadecimal.
fn with_uuid(options: &str, original: VolumeUuid, own: VolumeUuid) -> String {
    let changed = options
        .split(' ')
        .map(|option| match option.split_once('=') {
            Some((BOOT_UUID, value)) if value.eq_ignore_ascii_case(&hex(&original.0)) => {
                format!("{BOOT_UUID}={}", hex(&own.0))
            }
            _ => option.to_owned(),
        });
    changed.collect::<Vec<_>>().join(" ")
}

/// A bank of a plan whose changes are not those of a state.
fn bank_plan(partition: u32, boots_next: bool, changes: Vec<SettingChange>) -> BankPlan {
    let file = FilePlan {
        file: "bank".to_owned(),
        listed: false,
        form: None,
        searched: vec![format!("bank{partition}:")],
        doubtful: 0,
        changes,
        texts: Vec::new(),
        content: None,
        removed: false,
    };
    BankPlan {
        partition,
        boots_next,
        files: vec![file],
        leftovers: 0,
        method: Method::SecondCopy,
    }
}

/// The names of the directories in the root of a volume.
fn directories(volume: &Volume<'_>) -> Vec<String> {
    let entries = volume.files().filter(|entry| entry.is_directory());
    entries.map(|entry| entry.name()).collect()
}
