//! The secret behind the tokens for quick logins: a file of 32 bytes beside the store, made at the first start. A copy of the
//! database without it opens nothing; if it is lost, clients log in with their passwords once.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use torg_wire::sasl::TokenSecret;

use super::certificates::authority_directory;
use super::error::StartError;

/// Name of the file; backups leave it out, so that whoever has one cannot log in with the tokens in it.
pub const FILE: &str = "tokens.key";
/// For us only.
const MODE: u32 = 0o600;

/// Reads the secret, or makes it.
///
/// # Errors
/// The file cannot be read or written, or is not ours.
pub(super) async fn secret(store: &Path) -> Result<TokenSecret, StartError> {
    let path = authority_directory(store).join(FILE);
    let work = tokio::task::spawn_blocking(move || {
        read_or_make(&path).map_err(|error| StartError::ConfigTokenSecret { path, error })
    });
    work.await.map_err(|error| StartError::Internal(error.to_string()))?
}

fn read_or_make(path: &PathBuf) -> io::Result<TokenSecret> {
    match std::fs::read(path) {
        Ok(bytes) => {
            let bytes = <[u8; 32]>::try_from(bytes.as_slice());
            bytes
                .map(TokenSecret::new)
                .map_err(|_| io::Error::other("it does not hold 32 bytes; remove it to get a new one"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path),
        Err(error) => Err(error),
    }
}

/// Written beside its place and moved there, so that a crash leaves a whole file or none.
fn make(path: &PathBuf) -> io::Result<TokenSecret> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let beside = path.with_extension("new");
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&beside)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder)?.sync_all()?;
    }
    Ok(TokenSecret::new(bytes))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn the_secret_is_made_once_for_us_only_and_a_damaged_one_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = folder.path().join("torg.db");
        let first = secret(&store).await.expect("made");
        assert_eq!(secret(&store).await.expect("read"), first);
        let file = folder.path().join(FILE);
        assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        std::fs::write(&file, [1; 31]).expect("written");
        assert!(matches!(secret(&store).await, Err(StartError::ConfigTokenSecret { .. })));
    }
}
