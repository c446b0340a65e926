//! The kinds of things a user can name as a target.

use crate::host::Host;
use crate::medium::nbd::Address;
use crate::medium::virtual_disk::DiskFormat;
use crate::medium::{Identity, ImageFormat, MediumError, open_regular};
use crate::state::envelope::Envelope;
use std::fmt;
use std::io::{self, Read as _};
use std::path::Path;

/// Bytes of the first header in an archive.
const HEADER_LEN: u64 = 512;

/// What a target is, told by what is in it. `docs/targets.md` says the same at length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A whole disk. Read and changed.
    Disk,
    /// A regular file with the bytes of a disk, which every file is taken for that is nothing else.
    /// Read and changed.
    Image,
    /// An image in a compressed form that is unpacked here. Read, and the source of a changed copy.
    Packed(ImageFormat),
    /// A state in a file of its own: `state.tgz`, `local.tgz`, `local.tgz.ve` or `configBundle.tgz`.
    /// Read and changed; it has no banks.
    State,
    /// A disk in a file of a hypervisor's format, which QEMU reads and writes. Read and changed.
    VirtualDisk(DiskFormat),
    /// A disk that an NBD server holds. Read and changed.
    Export,
    /// Something else, which is not worked on.
    Foreign(ImageFormat),
}

impl Kind {
    /// What can be worked on, in words.
    pub const TAKEN: &str = "bootbank takes a whole disk, an image file (packed with gzip, zstd or xz too), a virtual disk (qcow2, VMDK, VHD, \
                             VHDX, VDI), an NBD export, or a state file: state.tgz, local.tgz, local.tgz.ve or configBundle.tgz";

    /// What `path` leads to.
    ///
    /// # Errors
    /// Where there is nothing, or nothing that could be a target; what the operating system
    /// reported.
    pub fn of(path: &Path, host: &Host) -> Result<Self, MediumError> {
        if Address::is_one(path) {
            return Ok(Kind::Export);
        }
        if matches!(Identity::of(path, host)?, Identity::Disk(_)) {
            return Ok(Kind::Disk);
        }
        Self::of_file(path).map_err(|source| MediumError::Io {
            op: "read",
            path: path.to_owned(),
            source,
        })
    }

    fn of_file(path: &Path) -> io::Result<Self> {
        let mut first = Vec::new();
        let file = match open_regular(path) {
            Ok(file) => file,
            // Why it cannot be opened is said where it is opened.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Ok(Kind::Image);
            }
            Err(error) => return Err(error),
        };
        (&file)
            .take(ImageFormat::SNIFF_LEN as u64)
            .read_to_end(&mut first)?;
        if Envelope::is_one(&first) {
            return Ok(Kind::State);
        }
        Ok(match ImageFormat::sniff(&first) {
            ImageFormat::Raw => Kind::Image,
            ImageFormat::PackedTar => Kind::State,
            ImageFormat::Gzip if is_damaged_state(path)? => Kind::State,
            format if format.is_unpacked_here() => Kind::Packed(format),
            format => match DiskFormat::of(format) {
                Some(format) => Kind::VirtualDisk(format),
                None => Kind::Foreign(format),
            },
        })
    }

    /// What a person calls it, with its article: `a saved state`.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Disk => "a disk",
            Kind::Image => "an image",
            Kind::Packed(_) => "a packed image",
            Kind::State => "a state file",
            Kind::VirtualDisk(_) => "a virtual disk",
            Kind::Export => "an NBD export",
            Kind::Foreign(_) => "a file of another kind",
        }
    }

    /// The word used in JSON output.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Disk => "disk",
            Kind::Image => "image",
            Kind::Packed(_) => "packed-image",
            Kind::State => "state-file",
            Kind::VirtualDisk(_) => "virtual-disk",
            Kind::Export => "nbd-export",
            Kind::Foreign(_) => "other",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a gzip file that cannot be unpacked from its start has the name of a state: what is in it
/// cannot be told any more.
fn is_damaged_state(path: &Path) -> io::Result<bool> {
    let name = path.extension().and_then(|extension| extension.to_str());
    if !name.is_some_and(|name| name.eq_ignore_ascii_case("tgz")) {
        return Ok(false);
    }
    let mut header = Vec::new();
    let unpacked = flate2::read::GzDecoder::new(open_regular(path)?);
    Ok(unpacked.take(HEADER_LEN).read_to_end(&mut header).is_err())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn kind_of(bytes: &[u8], name: &str) -> Kind {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        Kind::of(&path, &Host::default()).unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// The header of a member as tar wrote it before POSIX.
    fn without_signature() -> Vec<u8> {
        let mut header = vec![0; 512];
        header[..4].copy_from_slice(b"etc/");
        header[148..156].copy_from_slice(b"        ");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        header
    }

    #[test]
    fn a_kind_is_told_by_the_content_and_not_by_the_name() {
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        let cases = [
            (gzip(&tar), "stick.img.gz", Kind::State),
            (
                gzip(&[0xfa; 4096]),
                "state.tgz",
                Kind::Packed(ImageFormat::Gzip),
            ),
            (gzip(&[0; 4096]), "empty.img.gz", Kind::State),
            (gzip(&[0; 512]), "x.tgz", Kind::Packed(ImageFormat::Gzip)),
            (
                gzip(&[0; 1 << 20]),
                "x.tgz",
                Kind::Packed(ImageFormat::Gzip),
            ),
            (gzip(&without_signature()), "x.img.gz", Kind::State),
            (b"\x1f\x8b\x08rubbish".to_vec(), "state.tgz", Kind::State),
            (
                b"\x1f\x8b\x08rubbish".to_vec(),
                "a.gz",
                Kind::Packed(ImageFormat::Gzip),
            ),
            (b"DataTransformEnvelope\0\0".to_vec(), "x", Kind::State),
            (
                b"\x28\xb5\x2f\xfd\x04".to_vec(),
                "x.img",
                Kind::Packed(ImageFormat::Zstd),
            ),
            (
                b"QFI\xfb\0\0\0\x03".to_vec(),
                "x.img",
                Kind::VirtualDisk(DiskFormat::Qcow2),
            ),
            (vec![0xfa; 4096], "x.tgz", Kind::Image),
            (Vec::new(), "empty", Kind::Image),
        ];
        for (bytes, name, expected) in cases {
            assert_eq!(kind_of(&bytes, name), expected, "{name}");
        }
    }
}
