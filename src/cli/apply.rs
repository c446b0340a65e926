//! `bootbank apply`: the edits declared in a plan, with the values of a host map.

use super::args::ApplyArgs;
use super::batch;
use super::change::{Job, Work};
use super::exit::Exit;
use super::input;
use super::options::Change;
use super::report::Failure;
use super::session::Session;
use crate::edit::host_map::{HostMap, HostMapError, Names};
use crate::edit::plan_file::{DeclaredPlan, PlanFileError};
use crate::medium::Target;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

impl ApplyArgs {
    /// The files of this machine that a run reads besides its targets. A plan that cannot be read
    /// names none: there is nothing to be done with it.
    pub fn local_files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = self.host_map.iter().cloned().collect();
        let directory = self.plan.parent().unwrap_or(Path::new(""));
        if let Ok(plan) = DeclaredPlan::parse(&self.text) {
            files.extend(plan.local_files().map(|name| directory.join(name)));
        }
        files
    }
}

/// # Errors
/// A plan or a host map that cannot be used; the rest is reported target by target.
pub fn run(session: &Session, args: &ApplyArgs) -> Result<Exit, Failure> {
    let unusable = |error: PlanFileError| {
        Failure::usage(format!("{}: {error}", args.plan.display()))
            .path(&args.plan)
            .hint("nothing was written; `bootbank schema plan` shows what a plan may hold")
    };
    let plan = DeclaredPlan::parse(&args.text).map_err(unusable)?;
    if args.text.trim().is_empty() {
        let text = format!("{} is empty: it declares nothing", args.plan.display());
        return Err(Failure::usage(text).path(&args.plan));
    }
    let files = local_files(&plan, &args.plan)?;
    let paths = &args.targets.sticks;
    let targets = batch::distinct(paths, &session.host, &session.ui);
    let in_plan = |(expect, edits)| Work::Edits { expect, edits };
    let job = Job::new(session, Change::new(&args.change, targets.len())?);
    let Some(path) = &args.host_map else {
        let declared = plan.fill(&BTreeMap::new(), &files).map_err(unusable)?;
        return Ok(job.run(&targets, &in_plan(declared)));
    };
    let in_map = |error: HostMapError| {
        Failure::new(error.kind(), format!("{}: {error}", path.display())).path(path)
    };
    let map = HostMap::parse(&input::bytes(path)?).map_err(in_map)?;
    map.check_columns(&plan.columns()).map_err(in_map)?;
    let rows = rows(session, &targets, &map, &in_map);
    let fill = |row: BTreeMap<String, String>| {
        let declared = plan.fill(&row, &files).map_err(unusable)?;
        Ok(in_plan(declared))
    };
    let each = targets.into_iter().zip(rows);
    let each = each.map(|(target, row)| (target, row.and_then(fill)));
    Ok(job.run_each(&each.collect::<Vec<_>>()))
}

/// The local files a plan names, looked for from its own directory.
fn local_files(plan: &DeclaredPlan, path: &Path) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let directory = path.parent().unwrap_or(Path::new(""));
    let mut files = BTreeMap::new();
    for name in plan.local_files() {
        files.insert(name.to_owned(), input::bytes(&directory.join(name))?);
    }
    Ok(files)
}

type Row = Result<BTreeMap<String, String>, Failure>;

/// The row of each target, found before anything is written: one that has none, and all that
/// share one, are refused.
fn rows(
    session: &Session,
    targets: &[PathBuf],
    map: &HostMap,
    in_map: &(impl Fn(HostMapError) -> Failure + Sync),
) -> Vec<Row> {
    let found = batch::for_each(session, targets, |target| {
        let names = names_of(session, target)?;
        map.row_for(&names)
            .map(|(line, row)| (line, row.clone()))
            .map_err(|error| in_map(error).path(target))
    });
    let mut takers: BTreeMap<u64, Vec<&PathBuf>> = BTreeMap::new();
    for (row, target) in found.iter().zip(targets) {
        if let Ok((line, _)) = row {
            takers.entry(*line).or_default().push(target);
        }
    }
    let only = |row: Result<(u64, BTreeMap<String, String>), Failure>| {
        let (line, row) = row?;
        match takers.get(&line).map(Vec::as_slice) {
            Some([one, two, ..]) => Err(Failure::refused(format!(
                "line {line} of the host map is for {} and for {}",
                one.display(),
                two.display()
            ))
            .hint("one row is for one medium; tell clones apart by `image` or `serial`")),
            _ => Ok(row),
        }
    };
    found.into_iter().map(only).collect()
}

fn names_of(session: &Session, path: &Path) -> Result<Names, Failure> {
    session.look_into(path, |stick, target: &Target| {
        let is_image = target.device().is_none();
        let file_name = path.file_name().filter(|_| is_image);
        Ok(Names {
            image: file_name.map(|name| name.to_string_lossy().into_owned()),
            serial: target.serial().map(str::to_owned),
            ..stick.names()
        })
    })
}
