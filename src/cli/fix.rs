//! `bootbank fix`: give passed-through devices back to the VMkernel.

use super::args::FixArgs;
use super::change::{Job, Work};
use super::exit::Exit;
use super::options::Change;
use super::report::Failure;
use super::session::Session;
use crate::edit::{Devices, Edit, OwnerEdit, Selector};
use crate::ownership::Owner;
use crate::state::Form;
use crate::stick::Plan;

/// # Errors
/// Arguments that cannot be meant; the rest is reported target by target.
pub fn run(session: &Session, args: &FixArgs) -> Result<Exit, Failure> {
    let devices = if args.device.is_empty() {
        Devices::PassedThrough
    } else {
        Devices::Named(selectors(&args.device)?)
    };
    let asks = devices == Devices::PassedThrough;
    let edit = OwnerEdit {
        devices,
        owner: Owner::Vmkernel,
    };
    let targets = &args.targets.sticks;
    let work = Work::edits(vec![Edit::Owner(edit)]);
    let job = Job::new(session, Change::new(&args.change, targets.len())?)
        .asking(asks)
        .explaining(explain);
    Ok(job.run(targets, &work))
}

/// Devices as the command line names them.
///
/// # Errors
/// Text that is neither an address nor a key.
pub fn selectors(texts: &[String]) -> Result<Vec<Selector>, Failure> {
    let parse = |text: &String| {
        text.parse().map_err(|error: crate::edit::SelectError| {
            Failure::usage(error.to_string()).hint(
                "addresses look like 0000:00:1a.7, 00:1a.7 or 000:26.7; a key like /device/000:26.7/owner",
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
            "The bank on partition {} is the one that boots.",
            bank.partition
        ),
        None => "The bank that boots next is none of these.".to_owned(),
    };
    let encrypted = plan.banks.iter().flat_map(|bank| &bank.files);
    let mut encrypted = encrypted.filter(|file| file.content.is_some());
    let caution = if encrypted.any(|file| file.form == Some(Form::Encrypted)) {
        " The state is encrypted and was encrypted anew, in a form taken from a real host: keep the undo file, or the image from before, until this host has started \
         with it."
    } else {
        ""
    };
    Some(format!(
        "{boots} While the host is powered off, put the changed medium in, then start it: configuration is saved again, \
         and the console keyboard and the VMware Tools images are back if these devices had taken them away.{caution}"
    ))
}
