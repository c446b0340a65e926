//! What a state says of the host's network adapters: their addresses, and which carry management.
//!
//! Up to 7.0 U1 that is in esx.conf (read: `/net/pnic/child[0000]/mac`, `/net/vmkernelnic/...`,
//! `/net/vswitch/.../uplinks/.../pnic`). Of the ConfigStore only the addresses are taken, which the
//! rows of group `network` hold as `mac`; how they name a switch and its adapters was not seen.

use super::Configuration;
use super::identity::texts_at;
use crate::host::Mac;
use crate::ownership::EsxConf;
use std::collections::BTreeMap;

/// The VMkernel adapter every host gets when it is installed.
const FIRST_ADAPTER: &str = "vmk0";

/// The adapter that a new host puts its management network on.
const FIRST_PHYSICAL: &str = "vmnic0";

/// The network adapters of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Network {
    /// Addresses of physical adapters, each once.
    pub physical: Vec<Mac>,
    /// The address of vmk0, mostly that of the physical adapter it was made on.
    pub first: Option<Mac>,
    /// The physical adapters of the standard switch that vmk0 is on: `vmnic0`.
    pub uplinks: Vec<String>,
}

impl Network {
    /// Whether the management network goes through the physical adapter of this name, as far as is known:
    /// where no switch is, through the first one.
    pub fn carries_management(&self, adapter: &str) -> bool {
        if self.uplinks.is_empty() {
            adapter == FIRST_PHYSICAL
        } else {
            self.uplinks.iter().any(|uplink| uplink == adapter)
        }
    }
}

/// Children of a list in esx.conf by their place (`child[0000]`, with the places above it), each
/// with its leaves.
type Children<'a> = BTreeMap<String, BTreeMap<&'a str, &'a str>>;

impl Configuration {
    /// What the state says of the network adapters.
    pub fn network(&self) -> Network {
        let mut network = Network::default();
        if let Some(conf) = &self.esx_conf {
            take_conf(conf, &mut network);
        }
        let rows = self.store.iter().flat_map(|store| store.rows());
        for row in rows.filter(|row| row.key.component == "esx" && row.key.group == "network") {
            for mac in texts_at(row, &["mac"]).filter_map(|text| Mac::parse(&text)) {
                match row.key.name == "vmknics" {
                    true if row.key.identifier == FIRST_ADAPTER => network.first = Some(mac),
                    true => {}
                    false => network.physical.push(mac),
                }
            }
        }
        network.physical.sort();
        network.physical.dedup();
        network
    }
}

fn take_conf(conf: &EsxConf, network: &mut Network) {
    let physical = children(conf, "/net/pnic/");
    let macs = physical.values().filter_map(|leaves| leaves.get("mac"));
    network
        .physical
        .extend(macs.filter_map(|mac| Mac::parse(mac)));
    let vmkernel = children(conf, "/net/vmkernelnic/");
    let mut adapters = vmkernel.values();
    let Some(first) = adapters.find(|leaves| leaves.get("name") == Some(&FIRST_ADAPTER)) else {
        return;
    };
    network.first = first.get("mac").and_then(|mac| Mac::parse(mac));
    let Some(port_group) = first.get("portgroup") else {
        return;
    };
    let switches = children(conf, "/net/vswitch/");
    let is_its =
        |(_, leaves): &(&String, &BTreeMap<&str, &str>)| leaves.get("name") == Some(port_group);
    let port_groups = switches
        .iter()
        .filter(|(place, _)| place.contains("/portgroup/"));
    let Some((place, _)) = port_groups.into_iter().find(is_its) else {
        return;
    };
    let switch = place.split("/portgroup/").next().unwrap_or_default();
    let uplinks = format!("{switch}/uplinks/");
    let uplinks = switches
        .iter()
        .filter(|(place, _)| place.starts_with(&uplinks));
    let names = uplinks.filter_map(|(_, leaves)| leaves.get("pnic"));
    network.uplinks.extend(names.map(|name| (*name).to_owned()));
}

