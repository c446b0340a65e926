use crate::host::Host;

fn options(host: &Host) -> Vec<(u64, String)> {
    let object = host.run(&["kernelopt", "show", "STICK", "--json"]).json();
    let banks = object["banks"].as_array().unwrap().iter();
    let of = |bank: &serde_json::Value| {
        let options = bank["kernelopt"].as_str().unwrap_or_default();
        (bank["partition"].as_u64().unwrap(), options.to_owned())
    };
    banks.map(of).collect()
}

/// A person sees options in such a line, and the loader does not.
#[test]
fn a_line_that_the_loader_does_not_see_is_said_to_be_none() {
    let host = Host::new("esxi67-4kn");
    let boot_cfg = String::from_utf8(host.bank_file(5, "BOOT.CFG")).unwrap();
    let hidden = boot_cfg.replace("kernelopt=", "kernelopt =");
    assert_ne!(hidden, boot_cfg);
    host.put_bank_file(5, "BOOT.CFG", hidden.as_bytes());
    let says = "does not see kernelopt because of a space before the =";
    for arguments in [
        &["kernelopt", "show", "STICK"][..],
        &["bootcfg", "get", "STICK", "kernelopt"],
        &["kernelopt", "modify", "STICK", "-a", "one=1", "--no-undo"],
        &["bootcfg", "set", "STICK", "kernelopt", "two=2", "--no-undo"],
    ] {
        let ran = host.run(&[arguments, &["--bank", "5"]].concat());
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{arguments:?}: {}", ran.stderr);
    }
    let after = String::from_utf8(host.bank_file(5, "BOOT.CFG")).unwrap();
    assert_eq!(after, format!("{hidden}kernelopt=two=2\n"));
}

#[test]
fn options_change_and_no_other_byte_of_boot_cfg() {
    for profile in [
        "esxi40-mbr",
        "esxi67-4kn",
        "esxi702-encrypted",
        "esxi702-sealed",
    ] {
        let host = Host::new(profile);
        let before = String::from_utf8(host.bank_file(5, "BOOT.CFG")).unwrap();
        let old = options(&host).remove(0).1;
        host.done(&[
            "kernelopt",
            "modify",
            "STICK",
            "-a",
            "one=1",
            "-a",
            "two",
            "-z",
            "undo",
        ]);
        let new = format!("{old} one=1 two").trim_start().to_owned();
        assert_eq!(options(&host)[0].1, new, "{profile}");
        let after = String::from_utf8(host.bank_file(5, "BOOT.CFG")).unwrap();
        let line = |options: &str| format!("kernelopt={options}\n");
        assert!(before.contains(&line(&old)), "{before}");
        assert_eq!(after, before.replace(&line(&old), &line(&new)), "{profile}");
        let again = host.done(&["kernelopt", "modify", "STICK", "-a", "one=1", "--check"]);
        assert!(again.contains("nothing to change"), "{again}");
        host.done(&[
            "kernelopt",
            "modify",
            "STICK",
            "-r",
            "one=1=one=2",
            "-d",
            "two",
            "--no-undo",
        ]);
        assert!(options(&host)[0].1.ends_with("one=2"));
        host.done(&[
            "kernelopt",
            "modify",
            "STICK",
            "-r",
            "one=2=one=1",
            "-a",
            "two",
            "--no-undo",
        ]);
        assert_eq!(host.run(&["verify", "STICK"]).code, 0);
        assert_eq!(host.bank_file(5, "BOOT.CFG"), after.as_bytes());
        host.done(&["undo", "undo", "STICK", "--force"]);
        assert_eq!(host.bank_file(5, "BOOT.CFG"), before.as_bytes());
    }
}

