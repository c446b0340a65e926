//! `bootbank pci set`: set who owns devices; and what `fix` shares with it.

use crate::cli::change::{ChangeArgs, Job, Work};
use crate::cli::process::Needs;
use crate::cli::report::{Exit, Failure};
use crate::cli::session::{Run, Session, TargetArgs};
use crate::edit::{Devices, Edit, OwnerEdit, SelectError, Selector};
use crate::ownership::Owner;
use crate::state::Form;
use crate::stick::Plan;
use clap::Args;
use std::path::Path;

/// Set who owns devices, like `esxcli hardware pci pcipassthru set`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank pci set stick.img -d 0000:00:1a.7 -e false     give it back
  bootbank pci set stick.img -d raw:000:26.7 -e true      pass it through, by its raw key")]
pub struct Set {
    #[command(flatten)]
    targets: TargetArgs,
    /// The device, by its raw key or its lspci, esxcli or decimal address; a prefix `raw:`, `hex:`
    /// or `dec:` says how to read it (repeatable)
    #[arg(short, long = "device", value_name = "ADDR", required = true)]
    device: Vec<String>,
    /// true: passed through to virtual machines; false: owned by the VMkernel
    #[arg(short, long, value_name = "true|false", action = clap::ArgAction::Set)]
    enable: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Run for Set {
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
        let owner = if self.enable {
            Owner::Passthru
        } else {
            Owner::Vmkernel
        };
        let edit = OwnerEdit {
            devices: Devices::Named(selectors(&self.device)?),
            owner,
        };
        let targets = &self.targets.sticks;
        let job = Job::new(session, &self.change, targets.len())?.explaining(if self.enable {
            |_| None
        } else {
            explain
        });
        Ok(job.run(targets, &Work::edits(vec![Edit::Owner(edit)])))
    }
}

/// Devices as the command line names them.
///
/// # Errors
/// Text that is neither an address nor a key.
pub fn selectors(texts: &[String]) -> Result<Vec<Selector>, Failure> {
    let parse = |text: &String| {
        text.parse().map_err(|error: SelectError| {
            Failure::usage(error.to_string()).hint(
                "an address looks like 0000:00:1a.7, 00:1a.7 or 000:26.7, a key like /device/000:26.7/owner",
            )
        })
    };
    texts.iter().map(parse).collect()
}

/// Which bank boots, and what comes next.
pub fn explain(plan: &Plan) -> Option<String> {
    let next = plan.banks.iter().find(|bank| bank.boots_next);
    let boots = match next {
        Some(bank) => format!(
            "The bank on partition {} boots next. Put the medium back while the host is powered off, then start the host. \
             If these devices were the cause, it saves its configuration again, and the console keyboard and the VMware Tools \
             images are back.",
            bank.partition
        ),
        None => "None of the changed banks boots next, so the host does not see this change at its next start."
            .to_owned(),
    };
    let encrypted = plan.banks.iter().flat_map(|bank| &bank.files);
    let mut encrypted = encrypted.filter(|file| file.content.is_some());
    let caution = if encrypted.any(|file| file.form == Some(Form::Encrypted)) {
        " The state was encrypted again, in the form a real host uses: keep the undo file, or the old image, until this host has started with it."
    } else {
        ""
    };
    Some(format!("{boots}{caution}"))
}