/// The children below `path`, whose lines are `path` + place + `/` + leaf.
fn children<'a>(conf: &'a EsxConf, path: &str) -> Children<'a> {
    let mut children = Children::new();
    for entry in conf.entries() {
        let below = entry.key.strip_prefix(path);
        if let Some((place, leaf)) = below.and_then(|below| below.rsplit_once('/')) {
            let leaves = children.entry(place.to_owned()).or_default();
            leaves.insert(leaf, entry.value);
        }
    }
    children
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{state, store};
    use super::super::{CONFIG_STORE, ESX_CONF};
    use super::*;

    fn network(conf: &str, rows: &[[&str; 5]]) -> Network {
        let state = state(&[(ESX_CONF, conf.as_bytes()), (CONFIG_STORE, &store(rows))]);
        Configuration::open(&state).unwrap().network()
    }

    const CONF: &str = "/net/pnic/child[0000]/mac = \"00:0c:29:80:16:86\"\n\
        /net/pnic/child[0000]/name = \"vmnic0\"\n\
        /net/pnic/child[0001]/mac = \"00:0c:29:80:16:90\"\n\
        /net/pnic/child[0001]/virtualMac = \"00:50:56:50:16:90\"\n\
        /net/vmkernelnic/child[0001]/name = \"vmk1\"\n\
        /net/vmkernelnic/child[0001]/portgroup = \"vMotion\"\n\
        /net/vmkernelnic/child[0000]/mac = \"00:0C:29:80:16:86\"\n\
        /net/vmkernelnic/child[0000]/name = \"vmk0\"\n\
        /net/vmkernelnic/child[0000]/portgroup = \"Management Network\"\n\
        /net/vswitch/child[0000]/name = \"vSwitch0\"\n\
        /net/vswitch/child[0000]/portgroup/child[0000]/name = \"vMotion\"\n\
        /net/vswitch/child[0000]/uplinks/child[0000]/pnic = \"vmnic0\"\n\
        /net/vswitch/child[0001]/portgroup/child[0000]/name = \"VM Network\"\n\
        /net/vswitch/child[0001]/portgroup/child[0001]/name = \"Management Network\"\n\
        /net/vswitch/child[0001]/uplinks/child[0000]/pnic = \"vmnic2\"\n\
        /net/vswitch/child[0001]/uplinks/child[0001]/pnic = \"vmnic3\"\n";

    #[test]
    fn the_adapters_of_management_are_those_of_the_switch_vmk0_is_on() {
        let found = network(CONF, &[]);
        let macs: Vec<String> = found.physical.iter().map(ToString::to_string).collect();
        assert_eq!(macs, ["00:0c:29:80:16:86", "00:0c:29:80:16:90"]);
        assert_eq!(found.first, Some(found.physical[0]));
        assert_eq!(found.uplinks, ["vmnic2", "vmnic3"]);
    }

    #[test]
    fn rows_of_the_store_hold_addresses_too() {
        let rows = [
            [
                "network",
                "vmknics",
                "vmk0",
                "",
                r#"{"device":"vmk0","mac":"00:0c:29:00:00:01"}"#,
            ],
            [
                "network",
                "vmknics",
                "vmk1",
                "",
                r#"{"device":"vmk1","mac":"00:50:56:00:00:02"}"#,
            ],
            [
                "network",
                "pnics",
                "vmnic0",
                r#"{"mac":"00:0c:29:00:00:01"}"#,
                "",
            ],
            ["network", "other", "", r#"{"mac":"none"}"#, "x"],
        ];
        let found = network("/a/b = \"\"\n", &rows);
        assert_eq!(found.first, Mac::parse("00:0c:29:00:00:01"));
        assert_eq!(found.physical, Vec::from_iter(found.first));
        assert!(found.uplinks.is_empty());
        assert_eq!(network("/a/b = \"\"\n", &[]), Network::default());
    }
}
