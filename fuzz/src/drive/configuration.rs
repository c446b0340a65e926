//! What a configuration is kept in: boot.cfg, esx.conf, the ConfigStore.

use bootbank::bank::{BootCfg, KerneloptEdit};
use bootbank::loader::{BankContent, BankInput, Generation, choose, warnings_about};
use bootbank::ownership::{ConfigStore, EsxConf, Owner, RowKey, StoreChange, ValueColumn};

/// A boot.cfg.
pub fn boot_cfg(data: &[u8]) -> bool {
    let cfg = BootCfg::parse(data);
    let inputs = [5, 6].map(|partition| BankInput {
        partition,
        met: BankContent::BootCfg(&cfg),
        has_state: true,
    });
    for generation in Generation::ALL {
        let choice = choose(generation, &inputs);
        let next = choice.banks.iter().filter(|bank| bank.boots_next);
        assert!(next.count() <= 1);
        let _ = warnings_about(&choice, &inputs);
    }
    let edit = [KerneloptEdit::Append("option=1".to_owned())];
    if let Ok(edited) = cfg.with_kernelopt(&edit) {
        let again = BootCfg::parse(&edited)
            .with_kernelopt(&edit)
            .expect("an edit that was made");
        assert!(again == edited, "the same edit changes something again");
    }
    cfg.build.is_some() && !cfg.modules.is_empty()
}

/// An esx.conf.
pub fn esx_conf(data: &[u8]) -> bool {
    let Ok(conf) = EsxConf::parse(data.to_vec()) else {
        return false;
    };
    assert!(conf.as_bytes() == data, "bytes are not kept");
    let _ = conf.aliases();
    let some = conf.entries().next().map(|entry| entry.key.to_owned());
    for key in some
        .iter()
        .map(String::as_str)
        .chain(["/device/000:26.7/owner"])
    {
        if let Ok(set) = conf.set(key, "value") {
            assert!(set.get(key) == Some("value"), "a key that was set");
        }
        if let Ok(unset) = conf.unset(key) {
            assert!(unset.get(key).is_none(), "a key that was taken out");
        }
    }
    let devices = conf.devices();
    let passed = devices.iter().filter(|device| device.passthrough);
    let keys: Vec<&str> = passed.map(|device| device.key.as_str()).collect();
    if keys.is_empty() {
        return false;
    }
    match conf.set_owner(&keys, Owner::Vmkernel) {
        Ok(edited) => {
            assert!(
                edited.devices().iter().all(|device| !device.passthrough),
                "still passed through"
            );
            assert!(
                without_values(edited.as_bytes()) == without_values(data),
                "more than the values changed"
            );
            true
        }
        Err(_) => false,
    }
}

/// The lines of an esx.conf without what is between their first and their last quote.
fn without_values(bytes: &[u8]) -> Vec<(&[u8], &[u8])> {
    let quote = |byte: &u8| *byte == b'"';
    let lines = bytes.split(|byte| *byte == b'\n');
    lines
        .map(|line| {
            let first = line.iter().position(quote).unwrap_or(line.len());
            let last = line.iter().rposition(quote).unwrap_or(line.len());
            (&line[..first], &line[last..])
        })
        .collect()
}

/// A ConfigStore with one `pci_devices` row, whose UserValue is the text between the marks.
const STORE: &[u8] = include_bytes!("../../templates/config-store.db");
const MARK: &[u8] = b"@@@@";

fn drive_store(bytes: Vec<u8>) -> bool {
    let Ok(store) = ConfigStore::open(bytes) else {
        return false;
    };
    let notes = store.notes();
    let _: Vec<String> = notes.iter().map(ToString::to_string).collect();
    let _ = store.aliases();
    let devices = store.devices();
    if devices.is_empty() {
        return false;
    }
    let mut changes: Vec<StoreChange> = devices
        .iter()
        .map(|device| StoreChange::SetOwner {
            identifier: device.key.clone(),
            owner: Owner::Vmkernel,
        })
        .collect();
    if let Ok(edited) = store.edit(&changes, Some(1_700_000_000)) {
        let found = edited.devices();
        assert_eq!(found.len(), devices.len(), "a row that was edited is odd");
        let devices = found;
        assert!(
            devices.iter().all(|device| !device.passthrough),
            "still passed through"
        );
    }
    let key = RowKey::new("esx", "hardware", "pci_devices", "0000:00:1a.0");
    let json = Some("{}".to_owned());
    changes.push(StoreChange::SetValue {
        key,
        column: ValueColumn::Cached,
        json,
    });
    let _ = store.edit(&changes, None);
    true
}

/// The JSON of a value column.
pub fn store_json(data: &[u8]) -> bool {
    let start = STORE
        .windows(MARK.len())
        .position(|at| at == MARK)
        .expect("the template");
    let room = STORE[start..]
        .iter()
        .take_while(|byte| **byte == b'@')
        .count();
    let mut store = STORE.to_vec();
    store[start..start + room].fill(b' ');
    let len = data.len().min(room);
    store[start..start + len].copy_from_slice(&data[..len]);
    drive_store(store)
}

/// A database file.
pub fn store_bytes(data: &[u8]) -> bool {
    drive_store(data.to_vec())
}