/// The only way to give an option a value, whatever it has: what has it already is as it was asked to be.
#[test]
fn an_option_that_is_as_asked_is_not_moved() {
    let host = Host::new("esxi67-usb-passthru");
    let modify = |arguments: &[&str]| {
        host.done(&[&["kernelopt", "modify", "STICK", "--no-undo"], arguments].concat())
    };
    modify(&["-a", "foo=1", "-a", "zed", "-a", "bar=2"]);
    let before = host.bytes();
    for (number, name) in ["foo", "bar"].into_iter().enumerate() {
        let value = format!("{name}={}", number + 1);
        let said = modify(&["-d", name, "-a", &value, "--check"]);
        assert!(said.contains("nothing to change"), "{said}");
        let plan = format!("[kernelopt]\ndelete = [\"{name}\"]\nappend = [\"{value}\"]\n");
        std::fs::write(host.path("plan.toml"), plan).unwrap();
        let said = host.done(&["apply", "plan.toml", "STICK"]);
        assert!(said.contains("nothing to change"), "{said}");
    }
    assert!(host.bytes() == before);
    modify(&["-d", "foo", "-a", "foo=3"]);
    assert!(options(&host)[0].1.ends_with(" zed bar=2 foo=3"));
}

#[test]
fn the_booting_bank_stays_the_same_and_an_empty_bank_is_left_alone() {
    let host = Host::new("esxi67-fresh");
    let next = |host: &Host| {
        let info = host.run(&["info", "STICK", "--json"]).json();
        let banks = info["banks"].as_array().unwrap().clone();
        let next = banks.into_iter().find(|bank| bank["boots_next"] == true);
        next.unwrap()["partition"].clone()
    };
    let before = (next(&host), host.bank_file(6, "BOOT.CFG"));
    host.done(&["kernelopt", "modify", "STICK", "-a", "x"]);
    assert_eq!((next(&host), host.bank_file(6, "BOOT.CFG")), before);
    host.done(&["kernelopt", "modify", "STICK", "-a", "x", "--bank", "6"]);
    assert_eq!(next(&host), before.0);
    assert_eq!(options(&host)[1], (6, "x".to_owned()));
}

#[test]
fn options_the_loader_cannot_take_are_refused() {
    let host = Host::new("esxi67-usb-passthru");
    let cases: [(&[&str], i32, &str); 4] = [
        (
            &["-r", "nix=new"],
            2,
            "there is no kernel option \"nix\" to replace",
        ),
        (&["-r", "a=b=c"], 2, "does not split that way"),
        (&["-a", "two words"], 2, "is not a single kernel option"),
        (&[], 2, "there is nothing to do"),
    ];
    for (arguments, code, says) in cases {
        host.refuses(
            &[&["kernelopt", "modify", "STICK"], arguments].concat(),
            code,
            says,
        );
    }
}

/// Group n of a recovery key is eleven times its word, and n more.
fn recovery_key(wrong: Option<usize>) -> String {
    let groups = (0..16).map(|index| {
        let check = index % 11 + usize::from(wrong == Some(index + 1));
        format!("{:06}", 11 * (4_000 + index) + check)
    });
    groups.collect::<Vec<_>>().join("-")
}

