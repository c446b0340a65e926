//! `bootbank bank`: the banks of a medium as wholes.

use crate::cli::change::{ChangeArgs, Closing, Job};
use crate::cli::report::{Exit, Failure};
use crate::cli::session::{
    Answer, Run, Schema, Session, TargetArgs, about_banks, bank_number, changes_many, changes_one,
    command_list, look_at_each, looks_at_many,
};
use crate::cli::terminal::{ERROR, HEADING, plural, shown, styled};
use crate::diagnosis::Work;
use crate::diagnosis::{BankHealth, bank_health};
use crate::stick::{BankChoice, IfBroken, MissedBank, Stick};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::PathBuf;

const SCHEMA: &str = "bootbank.banks/1";

command_list! {
    /// Show the banks, choose the one that boots, copy one over the other
    Bank {
        "list" => List(List),
        "use" => Use(Use),
        "copy" => Copy(Copy),
        "mark-clean" => MarkClean(MarkClean),
    }
}

/// List the banks: which one boots next, whether it starts the host, and how old its state is
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank bank list stick.img")]
#[command(mut_arg("sticks", about_banks))]
pub struct List {
    #[command(flatten)]
    targets: TargetArgs,
}

/// Make a bank the one that boots next
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank bank use 5 stick.img
  bootbank bank use 6 -n --diff stick.img

Changes `updated` and `bootstate` in that bank's boot.cfg, takes `quickboot` out where it is set, and \
changes nothing else. A bank that would not start the host is refused.")]
#[command(mut_arg("sticks", about_banks))]
pub struct Use {
    /// Number of the bank's partition
    #[arg(value_name = "N", value_parser = bank_number)]
    number: u32,
    #[command(flatten)]
    targets: TargetArgs,
    /// Use the bank even if the host would not start from it, or could not read its settings there
    #[arg(long)]
    even_if_broken: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Make one bank a copy of the other
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank bank copy 5 6 stick.img           bank 6 becomes a copy of bank 5
  bootbank bank copy 5 6 -n stick.img        show what would change

The copy keeps the identity and the label of its volume. A cut leaves the original as the bank that \
boots. Only files that differ are written.")]
pub struct Copy {
    /// Number of the partition of the original
    #[arg(value_parser = bank_number)]
    from: u32,
    /// Number of the partition that becomes a copy
    #[arg(value_parser = bank_number)]
    to: u32,
    /// Image file or block device
    stick: PathBuf,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Clear the mark of a volume that was not cleanly unmounted
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank bank mark-clean 5 stick.img

The loader ignores the mark, but the check before an upgrade refuses such a host (VMware KB 345227). \
The volume is checked first.")]
#[command(mut_arg("sticks", about_banks))]
pub struct MarkClean {
    /// Number of the bank's partition
    #[arg(value_name = "N", value_parser = bank_number)]
    number: u32,
    #[command(flatten)]
    targets: TargetArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

/// `bootbank bank list`
#[derive(JsonSchema, Serialize)]
struct Banks {
    schema: &'static str,
    target: String,
    banks: Vec<Listed>,
    /// The volumes that should be banks, and that the loader passes over.
    missed: Vec<Missed>,
}

#[derive(JsonSchema, Serialize)]
struct Missed {
    partition: u32,
    why: String,
}

#[derive(JsonSchema, Serialize)]
struct Listed {
    partition: u32,
    build: Option<String>,
    updated: Option<u32>,
    bootstate: Option<i32>,
    boots_next: bool,
    why_not: Option<String>,
    /// Whether the loader gets through it; nothing where that cannot be told.
    starts: Option<bool>,
    /// What stops it.
    stops: Vec<String>,
    /// The number in `.backup.counter` of its state: the higher, the newer.
    state_counter: Option<u64>,
    /// Time in the directory entry of its state, local time of whoever wrote it.
    state_time: Option<String>,
}

impl Run for List {
    looks_at_many!();

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        Ok(look_at_each(session, &self.targets, |path| {
            session.answer(path, SCHEMA, |opened, _| {
                let stick = opened.stick()?;
                list(session, stick, &path.display().to_string())
            })
        }))
    }

