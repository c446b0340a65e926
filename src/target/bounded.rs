//! A packed image as a stream with bounds. A few bytes can unpack to a disk full of them, so no more
//! comes out than the table at the start of the image accounts for, and no more data than is allowed.

use crate::partition::{EXTENT_HEAD, extent};
use std::io::{self, Read};

/// Zeros behind the end of the table that are read over: a copy of a whole stick has them, and they
/// take no room.
const MOST_ZEROS: u64 = 1 << 40;
/// Granularity in which zeros are told from data, in bytes.
const BLOCK: usize = 4096;

/// Why a packed image is not unpacked to its end.
#[derive(Debug, thiserror::Error)]
pub enum TooMuch {
    /// There is more than the table accounts for.
    #[error(
        "it goes on with other data behind the end of its partition table, {end} bytes from its start"
    )]
    BehindTheTable {
        /// The first byte behind all that the table names.
        end: u64,
    },
    /// There is more than is allowed.
    #[error("it unpacks to more than the limit of {limit} bytes of data")]
    Data {
        /// The limit in bytes.
        limit: u64,
    },
}

impl TooMuch {
    /// The one that ended a stream.
    pub fn in_error(error: &io::Error) -> Option<&TooMuch> {
        error.get_ref()?.downcast_ref()
    }
}

/// The bytes of a disk, bounded.
#[derive(Debug)]
pub struct Bounded<R> {
    inner: R,
    sector_size: Option<u32>,
    limit: u64,
    /// Its first bytes, by which the table is told; read before anything is handed out.
    head: Vec<u8>,
    begun: bool,
    /// Bytes handed out.
    position: u64,
    /// Those of them that are no zeros, in whole blocks.
    data: u64,
    /// The first byte behind all that the table names.
    end: Option<u64>,
}

impl<R: Read> Bounded<R> {
    /// Of a disk with sectors of `sector_size` bytes, where that is known, and with `limit` bytes of
    /// data at the most.
    pub fn new(inner: R, sector_size: Option<u32>, limit: u64) -> Self {
        Bounded {
            inner,
            sector_size,
            limit,
            head: Vec::new(),
            begun: false,
            position: 0,
            data: 0,
            end: None,
        }
    }

    fn check(&mut self, piece: &[u8]) -> io::Result<()> {
        let is_data = |block: &[u8]| block.iter().any(|byte| *byte != 0);
        let data = piece.chunks(BLOCK).filter(|block| is_data(block));
        self.data += data.map(|block| block.len() as u64).sum::<u64>();
        if self.data > self.limit {
            let limit = self.limit;
            return Err(io::Error::other(TooMuch::Data { limit }));
        }
        let end = self.end.unwrap_or_default();
        let before = end.saturating_sub(self.position).min(piece.len() as u64);
        self.position += piece.len() as u64;
        let behind = usize::try_from(before).map_or(&[][..], |at| &piece[at..]);
        if is_data(behind) || self.position.saturating_sub(end) > MOST_ZEROS {
            return Err(io::Error::other(TooMuch::BehindTheTable { end }));
        }
        Ok(())
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if !self.begun {
            let head = &mut self.head;
            let inner = &mut self.inner;
            inner.take(EXTENT_HEAD as u64).read_to_end(head)?;
            self.end = extent(head, self.sector_size);
            self.begun = true;
        }
        let position = usize::try_from(self.position).unwrap_or(usize::MAX);
        if let Some(rest) = self.head.get(position..).filter(|rest| !rest.is_empty()) {
            let count = rest.len().min(buf.len());
            let piece = rest[..count].to_vec();
            if self.end.is_some() {
                self.check(&piece)?;
            } else {
                self.position += count as u64;
            }
            buf[..count].copy_from_slice(&piece);
            return Ok(count);
        }
        // Without a table this is no disk, and its beginning is enough to say what it is instead.
        if self.end.is_none() {
            return Ok(0);
        }
        let count = self.inner.read(buf)?;
        self.check(&buf[..count])?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::disk_with_gpt;

    fn image() -> Vec<u8> {
        disk_with_gpt(68)
    }

    fn read(image: &[u8], limit: u64) -> Result<Vec<u8>, TooMuch> {
        let mut out = Vec::new();
        match Bounded::new(image, None, limit).read_to_end(&mut out) {
            Ok(_) => Ok(out),
            Err(error) => Err(error.downcast().unwrap()),
        }
    }

    #[test]
    fn an_image_and_zeros_behind_it_come_through_as_they_are() {
        let mut image = image();
        assert!(read(&image, 1 << 20).unwrap() == image);
        image.resize(3 << 20, 0);
        assert!(read(&image, 1 << 20).unwrap() == image);
    }

    #[test]
    fn what_the_table_does_not_account_for_ends_the_stream() {
        for at in [0, EXTENT_HEAD, 2 * EXTENT_HEAD] {
            let mut image = image();
            let end = extent(&image, None).unwrap();
            image.resize(usize::try_from(end).unwrap() + at, 0);
            image.push(1);
            let error = read(&image, 1 << 20).unwrap_err();
            assert!(matches!(error, TooMuch::BehindTheTable { end: it } if it == end));
        }
    }

    #[test]
    fn data_beyond_the_limit_ends_the_stream_and_zeros_do_not_count() {
        let image = image();
        assert!(matches!(
            read(&image, 4096),
            Err(TooMuch::Data { limit: 4096 })
        ));
    }

    #[test]
    fn of_what_is_no_disk_only_the_beginning_is_read() {
        let bytes = vec![7; 5 * EXTENT_HEAD];
        assert_eq!(read(&bytes, 0).unwrap().len(), EXTENT_HEAD);
    }
}
