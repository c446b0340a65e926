//! What `bootbank info` found, for a person.

use super::{Bank, Found, Host, State, StateFile};
use crate::cli::change::next_boot;
use crate::cli::report::{list_in_words, standing_in_words, whose_in_words};
use crate::cli::terminal::{
    ERROR, HEADING, WARNING, plural, quoted_path, shown, size, styled, table,
};
use crate::diagnosis::{BankSurvey, Situation, Standing, Survey};
use crate::host::WriteCache;
use crate::state::Form;
use crate::target::Kind;
use std::fmt::Write as _;
use std::path::Path;

/// What the words say besides the object.
pub(super) struct Words<'f> {
    pub(super) found: &'f Found,
    pub(super) survey: &'f Survey,
    pub(super) kind: Kind,
    /// Whether the bank that boots next is among those shown.
    pub(super) shows_next: bool,
    pub(super) write_cache: Option<WriteCache>,
    pub(super) is_verbose: bool,
    pub(super) situation: &'f Situation<'f>,
    /// Whether the medium is a disk, which hangs on a device of this machine.
    pub(super) is_disk: bool,
}

/// `x.tgz: state file (state.tgz), 30 KiB, of ESXi 6.7.0`, and what is in it.
pub(super) fn state_file_in_words(target: &str, state: &StateFile) -> String {
    let saved_as = match state.saved_as {
        Some(name) => format!(" ({name})"),
        None => String::new(),
    };
    let release = match &state.release {
        Some(release) => format!("of ESXi {}", shown(release)),
        None => "of an unknown release".to_owned(),
    };
    let content = &state.content;
    format!(
        "{}: state file{saved_as}, {}, {release}\n  {}\n{}",
        shown(target),
        size(content.size),
        form_in_words(content, None),
        about_state(content)
    )
}

pub(super) fn in_words(words: &Words<'_>) -> String {
    let found = words.found;
    let packed = match words.kind {
        Kind::Packed(content) => format!(", {content}"),
        _ => String::new(),
    };
    let mut text = format!(
        "{}: {}{packed}, {} table, {}-byte sectors\n",
        shown(&found.target),
        size(found.size),
        found.table.unwrap_or_default().to_uppercase(),
        found.sector_size.unwrap_or_default()
    );
    if let (Some(cache), true) = (words.write_cache, words.is_verbose) {
        let _ = writeln!(text, "  {}", flush_in_words(cache));
    }
    text.push_str(&partitions_in_words(found, words.is_verbose));
    for bank in &found.banks {
        let surveyed = words.survey.banks.iter();
        let mut surveyed = surveyed.filter(|it| it.partition == bank.partition);
        let filled = surveyed.find_map(BankSurvey::filled_state);
        let filled = filled.map(|state| state.file.as_str());
        text.push_str(&bank_in_words(bank, filled, words.is_verbose));
    }
    text.push_str(&outlook_in_words(words));
    if words.is_disk || words.is_verbose || words.situation.whose.is_this_machine() {
        let _ = writeln!(
            text,
            "{}.",
            shown(&sentence(&whose_in_words(&words.situation.whose)))
        );
    }
    for warning in &found.warnings {
        let _ = writeln!(text, "{} {}", styled("warning:", WARNING), shown(warning));
    }
    text
}

/// What the next boot comes to, what is passed through, and what to do about it.
fn outlook_in_words(words: &Words<'_>) -> String {
    let target = Path::new(&words.found.target);
    let mut text = String::new();
    let survey = words.survey;
    if !survey.next_boot.boots() {
        let next = next_boot(&survey.next_boot, None, survey.cure.as_ref(), target);
        let _ = writeln!(text, "{}", styled(&next, ERROR));
    }
    match survey.standing() {
        _ if !words.shows_next => {}
        // A host that does not start shows no symptoms of anything else.
        Standing::Read { passed_through, .. } if !survey.next_boot.boots() => {
            text.push_str(&list_in_words(&passed_through));
        }
        _ if !survey.next_boot.boots() => {}
        _ => {
            let target = quoted_path(target);
            // What is packed is not changed in place.
            let changed = match words.kind {
                Kind::Packed(_) => format!("-o FILE {target}"),
                _ => target.clone(),
            };
            let names = (target.as_str(), changed.as_str());
            text.push_str(&standing_in_words(survey, names, words.situation));
        }
    }
    text
}

fn flush_in_words(cache: WriteCache) -> &'static str {
    match cache {
        WriteCache::WriteBack => "write cache: write back; a sync sends a flush",
        WriteCache::WriteThrough => {
            "write cache: write through; a sync sends no flush. If that is wrong, a power cut can lose data \
             that the device has acknowledged: keep the undo file"
        }
    }
}

/// How many sectors an entry claims, whatever it says.
fn count(first: u64, last: u64) -> u64 {
    let behind_first = last.checked_sub(first);
    behind_first.map_or(0, |count| count.saturating_add(1))
}

fn partitions_in_words(found: &Found, is_verbose: bool) -> String {
    let mut heading = vec!["  partition", "holds", "size", "name"];
    if is_verbose {
        heading.extend(["sectors", "type"]);
    }
    let mut rows = vec![heading.into_iter().map(str::to_owned).collect()];
    for partition in &found.partitions {
        let sectors = count(partition.first_lba, partition.last_lba);
        let mut row = vec![
            format!("  {}", partition.number),
            partition.kind.to_owned(),
            size(sectors.saturating_mul(u64::from(found.sector_size.unwrap_or_default()))),
            shown(&partition.name),
        ];
        if is_verbose {
            row.push(format!("{}-{}", partition.first_lba, partition.last_lba));
            row.push(partition.type_id.clone());
        }
        rows.push(row);
    }
    table(&rows)
}

