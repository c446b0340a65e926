//! `bootbank pci set`: set who owns devices; and what `fix` shares with it.

use crate::cli::change::{ChangeArgs, Closing, Job};
use crate::cli::report::{Exit, Failure};
use crate::cli::session::{Run, Session, TargetArgs, changes_many, selectors};
use crate::diagnosis::Work;
use crate::edit::{Devices, Edit, OwnerEdit};
use crate::ownership::Owner;
use clap::Args;

/// Set who owns devices, like `esxcli hardware pci pcipassthru set`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank pci set stick.img -d 0000:00:1a.7 -e false     give it back
  bootbank pci set stick.img -d vmhba32 -e true -y        pass an adapter through, by its name
  bootbank pci set stick.img -d 0000:3b:00.0 -e true --new    one that the state does not name yet")]
pub struct Set {
    #[command(flatten)]
    targets: TargetArgs,
    /// The device: its address as lspci and esxcli write it (hexadecimal), its key as the state has
    /// it, or the name of its adapter, such as vmhba32. `raw:` takes the rest as a key, `dec:` as a
    /// decimal address. A virtual function is named with its `.vf1` behind the address (repeatable)
    #[arg(short, long = "device", value_name = "ADDR", required = true)]
    device: Vec<String>,
    /// true: passed through to virtual machines; false: owned by the VMkernel
    #[arg(short, long, value_name = "true|false", action = clap::ArgAction::Set)]
    enable: bool,
    /// Take a device that the state does not name yet, too. To pass it through, it gets an entry where the bank's release
    /// reads it, but no virtual function does; the VMkernel's it is without one. Not needed for an address that this machine has a device
    /// at, where the medium is its own
    #[arg(long)]
    new: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Run for Set {
    changes_many!();

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        let owner = if self.enable {
            Owner::Passthru
        } else {
            Owner::Vmkernel
        };
        let named = selectors(&self.device)?;
        let devices = if self.new {
            Devices::NamedOrNew(named)
        } else {
            Devices::Named(named)
        };
        let edit = OwnerEdit { devices, owner };
        let targets = &self.targets.sticks;
        let job = Job::new(session, &self.change, targets)?.closing(if self.enable {
            Closing::Always
        } else {
            Closing::AfterGivingBack
        });
        Ok(job.run(Work::edits(vec![Edit::Owner(edit)])))
    }
}
