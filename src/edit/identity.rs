//! Whose state it is: the host's name, its system UUID and its addresses.
//!
//! Up to 7.x they are in esx.conf (read in a real 7.0.2 state); from 8.0 on the name and the
//! addresses are in rows of the ConfigStore (read in a public reader tested on 7.0.3, 8.0.3 and
//! 9.0.0). The UUID has stayed in esx.conf.

use super::{Configuration, ESX_CONF, EditWarning, Edited};
use crate::bank::Release;
use crate::ownership::{EsxConf, Row, RowKey, ValueColumn, value_at};
use crate::state::{ReadState, StateError};

/// The key of esx.conf that holds the host's UUID.
pub const SYSTEM_UUID: &str = "/system/uuid";
/// The line of esx.conf that tells the version of the host that wrote it.
const VERSION_KEY: &str = "/resourceGroups/version";
/// The key of esx.conf that holds the host's name, to 7.x.
pub(super) const NAME_KEY: &str = "/adv/Misc/HostName";

/// Keys that are a member of a row from 8.0 on: the key, the row's name in `advanced_options`, the
/// member.
pub(super) const MOVED: [(&str, &str, &str); 3] = [
    (NAME_KEY, "misc", "host_name"),
    ("/adv/Misc/HostIPAddr", "misc", "host_IP_addr"),
    ("/adv/Net/ManagementAddr", "net", "management_addr"),
];

/// What tells one host from another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its name, with the domain where the state has it so.
    pub name: Option<String>,
    /// The UUID ESXi made when it was installed; clones share it.
    pub system_uuid: Option<String>,
    /// The addresses the state keeps beside the name, each once.
    pub addresses: Vec<String>,
}

/// The version of the host that wrote a state, where it says so: `6.7.0`.
///
/// # Errors
/// A state that is out of reach, or whose esx.conf is no file.
pub fn written_by(state: &impl ReadState) -> Result<Option<String>, StateError> {
    let Some(bytes) = state.content(ESX_CONF)? else {
        return Ok(None);
    };
    let conf = EsxConf::parse(bytes.to_vec()).ok();
    Ok(conf.and_then(|conf| conf.get(VERSION_KEY).map(str::to_owned)))
}

/// The row and its member that a key of esx.conf moved to in 8.0.
pub fn moved_to(key: &str) -> Option<(RowKey, &'static str)> {
    let (_, name, member) = MOVED.into_iter().find(|(old, ..)| *old == key)?;
    Some((row_key(name), member))
}

pub(super) fn row_key(name: &str) -> RowKey {
    RowKey::new("esx", "advanced_options", name, "")
}

/// Notes the lines of esx.conf that were changed though a host of `release` reads a row instead, where that says
/// something else. Of lines that are new it is said that they are.
pub(super) fn note_moved(
    before: &Configuration,
    after: &Configuration,
    release: Option<&Release>,
    edited: &mut Edited,
) {
    let Some(release) = release.filter(|release| release.reads_name_from_store()) else {
        return;
    };
    for (key, name, member) in MOVED {
        let line = |of: &Configuration| of.esx_conf.as_ref()?.get(key).map(str::to_owned);
        let (old, new) = (line(before), line(after));
        let row = row_key(name);
        let store = after.store.as_ref().and_then(|store| store.row(&row));
        if old.is_some() && old != new && store.and_then(|row| text_at(row, &[member])) != new {
            edited.warnings.push(EditWarning::MovedKey {
                key: key.to_owned(),
                row,
                member,
                release: release.clone(),
            });
        }
    }
}

impl Configuration {
    /// Whose state it is, by what a host of `release` reads first. Where that place has nothing,
    /// or the release is not known, the other one is looked into.
    pub fn identity(&self, release: Option<&Release>) -> Identity {
        let rows_first = release.is_none_or(Release::reads_name_from_store);
        let value = |(key, row, member): (&str, &str, &str)| {
            let conf = self.esx_conf.as_ref();
            let conf = conf.and_then(|conf| conf.get(key)).and_then(filled);
            let store = self.store.as_ref();
            let row = store.and_then(|store| store.row(&row_key(row)));
            let store = row.and_then(|row| text_at(row, &[member]));
            if rows_first {
                store.or(conf)
            } else {
                conf.or(store)
            }
        };
        let [name, address, management] = MOVED.map(value);
        let mut addresses: Vec<String> = address.into_iter().collect();
        addresses.extend(management.filter(|other| !addresses.contains(other)));
        Identity {
            name: name.or_else(|| self.name_of_stack()),
            system_uuid: self.esx_conf.as_deref().and_then(system_uuid),
            addresses,
        }
    }

