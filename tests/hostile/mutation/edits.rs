//! The edits: one place of one layer changed, by a seed.

use super::super::memory::Medium;
use super::super::repair;
use super::layout::{Bank, Image, Inner, StateFile};
use std::ops::Range;

/// splitmix64.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % (limit.max(1) as u64)).unwrap()
    }

    pub(super) fn within(&mut self, range: &Range<usize>) -> usize {
        range.start + self.below(range.len())
    }

    pub(super) fn one_of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Changes a few bytes of `bytes` in `range`, in ways that fields take amiss.
pub(super) fn spoil(random: &mut Random, bytes: &mut [u8], range: &Range<usize>) {
    const WORDS: [u32; 10] = [
        0,
        1,
        2,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_fff8,
        u32::MAX,
        512,
        4096,
        65536,
    ];
    let range = range.start..range.end.min(bytes.len());
    if range.is_empty() {
        return;
    }
    for _ in 0..1 + random.below(3) {
        let at = random.within(&range);
        match random.below(7) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => {
                bytes[at] = *random.one_of(&[0, 1, 0x20, 0x2f, 0x30, 0x37, 0x7f, 0x80, 0xe5, 0xff])
            }
            2 => bytes[at] = random.next() as u8,
            3 => put(
                bytes,
                at & !1,
                &(*random.one_of(&WORDS) as u16).to_le_bytes(),
            ),
            4 => put(bytes, at & !3, &random.one_of(&WORDS).to_le_bytes()),
            5 => {
                let len = 1 + random.below(32.min(range.end - at));
                let from = random.within(&range).min(range.end - len);
                bytes.copy_within(from..from + len, at);
            }
            _ => {
                let len = 1 + random.below(16.min(range.end - at));
                bytes[at..at + len].fill(random.next() as u8);
            }
        }
    }
}

pub(super) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

/// Makes one change. Yields what it was, for messages.
pub(super) fn mutate(random: &mut Random, image: &Image, medium: &Medium<'_>) -> &'static str {
    let bank = random.one_of(&image.banks);
    match random.below(12) {
        0 => {
            let place = random.one_of(&image.table).clone();
            spoil_on(random, medium, place, |bytes, random, range| {
                spoil(random, bytes, &range)
            });
            if random.below(4) != 0 {
                let head = image.sector * 8;
                let mut bytes = medium.get(0, head);
                repair::gpt(&mut bytes, image.sector);
                medium.put(0, &bytes);
            }
            "table"
        }
        1 => {
            let place = *random.one_of(&[0, 0, 0, bank.sector]);
            let place = bank.at + place..bank.at + place + 64;
            spoil_on(random, medium, place, |bytes, random, range| {
                spoil(random, bytes, &range)
            });
            "boot sector"
        }
        2 | 3 => {
            mutate_fat(random, bank, medium);
            "FAT"
        }
        4 | 5 => {
            let used = (0..bank.root.len()).step_by(32);
            let used = used
                .take_while(|at| image.bytes[bank.root.start + at] != 0)
                .count()
                * 32;
            let mut place = bank.root.start..bank.root.start + used + 32;
            if !bank.other_folders.is_empty() && random.below(2) == 0 {
                let cluster = *random.one_of(&bank.other_folders);
                place = bank.place(cluster)..bank.place(cluster) + 512;
            }
            spoil_on(random, medium, place, |bytes, random, range| {
                spoil(random, bytes, &range)
            });
            "directory"
        }
        6 => {
            let Some(&first) = bank.boot_cfg.first() else {
                return "nothing";
            };
            let place = bank.place(first)..bank.place(first) + 400;
            spoil_on(random, medium, place, |bytes, random, range| {
                spoil(random, bytes, &range)
            });
            "boot.cfg"
        }
        _ if bank.states.is_empty() => "nothing",
        kind => {
            let file = random.one_of(&bank.states);
            let (what, content) = mutate_state(random, file, kind);
            if bank.replace(medium, file, &content) {
                what
            } else {
                "no room"
            }
        }
    }
}

pub(super) fn spoil_on(
    random: &mut Random,
    medium: &Medium<'_>,
    place: Range<usize>,
    change: impl FnOnce(&mut [u8], &mut Random, Range<usize>),
) {
    let mut bytes = medium.get(place.start, place.len());
    let all = 0..bytes.len();
    change(&mut bytes, random, all);
    medium.put(place.start, &bytes);
}

/// An entry of a chain in use, or any entry, in one copy of the FAT or in both.
pub(super) fn mutate_fat(random: &mut Random, bank: &Bank, medium: &Medium<'_>) {
    let chains: Vec<usize> = bank
        .states
        .iter()
        .flat_map(|file| file.chain.clone())
        .collect();
    for _ in 0..1 + random.below(4) {
        let any = random
            .below(bank.clusters + 4)
            .min(bank.fat_len * 8 / bank.bits - 2);
        let cluster = if random.below(3) == 0 || chains.is_empty() {
            any
        } else {
            *random.one_of(&chains)
        };
        let other = if chains.is_empty() {
            2
        } else {
            *random.one_of(&chains)
        };
        let values = [
            0,
            1,
            2,
            cluster,
            other,
            bank.clusters + 1,
            bank.clusters + 2,
            0xfff7,
            0xffff,
            any,
        ];
        let value = *random.one_of(&values);
        let copies = random.one_of(&[0..2usize, 0..2, 0..1, 1..2]).clone();
        copies.for_each(|copy| bank.set_fat_entry(medium, copy, cluster, value));
    }
}

/// The state file with a change in one of its layers.
pub(super) fn mutate_state(
    random: &mut Random,
    file: &StateFile,
    kind: usize,
) -> (&'static str, Vec<u8>) {
    let mut outer = file.outer.clone();
    let whole = 0..outer.len();
    match (&file.inner, kind) {
        (Some(inner), 7 | 8) => {
            let mut archive = inner.archive.clone();
            let places = repair::tar(&mut archive);
            let (_, place) = random.one_of(&places).clone();
            spoil(random, &mut archive, &(place.start - 512..place.start));
            repair::tar(&mut archive);
            (
                "header in the inner archive",
                file.with_inner(inner, &archive),
            )
        }
        (Some(inner), 9 | 10) => {
            let mut archive = inner.archive.clone();
            let places = repair::tar(&mut archive);
            let telling: Vec<_> = places
                .into_iter()
                .filter(|(name, _)| name.ends_with("esx.conf") || name.ends_with("current-store-1"))
                .collect();
            let (_, place) = random.one_of(&telling).clone();
            spoil(random, &mut archive, &place);
            ("configuration", file.with_inner(inner, &archive))
        }
        (
            Some(Inner {
                sealed: Some(sealed),
                archive,
                member,
            }),
            _,
        ) => {
            let mut header = sealed.header.clone();
            spoil(random, &mut header, &(496..900));
            (
                "envelope",
                file.with_member(member, sealed.seal(&repair::gzip(archive), &header)),
            )
        }
        (_, 11) => {
            let mut packed = repair::gzip(&outer);
            let all = 0..packed.len();
            spoil(random, &mut packed, &all);
            ("gzip", packed)
        }
        _ => {
            spoil(random, &mut outer, &whole);
            repair::tar(&mut outer);
            ("outer archive", repair::gzip(&outer))
        }
    }
}
