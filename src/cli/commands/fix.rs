//! `bootbank fix`: give passed-through devices back to the VMkernel.

use crate::cli::change::{Asked, ChangeArgs, Closing, Job};
use crate::cli::report::{Exit, Failure, whose_in_words};
use crate::cli::session::{Run, Session, TargetArgs, changes_many, selectors};
use crate::cli::terminal::{name, quoted_path, shown};
use crate::diagnosis::Work;
use crate::diagnosis::{Situation, devices};
use crate::edit::{Devices, Edit, OwnerEdit};
use crate::medium::{Target, TargetKind};
use crate::ownership::Owner;
use crate::pci::PciAddress;
use crate::target::Opened;
use clap::Args;
use std::path::Path;

/// Give passed-through devices back to the VMkernel
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank fix stick.img                     give all of them back
  bootbank fix -d 0000:00:1a.7 stick.img     give one back, by its lspci address
  bootbank fix -d vmhba32 stick.img          the same, by the name of its adapter
  bootbank fix --boot-device /dev/sdb        give back what the medium hangs on, on its own machine
  bootbank fix --usb stick.img               give the USB controllers back that it can tell
  bootbank fix -n --diff stick.img           show what would change
  bootbank fix --check *.img                 exit 1 if any would change")]
pub struct Fix {
    #[command(flatten)]
    targets: TargetArgs,
    /// Only this device: its address as lspci and esxcli write it (hexadecimal), its key as the
    /// state has it, or the name of its adapter, such as vmhba32. `raw:` takes the rest as a key,
    /// `dec:` as a decimal address. A virtual function is named with its `.vf1` behind the address
    /// (repeatable; default: every passed-through device)
    #[arg(short, long = "device", value_name = "ADDR")]
    device: Vec<String>,
    /// Only the controller this medium hangs on, and what goes with it: the bridges above, behind a
    /// bridge the other functions of its slot, and the EHCI controllers that can share the ports of
    /// an xHCI one. The medium has to hang on the machine that boots from it
    #[arg(long, conflicts_with_all = ["device", "usb"])]
    boot_device: bool,
    /// Only USB host controllers: the keyboard's is one of them. A device of which it cannot tell
    /// stays passed through, with a warning; where it can tell of none, it refuses
    #[arg(long, conflicts_with = "device")]
    usb: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Run for Fix {
    changes_many!();

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        if self.boot_device || self.usb {
            return self.run_by_situation(session);
        }
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
        let job = Job::new(session, &self.change, targets)?
            .asking(asks)
            .closing(Closing::AfterGivingBack);
        Ok(job.run(Work::edits(vec![Edit::Owner(edit)])))
    }
}

impl Fix {
    /// Which devices are meant is found out of each medium on its own, by what it hangs on.
    fn run_by_situation(&self, session: &Session) -> Result<Exit, Failure> {
        let job = Job::new(session, &self.change, &self.targets.sticks)?
            .asking(true)
            .closing(Closing::AfterGivingBack);
        let work = job.targets().iter().map(|path| {
            session.look_into(path, |opened, target| {
                let situation = session.situation(opened, target);
                if target.is_some_and(|target| target.kind() == TargetKind::Device) {
                    session.ui.say(&shown(&format!(
                        "{}: {}",
                        path.display(),
                        whose_in_words(&situation.whose)
                    )));
                }
                let (addresses, warnings) = if self.boot_device {
                    if matches!(opened, Opened::State(_)) {
                        return Err(Failure::usage("a state file hangs on no controller, so --boot-device means nothing here")
                            .hint("name the device: bootbank fix -d ADDR"));
                    }
                    let target = target.ok_or_else(|| {
                        Failure::usage("a packed image hangs on no controller")
                            .hint("name the device: bootbank fix -d ADDR")
                    })?;
                    (boot_device(&situation, target)?, Vec::new())
                } else {
                    usb_controllers(session, opened, &situation, path)?
                };
                let edit = Edit::Owner(OwnerEdit {
                    devices: Devices::PassedThroughAt(addresses),
                    owner: Owner::Vmkernel,
                });
                Ok(Asked {
                    work: Work::edits(vec![edit]),
                    warnings,
                })
            })
        });
        Ok(job.run_each(&work.collect::<Vec<_>>()))
    }
}

/// Where it can be told which controller a medium hangs on.
const ON_ITS_HOST: &str = "run this from a live system on the host that boots from the medium, with the medium plugged in; or: ";

/// The controller of a medium and what goes with it.
fn boot_device(situation: &Situation<'_>, target: &Target) -> Result<Vec<PciAddress>, Failure> {
    if let Some(addresses) = situation.boot_device() {
        return Ok(addresses);
    }
    let path = name(target.path());
    let (why, next) = match (target.kind(), &situation.attachment) {
        (TargetKind::Image, _) => (
            "an image file hangs on no controller".to_owned(),
            ON_ITS_HOST,
        ),
        (_, None) => (
            "sysfs knows no PCI device that this disk hangs on".to_owned(),
            "",
        ),
        (_, Some(_)) => (whose_in_words(&situation.whose), ON_ITS_HOST),
    };
    let target = quoted_path(target.path());
    Err(Failure::refused(format!(
        "{path}: which controller its host boots from cannot be told here: {}",
        shown(&why)
    ))
    .hint(format!(
        "{next}`bootbank pci list {target}` marks what is probable, `bootbank fix -d ADDR {target}` gives one device back, \
         `bootbank fix {target}` gives all back"
    )))
}

/// The USB host controllers of a medium, and what there is to warn of.
fn usb_controllers(
    session: &Session,
    opened: &Opened<'_, '_>,
    situation: &Situation<'_>,
    target: &Path,
) -> Result<(Vec<PciAddress>, Vec<String>), Failure> {
    let usb = situation.usb_controllers(&devices(opened, session.common.bank)?);
    let unclear: Vec<String> = usb.unclear.iter().map(ToString::to_string).collect();
    let unclear = unclear.join(", ");
    if usb.addresses.is_empty() && !unclear.is_empty() {
        let path = name(target);
        return Err(Failure::refused(format!(
            "{path}: which of the passed-through devices are USB controllers cannot be told here: neither the state nor this machine tells the kind of {unclear}"
        ))
        .hint("run this on the host that boots from the medium; or name the devices: `bootbank fix -d ADDR`, or give all back: `bootbank fix`"));
    }
    let (any, stay) = match usb.unclear.len() {
        0 => return Ok((usb.addresses, Vec::new())),
        1 => ("", "it stays"),
        _ => ("any of ", "they stay"),
    };
    let warning = format!(
        "whether {any}{unclear} is a USB controller cannot be told here; {stay} passed through"
    );
    Ok((usb.addresses, vec![warning]))
}
