//! Kernel options of a boot.cfg, edited by words with every other byte of the file kept.

use super::BootCfg;
use super::settings::{add_line, value_range};
use crate::error::ErrorKind;
use crate::loader::boot_cfg::bootstate_digit_at;
use crate::loader::options::is_space;
use crate::secrets::{Guarded, quotable};
use std::ops::Range;

/// The setting that holds the options.
const KERNELOPT: &str = "kernelopt";

/// One change to the kernel options. An option is one word: `name` or `name=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KerneloptEdit {
    /// Adds the option at the end, unless the very same word is there.
    Append(String),
    /// Takes out every occurrence of the option; none is fine. A word without `=` names an option,
    /// whatever its value.
    Delete(String),
    /// Puts `new` where `old` is; fine without `old` where `new` is there already.
    Replace {
        /// Word to look for.
        old: String,
        /// Word to put in its place.
        new: String,
    },
}

impl KerneloptEdit {
    /// Whether what it names can be kernel options at all.
    ///
    /// # Errors
    /// [`KerneloptError::NotAWord`].
    pub fn check(&self) -> Result<(), KerneloptError> {
        match self {
            KerneloptEdit::Append(word) | KerneloptEdit::Delete(word) => check_word(word),
            KerneloptEdit::Replace { old, new } => check_word(old).and_then(|()| check_word(new)),
        }
    }
}

/// Why the kernel options could not be edited.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KerneloptError {
    /// An option with blanks or control characters, or an empty one.
    #[error("{:?} is not a single kernel option", shown(.word))]
    NotAWord {
        /// What was given.
        word: String,
    },
    /// Neither the option to be replaced nor its replacement is there.
    #[error("there is no kernel option {:?} to replace", quotable(.word))]
    NotThere {
        /// Option that was looked for.
        word: String,
    },
    /// The loader changes the bootstate digit only within the first 512 bytes.
    #[error(
        "the bootstate line would move past the first 512 bytes of boot.cfg, where ESXi's loader does not find it"
    )]
    BootstateOutOfReach,
}

/// What was given for an option, to be shown. The value of one option may have blanks in it here, so
/// all of it counts as the value of its name.
fn shown(word: &str) -> String {
    match word.split_once('=') {
        Some((name, value)) => format!("{name}={}", Guarded::named(name, value).veiled()),
        None => quotable(word),
    }
}

impl KerneloptError {
    /// What the error means to whoever has to act on it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            KerneloptError::NotAWord { .. } | KerneloptError::NotThere { .. } => ErrorKind::Usage,
            KerneloptError::BootstateOutOfReach => ErrorKind::Refused,
        }
    }
}

impl BootCfg {
    /// The file with its kernel options edited and every other byte kept.
    ///
    /// Applying the same edits again changes nothing.
    ///
    /// # Errors
    /// [`KerneloptError`] where an option is no single word, one to be replaced is not
    /// there, or the bootstate digit would move out of the loader's reach.
    pub fn with_kernelopt(&self, edits: &[KerneloptEdit]) -> Result<Vec<u8>, KerneloptError> {
        edit(self.raw(), edits)
    }
}

/// `raw` with `edits` made one after the other.
fn edit(raw: &[u8], edits: &[KerneloptEdit]) -> Result<Vec<u8>, KerneloptError> {
    let mut bytes = raw.to_vec();
    for edit in edits {
        apply(&mut bytes, edit)?;
    }
    let lost = bootstate_digit_at(raw).is_some() && bootstate_digit_at(&bytes).is_none();
    if lost {
        return Err(KerneloptError::BootstateOutOfReach);
    }
    Ok(bytes)
}

fn apply(bytes: &mut Vec<u8>, edit: &KerneloptEdit) -> Result<(), KerneloptError> {
    match edit {
        KerneloptEdit::Append(word) => {
            check_word(word)?;
            if occurrence(bytes, word).is_none() {
                append(bytes, word);
            }
        }
        KerneloptEdit::Delete(word) => {
            check_word(word)?;
            while let Some(at) = named(bytes, word) {
                delete(bytes, at);
            }
        }
        KerneloptEdit::Replace { old, new } => {
            check_word(old)?;
            check_word(new)?;
            if old != new
                && let Some(at) = occurrence(bytes, old)
            {
                match occurrence(bytes, new) {
                    Some(_) => delete(bytes, at),
                    None => drop(bytes.splice(at, new.bytes())),
                }
                return apply(bytes, &KerneloptEdit::Delete(old.clone()));
            }
            if occurrence(bytes, new).is_none() {
                let word = old.clone();
                return Err(KerneloptError::NotThere { word });
            }
        }
    }
    Ok(())
}

fn check_word(word: &str) -> Result<(), KerneloptError> {
    let plain = |byte: u8| byte > b' ' && byte != 0x7F;
    if !word.is_empty() && word.bytes().all(plain) {
        return Ok(());
    }
    let word = word.to_owned();
    Err(KerneloptError::NotAWord { word })
}

/// Where `word` stands among the options for the first time.
fn occurrence(bytes: &[u8], word: &str) -> Option<Range<usize>> {
    find(bytes, |part| part == word.as_bytes())
}

/// The first of the options that is the one looked for.
fn find(bytes: &[u8], is_it: impl Fn(&[u8]) -> bool) -> Option<Range<usize>> {
    let value = value_range(bytes, KERNELOPT)?;
    let mut start = value.start;
    for part in bytes[value].split(|&byte| is_space(byte)) {
        let end = start + part.len();
        if is_it(part) {
            return Some(start..end);
        }
        start = end + 1;
    }
    None
}

/// Where the option `word` stands; a word without `=` is the name of an option, whatever its value.
fn named(bytes: &[u8], word: &str) -> Option<Range<usize>> {
    let is_it = |part: &[u8]| {
        let value = part.strip_prefix(word.as_bytes());
        value.is_some_and(|value| value.is_empty() || (value[0] == b'=' && !word.contains('=')))
    };
    find(bytes, is_it)
}

/// Takes a word out together with the blanks before it, or after it where it is the first.
fn delete(bytes: &mut Vec<u8>, at: Range<usize>) {
    let Some(value) = value_range(bytes, KERNELOPT) else {
        return;
    };
    let blank = |byte: &&u8| is_space(**byte);
    let range = if at.start > value.start {
        let before = bytes[value.start..at.start].iter().rev();
        at.start - before.take_while(blank).count()..at.end
    } else {
        let after = bytes[at.end..value.end].iter();
        at.start..at.end + after.take_while(blank).count()
    };
    drop(bytes.drain(range));
}

fn append(bytes: &mut Vec<u8>, word: &str) {
    match value_range(bytes, KERNELOPT) {
        Some(value) => {
            let blank = if value.is_empty() { "" } else { " " };
            let added = format!("{blank}{word}");
            drop(bytes.splice(value.end..value.end, added.into_bytes()));
        }
        None => add_line(bytes, &format!("{KERNELOPT}={word}")),
    }
}

#[cfg(test)]
mod tests;
