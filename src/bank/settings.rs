//! Settings of a boot.cfg, edited by lines with every other byte of the file kept.

use super::BootCfg;
use crate::bytes::line_ending;
use crate::error::ErrorKind;
use crate::loader::boot_cfg::bootstate_digit_at;
use crate::loader::options::{is_space, option_named, option_names, sets};
use crate::secrets::quotable;
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

/// The setting that lists what is loaded besides the kernel.
pub const MODULES: &str = "modules";
/// The setting whose first line the loader rewrites, while it believes the last.
const BOOTSTATE: &str = "bootstate";

/// One change to the settings of a boot.cfg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootCfgEdit {
    /// The setting: a key that the loader knows.
    pub key: String,
    /// Its value; `None` removes the lines that set it.
    pub value: Option<String>,
}

/// Why a setting could not be changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BootCfgError {
    /// The loader knows no such key.
    #[error("{key:?} is not a setting that ESXi's loader knows")]
    UnknownKey {
        /// What was given.
        key: String,
    },
    /// The value has line breaks, control characters, or blanks that the loader would merge.
    #[error(
        "{:?} cannot be written as a value of boot.cfg: the loader would read it differently",
        quotable(.value)
    )]
    NotAValue {
        /// What was given.
        value: String,
    },
    /// The value of a number is none.
    #[error("{key} takes a number, not {value:?}")]
    NotANumber {
        /// The setting.
        key: String,
        /// What was given.
        value: String,
    },
    /// The modules that stay would change their order.
    #[error(
        "this would change the order of modules=, and a changed order stops the host (VMware KB 398530): keep the modules that stay in their order"
    )]
    Reordered,
    /// The loader changes the bootstate digit only within the first 512 bytes.
    #[error(
        "the bootstate line would move past the first 512 bytes of boot.cfg, where ESXi's loader cannot reach it"
    )]
    BootstateOutOfReach,
}

impl BootCfgError {
    /// What the error means to whoever has to act on it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            BootCfgError::UnknownKey { .. }
            | BootCfgError::NotAValue { .. }
            | BootCfgError::NotANumber { .. } => ErrorKind::Usage,
            BootCfgError::Reordered | BootCfgError::BootstateOutOfReach => ErrorKind::Refused,
        }
    }
}

impl BootCfgEdit {
    /// Sets a key.
    pub fn set(key: &str, value: impl Into<String>) -> Self {
        BootCfgEdit {
            key: key.to_owned(),
            value: Some(value.into()),
        }
    }

    /// Removes a key.
    pub fn remove(key: &str) -> Self {
        BootCfgEdit {
            key: key.to_owned(),
            value: None,
        }
    }

    /// Whether it can change which bank boots.
    pub fn decides_the_bank(&self) -> bool {
        let deciding = ["build", "updated", BOOTSTATE, "quickboot"];
        deciding
            .iter()
            .any(|key| self.key.eq_ignore_ascii_case(key))
    }
}

impl BootCfg {
    /// Whether that is a setting of boot.cfg that nobody means as a kernel option.
    pub fn is_no_option(key: &str) -> bool {
        const NEVER: [&str; 8] = [
            "build",
            "updated",
            BOOTSTATE,
            "quickboot",
            MODULES,
            "kernel",
            "prefix",
            "title",
        ];
        NEVER.iter().any(|name| name.eq_ignore_ascii_case(key))
    }

    /// The value of a setting as the loader reads it: that of the last line that sets it.
    ///
    /// # Errors
    /// [`BootCfgError::UnknownKey`].
    pub fn setting(&self, key: &str) -> Result<Option<String>, BootCfgError> {
        let key = known(key)?.0;
        let range = value_ranges(self.raw(), key).pop();
        Ok(range.map(|range| {
            let words = self.raw()[range].split(|&byte| is_space(byte));
            let words: Vec<&[u8]> = words.filter(|word| !word.is_empty()).collect();
            String::from_utf8_lossy(&words.join(&b' ')).into_owned()
        }))
    }

    /// Every setting that a line sets, as the loader reads it.
    pub fn settings(&self) -> BTreeMap<&'static str, String> {
        let read = |key| Some((key, self.setting(key).ok()??));
        option_names().filter_map(read).collect()
    }

    /// The file with one setting changed and every other byte kept: the last line that sets it gets
    /// the value, and where none does a line is added at the end. Of `bootstate` every line gets
    /// it, because the loader rewrites the first and believes the last.
    ///
    /// # Errors
    /// [`BootCfgError`].
    pub fn with_setting(&self, edit: &BootCfgEdit) -> Result<Vec<u8>, BootCfgError> {
        let (key, is_number) = known(&edit.key)?;
        let mut bytes = self.raw().to_vec();
        match &edit.value {
            None => remove_lines(&mut bytes, key),
            Some(value) => {
                check_value(key, is_number, value)?;
                put_value(&mut bytes, key, value);
            }
        }
        let after = BootCfg::parse(&bytes);
        if key == MODULES && !keeps_order(self, &after) {
            return Err(BootCfgError::Reordered);
        }
        let lost = bootstate_digit_at(self.raw()).is_some() && bootstate_digit_at(&bytes).is_none();
        if lost && key != BOOTSTATE {
            return Err(BootCfgError::BootstateOutOfReach);
        }
        Ok(bytes)
    }
}

