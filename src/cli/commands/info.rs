//! `bootbank info`: what is on a medium, and which bank boots next.

mod words;

use super::scan::Scan;
use crate::cli::process::Needs;
use crate::cli::report::{
    BelongsTo, ErrorObject, Exit, Failure, SymptomObject, name_to_cure, passed_in_words,
    warning_in_words,
};
use crate::cli::session::{Answer, MaybeTargets, Run, Schema, Session, TargetArgs, look_at_each};
use crate::cli::terminal::{WARNING, shown, styled};
use crate::diagnosis::{BankSurvey, Situation, Standing, StateSurvey, Survey};
use crate::host::WriteCache;
use crate::medium::Target;
use crate::state::{Form, SavedAs};
use crate::stick::{NextBoot, Stick};
use crate::target::{Kind, Opened, SavedState};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::Path;
use words::{Words, in_words, state_file_in_words};

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
    /// What it is: `disk`, `image`, `packed-image`, `state-file`, `virtual-disk` or `nbd-export`.
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
    /// Whether it holds none, though `modules=` names one.
    #[serde(skip)]
    lacks_state: bool,
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
    #[schemars(with = "Option<String>")]
    form: Option<Form>,
    /// Where the key of a sealed state is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    seal: Option<String>,
    /// Left out for a state file.
    #[serde(skip_serializing_if = "Option::is_none")]
    listed_in_modules: Option<bool>,
    size: u64,
    /// Whether it is empty, so that the host starts with default settings unless it loads another state; left out if it is not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    empty: bool,
    /// How many devices it passes through; left out if that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    passed_through: Option<usize>,
    /// How many only the file names from which a host of its release takes no owners; left out if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    passed_through_unread: Option<usize>,
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
    let found = Found {
        banks: survey
            .banks
            .iter()
            .filter(is_chosen)
            .map(bank_object)
            .collect(),
        write_cache: write_cache.map(WriteCache::as_str),
        ..found_on(stick, (path, kind), &survey, situation)
    };
    let words = Words {
        found: &found,
        survey: &survey,
        shows_next: found.banks.iter().any(|bank| bank.boots_next),
        kind,
        write_cache,
        is_verbose: session.ui.is_verbose(),
        situation,
        is_disk: target.and_then(Target::device).is_some(),
    };
    let text = in_words(&words);
    let shown = survey.banks.into_iter();
    let shown = shown.filter(|bank| is_chosen(&bank));
    let states = shown.flat_map(|bank| bank.states);
    // An empty file that the host does not load is no loss.
    let counts = |state: &StateSurvey| state.listed || state.size > 0;
    let rescued = states.filter(|state| session.common.look.rescue && counts(state));
    let damage = rescued.flat_map(|state| state.error.into_iter().chain(state.damage));
    let damage = damage.map(Failure::from).collect();
    Ok(Answer {
        text,
        as_it_is: None,
        // What could not be read may be what boots next.
        exit: match (survey.unread.is_empty(), stick.not_by_loader()) {
            (true, None) => Exit::Done,
            // The table that the loader uses is damaged.
            (true, Some(_)) => Exit::Damaged,
            (false, _) => Exit::Io,
        },
        damage,
        object: found,
        gate: None,
    })
}

/// The object for a medium, but for its banks and how its device treats a flush.
fn found_on(
    stick: &Stick<'_, '_>,
    (path, kind): (&Path, Kind),
    survey: &Survey,
    situation: &Situation<'_>,
) -> Found {
    let table = stick.table();
    let partitions = table.partitions.iter().map(|partition| Partition {
        number: partition.number,
        type_id: partition.partition_type.to_string(),
        name: partition.name.clone(),
        first_lba: partition.first_lba.0,
        last_lba: partition.last_lba.0,
        kind: stick.kind_of(partition).as_str(),
    });
    let symptoms = match survey.standing() {
        Standing::Read { passed_through, .. } => situation.consequences(&passed_through),
        _ => Vec::new(),
    };
    let in_shell = name_to_cure(path, Some(kind));
    let warnings = survey.warnings.iter();
    let warnings = warnings.map(|warning| warning_in_words(warning, &in_shell));
    Found {
        belongs_to: BelongsTo::from(&situation.whose),
        symptoms: symptoms.iter().map(SymptomObject::from).collect(),
        schema: SCHEMA,
        target: path.display().to_string(),
        kind: kind.word(),
        size: stick.medium().size(),
        sector_size: Some(table.sector_size),
        table: Some(table.kind.as_str()),
        partitions: partitions.collect(),
        banks: Vec::new(),
        next_boot: Some(next_object(&survey.next_boot)),
        state: None,
        write_cache: None,
        warnings: warnings.collect(),
    }
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
        warnings: warnings.iter().map(ToString::to_string).collect(),
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
        lacks_state: bank.lacks_state,
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
        form: state.form,
        seal: state.seal.clone(),
        host: state.identity.as_ref().map(|identity| Host {
            name: identity.name.clone(),
            system_uuid: identity.system_uuid.clone(),
            addresses: identity.addresses.clone(),
        }),
        empty: state.is_empty,
        outside: state.outside.clone(),
        passed_through: state.passed_through.as_ref().map(Vec::len),
        passed_through_unread: state.unread.as_ref().map(|it| it.devices.len()),
        listed_in_modules: None,
        size: state.size,
        error: state.error.as_ref().map(Failure::object_of),
    }
}
