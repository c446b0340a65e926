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
fn an_ambiguous_key_disagrees_only_if_every_reading_does() {
    let esx_conf = [device(Source::EsxConf, "0000:00:11.0", true)];
    let one = [
        device(Source::ConfigStore, "0000:00:11.0", false),
        device(Source::ConfigStore, "0000:00:0b.0", true),
    ];
    assert_eq!(disagreements(&esx_conf, &one), []);
    let both = [
        device(Source::ConfigStore, "0000:00:11.0", false),
        device(Source::ConfigStore, "0000:00:0b.0", false),
    ];
    assert_eq!(disagreements(&esx_conf, &both).len(), 1);
}

#[test]
fn only_bus_addresses_that_name_a_pci_function_are_read() {
    let address = bus_address("p0000:00:07.1").unwrap();
    assert_eq!(address.lspci(), "00:07.1");
    assert_eq!(logical_address("pci#p0000:00:07.1#12"), Some((address, 12)));
    for text in [
        "m01000300",
        "s00000002.00",
        "0000:00:07.1",
        "p0000:00:31.2",
        "p",
        "",
    ] {
        assert_eq!(bus_address(text), None, "{text}");
    }
    for text in [
        "pci#m01000b00#0",
        "pci#p0000:00:07.1",
        "pci#p0000:00:07.1#",
        "logical#swdevroot#x#0",
    ] {
        assert_eq!(logical_address(text), None, "{text}");
    }
}

#[test]
fn both_owners_have_one_length_in_each_source() {
    for source in [Source::EsxConf, Source::ConfigStore] {
        let [a, b] = [Owner::Vmkernel, Owner::Passthru].map(|o| o.spelled(source));
        assert_eq!(a.len(), b.len());
        assert_eq!(Owner::meant_by(source, b), Owner::Passthru);
        assert_eq!(Owner::meant_by(source, "else"), Owner::Vmkernel);
    }
}
