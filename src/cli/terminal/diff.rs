//! The change of a configuration as a unified diff.

use super::gate::Gate;
use super::style::{HEADING, HINT, REMOVED, styled};
use super::text::{plural, shown, size};
use crate::secrets::Guarded;
use similar::udiff::{UnifiedDiffHunk, UnifiedHunkHeader};
use similar::{ChangeTag, DiffOp, TextDiff};
use std::fmt::Write as _;
use std::time::Duration;

/// Lines of context around a change, as `diff -u` shows them.
const CONTEXT: usize = 3;

/// After this long a text made to be hard to compare gets a diff that is right but not short.
const PATIENCE: Duration = Duration::from_secs(2);

/// No more lines of a text than this are compared, since each costs some 170 bytes of memory: a state
/// of a few kilobytes can unpack to millions of empty ones.
const MANY_LINES: usize = 100_000;

/// So many equal lines are left around what is compared of a longer text, for the context, and for
/// a change among equal lines that can be said to begin earlier or later.
const AROUND: usize = 100;

/// A unified diff of two texts under the names given; empty where they are equal. What is compared
/// are the texts themselves, so that a secret that changes is seen to; what is shown of a line is up
/// to the gate. Texts that differ in too many lines are said to.
pub fn unified(names: (&str, &str), texts: (&Guarded, &Guarded), gate: Gate) -> String {
    let ((before, before_shown), (after, after_shown)) = (gate.side(texts.0), gate.side(texts.1));
    if before == after {
        return String::new();
    }
    let [a, b] = [names.0, names.1].map(shown);
    let mut text = format!("{}\n", styled(&format!("--- {a}\n+++ {b}"), HEADING));
    let Some(part) = Part::to_compare(before, after) else {
        let [before, after] = [before, after].map(extent);
        let _ = writeln!(
            text,
            "Too many lines differ to be shown: {before} before, {after} after. `bootbank get` copies \
             a file out, for other tools to compare."
        );
        return text;
    };
    let lines = |text| str::split_inclusive(text, '\n').collect::<Vec<_>>();
    let shown_of = |text, count| {
        let lines = str::split_inclusive(text, '\n').skip(part.skipped);
        lines.take(count).collect::<Vec<_>>()
    };
    let (before, after) = (lines(part.before), lines(part.after));
    let before_shown = shown_of(&*before_shown, before.len());
    let after_shown = shown_of(&*after_shown, after.len());
    let diff = TextDiff::configure()
        .timeout(PATIENCE)
        .newline_terminated(true)
        .diff_slices(&before, &after);
    for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
        if let Some(header) = header(&hunk, part.skipped) {
            let _ = writeln!(text, "{header}");
        }
        push_hunk(&mut text, &hunk, &before_shown, &after_shown);
    }
    text
}

/// Puts the lines of a hunk behind a text, each as it is to be shown.
fn push_hunk(
    text: &mut String,
    hunk: &UnifiedDiffHunk<'_, '_, '_, str>,
    before_shown: &[&str],
    after_shown: &[&str],
) {
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

/// The heading of a hunk of texts whose first lines, so many, were left out.
fn header(hunk: &UnifiedDiffHunk<'_, '_, '_, str>, skipped: usize) -> Option<UnifiedHunkHeader> {
    let (first, last) = (hunk.ops().first()?, hunk.ops().last()?);
    let (old, new) = (first.old_range().start, first.new_range().start);
    Some(UnifiedHunkHeader::new(&[DiffOp::Replace {
        old_index: skipped + old,
        old_len: last.old_range().end.saturating_sub(old),
        new_index: skipped + new,
        new_len: last.new_range().end.saturating_sub(new),
    }]))
}

/// How long a text is, in words.
fn extent(text: &str) -> String {
    let lines = line_count(text);
    let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
    format!("{lines} line{} ({})", plural(lines), size(bytes))
}

fn line_count(text: &str) -> usize {
    let whole = text.bytes().filter(|byte| *byte == b'\n').count();
    whole + usize::from(!text.is_empty() && !text.ends_with('\n'))
}

/// What is to be compared of two texts: all of them, or of long ones what is between the lines that
/// both begin and end with.
#[derive(Debug, PartialEq, Eq)]
struct Part<'t> {
    before: &'t str,
    after: &'t str,
    /// Lines in front of it, which both texts have.
    skipped: usize,
}

