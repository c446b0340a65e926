//! `bootbank reclaim`: free what an interrupted run left allocated to nothing.

use crate::cli::change::{ChangeArgs, Job, Work};
use crate::cli::process::Needs;
use crate::cli::report::{Exit, Failure};
use crate::cli::session::{Run, Session, TargetArgs};
use clap::Args;
use std::path::Path;

/// Free leftovers: clusters that an interrupted run left allocated to no file
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank reclaim stick.img
  bootbank reclaim --check *.img             exit 1 if there are leftovers")]
pub struct Reclaim {
    #[command(flatten)]
    targets: TargetArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Run for Reclaim {
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
        let targets = &self.targets.sticks;
        let job = Job::new(session, &self.change, targets.len())?;
        Ok(job.run(targets, &Work::Reclaim))
    }
}
