//! Small archives, key stores and envelopes for the tests of this room, written field by field
//! and without the code under test.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};

pub(super) const KEY_STORE: &str = "\
.encoding = \"UTF-8\"
includeKeyCache = \"FALSE\"
mode = \"NONE\"
ConfigEncData = \"keyId=EBESExQVFhcYGRobHB0eHw%3d%3d:data1=8PHy8/T19vf4+fr7/P3+/w%3d%3d:\
data2=4OHi4+Tl5ufo6err7O3u7w%3d%3d:version=1\"
";
pub(super) const KEY_ID: &str = "10111213-1415-1617-1819-1a1b1c1d1e1f";
/// What `KEY_STORE` derives, by Python's
/// `hashlib.pbkdf2_hmac("sha256", data1 + phrase, data2, 100000)`.
pub(super) const KEY: [u8; 32] = [
    0xb5, 0x0f, 0x4e, 0xee, 0xbc, 0x83, 0xb9, 0x66, 0xfd, 0xbb, 0xf9, 0xc2, 0xb1, 0x38, 0x18, 0x2c,
    0x5d, 0x8b, 0x8b, 0x59, 0x51, 0x9a, 0x05, 0x45, 0x1d, 0x78, 0xbf, 0x61, 0x78, 0x83, 0xdb, 0xe4,
];
pub(super) const HOST_IV: [u8; 12] = *b"WMV_\0\0\0\0\0\0\0\0";

/// A tar header in the host's style.
pub(super) fn header(name: &str, kind: u8, size: usize) -> [u8; 512] {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..124].copy_from_slice(b"0000644\x000000000\x000000000\0");
    header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    header[136..148].copy_from_slice(b"14104745010\0");
    header[156] = kind;
    header[257..265].copy_from_slice(b"ustar  \0");
    header[265..269].copy_from_slice(b"root");
    header[297..301].copy_from_slice(b"root");
    with_checksum(header)
}

/// The header with the checksum its bytes give.
pub(super) fn with_checksum(mut header: [u8; 512]) -> [u8; 512] {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// Header, data and padding.
pub(super) fn member(name: &str, kind: u8, data: &[u8]) -> Vec<u8> {
    let mut bytes = header(name, kind, data.len()).to_vec();
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// A whole archive of members given as bytes.
pub(super) fn archive<P: AsRef<[u8]>>(parts: &[P]) -> Vec<u8> {
    let mut bytes: Vec<u8> = parts
        .iter()
        .flat_map(|part| part.as_ref().to_vec())
        .collect();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// A whole archive of regular files.
pub(super) fn files(files: &[(&str, &[u8])]) -> Vec<u8> {
    let parts = files.iter().map(|(name, data)| member(name, b'0', data));
    archive(&parts.collect::<Vec<_>>())
}

/// One gzip member with the host's header, its data in stored blocks.
pub(super) fn gzip(data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3];
    let blocks: Vec<&[u8]> = data.chunks(0xffff).collect();
    for (index, block) in blocks.iter().enumerate() {
        let len = u16::try_from(block.len()).unwrap();
        bytes.push(u8::from(index + 1 == blocks.len()));
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(&(!len).to_le_bytes());
        bytes.extend_from_slice(block);
    }
    if data.is_empty() {
        bytes.extend_from_slice(&[1, 0, 0, 0xff, 0xff]);
    }
    bytes.extend_from_slice(&crc32fast::hash(data).to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(data.len()).unwrap().to_le_bytes());
    bytes
}

/// One attribute of an envelope's header.
pub(super) fn attribute(kind: u8, name: &str, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0, 0, 0];
    bytes.extend_from_slice(name.as_bytes());
    bytes.push(0);
    match kind {
        0x0b => bytes.extend_from_slice(&[value, b"\0"].concat()),
        0x0c => {
            bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
            bytes.extend_from_slice(value);
        }
        _ => bytes.extend_from_slice(value),
    }
    bytes
}

/// The same with another flag byte.
pub(super) fn flagged(flag: u8, mut attribute: Vec<u8>) -> Vec<u8> {
    attribute[1] = flag;
    attribute
}

/// The attributes of a real envelope, in its order.
pub(super) fn attributes(iv: [u8; 12]) -> Vec<Vec<u8>> {
    use sha2::{Digest as _, Sha256};
    let hash = Sha256::digest([b"AES-256-GCM".as_slice(), &KEY].concat());
    vec![
        attribute(0x0c, "vmware.iv", &iv),
        attribute(0x0b, "vmware.keyInfo", KEY_ID.as_bytes()),
        attribute(0x0b, "vmware.cipherName", b"AES-256-GCM"),
        attribute(0x0c, "vmware.keyHash", &hash),
    ]
}

/// A header block with these attributes.
pub(super) fn header_block(attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut block = b"DataTransformEnvelope".to_vec();
    block.resize(504, 0);
    block.extend_from_slice(&[0, 0x0e, 0, 0, 2, 0, 0, 0]);
    block.extend(attributes.concat());
    block.resize(4096, 0);
    block
}

/// Content, padding and the crypto footer block, as they are encrypted.
pub(super) fn plaintext(content: &[u8], padding: &[u8], padding_field: u32) -> Vec<u8> {
    let mut bytes = [content, padding, &[0x5a; 3584]].concat();
    bytes.extend_from_slice(b"DataTransformCryptoFooter");
    bytes.resize(bytes.len() + 504 - 25, 0);
    bytes.extend_from_slice(&padding_field.to_le_bytes());
    bytes.extend_from_slice(&[2, 0, 0, 0]);
    bytes
}

/// Header block, encrypted body and footer block.
pub(super) fn seal(header: &[u8], iv: [u8; 12], mut body: Vec<u8>) -> Vec<u8> {
    let aad = [header, b"ESXConfiguration"].concat();
    let tag = Aes256Gcm::new(&KEY.into())
        .encrypt_inout_detached(&Nonce::from(iv), &aad, body.as_mut_slice().into())
        .unwrap();
    let mut footer = b"DataTransformAeadFooter".to_vec();
    footer.resize(32, 0);
    footer.extend_from_slice(&tag);
    footer.resize(4088, 0);
    footer.extend_from_slice(&[16, 0, 0, 0, 1, 0, 0, 0]);
    [header, &body, &footer].concat()
}

/// An envelope around `content`, with padding that is not zero.
pub(super) fn envelope(content: &[u8]) -> Vec<u8> {
    let padding = vec![0xa5; content.len().next_multiple_of(4096) - content.len()];
    let field = u32::try_from(padding.len()).unwrap();
    let header = header_block(&attributes(HOST_IV));
    seal(&header, HOST_IV, plaintext(content, &padding, field))
}

/// A recovery key of these words, its groups made as in the published sample.
pub(super) fn recovery_text(words: [u16; 16]) -> String {
    let groups = words.iter().zip(0u32..);
    let groups = groups.map(|(word, index)| format!("{:06}", 11 * u32::from(*word) + index % 11));
    groups.collect::<Vec<_>>().join("-")
}
