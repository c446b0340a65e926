//! What looking at a medium and fixing it cost. `cargo bench`; counts of bytes and syncs, which
//! do not depend on the machine, are tests.

// Clippy exempts test functions only, and a bench is none.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use bootbank::commit;
use bootbank::edit::{Configuration, Context, Devices, Edit, OwnerEdit};
use bootbank::fat::Method;
use bootbank::medium::{CachedReads, Memory, ReadAt, Target};
use bootbank::ownership::Owner;
use bootbank::state::key_store::EncryptionInfo;
use bootbank::state::{KeyCache, Limits};
use bootbank::stick::{BankChoice, Request, Settings, Stick};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use std::fs::File;
use std::hint::black_box;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

fn bundled(name: &str) -> Vec<u8> {
    let path = format!("{}/testimages/{name}.img.gz", env!("CARGO_MANIFEST_DIR"));
    let mut image = Vec::new();
    let packed = File::open(path).unwrap();
    flate2::read::GzDecoder::new(packed)
        .read_to_end(&mut image)
        .unwrap();
    image
}

fn settings(keys: &KeyCache) -> Settings<'_> {
    Settings {
        sector_size: None,
        limits: Limits::default(),
        keys,
    }
}

/// What `info` does: the table, the banks, each state opened and its devices counted.
fn look(medium: &dyn ReadAt, keys: &KeyCache) -> usize {
    let cached = CachedReads::new(medium);
    let stick = Stick::open(&cached, &settings(keys)).unwrap();
    let mut devices = 0;
    for slot in stick.slots() {
        for file in &slot.states {
            let state = stick.open_state(slot, file).unwrap();
            let configuration = Configuration::open(&state).unwrap();
            devices += configuration.devices().unwrap().len();
        }
    }
    devices
}

/// What `fix` does: a verified plan, and its way onto the medium.
fn fix(medium: &Memory, keys: &KeyCache) -> u64 {
    let cached = CachedReads::new(medium);
    let stick = Stick::open(&cached, &settings(keys)).unwrap();
    let edit = Edit::Owner(OwnerEdit {
        devices: Devices::PassedThrough,
        owner: Owner::Vmkernel,
    });
    let request = Request {
        banks: BankChoice::All,
        method: Method::SecondCopy,
        context: Context::default(),
    };
    let plan = stick.plan(&[edit], request).unwrap();
    let done = commit::run(medium, &plan.set, &|| false).unwrap();
    assert!(done.bytes_written > 0);
    done.bytes_written
}

fn plain(c: &mut Criterion) {
    let image = bundled("esxi67-usb-passthru");
    let keys = KeyCache::new();
    c.bench_function("info of a 6.7 image", |b| b.iter(|| look(&image, &keys)));
    c.bench_function("fix of a 6.7 image, two banks", |b| {
        let fresh = || Memory::new(image.clone());
        b.iter_batched_ref(fresh, |medium| fix(medium, &keys), BatchSize::PerIteration);
    });
}

fn encrypted(c: &mut Criterion) {
    let image = bundled("esxi702-encrypted");
    let known = KeyCache::new();
    look(&image, &known);
    c.bench_function("info of a 7.0.2 image, key known", |b| {
        b.iter(|| look(&image, &known));
    });
    c.bench_function("fix of a 7.0.2 image, two banks, keys known", |b| {
        let fresh = || Memory::new(image.clone());
        b.iter_batched_ref(fresh, |medium| fix(medium, &known), BatchSize::PerIteration);
    });
    let info = key_store(&image);
    c.bench_function("derivation of one key", |b| {
        b.iter(|| KeyCache::new().key(black_box(&info)).unwrap());
    });
}

/// encryption.info of the bank that boots next.
fn key_store(image: &[u8]) -> EncryptionInfo {
    let keys = KeyCache::new();
    let stick = Stick::open(&image, &settings(&keys)).unwrap();
    let slot = stick.boots_next().unwrap();
    let state = stick.open_state(slot, &slot.states[0]).unwrap();
    let info = state.outer_content("encryption.info").unwrap().unwrap();
    EncryptionInfo::parse(info).unwrap()
}

/// A file of 8 GB that is nearly all holes, opened anew each time.
fn large(c: &mut Criterion) {
    let image = bundled("esxi67-usb-passthru");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("stick.img");
    let mut file = File::create(&path).unwrap();
    for (number, block) in image.chunks(1 << 16).enumerate() {
        if block.iter().any(|&byte| byte != 0) {
            file.seek(SeekFrom::Start((number as u64) << 16)).unwrap();
            file.write_all(block).unwrap();
        }
    }
    file.set_len(8_178_892_800).unwrap();
    drop(file);
    let (host, keys) = (bootbank::host::Host::default(), KeyCache::new());
    c.bench_function("info of a sparse 8 GB file, opening it included", |b| {
        b.iter(|| {
            let target = Target::open_read(&path, &host).unwrap();
            look(&target, &keys)
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = plain, encrypted, large
}
criterion_main!(benches);