/// `filled` is the file that its host has its settings from.
fn bank_in_words(bank: &Bank, filled: Option<&str>, is_verbose: bool) -> String {
    let partition = bank.partition;
    if let Some(error) = &bank.error {
        let why = shown(error.in_bank());
        let next = if bank.boots_next {
            format!("{}, ", styled("boots next", HEADING))
        } else {
            String::new()
        };
        return format!(
            "bank on partition {partition}: {next}{}: {why}\n",
            styled("cannot be opened", ERROR)
        );
    }
    let next = match (&bank.why_not, bank.boots_next) {
        (_, true) => styled("boots next", HEADING),
        (Some(why), false) => format!("does not boot next: {}", shown(why)),
        (None, false) => "does not boot next".to_owned(),
    };
    let build = bank.build.as_deref();
    let build = build.map_or("no build".to_owned(), |build| {
        format!("build {}", shown(build))
    });
    let mut text = format!("bank on partition {partition}: {build}; {next}\n");
    if is_verbose && let Some(uuid) = &bank.uuid {
        let _ = writeln!(text, "  uuid {uuid}");
    }
    if bank.lacks_state {
        text.push_str("  no state, though modules= lists one\n");
    } else if bank.states.is_empty() {
        text.push_str("  no state (normal for the second bank of a fresh install)\n");
    }
    for state in &bank.states {
        let loaded = match state.listed_in_modules {
            Some(true) | None => "",
            Some(false) => "; the host does not load it: modules= in boot.cfg does not list it",
        };
        let _ = writeln!(
            text,
            "  {}: {}, {}{loaded}",
            state.file,
            size(state.size),
            form_in_words(state, filled)
        );
        text.push_str(&about_state(state));
    }
    text
}

/// Whose state it is, and what is known of a sealed one.
fn about_state(state: &State) -> String {
    let host = state.host.as_ref().and_then(host_in_words);
    let known = state.outside.iter().map(|known| shown(known));
    let lines = host.into_iter().chain(known);
    lines.map(|line| format!("    {line}\n")).collect()
}

/// Whose state it is: `host esx7.lab, UUID 5d5f..., address 192.0.2.7`.
fn host_in_words(host: &Host) -> Option<String> {
    let mut parts = Vec::new();
    parts.extend(host.name.as_deref().map(shown));
    let uuid = host.system_uuid.as_deref();
    parts.extend(uuid.map(|uuid| format!("UUID {}", shown(uuid))));
    if !host.addresses.is_empty() {
        let addresses = shown(&host.addresses.join(", "));
        parts.push(match host.addresses.len() {
            1 => format!("address {addresses}"),
            _ => format!("addresses {addresses}"),
        });
    }
    (!parts.is_empty()).then(|| format!("host {}", parts.join(", ")))
}

/// In which form it is, and what it holds; `filled` is the file that the host has its settings from.
fn form_in_words(state: &State, filled: Option<&str>) -> String {
    let passed = match state.passed_through {
        Some(_) if state.empty => match filled {
            Some(filled) => format!(
                ", empty: the host takes its settings from {}",
                shown(filled)
            ),
            None => ", empty: the host starts with default settings".to_owned(),
        },
        Some(0) => ", no device passed through".to_owned(),
        Some(count) => {
            let devices = format!("{count} device{} passed through", plural(count));
            format!(", {}", styled(&devices, WARNING))
        }
        None => String::new(),
    };
    match (state.form, &state.seal, &state.error) {
        (Some(Form::Sealed), Some(mode), None) if state.host.is_some() => {
            format!(
                "sealed (mode {}), opened with the recovery key{passed}",
                shown(mode)
            )
        }
        (Some(Form::Sealed), Some(mode), None) => {
            let holder = match state.listed_in_modules {
                Some(_) => "on this medium",
                None => "in this file",
            };
            format!(
                "sealed (mode {}): the key is not {holder}, so bootbank cannot show or change what is inside",
                shown(mode)
            )
        }
        (Some(Form::Encrypted), _, None) => {
            let key = match state.listed_in_modules {
                Some(_) => "key on this medium",
                None => "opened with its key",
            };
            format!("encrypted, {key}{passed}")
        }
        (Some(form), _, None) => format!("{form}{passed}"),
        (Some(form), _, Some(error)) if state.passed_through.is_some() => {
            let why = shown(error.in_file());
            format!("{form}{passed} in what is left of it: {why}")
        }
        (Some(form), _, Some(error)) => {
            let why = shown(error.in_file());
            format!("{form}, but not understood: {why}")
        }
        (None, _, Some(error)) => {
            let why = shown(error.in_file());
            format!("cannot be opened: {why}")
        }
        (None, _, None) => "unknown".to_owned(),
    }
}

/// With a capital letter in front.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn an_entry_may_claim_any_sectors() {
        for (first, last, sectors) in [
            (34, 2047, 2014),
            (7, 7, 1),
            (5000, 4000, 0),
            (0, u64::MAX, u64::MAX),
            (40_000, u64::MAX, u64::MAX - 39_999),
        ] {
            assert_eq!(count(first, last), sectors);
        }
    }
}
