//! What is to be said of a boot medium, as values: what its banks hold, which devices are passed
//! through in the one that boots next, what is wrong in any layer, whose it is, which device is
//! which and what another one, or its other bank, has otherwise.
//!
//! Nothing here is worded for a command or written anywhere. `info`, `pci list`, `verify` and `diff`
//! show what is found here, and another program gets the same answers from the same place. So it is with what is
//! to be done ([`Work`]): a plan needs what is known of the machine.

mod banks;
mod boot;
mod cause;
mod check;
mod compare;
mod devices;
mod finding;
mod firmware;
mod here;
mod media;
mod role;
mod situation;
mod survey;
mod volumes;
mod whose;
mod work;

pub use banks::{BankHealth, NewerState, ToldBy, bank_health, newer_state};
pub use boot::ContentCheck;
pub use cause::FindingCause;
pub use check::{CheckOptions, check, check_by, check_state_file};
pub use compare::{Comparison, Place, Scope, Side, compare, compare_banks};
pub use devices::{BankDevices, ListedDevice, devices};
pub use finding::{Finding, Severity};
pub use media::{Found, FoundMedium, Summary, Verdict, attached_disks, files_in, look_at};
pub use role::{Consequence, Named, Part, Role, Symptom};
pub use situation::{Model, Situation, UsbControllers};
pub use survey::{BankSurvey, PassedDevice, Standing, StateSurvey, Survey, Unread};
pub use whose::{Certainty, Evidence, OwnedBy, Whose};
pub use work::Work;
