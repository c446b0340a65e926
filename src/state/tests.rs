use super::fixtures::{self, KEY_STORE};
use super::*;
use crate::error::ErrorKind;

const CONF: &str = "etc/vmware/esx.conf";
const OLD: &[u8] = b"/device/000:26.7/owner = \"passthru\"\n";
const NEW: &[u8] = b"/device/000:26.7/owner = \"vmkernel\"\n";

fn local_tgz() -> Vec<u8> {
    fixtures::gzip(&fixtures::files(&[
        ("etc/passwd", b"root"),
        (CONF, OLD),
        ("etc/hosts", b"::1"),
    ]))
}

fn plain() -> Vec<u8> {
    fixtures::gzip(&fixtures::files(&[("local.tgz", &local_tgz())]))
}

/// Members in an order of their own, with others among them.
fn encrypted_with(key_store: &str, store: &[u8], envelope: &[u8]) -> Vec<u8> {
    fixtures::gzip(&fixtures::files(&[
        (key_store, store),
        ("whatever", b"else"),
        ("./local.tgz.ve", envelope),
    ]))
}

fn encrypted() -> Vec<u8> {
    let envelope = fixtures::envelope(&local_tgz());
    encrypted_with("encryption.info", KEY_STORE.as_bytes(), &envelope)
}

fn open(file_name: &str, bytes: &[u8]) -> Result<State, StateError> {
    State::open(file_name, bytes, &Limits::default(), &KeyCache::new())
}

fn give_back() -> MemberEdit {
    MemberEdit::Replace {
        path: CONF.to_owned(),
        content: Bytes::from_static(NEW),
    }
}

#[test]
fn every_form_opens_to_the_same_members_and_takes_the_same_edit() {
    let forms = [
        ("state.tgz", plain(), Form::Plain, vec!["local.tgz"]),
        (
            "STATE.TGZ",
            encrypted(),
            Form::Encrypted,
            vec!["encryption.info", "whatever", "local.tgz.ve"],
        ),
        ("local.tgz", local_tgz(), Form::Plain, vec![]),
    ];
    for (name, bytes, form, outer) in forms {
        let old = open(name, &bytes).unwrap();
        assert_eq!(old.form(), form, "{name}");
        assert_eq!(old.seal_mode(), None);
        let found: Vec<_> = old.outer_members().iter().map(Member::path).collect();
        assert_eq!(found, outer);
        assert_eq!(old.content(CONF), Ok(Some(OLD)));
        assert_eq!(old.warnings(), []);
        for effort in [Effort::Usual, Effort::Tightest] {
            let file = old.edit(&[give_back()], effort).unwrap();
            assert_eq!(file, old.edit(&[give_back()], effort).unwrap());
            let new = open(name, &file).unwrap();
            assert_eq!(new.form(), form);
            assert_eq!(new.content(CONF), Ok(Some(NEW)));
            assert_eq!(new.content("etc/passwd"), Ok(Some(b"root".as_slice())));
            assert_eq!(new.members().unwrap(), old.members().unwrap());
            assert_eq!(new.outer_content("whatever"), old.outer_content("whatever"));
        }
    }
}

#[test]
fn edits_that_change_nothing_give_the_file_as_it_was() {
    let same = MemberEdit::Replace {
        path: CONF.to_owned(),
        content: Bytes::from_static(OLD),
    };
    for bytes in [plain(), encrypted()] {
        let state = open("state.tgz", &bytes).unwrap();
        assert_eq!(
            state
                .edit(std::slice::from_ref(&same), Effort::Usual)
                .unwrap(),
            bytes
        );
        assert_eq!(state.edit(&[], Effort::Tightest).unwrap(), bytes);
    }
}

#[test]
fn a_key_is_derived_once_for_many_states_and_their_edits() {
    let keys = KeyCache::new();
    for _ in 0..5 {
        let state = State::open("state.tgz", encrypted(), &Limits::default(), &keys).unwrap();
        state.edit(&[give_back()], Effort::Usual).unwrap();
    }
    assert_eq!(keys.derivations(), 1);
}

