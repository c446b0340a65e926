//! Whether a changed archive is what its edits ask for, worked out without splicing.
//!
//! The old archive is walked again and each of its members looked for in the new one: those no
//! edit names byte for byte with their headers, replaced ones by header fields and content.

use super::scan::at;
use super::{Archive, ArchiveError, Member, MemberEdit, MemberKind, block, normalise};
use std::collections::BTreeMap;

/// Compares `new` with `old` after `edits`.
pub(super) fn verify(
    old: &Archive,
    edits: &[MemberEdit],
    new: &Archive,
) -> Result<(), ArchiveError> {
    let edits: BTreeMap<Vec<u8>, &MemberEdit> = edits
        .iter()
        .map(|edit| (normalise(edit.path().as_bytes()), edit))
        .collect();
    let mut found = new.members.iter();
    for (index, member) in old.members.iter().enumerate() {
        let counts = old.last.get(&member.path) == Some(&index);
        match edits.get(&member.path) {
            Some(MemberEdit::Remove { .. }) => {}
            Some(MemberEdit::Replace { content, .. }) if counts => {
                let other = next(&mut found, member)?;
                check_replaced(old, member, new, other, content)?;
            }
            _ => {
                let other = next(&mut found, member)?;
                let whole = |archive: &Archive, member: &Member| {
                    archive.bytes.range(member.raw.span.clone())
                };
                if whole(old, member) != whole(new, other) {
                    return Err(differs(member, "it changed, but should not"));
                }
            }
        }
    }
    check_added(new, &edits, found)?;
    let tail = |archive: &Archive| archive.bytes.range(archive.end..archive.bytes.len());
    if tail(old) != tail(new) {
        return Err(ArchiveError::Verification {
            what: "the bytes after the last member changed".to_owned(),
        });
    }
    Ok(())
}

fn next<'a>(
    found: &mut impl Iterator<Item = &'a Member>,
    member: &Member,
) -> Result<&'a Member, ArchiveError> {
    found
        .next()
        .ok_or_else(|| differs(member, "it is no longer there"))
}

/// The new header may differ in size and checksum only, and nothing but padding may follow.
fn check_replaced(
    old: &Archive,
    member: &Member,
    new: &Archive,
    other: &Member,
    content: &[u8],
) -> Result<(), ArchiveError> {
    if new.data(other) != content {
        return Err(differs(member, "it does not have its new content"));
    }
    let extensions = |archive: &Archive, member: &Member| {
        archive
            .bytes
            .range(member.raw.span.start..member.raw.header)
    };
    if extensions(old, member) != extensions(new, other) {
        return Err(differs(member, "its extension headers changed"));
    }
    let rest = |archive: &Archive, member: &Member| {
        let mut header = *block(&archive.bytes, member.raw.header)?;
        for range in [at::SIZE, at::CHECKSUM] {
            header[range].fill(0);
        }
        Some(header)
    };
    if rest(old, member) != rest(new, other) {
        return Err(differs(member, "more than size and checksum changed"));
    }
    Ok(())
}

fn check_added<'a>(
    new: &Archive,
    edits: &BTreeMap<Vec<u8>, &MemberEdit>,
    found: impl Iterator<Item = &'a Member>,
) -> Result<(), ArchiveError> {
    let is_add = |edit: &&&MemberEdit| matches!(edit, MemberEdit::Add { .. });
    let wanted = edits.values().filter(is_add).count();
    let mut count = 0usize;
    for member in found {
        count = count.saturating_add(1);
        let Some(MemberEdit::Add {
            content,
            mode,
            mtime,
            ..
        }) = edits.get(&member.path)
        else {
            return Err(differs(member, "nothing added it"));
        };
        let as_asked = new.data(member) == content
            && member.kind == MemberKind::Regular
            && (member.mode, member.mtime) == (*mode, *mtime);
        if !as_asked {
            return Err(differs(member, "it was not added as planned"));
        }
    }
    if count != wanted {
        return Err(ArchiveError::Verification {
            what: format!("members added: {count} instead of {wanted}"),
        });
    }
    Ok(())
}

fn differs(member: &Member, how: &str) -> ArchiveError {
    ArchiveError::Verification {
        what: format!("{}: {how}", member.path()),
    }
}
