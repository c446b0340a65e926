//! `bootbank verify`: every layer checked, from the partition table to the last member of the
//! archive.

use super::args::SticksArgs;
use super::batch::look_at_each;
use super::exit::Exit;
use super::json;
use super::report::Failure;
use super::session::Session;
use super::ui::shown;
use crate::error::ErrorKind;
use crate::stick::Finding;
use std::path::Path;

/// Checks each target.
///
/// # Errors
/// A list of targets that cannot be read.
pub fn run(session: &Session, args: &SticksArgs) -> Result<Exit, Failure> {
    look_at_each(session, &args.targets, |stick| check(session, stick))
}

fn check(session: &Session, path: &Path) -> Exit {
    let name = path.display().to_string();
    let target = match crate::medium::Target::open_read(path, &session.host) {
        Ok(target) => target,
        Err(error) => {
            let failure = Failure::from(error);
            failure.show(&session.ui, json::VERIFY, &name);
            return failure.exit();
        }
    };
    let medium = crate::medium::CachedReads::new(&target);
    let settings = session.settings(target.logical_sector_size());
    let findings = crate::stick::check(&medium, settings, session.common.bank);
    let exit = exit_of(&findings);
    let ok = exit == Exit::Done;
    let mut text = String::new();
    for finding in &findings {
        text.push_str(&in_words(finding));
    }
    let verdict = match worst(&findings) {
        None => "sound",
        Some(ErrorKind::Io) => "cannot be read",
        Some(ErrorKind::Damaged) => "damaged",
        Some(ErrorKind::Unsupported) => "not understood",
        Some(ErrorKind::Refused | ErrorKind::Usage) => "not checked to the end",
    };
    session.ui.text(&format!("{name}: {verdict}\n{text}"));
    session.ui.json(&json::Verify {
        schema: json::VERIFY,
        target: name,
        ok,
        findings: findings.iter().map(object).collect(),
    });
    exit
}

/// The worst of the errors found: a medium that cannot be read before damage, damage before what is
/// only refused, a limit for instance.
fn worst(findings: &[Finding]) -> Option<ErrorKind> {
    use ErrorKind::{Damaged, Io, Refused, Unsupported, Usage};
    let met = |kind: &ErrorKind| findings.iter().any(|it| it.kind == Some(*kind));
    let kinds = [Io, Damaged, Unsupported, Refused, Usage];
    kinds.into_iter().find(met)
}

/// Errors are what this command is there to find, whatever else they are.
fn exit_of(findings: &[Finding]) -> Exit {
    match worst(findings) {
        None => Exit::Done,
        Some(kind @ (ErrorKind::Io | ErrorKind::Usage)) => kind.into(),
        Some(_) => Exit::Damaged,
    }
}

fn object(finding: &Finding) -> json::Finding {
    json::Finding {
        severity: finding.severity.as_str(),
        layer: finding.layer,
        partition: finding.partition,
        message: finding.message.clone(),
    }
}

fn in_words(finding: &Finding) -> String {
    let place = match finding.partition {
        Some(partition) => format!("partition {partition}: "),
        None => String::new(),
    };
    format!(
        "  {} [{}] {place}{}\n",
        finding.severity.as_str(),
        finding.layer,
        shown(&finding.message)
    )
}
