//! The change of a configuration as a unified diff.

use super::gate::Gate;
use super::style::{HEADING, HINT, REMOVED, styled};
use super::text::shown;
use crate::secrets::Guarded;
use similar::{ChangeTag, TextDiff};
use std::fmt::Write as _;
use std::time::Duration;

/// Lines of context around a change, as `diff -u` shows them.
const CONTEXT: usize = 3;

/// After this long a text made to be hard to compare gets a diff that is right but not short.
const PATIENCE: Duration = Duration::from_secs(2);

/// A unified diff of two texts under the names given; empty where they are equal. What is compared
/// are the texts themselves, so that a secret that changes is seen to; what is shown of a line is up
/// to the gate.
pub fn unified(names: (&str, &str), texts: (&Guarded, &Guarded), gate: Gate) -> String {
    let ((before, before_shown), (after, after_shown)) = (gate.lines(texts.0), gate.lines(texts.1));
    let diff = TextDiff::configure()
        .timeout(PATIENCE)
        .newline_terminated(true)
        .diff_slices(&before, &after);
    let mut text = String::new();
    for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
        if text.is_empty() {
            let [before, after] = [names.0, names.1].map(shown);
            let heading = format!("--- {before}\n+++ {after}");
            let _ = writeln!(text, "{}", styled(&heading, HEADING));
        }
        let _ = writeln!(text, "{}", hunk.header());
        for change in hunk.iter_changes() {
            let line = match (change.old_index(), change.new_index()) {
                (Some(index), _) => before_shown.get(index),
                (None, Some(index)) => after_shown.get(index),
                (None, None) => None,
            };
            let line = line.map_or("", |line| line.trim_end_matches('\n'));
            let line = shown(line);
            let line = match change.tag() {
                ChangeTag::Equal => format!(" {line}"),
                ChangeTag::Delete => styled(&format!("-{line}"), REMOVED),
                ChangeTag::Insert => styled(&format!("+{line}"), HINT),
            };
            let _ = writeln!(text, "{line}");
            if !change.value().ends_with('\n') {
                let _ = writeln!(text, "\\ No newline at end of file");
            }
        }
    }
    text
}
