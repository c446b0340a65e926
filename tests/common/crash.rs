//! The states a medium can be in when a run of steps is cut.
//!
//! The model: a step begins when all earlier ones are on the medium; of its own sectors any
//! subset is. Directory and FAT sectors may be torn at any 8-byte boundary. Steps of many
//! data sectors are covered by none, all, every prefix and each one missing; others by every
//! subset, or by a fixed pseudo-random choice of them where there are more than `exhaustive`
//! sectors.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "shared by test programs, none of which uses all; one that cannot go on fails"
)]

use bootbank::commit::{Phase, SectorChange, Step, WriteSet};
use bootbank::medium::Lba;

/// Where a run was cut.
#[derive(Debug)]
pub struct Cut<'s> {
    /// Index of the step that was cut.
    pub step: usize,
    /// What the step does.
    pub phase: Phase,
    /// What of it is on the medium.
    pub written: &'s str,
}

/// Calls `judge` with every state of `base` that carrying out `set` can be cut at. States are
/// made in one buffer: keep a copy of what is wanted for longer. Returns their number.
pub fn each_state(
    base: &[u8],
    set: &WriteSet,
    exhaustive: u32,
    mut judge: impl FnMut(&[u8], &Cut<'_>),
) -> usize {
    let mut medium = base.to_vec();
    let mut states = 0;
    for (index, step) in set.steps().iter().enumerate() {
        let mut replay = Replay {
            sectors: step
                .sectors
                .iter()
                .map(|(&lba, change)| (lba, change))
                .collect(),
            size: set.sector_size() as usize,
            medium: &mut medium,
            judge: &mut |medium: &[u8], written: &str| {
                states += 1;
                let phase = step.phase;
                judge(
                    medium,
                    &Cut {
                        step: index,
                        phase,
                        written,
                    },
                );
            },
        };
        if matches!(step.phase, Phase::Data | Phase::Overwrite) {
            replay.data();
        } else {
            replay.subsets(exhaustive);
            replay.torn();
        }
        apply(&mut medium, step, set.sector_size());
    }
    judge(
        &medium,
        &Cut {
            step: set.steps().len(),
            phase: Phase::Release,
            written: "everything",
        },
    );
    states + 1
}

/// Carries out one step.
pub fn apply(medium: &mut [u8], step: &Step, sector_size: u32) {
    for (&lba, change) in &step.sectors {
        let at = lba.0 as usize * sector_size as usize;
        assert_eq!(
            &medium[at..at + change.old.len()],
            &*change.old,
            "sector {lba}"
        );
        medium[at..at + change.new.len()].copy_from_slice(&change.new);
    }
}

/// Carries out every step.
pub fn apply_all(medium: &mut [u8], set: &WriteSet) {
    for step in set.steps() {
        apply(medium, step, set.sector_size());
    }
}

struct Replay<'r> {
    sectors: Vec<(Lba, &'r SectorChange)>,
    size: usize,
    medium: &'r mut [u8],
    judge: &'r mut dyn FnMut(&[u8], &str),
}

impl Replay<'_> {
    fn put(&mut self, sector: usize, content: &[u8]) {
        let at = self.sectors[sector].0.0 as usize * self.size;
        self.medium[at..at + self.size].copy_from_slice(content);
    }

    fn set(&mut self, sector: usize, written: bool) {
        let change = self.sectors[sector].1;
        self.put(sector, if written { &change.new } else { &change.old });
    }

    fn set_all(&mut self, written: impl Fn(usize) -> bool) {
        for sector in 0..self.sectors.len() {
            self.set(sector, written(sector));
        }
    }

    fn judge(&mut self, written: &str) {
        (self.judge)(self.medium, written);
    }

    fn data(&mut self) {
        let count = self.sectors.len();
        for prefix in 0..=count {
            self.set_all(|sector| sector < prefix);
            self.judge(&format!("the first {prefix} of {count} sectors"));
        }
        for missing in 0..count {
            self.set_all(|sector| sector != missing);
            self.judge(&format!("all but sector {missing} of {count}"));
        }
        self.set_all(|_| false);
    }

    fn subsets(&mut self, exhaustive: u32) {
        let count = self.sectors.len() as u32;
        assert!(count < 64, "a step of {count} metadata sectors");
        let every = 1u64 << count;
        let chosen: Vec<u64> = if count <= exhaustive {
            (0..every).collect()
        } else {
            let mut seed = 0x9e37_79b9_7f4a_7c15u64;
            let mut next = || {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                seed & (every - 1)
            };
            let some = (0..1u64 << exhaustive).map(|_| next());
            some.chain([0, every - 1]).collect()
        };
        for subset in chosen {
            self.set_all(|sector| subset >> sector & 1 == 1);
            self.judge(&format!("sectors {subset:#b} of {count}"));
        }
        self.set_all(|_| false);
    }

    fn torn(&mut self) {
        for sector in 0..self.sectors.len() {
            let change = self.sectors[sector].1;
            for cut in (8..self.size).step_by(8) {
                let (old, new) = (change.old.split_at(cut), change.new.split_at(cut));
                if old.0 == new.0 || old.1 == new.1 {
                    continue;
                }
                for content in [[new.0, old.1].concat(), [old.0, new.1].concat()] {
                    for others in [false, true] {
                        self.set_all(|_| others);
                        self.put(sector, &content);
                        let state = if others { "written" } else { "missing" };
                        self.judge(&format!("sector {sector} torn at {cut}, others {state}"));
                    }
                }
            }
        }
        self.set_all(|_| false);
    }
}
