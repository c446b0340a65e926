mod properties;

use super::*;
use crate::error::ErrorKind;
use crate::ownership::Owner;
use crate::pci::PciAddress;

fn conf(text: impl AsRef<[u8]>) -> EsxConf {
    EsxConf::parse(text.as_ref().to_vec()).unwrap()
}

fn text(conf: &EsxConf) -> &str {
    std::str::from_utf8(conf.as_bytes()).unwrap()
}

fn address(text: &str) -> PciAddress {
    text.parse().unwrap()
}

/// Lines as published from a 4.0 host, with a neighbour of another kind.
const PUBLISHED: &str = concat!(
    "/system/uuid = \"5fb27665-83f4-b1f5-3e9f-000c29801686\"\n",
    "/device/000:26.7/owner = \"vmkernel\"\n",
    "/device/000:27.0/owner = \"passthru\"\n",
    "/device/000:30.0/owner = \"passthru\"\n",
    "/device/001:00.0/owner = \"passthru\"\n",
    "/device/000:31.2/vmkname = \"vmhba0\"\n",
);

#[test]
fn the_devices_of_a_published_file_are_read_with_owner_address_and_alias() {
    let devices = conf(PUBLISHED).devices();
    let seen: Vec<_> = devices
        .iter()
        .map(|d| {
            (
                d.key.as_str(),
                d.address.unwrap().lspci(),
                d.passthrough,
                d.alias.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("/device/000:26.7/owner", "00:1a.7".to_owned(), false, None),
            ("/device/000:27.0/owner", "00:1b.0".to_owned(), true, None),
            ("/device/000:30.0/owner", "00:1e.0".to_owned(), true, None),
            ("/device/001:00.0/owner", "01:00.0".to_owned(), true, None),
            (
                "/device/000:31.2/owner",
                "00:1f.2".to_owned(),
                false,
                Some("vmhba0")
            ),
        ]
    );
    assert_eq!(devices[4].owner, None);
    assert!(devices[4].is_storage() && !devices[1].is_storage());
}

#[test]
fn giving_devices_back_changes_eight_bytes_each_and_nothing_else() {
    let before = conf(PUBLISHED);
    let keys = ["/device/000:27.0/owner", "/device/001:00.0/owner"];
    let after = before.set_owner(&keys, Owner::Vmkernel).unwrap();
    let expected = PUBLISHED
        .replace("27.0/owner = \"passthru", "27.0/owner = \"vmkernel")
        .replace("001:00.0/owner = \"passthru", "001:00.0/owner = \"vmkernel");
    assert_eq!(text(&after), expected);
    assert_eq!(after.set_owner(&keys, Owner::Vmkernel).unwrap(), after);
    assert_eq!(after.set_owner(&keys, Owner::Passthru).unwrap(), before);
}

#[test]
fn only_exactly_passthru_means_passed_through_and_other_values_are_kept() {
    for value in [
        "Passthru",
        "passthru ",
        "",
        "passthrough",
        "OWNER_PASSTHRU",
        "module",
    ] {
        let file = conf(format!("/device/000:26.7/owner = \"{value}\"\n"));
        let device = &file.devices()[0];
        assert_eq!(
            (device.passthrough, device.owner.as_deref()),
            (false, Some(value))
        );
        let key = device.key.clone();
        assert_eq!(file.set_owner(&[&key], Owner::Vmkernel).unwrap(), file);
        let set = file.set_owner(&[&key], Owner::Passthru).unwrap();
        assert_eq!(text(&set), "/device/000:26.7/owner = \"passthru\"\n");
    }
}

#[test]
fn what_a_4x_host_writes_about_a_device_is_shown() {
    let file = conf(concat!(
        "/device/000:26.7/class = \"0c0320\"\n/device/000:26.7/devID = \"3a3c\"\n",
        "/device/000:26.7/name = \"USB2 EHCI Controller\"\n/device/000:26.7/options = \"\"\n",
        "/device/000:26.7/owner = \"passthru\"\n/device/000:26.7/vendor = \"8086\"\n",
    ));
    let devices = file.devices();
    let [device] = devices.as_slice() else {
        panic!("one device expected: {devices:?}")
    };
    assert_eq!(device.name.as_deref(), Some("USB2 EHCI Controller"));
    assert!(device.class.unwrap().is_usb());
    assert_eq!(device.vendor_id.as_deref(), Some("8086"));
    assert_eq!(device.device_id.as_deref(), Some("3a3c"));
}

#[test]
fn every_line_of_a_duplicate_owner_is_made_to_agree() {
    let file = conf(concat!(
        "/device/000:26.7/owner = \"passthru\"\n/device/000:27.0/owner = \"vmkernel\"\n",
        "/device/000:26.7/owner = \"vmkernel\"\n/device/000:26.7/owner = \"passthru\"\n",
    ));
    let device = &file.devices()[0];
    assert!(device.passthrough);
    assert_eq!(device.owner.as_deref(), Some("passthru"));
    assert_eq!(device.shadowed, ["vmkernel"]);
    let notes: Vec<_> = file.notes().iter().map(|n| (n.line, n.kind)).collect();
    assert_eq!(notes, [(3, NoteKind::DuplicateOwner)]);
    let fixed = file
        .set_owner(&["/device/000:26.7/owner"], Owner::Vmkernel)
        .unwrap();
    assert_eq!(text(&fixed), text(&file).replace("passthru", "vmkernel"));
    assert!(!fixed.devices()[0].passthrough);
}

#[test]
fn a_device_counts_as_passed_through_whichever_of_its_lines_says_so() {
    for values in [["passthru", "vmkernel"], ["vmkernel", "passthru"]] {
        let [first, second] = values.map(|v| format!("/device/000:26.7/owner = \"{v}\"\n"));
        let device = conf(first + &second).devices().remove(0);
        assert!(device.passthrough);
        assert_eq!(
            (device.owner.as_deref(), device.shadowed),
            (Some("passthru"), vec!["vmkernel".into()])
        );
    }
}

#[test]
fn spacing_line_ends_and_a_missing_last_newline_are_kept() {
    let before = "\t/device/000:26.7/owner=\"passthru\" \r\n\r\n# /device/000:29.7/owner = \"passthru\"\r\n \
                  /a/b   =\t\"\"\r\n/device/000:29.7/owner = \"passthru\"";
    let file = conf(before);
    assert_eq!(file.notes(), []);
    assert_eq!(file.get("/a/b"), Some(""));
    let keys = ["/device/000:26.7/owner", "/device/000:29.7/owner"];
    let after = file.set_owner(&keys, Owner::Vmkernel).unwrap();
    let expected = before
        .replace("=\"passthru\" ", "=\"vmkernel\" ")
        .replace("29.7/owner = \"passthru\"", "29.7/owner = \"vmkernel\"")
        .replace(
            "# /device/000:29.7/owner = \"vmkernel\"",
            "# /device/000:29.7/owner = \"passthru\"",
        );
    assert_eq!(text(&after), expected);
}

#[test]
fn lines_that_are_not_of_the_form_are_kept_noted_and_never_changed() {
    let long = format!("/a/long = \"{}\"\n", "x".repeat(8192));
    let cases: [(&[u8], NoteKind); 14] = [
        (b"gibberish\n", NoteKind::Unparsed),
        (b"key = \"no slash\"\n", NoteKind::Unparsed),
        (b"/a/b = unquoted\n", NoteKind::Unparsed),
        (b"/a/b = \"open\n", NoteKind::Unparsed),
        (b"/a/b = \"\n", NoteKind::Unparsed),
        (b"/a/b \"x\"\n", NoteKind::Unparsed),
        (b"/a/b = \"nul\0\"\n", NoteKind::Unparsed),
        (b"/a/b = \"\xff\xfe\"\n", NoteKind::NotUtf8),
        (b"/a/b = \"say \"hello\" there\"\n", NoteKind::StrayQuote),
        (long.as_bytes(), NoteKind::TooLong),
        (b"/device/000:29.7/owner = \"passthru\n", NoteKind::OddOwner),
        (
            b"/device/000:29.7/owner = \"pass\"thru\" \"passthru\"\n",
            NoteKind::OddOwner,
        ),
        (b"/device/000:29.7/owner = passthru\n", NoteKind::OddOwner),
        (
            b"\xef\xbb\xbf/device/000:29.7/owner = \"passthru\"\n",
            NoteKind::OddOwner,
        ),
    ];
    for (odd, kind) in cases {
        let shown = String::from_utf8_lossy(odd);
        let mut bytes = odd.to_vec();
        bytes.extend_from_slice(b"/device/000:26.7/owner = \"passthru\"\n");
        let file = conf(&bytes);
        let notes: Vec<_> = file.notes().iter().map(|n| (n.line, n.kind)).collect();
        assert_eq!(notes, [(1, kind)], "{shown}");
        assert_eq!(file.devices().len(), 1, "{shown}");
        let fixed = file
            .set_owner(&["/device/000:26.7/owner"], Owner::Vmkernel)
            .unwrap();
        assert!(fixed.as_bytes().starts_with(odd), "{shown}");
        assert_eq!(fixed.as_bytes().len(), bytes.len(), "{shown}");
        assert!(!fixed.devices()[0].passthrough, "{shown}");
    }
}

#[test]
fn a_line_that_nearly_passes_a_device_through_is_never_silent() {
    for line in [
        "/device/000:29.7/owner = \"Passthru\"",
        "/device/000:29.7/owner = \" passthru\"",
        "/device/000:29.7/Owner = \"passthru\"",
        "/device/000:29.7/extra/owner = \"passthru\"",
        "/device/000:29.7 /owner = \"passthru\"",
        "/DEVICE/000:29.7/owner = \"passthru\" \"",
        "/device/000:29.7/owner = \"passthru\"; /device/000:26.7/owner = \"passthru\"",
        "/device/000:29.7/owner = \"passthru\"\r/a/b = \"c\"",
    ] {
        let notes = conf(line).notes().to_vec();
        assert_eq!(notes.len(), 1, "{line}");
        assert_eq!(
            (notes[0].line, notes[0].kind),
            (1, NoteKind::OddOwner),
            "{line}"
        );
        assert_eq!(notes[0].text, line);
    }
}

/// Of a virtual function anything but `vmkernel` means passed through, so no odd line of one is clear; the value
/// of a function may stand on the next line.
#[test]
fn an_odd_owner_line_that_may_pass_a_device_through_without_saying_so_is_never_silent() {
    for line in [
        &b"/device/m00005c00.vf1/owner = \"somevm\" # ticket"[..],
        b"/device/010:16.0.vf1/owner = \"some\xffvm\"",
        b"/device/p0000:0a:10.0.vf1/owner =",
        b"/device/010:16.0.vf1/owner = \"vmkernel\" # old",
        b"/device/010:16.0.vf1/owner = somevm",
        b"\xef\xbb\xbf/device/010:16.0.vf1/owner = \"somevm\"",
        b"/a/b = \"c\"\r/device/010:16.0.vf1/owner = \"somevm\"",
        b"/device/000:26.7/owner =",
        b"/device/000:26.7/owner",
        b"/device/000:26.7/owner = \"",
        b"/device/000:26.7/owner = \"pass",
    ] {
        let file = conf(line);
        let notes: Vec<_> = file.notes().iter().map(|n| (n.line, n.kind)).collect();
        let shown = String::from_utf8_lossy(line);
        assert_eq!(notes, [(1, NoteKind::OddOwner)], "{shown}");
    }
}

/// A function is passed through by exactly `passthru` alone.
#[test]
fn an_odd_owner_line_of_a_function_that_stays_with_the_host_is_no_concern() {
    for line in [
        &b"/device/000:26.7/owner = \"vmkernel\" # old"[..],
        b"/device/000:26.7/owner = \"vmkernel",
        b"/device/000:26.7/owner = vmkernel",
        b"/device/000:26.7/owner = \"vm\xffkernel\"",
        b"/device/000:26.7/owner = \"\" # none",
        b"/device/000:26.7/owner = \"somevm\" # ticket",
        b"/device/000:26.7/owner \"vmkernel\"",
        b"/device/000:26.7/vmkname = ",
        b"/device/010:16.0.vf1/name = \"a\"b\"",
    ] {
        let file = conf(line);
        let shown = String::from_utf8_lossy(line);
        assert_eq!(file.notes().len(), 1, "{shown}");
        assert!(file.notes()[0].kind.is_only_kept(), "{shown}");
    }
}

#[test]
fn text_that_merely_mentions_passthru_is_no_concern() {
    let file = conf(concat!(
        "/system/uservars/note = \"usb owner = passthru by mistake\"\n",
        "/vmkernel/module/pciPassthru/options = \"passthru\"\n",
        "/device/003:00.0/name = \"Tesla T4 (passthru capable)\"\n",
        "# /device/000:26.7/owner = \"passthru\"\n",
    ));
    assert_eq!(file.notes(), []);
    assert!(file.devices().iter().all(|d| !d.passthrough));
}

#[test]
fn a_key_that_also_stands_in_an_odd_line_is_not_changed() {
    let file = conf("/device/000:26.7/owner = \"passthru\"\n/device/000:26.7/owner = \"a\"b\"\n");
    let error = file
        .set_owner(&["/device/000:26.7/owner"], Owner::Vmkernel)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(
        error.to_string(),
        "line 2 of esx.conf names `/device/000:26.7/owner` but has a stray quote in its value"
    );
    assert_eq!(file.unset("/device/000:26.7/owner").unwrap_err(), error);
    assert_eq!(file.set("/device/000:26.7/owner", "x").unwrap_err(), error);
}

#[test]
fn an_owner_is_added_in_the_spelling_of_the_other_keys_or_not_at_all() {
    let cases: &[(&[&str], &str, Result<&str, &str>)] = &[
        (&["000:26.7"], "00:1d.7", Ok("000:29.7")),
        (&["00000:000:26.7"], "0001:00:1d.7", Ok("00001:000:29.7")),
        (&["0000:00:31.2"], "00:1d.7", Ok("0000:00:29.7")),
        (
            &["0000:00:1f.2"],
            "00:11.0",
            Err("no `/device` line has a clear spelling"),
        ),
        (&["0000:03:00.0"], "04:00.0", Ok("0000:04:00.0")),
        (
            &["000:26.7"],
            "0001:00:1d.7",
            Err("no `/device` line has a clear spelling"),
        ),
        (
            &[],
            "00:1d.7",
            Err("no `/device` line has a clear spelling"),
        ),
        (&["0000:03:00.0"], "00:1d.7", Ok("0000:00:29.7")),
        (
            &["0000:00:1f.2", "0000:00:31.2"],
            "00:1d.7",
            Ok("0000:00:29.7"),
        ),
        (
            &["000:26.7", "00000:000:26.7"],
            "00:1d.7",
            Err("its `/device` lines allow more than one spelling"),
        ),
        (&["0000:00:17.0"], "00:0b.0", Ok("0000:00:11.0")),
        (
            &["000:26.7", "0000:00:26.7"],
            "00:1a.7",
            Err("several lines are this device"),
        ),
    ];
    for (keys, new, expected) in cases {
        let before: String = keys
            .iter()
            .map(|key| format!("/device/{key}/owner = \"vmkernel\"\n"))
            .collect::<String>()
            + "/z/z = \"1\"\n";
        let result = conf(&before).add_owner(address(new), Owner::Passthru);
        match (result, expected) {
            (Ok((after, key)), Ok(written)) => {
                assert_eq!(key, format!("/device/{written}/owner"));
                let added = format!("{key} = \"passthru\"\n/z/z");
                assert_eq!(text(&after), before.replace("/z/z", &added));
                assert!(after.devices().last().unwrap().passthrough);
            }
            (Err(OwnershipError::NoSpelling { why, .. }), Err(expected)) => {
                assert_eq!(why, *expected, "{keys:?}");
            }
            (result, _) => panic!("{keys:?} {new}: {result:?}"),
        }
    }
}

#[test]
fn a_device_known_by_its_alias_alone_gets_its_owner_beside_it() {
    let (after, key) = conf(PUBLISHED)
        .add_owner(address("00:1f.2"), Owner::Passthru)
        .unwrap();
    assert_eq!(key, "/device/000:31.2/owner");
    assert_eq!(
        text(&after),
        format!("{PUBLISHED}/device/000:31.2/owner = \"passthru\"\n")
    );
}

#[test]
fn aliases_are_tied_to_an_address_or_not_at_all() {
    let file = conf(concat!(
        "/device/00000:002:00.0/owner = \"vmkernel\"\n/device/00000:002:00.1/owner = \"vmkernel\"\n",
        "/device/00000:003:00.0/owner = \"vmkernel\"\n/device/00000:004:00.0/owner = \"vmkernel\"\n",
        "/vmkdevmgr/pci/m00008901/alias = \"vmhba0\"\n/vmkdevmgr/pci/s00000002.00/alias = \"vmnic0\"\n",
        "/vmkdevmgr/pci/p0000:02:00.1/alias = \"vmnic1\"\n",
        "/vmkdevmgr/logical/pci#p0000:03:00.0#1/alias = \"vmhba65\"\n",
        "/vmkdevmgr/logical/pci#p0000:03:00.0#0/alias = \"vmhba2\"\n",
        "/vmkdevmgr/logical/pci#s00000002.00#0/alias = \"vmnic0\"\n",
    ));
    let aliases: Vec<_> = file.devices().into_iter().map(|d| d.alias).collect();
    assert_eq!(
        aliases,
        [
            None,
            Some("vmnic1".to_owned()),
            Some("vmhba2".to_owned()),
            None
        ]
    );
}

/// A bus address is hexadecimal, a key decimal.
#[test]
fn an_alias_goes_to_the_key_that_means_its_address_in_decimal() {
    let file = conf(concat!(
        "/device/0000:00:11.0/owner = \"vmkernel\"\n/device/0000:00:17.0/owner = \"vmkernel\"\n",
        "/vmkdevmgr/pci/p0000:00:11.0/alias = \"vmhba1\"\n",
    ));
    let aliases: Vec<_> = file.devices().into_iter().map(|d| d.alias).collect();
    assert_eq!(aliases, [None, Some("vmhba1".to_owned())]);
}

/// By the vendor's rule of 6.7.
#[test]
fn virtual_functions_are_passed_through_by_anything_but_vmkernel_and_given_back() {
    let lines = concat!(
        "/device/m00005c00.vf1/owner = \"passthru\"\n/device/s00000004.00.vf2/owner = \"somevm\"\n",
        "/device/p0000:0a:10.0.vf3/owner = \"\"\n/device/m00005c00.vf4/owner = \"vmkernel\"\n",
        "/device/m00005c00.vf5/owner = \"Passthru\"\n",
    );
    let file = conf(lines);
    assert_eq!(file.notes(), []);
    let passed: Vec<_> = file.devices().iter().map(|d| d.passthrough).collect();
    assert_eq!(passed, [true, true, true, false, true]);
    let keys: Vec<String> = file.devices().into_iter().map(|d| d.key).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    assert_eq!(file.set_owner(&keys[..3], Owner::Passthru).unwrap(), file);
    let fixed = file.set_owner(&keys, Owner::Vmkernel).unwrap();
    for (line, key) in text(&fixed).lines().zip(keys) {
        assert_eq!(line, format!("{key} = \"vmkernel\""));
    }
}

#[test]
fn a_line_the_host_ignores_is_said_to_be_and_given_back_by_its_value() {
    let file = conf(concat!(
        "/device/0000:00:1a.7/owner = \"passthru\"\n/device/000:32.0/owner = \"passthru\"\n",
        "/device/0000:00:1b.0/owner = \"vmkernel\"\n/device/0000:10:00.0/owner = \"passthru\"\n",
    ));
    let notes: Vec<_> = file.notes().iter().map(|n| (n.line, n.kind)).collect();
    assert_eq!(
        notes,
        [(1, NoteKind::IgnoredOwner), (2, NoteKind::IgnoredOwner)]
    );
    let devices = file.devices();
    let ignored: Vec<_> = devices.iter().map(|d| d.is_ignored_by_host()).collect();
    assert_eq!(ignored, [true, true, true, false]);
    assert_eq!(devices[3].address.unwrap().to_string(), "0000:0a:00.0");
    let passed = devices.iter().filter(|d| d.passthrough);
    let keys: Vec<&str> = passed.map(|d| d.key.as_str()).collect();
    let fixed = file.set_owner(&keys, Owner::Vmkernel).unwrap();
    assert_eq!(text(&fixed), text(&file).replace("passthru", "vmkernel"));
    assert_eq!(fixed.notes(), []);
}

#[test]
fn a_value_is_replaced_in_place_and_a_new_key_goes_beside_its_siblings() {
    let file =
        conf("/adv/Misc/A = \"1\"\n/adv/Net/B = \"2\"\n/zzz/c = \"3\"\n/adv/Misc/A = \"4\"\n");
    assert_eq!(file.get("/adv/Misc/A"), Some("4"));
    let set = file.set("/adv/Misc/A", "a longer value").unwrap();
    assert_eq!(
        text(&set),
        text(&file)
            .replace("\"1\"", "\"a longer value\"")
            .replace("\"4\"", "\"a longer value\"")
    );
    let added = file.set("/adv/Net/D", "").unwrap();
    assert_eq!(
        text(&added),
        text(&file).replace("\"2\"\n", "\"2\"\n/adv/Net/D = \"\"\n")
    );
    let alone = file.set("/new/key", "x y = #").unwrap();
    assert_eq!(
        text(&alone),
        format!("{}/new/key = \"x y = #\"\n", text(&file))
    );
    assert_eq!(alone.get("/new/key"), Some("x y = #"));
    assert_eq!(text(&conf("").set("/a/b", "c").unwrap()), "/a/b = \"c\"\n");
    assert_eq!(
        text(&conf("/a/b = \"c\"").set("/a/d", "e").unwrap()),
        "/a/b = \"c\"\n/a/d = \"e\"\n"
    );
    assert_eq!(
        text(
            &conf("/a/b = \"c\"\r\n/z/z = \"\"\n")
                .set("/a/d", "e")
                .unwrap()
        ),
        "/a/b = \"c\"\r\n/a/d = \"e\"\r\n/z/z = \"\"\n"
    );
}

#[test]
fn unset_removes_every_line_of_the_key_and_no_other() {
    let file = conf("/a/b = \"1\"\n/a/bb = \"2\"\r\n/a/b = \"3\"");
    assert_eq!(text(&file.unset("/a/b").unwrap()), "/a/bb = \"2\"\r\n");
    let error = file.unset("/a/c").unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string()),
        (ErrorKind::Usage, "esx.conf has no line `/a/c`".into())
    );
}