impl<'t> Part<'t> {
    /// `None` where it has too many lines.
    fn to_compare(before: &'t str, after: &'t str) -> Option<Self> {
        let is_long = |text| line_count(text) > MANY_LINES;
        let all = Part {
            before,
            after,
            skipped: 0,
        };
        if !is_long(before) && !is_long(after) {
            return Some(all);
        }
        let middle = all.middle();
        (!is_long(middle.before) && !is_long(middle.after)).then_some(middle)
    }

    /// The same without whole lines at the beginning and at the end that are equal, but for
    /// [`AROUND`] of them.
    fn middle(&self) -> Self {
        let (before, after) = (self.before, self.after);
        let front = end_of_common_front(before, after);
        let rest = |text: &'t str| text.split_at(front).1;
        let back = common_back(rest(before), rest(after));
        let from = (0..AROUND).fold(front, |at, _| {
            let earlier = before.split_at(at).0;
            let line_before = earlier.strip_suffix('\n').unwrap_or(earlier);
            line_before.rfind('\n').map_or(0, |end| end + 1)
        });
        let tail = before.split_at(before.len() - back).1;
        let kept: usize = tail.split_inclusive('\n').take(AROUND).map(str::len).sum();
        let cut = |text: &'t str| {
            let to = text.len() - back + kept;
            text.split_at(to).0.split_at(from).1
        };
        Part {
            before: cut(before),
            after: cut(after),
            skipped: self.skipped + line_count(before.split_at(from).0),
        }
    }
}

/// How many bytes the lines take that two texts have in common at their beginnings.
fn end_of_common_front(one: &str, two: &str) -> usize {
    let pairs = one.bytes().zip(two.bytes());
    let same = pairs.take_while(|(one, two)| one == two).count();
    let same = one.as_bytes().split_at(same).0;
    let last = same.iter().rposition(|byte| *byte == b'\n');
    last.map_or(0, |at| at + 1)
}

/// The same at their ends.
fn common_back(one: &str, two: &str) -> usize {
    let pairs = one.bytes().rev().zip(two.bytes().rev());
    let same = pairs.take_while(|(one, two)| one == two).count();
    let begins_a_line = |text: &str| {
        let in_front = text.as_bytes().split_at(text.len() - same).0;
        in_front.last().is_none_or(|byte| *byte == b'\n')
    };
    if begins_a_line(one) && begins_a_line(two) {
        return same;
    }
    let tail = one.as_bytes().split_at(one.len() - same).1;
    let first = tail.iter().position(|byte| *byte == b'\n');
    first.map_or(0, |at| same - at - 1)
}

#[cfg(test)]
mod tests {
    use super::{AROUND, MANY_LINES, Part, common_back, end_of_common_front, unified};
    use crate::cli::terminal::Gate;
    use crate::secrets::Guarded;

    fn diff(before: &str, after: &str) -> String {
        let [before, after] = [before, after].map(Guarded::of);
        unified(("a", "b"), (&before, &after), Gate::new(false))
    }

