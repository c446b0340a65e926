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
        "scan" => Scan(scan::Scan),
        "info" => Info(info::Info),
        "verify" => Verify(verify::Verify),
        "fix" => Fix(fix::Fix),
        #[command(subcommand)]
        "pci" => Pci(pci::Pci),
        "ls" => Ls(ls::Ls),
        "cat" => Cat(cat::Cat),
        "get" => Get(get::Get),
        "put" => Put(put::Put),
        "rm" => Rm(rm::Rm),
        #[command(subcommand)]
        "conf" => Conf(conf::Conf),
        #[command(subcommand)]
        "store" => Store(store::Store),
        #[command(subcommand)]
        "kernelopt" => Kernelopt(kernelopt::Kernelopt),
        #[command(subcommand)]
        "bootcfg" => Bootcfg(bootcfg::Bootcfg),
        #[command(subcommand)]
        "host" => Host(host::Host),
        "diff" => Diff(diff::Diff),
        #[command(subcommand)]
        "state" => State(state::State),
        #[command(subcommand)]
        "bank" => Bank(bank::Bank),
        "apply" => Apply(apply::Apply),
        "seal" => Seal(seal::Seal),
        "station" => Station(station::Station),
        "undo" => Undo(undo::UndoCommand),
        "reclaim" => Reclaim(reclaim::Reclaim),
        "man" => Man(man::Man),
        "completions" => Completions(completions::Completions),
        "schema" => Schema(schema::SchemaCommand),
        "reference" => Reference(reference::Reference),
    }
}
