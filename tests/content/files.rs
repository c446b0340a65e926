use crate::host::{Host, STORE, differing, run};
use std::fs;
use std::process::Command;

#[test]
fn a_file_put_in_is_added_as_the_hosts_own_are() {
    for profile in ["esxi67-usb-passthru", "esxi702-encrypted"] {
        let host = Host::new(profile);
        let before = host.unpacked(5, "before");
        fs::write(host.path("motd"), "hello\n").unwrap();
        host.done(&["put", "STICK", "motd", "/etc/motd", "--no-undo"]);
        let after = host.unpacked(5, "after");
        assert_eq!(differing(&before, &after), ["etc/motd"]);
        let (old, mut new) = (host.listing("before"), host.listing("after"));
        let added = new.pop().unwrap();
        assert_eq!(new, old, "{profile}");
        assert!(added.starts_with("-rw-r--r-- root/root"), "{added}");
        let time = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            format!("{} {}", words[3], words[4])
        };
        let newest = old.iter().map(|line| time(line)).max().unwrap();
        assert_eq!(time(&added), newest);
        host.done(&["rm", "STICK", "etc/motd", "--no-undo"]);
        host.unpacked(5, "removed");
        assert_eq!(host.listing("removed"), old);
    }
}

#[test]
fn a_new_file_has_the_permissions_that_are_asked_for() {
    let host = Host::new("esxi67-usb-passthru");
    fs::write(host.path("key"), "x\n").unwrap();
    host.done(&[
        "put",
        "STICK",
        "key",
        "etc/key",
        "--mode",
        "0600",
        "--no-undo",
    ]);
    host.unpacked(5, "after");
    let added = host.listing("after").pop().unwrap();
    assert!(
        added.starts_with("-rw-------") && added.ends_with("etc/key"),
        "{added}"
    );
    for (mode, path) in [("0888", "etc/k"), ("10000", "etc/k"), ("rw", "etc/k")] {
        host.refuses(&["put", "STICK", "key", path, "--mode", mode], 2, "--mode");
    }
    let in_bank = ["put", "STICK", "key", "bank5:x.b00", "--mode", "0600"];
    host.refuses(&in_bank, 2, "--mode is for files of the configuration");
}

/// An image of a vendor that carries settings in an archive of another name, beside the state.
fn with_onetime(is_loaded: bool) -> Host {
    with_archive("onetime.tgz", is_loaded)
}

/// The same under any name.
fn with_archive(name: &str, is_loaded: bool) -> Host {
    let host = Host::new("esxi67-usb-passthru");
    host.unpacked(5, "before");
    let at = host.bank_at(5);
    let tool = |program: &str, arguments: &[&str]| {
        run(Command::new(program).args(["-i", &at]).args(arguments));
    };
    fs::copy(host.path("before.tgz"), host.path(name)).unwrap();
    let archive = host.path(name).display().to_string();
    tool("mcopy", &[&archive, &format!("::{name}")]);
    if is_loaded {
        let cfg = String::from_utf8(host.bank_file(5, "BOOT.CFG")).unwrap();
        let with_it = cfg.replace("--- state.tgz", &format!("--- {name} --- state.tgz"));
        assert_ne!(with_it, cfg);
        fs::write(host.path("boot.cfg"), with_it).unwrap();
        let boot_cfg = host.path("boot.cfg").display().to_string();
        tool("mcopy", &["-o", &boot_cfg, "::boot.cfg"]);
    }
    host
}

/// The name says what kind of archive it is to a person, not to the host.
#[test]
fn a_configuration_is_found_in_whatever_packed_archive_the_host_loads() {
    for name in ["oem.tgz", "custom.gz"] {
        let host = with_archive(name, true);
        let said = host.done(&["fix", "STICK", "--bank", "5"]);
        assert!(said.contains(&format!("{name}:esx.conf")), "{said}");
        host.done(&["fix", "--check", "STICK", "--bank", "5"]);
    }
}

