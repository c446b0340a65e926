//! Sealing: what makes an image the image of one host, taken out piece by piece.
//!
//! Each operation says what it removes and what the host does at its next boot, for the two
//! generations of configuration: esx.conf (to 7.0 U1) and the ConfigStore (7.0 U2 and later). How well
//! that is known differs and is part of the text. What cannot be undone by leaving something
//! out is not done: `left_alone` says what that is.

use super::configuration::inside;
use super::host;
use super::identity::{self, MOVED, NAME_KEY, SYSTEM_UUID, texts_at};
use super::{
    CONFIG_STORE, ConfEdit, Configuration, Edit, EditError, EditWarning, Edited, FileEdit,
    StoreEdit,
};
use crate::bank::Release;
use crate::ownership::{EsxConf, OwnershipError, Row, ValueColumn, without_value_at};
use crate::state::{MemberKind, State};
use std::collections::BTreeSet;

/// One thing that belongs to a host, not to an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SealOperation {
    /// The host's UUID.
    SystemUuid,
    /// MAC addresses of VMkernel adapters.
    VmkernelMac,
    /// The virtual MAC addresses that a host gives its physical adapters.
    VirtualMac,
    /// Take the MAC address of the physical adapter at each boot.
    FollowHardwareMac,
    /// DHCP leases.
    DhcpLeases,
    /// SSH host keys.
    SshHostKeys,
    /// The host's certificate and its private key.
    Certificate,
    /// The host's name.
    HostName,
    /// Membership of a vCenter.
    Vcenter,
    /// The licence.
    Licence,
    /// A scratch location on another disk.
    Scratch,
}

/// What an operation is, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct About {
    /// Its name on the command line.
    pub name: &'static str,
    /// Whether it is done unless left out.
    pub default: bool,
    /// What it removes or sets.
    pub removes: &'static str,
    /// What a host that reads esx.conf, up to 7.0 U1, does at its next boot.
    pub esx_conf: &'static str,
    /// What a host that reads the ConfigStore, 7.0 U2 and later, does.
    pub config_store: &'static str,
}

const FOLLOW_KEY: &str = "/adv/Net/FollowHardwareMac";
const SCRATCH_KEY: &str = "/adv/ScratchConfig/ConfiguredScratchLocation";
const CURRENT_SCRATCH_KEY: &str = "/adv/ScratchConfig/CurrentScratchLocation";

impl SealOperation {
    /// All of them, in the order they are done.
    pub const ALL: [SealOperation; 11] = [
        SealOperation::SystemUuid,
        SealOperation::VmkernelMac,
        SealOperation::VirtualMac,
        SealOperation::FollowHardwareMac,
        SealOperation::DhcpLeases,
        SealOperation::SshHostKeys,
        SealOperation::Certificate,
        SealOperation::HostName,
        SealOperation::Vcenter,
        SealOperation::Licence,
        SealOperation::Scratch,
    ];

    /// The operation of that name.
    pub fn named(name: &str) -> Option<SealOperation> {
        let mut all = SealOperation::ALL.into_iter();
        all.find(|operation| operation.about().name == name)
    }

