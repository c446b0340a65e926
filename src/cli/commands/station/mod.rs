//! `bootbank station`: the same change to each medium that is plugged in.
//!
//! The station opens no medium itself. For each it starts the command that makes the change, as
//! anyone could type it, in a process of its own that is confined to that one medium ([`Again`]).

mod object;
mod treat;

use crate::cli::process::{Again, Needs, is_stream, text};
use crate::cli::report::{Exit, Failure, disk_in_words};
use crate::cli::session::{Run, Schema, Session};
use crate::cli::terminal::{Gate, shown};
use crate::diagnosis::attached_disks;
use crate::edit::plan_file::DeclaredPlan;
use crate::host::{Arrivals, Disk, Host};
use clap::{ArgGroup, Args};
use object::Treated;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wildmatch::WildMatch;

/// How long apart the looks at what is attached are.
const PAUSE: Duration = Duration::from_millis(500);

/// Make the same change to each medium that is plugged in
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("change").required(true)))]
#[command(after_help = "\
Examples:
  bootbank station --fix                                   give devices back
  bootbank station --apply plan.toml --log station.jsonl   a plan file, logged
  bootbank station --apply plan.toml --host-map hosts.csv  each its own values
  bootbank station --fix --only 'usb-SanDisk*'             only these disks

Each medium is treated once for each time it is plugged in, one after the other. What is plugged in \
already is left alone: pull it out and plug it in again. A line for each says what was done, where its \
undo file is, and that it may be pulled out. Ctrl-C ends the station once the medium at work is done.")]
pub struct Station {
    /// Give every passed-through device of each medium back to the VMkernel
    #[arg(long, group = "change")]
    fix: bool,
    /// Make the edits in this plan file to each medium
    #[arg(long, value_name = "PLAN.toml", group = "change")]
    apply: Option<PathBuf>,
    /// Values for each medium, as `bootbank apply` takes them
    // What the group rules out beside `fix` is not required, so that is said too.
    #[arg(
        long,
        value_name = "HOSTS.csv",
        requires = "apply",
        conflicts_with = "fix"
    )]
    host_map: Option<PathBuf>,
    /// Let `from` in the plan file name files outside the directory that the plan file is in
    #[arg(long, requires = "apply", conflicts_with = "fix")]
    allow_outside: bool,
    /// Add an entry for each medium to the end of this file, as JSON Lines
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Treat only disks whose node (/dev/sdX or sdX), or name below /dev/disk/by-id, with or without
    /// that directory, is this; * stands for anything (repeatable). These may hang on anything: SATA and NVMe disks in a bay, loop devices. The disks
    /// that the running system is on are left alone all the same
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// End after so many media
    #[arg(long, value_name = "N")]
    count: Option<usize>,
    /// Begin without asking, and make changes that cost a host something too
    #[arg(short, long)]
    yes: bool,
}

impl Run for Station {
    fn first_target(&self) -> Option<&Path> {
        None
    }

    fn prepare(&mut self) -> Result<(), Failure> {
        let Some(plan) = &self.apply else {
            return Ok(());
        };
        if is_stream(plan) || self.host_map.as_deref().is_some_and(is_stream) {
            return Err(Failure::usage(
                "the plan file and the host map are read anew for each medium: name files, not standard input",
            ));
        }
        // What is wrong with it is said now, not at the first medium.
        DeclaredPlan::parse(&text(plan)?).map_err(|error| {
            Failure::usage(format!("{}: {error}", plan.display()))
                .path(plan)
                .hint("`bootbank schema plan` shows what a plan file may hold")
        })?;
        Ok(())
    }

