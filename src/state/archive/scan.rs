//! The walk over an archive's headers: every check before anything else reads it.
//!
//! Finds each header, its data and the end of the archive, with checksums verified and every
//! length held against the archive's own. Names are left to the `tar` crate, which runs after
//! this and must find the same headers.

use super::{ArchiveError, ArchiveWarning, MemberKind, Pieces, field};
use std::collections::BTreeSet;
use std::ops::Range;

pub(super) const BLOCK: usize = 512;
/// Real states hold some dozens of members.
pub(super) const MAX_HEADERS: usize = 65_536;
/// Long names are at most some KiB; pax headers may carry extended attributes.
const MAX_EXTENSION: u64 = 1024 * 1024;

/// Position and width of the header fields read or written here.
pub(super) mod at {
    use std::ops::Range;
    pub(in super::super) const NAME: Range<usize> = 0..100;
    pub(in super::super) const MODE: Range<usize> = 100..108;
    pub(in super::super) const UID: Range<usize> = 108..116;
    pub(in super::super) const GID: Range<usize> = 116..124;
    pub(in super::super) const SIZE: Range<usize> = 124..136;
    pub(in super::super) const MTIME: Range<usize> = 136..148;
    pub(in super::super) const CHECKSUM: Range<usize> = 148..156;
    pub(in super::super) const TYPE: usize = 156;
    pub(in super::super) const MAGIC: Range<usize> = 257..265;
    pub(in super::super) const UNAME: Range<usize> = 265..297;
    pub(in super::super) const GNAME: Range<usize> = 297..329;
    pub(in super::super) const SPARSE_CONTINUES: usize = 482;
    pub(in super::super) const SPARSE_BLOCK_CONTINUES: usize = 504;
}

/// What pax records say of a member that its header does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pax {
    pub(super) size: Option<u64>,
    pub(super) mtime: bool,
    pub(super) sparse: bool,
    /// Real name of a sparse file, whose header has a made-up one.
    pub(super) sparse_name: Option<Vec<u8>>,
    path: bool,
    link_path: bool,
}

/// One member as the walk finds it. Offsets are bytes into the archive.
#[derive(Clone, Debug)]
pub(super) struct RawMember {
    /// First byte of what belongs to it: its extension headers, else its header.
    pub(super) start: usize,
    pub(super) header: usize,
    pub(super) data: usize,
    pub(super) size: usize,
    /// First byte after its data's padding.
    pub(super) end: usize,
    pub(super) kind: MemberKind,
    pub(super) pax: Pax,
}

/// An archive's headers.
#[derive(Clone, Debug)]
pub(super) struct Scan {
    /// Every header that is not an extension of the next, in order; global pax headers included.
    pub(super) members: Vec<RawMember>,
    /// Where the end-of-archive block begins.
    pub(super) end: usize,
    pub(super) warnings: Vec<ArchiveWarning>,
}

/// Extension headers met, waiting for their member.
#[derive(Default)]
struct Pending {
    start: Option<usize>,
    long_name: bool,
    long_link: bool,
    pax: Option<Pax>,
}

/// The 512 bytes at `offset`.
pub(super) fn block(bytes: &Pieces, offset: usize) -> Option<&[u8; BLOCK]> {
    bytes.get(offset..offset.checked_add(BLOCK)?)?.first_chunk()
}

/// The sum of a header's bytes, the checksum field taken as spaces.
pub(super) fn checksum(header: &[u8; BLOCK]) -> u64 {
    let spaces = u64::from(b' ') * at::CHECKSUM.len() as u64;
    let sum: u64 = header.iter().map(|&byte| u64::from(byte)).sum();
    let field: u64 = header[at::CHECKSUM].iter().map(|&b| u64::from(b)).sum();
    // Never negative: the field's bytes are part of the sum.
    sum.saturating_sub(field).saturating_add(spaces)
}

/// Walks the headers of `bytes` to the end of the archive.
pub(super) fn scan(bytes: &Pieces) -> Result<Scan, ArchiveError> {
    let mut members = Vec::new();
    let mut pending = Pending::default();
    let mut offset = 0;
    let mut headers = 0usize;
    loop {
        let header = block(bytes, offset).ok_or(ArchiveError::NoEnd { offset })?;
        if header.iter().all(|&byte| byte == 0) {
            break;
        }
        headers = headers.saturating_add(1);
        if headers > MAX_HEADERS {
            return Err(ArchiveError::TooManyMembers { limit: MAX_HEADERS });
        }
        check_checksum(header, offset)?;
        offset = if is_extension(header) {
            extension(bytes, header, offset, &mut pending)?
        } else {
            let member = member(bytes, header, offset, std::mem::take(&mut pending))?;
            let end = member.end;
            members.push(member);
            end
        };
    }
    if let Some(offset) = pending.start {
        return Err(ArchiveError::StrayExtension {
            offset,
            fault: "belongs to no member",
        });
    }
    let warnings = check_end(bytes, offset)?;
    Ok(Scan {
        members,
        end: offset,
        warnings,
    })
}

