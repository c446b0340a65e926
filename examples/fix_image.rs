//! Gives every device that is passed through back to the VMkernel, in all banks of an image.
//! The way back is written to a file first.
//!
//!     cargo run --example fix_image -- IMAGE UNDO_FILE

use bootbank::commit::{self, About};
use bootbank::edit::{Context, Devices, Edit, OwnerEdit};
use bootbank::fat::Method;
use bootbank::host::Host;
use bootbank::medium::{CachedReads, ClaimedTarget, OutputFile};
use bootbank::ownership::Owner;
use bootbank::state::{KeyCache, Limits};
use bootbank::stick::{BankChoice, Request, Settings, Stick};
use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let image = arguments.next().ok_or("which image?")?;
    let undo_path = arguments.next().ok_or("where to put the undo file?")?;

    // Claimed before it is first read, so that what is planned is still so when it is written.
    let target = ClaimedTarget::open(Path::new(&image), &Host::default())?;
    let medium = CachedReads::new(&target);
    let keys = KeyCache::new();
    let settings = Settings {
        sector_size: target.logical_sector_size(),
        limits: Limits::default(),
        keys: &keys,
    };
    let stick = Stick::open(&medium, &settings)?;
    let edit = Edit::Owner(OwnerEdit {
        devices: Devices::PassedThrough,
        owner: Owner::Vmkernel,
    });
    let request = Request {
        banks: BankChoice::All,
        method: Method::SecondCopy,
        context: Context::default(),
    };
    let plan = stick.plan(&[edit], request)?;
    for bank in &plan.banks {
        for change in bank.files.iter().flat_map(|file| &file.changes) {
            let to = change.to.as_ref();
            let to = to.map_or("nothing".into(), |to| to.veiled());
            println!("partition {}: {} becomes {to}", bank.partition, change.key);
        }
    }
    if plan.is_empty() {
        println!("nothing to change");
        return Ok(());
    }

    // With this in it, `bootbank undo UNDO_FILE` finds the medium by itself.
    let about = About {
        program: Some("fix_image".to_owned()),
        changes: Some(plan.change_count()),
        ..About::of_target(Path::new(&image))
    };
    let undo = stick.undo_of(&plan, about);
    // It holds the old configuration, which is nobody else's business, and is on the disk with its name
    // before the first write.
    let mut file = OutputFile::create(Path::new(&undo_path), false, 0o600)?;
    file.fill_from_reader(&mut undo.to_bytes()?.as_slice(), &mut |_| {
        ControlFlow::Continue(())
    })?;
    file.publish()?;

    let done = commit::run(&target, &plan.set, &|| false)?;
    println!("{} bytes written", done.bytes_written);
    if let Some(failure) = done.unfinished {
        println!("in effect, but clusters are left allocated to nothing: {failure}");
    }
    Ok(())
}