/// One that cannot be opened whole was not searched, and nobody says that it was.
#[test]
fn an_archive_with_a_configuration_that_is_too_large_is_not_passed_over() {
    let host = with_archive("onetime.tgz", true);
    host.done(&["fix", "STICK"]);
    let tree = host.path("tree");
    fs::create_dir_all(tree.join("etc")).unwrap();
    fs::write(tree.join("etc/large"), vec![0; 3 << 20]).unwrap();
    let large = host.path("large.tgz");
    run(Command::new("tar")
        .arg("-czf")
        .arg(&large)
        .arg("-C")
        .arg(&tree)
        .arg("etc"));
    let large = large.display().to_string();
    let at = host.bank_at(5);
    run(Command::new("mcopy").args(["-o", "-i", &at, &large, "::onetime.tgz"]));
    for command in [
        &["fix", "STICK"][..],
        &["verify", "STICK"],
        &["pci", "list", "STICK"],
    ] {
        let limited = [command, &["--max-unpacked", "2M"]].concat();
        let ran = host.run(&limited);
        assert!(ran.code != 0, "{command:?}: {}", ran.stdout);
        assert!(
            (ran.stdout + &ran.stderr).contains("onetime.tgz"),
            "{command:?}"
        );
    }
}

/// What an empty state does not hold the host takes from what is loaded before it.
#[test]
fn a_state_that_is_not_all_that_the_host_loads_is_reset_with_a_word_on_the_rest() {
    let host = with_onetime(true);
    let onetime = host.bank_file(5, "ONETIME.TGZ");
    let ran = host.run(&["state", "reset", "5", "STICK", "-y", "--no-undo"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let says = "lists onetime.tgz as well, which stays as it is";
    assert!(ran.stderr.contains(says), "{}", ran.stderr);
    let says = "Bank 5 boots next and has 2 devices passed through";
    assert!(ran.stderr.contains(says), "{}", ran.stderr);
    assert!(host.bank_file(5, "ONETIME.TGZ") == onetime);
    let info = host.done(&["info", "STICK"]);
    assert!(info.contains("2 devices are passed through"), "{info}");
}

/// Images of some vendors carry settings in an archive of another name, which `modules=` lists.
#[test]
fn a_configuration_under_another_name_is_found_where_the_host_loads_it() {
    let list = |host: &Host| host.done(&["pci", "list", "STICK", "--bank", "5", "--json"]);
    let host = with_onetime(false);
    assert!(
        !list(&host).contains("onetime.tgz"),
        "the host does not load it"
    );

    let host = with_onetime(true);
    assert!(list(&host).contains("onetime.tgz"));
    // Of two the host takes what the later one holds.
    host.done(&["state", "export", "STICK", "loaded.tgz"]);
    let loaded = fs::read(host.path("loaded.tgz")).unwrap();
    assert!(loaded == host.bank_file(5, "STATE.TGZ"));
    let said = host.done(&["fix", "STICK", "--bank", "5"]);
    assert!(said.contains("onetime.tgz:esx.conf"), "{said}");
    assert!(!list(&host).contains("\"passthru\""));
    let unpacked = host.path("unpacked");
    fs::create_dir(&unpacked).unwrap();
    fs::write(host.path("after.tgz"), host.bank_file(5, "ONETIME.TGZ")).unwrap();
    let mut tar = Command::new("tar");
    run(tar
        .arg("-xzf")
        .arg(host.path("after.tgz"))
        .arg("-C")
        .arg(&unpacked));
    let conf = fs::read_to_string(unpacked.join("etc/vmware/esx.conf")).unwrap();
    assert!(conf.contains("owner = \"vmkernel\"") && !conf.contains("owner = \"passthru\""));
}

/// Marks that another system left are said, with what clears them; the loader ignores all of them.
#[test]
fn what_another_system_marked_in_a_volume_is_said() {
    use std::os::unix::fs::FileExt as _;
    // The upper byte of entry 1 of the FAT, in both copies.
    for (byte, says) in [
        (0x7f, "marked as not cleanly unmounted"),
        (0xbf, "marked as having had an I/O error"),
    ] {
        let host = Host::new("esxi67-usb-passthru");
        let start = host.bank_start(5);
        let boot = &host.bytes()[usize::try_from(start).unwrap()..][..512];
        let word = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
        let (reserved, fat) = (word(14) * 512, word(22) * 512);
        let file = fs::OpenOptions::new()
            .write(true)
            .open(host.image())
            .unwrap();
        for copy in [0, fat] {
            file.write_all_at(&[byte], start + reserved + copy + 3)
                .unwrap();
        }
        let said = host.done(&["verify", "STICK"]);
        assert!(said.contains(says), "{said}");
        let cure = format!("bootbank bank mark-clean 5 {}", host.image().display());
        assert!(said.contains(&cure), "{said}");
        host.done(&["bank", "mark-clean", "5", "STICK", "--no-undo"]);
        let said = host.done(&["verify", "STICK"]);
        assert!(!said.contains(says), "{said}");
    }
}

#[test]
fn a_replaced_file_keeps_mode_owner_time_and_place() {
    let host = Host::new("esxi55-gpt");
    let before = host.unpacked(5, "before");
    let listed = host.listing("before");
    host.done(&["get", "STICK", "etc/hosts", "hosts"]);
    let old = fs::read(host.path("hosts")).unwrap();
    assert_eq!(old, fs::read(before.join("etc/hosts")).unwrap());
    let new: Vec<u8> = old.iter().map(u8::to_ascii_uppercase).collect();
    fs::write(host.path("hosts"), &new).unwrap();
    host.done(&["put", "STICK", "hosts", "etc/hosts"]);
    let after = host.unpacked(5, "after");
    assert_eq!(differing(&before, &after), ["etc/hosts"]);
    assert_eq!(host.listing("after"), listed);
    assert_eq!(fs::read(after.join("etc/hosts")).unwrap(), new);
}

#[test]
fn what_would_harm_is_refused() {
    let host = Host::new("esxi55-gpt");
    fs::write(host.path("f"), "x").unwrap();
    let long = format!("etc/{}", "d/".repeat(3000) + "f");
    let cases: [(&[&str], i32, &str); 10] = [
        (
            &["put", "STICK", "f", "etc/localtime"],
            3,
            "etc/localtime is a symbolic link",
        ),
        (
            &["put", "STICK", "f", "etc/vmware/hostd/config-copy.xml"],
            3,
            "is a hard link",
        ),
        (&["rm", "STICK", "etc/localtime"], 3, "is a symbolic link"),
        (
            &["put", "STICK", "f", "etc/vmware"],
            3,
            "etc/vmware is a directory",
        ),
        (&["put", "STICK", "f", "etc/../x"], 2, ".. component"),
        (&["put", "STICK", "f", &long], 2, "is too long"),
        (
            &["put", "STICK", "f", "etc/hosts/x"],
            2,
            "etc/hosts is not a directory",
        ),
        (
            &["put", "STICK", "f", "etc/vmware/esx.conf"],
            2,
            "no line of the form",
        ),
        (
            &["rm", "STICK", "etc/vmware/esx.conf"],
            3,
            "to boot with this configuration",
        ),
        (
            &["put", "STICK", "f", "bank:boot.cfg"],
            3,
            "are not replaced as files",
        ),
    ];
    for (arguments, code, says) in cases {
        host.refuses(arguments, code, says);
    }
    // A directory that the archive has no member for.
    let host = Host::new("esxi67-fresh");
    fs::write(host.path("f"), "x").unwrap();
    for path in ["etc/vmware/ssl", "etc/vmware//ssl/", "./etc/vmware/ssl"] {
        let says = "etc/vmware/ssl is a directory";
        host.refuses(&["rm", "STICK", path], 3, says);
        host.refuses(&["put", "STICK", "f", path], 3, says);
    }
    host.refuses(&["rm", "STICK", "/"], 3, "/ is a directory");
    host.refuses(&["put", "STICK", "f", "etc/new/"], 2, "ends in a slash");
    host.refuses(&["rm", "STICK", "etc/../etc/hosts"], 2, ".. component");
    // The name of a bank is read in any case, and a name the loader could not find is a slip.
    host.done(&["put", "STICK", "f", "BANK6:x.v00", "-n"]);
    host.refuses(
        &["put", "STICK", "f", "Bank:longerthan8.v00"],
        2,
        "at most 8",
    );
    host.refuses(
        &["get", "STICK", "etc/hosts", "nodir/x"],
        2,
        "its directory is not there",
    );
    host.refuses(
        &["put", "STICK", "f", "etc/x", "-o", "nodir/x"],
        2,
        "mkdir -p nodir",
    );
    host.refuses(&["rm", "STICK", ""], 3, "/ is a directory");
    let host = Host::new("esxi702-encrypted");
    fs::write(host.path("f"), "x").unwrap();
    host.refuses(&["put", "STICK", "f", STORE], 4, "SQLite header");
    host.refuses(
        &["rm", "STICK", STORE],
        3,
        "to boot with this configuration",
    );
}

#[test]
fn source_date_epoch_dates_what_is_new_and_only_that() {
    let host = Host::new("esxi702-encrypted");
    host.unpacked(5, "before");
    fs::write(host.path("f"), "x").unwrap();
    let put = |path| {
        host.run_at(
            Some("1700000000"),
            &["put", "STICK", "f", path, "--no-undo"],
        )
    };
    assert_eq!((put("etc/motd").code, put("etc/hosts").code), (0, 0));
    let row = [
        "-c",
        "esx",
        "-g",
        "system",
        "-k",
        "keyboard",
        r#"{"layout":"German"}"#,
    ];
    let set = [&["store", "set", "STICK", "--no-undo"], &row[..]].concat();
    assert_eq!(host.run_at(Some("1700000000"), &set).code, 0);
    let after = host.unpacked(5, "after");
    let dated = |line: &&String| line.contains("2023-11-14");
    let new = host.listing("after");
    let new: Vec<_> = new.iter().filter(dated).collect();
    assert_eq!(new.len(), 1, "{new:?}");
    assert!(new[0].ends_with("etc/motd"));
    let rows = "SELECT Name FROM Config WHERE ModifiedTime = '2023-11-14 22:13:20'";
    assert_eq!(crate::host::sqlite(&after.join(STORE), rows), "keyboard\n");
}

#[test]
fn a_hard_link_is_removed_and_its_file_stays_and_then_the_file_can_go() {
    let host = Host::new("esxi55-gpt");
    let (file, link) = (
        "etc/vmware/hostd/config.xml",
        "etc/vmware/hostd/config-copy.xml",
    );
    let hint = format!("bootbank rm STICK {link}");
    host.refuses(&["rm", "STICK", file], 3, &hint);
    let before = host.unpacked(5, "before");
    let told = host.done(&["rm", "--json", "STICK", link, "--no-undo"]);
    assert!(told.contains(&format!("hard link to {file}")), "{told}");
    let after = host.unpacked(5, "after");
    assert_eq!(differing(&before, &after), [link]);
    let (old, new) = (host.listing("before"), host.listing("after"));
    let gone: Vec<_> = old.iter().filter(|line| !new.contains(line)).collect();
    assert_eq!(gone.len(), 1, "{gone:?}");
    assert!(gone[0].contains(link), "{gone:?}");
    host.done(&["rm", "STICK", file, "--no-undo"]);
    assert_eq!(differing(&after, &host.unpacked(5, "later")), [file]);
}

#[test]
fn what_was_looked_into_is_told_by_the_files_that_were_compared() {
    let host = Host::new("esxi67-usb-passthru");
    let hosts = host.unpacked(5, "before").join("etc/hosts");
    fs::copy(hosts, host.path("hosts")).unwrap();
    let searched = |arguments: &[&str]| {
        let ran = host.run(arguments);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.json()["searched"].clone()
    };
    let put = ["put", "--json", "STICK", "hosts", "/etc/hosts"];
    assert_eq!(searched(&put), serde_json::json!(["state.tgz:etc/hosts"]));
    let text = host.run(&["put", "STICK", "hosts", "etc/hosts"]);
    let text = text.stdout + &text.stderr;
    assert!(text.contains("searched state.tgz:etc/hosts\n"), "{text}");
}

#[test]
fn a_new_file_without_room_is_not_said_to_have_an_old_one_to_write_over() {
    let host = Host::new("esxi67-usb-passthru");
    let file = fs::File::create(host.path("big")).unwrap();
    file.set_len(200 << 20).unwrap();
    let put = ["put", "STICK", "big", "bank5:big.v00"];
    let before = host.bytes();
    let ran = host.run(&put);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("no room"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("--in-place"), "{}", ran.stderr);
    let in_place = [&put[..], &["--in-place", "-y"]].concat();
    host.refuses(&in_place, 3, "is new, and in place files that are there");
    assert!(host.bytes() == before);
}

#[test]
fn no_option_is_named_for_a_limit_that_none_raises() {
    let host = Host::new("esxi67-usb-passthru");
    let mut cfg = host.bank_file(5, "BOOT.CFG");
    cfg.resize((1 << 20) + 1, b'#');
    fs::write(host.path("boot.cfg"), cfg).unwrap();
    let mut copy = Command::new("mcopy");
    copy.args(["-o", "-i", &host.bank_at(5)])
        .arg(host.path("boot.cfg"));
    run(copy.arg("::boot.cfg"));
    let ran = host.run(&["fix", "STICK"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("more than the limit of 1048576"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains("--max-unpacked"), "{}", ran.stderr);
}

/// After a cut behind its last step the same command has nothing left to do.
#[test]
fn a_bank_file_that_is_not_there_needs_no_removing() {
    let host = Host::new("esxi67-usb-passthru");
    let before = host.bytes();
    let ran = host.run(&["rm", "STICK", "bank5:nix.v00"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let said = ran.stdout + &ran.stderr;
    assert!(
        said.contains("there is no nix.v00, so nothing to remove"),
        "{said}"
    );
    assert!(host.bytes() == before);
}
