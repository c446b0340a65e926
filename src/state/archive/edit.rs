//! Changes to an archive as splices: byte ranges and what takes their place.

use super::scan::{BLOCK, at, checksum};
use super::{Archive, ArchiveError, Member, MemberKind, Pieces, field, normalise};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::ops::Range;

/// One change to one member. Paths are compared without `./`, leading and doubled slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemberEdit {
    /// Gives a regular file new content; name, mode, owner, time and place stay.
    Replace {
        /// Which file.
        path: String,
        /// Its new content.
        content: Bytes,
    },
    /// Adds a regular file, owned by root, after the last member.
    Add {
        /// Where. No member may be there already.
        path: String,
        /// Its content.
        content: Bytes,
        /// Permission bits, at most `0o7777`.
        mode: u32,
        /// Time of last modification in seconds since 1970.
        mtime: u64,
    },
    /// Removes every member of that path, extension headers included. Not for directories.
    Remove {
        /// Which member.
        path: String,
    },
}

impl MemberEdit {
    /// The path it names, as it was given.
    pub fn path(&self) -> &str {
        match self {
            MemberEdit::Replace { path, .. }
            | MemberEdit::Add { path, .. }
            | MemberEdit::Remove { path } => path,
        }
    }
}

/// Bytes of the old archive and what takes their place. It begins and ends where a member's header, data
/// or padding do, so that each of them stays in one piece.
struct Splice {
    range: Range<usize>,
    with: Pieces,
}

const LONG_LINK: &[u8] = b"././@LongLink";
const LONG_LINK_MODE: u32 = 0o644;
/// The longest name that leaves the field its final NUL.
const NAME_IN_HEADER: usize = 99;
/// The host's own limit for a path.
pub(super) const MAX_PATH: usize = 4095;

impl Archive {
    /// The archive with `edits` made, verified against what they ask for. Everything they do
    /// not name is the same byte for byte, and shared with this archive; a replacement by equal content
    /// changes nothing.
    ///
    /// # Errors
    /// [`ArchiveError`] where an edit names no member, two name the same, the member is not a
    /// plain file, or its header cannot hold the new size.
    pub fn edit(&self, edits: &[MemberEdit]) -> Result<Archive, ArchiveError> {
        let mut named = BTreeSet::new();
        let mut splices = Vec::new();
        for edit in edits {
            let path = edit.path().to_owned();
            if !named.insert(normalise(path.as_bytes())) {
                return Err(ArchiveError::Conflict { path });
            }
            self.splice(edit, &mut splices)?;
        }
        self.check_links(edits)?;
        self.check_added(edits)?;
        // Stable: added members keep the order they were asked for.
        splices.sort_by_key(|splice| splice.range.start);
        let changed = Archive::parse_pieces(self.spliced(splices))?;
        super::verify::verify(self, edits, &changed)?;
        Ok(changed)
    }

    fn spliced(&self, splices: Vec<Splice>) -> Pieces {
        let mut bytes = Pieces::default();
        let mut from = 0;
        for Splice { range, with } in splices {
            bytes.append(self.bytes.range(from..range.start));
            bytes.append(with);
            from = range.end;
        }
        bytes.append(self.bytes.range(from..self.bytes.len()));
        bytes
    }

    fn splice(&self, edit: &MemberEdit, splices: &mut Vec<Splice>) -> Result<(), ArchiveError> {
        match edit {
            MemberEdit::Replace { path, content } => {
                let member = self.editable(path)?;
                if self.data(member) != content {
                    splices.push(self.replacement(path, member, content)?);
                }
            }
            MemberEdit::Add {
                path,
                content,
                mode,
                mtime,
            } => {
                self.check_add(path)?;
                splices.push(Splice {
                    range: self.end..self.end,
                    with: new_member(path, content, *mode, *mtime)?,
                });
            }
            MemberEdit::Remove { path } => {
                let member = self.existing(path)?;
                if member.kind == MemberKind::Directory {
                    return Err(not_a_file(path, member));
                }
                let all = self.members.iter().filter(|m| m.path == member.path);
                splices.extend(all.map(|member| Splice {
                    range: member.raw.span.clone(),
                    with: Pieces::default(),
                }));
            }
        }
        Ok(())
    }

