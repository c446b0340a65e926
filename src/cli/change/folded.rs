//! Warnings about many targets: each is said once, with the targets it is about.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Targets that are named; of the others it is said how many they are.
const NAMED: usize = 3;
/// Different texts that are kept, so that memory does not grow with what many targets hold.
const MOST: usize = 1000;

/// Warnings that wait until all targets are done. Shared by threads.
#[derive(Default)]
pub struct Folded(Mutex<BTreeMap<String, About>>);

/// The targets of one warning.
#[derive(Default)]
struct About {
    named: Vec<String>,
    count: usize,
}

impl Folded {
    /// Keeps a warning about a target; whether there was room for it.
    pub fn keep(&self, target: &str, text: &str) -> bool {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST && !kept.contains_key(text) {
            return false;
        }
        let about = kept.entry(text.to_owned()).or_default();
        about.count += 1;
        if about.named.len() < NAMED {
            about.named.push(target.to_owned());
        }
        true
    }

    /// Every warning that was kept, a sentence each; none is kept any more.
    pub fn take(&self) -> Vec<String> {
        let kept = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        kept.into_iter().map(in_words).collect()
    }
}

fn in_words((text, about): (String, About)) -> String {
    let mut named = about.named;
    // Threads come in any order.
    named.sort();
    let names = named.join(", ");
    match (about.count, about.count - named.len()) {
        (1, _) => format!("{names}: {text}"),
        (count, 0) => format!("{count} targets ({names}): {text}"),
        (count, more) => format!("{count} targets ({names} and {more} more): {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_said_once_for_all_its_targets() {
        let folded = Folded::default();
        for target in ["a", "b", "c", "d", "e"] {
            assert!(folded.keep(target, "odd"));
        }
        assert!(folded.keep("b", "odder"));
        assert!(folded.keep("d", "oddest"));
        assert!(folded.keep("c", "oddest"));
        let said = [
            "5 targets (a, b, c and 2 more): odd",
            "b: odder",
            "2 targets (c, d): oddest",
        ];
        assert_eq!(folded.take(), said);
        assert!(folded.take().is_empty());
    }
}
