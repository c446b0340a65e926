//! `bootbank info`: what is on a medium, and which bank boots next.

use super::scan::Scan;
use crate::cli::change::next_boot;
use crate::cli::process::Needs;
use crate::cli::report::{
    BelongsTo, ErrorObject, Exit, Failure, SymptomObject, list_in_words, passed_in_words,
    standing_in_words, whose_in_words,
};
use crate::cli::session::{Answer, MaybeTargets, Run, Schema, Session, TargetArgs, look_at_each};
use crate::cli::terminal::{
    ERROR, HEADING, WARNING, plural, quoted_path, shown, size, styled, table,
};
use crate::diagnosis::{BankSurvey, Situation, Standing, StateSurvey, Survey};
use crate::host::WriteCache;
use crate::medium::Target;
use crate::partition::TableChoice;
use crate::state::SavedAs;
use crate::stick::{NextBoot, Stick};
use crate::target::{Kind, Opened, SavedState};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::Path;

const SCHEMA: &str = "bootbank.info/1";

/// Show the partitions, the banks and their states, and which bank boots next
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank info stick.img
  bootbank info                              the same as `bootbank scan`
  bootbank info --json *.img | jq -r '.banks[] | select(.boots_next).build'")]
pub struct Info {
    #[command(flatten)]
    targets: MaybeTargets,
    /// What is done where no target is named.
    #[arg(skip)]
    scan: Option<Scan>,
}

/// `bootbank info`
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Found {
    schema: &'static str,
    target: String,
    /// What it is: `disk`, `image`, `packed-image` or `state-file`.
    kind: &'static str,
    size: u64,
    /// Nothing for a state file, here and with the table and the next boot.
    sector_size: Option<u32>,
    table: Option<&'static str>,
    partitions: Vec<Partition>,
    banks: Vec<Bank>,
    next_boot: Option<Next>,
    /// What a state file holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<StateFile>,
    /// Whose the medium is.
    belongs_to: BelongsTo,
    /// What the host shows while the devices of the bank that boots next are passed through.
    symptoms: Vec<SymptomObject>,
    /// How the device says it treats a flush; left out for image files.
    #[serde(skip_serializing_if = "Option::is_none")]
    write_cache: Option<&'static str>,
    warnings: Vec<String>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Partition {
    number: u32,
    #[serde(rename = "type")]
    type_id: String,
    name: String,
    first_lba: u64,
    last_lba: u64,
    kind: &'static str,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Bank {
    partition: u32,
    uuid: Option<String>,
    label: Option<String>,
    build: Option<String>,
    updated: Option<u32>,
    bootstate: Option<i32>,
    bootable: bool,
    boots_next: bool,
    why_not: Option<String>,
    states: Vec<State>,
    /// Why the bank cannot be opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorObject>,
}

/// A state that is a file of its own.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct StateFile {
    /// Which kind of file: `state.tgz`, `local.tgz`, `local.tgz.ve` or `configBundle.tgz`; nothing
    /// where damage hides it.
    saved_as: Option<&'static str>,
    /// The release of the host that wrote it, where it can be told.
    release: Option<String>,
    #[serde(flatten)]
    content: State,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct State {
    file: String,
    form: Option<&'static str>,
    /// Where the key of a sealed state is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    seal: Option<String>,
    /// Left out for a state file.
    #[serde(skip_serializing_if = "Option::is_none")]
    listed_in_modules: Option<bool>,
    size: u64,
    /// How many devices it passes through; left out if that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    passed_through: Option<usize>,
    /// Whose state it is; left out if it cannot be opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<Host>,
    /// What is known about a sealed state without its key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    outside: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorObject>,
}

/// What VMware's loader does at the next boot, by the presence and the sizes of what it loads.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Next {
    /// The bank it takes; nothing where it takes none, or that cannot be told.
    partition: Option<u32>,
    /// Whether the host starts; nothing where that cannot be told.
    starts: Option<bool>,
    /// What stops it, or why it cannot be told.
    reasons: Vec<String>,
}

