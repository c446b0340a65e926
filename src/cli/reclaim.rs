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
    let work = Work::Reclaim;
    let job = Job::new(session, Change::new(&args.change, targets.len())?);
    Ok(job.run(targets, &work))
}
