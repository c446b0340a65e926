//! What is odd about an archive and does no harm.

/// Something odd about an archive that every reader takes alike.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveWarning {
    /// A path that several members have.
    #[error("{path} is in the archive more than once; the last copy counts")]
    Repeated {
        /// The path.
        path: String,
    },
    /// More members with a path that another has, beyond those that are named.
    #[error("{count} more are repeated like this")]
    MoreRepeated {
        /// How many.
        count: usize,
    },
    /// One zero block ends the archive, where two should.
    #[error("the archive ends with one zero block at offset {offset} instead of two")]
    OneZeroBlock {
        /// Where it lies, in bytes.
        offset: usize,
    },
    /// Data behind the blocks that end the archive.
    #[error("data follow the end of the archive: {count} bytes, not all zero")]
    BehindEnd {
        /// How many bytes.
        count: usize,
    },
}
