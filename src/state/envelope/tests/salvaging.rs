//! What is left of an envelope that is damaged.

use super::*;

fn salvage(file: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
    Envelope::salvage(file, &key(), KEY_ID)
}

#[test]
fn damage_stays_where_it_is() {
    let mut file = fixtures::envelope(&content());
    let whole = salvage(&file).unwrap();
    assert!(whole.starts_with(&content()));
    file[4096 + 1000] ^= 0x10;
    let mut expected = whole.clone();
    expected[1000] ^= 0x10;
    assert_eq!(salvage(&file).unwrap(), expected);
    // What is cut off is missing, and nothing else.
    file.truncate(4096 + 3000);
    assert_eq!(salvage(&file).unwrap(), expected[..3000]);
}

#[test]
fn without_its_header_or_its_key_nothing_is_salvaged() {
    let file = fixtures::envelope(&content());
    assert_eq!(
        salvage(&file[..4095]).unwrap_err(),
        EnvelopeError::TooShort { len: 4095 }
    );
    let other = Envelope::salvage(&file, &key(), "another");
    assert!(matches!(other, Err(EnvelopeError::KeyId { .. })));
}

#[test]
fn an_envelope_is_known_by_its_beginning() {
    let file = fixtures::envelope(&content());
    assert!(Envelope::is_one(&file) && Envelope::is_one(&file[..100]));
    assert!(!Envelope::is_one(&file[1..]) && !Envelope::is_one(b"\x1f\x8b"));
}

#[test]
fn a_fault_of_this_program_is_no_damage() {
    assert_eq!(EnvelopeError::Verification.kind(), ErrorKind::Refused);
    assert_eq!(EnvelopeError::Tag.kind(), ErrorKind::Damaged);
}
