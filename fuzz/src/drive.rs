//! One function for each target: takes bytes from anywhere, drives a part of bootbank with them
//! and says whether they got to its last layer.
//!
//! Used by the fuzz targets, and by the test suite to replay seeds and past finds. Checksums are
//! repaired first. A panic, a plan that its own judge rejects, or an edit that does not hold is
//! a find.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a harness reports by panicking"
)]

use super::repair;
use bootbank::bank::{BootCfg, KerneloptEdit};
use bootbank::commit::{Planner, Undo, run};
use bootbank::diagnosis::check;
use bootbank::edit::inventory::Inventory;
use bootbank::edit::seal::Operation;
use bootbank::edit::{ConfEdit, Context, Devices, Edit, FileEdit, OwnerEdit};
use bootbank::fat::{Action, FatError, FileChange, Method, Volume, judge, replace};
use bootbank::loader::{BankInput, Generation, Met, choose, warnings_about};
use bootbank::medium::{ReadAt, WriteAt};
use bootbank::ownership::{ConfigStore, EsxConf, Owner, RowKey, StoreChange, ValueColumn};
use bootbank::partition::PartitionTable;
use bootbank::state::envelope::Envelope;
use bootbank::state::key_store::EncryptionInfo;
use bootbank::state::{Effort, KeyCache, Limits, MemberEdit, State, state_in};
use bootbank::stick::{BankChoice, Request, Settings, Stick, plan_undo};
use std::cell::RefCell;
use std::io;
use std::sync::LazyLock;

/// A target: its name, what drives it, and the longest input worth trying.
pub struct Target {
    pub name: &'static str,
    pub drive: fn(&[u8]) -> bool,
    pub max_len: usize,
}

pub const TARGETS: [Target; 10] = [
    target("table", table, 16 << 10),
    target("fat", fat, 64 << 10),
    target("boot_cfg", boot_cfg, 4 << 10),
    target("state", state, 16 << 10),
    target("envelope", envelope, 20 << 10),
    target("esx_conf", esx_conf, 8 << 10),
    target("store_json", store_json, 512),
    target("store_bytes", store_bytes, 32 << 10),
    target("image", image, 64 << 10),
    target("undo", undo, 64 << 10),
];

const fn target(name: &'static str, drive: fn(&[u8]) -> bool, max_len: usize) -> Target {
    Target {
        name,
        drive,
        max_len,
    }
}

const LIMITS: Limits = Limits {
    max_unpacked: 1 << 20,
};

/// Keys derived so far; a derivation takes longer than everything else a target does.
static KEYS: LazyLock<KeyCache> = LazyLock::new(KeyCache::new);

fn settings() -> Settings<'static> {
    Settings {
        sector_size: None,
        limits: LIMITS,
        keys: &KEYS,
    }
}

/// Bytes with nothing but zeros behind them.
struct Sparse<'b> {
    head: &'b [u8],
    size: u64,
}

impl ReadAt for Sparse<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64);
        if end.is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buf.fill(0);
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let known = self.head.get(start..).unwrap_or_default();
        let len = known.len().min(buf.len());
        buf[..len].copy_from_slice(&known[..len]);
        Ok(())
    }
}

/// A medium in memory that can be written.
struct Memory(RefCell<Vec<u8>>);

impl ReadAt for Memory {
    fn size(&self) -> u64 {
        self.0.borrow().len() as u64
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.borrow().read_at(buf, offset)
    }
}

