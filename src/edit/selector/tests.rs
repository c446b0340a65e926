use super::*;
use crate::ownership::EsxConf;

fn devices(keys: &[&str]) -> Vec<DeviceOwner> {
    let lines: String = keys
        .iter()
        .map(|key| format!("/device/{key}/owner = \"passthru\"\n"))
        .collect();
    EsxConf::parse(lines.into_bytes()).unwrap().devices()
}

fn chosen(devices: &[DeviceOwner], selector: &str) -> Result<Vec<String>, SelectError> {
    let selected = select(devices, &[selector.parse()?])?;
    Ok(selected
        .into_iter()
        .map(|at| devices[at].written.clone())
        .collect())
}

#[test]
fn a_device_is_found_by_every_spelling_of_its_address() {
    for key in [
        "000:26.7",
        "000:000:26.7",
        "00000:000:26.7",
        "0000:00:1a.7",
        "0000:00:26.7",
    ] {
        let devices = devices(&["000:00.0", key]);
        let path = format!("/device/{key}/owner");
        let parent = format!("/device/{key}");
        let raw = format!("raw:{key}");
        for selector in [
            path.as_str(),
            parent.as_str(),
            raw.as_str(),
            key,
            "00:1a.7",
            "0000:00:1a.7",
            "000:26.7",
            "000:000:26.7",
            "00000:000:26.7",
            "hex:00:1a.7",
            "dec:000:26.7",
            "dec:00:26.7",
            "00:1A.7",
        ] {
            assert_eq!(
                chosen(&devices, selector).unwrap(),
                [key],
                "{selector} in {key}"
            );
        }
    }
}

/// A key copied from one bank names the device in the other, and in the ConfigStore, whatever
/// spelling they use; `raw:` means the key alone.
#[test]
fn a_key_that_can_be_read_in_one_way_names_the_device_wherever_it_is_written() {
    let both = devices(&["000:26.7", "00000:000:26.7"]);
    let key = "/device/000:26.7/owner";
    assert_eq!(chosen(&both, key).unwrap(), ["000:26.7", "00000:000:26.7"]);
    assert_eq!(chosen(&both, "raw:000:26.7").unwrap(), ["000:26.7"]);
    let other = devices(&["00000:000:26.7"]);
    assert_eq!(chosen(&other, key).unwrap(), ["00000:000:26.7"]);
    // This one is 00:11.0 or, in decimal, 00:0b.0: as a key it is itself alone.
    let doubtful = devices(&["0000:00:11.0", "000:11.0"]);
    let key = "/device/0000:00:11.0/owner";
    assert_eq!(chosen(&doubtful, key).unwrap(), ["0000:00:11.0"]);
}

#[test]
fn one_address_that_fits_two_devices_is_refused_with_both() {
    // Read as hexadecimal 00:11.0 is the first, as decimal the second.
    let devices = devices(&["000:17.0", "000:11.0"]);
    let error = chosen(&devices, "00:11.0").unwrap_err();
    assert_eq!(
        error.to_string(),
        "`00:11.0` matches more than one device: /device/000:17.0/owner (0000:00:11.0), \
         /device/000:11.0/owner (0000:00:0b.0)"
    );
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert_eq!(chosen(&devices, "hex:00:11.0").unwrap(), ["000:17.0"]);
    assert_eq!(chosen(&devices, "dec:00:11.0").unwrap(), ["000:11.0"]);
    assert_eq!(chosen(&devices, "raw:000:11.0").unwrap(), ["000:11.0"]);
}

#[test]
fn two_ambiguous_keys_that_can_be_one_address_are_still_two_devices() {
    let devices = devices(&["0000:00:11.0", "0000:00:17.0"]);
    let error = chosen(&devices, "hex:00:11.0").unwrap_err();
    assert!(matches!(error, SelectError::Ambiguous { matches, .. } if matches.len() == 2));
    assert_eq!(
        chosen(&devices, "raw:0000:00:11.0").unwrap(),
        ["0000:00:11.0"]
    );
}

#[test]
fn keys_of_two_widths_for_one_address_are_selected_together() {
    let devices = devices(&["000:26.7", "00000:000:26.7", "000:29.7"]);
    assert_eq!(
        chosen(&devices, "00:1a.7").unwrap(),
        ["000:26.7", "00000:000:26.7"]
    );
}

#[test]
fn without_a_segment_every_segment_fits_and_two_are_refused() {
    let devices = devices(&["00000:003:00.0", "00001:003:00.0", "00001:004:00.0"]);
    assert!(matches!(
        chosen(&devices, "03:00.0"),
        Err(SelectError::Ambiguous { .. })
    ));
    assert_eq!(
        chosen(&devices, "0001:03:00.0").unwrap(),
        ["00001:003:00.0"]
    );
    assert_eq!(chosen(&devices, "04:00.0").unwrap(), ["00001:004:00.0"]);
}

#[test]
fn a_virtual_function_is_told_from_the_function_in_its_place() {
    let devices = devices(&["0000:03:10.0", "0000:03:10.0.vf"]);
    assert!(devices[1].virtual_function && !devices[0].virtual_function);
    assert!(matches!(
        chosen(&devices, "hex:03:10.0"),
        Err(SelectError::Ambiguous { .. })
    ));
    assert_eq!(
        chosen(&devices, "hex:03:10.0.vf").unwrap(),
        ["0000:03:10.0.vf"]
    );
    assert_eq!(
        chosen(&devices, "/device/0000:03:10.0/owner").unwrap(),
        ["0000:03:10.0"]
    );
}

#[test]
fn a_key_whose_address_cannot_be_read_is_selected_as_it_is_written() {
    let devices = devices(&["something", "000:26.7"]);
    assert_eq!(chosen(&devices, "raw:something").unwrap(), ["something"]);
    assert_eq!(
        chosen(&devices, "something").unwrap_err().to_string(),
        "`something` is neither a PCI address nor a key"
    );
}

#[test]
fn a_device_that_is_not_there_is_answered_with_its_neighbours() {
    let devices = devices(&["000:26.0", "000:26.7", "000:29.7", "003:00.0"]);
    let answer = |selector| chosen(&devices, selector).unwrap_err().to_string();
    assert_eq!(
        answer("00:1a.1"),
        "no device matches `00:1a.1`; the nearest are /device/000:26.0/owner (0000:00:1a.0), \
         /device/000:26.7/owner (0000:00:1a.7)"
    );
    assert_eq!(
        answer("03:1f.0"),
        "no device matches `03:1f.0`; the nearest are /device/003:00.0/owner (0000:03:00.0)"
    );
    assert!(answer("raw:nothing").contains("/device/000:29.7/owner"));
}

#[test]
fn selectors_that_name_one_device_twice_select_it_once() {
    let devices = devices(&["000:26.0", "000:26.7"]);
    let selectors = ["00:1a.7", "000:26.7", "00:1a.0"].map(|s| s.parse().unwrap());
    assert_eq!(select(&devices, &selectors).unwrap(), [0, 1]);
}

#[test]
fn a_text_that_names_nothing_is_no_selector() {
    for text in [
        "",
        "raw:",
        "hex:",
        "hex:000:26.7",
        "dec:00:1a.7",
        "vmhba0",
        "00:1a",
        "hex:raw:x",
    ] {
        assert!(
            matches!(
                text.parse::<Selector>(),
                Err(SelectError::NotADevice { .. })
            ),
            "{text}"
        );
    }
}
