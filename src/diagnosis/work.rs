//! What is to be done to a target, and how a plan for it is made: what is expected comes first, then what
//! the machine at hand knows of the devices, the plan, and what it costs a host of this machine.

use super::situation::Situation;
use crate::edit::plan_file::Expect;
use crate::edit::{
    Context, Devices, Edit, EditError, Harm, OwnerEdit, SelectError, SettingChange, Unmatched,
};
use crate::ownership::Owner;
use crate::stick::{BankChoice, BankFile, Cause, Error, IfBroken, Plan, Request, Stick};
use crate::target::SavedState;

/// What is to be done to a target.
#[derive(Clone, Debug)]
pub enum Work {
    /// Change the configuration, where what is expected of it is so.
    Edits {
        /// What must be so before anything is changed.
        expect: Expect,
        /// What to change.
        edits: Vec<Edit>,
    },
    /// Put this `state.tgz` in place of the banks' own.
    Import(Vec<u8>),
    /// Give files of the banks themselves this content.
    Files(Vec<BankFile>),
    /// Let this bank boot next.
    UseBank {
        /// Number of its partition.
        partition: u32,
        /// What is done where the host would not start from it.
        broken: IfBroken,
    },
    /// Make one bank a copy of another.
    CopyBank {
        /// Number of the partition of the original.
        from: u32,
        /// Number of the partition of the copy.
        to: u32,
    },
    /// Clear the marks of an unclean unmount.
    MarkClean,
    /// Put the state of one bank into another.
    CopyState {
        /// Number of the partition it comes from.
        from: u32,
        /// Number of the partition it goes to.
        to: u32,
    },
    /// Give a bank a state without any configuration.
    ResetState {
        /// Number of its partition.
        partition: u32,
    },
    /// Free what interrupted runs left allocated to nothing.
    Reclaim,
}

impl Work {
    /// Changes the configuration, whatever it is.
    pub fn edits(edits: Vec<Edit>) -> Self {
        Work::Edits {
            expect: Expect::default(),
            edits,
        }
    }

    /// The plan that does it to a medium. Reads, computes and verifies; writes nothing. `situation` is asked for
    /// only where a device is passed through: then the machine at hand may know it, and what it costs.
    ///
    /// # Errors
    /// What is expected is not so, or a bank cannot be treated: nothing is done by halves.
    pub fn plan<'c>(
        &self,
        stick: &Stick<'_, '_>,
        request: Request,
        situation: &dyn Fn() -> &'c Situation<'c>,
    ) -> Result<Plan, Error> {
        let mut plan = match self {
            Work::Edits { expect, edits } => {
                stick.check_expectations(expect, edits, request.banks)?;
                let known = edits.iter().any(Edit::passes_through);
                let known = known.then(|| situation().knowing_devices(edits));
                stick.plan(known.as_ref().unwrap_or(edits), request)?
            }
            Work::Import(state) => stick.plan_import(state, request)?,
            Work::Files(files) => stick.plan_files(files, request)?,
            Work::UseBank { partition, broken } => stick.plan_use(*partition, request, *broken)?,
            Work::CopyBank { from, to } => stick.plan_copy_bank(*from, *to)?,
            Work::MarkClean => stick.plan_mark_clean(request)?,
            Work::CopyState { from, to } => stick.plan_copy_state(*from, *to, request)?,
            Work::ResetState { partition } => stick.plan_reset_state(*partition, request)?,
            Work::Reclaim => stick.plan_reclaim(request)?,
        };
        if plan.risks().any(SettingChange::passes_through) {
            situation().note_harm(&mut plan);
        }
        Ok(plan)
    }

    /// The plan that does it to a state file.
    ///
    /// # Errors
    /// As [`Work::plan`]; what is about banks.
    pub fn plan_file(&self, saved: &SavedState<'_>, context: Context) -> Result<Plan, Error> {
        match self {
            Work::Edits { expect, edits } => {
                saved.check_expectations(expect)?;
                saved.plan(edits, context)
            }
            Work::Import(content) => saved.plan_import(content),
            _ => Err(Cause::NoBanks.into()),
        }
    }

    /// A bank to which it could be done alone where that on `failed` keeps it from being done to all.
    pub fn bank_without<'c>(
        &self,
        failed: u32,
        stick: &Stick<'_, '_>,
        request: Request,
        situation: &dyn Fn() -> &'c Situation<'c>,
    ) -> Option<u32> {
        let goes_by_bank = matches!(self, Work::Edits { .. } | Work::Import(_) | Work::Files(_));
        if request.banks != BankChoice::All || !goes_by_bank {
            return None;
        }
        let mut others = stick.slots().iter().map(|slot| slot.partition);
        others.find(|other| {
            let banks = BankChoice::Partition(*other);
            let only = Request { banks, ..request };
            *other != failed && self.plan(stick, only, situation).is_ok()
        })
    }

    /// Whether the error is a device to be passed through that no state names, which may be meant.
    pub fn may_mean_new(&self, error: &Error) -> bool {
        let Work::Edits { edits, .. } = self else {
            return false;
        };
        let names_one = |edit: &Edit| {
            matches!(
                edit,
                Edit::Owner(OwnerEdit {
                    devices: Devices::Named(_),
                    owner: Owner::Passthru,
                })
            )
        };
        let Cause::Edit(EditError::Unmatched(Unmatched::NewDevice(missing))) = &error.cause else {
            return false;
        };
        matches!(missing, SelectError::NoSuchDevice { .. }) && edits.iter().any(names_one)
    }

    /// Whether it claims to give every passed-through device back.
    pub fn gives_all_back(&self) -> bool {
        matches!(self, Work::Edits { edits, .. } if edits.iter().any(Edit::gives_all_back))
    }

    /// Whether this harm is what was asked for.
    pub fn insists_on(&self, harm: Harm) -> bool {
        match self {
            Work::UseBank { broken, .. } => {
                harm == Harm::NoLongerStarts && *broken == IfBroken::Use
            }
            Work::ResetState { .. } => harm == Harm::DefaultSettings,
            _ => false,
        }
    }
}
