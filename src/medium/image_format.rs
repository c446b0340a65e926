//! What a file is by its first bytes: a disk as it is, or something to be unpacked first.

use std::fmt;
use std::io::Read as _;
use std::ops::Range;

/// Containers and compressions that people have disk images in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ImageFormat {
    /// None of the others: taken for the bytes of a disk.
    Raw,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
    /// xz.
    Xz,
    /// bzip2.
    Bzip2,
    /// A zip archive.
    Zip,
    /// A QEMU copy-on-write image, any version.
    Qcow2,
    /// A VMware virtual disk, sparse or the text that describes one.
    Vmdk,
    /// A Hyper-V virtual disk.
    Vhdx,
    /// A virtual disk of Hyper-V's older format, one that grows. A fixed one is a disk as it is.
    Vhd,
    /// A VirtualBox virtual disk.
    Vdi,
    /// A tar archive.
    Tar,
    /// A virtual machine in one file: a tar archive that begins with its description.
    Ova,
    /// A tar archive packed with gzip, as a state is.
    PackedTar,
}

/// Bytes, where they are, and what they mean. Each is the format's own published signature.
const SIGNATURES: [(usize, &[u8], ImageFormat); 12] = [
    (0, b"\x1f\x8b", ImageFormat::Gzip),
    (0, b"\x28\xb5\x2f\xfd", ImageFormat::Zstd),
    (0, b"\xfd7zXZ\0", ImageFormat::Xz),
    (0, b"BZh", ImageFormat::Bzip2),
    (0, b"PK\x03\x04", ImageFormat::Zip),
    (0, b"QFI\xfb", ImageFormat::Qcow2),
    (0, b"KDMV", ImageFormat::Vmdk),
    (0, b"# Disk DescriptorFile", ImageFormat::Vmdk),
    (0, b"vhdxfile", ImageFormat::Vhdx),
    (0, b"conectix", ImageFormat::Vhd),
    (64, b"\x7f\x10\xda\xbe", ImageFormat::Vdi),
    (MAGIC_AT, b"ustar", ImageFormat::Tar),
];

/// Where the header of a tar member says that it is one (POSIX.1-1988).
const MAGIC_AT: usize = 257;
/// Bytes of its name.
const NAME_LEN: usize = 100;
/// Bytes of the whole header.
const HEADER: usize = 512;
const HEADER_LEN: u64 = HEADER as u64;
/// Where its checksum is, in octal digits; it is made with blanks there.
const CHECKSUM: Range<usize> = 148..156;
/// Most bytes of an archive of no members: two blocks of zeros, and more to fill a record.
const MOST_OF_EMPTY: u64 = 1 << 16;

impl ImageFormat {
    /// Bytes from the start of a file that [`ImageFormat::sniff`] can use: enough for the text that
    /// describes a VMware virtual disk.
    pub const SNIFF_LEN: usize = 4096;

    /// Whether an image in this form is unpacked by this program.
    pub fn is_unpacked_here(self) -> bool {
        matches!(
            self,
            ImageFormat::Gzip | ImageFormat::Zstd | ImageFormat::Xz
        )
    }

    /// Recognises a file by its first bytes; fewer than [`ImageFormat::SNIFF_LEN`] are looked at
    /// as far as they go.
    pub fn sniff(first: &[u8]) -> ImageFormat {
        match by_signature(first) {
            Some(ImageFormat::Gzip) if holds_tar(first) => ImageFormat::PackedTar,
            Some(ImageFormat::Tar) if is_description(first) => ImageFormat::Ova,
            found => found.unwrap_or(ImageFormat::Raw),
        }
    }
}

/// By the signature alone, whatever lies packed behind it.
fn by_signature(first: &[u8]) -> Option<ImageFormat> {
    let mut known = SIGNATURES.iter();
    let found = known.find(|(at, signature, _)| {
        let there = first.get(*at..);
        there.is_some_and(|there| there.starts_with(signature))
    });
    found.map(|(.., content)| *content)
}

