//! `bootbank state`: the state as one file, out and in.

use crate::cli::change::{ChangeArgs, Closing, Job};
use crate::cli::process::{self, Needs};
use crate::cli::report::{Exit, Failure};
use crate::cli::session::{
    Answer, FILE_MODE, Run, Schema, Session, bank_number, changes_one, command_list, write_file,
};
use crate::cli::terminal::size;
use crate::diagnosis::Work;
use crate::state::gzip::GzipError;
use crate::state::{Form, Saved, SavedAs, StateError, StateFault};
use crate::stick::{self, Error};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use std::path::{Path, PathBuf};

const SCHEMA: &str = "bootbank.state/1";

command_list! {
    /// Export the state of a bank to a file, or import one
    State {
        "export" => Export(Export),
        "import" => Import(Import),
        "copy" => Copy(Copy),
        "reset" => Reset(Reset),
    }
}

/// Put the state of one bank into another bank of the same medium
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank state copy 6 5 stick.img          bank 5 gets the state of bank 6
  bootbank state copy 6 5 -n stick.img")]
pub struct Copy {
    /// Number of the partition that holds the state
    #[arg(value_parser = bank_number)]
    from: u32,
    /// Number of the partition that gets it; the state there may be damaged or missing
    #[arg(value_parser = bank_number)]
    to: u32,
    /// Image file or block device
    stick: PathBuf,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Give a bank an empty state: the host starts with default settings
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank state reset 5 stick.img

The root password, the network and everything else are as after an installation. Releases from 7.0 U2 \
on are refused: what an empty state of theirs looks like is not known.")]
pub struct Reset {
    /// Number of the bank's partition
    #[arg(value_name = "N", value_parser = bank_number)]
    number: u32,
    /// Image file or block device
    stick: PathBuf,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Run for Copy {
    changes_one!();

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        session.common.check_without_bank()?;
        let work = Work::CopyState {
            from: self.from,
            to: self.to,
        };
        let job = Job::new(session, &self.change, std::slice::from_ref(&self.stick))?
            .closing(Closing::Always);
        Ok(job.run(work))
    }
}

impl Run for Reset {
    changes_one!();

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        session.common.check_without_bank()?;
        let work = Work::ResetState {
            partition: self.number,
        };
        let job = Job::new(session, &self.change, std::slice::from_ref(&self.stick))?
            .asking(true)
            .closing(Closing::Always);
        Ok(job.run(work))
    }
}

/// Copy the state to one file, after checking every layer of it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank state export stick.img state.tgz
  bootbank state export --bank 6 stick.img - | ssh host 'cat > state.tgz'")]
pub struct Export {
    /// Image file, block device or state file
    stick: PathBuf,
    /// The file to write; - is standard output
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    /// Overwrite an existing file
    #[arg(long)]
    force: bool,
}

/// Replace the states of the banks, or that in a state file, with this one, which must be of the same
/// generation of ESXi and is checked first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank state import stick.img state.tgz
  bootbank state import -n stick.img configBundle.tgz
  bootbank state import configBundle.tgz state.tgz        the bundle gets this state")]
pub struct Import {
    /// Image file, block device or state file
    stick: PathBuf,
    /// A state.tgz, local.tgz or configBundle.tgz; - is standard input
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    #[command(flatten)]
    change: ChangeArgs,
}

/// `bootbank state export`
#[derive(JsonSchema, Serialize)]
struct Exported {
    schema: &'static str,
    target: String,
    partition: Option<u32>,
    output: String,
    form: &'static str,
    size: usize,
}

impl Run for Export {
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
        let exported = export(session, self);
        Ok(session.show(&self.stick, SCHEMA, exported))
    }

    fn schemas() -> Vec<Schema> {
        vec![Schema::answer::<Exported>("state")]
    }
}

impl Run for Import {
    fn first_target(&self) -> Option<&Path> {
        Some(&self.stick)
    }

    fn needs(&self) -> Needs {
        self.change
            .needs(std::slice::from_ref(&self.stick))
            .reading(&self.file)
    }

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        let work = Work::Import(imported(session, &self.file)?);
        let job = Job::new(session, &self.change, std::slice::from_ref(&self.stick))?
            .closing(Closing::Always);
        Ok(job.run(work))
    }
}

/// What is imported.
const OF_A_STATE: &str = "name a state.tgz, local.tgz or configBundle.tgz; `bootbank state copy FROM TO STICK` takes the state of \
                          another bank of the same medium";

/// The state in a file, opened once so that what is wrong with it is said of the file.
fn imported(session: &Session, file: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = process::bytes(file)?;
    let limits = &session.common.limits;
    let name = file.display();
    let inside = |error: StateError| match &error.fault {
        StateFault::NoKeyBeside => Failure::usage(format!(
            "{name} is a bare {}; import the state.tgz that holds it and its key",
            SavedAs::Encrypted.as_str()
        )),
        StateFault::Gzip(GzipError::NotGzip { found }) if bytes.starts_with(found) => {
            let text = format!("{name} is no state file: {}", error.fault);
            let failure = Failure::new(error.kind(), text).path(file);
            failure.hint(OF_A_STATE)
        }
        _ => Failure::new(error.kind(), format!("{name}: {error}")).path(file),
    };
    let saved = Saved::open(&bytes, None, limits, &session.keys).map_err(inside)?;
    Ok(saved.state().as_bytes().to_vec())
}

fn export(session: &Session, args: &Export) -> Result<Answer<Exported>, Failure> {
    let (partition, form, content, damage) = find(session, &args.stick)?;
    write_file(
        session,
        &args.stick,
        &args.file,
        args.force,
        ("state.tgz", &content),
    )?;
    let object = Exported {
        schema: SCHEMA,
        target: args.stick.display().to_string(),
        partition,
        output: args.file.display().to_string(),
        form: form.as_str(),
        size: content.len(),
    };
    session.ui.say(&format!(
        "{}: {} state of {} written to {}",
        object.target,
        object.form,
        size(content.len() as u64),
        object.output
    ));
    Ok(Answer::new(String::new(), object).with_damage(damage))
}

/// Where a state is from, its form, its bytes, and what of it is not whole.
type Found = (Option<u32>, Form, Vec<u8>, Vec<Error>);

/// The state of a stick or in a file, every layer of it verified. A sealed one can be kept too, and
/// with `--rescue` one that is damaged, as it is.
fn find(session: &Session, stick: &Path) -> Result<Found, Failure> {
    session.look_into(stick, |opened, _| {
        let (partition, state) = opened.state(session.common.bank)?;
        let mut damage = opened.damage();
        let configuration = stick::Path::State(String::new());
        damage.extend(opened.stood_in(&configuration, session.common.bank));
        damage.extend(state.damage(partition));
        let bytes = state.as_bytes().to_vec();
        Ok((partition, state.form(), bytes, damage))
    })
}