    fn schemas() -> Vec<Schema> {
        vec![Schema::answer::<Banks>("banks")]
    }
}

impl Run for Use {
    changes_many!();

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        session.common.check_without_bank()?;
        let targets = &self.targets.sticks;
        let work = Work::UseBank {
            partition: self.number,
            broken: if self.even_if_broken {
                IfBroken::Use
            } else {
                IfBroken::Refuse
            },
        };
        let job = Job::new(session, &self.change, targets)?.closing(Closing::Always);
        Ok(job.run(work))
    }
}

impl Run for Copy {
    changes_one!();

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        session.common.check_without_bank()?;
        let work = Work::CopyBank {
            from: self.from,
            to: self.to,
        };
        let job = Job::new(session, &self.change, std::slice::from_ref(&self.stick))?
            .asking(true)
            .closing(Closing::Always);
        Ok(job.run(work))
    }
}

impl Run for MarkClean {
    changes_many!();

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        session.common.check_without_bank()?;
        let targets = &self.targets.sticks;
        let job =
            Job::new(session, &self.change, targets)?.on_banks(BankChoice::Partition(self.number));
        Ok(job.run(Work::MarkClean))
    }
}

fn list(session: &Session, stick: &Stick<'_, '_>, target: &str) -> Result<Answer<Banks>, Failure> {
    let banks = bank_health(stick, session.common.bank)?;
    let object = Banks {
        schema: SCHEMA,
        target: target.to_owned(),
        banks: banks.iter().map(listed).collect(),
        missed: stick.missed_banks().iter().map(missed).collect(),
    };
    let lines = object.banks.iter().map(in_words);
    let missed = object.missed.iter().map(missed_in_words);
    let lines: String = lines.chain(missed).collect();
    Ok(Answer {
        exit: match stick.not_by_loader() {
            None => Exit::Done,
            Some(_) => Exit::Damaged,
        },
        ..Answer::new(format!("{}\n{lines}", shown(target)), object)
    })
}

fn listed(bank: &BankHealth) -> Listed {
    Listed {
        partition: bank.partition,
        build: bank.build.clone(),
        updated: bank.updated,
        bootstate: bank.bootstate,
        boots_next: bank.boots_next,
        why_not: bank.why_not.clone(),
        starts: bank.starts,
        stops: bank.stops.clone(),
        state_counter: bank.state_counter,
        state_time: bank.state_time.clone(),
    }
}

fn missed(bank: &MissedBank) -> Missed {
    Missed {
        partition: bank.partition,
        why: bank.why.to_string(),
    }
}

fn missed_in_words(bank: &Missed) -> String {
    format!("  no bank on partition {}: {}\n", bank.partition, bank.why)
}

fn in_words(bank: &Listed) -> String {
    let build = bank
        .build
        .as_deref()
        .map_or("no build".to_owned(), |build| {
            format!("build {}", shown(build))
        });
    let next = match (&bank.why_not, bank.boots_next) {
        (_, true) => styled("boots next", HEADING),
        (Some(why), false) => format!("does not boot next: {}", shown(why)),
        (None, false) => "does not boot next".to_owned(),
    };
    let mut text = format!("  bank on partition {}: {build}; {next}\n", bank.partition);
    match bank.starts {
        Some(true) => text.push_str("    kernel and modules are all there\n"),
        Some(false) => {
            let count = bank.stops.len();
            let heading = format!(
                "the host would not start from it ({count} reason{})",
                plural(count)
            );
            let _ = writeln!(text, "    {}", styled(&heading, ERROR));
            for stop in &bank.stops {
                let _ = writeln!(text, "      {}", shown(stop));
            }
        }
        None => text.push_str("    whether the host would start from it cannot be told\n"),
    }
    let time = bank.state_time.as_ref();
    let time = time.map_or(String::new(), |time| format!(", file written {time}"));
    if let Some(counter) = bank.state_counter {
        let _ = writeln!(text, "    state saved {counter} times{time}");
    } else if !time.is_empty() {
        let _ = writeln!(text, "    state{time}");
    }
    text
}
