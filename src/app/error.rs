//! Why the appliance does not start, told to its operator.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use torg_accounts::AccountError;
use torg_core::BrokerError;
use torg_core::tls::TlsError;
use torg_store::{MigrateError, OpenError, StoreError};

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
    /// A listener for administrators can be reached by others.
    #[error(
        "The admin listener {address} can be reached from other machines, so it needs [broker.web] admin_token_file."
    )]
    ConfigAdmin {
        /// Where it is.
        address: SocketAddr,
    },
    /// A listener for components can be reached by others.
    #[error("The component listener {address} can be reached from other machines, and components do not speak TLS.")]
    ConfigComponentListen {
        /// Where it is.
        address: SocketAddr,
    },
    /// The secret of a component cannot be used.
    #[error("A component's secret_file cannot be used: {text}.")]
    ConfigComponentSecret {
        /// What is wrong, with the file.
        text: String,
    },
    /// A socket of the service manager is for no listener.
    #[error("The socket named \"{name}\" that the service manager passed cannot be used: {text}.")]
    ConfigSocket {
        /// Its `FileDescriptorName`.
        name: String,
        /// What is wrong, or the names that are known.
        text: String,
    },
    /// The token of administrators is missing, open to others or too short.
    #[error("The administrators' token cannot be used: {0}.")]
    ConfigToken(String),
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
    #[error(transparent)]
    StoreOpen(#[from] OpenError),
    /// A restore was cut short, and nobody has finished it.
    #[error(
        "A restore into the store {} was cut short. Start the appliance, or restore again: both finish it first.", .store.display()
    )]
    StoreHalfRestored {
        /// The store.
        store: PathBuf,
    },
    /// What a restore has left cannot be put in place.
    #[error("A restore was cut short and cannot be finished: {path} cannot be moved: {error}.", path = .path.display())]
    StoreRestoring {
        /// A file or folder of it.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The store failed.
    #[error("The store cannot be used: {0}.")]
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

impl StartError {
    /// True if the store cannot be used: then every command that needs it fails alike until somebody mends that (exit code 3).
    #[must_use]
    pub fn is_of_the_store(&self) -> bool {
        match self {
            Self::StoreOpen(_) | Self::StoreHalfRestored { .. } | Self::StoreRestoring { .. } => true,
            Self::ConfigLock(_) | Self::Store(_) | Self::Migrate(_) => true,
            Self::Broker(error) => matches!(error, BrokerError::Store(_) | BrokerError::Migrate(_)),
            _ => false,
        }
    }

    /// A failure of a store that was opened, as far as its cause is known.
    pub(super) fn of_store(path: &Path, error: StoreError) -> Self {
        OpenError::of_store(path, &error).map_or(Self::Store(error), Self::StoreOpen)
    }
}

/// What an operator may do about a listener.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => " Another program uses this port.",
        io::ErrorKind::AddrNotAvailable => " This machine has no such address.",
        io::ErrorKind::PermissionDenied => {
            " Ports below 1024 need a permission, or sockets of the service manager: systemd/torg-https.socket and torg-http.socket."
        }
        _ => "",
    }
}
