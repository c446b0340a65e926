use crate::host::{Host, run};
use std::fs;
use std::process::Command;

#[test]
fn an_exported_state_is_the_banks_own_file_and_goes_back_in() {
    for profile in ["esxi67-usb-passthru", "esxi702-encrypted"] {
        let host = Host::new(profile);
        let image = host.bytes();
        host.done(&["state", "export", "STICK", "old.tgz"]);
        let old = fs::read(host.path("old.tgz")).unwrap();
        assert_eq!(old, host.bank_file(5, "STATE.TGZ"), "{profile}");
        host.done(&["conf", "set", "STICK", "/system/uuid", "u", "--no-undo"]);
        host.done(&["state", "export", "STICK", "new.tgz"]);
        fs::write(&host.image, &image).unwrap();
        let import = [
            "state", "import", "STICK", "new.tgz", "--bank", "5", "-z", "undo",
        ];
        host.done(&import);
        assert_eq!(
            host.bank_file(5, "STATE.TGZ"),
            fs::read(host.path("new.tgz")).unwrap()
        );
        assert_eq!(host.done(&["conf", "get", "STICK", "/system/uuid"]), "u\n");
        assert_eq!(host.run(&["verify", "STICK"]).code, 0);
        host.done(&["undo", "undo", "STICK"]);
        assert!(host.bytes() == image, "{profile}");
    }
}

/// A state that takes a device from the host is no less of a change than the line that does.
#[test]
fn a_state_that_passes_a_device_through_is_not_brought_unasked() {
    for profile in ["esxi67-usb-passthru", "esxi702-encrypted"] {
        let host = Host::new(profile);
        host.done(&["state", "export", "STICK", "old.tgz"]);
        // It is what the bank holds already.
        host.done(&[
            "state",
            "import",
            "STICK",
            "old.tgz",
            "--bank",
            "5",
            "--no-undo",
        ]);
        host.done(&["state", "copy", "5", "6", "STICK", "--no-undo", "-y"]);
        host.done(&["fix", "STICK", "--bank", "5", "--no-undo"]);
        let ways: [&[&str]; 3] = [
            &["state", "import", "STICK", "old.tgz", "--bank", "5"],
            &["state", "copy", "6", "5", "STICK"],
            &["bank", "copy", "6", "5", "STICK"],
        ];
        for way in ways {
            host.refuses(way, 2, "storage adapter");
            let planned = host.run(&[way, &["-n"]].concat());
            assert_eq!(planned.code, 0, "{way:?}: {}", planned.stderr);
            assert!(planned.stderr.contains("storage adapter"), "{way:?}");
            assert!(
                planned.stdout.to_lowercase().contains("passthru"),
                "{way:?}: {}",
                planned.stdout
            );
        }
        for what in ["state", "bank"] {
            host.done(&[what, "copy", "6", "5", "STICK", "--no-undo", "-y"]);
            host.done(&["fix", "STICK", "--bank", "5", "--no-undo"]);
            let given_back = [what, "copy", "5", "6", "STICK", "--no-undo"];
            host.done(&given_back);
            host.done(&["state", "import", "STICK", "old.tgz", "--no-undo", "-y"]);
        }
    }
}

