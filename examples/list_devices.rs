//! Lists the devices of an image or a disk that are passed through to virtual machines.
//!
//!     cargo run --example list_devices -- IMAGE

use bootbank::edit::Configuration;
use bootbank::host::Host;
use bootbank::medium::{CachedReads, Target};
use bootbank::state::{KeyCache, Limits};
use bootbank::stick::{Settings, Stick};
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("which image?")?;
    let target = Target::open_read(Path::new(&path), &Host::default())?;
    // Tables and directories are read more than once; the medium is asked for them once.
    let medium = CachedReads::new(&target);
    let keys = KeyCache::new();
    let settings = Settings {
        sector_size: target.logical_sector_size(),
        limits: Limits::default(),
        keys: &keys,
    };
    let stick = Stick::open(&medium, &settings)?;

    for slot in stick.slots() {
        for file in &slot.states {
            let state = stick.open_state(slot, file)?;
            for device in Configuration::open(&state)?.devices()? {
                if device.passthrough {
                    let alias = device.alias.as_deref().unwrap_or("-");
                    println!("{}/{}: {} {alias}", slot.partition, file.name, device.key);
                }
            }
        }
    }
    Ok(())
}
