//! Why a store cannot be opened: each cause in one sentence, and what to do about it in another.
//!
//! What goes wrong later, while it is in use, is [`StoreError`].

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{ErrorCode, ffi};
use thiserror::Error;

use crate::StoreError;

/// Why a store cannot be opened, and what its operator may do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process keeps it for itself.
    #[error("Another program holds the store {}. End that program (an SQLite shell, a copy under way) and try again.", .path.display())]
    Busy {
        /// The database.
        path: PathBuf,
    },
    /// Its pages contradict each other.
    #[error(
        "The store {} is damaged: {text}. Bring back the last backup with `torg restore FILE --replace`, which keeps the damaged one \
        aside, and look for errors of the disk in the kernel's log.", .path.display()
    )]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What the check found first.
        text: String,
    },
    /// The operating system does not let us.
    #[error(
        "This user may not read and write the store {} and its folder. Run as the user they belong to, or give both to this one.",
        .path.display()
    )]
    Denied {
        /// The database.
        path: PathBuf,
    },
    /// Reading or writing failed below us.
    #[error("The disk of the store {} fails: {text}. Look at the kernel's log, and replace the disk before it fails for good.", .path.display())]
    DiskFailing {
        /// The database.
        path: PathBuf,
        /// In the system's words.
        text: String,
    },
    /// No room is left.
    #[error("The disk of the store {} is full: {text}. Free some space there; nothing in the store is lost.", .path.display())]
    DiskFull {
        /// The database.
        path: PathBuf,
        /// In the system's words.
        text: String,
    },
    /// Its folder is not there.
    #[error(
        "The folder {} of the store does not exist. Mount its disk, make the folder, or correct [store] path.", .folder.display()
    )]
    FolderMissing {
        /// The folder.
        folder: PathBuf,
    },
    /// There is no store yet.
    #[error("There is no store at {}. Correct [store] path, or start the appliance once, which makes it.", .path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// Something else stands in its place.
    #[error("The file {} is no database. Correct [store] path, or move that file away and restore a backup: torg restore FILE.", .path.display())]
    NotADatabase {
        /// What stands there.
        path: PathBuf,
    },
    /// A folder, a device or the like.
    #[error("{} is no file, so it cannot be the store. Correct [store] path.", .path.display())]
    NotAFile {
        /// What stands there.
        path: PathBuf,
    },
    /// The file system is mounted for reading only.
    #[error(
        "The store {} is on a file system that is mounted read-only. Mount it for writing; if it was, the system has found errors on \
        that disk: look at the kernel's log.", .path.display()
    )]
    ReadOnly {
        /// The database.
        path: PathBuf,
    },
    /// Anything else.
    #[error("The store {} cannot be opened: {text}. Correct that, or move the file away and restore a backup: torg restore FILE.", .path.display())]
    Other {
        /// The database.
        path: PathBuf,
        /// In the system's words.
        text: String,
    },
}

impl OpenError {
    /// What the operating system's refusal of a file beside (or of) the store at `path` means.
    #[must_use]
    pub fn of_io(path: &Path, error: &io::Error) -> Self {
        let (path, text) = (path.to_owned(), error.to_string());
        match error.kind() {
            io::ErrorKind::IsADirectory => OpenError::NotAFile { path },
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                OpenError::FolderMissing { folder: folder(&path) }
            }
            io::ErrorKind::PermissionDenied => OpenError::Denied { path },
            io::ErrorKind::QuotaExceeded | io::ErrorKind::StorageFull | io::ErrorKind::FileTooLarge => {
                OpenError::DiskFull { path, text }
            }
            io::ErrorKind::ReadOnlyFilesystem => OpenError::ReadOnly { path },
            _ => OpenError::Other { path, text },
        }
    }

    /// What SQLite's refusal of the database at `path` means.
    pub(crate) fn of_sqlite(path: &Path, error: &rusqlite::Error) -> Self {
        let (path, text) = (path.to_owned(), error.to_string());
        let Some(code) = error.sqlite_error() else { return OpenError::Other { path, text } };
        match (code.code, code.extended_code) {
            (ErrorCode::NotADatabase, _) => OpenError::NotADatabase { path },
            (ErrorCode::DatabaseCorrupt, _) => OpenError::Damaged { path, text },
            (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => OpenError::Busy { path },
            // The shared memory of the log beside the database cannot grow.
            (ErrorCode::DiskFull, _) | (_, ffi::SQLITE_IOERR_SHMSIZE) => OpenError::DiskFull { path, text },
            (ErrorCode::SystemIoFailure, _) => OpenError::DiskFailing { path, text },
            (ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly, _) => {
                OpenError::Denied { path }
            }
            _ => OpenError::Other { path, text },
        }
    }

    /// What a failure of a database that was just opened says about it.
    #[must_use]
    pub fn of_store(path: &Path, error: &StoreError) -> Option<Self> {
        let path = path.to_owned();
        match error {
            StoreError::Busy => Some(OpenError::Busy { path }),
            StoreError::Damaged { message } => Some(OpenError::Damaged { path, text: message.clone() }),
            StoreError::Disk { message } => Some(OpenError::DiskFull { path, text: message.clone() }),
            _ => None,
        }
    }
}

/// The folder of a file, `.` for a bare name.
pub(crate) fn folder(path: &Path) -> PathBuf {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}
