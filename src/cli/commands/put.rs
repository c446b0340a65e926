//! `bootbank put`: put one file into the configuration, or into a bank.

use crate::cli::change::{ChangeArgs, Job, change_bank_file};
use crate::cli::process::{self, Needs};
use crate::cli::report::{Exit, Failure};
use crate::cli::session::{Run, Session};
use crate::edit::{Edit, FileEdit, permission_bits};
use crate::stick::Path as StickPath;
use clap::Args;
use std::path::{Path, PathBuf};

/// Put one file into the configuration, or into a bank
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank put stick.img motd etc/motd
  bootbank put -n --diff stick.img hosts etc/hosts
  bootbank put stick.img a.b00 bank6:a.b00          a module that bank 6 lacks")]
pub struct Put {
    /// Image file, block device or state file
    stick: PathBuf,
    /// The file to put in; - is standard input
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    /// A path as seen on the host (etc/motd), or a bank's file (bank6:a.b00)
    path: String,
    /// Permission bits of a new file, in octal (default: 0644). A file that is there keeps its own, and is refused if
    /// these are others
    #[arg(long, value_name = "MODE")]
    mode: Option<String>,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Run for Put {
    fn first_target(&self) -> Option<&Path> {
        Some(&self.stick)
    }

    fn needs(&self) -> Needs {
        self.change
            .needs(std::slice::from_ref(&self.stick))
            .reading(&self.file)
    }

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        let mode = self.mode.as_deref().map(mode).transpose()?;
        let content = process::bytes(&self.file)?;
        match StickPath::parse(&self.path) {
            StickPath::State(path) => {
                let edit = Edit::File(FileEdit::Put {
                    path,
                    content,
                    mode,
                });
                Job::edit(session, &self.change, &self.stick, vec![edit])
            }
            StickPath::Bank { .. } if mode.is_some() => Err(Failure::usage(
                "--mode is for files of the configuration: a bank is a FAT volume and keeps no permissions",
            )),
            StickPath::Bank { partition, name } => {
                let content = Some(content);
                change_bank_file(session, &self.change, &self.stick, partition, name, content)
            }
        }
    }
}

fn mode(text: &str) -> Result<u32, Failure> {
    permission_bits(text).ok_or_else(|| {
        Failure::usage(format!(
            "--mode takes permission bits in octal, such as 0644, not `{text}`"
        ))
    })
}
