//! What a file is by its first bytes: a disk as it is, or something to be unpacked first.

use std::fmt;

/// Containers and compressions that people have disk images in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Content {
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
}

/// First bytes, and what they mean. Each is the format's own published signature.
const SIGNATURES: [(&[u8], Content); 9] = [
    (b"\x1f\x8b", Content::Gzip),
    (b"\x28\xb5\x2f\xfd", Content::Zstd),
    (b"\xfd7zXZ\0", Content::Xz),
    (b"BZh", Content::Bzip2),
    (b"PK\x03\x04", Content::Zip),
    (b"QFI\xfb", Content::Qcow2),
    (b"KDMV", Content::Vmdk),
    (b"# Disk DescriptorFile", Content::Vmdk),
    (b"vhdxfile", Content::Vhdx),
];

impl Content {
    /// Bytes from the start of a file that [`Content::sniff`] can use.
    pub const SNIFF_LEN: usize = 32;

    /// Recognises a file by its first bytes; fewer than [`Content::SNIFF_LEN`] are looked at
    /// as far as they go.
    pub fn sniff(first: &[u8]) -> Content {
        SIGNATURES
            .iter()
            .find(|(signature, _)| first.starts_with(signature))
            .map_or(Content::Raw, |&(_, content)| content)
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Content::Raw => "raw",
            Content::Gzip => "gzip-compressed",
            Content::Zstd => "zstd-compressed",
            Content::Xz => "xz-compressed",
            Content::Bzip2 => "bzip2-compressed",
            Content::Zip => "a zip archive",
            Content::Qcow2 => "a QEMU copy-on-write image",
            Content::Vmdk => "a VMware virtual disk",
            Content::Vhdx => "a Hyper-V virtual disk",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_recognised_by_their_first_bytes() {
        let cases: [(&[u8], Content); 7] = [
            (b"\x1f\x8b\x08\x00", Content::Gzip),
            (b"\x28\xb5\x2f\xfd\x04", Content::Zstd),
            (b"QFI\xfb\0\0\0\x03", Content::Qcow2),
            (b"# Disk DescriptorFile\nversion=1\n", Content::Vmdk),
            (b"\xfa\xb8\x00\x10", Content::Raw),
            (b"\x1f", Content::Raw),
            (b"", Content::Raw),
        ];
        for (first, content) in cases {
            assert_eq!(Content::sniff(first), content, "{first:02x?}");
        }
    }

    #[test]
    fn every_signature_fits_into_what_is_sniffed() {
        for (signature, _) in SIGNATURES {
            assert!(signature.len() <= Content::SNIFF_LEN);
        }
    }
}
