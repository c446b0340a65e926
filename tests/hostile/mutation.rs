//! Seeded edits in the metadata of every profile's image, driven through the library.
//!
//! Each case changes one thing or a few (a table, a boot sector, the FATs, a directory, a boot.cfg, a
//! layer of a state) and makes the checksums above right again. Then the medium is checked and a
//! fix planned. Claims: no panic; reads and memory bounded, counted and not timed; a plan that is
//! refused leaves nothing written; one that is accepted gives, once carried out, an image that
//! reads back, wants nothing more, and that fsck.fat and mtools agree about (for a sample).
//!
//! The same seeds each time. `BOOTBANK_LONG=1` tries twenty times as many,
//! `BOOTBANK_CASE=PROFILE:CASE` the one that was a find.

use super::images::{output, profiles, small};
use super::memory::{Medium, peak_of};
use super::repair;
use aes_gcm::aead::{AeadInOut as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use base64::Engine as _;
use bootbank::commit::{Undo, run};
use bootbank::edit::{Context, Devices, Edit, OwnerEdit};
use bootbank::fat::Method;
use bootbank::ownership::Owner;
use bootbank::state::{KeyCache, Limits};
use bootbank::stick::{BankChoice, Plan, Request, Settings, Stick, check};
use sha2::Sha256;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Cases for each profile.
const CASES: u64 = 90;
/// Of the accepted plans one in so many is judged by fsck.fat and mtools.
const JUDGED: u64 = 25;
/// What opening, checking and planning may read: a small image has at most 24 MiB, and what is
/// read twice is little. The most that was met is 1.6 MB.
const MOST_READ: u64 = 16 << 20;
/// What a thread may hold meanwhile. The most that was met is 1.9 MB.
const MOST_MEMORY: u64 = 24 << 20;
const LIMITS: Limits = Limits {
    max_unpacked: 4 << 20,
};

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % (limit.max(1) as u64)).unwrap()
    }

    fn within(&mut self, range: &Range<usize>) -> usize {
        range.start + self.below(range.len())
    }

    fn one_of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Changes a few bytes of `bytes` in `range`, in ways that fields take amiss.
