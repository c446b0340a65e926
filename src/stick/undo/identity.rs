//! Whose medium an undo file is for: what it keeps of that, and how a medium differs from it.

use super::super::{Plan, Settings, Slot, Stick};
use crate::bank::BOOT_CFG;
use crate::commit::Undo;
use crate::edit::identity::Identity;
use crate::medium::ReadAt;
use std::collections::{BTreeMap, BTreeSet};

/// In [`Undo::about`], the name of the host whose state the medium held.
pub const ABOUT_HOST: &str = "host";
/// In [`Undo::about`], before the number of a partition: the UUID of its bank.
pub const ABOUT_BANK: &str = "bank";
/// In [`Undo::about`], the host's UUID.
pub const ABOUT_SYSTEM_UUID: &str = "system uuid";

/// In which way a medium is another one than that of an undo file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OtherMedium {
    /// The bank on a partition has another UUID.
    Bank {
        /// Number of the partition.
        partition: u32,
        /// The UUID in the undo file.
        expected: String,
        /// The UUID of the bank; `None` where there is no bank.
        found: Option<String>,
    },
    /// The state is that of another host.
    Host {
        /// The name, or else the UUID, in the undo file.
        expected: String,
        /// The name, or else the UUID, in the states of the medium.
        found: String,
    },
}

impl Stick<'_, '_> {
    /// The undo file of a plan. Into `about`, which tells a person what the file is for, go the UUIDs
    /// of the banks and the name and UUID of the host.
    pub fn undo_of(&self, plan: &Plan, mut about: BTreeMap<String, String>) -> Undo {
        let steps = plan.set.steps().iter();
        let changed: BTreeSet<u32> = steps.map(|step| step.partition).collect();
        let mut damaged = BTreeSet::new();
        for slot in self.slots() {
            let partition = slot.partition;
            if let Ok(bank) = &slot.bank {
                about.insert(format!("{ABOUT_BANK}{partition}"), bank.uuid().to_string());
            }
            if changed.contains(&partition) {
                damaged.extend(self.damaged_in(slot));
            }
        }
        let host = self.host().unwrap_or_default();
        about.extend(host.name.map(|name| (ABOUT_HOST.to_owned(), name)));
        let uuid = host.system_uuid;
        about.extend(uuid.map(|uuid| (ABOUT_SYSTEM_UUID.to_owned(), uuid)));
        Undo {
            set: plan.set.clone(),
            medium_size: self.medium().size(),
            damaged,
            about,
        }
    }

    /// Those files of a bank that a host could not read as they are.
    fn damaged_in(&self, slot: &Slot<'_>) -> BTreeSet<(u32, String)> {
        let boot_cfg = slot.bank.is_err().then(|| BOOT_CFG.to_owned());
        let states = slot.states.iter();
        let states = states.filter(|file| self.open_state(slot, file).is_err());
        let names = boot_cfg
            .into_iter()
            .chain(states.map(|file| file.name.clone()));
        names.map(|name| (slot.partition, name)).collect()
    }
}

/// How a medium differs from the one that an undo file tells of, as far as both are known.
pub(super) fn differences(
    medium: &dyn ReadAt,
    undo: &Undo,
    settings: &Settings<'_>,
) -> Vec<OtherMedium> {
    let Ok(stick) = Stick::open(medium, settings) else {
        return Vec::new();
    };
    let mut differences = Vec::new();
    for (name, expected) in &undo.about {
        let number = name.strip_prefix(ABOUT_BANK).and_then(|it| it.parse().ok());
        let Some(partition): Option<u32> = number else {
            continue;
        };
        let slot = stick.bank_on(partition);
        let bank = slot.and_then(|slot| slot.bank.as_ref().ok());
        let found = bank.map(|bank| bank.uuid().to_string());
        // A bank that cannot be opened may be the one to put back.
        if found.as_ref() != Some(expected) && (found.is_some() || slot.is_none()) {
            differences.push(OtherMedium::Bank {
                partition,
                expected: expected.clone(),
                found,
            });
        }
    }
    differences.extend(other_host(&stick.host().unwrap_or_default(), undo));
    differences
}

fn other_host(host: &Identity, undo: &Undo) -> Option<OtherMedium> {
    let about = |name: &str| undo.about.get(name);
    let by_uuid = about(ABOUT_SYSTEM_UUID).zip(host.system_uuid.as_ref());
    let name = about(ABOUT_HOST).zip(host.name.as_ref());
    let same = match (by_uuid, name) {
        (Some((expected, found)), _) => expected == found,
        (None, Some((expected, found))) => expected == found,
        (None, None) => true,
    };
    let (expected, found) = name
        .filter(|(expected, found)| expected != found)
        .or(by_uuid)?;
    (!same).then(|| OtherMedium::Host {
        expected: expected.clone(),
        found: found.clone(),
    })
}
