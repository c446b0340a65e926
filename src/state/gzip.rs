//! One gzip member, taken apart and put together as strictly as ESXi's own boot loader does.
//!
//! The loader takes a module's CRC and length from the last eight bytes of the file, so one byte
//! too many after the member stops the boot. [`unpack`] therefore accepts exactly one member and
//! nothing after it. [`pack`] keeps the header of the original byte for byte (names, times, extra
//! fields, the XFL byte of the host's own archives) and makes the same bytes on every machine.
//!
//! Implements RFC 1952 and, through `flate2`, RFC 1951. What the loader accepts was seen by
//! running the loaders of 6.7 to 9.0; 6.7 U1 may instead boot with an empty module.

mod error;

pub use error::GzipError;

use super::pieces::Pieces;
use crate::bytes::{le16, le32};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// What every gzip file begins with (RFC 1952, 2.3.1).
pub const MAGIC: [u8; 2] = [0x1f, 0x8b];
const DEFLATE: u8 = 8;
const FIXED_HEADER: usize = 10;
const TRAILER: usize = 8;
const FHCRC: u8 = 0x02;
const FEXTRA: u8 = 0x04;
const FNAME: u8 = 0x08;
const FCOMMENT: u8 = 0x10;
const RESERVED: u8 = 0xe0;
/// The header the host itself writes: no name, no time, XFL 2 (best), OS 3 (Unix). Seen in a
/// real 7.0.2 state.
const HOST_HEADER: [u8; FIXED_HEADER] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3];
const CHUNK: usize = 64 * 1024;
/// How many members of a damaged file are unpacked: more than tools that pack in blocks of 64 KiB make of a state.
const MOST_MEMBERS: usize = 4096;

/// A gzip header, known to be well formed and kept as it was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header(Vec<u8>);

impl Header {
    /// The header at the start of `bytes`, with every optional field it announces.
    ///
    /// # Errors
    /// [`GzipError`] for anything that is not a complete gzip header.
    pub fn parse(bytes: &[u8]) -> Result<Self, GzipError> {
        if bytes.is_empty() {
            return Err(GzipError::Empty);
        }
        if !bytes.starts_with(&MAGIC) {
            return Err(GzipError::NotGzip {
                found: bytes.iter().take(2).copied().collect(),
            });
        }
        let cut = GzipError::Truncated {
            part: "header",
            len: bytes.len(),
        };
        let fixed = bytes.get(..FIXED_HEADER).ok_or(cut.clone())?;
        let (method, flags) = (fixed[2], fixed[3]);
        if method != DEFLATE {
            return Err(GzipError::Method { method });
        }
        if flags & RESERVED != 0 {
            return Err(GzipError::ReservedFlags { flags });
        }
        let len = header_len(bytes, flags).ok_or(cut.clone())?;
        let header = bytes.get(..len).ok_or(cut)?;
        check_header_crc(header, flags)?;
        Ok(Header(header.to_vec()))
    }

    /// The header as the host itself writes it.
    pub fn host() -> Self {
        Header(HOST_HEADER.to_vec())
    }

    /// The header's bytes, first magic byte to last optional field.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The compression level of a new member: fast where the XFL byte says so, else the usual one.
    /// Hosts write with the highest, which takes four times as long for a hundredth less.
    fn level(&self) -> u32 {
        match self.0.get(8) {
            Some(4) => 1,
            _ => 6,
        }
    }
}

/// Length of the header whose fixed part announces `flags`; `None` where it is cut off.
fn header_len(bytes: &[u8], flags: u8) -> Option<usize> {
    let mut at = FIXED_HEADER;
    if flags & FEXTRA != 0 {
        let extra = usize::from(le16(bytes, at)?);
        at = at.checked_add(2)?.checked_add(extra)?;
    }
    for flag in [FNAME, FCOMMENT] {
        if flags & flag != 0 {
            let text = bytes.get(at..)?;
            let nul = text.iter().position(|&byte| byte == 0)?;
            at = at.checked_add(nul)?.checked_add(1)?;
        }
    }
    if flags & FHCRC != 0 {
        at = at.checked_add(2)?;
    }
    Some(at)
}

fn check_header_crc(header: &[u8], flags: u8) -> Result<(), GzipError> {
    if flags & FHCRC == 0 {
        return Ok(());
    }
    let covered = header.len().saturating_sub(2);
    let stored = le16(header, covered).unwrap_or_default();
    let [low, high, ..] = crc32fast::hash(header.get(..covered).unwrap_or_default()).to_le_bytes();
    let computed = u16::from_le_bytes([low, high]);
    if stored != computed {
        return Err(GzipError::HeaderCrc { stored, computed });
    }
    Ok(())
}

