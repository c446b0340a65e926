//! Checksums made right again after bytes were changed, so that a change meant for a deep layer
//! is not stopped by the ones above it.
//!
//! Shared by the mutation run and the fuzz targets. Nothing here uses the code under test.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "shared by test programs, none of which uses all"
)]

use aes_gcm::aead::consts::U16;
use aes_gcm::aead::{AeadInOut as _, KeyInit as _};
use aes_gcm::aes::Aes256;
use aes_gcm::{Aes256Gcm, AesGcm};
use sha2::{Digest as _, Sha256};
use std::io::{Read as _, Write as _};
use std::ops::Range;

const BLOCK: usize = 512;

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let field = bytes.get(at..at.checked_add(4)?)?;
    usize::try_from(u32::from_le_bytes(field.try_into().ok()?)).ok()
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(field) = bytes.get_mut(at..at.saturating_add(value.len())) {
        field.copy_from_slice(value);
    }
}

/// Makes both checksums of the primary GPT fit, where there is a header at sector 1.
pub fn gpt(image: &mut [u8], sector_size: usize) {
    let header = sector_size;
    if image.get(header..header + 8) != Some(b"EFI PART") {
        return;
    }
    let array = word(image, header + 72)
        .unwrap_or(0)
        .saturating_mul(sector_size);
    let count = word(image, header + 80).unwrap_or(0);
    let size = word(image, header + 84).unwrap_or(0);
    let length = count.saturating_mul(size);
    if let Some(entries) = image.get(array..array.saturating_add(length)) {
        let crc = crc32fast::hash(entries);
        put(image, header + 88, &crc.to_le_bytes());
    }
    put(image, header + 16, &[0; 4]);
    let covered = word(image, header + 12).unwrap_or(0).min(sector_size);
    if let Some(bytes) = image.get(header..header + covered) {
        let crc = crc32fast::hash(bytes);
        put(image, header + 16, &crc.to_le_bytes());
    }
}

/// The octal number in a field, as far as there is one.
fn octal(field: &[u8]) -> usize {
    let digits = field.iter().skip_while(|byte| **byte == b' ');
    let digits = digits.take_while(|byte| (b'0'..=b'7').contains(byte));
    digits.fold(0usize, |sum, digit| {
        sum.saturating_mul(8)
            .saturating_add(usize::from(digit - b'0'))
    })
}

/// Makes the checksum of every header fit. Yields name and place of each member's data.
pub fn tar(archive: &mut [u8]) -> Vec<(String, Range<usize>)> {
    let mut members = Vec::new();
    let mut at = 0usize;
    while let Some(header) = archive.get_mut(at..at.saturating_add(BLOCK)) {
        if header.iter().all(|byte| *byte == 0) {
            break;
        }
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        let text = format!("{sum:06o}\0 ");
        header[148..156].copy_from_slice(text.as_bytes());
        let size = octal(&header[124..136]);
        let name = header[..100]
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or_default();
        let name = String::from_utf8_lossy(name).into_owned();
        let data = at + BLOCK;
        let end = data.saturating_add(size);
        members.push((name, data..end.min(archive.len())));
        at = end.div_ceil(BLOCK).saturating_mul(BLOCK);
    }
    members
}

/// A tar of regular files, owned by root, each mode 0600.
pub fn make_tar(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, content) in members {
        let mut header = [0u8; BLOCK];
        put(&mut header, 0, &name.as_bytes()[..name.len().min(99)]);
        put(&mut header, 100, b"0000600\x000000000\x000000000\0");
        put(
            &mut header,
            124,
            format!("{:011o}\0", content.len()).as_bytes(),
        );
        put(&mut header, 136, b"00000000000\0");
        header[156] = b'0';
        put(&mut header, 257, b"ustar\x0000");
        archive.extend_from_slice(&header);
        archive.extend_from_slice(content);
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    tar(&mut archive);
    archive
}

/// One gzip member, as the host's header has it.
pub fn gzip(data: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(1));
    packer.write_all(data).unwrap();
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3];
    file.extend(packer.finish().unwrap());
    file.extend(crc32fast::hash(data).to_le_bytes());
    file.extend((data.len() as u32).to_le_bytes());
    file
}

