//! A plan that changes boot.cfg and state.tgz together, cut at every point.

#[path = "../common/crash.rs"]
mod cuts;

use crate::host::Host;
use bootbank::bank::KerneloptEdit;
use bootbank::commit::Phase;
use bootbank::edit::{ConfEdit, Context, Edit};
use bootbank::fat::Method;
use bootbank::medium::ReadAt;
use bootbank::state::{KeyCache, Limits};
use bootbank::stick::{BankChoice, Path, Request, Settings, Stick};

const KEY: &str = "/system/uuid";

/// Whether the bank's boot.cfg and its state are the new ones.
fn new_or_old(medium: &dyn ReadAt, settings: Settings<'_>) -> (bool, bool) {
    let stick = Stick::open(medium, &settings).unwrap();
    let slot = stick
        .slots()
        .iter()
        .find(|slot| slot.partition == 5)
        .unwrap();
    let options = slot.opened().unwrap().boot_cfg().kernelopt.clone();
    let path = Path::State("etc/vmware/esx.conf".to_owned());
    let conf = stick
        .content(&path, BankChoice::Partition(5))
        .unwrap()
        .unwrap();
    let conf = String::from_utf8(conf.bytes).unwrap();
    (
        options.unwrap_or_default().ends_with("crash=1"),
        conf.contains("/system/uuid = \"cut\""),
    )
}

fn cut_everywhere(profile: &str, shared: bool) {
    let host = Host::new(profile);
    let base = host.bytes();
    let keys = KeyCache::default();
    let settings = Settings {
        sector_size: None,
        limits: Limits::default(),
        keys: &keys,
    };
    let stick = Stick::open(&base, &settings).unwrap();
    let edits = [
        Edit::Kernelopt(KerneloptEdit::Append("crash=1".to_owned())),
        Edit::Conf(ConfEdit::Set {
            key: KEY.to_owned(),
            value: "cut".to_owned(),
        }),
    ];
    let request = Request {
        banks: BankChoice::Partition(5),
        method: Method::SecondCopy,
        context: Context::default(),
    };
    let set = stick.plan(&edits, request).unwrap().set;
    let switches: Vec<usize> = (0..set.steps().len())
        .filter(|&index| set.steps()[index].phase == Phase::Switch)
        .collect();
    assert_eq!(switches.len(), if shared { 1 } else { 2 }, "{profile}");
    let mut buffer = base.clone();
    let mut seen = std::collections::BTreeSet::new();
    let states = cuts::each_state(&base, &set, 6, |medium, cut| {
        buffer.copy_from_slice(medium);
        let found = new_or_old(&buffer, settings.clone());
        seen.insert(found);
        let between = switches.first() < Some(&cut.step) && Some(&cut.step) <= switches.last();
        let torn = cut.phase == Phase::Switch && cut.written.contains("torn");
        let allowed = match found {
            (false, false) => Some(&cut.step) <= switches.last(),
            (true, true) => Some(&cut.step) >= switches.last(),
            // Sectors apart: boot.cfg first. In one sector: only a torn one parts them.
            (true, false) => {
                (!shared && (between || Some(&cut.step) == switches.first())) || (shared && torn)
            }
            (false, true) => shared && torn,
        };
        assert!(allowed, "{profile}: {found:?} at {cut:?}");
    });
    assert!(states > 50, "{states}");
    assert!(seen.contains(&(false, false)) && seen.contains(&(true, true)));
}

#[test]
fn entries_in_one_sector_are_switched_together() {
    cut_everywhere("esxi67-4kn", true);
}

#[test]
fn entries_in_different_sectors_are_switched_in_order() {
    cut_everywhere("esxi67-usb-passthru", false);
}