/// Whether what is packed is a tar archive: it begins with the header of a member, or is the end of an
/// archive and nothing else. It is not looked into further: a file can be packed in itself.
fn holds_tar(packed: &[u8]) -> bool {
    let mut first = Vec::new();
    let mut unpacked = flate2::read::GzDecoder::new(packed).take(MOST_OF_EMPTY + 1);
    // What is packed ends in the middle here; what was unpacked before that is enough for a header.
    let is_whole = unpacked.read_to_end(&mut first).is_ok();
    let blocks = first.len() as u64;
    let is_end = is_whole
        && (2 * HEADER_LEN..=MOST_OF_EMPTY).contains(&blocks)
        && blocks.is_multiple_of(HEADER_LEN)
        && first.iter().all(|byte| *byte == 0);
    is_end || by_signature(&first) == Some(ImageFormat::Tar) || is_old_header(&first)
}

/// Whether these bytes begin with the header of a member as it was before it had a signature: its own
/// checksum tells.
fn is_old_header(first: &[u8]) -> bool {
    let Some(header) = first.get(..HEADER) else {
        return false;
    };
    let (before, rest) = header.split_at(CHECKSUM.start);
    let (stored, after) = rest.split_at(CHECKSUM.len());
    let stored = String::from_utf8_lossy(stored);
    let stored = stored.trim_matches(|letter| matches!(letter, ' ' | '\0'));
    let blanks = CHECKSUM.len() as u64 * u64::from(b' ');
    let others = before.iter().chain(after).map(|byte| u64::from(*byte));
    let sum = others.fold(blanks, u64::saturating_add);
    header.first() != Some(&0) && u64::from_str_radix(stored, 8) == Ok(sum)
}

/// Whether a tar archive begins with the description of a virtual machine, as OVF 1.1 demands.
fn is_description(header: &[u8]) -> bool {
    let name = header.get(..NAME_LEN).unwrap_or_default();
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    name.to_ascii_lowercase().ends_with(b".ovf")
}

/// The file that holds the bytes of the disk, where the text that describes a VMware virtual disk
/// names one that holds them as they are.
pub(super) fn flat_extent(first: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(first);
    let mut extents = text.lines().filter(|line| {
        let access = line.split_whitespace().next();
        matches!(access, Some("RW" | "RDONLY" | "NOACCESS"))
    });
    let (only, other) = (extents.next()?, extents.next());
    let is_flat = matches!(only.split_whitespace().nth(2), Some("FLAT" | "VMFS"));
    let mut quoted = only.split('"');
    let name = quoted.nth(1).filter(|name| !name.is_empty())?;
    (is_flat && other.is_none()).then(|| name.to_owned())
}