/// What tells one host from another.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Host {
    name: Option<String>,
    /// Made when ESXi was installed; clones share it.
    system_uuid: Option<String>,
    addresses: Vec<String>,
}

/// What the words say besides the object.
struct Words<'f> {
    found: &'f Found,
    survey: &'f Survey,
    kind: Kind,
    /// Whether the bank that boots next is among those shown.
    shows_next: bool,
    write_cache: Option<WriteCache>,
    is_verbose: bool,
    situation: &'f Situation<'f>,
    /// Whether the medium is a disk, which hangs on a device of this machine.
    is_disk: bool,
}

impl Run for Info {
    fn targets_mut(&mut self) -> Option<&mut TargetArgs> {
        Some(&mut self.targets.0)
    }

    fn first_target(&self) -> Option<&Path> {
        self.targets.0.first()
    }

    fn prepare(&mut self) -> Result<(), Failure> {
        if self.targets.0.sticks.is_empty() {
            self.scan.insert(Scan::of_disks()).prepare()?;
        }
        Ok(())
    }

    fn only_looks(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        match &self.scan {
            Some(scan) => scan.needs(),
            None => Needs::to_read(&self.targets.0.sticks),
        }
    }

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        if let Some(scan) = &self.scan {
            return scan.run(session);
        }
        Ok(look_at_each(session, &self.targets.0, |path| {
            session.answer(path, SCHEMA, |opened, target| {
                let kind = Kind::of(path, &session.host)?;
                let situation = session.situation(opened, target);
                match opened {
                    Opened::Medium(stick) => {
                        answer(session, stick, path, kind, (target, &situation))
                    }
                    Opened::State(saved) => Ok(answer_of_state(saved, path, kind, &situation)),
                }
            })
        }))
    }

    fn schemas() -> Vec<Schema> {
        vec![Schema::answer::<Found>("info")]
    }
}

