//! Many targets: which they are, and treating several at once.
//!
//! A failure of one target is that target's: it is in what its treatment returns, and the
//! others go on. Nothing is kept of a target but what is returned for it, so memory does not
//! grow with what the targets hold.

use super::Session;
use crate::bytes::without_mark;
use crate::cli::process::{first_bytes, is_stream};
use crate::cli::report::{Exit, Failure};
use crate::cli::terminal::Ui;
use crate::host::Host;
use crate::medium::Identity;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// The targets of a command that takes many.
#[derive(Debug, Args)]
pub struct TargetArgs {
    /// Image files, block devices or state files
    #[arg(required_unless_present = "from_file", value_name = "STICK")]
    pub sticks: Vec<PathBuf>,
    /// Read more targets from a file, one on each line; - is standard input
    #[arg(long, value_name = "LIST|-")]
    pub from_file: Option<PathBuf>,
}

/// `STICK` of a command about banks, which a state file has none of.
pub fn about_banks(sticks: Arg) -> Arg {
    sticks.help("Image files or block devices")
}

/// The targets of a command that has something to do without any.
#[derive(Debug)]
pub struct MaybeTargets(pub TargetArgs);

impl FromArgMatches for MaybeTargets {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        TargetArgs::from_arg_matches(matches).map(MaybeTargets)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

impl Args for MaybeTargets {
    fn augment_args(command: Command) -> Command {
        // Without what requires one, which cannot be taken off an argument.
        TargetArgs::augment_args(command).mut_arg("sticks", |required| {
            let help = required.get_help().cloned().unwrap_or_default();
            Arg::new("sticks")
                .value_name("STICK")
                .help(help)
                .action(ArgAction::Append)
                .value_parser(value_parser!(PathBuf))
                .num_args(1..)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// Longest list of targets in bytes; beyond that somebody named an image instead of a list.
const LONGEST_LIST: u64 = 16 << 20;

impl TargetArgs {
    /// The first target named.
    pub fn first(&self) -> Option<&Path> {
        self.sticks.first().map(PathBuf::as_path)
    }

    /// Whether the list is on standard input.
    pub fn is_listed_on_stdin(&self) -> bool {
        self.from_file.as_deref().is_some_and(is_stream)
    }

    /// Puts the targets that the list names behind those on the command line. Done first of all:
    /// what the program may get at is settled by what is in the list.
    ///
    /// # Errors
    /// A list that cannot be read, or names nothing.
    pub fn add_listed(&mut self) -> Result<(), Failure> {
        let Some(list) = self.from_file.take() else {
            return Ok(());
        };
        self.sticks.extend(lines(&read_list(&list)?));
        if self.sticks.is_empty() {
            return Err(Failure::usage(format!(
                "the list {} names no target",
                list.display()
            )));
        }
        Ok(())
    }
}

fn read_list(list: &Path) -> Result<Vec<u8>, Failure> {
    let text = first_bytes(list, LONGEST_LIST + 1)?;
    if text.len() as u64 > LONGEST_LIST || text.contains(&0) {
        return Err(Failure::usage(format!(
            "{} is not a list of targets with one path on each line",
            list.display()
        )));
    }
    Ok(text)
}

/// One path on each line; empty lines and those that begin with `#` mean nothing.
fn lines(text: &[u8]) -> impl Iterator<Item = PathBuf> {
    let lines = without_mark(text).split(|byte| *byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let named = lines.filter(|line| !line.is_empty() && !line.starts_with(b"#"));
    named.map(|line| PathBuf::from(OsStr::from_bytes(line)))
}

/// The targets, each medium once however often and by whatever name it was given. What does
/// not exist stays in the list: its error is for the one who opens it.
pub fn distinct(paths: &[PathBuf], host: &Host, ui: &Ui) -> Vec<PathBuf> {
    let (distinct, again) = once_each(paths, host);
    for (path, _) in again {
        ui.warn(&format!(
            "{} is named twice; it is used once",
            path.display()
        ));
    }
    distinct
}

/// Each medium by the first of its names, and the other names, each with the first.
pub fn once_each(paths: &[PathBuf], host: &Host) -> (Vec<PathBuf>, Vec<(PathBuf, PathBuf)>) {
    let mut seen: BTreeMap<Identity, &PathBuf> = BTreeMap::new();
    let (mut distinct, mut again) = (Vec::new(), Vec::new());
    for path in paths {
        let identity = Identity::of(path, host).ok();
        let identity = identity.map(|identity| behind_loops(identity, host));
        let first = identity.and_then(|identity| match seen.entry(identity) {
            Entry::Occupied(first) => Some(*first.get()),
            Entry::Vacant(new) => {
                new.insert(path);
                None
            }
        });
        match first {
            Some(first) => again.push((path.clone(), first.clone())),
            None => distinct.push(path.clone()),
        }
    }
    (distinct, again)
}

/// The file, where a disk is a loop device over all of one: another loop device can be over it too.
fn behind_loops(identity: Identity, host: &Host) -> Identity {
    let Identity::Disk(number) = identity else {
        return identity;
    };
    let file = host.file_of_loop(number);
    let behind = file.and_then(|file| Identity::of(&file, host).ok());
    behind.unwrap_or(identity)
}

/// How many targets are worked on at once, where `--jobs` does not say: as many as there are processors, but
/// disks come one after the other, since whoever pulls one out has to know which it is.
pub fn usual_jobs<P: AsRef<Path>>(targets: &[P]) -> usize {
    let is_file = |target: &P| {
        target
            .as_ref()
            .metadata()
            .is_ok_and(|found| found.is_file())
    };
    if targets.iter().all(is_file) {
        thread::available_parallelism().map_or(1, usize::from)
    } else {
        1
    }
}

/// Treats every target, `jobs` at once, and returns what became of each, in the order of the targets,
/// which is also that of what is said.
pub fn for_each<I: Sync, T: Send>(
    session: &Session,
    targets: &[I],
    jobs: usize,
    treat: impl Fn(&I) -> T + Sync,
) -> Vec<T> {
    let workers = jobs.min(targets.len());
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(targets.len()));
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(target) = targets.get(index) else {
                break;
            };
            let result = match workers {
                0 | 1 => treat(target),
                _ => session.ui.in_turn(index, || treat(target)),
            };
            session.ui.target_done();
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.push((index, result));
        }
    };
    session.ui.begin_targets(targets.len());
    session.ui.begin_turns();
    if workers <= 1 {
        work();
    } else {
        thread::scope(|scope| {
            // Where there is no room for another thread, those that there are do the work.
            let others = 1..workers;
            others
                .map(|_| thread::Builder::new().spawn_scoped(scope, work))
                .take_while(Result::is_ok)
                .for_each(drop);
            work();
        });
    }
    session.ui.end_progress();
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Runs a command that only looks on each of its targets.
pub fn look_at_each(
    session: &Session,
    args: &TargetArgs,
    look: impl Fn(&Path) -> Exit + Sync,
) -> Exit {
    let targets = distinct(&args.sticks, &session.host, &session.ui);
    let exits = for_each(
        session,
        &targets,
        session.common.jobs.unwrap_or(1),
        |target| look(target),
    );
    Exit::of_all(&exits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_holds_one_path_on_each_line() {
        let text = b"# of today\n/dev/sda\r\n\nimages/a b.img\n #not a comment\n\xff.img";
        let found: Vec<PathBuf> = lines(text).collect();
        let expected: [&[u8]; 4] = [
            b"/dev/sda",
            b"images/a b.img",
            b" #not a comment",
            b"\xff.img",
        ];
        let expected = expected.map(|path| PathBuf::from(OsStr::from_bytes(path)));
        assert_eq!(found, expected);
    }
}
