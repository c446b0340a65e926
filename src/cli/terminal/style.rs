//! Styles, and text in them.

use anstyle::{AnsiColor, Style};

/// Style of what went wrong.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Style of what deserves attention.
pub const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// Style of what to do next, and of lines a diff adds.
pub const HINT: Style = AnsiColor::Green.on_default();
/// Style of lines a diff removes.
pub const REMOVED: Style = AnsiColor::Red.on_default();
/// Style of headings.
pub const HEADING: Style = Style::new().bold();

/// Text in a style; the streams strip it where colour is not wanted.
pub fn styled(text: &str, style: Style) -> String {
    format!("{style}{text}{style:#}")
}