/// All there is; of the banks those that `--bank` chooses are shown.
fn answer(
    session: &Session,
    stick: &Stick<'_, '_>,
    path: &Path,
    kind: Kind,
    (target, situation): (Option<&Target>, &Situation<'_>),
) -> Result<Answer<Found>, Failure> {
    let write_cache = target.and_then(Target::write_cache);
    let chosen = stick.chosen(session.common.bank)?;
    let is_chosen = |bank: &&BankSurvey| chosen.iter().any(|slot| slot.partition == bank.partition);
    let survey = Survey::of(stick);
    let banks = survey.banks.iter().filter(is_chosen).map(bank_object);
    let table = stick.table();
    let partitions = table.partitions.iter().map(|partition| Partition {
        number: partition.number,
        type_id: partition.partition_type.to_string(),
        name: partition.name.clone(),
        first_lba: partition.first_lba.0,
        last_lba: partition.last_lba.0,
        kind: stick.kind_of(partition),
    });
    let symptoms = match survey.standing() {
        Standing::Read { passed_through, .. } => situation.consequences(&passed_through),
        _ => Vec::new(),
    };
    let found = Found {
        belongs_to: BelongsTo::from(&situation.whose),
        symptoms: symptoms.iter().map(SymptomObject::from).collect(),
        schema: SCHEMA,
        target: path.display().to_string(),
        kind: kind.word(),
        size: stick.medium().size(),
        sector_size: Some(table.sector_size),
        table: Some(table.kind.as_str()),
        partitions: partitions.collect(),
        banks: banks.collect(),
        next_boot: Some(next_object(&survey.next_boot)),
        state: None,
        write_cache: write_cache.map(WriteCache::as_str),
        warnings: survey.warnings.clone(),
    };
    let words = Words {
        found: &found,
        survey: &survey,
        // What is read by another table than the loader's does not boot, and is not to be fixed.
        shows_next: table.source == TableChoice::Loader
            && found.banks.iter().any(|bank| bank.boots_next),
        kind,
        write_cache,
        is_verbose: session.ui.is_verbose(),
        situation,
        is_disk: target.and_then(Target::device).is_some(),
    };
    Ok(Answer {
        text: in_words(&words),
        // What could not be read may be what boots next.
        exit: match survey.unread.is_empty() {
            true => Exit::Done,
            false => Exit::Io,
        },
        damage: Vec::new(),
        object: found,
        gate: None,
    })
}

/// What there is in a state that is a file of its own.
fn answer_of_state(
    saved: &SavedState<'_>,
    path: &Path,
    kind: Kind,
    situation: &Situation<'_>,
) -> Answer<Found> {
    let size = saved.size();
    let (survey, mut warnings) = StateSurvey::of_file(saved, size);
    warnings.extend(saved.manifest_warning());
    let found = Found {
        schema: SCHEMA,
        target: path.display().to_string(),
        kind: kind.word(),
        size,
        sector_size: None,
        table: None,
        partitions: Vec::new(),
        banks: Vec::new(),
        next_boot: None,
        belongs_to: BelongsTo::from(&situation.whose),
        symptoms: Vec::new(),
        state: Some(StateFile {
            saved_as: saved.saved_as().map(SavedAs::as_str),
            release: saved.release().map(|release| release.to_string()),
            content: state_object(&survey),
        }),
        write_cache: None,
        warnings,
    };
    let in_words = |state| state_file_in_words(&found.target, state);
    let mut text = found.state.as_ref().map(in_words).unwrap_or_default();
    for device in survey.passed_through.iter().flatten() {
        let _ = writeln!(text, "    {}", styled(&passed_in_words(device), WARNING));
    }
    for warning in &found.warnings {
        let _ = writeln!(text, "{} {}", styled("warning:", WARNING), shown(warning));
    }
    Answer::new(text, found).with_damage(saved.reading().damage(None))
}

/// `x.tgz: state file (state.tgz), 30 KiB, of ESXi 6.7.0`, and what is in it.
fn state_file_in_words(target: &str, state: &StateFile) -> String {
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
        form_in_words(content),
        about_state(content)
    )
}

fn next_object(next: &NextBoot) -> Next {
    let (starts, reasons) = match next {
        NextBoot::Boots { .. } => (Some(true), Vec::new()),
        NextBoot::Stops { stops, .. } => {
            let stops = stops.iter().map(ToString::to_string);
            (Some(false), stops.collect())
        }
        NextBoot::Nothing { why } => (Some(false), vec![why.clone()]),
        NextBoot::Undecided { why, .. } => (None, vec![why.clone()]),
        NextBoot::NoMedium => (None, Vec::new()),
    };
    Next {
        partition: next.partition(),
        starts,
        reasons,
    }
}

fn bank_object(bank: &BankSurvey) -> Bank {
    Bank {
        partition: bank.partition,
        uuid: bank.uuid.clone(),
        label: bank.label.clone(),
        build: bank.build.clone(),
        updated: bank.updated,
        bootstate: bank.bootstate,
        bootable: bank.bootable,
        boots_next: bank.boots_next,
        why_not: bank.why_not.clone(),
        states: bank.states.iter().map(listed_state).collect(),
        error: bank.error.as_ref().map(Failure::object_of),
    }
}

fn listed_state(state: &StateSurvey) -> State {
    State {
        listed_in_modules: Some(state.listed),
        ..state_object(state)
    }
}

fn state_object(state: &StateSurvey) -> State {
    State {
        file: state.file.clone(),
        form: state.form.map(|form| form.as_str()),
        seal: state.seal.clone(),
        host: state.identity.as_ref().map(|identity| Host {
            name: identity.name.clone(),
            system_uuid: identity.system_uuid.clone(),
            addresses: identity.addresses.clone(),
        }),
        outside: state.outside.clone(),
        passed_through: state.passed_through.as_ref().map(Vec::len),
        listed_in_modules: None,
        size: state.size,
        error: state.error.as_ref().map(Failure::object_of),
    }
}