/// What cannot be looked into is said, where it changes.
#[test]
fn a_bank_is_copied_with_a_word_on_what_its_state_does_not_tell() {
    let host = Host::new("esxi702-sealed");
    let says = "not known whether devices are passed through";
    let ran = host.run(&["bank", "copy", "5", "6", "STICK", "-n"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let differs = host.bank_file(5, "STATE.TGZ") != host.bank_file(6, "STATE.TGZ");
    assert_eq!(ran.stderr.contains(says), differs, "{}", ran.stderr);
}

/// A host that was upgraded starts with the state of the release before it, so that is no mistake, but
/// no less of a loss than in a bank that holds a state.
#[test]
fn a_state_of_an_earlier_release_is_named_where_there_is_none_to_compare_it_with() {
    let host = Host::new("esxi67-usb-passthru");
    let older = Host::new("esxi55-gpt").bank_file(5, "STATE.TGZ");
    fs::write(host.path("55.tgz"), older).unwrap();
    host.done(&["state", "export", "STICK", "own.tgz"]);
    host.done(&["state", "reset", "5", "STICK", "-y", "--no-undo"]);
    let import = |state| {
        let import = ["state", "import", "STICK", state, "--bank", "5", "-n"];
        host.run(&[&import[..], &["--json"]].concat())
    };
    let says = "ESXi 5.5.0 wrote the state to put in, and a host of ESXi 6.7.0 is to read it";
    let ran = import("55.tgz");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains(says), "{}", ran.stderr);
    assert!(ran.stdout.contains(says), "{}", ran.stdout);
    let ran = import("own.tgz");
    assert!(!ran.stderr.contains("wrote the state"), "{}", ran.stderr);
}

#[test]
fn a_bundle_is_read_for_the_state_in_it() {
    let host = Host::new("esxi67-usb-passthru");
    host.done(&["state", "export", "STICK", "state.tgz"]);
    let script =
        "mkdir b && cp state.tgz b/ && echo made up >b/Manifest.txt && tar czf bundle.tgz b";
    run(Command::new("sh")
        .args(["-c", script])
        .current_dir(host.path("")));
    host.done(&["state", "export", "bundle.tgz", "out.tgz"]);
    let (inside, out) = (host.path("state.tgz"), host.path("out.tgz"));
    assert_eq!(fs::read(inside).unwrap(), fs::read(out).unwrap());
    let ran = host.run(&[
        "state",
        "import",
        "STICK",
        "bundle.tgz",
        "--bank",
        "next",
        "--check",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[test]
fn a_state_of_another_generation_a_sealed_or_damaged_one_stays_out() {
    let host = Host::new("esxi702-encrypted");
    for (profile, name) in [
        ("esxi67-usb-passthru", "67.tgz"),
        ("esxi702-sealed", "sealed.tgz"),
        ("esxi70u1-both", "70.tgz"),
    ] {
        let state = Host::new(profile).bank_file(5, "STATE.TGZ");
        fs::write(host.path(name), state).unwrap();
    }
    let cut = &host.bank_file(5, "STATE.TGZ")[..5000];
    fs::write(host.path("cut.tgz"), cut).unwrap();
    fs::write(host.path("text"), "text").unwrap();
    let cases = [
        ("67.tgz", 3, "come from different generations"),
        ("70.tgz", 3, "come from different generations"),
        ("sealed.tgz", 3, "is sealed (mode TPM)"),
        ("cut.tgz", 4, "cut off"),
        ("text", 4, "text"),
        ("nix", 2, "nix does not exist"),
    ];
    for (file, code, says) in cases {
        host.refuses(&["state", "import", "STICK", file], code, says);
    }
    let host = Host::new("esxi67-usb-passthru");
    let older = Host::new("esxi55-gpt").bank_file(5, "STATE.TGZ");
    fs::write(host.path("55.tgz"), older).unwrap();
    host.refuses(&["state", "import", "STICK", "55.tgz"], 3, "ESXi 5.5.0");
}

/// Where there is no state to compare one with, the build of the bank stands for it.
#[test]
fn a_state_of_a_later_release_stays_out_of_a_bank_whose_own_is_empty_missing_or_damaged() {
    let host = Host::new("esxi40-mbr");
    host.done(&["state", "export", "STICK", "own.tgz", "--bank", "5"]);
    for (profile, name) in [
        ("esxi67-usb-passthru", "67.tgz"),
        ("esxi70u1-both", "70.tgz"),
    ] {
        let state = Host::new(profile).bank_file(5, "STATE.TGZ");
        fs::write(host.path(name), state).unwrap();
    }
    let image = host.bytes();
    let own = host.bank_file(5, "STATE.TGZ");
    let place = |bytes: &[u8]| bytes.windows(512).position(|part| part == &own[..512]);
    let emptied: [fn(&Host, usize); 3] = [
        |host, _| {
            host.done(&["state", "reset", "5", "STICK", "-y", "--no-undo"]);
        },
        |host, _| {
            let mut mdel = Command::new("mdel");
            run(mdel.args(["-i", &host.bank_at(5), "::STATE.TGZ"]));
        },
        |host, at| {
            let mut bytes = host.bytes();
            bytes[at + 300] ^= 1;
            fs::write(&host.image, bytes).unwrap();
        },
    ];
    for (number, empty) in emptied.into_iter().enumerate() {
        fs::write(&host.image, &image).unwrap();
        empty(&host, place(&image).unwrap());
        assert!(host.bytes() != image, "{number}");
        for (state, version) in [("67.tgz", "6.7.0"), ("70.tgz", "7.0.1")] {
            let import = ["state", "import", "STICK", state, "--bank", "5", "-n"];
            let says = format!(
                "the state to put in is of ESXi {version}, but a host of ESXi 4.0.0 is to read it"
            );
            host.refuses(&import, 3, &says);
        }
        let back = ["state", "import", "STICK", "own.tgz", "--bank", "5", "-y"];
        host.done(&[&back[..], &["--no-undo"]].concat());
        assert!(host.bank_file(5, "STATE.TGZ") == own, "{number}");
    }
}

/// An empty state takes nothing away from one that is loaded before it.
#[test]
fn beside_an_empty_state_that_is_loaded_last_the_one_before_it_is_shown_and_changed() {
    let host = Host::new("esxi40-mbr");
    let got = host.done(&["bootcfg", "get", "STICK", "modules", "--bank", "5"]);
    let modules = got.trim().rsplit('=').next().unwrap();
    let both = modules.replace("state.tgz", "local.tgz --- state.tgz");
    let set = ["bootcfg", "set", "STICK", "modules", &both, "--bank", "5"];
    host.done(&[&set[..], &["-y", "--no-undo"]].concat());
    host.done(&["state", "reset", "5", "STICK", "-y", "--no-undo"]);
    let empty = host.bank_file(5, "STATE.TGZ");
    for look in [&["info", "STICK"][..], &["verify", "STICK", "--bank", "5"]] {
        let said = host.run(look).stdout;
        assert!(
            said.contains("host takes its settings from local.tgz"),
            "{said}"
        );
        assert!(!said.contains("default settings"), "{said}");
    }
    host.done(&["state", "export", "STICK", "kept.tgz", "--bank", "5"]);
    let kept = fs::read(host.path("kept.tgz")).unwrap();
    assert!(kept == host.bank_file(5, "LOCAL.TGZ"));
    fs::write(host.path("motd"), "hello\n").unwrap();
    for edit in [
        &["conf", "set", "STICK", "/system/uuid", "u"][..],
        &["put", "STICK", "motd", "etc/motd"],
    ] {
        let ran = host.run(&[edit, &["--bank", "5", "-y", "--no-undo"]].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let says = "state.tgz: the state is empty, so the host takes its settings from local.tgz";
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
    }
    let conf = ["conf", "get", "STICK", "/system/uuid", "--bank", "5"];
    assert_eq!(host.done(&conf), "u\n");
    let listed = host.done(&["conf", "list", "STICK", "--bank", "5"]);
    assert!(listed.contains("/system/uuid"), "{listed}");
    assert_eq!(
        host.done(&["cat", "STICK", "etc/motd", "--bank", "5"]),
        "hello\n"
    );
    assert!(host.bank_file(5, "STATE.TGZ") == empty);
    host.done(&["state", "copy", "5", "6", "STICK", "-y", "--no-undo"]);
    let conf = esx_conf_in(&host, 6, "STATE.TGZ", false);
    assert!(conf == esx_conf_in(&host, 5, "LOCAL.TGZ", true));
}

/// What `tar` finds of esx.conf in a file of a bank that holds the configuration itself.
fn esx_conf_in(host: &Host, partition: u64, name: &str, bare: bool) -> Vec<u8> {
    let file = host.path("judged.tgz");
    fs::write(&file, host.bank_file(partition, name)).unwrap();
    let tar = |file: &str, member: &str| {
        let mut tar = Command::new("tar");
        tar.args(["-xzOf", file, member]).current_dir(host.path(""));
        run(&mut tar).stdout
    };
    if bare {
        return tar("judged.tgz", "etc/vmware/esx.conf");
    }
    fs::write(host.path("inner.tgz"), tar("judged.tgz", "local.tgz")).unwrap();
    tar("inner.tgz", "etc/vmware/esx.conf")
}

/// A 4.0 medium whose bank 5 loads local.tgz, with another state.tgz beside it.
fn loading_local() -> Host {
    let host = Host::new("esxi40-mbr");
    let cfg = String::from_utf8(host.bank_file(5, "BOOT.CFG")).unwrap();
    let line = cfg.lines().find_map(|line| line.strip_prefix("modules="));
    let modules = line.unwrap().replace("state.tgz", "local.tgz");
    let set = [
        "bootcfg",
        "set",
        "STICK",
        "modules",
        &modules,
        "--bank",
        "5",
        "-y",
        "--no-undo",
    ];
    host.done(&set);
    host
}

#[test]
fn the_state_that_the_host_loads_is_copied_exported_imported_and_reset() {
    let host = loading_local();
    let loaded = host.bank_file(5, "LOCAL.TGZ");
    let conf = esx_conf_in(&host, 5, "LOCAL.TGZ", true);
    // Bank 6 loads a state.tgz, and gets one around the configuration.
    host.done(&["state", "copy", "5", "6", "STICK", "--no-undo"]);
    assert!(esx_conf_in(&host, 6, "STATE.TGZ", false) == conf);
    host.done(&["state", "export", "STICK", "kept.tgz", "--bank", "5"]);
    assert!(fs::read(host.path("kept.tgz")).unwrap() == loaded);
    host.done(&["conf", "set", "STICK", "/system/uuid", "u", "--no-undo"]);
    let beside = host.bank_file(5, "STATE.TGZ");
    let ran = host.run(&["state", "import", "STICK", "kept.tgz", "--no-undo"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(host.bank_file(5, "LOCAL.TGZ") == loaded);
    assert!(esx_conf_in(&host, 6, "STATE.TGZ", false) == conf);
    // The other way round the archive in the state is all that a bare file holds.
    host.done(&[
        "conf",
        "set",
        "STICK",
        "/system/uuid",
        "u",
        "--bank",
        "6",
        "--no-undo",
    ]);
    let changed = esx_conf_in(&host, 6, "STATE.TGZ", false);
    assert!(changed != conf);
    host.done(&["state", "copy", "6", "5", "STICK", "--no-undo"]);
    assert!(esx_conf_in(&host, 5, "LOCAL.TGZ", true) == changed);
    host.done(&["state", "reset", "5", "STICK", "--no-undo", "-y"]);
    fs::write(host.path("empty.tgz"), host.bank_file(5, "LOCAL.TGZ")).unwrap();
    let mut tar = Command::new("tar");
    let listed = run(tar.arg("-tzf").arg(host.path("empty.tgz")));
    assert_eq!(listed.stdout, b"");
    // What the host does not load stayed as `conf set` left it.
    assert!(host.bank_file(5, "STATE.TGZ") == beside);
}

#[test]
fn a_bank_that_loads_local_tgz_gets_no_state_tgz_that_nothing_loads() {
    let host = Host::new("esxi41-mbr-localtgz");
    host.done(&["state", "export", "STICK", "kept.tgz"]);
    host.done(&[
        "conf",
        "set",
        "STICK",
        "/system/uuid",
        "u",
        "--bank",
        "5",
        "--no-undo",
    ]);
    host.done(&["state", "copy", "5", "6", "STICK", "--no-undo"]);
    assert!(host.bank_file(6, "LOCAL.TGZ") == host.bank_file(5, "LOCAL.TGZ"));
    host.done(&[
        "state",
        "import",
        "STICK",
        "kept.tgz",
        "--bank",
        "5",
        "--no-undo",
    ]);
    let kept = fs::read(host.path("kept.tgz")).unwrap();
    assert!(host.bank_file(5, "LOCAL.TGZ") == kept);
    host.done(&["state", "reset", "5", "STICK", "--no-undo", "-y"]);
    assert!(host.bank_file(5, "LOCAL.TGZ") != kept);
    for bank in ["bank5:", "bank6:"] {
        let listed = host.done(&["ls", "STICK", bank]);
        assert!(!listed.contains("state.tgz"), "{listed}");
    }
}

#[test]
fn a_bank_that_loads_another_state_does_not_start_with_default_settings() {
    let host = loading_local();
    let said = host.run(&["verify", "STICK", "--bank", "5"]);
    assert_eq!(said.code, 0);
    assert!(!said.stdout.contains("default settings"), "{}", said.stdout);
}

/// The state of a bank whose host starts anew is no damage: nothing stands in the way of the other
/// bank, nor of the state that was there before.
#[test]
fn a_bank_with_an_empty_state_starts_with_default_settings() {
    let host = Host::new("esxi67-usb-passthru");
    host.done(&["state", "export", "STICK", "kept.tgz", "--bank", "5"]);
    host.done(&["state", "reset", "5", "STICK", "--no-undo", "-y"]);
    let empty = host.bank_file(5, "STATE.TGZ");
    let ran = host.run(&["verify", "STICK"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let says = "note [esx.conf] partition 5: state.tgz: the state is empty, so the host starts with default settings";
    assert!(ran.stdout.contains(says), "{}", ran.stdout);
    let info = host.done(&["info", "STICK"]);
    let says = "plain, empty: the host starts with default settings";
    assert!(info.contains(says), "{info}");
    let scan = host.done(&["scan", "."]);
    assert!(scan.contains("boots with default settings"), "{scan}");
    let listed = host.done(&["pci", "list", "STICK", "--bank", "5"]);
    assert!(listed.contains("no devices"), "{listed}");
    for edit in [
        ["conf", "set", "STICK", "/system/uuid", "u"].as_slice(),
        &["host", "set", "--name", "x", "STICK"],
        &["put", "STICK", "kept.tgz", "etc/motd"],
    ] {
        host.refuses(edit, 3, "the state is empty");
    }
    for list in [["conf", "list"], ["store", "list"]] {
        let list = [&list[..], &["--bank", "5", "STICK"]].concat();
        host.refuses(&list, 3, "the state is empty");
    }
    // The other bank is repaired all the same.
    host.done(&["fix", "STICK", "-y", "--no-undo"]);
    assert!(host.bank_file(5, "STATE.TGZ") == empty);
    let repaired = String::from_utf8(esx_conf_in(&host, 6, "STATE.TGZ", false)).unwrap();
    assert!(!repaired.contains("owner = \"passthru\""));
    host.done(&[
        "state",
        "import",
        "STICK",
        "kept.tgz",
        "--bank",
        "5",
        "-y",
        "--no-undo",
    ]);
    let kept = fs::read(host.path("kept.tgz")).unwrap();
    assert!(host.bank_file(5, "STATE.TGZ") == kept);
}

/// The host takes from the last archive of several what is in it, and an empty one takes nothing away.
#[test]
fn of_several_states_that_are_loaded_the_last_that_holds_anything_is_copied() {
    let host = Host::new("esxi67-usb-passthru");
    let got = host.done(&["bootcfg", "get", "STICK", "modules", "--bank", "6"]);
    let modules = got.trim().rsplit('=').next().unwrap();
    assert!(modules.contains("state.tgz"), "{got}");
    let both = modules.replace("state.tgz", "state.tgz --- local.tgz");
    let kept = host.bank_file(6, "STATE.TGZ");
    host.done(&[
        "bootcfg",
        "set",
        "STICK",
        "modules",
        &both,
        "--bank",
        "6",
        "-y",
        "--no-undo",
    ]);
    let mut empty = Command::new("tar");
    empty.args(["-czf", "LOCAL.TGZ", "-T", "/dev/null"]);
    run(empty.current_dir(host.path("")));
    let empty = fs::read(host.path("LOCAL.TGZ")).unwrap();
    host.put_bank_file(6, "LOCAL.TGZ", &empty);
    let ran = host.run(&["state", "copy", "6", "5", "STICK", "-y", "--no-undo"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("lists local.tgz as well, which is not copied"),
        "{}",
        ran.stderr
    );
    assert!(host.bank_file(5, "STATE.TGZ") == kept);
}

/// Modules of real hosts are larger than any state unpacks to: the limit of that is none for them.
#[test]
fn a_large_module_is_copied_compared_taken_out_and_put_back() {
    let host = Host::new("esxi67-usb-passthru");
    let large = vec![0x5a; 3 << 20];
    let limit = ["--max-unpacked", "2M"];
    host.put_bank_file(5, "LARGE.V00", &large);
    let before = host.bytes();
    let differs = host.run(&[&["diff", "--banks", "STICK"], &limit[..]].concat());
    assert_eq!(differs.code, 1, "{}", differs.stderr);
    assert!(
        differs.stdout.to_lowercase().contains("large.v00"),
        "{}",
        differs.stdout
    );
    let copy = ["bank", "copy", "5", "6", "STICK", "-z", "undo"];
    host.done(&[&copy, &limit[..]].concat());
    assert!(host.bank_file(6, "LARGE.V00") == large);
    let get = ["get", "STICK", "bank6:large.v00", "taken.v00"];
    host.done(&[&get, &limit[..]].concat());
    assert!(fs::read(host.path("taken.v00")).unwrap() == large);
    host.done(&[&["undo", "undo", "STICK"], &limit[..]].concat());
    assert!(host.bytes() == before);
    let put = ["put", "STICK", "taken.v00", "bank6:large.v00", "--no-undo"];
    host.done(&[&put, &limit[..]].concat());
    assert!(host.bank_file(6, "LARGE.V00") == large);
    assert_eq!(host.run(&["verify", "STICK"]).code, 0);
}
