//! What can be wrong with a tar archive or with a change to it.

use super::MemberKind;
use crate::error::{ErrorKind, counted};
use thiserror::Error;

/// Why an archive cannot be vouched for, or a change to it not be made. Offsets are bytes from
/// the start of the unpacked archive.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArchiveError {
    /// No end-of-archive block where the data stop.
    #[error("the archive stops at offset {offset} without an end-of-archive block")]
    NoEnd {
        /// Where a header should begin.
        offset: usize,
    },
    /// A single zero block followed by more: one reader stops there, another goes on.
    #[error("other data follow a single zero block at offset {offset}")]
    LoneZeroBlock {
        /// Where the zero block begins.
        offset: usize,
    },
    /// A header's checksum is not that of its bytes.
    #[error(
        "the tar checksum of the header at offset {offset} is wrong: stored {stored:?}, computed {computed:o}"
    )]
    Checksum {
        /// Where the header begins.
        offset: usize,
        /// The field as text.
        stored: String,
        /// The sum of the header's bytes.
        computed: u64,
    },
    /// A numeric header field holds no number.
    #[error("the {field} field of the header at offset {offset} is not a number: {value:?}")]
    Field {
        /// Where the header begins.
        offset: usize,
        /// `size`, `mode`, ...
        field: &'static str,
        /// The field as text.
        value: String,
    },
    /// A member's data reach past the end of the archive.
    #[error(
        "the member at offset {offset} has {} and runs past the end of the archive at byte {len}",
        counted(size, "byte")
    )]
    PastEnd {
        /// Where the member's header begins.
        offset: usize,
        /// Length of the data in bytes.
        size: u64,
        /// Length of the archive in bytes.
        len: usize,
    },
    /// More members than any state holds.
    #[error("there are more than {limit} headers")]
    TooManyMembers {
        /// The limit.
        limit: usize,
    },
    /// A link, directory or device that claims data: readers disagree whether any follow.
    #[error(
        "the {kind} at offset {offset} claims {} of data",
        counted(size, "byte")
    )]
    SizedSpecial {
        /// Where the header begins.
        offset: usize,
        /// What it is.
        kind: MemberKind,
        /// The size it claims.
        size: u64,
    },
    /// A long-name or pax header too large to be one.
    #[error(
        "the extension header at offset {offset} has {size} bytes, more than the limit of {limit}"
    )]
    ExtensionTooLarge {
        /// Where the header begins.
        offset: usize,
        /// Length of its data in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A long-name or pax header that belongs to no member, or the second of its kind for one.
    #[error("the extension header at offset {offset} {fault}")]
    StrayExtension {
        /// Where the header begins.
        offset: usize,
        /// What is wrong, as the end of the sentence.
        fault: &'static str,
    },
    /// A pax record that cannot be read.
    #[error("the pax header at offset {offset} holds a malformed record")]
    PaxRecord {
        /// Where the header begins.
        offset: usize,
    },
    /// A pax record that readers understand differently.
    #[error("the pax header at offset {offset} holds {key:?} {fault}")]
    PaxAmbiguous {
        /// Where the header begins.
        offset: usize,
        /// The record's key.
        key: String,
        /// What is wrong, as the end of the sentence.
        fault: &'static str,
    },
    /// Our reading and the `tar` crate's differ.
    #[error("two tar readers disagree at offset {offset}: {detail}")]
    ReadersDisagree {
        /// Where the header begins.
        offset: usize,
        /// In what.
        detail: String,
    },
    /// The path names no member.
    #[error("{path} is not in the archive")]
    NotFound {
        /// The path asked for.
        path: String,
    },
    /// A hard link whose target is no member.
    #[error("{path} is a hard link to {target}, which is not in the archive")]
    LinkToNothing {
        /// The link.
        path: String,
        /// What it links to.
        target: String,
    },
    /// The path names a member already.
    #[error("{path} is already in the archive")]
    Exists {
        /// The path asked for.
        path: String,
    },
    /// The path names something whose content is not plain bytes.
    #[error("{path} is a {kind}, not a regular file")]
    NotAFile {
        /// The path asked for.
        path: String,
        /// What it is.
        kind: MemberKind,
    },
    /// A hard link to the member would be left without a target.
    #[error("{path} cannot be removed: {link} is a hard link to it")]
    LinkedTo {
        /// The path asked for.
        path: String,
        /// The link.
        link: String,
    },
    /// A pax record gives the member a size or time that a change would contradict.
    #[error("{path} cannot be changed: a pax record sets its {key}")]
    PaxOverride {
        /// The path asked for.
        path: String,
        /// The record's key.
        key: &'static str,
    },
    /// The archive holds a global pax header, which would apply to an added member.
    #[error("{path} cannot be added: the archive holds a global pax header")]
    GlobalPax {
        /// The path asked for.
        path: String,
    },
    /// The number does not fit the header field.
    #[error("{path}: {value} does not fit the {field} field of {width} octal digits")]
    FieldOverflow {
        /// The path asked for.
        path: String,
        /// `size`, `mode`, ...
        field: &'static str,
        /// The number.
        value: u64,
        /// Octal digits that fit.
        width: usize,
    },
    /// The header field is in GNU's base-256 form, which this program does not write.
    #[error("{path}: the {field} field is in base-256 form, which bootbank does not write")]
    Base256 {
        /// The path asked for.
        path: String,
        /// `size` or `checksum`.
        field: &'static str,
    },
    /// The path cannot be that of a file in the archive.
    #[error("{path:?} cannot be added: {fault}")]
    BadPath {
        /// The path asked for.
        path: String,
        /// Why not.
        fault: String,
    },
    /// Two changes name the same member.
    #[error("{path} is to be changed twice")]
    Conflict {
        /// The path asked for.
        path: String,
    },
    /// The changed archive is not what the change was meant to make. A fault of this program.
    #[error("the changed archive is not as planned: {what}")]
    Verification {
        /// What differs.
        what: String,
    },
}

impl ArchiveError {
    /// Where the header begins that it is about, in bytes from the start of the archive.
    pub fn offset(&self) -> Option<usize> {
        use ArchiveError::*;
        match self {
            NoEnd { offset }
            | LoneZeroBlock { offset }
            | Checksum { offset, .. }
            | Field { offset, .. }
            | PastEnd { offset, .. }
            | SizedSpecial { offset, .. }
            | ExtensionTooLarge { offset, .. }
            | StrayExtension { offset, .. }
            | PaxRecord { offset }
            | PaxAmbiguous { offset, .. }
            | ReadersDisagree { offset, .. } => Some(*offset),
            _ => None,
        }
    }

    /// What the error means to whoever has to act on it.
    pub fn kind(&self) -> ErrorKind {
        use ArchiveError::*;
        match self {
            NotFound { .. } | Exists { .. } | BadPath { .. } | Conflict { .. } => ErrorKind::Usage,
            LinkedTo { .. } | Verification { .. } => ErrorKind::Refused,
            TooManyMembers { .. }
            | SizedSpecial { .. }
            | ExtensionTooLarge { .. }
            | PaxAmbiguous { .. }
            | NotAFile { .. }
            | PaxOverride { .. }
            | GlobalPax { .. }
            | FieldOverflow { .. }
            | Base256 { .. } => ErrorKind::Unsupported,
            NoEnd { .. }
            | LoneZeroBlock { .. }
            | Checksum { .. }
            | Field { .. }
            | PastEnd { .. }
            | StrayExtension { .. }
            | PaxRecord { .. }
            | LinkToNothing { .. }
            | ReadersDisagree { .. } => ErrorKind::Damaged,
        }
    }
}
