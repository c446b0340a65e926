//! `bootbank host`: what a pipeline sets on a host, each where its release keeps it.

use crate::cli::change::{ChangeArgs, Closing, Job};
use crate::cli::process::{Needs, text};
use crate::cli::report::{Exit, Failure};
use crate::cli::session::{Run, Session, TargetArgs, command_list};
use crate::diagnosis::Work;
use crate::edit::{Edit, HostEdit};
use clap::Args;
use std::path::{Path, PathBuf};

command_list! {
    /// Set the name, the NTP servers and the SSH keys of a host
    Host {
        "set" => Set(Set),
    }
}

/// Set what a host is called, and what else a pipeline sets, where its release keeps it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank host set stick.img --name esx7 --domain lab.example.org
  bootbank host set stick.img --ntp 0.pool.ntp.org --ntp 1.pool.ntp.org
  bootbank host set -o esx7.img golden.img --name esx7 --ssh-key ~/.ssh/id_ed25519.pub

A value whose place in this release is not known is refused, and nothing is written.")]
pub struct Set {
    #[command(flatten)]
    targets: TargetArgs,
    /// The name of the host, with or without its domain
    #[arg(long)]
    name: Option<String>,
    /// The domain of the host
    #[arg(long)]
    domain: Option<String>,
    /// An NTP server; the ones given take the place of those the host has (repeatable)
    #[arg(long, value_name = "SERVER")]
    ntp: Vec<String>,
    /// A file with public keys that may log in as root, one on each line; they are added to those
    /// that may already (repeatable)
    #[arg(long, value_name = "FILE|-")]
    ssh_key: Vec<PathBuf>,
    #[command(flatten)]
    change: ChangeArgs,
    /// What the files of `--ssh-key` hold.
    #[arg(skip)]
    keys: Vec<String>,
}

impl Run for Set {
    fn targets_mut(&mut self) -> Option<&mut TargetArgs> {
        Some(&mut self.targets)
    }

    fn first_target(&self) -> Option<&Path> {
        self.targets.first()
    }

    fn prepare(&mut self) -> Result<(), Failure> {
        for path in &self.ssh_key {
            let content = text(path)?;
            let before = self.keys.len();
            self.keys.extend(keys_in(&content).map(str::to_owned));
            if self.keys.len() == before {
                return Err(Failure::usage(format!("{} holds no key", path.display())));
            }
        }
        Ok(())
    }

    fn needs(&self) -> Needs {
        self.change.needs(&self.targets.sticks)
    }

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        let edit = HostEdit {
            name: self.name.clone(),
            domain: self.domain.clone(),
            ntp: self.ntp.clone(),
            ssh_keys: self.keys.clone(),
        };
        if edit.is_empty() {
            return Err(Failure::usage(
                "there is nothing to do: name a value with --name, --domain, --ntp or --ssh-key",
            ));
        }
        edit.check()
            .map_err(|error| Failure::new(error.kind(), format!("--{error}")))?;
        let targets = &self.targets.sticks;
        let job = Job::new(session, &self.change, targets)?.closing(Closing::IfWrong);
        Ok(job.run(Work::edits(vec![Edit::Host(edit)])))
    }
}

/// The keys in a file such as `id_ed25519.pub` or `authorized_keys`.
fn keys_in(content: &str) -> impl Iterator<Item = &str> {
    let lines = content.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
}