#[test]
fn keys_and_values_the_format_cannot_hold_are_refused() {
    let file = conf("/a/b = \"1\"\n");
    for value in ["a\"b", "a\nb", "a\rb", "a\0b", &"x".repeat(8192)] {
        let error = file.set("/a/b", value).unwrap_err();
        assert!(matches!(error, OwnershipError::BadValue { .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::Usage);
    }
    let long = format!("/{}", "x".repeat(8191));
    for key in [
        "", "a/b", "/", "/a//b", "/a/", "/a b", "/a\"b", "/a=b", "/a\nb", "/a\tb", &long,
    ] {
        let error = file.set(key, "v").unwrap_err();
        assert!(
            matches!(error, OwnershipError::BadKey { .. }),
            "{key:?}: {error}"
        );
    }
    let longest = file.set(&long[..8191], &"x".repeat(8191)).unwrap();
    assert_eq!(longest.notes(), []);
    assert_eq!(longest.get(&long[..8191]).unwrap().len(), 8191);
}

#[test]
fn setting_the_owner_needs_an_owner_line() {
    let file = conf(PUBLISHED);
    let error = |key| file.set_owner(&[key], Owner::Vmkernel).unwrap_err();
    assert!(matches!(
        error("/device/000:31.2/owner"),
        OwnershipError::NoSuchKey { .. }
    ));
    assert!(matches!(
        error("/system/uuid"),
        OwnershipError::BadKey { .. }
    ));
    assert!(matches!(
        error("/device/000:31.2/vmkname"),
        OwnershipError::BadKey { .. }
    ));
}

#[test]
fn a_file_no_host_writes_is_bounded() {
    let error = EsxConf::parse(vec![b'x'; MAX_SIZE + 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let file = conf("junk\n".repeat(MAX_NOTES + 5) + "/device/1/owner = passthru\n");
    assert_eq!(
        (file.notes().len(), file.notes_left_out()),
        (MAX_NOTES + 1, 5)
    );
    assert_eq!(file.notes()[MAX_NOTES].kind, NoteKind::OddOwner);
}

/// The work is counted in parses, not in seconds: 20,000 keys are one.
#[test]
fn keys_that_share_a_path_stand_in_their_order_behind_its_last_line() {
    let file = conf("/a/b/x = \"1\"\n/a/c = \"2\"\r\n/z = \"3\"");
    let many: Vec<(String, String)> = (0..20_000)
        .map(|number| (format!("/a/b/k{number}"), number.to_string()))
        .collect();
    let mut settings: Vec<(&str, &str)> =
        vec![("/n/1", "p"), ("/z/1", "q"), ("/n/2", "r"), ("/a/d", "s")];
    settings.extend(
        many.iter()
            .map(|(key, value)| (key.as_str(), value.as_str())),
    );
    let after = file.set_all(&settings).unwrap();
    let keys: Vec<&str> = after.entries().map(|entry| entry.key).collect();
    assert_eq!(keys.len(), 20_007);
    assert_eq!(keys[..3], ["/a/b/x", "/a/b/k0", "/a/b/k1"]);
    assert_eq!(
        keys[20_001..],
        ["/a/c", "/a/d", "/z", "/n/1", "/z/1", "/n/2"]
    );
    assert!(text(&after).contains("/a/d = \"s\"\r\n/z = \"3\"\n/n/1 = \"p\"\n"));
    let names: Vec<&str> = many.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(after.unset_all(&names).unwrap().entries().count(), 7);
}
