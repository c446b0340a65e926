//! Lies that only the whole stick tells: each part is within its limit, and there are too many.

use super::repair;
use bootbank::edit::{Context, Devices, Edit, OwnerEdit};
use bootbank::error::ErrorKind;
use bootbank::fat::Method;
use bootbank::ownership::Owner;
use bootbank::state::{KeyCache, Limits};
use bootbank::stick::{BankChoice, Request, Settings, Stick};

/// An image with one bank in sectors 3 to 42, and another without a state.
const SEED: &[u8] = include_bytes!("../../fuzz/seeds/image/gpt");
const FIRST: usize = 3 * 512;
const BANK: usize = 40 * 512;

/// A GPT disk of that many copies of the seed's first bank.
fn banks(count: usize) -> Vec<u8> {
    let array = count.div_ceil(4);
    let mut image = SEED[..1024].to_vec();
    image[512 + 80..512 + 84].copy_from_slice(&(count as u32).to_le_bytes());
    for index in 0..count {
        let first = (2 + array + index * BANK / 512) as u64;
        let mut entry = SEED[1024..1152].to_vec();
        entry[16] = index as u8;
        entry[32..40].copy_from_slice(&first.to_le_bytes());
        entry[40..48].copy_from_slice(&(first + 39).to_le_bytes());
        image.extend(entry);
    }
    image.resize((2 + array) * 512, 0);
    for _ in 0..count {
        image.extend_from_slice(&SEED[FIRST..FIRST + BANK]);
    }
    repair::gpt(&mut image, 512);
    image
}

fn settings(keys: &KeyCache, max_unpacked: u64) -> Settings<'_> {
    Settings {
        sector_size: None,
        limits: Limits::each(max_unpacked),
        keys,
    }
}

fn request(banks: BankChoice) -> Request {
    Request {
        banks,
        method: Method::SecondCopy,
        context: Context { time: None },
    }
}

#[test]
fn more_banks_than_any_layout_has_are_refused_before_they_fill_the_memory() {
    let keys = KeyCache::new();
    let limit = 1 << 20;
    assert_eq!(
        Stick::open(&banks(16), settings(&keys, limit))
            .map(|stick| stick.slots().len())
            .ok(),
        Some(16)
    );
    let many = banks(17);
    let error = Stick::open(&many, settings(&keys, limit)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("more than 16 banks"), "{error}");
}

#[test]
fn states_within_the_limit_one_by_one_have_a_limit_together() {
    let keys = KeyCache::new();
    let image = banks(3);
    let stick = Stick::open(&image, settings(&keys, 4200)).unwrap();
    let edits = [Edit::Owner(OwnerEdit {
        devices: Devices::PassedThrough,
        owner: Owner::Vmkernel,
    })];
    // Three states of 6144 bytes each.
    let plan = stick.plan(&edits, request(BankChoice::All));
    let error = plan.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(
        error.to_string().contains("16800 bytes together"),
        "{error}"
    );
    for bank in 1..=3 {
        let plan = stick.plan(&edits, request(BankChoice::Partition(bank)));
        assert!(!plan.unwrap().is_empty(), "one bank is within it");
    }
}
