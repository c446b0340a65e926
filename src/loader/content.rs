//! A module's content as the loader unpacks it, in bounded memory.
//!
//! The loader holds the whole file and takes CRC and length from its last eight bytes; deflate
//! data begin behind the header, and whatever lies between their end and those eight bytes is
//! never looked at. The length bounds what is unpacked. A file that does not begin with `1f 8b`
//! is loaded as it is.

use super::{Generation, Undecided};
use crate::bytes::{array, le16, le32};
use crate::medium::ReadAt;
use flate2::{Decompress, FlushDecompress, Status};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes read at once, and the longest gzip header looked at.
const CHUNK: usize = 256 << 10;
const OUT: usize = 64 << 10;
const TRAILER: u64 = 8;
const FIXED: usize = 10;
/// A file that is said to unpack to nothing may be that long.
const LONGEST_EMPTY: u64 = 256;
/// Most bytes that the files of one bank unpack to: some times what any release comes to.
const UNPACKED: u64 = 8 << 30;

/// More memory than a file's data need is found up to here.
const ROOM: u32 = 1 << 30;

/// Where the content of a file is: all that is needed to read it, from any thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileAt {
    /// Its name, `a.b00`.
    pub name: String,
    /// Its size in bytes.
    pub size: u32,
    /// Its sectors in bytes of the medium, in order; the last one may reach past the size.
    pub(super) runs: Vec<Range<u64>>,
}

impl FileAt {
    /// Its sectors in bytes of the medium, in order. The last one may reach past [`FileAt::size`].
    pub fn runs(&self) -> &[Range<u64>] {
        &self.runs
    }
}

/// What the content of a file is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContentVerdict {
    /// It unpacks, with the CRC it should have.
    Unpacked {
        /// To that many bytes.
        len: u64,
    },
    /// It is no gzip file and is loaded as it is.
    AsItIs,
    /// It says that it unpacks to nothing; the loader does not look further.
    Empty,
    /// The loader stops.
    Damaged(ContentFault),
    /// It cannot be told.
    Undecided(Undecided),
}

/// Why a file does not unpack.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentFault {
    /// The gzip header has reserved bits, or goes on past the end of the file.
    #[error("its gzip header is not valid")]
    Header,
    /// Another compression than deflate.
    #[error("its gzip method is not deflate")]
    Method,
    /// Too short for any data.
    #[error("it ends before its data begin")]
    NoData,
    /// The data are no deflate stream.
    #[error("its data do not unpack near byte {at}")]
    Deflate {
        /// Byte position in the file up to which they do.
        at: u64,
    },
    /// The file ends before its data do.
    #[error("it ends before its data do")]
    CutShort,
    /// The data are longer than the last four bytes say.
    #[error("it unpacks to more than the {stored} bytes that its end says")]
    Longer {
        /// The length in the last four bytes.
        stored: u32,
    },
    /// The CRC in the file's last eight bytes is another.
    #[error("its CRC is {stored:08x}, and its data give {computed:08x}")]
    Crc {
        /// What the file says.
        stored: u32,
        /// What its data give.
        computed: u32,
    },
    /// It is said to unpack to nothing, and is too long for that.
    #[error("its end says that it unpacks to nothing")]
    FalselyEmpty,
}

impl ContentFault {
    /// The loader's number and words for it.
    pub fn loader_error(&self) -> &'static str {
        match self {
            ContentFault::Header => "37 (Bad header)",
            ContentFault::Method => "4 (Unsupported)",
            ContentFault::NoData | ContentFault::Deflate { .. } => "33 (Inconsistent data)",
            ContentFault::CutShort | ContentFault::Longer { .. } => "6 (Buffer too small)",
            ContentFault::Crc { .. } | ContentFault::FalselyEmpty => "28 (CRC error)",
        }
    }
}

/// How much may still be unpacked of a bank; shared by those who check its files.
#[derive(Debug)]
pub struct UnpackLimit {
    limit: u64,
    left: AtomicU64,
}

impl UnpackLimit {
    /// At most that many bytes.
    pub fn new(limit: u64) -> Self {
        UnpackLimit {
            limit,
            left: AtomicU64::new(limit),
        }
    }

    fn take(&self, bytes: u64) -> bool {
        let less = |left: u64| left.checked_sub(bytes);
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }
}

impl Default for UnpackLimit {
    /// 8 GiB.
    fn default() -> Self {
        UnpackLimit::new(UNPACKED)
    }
}