    /// The diff of one changed line among so many, as it is known for short texts, and the lines of
    /// its hunk counted from the first.
    #[test]
    fn a_long_text_gets_the_diff_that_a_short_one_gets_with_its_own_line_numbers() {
        let text = |lines: usize, at: usize, line: &str, end: &str| {
            let mut text: Vec<String> = (1..=lines).map(|number| format!("{number}")).collect();
            text[at] = line.to_owned();
            text.join("\n") + end
        };
        for lines in [MANY_LINES / 2, MANY_LINES * 3] {
            for (at, end) in [(0, "\n"), (7, ""), (lines / 2, "\n"), (lines - 1, "")] {
                let (old, new) = (text(lines, at, "old", end), text(lines, at, "new", end));
                let first = at.saturating_sub(3);
                let last = (at + 3).min(lines - 1);
                let range = format!("{},{}", first + 1, last - first + 1);
                let context = |from: usize, to: usize| -> String {
                    (from..to)
                        .map(|index| format!(" {}\n", index + 1))
                        .collect()
                };
                let no_end = if end.is_empty() && last == lines - 1 {
                    "\n\\ No newline at end of file"
                } else {
                    ""
                };
                let expected = format!(
                    "--- a\n+++ b\n@@ -{range} +{range} @@\n{}-old{no_end}\n+new{no_end}\n{}",
                    context(first, at),
                    context(at + 1, last + 1)
                );
                let said = anstream::adapter::strip_str(&diff(&old, &new)).to_string();
                assert_eq!(said, expected, "{lines} {at}");
            }
        }
    }

    /// Whatever is left out of two texts is the same in both and made of whole lines.
    #[test]
    fn what_is_not_compared_is_equal() {
        let texts = [
            "",
            "x",
            "y",
            "\n",
            "x\n",
            "x\ny",
            "z\ny",
            "\ny",
            "x\nx\n",
            "x\nx\nx\n",
            "é\nè",
            "è\nè",
        ];
        let around = "same\n".repeat(2 * AROUND);
        for (one, two) in texts.iter().flat_map(|one| texts.map(|two| (*one, two))) {
            let front = end_of_common_front(one, two);
            let back = common_back(one.split_at(front).1, two.split_at(front).1);
            for text in [one, two] {
                let (head, tail) = text.split_at(text.len() - back);
                assert!(
                    head.is_empty() || back == 0 || head.ends_with('\n'),
                    "{one:?} {two:?}"
                );
                assert_eq!(tail, one.split_at(one.len() - back).1);
                assert_eq!(text.split_at(front).0, one.split_at(front).0);
            }
            let [before, after] = [one, two].map(|text| format!("{around}{text}\n{around}"));
            let all = Part {
                before: &before,
                after: &after,
                skipped: 0,
            };
            let middle = all.middle();
            let places: Vec<_> = [(&before, middle.before), (&after, middle.after)]
                .map(|(text, part)| {
                    let from = part.as_ptr() as usize - text.as_ptr() as usize;
                    (text.split_at(from).0, text.split_at(from + part.len()).1)
                })
                .into();
            assert_eq!(places[0], places[1], "{one:?} {two:?}");
            assert_eq!(places[0].0.lines().count(), middle.skipped);
            let [first, last] = [false, true].map(|from_behind| {
                [middle.before, middle.after].map(|part| {
                    let lines = part.lines();
                    if from_behind {
                        lines.rev().take(AROUND).collect()
                    } else {
                        lines.take(AROUND).collect::<Vec<_>>()
                    }
                })
            });
            assert!(
                first[0] == first[1] && last[0] == last[1],
                "{one:?} {two:?}"
            );
        }
    }

    #[test]
    fn texts_that_differ_in_too_many_lines_are_said_to() {
        let many = "\n".repeat(MANY_LINES + 1);
        let said = diff("one\n", &many);
        let said = anstream::adapter::strip_str(&said).to_string();
        assert_eq!(
            said,
            "--- a\n+++ b\nToo many lines differ to be shown: 1 line (4 bytes) before, 100001 lines \
             (97.7 KiB) after. `bootbank get` copies a file out, for other tools to compare.\n"
        );
        assert_eq!(diff(&many, &many), "");
    }

    /// A line is shown as the gate lets it through, also where those in front are left out.
    #[test]
    fn a_secret_stays_hidden_in_a_long_text() {
        let text = |word: &str| {
            let lines = "x = 1\n".repeat(MANY_LINES);
            format!("{lines}password=\"{word}\"\n{lines}")
        };
        let said = diff(&text("Vogel"), &text("Amsel"));
        assert!(said.contains("(hidden)"), "{said}");
        assert!(!said.contains("Vogel") && !said.contains("Amsel"), "{said}");
    }
}