fn check_checksum(header: &[u8; BLOCK], offset: usize) -> Result<(), ArchiveError> {
    let computed = checksum(header);
    let stored = &header[at::CHECKSUM];
    if field::number(stored) == Some(computed) {
        return Ok(());
    }
    Err(ArchiveError::Checksum {
        offset,
        stored: text(stored),
        computed,
    })
}

/// Two zero blocks end an archive. A lone one at the very end is tolerated by every reader; in
/// front of other data GNU tar stops at it and busybox, which the host uses, goes on.
fn check_end(bytes: &Pieces, end: usize) -> Result<Vec<ArchiveWarning>, ArchiveError> {
    let second = end.saturating_add(BLOCK);
    let third = second.saturating_add(BLOCK);
    let is_zero = |range: Range<usize>| {
        let part = bytes.range(range);
        part.iter().flatten().all(|&byte| byte == 0)
    };
    let after_first = bytes.len().saturating_sub(second);
    if after_first < BLOCK && is_zero(second..third) {
        return Ok(vec![ArchiveWarning::OneZeroBlock { offset: end }]);
    }
    if after_first < BLOCK || !is_zero(second..third) {
        return Err(ArchiveError::LoneZeroBlock { offset: end });
    }
    if is_zero(third..bytes.len()) {
        return Ok(Vec::new());
    }
    let count = after_first.saturating_sub(BLOCK);
    Ok(vec![ArchiveWarning::BehindEnd { count }])
}

/// Whether the header describes the member after it. Old archives without a magic may use the
/// same type bytes for other things.
fn is_extension(header: &[u8; BLOCK]) -> bool {
    header[at::MAGIC].starts_with(b"ustar") && matches!(header[at::TYPE], b'L' | b'K' | b'x')
}

/// Takes in an extension header and says where the next header begins.
fn extension(
    bytes: &Pieces,
    header: &[u8; BLOCK],
    offset: usize,
    pending: &mut Pending,
) -> Result<usize, ArchiveError> {
    let size = size_field(header, offset)?;
    let (data, end) = place(bytes, offset, offset.saturating_add(BLOCK), size)?;
    let payload = extension_payload(bytes, offset, data, size)?;
    pending.start.get_or_insert(offset);
    let seen = match header[at::TYPE] {
        b'L' => std::mem::replace(&mut pending.long_name, true),
        b'K' => std::mem::replace(&mut pending.long_link, true),
        _ => pending.pax.replace(read_pax(payload, offset)?).is_some(),
    };
    if seen {
        return Err(ArchiveError::StrayExtension {
            offset,
            fault: "is the second of its kind for one member",
        });
    }
    Ok(end)
}

fn extension_payload(
    bytes: &Pieces,
    offset: usize,
    data: usize,
    size: usize,
) -> Result<&[u8], ArchiveError> {
    if size as u64 > MAX_EXTENSION {
        return Err(ArchiveError::ExtensionTooLarge {
            offset,
            size: size as u64,
            limit: MAX_EXTENSION,
        });
    }
    let payload = bytes.get(data..data.saturating_add(size));
    payload.ok_or_else(|| past_end(bytes, offset, size as u64))
}

fn member(
    bytes: &Pieces,
    header: &[u8; BLOCK],
    offset: usize,
    pending: Pending,
) -> Result<RawMember, ArchiveError> {
    let mut pax = pending.pax.unwrap_or_default();
    check_names_agree(&pax, pending.long_name, pending.long_link, offset)?;
    let mut kind = kind_of(header);
    if pax.sparse {
        kind = MemberKind::Sparse;
    }
    if kind == MemberKind::GlobalPax && pending.start.is_some() {
        return Err(ArchiveError::StrayExtension {
            offset,
            fault: "stands between a member and its own extension header",
        });
    }
    let stored = size_field(header, offset)?;
    let size = match pax.size {
        Some(size) => usize::try_from(size).map_err(|_| past_end(bytes, offset, size))?,
        None => stored,
    };
    let mut data = offset.saturating_add(BLOCK);
    if header[at::TYPE] == b'S' {
        data = after_sparse_map(bytes, header, offset, data)?;
    }
    if !kind.has_data() && size != 0 {
        return Err(ArchiveError::SizedSpecial {
            offset,
            kind,
            size: size as u64,
        });
    }
    let (data, end) = place(bytes, offset, data, size)?;
    if kind == MemberKind::GlobalPax {
        pax = read_pax(extension_payload(bytes, offset, data, size)?, offset)?;
        check_global(&pax, offset)?;
    }
    Ok(RawMember {
        start: pending.start.unwrap_or(offset),
        header: offset,
        data,
        size,
        end,
        kind,
        pax,
    })
}

/// Readers differ on which wins.
fn check_names_agree(
    pax: &Pax,
    long_name: bool,
    long_link: bool,
    offset: usize,
) -> Result<(), ArchiveError> {
    for (both, key) in [
        (pax.path && long_name, "path"),
        (pax.link_path && long_link, "linkpath"),
    ] {
        if both {
            return Err(ArchiveError::PaxAmbiguous {
                offset,
                key: key.to_owned(),
                fault: "beside a GNU long name",
            });
        }
    }
    Ok(())
}