    /// What it is, in words.
    pub fn about(self) -> About {
        match self {
            SealOperation::SystemUuid => About {
                name: "system-uuid",
                default: true,
                removes: "/system/uuid of esx.conf",
                esx_conf: "makes a new one (a common step for templates of nested hosts)",
                config_store: "makes a new one (seen in esx.conf on 7.0.2; inferred for later releases)",
            },
            SealOperation::VmkernelMac => About {
                name: "vmkernel-mac",
                default: true,
                removes: "the MAC address of each VMkernel adapter: /net/vmkernelnic/.../mac, vmknics rows of the ConfigStore",
                esx_conf: "gives each adapter a new MAC address (inferred)",
                config_store: "gives each adapter a new MAC address (inferred; the schema does not require one)",
            },
            SealOperation::VirtualMac => About {
                name: "virtual-mac",
                default: true,
                removes: "the virtual MAC address of each physical adapter: /net/pnic/.../virtualMac, virtual_mac of the nics rows of the ConfigStore",
                esx_conf: "gives each adapter a new virtual MAC address (inferred)",
                config_store: "gives each adapter a new virtual MAC address (inferred; the schema of 7.0.2 does not require one)",
            },
            SealOperation::FollowHardwareMac => About {
                name: "follow-hardware-mac",
                default: false,
                removes: "nothing; sets /adv/Net/FollowHardwareMac to 1, so that vmk0 takes the MAC address of its physical adapter",
                esx_conf: "takes the MAC address of the physical adapter at every boot",
                config_store: "not changed: it is not known where the ConfigStore keeps this setting",
            },
            SealOperation::DhcpLeases => About {
                name: "dhcp-leases",
                default: true,
                removes: "etc/dhclient*.leases",
                esx_conf: "asks for a new lease",
                config_store: "asks for a new lease",
            },
            SealOperation::SshHostKeys => About {
                name: "ssh-host-keys",
                default: true,
                removes: "etc/ssh/ssh_host_*",
                esx_conf: "makes new keys when SSH starts",
                config_store: "makes new keys when SSH starts",
            },
            SealOperation::Certificate => About {
                name: "certificate",
                default: true,
                removes: "etc/vmware/ssl/rui.crt and rui.key",
                esx_conf: "makes a new self-signed certificate",
                config_store: "makes a new self-signed certificate (inferred)",
            },
            SealOperation::HostName => About {
                name: "host-name",
                default: true,
                removes: "/adv/Misc/HostName, HostIPAddr and /adv/Net/ManagementAddr of esx.conf; host_name, host_IP_addr and management_addr of the advanced_options rows (8.0 and later); host_name of the net_stacks rows; the host's own line in etc/hosts",
                esx_conf: "takes its name from DHCP, otherwise localhost",
                config_store: "takes its name from DHCP, otherwise localhost (inferred)",
            },
            SealOperation::Vcenter => About {
                name: "vcenter",
                default: true,
                removes: "vpxa.cfg, which holds the address of the vCenter and this host's key for it",
                esx_conf: "is managed by no vCenter; the account vpxuser stays, unused",
                config_store: "not changed: it is not known which rows hold the membership; remove the host from its vCenter before you take the image",
            },
            SealOperation::Licence => About {
                name: "licence",
                default: false,
                removes: "etc/vmware/license.cfg",
                esx_conf: "has no licence key; enter a valid one",
                config_store: "has no licence key; enter a valid one",
            },
            SealOperation::Scratch => About {
                name: "scratch",
                default: true,
                removes: "the scratch location and locker on a particular datastore: /adv/ScratchConfig/..., etc/vmware/locker.conf",
                esx_conf: "chooses a place itself",
                config_store: "chooses a place itself (inferred)",
            },
        }
    }

    /// The edits it comes to in one state; none where there is nothing of it.
    pub(super) fn edits(
        self,
        state: &State,
        configuration: &Configuration,
        release: Option<&Release>,
        edited: &mut Edited,
    ) -> Result<Vec<Edit>, EditError> {
        let conf = configuration.esx_conf.as_deref();
        let has_store = configuration.reads_store(release);
        Ok(match self {
            SealOperation::SystemUuid => {
                let edits = unset(conf, |key| key == SYSTEM_UUID)?;
                if !edits.is_empty() {
                    edited.warnings.push(EditWarning::AssignAgain);
                }
                edits
            }
            SealOperation::VmkernelMac => {
                let is_one =
                    |key: &str| key.starts_with("/net/vmkernelnic/") && key.ends_with("/mac");
                adapters(configuration, is_one, &VMKERNEL_MAC)?
            }
            SealOperation::VirtualMac => {
                let is_one =
                    |key: &str| key.starts_with("/net/pnic/") && key.ends_with("/virtualMac");
                adapters(configuration, is_one, &VIRTUAL_MAC)?
            }
            SealOperation::FollowHardwareMac if has_store => {
                edited.warnings.push(EditWarning::NotSealed(self));
                Vec::new()
            }
            SealOperation::FollowHardwareMac => vec![Edit::Conf(ConfEdit::Set {
                key: FOLLOW_KEY.to_owned(),
                value: "1".to_owned(),
            })],
            SealOperation::DhcpLeases => remove(state, |path| {
                path.starts_with("etc/dhclient") && path.ends_with(".leases")
            })?,
            SealOperation::SshHostKeys => {
                remove(state, |path| path.starts_with("etc/ssh/ssh_host_"))?
            }
            SealOperation::Certificate => remove(state, |path| {
                matches!(path, "etc/vmware/ssl/rui.crt" | "etc/vmware/ssl/rui.key")
            })?,
            SealOperation::HostName => host_name(state, configuration)?,
            SealOperation::Vcenter if has_store => {
                edited.warnings.push(EditWarning::NotSealed(self));
                Vec::new()
            }
            SealOperation::Vcenter => remove(state, |path| path.ends_with("/vpxa.cfg"))?,
            SealOperation::Licence => remove(state, |path| path == "etc/vmware/license.cfg")?,
            SealOperation::Scratch => {
                let mut edits =
                    unset(conf, |key| matches!(key, SCRATCH_KEY | CURRENT_SCRATCH_KEY))?;
                edits.extend(remove(state, |path| path == "etc/vmware/locker.conf")?);
                edits
            }
        })
    }
}

