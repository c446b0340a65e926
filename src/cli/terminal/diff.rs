//! The change of a configuration as a unified diff.

use super::style::{HEADING, HINT, REMOVED, styled};
use super::text::shown;
use similar::{ChangeTag, TextDiff};
use std::fmt::Write as _;
use std::time::Duration;

/// Lines of context around a change, as `diff -u` shows them.
const CONTEXT: usize = 3;

/// After this long a text made to be hard to compare gets a diff that is right but not short.
const PATIENCE: Duration = Duration::from_secs(2);

/// A unified diff of two texts under the names given; empty where they are equal.
pub fn unified(before_name: &str, after_name: &str, before: &str, after: &str) -> String {
    let diff = TextDiff::configure()
        .timeout(PATIENCE)
        .diff_lines(before, after);
    let mut text = String::new();
    for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
        if text.is_empty() {
            let [before, after] = [before_name, after_name].map(shown);
            let heading = format!("--- {before}\n+++ {after}");
            let _ = writeln!(text, "{}", styled(&heading, HEADING));
        }
        let _ = writeln!(text, "{}", hunk.header());
        for change in hunk.iter_changes() {
            let line = shown(change.value().trim_end_matches('\n'));
            let line = match change.tag() {
                ChangeTag::Equal => format!(" {line}"),
                ChangeTag::Delete => styled(&format!("-{line}"), REMOVED),
                ChangeTag::Insert => styled(&format!("+{line}"), HINT),
            };
            let _ = writeln!(text, "{line}");
            if change.missing_newline() {
                let _ = writeln!(text, "\\ No newline at end of file");
            }
        }
    }
    text
}