/// A gzip member taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gzip {
    /// Its header, verbatim.
    pub header: Header,
    /// What it unpacks to.
    pub data: Vec<u8>,
}

/// How hard to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Effort {
    /// Little effort for most of what there is to gain: zlib's level 6.
    #[default]
    Usual,
    /// As hard as can be, for a volume with little room.
    Tightest,
}

/// Unpacks `bytes`, which must be exactly one gzip member of at most `limit` unpacked bytes.
///
/// # Errors
/// [`GzipError`] names what is wrong with the member or with what follows it.
pub fn unpack(bytes: &[u8], limit: u64) -> Result<Gzip, GzipError> {
    unpack_within(bytes, limit, &mut |_| Ok(()))
}

/// Asked before more memory is taken, with the bytes that will be held then; refuses with the limit.
type Grow<'g> = &'g mut dyn FnMut(u64) -> Result<(), u64>;

/// The same where `grow` has a say in how much is held.
pub(super) fn unpack_within(bytes: &[u8], limit: u64, grow: Grow<'_>) -> Result<Gzip, GzipError> {
    let header = Header::parse(bytes)?;
    let mut data = Vec::new();
    let end = inflate_into(bytes, header.0.len(), limit, &mut data, grow)?;
    check_end(bytes, end, crc32fast::hash(&data), data.len() as u64)?;
    Ok(Gzip { header, data })
}

/// Whether `bytes` are exactly one gzip member that unpacks to `data`. Holds no second copy of that.
///
/// # Errors
/// [`GzipError`] names what is wrong with the member or with what follows it.
pub(super) fn holds(bytes: &[u8], data: &Pieces) -> Result<bool, GzipError> {
    let header = Header::parse(bytes)?;
    let mut at = 0usize;
    let mut same = true;
    let end = inflate(bytes, header.0.len(), u64::MAX, &mut |piece| {
        let from = at;
        at = at.saturating_add(piece.len());
        same = same && data.range(from..at).is(piece);
        Ok(())
    })?;
    if same && at == data.len() {
        check_end(bytes, end, crc32(data), data.len() as u64).map(|()| true)
    } else {
        Ok(false)
    }
}

/// Checks the trailer at `end`, given what the data are, and that nothing follows it.
fn check_end(bytes: &[u8], end: usize, computed: u32, len: u64) -> Result<(), GzipError> {
    let trailer = (le32(bytes, end), le32(bytes, end.saturating_add(4)));
    let (Some(stored), Some(stored_size)) = trailer else {
        return Err(GzipError::Truncated {
            part: "trailer",
            len: bytes.len(),
        });
    };
    if stored != computed {
        return Err(GzipError::BadCrc { stored, computed });
    }
    let actual = size_field(len);
    if stored_size != actual {
        return Err(GzipError::BadSize {
            stored: stored_size,
            actual,
        });
    }
    let offset = end.saturating_add(TRAILER);
    match bytes.get(offset..) {
        None | Some([]) => Ok(()),
        Some(rest) if rest.starts_with(&MAGIC) => Err(GzipError::SecondMember { offset }),
        Some(rest) => Err(GzipError::TrailingBytes {
            offset,
            count: rest.len(),
        }),
    }
}

/// What is left of a gzip member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Salvaged {
    /// What could be unpacked.
    pub data: Vec<u8>,
    /// What is wrong; `None` where the member is whole.
    pub fault: Option<GzipError>,
}

/// Unpacks `bytes` as far as they go.
///
/// # Errors
/// [`GzipError`] where there is nothing to unpack: no header, or a form that is not known; and
/// [`GzipError::OverLimit`].
pub fn salvage(bytes: &[u8], limit: u64) -> Result<Salvaged, GzipError> {
    salvage_within(bytes, limit, &mut |_| Ok(()))
}

/// The same where `grow` has a say in how much is held.
pub(super) fn salvage_within(
    bytes: &[u8],
    limit: u64,
    grow: Grow<'_>,
) -> Result<Salvaged, GzipError> {
    let fault = match unpack_within(bytes, limit, grow) {
        Ok(gzip) => {
            let (data, fault) = (gzip.data, None);
            return Ok(Salvaged { data, fault });
        }
        Err(
            error @ (GzipError::OverLimit { .. }
            | GzipError::OverBudget { .. }
            | GzipError::NoMemory { .. }),
        ) => return Err(error),
        Err(error) => error,
    };
    let mut data = Vec::new();
    salvage_members(bytes, limit, &mut data, grow)?;
    let fault = Some(fault);
    Ok(Salvaged { data, fault })
}

