//! Where a demonstration keeps its files: a directory of the user, or one that is removed at the end.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use torg_accounts::AccountError;
use torg_wire::secret::Secret;

use super::{DemoError, site};
use crate::app;
use crate::config::Settings;

/// Random bytes in a password of our own making: 120 bits.
const PASSWORD_BYTES: usize = 15;

/// The directory of one demonstration.
pub(super) struct Directory {
    path: PathBuf,
    temporary: bool,
}

impl Directory {
    /// Opens the user's directory, or makes one that nobody else can read.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, DemoError> {
        let (path, temporary) = match path {
            // Absolute, so that what is printed can be used from anywhere.
            Some(path) => (std::path::absolute(path).unwrap_or_else(|_| path.to_owned()), false),
            None => (std::env::temp_dir().join(format!("torg-demo-{}", random()?)), true),
        };
        let made = fs::DirBuilder::new().recursive(!temporary).mode(0o700).create(&path);
        made.map_err(|error| DemoError::ConfigDirectory { path: path.clone(), error })?;
        Ok(Self { path, temporary })
    }

    /// The path of a file in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file that only its owner can read.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf, DemoError> {
        let path = self.path(name);
        let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| DemoError::ConfigDirectory { path: path.clone(), error })?;
        Ok(path)
    }

    /// The password of the demonstration's account: that of an earlier run in this directory, or a new one.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub(super) fn password(&self) -> Result<Secret<String>, DemoError> {
        let path = self.path("password");
        if let Ok(text) = fs::read_to_string(&path)
            && let Some(line) = text.lines().next().filter(|line| !line.is_empty())
        {
            return Ok(Secret::new(line.to_owned()));
        }
        let password = random()?;
        self.write("password", &format!("{password}\n"))?;
        Ok(Secret::new(password))
    }

    /// Makes the account, or gives it this password if it is there from an earlier run.
    ///
    /// # Errors
    /// The store cannot be used.
    pub(super) async fn account(&self, settings: &Settings, password: &Secret<String>) -> Result<(), DemoError> {
        let (_store, accounts) = app::open_accounts(settings).await?;
        let account = site::account();
        match accounts.create(&account, password.clone()).await {
            Err(AccountError::UserExists(_)) => Ok(accounts.set_password(&account, password.clone()).await?),
            made => Ok(made?),
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.temporary {
            // What cannot be removed now is in the system's temporary directory and goes with that.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Random text of hexadecimal digits.
fn random() -> Result<String, DemoError> {
    let mut bytes = [0; PASSWORD_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| DemoError::Randomness(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_temporary_directory_is_private_and_goes_away() {
        let directory = Directory::open(None).unwrap();
        let path = directory.path.clone();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        drop(directory);
        assert!(!path.exists());
    }

    #[test]
    fn the_password_is_kept_for_the_next_run_and_only_its_owner_can_read_it() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("demo");
        let first = Directory::open(Some(&path)).unwrap().password().unwrap();
        let second = Directory::open(Some(&path)).unwrap().password().unwrap();
        assert_eq!(first.expose(), second.expose());
        assert_eq!(fs::metadata(path.join("password")).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn two_demonstrations_have_different_passwords() {
        assert_ne!(random().unwrap(), random().unwrap());
    }
}
