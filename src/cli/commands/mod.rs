//! The commands: each file holds all of one, its arguments as they are typed, what it does, what
//! it prints and its JSON object. A new command is a file here and a line in the list.

mod apply;
mod bank;
mod bootcfg;
mod cat;
mod completions;
mod conf;
mod diff;
mod fix;
mod get;
mod host;
mod info;
mod kernelopt;
mod ls;
mod man;
mod pci;
mod put;
mod reclaim;
mod reference;
mod rm;
mod scan;
mod schema;
mod seal;
mod state;
mod station;
mod store;
mod undo;
mod verify;

use crate::cli::session::command_list;

command_list! {
    /// The commands.
    Command {
        Scan(scan::Scan),
        Info(info::Info),
        Verify(verify::Verify),
        Fix(fix::Fix),
        #[command(subcommand)]
        Pci(pci::Pci),
        Ls(ls::Ls),
        Cat(cat::Cat),
        Get(get::Get),
        Put(put::Put),
        Rm(rm::Rm),
        #[command(subcommand)]
        Conf(conf::Conf),
        #[command(subcommand)]
        Store(store::Store),
        #[command(subcommand)]
        Kernelopt(kernelopt::Kernelopt),
        #[command(subcommand)]
        Bootcfg(bootcfg::Bootcfg),
        #[command(subcommand)]
        Host(host::Host),
        Diff(diff::Diff),
        #[command(subcommand)]
        State(state::State),
        #[command(subcommand)]
        Bank(bank::Bank),
        Apply(apply::Apply),
        Seal(seal::Seal),
        Station(station::Station),
        Undo(undo::UndoCommand),
        Reclaim(reclaim::Reclaim),
        Man(man::Man),
        Completions(completions::Completions),
        Schema(schema::SchemaCommand),
        Reference(reference::Reference),
    }
}
