//! Bytes in several pieces, shared with whoever else holds them.
//!
//! A changed archive is the old one with some ranges replaced. As pieces it needs no copy of what stays.

use bytes::Bytes;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// Bytes that follow each other in pieces. A clone shares them.
#[derive(Clone, Default)]
pub struct Pieces {
    /// Each with the offset of its first byte; none is empty.
    pieces: Vec<(usize, Bytes)>,
    len: usize,
}

impl Pieces {
    /// Adds a piece at the end.
    pub(super) fn push(&mut self, piece: impl Into<Bytes>) {
        let piece = piece.into();
        if !piece.is_empty() {
            let start = self.len;
            self.len = start.saturating_add(piece.len());
            self.pieces.push((start, piece));
        }
    }

    /// Number of bytes in all pieces.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes of a range that lies in one piece; `None` of one that ends past the end or lies in
    /// several.
    pub(super) fn get(&self, range: Range<usize>) -> Option<&[u8]> {
        if range.is_empty() {
            return (range.start <= self.len && range.start == range.end).then_some(&[]);
        }
        let index = self.index_of(range.start)?;
        let (start, piece) = self.pieces.get(index)?;
        piece.get(range.start.checked_sub(*start)?..range.end.checked_sub(*start)?)
    }

    /// A range as pieces of its own, as far as it goes. Nothing is copied.
    pub(super) fn range(&self, range: Range<usize>) -> Pieces {
        let mut part = Pieces::default();
        let first = self.index_of(range.start).unwrap_or(self.pieces.len());
        for (start, piece) in self.pieces.iter().skip(first) {
            if *start >= range.end {
                break;
            }
            let from = range.start.saturating_sub(*start);
            let to = range.end.saturating_sub(*start).min(piece.len());
            part.push(piece.slice(from.min(to)..to));
        }
        part
    }

    /// Adds the pieces of another at the end.
    pub(super) fn append(&mut self, other: Pieces) {
        other
            .pieces
            .into_iter()
            .for_each(|(_, piece)| self.push(piece));
    }

    /// The pieces in their order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.pieces.iter().map(|(_, piece)| piece.as_ref())
    }

    /// All bytes in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len);
        self.iter().for_each(|piece| bytes.extend_from_slice(piece));
        bytes
    }

    /// Reads them from their beginning.
    pub(super) fn reader(&self) -> Reader<'_> {
        Reader {
            pieces: self,
            at: 0,
        }
    }

    /// Whether `bytes` is what they are.
    pub(super) fn is(&self, mut bytes: &[u8]) -> bool {
        self.len == bytes.len()
            && self.iter().all(|piece| {
                let (begin, rest) = bytes.split_at_checked(piece.len()).unwrap_or_default();
                bytes = rest;
                begin == piece
            })
    }

    /// Which piece holds the byte at `offset`.
    fn index_of(&self, offset: usize) -> Option<usize> {
        if offset >= self.len {
            return None;
        }
        let after = self.pieces.partition_point(|(start, _)| *start <= offset);
        after.checked_sub(1)
    }
}

/// In one piece, without a copy.
impl From<Vec<u8>> for Pieces {
    fn from(bytes: Vec<u8>) -> Self {
        let mut pieces = Pieces::default();
        pieces.push(bytes);
        pieces
    }
}

/// In one piece; without a copy where they were made from that and nobody else holds it.
impl From<Pieces> for Vec<u8> {
    fn from(pieces: Pieces) -> Self {
        match pieces.pieces.len() {
            1 => {
                let piece = pieces.pieces.into_iter().next();
                piece.map_or(Vec::new(), |(_, piece)| piece.into())
            }
            _ => pieces.to_vec(),
        }
    }
}

/// The same bytes, wherever one piece ends and the next begins.
impl PartialEq for Pieces {
    fn eq(&self, other: &Self) -> bool {
        let mut at = 0usize;
        self.len == other.len
            && self.iter().all(|piece| {
                let from = at;
                at = at.saturating_add(piece.len());
                other.range(from..at).is(piece)
            })
    }
}

impl Eq for Pieces {}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes in {} pieces", self.len, self.pieces.len())
    }
}

/// Reads pieces as if they were one.
pub(super) struct Reader<'p> {
    pieces: &'p Pieces,
    at: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let at = usize::try_from(self.at).unwrap_or(usize::MAX);
        let found = self.pieces.index_of(at);
        let Some((start, piece)) = found.and_then(|index| self.pieces.pieces.get(index)) else {
            return Ok(0);
        };
        let mut rest = piece.get(at.saturating_sub(*start)..).unwrap_or_default();
        let read = rest.read(into)?;
        self.at = self.at.saturating_add(read as u64);
        Ok(read)
    }
}

impl Seek for Reader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => (self.pieces.len as u64).checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pieces(parts: &[&[u8]]) -> Pieces {
        let mut pieces = Pieces::default();
        for part in parts {
            pieces.push(part.to_vec());
        }
        pieces
    }

    #[test]
    fn a_range_is_there_where_it_lies_in_one_piece() {
        let pieces = pieces(&[b"abc", b"", b"de"]);
        assert_eq!((pieces.len(), pieces.iter().count()), (5, 2));
        assert_eq!(pieces.get(1..3), Some(b"bc".as_slice()));
        assert_eq!(pieces.get(3..5), Some(b"de".as_slice()));
        for across_or_past in [2..4, 4..6, 6..6, 9..10, Range { start: 3, end: 1 }] {
            assert_eq!(pieces.get(across_or_past), None);
        }
        for empty in [0..0, 3..3, 5..5] {
            assert_eq!(pieces.get(empty), Some(b"".as_slice()));
        }
    }

    #[test]
    fn in_and_out_of_one_piece_nothing_is_copied() {
        let bytes = vec![7; 100];
        let place = bytes.as_ptr();
        let back = Vec::from(Pieces::from(bytes));
        assert_eq!((back.as_ptr(), back), (place, vec![7; 100]));
    }

    proptest! {
        #[test]
        fn wherever_the_pieces_end_they_are_the_same_bytes(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            ends in prop::collection::vec(0usize..60, 0..6),
            (from, len) in (0usize..70, 0usize..70),
        ) {
            let mut cuts: Vec<usize> = ends.into_iter().map(|end| end.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            let pieces = pieces(&parts);
            prop_assert_eq!(&pieces, &Pieces::from(bytes.clone()));
            prop_assert_eq!(pieces.to_vec(), bytes.clone());
            let there = from.min(bytes.len())..from.saturating_add(len).min(bytes.len());
            let part = pieces.range(from..from.saturating_add(len));
            prop_assert_eq!(part.to_vec(), &bytes[there]);
            let mut read = Vec::new();
            let mut reader = pieces.reader();
            reader.seek(SeekFrom::Start(from as u64)).unwrap();
            reader.read_to_end(&mut read).unwrap();
            prop_assert_eq!(read, bytes.get(from..).unwrap_or_default());
            let mut changed = bytes.clone();
            if let Some(byte) = changed.get_mut(from) {
                *byte ^= 1;
                prop_assert_ne!(&pieces, &Pieces::from(changed));
            }
        }
    }
}
