//! `bootbank verify`: every layer checked, from the partition table to the last member of the
//! archive.

use super::args::SticksArgs;
use super::batch::look_at_each;
use super::exit::Exit;
use super::json;
use super::report::Failure;
use super::session::Session;
use super::ui::shown;
use crate::stick::{Finding, Severity};
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
    let findings = crate::stick::check(&medium, settings);
    let ok = findings
        .iter()
        .all(|finding| finding.severity != Severity::Error);
    let mut text = String::new();
    for finding in &findings {
        text.push_str(&in_words(finding));
    }
    let verdict = if ok { "sound" } else { "damaged" };
    session.ui.text(&format!("{name}: {verdict}\n{text}"));
    session.ui.json(&json::Verify {
        schema: json::VERIFY,
        target: name,
        ok,
        findings: findings.iter().map(object).collect(),
    });
    let io = findings.iter().any(|finding| finding.is_io);
    match (ok, io) {
        (true, _) => Exit::Done,
        (false, true) => Exit::Io,
        (false, false) => Exit::Damaged,
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
