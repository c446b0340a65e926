//! Ways to spoil a medium, by name.

use crate::stick::Stick;

/// A medium that stops at boot, and what was done to it.
pub(crate) struct Spoilt {
    pub(crate) name: &'static str,
    pub(crate) spoil: fn(&Stick),
    /// The bank that is whole and would boot if it were taken.
    pub(crate) cure: Option<u32>,
}

const fn stops(name: &'static str, cure: Option<u32>, spoil: fn(&Stick)) -> Spoilt {
    Spoilt { name, spoil, cure }
}

/// Media that stop at boot.
pub(crate) const STOPPING: [Spoilt; 9] = [
    stops("modules absent", Some(6), absent),
    stops("kernel absent", Some(6), |stick| {
        stick.delete(5, &["B.B00"])
    }),
    stops("boot.cfg half rubbish in both banks", None, |stick| {
        half_rubbish(stick, 5);
        half_rubbish(stick, 6);
    }),
    stops("no bank valid", Some(5), none_valid),
    stops("half copied by a cut upgrade", Some(5), half_copied),
    stops("no build in either bank", None, |stick| {
        stick.set(5, "build", None);
        stick.set(6, "build", None);
    }),
    stops("state absent", Some(6), |stick| {
        stick.delete(5, &["STATE.TGZ"])
    }),
    stops("no kernel named", Some(6), |stick| {
        stick.set(5, "kernel", None)
    }),
    stops("module's chain too short", Some(6), |stick| {
        let size = stick.read(5, "s.v00").len() as u32 + 100_000;
        set_entry(stick, 5, b"S       V00", 28, &size.to_le_bytes());
    }),
];

/// A kernel module and two drivers that bank 5 lacks and bank 6 has; the other bank's boot.cfg
/// writes one of them in mixed case.
pub(crate) fn absent(stick: &Stick) {
    stick.delete(5, &["A.B00", "XHCI_XHC.V00"]);
    mixed_case(stick, 6);
}

pub(crate) fn mixed_case(stick: &Stick, bank: u32) {
    stick.change(bank, "boot.cfg", |content| {
        let text = String::from_utf8(std::mem::take(content)).unwrap();
        let mixed = text
            .replace(" a.b00 ", " A.b00 ")
            .replace("xhci_xhc.v00", "XHCI_xhc.V00");
        assert_ne!(mixed, text);
        *content = mixed.into_bytes();
    });
}

/// One bit in the middle of a module.
pub(crate) fn flipped(stick: &Stick) {
    flipped_in(stick, 5, "s.v00");
}

/// One bit in the middle of a file.
pub(crate) fn flipped_in(stick: &Stick, bank: u32, name: &str) {
    stick.change(bank, name, |content| {
        let middle = content.len() / 2;
        content[middle] ^= 4;
    });
}

pub(crate) fn cut_short(stick: &Stick) {
    stick.change(5, "sb.v00", |content| content.truncate(content.len() / 2));
}

/// Everything from byte 512 on replaced by the head of a gzip file, `build` and `updated` with it.
pub(crate) fn half_rubbish(stick: &Stick, bank: u32) {
    let rubbish = stick.read(bank, "s.v00");
    stick.change(bank, "boot.cfg", |content| {
        let text = String::from_utf8(std::mem::take(content)).unwrap();
        let more: String = (0..30).map(|n| format!("mod{n:02}.v00 --- ")).collect();
        let long = text.replace("modules=", &format!("modules={more}"));
        *content = long.into_bytes();
        content.truncate(512);
        content.extend(&rubbish[..400]);
    });
}

pub(crate) fn none_valid(stick: &Stick) {
    stick.set(5, "bootstate", Some("3"));
    stick.set(6, "bootstate", Some("3"));
}

pub(crate) fn half_copied(stick: &Stick) {
    stick.set(6, "updated", Some("3"));
    stick.set(6, "bootstate", Some("1"));
    stick.delete(6, &["STATE.TGZ", "K.B00"]);
}

/// boot.cfg has not been copied yet.
pub(crate) fn half_copied_without_boot_cfg(stick: &Stick) {
    stick.delete(6, &["STATE.TGZ", "K.B00", "BOOT.CFG"]);
}

pub(crate) fn one_fat(stick: &Stick) {
    stick.poke(5, 16, &[1]);
}

/// boot.cfg's only cluster free in both copies of the FAT, in the bank with the higher `updated`.
pub(crate) fn boot_cfg_freed(stick: &Stick) {
    stick.set(6, "updated", Some("3"));
    let cluster = u16::from_le_bytes(entry(stick, 6, b"BOOT    CFG")[26..28].try_into().unwrap());
    for start in fats(stick, 6) {
        stick.poke(6, start + u64::from(cluster) * 2, &[0, 0]);
    }
}

/// Where the two copies of a FAT begin in a volume.
fn fats(stick: &Stick, bank: u32) -> [u64; 2] {
    let head = stick.peek(bank, 0, 64);
    let word = |at: usize| u64::from(u16::from_le_bytes([head[at], head[at + 1]]));
    [0, 1].map(|copy| (word(14) + copy * word(22)) * word(11))
}

/// Where the root directory begins.
fn root(stick: &Stick, bank: u32) -> u64 {
    let [first, second] = fats(stick, bank);
    second + (second - first)
}

fn entry_at(stick: &Stick, bank: u32, name: &[u8; 11]) -> u64 {
    let root = root(stick, bank);
    let slots = stick.peek(bank, root, 512 * 32);
    let index = slots.chunks(32).position(|slot| slot.starts_with(name));
    root + index.unwrap() as u64 * 32
}

fn entry(stick: &Stick, bank: u32, name: &[u8; 11]) -> Vec<u8> {
    stick.peek(bank, entry_at(stick, bank, name), 32)
}

pub(crate) fn set_entry(stick: &Stick, bank: u32, name: &[u8; 11], at: u64, bytes: &[u8]) {
    stick.poke(bank, entry_at(stick, bank, name) + at, bytes);
}

/// The store's folder leads into a free cluster.
pub(crate) fn store_damaged(stick: &Stick) {
    let start = stick.partition(8);
    let head = stick.bytes()[start as usize..][..64].to_vec();
    let word = |at: usize| u64::from(u16::from_le_bytes([head[at], head[at + 1]]));
    let reserved = word(14) * word(11);
    for copy in 0..2 {
        // Every cluster but the two words in front.
        let at = reserved + copy * word(22) * word(11) + 4;
        stick.poke_at(start + at, &vec![0; 300]);
    }
}
