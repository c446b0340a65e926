//! Archives and envelopes.

use super::super::repair;
use super::{KEYS, LIMITS};
use bootbank::edit::inventory::Inventory;
use bootbank::state::envelope::Envelope;
use bootbank::state::key_store::EncryptionInfo;
use bootbank::state::{Effort, MemberEdit, Saved, State};

fn drive_state(name: &str, file: &[u8]) -> bool {
    let Ok(state) = State::open(name, file, &LIMITS, &KEYS) else {
        return false;
    };
    let warnings = state.warnings();
    let _: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    let mut inventory = Inventory::default();
    let _ = inventory.add_state(&state);
    let path = "etc/vmware/esx.conf";
    let Ok(Some(old)) = state.content(path) else {
        return false;
    };
    let content = [old, b"# more\n"].concat();
    let edit = MemberEdit::Replace {
        path: path.to_owned(),
        content: content.clone().into(),
    };
    if let Ok(edited) = state.edit(&[edit], Effort::Usual) {
        let again = State::open(name, &*edited, &LIMITS, &KEYS).expect("what was packed");
        assert!(
            again.content(path).unwrap() == Some(&content[..]),
            "the edit is not there"
        );
    }
    let changes = [
        MemberEdit::Add {
            path: "etc/added".to_owned(),
            content: vec![7; 700].into(),
            mode: 0o600,
            mtime: 0,
        },
        MemberEdit::Remove {
            path: "etc/hosts".to_owned(),
        },
    ];
    for change in changes {
        if let Ok(edited) = state.edit(&[change], Effort::Usual) {
            State::open(name, &*edited, &LIMITS, &KEYS).expect("what was packed");
        }
    }
    true
}

/// First byte: 0 a gzip file, 1 the outer archive, 2 the inner one; each otherwise sound.
pub fn state(data: &[u8]) -> bool {
    let Some((&how, rest)) = data.split_first() else {
        return false;
    };
    match how % 3 {
        0 => {
            let _ = Saved::open(rest, None, &LIMITS, &KEYS);
            let _ = Saved::rescue(rest, None, &LIMITS, &KEYS);
            bootbank::state::gzip::unpack(rest, LIMITS.max_unpacked).is_ok()
        }
        1 => {
            let mut outer = rest.to_vec();
            for (_, place) in repair::tar(&mut outer) {
                if let Some(member) = outer.get_mut(place) {
                    repair::stored_gzip(member);
                }
            }
            drive_state("state.tgz", &repair::gzip(&outer))
        }
        _ => {
            let mut inner = rest.to_vec();
            repair::tar(&mut inner);
            drive_state("local.tgz", &repair::gzip(&inner))
        }
    }
}

/// An encryption.info of mode NONE, with a key of its own.
const INFO: &[u8] = include_bytes!("../../templates/encryption.info");
/// The header of an envelope made with that key, and where its nonce is.
const HEADER: &[u8] = include_bytes!("../../templates/envelope-header.bin");
const IV_AT: usize = 512 + 4 + 10 + 8;
/// The key that INFO leads to.
const KEY: &[u8; 32] = include_bytes!("../../templates/key.bin");

/// First byte: 0 an encryption.info, 1 the attributes of a header, 2 the length of the padding
/// and the content.
pub fn envelope(data: &[u8]) -> bool {
    let Some((&how, rest)) = data.split_first() else {
        return false;
    };
    let info = EncryptionInfo::parse(INFO).expect("the template");
    let (mut header, mut plaintext, mut padding) = (HEADER.to_vec(), Vec::new(), [0; 4]);
    match how % 3 {
        0 => return EncryptionInfo::parse(rest).is_ok_and(|info| info.key_id().is_some()),
        1 => {
            let len = rest.len().min(4096 - 512);
            header[512..512 + len].copy_from_slice(&rest[..len]);
        }
        _ => {
            let Some((first, content)) = rest.split_first_chunk() else {
                return false;
            };
            padding = *first;
            plaintext.extend_from_slice(content);
        }
    }
    plaintext.resize(plaintext.len().next_multiple_of(4096), 0);
    let mut last = [0; 4096];
    last[3584..3609].copy_from_slice(b"DataTransformCryptoFooter");
    last[4088..4092].copy_from_slice(&padding);
    last[4092] = 2;
    plaintext.extend_from_slice(&last);
    let file = repair::envelope(&header, IV_AT, KEY, &plaintext);
    let Ok(envelope) = Envelope::parse(&file) else {
        return false;
    };
    let key = KEYS.key(&info).expect("the template");
    let id = info.key_id().expect("the template");
    let Ok(opened) = envelope.decrypt(&key, &id) else {
        return false;
    };
    let same = envelope.encrypt(&key, &id, &opened, opened.content());
    assert!(
        same.expect("an envelope that opened") == file,
        "unchanged content changes the file"
    );
    let _ = envelope.encrypt(&key, &id, &opened, b"other content");
    true
}
