//! The recovery key of a sealed state: what an administrator wrote down when the host sealed its
//! configuration with a TPM.
//!
//! It is sixteen groups of six digits. In the sample VMware published each group is eleven times a
//! 16-bit word, plus the group's position from 0 modulo eleven (one sample, in which all sixteen
//! hold): 256 bits, the length of the envelope's key. That the words are that key, and in which
//! order, was not seen. So every order is a candidate, and one counts only where the envelope's own
//! `vmware.keyHash` is its hash; the authentication tag proves it again when the envelope is opened.

use super::key::Key;
use crate::error::ErrorKind;
use thiserror::Error;
use zeroize::Zeroizing;

/// Groups of a key, and digits of a group.
const GROUPS: usize = 16;
const DIGITS: usize = 6;
/// What each word is multiplied with, and what the position counts modulo.
const CHECK: u32 = 11;
/// Longest text a key is looked for in, in bytes.
const MAX_TEXT: usize = 64 * 1024;

/// Why a recovery key is none, or opens nothing. No message shows a part of the key.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RecoveryKeyError {
    /// A text far longer than a key.
    #[error("the text has {len} bytes, more than a recovery key and its heading can have")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// More or fewer groups than a key has.
    #[error("a recovery key is {GROUPS} groups of {DIGITS} digits, and this has {found} groups")]
    Groups {
        /// How many there are.
        found: usize,
    },
    /// A group that is not made of six digits.
    #[error("group {position} of the recovery key is not {DIGITS} digits")]
    NotDigits {
        /// Its position, from 1.
        position: usize,
    },
    /// A group whose check does not hold: a digit was mistyped, or groups were swapped.
    #[error(
        "group {position} of the recovery key is wrong: a digit is mistyped, or it stands elsewhere"
    )]
    Check {
        /// Its position, from 1.
        position: usize,
    },
    /// The key is sound and is not this state's.
    #[error("this key does not belong to this state, or this release uses it differently{}", ids(.recovery_id, .key_id))]
    DoesNotFit {
        /// The identifier the key was given with, where it was.
        recovery_id: Option<String>,
        /// The UUID the envelope gives its key.
        key_id: String,
    },
}

impl RecoveryKeyError {
    /// What the error means to whoever has to act on it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            RecoveryKeyError::DoesNotFit { .. } => ErrorKind::Refused,
            _ => ErrorKind::Usage,
        }
    }
}

fn ids(recovery_id: &Option<String>, key_id: &str) -> String {
    match recovery_id {
        Some(id) => format!(" (recovery ID {id}, the state's key {key_id})"),
        None => format!(" (the state's key is {key_id})"),
    }
}

/// A recovery key whose groups hold. Wiped from memory when dropped and never shown.
#[derive(Clone)]
pub struct RecoveryKey {
    words: Zeroizing<[u16; GROUPS]>,
    id: Option<String>,
}

impl std::fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecoveryKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl RecoveryKey {
    /// Reads a key: the groups alone, with `-` or blanks between, or the whole output of
    /// `esxcli system settings encryption recovery list`, whose heading and recovery ID are told
    /// from the key.
    ///
    /// # Errors
    /// [`RecoveryKeyError`] names the group that is wrong by its position.
    pub fn parse(text: &str) -> Result<Self, RecoveryKeyError> {
        let len = text.len();
        if len > MAX_TEXT {
            return Err(RecoveryKeyError::TooLong { len });
        }
        let has_digits_only = |word: &&str| {
            word.bytes().all(|b| b.is_ascii_digit() || b == b'-')
                && word.bytes().any(|b| b.is_ascii_digit())
        };
        let groups = || {
            let words = text.split_whitespace().filter(has_digits_only);
            words
                .flat_map(|word| word.split('-'))
                .filter(|group| !group.is_empty())
        };
        let found = groups().count();
        if found != GROUPS {
            return Err(RecoveryKeyError::Groups { found });
        }
        let mut words = Zeroizing::new([0; GROUPS]);
        for ((slot, group), index) in words.iter_mut().zip(groups()).zip(0..) {
            *slot = word(group, index)?;
        }
        Ok(RecoveryKey {
            words,
            id: text.split_whitespace().find_map(recovery_id),
        })
    }

