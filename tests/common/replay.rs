//! The states a medium can be in when a recorded run is cut.
//!
//! The model: a write is durable when a later sync has returned; of the writes since the last
//! sync any subset is on the medium, in logical sectors. Sectors of FATs and directories are
//! also torn at each 8-byte boundary, in both directions. Metadata sectors are taken in every
//! subset up to [`EXHAUSTIVE`] of them and by a fixed pseudo-random choice beyond; data
//! sectors none, all, every prefix and each one missing. States that hold the same bytes are
//! visited once.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "shared by test programs, none of which uses all; one that cannot go on fails"
)]

use crate::media::Event;
use bootbank::medium::{ReadAt, WriteAt};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// So many metadata sectors of one sync are taken in every subset.
pub const EXHAUSTIVE: usize = 16;

/// A medium that keeps what differs from an image beside it, so that thousands of them are
/// cheap. It can be written like any other.
pub struct Cow<'b> {
    base: &'b [u8],
    sector: usize,
    changed: RefCell<BTreeMap<u64, Vec<u8>>>,
}

impl<'b> Cow<'b> {
    pub fn new(base: &'b [u8], sector: usize) -> Self {
        Cow {
            base,
            sector,
            changed: RefCell::default(),
        }
    }

    /// Another medium in the same state.
    pub fn copy(&self) -> Self {
        Cow {
            changed: self.changed.clone(),
            ..*self
        }
    }

    pub fn base(&self) -> &'b [u8] {
        self.base
    }

    pub fn sector_size(&self) -> usize {
        self.sector
    }

    pub fn put(&self, lba: u64, content: &[u8]) {
        assert_eq!(content.len(), self.sector);
        self.changed.borrow_mut().insert(lba, content.to_vec());
    }

    /// The sectors that are kept beside the image.
    pub fn kept(&self) -> BTreeMap<u64, Vec<u8>> {
        self.changed.borrow().clone()
    }

    /// Numbers of the sectors in which this differs from `image`, which is the base or differs
    /// from it in `other` only.
    pub fn differences(&self, other: &BTreeMap<u64, Vec<u8>>) -> Vec<u64> {
        let changed = self.changed.borrow();
        let lbas: BTreeSet<u64> = changed.keys().chain(other.keys()).copied().collect();
        let at = |map: &BTreeMap<u64, Vec<u8>>, lba: u64| match map.get(&lba) {
            Some(sector) => sector.clone(),
            None => self.base[lba as usize * self.sector..][..self.sector].to_vec(),
        };
        let differ = |lba: &u64| at(&changed, *lba) != at(other, *lba);
        lbas.into_iter().filter(differ).collect()
    }

    /// The bytes of a range.
    pub fn bytes(&self, range: std::ops::Range<u64>) -> Vec<u8> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        self.read_at(&mut bytes, range.start).unwrap();
        bytes
    }
}

impl ReadAt for Cow<'_> {
    fn size(&self) -> u64 {
        self.base.len() as u64
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.base.read_at(buf, offset)?;
        let size = self.sector as u64;
        let end = offset + buf.len() as u64;
        let changed = self.changed.borrow();
        for (&lba, sector) in changed.range(offset / size..end.div_ceil(size)) {
            let start = lba * size;
            let (from, to) = (start.max(offset), (start + size).min(end));
            let source = &sector[(from - start) as usize..(to - start) as usize];
            buf[(from - offset) as usize..(to - offset) as usize].copy_from_slice(source);
        }
        Ok(())
    }
}

impl WriteAt for Cow<'_> {
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let size = self.sector as u64;
        assert!(offset.is_multiple_of(size) && data.len().is_multiple_of(self.sector));
        assert!(offset + data.len() as u64 <= self.size(), "past the end");
        for (lba, sector) in (offset / size..).zip(data.chunks(self.sector)) {
            self.put(lba, sector);
        }
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    fn read_back(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_at(buf, offset)
    }
}

/// The sectors written between two syncs, with what was written to each last.
pub type Epoch = BTreeMap<u64, Vec<u8>>;

/// Cuts a log into what lies between its syncs. `base` is the medium before: writes need not
/// be whole sectors.
pub fn epochs(base: &[u8], log: &[Event], sector: usize) -> Vec<Epoch> {
    let mut epochs = vec![Epoch::new()];
    let mut now: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for event in log {
        match event {
            Event::Sync => epochs.push(Epoch::new()),
            Event::Write { offset, data } => {
                for (lba, content) in as_sectors(base, &mut now, *offset, data, sector) {
                    epochs.last_mut().unwrap().insert(lba, content);
                }
            }
        }
    }
    epochs.retain(|epoch| !epoch.is_empty());
    epochs
}

/// One write as the sectors it makes; `now` is what earlier writes made of them.
pub fn as_sectors(
    base: &[u8],
    now: &mut BTreeMap<u64, Vec<u8>>,
    offset: u64,
    data: &[u8],
    sector: usize,
) -> Vec<(u64, Vec<u8>)> {
    let size = sector as u64;
    let end = offset + data.len() as u64;
    let mut made = Vec::new();
    for lba in offset / size..end.div_ceil(size) {
        let start = lba * size;
        let was = || base[start as usize..][..sector].to_vec();
        let content = now.entry(lba).or_insert_with(was);
        let (from, to) = (start.max(offset), (start + size).min(end));
        content[(from - start) as usize..(to - start) as usize]
            .copy_from_slice(&data[(from - offset) as usize..(to - offset) as usize]);
        made.push((lba, content.clone()));
    }
    made
}

