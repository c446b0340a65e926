//! Packed images, unpacked as a stream into a file without a name.

use super::Bounded;
use crate::medium::{ImageFormat, MediumError, OutputFile, open_regular};
use std::io::{self, BufReader, Read};
use std::ops::ControlFlow;
use std::path::Path;

/// Memory an xz image may need to be unpacked, in KiB: `xz -9` needs 65 MiB.
const XZ_MEMORY: u32 = 256 << 10;

/// How much comes out of a packed image at the most.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Logical sector size in bytes where it is known; `None` to find it out.
    pub sector_size: Option<u32>,
    /// Bytes of data; zeros do not count.
    pub data: u64,
}

/// The bytes of the disk in a packed image, no more than its partition table accounts for. What is
/// too much ends the stream with an error that [`TooMuch::in_error`](super::TooMuch::in_error) finds.
///
/// # Errors
/// A form that is not unpacked here, or what the operating system reported.
pub fn unpacked(
    path: &Path,
    format: ImageFormat,
    bounds: Bounds,
) -> Result<Bounded<Box<dyn Read>>, MediumError> {
    let reader = stream(path, format)?;
    Ok(Bounded::new(reader, bounds.sector_size, bounds.data))
}

fn stream(path: &Path, format: ImageFormat) -> Result<Box<dyn Read>, MediumError> {
    let failed = |source: io::Error| MediumError::Io {
        op: "read",
        path: path.to_owned(),
        source,
    };
    let file = BufReader::new(open_regular(path).map_err(failed)?);
    match format {
        ImageFormat::Gzip => Ok(Box::new(flate2::bufread::MultiGzDecoder::new(file))),
        ImageFormat::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(file).map_err(failed)?;
            Ok(Box::new(decoder))
        }
        ImageFormat::Xz => {
            let reader = lzma_rust2::XzReader::new_mem_limit(file, true, XZ_MEMORY);
            Ok(Box::new(reader))
        }
        format => Err(MediumError::Compressed {
            path: path.to_owned(),
            format,
        }),
    }
}

/// Unpacks an image into `scratch`, an empty file that has no name, so that nothing of it is left when
/// it is closed, whatever happens. `progress` is told the position reached in the image,
/// in bytes, and may break it off.
///
/// # Errors
/// As [`unpacked`]; [`MediumError::Unpack`], [`MediumError::NoSpace`].
pub fn unpack(
    path: &Path,
    format: ImageFormat,
    bounds: Bounds,
    mut scratch: OutputFile,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<OutputFile, MediumError> {
    let mut reader = unpacked(path, format, bounds)?;
    scratch.fill_from_reader(&mut reader, progress)?;
    Ok(scratch)
}
