//! What is to be said of a boot medium, as values: what its banks hold, which devices are passed
//! through in the one that boots next, what is wrong in any layer, whose it is and which device is
//! which.
//!
//! Nothing here is worded for a command or written anywhere. `info`, `pci list` and `verify` show
//! what is found here, and another program gets the same answers from the same place.

mod banks;
mod boot;
mod check;
mod devices;
mod finding;
mod here;
mod media;
mod role;
mod situation;
mod survey;
mod volumes;
mod whose;

pub use banks::{BankHealth, bank_health};
pub use boot::Contents;
pub use check::{CheckOptions, check, check_by, check_state_file};
pub use devices::{BankDevices, ListedDevice, devices};
pub use finding::{Finding, Severity};
pub use media::{Found, FoundMedium, Summary, Verdict, attached_disks, files_in, look_at};
pub use role::{Consequence, Named, Part, Role, Symptom};
pub use situation::{Bench, Model, Situation, UsbControllers};
pub use survey::{BankSurvey, PassedDevice, Standing, StateSurvey, Survey};
pub use whose::{Evidence, Owned, Sure, Whose};
