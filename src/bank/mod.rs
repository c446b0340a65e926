//! A bank: a FAT volume that holds a boot.cfg and the files ESXi boots from.

mod boot_cfg;
mod choice;
mod kernelopt;

pub use boot_cfg::{BootCfg, BootCfgProblem, Module};
pub use choice::{BankInput, BankVerdict, Choice, ChoiceWarning, WhyNot, choose};
pub use kernelopt::{KerneloptEdit, KerneloptError};
