//! What holds for every file, whoever wrote it.

use super::*;
use proptest::prelude::*;

fn any_line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "(/[a-z]{1,4}){1,3} ?= ?\"[ -!#-~]{0,8}\"".prop_map(String::into_bytes),
        "/device/000:[0-3][0-9]\\.[0-7]/(owner|vmkname) = \"(passthru|vmkernel|x\"y)\""
            .prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..24),
    ]
}

fn any_file() -> impl Strategy<Value = Vec<u8>> {
    let ending = prop_oneof![Just(&b"\n"[..]), Just(&b"\r\n"[..])];
    proptest::collection::vec((any_line(), ending), 0..20).prop_map(|lines| {
        lines
            .into_iter()
            .flat_map(|(line, end)| [line, end.to_vec()].concat())
            .collect()
    })
}

proptest! {
    #[test]
    fn a_parsed_file_gives_its_bytes_back(bytes in any_file()) {
        let file = conf(&bytes);
        prop_assert_eq!(file.as_bytes(), bytes.as_slice());
        prop_assert_eq!(conf(file.as_bytes()), file);
    }

    #[test]
    fn setting_a_value_changes_the_bytes_between_its_quotes_alone(
        bytes in any_file(), pick: prop::sample::Index, value in "[ -!#-~é]{0,12}"
    ) {
        let file = conf(&bytes);
        let keys: Vec<String> = file.entries().map(|e| e.key.to_owned()).collect();
        prop_assume!(!keys.is_empty());
        let key = &keys[pick.index(keys.len())];
        let Ok(after) = file.set(key, &value) else { return Ok(()) };
        // Every line but those of the key is untouched, and those differ only inside the quotes.
        let (old, new) = (lines(file.as_bytes()), lines(after.as_bytes()));
        prop_assert_eq!(old.len(), new.len());
        let changed: Vec<usize> = file.entries().filter(|e| e.key == key).map(|e| e.line - 1).collect();
        for (index, (old, new)) in old.iter().zip(&new).enumerate() {
            if changed.contains(&index) {
                let quote = old.iter().position(|b| *b == b'"').unwrap();
                let close = old.iter().rposition(|b| *b == b'"').unwrap();
                let expected = [&old[..=quote], value.as_bytes(), &old[close..]].concat();
                prop_assert_eq!(new, &expected);
            } else {
                prop_assert_eq!(old, new);
            }
        }
        prop_assert_eq!(after.get(key), Some(value.as_str()));
    }

    /// But for the order of new lines that belong behind the same line.
    #[test]
    fn setting_many_at_once_is_setting_one_after_the_other(
        bytes in any_file(),
        settings in proptest::collection::vec(("(/[ab]{1,2}){1,4}", "[a-z]{0,3}"), 0..8),
        unset in proptest::collection::vec(any::<prop::sample::Index>(), 0..3),
    ) {
        let file = conf(&bytes);
        let settings: Vec<(&str, &str)> = settings.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let mut one_by_one = Ok(file.clone());
        for (key, value) in &settings {
            one_by_one = one_by_one.and_then(|file| file.set(key, value));
        }
        let at_once = file.set_all(&settings);
        prop_assert_eq!(at_once.is_ok(), one_by_one.is_ok());
        let (Ok(at_once), Ok(one_by_one)) = (at_once, one_by_one) else { return Ok(()) };
        prop_assert_eq!(sorted_lines(&at_once), sorted_lines(&one_by_one));
        let keys: Vec<String> = at_once.entries().map(|e| e.key.to_owned()).collect();
        prop_assume!(!keys.is_empty());
        let gone: Vec<&str> = unset.iter().map(|pick| keys[pick.index(keys.len())].as_str()).collect();
        let Ok(without) = at_once.unset_all(&gone) else { return Ok(()) };
        prop_assert!(without.entries().all(|e| !gone.contains(&e.key)));
        let kept = at_once.entries().filter(|e| !gone.contains(&e.key)).count();
        prop_assert_eq!(without.entries().count(), kept);
    }

    #[test]
    fn a_new_key_adds_one_line_and_unset_takes_it_away(bytes in any_file(), value in "[a-z ]{0,8}") {
        let file = conf(&bytes);
        prop_assume!(bytes.is_empty() || bytes.ends_with(b"\n"));
        let added = file.set("/zz/new", &value);
        let Ok(added) = added else { return Ok(()) };
        prop_assume!(file.get("/zz/new").is_none());
        prop_assert_eq!(added.get("/zz/new"), Some(value.as_str()));
        prop_assert_eq!(added.unset("/zz/new").unwrap(), file);
    }

    #[test]
    fn after_giving_every_device_back_none_is_passed_through(bytes in any_file()) {
        let file = conf(&bytes);
        let passed: Vec<String> =
            file.devices().into_iter().filter(|d| d.passthrough).map(|d| d.key).collect();
        let keys: Vec<&str> = passed.iter().map(String::as_str).collect();
        let Ok(fixed) = file.set_owner(&keys, Owner::Vmkernel) else { return Ok(()) };
        prop_assert!(fixed.devices().iter().all(|d| !d.passthrough));
        prop_assert_eq!(fixed.as_bytes().len(), bytes.len());
    }
}

fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect()
}

fn sorted_lines(conf: &EsxConf) -> Vec<Vec<u8>> {
    let mut lines = lines(conf.as_bytes());
    lines.sort();
    lines
}
