//! The question before the first write.

use super::args::Mode;
use super::closing::stops_in_words;
use super::keep::PlacedUndo;
use super::{ChangeObject, One, show};
use crate::cli::report::{Failure, disk_in_words};
use crate::cli::terminal::{name, shown, size};
use crate::diagnosis::Work;
use crate::edit::{Harm, Identity};
use crate::medium::{ReadAt as _, Target};
use crate::stick::{NextBoot, Plan, Stick};
use crate::target::Kind;
use std::collections::BTreeSet;
use std::path::Path;

impl One<'_> {
    /// Asks before a change whose devices were not named one by one, before any that overwrites
    /// files where they lie, and before one that costs the host something.
    pub(super) fn confirm(
        &self,
        (target, which): (&Path, &str),
        kind: Kind,
        plan: &Plan,
        undo: Option<&PlacedUndo>,
        object: &mut ChangeObject,
    ) -> Result<(), Failure> {
        let path = name(target);
        let danger = undo.and_then(|undo| show::in_place_in_words(plan, target, &undo.path));
        let harm = self.harm_in_words(plan);
        if self.job.way.yes || !(self.job.asks || danger.is_some() || harm.is_some()) {
            if let Some(danger) = danger {
                self.job.warn(object, danger);
            }
            return Ok(());
        }
        object.warnings.extend(danger.clone());
        let said = [&danger, &harm].into_iter().flatten();
        let said: String = said.map(|text| format!("{text}\n")).collect();
        match self.answer(plan, &format!("{said}Change {path} ({which})?")) {
            Some(true) => Ok(()),
            Some(false) => Err(not_confirmed()),
            None if harm.is_some() => Err(unasked(&harm)),
            None if danger.is_some() => Err(Failure::usage(format!(
                "{path} would be changed in place, but bootbank cannot ask first; nothing was written"
            ))
            .hint("a cut halfway leaves the host unbootable until `bootbank undo`; -y goes ahead without asking")),
            None if !matches!(kind, Kind::Disk | Kind::Export) => Ok(()),
            None => Err(Failure::usage(format!(
                "{path} is {}, but bootbank cannot ask before changing it; nothing was written",
                match kind {
                    Kind::Export => "an NBD export",
                    _ => "a block device",
                }
            ))
            .hint(match &self.asked.work {
                Work::Edits { .. } => "-y goes ahead without asking; bootbank does not ask if you name what to change (fix -d ADDR, seal --only NAME)",
                _ => "-y goes ahead without asking",
            })),
        }
    }

    /// Asks before a copy is made whose change costs the host something; nothing else about a copy
    /// needs a question.
    pub(super) fn confirm_copy(&self, plan: &Plan, copy: &str) -> Result<(), Failure> {
        let harm = self.harm_in_words(plan);
        let Some(text) = harm.as_ref().filter(|_| !self.job.way.yes) else {
            return Ok(());
        };
        match self.answer(plan, &format!("{text}\nWrite {}?", shown(copy))) {
            Some(true) => Ok(()),
            Some(false) => Err(not_confirmed()),
            None => Err(unasked(&harm)),
        }
    }

    /// Notes what a change costs the host, and says so where nobody will be asked about it.
    pub(super) fn warn_of_harm(&self, plan: &Plan, object: &mut ChangeObject) {
        let Some(text) = self.harm_in_words(plan) else {
            return;
        };
        let is_carried_out = matches!(self.job.way.mode, Mode::Commit | Mode::Output { .. });
        if is_carried_out && !self.job.way.yes {
            object.warnings.push(text)
        } else {
            self.job.warn(object, text)
        }
    }

    /// What a change costs the host; `None` where it costs nothing, or what it was insisted on.
    fn harm_in_words(&self, plan: &Plan) -> Option<String> {
        let mut harms = plan.harms();
        harms.retain(|harm, _| !self.asked.work.insists_on(*harm));
        let texts = harms.iter().map(|(harm, names)| match harm {
            Harm::NoLongerStarts => no_start_in_words(&plan.outlook.boot),
            Harm::NoVmkernel => "the VMkernel is not among the modules any more, so the host will not start from a bank with that list".to_owned(),
            Harm::DefaultSettings => defaults_in_words(&plan.outlook.boot),
            harm => device_harm_in_words(*harm, names),
        });
        let texts: Vec<String> = texts.collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }

    /// The answer to a question about a plan; `None` where nobody can be asked.
    fn answer(&self, plan: &Plan, question: &str) -> Option<bool> {
        if self.job.way.no_input {
            return None;
        }
        let ui = &self.job.session.ui;
        // What is asked about has gone to standard output, which may be a file.
        let about = if ui.shows_text() {
            String::new()
        } else {
            show::plan_in_words(plan, ui.gate())
        };
        let interrupted = || self.job.session.interrupt.requested();
        ui.ask(&format!("{about}{question}"), &interrupted)
    }
}

