use super::*;
use crate::state::fixtures::{KEY, KEY_ID, KEY_STORE};

#[test]
fn the_key_is_the_one_python_derives() {
    let info = EncryptionInfo::parse(KEY_STORE.as_bytes()).unwrap();
    assert_eq!(info.mode(), "NONE");
    assert_eq!(info.key_id().as_deref(), Some(KEY_ID));
    let key = KeyCache::new().key(&info).unwrap();
    assert_eq!(key.as_bytes(), &KEY);
}

#[test]
fn a_hundred_clones_on_four_threads_derive_one_key() {
    let cache = KeyCache::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let info = EncryptionInfo::parse(KEY_STORE.as_bytes()).unwrap();
                    assert_eq!(cache.key(&info).unwrap().as_bytes(), &KEY);
                }
            });
        }
    });
    assert_eq!(cache.derivations(), 1);
    let other = KEY_STORE.replace("data2=4OHi", "data2=4OHj");
    let other = EncryptionInfo::parse(other.as_bytes()).unwrap();
    assert_ne!(cache.key(&other).unwrap().as_bytes(), &KEY);
    assert_eq!(cache.derivations(), 2);
}

#[test]
fn a_key_is_never_shown() {
    let info = EncryptionInfo::parse(KEY_STORE.as_bytes()).unwrap();
    let cache = KeyCache::new();
    let key = cache.key(&info).unwrap();
    let shown = format!("{info:?} {key:?} {cache:?}");
    assert!(shown.contains("Key(..)"), "{shown}");
    assert!(
        !shown.contains("181") && !shown.contains("240, 241"),
        "{shown}"
    );
}

#[test]
fn a_sealed_store_tells_its_mode_and_nothing_else_is_asked_of_it() {
    for text in [
        "mode = \"TPM\"\nConfigEncData = \"keyId=x:sealed=%zz\"\n",
        "mode=\"TPM\"",
        "# a comment\r\n\r\n.encoding = \"EBCDIC\"\r\nmode = \"TPM\"\r\n",
    ] {
        let info = EncryptionInfo::parse(text.as_bytes()).unwrap();
        assert_eq!(info.mode(), "TPM", "{text}");
        assert_eq!(info.key_id(), None);
        let sealed = KeyStoreError::Sealed {
            mode: "TPM".to_owned(),
        };
        assert_eq!(sealed.kind(), ErrorKind::Refused);
        assert_eq!(KeyCache::new().key(&info).unwrap_err(), sealed);
    }
}

#[test]
fn each_malformation_has_its_own_error() {
    use KeyStoreError::*;
    let with = |from: &str, to: &str| {
        assert!(KEY_STORE.contains(from), "{from}");
        KEY_STORE.replace(from, to)
    };
    let text = |text: &str| text.to_owned();
    let cases: Vec<(&str, String, KeyStoreError)> = vec![
        ("empty", text(""), Missing { name: "mode" }),
        ("no-equals", with("mode = ", "mode "), Line { line: 3 }),
        ("no-quotes", with("\"NONE\"", "NONE"), Line { line: 3 }),
        ("one-quote", with("\"NONE\"", "\""), Line { line: 3 }),
        (
            "stray-quote",
            with("\"NONE\"", "\"NO\"NE\""),
            Line { line: 3 },
        ),
        ("no-name", with("mode =", "="), Line { line: 3 }),
        (
            "mode-twice",
            with("includeKeyCache", "mode"),
            Duplicate { name: text("mode") },
        ),
        ("no-mode", with("mode", "mood"), Missing { name: "mode" }),
        (
            "encoding-unknown",
            with("UTF-8", "UTF-16"),
            Encoding {
                value: text("UTF-16"),
            },
        ),
        (
            "no-data",
            with("ConfigEncData", "Other"),
            Missing {
                name: "ConfigEncData",
            },
        ),
        (
            "field-without-value",
            with("keyId=", "keyId:"),
            Field { index: 1 },
        ),
        (
            "no-key-id",
            with("keyId=", "kid="),
            Missing { name: "keyId" },
        ),
        (
            "no-data1",
            with("data1=", "data3="),
            Missing { name: "data1" },
        ),
        (
            "no-data2",
            with("data2=", "data3="),
            Missing { name: "data2" },
        ),
        (
            "data-twice",
            with("data2=", "data1="),
            Duplicate {
                name: text("data1"),
            },
        ),
        (
            "no-version",
            with(":version=1", ""),
            Missing { name: "version" },
        ),
        (
            "version-2",
            with("version=1", "version=2"),
            Version { value: text("2") },
        ),
        (
            "percent-not-hex",
            with("Hw%3d", "Hw%3g"),
            PercentEncoding { name: "keyId" },
        ),
        (
            "percent-cut",
            with("+/w%3d%3d", "+/w%3d%3"),
            PercentEncoding { name: "data1" },
        ),
        ("not-base64", with("4OHi", "4O!i"), Base64 { name: "data2" }),
        (
            "no-base64-padding",
            with("Hw%3d%3d", "Hw"),
            Base64 { name: "keyId" },
        ),
        (
            "too-short",
            with("8PHy8/T1", "8PHy"),
            Length {
                name: "data1",
                len: 13,
            },
        ),
        (
            "too-long",
            with("4OHi", "4OHi4OHi"),
            Length {
                name: "data2",
                len: 19,
            },
        ),
    ];
    for (lie, text, want) in cases {
        let got = EncryptionInfo::parse(text.as_bytes()).map(|info| info.mode().to_owned());
        assert_eq!(got, Err(want), "{lie}");
    }
    let binary = EncryptionInfo::parse(b"mode = \"\xff\"").unwrap_err();
    assert_eq!(binary, NotText { offset: 8 });
    let long = EncryptionInfo::parse(&[b'\n'; 65_537]).unwrap_err();
    assert_eq!(long, TooLong { len: 65_537 });
}
