//! `bootbank reclaim`: free what an interrupted run left allocated to nothing.

use super::args::ReclaimArgs;
use super::change::{Job, Work};
use super::exit::Exit;
use super::options::Change;
use super::report::Failure;
use super::session::Session;

/// # Errors
/// Arguments that cannot be meant; the rest is reported target by target.
pub fn run(session: &Session, args: &ReclaimArgs) -> Result<Exit, Failure> {
    let targets = &args.targets.sticks;
    let job = Job {
        session,
        work: Work::Reclaim,
        change: Change::new(&args.change, targets.len())?,
        asks: false,
        explain: |_| None,
    };
    Ok(job.run(targets))
}