/// What sealing leaves, though clones share it: said of each state that has it.
pub(super) fn left_alone(configuration: &Configuration, edited: &mut Edited) {
    let rows = rows(configuration, "software_adapter");
    let iscsi: BTreeSet<String> = rows.flat_map(|row| texts_at(row, &["iqn"])).collect();
    let warnings = iscsi.into_iter().map(EditWarning::SharedIscsiName);
    edited.warnings.extend(warnings);
}

/// Most keys, and most rows, an operation takes out: a host has at most some hundred VMkernel
/// adapters.
const MOST: usize = 512;

/// Where rows of the ConfigStore have an address of a network adapter.
struct AddressInRows {
    /// The rows' key.
    rows: &'static str,
    /// The member of their JSON.
    member: &'static str,
    /// What they are, in words.
    words: &'static str,
}

const VMKERNEL_MAC: AddressInRows = AddressInRows {
    rows: "vmknics",
    member: "mac",
    words: "vmknics rows of the ConfigStore",
};
const VIRTUAL_MAC: AddressInRows = AddressInRows {
    rows: "nics",
    member: "virtual_mac",
    words: "nics rows of the ConfigStore",
};

/// Takes an address out of every adapter, in both files.
fn adapters(
    configuration: &Configuration,
    is_key: impl Fn(&str) -> bool,
    address: &AddressInRows,
) -> Result<Vec<Edit>, EditError> {
    let mut edits = unset(configuration.esx_conf.as_deref(), is_key)?;
    if rows(configuration, address.rows).count() > MOST {
        let what = address.words;
        return Err(EditError::TooMany { what, limit: MOST });
    }
    for row in rows(configuration, address.rows) {
        edits.extend(without(row, &[&[address.member]])?);
    }
    Ok(edits)
}

/// Takes out the keys that fit.
fn unset(conf: Option<&EsxConf>, fits: impl Fn(&str) -> bool) -> Result<Vec<Edit>, EditError> {
    let entries = conf.into_iter().flat_map(EsxConf::entries);
    let keys: BTreeSet<&str> = entries
        .map(|entry| entry.key)
        .filter(|key| fits(key))
        .collect();
    if keys.len() > MOST {
        let what = "keys of esx.conf";
        return Err(EditError::TooMany { what, limit: MOST });
    }
    let edit = |key: &str| {
        Edit::Conf(ConfEdit::Unset {
            key: key.to_owned(),
            absent_ok: true,
        })
    };
    Ok(keys.into_iter().map(edit).collect())
}

/// Takes out the files that fit.
fn remove(state: &State, fits: impl Fn(&str) -> bool) -> Result<Vec<Edit>, EditError> {
    let members = state.members()?.iter();
    let files = members.filter(|member| member.kind != MemberKind::Directory);
    let paths = files.map(|member| member.path().into_owned());
    let edit = |path: String| {
        Edit::File(FileEdit::Remove {
            path,
            absent_ok: true,
        })
    };
    Ok(paths.filter(|path| fits(path)).map(edit).collect())
}

/// Rows of this key in groups of component `esx`.
fn rows<'c>(configuration: &'c Configuration, name: &'c str) -> impl Iterator<Item = &'c Row> {
    let rows = configuration.store.iter().flat_map(|store| store.rows());
    rows.filter(move |row| row.key.component == "esx" && row.key.name == name)
}

/// Takes what is at these paths out of every column of a row, every other byte kept.
fn without(row: &Row, paths: &[&[&str]]) -> Result<Vec<Edit>, EditError> {
    let mut edits = Vec::new();
    for column in ValueColumn::ALL {
        let Some(text) = row.value(column).text() else {
            continue;
        };
        let mut shorter: Option<String> = None;
        for path in paths {
            let text = shorter.as_deref().unwrap_or(text);
            // A value that cannot be read may hold what is to be taken out.
            let without = without_value_at(text, path).map_err(|why| {
                inside(CONFIG_STORE)(OwnershipError::RowValue {
                    row: row.key.to_string(),
                    column: column.as_str(),
                    why,
                })
            })?;
            shorter = without.or(shorter);
        }
        edits.extend(shorter.map(|json| {
            Edit::Store(StoreEdit::Set {
                key: row.key.clone(),
                column,
                json,
            })
        }));
    }
    Ok(edits)
}

