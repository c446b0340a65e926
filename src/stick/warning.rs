//! What a person should know of a medium, or of a change to it.

use super::Cure;
use std::fmt;

/// Something a person should know, and what puts it right. Shown, it is the message alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Warning {
    /// What.
    pub message: String,
    /// What puts it right, where that is known.
    pub cure: Option<Cure>,
}

impl From<String> for Warning {
    fn from(message: String) -> Self {
        Warning {
            message,
            cure: None,
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
