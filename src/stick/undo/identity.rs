//! Whose medium an undo file is for: what it keeps of that, and how a medium differs from it.

use super::super::{Plan, Settings, Slot, Stick};
use crate::bank::BOOT_CFG;
use crate::commit::{About, Undo};
use crate::edit::identity::Identity;
use crate::medium::ReadAt;
use std::collections::BTreeSet;

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
    /// The undo file of a plan. To `about` are added the UUIDs of the banks and the name and UUID of the
    /// host.
    pub fn undo_of(&self, plan: &Plan, mut about: About) -> Undo {
        let steps = plan.set.steps().iter();
        let changed: BTreeSet<u32> = steps.map(|step| step.partition).collect();
        let mut damaged = BTreeSet::new();
        for slot in self.slots() {
            let partition = slot.partition;
            if let Ok(bank) = &slot.bank {
                about.banks.insert(partition, bank.uuid().to_string());
            }
            if changed.contains(&partition) {
                damaged.extend(self.damaged_in(slot));
            }
        }
        let host = self.host().unwrap_or_default();
        about.host = host.name.or(about.host);
        about.system_uuid = host.system_uuid.or(about.system_uuid);
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
    for (&partition, expected) in &undo.about.banks {
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
    let about = &undo.about;
    let by_uuid = about.system_uuid.as_ref().zip(host.system_uuid.as_ref());
    let name = about.host.as_ref().zip(host.name.as_ref());
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