/// Unpacks one member after the other into `data`, as `gzip -d` does, until one is damaged or something else
/// follows.
fn salvage_members(
    bytes: &[u8],
    limit: u64,
    data: &mut Vec<u8>,
    grow: Grow<'_>,
) -> Result<(), GzipError> {
    let mut header = Header::parse(bytes)?;
    let mut at = 0usize;
    for _ in 0..MOST_MEMBERS {
        let start = at.saturating_add(header.0.len());
        let left = limit.saturating_sub(data.len() as u64);
        at = match inflate_into(bytes, start, left, data, grow) {
            Ok(end) => end.saturating_add(TRAILER),
            Err(GzipError::OverLimit { .. }) => return Err(GzipError::OverLimit { limit }),
            Err(error @ (GzipError::OverBudget { .. } | GzipError::NoMemory { .. })) => {
                return Err(error);
            }
            // What is wrong with the file is known already.
            Err(_) => return Ok(()),
        };
        let next = bytes.get(at..).unwrap_or_default();
        match Header::parse(next) {
            Ok(found) => header = found,
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}

/// Inflates the deflate stream at `start` into `data`, which on an error holds what came before it,
/// and says where in `bytes` it ends.
fn inflate_into(
    bytes: &[u8],
    start: usize,
    limit: u64,
    data: &mut Vec<u8>,
    grow: Grow<'_>,
) -> Result<usize, GzipError> {
    let stated = stated_len(bytes).filter(|&stated| stated <= limit);
    inflate(bytes, start, limit, &mut |piece| {
        make_room(data, piece.len(), (limit, stated), grow)?;
        data.extend_from_slice(piece);
        Ok(())
    })
}

/// Inflates the deflate stream at `start`, at most `limit` bytes of it, hands on each piece, and says
/// where in `bytes` it ends.
fn inflate(
    bytes: &[u8],
    start: usize,
    limit: u64,
    take: &mut dyn FnMut(&[u8]) -> Result<(), GzipError>,
) -> Result<usize, GzipError> {
    let mut inflater = Decompress::new(false);
    let mut piece = Vec::with_capacity(CHUNK);
    let mut at = start;
    loop {
        let input = bytes.get(at..).unwrap_or_default();
        let read = inflater.total_in();
        piece.clear();
        let status = inflater.decompress_vec(input, &mut piece, FlushDecompress::None);
        let consumed = progress(read, inflater.total_in());
        if inflater.total_out() > limit {
            return Err(GzipError::OverLimit { limit });
        }
        take(&piece)?;
        let status = status.map_err(|_| GzipError::Deflate { offset: at as u64 })?;
        at = at.saturating_add(consumed);
        if status == Status::StreamEnd {
            return Ok(at);
        }
        if consumed == 0 && piece.is_empty() {
            return Err(GzipError::Truncated {
                part: "data",
                len: bytes.len(),
            });
        }
    }
}

/// The length that the last four bytes state, where so few bytes can unpack to that: deflate packs
/// to no less than a 1032nd.
fn stated_len(bytes: &[u8]) -> Option<u64> {
    let stated = u64::from(le32(bytes, bytes.len().checked_sub(4)?)?);
    let most = (bytes.len() as u64).saturating_mul(1032);
    (stated <= most).then_some(stated)
}

/// Sees to it that `more` bytes fit into `data`: at first all that there will be, if what the trailer
/// says is true, and from then on twice as many each time.
fn make_room(
    data: &mut Vec<u8>,
    more: usize,
    (limit, stated): (u64, Option<u64>),
    grow: Grow<'_>,
) -> Result<(), GzipError> {
    let needed = data.len().saturating_add(more);
    if needed <= data.capacity() {
        return Ok(());
    }
    let stated = stated.and_then(|stated| usize::try_from(stated).ok());
    let wanted = match stated {
        Some(stated) if stated >= needed => stated,
        _ => {
            let most = usize::try_from(limit).unwrap_or(usize::MAX);
            needed.max(data.capacity().saturating_mul(2).min(most))
        }
    };
    grow(wanted as u64).map_err(|limit| GzipError::OverBudget { limit })?;
    data.try_reserve_exact(wanted.saturating_sub(data.len()))
        .map_err(|_| GzipError::NoMemory {
            needed: wanted as u64,
        })
}

/// Packs `data` into one gzip member behind `header`. The output depends on nothing but the arguments.
///
/// # Errors
/// [`GzipError::Compress`] if the compressor fails, which is not known to happen.
pub fn pack(header: &Header, data: &[u8], effort: Effort) -> Result<Vec<u8>, GzipError> {
    pack_from(header, || std::iter::once(data), effort, &mut |_| Ok(()))
}

/// The same of data in pieces, where `grow` has a say in how much is held: the output does not depend on
/// where they end.
pub(super) fn pack_pieces(
    header: &Header,
    data: &Pieces,
    effort: Effort,
    grow: Grow<'_>,
) -> Result<Vec<u8>, GzipError> {
    pack_from(header, || data.iter(), effort, grow)
}

/// The same of what `data` gives, as often as it is asked.
fn pack_from<'d, P: Iterator<Item = &'d [u8]>>(
    header: &Header,
    data: impl Fn() -> P,
    effort: Effort,
    grow: Grow<'_>,
) -> Result<Vec<u8>, GzipError> {
    match effort {
        Effort::Usual => deflate(header, data(), header.level(), grow),
        Effort::Tightest => {
            // The highest level is not always the smallest.
            let mut best = deflate(header, data(), 9, grow)?;
            for level in [8, 7, 6] {
                let held = best.len() as u64;
                let mut beside = |bytes: u64| grow(held.saturating_add(bytes));
                let file = deflate(header, data(), level, &mut beside)?;
                if file.len() < best.len() {
                    best = file;
                }
            }
            Ok(best)
        }
    }
}

/// The header and, behind it, the pieces of `data` as one deflate stream with its trailer.
fn deflate<'d>(
    header: &Header,
    data: impl Iterator<Item = &'d [u8]>,
    level: u32,
    grow: Grow<'_>,
) -> Result<Vec<u8>, GzipError> {
    let mut deflater = Deflater {
        compress: Compress::new(Compression::new(level), false),
        file: header.0.clone(),
        output: Vec::with_capacity(CHUNK),
    };
    let (mut crc, mut len) = (crc32fast::Hasher::new(), 0u64);
    // What the compressor makes of its input depends on where it is cut: always after a whole chunk.
    let mut chunk = Vec::with_capacity(CHUNK);
    for mut piece in data {
        crc.update(piece);
        len = len.saturating_add(piece.len() as u64);
        while !piece.is_empty() {
            if chunk.len() == CHUNK {
                deflater.take(&chunk, FlushCompress::None, grow)?;
                chunk.clear();
            }
            let fits = piece.len().min(CHUNK.saturating_sub(chunk.len()));
            let (now, later) = piece.split_at_checked(fits).unwrap_or((piece, &[]));
            chunk.extend_from_slice(now);
            piece = later;
        }
    }
    deflater.take(&chunk, FlushCompress::Finish, grow)?;
    let mut file = deflater.file;
    file.extend_from_slice(&crc.finalize().to_le_bytes());
    file.extend_from_slice(&size_field(len).to_le_bytes());
    file.shrink_to_fit();
    Ok(file)
}

/// A compressor, and what came out of it.
struct Deflater {
    compress: Compress,
    file: Vec<u8>,
    output: Vec<u8>,
}

impl Deflater {
    /// Compresses all of `input`; with [`FlushCompress::Finish`] it is the last.
    fn take(
        &mut self,
        mut input: &[u8],
        flush: FlushCompress,
        grow: Grow<'_>,
    ) -> Result<(), GzipError> {
        loop {
            let read = self.compress.total_in();
            self.output.clear();
            let status = self
                .compress
                .compress_vec(input, &mut self.output, flush)
                .map_err(|_| GzipError::Compress)?;
            let consumed = progress(read, self.compress.total_in());
            make_room(&mut self.file, self.output.len(), (u64::MAX, None), grow)?;
            self.file.extend_from_slice(&self.output);
            input = input.get(consumed..).unwrap_or_default();
            let is_done = match flush {
                FlushCompress::Finish => status == Status::StreamEnd,
                _ => input.is_empty(),
            };
            if is_done {
                return Ok(());
            }
            if consumed == 0 && self.output.is_empty() {
                return Err(GzipError::Compress);
            }
        }
    }
}

/// How far one of `flate2`'s counters moved; bounded by the length of a buffer.
fn progress(before: u64, after: u64) -> usize {
    usize::try_from(after.saturating_sub(before)).unwrap_or(usize::MAX)
}

fn crc32(data: &Pieces) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    data.iter().for_each(|piece| crc.update(piece));
    crc.finalize()
}

/// The trailer's length field: the length modulo 2^32.
fn size_field(len: u64) -> u32 {
    let [a, b, c, d, ..] = len.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests;
