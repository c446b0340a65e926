use super::*;
use crate::error::ErrorKind;
use crate::state::fixtures::{self, HOST_IV, KEY_ID};
use crate::state::key_store::{EncryptionInfo, KeyCache};
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
    assert_eq!(envelope.header.iv, CHANGED_IV);
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
    let mut nonces = std::collections::BTreeSet::from([HOST_IV]);
    for byte in 0..20 {
        let mut new = content();
        new[100] = byte;
        let file = rewrite(&original, &new).unwrap();
        assert_eq!(file, rewrite(&original, &new).unwrap());
        let header = Envelope::parse(&file).unwrap().header;
        assert_eq!(header.iv[..4], HOST_IV[..4]);
        nonces.insert(header.iv);
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

#[test]
fn each_lie_a_header_tells_has_its_own_error() {
    use EnvelopeError::*;
    let part = "header";
    let name = |name: &str| name.to_owned();
    let attribute = fixtures::attribute;
    let overrun = |offset, text: &str| AttributeOverrun {
        offset,
        name: name(text),
    };
    let bytes12 = AttributeValue {
        name: "vmware.iv",
        expected: "12 bytes",
    };
    let mut huge = attribute(0x0c, "vmware.iv", b"");
    huge[14..22].fill(0xff);
    let long_string = attribute(0x0b, "x", &[b'y'; 4000]);
    let cases: Vec<(&str, Vec<u8>, EnvelopeError)> = vec![
        (
            "magic",
            resealed(|h| h[0] = b'd'),
            Magic {
                part,
                expected: "DataTransformEnvelope",
            },
        ),
        (
            "not-zero",
            resealed(|h| h[100] = 9),
            NotZero {
                part,
                offset: 100,
                value: 9,
            },
        ),
        (
            "version-3",
            resealed(|h| h[508] = 3),
            Version {
                part,
                version: 3,
                known: 2,
            },
        ),
        (
            "size-0x1e00",
            resealed(|h| h[505] = 0x1e),
            Size {
                part,
                size: 0x1e00,
                known: 0xe00,
            },
        ),
        (
            "after-the-list",
            resealed(|h| h[4095] = 1),
            NotZero {
                part,
                offset: 4095,
                value: 1,
            },
        ),
        (
            "type-9",
            resealed(|h| h[512] = 9),
            AttributeType {
                offset: 512,
                kind: 9,
            },
        ),
        (
            "type-0xff",
            resealed(|h| h[512] = 0xff),
            AttributeType {
                offset: 512,
                kind: 0xff,
            },
        ),
        (
            "prefix",
            resealed(|h| h[515] = 1),
            AttributeMalformed {
                offset: 512,
                part: "prefix",
            },
        ),
        (
            "name-not-text",
            resealed(|h| h[516] = 0xff),
            AttributeMalformed {
                offset: 512,
                part: "name",
            },
        ),
        (
            "name-without-end",
            resealed(|h| h[516..].fill(b'n')),
            overrun(512, ""),
        ),
        (
            "string-without-end",
            with_attribute(0, long_string),
            overrun(512, "x"),
        ),
        (
            "length-past-header",
            with_attribute(0, attribute(0x0c, "x", &[1; 4000])),
            overrun(512, "x"),
        ),
        (
            "length-2^64-1",
            with_attribute(0, huge),
            overrun(512, "vmware.iv"),
        ),
        (
            "twice",
            with_attribute(1, attribute(0x0c, "vmware.iv", &[0; 12])),
            AttributeDuplicate {
                name: name("vmware.iv"),
            },
        ),
        (
            "iv-missing",
            with_attribute(0, vec![]),
            AttributeMissing { name: "vmware.iv" },
        ),
        (
            "key-info-missing",
            with_attribute(1, vec![]),
            AttributeMissing {
                name: "vmware.keyInfo",
            },
        ),
        (
            "cipher-missing",
            with_attribute(2, vec![]),
            AttributeMissing {
                name: "vmware.cipherName",
            },
        ),
        (
            "key-hash-missing",
            with_attribute(3, vec![]),
            AttributeMissing {
                name: "vmware.keyHash",
            },
        ),
        (
            "iv-of-16-bytes",
            with_attribute(0, attribute(0x0c, "vmware.iv", &[0; 16])),
            bytes12.clone(),
        ),
        (
            "iv-a-string",
            with_attribute(0, attribute(0x0b, "vmware.iv", b"twelve bytes")),
            bytes12,
        ),
        (
            "cipher-cbc",
            with_attribute(2, attribute(0x0b, "vmware.cipherName", b"AES-256-CBC")),
            Cipher {
                name: name("AES-256-CBC"),
            },
        ),
        (
            "another-key",
            with_attribute(1, attribute(0x0b, "vmware.keyInfo", b"7e62")),
            KeyId {
                wanted: name("7e62"),
                held: name(KEY_ID),
            },
        ),
        (
            "key-hash-wrong",
            with_attribute(3, attribute(0x0c, "vmware.keyHash", &[0; 32])),
            KeyHash {
                key_id: name(KEY_ID),
            },
        ),
    ];
    for (lie, file, want) in cases {
        assert_eq!(open(&file), Err(want), "{lie}");
    }
}

#[test]
fn each_lie_a_body_or_footer_tells_has_its_own_error() {
    use EnvelopeError::*;
    let good = fixtures::envelope(&content());
    let footer = good.len() - BLOCK;
    let part = AEAD_PART;
    let with = |at: usize, value: u8| {
        let mut file = good.clone();
        file[at] = value;
        file
    };
    let header = fixtures::header_block(&fixtures::attributes(HOST_IV));
    let body = |body: Vec<u8>| fixtures::seal(&header, HOST_IV, body);
    let mut bad_magic = fixtures::plaintext(&content(), &[0; 3192], 3192);
    bad_magic[8192 + 3584] = b'd';
    let mut bad_version = fixtures::plaintext(&content(), &[0; 3192], 3192);
    bad_version[8192 + 4092] = 1;
    let padding = |field| body(fixtures::plaintext(&content(), &[0; 3192], field));
    let crypto = CRYPTO_PART;
    let cases: Vec<(&str, Vec<u8>, EnvelopeError)> = vec![
        ("empty", vec![], TooShort { len: 0 }),
        ("two-blocks", good[..8192].to_vec(), TooShort { len: 8192 }),
        (
            "byte-missing",
            good[..good.len() - 1].to_vec(),
            Unaligned { len: 20_479 },
        ),
        (
            "byte-more",
            [good.as_slice(), b"\0"].concat(),
            Unaligned { len: 20_481 },
        ),
        (
            "footer-magic",
            with(footer, 0),
            Magic {
                part,
                expected: AEAD_MAGIC,
            },
        ),
        (
            "footer-pad",
            with(footer + 25, 1),
            NotZero {
                part,
                offset: 25,
                value: 1,
            },
        ),
        (
            "footer-rest",
            with(footer + 48, 1),
            NotZero {
                part,
                offset: 48,
                value: 1,
            },
        ),
        (
            "tag-of-12",
            with(footer + 4088, 12),
            Size {
                part,
                size: 12,
                known: 16,
            },
        ),
        (
            "footer-version-2",
            with(footer + 4092, 2),
            Version {
                part,
                version: 2,
                known: 1,
            },
        ),
        ("tag-wrong", with(footer + 32, good[footer + 32] ^ 1), Tag),
        ("body-wrong", with(4096, good[4096] ^ 1), Tag),
        (
            "crypto-magic",
            body(bad_magic),
            Magic {
                part: crypto,
                expected: CRYPTO_MAGIC,
            },
        ),
        (
            "crypto-version",
            body(bad_version),
            Version {
                part: crypto,
                version: 1,
                known: 2,
            },
        ),
        (
            "padding-longer-than-data",
            padding(8193),
            Padding {
                padding: 8193,
                room: 8192,
            },
        ),
        (
            "padding-2^32-1",
            padding(u32::MAX),
            Padding {
                padding: u32::MAX,
                room: 8192,
            },
        ),
    ];
    for (lie, file, want) in cases {
        assert_eq!(open(&file), Err(want), "{lie}");
    }
    assert_eq!(open(&padding(8192)).unwrap().content(), b"");
    assert_eq!(open(&padding(0)).unwrap().content().len(), 8192);
}
