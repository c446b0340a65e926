//! `bootbank seal`: make an image nobody's, so that it can be cloned.

use super::args::SealArgs;
use super::change::{Job, Work};
use super::exit::Exit;
use super::options::Change;
use super::report::Failure;
use super::session::Session;
use crate::edit::Edit;
use crate::edit::seal::Operation;
use crate::stick::Plan;
use schemars::JsonSchema;
use serde::Serialize;

const SCHEMA: &str = "bootbank.operations/1";

#[derive(JsonSchema, Serialize)]
pub struct Operations {
    schema: &'static str,
    operations: Vec<Listed>,
}

#[derive(JsonSchema, Serialize)]
struct Listed {
    name: &'static str,
    default: bool,
    removes: &'static str,
    esx_conf: &'static str,
    config_store: &'static str,
}

/// # Errors
/// Arguments that cannot be meant; the rest is reported target by target.
pub fn run(session: &Session, args: &SealArgs) -> Result<Exit, Failure> {
    if args.list_operations {
        list(session);
        return Ok(Exit::Done);
    }
    let operations = operations(args)?;
    let work = Work::edits(vec![Edit::Seal(operations)]);
    let job = Job::new(session, Change::new(&args.change, args.sticks.len())?)
        .asking(args.only.is_empty())
        .explaining(explain);
    Ok(job.run(&args.sticks, &work))
}

/// The operations meant, in the order they are done.
fn operations(args: &SealArgs) -> Result<Vec<Operation>, Failure> {
    let parse = |names: &[String]| -> Result<Vec<Operation>, Failure> {
        let named = |name: &String| {
            Operation::named(name).ok_or_else(|| {
                Failure::usage(format!("`{name}` is no operation"))
                    .hint("`bootbank seal --list-operations` shows every one")
            })
        };
        names.iter().map(named).collect()
    };
    let (only, with, without) = (
        parse(&args.only)?,
        parse(&args.with)?,
        parse(&args.without)?,
    );
    let is_meant = |operation: &Operation| {
        let wanted = if only.is_empty() {
            operation.about().default || with.contains(operation)
        } else {
            only.contains(operation)
        };
        wanted && !without.contains(operation)
    };
    let meant: Vec<Operation> = Operation::ALL.into_iter().filter(is_meant).collect();
    if meant.is_empty() {
        return Err(Failure::usage("no operation is left to be done"));
    }
    Ok(meant)
}

fn list(session: &Session) {
    let mut text = String::new();
    for operation in Operation::ALL {
        let about = operation.about();
        let default = if about.default { "on" } else { "off" };
        text.push_str(&format!(
            "{} ({default})\n  removes      {}\n  to 7.0 U1    {}\n  from 7.0 U2  {}\n",
            about.name, about.removes, about.esx_conf, about.config_store
        ));
    }
    session.ui.text(&text);
    let operations = Operation::ALL.map(|operation| {
        let about = operation.about();
        Listed {
            name: about.name,
            default: about.default,
            removes: about.removes,
            esx_conf: about.esx_conf,
            config_store: about.config_store,
        }
    });
    session.ui.json(&Operations {
        schema: SCHEMA,
        operations: operations.into(),
    });
}

fn explain(_: &Plan) -> Option<String> {
    Some(
        "Accounts and their passwords, static addresses and datastores stay as they are. The undo file holds what was removed: \
         do not pass it on with the image. What was removed may still lie in free sectors of this image; -o FILE does not change that."
            .to_owned(),
    )
}