fn spoil(random: &mut Random, bytes: &mut [u8], range: &Range<usize>) {
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

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

/// Where the parts of a bank are, by its boot sector and the truth about the image.
struct Bank {
    partition: u32,
    at: usize,
    sector: usize,
    bits: usize,
    clusters: usize,
    fats: [usize; 2],
    fat_len: usize,
    root: Range<usize>,
    data: usize,
    cluster: usize,
    boot_cfg: Vec<usize>,
    states: Vec<StateFile>,
    other_folders: Vec<usize>,
}

/// A state file: its entry and chain, and what is in it, layer by layer.
struct StateFile {
    name: String,
    entry: usize,
    chain: Vec<usize>,
    outer: Vec<u8>,
    inner: Option<Inner>,
}

/// The inner archive, and where in the outer one it is.
struct Inner {
    member: String,
    archive: Vec<u8>,
    sealed: Option<Sealed>,
}

struct Sealed {
    header: Vec<u8>,
    iv_at: usize,
    key: [u8; 32],
    last: Vec<u8>,
}

struct Image {
    profile: String,
    bytes: Vec<u8>,
    sector: usize,
    table: Vec<Range<usize>>,
    banks: Vec<Bank>,
}

fn number(value: &serde_json::Value) -> usize {
    usize::try_from(value.as_u64().expect("a number")).unwrap()
}

impl Image {
    fn load(profile: &str) -> Self {
        let (image, truth) = small(profile);
        let bytes = fs::read(image).unwrap();
        let truth: serde_json::Value = serde_json::from_slice(&fs::read(truth).unwrap()).unwrap();
        let sector = number(&truth["sector_size"]);
        let mut table = Vec::from_iter(std::iter::once(440..512));
        if truth["table"] == "gpt" {
            table.extend([sector..sector + 92, sector * 2..sector * 2 + 10 * 128]);
        } else {
            // The extended boot records are 32 sectors before their partitions.
            let parts = truth["partitions"].as_array().unwrap().iter();
            let logical = parts.filter(|part| number(&part["number"]) >= 5);
            table.extend(logical.map(|part| {
                let at = (number(&part["first_lba"]) - 32) * 512;
                at + 446..at + 512
            }));
        }
        let banks = truth["banks"].as_array().unwrap().iter();
        let banks = banks.map(|told| Bank::read(&bytes, sector, told)).collect();
        Image {
            profile: profile.to_owned(),
            bytes,
            sector,
            table,
            banks,
        }
    }
}

impl Bank {
    fn read(image: &[u8], sector: usize, told: &serde_json::Value) -> Self {
        let at = number(&told["offset"]);
        let fat = &told["fat"];
        let word = |offset: usize| {
            usize::from(u16::from_le_bytes([
                image[at + offset],
                image[at + offset + 1],
            ]))
        };
        let fat_at = at + word(14) * sector;
        let fat_len = number(&fat["fat_sectors"]) * sector;
        let mut bank = Bank {
            partition: u32::try_from(number(&told["partition"])).unwrap(),
            at,
            sector,
            bits: if fat["type"] == "FAT12" { 12 } else { 16 },
            clusters: number(&fat["clusters"]),
            fats: [fat_at, fat_at + fat_len],
            fat_len,
            root: at + number(&fat["root_offset"])..at + number(&fat["data_offset"]),
            data: at + number(&fat["data_offset"]),
            cluster: number(&fat["sectors_per_cluster"]) * sector,
            boot_cfg: Vec::new(),
            states: Vec::new(),
            other_folders: Vec::new(),
        };
        for (name, file) in told["files"].as_object().unwrap() {
            let mut chain = Vec::new();
            for run in file["runs"].as_array().unwrap() {
                chain.extend(number(&run[0])..number(&run[0]) + number(&run[1]));
            }
            if name == "boot.cfg" {
                bank.boot_cfg = chain;
            } else if name == "state.tgz" || name == "local.tgz" {
                let entry = at + number(&file["entry_offset"]);
                let content = bank.content(image, &chain, number(&file["size"]));
                bank.states
                    .push(StateFile::open(name, entry, chain, &content));
            }
        }
        let slots = (bank.root.start..bank.root.end).step_by(32);
        bank.other_folders = slots
            .filter(|slot| image[slot + 11] == 0x10 && image[*slot] != 0xe5 && image[*slot] != 0)
            .map(|slot| usize::from(u16::from_le_bytes([image[slot + 26], image[slot + 27]])))
            .collect();
        bank
    }

    fn place(&self, cluster: usize) -> usize {
        self.data + (cluster - 2) * self.cluster
    }

    fn content(&self, image: &[u8], chain: &[usize], size: usize) -> Vec<u8> {
        let pieces = chain
            .iter()
            .map(|cluster| &image[self.place(*cluster)..][..self.cluster]);
        let mut content = pieces.collect::<Vec<_>>().concat();
        content.truncate(size);
        content
    }

    fn fat_entry(&self, medium: &Medium<'_>, cluster: usize) -> usize {
        let at = self.fats[0] + cluster * self.bits / 8;
        let pair = medium.get(at, 2);
        let value = usize::from(u16::from_le_bytes([pair[0], pair[1]]));
        match (self.bits, cluster % 2) {
            (16, _) => value,
            (_, 0) => value & 0xfff,
            _ => value >> 4,
        }
    }

    fn set_fat_entry(&self, medium: &Medium<'_>, copy: usize, cluster: usize, value: usize) {
        let at = self.fats[copy] + cluster * self.bits / 8;
        let pair = medium.get(at, 2);
        let old = usize::from(u16::from_le_bytes([pair[0], pair[1]]));
        let new = match (self.bits, cluster % 2) {
            (16, _) => value,
            (_, 0) => old & 0xf000 | value & 0xfff,
            _ => old & 0xf | (value & 0xfff) << 4,
        };
        medium.put(at, &(new as u16).to_le_bytes());
    }

    /// Gives a file new content, its chain made longer where needed. Whether there was room.
    fn replace(&self, medium: &Medium<'_>, file: &StateFile, content: &[u8]) -> bool {
        let needed = content.len().div_ceil(self.cluster);
        let mut chain = file.chain.clone();
        let mut free =
            (2..self.clusters + 2).filter(|cluster| self.fat_entry(medium, *cluster) == 0);
        while chain.len() < needed {
            let Some(next) = free.next() else {
                return false;
            };
            chain.push(next);
        }
        for unused in chain.split_off(needed) {
            (0..2).for_each(|copy| self.set_fat_entry(medium, copy, unused, 0));
        }
        for (index, &cluster) in chain.iter().enumerate() {
            let next = chain.get(index + 1).copied().unwrap_or(0xffff);
            (0..2).for_each(|copy| self.set_fat_entry(medium, copy, cluster, next));
            let mut piece = content[index * self.cluster..].to_vec();
            piece.resize(self.cluster, 0);
            medium.put(self.place(cluster), &piece);
        }
        let first = chain.first().copied().unwrap_or(0) as u16;
        medium.put(file.entry + 26, &first.to_le_bytes());
        medium.put(file.entry + 28, &(content.len() as u32).to_le_bytes());
        true
    }
}

impl StateFile {
    fn open(name: &str, entry: usize, chain: Vec<usize>, content: &[u8]) -> Self {
        let mut outer = repair::gunzip(content);
        let mut inner = None;
        let members = repair::tar(&mut outer);
        let find = |wanted: &str| {
            let found = members.iter().find(|(name, _)| name == wanted)?;
            Some(outer[found.1.clone()].to_vec())
        };
        if let Some(local) = find("local.tgz") {
            let archive = repair::gunzip(&local);
            inner = Some(Inner {
                member: "local.tgz".to_owned(),
                archive,
                sealed: None,
            });
        } else if let Some(envelope) = find("local.tgz.ve") {
            let info = find("encryption.info").or_else(|| find(".#encryption.info"));
            inner = info.and_then(|info| Inner::decrypt(&envelope, &info));
        }
        StateFile {
            name: name.to_owned(),
            entry,
            chain,
            outer,
            inner,
        }
    }

    /// The file with another inner archive in it.
    fn with_inner(&self, inner: &Inner, archive: &[u8]) -> Vec<u8> {
        let packed = repair::gzip(archive);
        let content = match &inner.sealed {
            None => packed,
            Some(sealed) => sealed.seal(&packed, &sealed.header),
        };
        self.with_member(&inner.member, content)
    }

    fn with_member(&self, name: &str, content: Vec<u8>) -> Vec<u8> {
        let mut outer = self.outer.clone();
        let members = repair::tar(&mut outer);
        let members: Vec<(String, Vec<u8>)> = members
            .into_iter()
            .map(|(member, place)| {
                let old = outer[place].to_vec();
                let new = if member == name { content.clone() } else { old };
                (member, new)
            })
            .collect();
        repair::gzip(&repair::make_tar(&members))
    }
}

impl Inner {
    /// Opens an envelope without the help of the code under test; `None` where it is sealed.
    fn decrypt(envelope: &[u8], info: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(info).ok()?;
        let data = text.split("ConfigEncData = \"").nth(1)?.split('"').next()?;
        let fields: BTreeMap<&str, &str> = data
            .split(':')
            .filter_map(|field| field.split_once('='))
            .collect();
        let part = |name: &str| {
            let text = fields.get(name)?.replace("%3d", "=");
            base64::engine::general_purpose::STANDARD.decode(text).ok()
        };
        let phrase = b"This is obfuscation, not encryption. If you want encryption, use TPM.";
        let password = [part("data1")?.as_slice(), phrase].concat();
        let mut key = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(&password, &part("data2")?, 100_000, &mut key);
        let header = envelope[..4096].to_vec();
        let iv_at = header.windows(10).position(|at| at == b"vmware.iv\0")? + 18;
        let iv: [u8; 12] = header[iv_at..iv_at + 12].try_into().ok()?;
        let mut body = envelope[4096..envelope.len() - 4096].to_vec();
        let tag: [u8; 16] = envelope[envelope.len() - 4064..][..16].try_into().ok()?;
        let aad = [header.as_slice(), b"ESXConfiguration"].concat();
        Aes256Gcm::new((&key).into())
            .decrypt_inout_detached(
                &Nonce::from(iv),
                &aad,
                body.as_mut_slice().into(),
                &Tag::from(tag),
            )
            .ok()?;
        let last = body.split_off(body.len() - 4096);
        let archive = repair::gunzip(&body);
        let sealed = Some(Sealed {
            header,
            iv_at,
            key,
            last,
        });
        Some(Inner {
            member: "local.tgz.ve".to_owned(),
            archive,
            sealed,
        })
    }
}

impl Sealed {
    fn seal(&self, packed: &[u8], header: &[u8]) -> Vec<u8> {
        let mut plaintext = packed.to_vec();
        plaintext.resize(packed.len().next_multiple_of(4096), 0);
        let padding = plaintext.len() - packed.len();
        plaintext.extend_from_slice(&self.last);
        let at = plaintext.len() - 8;
        plaintext[at..at + 4].copy_from_slice(&(padding as u32).to_le_bytes());
        repair::envelope(header, self.iv_at, &self.key, &plaintext)
    }
}

/// Makes one change. Yields what it was, for messages.
fn mutate(random: &mut Random, image: &Image, medium: &Medium<'_>) -> &'static str {
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

fn spoil_on(
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
fn mutate_fat(random: &mut Random, bank: &Bank, medium: &Medium<'_>) {
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
fn mutate_state(random: &mut Random, file: &StateFile, kind: usize) -> (&'static str, Vec<u8>) {
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

fn fix() -> [Edit; 1] {
    [Edit::Owner(OwnerEdit {
        devices: Devices::PassedThrough,
        owner: Owner::Vmkernel,
    })]
}

const REQUEST: Request = Request {
    banks: BankChoice::All,
    method: Method::SecondCopy,
    context: Context {
        time: Some(1_700_000_000),
    },
};

/// What the cases came to.
#[derive(Default)]
struct Tally {
    cases: AtomicUsize,
    accepted: AtomicUsize,
    judged: AtomicUsize,
    messages: Mutex<BTreeSet<String>>,
    most: Mutex<(u64, u64)>,
    finds: Mutex<Vec<String>>,
}

/// One case: everything but the panic is judged here.
fn try_case(image: &Image, case: u64, keys: &KeyCache, tally: &Tally) -> Result<(), String> {
    let seed = image.profile.bytes().fold(case, |sum, byte| {
        sum.wrapping_mul(257).wrapping_add(byte.into())
    });
    let mut random = Random(seed);
    let medium = Medium::new(&image.bytes);
    let mut what = mutate(&mut random, image, &medium);
    if random.below(5) == 0 {
        what = mutate(&mut random, image, &medium);
    }
    let settings = Settings {
        sector_size: None,
        limits: LIMITS,
        keys,
    };
    let driven = catch_unwind(AssertUnwindSafe(|| {
        peak_of(|| {
            let findings = check(&medium, settings);
            let plan = Stick::open(&medium, settings).and_then(|stick| {
                let _ = stick.plan_reclaim(REQUEST);
                stick.plan(&fix(), REQUEST)
            });
            (findings, plan)
        })
    }));
    let Ok(((findings, plan), memory)) = driven else {
        return Err(format!("{what}: panicked"));
    };
    let read = medium.bytes_read.get();
    {
        let mut most = tally.most.lock().unwrap();
        *most = (most.0.max(read), most.1.max(memory));
    }
    if medium.writes.get() != 0 || read > MOST_READ || memory > MOST_MEMORY {
        return Err(format!("{what}: {read} bytes read, {memory} bytes held"));
    }
    let mut messages = tally.messages.lock().unwrap();
    messages.extend(findings.iter().map(|finding| kind_of(&finding.message)));
    drop(messages);
    match plan {
        Ok(plan) if !plan.is_empty() => {
            let nth = tally.accepted.fetch_add(1, Ordering::Relaxed) as u64;
            carry_out(
                image,
                &medium,
                &plan,
                settings,
                nth.is_multiple_of(JUDGED),
                tally,
            )
            .map_err(|error| format!("{what}: {error}"))
        }
        _ => Ok(()),
    }
}

/// A message without its numbers: what kind of finding it is.
fn kind_of(message: &str) -> String {
    message
        .chars()
        .filter(|c| !c.is_ascii_digit())
        .take(80)
        .collect()
}

/// Carries out an accepted plan and looks at what it leaves.
fn carry_out(
    image: &Image,
    medium: &Medium<'_>,
    plan: &Plan,
    settings: Settings<'_>,
    judged: bool,
    tally: &Tally,
) -> Result<(), String> {
    let clean: Vec<bool> = image
        .banks
        .iter()
        .map(|bank| judged && fsck(medium, bank))
        .collect();
    run(medium, &plan.set, &|| false).map_err(|error| error.to_string())?;
    let after = Stick::open(medium, settings).map_err(|error| format!("afterwards: {error}"))?;
    let again = after
        .plan(&fix(), REQUEST)
        .map_err(|error| format!("afterwards: {error}"))?;
    if !again.is_empty() {
        return Err("the same fix wants something again".to_owned());
    }
    for (bank, clean) in image.banks.iter().zip(clean).filter(|(_, clean)| *clean) {
        if !fsck(medium, bank) {
            return Err("fsck.fat finds damage that was not there before".to_owned());
        }
        for file in bank.states.iter().filter(|_| clean) {
            // A bank whose mark was spoiled is none any more, and no plan is made for it.
            let mut here = plan
                .banks
                .iter()
                .filter(|it| it.partition == bank.partition);
            let Some(here) = here.next() else {
                continue;
            };
            // Nor for a file whose entry was spoiled so that it is no state file any more.
            let Some(planned) = here.files.iter().find(|it| it.file == file.name) else {
                continue;
            };
            let seen = mtype(medium, bank, &file.name);
            if planned.content.as_ref().is_some_and(|it| *it != seen) {
                return Err(format!("mtools reads another {}", file.name));
            }
        }
        tally.judged.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

fn volume_file(medium: &Medium<'_>, bank: &Bank) -> tempfile::NamedTempFile {
    let len = bank.data - bank.at + bank.clusters * bank.cluster;
    let len = len
        .next_multiple_of(1 << 16)
        .min(medium.get_len() - bank.at);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), medium.get(bank.at, len)).unwrap();
    file
}

fn fsck(medium: &Medium<'_>, bank: &Bank) -> bool {
    let volume = volume_file(medium, bank);
    output(Command::new("fsck.fat").arg("-n").arg(volume.path()))
        .status
        .success()
}

fn mtype(medium: &Medium<'_>, bank: &Bank, name: &str) -> Vec<u8> {
    let volume = volume_file(medium, bank);
    let mut mtype = Command::new("mtype");
    output(mtype.arg("-i").arg(volume.path()).arg(format!("::/{name}"))).stdout
}

/// The cases of a profile: all, or with `BOOTBANK_CASE=esxi67-gpt:12` that one.
fn chosen(profile: &str) -> Range<u64> {
    let Ok(asked) = std::env::var("BOOTBANK_CASE") else {
        return 0..cases();
    };
    let case = asked
        .strip_prefix(profile)
        .and_then(|rest| rest.strip_prefix(':'));
    let case = case.and_then(|case| case.parse().ok());
    case.map_or(0..0, |case: u64| case..case + 1)
}

fn cases() -> u64 {
    if std::env::var_os("BOOTBANK_LONG").is_some() {
        CASES * 20
    } else {
        CASES
    }
}

#[test]
fn no_edit_of_the_metadata_makes_the_program_panic_read_without_end_or_write_what_is_not_sound() {
    let profiles = profiles();
    let next = AtomicUsize::new(0);
    let tally = Tally::default();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(profile) = profiles.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let image = Image::load(profile);
                    let keys = KeyCache::new();
                    for case in chosen(profile) {
                        tally.cases.fetch_add(1, Ordering::Relaxed);
                        if let Err(error) = try_case(&image, case, &keys, &tally) {
                            let find = format!("{profile}, case {case}: {error}");
                            tally.finds.lock().unwrap().push(find);
                        }
                    }
                }
            });
        }
    });
    let (read, memory) = *tally.most.lock().unwrap();
    let kinds = tally.messages.lock().unwrap().len();
    let (cases, accepted) = (tally.cases.into_inner(), tally.accepted.into_inner());
    let judged = tally.judged.into_inner();
    println!(
        "{cases} cases, {accepted} plans carried out, {judged} volumes judged by fsck.fat and mtools, \
         {kinds} kinds of finding; at most {read} bytes read and {memory} held"
    );
    let finds = tally.finds.into_inner().unwrap();
    assert!(finds.is_empty(), "{} finds:\n{finds:#?}", finds.len());
    if std::env::var_os("BOOTBANK_CASE").is_some() {
        return;
    }
    assert!(cases > 2000 && kinds > 60, "the edits do not reach enough");
    assert!(
        accepted * 10 > cases && accepted * 10 < cases * 9,
        "nearly all plans or nearly none"
    );
}

