//! What cannot be read, and so is not guessed.

use crate::medium::ReadAt;
use std::io;

/// Something that had to be known and is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Undecided {
    /// Part of the medium cannot be read.
    #[error("byte {offset} of the medium and what follows it cannot be read: {why}")]
    Read {
        /// Byte position on the medium.
        offset: u64,
        /// What the operating system reported.
        why: String,
    },
    /// A boot.cfg longer than any.
    #[error("boot.cfg is {size} bytes long, and no more than {limit} are looked at")]
    LongBootCfg {
        /// Its size in bytes.
        size: u32,
        /// The most that is read.
        limit: u32,
    },
    /// More files than any release has.
    #[error("boot.cfg names more than {limit} files, and no more are looked at")]
    ManyFiles {
        /// The most that are looked for.
        limit: usize,
    },
    /// Files that share clusters: reading all of them would take no end.
    #[error(
        "{name} is not looked at: the files that boot.cfg names are together longer than the volume"
    )]
    Overlap {
        /// The first file that is too much.
        name: String,
    },
    /// Content that unpacks to more than a host could load.
    #[error("{name} is not unpacked: the files come to more than {limit} bytes")]
    Unpacked {
        /// The file.
        name: String,
        /// The most that is unpacked of one bank, in bytes.
        limit: u64,
    },
    /// A length for which a host may have no memory.
    #[error(
        "{name} says that it unpacks to {stored} bytes, for which the loader may find no memory; it unpacks to {len}"
    )]
    Room {
        /// The file.
        name: String,
        /// The length in its last four bytes.
        stored: u32,
        /// What it does unpack to.
        len: u64,
    },
    /// A gzip header longer than any.
    #[error("{name} is not unpacked: its gzip header is longer than {limit} bytes")]
    LongHeader {
        /// The file.
        name: String,
        /// The most that is looked at, in bytes.
        limit: usize,
    },
}

impl Undecided {
    pub(super) fn read(offset: u64, error: &io::Error) -> Self {
        let why = error.to_string();
        Undecided::Read { offset, why }
    }

    pub(super) fn past_the_end(offset: u64) -> Self {
        Undecided::read(offset, &crate::medium::past_the_end())
    }
}

/// `len` bytes from `offset` on; callers bound `len`.
pub(super) fn read(
    medium: &dyn ReadAt,
    offset: Option<u64>,
    len: u64,
) -> Result<Vec<u8>, Undecided> {
    let offset = offset.ok_or_else(|| Undecided::past_the_end(u64::MAX))?;
    let len = usize::try_from(len).map_err(|_| Undecided::past_the_end(offset))?;
    medium
        .read_vec(offset, len)
        .map_err(|error| Undecided::read(offset, &error))
}
