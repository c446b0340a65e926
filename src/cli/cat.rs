//! `bootbank cat`: one file of a bank or of its state to standard output.

use super::args::CatArgs;
use super::exit::Exit;
use super::json;
use super::report::Failure;
use super::session::Session;
use crate::edit::secrets::is_secret_path;
use crate::stick::{Cause, Error, Path as StickPath};
use std::io::IsTerminal as _;

/// # Errors
/// Arguments that cannot be meant.
pub fn run(session: &Session, args: &CatArgs) -> Result<Exit, Failure> {
    if session.ui.is_json() {
        return Err(Failure::usage(
            "cat writes the file itself; --json does not apply to it",
        ));
    }
    let target = args.stick.display().to_string();
    let path = StickPath::parse(&args.path);
    let content = session.look_into(&args.stick, |stick, _| {
        let content = stick.content(&path, session.common.bank)?;
        content.ok_or_else(|| {
            Error::from(Cause::NoSuchFile)
                .in_file(args.path.clone())
                .into()
        })
    });
    match content {
        Ok(content) => {
            if is_secret_path(&args.path) && std::io::stdout().is_terminal() {
                session
                    .ui
                    .warn(&format!("{} holds a secret of the host", args.path));
            }
            session
                .ui
                .file(&content)
                .map_err(|error| Failure::io(format!("cannot write: {error}")))?;
            Ok(Exit::Done)
        }
        Err(failure) => {
            failure.show(&session.ui, json::LS, &target);
            Ok(failure.exit())
        }
    }
}