/// What a gzip file unpacks to, whatever its trailer says; at most 64 MiB.
pub fn gunzip(file: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    let unpacker = flate2::read::GzDecoder::new(file);
    // A wrong trailer is an error after the data; they are what counts here.
    let _ = unpacker.take(64 << 20).read_to_end(&mut data);
    data
}

/// Repairs a gzip file of stored blocks in place: the archive in it, its archives in turn, the
/// trailer. Yields whether `file` is one; what follows it is left alone.
pub fn stored_gzip(file: &mut [u8]) -> bool {
    if file.get(..4) != Some(&[0x1f, 0x8b, 8, 0]) {
        return false;
    }
    let mut pieces = Vec::new();
    let mut at = 10usize;
    loop {
        let Some(&[kind, low, high, ..]) = file.get(at..at + 5) else {
            return false;
        };
        let len = usize::from(u16::from_le_bytes([low, high]));
        let data = at + 5..at + 5 + len;
        if kind & 6 != 0 || data.end > file.len() {
            return false;
        }
        put(file, at + 3, &[!low, !high]);
        at = data.end;
        pieces.push(data);
        if kind & 1 != 0 {
            break;
        }
    }
    let mut data: Vec<u8> = Vec::new();
    for piece in &pieces {
        data.extend_from_slice(&file[piece.clone()]);
    }
    for (_, place) in tar(&mut data) {
        if let Some(member) = data.get_mut(place) {
            stored_gzip(member);
        }
    }
    // A member of the archive changed: its own bytes are not covered by the header's sum.
    let mut rest = data.as_slice();
    for piece in pieces {
        let (now, later) = rest.split_at(piece.len());
        file[piece].copy_from_slice(now);
        rest = later;
    }
    put(file, at, &crc32fast::hash(&data).to_le_bytes());
    put(file, at + 4, &(data.len() as u32).to_le_bytes());
    true
}

/// Repairs a whole image whose archives are stored: the GPT, and every archive that begins at a
/// sector.
pub fn image(image: &mut [u8]) {
    gpt(image, 512);
    for at in (0..image.len()).step_by(BLOCK) {
        if let Some(rest) = image.get_mut(at..) {
            stored_gzip(rest);
        }
    }
}

/// Encrypts `plaintext` under `header` (4096 bytes, a nonce of 12 or 16 of them at `iv`) and adds the
/// footer: an envelope whose tag fits.
pub fn envelope(header: &[u8], iv: Range<usize>, key: &[u8; 32], plaintext: &[u8]) -> Vec<u8> {
    let mut body = plaintext.to_vec();
    let aad = [header, b"ESXConfiguration"].concat();
    let iv = &header[iv];
    let content = body.as_mut_slice().into();
    let tag = match <[u8; 12]>::try_from(iv) {
        Ok(iv) => Aes256Gcm::new(key.into()).encrypt_inout_detached(&iv.into(), &aad, content),
        Err(_) => {
            let iv = <[u8; 16]>::try_from(iv).unwrap();
            let cipher = AesGcm::<Aes256, U16>::new(key.into());
            cipher.encrypt_inout_detached(&iv.into(), &aad, content)
        }
    };
    let tag = tag.unwrap();
    let mut footer = vec![0; 4096];
    put(&mut footer, 0, b"DataTransformAeadFooter");
    put(&mut footer, 32, &tag);
    put(&mut footer, 4088, &16u32.to_le_bytes());
    put(&mut footer, 4092, &1u32.to_le_bytes());
    [header, &body, &footer].concat()
}

/// An undo file with the checksums of what is in it.
pub fn undo(file: &[u8]) -> Vec<u8> {
    let mut old = file.to_vec();
    let places = tar(&mut old);
    let mut members: Vec<(String, Vec<u8>)> = places
        .into_iter()
        .filter(|(name, _)| name != "SHA256SUMS")
        .map(|(name, place)| (name, old.get(place).unwrap_or_default().to_vec()))
        .collect();
    let mut sums = String::new();
    for (name, content) in &members {
        for byte in Sha256::digest(content) {
            sums.push_str(&format!("{byte:02x}"));
        }
        sums.push_str(&format!("  {name}\n"));
    }
    members.push(("SHA256SUMS".to_owned(), sums.into_bytes()));
    make_tar(&members)
}
