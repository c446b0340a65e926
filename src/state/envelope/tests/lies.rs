//! What an envelope says of itself that is not so.

use super::*;

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
        expected: "12 bytes, or 16",
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
            "iv-of-15-bytes",
            with_attribute(0, attribute(0x0c, "vmware.iv", &[0; 15])),
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
