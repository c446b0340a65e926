//! A read-only medium of one's own: an image in parts, as `split` makes them, read without being
//! put together. Says which bank boots next.
//!
//!     cargo run --example own_medium -- PART...

use bootbank::medium::ReadAt;
use bootbank::state::{KeyCache, Limits};
use bootbank::stick::{Settings, Stick};
use std::error::Error;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// Files that are one medium, one behind the other.
struct Parts(Vec<(File, u64)>);

impl ReadAt for Parts {
    fn size(&self) -> u64 {
        self.0.iter().map(|(_, len)| len).sum()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let mut rest = buf;
        // Position in the part at hand; what lies before it is another part's.
        let mut at = offset;
        for (file, len) in &self.0 {
            if at < *len {
                let here = usize::try_from(len - at).unwrap_or(usize::MAX);
                let (now, later) = rest.split_at_mut(here.min(rest.len()));
                file.read_exact_at(now, at)?;
                rest = later;
            }
            at = at.saturating_sub(*len);
        }
        if rest.is_empty() {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut parts = Vec::new();
    for path in std::env::args_os().skip(1) {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        parts.push((file, len));
    }
    let medium = Parts(parts);
    let keys = KeyCache::new();
    let settings = Settings {
        sector_size: None,
        limits: Limits::default(),
        keys: &keys,
    };
    let stick = Stick::open(&medium, &settings)?;
    match stick.boots_next() {
        Some(bank) => println!("partition {} boots next", bank.partition),
        None => println!("no bank boots"),
    }
    Ok(())
}