/// A global size or name would apply to every later member; no writer makes one on purpose.
fn check_global(pax: &Pax, offset: usize) -> Result<(), ArchiveError> {
    let facts = [
        (pax.size.is_some(), "size"),
        (pax.path, "path"),
        (pax.link_path, "linkpath"),
        (pax.sparse, "GNU.sparse"),
    ];
    match facts.into_iter().find(|(present, _)| *present) {
        None => Ok(()),
        Some((_, key)) => Err(ArchiveError::PaxAmbiguous {
            offset,
            key: key.to_owned(),
            fault: "for all members at once",
        }),
    }
}

fn kind_of(header: &[u8; BLOCK]) -> MemberKind {
    match header[at::TYPE] {
        0 | b'0' => MemberKind::Regular,
        b'1' => MemberKind::HardLink,
        b'2' => MemberKind::Symlink,
        b'3' => MemberKind::CharDevice,
        b'4' => MemberKind::BlockDevice,
        b'5' => MemberKind::Directory,
        b'6' => MemberKind::Fifo,
        b'7' => MemberKind::Contiguous,
        b'S' => MemberKind::Sparse,
        b'g' => MemberKind::GlobalPax,
        other => MemberKind::Other(other),
    }
}

/// Skips the blocks in which an old-GNU sparse file's map continues.
fn after_sparse_map(
    bytes: &Pieces,
    header: &[u8; BLOCK],
    offset: usize,
    mut data: usize,
) -> Result<usize, ArchiveError> {
    let mut more = header[at::SPARSE_CONTINUES] != 0;
    while more {
        let map = block(bytes, data).ok_or_else(|| past_end(bytes, offset, BLOCK as u64))?;
        more = map[at::SPARSE_BLOCK_CONTINUES] != 0;
        data = data.saturating_add(BLOCK);
    }
    Ok(data)
}

fn size_field(header: &[u8; BLOCK], offset: usize) -> Result<usize, ArchiveError> {
    let value = &header[at::SIZE];
    field::number(value)
        .and_then(|size| usize::try_from(size).ok())
        .ok_or_else(|| ArchiveError::Field {
            offset,
            field: "size",
            value: text(value),
        })
}

/// Where `size` bytes of data at `data` lie, and where their padding ends.
fn place(
    bytes: &Pieces,
    offset: usize,
    data: usize,
    size: usize,
) -> Result<(usize, usize), ArchiveError> {
    size.checked_next_multiple_of(BLOCK)
        .and_then(|padded| data.checked_add(padded))
        .filter(|&end| end <= bytes.len() && bytes.get(data..data.saturating_add(size)).is_some())
        .map(|end| (data, end))
        .ok_or_else(|| past_end(bytes, offset, size as u64))
}

fn past_end(bytes: &Pieces, offset: usize, size: u64) -> ArchiveError {
    ArchiveError::PastEnd {
        offset,
        size,
        len: bytes.len(),
    }
}

/// The records of a pax header, `<length> <key>=<value>\n` each.
fn read_pax(mut payload: &[u8], offset: usize) -> Result<Pax, ArchiveError> {
    let malformed = ArchiveError::PaxRecord { offset };
    let mut pax = Pax::default();
    let mut seen = BTreeSet::new();
    while !payload.is_empty() {
        let (key, value, rest) = pax_record(payload).ok_or(malformed.clone())?;
        // Old sparse maps repeat these two keys, once for each piece of the file.
        let repeats = matches!(key, b"GNU.sparse.offset" | b"GNU.sparse.numbytes");
        if !repeats && !seen.insert(key) {
            return Err(ArchiveError::PaxAmbiguous {
                offset,
                key: text(key),
                fault: "twice",
            });
        }
        match key {
            b"size" => pax.size = Some(decimal(value).ok_or(malformed.clone())?),
            b"mtime" => pax.mtime = true,
            b"path" => pax.path = true,
            b"linkpath" => pax.link_path = true,
            b"GNU.sparse.name" => pax.sparse_name = Some(value.to_vec()),
            _ => {}
        }
        pax.sparse |= key.starts_with(b"GNU.sparse.");
        payload = rest;
    }
    Ok(pax)
}

/// Key and value of the first record, and what follows it.
fn pax_record(payload: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = payload.iter().position(|&byte| byte == b' ')?;
    let len = usize::try_from(decimal(payload.get(..space)?)?).ok()?;
    let (record, rest) = payload.split_at_checked(len)?;
    let pair = record.get(space.checked_add(1)?..)?.strip_suffix(b"\n")?;
    let equals = pair.iter().position(|&byte| byte == b'=')?;
    let (key, value) = pair.split_at_checked(equals)?;
    Some((key, value.get(1..)?, rest))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    // `parse` would take a leading sign.
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A field up to its first NUL, for messages and for names that are only shown.
pub(super) fn text(field: &[u8]) -> String {
    let end = field.iter().position(|&byte| byte == 0);
    let name = field.get(..end.unwrap_or(field.len())).unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}