fn known(key: &str) -> Result<(&'static str, bool), BootCfgError> {
    option_named(key).ok_or_else(|| BootCfgError::UnknownKey {
        key: key.to_owned(),
    })
}

fn check_value(key: &str, is_number: bool, value: &str) -> Result<(), BootCfgError> {
    let plain = value.bytes().all(|byte| byte >= b' ' && byte != 0x7f);
    if !plain || value.trim() != value || value.contains("  ") {
        return Err(BootCfgError::NotAValue {
            value: value.to_owned(),
        });
    }
    let digits = value.strip_prefix('-').unwrap_or(value);
    let fits = value.parse::<i32>().is_ok() || value.parse::<u32>().is_ok();
    if is_number && !(digits.bytes().all(|byte| byte.is_ascii_digit()) && fits) {
        return Err(BootCfgError::NotANumber {
            key: key.to_owned(),
            value: value.to_owned(),
        });
    }
    Ok(())
}

/// Whether the modules both have are in the same order in both.
fn keeps_order(before: &BootCfg, after: &BootCfg) -> bool {
    let stay = |of: &BootCfg, other: &BootCfg| -> Vec<String> {
        let theirs: HashSet<_> = other.modules.iter().collect();
        let modules = of.modules.iter().filter(|it| theirs.contains(it));
        modules.map(|module| module.path.clone()).collect()
    };
    stay(before, after) == stay(after, before)
}

/// The values of the lines that set `key`, without the blanks around them.
fn value_ranges(bytes: &[u8], key: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in bytes.split(|&byte| byte == b'\n') {
        let text = line.split(|&byte| byte == 0).next().unwrap_or_default();
        let key_at = text.iter().take_while(|&&byte| is_space(byte)).count();
        if let Some(key_end) = text.iter().position(|&byte| byte == b'=')
            && text.get(key_at) != Some(&b'#')
            && sets(text.get(key_at..key_end).unwrap_or_default(), key)
        {
            let value = &text[key_end + 1..];
            let blanks = value.iter().take_while(|&&byte| is_space(byte)).count();
            let length = value.len() - value.iter().rev().take_while(|&&b| is_space(b)).count();
            let value_at = start + key_end + 1;
            // An all-blank value begins and ends right after the `=`.
            found.push(if blanks == value.len() {
                value_at..value_at
            } else {
                value_at + blanks..value_at + length
            });
        }
        start += line.len() + 1;
    }
    found
}

/// The value of the last line that sets `key`, without the blanks around it.
pub(super) fn value_range(bytes: &[u8], key: &str) -> Option<Range<usize>> {
    value_ranges(bytes, key).pop()
}

fn put_value(bytes: &mut Vec<u8>, key: &str, value: &str) {
    let ranges = value_ranges(bytes, key);
    let first = match key {
        BOOTSTATE => 0,
        _ => ranges.len().saturating_sub(1),
    };
    if ranges.is_empty() {
        return add_line(bytes, &format!("{key}={value}"));
    }
    replace_all(bytes, &ranges[first..], value.as_bytes());
}

/// Puts `new` in the place of each of these ranges, which are in order and do not overlap.
pub(super) fn replace_all(bytes: &mut Vec<u8>, ranges: &[Range<usize>], new: &[u8]) {
    let mut edited = Vec::with_capacity(bytes.len());
    let mut kept = 0;
    for range in ranges {
        edited.extend_from_slice(&bytes[kept..range.start]);
        edited.extend_from_slice(new);
        kept = range.end;
    }
    edited.extend_from_slice(&bytes[kept..]);
    *bytes = edited;
}

/// Adds a line at the end, before NULs that only fill the file up.
pub(super) fn add_line(bytes: &mut Vec<u8>, line: &str) {
    let padding = bytes.iter().rev().take_while(|&&byte| byte == 0).count();
    let end = bytes.len() - padding;
    let ending = line_ending(&bytes[..end]);
    let newline = if bytes[..end].is_empty() || bytes[..end].ends_with(b"\n") {
        ""
    } else {
        ending
    };
    let added = format!("{newline}{line}{ending}");
    drop(bytes.splice(end..end, added.into_bytes()));
}

