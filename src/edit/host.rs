//! What a pipeline sets on a host: name, domain, NTP servers, SSH keys of root; each where the
//! host of that release keeps it.
//!
//! Known: the name is `/adv/Misc/HostName` to 7.x (a real 7.0.2 state) and a member of
//! `advanced_options/misc` from 8.0 on (a public reader of 8.0.3 and 9.0.0); root's keys are
//! `/etc/ssh/keys-root/authorized_keys` (the schema store of 7.0.2). Where NTP servers are kept was
//! not seen for each release, so they are set where the state itself holds some, and else refused.

mod check;
mod row;
mod text;

use super::identity::{self, NAME_KEY};
use super::{ConfEdit, Configuration, Edit, EditError, FileEdit};
use crate::bank::Release;
use crate::ownership::{RowKey, ValueColumn, elements};
use crate::state::State;
use row::Draft;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const HOSTS: &str = "etc/hosts";
const NTP_CONF: &str = "etc/ntp.conf";
const AUTHORIZED_KEYS: &str = "etc/ssh/keys-root/authorized_keys";
/// Mode of an `authorized_keys` that is new.
const KEYS_MODE: u32 = 0o600;

/// What to set on a host. What is not given stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostEdit {
    /// Its name, with or without the domain.
    pub name: Option<String>,
    /// Its domain.
    pub domain: Option<String>,
    /// Its NTP servers, in place of those it has. Empty to leave them. One named twice is set once.
    pub ntp: Vec<String>,
    /// Public keys that may log in as root, beside those that may already.
    pub ssh_keys: Vec<String>,
}

/// A name in the parts a state keeps.
struct FullName {
    short: String,
    domain: Option<String>,
}

impl FullName {
    fn of(text: &str) -> FullName {
        let (short, domain) = match text.split_once('.') {
            Some((short, domain)) => (short, Some(domain.to_owned())),
            None => (text, None),
        };
        FullName {
            short: short.to_owned(),
            domain,
        }
    }

    fn whole(&self) -> String {
        match &self.domain {
            Some(domain) => format!("{}.{domain}", self.short),
            None => self.short.clone(),
        }
    }
}

impl HostEdit {
    /// Whether it sets nothing.
    pub fn is_empty(&self) -> bool {
        *self == HostEdit::default()
    }

    /// The edits it comes to in one state.
    pub(super) fn edits(
        &self,
        state: &State,
        configuration: &Configuration,
        release: Option<&Release>,
    ) -> Result<Vec<Edit>, EditError> {
        self.check()?;
        let mut edits = self.name_edits(state, configuration, release)?;
        if !self.ntp.is_empty() {
            edits.extend(ntp_edits(&self.ntp, state, configuration)?);
        }
        if !self.ssh_keys.is_empty() {
            let old = state.content(AUTHORIZED_KEYS)?;
            let is_new = old.is_none();
            if let Some(content) = text::with_keys(old.unwrap_or_default(), &self.ssh_keys) {
                edits.push(put(AUTHORIZED_KEYS, content, is_new.then_some(KEYS_MODE)));
            }
        }
        Ok(edits)
    }

    fn name_edits(
        &self,
        state: &State,
        configuration: &Configuration,
        release: Option<&Release>,
    ) -> Result<Vec<Edit>, EditError> {
        if self.name.is_none() && self.domain.is_none() {
            return Ok(Vec::new());
        }
        let old = configuration.identity(release).name;
        let name = self.full_name(old.as_deref())?;
        let whole = name.whole();
        let mut edits = Vec::new();
        let conf = configuration.esx_conf.as_ref();
        let in_conf = conf.is_some_and(|conf| conf.get(NAME_KEY).is_some());
        let is_8 = release.map(Release::reads_name_from_store);
        if conf.is_some() && (in_conf || is_8 == Some(false)) {
            edits.push(Edit::Conf(ConfEdit::Set {
                key: NAME_KEY.to_owned(),
                value: whole.clone(),
            }));
        }
        let mut misc = Draft::of(configuration, identity::row_key("misc"));
        let mut homes = misc.holding(&["host_name"])?;
        if homes.is_empty() && is_8 == Some(true) && configuration.store.is_some() {
            homes = vec![ValueColumn::Vital];
        }
        for column in homes {
            misc.set(column, &["host_name"], &json!(whole).to_string())?;
        }
        edits.extend(misc.edits());
        edits.extend(stack_edits(configuration, &name)?);
        if edits.is_empty() {
            return Err(unknown("the host's name"));
        }
        let hosts = state.content(HOSTS)?.unwrap_or_default();
        if let Some(old) = old.as_deref().filter(|old| *old != whole)
            && let Some(content) = text::renamed(hosts, old, &whole, &name.short)
        {
            edits.push(put(HOSTS, content, None));
        }
        Ok(edits)
    }

