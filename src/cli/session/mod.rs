//! One run of the program: its options, its targets, the keys derived so far; opening targets to
//! look into them, and showing what was found.

mod devices;
mod file;
mod options;
mod run;
mod source;
mod state_file;
mod targets;

pub use devices::selectors;
pub use file::{FILE_MODE, content_of, write_file};
pub use options::{Common, CommonArgs, bank_number, check_no_key_on_stdin, key_store, keys};
pub use run::{Program, Run, Schema};
pub(crate) use run::{
    changes_many, changes_one, command_list, described, looks_at_many, looks_at_one,
};
pub use source::unpack_failure;
pub use targets::{
    MaybeTargets, TargetArgs, about_banks, distinct, for_each, look_at_each, once_each, usual_jobs,
};

use crate::bank::BootCfg;
use crate::cli::process::{Interrupt, Links, Outputs};
use crate::cli::report::{ErrorObject, Exit, Failure};
use crate::cli::terminal::{Gate, Ui};
use crate::diagnosis::Situation;
use crate::host::{Disk, Host, Machine};
use crate::medium::{CachedReads, ClaimedTarget, MediumError, ReadAt, Target, WholeFile};
use crate::state::KeyCache;
use crate::stick::{Error, Settings, Stick};
use crate::target::{Kind, Opened};
use schemars::JsonSchema;
use serde::Serialize;
use std::path::Path;

/// One run of the program.
pub struct Session {
    /// What people see.
    pub ui: Ui,
    /// The options every command shares.
    pub common: Common,
    /// Keys derived so far.
    pub keys: KeyCache,
    /// This machine's disks.
    pub host: Host,
    /// The files that are to be made.
    pub outputs: Outputs,
    /// Connections to targets that other processes hold.
    pub links: Links,
    /// Whether a signal asked to stop.
    pub interrupt: Interrupt,
    /// The program itself.
    pub program: Program,
    /// This machine and its devices.
    pub local: Machine,
}

/// What a command found in a target, ready to be shown.
pub struct Answer<T> {
    /// For a person.
    pub text: String,
    /// What standard output gets instead where it is no terminal, not a byte of it changed.
    pub as_it_is: Option<String>,
    /// For a script.
    pub object: T,
    /// For the caller.
    pub exit: Exit,
    /// What was not whole, so that this is not all there is.
    pub damage: Vec<Failure>,
    /// The gate it passes, where that is not the one of the run.
    pub gate: Option<Gate>,
}

impl<T> Answer<T> {
    /// An answer with nothing wrong about it.
    pub fn new(text: String, object: T) -> Self {
        Answer {
            text,
            as_it_is: None,
            object,
            exit: Exit::Done,
            damage: Vec::new(),
            gate: None,
        }
    }

    /// The same, where a program or a file that takes it gets this value as it is.
    #[must_use]
    pub fn of_value(mut self, as_it_is: Option<String>) -> Self {
        self.as_it_is = as_it_is;
        self
    }

    /// The same, passing this gate instead of the one of the run.
    #[must_use]
    pub fn through(mut self, gate: Gate) -> Self {
        self.gate = Some(gate);
        self
    }

    /// The same, where this was not whole.
    #[must_use]
    pub fn with_damage(mut self, damage: Vec<Error>) -> Self {
        self.damage.extend(damage.iter().map(Failure::beside_rest));
        self
    }
}

// An object as it is written, with what was not whole where that is so. In the schema it is
// described as the object is.
#[derive(Serialize, JsonSchema)]
struct Shown<'a, T> {
    #[serde(flatten)]
    object: &'a T,
    /// What was not whole, so that this is not all there is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    damage: Vec<ErrorObject>,
}

impl Session {
    /// Says which lines of the boot.cfg of a bank seem to set `option` and are not seen by the loader.
    pub fn warn_of_hidden(&self, partition: u32, boot_cfg: &BootCfg, option: &str) {
        let hidden = boot_cfg.problems.iter().filter(|it| it.hides(option));
        for problem in hidden {
            self.ui
                .warn(&format!("bank {partition}: boot.cfg {problem}"));
        }
    }

