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
