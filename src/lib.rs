//! Reads and edits VMware ESXi boot media at block level, without mounting them.
//!
//! An ESXi host keeps its configuration in `state.tgz`, a file of a small FAT volume (a *bank*)
//! on its boot medium. This crate opens such a medium, or an image of one, from the partition
//! table down to `esx.conf` and the ConfigStore; says which PCI devices are passed through to
//! virtual machines and which bank boots next; works out an edit as a list of changed sectors;
//! proves that list on an overlay; and writes it in an order that leaves every bank with the old
//! configuration or the new one, whenever it is cut.
//!
//! Reading goes from the medium to the right, a change comes back from the right:
//!
//! ```text
//! medium -> partition -> fat -> bank -> state -> ownership
//!                                                    | edit
//! medium <- commit <------------------- stick::Plan <+
//! ```
//!
//! [`stick::Stick`] is where to start: it is the whole chain opened, and turns
//! [`edit::Edit`]s into a verified [`stick::Plan`]. [`commit::run`] carries a plan out on anything
//! that is [`medium::WriteAt`]; [`commit::Undo`] is the way back. Nothing but `commit`
//! writes to a medium: a changed copy goes through [`medium::OutputFile`], and a packed image is
//! unpacked into a file without a name. Nothing below the command line prints, asks, or reads a clock.
//!
//! # Example
//!
//! Give back every device that is passed through, on a bundled image in memory, and undo it:
//!
//! ```
//! use bootbank::commit::{self, IfDifferent, Undo};
//! use bootbank::edit::{Context, Devices, Edit, OwnerEdit};
//! use bootbank::fat::Method;
//! use bootbank::medium::Memory;
//! use bootbank::ownership::Owner;
//! use bootbank::state::{KeyCache, Limits};
//! use bootbank::stick::{BankChoice, Request, Settings, Stick, plan_undo};
//! use std::io::Read as _;
//!
//! let packed = std::fs::File::open("testimages/esxi67-fresh.img.gz")?;
//! let mut image = Vec::new();
//! flate2::read::GzDecoder::new(packed).read_to_end(&mut image)?;
//! let medium = Memory::new(image);
//!
//! let keys = KeyCache::new();
//! let settings = Settings { sector_size: None, limits: Limits::default(), keys: &keys };
//! let stick = Stick::open(&medium, &settings)?;
//! assert_eq!(stick.boots_next().map(|bank| bank.partition), Some(5));
//!
//! let edit = Edit::Owner(OwnerEdit { devices: Devices::PassedThrough, owner: Owner::Vmkernel });
//! let request = Request {
//!     banks: BankChoice::All,
//!     method: Method::SecondCopy,
//!     context: Context::default(),
//! };
//! let plan = stick.plan(&[edit], request)?;
//! let changes = &plan.banks.last().ok_or("no bank")?.files[0].changes;
//! assert_eq!(changes[0].key, "/device/0000:00:20.0/owner");
//! assert_eq!(changes[0].address.map(|at| at.to_string()).as_deref(), Some("0000:00:14.0"));
//! assert_eq!(changes[0].to.as_ref().map(|to| to.veiled()).as_deref(), Some("vmkernel"));
//!
//! // The way back is made, and kept somewhere, before the first write.
//! let undo = stick.undo_of(&plan, Default::default());
//! let undo_file = undo.to_bytes()?;
//! let done = commit::run(&medium, &plan.set, &|| false)?;
//! assert!(done.unfinished.is_none());
//!
//! let back = plan_undo(&medium, &Undo::from_bytes(&undo_file)?, &settings, IfDifferent::Refuse)?;
//! let undone = commit::run(&medium, &back.set, &|| false)?;
//! assert!(undone.unfinished.is_none());
//! # let mut before = Vec::new();
//! # let packed = std::fs::File::open("testimages/esxi67-fresh.img.gz")?;
//! # flate2::read::GzDecoder::new(packed).read_to_end(&mut before)?;
//! # drop(stick);
//! # assert!(medium.into_bytes() == before);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/` has three programs: one lists passed-through devices, one fixes an image, one reads
//! a medium of its own kind.
//!
//! # Errors
//!
//! What a call returns is an error type of its module, whose variants say what was met and where,
//! and which answers `kind()` with one of the five kinds of [`error::ErrorKind`]. A fault that is a
//! part of such an error has no kind of its own. `diagnosis`, `host`, `secrets` and `target` return
//! the errors of other modules, or findings as values, as `loader` does.
//!
//! # Features
//!
//! `cli` (on by default) is the command line. Without it the crate is the library alone.

pub mod bank;
#[cfg(feature = "cli")]
pub mod cli;
pub mod commit;
pub mod diagnosis;
pub mod edit;
pub mod error;
pub mod fat;
pub mod host;
pub mod loader;
pub mod medium;
pub mod ownership;
pub mod partition;
pub mod pci;
pub mod secrets;
pub mod state;
pub mod stick;
pub mod target;

pub(crate) mod bytes;
pub(crate) mod json;
#[cfg(test)]
#[path = "../tests/common/skipping.rs"]
mod skipping;
