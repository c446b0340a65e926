mod lies;
mod salvaging;

use super::*;
use crate::error::ErrorKind;
use crate::state::fixtures::{self, HOST_IV, KEY_ID};
use crate::state::key_store::{EncryptionInfo, KeyCache};
use sha2::Digest as _;
use std::sync::{Arc, LazyLock};

// The sums below were made with Python's `cryptography` (AESGCM), `hashlib` and `hmac` from the
// same key, attributes, content and padding.
const FILE_SHA256: &str = "fa7e9c8c34b9c2a14d72173e027a67ee65f8f566a02edb67cde636f4dea64421";
const CHANGED_IV: [u8; 12] = *b"WMV_\x5b\x08\x85\x2c\xf3\x77\x17\x58";
const CHANGED_SHA256: &str = "83ce45c46b0b123121d726797897848d698cfd2fc2df0f7fec08afca3b8936eb";

static KEYS: LazyLock<KeyCache> = LazyLock::new(KeyCache::new);

fn key() -> Arc<Key> {
    let info = EncryptionInfo::parse(fixtures::KEY_STORE.as_bytes()).unwrap();
    KEYS.key(&info).unwrap()
}

fn content() -> Vec<u8> {
    (0..5000u32)
        .map(|i| u8::try_from(i % 251).unwrap())
        .collect()
}