impl WriteAt for Memory {
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        self.0.borrow_mut()[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn read_back(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_at(buf, offset)
    }
}

/// First byte: sector size and length of the medium; then its first sectors.
pub fn table(data: &[u8]) -> bool {
    let Some((&how, head)) = data.split_first() else {
        return false;
    };
    let mut head = head.to_vec();
    let given = [None, Some(512), Some(4096)][usize::from(how % 3)];
    repair::gpt(&mut head, if how % 3 == 2 { 4096 } else { 512 });
    let size = if how & 0x40 == 0 {
        8 << 30
    } else {
        head.len() as u64
    };
    let medium = Sparse { head: &head, size };
    let Ok(table) = PartitionTable::read(&medium, given) else {
        return false;
    };
    for partition in table.bank_candidates() {
        let range = partition
            .byte_range(table.sector_size)
            .expect("a checked partition");
        assert!(range.end <= size, "a bank past the end");
    }
    true
}

/// The bytes of a volume.
pub fn fat(data: &[u8]) -> bool {
    let medium = data.to_vec();
    let sector_size = if data.get(11..13) == Some(&[0, 16]) {
        4096
    } else {
        512
    };
    let range = 0..medium.len() as u64;
    let Ok(volume) = Volume::open(&medium, range, sector_size) else {
        return false;
    };
    for name in ["boot.cfg", "state.tgz"] {
        if let Ok(Some(entry)) = volume.find(name) {
            let _ = volume.read_file(&entry, 1 << 20);
        }
    }
    let _ = (volume.label(), volume.vmware_uuid(), volume.dirty_marks());
    let Ok(reach) = volume.check() else {
        return false;
    };
    let Some(entry) = volume.files().find(|entry| !entry.is_directory()) else {
        return false;
    };
    let content = [7; 700];
    let files = [FileChange {
        entry,
        action: Action::Replace(&content),
        why: "fuzz".to_owned(),
    }];
    let mut planner = Planner::new(&medium, sector_size);
    if replace(&volume, &reach, &mut planner, 1, &files).is_err() {
        return false;
    }
    match judge(
        &volume,
        &reach,
        &planner.finish(),
        &files,
        Method::SecondCopy,
    ) {
        Err(error @ FatError::Rejected { .. }) => {
            panic!("the planner and its judge differ: {error}")
        }
        judged => judged.is_ok(),
    }
}

/// A boot.cfg.
pub fn boot_cfg(data: &[u8]) -> bool {
    let cfg = BootCfg::parse(data);
    let inputs = [5, 6].map(|partition| BankInput {
        partition,
        met: Met::BootCfg(&cfg),
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

fn drive_state(name: &str, file: &[u8]) -> bool {
    let Ok(state) = State::open(name, file, &LIMITS, &KEYS) else {
        return false;
    };
    let _ = state.warnings();
    let mut inventory = Inventory::default();
    let _ = inventory.add_state(&state);
    let path = "etc/vmware/esx.conf";
    let Ok(Some(old)) = state.content(path) else {
        return false;
    };
    let content = [old, b"# more\n"].concat();
    let edit = MemberEdit::Replace {
        path: path.to_owned(),
        content: content.clone(),
    };
    if let Ok(edited) = state.edit(&[edit], Effort::Usual) {
        let again = State::open(name, &edited, &LIMITS, &KEYS).expect("what was packed");
        assert!(
            again.content(path).unwrap() == Some(&content[..]),
            "the edit is not there"
        );
    }
    let changes = [
        MemberEdit::Add {
            path: "etc/added".to_owned(),
            content: vec![7; 700],
            mode: 0o600,
            mtime: 0,
        },
        MemberEdit::Remove {
            path: "etc/hosts".to_owned(),
        },
    ];
    for change in changes {
        if let Ok(edited) = state.edit(&[change], Effort::Usual) {
            State::open(name, &edited, &LIMITS, &KEYS).expect("what was packed");
        }
    }
    true
}

/// First byte: 0 a gzip file, 1 the outer archive, 2 the inner one; each otherwise sound.
pub fn state(data: &[u8]) -> bool {
    let Some((&how, rest)) = data.split_first() else {
        return false;
    };
    match how % 3 {
        0 => {
            let _ = state_in(rest, &LIMITS);
            bootbank::state::gzip::unpack(rest, LIMITS.max_unpacked).is_ok()
        }
        1 => {
            let mut outer = rest.to_vec();
            for (_, place) in repair::tar(&mut outer) {
                if let Some(member) = outer.get_mut(place) {
                    repair::stored_gzip(member);
                }
            }
            drive_state("state.tgz", &repair::gzip(&outer))
        }
        _ => {
            let mut inner = rest.to_vec();
            repair::tar(&mut inner);
            drive_state("local.tgz", &repair::gzip(&inner))
        }
    }
}

/// An encryption.info of mode NONE, with a key of its own.
pub const INFO: &[u8] = include_bytes!("../templates/encryption.info");
/// The header of an envelope made with that key, and where its nonce is.
const HEADER: &[u8] = include_bytes!("../templates/envelope-header.bin");
const IV_AT: usize = 512 + 4 + 10 + 8;
/// The key that INFO leads to.
const KEY: &[u8; 32] = include_bytes!("../templates/key.bin");

/// First byte: 0 an encryption.info, 1 the attributes of a header, 2 the length of the padding
/// and the content.
pub fn envelope(data: &[u8]) -> bool {
    let Some((&how, rest)) = data.split_first() else {
        return false;
    };
    let info = EncryptionInfo::parse(INFO).expect("the template");
    let (mut header, mut plaintext, mut padding) = (HEADER.to_vec(), Vec::new(), [0; 4]);
    match how % 3 {
        0 => return EncryptionInfo::parse(rest).is_ok_and(|info| info.key_id().is_some()),
        1 => {
            let len = rest.len().min(4096 - 512);
            header[512..512 + len].copy_from_slice(&rest[..len]);
        }
        _ => {
            let Some((first, content)) = rest.split_first_chunk() else {
                return false;
            };
            padding = *first;
            plaintext.extend_from_slice(content);
        }
    }
    plaintext.resize(plaintext.len().next_multiple_of(4096), 0);
    let mut last = [0; 4096];
    last[3584..3609].copy_from_slice(b"DataTransformCryptoFooter");
    last[4088..4092].copy_from_slice(&padding);
    last[4092] = 2;
    plaintext.extend_from_slice(&last);
    let file = repair::envelope(&header, IV_AT, KEY, &plaintext);
    let Ok(envelope) = Envelope::parse(&file) else {
        return false;
    };
    let key = KEYS.key(&info).expect("the template");
    let id = info.key_id().expect("the template");
    let Ok(opened) = envelope.decrypt(&key, &id) else {
        return false;
    };
    let same = envelope.encrypt(&key, &id, &opened, opened.content());
    assert!(
        same.expect("an envelope that opened") == file,
        "unchanged content changes the file"
    );
    let _ = envelope.encrypt(&key, &id, &opened, b"other content");
    true
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
                edited.as_bytes().len() == data.len(),
                "more than the values changed"
            );
            true
        }
        Err(_) => false,
    }
}

/// A ConfigStore with one `pci_devices` row, whose UserValue is the text between the marks.
const STORE: &[u8] = include_bytes!("../templates/config-store.db");
const MARK: &[u8] = b"@@@@";

fn drive_store(bytes: Vec<u8>) -> bool {
    let Ok(store) = ConfigStore::open(bytes) else {
        return false;
    };
    let _ = (store.aliases(), store.notes());
    let Ok(devices) = store.devices() else {
        return false;
    };
    let mut changes: Vec<StoreChange> = devices
        .iter()
        .map(|device| StoreChange::SetOwner {
            identifier: device.key.clone(),
            owner: Owner::Vmkernel,
        })
        .collect();
    if let Ok(edited) = store.edit(&changes, Some(1_700_000_000)) {
        let devices = edited.devices().expect("rows that were edited");
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

/// A whole image whose archives are stored, not compressed.
pub fn image(data: &[u8]) -> bool {
    let mut bytes = data.to_vec();
    repair::image(&mut bytes);
    let _ = check(&bytes, settings(), BankChoice::All);
    let Ok(stick) = Stick::open(&bytes, settings()) else {
        return false;
    };
    let edits = [Edit::Owner(OwnerEdit {
        devices: Devices::PassedThrough,
        owner: Owner::Vmkernel,
    })];
    let request = Request {
        banks: BankChoice::All,
        method: Method::SecondCopy,
        context: Context { time: None },
    };
    let _ = stick.plan_reclaim(request);
    for other in [
        Edit::Seal(Operation::ALL.to_vec()),
        Edit::Conf(ConfEdit::Set {
            key: "/adv/Misc/HostName".to_owned(),
            value: "fuzz".to_owned(),
        }),
        Edit::File(FileEdit::Put {
            path: "etc/motd".to_owned(),
            content: vec![7; 700],
            mode: None,
        }),
    ] {
        let _ = stick.plan(&[other], request);
    }
    let Ok(plan) = stick.plan(&edits, request) else {
        return false;
    };
    let medium = Memory(RefCell::new(bytes.clone()));
    run(&medium, &plan.set, &|| false).expect("a medium in memory");
    let after = Stick::open(&medium, settings()).expect("what a verified plan leaves");
    let again = after
        .plan(&edits, request)
        .expect("what a verified plan leaves");
    assert!(again.is_empty(), "the plan left something to do");
    !plan.is_empty()
}

/// The image the seed of `undo` is for, as the change left it.
const CHANGED: &[u8] = include_bytes!("../templates/changed.bin");

/// An undo file.
pub fn undo(data: &[u8]) -> bool {
    let _ = Undo::from_bytes(data);
    let Ok(undo) = Undo::from_bytes(&repair::undo(data)) else {
        return false;
    };
    let medium = CHANGED.to_vec();
    let _ = undo.plan(&medium, true);
    for force in [true, false] {
        let Ok(back) = plan_undo(&medium, &undo, settings(), force) else {
            continue;
        };
        // By force anything may be put back; else what is left is a stick.
        let after = Memory(RefCell::new(medium.clone()));
        let done = run(&after, &back.set, &|| false);
        if !force {
            done.expect("a medium in memory");
            Stick::open(&after, settings()).expect("what an undo leaves");
        }
    }
    undo.plan(&medium, false).is_ok_and(|set| !set.is_empty())
}
