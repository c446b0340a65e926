//! `bootbank state`: the state as one file, out and in.

use super::args::StateCommand;
use super::change::{Job, Work};
use super::exit::Exit;
use super::files::write_file;
use super::input;
use super::json::ErrorObject;
use super::look;
use super::options::Change;
use super::report::Failure;
use super::session::Session;
use super::source;
use crate::state::{Form, Limits, State, state_in};
use schemars::JsonSchema;
use serde::Serialize;
use std::path::Path;

const SCHEMA: &str = "bootbank.state/1";
const STATE: &str = "state.tgz";

#[derive(JsonSchema, Serialize)]
pub struct Exported {
    schema: &'static str,
    target: String,
    partition: Option<u32>,
    output: String,
    form: &'static str,
    size: usize,
}

#[derive(Serialize)]
struct Failed {
    schema: &'static str,
    target: String,
    error: ErrorObject,
}

/// # Errors
/// Arguments that cannot be meant; the rest is reported as of the target.
pub fn run(session: &Session, command: &StateCommand) -> Result<Exit, Failure> {
    match command {
        StateCommand::Export { stick, file, force } => Ok(export(session, stick, file, *force)),
        StateCommand::Import {
            stick,
            file,
            change,
        } => {
            if source::state_file(stick)?.is_some() {
                return Err(Failure::usage(format!(
                    "{} is a state itself; a state is imported into a stick or an image",
                    stick.display()
                )));
            }
            let work = Work::Import(imported(session, file)?);
            let job = Job::new(session, Change::new(change, 1)?);
            Ok(job.run(std::slice::from_ref(stick), &work))
        }
    }
}

/// The state in a file, opened once so that what is wrong with it is said of the file.
fn imported(session: &Session, file: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = input::bytes(file)?;
    let limits = Limits {
        max_unpacked: session.common.max_unpacked,
    };
    let inside = |error: crate::state::StateError| {
        Failure::new(error.kind(), format!("{}: {error}", file.display())).path(file)
    };
    let (name, state) = state_in(&bytes, &limits).map_err(inside)?;
    if name != STATE {
        return Err(Failure::usage(format!(
            "{} is a bare {name}, which only hosts of 4.x keep; a state.tgz or configBundle.tgz is imported",
            file.display()
        )));
    }
    State::open(name, &state, &limits, &session.keys).map_err(inside)?;
    Ok(state.into_owned())
}

fn export(session: &Session, stick: &Path, file: &Path, force: bool) -> Exit {
    let target = stick.display().to_string();
    let exported = find(session, stick).and_then(|(partition, form, content)| {
        write_file(session, stick, file, force, &content)?;
        Ok(Exported {
            schema: SCHEMA,
            target: target.clone(),
            partition,
            output: file.display().to_string(),
            form: form.as_str(),
            size: content.len(),
        })
    });
    match exported {
        Ok(object) => {
            session.ui.say(&format!(
                "{target}: {} bytes, {}, written to {}",
                object.size, object.form, object.output
            ));
            session.ui.json(&object);
            Exit::Done
        }
        Err(failure) => {
            failure.say(&session.ui, &target);
            session.ui.json(&Failed {
                schema: SCHEMA,
                target,
                error: failure.object(),
            });
            failure.exit()
        }
    }
}

/// The state of a stick or in a file, every layer of it verified. A sealed one can be kept too.
fn find(session: &Session, stick: &Path) -> Result<(Option<u32>, Form, Vec<u8>), Failure> {
    if let Some(bytes) = source::state_file(stick)? {
        let state = source::open(session, &bytes)?;
        return Ok((None, state.form(), state.as_bytes().to_vec()));
    }
    session.look_into(stick, |opened, _| {
        let (partition, state) = look::state(session, opened)?;
        Ok((Some(partition), state.form(), state.as_bytes().to_vec()))
    })
}
