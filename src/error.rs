//! The five kinds an error can be of.
//!
//! Every room has its own error type, made with `thiserror`, whose variants say
//! exactly what was met. What a caller needs to decide what to do next (an
//! exit code, a JSON field, whether another try can help) is the kind, and it is
//! the same five everywhere.

/// What an error means to whoever has to act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Declined for safety: in use, sealed, no room, undo file does not match. Nothing was written, but
    /// where a commit was stopped by its caller: each bank is old then, and clusters may be left over.
    Refused,
    /// The bytes contradict the format; nothing was written.
    Damaged,
    /// The bytes may be sound but are of a form this program does not handle;
    /// nothing was written.
    Unsupported,
    /// The operating system or the device reported an error.
    Io,
    /// The request itself is wrong: an unknown address, edits that contradict each other.
    Usage,
}

impl ErrorKind {
    /// The word used in JSON output (`error.kind`).
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::Refused => "refused",
            ErrorKind::Damaged => "damaged",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Io => "io",
            ErrorKind::Usage => "usage",
        }
    }
}

/// A number with its noun, for a message: `1 byte`, `2 bytes`.
pub(crate) fn counted(number: &impl ToString, noun: &str) -> String {
    match number.to_string() {
        one if one == "1" => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}

impl std::fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn one_of_a_thing_is_in_the_singular() {
        assert_eq!(counted(&0, "byte"), "0 bytes");
        assert_eq!(counted(&1_u64, "byte"), "1 byte");
        assert_eq!(counted(&11, "byte"), "11 bytes");
    }
}
