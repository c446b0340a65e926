//! Kernel options of a boot.cfg, edited by words with every other byte of the file kept.

use super::BootCfg;
use super::settings::{add_line, replace_all, value_range};
use crate::error::ErrorKind;
use crate::loader::boot_cfg::bootstate_digit_at;
use crate::loader::options::is_space;
use crate::secrets::{Guarded, quotable};
use std::ops::Range;

/// The setting that holds the options.
pub(crate) const KERNELOPT: &str = "kernelopt";

/// One change to the kernel options. An option is one word: `name` or `name=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KerneloptEdit {
    /// Adds the option at the end, unless the very same word is there.
    Append(String),
    /// Takes out every occurrence of the option; none is fine. A word without `=` names an option,
    /// whatever its value.
    Delete(String),
    /// The same, but for these words.
    DeleteOthers {
        /// The option, as in [`KerneloptEdit::Delete`].
        option: String,
        /// What stays where it is.
        kept: Vec<String>,
    },
    /// Puts `new` where `old` is, and takes out every other `old`; fine without `old` where `new` is there already.
    Replace {
        /// Word to look for, as it stands there: `quiet` is not `quiet=1`.
        old: String,
        /// Word to put in its place.
        new: String,
    },
}

impl KerneloptEdit {
    /// The edits after which none of `delete` is there and all of `append` are, appended where they
    /// are missing. A word of both is there, and so what is as it is to be stays where it is.
    pub fn to_result(delete: &[String], append: &[String]) -> Vec<Self> {
        let delete = delete.iter().map(|option| {
            let kept = append.iter().filter(|it| is_named(it.as_bytes(), option));
            let (option, kept): (String, Vec<String>) = (option.clone(), kept.cloned().collect());
            if kept.is_empty() {
                KerneloptEdit::Delete(option)
            } else {
                KerneloptEdit::DeleteOthers { option, kept }
            }
        });
        let append = append.iter().cloned().map(KerneloptEdit::Append);
        delete.chain(append).collect()
    }

    /// Whether what it names can be kernel options at all.
    ///
    /// # Errors
    /// [`KerneloptError::NotAWord`], [`KerneloptError::Setting`].
    pub fn check(&self) -> Result<(), KerneloptError> {
        match self {
            KerneloptEdit::Append(word) => check_new(word),
            KerneloptEdit::Delete(word) | KerneloptEdit::DeleteOthers { option: word, .. } => {
                check_word(word)
            }
            KerneloptEdit::Replace { old, new } => check_word(old).and_then(|()| check_new(new)),
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
    /// What is a setting of boot.cfg is no kernel option: nobody means `updated=3` as one.
    #[error("{key} is a setting of boot.cfg, not a kernel option")]
    Setting {
        /// The setting.
        key: String,
        /// What it was to be.
        value: String,
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
            KerneloptError::NotAWord { .. }
            | KerneloptError::Setting { .. }
            | KerneloptError::NotThere { .. } => ErrorKind::Usage,
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
    edit.check()?;
    match edit {
        KerneloptEdit::Append(word) => {
            if occurrence(bytes, word).is_none() {
                append(bytes, word);
            }
        }
        KerneloptEdit::Delete(word) => {
            delete(bytes, |part| is_named(part, word));
        }
        KerneloptEdit::DeleteOthers { option, kept } => {
            let is_kept = |part: &[u8]| kept.iter().any(|word| word.as_bytes() == part);
            delete(bytes, |part| is_named(part, option) && !is_kept(part));
        }
        KerneloptEdit::Replace { old, new } => {
            if old != new
                && let Some(at) = occurrence(bytes, old)
            {
                if occurrence(bytes, new).is_none() {
                    drop(bytes.splice(at, new.bytes()));
                }
                delete(bytes, |part| part == old.as_bytes());
                return Ok(());
            }
            if occurrence(bytes, new).is_none() {
                let word = old.clone();
                return Err(KerneloptError::NotThere { word });
            }
        }
    }
    Ok(())
}

fn check_new(word: &str) -> Result<(), KerneloptError> {
    check_word(word)?;
    match word.split_once('=') {
        Some((key, value)) if BootCfg::is_no_option(key) => Err(KerneloptError::Setting {
            key: key.to_owned(),
            value: value.to_owned(),
        }),
        _ => Ok(()),
    }
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
    let value = value_range(bytes, KERNELOPT)?;
    words(bytes, value).find(|at| bytes[at.clone()] == *word.as_bytes())
}

/// Where the options in a value stand.
fn words(bytes: &[u8], value: Range<usize>) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut next = value.start;
    let parts = bytes[value].split(|&byte| is_space(byte));
    let places = parts.map(move |part| {
        let at = next..next + part.len();
        next = at.end + 1;
        at
    });
    places.filter(|at| !at.is_empty())
}

/// Whether an option is the one called `word`; a word without `=` is the name of one, whatever its value.
fn is_named(part: &[u8], word: &str) -> bool {
    let value = part.strip_prefix(word.as_bytes());
    value.is_some_and(|value| value.is_empty() || (value[0] == b'=' && !word.contains('=')))
}

/// Takes words out, each together with the blanks before it, or after it where none before it stays.
fn delete(bytes: &mut Vec<u8>, is_it: impl Fn(&[u8]) -> bool) {
    let Some(value) = value_range(bytes, KERNELOPT) else {
        return;
    };
    let mut gone = Vec::new();
    let mut stays = value.start;
    let mut places = words(bytes, value.clone()).peekable();
    while let Some(at) = places.next() {
        if !is_it(&bytes[at.clone()]) {
            stays = at.end;
        } else if stays > value.start {
            gone.push(stays..at.end);
            stays = at.end;
        } else {
            gone.push(at.start..places.peek().map_or(value.end, |next| next.start));
        }
    }
    drop(places);
    replace_all(bytes, &gone, b"");
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
