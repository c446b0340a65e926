//! What a change comes to on a medium or in a state file, as a value: what is written, and what it means.

use super::work::FileWork;
use super::{BankChoice, Outlook, Slot, Warning};
use crate::commit::WriteSet;
use crate::edit::{Context, Harm, SettingChange, TextChange};
use crate::fat::{Method, Reach};
use crate::state::Form;
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
    /// The files looked into; empty where it holds no state, or none that can be opened and that the host loads.
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
    pub fn is_changed(&self) -> bool {
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

    /// Whether nothing has to be written.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.new_file().is_none()
    }

    /// The new content of a state file as a whole; `None` where it stays, and for a medium.
    pub fn new_file(&self) -> Option<&[u8]> {
        self.state.as_ref()?.content.as_deref()
    }

    /// Whether what changes does not reach the host: the bank that boots next holds nothing that was looked into, and
    /// the host starts with default settings.
    pub fn misses_the_host(&self) -> bool {
        let passed_by = |bank: &BankPlan| bank.boots_next && bank.files.is_empty();
        self.outlook.has_settings == Some(false)
            && self.files().any(FilePlan::is_changed)
            && self.banks.iter().any(passed_by)
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

impl BankPlan {
    pub(super) fn new(
        slot: &Slot<'_>,
        reach: &Reach,
        files: Vec<FilePlan>,
        method: Method,
    ) -> Self {
        BankPlan {
            partition: slot.partition,
            boots_next: slot.verdict.boots_next,
            files,
            leftovers: reach.leftovers().len(),
            method,
        }
    }

    pub(super) fn unchanged(slot: &Slot<'_>, files: &[FileWork]) -> Self {
        let looked_into = files.iter().filter(|file| !file.is_left_alone());
        BankPlan {
            partition: slot.partition,
            boots_next: slot.verdict.boots_next,
            files: looked_into.map(|file| file.plan(None)).collect(),
            leftovers: 0,
            method: Method::SecondCopy,
        }
    }
}
