//! `bootbank man`: manual pages, made from the command line itself.

mod page;

use crate::cli::process::Needs;
use crate::cli::report::{Exit, Failure};
use crate::cli::session::{Run, Session};
use clap::Args;
use std::path::{Path, PathBuf};

/// Write the manual pages
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank man ~/.local/share/man/man1")]
pub struct Man {
    /// Directory for the pages; created if it does not exist
    dir: PathBuf,
}

impl Run for Man {
    fn first_target(&self) -> Option<&Path> {
        None
    }

    fn needs(&self) -> Needs {
        // What goes wrong here goes wrong again when the pages are written, and is said then.
        let _ = std::fs::create_dir_all(&self.dir);
        Needs::default().making_in(self.dir.clone())
    }

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        let failed = |error: std::io::Error| {
            Failure::io(format!(
                "cannot write manual pages to {}: {error}",
                self.dir.display()
            ))
        };
        std::fs::create_dir_all(&self.dir).map_err(failed)?;
        for page in page::all((session.program.command)()) {
            let path = self.dir.join(page.file_name());
            let text = page.render().map_err(failed)?;
            std::fs::write(path, text).map_err(failed)?;
        }
        session
            .ui
            .say(&format!("{}: manual pages written", self.dir.display()));
        Ok(Exit::Done)
    }
}
