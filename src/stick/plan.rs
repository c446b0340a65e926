//! From edits to a verified plan.
//!
//! A plan is finished only after its result was read back: the write set is laid over the
//! medium in memory, the whole chain is opened again on that, each changed file must read as
//! intended by our reader and by the `fatfs` crate, and the same edits must find nothing left
//! to do.

use super::work::{BankFile, FileWork, Task, file_changes, pack};
use super::{BankChoice, Cause, Error, Outlook, Slot, Stick, Warning, numbers};
use crate::bank::{BOOT_CFG, STATE_FILES};
use crate::commit::{Overlay, Planner, WriteSet};
use crate::edit::{Context, Edit, Harm, SettingChange, TextChange};
use crate::fat::{self, FatError, Method, Reach};
use crate::state::{Effort, Form};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// How to plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Which banks.
    pub banks: BankChoice,
    /// Where new content may go. [`Method::InPlace`] allows it for those banks that have no
    /// room for a second copy, leftovers freed and the content packed as tightly as can be;
    /// the others are still changed the safe way.
    pub method: Method,
    /// What the edits depend on besides the medium.
    pub context: Context,
}

/// What a set of edits comes to on one medium: what is changed, and the sectors for it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Plan {
    /// The steps. Empty where nothing has to change.
    pub set: WriteSet,
    /// The banks looked into, in the order they are changed.
    pub banks: Vec<BankPlan>,
    /// What happens to a state that is a file of its own. Then there are no banks and no steps, and
    /// its content is that of the whole file.
    pub state: Option<FilePlan>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
    /// The next boot once it is carried out.
    pub outlook: Outlook,
    /// What the next boot loses by it; what single changes cost is noted at each.
    pub harm_at_boot: Option<Harm>,
    /// Devices that the next boot passes through and that this one did not, where another bank boots.
    pub harms_of_bank: Vec<SettingChange>,
}

/// What happens to one bank.
#[derive(Debug)]
#[non_exhaustive]
pub struct BankPlan {
    /// Number of its partition.
    pub partition: u32,
    /// Whether it boots next.
    pub boots_next: bool,
    /// The files looked into; empty where it holds no state.
    pub files: Vec<FilePlan>,
    /// Clusters an interrupted run left allocated to nothing, which the plan frees.
    pub leftovers: usize,
    /// How its files are replaced. [`Method::InPlace`]: from the first write to the last the
    /// bank is neither old nor new, and a cut leaves it so until it is undone.
    pub method: Method,
}

/// What happens to one file of a bank.
#[derive(Debug)]
#[non_exhaustive]
pub struct FilePlan {
    /// Its name in the bank.
    pub file: String,
    /// Whether `modules=` of the bank's boot.cfg names it: a file it does not name is not loaded.
    pub listed: bool,
    /// The form in which it holds the configuration.
    pub form: Option<Form>,
    /// What was looked into: `state.tgz:etc/vmware/esx.conf`.
    pub searched: Vec<String>,
    /// Lines and rows that may pass a device through and are left alone, because they are not of
    /// the form that can be changed.
    pub doubtful: usize,
    /// What changes in it.
    pub changes: Vec<SettingChange>,
    /// The same as texts before and after.
    pub texts: Vec<TextChange>,
    /// Its new content; `None` where it stays or goes.
    pub content: Option<Bytes>,
    /// Whether it goes.
    pub removed: bool,
}

impl FilePlan {
    /// Whether the file changes.
    pub fn changes(&self) -> bool {
        self.removed || self.content.is_some()
    }
}

impl Plan {
    /// A plan about which there is nothing more to say.
    pub(crate) fn new(set: WriteSet, banks: Vec<BankPlan>, outlook: Outlook) -> Self {
        Plan {
            set,
            banks,
            state: None,
            warnings: Vec::new(),
            outlook,
            harm_at_boot: None,
            harms_of_bank: Vec::new(),
        }
    }