#[test]
fn a_mistyped_recovery_key_is_warned_of_and_none_is_shown() {
    let host = Host::new("esxi702-sealed");
    let modify = |arguments: &[&str]| {
        let ran = host.run(&[&["kernelopt", "modify", "STICK"], arguments].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        format!("{}{}", ran.stdout, ran.stderr)
    };
    let mistyped = format!("encryptionRecoveryKey={}", recovery_key(Some(7)));
    let right = format!("encryptionRecoveryKey={}", recovery_key(None));
    let warned = modify(&["-a", &mistyped]);
    assert!(
        warned.contains("group 7 of the recovery key is wrong"),
        "{warned}"
    );
    assert!(
        warned.contains("holds the encryptionRecoveryKey that it adds"),
        "{warned}"
    );
    let taken_away = modify(&["-d", "encryptionRecoveryKey", "-a", &right]);
    assert!(!taken_away.contains("group"), "{taken_away}");
    assert!(taken_away.contains("undo file"), "{taken_away}");
    let kept = modify(&["-a", "quiet"]);
    assert!(!kept.contains("RecoveryKey:"), "{kept}");
    assert!(!kept.contains("undo file of this"), "{kept}");
    for said in [warned, taken_away, kept] {
        assert!(!said.contains("0440"), "{said}");
    }
    assert!(
        options(&host)[0]
            .1
            .ends_with("encryptionRecoveryKey=(hidden) quiet")
    );
    let boot_cfg = String::from_utf8(host.bank_file(5, "BOOT.CFG")).unwrap();
    assert!(boot_cfg.contains(&right) && !boot_cfg.contains(&mistyped));
}

/// The loader loads what is listed, and takes a host without a module for one that starts.
#[test]
fn modules_that_leave_the_list_are_named() {
    let host = Host::new("esxi67-usb-passthru");
    let shown = host.run(&["bootcfg", "set", "STICK", "modules", "state.tgz", "-n"]);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    let cfg = String::from_utf8(host.bank_file(5, "boot.cfg")).unwrap();
    let modules = cfg.lines().find_map(|line| line.strip_prefix("modules="));
    let all: Vec<&str> = modules.unwrap().split(" --- ").collect();
    let gone: Vec<&str> = all
        .iter()
        .copied()
        // What the VMkernel's absence costs is asked about.
        .filter(|it| !["state.tgz", "k.b00"].contains(it))
        .collect();
    let more = gone.len() - 3;
    let says = format!(
        "modules= lists {} and {more} more no longer; whether the host starts without them is not known",
        gone[..3].join(", ")
    );
    assert!(shown.stderr.contains(&says), "{says}: {}", shown.stderr);
    let one = all.iter().copied().filter(|it| *it != gone[0]);
    let value = one.collect::<Vec<_>>().join(" --- ");
    let shown = host.run(&["bootcfg", "set", "STICK", "modules", &value, "-n"]);
    let says = format!(
        "lists {} no longer; whether the host starts without it is not known",
        gone[0]
    );
    assert!(shown.stderr.contains(&says), "{says}: {}", shown.stderr);
}

/// What is asked on a terminal is refused without one: nobody takes the host's start away unasked.
#[test]
fn a_change_after_which_the_host_does_not_start_needs_yes() {
    let host = Host::new("esxi67-usb-passthru");
    let before = host.bytes();
    std::fs::write(host.path("bad.gz"), b"\x1f\x8b\x08\0\0\0\0\0\0\x03no gzip").unwrap();
    let boot_cfg = host.bank_file(5, "boot.cfg");
    let boot_cfg = String::from_utf8(boot_cfg).unwrap();
    let modules = boot_cfg
        .lines()
        .find_map(|line| line.strip_prefix("modules="));
    let listed = modules.unwrap().split(" --- ").next().unwrap();
    let module = format!("bank:{listed}");
    let says = "the host starts from this medium now, and will not after this change: ";
    for change in [
        &["bootcfg", "set", "STICK", "modules", "x"][..],
        &["bootcfg", "set", "STICK", "kernel", "absent.b00"],
        &["put", "STICK", "bad.gz", &module],
    ] {
        host.refuses(change, 2, says);
        let copy = host.path("copy.img");
        let output = ["-o", copy.to_str().unwrap()];
        host.refuses(&[change, &output].concat(), 2, says);
        assert!(!copy.exists());
        let shown = host.run(&[change, &["-n"]].concat());
        assert_eq!(shown.code, 0, "{change:?}");
        assert!(shown.stderr.contains(says), "{}", shown.stderr);
        assert!(host.bytes() == before, "{change:?}");
    }
    // Insisted on; and what starts no more cannot lose its start again.
    let broken = ["bootcfg", "set", "STICK", "kernel", "absent.b00"];
    host.done(&[&broken[..], &["-y", "--no-undo"]].concat());
    host.done(&[
        "bootcfg",
        "set",
        "STICK",
        "kernel",
        "other.b00",
        "--no-undo",
    ]);
}
