//! Directory slots: the 32-byte entries of a directory and the names in them.
//!
//! Long names are recognised, so as to be left alone, but not read: ESXi's loader knows a
//! file by its 8.3 name only.

use crate::bytes::{array, le16, le32};
use std::fmt;

/// Bytes of the entry that hold its first cluster and its size: what replacing a file's
/// content changes. They lie inside one aligned 8-byte word.
pub(super) const FIRST_CLUSTER_AT: usize = 26;
pub(super) const SIZE_AT: usize = 28;

pub(super) const SLOT_LEN: usize = 32;
const NAME_LEN: usize = 11;
pub(super) const DELETED: u8 = 0xe5;
const DOT: &[u8; NAME_LEN] = b".          ";
const DOT_DOT: &[u8; NAME_LEN] = b"..         ";

const VOLUME_LABEL: u8 = 0x08;
const DIRECTORY: u8 = 0x10;
const ARCHIVE: u8 = 0x20;
const READ_ONLY_HIDDEN_SYSTEM: u8 = 0x07;
const LONG_NAME: u8 = 0x0f;

/// One slot of a directory that is neither free nor deleted.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    slot: [u8; SLOT_LEN],
    offset: u64,
}

impl Entry {
    /// A file that is not there yet: of this name, in the free slot at `offset` bytes from the
    /// volume's start, with the times and attributes of `like`, because there is no clock here. It
    /// has no content so far. `None` where the name has no 8.3 form.
    pub(super) fn new_file(name: &str, offset: u64, like: &Entry) -> Option<Self> {
        let mut slot = [0; SLOT_LEN];
        slot[..NAME_LEN].copy_from_slice(&short_name(name)?);
        slot[NAME_LEN] = ARCHIVE | (like.attributes() & READ_ONLY_HIDDEN_SYSTEM);
        if slot[..NAME_LEN] == like.slot[..NAME_LEN] {
            slot[12] = like.slot[12];
        }
        slot[13..20].copy_from_slice(&like.slot[13..20]);
        slot[22..26].copy_from_slice(&like.slot[22..26]);
        Some(Entry { slot, offset })
    }

    /// The slot with this first cluster and size.
    pub(super) fn with_content(&self, first: u16, size: u32) -> [u8; SLOT_LEN] {
        let mut slot = self.slot;
        slot[FIRST_CLUSTER_AT..SIZE_AT].copy_from_slice(&first.to_le_bytes());
        slot[SIZE_AT..].copy_from_slice(&size.to_le_bytes());
        slot
    }

    /// The 8.3 name as people see it: `state.tgz`, in the case the entry records.
    pub fn name(&self) -> String {
        let case = self.slot[12];
        let (base, extension) = self.slot[..NAME_LEN].split_at(8);
        let mut shown = part(base, case & 0x08 != 0);
        let extension = part(extension, case & 0x10 != 0);
        if !extension.is_empty() {
            shown.push('.');
            shown.push_str(&extension);
        }
        shown
    }

    /// The eleven bytes of the name as they are on the medium.
    pub fn raw_name(&self) -> [u8; 11] {
        array(&self.slot, 0).unwrap_or_default()
    }

