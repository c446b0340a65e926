//! Archives, what is searched in them, and envelopes.

use super::super::repair;
use super::{KEYS, LIMITS};
use bootbank::edit::inventory::Inventory;
use bootbank::state::envelope::Envelope;
use bootbank::state::key_store::EncryptionInfo;
use bootbank::state::{Carries, ESX_CONF, Effort, MemberEdit, Saved, Sign, State};

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

/// An archive whose name says nothing of a configuration. Where the reader of states finds esx.conf in it, the search
/// has to; and a search that may unpack less finds no more, and says where it did not get to the end.
pub fn carrier(data: &[u8]) -> bool {
    let mut archive = data.to_vec();
    repair::tar(&mut archive);
    let packed = repair::gzip(&archive);
    let search = |sign: Sign, most: u64| {
        let mut left = most;
        let found = sign.search(&packed, &mut left);
        let unpacked = most.checked_sub(left).expect("it only takes off");
        assert!(
            unpacked <= archive.len() as u64,
            "more was unpacked than there is"
        );
        found
    };
    let settings = search(Sign::Settings, LIMITS.max_unpacked);
    let any = search(Sign::AnyFile, LIMITS.max_unpacked);
    let is_settings = settings != Carries::Yes || any == Carries::Yes;
    assert!(is_settings, "a file of settings is none of any");
    for part in 1..4 {
        let less = search(Sign::Settings, archive.len() as u64 * part / 4);
        assert!(
            less == settings || less == Carries::Unknown,
            "{less:?} of a part, {settings:?} of the whole"
        );
    }
    let Ok(state) = State::open("local.tgz", &*packed, &LIMITS, &KEYS) else {
        return false;
    };
    if state
        .content(ESX_CONF)
        .is_ok_and(|content| content.is_some())
    {
        assert_ne!(settings, Carries::No, "what a reader finds is not found");
    }
    settings == Carries::Yes
}

/// An encryption.info of mode NONE, with a key of its own.
const INFO: &[u8] = include_bytes!("../../templates/encryption.info");
/// The header of an envelope made with that key, and where its nonce is.
const HEADER: &[u8] = include_bytes!("../../templates/envelope-header.bin");
const IV_AT: usize = 512 + 4 + 10 + 8;
/// Lengths of the nonce that a host writes, and that the vendor's tool does.
const OF_HOST: usize = 12;
const OF_TOOL: usize = 16;
/// The key that INFO leads to.
const KEY: &[u8; 32] = include_bytes!("../../templates/key.bin");
/// Set in the first byte: the nonce is one of the vendor's tool.
const BY_TOOL: u8 = 0x80;

/// The header with a longer nonce.
fn header_of_tool() -> Vec<u8> {
    let mut header = HEADER.to_vec();
    let length = header.get_mut(IV_AT - 8).expect("the template");
    *length = OF_TOOL as u8;
    let end = IV_AT + OF_HOST;
    header.splice(end..end, [7; OF_TOOL - OF_HOST]);
    header.truncate(HEADER.len());
    header
}

/// First byte: 0 an encryption.info, 1 the attributes of a header, 2 the length of the padding
/// and the content.
pub fn envelope(data: &[u8]) -> bool {
    let Some((&how, rest)) = data.split_first() else {
        return false;
    };
    let info = EncryptionInfo::parse(INFO).expect("the template");
    let (mut plaintext, mut padding) = (Vec::new(), [0; 4]);
    let (mut header, nonce) = if how & BY_TOOL == 0 {
        (HEADER.to_vec(), OF_HOST)
    } else {
        (header_of_tool(), OF_TOOL)
    };
    match (how & !BY_TOOL) % 3 {
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
    let file = repair::envelope(&header, IV_AT..IV_AT + nonce, KEY, &plaintext);
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
