//! Lies that only the whole stick tells: each part is within its limit, and there are too many.

use super::memory::{Medium, peak_of, taken_by};
use super::repair;
use bootbank::bank::BootCfg;
use bootbank::commit::{self, IfDifferent};
use bootbank::edit::inventory::Inventory;
use bootbank::edit::seal::SealOperation;
use bootbank::edit::{self, ConfEdit};
use bootbank::edit::{Context, Devices, Edit, OwnerEdit};
use bootbank::error::ErrorKind;
use bootbank::fat::Method;
use bootbank::ownership::{ConfigStore, Owner, RowKey, StoreChange, ValueColumn};
use bootbank::state::{KeyCache, Limits, State};
use bootbank::stick::{BankChoice, BankFile, Request, Settings, Stick, plan_undo};
use flate2::read::GzDecoder;
use std::io::Read as _;

/// An image with one bank in sectors 3 to 42, and another without a state.
const SEED: &[u8] = include_bytes!("../../fuzz/seeds/image/gpt");
const FIRST: usize = 3 * 512;
const BANK: usize = 40 * 512;

/// A ConfigStore with the row of a device.
const STORE: &[u8] = include_bytes!("../../fuzz/seeds/store_bytes/usual");

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
        Stick::open(&banks(16), &settings(&keys, limit))
            .map(|stick| stick.slots().len())
            .ok(),
        Some(16)
    );
    let many = banks(17);
    let error = Stick::open(&many, &settings(&keys, limit)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("more than 16 banks"), "{error}");
}

#[test]
fn states_within_the_limit_one_by_one_have_a_limit_together() {
    let keys = KeyCache::new();
    let image = banks(3);
    let stick = Stick::open(&image, &settings(&keys, 4200)).unwrap();
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

/// A state with this esx.conf in it.
fn state(conf: &str) -> State {
    let pack = |path: &str, content: &[u8]| {
        let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut archive = tar::Builder::new(gzip);
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, content).unwrap();
        archive.into_inner().unwrap().finish().unwrap()
    };
    let local = pack("etc/vmware/esx.conf", conf.as_bytes());
    let bytes = pack("local.tgz", &local);
    let limits = Limits::each(64 << 20);
    State::open("state.tgz", &bytes, &limits, &KeyCache::new()).unwrap()
}

fn filled(mut conf: String, length: usize) -> String {
    for line in 0.. {
        if conf.len() >= length {
            break;
        }
        conf.push_str(&format!("/fill/key{line} = \"value\"\n"));
    }
    conf
}

/// Bytes that making these edits copies, in units of the length of esx.conf.
fn copies_made(conf: &str, edits: &[Edit]) -> u64 {
    let state = state(conf);
    let context = Context { time: None };
    let (edited, taken) = taken_by(|| edit::apply(&state, edits, context, None).unwrap());
    assert!(!edited.members.is_empty());
    taken / conf.len() as u64
}

#[test]
fn sealing_a_large_configuration_copies_it_as_often_for_many_adapters_as_for_one() {
    let with = |adapters: usize| {
        let lines = (0..adapters).map(|adapter| {
            format!("/net/vmkernelnic/child[{adapter:06}]/mac = \"00:50:56:00:00:00\"\n")
        });
        copies_made(
            &filled(lines.collect(), 2 << 20),
            &[Edit::Seal(SealOperation::ALL.to_vec())],
        )
    };
    let (one, many) = (with(1), with(505));
    assert!(many <= one + 2 && many < 100, "{one} and {many} copies");
}

#[test]
fn many_keys_are_set_in_as_few_passes_as_one() {
    let with = |keys: usize| {
        let set = (0..keys).map(|key| {
            Edit::Conf(ConfEdit::Set {
                key: format!("/adv/New/Key{key}"),
                value: "1".to_owned(),
            })
        });
        copies_made(&filled(String::new(), 2 << 20), &set.collect::<Vec<_>>())
    };
    let (one, many) = (with(1), with(5_000));
    assert!(many <= one + 12 && many < 100, "{one} and {many} copies");
}

#[test]
fn a_boot_cfg_full_of_kernel_options_is_taken_apart_in_one_pass() {
    let with = |options: usize| {
        let options: String = (0..options)
            .map(|option| format!(" a{}=1", option % 7))
            .collect();
        let text = format!("kernelopt={options}\n");
        let length = text.len() as u64;
        let cfg = BootCfg::parse(text.as_bytes());
        let mut inventory = Inventory::default();
        let ((), taken) = taken_by(|| inventory.add_boot_cfg(&cfg));
        assert!(!inventory.is_empty());
        taken / length
    };
    let (few, many) = (with(1_000), with(100_000));
    assert!(many <= few + 4, "{few} and {many} copies");
}

/// A value is walked where it stands: as values in memory its parts would take many times as much.
#[test]
fn a_row_of_many_small_values_takes_no_more_than_its_text_a_few_times() {
    let store = ConfigStore::open(STORE.to_vec()).unwrap();
    let many = format!("{{\"a\":[{}0]}}", "{\"b\":1},".repeat(100_000));
    let change = StoreChange::SetValue {
        key: RowKey::new("esx", "hardware", "pci_devices", "0000:00:1a.0"),
        column: ValueColumn::User,
        json: Some(many),
    };
    let bytes = store.edit(&[change], None).unwrap().into_bytes();
    let len = bytes.len() as u64;
    let (told, memory) = peak_of(|| {
        let store = ConfigStore::open(bytes).unwrap();
        (store.devices().len(), store.notes().len())
    });
    assert_eq!(told, (1, 0));
    assert!(memory < 4 * len, "{memory} bytes for {len}");
}

/// A copy of a bank is undone on the machine where it was made, which may have little memory: what the medium holds is
/// held once, in the undo file, and files are compared one at a time.
#[test]
fn an_undo_of_large_files_holds_little_besides_the_undo_file() {
    const NAMES: [&str; 4] = ["A.V00", "B.V00", "C.V00", "D.V00"];
    const LEN: usize = 1 << 20;
    let packed = include_bytes!("../../testimages/esxi67-usb-passthru.img.gz");
    let mut image = Vec::new();
    GzDecoder::new(&packed[..]).read_to_end(&mut image).unwrap();
    let medium = Medium::new(&image);
    let keys = KeyCache::new();
    let settings = settings(&keys, 64 << 20);
    let put = |byte: u8| {
        let files = NAMES.map(|name| BankFile {
            partition: Some(5),
            name: name.to_owned(),
            content: Some(vec![byte; LEN]),
        });
        let stick = Stick::open(&medium, &settings).unwrap();
        let plan = stick.plan_files(&files, request(BankChoice::Partition(5)));
        let plan = plan.unwrap();
        let undo = stick.undo_of(&plan, Default::default());
        assert!(
            commit::run(&medium, &plan.set, &|| false)
                .unwrap()
                .unfinished
                .is_none()
        );
        undo
    };
    put(1);
    let undo = put(2);
    let whole = (NAMES.len() * LEN) as u64;
    let (way, peak) = peak_of(|| plan_undo(&medium, &undo, &settings, IfDifferent::Refuse));
    let written = way.unwrap().set.bytes_to_write();
    assert!(written >= whole, "{written} bytes come back");
    assert!(peak < 2 * whole, "{peak} bytes for {whole}");
}