    /// All 32 bytes of the slot.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.slot
    }

    /// Size in bytes; 0 for directories.
    pub fn size(&self) -> u32 {
        if self.is_directory() {
            return 0;
        }
        le32(&self.slot, SIZE_AT).unwrap_or_default()
    }

    /// Number of the first cluster as it stands in the entry: unchecked, 0 for an empty file.
    pub fn first_cluster(&self) -> u16 {
        le16(&self.slot, FIRST_CLUSTER_AT).unwrap_or_default()
    }

    /// Bytes 20 and 21: upper half of the first cluster's number in FAT32, unused here.
    pub fn high_cluster(&self) -> u16 {
        le16(&self.slot, 20).unwrap_or_default()
    }

    /// The attribute byte: 1 read-only, 2 hidden, 4 system, 16 directory, 32 archive.
    pub fn attributes(&self) -> u8 {
        self.slot[11]
    }

    /// Whether this is a directory.
    pub fn is_directory(&self) -> bool {
        self.owns_clusters() && self.attributes() & DIRECTORY != 0
    }

    /// When it was last written, `2026-11-23 19:45:00`, in the local time of whoever wrote it;
    /// `None` where the entry has no date.
    pub fn modified(&self) -> Option<String> {
        let (time, date) = (le16(&self.slot, 22)?, le16(&self.slot, 24)?);
        let (year, month, day) = (1980 + (date >> 9), date >> 5 & 0x0f, date & 0x1f);
        let (hour, minute, second) = (time >> 11, time >> 5 & 0x3f, (time & 0x1f) * 2);
        let is_date = (1..=12).contains(&month) && (1..=31).contains(&day);
        let is_time = hour < 24 && minute < 60 && second < 60;
        (is_date && is_time)
            .then(|| format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"))
    }

    /// Where the slot is, in bytes from the volume's start.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the slot is a file or directory, not a volume label or part of a long name.
    pub(super) fn owns_clusters(&self) -> bool {
        self.attributes() & VOLUME_LABEL == 0
    }

    pub(super) fn is_long_name(&self) -> bool {
        self.attributes() & LONG_NAME == LONG_NAME
    }

    pub(super) fn is_label(&self) -> bool {
        self.attributes() & VOLUME_LABEL != 0 && self.attributes() & LONG_NAME != LONG_NAME
    }

    /// What the slot is where it is no file.
    pub(super) fn not_a_file(&self) -> Option<&'static str> {
        if self.is_label() {
            Some("a volume label")
        } else if !self.owns_clusters() {
            Some("part of a long name")
        } else if self.is_directory() {
            Some("a directory")
        } else {
            None
        }
    }

    /// 1 for `.`, 2 for `..`.
    pub(super) fn dots(&self) -> Option<usize> {
        match &self.raw_name() {
            DOT => Some(1),
            DOT_DOT => Some(2),
            _ => None,
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("name", &self.name())
            .field("attributes", &self.attributes())
            .field("first_cluster", &self.first_cluster())
            .field("size", &self.size())
            .field("offset", &self.offset)
            .finish()
    }
}

/// One half of an 8.3 name as text. Bytes outside ASCII are in a code page nobody knows and
/// are shown as `\xNN`.
fn part(bytes: &[u8], lower: bool) -> String {
    let used = bytes.iter().rposition(|&byte| byte != b' ');
    let mut shown = String::new();
    for &byte in bytes.iter().take(used.map_or(0, |last| last + 1)) {
        match byte {
            b' '..=b'~' if lower => shown.push(char::from(byte.to_ascii_lowercase())),
            b' '..=b'~' => shown.push(char::from(byte)),
            _ => shown.push_str(&format!("\\x{byte:02x}")),
        }
    }
    shown
}

/// The slots in use of `bytes`, a directory or the beginning of one. `offset_of` says where on
/// the volume the byte at an index of the directory is. A slot that begins with 00 ends it.
pub(super) fn entries<'b>(
    bytes: &'b [u8],
    offset_of: impl Fn(usize) -> u64 + 'b,
) -> impl Iterator<Item = Entry> + 'b {
    let slots = bytes.chunks_exact(SLOT_LEN).enumerate();
    slots
        .take_while(|(_, slot)| slot[0] != 0)
        .filter(|(_, slot)| slot[0] != DELETED)
        .filter_map(move |(index, slot)| {
            Some(Entry {
                slot: slot.try_into().ok()?,
                offset: offset_of(index * SLOT_LEN),
            })
        })
}

/// Where in a directory slots are free, as indices of bytes in `bytes`: deleted ones, and those
/// from its end on unless anything lies behind it that would come to life with them.
pub(super) fn free_slots(bytes: &[u8]) -> Vec<usize> {
    let slots: Vec<&[u8]> = bytes.chunks_exact(SLOT_LEN).collect();
    let end = slots.iter().position(|slot| slot[0] == 0);
    let end = end.unwrap_or(slots.len());
    let is_free = |slot: &&[u8]| matches!(slot[0], 0 | DELETED);
    let usable = if slots[end..].iter().all(is_free) {
        slots.len()
    } else {
        end
    };
    let free = slots.iter().take(usable).enumerate();
    let free = free.filter(|(_, slot)| is_free(slot));
    free.map(|(index, _)| index * SLOT_LEN).collect()
}