fn host_name(state: &State, configuration: &Configuration) -> Result<Vec<Edit>, EditError> {
    let conf = configuration.esx_conf.as_deref();
    let mut names: Vec<String> = Vec::new();
    names.extend(conf.and_then(|conf| conf.get(NAME_KEY)).map(str::to_owned));
    names.extend(configuration.identity(None).name);
    let mut edits = unset(conf, |key| MOVED.iter().any(|(moved, ..)| *moved == key))?;
    edits.extend(advanced_options(configuration)?);
    for row in rows(configuration, "net_stacks") {
        const NAME: &[&str] = &["dns", "host_name"];
        names.extend(texts_at(row, NAME));
        edits.extend(without(row, &[NAME])?);
    }
    edits.extend(host::without_own_lines(state, &names)?);
    Ok(edits)
}

/// The name and the addresses that 8.0 and later keep in rows, taken out of them.
fn advanced_options(configuration: &Configuration) -> Result<Vec<Edit>, EditError> {
    let mut edits = Vec::new();
    for name in ["misc", "net"] {
        let key = identity::row_key(name);
        let store = configuration.store.as_ref();
        let Some(row) = store.and_then(|store| store.row(&key)) else {
            continue;
        };
        let members = MOVED.iter().filter(|(_, row, _)| *row == name);
        let members: Vec<[&str; 1]> = members.map(|(.., member)| [*member]).collect();
        let paths: Vec<&[&str]> = members.iter().map(|path| path.as_slice()).collect();
        edits.extend(without(row, &paths)?);
    }
    Ok(edits)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{open, state, store};
    use super::super::{Context, ESX_CONF, apply};
    use super::*;
    use crate::state::Effort;

    #[test]
    fn every_operation_is_found_by_its_own_name() {
        let names: BTreeSet<&str> = SealOperation::ALL.map(|op| op.about().name).into();
        assert_eq!(names.len(), SealOperation::ALL.len());
        for operation in SealOperation::ALL {
            let named = SealOperation::named(operation.about().name);
            assert_eq!(named, Some(operation));
        }
        assert_eq!(SealOperation::named("uuid"), None);
    }

    /// Up to 7.x esx.conf has them, from 8.0 on rows; both lose them.
    #[test]
    fn name_and_addresses_leave_both_files() {
        let conf = b"/adv/Misc/HostName = \"golden.lab\"\n/adv/Misc/HostIPAddr = \"192.0.2.7\"\n\
            /adv/Net/ManagementAddr = \"192.0.2.7\"\n/adv/Net/ManagementIface = \"vmk0\"\n";
        let misc = r#"{"host_name":"golden.lab","host_IP_addr":"192.0.2.7","log_to_file":1}"#;
        let net = r#"{"management_addr":"192.0.2.7"}"#;
        let rows = [
            ["advanced_options", "misc", "", "", misc],
            ["advanced_options", "net", "", "", net],
        ];
        let hosts = b"127.0.0.1\tlocalhost\n192.0.2.7\tgolden.lab golden\n";
        let files: [(&str, &[u8]); 3] = [
            (ESX_CONF, conf),
            (CONFIG_STORE, &store(&rows)),
            ("etc/hosts", hosts),
        ];
        let host = state(&files);
        let edits = [Edit::Seal(vec![SealOperation::HostName])];
        let edited = apply(&host, &edits, Context::default(), None).unwrap();
        let after = open(&host.edit(&edited.members, Effort::Usual).unwrap());
        let text = |path| after.content(path).unwrap().unwrap();
        assert_eq!(text(ESX_CONF), b"/adv/Net/ManagementIface = \"vmk0\"\n");
        assert_eq!(text("etc/hosts"), b"127.0.0.1\tlocalhost\n");
        let configuration = Configuration::open(&after).unwrap();
        let vital = |name| {
            let store = configuration.store.as_ref().unwrap();
            let row = store.row(&identity::row_key(name)).unwrap();
            row.value(ValueColumn::Vital).clone()
        };
        let cell = |text: &str| crate::ownership::Cell::Text(text.to_owned());
        assert_eq!(vital("misc"), cell(r#"{"log_to_file":1}"#));
        assert_eq!(vital("net"), cell("{}"));
        assert_eq!(configuration.identity(None), Default::default());
        for name in ["golden", "192.0.2.7"] {
            let seen = after
                .as_bytes()
                .windows(name.len())
                .any(|w| w == name.as_bytes());
            assert!(!seen, "{name}");
        }
        let again = apply(&after, &edits, Context::default(), None).unwrap();
        assert!(again.members.is_empty());
    }

    /// The rule that `host set` follows too.
    #[test]
    fn a_line_of_the_hosts_file_goes_that_gives_this_host_an_address_and_no_other() {
        let own = b"192.0.2.7\tgolden\n192.0.2.8 GOLDEN.Lab\n";
        let others = b"192.0.2.9 nas.lab # backup of golden.lab\n\
            192.0.2.10 golden.example.org golden # of another domain\n127.0.0.1 golden # \xe9\n";
        let hosts = [&own[..], others].concat();
        let files: [(&str, &[u8]); 2] = [
            (ESX_CONF, b"/adv/Misc/HostName = \"golden.lab\"\n"),
            ("etc/hosts", &hosts),
        ];
        let host = state(&files);
        let edits = [Edit::Seal(vec![SealOperation::HostName])];
        let edited = apply(&host, &edits, Context::default(), None).unwrap();
        let after = open(&host.edit(&edited.members, Effort::Usual).unwrap());
        let kept = after.content("etc/hosts").unwrap();
        assert_eq!(kept, Some(others.as_slice()));
    }

    /// Which column holds what is a matter of the release; all bytes around it stay in each.
    #[test]
    fn what_names_the_host_leaves_every_column_and_nothing_else_does() {
        let dns = r#"{ "a" : 1.50,"dns":{"host_name":"golden" , "x":"\u0041"},"b":18446744073709551617 }"#;
        let without_name = r#"{ "a" : 1.50,"dns":{"x":"\u0041"},"b":18446744073709551617 }"#;
        let mac = r#"{ "n":1e3, "mac":"00:50:56:01:02:03" }"#;
        let without_mac = r#"{ "n":1e3 }"#;
        let virtual_mac = r#"{"mac":"00:50:56:01:02:04", "virtual_mac": "00:50:56:51:02:03"}"#;
        let without_virtual_mac = r#"{"mac":"00:50:56:01:02:04"}"#;
        let rows = [
            ["network", "net_stacks", "one", dns, dns],
            ["network", "vmknics", "vmk0", mac, mac],
            ["network", "nics", "vmnic0", virtual_mac, virtual_mac],
        ];
        let hosts = b"192.0.2.7\tgolden\n";
        let conf = b"/system/uuid = \"x\"\n/net/pnic/child[0000]/mac = \"00:50:56:01:02:04\"\n\
            /net/pnic/child[0000]/virtualMac = \"00:50:56:51:02:03\"\n";
        let files: [(&str, &[u8]); 3] = [
            (ESX_CONF, conf),
            (CONFIG_STORE, &store(&rows)),
            ("etc/hosts", hosts),
        ];
        let host = state(&files);
        let edits = [Edit::Seal(vec![
            SealOperation::HostName,
            SealOperation::VmkernelMac,
            SealOperation::VirtualMac,
        ])];
        let edited = apply(&host, &edits, Context::default(), None).unwrap();
        let after = open(&host.edit(&edited.members, Effort::Usual).unwrap());
        assert_eq!(after.content("etc/hosts").unwrap().unwrap(), b"");
        let sealed_conf =
            b"/system/uuid = \"x\"\n/net/pnic/child[0000]/mac = \"00:50:56:01:02:04\"\n";
        assert_eq!(after.content(ESX_CONF).unwrap().unwrap(), sealed_conf);
        let store = Configuration::open(&after).unwrap().store.unwrap();
        for (name, id, text) in [
            ("net_stacks", "one", without_name),
            ("vmknics", "vmk0", without_mac),
            ("nics", "vmnic0", without_virtual_mac),
        ] {
            let row = store.row(&crate::ownership::RowKey::new("esx", "network", name, id));
            for column in [ValueColumn::User, ValueColumn::Vital] {
                assert_eq!(row.unwrap().value(column).text(), Some(text));
            }
        }
        let again = apply(&after, &edits, Context::default(), None).unwrap();
        assert!(again.members.is_empty());
    }
}
