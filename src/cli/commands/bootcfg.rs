//! `bootbank bootcfg`: the settings in the `boot.cfg` of the banks.

use crate::bank::BootCfgEdit;
use crate::cli::change::{ChangeArgs, Job};
use crate::cli::report::{Exit, Failure};
use crate::cli::session::{Answer, Run, Schema, Session, changes_one, command_list, looks_at_one};
use crate::cli::terminal::shown;
use crate::edit::{Edit, EditError};
use crate::secrets::Guarded;
use crate::stick::{Error, Stick};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

const SCHEMA: &str = "bootbank.bootcfg/1";

command_list! {
    /// Show and change the settings of boot.cfg
    Bootcfg {
        "get" => Get(Get),
        "set" => Set(Set),
        "unset" => Unset(Unset),
    }
}

/// Show the settings of boot.cfg as the loader reads them, of each bank
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank bootcfg get stick.img                    all of them
  bootbank bootcfg get stick.img updated --bank 6   one, of one bank")]
pub struct Get {
    /// Image file or block device
    stick: PathBuf,
    /// The setting (default: all of them)
    key: Option<String>,
}

/// Set one setting; the rest of the file stays as it is
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank bootcfg set stick.img timeout 10
  bootbank bootcfg set --bank 6 -n --diff stick.img bootstate 0

The modules that stay in modules= keep their order: a changed order stops the host. \
To choose the bank that boots next: bootbank bank use N STICK.")]
pub struct Set {
    /// Image file or block device
    stick: PathBuf,
    /// The setting: a key that ESXi's loader knows
    key: String,
    /// Its value
    #[arg(allow_hyphen_values = true)]
    value: String,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Remove one setting
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bootbank bootcfg unset stick.img quickboot")]
pub struct Unset {
    /// Image file or block device
    stick: PathBuf,
    /// The setting: a key that ESXi's loader knows
    key: String,
    #[command(flatten)]
    change: ChangeArgs,
}

/// `bootbank bootcfg get`
#[derive(JsonSchema, Serialize)]
struct Settings {
    schema: &'static str,
    target: String,
    banks: Vec<BankSettings>,
}

#[derive(JsonSchema, Serialize)]
struct BankSettings {
    partition: u32,
    boots_next: bool,
    settings: BTreeMap<String, String>,
}

impl Run for Get {
    looks_at_one!();

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        Ok(session.answer(&self.stick, SCHEMA, |opened, _| {
            let stick = opened.stick()?;
            let object = Settings {
                schema: SCHEMA,
                target: self.stick.display().to_string(),
                banks: settings(session, stick, self)?,
            };
            let text = object.banks.iter().map(in_words).collect();
            Ok(Answer::new(text, object))
        }))
    }

    fn schemas() -> Vec<Schema> {
        vec![Schema::answer::<Settings>("bootcfg")]
    }
}

impl Run for Set {
    changes_one!();

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        let edit = Edit::BootCfg(BootCfgEdit::set(&self.key, self.value.clone()));
        Job::edit(session, &self.change, &self.stick, vec![edit])
    }
}

impl Run for Unset {
    changes_one!();

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        let edit = Edit::BootCfg(BootCfgEdit::remove(&self.key));
        Job::edit(session, &self.change, &self.stick, vec![edit])
    }
}

fn settings(
    session: &Session,
    stick: &Stick<'_, '_>,
    args: &Get,
) -> Result<Vec<BankSettings>, Failure> {
    let mut chosen = stick.chosen(session.common.bank)?;
    chosen.sort_by_key(|slot| slot.partition);
    let mut banks = Vec::new();
    for slot in chosen {
        let boot_cfg = slot.opened()?.boot_cfg();
        if let Some(key) = &args.key {
            let known = boot_cfg.setting(key);
            known.map_err(|error| Error::from(EditError::from(error)))?;
            session.warn_of_hidden(slot.partition, boot_cfg, key);
        }
        let is_asked = |found: &&str| {
            let asked = args.key.as_deref();
            asked.is_none_or(|key| found.eq_ignore_ascii_case(key))
        };
        let all = boot_cfg.settings().into_iter();
        let settings = all.filter(|(key, _)| is_asked(key)).map(|(key, value)| {
            let value = session.ui.gate().text(&Guarded::of(value)).into_owned();
            (key.to_owned(), value)
        });
        banks.push(BankSettings {
            partition: slot.partition,
            boots_next: stick.takes(slot),
            settings: settings.collect(),
        });
    }
    Ok(banks)
}

fn in_words(bank: &BankSettings) -> String {
    let next = if bank.boots_next { " (boots next)" } else { "" };
    let mut text = format!("bank on partition {}{next}\n", bank.partition);
    for (key, value) in &bank.settings {
        text.push_str(&format!("  {key}={}\n", shown(value)));
    }
    text
}
