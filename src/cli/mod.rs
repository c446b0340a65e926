//! The command line: what was asked, and what a person or a script gets to see.
//!
//! Tables, JSON, questions, file names and the clock live here and nowhere below. Each command
//! has a file of its own; `change/` is the way all writing commands go, `report.rs` the one
//! place where errors become messages, hints and exit codes.

mod apply;
mod args;
mod batch;
mod cat;
mod change;
mod compare;
mod conf;
mod confine;
mod diff;
mod exit;
mod files;
mod fix;
mod info;
mod input;
mod json;
mod kernelopt;
mod look;
mod ls;
mod needs;
mod options;
mod output;
mod pci;
mod reclaim;
mod reference;
mod report;
mod seal;
mod session;
mod signals;
mod source;
mod state;
mod store;
mod ui;
mod undo;
mod undo_place;
mod undo_store;
mod verify;

use crate::host::{DeviceNumber, Host};
use crate::medium::Identity;
use crate::state::KeyCache;
use args::{Cli, Command, PciCommand};
use clap::Parser as _;
use exit::Exit;
use needs::Needs;
use options::Common;
use report::Failure;
use session::Session;
use signals::Interrupt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use ui::Ui;

/// The program and its version, as undo files name it.
const PROGRAM: &str = concat!("bootbank ", env!("CARGO_PKG_VERSION"));

/// How often, and how long apart, it is looked who has a disk open before that is taken for a use
/// of it: udev, blkid and the like open every disk for a moment.
const LOOKS_AT_OPENERS: u32 = 20;
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// Runs the program on the arguments of the process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors and come here too; clap knows which is which.
            let _ = error.print();
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
            return exit.into();
        }
    };
    run(cli).into()
}

/// Carries out one command. What goes wrong before any target is looked at is said here; the
/// rest is reported target by target.
fn run(mut cli: Cli) -> Exit {
    let typed = &cli.common;
    let ui = Ui::new(typed.json, typed.quiet, typed.verbose, typed.color);
    let target = cli.command.first_target();
    let say = |ui: &Ui, failure: Failure| {
        let target = target.as_deref().unwrap_or(Path::new("")).display();
        failure.say(ui, "");
        ui.json(&failure.in_json(json::ERROR, &target.to_string()));
        failure.exit()
    };
    let (common, interrupt) = match prepare(&mut cli) {
        Ok(prepared) => prepared,
        Err(failure) => return say(&ui, failure),
    };
    let session = Session {
        host: confine_to(&cli.command, &ui),
        ui,
        common,
        keys: KeyCache::default(),
        interrupt,
    };
    let exit = carry_out(&session, cli.command).unwrap_or_else(|failure| say(&session.ui, failure));
    match session.ui.stdout_failure() {
        None => exit,
        Some(error) => {
            let text = format!("cannot write to standard output: {error}; what was done stands");
            Failure::io(text).say(&session.ui, "");
            exit.or_io()
        }
    }
}

/// What has to be known before the process confines itself.
fn prepare(cli: &mut Cli) -> Result<(Common, Interrupt), Failure> {
    let common = Common::new(&cli.common)?;
    if let Some((targets, list)) = cli.command.targets_mut() {
        batch::add_listed(targets, list.take())?;
    }
    match &mut cli.command {
        Command::Apply(args) => args.text = input::text(&args.plan)?,
        Command::Undo(args) => args.bytes = undo::read(&args.file)?,
        _ => {}
    }
    let interrupt = Interrupt::listen()
        .map_err(|error| Failure::io(format!("cannot listen for signals: {error}")))?;
    Ok((common, interrupt))
}

fn carry_out(session: &Session, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Info(args) => info::run(session, &args),
        Command::Verify(args) => verify::run(session, &args),
        Command::Fix(args) => fix::run(session, &args),
        Command::Pci(PciCommand::List(args)) => pci::list(session, &args),
        Command::Pci(PciCommand::Set(args)) => pci::set(session, &args),
        Command::Ls(args) => Ok(ls::run(session, &args)),
        Command::Cat(args) => cat::run(session, &args),
        Command::Get(args) => files::get(session, &args),
        Command::Put(args) => files::put(session, &args),
        Command::Rm(args) => files::rm(session, &args),
        Command::Conf(command) => conf::run(session, &command),
        Command::Store(command) => store::run(session, &command),
        Command::Kernelopt(command) => kernelopt::run(session, &command),
        Command::Diff(args) => Ok(compare::run(session, &args)),
        Command::State(command) => state::run(session, &command),
        Command::Apply(args) => apply::run(session, &args),
        Command::Seal(args) => seal::run(session, &args),
        Command::Undo(args) => undo::run(session, &args),
        Command::Reclaim(args) => reclaim::run(session, &args),
        Command::Man(args) => reference::man(session, &args),
        Command::Completions(args) => Ok(reference::completions(session, &args)),
        Command::Schema(args) => reference::schema(session, &args),
        Command::Reference => Ok(reference::reference(session)),
    }
}

/// Gives up what the command does not need. Who has the targets open can only be seen before.
fn confine_to(command: &Command, ui: &Ui) -> Host {
    let mut needs = Needs::of(command);
    let mut host = Host::default();
    let targets = needs.writes.iter();
    let disks = targets.filter_map(|path| match Identity::of(path, &host) {
        Ok(Identity::Disk(disk)) => Some(disk),
        _ => None,
    });
    let disks: Vec<DeviceNumber> = disks.collect();
    for _ in 0..LOOKS_AT_OPENERS {
        host.note_open_files(&needs.targets());
        if disks.iter().all(|disk| host.openers_of(*disk).is_empty()) {
            break;
        }
        std::thread::sleep(LOOK_PAUSE);
    }
    // The nodes of a disk's partitions have caches of their own, which are written out.
    let partitions = disks.iter().flat_map(|disk| host.partitions(*disk));
    let partitions: Vec<PathBuf> = partitions.map(|partition| partition.node).collect();
    needs.reads.extend(partitions);
    let confined = confine::confine(&needs);
    ui.detail(&confine::in_words(&confined, &needs));
    host
}

/// Seconds since 1970 that stand for the present where a time has to be invented, as agreed
/// among reproducible builds; `None` where the environment does not say.
fn source_date_epoch() -> Option<u64> {
    std::env::var("SOURCE_DATE_EPOCH").ok()?.parse().ok()
}