    fn existing(&self, path: &str) -> Result<&Member, ArchiveError> {
        self.find(path).ok_or_else(|| ArchiveError::NotFound {
            path: path.to_owned(),
        })
    }

    /// The member at `path`, if its content may be replaced.
    fn editable(&self, path: &str) -> Result<&Member, ArchiveError> {
        let member = self.existing(path)?;
        if member.kind != MemberKind::Regular {
            return Err(not_a_file(path, member));
        }
        match member.raw.pax_override {
            None => Ok(member),
            Some(key) => Err(ArchiveError::PaxOverride {
                path: path.to_owned(),
                key,
            }),
        }
    }

    /// Whether the content of the member at `path` may be replaced, where there is one.
    pub(crate) fn check_editable(&self, path: &str) -> Result<(), ArchiveError> {
        match self.find(path) {
            Some(_) => self.editable(path).map(drop),
            None => Ok(()),
        }
    }

    /// Header with new size and checksum, data and padding.
    fn replacement(
        &self,
        path: &str,
        member: &Member,
        content: &Bytes,
    ) -> Result<Splice, ArchiveError> {
        let start = member.raw.header;
        let offset = start;
        let mut header = *super::block(&self.bytes, start).ok_or(ArchiveError::NoEnd { offset })?;
        put(&mut header, path, "size", at::SIZE, content.len() as u64)?;
        let sum = checksum(&header);
        put(&mut header, path, "checksum", at::CHECKSUM, sum)?;
        let mut with = Pieces::from(header.to_vec());
        push_padded(&mut with, content.clone());
        Ok(Splice {
            range: start..member.raw.span.end,
            with,
        })
    }

    fn check_add(&self, path: &str) -> Result<(), ArchiveError> {
        let bad = |fault: &str| ArchiveError::BadPath {
            path: path.to_owned(),
            fault: fault.to_owned(),
        };
        let normal = normalise(path.as_bytes());
        if normal.is_empty() || path.ends_with('/') {
            return Err(bad("it names no file"));
        }
        if normal.len() > MAX_PATH {
            return Err(bad("it is too long"));
        }
        if normal.contains(&0) || normal.split(|&byte| byte == b'/').any(|part| part == b"..") {
            return Err(bad("it has a .. component or a NUL"));
        }
        if self.last.contains_key(&normal) {
            return Err(ArchiveError::Exists {
                path: path.to_owned(),
            });
        }
        if self.global_pax {
            return Err(ArchiveError::GlobalPax {
                path: path.to_owned(),
            });
        }
        Ok(())
    }

    /// An added file must not lie below another file, nor be where others have a directory.
    fn check_added(&self, edits: &[MemberEdit]) -> Result<(), ArchiveError> {
        let removed = paths(edits, |edit| matches!(edit, MemberEdit::Remove { .. }));
        let added = paths(edits, |edit| matches!(edit, MemberEdit::Add { .. }));
        let kept = |path: &[u8]| {
            let member = self.find_bytes(path)?;
            (!removed.contains(path)).then_some(member.kind)
        };
        for path in &added {
            let bad = |fault: String| ArchiveError::BadPath {
                path: String::from_utf8_lossy(path).into_owned(),
                fault,
            };
            for parent in parents(path) {
                let kind = kept(parent).filter(|&kind| kind != MemberKind::Directory);
                if kind.is_some() || added.contains(parent) {
                    let parent = String::from_utf8_lossy(parent);
                    return Err(bad(format!("{parent} is not a directory")));
                }
            }
            let prefix = [path.as_slice(), b"/"].concat();
            let below = self.last.range(prefix.clone()..).next();
            if below.is_some_and(|(other, _)| other.starts_with(&prefix)) {
                return Err(bad("other members have it as their directory".to_owned()));
            }
        }
        Ok(())
    }

    /// No hard link may lose its target.
    fn check_links(&self, edits: &[MemberEdit]) -> Result<(), ArchiveError> {
        let removed = paths(edits, |edit| matches!(edit, MemberEdit::Remove { .. }));
        let links = self
            .members
            .iter()
            .filter(|member| member.kind == MemberKind::HardLink);
        for link in links.filter(|link| !removed.contains(&link.path)) {
            let target = normalise(&link.link_name);
            if removed.contains(&target) {
                return Err(ArchiveError::LinkedTo {
                    path: String::from_utf8_lossy(&target).into_owned(),
                    link: link.path().into_owned(),
                });
            }
        }
        Ok(())
    }
}

