//! What a command is to the program: the interface each of them has.

use super::{Session, TargetArgs};
use crate::cli::process::Needs;
use crate::cli::report::{Exit, FailedObject, Failure};
use schemars::SchemaGenerator;
use std::ffi::OsString;
use std::path::Path;

/// A command as it was typed.
pub trait Run {
    /// The targets, of a command that takes many.
    fn targets_mut(&mut self) -> Option<&mut TargetArgs> {
        None
    }

    /// The first target there is, for errors met before one is looked at.
    fn first_target(&self) -> Option<&Path>;

    /// Reads what has to be known before the process confines itself.
    ///
    /// # Errors
    /// What keeps the command from being carried out.
    fn prepare(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// Whether it looks into media and can look past damage (`--table`, `--rescue`).
    fn only_looks(&self) -> bool {
        false
    }

    /// Whether it opens no medium itself and starts the program again for each: that process
    /// confines itself, and this one cannot, since what it starts would be confined as well.
    fn starts_itself(&self) -> bool {
        false
    }

    /// What it has to get at.
    fn needs(&self) -> Needs;

    /// Carries it out.
    ///
    /// # Errors
    /// Arguments that make no sense together; the rest is reported target by target.
    fn run(&self, session: &Session) -> Result<Exit, Failure>;

    /// The schemas of what it reads and writes.
    fn schemas() -> Vec<Schema>
    where
        Self: Sized,
    {
        Vec::new()
    }
}

/// The JSON schema of an object, made when asked for.
#[derive(Clone, Copy)]
pub struct Schema {
    /// What it is called.
    pub name: &'static str,
    /// Whether it is of something read, not written: then what may be left out is optional.
    pub is_input: bool,
    /// Refers to the object that takes its place for a target that could not be treated, where there
    /// is one.
    pub failed: Option<fn(&mut SchemaGenerator) -> schemars::Schema>,
    /// Makes it.
    pub make: fn(&mut SchemaGenerator) -> schemars::Schema,
}

impl Schema {
    /// Of an object that an [`super::Answer`] is shown as.
    pub fn answer<T: schemars::JsonSchema + 'static>(name: &'static str) -> Self {
        Schema {
            name,
            is_input: false,
            failed: Some(SchemaGenerator::subschema_for::<FailedObject>),
            make: <super::Shown<'static, T> as schemars::JsonSchema>::json_schema,
        }
    }

    /// Of an object that is written.
    pub fn of<T: schemars::JsonSchema>(name: &'static str) -> Self {
        Schema {
            name,
            is_input: false,
            failed: None,
            make: T::json_schema,
        }
    }

    /// The same, where the object `F` may take its place.
    #[must_use]
    pub fn or_failed<F: schemars::JsonSchema>(mut self) -> Self {
        self.failed = Some(SchemaGenerator::subschema_for::<F>);
        self
    }
}

/// The program as a command can describe it.
#[derive(Clone)]
pub struct Program {
    /// Its command line.
    pub command: fn() -> clap::Command,
    /// Every schema.
    pub schemas: fn() -> Vec<Schema>,
    /// The command that was typed, without its arguments: `conf set`.
    pub command_words: String,
    /// The options that every command shares, to be typed again.
    pub options: Vec<OsString>,
}

/// What a command is that looks at its `stick`: a part of its [`Run`].
macro_rules! looks_at_one {
    () => {
        fn first_target(&self) -> Option<&std::path::Path> {
            Some(&self.stick)
        }

        fn only_looks(&self) -> bool {
            true
        }

        fn needs(&self) -> $crate::cli::process::Needs {
            $crate::cli::process::Needs::to_read([&self.stick])
        }
    };
}

/// The same of one that looks at each of its `targets`.
macro_rules! looks_at_many {
    () => {
        fn targets_mut(&mut self) -> Option<&mut $crate::cli::session::TargetArgs> {
            Some(&mut self.targets)
        }

        fn first_target(&self) -> Option<&std::path::Path> {
            self.targets.first()
        }

        fn only_looks(&self) -> bool {
            true
        }

        fn needs(&self) -> $crate::cli::process::Needs {
            $crate::cli::process::Needs::to_read(&self.targets.sticks)
        }
    };
}

