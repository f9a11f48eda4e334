//! The command line: what can be typed ([`args`]), and one file per command.
//!
//! A command gets its three streams as [`Terminal`] and ends in `Ok` (exit code 0) or a [`Failure`] (1 or 2).

use std::io;
use std::process::ExitCode;

use crate::app::StartError;

mod account;
pub mod args;
mod backup;
mod check;
mod demo;
mod node;
mod password;
mod peer;
mod profile;
mod readings;
mod run;
mod status;
mod terminal;
mod transfer;

pub use password::{PASSWORD_BYTES_MAX, Password};
pub use readings::table;
pub use terminal::{Table, Terminal, printable};

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It failed; the text says who is to blame and what to do. Exit code 1.
    #[error("{0}")]
    Failed(String),
    /// The store cannot be used, so no command that needs it can work until that is mended. Exit code 3.
    #[error("{0}")]
    Store(String),
    /// What failed has been printed already. Exit code 1.
    #[error("")]
    Reported,
    /// The command was given wrongly. Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// The command's own output could not be written. Exit code 0 if the reader simply went away, else 1.
    #[error("The output could not be written: {0}.")]
    Output(#[from] io::Error),
}

impl Failure {
    /// A failure with its explanation.
    #[must_use]
    pub fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }

    /// A wrong use of the command line.
    #[must_use]
    pub fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// The process's exit code.
    #[must_use]
    pub fn code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Store(_) => ExitCode::from(3),
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Failed(_) | Self::Output(_) | Self::Reported => ExitCode::FAILURE,
        }
    }

    /// True if there is something left to tell the user.
    #[must_use]
    pub fn is_to_be_told(&self) -> bool {
        match self {
            Self::Reported => false,
            Self::Output(error) => error.kind() != io::ErrorKind::BrokenPipe,
            Self::Failed(_) | Self::Store(_) | Self::Usage(_) => true,
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        if error.is_of_the_store() { Self::Store(error.to_string()) } else { Self::Failed(error.to_string()) }
    }
}

/// Does what the command line asks.
///
/// # Errors
/// Whatever kept the command from doing it.
pub fn run(arguments: args::Arguments, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    use args::Command;
    match arguments.command {
        Command::Account(command) => account::run(&command, terminal),
        Command::Backup(arguments) => backup::backup(&arguments, terminal),
        Command::Check(arguments) => check::check(&arguments, terminal),
        Command::Config(command) => check::config(&command, terminal),
        Command::Demo(arguments) => demo::run(&arguments, terminal),
        Command::Node(command) => node::run(&command, terminal),
        Command::Peer(command) => peer::run(&command, terminal),
        Command::Profile(command) => profile::run(&command, terminal),
        Command::Restore(arguments) => backup::restore(&arguments, terminal),
        Command::Run(arguments) => run::run(&arguments, terminal),
        Command::Status(arguments) => status::run(&arguments, terminal),
        Command::Version => Ok(terminal.line(&format!("torg {}", env!("CARGO_PKG_VERSION")))?),
    }
}
