//! From edits to a verified plan.
//!
//! A plan is finished only after its result was read back: the write set is laid over the
//! medium in memory, the whole chain is opened again on that, each changed file must read as
//! intended by our reader and by the `fatfs` crate, and the same edits must find nothing left
//! to do.

use super::work::{BankFile, FileWork, Task, file_changes, pack};
use super::{BankChoice, BankPlan, Cause, Error, FilePlan, Outlook, Plan, Request, Slot, Stick};
use crate::bank::{BOOT_CFG, STATE_FILES};
use crate::commit::{Overlay, Planner, WriteSet};
use crate::edit::{Edit, Harm};
use crate::fat::{self, FatError, Method, Reach};
use crate::state::Effort;
use bytes::Bytes;
use std::collections::BTreeSet;

impl Stick<'_, '_> {
    /// What `edits` come to in the chosen banks. Reads, computes and verifies; writes nothing.
    ///
    /// # Errors
    /// Any bank that cannot be treated fails the whole: nothing is done by halves.
    pub fn plan(&self, edits: &[Edit], request: Request) -> Result<Plan, Error> {
        self.plan_task(Task::Edits(edits), request)
    }

    /// What putting `state`, a `state.tgz` as a file, into the chosen banks comes to.
    ///
    /// # Errors
    /// As [`Stick::plan`]; a state that is sealed, damaged, or of another form than the one it
    /// takes the place of.
    pub fn plan_import(&self, state: &[u8], request: Request) -> Result<Plan, Error> {
        self.plan_task(Task::Import(state), request)
    }

    /// What giving the banks' own files this content comes to. `boot.cfg` and states have ways of
    /// their own, which look at what is in them.
    ///
    /// # Errors
    /// As [`Stick::plan`]; a file with a way of its own, or one that `boot.cfg` loads and that would
    /// be gone.
    pub fn plan_files(&self, files: &[BankFile], request: Request) -> Result<Plan, Error> {
        self.table().writable()?;
        for slot in self.chosen(request.banks)? {
            for file in files.iter().filter(|file| file.is_of(slot)) {
                check_bank_file(slot, file)?;
            }
        }
        self.plan_task(Task::Files(files), request)
    }

    pub(super) fn plan_task(&self, task: Task<'_>, request: Request) -> Result<Plan, Error> {
        self.table().writable()?;
        let chosen = self.chosen(request.banks)?;
        // All banks means those in use: an empty one, as a fresh install has, gets its boot.cfg
        // from the next upgrade.
        let some_in_use = chosen.iter().any(|slot| !slot.states.is_empty());
        let in_use_only = request.banks == BankChoice::All && some_in_use;
        let mut work = Vec::new();
        // All of them are held at once; each within its limit is not enough.
        let limit = self.settings().limits.max_unpacked;
        let limit = limit.saturating_mul(super::UNPACKED_TOGETHER);
        let mut unpacked = 0u64;
        for slot in &chosen {
            let left_alone = in_use_only
                && slot.states.is_empty()
                && !task.names(slot)
                && matches!(&slot.bank, Ok(bank) if !task.gives_state_to(bank));
            let files = if left_alone {
                Vec::new()
            } else {
                self.work_on(slot, task, request.context)?
            };
            for file in &files {
                unpacked = unpacked.saturating_add(file.unpacked_len());
                if unpacked > limit {
                    return Err(Cause::UnpackedTogether { limit }.into());
                }
            }
            work.push((*slot, files));
        }
        let looked_into = |files: &Vec<FileWork>| !files.iter().all(FileWork::is_left_alone);
        if !work.iter().any(|(_, files)| looked_into(files)) {
            let chosen = work.iter().map(|(slot, _)| slot.partition);
            return Err(self.no_state(chosen));
        }
        let passed_over = self.check_unmatched(&work)?;
        let (set, banks) = self.lay_out(&mut work, request)?;
        let mut said = BTreeSet::new();
        let files = work.iter().flat_map(|(_, files)| files);
        let warnings = self.passed_over().into_iter().chain(passed_over);
        let warnings = warnings.chain(files.flat_map(FileWork::warnings));
        // Both banks mostly have the same to say.
        let warnings = warnings.filter(|warning| said.insert(warning.to_string()));
        let warnings = warnings.collect();
        drop(work);
        let outlook = if set.is_empty() {
            self.outlook()
        } else {
            self.verify(&set, &banks, task, request)?
        };
        Ok(Plan {
            harm_at_boot: self.harm_at_boot(&set, &banks, &outlook),
            warnings,
            ..Plan::new(set, banks, outlook)
        })
    }

