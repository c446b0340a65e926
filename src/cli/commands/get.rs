//! `bootbank get`: copy one file out.

use crate::cli::process::Needs;
use crate::cli::report::{Exit, Failure};
use crate::cli::session::{Answer, FILE_MODE, Run, Schema, Session, content_of, write_file};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use std::path::{Path, PathBuf};

const SCHEMA: &str = "bootbank.get/1";

/// Copy one file out of a bank or its state
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank get stick.img etc/vmware/esx.conf esx.conf
  bootbank get stick.img bank:state.tgz - | tar -tzf -")]
pub struct Get {
    /// Image file, block device or state file
    stick: PathBuf,
    /// A path as the host sees it, or a bank's own file (bank:boot.cfg, bank5:state.tgz)
    path: String,
    /// The file to write; - is standard output
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    /// Overwrite an existing file
    #[arg(long)]
    force: bool,
}

/// Object for one file that was copied out.
#[derive(Serialize, JsonSchema)]
struct Got {
    schema: &'static str,
    target: String,
    /// The path as it was given.
    path: String,
    output: String,
    /// Bytes of the file.
    size: usize,
}

impl Run for Get {
    fn first_target(&self) -> Option<&Path> {
        Some(&self.stick)
    }

    fn only_looks(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        Needs::to_read([&self.stick]).making(&self.file, self.force, FILE_MODE)
    }

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        let got = content_of(session, &self.stick, &self.path).and_then(|(content, damage)| {
            let named = (self.path.as_str(), content.as_slice());
            write_file(session, &self.stick, &self.file, self.force, named)?;
            let object = Got {
                schema: SCHEMA,
                target: self.stick.display().to_string(),
                path: self.path.clone(),
                output: self.file.display().to_string(),
                size: content.len(),
            };
            Ok(Answer {
                damage,
                ..Answer::new(String::new(), object)
            })
        });
        Ok(session.show(&self.stick, SCHEMA, got))
    }

    fn schemas() -> Vec<Schema> {
        vec![Schema::answer::<Got>("get")]
    }
}