impl fmt::Display for ImageFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ImageFormat::Raw => "raw",
            ImageFormat::Gzip => "gzip-compressed",
            ImageFormat::Zstd => "zstd-compressed",
            ImageFormat::Xz => "xz-compressed",
            ImageFormat::Bzip2 => "bzip2-compressed",
            ImageFormat::Zip => "a zip archive",
            ImageFormat::Qcow2 => "a QEMU copy-on-write image",
            ImageFormat::Vmdk => "a VMware virtual disk",
            ImageFormat::Vhdx => "a Hyper-V virtual disk (VHDX)",
            ImageFormat::Vhd => "a Hyper-V virtual disk (VHD)",
            ImageFormat::Vdi => "a VirtualBox virtual disk (VDI)",
            ImageFormat::Tar => "a tar archive",
            ImageFormat::Ova => "a virtual machine (OVA)",
            ImageFormat::PackedTar => "an archive (gzip-compressed tar)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_recognised_by_their_first_bytes() {
        let cases: [(&[u8], ImageFormat); 8] = [
            (b"\x1f\x8b\x08\x00", ImageFormat::Gzip),
            (b"\x28\xb5\x2f\xfd\x04", ImageFormat::Zstd),
            (b"QFI\xfb\0\0\0\x03", ImageFormat::Qcow2),
            (b"# Disk DescriptorFile\nversion=1\n", ImageFormat::Vmdk),
            (b"conectix\0\0\0\x02", ImageFormat::Vhd),
            (b"\xfa\xb8\x00\x10", ImageFormat::Raw),
            (b"\x1f", ImageFormat::Raw),
            (b"", ImageFormat::Raw),
        ];
        for (first, content) in cases {
            assert_eq!(ImageFormat::sniff(first), content, "{first:02x?}");
        }
    }

    #[test]
    fn a_signature_counts_where_it_belongs() {
        let mut first = vec![0; 600];
        first[64..68].copy_from_slice(b"\x7f\x10\xda\xbe");
        assert_eq!(ImageFormat::sniff(&first), ImageFormat::Vdi);
        let mut tar = vec![0; 512];
        tar[..8].copy_from_slice(b"etc/motd");
        tar[MAGIC_AT..MAGIC_AT + 5].copy_from_slice(b"ustar");
        assert_eq!(ImageFormat::sniff(&tar), ImageFormat::Tar);
        tar[..8].copy_from_slice(b"esxi.OVF");
        assert_eq!(ImageFormat::sniff(&tar), ImageFormat::Ova);
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        std::io::Write::write_all(&mut packed, &tar).unwrap();
        let packed = packed.finish().unwrap();
        assert_eq!(ImageFormat::sniff(&packed), ImageFormat::PackedTar);
        assert_eq!(ImageFormat::sniff(&packed[..40]), ImageFormat::Gzip);
    }

    /// What unpacks to itself, so that there is always one more layer.
    #[test]
    fn a_file_packed_in_itself_is_looked_into_once() {
        let text = [
            "1f8b08080000000000ff6162636400001400ebff1f8b08080000000000ff6162636400001400ebff",
            "428821c400000500faff428821c400000500faff000500faff001400ebff428821c400000500faff",
            "000500faff001400ebff428821c400001400ebff428821c400001400ebff428821c400001400ebff",
            "428821c400001400ebff",
        ]
        .concat();
        let bytes = text.as_bytes().chunks(2);
        let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        let packed: Vec<u8> = bytes.map(byte).collect();
        let mut unpacked = vec![0; packed.len()];
        let mut decoder = flate2::read::GzDecoder::new(&packed[..]);
        decoder.read_exact(&mut unpacked).unwrap();
        assert_eq!(unpacked, packed);
        assert_eq!(ImageFormat::sniff(&packed), ImageFormat::Gzip);
    }

    #[test]
    fn a_description_names_the_file_with_the_disk_where_it_is_one() {
        let text = |extents: &str| {
            format!(
                "# Disk DescriptorFile\nversion=1\ncreateType=\"x\"\n\n{extents}\nddb.x = \"1\"\n"
            )
        };
        let cases = [
            (
                "RW 15974400 FLAT \"esxi-flat.vmdk\" 0",
                Some("esxi-flat.vmdk"),
            ),
            (
                "RW 15974400 VMFS \"esxi-flat.vmdk\"",
                Some("esxi-flat.vmdk"),
            ),
            ("RW 15974400 SPARSE \"esxi-s001.vmdk\"", None),
            (
                "RW 8 FLAT \"a-f001.vmdk\" 0\nRW 8 FLAT \"a-f002.vmdk\" 0",
                None,
            ),
            ("RW 8 FLAT \"\" 0", None),
            ("", None),
        ];
        for (extents, expected) in cases {
            assert_eq!(flat_extent(text(extents).as_bytes()).as_deref(), expected);
        }
    }

    #[test]
    fn every_signature_fits_into_what_is_sniffed() {
        for (at, signature, _) in SIGNATURES {
            assert!(at + signature.len() <= ImageFormat::SNIFF_LEN);
        }
    }
}