    /// The name that the DNS settings of the default network stack give.
    fn name_of_stack(&self) -> Option<String> {
        let store = self.store.as_ref()?;
        let row = store.row(&stack_key())?;
        let name = text_at(row, &["dns", "host_name"])?;
        Some(match text_at(row, &["dns", "domain_name"]) {
            Some(domain) if !name.contains('.') => format!("{name}.{domain}"),
            _ => name,
        })
    }
}

/// The row of the network stack a host has from the start.
pub(super) fn stack_key() -> RowKey {
    RowKey::new("esx", "network", "net_stacks", "defaultTcpipStack")
}

/// The UUID of the host whose state it is; `None` where that cannot be told.
pub fn system_uuid_of(state: &impl ReadState) -> Option<String> {
    let conf = state.content(ESX_CONF).ok()??;
    system_uuid(&EsxConf::parse(conf.to_vec()).ok()?)
}

fn system_uuid(conf: &EsxConf) -> Option<String> {
    conf.get(SYSTEM_UUID).and_then(filled)
}

fn filled(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

/// The strings that the columns of a row hold at this path.
pub(super) fn texts_at(row: &Row, path: &[&str]) -> impl Iterator<Item = String> {
    ValueColumn::ALL.into_iter().filter_map(move |column| {
        let value = value_at(row.value(column).text()?, path).ok()??;
        serde_json::from_str(value).ok()
    })
}

/// The first of them that is not empty.
fn text_at(row: &Row, path: &[&str]) -> Option<String> {
    texts_at(row, path).find_map(|text| filled(&text))
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{state, store};
    use super::super::{CONFIG_STORE, ESX_CONF};
    use super::*;

    const ROWS: [[&str; 5]; 2] = [
        [
            "advanced_options",
            "misc",
            "",
            "",
            r#"{"host_name":"golden.lab","host_IP_addr":"192.0.2.7"}"#,
        ],
        [
            "advanced_options",
            "net",
            "",
            "",
            r#"{"management_addr":"192.0.2.7"}"#,
        ],
    ];
    const CONF: &[u8] = b"/system/uuid = \"5fb2-83f4\"\n/adv/Misc/HostName = \"old.lab\"\n\
        /adv/Misc/HostIPAddr = \"192.0.2.1\"\n/adv/Net/ManagementAddr = \"192.0.2.2\"\n";

    fn identity(conf: &[u8], rows: &[[&str; 5]], build: &str) -> Identity {
        let state = state(&[(ESX_CONF, conf), (CONFIG_STORE, &store(rows))]);
        let configuration = Configuration::open(&state).unwrap();
        configuration.identity(Release::parse(build).as_ref())
    }

    #[test]
    fn the_place_goes_by_the_release_and_the_other_is_looked_into_where_it_is_empty() {
        let of_rows = Identity {
            name: Some("golden.lab".into()),
            system_uuid: Some("5fb2-83f4".into()),
            addresses: vec!["192.0.2.7".into()],
        };
        let of_conf = Identity {
            name: Some("old.lab".into()),
            addresses: vec!["192.0.2.1".into(), "192.0.2.2".into()],
            ..of_rows.clone()
        };
        assert_eq!(identity(CONF, &ROWS, "8.0.1-0.0.1"), of_rows);
        assert_eq!(identity(CONF, &ROWS, "unknown"), of_rows);
        assert_eq!(identity(CONF, &ROWS, "7.0.3-0.0.1"), of_conf);
        assert_eq!(identity(CONF, &[], "9.0.0-0.1"), of_conf);
        let uuid_only = b"/system/uuid = \"5fb2-83f4\"\n";
        assert_eq!(identity(uuid_only, &ROWS, "6.7.0-1"), of_rows);
    }

    #[test]
    fn a_name_of_the_network_stack_is_completed_by_its_domain() {
        let dns = r#"{"key":"defaultTcpipStack","dns":{"host_name":"esx1","domain_name":"lab"}}"#;
        let rows = [["network", "net_stacks", "defaultTcpipStack", dns, ""]];
        let found = identity(b"/a/b = \"\"\n", &rows, "7.0.3-0.0.1");
        assert_eq!(found.name.as_deref(), Some("esx1.lab"));
    }

    #[test]
    fn a_key_that_moved_names_its_row() {
        let (row, member) = moved_to("/adv/Net/ManagementAddr").unwrap();
        assert_eq!(
            (row.to_string(), member),
            ("esx/advanced_options/net".into(), "management_addr")
        );
        assert_eq!(moved_to("/system/uuid"), None);
    }
}