    /// The name as it is to be, given the one the host has.
    fn full_name(&self, old: Option<&str>) -> Result<FullName, EditError> {
        let old = old.map(FullName::of);
        let given = self.name.as_deref().map(FullName::of);
        let short = given
            .as_ref()
            .or(old.as_ref())
            .map(|name| name.short.clone());
        let short = short.ok_or_else(|| EditError::HostValue {
            what: "domain",
            why: "the state has no name to put it to".to_owned(),
        })?;
        let of_name = given.and_then(|name| name.domain);
        let domain = match (&self.domain, of_name) {
            (Some(domain), Some(other)) if *domain != other => {
                return Err(EditError::HostValue {
                    what: "name",
                    why: format!("it is in the domain {other}, and {domain} is given"),
                });
            }
            (Some(domain), _) => Some(domain.clone()),
            (None, other) => other.or(old.and_then(|name| name.domain)),
        };
        Ok(FullName { short, domain })
    }
}

/// The DNS settings of the default network stack, where they name the host.
fn stack_edits(configuration: &Configuration, name: &FullName) -> Result<Vec<Edit>, EditError> {
    const NAME: [&str; 2] = ["dns", "host_name"];
    const DOMAIN: [&str; 2] = ["dns", "domain_name"];
    let mut row = Draft::of(configuration, identity::stack_key());
    let named = row.holding(&NAME)?;
    if let (Some(domain), Some(first)) = (&name.domain, named.first()) {
        let mut homes = row.holding(&DOMAIN)?;
        if homes.is_empty() {
            homes.push(*first);
        }
        for column in homes {
            row.set(column, &DOMAIN, &json!(domain).to_string())?;
        }
    }
    for column in named {
        row.set(column, &NAME, &json!(name.short).to_string())?;
    }
    Ok(row.edits())
}

fn ntp_edits(
    servers: &[String],
    state: &State,
    configuration: &Configuration,
) -> Result<Vec<Edit>, EditError> {
    let mut named = BTreeSet::new();
    let servers = servers.iter().filter(|server| named.insert(*server));
    let servers: Vec<String> = servers.cloned().collect();
    let mut edits = ntp_row_edits(&servers, configuration)?;
    if let Some(old) = state.content(NTP_CONF)? {
        edits.extend(text::with_servers(old, &servers).map(|content| put(NTP_CONF, content, None)));
    } else if edits.is_empty() {
        return Err(unknown("the NTP servers"));
    }
    Ok(edits)
}

fn ntp_row_edits(
    servers: &[String],
    configuration: &Configuration,
) -> Result<Vec<Edit>, EditError> {
    const SERVER: [&str; 2] = ["ntp_config", "server"];
    let mut row = Draft::of(
        configuration,
        RowKey::new("esx", "system", "system_time", ""),
    );
    let mut homes = row.holding(&SERVER)?;
    if homes.is_empty() {
        homes = row.holding(&["ntp_config"])?;
        homes.truncate(1);
    }
    for column in homes {
        let old = row.value(column, &SERVER)?.unwrap_or_default();
        let new = with_server_entries(old, servers);
        row.set(column, &SERVER, &new)?;
    }
    Ok(row.edits())
}

/// The array `old` with these servers: the entry of one that stays is kept as it is written.
fn with_server_entries(old: &str, servers: &[String]) -> String {
    let old = elements(old).into_iter().map(|text| {
        let entry: Option<Value> = serde_json::from_str(text).ok();
        (text, entry.unwrap_or_default())
    });
    let old: Vec<(&str, Value)> = old.collect();
    let entry = |name: &String| {
        let mut known = old.iter();
        let known = known.find(|(_, entry)| entry.get("hostname") == Some(&json!(name)));
        match known {
            Some((text, _)) => (*text).to_owned(),
            // As the schema of 7.0.2 has them.
            None => json!({"hostname": name, "command": "SERVER"}).to_string(),
        }
    };
    let new: Vec<String> = servers.iter().map(entry).collect();
    format!("[{}]", new.join(","))
}

fn unknown(what: &'static str) -> EditError {
    EditError::HostUnknown { what }
}

/// The edit that takes the lines of a host with one of these names out of `etc/hosts`, loopback lines kept;
/// `None` where it has none.
///
/// # Errors
/// What [`State::content`] meets.
pub(super) fn without_own_lines(
    state: &State,
    names: &[String],
) -> Result<Option<Edit>, EditError> {
    let hosts = state.content(HOSTS)?.unwrap_or_default();
    let without = text::without_lines_of(hosts, names);
    Ok(without.map(|content| put(HOSTS, content, None)))
}

fn put(path: &str, content: Vec<u8>, mode: Option<u32>) -> Edit {
    Edit::File(FileEdit::Put {
        path: path.to_owned(),
        content,
        mode,
    })
}

#[cfg(test)]
mod tests;
