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
    for key in ["000:26.7", "000:000:26.7", "00000:000:26.7", "0000:00:26.7"] {
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
}

/// `10:00.0` typed is hexadecimal, and so is what `lspci` shows; a key is decimal.
#[test]
fn what_is_typed_is_hexadecimal_and_what_a_key_says_is_decimal() {
    let devices = devices(&["0000:10:00.0", "0000:16:00.0", "0000:00:31.2"]);
    for (selector, key) in [
        ("10:00.0", "0000:16:00.0"),
        ("0000:10:00.0", "0000:16:00.0"),
        ("0a:00.0", "0000:10:00.0"),
        ("dec:10:00.0", "0000:10:00.0"),
        ("raw:0000:10:00.0", "0000:10:00.0"),
        ("/device/0000:10:00.0/owner", "0000:10:00.0"),
        ("00:1f.2", "0000:00:31.2"),
        ("0000:00:31.2", "0000:00:31.2"),
    ] {
        assert_eq!(chosen(&devices, selector).unwrap(), [key], "{selector}");
    }
    let error = chosen(&devices, "16:00.0").unwrap_err();
    assert!(matches!(error, SelectError::NoSuchDevice { .. }));
}

/// The answer shows the key that was copied, and which device it really is.
#[test]
fn a_key_typed_without_its_path_names_no_device_but_is_listed() {
    let devices = devices(&["0000:10:00.0", "0000:16:01.0"]);
    let error = chosen(&devices, "0000:10:00.0").unwrap_err();
    assert_eq!(
        error.to_string(),
        "no device matches `0000:10:00.0`; nearest: /device/0000:10:00.0/owner (0000:0a:00.0)"
    );
    assert_eq!(error.kind(), ErrorKind::Usage);
}

#[test]
fn an_adapter_is_found_by_its_name() {
    let file = concat!(
        "/device/000:26.7/owner = \"passthru\"\n/device/000:26.7/vmkname = \"vmhba32\"\n",
        "/device/00000:000:26.7/owner = \"passthru\"\n/device/00000:000:26.7/vmkname = \"vmhba32\"\n",
        "/device/000:29.7/vmkname = \"vmnic0\"\n/device/000:29.6/vmkname = \"vmnic1\"\n",
        "/device/000:29.5/vmkname = \"vmnic1\"\n",
    );
    let devices = EsxConf::parse(file.into()).unwrap().devices();
    assert_eq!(
        chosen(&devices, "vmhba32").unwrap(),
        ["000:26.7", "00000:000:26.7"]
    );
    assert_eq!(chosen(&devices, "vmnic0").unwrap(), ["000:29.7"]);
    assert!(matches!(
        chosen(&devices, "vmnic1"),
        Err(SelectError::Ambiguous { .. })
    ));
    assert!(matches!(
        chosen(&devices, "vmhba0"),
        Err(SelectError::NoSuchDevice { .. })
    ));
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
    let devices = devices(&[
        "0000:10:16.0",
        "0000:10:16.0.vf1",
        "p0000:0a:10.0.vf1",
        "p0000:0a:10.0.vf2",
    ]);
    assert!(devices[1].virtual_function && !devices[0].virtual_function);
    for function in [
        "0a:10.0",
        "0000:0a:10.0",
        "hex:0a:10.0",
        "dec:010:16.0",
        "raw:0000:10:16.0",
        "/device/010:16.0",
    ] {
        assert_eq!(
            chosen(&devices, function).unwrap(),
            ["0000:10:16.0"],
            "{function}"
        );
    }
    for first in [
        "0a:10.0.vf1",
        "0000:0a:10.0.vf1",
        "hex:0a:10.0.vf1",
        "dec:010:16.0.vf1",
        "/device/010:16.0.vf1/owner",
        "/device/p0000:0a:10.0.vf1",
    ] {
        assert_eq!(
            chosen(&devices, first).unwrap(),
            ["0000:10:16.0.vf1", "p0000:0a:10.0.vf1"],
            "{first}"
        );
    }
    assert_eq!(
        chosen(&devices, "raw:p0000:0a:10.0.vf1").unwrap(),
        ["p0000:0a:10.0.vf1"]
    );
    assert_eq!(
        chosen(&devices, "0a:10.0.vf2").unwrap(),
        ["p0000:0a:10.0.vf2"]
    );
    assert!(matches!(
        chosen(&devices, "0a:10.0.vf"),
        Err(SelectError::Ambiguous { .. })
    ));
    assert_eq!(
        chosen(&devices, "/device/0000:10:16.0/owner").unwrap(),
        ["0000:10:16.0"]
    );
}

/// The function keeps its owner where a line names a virtual function of it alone.
#[test]
fn the_address_of_a_function_never_names_its_virtual_functions() {
    let devices = devices(&["p0000:0a:10.0.vf3", "010:17.0.vf3", "000:26.7"]);
    for selector in [
        "0a:10.0",
        "dec:010:16.0",
        "/device/010:16.0/owner",
        "0a:11.0",
    ] {
        let error = chosen(&devices, selector).unwrap_err();
        assert!(
            matches!(error, SelectError::NoSuchDevice { .. }),
            "{selector}: {error}"
        );
    }
    assert_eq!(
        chosen(&devices, "0a:10.0").unwrap_err().to_string(),
        "no device matches `0a:10.0`; nearest: /device/p0000:0a:10.0.vf3/owner (0000:0a:10.0.vf3)"
    );
}

#[test]
fn a_key_whose_address_cannot_be_read_is_selected_as_it_is_written() {
    let devices = devices(&["something", "000:26.7"]);
    assert_eq!(chosen(&devices, "raw:something").unwrap(), ["something"]);
    assert_eq!(
        chosen(&devices, "something").unwrap_err().to_string(),
        "`something` is neither a PCI address nor a key nor the name of an adapter"
    );
}

#[test]
fn a_device_that_is_not_there_is_answered_with_its_neighbours() {
    let devices = devices(&["000:26.0", "000:26.7", "000:29.7", "003:00.0"]);
    let answer = |selector| chosen(&devices, selector).unwrap_err().to_string();
    assert_eq!(
        answer("00:1a.1"),
        "no device matches `00:1a.1`; nearest: /device/000:26.0/owner (0000:00:1a.0), \
         /device/000:26.7/owner (0000:00:1a.7)"
    );
    assert_eq!(
        answer("03:1f.0"),
        "no device matches `03:1f.0`; nearest: /device/003:00.0/owner (0000:03:00.0)"
    );
    assert_eq!(
        answer("01:00.0"),
        "no device matches `01:00.0`; nearest: /device/000:29.7/owner (0000:00:1d.7), \
         /device/003:00.0/owner (0000:03:00.0)"
    );
    assert_eq!(
        answer("55:1d.7"),
        "no device matches `55:1d.7`; nearest: /device/000:29.7/owner (0000:00:1d.7)"
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
        "vmhba",
        "vm0",
        "eth0",
        "VMHBA0",
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