    /// Whether anything has to be written.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.new_file().is_none()
    }

    /// The new content of a state file as a whole; `None` where it stays, and for a medium.
    pub fn new_file(&self) -> Option<&[u8]> {
        self.state.as_ref()?.content.as_deref()
    }

    /// Bytes that are written to carry it out.
    pub fn bytes_to_write(&self) -> u64 {
        let file = self.new_file().map_or(0, |content| content.len() as u64);
        self.set.bytes_to_write().saturating_add(file)
    }

    /// Everything that was looked into, each once, in order.
    pub fn searched(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for name in self.files().flat_map(|file| &file.searched) {
            if !all.contains(name) {
                all.push(name.clone());
            }
        }
        all
    }

    /// The banks whose files are overwritten where they lie.
    pub fn in_place(&self) -> impl Iterator<Item = &BankPlan> {
        let banks = self.banks.iter();
        banks.filter(|bank| bank.method == Method::InPlace)
    }

    /// Number of settings that change.
    pub fn change_count(&self) -> usize {
        self.files().map(|file| file.changes.len()).sum()
    }

    /// Lines and rows that may pass a device through and are left alone.
    pub fn doubtful(&self) -> usize {
        self.files().map(|file| file.doubtful).sum()
    }

    /// What it costs the host, the gravest first, with the names of the devices that are concerned;
    /// empty where it costs nothing.
    pub fn harms(&self) -> BTreeMap<Harm, BTreeSet<String>> {
        let mut harms: BTreeMap<Harm, BTreeSet<String>> = BTreeMap::new();
        harms.extend(self.harm_at_boot.map(|harm| (harm, BTreeSet::new())));
        for change in self.risks() {
            let Some(harm) = change.harm else { continue };
            let name = change.alias.as_ref().unwrap_or(&change.key);
            harms.entry(harm).or_default().insert(name.clone());
        }
        harms
    }

    /// Everything that can cost the host something: what changes, and what another bank brings.
    pub fn risks(&self) -> impl Iterator<Item = &SettingChange> {
        let changes = self.files().flat_map(|file| &file.changes);
        changes.chain(&self.harms_of_bank)
    }

    /// The same of a medium, to note what it costs.
    pub fn risks_mut(&mut self) -> impl Iterator<Item = &mut SettingChange> {
        let files = self.banks.iter_mut().flat_map(|bank| &mut bank.files);
        let changes = files.flat_map(|file| &mut file.changes);
        changes.chain(&mut self.harms_of_bank)
    }

    /// What happens to each file, bank by bank.
    pub fn files(&self) -> impl Iterator<Item = &FilePlan> {
        let of_banks = self.banks.iter().flat_map(|bank| &bank.files);
        of_banks.chain(&self.state)
    }
}

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
            let banks = numbers(work.iter().map(|(slot, _)| slot.partition));
            return Err(Cause::NoState(banks).into());
        }
        let passed_over = self.check_unmatched(&work)?;
        let (set, banks) = self.lay_out(&mut work, request)?;
        let mut said = BTreeSet::new();
        let files = work.iter().flat_map(|(_, files)| files);
        let of_files = files.flat_map(FileWork::warnings).cloned();
        let of_edits = passed_over.into_iter().chain(of_files);
        let warnings = self.left_alone().into_iter();
        let warnings = warnings.chain(of_edits.map(Warning::from));
        let warnings = warnings.filter(|warning| said.insert(warning.clone()));
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
            if !files.iter().any(FileWork::changes) {
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
            for planned in bank.files.iter().filter(|file| file.changes()) {
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
            if !bank.files.iter().any(FilePlan::changes) {
                continue;
            }
            for again in after.work_on(slot, task, request.context)? {
                again.check_agreement(task, slot)?;
                if again.changes() {
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
        let is_whole = after.boot.boots() && after.loads_state;
        if set.is_empty() || is_whole {
            return None;
        }
        let is_changed = |partition, name: &str| is_changed(banks, partition, name);
        let now = self.next_boot_reading(&is_changed);
        match (now.boots(), after.boot.boots()) {
            (true, false) => Some(Harm::NoLongerStarts),
            (true, true) if self.loads_state(&now) => Some(Harm::DefaultSettings),
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

impl BankPlan {
    fn new(slot: &Slot<'_>, reach: &Reach, files: Vec<FilePlan>, method: Method) -> Self {
        BankPlan {
            partition: slot.partition,
            boots_next: slot.verdict.boots_next,
            files,
            leftovers: reach.leftovers().len(),
            method,
        }
    }

    fn unchanged(slot: &Slot<'_>, files: &[FileWork]) -> Self {
        BankPlan {
            partition: slot.partition,
            boots_next: slot.verdict.boots_next,
            files: files.iter().map(|file| file.plan(None)).collect(),
            leftovers: 0,
            method: Method::SecondCopy,
        }
    }
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
