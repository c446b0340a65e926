//! `bootbank verify`: every layer checked, from the partition table to the last member of the
//! archive.

use crate::cli::report::{Exit, Failure, end_in_words, name_to_cure};
use crate::cli::session::{Answer, Run, Schema, Session, TargetArgs, look_at_each, looks_at_many};
use crate::cli::terminal::shown;
use crate::diagnosis::{self, CheckOptions, ContentCheck, Severity, check_by, check_state_file};
use crate::error::ErrorKind;
use crate::medium::CachedReads;
use crate::target::Kind;
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use std::path::Path;

const SCHEMA: &str = "bootbank.verify/1";

/// Check every layer, from the partition table to the last file of the state
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank verify stick.img
  bootbank verify --quick stick.img          without reading the modules
  bootbank verify -q images/*.img            only what is wrong

Of what runs before the loader chooses a bank, only the presence is checked: code in the first sector \
for a BIOS, a program in the EFI system partition for UEFI firmware. What they do is not.")]
pub struct Verify {
    #[command(flatten)]
    targets: TargetArgs,
    /// Leave the content of modules out: much faster, and damage inside a module is not seen
    #[arg(long)]
    quick: bool,
}

/// `bootbank verify`
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Verified {
    schema: &'static str,
    target: String,
    ok: bool,
    findings: Vec<Finding>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Finding {
    severity: &'static str,
    layer: &'static str,
    partition: Option<u32>,
    message: String,
}

impl Run for Verify {
    looks_at_many!();

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        session.common.check_for_verify()?;
        Ok(look_at_each(session, &self.targets, |path| {
            session.show(path, SCHEMA, verify(session, path, self.quick))
        }))
    }

    fn schemas() -> Vec<Schema> {
        vec![Schema::answer::<Verified>("verify")]
    }
}

fn verify(session: &Session, path: &Path, quick: bool) -> Result<Answer<Verified>, Failure> {
    let kind = Kind::of(path, &session.host)?;
    if kind == Kind::State {
        let file = session.read_state_file(path)?;
        let key_store = session.key_store_for(path, file.bytes())?;
        let settings = session.settings(None);
        let findings = check_state_file(file.bytes(), key_store.as_deref(), &settings);
        return Ok(answer((path, kind), &findings, session.ui.is_quiet()));
    }
    let target = session.open_source(path)?;
    let medium = CachedReads::new(&target);
    let settings = session.settings(target.logical_sector_size());
    let progress = |done, total| session.ui.part_done(done, total);
    let contents = ContentCheck {
        medium: &target,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        progress: &progress,
    };
    let options = CheckOptions {
        banks: session.common.bank,
        contents: (!quick).then_some(contents),
    };
    let table = session.common.look.table;
    let findings = check_by(&medium, &settings, options, table);
    session.ui.end_bytes();
    Ok(answer((path, kind), &findings, session.ui.is_quiet()))
}

fn answer(
    (path, kind): (&Path, Kind),
    findings: &[diagnosis::Finding],
    quiet: bool,
) -> Answer<Verified> {
    let exit = exit_of(findings);
    let name = path.display().to_string();
    let verdict = match worst(findings) {
        None => "sound",
        Some(ErrorKind::Io) => "cannot be read",
        Some(ErrorKind::Damaged) => "damaged",
        Some(ErrorKind::Unsupported) => "not understood",
        Some(ErrorKind::Refused | ErrorKind::Usage) => "not fully checked",
    };
    let target = name_to_cure(path, Some(kind));
    let told = findings.iter().map(|finding| object(finding, &target));
    let told: Vec<Finding> = told.collect();
    let wrong = |it: &&Finding| !quiet || it.severity != Severity::Note.as_str();
    let lines: String = told.iter().filter(wrong).map(in_words).collect();
    Answer {
        text: if quiet && lines.is_empty() {
            String::new()
        } else {
            format!("{}: {verdict}\n{lines}", shown(&name))
        },
        as_it_is: None,
        object: Verified {
            schema: SCHEMA,
            target: name,
            ok: exit == Exit::Done,
            findings: told,
        },
        exit,
        damage: Vec::new(),
        gate: None,
    }
}

/// The worst of the errors found: a medium that cannot be read before damage, damage before what is
/// only refused, a limit for instance.
fn worst(findings: &[diagnosis::Finding]) -> Option<ErrorKind> {
    use ErrorKind::{Damaged, Io, Refused, Unsupported, Usage};
    let met = |kind: &ErrorKind| findings.iter().any(|it| it.kind == Some(*kind));
    let kinds = [Io, Damaged, Unsupported, Refused, Usage];
    kinds.into_iter().find(met)
}

/// Errors are what this command is there to find, whatever else they are.
fn exit_of(findings: &[diagnosis::Finding]) -> Exit {
    match worst(findings) {
        None => Exit::Done,
        Some(kind @ (ErrorKind::Io | ErrorKind::Usage)) => kind.into(),
        Some(_) => Exit::Damaged,
    }
}

/// What was found, and what puts it right.
fn object(finding: &diagnosis::Finding, target: &str) -> Finding {
    let cure = finding.cure.as_ref();
    let cure = cure.map(|cure| end_in_words(cure, target));
    Finding {
        severity: finding.severity.as_str(),
        layer: finding.layer,
        partition: finding.partition,
        message: format!("{}{}", finding.cause, cure.unwrap_or_default()),
    }
}

fn in_words(finding: &Finding) -> String {
    let place = match finding.partition {
        Some(partition) => format!("partition {partition}: "),
        None => String::new(),
    };
    format!(
        "  {} [{}] {place}{}\n",
        finding.severity,
        finding.layer,
        shown(&finding.message)
    )
}
