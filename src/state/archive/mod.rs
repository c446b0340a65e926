//! A tar archive as bytes: its members located, its content changed by splicing.
//!
//! Nothing is ever unpacked or built anew. An edit replaces the bytes of the members it names and
//! shares all others, headers, data, order and what follows the end included, as they are.
//!
//! Reads the old-GNU form that the host writes (seen in a real 7.0.2 state), ustar, pax and v7
//! archives made by hand, with directory entries and `./` prefixes. Writes size and checksum of a
//! replaced member in the style they were met in, and added members as the host would.

mod edit;
mod error;
mod field;
mod salvage;
mod scan;
mod verify;
mod warning;

pub use edit::MemberEdit;
pub use error::ArchiveError;
pub use salvage::Salvaged;
pub use warning::ArchiveWarning;

use super::pieces::Pieces;
use scan::{RawMember, at, block, text};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// Hard links followed to reach content. Real archives need one.
const MAX_LINK_HOPS: usize = 8;

/// Repeated members that are named one by one.
const MAX_REPEATED: usize = 50;

/// What a member is, by its type byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MemberKind {
    /// A file with its content.
    Regular,
    /// Another name of an earlier member.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
    /// A file to be stored contiguously; met in no state.
    Contiguous,
    /// A file with holes, in GNU's or pax's form.
    Sparse,
    /// A header for all members that follow.
    GlobalPax,
    /// Any other type byte.
    Other(u8),
}

impl MemberKind {
    /// Whether the size field counts data that follow the header.
    fn has_data(self) -> bool {
        use MemberKind::*;
        matches!(self, Regular | Contiguous | Sparse | GlobalPax | Other(_))
    }
}

impl fmt::Display for MemberKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MemberKind::Regular => "regular file",
            MemberKind::HardLink => "hard link",
            MemberKind::Symlink => "symbolic link",
            MemberKind::CharDevice => "character device",
            MemberKind::BlockDevice => "block device",
            MemberKind::Directory => "directory",
            MemberKind::Fifo => "named pipe",
            MemberKind::Contiguous => "contiguous file",
            MemberKind::Sparse => "sparse file",
            MemberKind::GlobalPax => "global pax header",
            MemberKind::Other(byte) => return write!(f, "member of type {byte:#04x}"),
        })
    }
}

/// One member of an archive. Numbers are those of its own header; pax records that override
/// them are not applied, the size excepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Name as stored, long names resolved.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: MemberKind,
    /// Permission bits, `0o644`; sticky bits are normal in a state.
    pub mode: u32,
    /// Owner's number.
    pub uid: u64,
    /// Group's number.
    pub gid: u64,
    /// Time of last modification in seconds since 1970.
    pub mtime: u64,
    /// Length of the data in the archive, in bytes.
    pub size: usize,
    /// Owner's name.
    pub uname: String,
    /// Group's name.
    pub gname: String,
    /// What a hard or symbolic link points to, as stored; else empty.
    pub link_name: Vec<u8>,
    path: Vec<u8>,
    raw: RawPlaces,
}

/// Where a member lies in its archive, and what forbids changing it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RawPlaces {
    span: Range<usize>,
    header: usize,
    data: Range<usize>,
    pax_override: Option<&'static str>,
}

impl Member {
    /// Its path as compared and shown: without leading `./` or `/`, doubled or trailing slashes.
    pub fn path(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.path)
    }

    /// The same byte for byte: a name need not be UTF-8.
    pub fn path_bytes(&self) -> &[u8] {
        &self.path
    }

    /// Whether `path`, in any spelling, names it.
    pub fn is_at(&self, path: &str) -> bool {
        self.path == normalise(path.as_bytes())
    }

    /// Where its data lie in the unpacked archive.
    pub fn data_range(&self) -> Range<usize> {
        self.raw.data.clone()
    }
}

/// A path without `.` components and superfluous slashes. `..` is kept: it names nothing.
pub(super) fn normalise(name: &[u8]) -> Vec<u8> {
    let parts = name.split(|&byte| byte == b'/');
    let parts: Vec<&[u8]> = parts.filter(|p| !p.is_empty() && *p != b".").collect();
    parts.join(&b'/')
}

/// A tar archive, every header of it checked.
#[derive(Clone, Debug)]
pub struct Archive {
    bytes: Pieces,
    members: Vec<Member>,
    /// For each path the last member that has it: the one that counts.
    last: BTreeMap<Vec<u8>, usize>,
    end: usize,
    global_pax: bool,
    warnings: Vec<ArchiveWarning>,
}

