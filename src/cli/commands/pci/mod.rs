//! `bootbank pci`: the devices a state names, and who owns them.

mod list;
mod set;

use crate::cli::session::command_list;

command_list! {
    /// List PCI devices, and set who owns them
    Pci {
        "list" => List(list::List),
        "set" => Set(set::Set),
    }
}