#[test]
fn a_sealed_state_says_so_and_stays_shut() {
    let store = b"mode = \"TPM\"\n";
    let bytes = encrypted_with("encryption.info", store, b"no matter what");
    let state = open("state.tgz", &bytes).unwrap();
    assert_eq!(
        (state.form(), state.seal_mode()),
        (Form::Sealed, Some("TPM"))
    );
    assert_eq!(state.form().as_str(), "sealed");
    assert_eq!(state.outer_members().len(), 3);
    assert_eq!(
        state.outer_content("encryption.info"),
        Ok(Some(store.as_slice()))
    );
    let mode = "TPM".to_owned();
    let sealed = StateError::new("state.tgz", StateFault::Sealed { mode });
    assert_eq!(
        (sealed.kind(), sealed.layer()),
        (ErrorKind::Refused, "envelope")
    );
    assert_eq!(state.members(), Err(sealed.clone()));
    assert_eq!(state.content(CONF), Err(sealed.clone()));
    assert_eq!(state.edit(&[give_back()], Effort::Usual), Err(sealed));
}

/// The words may stand for the key in any of four orders; the header's hash says which.
#[test]
fn a_sealed_state_opens_with_its_recovery_key_and_is_changed_like_any_other() {
    let store = b"mode = \"TPM\"\nConfigEncData = \"keyId=%3d:sealed=x\"\n";
    let bytes = encrypted_with("encryption.info", store, &fixtures::envelope(&local_tgz()));
    let word = |low_first: bool, index: usize| {
        let pair = [fixtures::KEY[2 * index], fixtures::KEY[2 * index + 1]];
        if low_first {
            u16::from_le_bytes(pair)
        } else {
            u16::from_be_bytes(pair)
        }
    };
    for (from_last, low_first) in [(false, false), (false, true), (true, false), (true, true)] {
        let at = |index| if from_last { 15 - index } else { index };
        let words = std::array::from_fn(|index| word(low_first, at(index)));
        let key = RecoveryKey::parse(&fixtures::recovery_text(words)).unwrap();
        let keys = KeyCache::with_recovery_key(key);
        let open = |bytes: &[u8]| State::open("state.tgz", bytes, &Limits::default(), &keys);
        let state = open(&bytes).unwrap();
        assert_eq!(
            (state.form(), state.seal_mode()),
            (Form::Sealed, Some("TPM"))
        );
        assert!(state.is_open());
        let changed = open(&state.edit(&[give_back()], Effort::Usual).unwrap()).unwrap();
        assert_ne!(changed.content(CONF), state.content(CONF));
        assert_eq!(
            changed.outer_content("encryption.info"),
            Ok(Some(store.as_slice()))
        );
        // Without the key it is shut as before.
        let shut = State::open(
            "state.tgz",
            changed.as_bytes(),
            &Limits::default(),
            &KeyCache::new(),
        );
        assert!(!shut.unwrap().is_open());
    }
}

#[test]
fn a_recovery_key_of_another_host_is_refused_with_both_names() {
    let bytes = encrypted_with(
        "encryption.info",
        b"mode = \"TPM\"\n",
        &fixtures::envelope(&local_tgz()),
    );
    let id = "74AC4D68-FE47-491F-B529-6355D4AAF52C";
    let text = format!("{{{id}}} {}", fixtures::recovery_text([7; 16]));
    let keys = KeyCache::with_recovery_key(RecoveryKey::parse(&text).unwrap());
    let error = State::open("state.tgz", &bytes, &Limits::default(), &keys).unwrap_err();
    assert_eq!(
        (error.kind(), error.layer()),
        (ErrorKind::Refused, "envelope")
    );
    assert_eq!(
        error.to_string(),
        format!(
            "state.tgz:local.tgz.ve: this key does not belong to this state, or this release uses it \
             differently (recovery ID {id}, the state's key {})",
            fixtures::KEY_ID
        )
    );
    // A key whose hash fits and whose tag does not: the envelope was altered.
    let mut altered = fixtures::envelope(&local_tgz());
    altered[5000] ^= 1;
    let bytes = encrypted_with("encryption.info", b"mode = \"TPM\"\n", &altered);
    let words = std::array::from_fn(|i| {
        u16::from_be_bytes([fixtures::KEY[2 * i], fixtures::KEY[2 * i + 1]])
    });
    let key = RecoveryKey::parse(&fixtures::recovery_text(words)).unwrap();
    let keys = KeyCache::with_recovery_key(key);
    let error = State::open("state.tgz", &bytes, &Limits::default(), &keys).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
}

