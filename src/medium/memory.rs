//! A medium in memory: an image that was unpacked, or one being made.

use super::{ReadAt, WriteAt};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The bytes of a disk, in memory. A sync does nothing, as there is nothing to wait for.
#[derive(Debug, Default)]
pub struct Memory {
    bytes: Mutex<Vec<u8>>,
}

impl Memory {
    /// A medium that holds `bytes`.
    pub fn new(bytes: Vec<u8>) -> Self {
        Memory {
            bytes: Mutex::new(bytes),
        }
    }

    /// The bytes as they are now.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        // Nothing in here can panic half way through a change.
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReadAt for Memory {
    fn size(&self) -> u64 {
        self.bytes().len() as u64
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.bytes().read_at(buf, offset)
    }
}

impl WriteAt for Memory {
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let mut bytes = self.bytes();
        let start = usize::try_from(offset).ok();
        let end = start.and_then(|start| start.checked_add(data.len()));
        let range = start.zip(end).map(|(start, end)| start..end);
        let place = range.and_then(|range| bytes.get_mut(range));
        match place {
            Some(place) => {
                place.copy_from_slice(data);
                Ok(())
            }
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn read_back(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_at(buf, offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_lies_past_the_end() {
        let medium = Memory::new(vec![0; 1024]);
        medium.write_at(&[7; 512], 512).unwrap();
        let mut sector = [1; 512];
        medium.read_back(&mut sector, 512).unwrap();
        assert_eq!(sector, [7; 512]);
        for offset in [513, 1024, u64::MAX] {
            let kind = medium.write_at(&[9; 512], offset).unwrap_err().kind();
            assert_eq!(kind, io::ErrorKind::UnexpectedEof, "{offset}");
            assert!(medium.read_at(&mut sector, offset).is_err());
        }
        assert_eq!(medium.size(), 1024);
        assert_eq!(medium.into_bytes()[511..514], [0, 7, 7]);
    }
}