/// The same of one that changes its `stick` as its options of a `change` say.
macro_rules! changes_one {
    () => {
        fn first_target(&self) -> Option<&std::path::Path> {
            Some(&self.stick)
        }

        fn needs(&self) -> $crate::cli::process::Needs {
            self.change.needs(std::slice::from_ref(&self.stick))
        }
    };
}

/// The same of one that changes each of its `targets`.
macro_rules! changes_many {
    () => {
        fn targets_mut(&mut self) -> Option<&mut $crate::cli::session::TargetArgs> {
            Some(&mut self.targets)
        }

        fn first_target(&self) -> Option<&std::path::Path> {
            self.targets.first()
        }

        fn needs(&self) -> $crate::cli::process::Needs {
            self.change.needs(&self.targets.sticks)
        }
    };
}

pub(crate) use {changes_many, changes_one, looks_at_many, looks_at_one};

/// Makes an enum of commands that passes every question on to the one that was typed. A command that has
/// commands of its own is marked as clap marks it.
macro_rules! command_list {
    ($(#[$outer:meta])* $name:ident {
        $($(#[$($inner:tt)*])? $word:literal => $command:ident($args:path),)*
    }) => {
        $(#[$outer])*
        #[derive(Debug, clap::Subcommand)]
        pub enum $name {
            $($(#[$($inner)*])? #[command(name = $word)] $command($args),)*
        }

        impl $name {
            /// Adds to `program` the first of `words` that is one of these commands, and none beside it: to
            /// describe all of them takes longer than many a command runs.
            pub fn add_alone(program: clap::Command, words: &[String]) -> Option<clap::Command> {
                let named = words.iter().enumerate().find_map(|(at, word)| {
                    let further = words.get(at.saturating_add(1)..).unwrap_or_default();
                    match word.as_str() {
                        $($word => $crate::cli::session::described!(
                            $args, clap::Command::new($word), further $(, $($inner)*)?
                        ),)*
                        _ => None,
                    }
                });
                Some(program.subcommand(named?))
            }
        }

        impl $crate::cli::session::Run for $name {
            fn targets_mut(&mut self) -> Option<&mut $crate::cli::session::TargetArgs> {
                match self { $($name::$command(args) => args.targets_mut(),)* }
            }

            fn first_target(&self) -> Option<&std::path::Path> {
                match self { $($name::$command(args) => args.first_target(),)* }
            }

            fn prepare(&mut self) -> Result<(), $crate::cli::report::Failure> {
                match self { $($name::$command(args) => args.prepare(),)* }
            }

            fn only_looks(&self) -> bool {
                match self { $($name::$command(args) => args.only_looks(),)* }
            }

            fn starts_itself(&self) -> bool {
                match self { $($name::$command(args) => args.starts_itself(),)* }
            }

            fn needs(&self) -> $crate::cli::process::Needs {
                match self { $($name::$command(args) => args.needs(),)* }
            }

            fn run(
                &self,
                session: &$crate::cli::session::Session,
            ) -> Result<$crate::cli::report::Exit, $crate::cli::report::Failure> {
                match self { $($name::$command(args) => args.run(session),)* }
            }

            fn schemas() -> Vec<$crate::cli::session::Schema> {
                let mut all = Vec::new();
                $(all.extend(<$args as $crate::cli::session::Run>::schemas());)*
                all
            }
        }
    };
}

/// A command with its arguments, or with the one of the commands below it that is among `$words`.
macro_rules! described {
    ($args:path, $command:expr, $words:expr) => {{
        let _: &[String] = $words;
        Some(<$args as clap::Args>::augment_args($command))
    }};
    ($args:path, $command:expr, $words:expr, command(subcommand)) => {
        <$args>::add_alone($command.subcommand_required(true), $words)
    };
}

pub(crate) use {command_list, described};