impl Archive {
    /// Locates the members of an unpacked archive.
    ///
    /// # Errors
    /// [`ArchiveError`] for a wrong checksum, data past the end, a missing end, and whatever
    /// different tar readers would understand differently.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, ArchiveError> {
        Self::parse_pieces(bytes.into())
    }

    /// The same of one in pieces: a header, a member's data and an extension's each lie in one.
    fn parse_pieces(bytes: Pieces) -> Result<Self, ArchiveError> {
        Self::parse_or_return(bytes).map_err(|(error, _)| error)
    }

    /// The same; an error comes with the bytes it is about.
    fn parse_or_return(bytes: Pieces) -> Result<Self, (ArchiveError, Pieces)> {
        let found = scan::scan(&bytes).and_then(|scan| {
            let members = members(&bytes, &scan.members)?;
            Ok((scan, members))
        });
        let (scan, mut members) = match found {
            Ok(found) => found,
            Err(error) => return Err((error, bytes)),
        };
        let global_pax = members.iter().any(|m| m.kind == MemberKind::GlobalPax);
        members.retain(|member| member.kind != MemberKind::GlobalPax);
        let mut last = BTreeMap::new();
        let mut warnings = scan.warnings;
        let mut again = 0usize;
        for (index, member) in members.iter().enumerate() {
            let earlier = last.insert(member.path.clone(), index);
            // Repeated directory entries are harmless.
            if earlier.is_some() && member.kind != MemberKind::Directory {
                again = again.saturating_add(1);
                if again <= MAX_REPEATED {
                    let path = member.path().into_owned();
                    warnings.push(ArchiveWarning::Repeated { path });
                }
            }
        }
        if again > MAX_REPEATED {
            let count = again.saturating_sub(MAX_REPEATED);
            warnings.push(ArchiveWarning::MoreRepeated { count });
        }
        Ok(Archive {
            bytes,
            members,
            last,
            end: scan.end,
            global_pax,
            warnings,
        })
    }

    /// The members in the order of the archive, duplicates included.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The unpacked archive: in one piece where it was parsed from that, else what an edit made of it.
    pub fn bytes(&self) -> &Pieces {
        &self.bytes
    }

    /// What is odd but does no harm: duplicates, bytes after the end.
    pub fn warnings(&self) -> &[ArchiveWarning] {
        &self.warnings
    }

    /// The member `path` names, in any spelling; of several the last, which is the one that
    /// remains when the host unpacks the archive.
    pub fn find(&self, path: &str) -> Option<&Member> {
        self.find_bytes(path.as_bytes())
    }

    fn find_bytes(&self, path: &[u8]) -> Option<&Member> {
        let index = *self.last.get(&normalise(path))?;
        self.members.get(index)
    }

    /// The bytes of a file, hard links followed; `None` where there is no member at `path`.
    ///
    /// # Errors
    /// [`ArchiveError::NotAFile`] for directories, symbolic links and other members without
    /// plain content, [`ArchiveError::LinkToNothing`] for a hard link to nothing.
    pub fn content(
        &self,
        path: &(impl AsRef<[u8]> + ?Sized),
    ) -> Result<Option<&[u8]>, ArchiveError> {
        let path = path.as_ref();
        let Some(member) = self.resolve(path)? else {
            return Ok(None);
        };
        match member.kind {
            MemberKind::Regular | MemberKind::Contiguous => Ok(Some(self.data(member))),
            kind => Err(ArchiveError::NotAFile {
                path: text(path),
                kind,
            }),
        }
    }

    /// The member at `path` that has its data: hard links are followed.
    fn resolve(&self, path: &[u8]) -> Result<Option<&Member>, ArchiveError> {
        let Some(mut member) = self.find_bytes(path) else {
            return Ok(None);
        };
        for _ in 0..MAX_LINK_HOPS {
            if member.kind != MemberKind::HardLink {
                break;
            }
            member =
                self.find_bytes(&member.link_name)
                    .ok_or_else(|| ArchiveError::LinkToNothing {
                        path: text(path),
                        target: text(&member.link_name),
                    })?;
        }
        Ok(Some(member))
    }

    /// A member's data as they lie in the archive. The scan has seen that they are there, in one piece.
    fn data(&self, member: &Member) -> &[u8] {
        self.bytes.get(member.raw.data.clone()).unwrap_or_default()
    }
}

