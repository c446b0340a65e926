//! `bootbank apply`: the edits declared in a plan, with the values of a host map.

use crate::cli::change::{ChangeArgs, Closing, Job};
use crate::cli::process::{self, Needs};
use crate::cli::report::{Exit, Failure};
use crate::cli::session::{Run, Schema, Session, TargetArgs, for_each};
use crate::cli::terminal::{plural, quoted, shown};
use crate::diagnosis::Work;
use crate::edit::host_map::{HostMap, HostMapError, Names};
use crate::edit::plan_file::{DeclaredPlan, PlanFile, PlanFileError};
use crate::medium::{Target, directory_of};
use clap::Args;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Rows of a host map that a warning names at the most.
const ROWS_NAMED: usize = 5;

/// Make the edits in a plan file
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank apply plan.toml stick.img                      one image
  bootbank apply --check plan.toml images/*.img           exit 1 if any would change
  bootbank apply --host-map hosts.csv plan.toml *.img     a value of {name} for each image

A plan file:
  [expect]
  build = \"6.7.0\"                                       refuse media of other builds
  [[device]]
  address = \"0000:00:1a.7\"                              or \"passed-through\", for every one that is
  owner = \"vmkernel\"
  [conf]
  set = { \"/adv/Misc/HostName\" = \"{name}.lab\" }       {name} is a column of the host map
  [[file]]
  path = \"etc/motd\"
  text = \"Welcome to {name}\\n\"")]
pub struct Apply {
    /// The plan file; - is standard input
    #[arg(value_name = "PLAN.toml")]
    plan: PathBuf,
    #[command(flatten)]
    targets: TargetArgs,
    /// Values for each target, as CSV with a header line. The columns image, serial, bank-uuid and
    /// system-uuid say which row is for which target; {name} in the plan file takes the column `name`
    #[arg(long, value_name = "HOSTS.csv")]
    host_map: Option<PathBuf>,
    /// Let `from` in the plan file name files outside the directory that the plan file is in
    #[arg(long)]
    allow_outside: bool,
    #[command(flatten)]
    change: ChangeArgs,
    /// The text of the plan, read once: a pipe has no second reading.
    #[arg(skip)]
    text: String,
}

impl Apply {
    /// The files of this machine that a run reads besides its targets. A plan that cannot be read
    /// names none: there is nothing to be done with it.
    fn local_files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = self.host_map.iter().cloned().collect();
        if let Ok(plan) = DeclaredPlan::parse(&self.text) {
            let named = plan.local_files();
            files.extend(named.filter_map(|name| self.place_of(name).ok()));
        }
        files
    }

    /// Where the file is that a plan names: looked for from the plan's own directory, and below it
    /// with every link followed, unless others are allowed. A plan can come from elsewhere, and what
    /// it names ends up in an image.
    fn place_of(&self, name: &str) -> Result<PathBuf, Failure> {
        let directory = directory_of(&self.plan);
        let path = directory.join(name);
        let (Ok(full), Ok(allowed)) = (path.canonicalize(), directory.canonicalize()) else {
            // Reading it says why not.
            return Ok(path);
        };
        if self.allow_outside || full.starts_with(&allowed) {
            return Ok(full);
        }
        Err(Failure::refused(format!(
            "{}: from = \"{name}\" leads to {}, outside the directory of the plan file",
            self.plan.display(),
            full.display()
        ))
        .path(&self.plan)
        .hint("nothing was written; put the file beside the plan file, or allow this with --allow-outside"))
    }

    /// The contents of the files a plan names.
    fn contents(&self, plan: &DeclaredPlan) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
        let mut files = BTreeMap::new();
        for name in plan.local_files() {
            files.insert(name.to_owned(), process::bytes(&self.place_of(name)?)?);
        }
        Ok(files)
    }
}

impl Run for Apply {
    fn targets_mut(&mut self) -> Option<&mut TargetArgs> {
        Some(&mut self.targets)
    }

    fn first_target(&self) -> Option<&Path> {
        self.targets.first()
    }

    fn prepare(&mut self) -> Result<(), Failure> {
        let text = process::text(&self.plan);
        let is_plan = |text: &String| DeclaredPlan::parse(text).is_ok();
        if !text.as_ref().is_ok_and(is_plan)
            && let Some(plan) = self.targets.sticks.iter().find(|it| is_plan_file(it))
        {
            return Err(wrong_order(&self.plan, plan));
        }
        self.text = text?;
        Ok(())
    }

    fn needs(&self) -> Needs {
        let mut needs = self.change.needs(&self.targets.sticks);
        needs.reads.extend(self.local_files());
        needs
    }

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        let unusable = |error: PlanFileError| {
            Failure::usage(format!("{}: {error}", self.plan.display()))
                .path(&self.plan)
                .hint("nothing was written; `bootbank schema plan` shows what a plan file may hold")
        };
        let plan = DeclaredPlan::parse(&self.text).map_err(unusable)?;
        if self.text.trim().is_empty() {
            let text = format!("{} is empty: it holds no edits", self.plan.display());
            return Err(Failure::usage(text).path(&self.plan));
        }
        let files = self.contents(&plan)?;
        let in_plan = |(expect, edits)| Work::Edits { expect, edits };
        let job = Job::new(session, &self.change, &self.targets.sticks)?.closing(Closing::Always);
        let Some(path) = &self.host_map else {
            let declared = plan.fill(&BTreeMap::new(), &files).map_err(unusable)?;
            return Ok(job.run(in_plan(declared)));
        };
        let in_map = |error: HostMapError| {
            Failure::new(error.kind(), format!("{}: {error}", path.display())).path(path)
        };
        let map = HostMap::parse(&process::bytes(path)?).map_err(in_map)?;
        map.check_columns(&plan.columns()).map_err(in_map)?;
        let rows = rows(session, job.targets(), &map, &plan.columns(), &in_map);
        let fill = |(line, row): (u64, BTreeMap<String, String>)| {
            let declared = plan.fill(&row, &files).map_err(|error| {
                unusable(error).and_hint(&format!(
                    "the values are those of line {line} of {}",
                    path.display()
                ))
            })?;
            Ok(in_plan(declared).into())
        };
        let works = rows.into_iter().map(|row| row.and_then(fill));
        Ok(job.run_each(&works.collect::<Vec<_>>()))
    }

    fn schemas() -> Vec<Schema> {
        vec![Schema {
            name: "plan",
            is_input: true,
            failed: None,
            make: <PlanFile as schemars::JsonSchema>::json_schema,
        }]
    }
}

/// Longest file in bytes that is looked at to see whether it is a plan: no plan is longer by far.
const LONGEST_PLAN: u64 = 1 << 20;

/// Whether a target is a plan file instead.
fn is_plan_file(path: &Path) -> bool {
    let is_short = |found: std::fs::Metadata| found.is_file() && found.len() <= LONGEST_PLAN;
    let text = std::fs::metadata(path)
        .is_ok_and(is_short)
        .then(|| process::text(path));
    let text = text.and_then(Result::ok);
    text.is_some_and(|text| !text.trim().is_empty() && DeclaredPlan::parse(&text).is_ok())
}

fn wrong_order(first: &Path, plan: &Path) -> Failure {
    let (first, plan) = (first.display().to_string(), plan.display().to_string());
    Failure::usage(format!(
        "{first} is not a plan file, and {plan} is one: they are in the wrong order"
    ))
    .hint(format!(
        "name the plan file first: bootbank apply {} {}",
        quoted(&plan),
        quoted(&first)
    ))
}

/// The line of a row in the host map, and its cells by column.
type Row = Result<(u64, BTreeMap<String, String>), Failure>;

/// The row of each target, found before anything is written: one that has none, and all that
/// share one, are refused.
fn rows(
    session: &Session,
    targets: &[PathBuf],
    map: &HostMap,
    used: &BTreeSet<String>,
    in_map: &(impl Fn(HostMapError) -> Failure + Sync),
) -> Vec<Row> {
    let contested = Mutex::new(Vec::new());
    let found = for_each(
        session,
        targets,
        session.common.jobs.unwrap_or(1),
        |target| {
            let names = names_of(session, target)?;
            map.row_for(&names)
                .map(|(line, row)| (line, row.clone()))
                .map_err(|error| {
                    if let HostMapError::TwoRows(one, two) = error {
                        let mut lines = contested.lock().unwrap_or_else(PoisonError::into_inner);
                        lines.extend([one, two]);
                    }
                    in_map(error).path(target)
                })
        },
    );
    let contested = contested
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let taken = found.iter().flatten().map(|(line, _)| *line);
    warn_of_unused(session, map, taken.chain(contested));
    let mut takers: BTreeMap<u64, Vec<&PathBuf>> = BTreeMap::new();
    for (row, target) in found.iter().zip(targets) {
        if let Ok((line, _)) = row {
            takers.entry(*line).or_default().push(target);
        }
    }
    let only = |row: Row| {
        let (line, row) = row?;
        match takers.get(&line).map(Vec::as_slice) {
            Some([one, two, ..]) => Err(Failure::refused(format!(
                "line {line} of the host map matches both {} and {}",
                one.display(),
                two.display()
            ))
            .hint("each row is for one medium; tell clones apart by `image` or `serial`")),
            _ => match map.check_filled(line, used) {
                Ok(()) => Ok((line, row)),
                Err(error) => Err(in_map(error)),
            },
        }
    };
    found.into_iter().map(only).collect()
}

/// Names the rows that no target took: a misspelled name shows there.
fn warn_of_unused(session: &Session, map: &HostMap, used: impl Iterator<Item = u64>) {
    let used: BTreeSet<u64> = used.collect();
    let mut rows: Vec<String> = map
        .unused(&used)
        .map(|(line, medium)| format!("line {line} ({medium})"))
        .collect();
    let count = rows.len();
    if count == 0 {
        return;
    }
    if count > ROWS_NAMED {
        rows.truncate(ROWS_NAMED);
        rows.push(format!("and {} more", count - ROWS_NAMED));
    }
    let text = format!(
        "{count} row{} of the host map {} no target: {}",
        plural(count),
        if count == 1 { "matches" } else { "match" },
        rows.join(", ")
    );
    session.ui.warn(&shown(&text));
}

fn names_of(session: &Session, path: &Path) -> Result<Names, Failure> {
    session.look_into(path, |opened, target| {
        let is_image = target.is_none_or(|target| target.device().is_none());
        let image = std::path::absolute(path).ok().filter(|_| is_image);
        Ok(Names {
            image: image.map(|path| path.to_string_lossy().into_owned()),
            serial: target.and_then(Target::serial).map(str::to_owned),
            ..opened.names()
        })
    })
}
