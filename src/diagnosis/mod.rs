//! What is to be said of a boot medium, as values: what its banks hold, which devices are passed
//! through in the one that boots next, and what is wrong in any layer.
//!
//! Nothing here is worded for a command or written anywhere. `info`, `pci list` and `verify` show
//! what is found here, and another program gets the same answers from the same place.

mod banks;
mod boot;
mod check;
mod devices;
mod finding;
mod survey;
mod volumes;

pub use banks::{BankHealth, bank_health};
pub use boot::Contents;
pub use check::{CheckOptions, check, check_by};
pub use devices::{BankDevices, ListedDevice, devices};
pub use finding::{Finding, Severity};
pub use survey::{BankSurvey, PassedDevice, Standing, StateSurvey, Survey};