/// Reads and unpacks one file as the loader of that generation does, keeping none of it.
///
/// Files are independent of each other: they can be checked on as many threads as there are,
/// with a medium that can be shared and one `limit` for all of them.
pub fn check_content(
    medium: &dyn ReadAt,
    file: &FileAt,
    generation: Generation,
    limit: &UnpackLimit,
) -> ContentVerdict {
    match try_check(medium, file, generation, limit) {
        Ok(content) => content,
        Err(Failed::Fault(fault)) => ContentVerdict::Damaged(fault),
        Err(Failed::Undecided(why)) => ContentVerdict::Undecided(why),
    }
}

enum Failed {
    Fault(ContentFault),
    Undecided(Undecided),
}

impl From<Undecided> for Failed {
    fn from(why: Undecided) -> Self {
        Failed::Undecided(why)
    }
}

impl From<ContentFault> for Failed {
    fn from(fault: ContentFault) -> Self {
        Failed::Fault(fault)
    }
}

fn try_check(
    medium: &dyn ReadAt,
    file: &FileAt,
    generation: Generation,
    limit: &UnpackLimit,
) -> Result<ContentVerdict, Failed> {
    // The loader of 6.7 U1 takes whatever has no valid header for uncompressed.
    let lax = generation == Generation::UpTo67U1;
    let size = u64::from(file.size);
    let mut source = Source::new(medium, file);
    let mut buffer = vec![0; CHUNK];
    let first = source.next(&mut buffer)?;
    if !first.starts_with(&[0x1f, 0x8b]) {
        return Ok(ContentVerdict::AsItIs);
    }
    let header = match header_len(first, first.len() as u64 == size) {
        Ok(Some(len)) => len,
        Ok(None) => {
            let name = file.name.clone();
            return Err(Undecided::LongHeader { name, limit: CHUNK }.into());
        }
        Err(_) if lax => return Ok(ContentVerdict::AsItIs),
        Err(fault) => return Err(fault.into()),
    };
    let header = header as u64;
    let trailer = source.last(TRAILER)?;
    let (Some(crc), Some(stored)) = (le32(&trailer, 0), le32(&trailer, 4)) else {
        return Err(ContentFault::NoData.into());
    };
    let data = size.checked_sub(header + TRAILER);
    match data {
        _ if stored == 0 && lax => return Ok(ContentVerdict::Empty),
        Some(1..=LONGEST_EMPTY) if stored == 0 => return Ok(ContentVerdict::Empty),
        None | Some(0) => return Err(ContentFault::NoData.into()),
        Some(_) if stored == 0 => return Err(ContentFault::FalselyEmpty.into()),
        Some(_) => {}
    }
    if !limit.take(stored.into()) {
        let (name, limit) = (file.name.clone(), limit.limit);
        return Err(Undecided::Unpacked { name, limit }.into());
    }
    let stream = header..size - TRAILER + 1;
    let len = unpack(source, buffer, stream, stored, crc)?;
    if asks_too_much(stored, len) {
        let name = file.name.clone();
        return Err(Undecided::Room { name, stored, len }.into());
    }
    Ok(ContentVerdict::Unpacked { len })
}

/// Whether the loader, which asks for as much memory as the file says that it needs, asks for more than
/// is sure to be there without need.
pub(super) fn asks_too_much(stored: u32, len: u64) -> bool {
    stored > ROOM && u64::from(stored) > len
}

/// Unpacks the bytes of the file in `stream` and returns their length unpacked; one of its trailer is among them, as the loader
/// hands one over.
fn unpack(
    mut source: Source<'_>,
    mut buffer: Vec<u8>,
    stream: std::ops::Range<u64>,
    stored: u32,
    crc: u32,
) -> Result<u64, Failed> {
    let mut inflate = Decompress::new(false);
    let mut hasher = crc32fast::Hasher::new();
    let mut out = vec![0; OUT];
    source.rewind();
    let mut at = 0;
    loop {
        let chunk = source.next(&mut buffer)?;
        let end = at + chunk.len() as u64;
        let within = |position: u64| {
            let within = position.clamp(at, end) - at;
            usize::try_from(within).unwrap_or(usize::MAX)
        };
        let mut input = chunk
            .get(within(stream.start)..within(stream.end))
            .unwrap_or_default();
        loop {
            let (took, gave) = (inflate.total_in(), inflate.total_out());
            let status = inflate.decompress(input, &mut out, FlushDecompress::None);
            let took = usize::try_from(inflate.total_in() - took).unwrap_or(usize::MAX);
            let gave = usize::try_from(inflate.total_out() - gave).unwrap_or(usize::MAX);
            hasher.update(out.get(..gave).unwrap_or_default());
            if inflate.total_out() > u64::from(stored) {
                return Err(ContentFault::Longer { stored }.into());
            }
            input = input.get(took..).unwrap_or_default();
            match status {
                Ok(Status::StreamEnd) => {
                    let len = inflate.total_out();
                    let computed = hasher.finalize();
                    return if computed == crc {
                        Ok(len)
                    } else {
                        Err(ContentFault::Crc {
                            stored: crc,
                            computed,
                        }
                        .into())
                    };
                }
                Ok(Status::Ok | Status::BufError) if took == 0 && gave == 0 => break,
                Ok(Status::Ok | Status::BufError) => {}
                Err(_) => {
                    let at = stream.start + inflate.total_in();
                    return Err(ContentFault::Deflate { at }.into());
                }
            }
        }
        at = end;
        if at >= stream.end || chunk.is_empty() {
            return Err(ContentFault::CutShort.into());
        }
    }
}