/// Where a run was cut.
#[derive(Clone, Debug)]
pub struct Cut {
    /// How many syncs had returned.
    pub epoch: usize,
    /// Whether a sector is torn.
    pub torn: bool,
    /// What of the writes since is on the medium, for messages.
    pub what: String,
}

/// Calls `judge` with every state the epochs can be cut at, the last one with everything on
/// the medium. `is_data` tells the sectors of file content.
pub fn each_state(
    base: &[u8],
    sector: usize,
    epochs: &[Epoch],
    is_data: &dyn Fn(u64) -> bool,
    judge: &mut dyn FnMut(&Cow<'_>, &Cut),
) -> usize {
    let durable = Cow::new(base, sector);
    let mut count = 0;
    for (index, epoch) in epochs.iter().enumerate() {
        let step = StepStates {
            durable: &durable,
            epoch,
            data: epoch.keys().copied().filter(|lba| is_data(*lba)).collect(),
            meta: epoch.keys().copied().filter(|lba| !is_data(*lba)).collect(),
        };
        for (written, what) in step.subsets() {
            let state = step.state(&written);
            let cut = Cut {
                epoch: index,
                torn: false,
                what,
            };
            judge(&state, &cut);
            count += 1;
        }
        for (state, what) in step.torn() {
            let cut = Cut {
                epoch: index,
                torn: true,
                what,
            };
            judge(&state, &cut);
            count += 1;
        }
        for (&lba, content) in epoch {
            durable.put(lba, content);
        }
    }
    let cut = Cut {
        epoch: epochs.len(),
        torn: false,
        what: "everything".to_owned(),
    };
    judge(&durable, &cut);
    count + 1
}

struct StepStates<'s, 'b> {
    durable: &'s Cow<'b>,
    epoch: &'s Epoch,
    data: Vec<u64>,
    meta: Vec<u64>,
}

impl<'b> StepStates<'_, 'b> {
    fn state(&self, written: &BTreeSet<u64>) -> Cow<'b> {
        let state = self.durable.copy();
        for lba in written {
            state.put(*lba, &self.epoch[lba]);
        }
        state
    }

    /// Subsets of the sectors, each once, without the whole: that is the next epoch's none.
    fn subsets(&self) -> Vec<(BTreeSet<u64>, String)> {
        let meta = self.meta_subsets();
        let data = self.data_subsets();
        let ends = |of: &[u64]| [BTreeSet::new(), of.iter().copied().collect()];
        let mut seen = BTreeSet::new();
        let mut all = Vec::new();
        let pairs = (meta
            .iter()
            .flat_map(|m| ends(&self.data).map(|d| (m.clone(), d))))
        .chain(
            data.iter()
                .flat_map(|d| ends(&self.meta).map(|m| (m, d.clone()))),
        );
        for (meta, data) in pairs {
            let what = format!(
                "metadata sectors {meta:?} of {:?}, {} of {} data sectors",
                self.meta,
                data.len(),
                self.data.len()
            );
            let written: BTreeSet<u64> = meta.into_iter().chain(data).collect();
            if written.len() < self.epoch.len() && seen.insert(written.clone()) {
                all.push((written, what));
            }
        }
        all
    }

    fn meta_subsets(&self) -> Vec<BTreeSet<u64>> {
        let count = self.meta.len();
        assert!(count < 64, "{count} metadata sectors without a sync");
        let every = 1u64 << count;
        let chosen: Vec<u64> = if count <= EXHAUSTIVE {
            (0..every).collect()
        } else {
            let mut random = Random(count as u64);
            let some = (0..1u64 << EXHAUSTIVE).map(|_| random.next() & (every - 1));
            some.chain([0, every - 1]).collect()
        };
        let set = |bits: u64| {
            let chosen = self.meta.iter().enumerate();
            let chosen = chosen.filter(|(at, _)| bits >> at & 1 == 1);
            chosen.map(|(_, &lba)| lba).collect()
        };
        chosen.into_iter().map(set).collect()
    }

    fn data_subsets(&self) -> Vec<BTreeSet<u64>> {
        let prefixes = (0..=self.data.len()).map(|len| self.data[..len].iter().copied().collect());
        let without = |missing: &u64| {
            let others = self.data.iter().copied();
            others.filter(|lba| lba != missing).collect()
        };
        prefixes.chain(self.data.iter().map(without)).collect()
    }

    /// One metadata sector torn at each 8-byte boundary, the others there or not.
    fn torn(&self) -> Vec<(Cow<'b>, String)> {
        let mut states = Vec::new();
        for &lba in &self.meta {
            let size = self.durable.sector;
            let old = self
                .durable
                .bytes(lba * size as u64..(lba + 1) * size as u64);
            let new = &self.epoch[&lba];
            let mut seen = BTreeSet::from([old.clone(), new.clone()]);
            for cut in (8..size).step_by(8) {
                let forth = [&new[..cut], &old[cut..]].concat();
                let back = [&old[..cut], &new[cut..]].concat();
                for torn in [forth, back] {
                    if !seen.insert(torn.clone()) {
                        continue;
                    }
                    for others in [BTreeSet::new(), self.epoch.keys().copied().collect()] {
                        if self.epoch.len() == 1 && !others.is_empty() {
                            continue;
                        }
                        let state = self.state(&others);
                        state.put(lba, &torn);
                        let what = format!("sector {lba} torn at {cut}, {} others", others.len());
                        states.push((state, what));
                    }
                }
            }
        }
        states
    }
}

/// A fixed sequence of numbers without a pattern that matters (xorshift).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x ^= x >> 30;
        x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x ^= x >> 27;
        x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    }
}