    /// The plan that frees what interrupted runs left allocated to nothing, and nothing else.
    ///
    /// # Errors
    /// A volume that is damaged, or cannot be read.
    pub fn plan_reclaim(&self, request: Request) -> Result<Plan, Error> {
        let mut planner = self.planner(self.medium())?;
        let mut banks = Vec::new();
        for slot in self.chosen(request.banks)? {
            let volume = slot.opened()?.volume();
            let on = |error: FatError| Error::from(error).on(slot.partition);
            let reach = volume.check().map_err(on)?;
            fat::reclaim(volume, &reach, &mut planner, slot.partition).map_err(on)?;
            banks.push((slot, reach));
        }
        let set = planner.finish();
        let mut plans = Vec::new();
        for (slot, reach) in &banks {
            let volume = slot.opened()?.volume();
            fat::judge(volume, reach, &set, &[], Method::SecondCopy)
                .map_err(|error| Error::from(error).on(slot.partition))?;
            plans.push(BankPlan::new(slot, reach, Vec::new(), Method::SecondCopy));
        }
        Ok(Plan::new(set, plans, self.outlook()))
    }

    /// Packs the changed states and finds the sectors for them. A state is let go of when it is packed.
    fn lay_out(
        &self,
        work: &mut [(&Slot<'_>, Vec<FileWork>)],
        request: Request,
    ) -> Result<(WriteSet, Vec<BankPlan>), Error> {
        let mut planner = self.planner(self.medium())?;
        let mut banks = Vec::new();
        for (slot, files) in work.iter_mut() {
            let volume = slot.opened()?.volume();
            let on = |error: FatError| Error::from(error).on(slot.partition);
            if !files.iter().any(FileWork::is_changed) {
                banks.push((BankPlan::unchanged(slot, files), None));
                files.iter_mut().for_each(FileWork::let_go);
                continue;
            }
            let reach = volume.check().map_err(on)?;
            let (contents, method) = lay_out_bank(slot, &reach, &mut planner, files, request)?;
            let plans = files
                .iter()
                .zip(contents)
                .map(|(file, content)| file.plan(content));
            let plan = BankPlan::new(slot, &reach, plans.collect(), method);
            files.iter_mut().for_each(FileWork::let_go);
            banks.push((plan, Some(reach)));
        }
        let set = planner.finish();
        for ((slot, files), (plan, reach)) in work.iter().zip(&banks) {
            let Some(reach) = reach else { continue };
            let contents: Contents = plan.files.iter().map(|f| f.content.clone()).collect();
            let volume = slot.opened()?.volume();
            let changes = file_changes(slot, files, &contents)?;
            fat::judge(volume, reach, &set, &changes, plan.method)
                .map_err(|error| Error::from(error).on(slot.partition))?;
        }
        Ok((set, banks.into_iter().map(|(plan, _)| plan).collect()))
    }

    /// Opens the result of a plan and holds it against what was intended. Yields the next boot then.
    fn verify(
        &self,
        set: &WriteSet,
        banks: &[BankPlan],
        task: Task<'_>,
        request: Request,
    ) -> Result<Outlook, Error> {
        let overlay = Overlay::new(self.medium(), set);
        let after = self.open_beside(&overlay)?;
        let fails = |what: String| Error::from(Cause::Verification(what));
        if after.choice() != self.choice() && !task.decides_the_bank() {
            return Err(if task.puts_boot_cfg_back() {
                Cause::OtherBankThen.into()
            } else {
                fails("another bank would boot".to_owned())
            });
        }
        for bank in banks {
            let slot = after.bank_on(bank.partition);
            let slot = slot.ok_or_else(|| fails("a bank is gone".to_owned()))?;
            for planned in bank.files.iter().filter(|file| file.is_changed()) {
                let found = slot.opened()?.find(&planned.file)?;
                if planned.removed {
                    match found {
                        None => continue,
                        Some(_) => return Err(fails(format!("{} is still there", planned.file))),
                    }
                }
                let entry = found.ok_or_else(|| fails(format!("{} is gone", planned.file)))?;
                if Some(after.read(slot, &entry)?.as_slice()) != planned.content.as_deref() {
                    return Err(fails(format!("{} would not read as planned", planned.file)));
                }
            }
            if !bank.files.iter().any(FilePlan::is_changed) {
                continue;
            }
            for again in after.work_on(slot, task, request.context)? {
                again.check_agreement(task, slot)?;
                if again.is_changed() {
                    return Err(fails(format!("{} would still need the change", again.name)));
                }
            }
        }
        let boot = after.next_boot_reading(&|partition, name| is_changed(banks, partition, name));
        Ok(after.outlook_of(boot))
    }

    /// What the next boot loses where it would be `after`: the host starts from the medium as it is, and is
    /// not certain to, or starts with its settings, and would not. What is in the files that change counts on
    /// both sides.
    pub(super) fn harm_at_boot(
        &self,
        set: &WriteSet,
        banks: &[BankPlan],
        after: &Outlook,
    ) -> Option<Harm> {
        let is_whole = after.boot.boots() && after.has_settings != Some(false);
        if set.is_empty() || is_whole {
            return None;
        }
        let is_changed = |partition, name: &str| is_changed(banks, partition, name);
        let now = self.next_boot_reading(&is_changed);
        match (now.boots(), after.boot.boots()) {
            (true, false) => Some(Harm::NoLongerStarts),
            (true, true) if self.has_settings(&now) == Some(true) => Some(Harm::DefaultSettings),
            _ => None,
        }
    }
}

/// Whether a file of the bank on `partition` gets new content.
fn is_changed(banks: &[BankPlan], partition: u32, name: &str) -> bool {
    let mut banks = banks.iter().filter(|bank| bank.partition == partition);
    banks.any(|bank| {
        let mut files = bank.files.iter();
        // A new state was opened again already.
        let is_new = |file: &FilePlan| file.content.is_some() && file.form.is_none();
        files.any(|file| is_new(file) && file.file.eq_ignore_ascii_case(name))
    })
}

/// Refuses a file that has a way of its own, and the removal of one that the bank loads. One that is not there
/// is removed already: after a cut the same command goes on from where it was.
fn check_bank_file(slot: &Slot<'_>, file: &BankFile) -> Result<(), Error> {
    let on = |cause: Cause| {
        Error::from(cause)
            .on(slot.partition)
            .in_file(file.name.as_str())
    };
    let is_it = |name: &str| name.eq_ignore_ascii_case(&file.name);
    if is_it(BOOT_CFG) || STATE_FILES.into_iter().any(is_it) {
        return Err(on(Cause::OwnWay));
    }
    let boot_cfg = slot.opened()?.boot_cfg();
    if file.content.is_none() && boot_cfg.loads(&file.name) {
        return Err(on(Cause::Loaded));
    }
    Ok(())
}

/// The new content of each file; `None` for those that stay.
type Contents = Vec<Option<Bytes>>;

/// Finds sectors for the new content of one bank's files: beside the old content packed as
/// usual, beside it packed as tightly as can be, and, where that is allowed, over it. Returns
/// the content that fits and how it is put there.
fn lay_out_bank(
    slot: &Slot<'_>,
    reach: &Reach,
    planner: &mut Planner<'_>,
    files: &[FileWork],
    request: Request,
) -> Result<(Contents, Method), Error> {
    let volume = slot.opened()?.volume();
    let partition = slot.partition;
    let on = |error: FatError| Error::from(error).on(partition);
    let usual = pack(slot, files, Effort::Usual)?;
    let changes = file_changes(slot, files, &usual)?;
    let first = match fat::replace(volume, reach, planner, partition, &changes) {
        Ok(()) => return Ok((usual, Method::SecondCopy)),
        Err(error @ FatError::NoRoom { .. }) => error,
        Err(error) => return Err(on(error)),
    };
    let tightest = pack(slot, files, Effort::Tightest)?;
    let changes = file_changes(slot, files, &tightest)?;
    match fat::replace(volume, reach, planner, partition, &changes) {
        Ok(()) => return Ok((tightest, Method::SecondCopy)),
        Err(FatError::NoRoom { .. }) => {}
        Err(error) => return Err(on(error)),
    }
    let over = fat::replace_in_place(volume, reach, planner, partition, &changes);
    match (request.method, first) {
        (Method::SecondCopy, mut first) => {
            if let FatError::NoRoom { fits_in_place, .. } = &mut first {
                *fits_in_place = over.is_ok();
            }
            Err(on(first))
        }
        (Method::InPlace, _) => over.map(|()| (tightest, Method::InPlace)).map_err(on),
    }
}