#[test]
fn the_hidden_name_of_the_key_store_is_understood() {
    let envelope = fixtures::envelope(&local_tgz());
    let bytes = encrypted_with(".#encryption.info", KEY_STORE.as_bytes(), &envelope);
    let state = open("state.tgz", &bytes).unwrap();
    assert_eq!(state.content(CONF), Ok(Some(OLD)));
    let both = fixtures::gzip(&fixtures::files(&[
        (".#encryption.info", b"garbage"),
        ("encryption.info", KEY_STORE.as_bytes()),
        ("local.tgz.ve", &envelope),
    ]));
    let state = open("state.tgz", &both).unwrap();
    let want = "state.tgz: holds .#encryption.info beside encryption.info";
    let said = state.warnings();
    assert_eq!(said[0].to_string(), want);
    assert_eq!(said.len(), 1);
}

#[test]
fn warnings_name_the_layer_they_come_from() {
    let local = fixtures::gzip(&fixtures::files(&[(CONF, b"1"), (CONF, OLD)]));
    let bytes = fixtures::gzip(&fixtures::files(&[
        ("local.tgz", b"old"),
        ("local.tgz", &local),
    ]));
    let state = open("state.tgz", &bytes).unwrap();
    let twice = "is in the archive more than once; the last copy counts";
    let want = [
        format!("state.tgz: local.tgz {twice}"),
        format!("state.tgz:local.tgz: {CONF} {twice}"),
    ];
    let said = state.warnings();
    let said: Vec<String> = said.iter().map(ToString::to_string).collect();
    assert_eq!(said, want);
    let file = state.edit(&[give_back()], Effort::Usual).unwrap();
    let new = open("state.tgz", &file).unwrap();
    assert_eq!(new.content(CONF), Ok(Some(NEW)));
    assert_eq!(new.members().unwrap().len(), 2);
}

#[test]
fn each_layer_reports_its_own_damage() {
    use ErrorKind::*;
    let outer = |members: &[(&str, &[u8])]| fixtures::gzip(&fixtures::files(members));
    let envelope = fixtures::envelope(&local_tgz());
    let not_an_archive = fixtures::envelope(b"no archive");
    let mut altered = envelope.clone();
    altered[5000] ^= 1;
    let store = KEY_STORE.as_bytes();
    let cut = &local_tgz()[..100];
    let big = [0; 2048];
    let cases: Vec<(&str, Vec<u8>, ErrorKind, &str, &str)> = vec![
        (
            "empty",
            vec![],
            Damaged,
            "gzip",
            "state.tgz: the file is empty",
        ),
        (
            "trailing",
            [plain(), vec![0]].concat(),
            Damaged,
            "gzip",
            "state.tgz: other data follow the gzip trailer at offset ",
        ),
        (
            "not-tar",
            fixtures::gzip(&[1; 512]),
            Damaged,
            "tar",
            "state.tgz: the tar checksum of the header at offset 0 is wrong",
        ),
        (
            "no-inner",
            outer(&[(CONF, OLD)]),
            Damaged,
            "tar",
            "state.tgz: holds neither local.tgz nor local.tgz.ve",
        ),
        (
            "both",
            outer(&[("local.tgz", cut), ("local.tgz.ve", cut)]),
            Unsupported,
            "tar",
            "state.tgz: holds both local.tgz and local.tgz.ve",
        ),
        (
            "inner-cut",
            outer(&[("local.tgz", cut)]),
            Damaged,
            "gzip",
            "state.tgz:local.tgz: the gzip file is cut off",
        ),
        (
            "inner-not-tar",
            outer(&[("local.tgz", &fixtures::gzip(&big[..1]))]),
            Damaged,
            "tar",
            "state.tgz:local.tgz: the archive stops at offset 0",
        ),
        (
            "no-key-store",
            outer(&[("local.tgz.ve", &envelope)]),
            Damaged,
            "envelope",
            "state.tgz: holds local.tgz.ve but no encryption.info",
        ),
        (
            "key-store-broken",
            encrypted_with("encryption.info", b"mode", &envelope),
            Damaged,
            "envelope",
            "state.tgz:encryption.info: line 1",
        ),
        (
            "hidden-key-store-broken",
            encrypted_with(".#encryption.info", b"mode", &envelope),
            Damaged,
            "envelope",
            "state.tgz:.#encryption.info: line 1",
        ),
        (
            "envelope-altered",
            encrypted_with("encryption.info", store, &altered),
            Damaged,
            "envelope",
            "state.tgz:local.tgz.ve: the authentication tag is wrong",
        ),
        (
            "envelope-holds-no-gzip",
            encrypted_with("encryption.info", store, &not_an_archive),
            Damaged,
            "gzip",
            "state.tgz:local.tgz.ve: this is not gzip",
        ),
    ];
    for (lie, bytes, kind, layer, message) in cases {
        let err = open("state.tgz", &bytes).unwrap_err();
        assert!(err.to_string().starts_with(message), "{lie}: {err}");
        assert_eq!((err.kind(), err.layer()), (kind, layer), "{lie}");
    }
    // Under another name the content tells what it is.
    assert!(open("onetime.tgz", &plain()).is_ok());
    let other = fixtures::gzip(&fixtures::archive(&[fixtures::member("usr/x", b'0', b"x")]));
    let err = open("other.tgz", &other).unwrap_err();
    assert_eq!(err.kind(), Usage);
    let dir = fixtures::gzip(&fixtures::archive(&[fixtures::member(
        "local.tgz/",
        b'5',
        b"",
    )]));
    let err = open("state.tgz", &dir).unwrap_err();
    assert_eq!(err.not_a_file(), Some(MemberKind::Directory));
}

