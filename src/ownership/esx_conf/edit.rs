//! Keys set and taken out: many at once in one pass over the lines, and one parse of the result.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hasher as _;
use std::ops::Range;

use super::{EsxConf, OddLine, OwnershipError, check_key, check_value, shortened};
use crate::bytes::line_ending;

impl EsxConf {
    /// Sets `key`. Where it exists, the value of every line that has it is replaced and nothing
    /// else; a new key is put behind the last line that shares the most of its path, with that
    /// line's ending.
    ///
    /// # Errors
    /// [`OwnershipError::BadKey`], [`OwnershipError::BadValue`] for what the format cannot hold;
    /// [`OwnershipError::OddLine`] where a line not of the exact form has the key.
    pub fn set(&self, key: &str, value: &str) -> Result<EsxConf, OwnershipError> {
        self.set_all(&[(key, value)])
    }

    /// Sets each of `settings` as [`EsxConf::set`] does. New keys that belong behind the same line
    /// stand in the order given. Of several values for one key the last counts.
    ///
    /// # Errors
    /// As [`EsxConf::set`], for the first that cannot be set.
    pub fn set_all(&self, settings: &[(&str, &str)]) -> Result<EsxConf, OwnershipError> {
        let values: HashMap<&str, &str> = settings.iter().copied().collect();
        let odd = self.odd_lines(|key| values.contains_key(key));
        for (key, value) in settings {
            check_value(key, value)?;
            refuse_odd(&odd, key)?;
        }
        let mut edits = Vec::new();
        let mut known: HashSet<&str> = HashSet::new();
        for line in &self.lines {
            if let Some((key, value)) = values.get_key_value(self.text(&line.key)) {
                known.insert(key);
                edits.push((line.value.clone(), (*value).to_owned()));
            }
        }
        let mut new = Vec::new();
        for (key, _) in settings {
            if known.insert(key) {
                check_key(key)?;
                let value = values.get(key).copied().unwrap_or_default();
                new.push((*key, value));
            }
        }
        if !new.is_empty() {
            edits.extend(self.insertions(&new));
            edits.sort_by_key(|(range, _)| (range.start, range.end));
        }
        self.spliced(edits)
    }

    /// Removes every line that has `key`.
    ///
    /// # Errors
    /// [`OwnershipError::NoSuchKey`] if there is none; [`OwnershipError::OddLine`] where a line not
    /// of the exact form has the key.
    pub fn unset(&self, key: &str) -> Result<EsxConf, OwnershipError> {
        self.unset_all(&[key])
    }

    /// Removes every line that has one of `keys`.
    ///
    /// # Errors
    /// As [`EsxConf::unset`], for the first that cannot be removed.
    pub fn unset_all(&self, keys: &[&str]) -> Result<EsxConf, OwnershipError> {
        let wanted: HashSet<&str> = keys.iter().copied().collect();
        let odd = self.odd_lines(|key| wanted.contains(key));
        let lines = self.lines.iter();
        let lines: Vec<_> = lines
            .filter(|line| wanted.contains(self.text(&line.key)))
            .collect();
        let found: HashSet<&str> = lines.iter().map(|line| self.text(&line.key)).collect();
        for key in keys {
            refuse_odd(&odd, key)?;
            if !found.contains(key) {
                return Err(OwnershipError::NoSuchKey {
                    key: shortened(key),
                });
            }
        }
        let edits = lines.iter().map(|line| (line.whole.clone(), String::new()));
        self.spliced(edits.collect())
    }

    /// The first odd line for each key that is asked about.
    fn odd_lines(&self, wanted: impl Fn(&str) -> bool) -> HashMap<&str, &OddLine> {
        let mut found = HashMap::new();
        for odd in self.odd.iter().filter(|odd| wanted(&odd.key)) {
            found.entry(odd.key.as_str()).or_insert(odd);
        }
        found
    }

    /// Lines for keys that are new, each behind the last line that shares the most of its path.
    fn insertions(&self, new: &[(&str, &str)]) -> Vec<(Range<usize>, String)> {
        let places = Places::of(self);
        let mut begun: BTreeMap<usize, ()> = BTreeMap::new();
        let line = |(key, value): &(&str, &str)| {
            let neighbour = places.nearest(self, key);
            let before = match &neighbour {
                Some(line) => self.slice(line),
                None => self.as_bytes(),
            };
            let ending = match before.ends_with(b"\n") {
                true if before.ends_with(b"\r\n") => "\r\n",
                true => "\n",
                false => line_ending(self.as_bytes()),
            };
            let at = neighbour
                .as_ref()
                .map_or(self.as_bytes().len(), |line| line.end);
            // One that was put here before has ended the line.
            let ended = begun.insert(at, ()).is_some();
            let lead = if ended || before.is_empty() || before.ends_with(b"\n") {
                ""
            } else {
                ending
            };
            (at..at, format!("{lead}{key} = \"{value}\"{ending}"))
        };
        new.iter().map(line).collect()
    }

    /// Replaces each range, which must be in order and apart, and parses the result.
    pub(super) fn spliced(
        &self,
        edits: Vec<(Range<usize>, String)>,
    ) -> Result<EsxConf, OwnershipError> {
        let mut bytes = Vec::with_capacity(self.as_bytes().len());
        let mut done = 0;
        for (range, text) in edits {
            bytes.extend_from_slice(self.slice(&(done..range.start)));
            bytes.extend_from_slice(text.as_bytes());
            done = range.end;
        }
        bytes.extend_from_slice(self.slice(&(done..self.as_bytes().len())));
        EsxConf::parse(bytes)
    }
}

fn refuse_odd(odd: &HashMap<&str, &OddLine>, key: &str) -> Result<(), OwnershipError> {
    odd.get(key).map_or(Ok(()), |line| Err(line.refused()))
}

/// The last line below each path, by the hash of the path: a key of 8191 bytes can have as many
/// parts as half of them, and their texts together would be its square.
struct Places {
    last: HashMap<u64, usize>,
}

impl Places {
    fn of(conf: &EsxConf) -> Places {
        let mut last = HashMap::new();
        for (line, index) in conf.lines.iter().zip(0usize..) {
            for (hash, _) in paths(conf.text(&line.key)) {
                last.insert(hash, index);
            }
        }
        Places { last }
    }

    /// The line behind which a new key belongs.
    fn nearest(&self, conf: &EsxConf, key: &str) -> Option<Range<usize>> {
        let mut found = None;
        for (hash, length) in paths(key) {
            let Some(line) = self
                .last
                .get(&hash)
                .and_then(|index| conf.lines.get(*index))
            else {
                break;
            };
            // A hash can be that of another path; then the shorter path found so far stands.
            if !is_below(conf.text(&line.key), key.get(..length)) {
                break;
            }
            found = Some(line.whole.clone());
        }
        found
    }
}

fn is_below(key: &str, path: Option<&str>) -> bool {
    let rest = path.and_then(|path| key.strip_prefix(path));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Each path a key is below, itself last: its hash and its length. `/a/b` is below `/a` and `/a/b`.
fn paths(key: &str) -> impl Iterator<Item = (u64, usize)> {
    let mut hasher = DefaultHasher::new();
    let mut length = 0usize;
    // Keys begin with `/`: the first part is empty and says nothing.
    key.split('/').skip(1).map(move |part| {
        hasher.write(part.as_bytes());
        hasher.write_u8(b'/');
        length = length.saturating_add(part.len()).saturating_add(1);
        (hasher.clone().finish(), length)
    })
}
