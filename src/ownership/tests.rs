use super::*;

fn device(source: Source, written: &str, passthrough: bool) -> DeviceOwner {
    let mut device = DeviceOwner::new(source, written.to_owned(), written);
    device.passthrough = passthrough;
    device
}

#[test]
fn sources_that_give_one_device_to_different_owners_are_reported() {
    let esx_conf = [
        device(Source::EsxConf, "000:26.7", true),
        device(Source::EsxConf, "000:29.7", false),
        device(Source::EsxConf, "000:31.2", true),
        device(Source::EsxConf, "003:00.0", true),
    ];
    let config_store = [
        device(Source::ConfigStore, "0000:00:1f.2", true),
        device(Source::ConfigStore, "0000:00:1d.7", true),
        device(Source::ConfigStore, "0000:00:1a.7", false),
        device(Source::ConfigStore, "0000:05:00.0", true),
    ];
    let found: Vec<_> = disagreements(&esx_conf, &config_store)
        .iter()
        .map(|d| {
            (
                d.address.lspci(),
                d.esx_conf.passthrough,
                d.config_store.passthrough,
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("00:1a.7".to_owned(), true, false),
            ("00:1d.7".to_owned(), false, true)
        ]
    );
}

#[test]
fn a_key_disagrees_with_the_row_of_its_decimal_address_alone() {
    let esx_conf = [device(Source::EsxConf, "0000:00:11.0", true)];
    let at = |sbdf| [device(Source::ConfigStore, sbdf, false)];
    assert_eq!(disagreements(&esx_conf, &at("0000:00:11.0")), []);
    assert_eq!(disagreements(&esx_conf, &at("0000:00:0b.0")).len(), 1);
}

#[test]
fn both_owners_have_one_length_in_each_source() {
    for source in [Source::EsxConf, Source::ConfigStore] {
        let [a, b] = [Owner::Vmkernel, Owner::Passthru].map(|o| o.spelled(source));
        assert_eq!(a.len(), b.len());
        assert_eq!(Owner::meant_by(source, false, b), Owner::Passthru);
        assert_eq!(Owner::meant_by(source, false, "else"), Owner::Vmkernel);
    }
}

/// 6.7: of a key that ends in `.vfN` anything but `vmkernel` means passed through.
#[test]
fn a_virtual_function_is_passed_through_unless_it_is_the_vmkernels() {
    for (raw, owner) in [
        ("passthru", Owner::Passthru),
        ("somevm", Owner::Passthru),
        ("", Owner::Passthru),
        ("Vmkernel", Owner::Passthru),
        ("vmkernel", Owner::Vmkernel),
    ] {
        assert_eq!(Owner::meant_by(Source::EsxConf, true, raw), owner, "{raw}");
    }
    for (written, place) in [
        ("m00005c00.vf1", Some("m00005c00")),
        ("s00000004.00.vf2", Some("s00000004.00")),
        ("0000:05:10.1.vf", Some("0000:05:10.1")),
        ("0000:05:10.1.vfx", None),
        ("000:26.7", None),
    ] {
        let (found, is_one) = split_virtual_function(written);
        assert_eq!(is_one.then_some(found), place, "{written}");
    }
    let function = device(Source::EsxConf, "p0000:0a:10.0.vf3", true);
    assert_eq!(function.address.unwrap().lspci(), "0a:10.0");
    assert!(!function.is_ignored_by_host());
    let slot = device(Source::EsxConf, "m00005c00.vf1", true);
    assert_eq!(slot.bus_address, Some(BusAddress::Slot("m00005c00".into())));
}

#[test]
fn a_key_that_is_no_decimal_address_is_ignored_by_the_host() {
    for (written, ignored) in [
        ("0000:10:00.0", false),
        ("0000:00:1a.7", true),
        ("000:32.0", true),
        ("256:00.0", true),
        ("m00005c00", true),
        ("m00005c00.vf1", false),
    ] {
        let device = device(Source::EsxConf, written, true);
        assert_eq!(device.is_ignored_by_host(), ignored, "{written}");
    }
}