fn remove_lines(bytes: &mut Vec<u8>, key: &str) {
    let line_of = |value: Range<usize>| {
        let start = bytes[..value.start].iter().rposition(|&byte| byte == b'\n');
        let end = bytes[value.end..].iter().position(|&byte| byte == b'\n');
        start.map_or(0, |at| at + 1)..end.map_or(bytes.len(), |at| value.end + at + 1)
    };
    let lines: Vec<_> = value_ranges(bytes, key).into_iter().map(line_of).collect();
    replace_all(bytes, &lines, b"");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(text: &str, key: &str, value: Option<&str>) -> Result<String, BootCfgError> {
        let edit = BootCfgEdit {
            key: key.to_owned(),
            value: value.map(str::to_owned),
        };
        let bytes = BootCfg::parse(text.as_bytes()).with_setting(&edit)?;
        Ok(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_setting_changes_and_every_other_byte_stays() {
        let cases = [
            (
                "updated=1\ntitle= x\n",
                "updated",
                Some("7"),
                "updated=7\ntitle= x\n",
            ),
            (
                "updated = 1\n",
                "updated",
                Some("7"),
                "updated = 1\nupdated=7\n",
            ),
            (
                "updated=1\r\nupdated=2 \r\n",
                "updated",
                Some("9"),
                "updated=1\r\nupdated=9 \r\n",
            ),
            (
                "bootstate=3\nbootstate=2\n",
                "bootstate",
                Some("0"),
                "bootstate=0\nbootstate=0\n",
            ),
            ("title=", "title", Some("a b"), "title=a b"),
            ("a=b", "timeout", Some("5"), "a=b\ntimeout=5\n"),
            ("a=b\n\0\0", "timeout", Some("5"), "a=b\ntimeout=5\n\0\0"),
            (
                "a=b\r\nc=d",
                "timeout",
                Some("5"),
                "a=b\r\nc=d\r\ntimeout=5\r\n",
            ),
            ("quickboot=1\nx=y\n", "quickboot", None, "x=y\n"),
            ("x=y\nquickboot=1", "quickboot", None, "x=y\n"),
            ("UPDATED=1\n", "updated", Some("2"), "UPDATED=2\n"),
        ];
        for (text, key, value, expected) in cases {
            assert_eq!(
                edited(text, key, value).as_deref(),
                Ok(expected),
                "{text:?}"
            );
        }
    }

    #[test]
    fn every_setting_that_a_line_sets_is_listed_as_the_loader_reads_it() {
        let text = "bootstate=1\nUPDATED= 7\n# prefix=x\nbuild=8.0.2-1\nquickboot=0\nnoise=1\n";
        let settings = BootCfg::parse(text.as_bytes()).settings();
        let settings: Vec<(&str, &str)> = settings
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .collect();
        let expected = [("bootstate", "1"), ("build", "8.0.2-1"), ("quickboot", "0")];
        assert_eq!(settings[..3], expected);
        assert!(settings.contains(&("updated", "7")), "{settings:?}");
        assert!(settings.iter().all(|(key, _)| *key != "prefix"));
    }

    #[test]
    fn modules_keep_their_order() {
        let text = "modules=a.gz --- b.gz --- state.tgz\n";
        let set = |value| edited(text, "modules", Some(value));
        assert!(set("a.gz --- b.gz --- new.v00 --- state.tgz").is_ok());
        assert!(set("a.gz --- state.tgz").is_ok());
        assert_eq!(
            set("b.gz --- a.gz --- state.tgz"),
            Err(BootCfgError::Reordered)
        );
    }

    #[test]
    fn what_the_loader_would_not_read_as_it_was_meant_is_refused() {
        for (key, value) in [
            ("updated", "x"),
            ("updated", "99999999999"),
            ("title", "a\nb"),
            ("title", " a"),
            ("title", "a  b"),
            ("nonsense", "1"),
        ] {
            assert!(
                edited("updated=1\n", key, Some(value)).is_err(),
                "{key}={value}"
            );
        }
    }

    #[test]
    fn bootstate_stays_where_the_loader_can_rewrite_it() {
        let text = "title=x\nbootstate=0\nupdated=1\n";
        let long = "y".repeat(600);
        assert_eq!(
            edited(text, "title", Some(&long)),
            Err(BootCfgError::BootstateOutOfReach)
        );
    }

    #[test]
    fn a_setting_reads_as_the_loader_reads_it() {
        let cfg = BootCfg::parse(b"updated=1\nupdated= 2 \ntitle=a   b\n");
        let value = |key: &str| cfg.setting(key).unwrap();
        assert_eq!(value("Updated").as_deref(), Some("2"));
        assert_eq!(value("title").as_deref(), Some("a b"));
        assert_eq!(value("kernel"), None);
        assert!(cfg.setting("nonsense").is_err());
    }
}
