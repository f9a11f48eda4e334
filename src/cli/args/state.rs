//! Arguments of the commands about the appliance as a whole: its status, its backups, accounts that move.

use std::path::PathBuf;

use clap::Args;

use super::ConfigFile;

/// `torg backup`.
#[derive(Args, Debug)]
pub struct Backup {
    /// The file to write
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Replace FILE if it exists
    #[arg(long)]
    pub overwrite: bool,
    /// Print what was saved as JSON
    #[arg(long)]
    pub json: bool,
    /// The configuration that names domain and store.
    #[command(flatten)]
    pub config: ConfigFile,
}

/// `torg restore`.
#[derive(Args, Debug)]
pub struct Restore {
    /// A file that `torg backup` wrote
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Keep the state that is there aside, and put the backup in its place
    #[arg(long)]
    pub replace: bool,
    /// The configuration that names domain and store.
    #[command(flatten)]
    pub config: ConfigFile,
}

/// `torg status`.
#[derive(Args, Debug)]
pub struct StatusArguments {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// The configuration that names the store.
    #[command(flatten)]
    pub config: ConfigFile,
}

/// `torg account export`.
#[derive(Args, Debug)]
pub struct AccountExport {
    /// The file to write
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Accounts to write [default: all]
    #[arg(value_name = "JID")]
    pub accounts: Vec<String>,
    /// Replace FILE if it exists
    #[arg(long)]
    pub overwrite: bool,
    /// The configuration that names domain and store.
    #[command(flatten)]
    pub config: ConfigFile,
}

/// `torg account import`.
#[derive(Args, Debug)]
pub struct AccountImport {
    /// The file to read
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Import over accounts that exist: what they keep here is lost
    #[arg(long)]
    pub replace: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
    /// The configuration that names domain and store.
    #[command(flatten)]
    pub config: ConfigFile,
}