/// Where in a directory an entry that owns clusters comes after the slot that ends it.
///
/// ESXi's loader stops at that slot, other systems and fsck.fat go on behind it: what they find
/// there is in use for them and free for the loader.
pub(super) fn entry_after_end(bytes: &[u8]) -> Option<usize> {
    let slots = bytes.chunks_exact(SLOT_LEN).enumerate();
    let mut behind = slots.skip_while(|(_, slot)| slot[0] != 0);
    let (index, _) = behind.find(|(_, slot)| {
        let entry = slot.first_chunk().map(|slot| Entry {
            slot: *slot,
            offset: 0,
        });
        let in_use = !matches!(slot[0], 0 | DELETED);
        in_use && entry.is_some_and(|entry| entry.owns_clusters() && entry.first_cluster() != 0)
    })?;
    Some(index * SLOT_LEN)
}

/// The eleven bytes a file of that name has in its entry; `None` where it has no 8.3 form.
pub(super) fn short_name(name: &str) -> Option<[u8; NAME_LEN]> {
    let (base, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let fits = (1..=8).contains(&base.len()) && extension.len() <= 3;
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"*+,./:;<=>?[\\]|".contains(&byte);
    if !fits || !base.bytes().chain(extension.bytes()).all(plain) {
        return None;
    }
    let mut short = [b' '; NAME_LEN];
    short[..base.len()].copy_from_slice(base.as_bytes());
    short[8..8 + extension.len()].copy_from_slice(extension.as_bytes());
    short.make_ascii_uppercase();
    Some(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &[u8; 11], attributes: u8, case: u8) -> Entry {
        let mut slot = [0; 32];
        slot[..11].copy_from_slice(name);
        slot[11] = attributes;
        slot[12] = case;
        Entry { slot, offset: 0 }
    }

    #[test]
    fn names_are_shown_in_the_case_their_entry_records() {
        let cases: [(&[u8; 11], u8, &str); 6] = [
            (b"STATE   TGZ", 0x18, "state.tgz"),
            (b"STATE   TGZ", 0x10, "STATE.tgz"),
            (b"BOOT    CFG", 0, "BOOT.CFG"),
            (b"B       B00", 8, "b.B00"),
            (b"EFI        ", 0, "EFI"),
            (b"A\xe9\x05     X\x07 ", 0, "A\\xe9\\x05.X\\x07"),
        ];
        for (raw, case, shown) in cases {
            assert_eq!(entry(raw, 0x20, case).name(), shown);
        }
    }

    #[test]
    fn a_new_file_is_like_another_in_attributes_and_times_and_like_itself_in_the_rest() {
        let mut like = entry(b"STATE   TGZ", 0x07, 0x18);
        like.slot[13..32].copy_from_slice(b"0123456789abcdefghi");
        let new = Entry::new_file("local.tgz", 64, &like).unwrap();
        assert_eq!((new.offset(), new.raw_name()), (64, *b"LOCAL   TGZ"));
        // A file that was never saved; of its times all but the upper half of the first cluster.
        assert_eq!(new.attributes(), 0x27);
        assert_eq!(new.slot[12], 0);
        assert_eq!(new.slot[13..20], like.slot[13..20]);
        assert_eq!(new.slot[22..26], like.slot[22..26]);
        assert_eq!(
            (new.high_cluster(), new.first_cluster(), new.size()),
            (0, 0, 0)
        );
        // What the other is beside a file is not taken over, and the case only with the name.
        let directory = entry(b"LOCAL   TGZ", 0x10, 0x18);
        let new = Entry::new_file("local.tgz", 0, &directory).unwrap();
        assert_eq!((new.attributes(), new.slot[12]), (0x20, 0x18));
        assert!(Entry::new_file("a name", 0, &directory).is_none());
    }

    #[test]
    fn a_date_and_a_time_are_read_as_dos_wrote_them() {
        let modified = |time: u16, date: u16| {
            let mut entry = entry(b"STATE   TGZ", 0x20, 0);
            entry.slot[22..24].copy_from_slice(&time.to_le_bytes());
            entry.slot[24..26].copy_from_slice(&date.to_le_bytes());
            entry.modified()
        };
        let time = |hour: u16, minute: u16, half: u16| hour << 11 | minute << 5 | half;
        let date = |year: u16, month: u16, day: u16| (year - 1980) << 9 | month << 5 | day;
        let known = modified(time(19, 45, 29), date(2026, 11, 23));
        assert_eq!(known.as_deref(), Some("2026-11-23 19:45:58"));
        let first = modified(0, date(1980, 1, 1));
        assert_eq!(first.as_deref(), Some("1980-01-01 00:00:00"));
        let last = modified(time(23, 59, 29), date(2107, 12, 31));
        assert_eq!(last.as_deref(), Some("2107-12-31 23:59:58"));
        for (time, date) in [
            (0, 0),
            (0, date(2026, 0, 1)),
            (0, date(2026, 13, 1)),
            (0, date(2026, 1, 0)),
            (time(24, 0, 0), date(2026, 1, 1)),
            (time(0, 60, 0), date(2026, 1, 1)),
            (time(0, 0, 30), date(2026, 1, 1)),
        ] {
            assert_eq!(modified(time, date), None, "{time:#x} {date:#x}");
        }
    }

    #[test]
    fn only_names_with_an_8_3_form_have_one() {
        assert_eq!(short_name("state.tgz").as_ref(), Some(b"STATE   TGZ"));
        assert_eq!(short_name("useropts.gz").as_ref(), Some(b"USEROPTSGZ "));
        assert_eq!(short_name("EFI").as_ref(), Some(b"EFI        "));
        for name in [
            "",
            ".",
            "..",
            ".cfg",
            "longername.x",
            "a.long",
            "a b",
            "a/b",
            "é",
            "a.b.c",
        ] {
            assert_eq!(short_name(name), None, "{name}");
        }
    }

    #[test]
    fn deleted_slots_are_skipped_and_an_empty_one_ends_the_directory() {
        let mut bytes = vec![0; 5 * 32];
        for (slot, first) in bytes
            .chunks_exact_mut(32)
            .zip([b'A', DELETED, b'B', 0, b'C'])
        {
            slot[0] = first;
            slot[1..11].fill(b' ');
        }
        let found: Vec<_> = entries(&bytes, |at| 1000 + at as u64)
            .map(|entry| (entry.name(), entry.offset()))
            .collect();
        assert_eq!(found, [("A".into(), 1000), ("B".into(), 1064)]);
    }

    #[test]
    fn slots_are_free_up_to_the_end_of_the_directory_unless_something_lies_behind_its_end() {
        let free = |firsts: &[u8]| {
            let slots = firsts.iter().flat_map(|&first| {
                let mut slot = [b' '; SLOT_LEN];
                slot[0] = first;
                slot
            });
            free_slots(&slots.collect::<Vec<u8>>())
        };
        assert_eq!(free(&[b'A', DELETED, b'B', 0, 0]), [32, 96, 128]);
        assert_eq!(free(&[b'A', DELETED, b'B']), [32]);
        assert_eq!(free(&[0, DELETED]), [0, 32]);
        assert_eq!(free(&[DELETED, 0, DELETED, b'C', 0]), [0]);
        assert_eq!(free(b"AB"), [0usize; 0]);
    }

    #[test]
    fn behind_the_end_only_what_is_in_use_counts() {
        let slot = |first: u8, attributes: u8, cluster: u8| {
            let mut slot = entry(b"A          ", attributes, 0).slot;
            (slot[0], slot[26]) = (first, cluster);
            slot
        };
        let file = slot(b'A', 0x20, 5);
        for (what, behind, found) in [
            ("a file", file, true),
            ("a directory", slot(b'A', 0x10, 5), true),
            ("an empty file", slot(b'A', 0x20, 0), false),
            ("a label", slot(b'A', 0x08, 5), false),
            ("a deleted file", slot(DELETED, 0x20, 5), false),
            ("an empty slot", slot(0, 0x20, 5), false),
        ] {
            let directory = [file, [0; 32], slot(DELETED, 0x20, 5), behind].concat();
            assert_eq!(entry_after_end(&directory), found.then_some(96), "{what}");
        }
        assert_eq!(entry_after_end(&[file, file].concat()), None);
    }

    #[test]
    fn labels_and_long_names_own_no_clusters() {
        for (attributes, what) in [
            (0x08, Some("a volume label")),
            (0x28, Some("a volume label")),
            (0x0f, Some("part of a long name")),
            (0x10, Some("a directory")),
            (0x27, None),
        ] {
            let entry = entry(b"STATE   TGZ", attributes, 0);
            assert_eq!(entry.not_a_file(), what);
            assert_eq!(entry.is_long_name(), attributes == 0x0f);
        }
    }
}
