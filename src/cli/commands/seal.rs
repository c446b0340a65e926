//! `bootbank seal`: remove what identifies a host, so that its image can be cloned.

use crate::cli::change::{ChangeArgs, Job};
use crate::cli::report::{Exit, Failure};
use crate::cli::session::{Run, Schema, Session, TargetArgs, changes_many};
use crate::diagnosis::Work;
use crate::edit::Edit;
use crate::edit::seal::SealOperation;
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

const SCHEMA: &str = "bootbank.operations/1";

/// Remove what identifies a host from an image, before the image is cloned
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank seal --list-operations
  bootbank seal -n --diff golden.img
  bootbank seal --with licence --without host-name -o sealed.img golden.img")]
#[command(mut_arg("sticks", |sticks| sticks.required_unless_present("list_operations")))]
pub struct Seal {
    #[command(flatten)]
    targets: TargetArgs,
    /// List every operation: what it removes, and what the host does at its next boot
    #[arg(long)]
    list_operations: bool,
    /// Do only these operations
    #[arg(
        long,
        value_name = "NAME,...",
        value_delimiter = ',',
        conflicts_with = "with"
    )]
    only: Vec<String>,
    /// Do these in addition to the ones that are on by default
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    with: Vec<String>,
    /// Leave these out
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    without: Vec<String>,
    #[command(flatten)]
    change: ChangeArgs,
}

/// `bootbank seal --list-operations`
#[derive(JsonSchema, Serialize)]
struct Operations {
    schema: &'static str,
    /// Empty: the operations are the same for every target.
    target: &'static str,
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

impl Run for Seal {
    changes_many!();

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        if self.list_operations {
            list(session);
            return Ok(Exit::Done);
        }
        let targets = &self.targets.sticks;
        let work = Work::edits(vec![Edit::Seal(operations(self)?)]);
        let job = Job::new(session, &self.change, targets)?
            .asking(self.only.is_empty())
            .explaining(LEFT);
        Ok(job.run(work))
    }

    fn schemas() -> Vec<Schema> {
        vec![Schema::of::<Operations>("operations")]
    }
}

/// The operations meant, in the order they are done.
fn operations(args: &Seal) -> Result<Vec<SealOperation>, Failure> {
    let parse = |names: &[String]| -> Result<Vec<SealOperation>, Failure> {
        let named = |name: &String| {
            SealOperation::named(name).ok_or_else(|| {
                Failure::usage(format!("there is no operation `{name}`"))
                    .hint("`bootbank seal --list-operations` lists every operation")
            })
        };
        names.iter().map(named).collect()
    };
    let (only, with, without) = (
        parse(&args.only)?,
        parse(&args.with)?,
        parse(&args.without)?,
    );
    let is_meant = |operation: &SealOperation| {
        let wanted = if only.is_empty() {
            operation.about().default || with.contains(operation)
        } else {
            only.contains(operation)
        };
        wanted && !without.contains(operation)
    };
    let meant: Vec<SealOperation> = SealOperation::ALL.into_iter().filter(is_meant).collect();
    if meant.is_empty() {
        return Err(Failure::usage("no operation is left to do"));
    }
    Ok(meant)
}

fn list(session: &Session) {
    let mut text = String::new();
    for operation in SealOperation::ALL {
        let about = operation.about();
        let default = if about.default { "on" } else { "off" };
        text.push_str(&format!(
            "{} ({default})\n  removes        {}\n  to 7.0 U1      {}\n  from 7.0 U2    {}\n",
            about.name, about.removes, about.esx_conf, about.config_store
        ));
    }
    session.ui.text(&text);
    let operations = SealOperation::ALL.map(|operation| {
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
        target: "",
        operations: operations.into(),
    });
}

/// What sealing leaves, and where what it removed still is.
const LEFT: &str = "Accounts, their passwords and the SSH keys that may log in, static addresses and datastores stay as they are. Any undo file holds what was removed: \
         do not pass it on with the image. Free sectors of the image may still hold it too, even in a copy made with -o FILE.";
