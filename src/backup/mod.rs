//! One file that holds all an appliance needs to go on elsewhere: `torg backup` writes it beside the running appliance, `torg restore`
//! puts it in place of a stopped one's state.
//!
//! In it: a copy of the store of one moment, the local authority and its leaf, account and certificate of ACME, and a manifest with
//! the digest of each. Not in it: the configuration and the files it names, which the operator keeps, and the secret of the
//! tokens (below).
//!
//! What comes back is the state of that moment, and some of it must not:
//!
//! - **Resumable sessions** (XEP-0198) are buried: a client that resumed one would be told a count of its stanzas from before, send
//!   again what was handled since, and miss what it acknowledged. What such a session had not acknowledged waits as offline messages.
//! - **Tokens** for quick logins (XEP-0484) are dropped, and the secret they are derived from is not even in the file. The count
//!   of uses would go back with them, so a login that was seen on its way could be played again; and a token that was
//!   invalidated since, with a lost telephone or a new password, would open the account again. Clients use their passwords once.
//! - **Versions of rosters** (RFC 6121 §2.6) are moved on: a client that remembers version 20 must not be told "nothing new"
//!   when a roster of version 12 has come to 20 another way.
//!
//! Offline messages come back as they were, so one that was delivered after the backup is delivered again, with its stable id
//! (XEP-0359) by which clients know it. The other choice would lose those that were not: a server that has taken a message
//! must not lose it, and twice is better than never. So it is with messages that wait for other servers. Passwords, rosters and everything else are as they were; who was removed since is back.
//!
//! # Why
//! - `tar` holds the members: in ten years any machine lists and extracts it without us. The crate only encodes and decodes
//!   headers here; it never unpacks, so no path in a backup is ever followed.
//! - Digests in a manifest that comes first: what is read is checked against what was meant to be written, and a backup of a newer
//!   Torg is known as one before anything else of it is looked at.

mod manifest;
mod members;
mod read;
pub mod swap;
#[cfg(test)]
mod tests;
mod write;

use std::io;
use std::path::{Path, PathBuf};

use torg_store::{MigrateError, OpenError, StoreError};

pub use manifest::{FORMAT, Manifest, Member};
pub use members::State;
pub use read::{Restored, restore};
pub(crate) use write::Part;
pub use write::{Written, backup};

use crate::app::StartError;
use crate::app::lock::LockError;

/// Why there is no backup, or why it was not restored. Nothing of the appliance's state has been changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The appliance runs, or its folder cannot be used.
    #[error(transparent)]
    ConfigLock(#[from] LockError),
    /// The backup is of another site.
    #[error(
        "This backup is of {found}, and the configuration is of {expected}. Restore it with the configuration of {found}."
    )]
    ConfigOtherDomain {
        /// In the configuration.
        expected: String,
        /// In the backup.
        found: String,
    },
    /// There is a state already.
    #[error(
        "There is a state already: {}. With --replace it is kept aside and the backup takes its place.", .path.display()
    )]
    ConfigStateExists {
        /// The first file of it.
        path: PathBuf,
    },
    /// A file of that name exists already.
    #[error("{} exists already. Take another name, or --overwrite to replace it.", .path.display())]
    ConfigTargetExists {
        /// The file.
        path: PathBuf,
    },
    /// A byte of it is not as it was written.
    #[error("The backup {} is damaged: {text}. Take another copy of it, or an older backup.", .path.display())]
    FileDamaged {
        /// The backup.
        path: PathBuf,
        /// What does not fit.
        text: String,
    },
    /// Something else altogether.
    #[error("{} is no backup of Torg: {text}. Give the file that `torg backup` wrote.", .path.display())]
    FileForeign {
        /// The file.
        path: PathBuf,
        /// What was found.
        text: String,
    },
    /// Written by a later version.
    #[error("The backup {} was made by Torg {torg}, which is newer than this one ({text}). Install that version or a later one, and restore it with that.", .path.display())]
    FileNewer {
        /// The backup.
        path: PathBuf,
        /// The version that wrote it.
        torg: String,
        /// What is newer.
        text: String,
    },
    /// It ends too early.
    #[error("The backup {} ends too early, in {member}: it was not copied to its end. Take another copy of it.", .path.display())]
    FileTruncated {
        /// The backup.
        path: PathBuf,
        /// What was being read.
        member: String,
    },
    /// The backup cannot be read.
    #[error("{} cannot be read: {error}.{}", .path.display(), advice(.error))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The store cannot be read, or the restored one cannot be used.
    #[error(transparent)]
    StoreOpen(#[from] OpenError),
    /// The restored store cannot be brought up to date.
    #[error("The restored store cannot be used: {0}.")]
    StoreMigrate(#[from] MigrateError),
    /// The restored store cannot be prepared.
    #[error("The restored store cannot be prepared: {0}.")]
    Store(#[from] StoreError),
    /// A file of the backup or the restored state cannot be written.
    #[error("{} cannot be written: {error}.{}", .path.display(), advice(.error))]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl BackupError {
    fn read(path: &Path) -> impl Fn(io::Error) -> BackupError {
        let path = path.to_owned();
        move |error| BackupError::Read { path: path.clone(), error }
    }

    fn write(path: &Path) -> impl Fn(io::Error) -> BackupError {
        let path = path.to_owned();
        move |error| BackupError::Write { path: path.clone(), error }
    }

    /// True if the appliance's own store is the trouble (exit code 3).
    #[must_use]
    pub fn is_of_the_store(&self) -> bool {
        matches!(self, Self::ConfigLock(_) | Self::StoreOpen(_) | Self::StoreMigrate(_) | Self::Store(_))
    }
}

/// The accounts of a restored store cannot be opened.
impl From<StartError> for BackupError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Migrate(error) => BackupError::StoreMigrate(error),
            StartError::Store(error) => BackupError::Store(error),
            StartError::StoreOpen(error) => BackupError::StoreOpen(error),
            other => BackupError::Store(StoreError::Sql { message: other.to_string() }),
        }
    }
}

/// The folder a file is in, `.` for a bare name.
fn app_folder(path: &Path) -> PathBuf {
    crate::app::authority_directory(path)
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::FileTooLarge | io::ErrorKind::QuotaExceeded | io::ErrorKind::StorageFull => {
            " Free some space there, or take another disk; a backup needs twice its size while it is made."
        }
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => " Check the path.",
        io::ErrorKind::PermissionDenied => " Run as a user who may, such as root.",
        io::ErrorKind::ReadOnlyFilesystem => " That file system is mounted read-only.",
        _ => "",
    }
}
