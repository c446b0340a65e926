//! `bootbank reclaim`: free what an interrupted run left allocated to nothing.

use crate::cli::change::{ChangeArgs, Job};
use crate::cli::report::{Exit, Failure};
use crate::cli::session::{Run, Session, TargetArgs, about_banks, changes_many};
use crate::diagnosis::Work;
use clap::Args;

/// Free leftovers: clusters that an interrupted run left allocated to no file
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank reclaim stick.img
  bootbank reclaim --check *.img             exit 1 if there are leftovers")]
#[command(mut_arg("sticks", about_banks))]
pub struct Reclaim {
    #[command(flatten)]
    targets: TargetArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Run for Reclaim {
    changes_many!();

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        let targets = &self.targets.sticks;
        let job = Job::new(session, &self.change, targets)?;
        Ok(job.run(Work::Reclaim))
    }
}
