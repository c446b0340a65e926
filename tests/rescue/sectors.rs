//! Sectors that cannot be read: what lies beside them can.

use super::{bank, places};
use crate::host::Host;
use bootbank::edit::Context;
use bootbank::fat::Method;
use bootbank::medium::{MediumError, ReadAt};
use bootbank::state::{Condition, KeyCache, Limits, ReadState as _};
use bootbank::stick::{BankChoice, IfBroken, Look, NextBoot, Path, Request, Settings, Stick};
use std::io;

/// A medium with one sector that cannot be read.
struct BadSector {
    bytes: Vec<u8>,
    at: u64,
}

impl ReadAt for BadSector {
    fn size(&self) -> u64 {
        self.bytes.size()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset + buf.len() as u64;
        if offset < self.at + 512 && self.at < end {
            return Err(io::Error::from_raw_os_error(5));
        }
        self.bytes.read_at(buf, offset)
    }
}

fn settings(keys: &KeyCache) -> Settings<'_> {
    Settings {
        sector_size: None,
        limits: Limits::default(),
        keys,
    }
}

#[test]
fn one_in_a_file_costs_that_sector_and_one_in_a_state_what_follows() {
    let host = Host::new("esxi67-usb-passthru");
    let image = host.bytes();
    let bank = bank(&host, 5);
    let keys = KeyCache::new();
    let settings = settings(&keys);
    let rescue = Look {
        rescue: true,
        ..Look::default()
    };
    let bad = |file: &str, nth: usize| BadSector {
        at: places(&bank, file)[nth] as u64 / 512 * 512,
        bytes: image.clone(),
    };
    let five = BankChoice::Partition(5);

    let name = "imgdb.tgz";
    let medium = bad(name, 1500);
    let path = Path::parse(&format!("bank5:{name}"));
    let stick = Stick::open(&medium, &settings).unwrap();
    assert!(stick.content(&path, five).is_err());
    let stick = Stick::open_to_look(&medium, &settings, rescue).unwrap();
    let found = stick.content(&path, five).unwrap().unwrap();
    let mut expected = host.bank_file(5, "IMGDB.TGZ");
    expected[1024..1536].fill(0);
    assert!(found.bytes == expected);
    let said: Vec<String> = found.damage.iter().map(ToString::to_string).collect();
    assert!(
        said.iter().any(|it| it.contains("bytes 1024 to 1535")),
        "{said:?}"
    );

    let tree = host.unpacked(5, "tree");
    let medium = bad("state.tgz", host.bank_file(5, "STATE.TGZ").len() / 2);
    let stick = Stick::open_to_look(&medium, &settings, rescue).unwrap();
    let (_, state) = stick.state(five).unwrap();
    let rescued = state.rescued().unwrap();
    let mut whole = 0;
    for member in rescued.members().unwrap() {
        if rescued.condition_of(member) == Condition::Whole {
            let path = member.path();
            let content = rescued.content(&path).unwrap().unwrap();
            assert!(
                content == std::fs::read(tree.join(&*path)).unwrap(),
                "{path}"
            );
            whole += 1;
        }
    }
    assert!(whole > 3);
    assert!(!state.damage(5).is_empty());
}

/// The loader passes over a bank whose boot.cfg it cannot read, so another one can be used.
#[test]
fn a_bank_can_be_used_beside_one_whose_boot_cfg_cannot_be_read() {
    let host = Host::new("esxi67-usb-passthru");
    let keys = KeyCache::new();
    let settings = settings(&keys);
    let medium = BadSector {
        at: places(&bank(&host, 5), "boot.cfg")[0] as u64 / 512 * 512,
        bytes: host.bytes(),
    };
    let stick = Stick::open(&medium, &settings).unwrap();
    let request = Request {
        banks: BankChoice::All,
        method: Method::SecondCopy,
        context: Context::default(),
    };
    let error = stick.plan_use(5, request, IfBroken::Refuse).unwrap_err();
    let causes = std::iter::successors(std::error::Error::source(&error), |it| it.source());
    let mut reported = causes.filter_map(|it| it.downcast_ref());
    assert!(reported.any(MediumError::is_of_sectors), "{error}");
    let plan = stick.plan_use(6, request, IfBroken::Refuse).unwrap();
    let NextBoot::Undecided {
        partition: None,
        otherwise,
        ..
    } = plan.outlook.boot
    else {
        panic!("{:?}", plan.outlook.boot);
    };
    assert_eq!(otherwise, Some(6));
}
