//! One running appliance per store: a lock file beside the database, held as long as the process lives.
//!
//! The lock is the kernel's (flock), so it ends with the process however that ends, and the file itself may stay.
//! Commands such as `torg account` do not take it: they share the store with a running appliance.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use torg_store::OpenError;

/// Holds the lock; dropping it lets the next appliance start.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Not left to closing: a child process on its way to another program still has the file open for a moment.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// Why the lock could not be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another appliance uses the store.
    #[error("Another torg{} uses the store {}. Stop it first, or give this one another [store] path.", process(.pid), .store.display())]
    ConfigInUse {
        /// The store both want.
        store: PathBuf,
        /// Process id of the other, as it wrote it.
        pid: Option<u32>,
    },
    /// The lock file beside the store cannot be opened or written, so the store cannot either.
    #[error(transparent)]
    Store(#[from] OpenError),
}

fn process(pid: &Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

impl Lock {
    /// Takes the lock of the store at `store`.
    ///
    /// # Errors
    /// Another process holds it, or its file cannot be written.
    pub fn take(store: &Path) -> Result<Self, LockError> {
        let mut name = store.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        let failed = |error: std::io::Error| LockError::Store(OpenError::of_io(store, &error));
        // Not truncated on opening: if another holds the lock, the file says who.
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                let _ = (&file).take(PID_BYTES_MAX).read_to_string(&mut holder);
                return Err(LockError::ConfigInUse { store: store.to_owned(), pid: holder.trim().parse().ok() });
            }
            Err(errno) => return Err(failed(errno.into())),
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { file })
    }
}

/// Longest process id read from a lock file; Linux has at most seven digits.
const PID_BYTES_MAX: u64 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_appliance_on_one_store_is_refused_and_told_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("torg.db");
        let _first = Lock::take(&store).unwrap();
        let error = Lock::take(&store).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        assert!(error.contains("torg.db"), "{error}");
    }

    #[test]
    fn the_store_is_free_again_when_the_lock_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("torg.db");
        drop(Lock::take(&store).unwrap());
        assert!(Lock::take(&store).is_ok());
    }

    #[test]
    fn a_missing_directory_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = Lock::take(&dir.path().join("absent/torg.db")).unwrap_err().to_string();
        assert!(error.starts_with("The folder ") && error.contains("absent of the store does not exist."), "{error}");
    }
}