    /// Which device of a medium is which.
    pub fn situation(&self, opened: &Opened<'_, '_>, target: Option<&Target>) -> Situation<'_> {
        let disk = target.and_then(Target::device);
        let disk = disk.and_then(|device| device.disk());
        match opened {
            Opened::Medium(stick) => self.situation_on(stick, disk),
            Opened::State(saved) => Situation::of_file(saved, &self.host, &self.local),
        }
    }

    /// The same of a medium on this disk; `None` of an image file.
    pub fn situation_on(&self, stick: &Stick<'_, '_>, disk: Option<&Disk>) -> Situation<'_> {
        Situation::of(stick, disk, &self.host, &self.local)
    }

    /// How to open a stick whose medium has sectors of `sector_size` bytes, where it says so.
    pub fn settings(&self, sector_size: Option<u32>) -> Settings<'_> {
        Settings {
            sector_size: sector_size.or(self.common.sector_size),
            limits: self.common.limits.clone(),
            keys: &self.keys,
        }
    }

    /// Opens a target to be read.
    ///
    /// # Errors
    /// As [`Target::open_read`].
    pub fn open_read(&self, path: &Path) -> Result<Target, MediumError> {
        self.links.open_read(path, &self.host)
    }

    /// Opens a target to be changed.
    ///
    /// # Errors
    /// As [`ClaimedTarget::open`].
    pub fn claim(&self, path: &Path) -> Result<ClaimedTarget, MediumError> {
        self.links.claim(path, &self.host)
    }

    /// Opens a target to look into it, and hands it to `look`, with the medium where it is one.
    ///
    /// # Errors
    /// What opening or `look` met.
    pub fn look_into<T>(
        &self,
        path: &Path,
        look: impl FnOnce(&Opened<'_, '_>, Option<&Target>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if Kind::of(path, &self.host)? == Kind::State {
            self.common.check_for_state_file()?;
            return self.look_into_state_file(path, |opened| look(opened, None));
        }
        let source = self.open_source(path)?;
        let medium = CachedReads::new(&source);
        let sector_size = source.logical_sector_size();
        let settings = self.settings(sector_size);
        let stick = Stick::open_to_look(&medium, &settings, self.common.look)
            .map_err(|error| Failure::of_medium(&error, sector_size))?;
        let found = look(&Opened::Medium(stick), source.target())?;
        self.ui.detail(&format!(
            "{}: {} bytes read",
            path.display(),
            medium.bytes_read()
        ));
        Ok(found)
    }

    /// Opens a state file to look into it, whatever options there are about banks: of two sides that
    /// are compared they may be about the other.
    ///
    /// # Errors
    /// What opening or `look` met.
    pub fn look_into_state_file<T>(
        &self,
        path: &Path,
        look: impl FnOnce(&Opened<'_, '_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let file = WholeFile::open_read(path, &self.host, self.common.limits.max_unpacked)?;
        look(&Opened::State(self.open_saved(path, file.bytes())?))
    }

    /// Opens the stick on a medium.
    ///
    /// # Errors
    /// A table that is damaged or none; no bank.
    pub fn open_stick<'m>(
        &self,
        medium: &'m dyn ReadAt,
        sector_size: Option<u32>,
    ) -> Result<Stick<'m, '_>, Failure> {
        Stick::open(medium, &self.settings(sector_size))
            .map_err(|error| Failure::of_medium(&error, sector_size))
    }

    /// Looks into a target and shows what was found, or why nothing was: `schema` is that of the
    /// command's objects.
    pub fn answer<T: Serialize>(
        &self,
        path: &Path,
        schema: &'static str,
        look: impl FnOnce(&Opened<'_, '_>, Option<&Target>) -> Result<Answer<T>, Failure>,
    ) -> Exit {
        let found = self.look_into(path, |opened, target| {
            let answer = look(opened, target)?;
            Ok(answer.with_damage(opened.damage()))
        });
        self.show(path, schema, found)
    }

    /// Says what was not whole, and what that makes of the exit code.
    pub fn say_damage(&self, path: &Path, damage: &[Failure], exit: Exit) -> Exit {
        let target = path.display().to_string();
        let mut hints = Vec::new();
        let mut said = Vec::new();
        for failure in damage {
            // Several files of one state have its damage in common.
            let message = failure.object().message;
            if !said.contains(&message) {
                failure.say_once(&self.ui, &target, &mut hints);
                said.push(message);
            }
        }
        match exit {
            Exit::Done | Exit::Differs if !damage.is_empty() => Exit::Damaged,
            exit => exit,
        }
    }

    /// Shows what was found in a target, or why nothing was.
    pub fn show<T: Serialize>(
        &self,
        path: &Path,
        schema: &'static str,
        found: Result<Answer<T>, Failure>,
    ) -> Exit {
        match found {
            Ok(answer) => {
                let gate = answer.gate.unwrap_or(self.ui.gate());
                match &answer.as_it_is {
                    Some(value) => self.ui.value_through(gate, &answer.text, value),
                    None => self.ui.text_through(gate, &answer.text),
                }
                let shown = Shown {
                    object: &answer.object,
                    damage: answer.damage.iter().map(Failure::object).collect(),
                };
                self.ui.json_through(gate, &shown);
                self.say_damage(path, &answer.damage, answer.exit)
            }
            Err(failure) => {
                failure.show(&self.ui, schema, &path.display().to_string());
                failure.exit()
            }
        }
    }
}
