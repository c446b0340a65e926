//! A real host's encrypted state, where somebody has put one.
//!
//! `local.tgz.ve` and `encryption.info` of a 7.0.2 host belong in `target/real-state/`, or in the
//! directory `BOOTBANK_REAL_STATE` names. They are in the tests/data directory of the source
//! package dissect.hypervisor 3.7 and are not part of this project. Without them nothing is
//! tested here, which the test says.

// Clippy exempts test functions only, not what they share.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "common/skipping.rs"]
mod skipping;
mod state_judges;

use bootbank::state::archive::Archive;
use bootbank::state::envelope::Envelope;
use bootbank::state::key_store::EncryptionInfo;
use bootbank::state::{Effort, Form, KeyCache, Limits, MemberEdit, State, gzip};
use skipping::skipped;
use std::path::PathBuf;

const CONF: &str = "etc/vmware/esx.conf";

/// Decrypts `local.tgz.ve` with `encryption.info`, both in the directory of the first argument,
/// into the file of the second.
const DECRYPT: &str = concat!(
    include_str!("common/envelope.py"),
    r#"
import sys, pathlib
directory, out = map(pathlib.Path, sys.argv[1:])
local, info = ((directory / name).read_bytes() for name in ("local.tgz.ve", "encryption.info"))
out.write_bytes(opened(local, info))
"#
);

struct Real {
    envelope: Vec<u8>,
    key_store: Vec<u8>,
}

fn real() -> Option<Real> {
    let directory = std::env::var_os("BOOTBANK_REAL_STATE").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/real-state"),
        PathBuf::from,
    );
    let read = |name| std::fs::read(directory.join(name)).ok();
    let real = read("local.tgz.ve").zip(read("encryption.info"));
    if real.is_none() {
        skipped(format!(
            "no local.tgz.ve and encryption.info in {directory:?}"
        ));
    }
    real.map(|(envelope, key_store)| Real {
        envelope,
        key_store,
    })
}

/// The real files in an outer archive made here, since the sample comes without one.
fn state_tgz(real: &Real) -> Vec<u8> {
    let add = |path: &str, content: &[u8], mode| MemberEdit::Add {
        path: path.to_owned(),
        content: content.to_vec().into(),
        mode,
        mtime: 1_628_668_000,
    };
    let outer = Archive::parse(vec![0; 1024]).unwrap();
    let outer = outer
        .edit(&[
            add("local.tgz.ve", &real.envelope, 0o644),
            add("encryption.info", &real.key_store, 0o600),
        ])
        .unwrap();
    gzip::pack(
        &gzip::Header::host(),
        &outer.bytes().to_vec(),
        Effort::Usual,
    )
    .unwrap()
}

#[test]
fn a_real_envelope_written_back_unchanged_is_the_same_bit_for_bit() {
    let Some(real) = real() else { return };
    let info = EncryptionInfo::parse(&real.key_store).unwrap();
    let key = KeyCache::new().key(&info).unwrap();
    let id = info.key_id().unwrap();
    let envelope = Envelope::parse(&real.envelope).unwrap();
    let plaintext = envelope.decrypt(&key, &id).unwrap();
    let again = envelope
        .encrypt(&key, &id, &plaintext, plaintext.content())
        .unwrap();
    assert!(again == real.envelope);
}

#[test]
fn an_edit_of_a_real_state_changes_one_member_for_python_and_tar_too() {
    let Some(real) = real() else { return };
    let (limits, keys) = (Limits::default(), KeyCache::new());
    let old = State::open("state.tgz", state_tgz(&real), &limits, &keys).unwrap();
    assert_eq!(old.form(), Form::Encrypted);
    assert_eq!(old.members().unwrap().len(), 36);
    assert_eq!(old.warnings(), []);
    let mut conf = old.content(CONF).unwrap().unwrap().to_vec();
    conf.extend_from_slice(b"/device/0000:00:1a.7/owner = \"passthru\"\n");
    let edit = MemberEdit::Replace {
        path: CONF.to_owned(),
        content: conf.clone().into(),
    };
    let file = old.edit(&[edit], Effort::Usual).unwrap();
    let new = State::open("state.tgz", &*file, &limits, &keys).unwrap();
    assert_eq!(keys.derivations(), 1);

    let directory = tempfile::tempdir().unwrap();
    let unpacked = |state: &State, name: &str| {
        let directory = directory.path().join(name);
        std::fs::create_dir(&directory).unwrap();
        for member in ["local.tgz.ve", "encryption.info"] {
            let content = state.outer_content(member).unwrap().unwrap();
            std::fs::write(directory.join(member), content).unwrap();
        }
        let tgz = directory.join("local.tgz");
        state_judges::python(DECRYPT, &[&directory, &tgz]);
        tgz
    };
    let (old_tgz, new_tgz) = (unpacked(&old, "old"), unpacked(&new, "new"));
    let mut before = state_judges::members(&old_tgz);
    let mut after = state_judges::members(&new_tgz);
    assert_eq!(before.len(), 36);
    assert_ne!(before.remove(CONF), after.remove(CONF));
    assert_eq!(before, after);
    assert_eq!(state_judges::extract(&new_tgz, CONF), conf);
}
