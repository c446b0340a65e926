//! The terminal: everything a person sees goes through here.

mod diff;
mod gate;
mod menu;
mod progress;
pub mod standard;
mod style;
mod table;
mod text;
mod turns;
mod ui;

pub use diff::unified;
pub use gate::Gate;
pub use menu::Choice;
pub use style::{ERROR, HEADING, HINT, REMOVED, WARNING, styled};
pub use table::table;
pub use text::{name, plural, quoted, quoted_path, safe_json, shown, size};
pub use ui::{ColorChoice, Ui};