fn in_words(words: &Words<'_>) -> String {
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
        text.push_str(&bank_in_words(bank, words.is_verbose));
    }
    let survey = words.survey;
    if !survey.next_boot.boots() {
        let next = next_boot(
            &survey.next_boot,
            None,
            survey.cure,
            Path::new(&found.target),
        );
        let _ = writeln!(text, "{}", styled(&next, ERROR));
    }
    match survey.standing() {
        _ if !words.shows_next => {}
        // A host that does not start shows no symptoms of anything else.
        Standing::Read { passed_through, .. } if !survey.next_boot.boots() => {
            text.push_str(&list_in_words(&passed_through));
        }
        _ if !survey.next_boot.boots() => {}
        standing => {
            let target = quoted_path(Path::new(&found.target));
            // What is packed is not changed in place.
            let changed = match words.kind {
                Kind::Packed(_) => format!("-o FILE {target}"),
                _ => target.clone(),
            };
            let names = (target.as_str(), changed.as_str());
            text.push_str(&standing_in_words(&standing, names, words.situation));
        }
    }
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

fn flush_in_words(cache: WriteCache) -> &'static str {
    match cache {
        WriteCache::WriteBack => "write cache: write back; a sync sends a flush",
        WriteCache::WriteThrough => {
            "write cache: write through; a sync sends no flush. If that is wrong, a power cut can lose data \
             that the device has acknowledged: keep the undo file"
        }
    }
}

fn partitions_in_words(found: &Found, is_verbose: bool) -> String {
    let mut heading = vec!["  partition", "holds", "size", "name"];
    if is_verbose {
        heading.extend(["sectors", "type"]);
    }
    let mut rows = vec![heading.into_iter().map(str::to_owned).collect()];
    for partition in &found.partitions {
        let sectors = (partition.last_lba + 1).saturating_sub(partition.first_lba);
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

fn bank_in_words(bank: &Bank, is_verbose: bool) -> String {
    let partition = bank.partition;
    if let Some(error) = &bank.error {
        let place = format!("partition {partition}: ");
        let why = error.message.strip_prefix(&place);
        let why = shown(why.unwrap_or(&error.message));
        return format!(
            "bank on partition {partition}: {}: {why}\n",
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
    if bank.states.is_empty() {
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
            form_in_words(state)
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

fn form_in_words(state: &State) -> String {
    let passed = match state.passed_through {
        Some(0) => ", no device passed through".to_owned(),
        Some(count) => {
            let devices = format!("{count} device{} passed through", plural(count));
            format!(", {}", styled(&devices, WARNING))
        }
        None => String::new(),
    };
    match (state.form, &state.seal, &state.error) {
        (Some("sealed"), Some(mode), None) if state.host.is_some() => {
            format!(
                "sealed (mode {}), opened with the recovery key{passed}",
                shown(mode)
            )
        }
        (Some("sealed"), Some(mode), None) => {
            let holder = match state.listed_in_modules {
                Some(_) => "on this medium",
                None => "in this file",
            };
            format!(
                "sealed (mode {}): the key is not {holder}, so bootbank cannot show or change what is inside",
                shown(mode)
            )
        }
        (Some("encrypted"), _, None) => {
            let key = match state.listed_in_modules {
                Some(_) => "key on this medium",
                None => "opened with its key",
            };
            format!("encrypted, {key}{passed}")
        }
        (Some(form), _, None) => format!("{form}{passed}"),
        (Some(form), _, Some(error)) => {
            format!("{form}, but not understood: {}", shown(&error.message))
        }
        (None, _, Some(error)) => format!("cannot be opened: {}", shown(&error.message)),
        (None, _, None) => "unknown".to_owned(),
    }
}

/// With a capital letter in front.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}