#[test]
fn both_archives_are_held_to_the_limit() {
    let open = |bytes: &[u8], max_unpacked| {
        State::open(
            "state.tgz",
            bytes,
            &Limits::each(max_unpacked),
            &KeyCache::new(),
        )
        .map(|_| ())
    };
    let inner_bomb = gzip::pack(
        &gzip::Header::host(),
        &fixtures::files(&[("zeros", &vec![0; 1 << 20])]),
        Effort::Tightest,
    )
    .unwrap();
    let bytes = fixtures::gzip(&fixtures::files(&[("local.tgz", &inner_bomb)]));
    assert_eq!(open(&bytes, 2 << 20), Ok(()));
    for (limit, at) in [(1 << 20, "state.tgz:local.tgz"), (1000, "state.tgz")] {
        let want = StateError::new(at, gzip::GzipError::OverLimit { limit });
        assert_eq!(open(&bytes, limit), Err(want));
    }
    let limits = Limits::each(16 << 10);
    let state = State::open("state.tgz", plain(), &limits, &KeyCache::new()).unwrap();
    let large = MemberEdit::Replace {
        path: CONF.to_owned(),
        content: vec![0; 16 << 10].into(),
    };
    let err = state.edit(&[large], Effort::Usual).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Refused);
}

/// A changed archive shares its bytes with the old one: the budget is asked for what it packs to.
#[test]
fn while_a_state_is_packed_only_what_comes_out_is_held_beside_it() {
    let mut noise = 1u32;
    let mut noisy = || {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.to_be_bytes()[0]
    };
    let still: Vec<u8> = vec![7; 1 << 20];
    let noise: Vec<u8> = (0..1 << 20).map(|_| noisy()).collect();
    for (file, fits) in [(still, true), (noise, false)] {
        let inner = fixtures::gzip(&fixtures::files(&[(CONF, OLD), ("large", &file)]));
        let bytes = fixtures::gzip(&fixtures::files(&[("local.tgz", &inner)]));
        let open =
            |limits: &Limits| State::open("state.tgz", &bytes, limits, &KeyCache::new()).unwrap();
        let unpacked = open(&Limits::default()).unpacked_len();
        let budget = Budget::new(unpacked + (600 << 10));
        let limits = Limits {
            budget: Some(budget),
            ..Limits::default()
        };
        let edited = open(&limits).edit(&[give_back()], Effort::Usual);
        if fits {
            assert!(edited.is_ok())
        } else {
            assert_eq!(edited.unwrap_err().kind(), ErrorKind::Refused)
        }
    }
}