/// What tells a medium from another: `SanDisk Cruzer Fit, serial 4C53, 7.5 GiB, host esx7.lab`.
pub(super) fn which_in_words(stick: &Stick<'_, '_>, target: &Target) -> String {
    let disk = target.device().and_then(|device| device.disk());
    let disk = disk.map_or_else(|| size(target.size()), disk_in_words);
    format!("{disk}, {}", host_in_words(stick.host()))
}

/// The same of a state file, of so many bytes.
pub(super) fn which_file_in_words(len: u64, identity: Option<Identity>) -> String {
    format!("state file, {}, {}", size(len), host_in_words(identity))
}

fn host_in_words(identity: Option<Identity>) -> String {
    match identity.map(|identity| (identity.name, identity.system_uuid)) {
        Some((Some(name), _)) => format!("host {}", shown(&name)),
        Some((None, Some(uuid))) => format!("host UUID {}", shown(&uuid)),
        _ => "host not known".to_owned(),
    }
}

fn not_confirmed() -> Failure {
    Failure::refused("not confirmed; nothing was written")
}

fn unasked(harm: &Option<String>) -> Failure {
    let harm = harm.as_deref().unwrap_or_default();
    Failure::usage(format!(
        "{harm}; bootbank cannot ask first, so nothing was written"
    ))
    .hint("if you mean it, -y goes ahead without asking")
}

/// A change after which the host does not start any more.
fn no_start_in_words(boot: &NextBoot) -> String {
    match boot {
        NextBoot::Stops { stops, .. } => format!(
            "the host starts from this medium now, and will not after this change: {}",
            stops_in_words(stops)
        ),
        NextBoot::Nothing { why } => format!(
            "the host starts from this medium now, and will not after this change: no bank boots: {}",
            shown(why)
        ),
        NextBoot::Undecided { why, .. } => format!(
            "the host starts from this medium now, and after this change that cannot be told: {}",
            shown(why)
        ),
        NextBoot::Boots { .. } | NextBoot::NoMedium => String::new(),
    }
}

/// A change after which the host starts without its settings.
fn defaults_in_words(boot: &NextBoot) -> String {
    let now = "the host starts with its settings now, and will start with default settings after this change";
    match boot.partition() {
        Some(number) => format!("{now}: bank {number} holds none"),
        None => format!("{now}: the state is empty"),
    }
}

/// Devices that the host would miss.
fn device_harm_in_words(harm: Harm, names: &BTreeSet<String>) -> String {
    let (is, it, its, s) = match names.len() {
        1 => ("is", "it", "its", ""),
        _ => ("are", "them", "their", "s"),
    };
    let a = if s.is_empty() { "a " } else { "" };
    let (what, loses) = match harm {
        Harm::OwnController => (
            format!("the controller{s} of this medium"),
            "takes the boot medium from the host, which then saves no configuration".to_owned(),
        ),
        Harm::UsbController => (
            format!("{a}USB controller{s}"),
            format!(
                "takes what is plugged into {it} from the host: the keyboard, and the boot medium if that is on USB"
            ),
        ),
        Harm::DisplayController => (
            format!("{a}display controller{s}"),
            format!("takes the screen from the host's console, if that is connected to {it}"),
        ),
        Harm::OnlyNetworkAdapter => (
            format!("the only network adapter{s} the host has left"),
            "cuts the host off from the network".to_owned(),
        ),
        Harm::ManagementAdapter => (
            format!("probably the adapter{s} of the management network"),
            "then cuts the host off from it".to_owned(),
        ),
        _ => (
            format!("{a}storage adapter{s}"),
            format!("takes {its} disks from the host, and its boot medium if that is one of them"),
        ),
    };
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let names = shown(&names.join(", "));
    format!("{names} {is} {what}: passing {it} through {loses}")
}