/// Length of a gzip header; `None` where it goes on behind `head`, which is `whole` the file or
/// its beginning.
fn header_len(head: &[u8], whole: bool) -> Result<Option<usize>, ContentFault> {
    const FHCRC: u8 = 2;
    const FEXTRA: u8 = 4;
    const FNAME: u8 = 8;
    const FCOMMENT: u8 = 16;
    let beyond = || {
        if whole {
            Err(ContentFault::Header)
        } else {
            Ok(None)
        }
    };
    let Some([_, _, method, flags]) = array(head, 0) else {
        return Err(ContentFault::Header);
    };
    if head.len() < FIXED || flags & 0xe0 != 0 {
        return Err(ContentFault::Header);
    }
    if method != 8 {
        return Err(ContentFault::Method);
    }
    let mut len = FIXED;
    if flags & FEXTRA != 0 {
        let Some(extra) = le16(head, len) else {
            return beyond();
        };
        len += 2 + usize::from(extra);
        // The loader asks for a byte behind the field's length.
        if head.len() < len.max(FIXED + 3) {
            return beyond();
        }
    }
    for flag in [FNAME, FCOMMENT] {
        if flags & flag != 0 {
            let rest = head.get(len..).unwrap_or_default();
            let Some(end) = rest.iter().position(|&byte| byte == 0) else {
                return beyond();
            };
            len += end + 1;
        }
    }
    if flags & FHCRC != 0 {
        len += 2;
    }
    if len > head.len() {
        return beyond();
    }
    Ok(Some(len))
}

/// The bytes of a file, one piece after the other.
struct Source<'s> {
    medium: &'s dyn ReadAt,
    file: &'s FileAt,
    /// Index of the run the next byte is in, and where in it.
    run: usize,
    within: u64,
    left: u64,
}

impl<'s> Source<'s> {
    fn new(medium: &'s dyn ReadAt, file: &'s FileAt) -> Self {
        Source {
            medium,
            file,
            run: 0,
            within: 0,
            left: file.size.into(),
        }
    }

    fn rewind(&mut self) {
        *self = Source::new(self.medium, self.file);
    }

    /// Fills `buffer` as far as the file goes.
    fn next<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], Undecided> {
        let mut filled = 0;
        while let (Some(run), true) = (self.file.runs.get(self.run), self.left > 0) {
            let rest = buffer.get_mut(filled..).unwrap_or_default();
            let here = (run.end - run.start)
                .saturating_sub(self.within)
                .min(self.left);
            if here == 0 {
                self.run += 1;
                self.within = 0;
                continue;
            }
            let take = usize::try_from(here).unwrap_or(usize::MAX).min(rest.len());
            let Some(piece) = rest.get_mut(..take).filter(|piece| !piece.is_empty()) else {
                break;
            };
            let offset = run.start.saturating_add(self.within);
            self.medium
                .read_at(piece, offset)
                .map_err(|error| Undecided::read(offset, &error))?;
            filled += take;
            self.within += take as u64;
            self.left -= take as u64;
        }
        Ok(buffer.get(..filled).unwrap_or_default())
    }

    /// The last `len` bytes of the file, or all where it has fewer.
    fn last(&self, len: u64) -> Result<Vec<u8>, Undecided> {
        let mut skip = u64::from(self.file.size).saturating_sub(len);
        let mut source = Source::new(self.medium, self.file);
        source.left = u64::from(self.file.size) - skip;
        for run in &self.file.runs {
            let here = run.end - run.start;
            if skip < here {
                break;
            }
            skip -= here;
            source.run += 1;
        }
        source.within = skip;
        let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
        let len = source.next(&mut bytes)?.len();
        bytes.truncate(len);
        Ok(bytes)
    }
}