#[test]
fn no_edit_of_an_undo_file_makes_the_program_panic_or_plan_outside_its_ranges() {
    let image = Image::load("esxi67-usb-passthru");
    let keys = KeyCache::new();
    let settings = Settings {
        sector_size: None,
        limits: LIMITS,
        keys: &keys,
    };
    let medium = Medium::new(&image.bytes);
    let stick = Stick::open(&medium, settings).unwrap();
    let plan = stick.plan(&fix(), REQUEST).unwrap();
    let about = [("target".to_owned(), "stick.img".to_owned())].into();
    let medium_size = image.bytes.len() as u64;
    let sound = Undo {
        set: plan.set.clone(),
        medium_size,
        about,
    }
    .to_bytes()
    .unwrap();
    run(&medium, &plan.set, &|| false).unwrap();
    drop(stick);
    let mut planned = 0;
    for case in 0..cases() * 4 {
        let mut random = Random(case);
        let mut file = sound.clone();
        // The manifest comes first; it is where the lies are worth telling.
        let manifest = 0..4096.min(file.len());
        let all = 0..file.len();
        let place = if random.below(4) == 0 { all } else { manifest };
        spoil(&mut random, &mut file, &place);
        let driven = catch_unwind(AssertUnwindSafe(|| {
            peak_of(|| {
                let undo = Undo::from_bytes(&repair::undo(&file)).ok()?;
                let set = undo.plan(&medium, random.below(2) == 0).ok()?;
                let allowed = undo.set.allowed().to_vec();
                let mut lbas = set.steps().iter().flat_map(|step| step.sectors.keys());
                Some(lbas.all(|lba| allowed.iter().any(|range| range.contains(lba))))
            })
        }));
        let (inside, memory) = driven.unwrap_or_else(|_| panic!("case {case} panicked"));
        assert!(
            inside != Some(false),
            "case {case} plans outside its ranges"
        );
        assert!(memory < MOST_MEMORY, "case {case} held {memory} bytes");
        planned += u32::from(inside.is_some());
    }
    assert!(
        planned > 50,
        "only {planned} of the undo files get as far as a plan"
    );
}