/// The members with their names, which the `tar` crate reads; it must find the same headers.
fn members(bytes: &Pieces, raw: &[RawMember]) -> Result<Vec<Member>, ArchiveError> {
    let disagree = |offset, detail: String| ArchiveError::ReadersDisagree { offset, detail };
    let mut reader = tar::Archive::new(bytes.reader());
    let mut entries = reader
        .entries_with_seek()
        .map_err(|err| disagree(0, err.to_string()))?;
    let global_mtime = raw
        .iter()
        .any(|raw| raw.kind == MemberKind::GlobalPax && raw.pax.mtime);
    let mut members = Vec::with_capacity(raw.len());
    for raw in raw {
        let entry = entries
            .next()
            .ok_or_else(|| disagree(raw.header, "one ends the archive here".to_owned()))?
            .map_err(|err| disagree(raw.header, err.to_string()))?;
        let position = entry.raw_header_position();
        if position != raw.header as u64 {
            let detail = format!("the other finds a header at {position}");
            return Err(disagree(raw.header, detail));
        }
        let plain = raw.kind != MemberKind::Sparse;
        let (data, size) = (entry.raw_file_position(), entry.size());
        if plain && (data, size) != (raw.data as u64, raw.size as u64) {
            let detail = format!("the other finds {size} bytes of data at {data}");
            return Err(disagree(raw.header, detail));
        }
        let sparse_name = raw.pax.sparse_name.clone();
        let name = sparse_name.unwrap_or_else(|| entry.path_bytes().into_owned());
        let link_name = entry.link_name_bytes().unwrap_or_default().into_owned();
        members.push(read_member(bytes, raw, name, link_name, global_mtime)?);
    }
    match entries.next() {
        None => Ok(members),
        Some(_) => Err(disagree(bytes.len(), "one finds more members".to_owned())),
    }
}

fn read_member(
    bytes: &Pieces,
    raw: &RawMember,
    name: Vec<u8>,
    link_name: Vec<u8>,
    global_mtime: bool,
) -> Result<Member, ArchiveError> {
    let offset = raw.header;
    let header = block(bytes, offset).ok_or(ArchiveError::NoEnd { offset })?;
    let number = |field, range: Range<usize>| {
        let value = &header[range];
        field::number_or_blank(value).ok_or_else(|| ArchiveError::Field {
            offset,
            field,
            value: text(value),
        })
    };
    let mode = number("mode", at::MODE)?;
    // Owners and times below zero are read as 0 and kept as they are.
    let number_from_0 = |field, range: Range<usize>| match &header[range.clone()] {
        value if field::is_negative(value) => Ok(0),
        _ => number(field, range),
    };
    let kind = kind_of(raw, &name)?;
    Ok(Member {
        path: normalise(&name),
        name,
        kind,
        // Some writers keep the file type above the permission bits.
        mode: u32::try_from(mode & 0o7777).unwrap_or_default(),
        uid: number_from_0("uid", at::UID)?,
        gid: number_from_0("gid", at::GID)?,
        mtime: number_from_0("mtime", at::MTIME)?,
        size: raw.size,
        uname: text(&header[at::UNAME]),
        gname: text(&header[at::GNAME]),
        link_name,
        raw: RawPlaces {
            span: raw.start..raw.end,
            header: raw.header,
            data: raw.data..raw.data.saturating_add(raw.size),
            pax_override: match &raw.pax {
                pax if pax.size.is_some() => Some("size"),
                pax if pax.mtime || global_mtime => Some("mtime"),
                _ => None,
            },
        },
    })
}

/// Before directories had a type of their own they were files whose name ends in a slash: the whole name, of
/// which the header holds but the beginning where it is a long one.
fn kind_of(raw: &RawMember, name: &[u8]) -> Result<MemberKind, ArchiveError> {
    match raw.kind {
        MemberKind::Regular if name.ends_with(b"/") && raw.size > 0 => {
            Err(ArchiveError::SizedSpecial {
                offset: raw.header,
                kind: MemberKind::Directory,
                size: raw.size as u64,
            })
        }
        MemberKind::Regular if name.ends_with(b"/") => Ok(MemberKind::Directory),
        kind => Ok(kind),
    }
}

#[cfg(test)]
mod tests;
