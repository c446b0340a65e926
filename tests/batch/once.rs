//! A medium is one target by however many names it is given.

use crate::run::Place;

#[test]
fn a_medium_that_is_named_twice_is_one_target_to_every_command() {
    let place = Place::new();
    place.copy("esxi67-usb-passthru", "a.img");
    for command in [
        &["fix", "-n"][..],
        &["bank", "use", "6", "-n"],
        &["bank", "mark-clean", "5", "-n"],
        &["seal", "-n"],
        &["reclaim", "-n"],
        &["host", "set", "--ntp", "a.pool", "-n"],
        &["pci", "set", "-n", "-d", "0000:00:14.0", "-e", "false"],
    ] {
        let named = [command, &["-z", "x.undo", "a.img", "./a.img"]].concat();
        let said = place.run(&named).stderr();
        assert!(
            said.contains("is named twice; it is used once"),
            "{command:?}: {said}"
        );
        assert!(!said.contains("several targets"), "{command:?}: {said}");
    }
}

/// What a source is tells what its copy is called, and not the letters of its name.
#[test]
fn a_copy_in_a_directory_is_called_by_what_its_source_is() {
    let place = Place::new();
    let image = place.copy("esxi67-usb-passthru", "a.img");
    let packed = std::process::Command::new("gzip")
        .arg("-nk")
        .arg(&image)
        .status()
        .unwrap();
    assert!(packed.success());
    std::fs::rename(place.path().join("a.img.gz"), place.path().join("B.IMG.GZ")).unwrap();
    place.run(&["state", "export", "a.img", "st.gz"]).expect(0);
    for (source, name) in [
        ("a.img", "a.img"),
        ("B.IMG.GZ", "B.IMG"),
        ("st.gz", "st.gz"),
    ] {
        let output = format!("of-{name}/");
        place
            .run(&["conf", "set", source, "/a/b", "c", "-o", &output])
            .expect(0);
        let made: Vec<String> = std::fs::read_dir(place.path().join(&output))
            .unwrap()
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(made, [name]);
    }
}

#[test]
fn permission_bits_are_octal_digits_and_nothing_else() {
    let place = Place::new();
    place.copy("esxi67-usb-passthru", "a.img");
    place.write("key", "x");
    for mode in ["+644", "+0", "-1", "0o644", "10000"] {
        let mode = format!("--mode={mode}");
        place
            .run(&["put", "-n", &mode, "a.img", "key", "etc/key"])
            .expect(2);
    }
    place
        .run(&["put", "-n", "--mode", "0644", "a.img", "key", "etc/key"])
        .expect(0);
}