fn sha256(bytes: &[u8]) -> String {
    let sum = Sha256::digest(bytes);
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn open(file: &[u8]) -> Result<Plaintext, EnvelopeError> {
    Envelope::parse(file)?.decrypt(&key(), KEY_ID)
}

fn rewrite(file: &[u8], content: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
    let envelope = Envelope::parse(file)?;
    let old = envelope.decrypt(&key(), KEY_ID)?;
    envelope.encrypt(&key(), KEY_ID, &old, content)
}

#[test]
fn an_envelope_made_elsewhere_opens() {
    let file = fixtures::envelope(&content());
    assert_eq!(sha256(&file), FILE_SHA256);
    assert_eq!(Envelope::parse(&file).unwrap().key_info(), KEY_ID);
    assert_eq!(open(&file).unwrap().content(), content());
}

#[test]
fn unchanged_content_gives_the_file_bit_for_bit() {
    let file = fixtures::envelope(&content());
    assert_eq!(rewrite(&file, &content()).unwrap(), file);
}

#[test]
fn changed_content_gives_the_file_that_python_makes_of_it() {
    let new: Vec<u8> = (0..9000u32)
        .map(|i| u8::try_from(i % 13).unwrap())
        .collect();
    let file = rewrite(&fixtures::envelope(&content()), &new).unwrap();
    let envelope = Envelope::parse(&file).unwrap();
    assert_eq!(envelope.header.iv.as_bytes(), CHANGED_IV);
    assert_eq!(sha256(&file), CHANGED_SHA256);
    assert_eq!(open(&file).unwrap().content(), new);
}

#[test]
fn padding_is_kept_where_its_length_stays_and_zero_elsewhere() {
    let original = fixtures::envelope(&content());
    let mut same_length = content();
    same_length[0] ^= 1;
    let cases: [(Vec<u8>, usize, u8); 5] = [
        (same_length, 3192, 0xa5),
        (vec![1; 904], 3192, 0xa5),
        (vec![1; 4999], 3193, 0),
        (vec![1; 8192], 0, 0),
        (vec![], 0, 0),
    ];
    for (new, padding, byte) in cases {
        let plaintext = open(&rewrite(&original, &new).unwrap()).unwrap();
        assert_eq!(plaintext.content(), new);
        let end = plaintext.bytes.len() - BLOCK;
        let found = &plaintext.bytes[new.len()..end];
        assert_eq!(found, vec![byte; padding], "{} bytes", new.len());
        assert_eq!(plaintext.bytes[end..][..3584], [0x5a; 3584]);
    }
}

#[test]
fn every_change_gets_a_nonce_of_its_own_and_the_header_stays() {
    let original = fixtures::envelope(&content());
    let mut nonces = std::collections::BTreeSet::from([HOST_IV.to_vec()]);
    for byte in 0..20 {
        let mut new = content();
        new[100] = byte;
        let file = rewrite(&original, &new).unwrap();
        assert_eq!(file, rewrite(&original, &new).unwrap());
        let header = Envelope::parse(&file).unwrap().header;
        assert_eq!(header.iv.as_bytes()[..4], HOST_IV[..4]);
        nonces.insert(header.iv.as_bytes().to_vec());
        let at = header.iv_at;
        assert_eq!(file[..at.start], original[..at.start]);
        assert_eq!(file[at.end..BLOCK], original[at.end..BLOCK]);
    }
    assert_eq!(nonces.len(), 21);
}

/// A good envelope with one more attribute in front.
fn with_more(attribute: Vec<u8>) -> Vec<u8> {
    let mut attributes = fixtures::attributes(HOST_IV);
    attributes.insert(0, attribute);
    let body = fixtures::plaintext(&content(), &[0; 3192], 3192);
    fixtures::seal(&fixtures::header_block(&attributes), HOST_IV, body)
}

#[test]
fn attributes_of_every_kind_that_may_be_ignored_are_kept_through_a_change() {
    let mut attributes = fixtures::attributes(HOST_IV);
    attributes.reverse();
    for (kind, len) in [1u8, 2, 3, 4, 5, 6, 7, 8]
        .into_iter()
        .zip([1, 2, 4, 8, 1, 2, 4, 8])
    {
        let name = format!("vmware.n{kind}");
        let attribute = fixtures::attribute(kind, &name, &vec![7; len]);
        attributes.insert(1, fixtures::flagged(1, attribute));
    }
    let header = fixtures::header_block(&attributes);
    let body = fixtures::plaintext(&content(), &[0; 3192], 3192);
    let file = fixtures::seal(&header, HOST_IV, body);
    assert_eq!(open(&file).unwrap().content(), content());
    assert_eq!(rewrite(&file, &content()).unwrap(), file);
    let changed = rewrite(&file, b"new").unwrap();
    assert_eq!(open(&changed).unwrap().content(), b"new");
    let iv = Header::parse(file.first_chunk().unwrap()).unwrap().iv_at;
    assert_eq!(changed[..iv.start], file[..iv.start]);
    assert_eq!(changed[iv.end..BLOCK], file[iv.end..BLOCK]);
}

/// Flag 0 must be understood, 1 may be ignored: so the vendor's reader of 6.7 does.
#[test]
fn an_attribute_that_is_not_understood_is_named_and_nothing_is_called_damaged() {
    let text = |name: &str| fixtures::attribute(0x0b, name, b"gzip");
    let unknown = |name: &str| EnvelopeError::AttributeUnknown {
        name: name.to_owned(),
    };
    let compressed = |name: &str| EnvelopeError::Compressed {
        name: name.to_owned(),
    };
    let flag = |flag| EnvelopeError::AttributeFlag {
        name: "x.y".to_owned(),
        flag,
    };
    let method = "vmware.compressionMethod";
    let cases = [
        (with_more(text("x.y")), unknown("x.y")),
        (
            with_more(text("vmware.contentType")),
            unknown("vmware.contentType"),
        ),
        (with_more(text("internal.key")), unknown("internal.key")),
        (with_more(fixtures::flagged(2, text("x.y"))), flag(2)),
        (with_more(text(method)), compressed(method)),
        (
            with_more(fixtures::flagged(1, text(method))),
            compressed(method),
        ),
    ];
    for (file, expected) in cases {
        assert_eq!(expected.kind(), ErrorKind::Unsupported);
        assert_eq!(Envelope::parse(&file).map(drop), Err(expected));
    }
    let kept = with_more(fixtures::flagged(1, text("vmware.contentType")));
    assert_eq!(open(&kept).unwrap().content(), content());
}

#[test]
fn a_bit_flipped_anywhere_is_noticed() {
    let good = fixtures::envelope(&content());
    let last = good.len() - 1;
    let step = 97;
    for at in (0..=last)
        .step_by(step)
        .chain([last, last - 4095, last - 8])
    {
        let mut file = good.clone();
        file[at] ^= 0x10;
        assert!(open(&file).is_err(), "byte {at}");
    }
}

/// A file that differs from a good one in a header byte, the tag made anew.
fn resealed(change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut header = fixtures::header_block(&fixtures::attributes(HOST_IV));
    change(&mut header);
    header.resize(BLOCK, 0);
    let body = fixtures::plaintext(&content(), &[0; 3192], 3192);
    fixtures::seal(&header, HOST_IV, body)
}

fn with_attribute(index: usize, attribute: Vec<u8>) -> Vec<u8> {
    let mut attributes = fixtures::attributes(HOST_IV);
    attributes[index] = attribute;
    resealed(|header| *header = fixtures::header_block(&attributes))
}
