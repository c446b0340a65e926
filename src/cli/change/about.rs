//! What the undo file of a change that is about to be made tells of it.

use crate::cli::terminal::shown;
use crate::commit::About;
use crate::medium::Target;
use crate::stick::Plan;
use std::path::Path;
use std::time::SystemTime;

/// Most changes that are named.
const MOST_NAMED: usize = 20;

/// The program and its version, as undo files name it.
const THIS_PROGRAM: &str = concat!("bootbank ", env!("CARGO_PKG_VERSION"));

/// Of a change of a medium.
pub fn of_medium(plan: &Plan, target: &Target, command: &str) -> About {
    let disk = target.device().and_then(|device| device.disk());
    About {
        model: disk.and_then(|disk| disk.model.clone()),
        serial: target.serial().map(str::to_owned),
        ..of_file(plan, target.path(), command)
    }
}

/// Of a change of a file.
pub fn of_file(plan: &Plan, path: &Path, command: &str) -> About {
    let in_state = plan.state.iter().flat_map(|file| {
        let name = |key: &str| format!("{}: {}", file.file, shown(key));
        file.changes.iter().map(move |change| name(&change.key))
    });
    let names = plan.banks.iter().flat_map(|bank| {
        let files = bank.files.iter();
        files.flat_map(move |file| {
            let name = move |key: &str| {
                if key == file.file {
                    format!("bank {}: {}", bank.partition, shown(key))
                } else {
                    format!("bank {}: {}: {}", bank.partition, file.file, shown(key))
                }
            };
            file.changes.iter().map(move |change| name(&change.key))
        })
    });
    About {
        time: Some(SystemTime::now()),
        program: Some(THIS_PROGRAM.to_owned()),
        command: Some(command.to_owned()),
        changes: Some(plan.change_count()),
        changed: names.chain(in_state).take(MOST_NAMED).collect(),
        ..About::of_target(path)
    }
}
