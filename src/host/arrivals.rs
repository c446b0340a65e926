//! Disks that come while one is watching.
//!
//! sysfs is listed again and again, which costs little. inotify on `/dev` would miss a card that is
//! put into a reader, whose node is always there.

use super::Disk;
use std::collections::BTreeSet;

/// What tells one attachment of a disk from another.
type Key = (String, Option<u64>, u64, Option<String>);

/// Which disks are known, and which were seen for the first time at the last look.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    known: BTreeSet<Key>,
    fresh: BTreeSet<Key>,
}

impl Arrivals {
    /// Those attached now are no arrivals.
    pub fn after(disks: &[Disk]) -> Self {
        Arrivals {
            known: disks.iter().map(key).collect(),
            fresh: BTreeSet::new(),
        }
    }

    /// The disks that came, each once: when it is there at two looks in a row, so that whoever names
    /// and probes new disks had time to. One that was taken away and comes back has come again.
    pub fn look(&mut self, disks: &[Disk]) -> Vec<Disk> {
        let now: BTreeSet<Key> = disks.iter().map(key).collect();
        self.known.retain(|key| now.contains(key));
        let is_new = |disk: &&Disk| !self.known.contains(&key(disk));
        let (came, fresh): (Vec<&Disk>, Vec<&Disk>) = disks
            .iter()
            .filter(is_new)
            .partition(|disk| self.fresh.contains(&key(disk)));
        let came: Vec<Disk> = came.into_iter().cloned().collect();
        let fresh = fresh.into_iter().map(key).collect();
        self.known.extend(came.iter().map(key));
        self.fresh = fresh;
        came
    }
}

fn key(disk: &Disk) -> Key {
    let serial = disk.serial.clone();
    (disk.name.clone(), disk.sequence, disk.size, serial)
}

#[cfg(test)]
mod tests {
    use super::super::recorded::Recorded;
    use super::*;

    #[test]
    fn a_disk_comes_once_for_each_time_it_is_plugged_in() {
        let disks = Recorded::open("desktop").host().disks();
        let [sda, sdb] = &disks[..] else {
            panic!("{disks:?}")
        };
        let only = std::slice::from_ref(sda);
        let mut again = disks.clone();
        again[1].sequence = Some(17);
        let mut arrivals = Arrivals::after(only);
        let looks: [(&[Disk], &[&Disk]); 9] = [
            (only, &[]),
            // Seen once, it may be gone at the next look.
            (&disks, &[]),
            (&disks, &[sdb]),
            (&disks, &[]),
            (only, &[]),
            (&disks, &[]),
            (&disks, &[sdb]),
            // Pulled and plugged in again between two looks.
            (&again, &[]),
            (&again, &[&again[1]]),
        ];
        for (at, (attached, expected)) in looks.iter().enumerate() {
            let came = arrivals.look(attached);
            assert_eq!(came.iter().collect::<Vec<_>>(), *expected, "look {at}");
        }
    }

    #[test]
    fn what_can_be_plugged_in_is_usb_or_a_card_or_says_so() {
        let cases = [
            ("desktop", "sdb", true),
            ("desktop", "sda", false),
            ("idsdm", "sda", true),
            ("sata-dom", "sda", false),
            ("nvme", "nvme0n1", false),
        ];
        for (machine, name, expected) in cases {
            let disks = Recorded::open(machine).host().disks();
            let disk = disks.iter().find(|disk| disk.name == name).unwrap();
            assert_eq!(disk.can_be_plugged_in(), expected, "{machine} {name}");
        }
    }
}