    /// The recovery ID that stood beside the key.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The keys it can stand for: the words from the first or from the last, each with its high or
    /// its low byte first.
    pub(super) fn candidates(&self) -> impl Iterator<Item = Key> {
        let orders = [(false, false), (false, true), (true, false), (true, true)];
        orders.into_iter().map(|(from_last, low_first)| {
            let mut bytes = Zeroizing::new([0; 32]);
            for (index, pair) in bytes.chunks_exact_mut(2).enumerate() {
                let at = if from_last {
                    GROUPS.saturating_sub(index).saturating_sub(1)
                } else {
                    index
                };
                let word = self.words.get(at).copied().unwrap_or_default();
                pair.copy_from_slice(&if low_first {
                    word.to_le_bytes()
                } else {
                    word.to_be_bytes()
                });
            }
            Key::new(bytes)
        })
    }
}

/// The word of a group at this position, from 0.
fn word(group: &str, index: u32) -> Result<u16, RecoveryKeyError> {
    let position = usize::try_from(index).unwrap_or(GROUPS).saturating_add(1);
    if group.len() != DIGITS {
        return Err(RecoveryKeyError::NotDigits { position });
    }
    let value: u32 = group
        .parse()
        .map_err(|_| RecoveryKeyError::NotDigits { position })?;
    let wrong = RecoveryKeyError::Check { position };
    if value % CHECK != index % CHECK {
        return Err(wrong);
    }
    u16::try_from(value / CHECK).map_err(|_| wrong)
}

/// `{74AC4D68-FE47-491F-B529-6355D4AAF52C}`, without the braces.
fn recovery_id(word: &str) -> Option<String> {
    let inner = word.strip_prefix('{')?.strip_suffix('}')?;
    let is_uuid = inner.len() == 36 && inner.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    is_uuid.then(|| inner.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::fixtures::recovery_text as text_of;

    fn words() -> [u16; GROUPS] {
        std::array::from_fn(|index| u16::try_from(index * 4099).unwrap())
    }

    #[test]
    fn the_groups_are_read_from_the_key_alone_and_from_the_listing_of_esxcli() {
        let text = text_of(words());
        let listing = format!(
            "Recovery ID                             Key\n\
             --------------------------------------  ---\n\
             {{74AC4D68-FE47-491F-B529-6355D4AAF52C}}  {text}\n"
        );
        let spaced = text.replace('-', " \n");
        for (given, id) in [
            (&text, None),
            (&spaced, None),
            (&listing, Some("74AC4D68-FE47-491F-B529-6355D4AAF52C")),
        ] {
            let key = RecoveryKey::parse(given).unwrap();
            assert_eq!((*key.words, key.id()), (words(), id));
            assert!(!format!("{key:?}").contains(&words()[3].to_string()));
        }
    }

    #[test]
    fn a_wrong_group_is_named_by_its_position() {
        let text = text_of(words());
        let error = |text: &str| RecoveryKey::parse(text).unwrap_err();
        let group = |position: usize, group: &str| {
            let mut groups: Vec<&str> = text.split('-').collect();
            groups[position - 1] = group;
            error(&groups.join("-"))
        };
        assert_eq!(group(1, "000001"), RecoveryKeyError::Check { position: 1 });
        assert_eq!(
            group(12, "000001"),
            RecoveryKeyError::Check { position: 12 }
        );
        // 11 * 65536: a word has 16 bits.
        assert_eq!(group(1, "720896"), RecoveryKeyError::Check { position: 1 });
        assert_eq!(
            group(5, "12345"),
            RecoveryKeyError::NotDigits { position: 5 }
        );
        assert_eq!(
            group(16, "1234567"),
            RecoveryKeyError::NotDigits { position: 16 }
        );
        let mut swapped: Vec<&str> = text.split('-').collect();
        swapped.swap(2, 3);
        assert_eq!(
            error(&swapped.join("-")),
            RecoveryKeyError::Check { position: 3 }
        );
        assert_eq!(error(&text[7..]), RecoveryKeyError::Groups { found: 15 });
        assert_eq!(error(""), RecoveryKeyError::Groups { found: 0 });
        assert_eq!(error("478269-x"), RecoveryKeyError::Groups { found: 0 });
        assert!(matches!(
            error(&"1".repeat(70_000)),
            RecoveryKeyError::TooLong { .. }
        ));
    }

    #[test]
    fn the_candidates_are_the_words_in_every_order_of_words_and_bytes() {
        let mut words = [0; GROUPS];
        (words[0], words[15]) = (0x0102, 0x0304);
        let key = RecoveryKey::parse(&text_of(words)).unwrap();
        let ends: Vec<[u8; 4]> = key
            .candidates()
            .map(|key| {
                let bytes = key.as_bytes();
                [bytes[0], bytes[1], bytes[30], bytes[31]]
            })
            .collect();
        assert_eq!(
            ends,
            [[1, 2, 3, 4], [2, 1, 4, 3], [3, 4, 1, 2], [4, 3, 2, 1]]
        );
    }
}