/// Compared paths of the edits that `which` selects.
fn paths(edits: &[MemberEdit], which: impl Fn(&MemberEdit) -> bool) -> BTreeSet<Vec<u8>> {
    let chosen = edits.iter().filter(|edit| which(edit));
    chosen.map(|e| normalise(e.path().as_bytes())).collect()
}

/// Every directory above `path`, itself excluded.
fn parents(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path.iter().enumerate().filter(|&(_, &byte)| byte == b'/');
    slashes.filter_map(|(index, _)| path.get(..index))
}

fn not_a_file(path: &str, member: &Member) -> ArchiveError {
    ArchiveError::NotAFile {
        path: path.to_owned(),
        kind: member.kind,
    }
}

fn put(
    header: &mut [u8; BLOCK],
    path: &str,
    name: &'static str,
    range: Range<usize>,
    value: u64,
) -> Result<(), ArchiveError> {
    field::put(&mut header[range], value).map_err(|err| match err {
        field::PutError::Base256 => ArchiveError::Base256 {
            path: path.to_owned(),
            field: name,
        },
        field::PutError::TooWide(width) => ArchiveError::FieldOverflow {
            path: path.to_owned(),
            field: name,
            value,
            width,
        },
    })
}

fn push_padded(bytes: &mut Pieces, content: Bytes) {
    let padding = content.len().next_multiple_of(BLOCK) - content.len();
    bytes.push(content);
    bytes.push(Bytes::from_static(&[0; BLOCK]).slice(..padding));
}

/// Header, data and padding of a new file as the host's own tar would write them, a name too
/// long for the header in a GNU long-name header before it.
fn new_member(path: &str, content: &Bytes, mode: u32, mtime: u64) -> Result<Pieces, ArchiveError> {
    let name = normalise(path.as_bytes());
    let mut bytes = Pieces::default();
    if name.len() > NAME_IN_HEADER {
        let with_nul = [name.as_slice(), b"\0"].concat();
        let header = new_header(path, LONG_LINK, b'L', LONG_LINK_MODE, with_nul.len(), 0)?;
        bytes.push(header.to_vec());
        push_padded(&mut bytes, with_nul.into());
    }
    let size = content.len();
    bytes.push(new_header(path, &name, b'0', mode, size, mtime)?.to_vec());
    push_padded(&mut bytes, content.clone());
    Ok(bytes)
}

fn new_header(
    path: &str,
    name: &[u8],
    kind: u8,
    mode: u32,
    size: usize,
    mtime: u64,
) -> Result<[u8; BLOCK], ArchiveError> {
    let mut header = [0; BLOCK];
    // Of a long name the header holds the beginning.
    let begins = name.iter().take(NAME_IN_HEADER);
    for (slot, byte) in header[at::NAME].iter_mut().zip(begins) {
        *slot = *byte;
    }
    let numbers: [(&str, Range<usize>, u64); 5] = [
        ("mode", at::MODE, u64::from(mode)),
        ("uid", at::UID, 0),
        ("gid", at::GID, 0),
        ("size", at::SIZE, size as u64),
        ("mtime", at::MTIME, mtime),
    ];
    if mode > 0o7777 {
        return Err(ArchiveError::FieldOverflow {
            path: path.to_owned(),
            field: "mode",
            value: u64::from(mode),
            width: 4,
        });
    }
    for (name, range, value) in numbers {
        let digits = range.start..range.end - 1;
        header[digits].fill(b'0');
        put(&mut header, path, name, range, value)?;
    }
    header[at::TYPE] = kind;
    header[at::MAGIC].copy_from_slice(b"ustar  \0");
    for range in [at::UNAME, at::GNAME] {
        header[range][..4].copy_from_slice(b"root");
    }
    header[at::CHECKSUM].copy_from_slice(b"000000\0 ");
    let sum = checksum(&header);
    put(&mut header, path, "checksum", at::CHECKSUM, sum)?;
    Ok(header)
}
