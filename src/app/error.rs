//! Why the appliance does not start, told to its operator.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use torg_accounts::AccountError;
use torg_core::BrokerError;
use torg_core::tls::TlsError;
use torg_store::{MigrateError, StoreError};

use super::lock::LockError;

/// Why the appliance does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another appliance runs on the store.
    #[error(transparent)]
    ConfigLock(#[from] LockError),
    /// An address to listen on is not to be had.
    #[error("Cannot listen on {address}: {error}.{}", advice(.error))]
    ConfigListen {
        /// As configured.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// Certificate or key cannot be used.
    #[error("TLS cannot be set up: {0}.")]
    ConfigTls(#[from] TlsError),
    /// The secret behind the tokens cannot be used.
    #[error("{path} cannot be used: {error}.", path = .path.display())]
    ConfigTokenSecret {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: io::Error,
    },
    /// The store cannot be opened.
    #[error("The store cannot be opened: {0}.")]
    Store(#[from] StoreError),
    /// The store's tables cannot be brought up to date.
    #[error("The store cannot be used: {0}.")]
    Migrate(#[from] MigrateError),
    /// The accounts cannot be read.
    #[error("{0}.")]
    Accounts(#[from] AccountError),
    /// The broker cannot start.
    #[error("The broker cannot start: {0}.")]
    Broker(#[from] BrokerError),
    /// A task of ours was cut off.
    #[error("An internal task failed: {0}.")]
    Internal(String),
}

/// What an operator may do about a listener.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => " Another program uses this port.",
        io::ErrorKind::AddrNotAvailable => " This machine has no such address.",
        io::ErrorKind::PermissionDenied => " Ports below 1024 need a permission; 5222 and 5223 do not.",
        _ => "",
    }
}
