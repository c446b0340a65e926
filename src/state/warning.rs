//! What is odd about a state and does no harm.

use super::archive::ArchiveWarning;

/// Something odd about a state that can be opened, and the layer it was met in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateWarning {
    /// One of its archives is odd.
    #[error("{at}: {warning}")]
    Archive {
        /// Which: `state.tgz:local.tgz`.
        at: String,
        /// How.
        warning: ArchiveWarning,
    },
    /// It holds a second file that keeps keys.
    #[error("{at}: holds {name} beside {used}")]
    SecondKeyStore {
        /// The archive that holds both.
        at: String,
        /// The file that is not looked into.
        name: &'static str,
        /// The one that is.
        used: &'static str,
    },
}