    fn starts_itself(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        let log = self.log.as_deref().map(Log::open).transpose()?;
        self.confirm(session)?;
        let again = Again::new(&session.program.options);
        // A signal ends the station between two media.
        let _held = session.interrupt.working();
        let mut arrivals = Arrivals::after(&attached_disks(&session.host));
        let ui = &session.ui;
        ui.lines(
            "Plug in the first medium. What is plugged in already is left alone. Ctrl-C ends.",
        );
        let mut exits = Vec::new();
        let is_over = |treated: usize| {
            session.interrupt.requested() || self.count.is_some_and(|most| treated >= most)
        };
        while !is_over(exits.len()) {
            for disk in arrivals.look(&attached_disks(&session.host)) {
                if is_over(exits.len()) {
                    break;
                }
                if let Some(why) = self.left_alone(&disk, &session.host) {
                    let node = disk.node.display();
                    ui.say(&format!(
                        "{node} ({}): left alone: {why}",
                        disk_in_words(&disk)
                    ));
                    continue;
                }
                let (exit, treated) = self.treat(session, &again, &disk)?;
                ui.text(&treated.in_words(&disk));
                ui.json(&treated);
                exits.push(exit);
                if let Some(log) = &log {
                    log.add(ui.gate(), &treated)?;
                }
            }
            std::thread::sleep(PAUSE);
        }
        let count = exits.len();
        ui.say(&format!(
            "{count} medi{} treated",
            if count == 1 { "um" } else { "a" }
        ));
        Ok(Exit::of_all(&exits))
    }

    fn schemas() -> Vec<Schema> {
        vec![Schema::of::<Treated>("station")]
    }
}

impl Station {
    /// Asks once, before the first medium: from then on nobody is asked.
    fn confirm(&self, session: &Session) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        let which = match self.only.as_slice() {
            [] => "Every removable or USB disk".to_owned(),
            names => format!("Every disk called {}", shown(&names.join(" or "))),
        };
        let what = match &self.apply {
            None => "every passed-through device on it is given back".to_owned(),
            Some(plan) => format!(
                "the edits in {} are made to it",
                shown(&plan.display().to_string())
            ),
        };
        let question = format!(
            "{which} that is plugged in from now on is changed without asking: {what}. Begin?"
        );
        let interrupt = &session.interrupt;
        match session.ui.ask(&question, &|| interrupt.requested()) {
            Some(true) => Ok(()),
            Some(false) => Err(Failure::refused("not confirmed; nothing was written")),
            None if interrupt.requested() => {
                Err(Failure::refused("interrupted; nothing was written").exit_with(Exit::Interrupted))
            }
            None => Err(Failure::usage(
                "station changes every medium that is plugged in, but bootbank cannot ask first; nothing was written",
            )
            .hint("-y begins without asking")),
        }
    }

    /// Why a disk is none of the station's.
    fn left_alone(&self, disk: &Disk, host: &Host) -> Option<&'static str> {
        if !host.system_uses_of(disk.number).is_empty() {
            return Some("this machine runs from it");
        }
        if self.only.is_empty() {
            return (!disk.can_be_plugged_in())
                .then_some("it is neither removable nor on USB (--only NAME takes it)");
        }
        let by_id = disk.by_id.as_deref();
        let names = [
            Some(disk.node.as_path()),
            Some(Path::new(&disk.name)),
            by_id,
            by_id.and_then(Path::file_name).map(Path::new),
        ];
        let is_called = |pattern: &String| {
            let pattern = WildMatch::new(pattern);
            let mut names = names.iter().flatten();
            names.any(|name| pattern.matches(&name.to_string_lossy()))
        };
        (!self.only.iter().any(is_called)).then_some("--only names others")
    }
}

/// The file that keeps what was done.
struct Log<'p> {
    path: &'p Path,
    file: File,
}

impl<'p> Log<'p> {
    fn open(path: &'p Path) -> Result<Self, Failure> {
        let file = OpenOptions::new().append(true).create(true).open(path);
        let file = file.map_err(|error| {
            Failure::io(format!("cannot open {}: {error}", path.display())).path(path)
        })?;
        Ok(Log { path, file })
    }

    /// Adds an entry, on the disk before the next medium is treated.
    fn add(&self, gate: Gate, treated: &Treated) -> Result<(), Failure> {
        let mut line = gate.json(treated);
        line.push(b'\n');
        let mut file = &self.file;
        let written = file.write_all(&line);
        written.and_then(|()| file.sync_data()).map_err(|error| {
            let path = self.path;
            Failure::io(format!("cannot write to {}: {error}", path.display()))
                .path(path)
                .hint("the medium was treated; what was done is in the line before")
        })
    }
}
