//! `bootbank fix`: give passed-through devices back to the VMkernel.

use super::pci::{caution, selectors};
use crate::cli::change::{ChangeArgs, Closing, Job, Work};
use crate::cli::process::Needs;
use crate::cli::report::{Exit, Failure};
use crate::cli::session::{Run, Session, TargetArgs};
use crate::edit::{Devices, Edit, OwnerEdit};
use crate::ownership::Owner;
use clap::Args;
use std::path::Path;

/// Give passed-through devices back to the VMkernel
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank fix stick.img                     give all of them back
  bootbank fix -d 0000:00:1a.7 stick.img     give one back, by its lspci address
  bootbank fix -d vmhba32 stick.img          the same, by the name of its adapter
  bootbank fix -n --diff stick.img           show what would change
  bootbank fix --check *.img                 exit 1 if any would change")]
pub struct Fix {
    #[command(flatten)]
    targets: TargetArgs,
    /// Only this device: its address as lspci and esxcli write it (hexadecimal), its key as the
    /// state has it, or the name of its adapter, such as vmhba32. `raw:` takes the rest as a key,
    /// `dec:` as a decimal address (repeatable; default: every passed-through device)
    #[arg(short, long = "device", value_name = "ADDR")]
    device: Vec<String>,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Run for Fix {
    fn targets_mut(&mut self) -> Option<&mut TargetArgs> {
        Some(&mut self.targets)
    }

    fn first_target(&self) -> Option<&Path> {
        self.targets.first()
    }

    fn needs(&self) -> Needs {
        self.change.needs(&self.targets.sticks)
    }

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        let devices = if self.device.is_empty() {
            Devices::PassedThrough
        } else {
            Devices::Named(selectors(&self.device)?)
        };
        let asks = devices == Devices::PassedThrough;
        let edit = OwnerEdit {
            devices,
            owner: Owner::Vmkernel,
        };
        let targets = &self.targets.sticks;
        let job = Job::new(session, &self.change, targets.len())?
            .asking(asks)
            .closing(Closing::AfterGivingBack)
            .explaining(caution);
        Ok(job.run(targets, &Work::edits(vec![Edit::Owner(edit)])))
    }
}
